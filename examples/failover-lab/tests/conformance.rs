//! The driver on real wires: what leaves a host, what a host answers, what it does when its surroundings change. The
//! list follows the requirements E and D, and the behaviours that FD.io VPP tests of its own VRRP.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{INTERVAL, Lab, PATIENCE, VRID, address, adverts, from_host, own_mac, router, virtual_mac};
use failover_lab::capture::{Capture, Content};
use failover_lab::lab::wait_for;
use failover_lab::ping::Ping;
use failover_lab::segment::Segment;
use failover_lab::spec::RouterSpec;

/// RFC 9568 §5.1: destination, MAC address, TTL; §5.1.1.1, §5.1.2.1: source.
#[test]
#[ignore = "needs root and network namespaces"]
fn an_active_router_advertises_from_its_own_address_to_the_group() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let _director = lab.director(0, &router(ipv6, 150));
        lab.wait_holds(0, address(ipv6));
        let frames = lab.listen(10);
        let adverts = adverts(&frames);
        assert!(adverts.len() >= 5, "{} in ten intervals", adverts.len());
        for frame in adverts {
            let Content::Vrrp {
                source,
                destination,
                hop_limit,
                message,
            } = frame.content()
            else {
                unreachable!("filtered");
            };
            let (own, group, mac): (IpAddr, &str, _) = if ipv6 {
                (
                    Segment::link_local(0, 0).into(),
                    "ff02::12",
                    [0x33, 0x33, 0, 0, 0, 0x12],
                )
            } else {
                (Segment::ipv4(0, 0).into(), "224.0.0.18", [1, 0, 0x5e, 0, 0, 0x12])
            };
            assert_eq!(source, own);
            assert_eq!(destination, group.parse::<IpAddr>().unwrap());
            assert_eq!(hop_limit, 255);
            assert_eq!(frame.destination_mac(), mac);
            assert_eq!(frame.source_mac(), own_mac(0));
            assert_eq!(message[..3], [0x31, VRID, 150]);
        }
    }
}

/// RFC 9568 §5.1.1.2, §5.1.2.2: what is sent to the groups is not forwarded, whatever the TTL.
#[test]
#[ignore = "needs root and network namespaces"]
fn the_groups_are_not_forwarded() {
    for ipv6 in [false, true] {
        let lab = Lab::with_networks(2);
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            lab.segment.host(0).switch(switch, "1").unwrap();
        }
        let mut spec = router(ipv6, 200);
        spec.interface = "eth0".into();
        let _director = lab.director(0, &spec);
        lab.wait_holds(0, address(ipv6));
        let other = Capture::start(lab.segment.host(1), false, None).unwrap();
        let index = lab
            .segment
            .host(1)
            .ip("-o link show eth1")
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .parse::<u32>()
            .unwrap();
        let mut disturber = lab.disturber();
        for _ in 0..5 {
            disturber.advertise(ipv6, 50);
        }
        std::thread::sleep(INTERVAL * 3);
        let frames = other.frames();
        assert!(!adverts(&frames).is_empty(), "the first network carries them");
        assert!(
            adverts(&frames).iter().all(|frame| frame.interface != index),
            "the second does not"
        );
    }
}

