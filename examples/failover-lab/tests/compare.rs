//! `cargo xtask compare` in small: beside keepalived, judged by facts and by what no load of the machine changes. Where timing
//! plays a part the best of a few rounds counts.

use failover_lab::lab;
use failover_lab::measure::Programs;
use failover_lab::plan::{Fault, Kind, Plan};
use failover_lab::story::{Round, tell};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_failover-lab");

fn programs() -> Programs {
    Programs { ours: PROGRAM.into() }
}

/// One round of ours alone.
fn round(fault: Fault, instances: usize, centiseconds: u16) -> Round {
    let plan = Plan {
        program: PROGRAM.into(),
        fault,
        instances,
        centiseconds,
        nopreempt: fault == Fault::Pause,
        minimal_announcements: false,
        realtime: true,
    };
    let kinds = [Kind::Ours; 2];
    let record = lab::run(&plan, kinds, &|_| {}).unwrap();
    tell(&plan.setting(1, kinds), &record)
}

/// Whether one of a few rounds is as it should be on a machine at rest.
#[track_caller]
fn best_of_five(what: &str, round: impl Fn() -> Round, good: impl Fn(&Round) -> bool) {
    let mut rounds = Vec::new();
    for _ in 0..5 {
        rounds.push(round());
        if rounds.last().is_some_and(&good) {
            return;
        }
    }
    panic!("{what}: {rounds:#?}");
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn garbage_silences_keepalived_and_not_us() {
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| programs().garbage(Kind::Ours).unwrap());
        let theirs = scope.spawn(|| programs().garbage(Kind::Keepalived).unwrap());
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // Six or seven, as the seconds fall; one less for a machine that stalls.
        assert!(ours.value >= 5.0, "{ours:?}");
        assert!(theirs.value < ours.value, "{theirs:?} beside {ours:?}");
    }
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn a_restart_within_the_lease_costs_nothing() {
    // A machine that stalls for two seconds just then lets the lease end.
    let mut tries = (0..3).map(|_| programs().restart(Kind::Ours).unwrap()[0].value);
    assert!(tries.any(|missing| missing == 0.0));
}

/// A quarter of the rate that `cargo xtask compare cost` measures at, so that keepalived keeps up with it on most machines. The
/// ratio is a third there; here, unoptimised and beside whatever else runs, it is only held to be nothing like twice.
#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn an_advertisement_takes_no_more_processor_time() {
    let mut ratios = Vec::new();
    for _ in 0..4 {
        let cost = |kind| programs().cost(kind, 50, Duration::from_secs(2)).unwrap();
        let (ours, theirs) = (cost(Kind::Ours), cost(Kind::Keepalived));
        let ratio = |place: usize| ours[place].value / theirs[place].value;
        ratios.push((ratio(0), ratio(1)));
        if ratio(0) < 1.5 && ratio(1) < 1.5 {
            return;
        }
    }
    panic!("sending and receiving, beside keepalived's: {ratios:?}");
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn a_thousand_routers_take_less_memory() {
    let ours = programs().memory(Kind::Ours, 1000).unwrap();
    let theirs = programs().memory(Kind::Keepalived, 1000).unwrap();
    assert!(ours[0].value <= theirs[0].value, "{ours:?} beside {theirs:?}");
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn a_paused_active_router_steals_nothing_back() {
    best_of_five(
        "once is right",
        || round(Fault::Pause, 1, 10),
        |round| round.promotions == 1 && round.both_active_ms == Some(0.0),
    );
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn a_healed_partition_costs_no_second_outage() {
    best_of_five(
        "at most 50 ms",
        || round(Fault::Partition, 1, 10),
        |round| round.mend_gap_ms.is_some_and(|gap| gap <= 50.0),
    );
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn many_routers_take_over_together() {
    best_of_five(
        "all of them, once, and none later than one and a half intervals",
        || round(Fault::Kill, 200, 10),
        |round| round.last_address_ms.is_some() && round.flaps == 0 && round.longest_silence_ms <= 150.0,
    );
}
