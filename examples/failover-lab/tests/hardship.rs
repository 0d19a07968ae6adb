//! What a host may do to a driver: hold it still, run it twice, rename and delete what it uses, flood it, take its descriptors.

mod common;

use std::net::IpAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{INTERVAL, Lab, PATIENCE, address, adverts, router};
use failover_lab::director::Director;
use failover_lab::lab::wait_for;
use failover_lab::spec::RouterSpec;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

fn told(director: &Director, words: &str) -> bool {
    director
        .wait_line(PATIENCE, |line| line.text.contains(words))
        .is_some()
}

/// For longer than its lease: the kernel takes the address away, and it is put back, with word of it. Ten seconds with
/// `cargo xtask test --long`.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_lapsed_lease_is_repaired_and_reported() {
    let lab = Lab::new();
    let director = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    // Held still in the very moment of a renewal, it puts the address back and sees nothing.
    let reported = (0..3).any(|_| {
        director.pause(true).unwrap();
        lab.wait_lost(0, address(false));
        if std::env::var_os("LONG_TESTS").is_some() {
            std::thread::sleep(Duration::from_secs(7));
        }
        director.pause(false).unwrap();
        lab.wait_holds(0, address(false));
        let lapsed = |line: &failover_lab::director::Line| line.text.contains("the lease of");
        director.wait_line(Duration::from_secs(3), lapsed).is_some()
    });
    assert!(reported);
}

/// An application has to prevent it; all the same there is no storm, and when one ends the other puts the address back.
#[test]
#[ignore = "needs root and network namespaces"]
fn two_of_the_same_on_one_host_do_no_harm() {
    let lab = Lab::new();
    let _first = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    let mut second = lab.director(0, &router(false, 200));
    let active = second.wait_line(PATIENCE, |line| line.state.as_deref() == Some("active"));
    assert!(active.is_some());
    let begun = Instant::now();
    let count = adverts(&lab.listen(20)).len();
    let intervals = begun.elapsed().as_nanos() / INTERVAL.as_nanos();
    // Each its own, and some that were late and came in here.
    assert!(
        count as u128 <= 2 * intervals + 6,
        "{count} in {intervals} intervals"
    );
    second.stop().unwrap();
    wait_for(PATIENCE, "the first to go on alone", || {
        let frames = lab.listen(10);
        lab.watches[0].holds(address(false)) && (5..15).contains(&adverts(&frames).len())
    })
    .unwrap();
}

/// Sixty addresses on their way while their interface is called now this and now that.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_rename_loses_no_address_on_its_way() {
    let lab = Lab::new();
    let addresses: Vec<String> = (1..=60).map(|number| format!("10.77.2.{number}/16")).collect();
    let spec = RouterSpec {
        addresses: addresses.clone(),
        ..router(false, 200)
    };
    let _director = lab.director(0, &spec);
    let host = lab.segment.host(0);
    for _ in 0..40 {
        host.ip("link set eth0 name wan0").unwrap();
        host.ip("link set wan0 name eth0").unwrap();
    }
    let wanted: Vec<IpAddr> = addresses
        .iter()
        .map(|text| text.trim_end_matches("/16").parse().unwrap())
        .collect();
    wait_for(PATIENCE, "all addresses", || {
        wanted.iter().all(|address| lab.watches[0].holds(*address))
    })
    .unwrap();
    assert!(!adverts(&lab.listen(5)).is_empty());
}

/// Again and again, sometimes in the middle of a renewal, and with no lease to renew.
#[test]
#[ignore = "needs root and network namespaces"]
fn an_address_that_others_delete_again_and_again_is_put_back_each_time() {
    for lease in [Some(1), Some(0)] {
        let lab = Lab::new();
        let spec = RouterSpec {
            lease,
            ..router(false, 200)
        };
        let _director = lab.director(0, &spec);
        lab.wait_holds(0, address(false));
        for _ in 0..60 {
            // It may be gone already.
            let _ = lab
                .segment
                .host(0)
                .ip(&format!("addr del {}/16 dev eth0", address(false)));
        }
        lab.wait_holds(0, address(false));
        std::thread::sleep(INTERVAL * 3);
        assert!(lab.watches[0].holds(address(false)));
    }
}

/// More notifications than the kernel keeps for it while it is held still, and in their midst its address is deleted.
#[test]
#[ignore = "needs root and network namespaces"]
fn what_happens_among_lost_notifications_is_found_out() {
    let lab = Lab::new();
    let director = lab.director(
        0,
        &RouterSpec {
            centiseconds: 300,
            ..router(false, 200)
        },
    );
    lab.wait_holds(0, address(false));
    let mut lines = format!("addr del {}/16 dev eth0\n", address(false));
    for number in 0..12_000 {
        let verb = if number % 2 == 0 { "add" } else { "del" };
        lines += &format!("addr {verb} 10.99.1.1/32 dev lo\n");
    }
    let file = std::env::temp_dir().join(format!("failover-lab-flood-{}", std::process::id()));
    std::fs::write(&file, lines).unwrap();
    director.pause(true).unwrap();
    let flood = lab
        .segment
        .host(0)
        .command("ip")
        .arg("-batch")
        .arg(&file)
        .stdin(Stdio::null())
        .status();
    director.pause(false).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(flood.unwrap().success());
    assert!(told(&director, "is put back"));
    lab.wait_holds(0, address(false));
}

/// Its interface comes back when there is no descriptor left to listen with.
#[test]
#[ignore = "needs root and network namespaces"]
fn out_of_descriptors_it_stays_out_until_there_are_some() {
    let lab = Lab::new();
    let director = lab.director(0, &router(false, 200));
    lab.wait_holds(0, address(false));
    let process = Pid::from_raw(director.process().try_into().unwrap());
    let limit = |current| {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        prlimit(process, Resource::Nofile, Rlimit { current, maximum }).unwrap()
    };
    let before = limit(Some(3));
    let host = lab.segment.host(0);
    host.ip("link delete eth0").unwrap();
    host.ip("link add eth0 type veth peer name other0").unwrap();
    host.ip("addr add 10.77.0.1/16 dev eth0").unwrap();
    host.ip("link set other0 up").unwrap();
    host.ip("link set eth0 up").unwrap();
    assert!(told(&director, "cannot receive advertisements"));
    assert!(!lab.watches[0].holds(address(false)));
    limit(before.current);
    lab.wait_holds(0, address(false));
}
