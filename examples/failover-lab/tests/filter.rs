//! Accept_Mode off: an active router that does not own the address answers for it and forwards, and takes nothing that is sent
//! to the address itself.

mod common;

use std::time::Duration;

use common::{INTERVAL, Lab, PATIENCE, address, forward, forwarded_and_redirects, own_mac, router, written};
use failover_lab::lab::wait_for;
use failover_lab::ping::Ping;
use failover_lab::segment::Segment;
use failover_lab::spec::RouterSpec;

/// RFC 9568 §6.1, §6.4.3; VPP: accept_mode_disabled, accept_mode_enabled.
#[test]
#[ignore = "needs root, network namespaces and nf_tables"]
fn without_accept_mode_only_neighbour_discovery_is_answered() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let spec = RouterSpec {
            accept: false,
            ..router(ipv6, 200)
        };
        let director = lab.director(0, &spec);
        lab.wait_holds(0, address(ipv6));
        let client = Ping::start(lab.segment.host(2), address(ipv6), INTERVAL / 10).unwrap();
        let neighbour = || {
            let family = if ipv6 { "-6" } else { "-4" };
            let show = format!("{family} neigh show {}", address(ipv6));
            lab.segment.host(2).ip(&show).unwrap()
        };
        wait_for(PATIENCE, "the address to be answered for", || {
            neighbour().contains(&written(own_mac(0)))
        })
        .unwrap();
        // Once known, a neighbour is asked directly, at the address itself: that has to be answered too.
        wait_for(PATIENCE, "the neighbour to be confirmed", || {
            neighbour().contains("REACHABLE")
        })
        .unwrap();
        std::thread::sleep(INTERVAL * 5);
        assert_eq!(client.answers(), 0, "nothing else is");
        // The same host can be asked by its own address.
        let own = if ipv6 {
            Segment::ipv6(0, 0).into()
        } else {
            Segment::ipv4(0, 0).into()
        };
        let other = Ping::start(lab.segment.host(2), own, INTERVAL / 10).unwrap();
        wait_for(PATIENCE, "an answer of the host's own address", || {
            other.answers() > 5
        })
        .unwrap();
        assert_eq!(client.answers(), 0);
        drop(director);
        // The owner accepts, whatever the mode says.
        let _owner = lab.director(
            0,
            &RouterSpec {
                priority: 255,
                ..spec
            },
        );
        wait_for(PATIENCE, "an answer of the owner", || client.answers() > 5).unwrap();
    }
}

/// The filter goes with the process, however that ends: nothing is left to clear.
#[test]
#[ignore = "needs root, network namespaces and nf_tables"]
fn the_filter_ends_with_the_process() {
    let lab = Lab::new();
    let spec = RouterSpec {
        accept: false,
        lease: Some(0),
        ..router(false, 200)
    };
    let mut director = lab.director(0, &spec);
    lab.wait_holds(0, address(false));
    let client = Ping::start(lab.segment.host(2), address(false), INTERVAL / 10).unwrap();
    std::thread::sleep(INTERVAL * 5);
    assert_eq!(client.answers(), 0);
    director.kill().unwrap();
    assert!(lab.watches[0].holds(address(false)), "it has no lease");
    wait_for(PATIENCE, "the filter to go", || client.answers() > 5).unwrap();
    // And a successor brings its own.
    let _director = lab.director(0, &spec);
    wait_for(PATIENCE, "the filter to come back", || {
        let before = client.answers();
        std::thread::sleep(INTERVAL * 3);
        client.answers() == before
    })
    .unwrap();
}

/// RFC 9568 §8.3.1: what is sent to the address is not forwarded by the active router, whether it accepts or not.
#[test]
#[ignore = "needs root, network namespaces and nf_tables"]
fn packets_for_the_address_are_not_forwarded() {
    for (ipv6, accept) in [(false, false), (false, true), (true, false), (true, true)] {
        let lab = Lab::with_networks(2);
        forward(&lab, 0);
        let spec = RouterSpec {
            virtual_mac: true,
            accept,
            ..router(ipv6, 200)
        };
        let _active = lab.director(0, &spec);
        lab.wait_holds(0, address(ipv6));
        // From the other network too, by way of the router: it could be tempted to pass it on.
        let (network, gateway) = if ipv6 {
            ("fd77::/64", Segment::ipv6(1, 0).to_string())
        } else {
            ("10.77.0.0/16", Segment::ipv4(1, 0).to_string())
        };
        let far = lab.segment.host(1);
        far.ip("link set eth0 down").unwrap();
        far.ip(&format!("route add {network} via {gateway} dev eth1"))
            .unwrap();
        let near = Ping::start(lab.segment.host(2), address(ipv6), INTERVAL / 10).unwrap();
        let distant = Ping::start(far, address(ipv6), INTERVAL / 10).unwrap();
        if accept {
            wait_for(PATIENCE, "answers", || {
                near.answers() > 5 && distant.answers() > 5
            })
            .unwrap();
        } else {
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!((near.answers(), distant.answers()), (0, 0));
        }
        assert_eq!(
            forwarded_and_redirects(&lab, 0).0,
            0,
            "ipv6 {ipv6}, accept {accept}"
        );
    }
}