/// RFC 9568 §7.2, §7.3, §8.2: from the virtual MAC address, with priority 0 and in answer to others too; §6.4.3, §8.1.2:
/// it is what answers for the address, and what is announced.
#[test]
#[ignore = "needs root and network namespaces"]
fn everything_comes_from_the_virtual_mac() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let spec = RouterSpec {
            virtual_mac: true,
            ..router(ipv6, 150)
        };
        let mut director = lab.director(0, &spec);
        lab.wait_holds(0, address(ipv6));
        // The other loses; it is answered.
        lab.disturber().advertise(ipv6, 50);
        let client = Ping::start(lab.segment.host(2), address(ipv6), INTERVAL).unwrap();
        wait_for(PATIENCE, "an answer to the client", || client.answers() > 2).unwrap();
        let family = if ipv6 { "-6" } else { "-4" };
        let neighbour = lab
            .segment
            .host(2)
            .ip(&format!("{family} neigh show {}", address(ipv6)))
            .unwrap();
        let mac = virtual_mac(ipv6).map(|byte| format!("{byte:02x}")).join(":");
        assert!(neighbour.contains(&mac), "{neighbour}");
        std::thread::sleep(INTERVAL * 3);
        director.stop().unwrap();
        std::thread::sleep(INTERVAL);
        let mut frames = lab.capture.take();
        // What the disturber sent itself is not seen coming in; what it provoked is.
        frames.retain(|frame| !frame.outgoing);
        let adverts = adverts(&frames);
        assert!(adverts.len() >= 3);
        assert_eq!(adverts.last().unwrap().content().advertisement(), Some((VRID, 0)));
        for frame in adverts {
            assert_eq!(frame.source_mac(), virtual_mac(ipv6));
        }
        let announced: Vec<_> = frames
            .iter()
            .filter(|frame| frame.content().announced() == Some(address(ipv6)))
            .collect();
        assert!(!announced.is_empty());
        for frame in announced {
            assert_eq!(frame.source_mac(), virtual_mac(ipv6));
            if let Content::Arp { sender_mac, .. } = frame.content() {
                assert_eq!(sender_mac, virtual_mac(ipv6));
            }
        }
    }
}

/// keepalived's `vmac_xmit_base`: the virtual MAC answers and is announced, and advertisements come from the interface's own.
#[test]
#[ignore = "needs root and network namespaces"]
fn advertisements_leave_from_the_base_where_that_is_asked_for() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let spec = RouterSpec {
            virtual_mac: true,
            transmit_base: true,
            ..router(ipv6, 150)
        };
        let _director = lab.director(0, &spec);
        lab.wait_holds(0, address(ipv6));
        std::thread::sleep(INTERVAL * 5);
        let frames = lab.capture.take();
        let adverts = adverts(&frames);
        assert!(!adverts.is_empty());
        for frame in adverts {
            assert_eq!(frame.source_mac(), own_mac(0));
        }
        let announced: Vec<_> = frames
            .iter()
            .filter(|frame| frame.content().announced() == Some(address(ipv6)))
            .collect();
        assert!(!announced.is_empty());
        for frame in announced {
            assert_eq!(frame.source_mac(), virtual_mac(ipv6));
        }
    }
}

/// Who hears nobody must not become active beside whoever is: without its group a router stays out, and takes part when it
/// can be joined after all.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_group_that_cannot_be_joined_keeps_a_router_out() {
    let lab = Lab::new();
    let _active = lab.director(1, &router(false, 200));
    lab.wait_holds(1, address(false));
    let host = lab.segment.host(0);
    host.switch("ipv4/igmp_max_memberships", "0").unwrap();
    let director = lab.director(0, &router(false, 100));
    let told = director.wait_line(PATIENCE, |line| {
        line.text.contains("cannot receive advertisements")
    });
    assert!(told.is_some());
    // A machine that stood still before the group was refused let it be active until then.
    lab.wait_lost(0, address(false));
    let _ = lab.capture.take();
    // Longer than the down interval.
    std::thread::sleep(INTERVAL * 8);
    assert!(!lab.watches[0].holds(address(false)));
    assert_eq!(from_host(&lab.capture.take(), false, 0), 0);
    host.switch("ipv4/igmp_max_memberships", "20").unwrap();
    let took_part = director.wait_line(PATIENCE, |line| line.state.as_deref() == Some("backup"));
    assert!(took_part.is_some());
    assert!(!lab.watches[0].holds(address(false)));
}

