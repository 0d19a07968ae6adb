//! Each error, from what produces it, with its words.

mod common;

use std::net::IpAddr;

use common::*;
use vrrp_fsm::{
    Announcements, Delivery, Dialect, Error, GroupId, Input, InterfaceId, Parameters, ParametersBuilder,
    Peer, Track, TrackId, VrrpRouter,
};
use vrrp_proto::{AddressFamily, AdverInterval, Password, Priority};

fn refused(builder: ParametersBuilder, words: &str) -> Error {
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), words);
    error
}

fn with(addresses: &[&str]) -> ParametersBuilder {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| ip(address)).collect();
    Parameters::builder(vrid(1), addresses)
}

#[test]
fn addresses() {
    assert_eq!(
        refused(with(&[]), "a virtual router needs at least one address"),
        Error::NoAddress
    );
    let none = with(&[]).no_address(AddressFamily::Ipv6).build().unwrap();
    assert_eq!((none.addresses().len(), none.family()), (0, AddressFamily::Ipv6));
    assert_eq!(none.to_builder().build(), Ok(none));
    let many = |count: u32| Parameters::builder(vrid(1), (1..=count).map(|number| IpAddr::V4(number.into())));
    assert_eq!(many(255).build().unwrap().addresses().len(), 255);
    let words = "256 addresses, but an advertisement lists at most 255";
    assert_eq!(refused(many(256), words), Error::TooManyAddresses(256));
    refused(
        with(&["10.0.0.1", "fe80::1"]),
        "fe80::1 is not IPv4 like the addresses before it",
    );
    refused(
        with(&["fe80::1", "10.0.0.1"]),
        "10.0.0.1 is not IPv6 like the addresses before it",
    );
    refused(
        with(&["10.0.0.1", "10.0.0.2", "10.0.0.1"]),
        "10.0.0.1 is listed twice",
    );
    let words = "the first IPv6 address must be link-local, and 2001:db8::1 is not";
    refused(with(&["2001:db8::1", "fe80::1"]), words);
    refused(
        with(&["fec0::1"]),
        "the first IPv6 address must be link-local, and fec0::1 is not",
    );
    with(&["2001:db8::1"]).any_first_address(true).build().unwrap();
    with(&["febf::1", "2001:db8::1"]).build().unwrap();
}

#[test]
fn numbers() {
    let words = "priority 0 is not a priority to be configured: 1 to 255 are";
    refused(with(&["10.0.0.1"]).priority(Priority::RELEASE), words);
    for adverts in [0, 101] {
        let words = format!("down_timer_adverts is 1 to 100, not {adverts}");
        refused(with(&["10.0.0.1"]).down_timer_adverts(adverts), &words);
    }
    for adverts in [1, 100] {
        assert_eq!(
            with(&["10.0.0.1"])
                .down_timer_adverts(adverts)
                .build()
                .unwrap()
                .down_timer_adverts(),
            adverts
        );
    }
    assert_eq!(
        Track::new(TrackId(1), 255).unwrap_err().to_string(),
        "a weight is -254 to 254, not 255"
    );
    let track = Track::new(TrackId(7), 1).unwrap();
    refused(
        with(&["10.0.0.1"]).tracks([track, track]),
        "tracked object 7 is tracked twice",
    );
    let none = Announcements {
        repeat: 0,
        ..Announcements::default()
    };
    refused(
        with(&["10.0.0.1"]).announcements(none),
        "at least one announcement is needed on becoming active",
    );
}

#[test]
fn versions() {
    let second = |builder: ParametersBuilder| builder.dialect(Dialect::Rfc3768);
    refused(second(with(&["fe80::1"])), "VRRPv2 is for IPv4 only");
    refused(
        second(with(&["10.0.0.1"])).adver_interval(centis(150)),
        "VRRPv2 cannot say an interval of 1.50 s",
    );
    let long = AdverInterval::from_seconds(41).unwrap();
    refused(
        with(&["10.0.0.1"]).adver_interval(long),
        "VRRPv3 cannot say an interval of 41 s",
    );
    with(&["10.0.0.1"]).adver_interval(centis(4095)).build().unwrap();
    second(with(&["10.0.0.1"])).adver_interval(long).build().unwrap();
    let password = Password::truncating(b"secret");
    refused(with(&["10.0.0.1"]).password(password), "a password needs VRRPv2");
    let parameters = second(with(&["10.0.0.1"])).password(password).build().unwrap();
    assert!(format!("{parameters:?}").contains("password: Some(..)"));
}

