//! What an active router does beside answering for its addresses: redirects, neighbour discovery of its own, proxy ARP, and
//! what it learns from others.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{
    INTERVAL, Lab, PATIENCE, address, forward, forwarded_and_redirects, own_mac, router, virtual_link,
    virtual_mac, written,
};
use failover_lab::capture::{Capture, Content};
use failover_lab::lab::wait_for;
use failover_lab::ping::Ping;
use failover_lab::segment::Segment;
use failover_lab::spec::RouterSpec;
use vrrp_net::{Announcement, Host, HostEvent, LinuxHost, Work};
use vrrp_proto::MacAddress;

/// RFC 9568 §8.1.1, §8.2.1: a redirect comes from the address that the host used. The kernel redirects only what leaves by
/// the interface it came in by; what was sent to the virtual router came in by its virtual link, and leaves by another.
#[test]
#[ignore = "needs root and network namespaces"]
fn no_redirect_comes_from_another_address_than_the_one_used() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        forward(&lab, 0);
        forward(&lab, 1);
        let spec = RouterSpec {
            virtual_mac: true,
            ..router(ipv6, 200)
        };
        let _active = lab.director(0, &spec);
        lab.wait_holds(0, address(ipv6));
        // The way to `beyond` is by a router that the client could reach directly: a reason to redirect.
        let beyond: IpAddr = if ipv6 { "fd99::1" } else { "10.99.0.1" }.parse().unwrap();
        let length = if ipv6 { 128 } else { 32 };
        let (first, second): (IpAddr, IpAddr) = if ipv6 {
            (address(true), Segment::ipv6(0, 1).into())
        } else {
            (address(false), Segment::ipv4(0, 1).into())
        };
        lab.segment
            .host(1)
            .ip(&format!("addr add {beyond}/{length} dev lo"))
            .unwrap();
        lab.segment
            .host(0)
            .ip(&format!("route add {beyond}/{length} via {second} dev eth0"))
            .unwrap();
        lab.segment
            .host(2)
            .ip(&format!("route add {beyond}/{length} via {first} dev eth0"))
            .unwrap();
        let client = Ping::start(lab.segment.host(2), beyond, INTERVAL / 10).unwrap();
        wait_for(PATIENCE, "answers from beyond", || client.answers() > 20).unwrap();
        let (forwarded, redirects) = forwarded_and_redirects(&lab, 0);
        assert!(forwarded > 20, "{forwarded}");
        assert_eq!(redirects, 0);
    }
}

/// RFC 9568 §8.2.2: who asks for a neighbour from a virtual address names the virtual MAC.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_solicitation_from_a_virtual_address_names_the_virtual_mac() {
    let lab = Lab::new();
    let leaves = Capture::start(lab.segment.host(0), true, None).unwrap();
    let spec = RouterSpec {
        virtual_mac: true,
        ..router(true, 200)
    };
    let _active = lab.director(0, &spec);
    lab.wait_holds(0, address(true));
    let client = Ping::start(lab.segment.host(2), address(true), INTERVAL / 10).unwrap();
    wait_for(PATIENCE, "an answer", || client.answers() > 5).unwrap();
    let link = virtual_link(true);
    let asked = || {
        // It has to ask for the client anew.
        for device in ["eth0", &link] {
            lab.segment
                .host(0)
                .ip(&format!("-6 neigh flush dev {device}"))
                .unwrap();
        }
        std::thread::sleep(INTERVAL);
        let mut seen = 0;
        for frame in leaves.take() {
            let Content::Icmpv6 { source, message, .. } = frame.content() else {
                continue;
            };
            let ours = ["fe80::7777".parse().unwrap(), address(true)].contains(&IpAddr::V6(source));
            if message[0] == 135 && frame.outgoing && ours {
                assert_eq!(frame.source_mac(), virtual_mac(true));
                assert_eq!(message[24..26], [1, 1], "it has the source's link-layer address");
                assert_eq!(message[26..32], virtual_mac(true));
                seen += 1;
            }
        }
        seen > 0
    };
    wait_for(PATIENCE, "a solicitation from a virtual address", asked).unwrap();
}