/// RFC 9568 §7.4 and §8.2.2: the virtual MAC feeds no interface identifier, and no duplicate is looked for.
#[test]
#[ignore = "needs root and network namespaces"]
fn the_virtual_link_has_the_virtual_addresses_and_no_other() {
    let lab = Lab::new();
    let own = Capture::start(lab.segment.host(0), true, None).unwrap();
    let spec = RouterSpec {
        virtual_mac: true,
        ..router(true, 150)
    };
    let _director = lab.director(0, &spec);
    lab.wait_holds(0, address(true));
    std::thread::sleep(INTERVAL * 5);
    let shown = lab
        .segment
        .host(0)
        .ip(&format!("-6 -o addr show dev vrrp6.{VRID}"))
        .unwrap();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(
        shown.contains("fe80::7777/64") && shown.contains("fd77::1:1/64"),
        "{shown}"
    );
    for frame in own.frames() {
        if let Content::Icmpv6 { source, message, .. } = frame.content() {
            // A neighbour solicitation from the unspecified address is duplicate detection.
            assert!(!(source.is_unspecified() && message[0] == 135), "{frame:?}");
        }
    }
}

/// RFC 9568 §6.4.2: a backup answers nobody, and nothing with the virtual MAC leaves it: for five seconds, and for a minute
/// with `cargo xtask test --long`.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_backup_is_silent() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let spec = |priority| RouterSpec {
            virtual_mac: true,
            ..router(ipv6, priority)
        };
        let _active = lab.director(0, &spec(200));
        lab.wait_holds(0, address(ipv6));
        let leaves = Capture::start(lab.segment.host(1), true, None).unwrap();
        let _backup = lab.director(1, &spec(100));
        let client = Ping::start(lab.segment.host(2), address(ipv6), INTERVAL).unwrap();
        let neighbours = ["-4", "-6"];
        let turns = if std::env::var_os("LONG_TESTS").is_some() {
            120
        } else {
            10
        };
        for _ in 0..turns {
            for family in neighbours {
                lab.segment
                    .host(2)
                    .ip(&format!("{family} neigh flush dev eth0"))
                    .unwrap();
            }
            std::thread::sleep(INTERVAL * 5);
        }
        assert!(client.answers() > 10, "the active router answers");
        let wire = leaves.frames();
        for frame in &wire {
            if frame.outgoing {
                assert_ne!(frame.source_mac(), virtual_mac(ipv6), "{frame:?}");
                assert!(frame.content().advertisement().is_none());
                assert_ne!(frame.content().announced(), Some(address(ipv6)));
            }
        }
        assert!(!lab.watches[1].holds(address(ipv6)));
    }
}

/// Both have the same MAC address while both are active, and hear each other all the same.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_partition_heals_with_virtual_macs_too() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let spec = |priority| RouterSpec {
            virtual_mac: true,
            ..router(ipv6, priority)
        };
        for host in 0..2 {
            lab.segment.set_isolated(host, true).unwrap();
        }
        let _high = lab.director(0, &spec(200));
        let _low = lab.director(1, &spec(100));
        lab.wait_holds(0, address(ipv6));
        lab.wait_holds(1, address(ipv6));
        for host in 0..2 {
            lab.segment.set_isolated(host, false).unwrap();
        }
        lab.wait_lost(1, address(ipv6));
        let client = Ping::start(lab.segment.host(2), address(ipv6), INTERVAL / 10).unwrap();
        wait_for(PATIENCE, "an answer", || client.answers() > 5).unwrap();
        assert!(lab.watches[0].holds(address(ipv6)));
    }
}

/// RFC 9568 §6.4: the groups are joined where packets are received; RFC 4861: those of the addresses too.
#[test]
#[ignore = "needs root and network namespaces"]
fn the_groups_are_joined() {
    let read = |lab: &Lab, file: &str| {
        let path = format!("/proc/thread-self/net/{file}");
        lab.segment
            .host(0)
            .run(|| std::fs::read_to_string(&path))
            .unwrap()
    };
    let lab = Lab::new();
    let _director = lab.director(0, &router(false, 150));
    lab.wait_holds(0, address(false));
    assert!(read(&lab, "igmp").contains("120000E0"), "224.0.0.18");
    let lab = Lab::new();
    let _director = lab.director(0, &router(true, 150));
    lab.wait_holds(0, address(true));
    let groups = read(&lab, "igmp6");
    assert!(groups.contains("ff020000000000000000000000000012"), "{groups}");
    assert!(groups.contains("ff0200000000000000000001ff010001"), "{groups}");
}

