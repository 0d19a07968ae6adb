//! Beside the real keepalived and FRR's vrrpd, in both roles. What is expected to differ from the standard is said where
//! it matters:
//!
//! - keepalived and FRR refuse the checksum of RFC 9568 for VRRPv3 over IPv4, so ours is that of RFC 5798 by default;
//! - keepalived takes another address list for an error, so both are given the same list, link-local address first;
//! - FRR sends only the IPv6 addresses it was given: it is given the link-local one too.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{Lab, PATIENCE, address, from_host, router};
use failover_lab::director::Director;
use failover_lab::segment::Segment;
use failover_lab::spec::RouterSpec;

/// One of the two is the peer. The higher priority is active, and its death lets the other take over; back again, it is
/// active again. And nobody but the higher one advertises while both live.
fn both_roles(ipv6: bool, change: &dyn Fn(&mut RouterSpec, usize)) {
    for ours_is_higher in [true, false] {
        let lab = Lab::new();
        let mut specs = [router(ipv6, 200), router(ipv6, 100)];
        for (host, spec) in specs.iter_mut().enumerate() {
            change(spec, host);
        }
        let start = |host: usize| -> Director {
            if (host == 0) == ours_is_higher {
                lab.director(host, &specs[host])
            } else {
                lab.keepalived(host, &specs[host])
            }
        };
        let _low = start(1);
        lab.wait_holds(1, address(ipv6));
        let mut high = start(0);
        lab.wait_holds(0, address(ipv6));
        lab.wait_lost(1, address(ipv6));
        let interval = Duration::from_nanos(specs[0].interval());
        std::thread::sleep(interval * 2);
        let _ = lab.capture.take();
        std::thread::sleep(interval * 6);
        let frames = lab.capture.take();
        if specs[0].peers.is_empty() && !specs[0].virtual_mac {
            assert!(from_host(&frames, ipv6, 0) >= 4, "the higher one advertises");
            assert_eq!(from_host(&frames, ipv6, 1), 0, "the lower one does not");
        }
        assert!(lab.watches[0].holds(address(ipv6)));
        assert!(!lab.watches[1].holds(address(ipv6)));
        high.kill().unwrap();
        lab.wait_holds(1, address(ipv6));
        let mut again = start(0);
        lab.wait_holds(0, address(ipv6));
        lab.wait_lost(1, address(ipv6));
        // It says good-bye, and the other need not wait for the down interval.
        again.stop().unwrap();
        lab.wait_holds(1, address(ipv6));
    }
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_version_2() {
    both_roles(false, &|spec, _| {
        spec.version = 2;
        spec.centiseconds = 100;
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_version_2_with_a_password() {
    both_roles(false, &|spec, _| {
        spec.version = 2;
        spec.centiseconds = 100;
        spec.password = Some("s3cret".into());
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_version_3_over_ipv4() {
    both_roles(false, &|_, _| {});
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_version_3_over_ipv6() {
    both_roles(true, &|_, _| {});
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_by_unicast() {
    both_roles(false, &|spec, host| {
        spec.peers = vec![IpAddr::V4(Segment::ipv4(0, 1 - host))];
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_by_unicast_over_ipv6() {
    both_roles(true, &|spec, host| {
        spec.peers = vec![IpAddr::V6(Segment::ipv6(0, 1 - host))];
        spec.source = Some(IpAddr::V6(Segment::ipv6(0, host)));
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_with_virtual_macs_over_ipv6() {
    both_roles(true, &|spec, _| {
        spec.virtual_mac = true;
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_with_virtual_macs() {
    both_roles(false, &|spec, _| {
        spec.virtual_mac = true;
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_with_virtual_macs_and_advertisements_from_the_base() {
    both_roles(false, &|spec, _| {
        spec.virtual_mac = true;
        spec.transmit_base = true;
    });
}

/// The wrong password is refused on both sides: each is active on its own.
#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_with_another_password_is_not_believed() {
    let lab = Lab::new();
    let spec = |priority, password: &str| RouterSpec {
        version: 2,
        centiseconds: 100,
        password: Some(password.into()),
        ..router(false, priority)
    };
    let _ours = lab.director(0, &spec(100, "one"));
    let _theirs = lab.keepalived(1, &spec(200, "other"));
    lab.wait_holds(0, address(false));
    lab.wait_holds(1, address(false));
    std::thread::sleep(Duration::from_secs(4));
    assert!(lab.watches[0].holds(address(false)) && lab.watches[1].holds(address(false)));
}

/// A higher one that sends the checksum of RFC 9568 is not understood by keepalived: the reason for our default.
#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn keepalived_does_not_understand_the_newer_checksum() {
    let lab = Lab::new();
    let spec = RouterSpec {
        message_checksum: true,
        ..router(false, 200)
    };
    let _ours = lab.director(0, &spec);
    lab.wait_holds(0, address(false));
    let theirs = lab.keepalived(1, &router(false, 100));
    lab.wait_holds(1, address(false));
    failover_lab::lab::wait_for(PATIENCE, "keepalived to say so", || {
        theirs.log().contains("checksum")
    })
    .unwrap();
    // It is silent all the same: each packet that it refuses puts its own next advertisement off.
    assert!(lab.watches[0].holds(address(false)) && lab.watches[1].holds(address(false)));
}