#[test]
fn delivery() {
    let peer = |address| Peer::new(ip(address));
    refused(
        with(&["10.0.0.1"]).unicast_peers([peer("fe80::2")]),
        "the unicast peer fe80::2 is of the other family",
    );
    refused(
        with(&["10.0.0.1"]).unicast_peers([peer("10.0.0.2"), peer("10.0.0.2")]),
        "the unicast peer 10.0.0.2 is listed twice",
    );
    for group in ["10.0.0.18", "ff02::12"] {
        let words = format!("{group} is not a multicast group of the family");
        refused(with(&["10.0.0.1"]).multicast_group(ip(group)), &words);
    }
    let parameters = with(&["10.0.0.1"])
        .multicast_group(ip("224.0.4.18"))
        .build()
        .unwrap();
    assert_eq!(*parameters.delivery(), Delivery::Multicast(ip("224.0.4.18")));
    let other = parameters
        .to_builder()
        .addresses([ip("fe80::1")])
        .build()
        .unwrap();
    assert_eq!(*other.delivery(), Delivery::Multicast(ip("ff02::12")));
    let parameters = with(&["10.0.0.1"])
        .multicast_group(ip("224.0.4.18"))
        .unicast_peers([peer("10.0.0.2")]);
    assert!(matches!(
        parameters.build().unwrap().delivery(),
        Delivery::Unicast(_)
    ));
}

#[test]
fn virtual_routers() {
    let mut router = VrrpRouter::new();
    let interface = InterfaceId(4);
    let parameters = |number| {
        Parameters::builder(vrid(number), [ip("10.0.0.100")])
            .build()
            .unwrap()
    };
    let id = router
        .add(interface, parameters(7), Some(ip("10.0.0.1")))
        .unwrap();
    let error = router.add(interface, parameters(7), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vrid 7 (IPv4) is already in use on interface 4"
    );
    assert_eq!(router.len(), 1);

    let other = Input::Configure(Box::new(parameters(8)));
    let error = router.handle_input(at(0), id, other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the vrid or the family cannot change: remove the virtual router and add another"
    );
    router
        .handle_input(at(0), id, Input::Startup { held: false })
        .unwrap();
    let error = router.remove(at(0), id).unwrap_err();
    assert_eq!(error.to_string(), "the virtual router is still running");
    router.handle_input(at(0), id, Input::Shutdown).unwrap();
    router.remove(at(0), id).unwrap();
    let error = router.remove(at(0), id).unwrap_err();
    assert_eq!(error.to_string(), "no such virtual router");
    assert_eq!(
        router.handle_input(at(0), id, Input::Timeout),
        Err(Error::UnknownRouter)
    );
    // The place is used again, the identifier is not.
    let new = router.add(interface, parameters(7), None).unwrap();
    assert_ne!(new, id);
    assert!(router.virtual_router(id).is_none());
    assert_eq!(router.interface(id), None);
    assert_eq!(router.interface(new), Some(interface));
}

#[test]
fn groups() {
    let mut router = VrrpRouter::new();
    let id = router
        .add(InterfaceId(1), builder(100).build().unwrap(), None)
        .unwrap();
    let group: GroupId = router.add_sync_group(at(0), &[id]).unwrap();
    let error = router.add_sync_group(at(0), &[id]).unwrap_err();
    assert_eq!(error.to_string(), "the virtual router is in a sync group already");
    router.remove_sync_group(at(0), group).unwrap();
    let error = router.remove_sync_group(at(0), group).unwrap_err();
    assert_eq!(error.to_string(), "no such sync group");
}

/// A VRID is used again towards other unicast peers, and only then.
#[test]
fn the_same_vrid_twice() {
    let mut router = VrrpRouter::new();
    let interface = InterfaceId(1);
    let unicast = |peers: &[&str]| {
        let peers: Vec<Peer> = peers.iter().map(|peer| Peer::new(ip(peer))).collect();
        builder(100).unicast_peers(peers).build().unwrap()
    };
    let first = router
        .add(interface, unicast(&["10.0.0.2", "10.0.0.3"]), None)
        .unwrap();
    router.add(interface, unicast(&["10.0.0.4"]), None).unwrap();
    router
        .add(interface, builder(100).build().unwrap(), None)
        .unwrap();
    let clash = router.add(interface, unicast(&["10.0.0.5", "10.0.0.3"]), None);
    assert!(matches!(clash, Err(Error::DuplicateVrid { .. })));
    assert!(matches!(
        router.add(interface, builder(50).build().unwrap(), None),
        Err(Error::DuplicateVrid { .. })
    ));
    let other_group = builder(100).multicast_group(ip("224.0.4.18")).build().unwrap();
    router.add(interface, other_group, None).unwrap();
    router
        .add(InterfaceId(2), builder(50).build().unwrap(), None)
        .unwrap();
    let input = |peers| Input::Configure(Box::new(unicast(peers)));
    let clash = router.handle_input(at(0), first, input(&["10.0.0.4"]));
    assert!(matches!(clash, Err(Error::DuplicateVrid { .. })));
    router.handle_input(at(0), first, input(&["10.0.0.9"])).unwrap();
    assert_eq!(router.find(interface, AddressFamily::Ipv4, vrid(1)).count(), 4);
}