/// RFC 9568 §6.4.2, RFC 4861: an unsolicited advertisement from a router, overriding.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_neighbour_advertisement_says_router_and_override() {
    let lab = Lab::new();
    lab.segment
        .host(0)
        .switch("ipv6/conf/all/forwarding", "1")
        .unwrap();
    let _director = lab.director(0, &router(true, 150));
    lab.wait_holds(0, address(true));
    std::thread::sleep(INTERVAL);
    let frames = lab.capture.frames();
    let announced: Vec<_> = frames
        .iter()
        .filter(|frame| frame.content().announced() == Some(address(true)))
        .collect();
    assert!(!announced.is_empty());
    for frame in announced {
        let Content::Icmpv6 {
            source,
            destination,
            hop_limit,
            message,
        } = frame.content()
        else {
            unreachable!("filtered");
        };
        assert_eq!(IpAddr::V6(source), address(true));
        assert_eq!(destination.to_string(), "ff02::1");
        assert_eq!(hop_limit, 255);
        assert_eq!(message[4], 0xa0);
        assert_eq!(message[24..26], [2, 1]);
        assert_eq!(message[26..32], own_mac(0));
    }
}

/// RFC 9568 §6.4.2, errata 7947 and 7949: gratuitous ARP in the form that is deployed, after the address is there.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_gratuitous_arp_follows_the_address() {
    let lab = Lab::new();
    let _director = lab.director(0, &router(false, 150));
    lab.wait_holds(0, address(false));
    std::thread::sleep(INTERVAL);
    let frames = lab.capture.frames();
    let announced: Vec<_> = frames
        .iter()
        .filter(|frame| frame.content().announced() == Some(address(false)))
        .collect();
    assert_eq!(announced.len(), 5, "keepalived's first block");
    for frame in announced {
        let Content::Arp {
            operation,
            sender_mac,
            target_mac,
            ..
        } = frame.content()
        else {
            unreachable!("filtered");
        };
        assert_eq!((operation, sender_mac), (1, own_mac(0)));
        assert_eq!(target_mac, [0xff; 6]);
        assert_eq!(frame.destination_mac(), [0xff; 6]);
    }
    let first_advert = adverts(&frames)[0].at;
    let first_announced = frames
        .iter()
        .find(|frame| frame.content().announced().is_some())
        .unwrap()
        .at;
    assert!(first_advert < first_announced, "the advertisement goes first");
}

/// VPP: master_adv, backup_noadv, backup_preempts, master_preempted.
#[test]
#[ignore = "needs root and network namespaces"]
fn priorities_decide() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let mut disturber = lab.disturber();
        let _director = lab.director(0, &router(ipv6, 100));
        for _ in 0..8 {
            disturber.advertise(ipv6, 200);
            std::thread::sleep(INTERVAL);
        }
        assert_eq!(
            from_host(&lab.capture.take(), ipv6, 0),
            0,
            "a backup says nothing"
        );
        assert!(!lab.watches[0].holds(address(ipv6)));
        // The other becomes the lower one, and goes on.
        for _ in 0..8 {
            disturber.advertise(ipv6, 50);
            std::thread::sleep(INTERVAL);
        }
        assert!(lab.watches[0].holds(address(ipv6)), "a lower one is replaced");
        assert!(from_host(&lab.capture.take(), ipv6, 0) >= 3);
        disturber.advertise(ipv6, 200);
        lab.wait_lost(0, address(ipv6));
        for _ in 0..5 {
            disturber.advertise(ipv6, 200);
            std::thread::sleep(INTERVAL);
        }
        assert!(!lab.watches[0].holds(address(ipv6)), "a higher one is given way");
    }
}

