//! What else goes with the active role: routes, rules, labels, scopes, point-to-point addresses, addresses on other interfaces,
//! switches, the pace of announcements, and whom unicast believes. The driver runs in this process, in a host's namespace.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::running::{Running, discarded, instance};
use common::{INTERVAL, Lab, PATIENCE, VRID, virtual_mac, written};
use failover_lab::capture::{Capture, Content};
use failover_lab::lab::wait_for;
use failover_lab::segment::Segment;
use vrrp_fsm::{DiscardReason, Peer, State};
use vrrp_net::{
    Broadcast, DriverEvent, Instance, Pace, RouteKind, RuleAction, Scope, VirtualAddress, VirtualMac,
    VirtualRoute, VirtualRule,
};
use vrrp_proto::{AddressFamily, AdverInterval, Vrid};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> VirtualAddress {
    text.parse().unwrap()
}

fn show(lab: &Lab, what: &str) -> String {
    lab.segment.host(0).ip(what).unwrap()
}

/// Asserts that one line of a listing has all of these words.
#[track_caller]
fn assert_line(listing: &str, words: &[&str]) {
    let found = listing
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)));
    assert!(found, "{words:?} in\n{listing}");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn addresses_are_as_they_were_written() {
    let lab = Lab::with_networks(2);
    let instance = instance(200)
        .address(
            address("10.77.1.1/24")
                .label("eth0:vip")
                .broadcast(Broadcast::Ones)
                .scope(Scope::Site),
        )
        .address(address("10.77.1.2/32").broadcast(Broadcast::Address("10.77.255.255".parse().unwrap())))
        .address(address("10.77.1.3/32").peer(ip("10.77.9.9")))
        .address(address("10.79.1.4/24").no_prefix_route().scope(Scope::Link))
        .address(address("10.78.1.5/24").device("eth1"))
        .address(address("fd77::5:5/64").excluded())
        .address(address("fd77::5:6/128").excluded());
    let mut running = Running::start(&lab, 0, vec![instance]);
    running.wait_active();
    let shown = show(&lab, "-o addr show");
    assert_line(
        &shown,
        &[
            "eth0",
            "10.77.1.1/24",
            "brd 10.77.1.255",
            "scope site",
            "eth0:vip",
        ],
    );
    assert_line(&shown, &["eth0", "10.77.1.2/32", "brd 10.77.255.255"]);
    assert_line(&shown, &["eth0", "10.77.1.3 peer 10.77.9.9/32"]);
    assert_line(&shown, &["eth0", "10.79.1.4/24", "scope link"]);
    assert_line(&shown, &["eth1", "10.78.1.5/24"]);
    assert_line(&shown, &["eth0", "fd77::5:5/64", "nodad"]);
    // As the source of connections of its own the host does not choose this one.
    assert_line(&shown, &["eth0", "fd77::5:6/128", "preferred_lft 0sec"]);
    assert!(
        !show(&lab, "route show").contains("10.79.1.0/24"),
        "no prefix route"
    );
    // What is excluded moves, and is not advertised.
    let frames = lab.listen(5);
    let adverts = common::adverts(&frames);
    assert!(!adverts.is_empty());
    for frame in adverts {
        let Content::Vrrp { message, .. } = frame.content() else {
            unreachable!("filtered");
        };
        assert_eq!(message[3], 5, "five addresses are advertised");
    }
    running.stop();
    let shown = show(&lab, "-o addr show");
    for gone in ["10.77.1.", "10.78.1.5", "10.79.1.4", "fd77::5:"] {
        assert!(!shown.contains(gone), "{gone} in\n{shown}");
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn routes_and_rules_come_and_go_with_the_role() {
    let lab = Lab::new();
    let route = |network: &str, length| VirtualRoute::new(ip(network), length).unwrap();
    let instance = instance(200)
        .address(address("10.77.1.1/24"))
        .route(
            route("10.90.0.0", 16)
                .gateway(ip("10.77.0.3"))
                .metric(77)
                .mtu(1400)
                .source(ip("10.77.1.1")),
        )
        .route(route("10.91.0.0", 16).kind(RouteKind::Blackhole).table(100))
        .route(route("10.92.0.0", 16).device("eth0").scoped(Scope::Link))
        .route(
            route("fd90::", 32)
                .gateway(Segment::ipv6(0, 2).into())
                .device("eth0"),
        )
        .rule(
            VirtualRule::new(AddressFamily::Ipv4, 1000, RuleAction::Table(100))
                .from(ip("10.77.1.1"), 32)
                .mark(5, 0xff),
        )
        .rule(VirtualRule::new(AddressFamily::Ipv6, 1001, RuleAction::Prohibit).to(ip("fd91::"), 32));
    let mut running = Running::start(&lab, 0, vec![instance]);
    running.wait_active();
    assert_line(
        &show(&lab, "route show"),
        &[
            "10.90.0.0/16",
            "via 10.77.0.3",
            "src 10.77.1.1",
            "metric 77",
            "mtu 1400",
        ],
    );
    assert_line(
        &show(&lab, "route show"),
        &["10.92.0.0/16 dev eth0", "scope link"],
    );
    assert_line(&show(&lab, "route show table 100"), &["blackhole 10.91.0.0/16"]);
    assert_line(
        &show(&lab, "-6 route show"),
        &["fd90::/32", "via fd77::3", "dev eth0"],
    );
    assert_line(
        &show(&lab, "rule show"),
        &["1000:", "from 10.77.1.1", "fwmark 0x5/0xff", "lookup 100"],
    );
    assert_line(
        &show(&lab, "-6 rule show"),
        &["1001:", "to fd91::/32", "prohibit"],
    );
    assert!(
        !running
            .told()
            .iter()
            .any(|event| matches!(event, DriverEvent::ChangeFailed { .. }))
    );
    running.stop();
    let left: String = [
        "route show table all",
        "-6 route show table all",
        "rule show",
        "-6 rule show",
    ]
    .map(|what| show(&lab, what))
    .concat();
    for gone in ["10.90.", "10.91.", "10.92.", "fd90:", "fd91:", "1000:", "1001:"] {
        assert!(!left.contains(gone), "{gone} in\n{left}");
    }
}

/// Routes and rules have no lease: what a killed predecessor left is removed, or taken over without a word.
#[test]
#[ignore = "needs root and network namespaces"]
fn routes_and_rules_of_a_predecessor_are_removed_or_taken_over() {
    let left = |lab: &Lab| {
        let host = lab.segment.host(0);
        host.ip("route add blackhole 10.91.0.0/16 table 100 proto 18")
            .unwrap();
        host.ip("rule add pref 1000 from 10.77.1.1/32 lookup 100 protocol 18")
            .unwrap();
    };
    let held = |priority| {
        let route = VirtualRoute::new(ip("10.91.0.0"), 16).unwrap();
        let rule = VirtualRule::new(AddressFamily::Ipv4, 1000, RuleAction::Table(100));
        instance(priority)
            .address(address("10.77.1.1/24"))
            .route(route.kind(RouteKind::Blackhole).table(100))
            .rule(rule.from(ip("10.77.1.1"), 32))
    };
    let count = |lab: &Lab| {
        let (rules, routes) = (show(lab, "rule show"), show(lab, "route show table all"));
        (
            rules.matches("1000:").count(),
            routes.matches("10.91.0.0/16").count(),
        )
    };
    // Beside a stronger router nothing of it stays.
    let lab = Lab::new();
    let mut other = Running::start(&lab, 1, vec![instance(200).address(address("10.77.1.1/24"))]);
    other.wait_active();
    left(&lab);
    assert_eq!(count(&lab), (1, 1));
    let mut held = Running::start(&lab, 0, vec![held(100)]);
    held.wait(State::Backup);
    wait_for(PATIENCE, "the leftovers to go", || count(&lab) == (0, 0)).unwrap();
    // There again when the role comes: it has them once, and complains of nothing.
    left(&lab);
    other.stop();
    held.wait_active();
    assert_eq!(count(&lab), (1, 1));
    let failed = |event: &DriverEvent| matches!(event, DriverEvent::ChangeFailed { .. });
    assert!(!held.told().iter().any(failed));
    held.stop();
    assert_eq!(count(&lab), (0, 0));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_change_that_cannot_be_made_is_told_and_the_rest_is_made() {
    let lab = Lab::new();
    // No way leads to this gateway.
    let route = VirtualRoute::new(ip("10.90.0.0"), 16)
        .unwrap()
        .gateway(ip("192.0.2.1"));
    let instance = instance(200).address(address("10.77.1.1/24")).route(route);
    let mut running = Running::start(&lab, 0, vec![instance]);
    running.wait_active();
    lab.wait_holds(0, ip("10.77.1.1"));
    let failed = running.wait_told(|event| match event {
        DriverEvent::ChangeFailed { address: None, errno } => Some(errno),
        _ => None,
    });
    assert_eq!(failed, 101, "the network is unreachable");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn secondaries_are_promoted_where_asked_for() {
    for promoted in [false, true] {
        let lab = Lab::new();
        let host = lab.segment.host(0);
        host.switch("ipv4/conf/all/promote_secondaries", "0").unwrap();
        host.switch("ipv4/conf/eth0/promote_secondaries", "0").unwrap();
        let mut held = instance(200).address(address("10.99.1.1/24"));
        if promoted {
            held = held.promote_secondaries();
        }
        let mut running = Running::start(&lab, 0, vec![held]);
        running.wait_active();
        // An address of somebody else's that becomes secondary to ours.
        host.ip("addr add 10.99.1.9/24 dev eth0").unwrap();
        lab.wait_holds(0, ip("10.99.1.9"));
        running.stop();
        let shown = show(&lab, "-o addr show dev eth0");
        assert_eq!(shown.contains("10.99.1.9"), promoted, "{shown}");
        let switch = host
            .run(|| std::fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/promote_secondaries"))
            .unwrap();
        assert_eq!(switch.trim(), "0", "it is put back");
    }
}

/// keepalived's `use_vmac_addr` and `use_vmac` of an address; two virtual routers of one number have two links.
#[test]
#[ignore = "needs root and network namespaces"]
fn addresses_on_other_interfaces_can_have_the_virtual_mac_too() {
    let lab = Lab::with_networks(2);
    let everywhere = instance(200)
        .virtual_mac(VirtualMac::standard().everywhere())
        .address(address("10.77.1.1/24"))
        .address(address("10.78.1.1/24").device("eth1"))
        .address(address("fd77::1:1/64").excluded());
    let one = Instance::new("other", "eth1", Vrid::new(9).unwrap())
        .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
        .address(address("10.78.1.2/24").virtual_mac())
        .address(address("10.78.1.3/24"))
        .address(address("fd78::1:3/64").excluded());
    let same_number = Instance::new("same", "eth1", Vrid::new(VRID).unwrap())
        .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
        .virtual_mac(VirtualMac::standard())
        .address(address("10.78.1.4/24"))
        .address(address("10.78.1.5/24").device("eth1"))
        .address(address("fd78::1:4/64").excluded());
    let mut running = Running::start(&lab, 0, vec![everywhere, one, same_number]);
    running.wait_active();
    let shown = show(&lab, "-o addr show");
    assert_line(&shown, &["vrrp.7 ", "10.77.1.1/24"]);
    assert_line(&shown, &["vrrp1.7 ", "10.78.1.1/24"]);
    assert_line(&shown, &["vrrp.9 ", "10.78.1.2/24"]);
    assert_line(&shown, &["eth1 ", "10.78.1.3/24"]);
    assert_line(&shown, &["vrrp2.7 ", "10.78.1.4/24"]);
    let links = show(&lab, "-o link show");
    assert_line(&shown, &["vrrp2.7 ", "10.78.1.5/24"]);
    // Of the other family: behind its own MAC where that is asked for, else behind none.
    assert_line(&shown, &["vrrp6.7 ", "fd77::1:1/64"]);
    assert_line(&shown, &["eth1 ", "fd78::1:3/64"]);
    assert_line(&shown, &["eth1 ", "fd78::1:4/64"]);
    assert_line(&links, &["vrrp6.7@eth0", &written(virtual_mac(true))]);
    assert_line(&links, &["vrrp1.7@eth1", &written(virtual_mac(false))]);
    assert_line(&links, &["vrrp2.7@eth1", &written(virtual_mac(false))]);
    // Without a virtual MAC of its own the second one advertises from its interface.
    let frames = lab.listen(5);
    let source = |vrid: u8| {
        let frame = common::adverts(&frames)
            .into_iter()
            .find(|frame| {
                frame
                    .content()
                    .advertisement()
                    .is_some_and(|(found, _)| found == vrid)
            })
            .unwrap();
        frame.source_mac()
    };
    assert_eq!(source(VRID), virtual_mac(false));
    assert_eq!(source(9)[..3], [2, 0, 0]);
    // Somebody deletes a link: it is made again, with its addresses.
    lab.segment.host(0).ip("link delete vrrp1.7").unwrap();
    wait_for(PATIENCE, "the link to come back", || {
        show(&lab, "-o addr show")
            .lines()
            .any(|line| line.contains("vrrp1.7") && line.contains("10.78.1.1/24"))
    })
    .unwrap();
    running.stop();
    assert!(!show(&lab, "-o link show").contains("vrrp"));
}

/// `garp_interval`, and `garp_group`: at that pace over all interfaces together.
#[test]
#[ignore = "needs root and network namespaces"]
fn announcements_are_paced_by_interface_or_by_group() {
    const GAP: Duration = Duration::from_millis(20);
    for grouped in [false, true] {
        let lab = Lab::with_networks(2);
        let capture = Capture::start(lab.segment.host(0), true, None).unwrap();
        let pace = Pace::new(GAP, Duration::ZERO);
        let pace = if grouped { pace.shared("switch") } else { pace };
        let instances = (0..2u8)
            .map(|network| {
                Instance::new("paced", &format!("eth{network}"), Vrid::new(VRID).unwrap())
                    .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
                    .address(address(&format!("10.{}.1.1/32", 77 + network)))
                    .address(address(&format!("10.{}.1.2/32", 77 + network)))
                    .announcement_pace(pace.clone())
            })
            .collect();
        let running = Running::start(&lab, 0, instances);
        running.wait_active();
        // Two addresses, five times, on two interfaces; the second block comes after five seconds.
        wait_for(PATIENCE, "the first block", || announced(&capture).len() >= 20).unwrap();
        let all = announced(&capture);
        let queues: Vec<Vec<u64>> = if grouped {
            vec![all.iter().map(|(at, _)| *at).collect()]
        } else {
            let of = |wanted: u32| {
                all.iter()
                    .filter(|(_, found)| *found == wanted)
                    .map(|(at, _)| *at)
                    .collect()
            };
            let (first, last) = (
                all.iter().map(|(_, found)| *found).min(),
                all.iter().map(|(_, found)| *found).max(),
            );
            assert_ne!(first, last);
            vec![of(first.unwrap()), of(last.unwrap())]
        };
        for times in queues {
            assert_eq!(times.len(), if grouped { 20 } else { 10 });
            for pair in times.windows(2) {
                // The kernel stamps on another clock than the driver waits on.
                assert!(
                    pair[1] - pair[0] >= (GAP - INTERVAL / 100).as_nanos() as u64,
                    "{times:?}"
                );
            }
        }
    }
}

/// When and where gratuitous ARP left, in order.
fn announced(capture: &Capture) -> Vec<(u64, u32)> {
    let mut all: Vec<_> = capture
        .frames()
        .iter()
        .filter(|frame| {
            frame.outgoing
                && frame
                    .content()
                    .announced()
                    .is_some_and(|address| address.is_ipv4())
        })
        .map(|frame| (frame.at, frame.interface))
        .collect();
    all.sort_unstable();
    all
}

/// Unicast: from a peer, within its bounds, and from nobody else.
#[test]
#[ignore = "needs root and network namespaces"]
fn unicast_believes_its_peers_within_their_bounds() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let own = |host: usize| -> IpAddr {
            if ipv6 {
                Segment::link_local(0, host).into()
            } else {
                Segment::ipv4(0, host).into()
            }
        };
        let addresses = |held: Instance| {
            common::addresses(ipv6)
                .iter()
                .fold(held, |held, text| held.address(address(text)))
        };
        // What the peer is to be, from how far away it may come, and how far what it sends goes.
        let heard = |peer: usize, bounds: (u8, u8), hop_limit: u8, believed: bool| {
            let peer = Peer {
                minimum_hop_limit: bounds.0,
                maximum_hop_limit: bounds.1,
                ..Peer::new(own(peer))
            };
            let low = addresses(instance(100))
                .parameters(move |builder| builder.unicast_peers([peer]).check_peers(true));
            let to = Peer::new(own(0));
            let high = addresses(instance(200))
                .unicast_hop_limit(hop_limit)
                .parameters(move |builder| builder.unicast_peers([to]));
            let mut running = Running::start(&lab, 0, vec![low]);
            let mut other = Running::start(&lab, 1, vec![high]);
            other.wait_active();
            if believed {
                running.wait(State::Backup);
                assert!(running.told().iter().all(|event| discarded(*event).is_none()));
            } else {
                let reason = running.wait_told(discarded);
                running.wait(State::Active);
                assert_eq!(
                    matches!(reason, DiscardReason::NotAPeer(_)),
                    peer.address != own(1)
                );
            }
            running.stop();
            other.stop();
        };
        heard(1, (0, 255), 255, true);
        heard(1, (64, 64), 64, true);
        // From too far away.
        heard(1, (254, 255), 64, false);
        // From somebody else.
        heard(2, (0, 255), 255, false);
    }
}