/// RFC 9568 §8.1.3: proxy ARP names the virtual MAC, and is the active router's alone.
#[test]
#[ignore = "needs root and network namespaces"]
fn proxy_arp_names_the_virtual_mac() {
    let lab = Lab::with_networks(2);
    for host in 0..2 {
        forward(&lab, host);
        lab.segment
            .host(host)
            .switch("ipv4/conf/eth0/proxy_arp", "1")
            .unwrap();
    }
    let spec = |priority| RouterSpec {
        virtual_mac: true,
        ..router(false, priority)
    };
    let mut active = lab.director(0, &spec(200));
    lab.wait_holds(0, address(false));
    let backup = lab.director(1, &spec(100));
    assert!(
        backup
            .wait_line(PATIENCE, |line| line.state.as_deref() == Some("backup"))
            .is_some()
    );
    // The client believes that the other network is on its own link.
    let client = lab.segment.host(2);
    client.ip("link set eth1 down").unwrap();
    client.ip("route add 10.78.0.0/16 dev eth0").unwrap();
    let beyond = Segment::ipv4(1, 1);
    let _ = lab.capture.take();
    let asks = Ping::start(client, beyond.into(), INTERVAL).unwrap();
    wait_for(PATIENCE, "an answer for the other network", || asks.answers() > 2).unwrap();
    let mut answers = 0;
    for frame in lab.capture.take() {
        if let Content::Arp {
            operation: 2,
            sender,
            sender_mac,
            ..
        } = frame.content()
            && sender == beyond
        {
            assert_eq!(sender_mac, virtual_mac(false), "{frame:?}");
            answers += 1;
        }
    }
    assert!(answers > 0);
    active.stop().unwrap();
    let restored = lab
        .segment
        .host(0)
        .run(|| std::fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/proxy_arp"))
        .unwrap();
    assert_eq!(restored.trim(), "1");
}

/// RFC 9568 §8.2.4: an unsolicited neighbour advertisement is believed, in Active and in Backup.
#[test]
#[ignore = "needs root and network namespaces"]
fn unsolicited_neighbour_advertisements_are_believed() {
    let lab = Lab::new();
    let spec = |priority| RouterSpec {
        virtual_mac: true,
        ..router(true, priority)
    };
    let _active = lab.director(0, &spec(200));
    lab.wait_holds(0, address(true));
    let backup = lab.director(1, &spec(100));
    assert!(
        backup
            .wait_line(PATIENCE, |line| line.state.as_deref() == Some("backup"))
            .is_some()
    );
    let client = Segment::ipv6(0, 2);
    let neighbour = |host: usize| {
        lab.segment
            .host(host)
            .ip(&format!("-6 neigh show {client} dev eth0"))
            .unwrap()
    };
    let pings: Vec<_> = (0..2)
        .map(|host| {
            let own = Segment::ipv6(0, host).into();
            Ping::start(lab.segment.host(2), own, INTERVAL / 10).unwrap()
        })
        .collect();
    for (host, ping) in pings.iter().enumerate() {
        wait_for(PATIENCE, "an answer", || ping.answers() > 2).unwrap();
        assert!(
            neighbour(host).contains(&written(own_mac(2))),
            "{}",
            neighbour(host)
        );
    }
    drop(pings);
    // The client's address moves to another hardware address.
    let moved = [2, 0, 0, 0, 9, 9];
    let mut host = lab
        .segment
        .host(2)
        .run(|| LinuxHost::open().map_err(std::io::Error::other))
        .unwrap();
    let mut interface = 0;
    while let Some(event) = host.poll_event() {
        if let HostEvent::Snapshot { links, .. } = event {
            let found = links.iter().find(|link| link.name == "eth0");
            interface = found.map_or(0, |link| link.index);
        }
    }
    let host = std::cell::RefCell::new(host);
    let told = || {
        host.borrow_mut().submit(Work {
            ticket: 0,
            changes: Vec::new(),
            announcements: vec![Announcement {
                interface,
                address: client.into(),
                mac: MacAddress(moved),
                round: 0,
                pace: Duration::ZERO,
                queue: None,
            }],
        });
    };
    wait_for(PATIENCE, "both to believe it", || {
        told();
        std::thread::sleep(INTERVAL);
        (0..2).all(|host| neighbour(host).contains(&written(moved)))
    })
    .unwrap();
}