/// RFC 9568 §6.4.3: with Accept_Mode the active router accepts what is sent to the address, and a backup does not.
#[test]
#[ignore = "needs root and network namespaces"]
fn the_active_router_answers_for_the_address() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let _active = lab.director(0, &router(ipv6, 200));
        lab.wait_holds(0, address(ipv6));
        let client = Ping::start(lab.segment.host(2), address(ipv6), INTERVAL / 10).unwrap();
        wait_for(PATIENCE, "an answer", || client.answers() > 5).unwrap();
    }
}

/// RFC 9568 §6.4.3: the active router forwards what comes for the virtual MAC.
#[test]
#[ignore = "needs root and network namespaces"]
fn what_comes_for_the_virtual_mac_is_forwarded() {
    let lab = Lab::with_networks(2);
    lab.segment.host(0).switch("ipv4/ip_forward", "1").unwrap();
    for host in 0..3 {
        for name in ["all", "eth0", "eth1"] {
            let switch = format!("ipv4/conf/{name}/rp_filter");
            lab.segment.host(host).switch(&switch, "0").unwrap();
        }
    }
    let spec = RouterSpec {
        virtual_mac: true,
        ..router(false, 200)
    };
    let _active = lab.director(0, &spec);
    lab.wait_holds(0, address(false));
    let beyond = Segment::ipv4(1, 1);
    lab.segment
        .host(2)
        .ip(&format!("route add {beyond}/32 via {}", address(false)))
        .unwrap();
    let client = Ping::start(lab.segment.host(2), beyond.into(), INTERVAL / 10).unwrap();
    wait_for(PATIENCE, "an answer from beyond", || client.answers() > 5).unwrap();
    let neighbour = lab
        .segment
        .host(2)
        .ip(&format!("neigh show {}", address(false)))
        .unwrap();
    assert!(neighbour.contains("00:00:5e:00:01:07"), "{neighbour}");
}

/// VPP: master_adv_unicast.
#[test]
#[ignore = "needs root and network namespaces"]
fn unicast_reaches_the_peer() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let own = |host| -> IpAddr {
            if ipv6 {
                Segment::link_local(0, host).into()
            } else {
                Segment::ipv4(0, host).into()
            }
        };
        let spec = |priority, peer| RouterSpec {
            peers: vec![own(peer)],
            ..router(ipv6, priority)
        };
        let mut active = lab.director(0, &spec(200, 1));
        lab.wait_holds(0, address(ipv6));
        let _standby = lab.director(1, &spec(100, 0));
        std::thread::sleep(INTERVAL * 8);
        assert!(!lab.watches[1].holds(address(ipv6)), "the peer is heard");
        assert!(adverts(&lab.capture.frames()).is_empty(), "nobody else hears it");
        active.kill().unwrap();
        lab.wait_holds(1, address(ipv6));
    }
}

