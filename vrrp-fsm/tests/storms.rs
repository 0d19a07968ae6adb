//! Simulated storms: thousands of seeds, the invariants checked at every step, and the journals replayed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vrrp_fsm::sim::{Action, Scenario};

/// I1 to I12 and N18 in whatever a minute of trouble brings.
#[test]
fn two_thousand_storms() {
    let mut transitions = 0;
    for seed in 0..2_000 {
        match Scenario::storm(seed).run() {
            Ok(report) => transitions += report.transitions,
            Err(failure) => {
                let smallest = failure.scenario.shrink().expect_err("it fails again");
                panic!("keep this as a file in tests/scenarios:\n{smallest}");
            }
        }
    }
    assert!(
        transitions > 20_000,
        "the storms hardly did anything: {transitions} changes of state"
    );
}

/// A few days of less trouble.
#[test]
fn two_seasons() {
    for seed in 0..2 {
        if let Err(failure) = Scenario::season(seed).run() {
            panic!("{failure}");
        }
    }
}

/// Every kind of action happens in some storm: a generator that lost one would test less.
#[test]
fn storms_use_every_action() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        for (_, action) in Scenario::storm(seed).actions {
            seen.insert(
                action
                    .to_string()
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    }
    let expected = [
        "addresses",
        "crash",
        "cut",
        "drift",
        "heal",
        "interface",
        "interval",
        "links",
        "loop",
        "mend",
        "partition",
        "pause",
        "priority",
        "resign",
        "resume",
        "start",
        "stop",
        "track",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

/// What happened to each host, given to new virtual routers at the recorded times, gives the recorded outputs.
#[test]
fn journals_replay_to_the_same_outputs() {
    let mut entries = 0;
    for seed in 0..100 {
        let scenario = Scenario::storm(seed);
        let mut simulation = scenario.simulation();
        simulation.record();
        scenario
            .run_in(&mut simulation)
            .unwrap_or_else(|failure| panic!("{failure}"));
        for host in 0..u8::try_from(scenario.hosts.len()).unwrap() {
            let journal = simulation.journal(host).expect("it was recorded");
            entries += journal.len();
            if let Err(mismatch) = journal.replay(host) {
                panic!("seed {seed}, host {host}: {mismatch}");
            }
        }
    }
    assert!(entries > 10_000);
}

/// The simulator can fail: two routers of VRRPv2 with different intervals are both active for ever (RFC 3768 §7.1), and
/// what is left of the scenario after shrinking is no more than that.
#[test]
fn a_scenario_that_fails_is_made_small() {
    let text = "
        seed 1
        host drift 0 lateness 0
        member segment 0 vrid 1 ipv4 rfc3768 priority 200 interval 100 addresses 1
        member segment 0 vrid 2 ipv4 rfc9568 priority 100 interval 100 addresses 2
        host drift 10 lateness 0
        member segment 0 vrid 1 ipv4 rfc3768 priority 100 interval 300 addresses 1
        member segment 0 vrid 2 ipv4 rfc9568 priority 150 interval 100 addresses 2
        host drift 0 lateness 100
        member segment 0 vrid 1 ipv4 rfc3768 priority 50 interval 100 addresses 1
        member segment 0 vrid 2 ipv4 rfc9568 priority 50 interval 100 addresses 2
        at 1000000 crash 0
        at 2000000 start 0
        at 3000000 pause 1
        at 9000000 resume 1
        at 9500000 links 10 20 0 500
    ";
    let scenario: Scenario = text.parse().expect("a scenario");
    let failure = scenario.shrink().expect_err("two are active");
    assert!(
        failure.violation.what.contains("is active on [0, 1]"),
        "{failure}"
    );
    assert_eq!(failure.scenario.actions, []);
    assert_eq!(failure.scenario.hosts.len(), 2);
    assert!(failure.scenario.hosts.iter().all(|host| host.members.len() == 1));
    assert_eq!(failure.to_string().parse::<Scenario>(), Ok(failure.scenario));
}

/// Scenarios that once failed, or that show something worth keeping, hold.
#[test]
fn kept_scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a text");
        let scenario: Scenario = text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Err(failure) = scenario.run() {
            panic!("{}: {failure}", path.display());
        }
        count += 1;
    }
    assert!(count > 0);
}

/// A host that is not there does no harm.
#[test]
fn actions_on_nobody_do_nothing() {
    let mut scenario = Scenario::storm(3);
    let span = std::time::Duration::ZERO;
    scenario.actions = vec![
        (span, Action::Crash(200)),
        (span, Action::Resign(200, 9)),
        (span, Action::Resign(0, 99)),
    ];
    scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
}