/// VPP: intf_tracking. Without carrier the address is given up; with it the router comes back.
#[test]
#[ignore = "needs root and network namespaces"]
fn carrier_is_watched() {
    let lab = Lab::new();
    let _active = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    let _standby = lab.director(1, &router(false, 100));
    lab.segment.set_carrier(0, false).unwrap();
    lab.wait_lost(0, address(false));
    lab.wait_holds(1, address(false));
    lab.segment.set_carrier(0, true).unwrap();
    lab.wait_holds(0, address(false));
    lab.wait_lost(1, address(false));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_renamed_interface_is_the_same_interface() {
    let lab = Lab::new();
    let director = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    // A name can change while the interface is up.
    lab.segment.host(0).ip("link set eth0 name wan0").unwrap();
    std::thread::sleep(INTERVAL * 3);
    assert!(from_host(&lab.listen(5), false, 0) >= 2, "it goes on");
    assert!(lab.watches[0].holds(address(false)));
    drop(director);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_interface_that_vanishes_and_comes_back_is_taken_up_again() {
    let lab = Lab::new();
    let director = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    lab.segment.host(0).ip("link delete eth0").unwrap();
    assert!(
        director
            .wait_line(PATIENCE, |line| line.state.as_deref() == Some("initialize"))
            .is_some()
    );
    let host = lab.segment.host(0);
    host.ip("link add eth0 type veth peer name other0").unwrap();
    host.ip("addr add 10.77.0.1/16 dev eth0").unwrap();
    host.ip("link set other0 up").unwrap();
    host.ip("link set eth0 up").unwrap();
    lab.wait_holds(0, address(false));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_address_deleted_by_somebody_else_is_put_back_and_others_are_left_alone() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let mut director = lab.director(0, &router(ipv6, 200));
        lab.wait_holds(0, address(ipv6));
        let foreign: IpAddr = "10.77.200.200".parse().unwrap();
        let host = lab.segment.host(0);
        host.ip("addr add 10.77.200.200/16 dev eth0").unwrap();
        let length = if ipv6 { 64 } else { 16 };
        host.ip(&format!("addr del {}/{length} dev eth0", address(ipv6)))
            .unwrap();
        let told = director.wait_line(PATIENCE, |line| line.text.contains("deleted by somebody"));
        assert!(told.is_some());
        lab.wait_holds(0, address(ipv6));
        director.stop().unwrap();
        assert!(!lab.watches[0].holds(address(ipv6)));
        assert!(lab.watches[0].holds(foreign));
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn after_a_crash_the_kernel_takes_the_address_away() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let mut director = lab.director(0, &router(ipv6, 200));
        lab.wait_holds(0, address(ipv6));
        director.kill().unwrap();
        assert!(lab.watches[0].holds(address(ipv6)));
        lab.wait_lost(0, address(ipv6));
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_successor_within_the_lease_never_lets_the_address_go() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let mut director = lab.director(0, &router(ipv6, 200));
        lab.wait_holds(0, address(ipv6));
        director.kill().unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let director = lab.director(0, &router(ipv6, 200));
        assert!(
            director
                .wait_line(PATIENCE, |line| line.state.as_deref() == Some("active"))
                .is_some()
        );
        // Longer than the lease of the predecessor.
        std::thread::sleep(Duration::from_secs(4));
        let gone = lab.watches[0]
            .seen()
            .into_iter()
            .any(|sighting| sighting.address == address(ipv6) && !sighting.present);
        assert!(!gone);
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn what_was_changed_is_put_back() {
    let lab = Lab::new();
    let host = lab.segment.host(0);
    let read = || {
        host.run(|| {
            let all = ["eth0/arp_ignore", "eth0/arp_filter", "all/rp_filter"]
                .map(|file| std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{file}")));
            Ok(all.map(Result::unwrap))
        })
        .unwrap()
    };
    host.switch("ipv4/conf/all/rp_filter", "1").unwrap();
    let before = read();
    let spec = RouterSpec {
        virtual_mac: true,
        ..router(false, 200)
    };
    let mut director = lab.director(0, &spec);
    lab.wait_holds(0, address(false));
    let during = read().map(|text| text.trim().to_owned());
    assert_eq!(during, ["1", "1", "0"]);
    director.stop().unwrap();
    assert_eq!(read(), before);
    let links = host.ip("-o link show").unwrap();
    assert!(!links.contains("vrrp"), "{links}");
}

/// A host that sends garbage with our VRID twice a second changes nothing: each advertisement is sent in its time.
#[test]
#[ignore = "needs root and network namespaces"]
fn garbage_delays_no_advertisement() {
    let lab = Lab::new();
    let _director = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    let mut disturber = lab.disturber();
    let envelope = vrrp_proto::Envelope::multicast(Segment::ipv4(0, 2).into());
    let _ = lab.capture.take();
    for _ in 0..10 {
        disturber.send(&envelope, &[0x31, VRID, 255, 1, 0, 100, 0, 0, 10, 77, 1, 1]);
        disturber.send(&envelope, &[0x41, VRID, 255, 1, 0, 100, 0, 0, 10, 77, 1, 1]);
        disturber.send(&envelope, &[0xff, VRID, 0, 0, 0, 0, 0, 0]);
        std::thread::sleep(INTERVAL * 2);
    }
    let sent = from_host(&lab.capture.take(), false, 0);
    assert!(sent >= 18, "{sent} in twenty intervals");
    assert!(lab.watches[0].holds(address(false)));
}
