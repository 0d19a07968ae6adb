//! The user's own probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use healthcheck::{
    Cause, Check, Checker, Context, CustomProbe, FailKind, Failure, Policy, Probe, Sample, Stage, State,
    TargetSpec, Verdict, Weight,
};

use crate::{attempt, attempt_within, closed_port, quick};

struct Always(Sample);

impl Probe for Always {
    async fn probe(&self, _: Context) -> Sample {
        self.0.clone()
    }
}

struct Never;

impl Probe for Never {
    async fn probe(&self, _: Context) -> Sample {
        std::future::pending().await
    }
}

struct Panics;

impl Probe for Panics {
    async fn probe(&self, _: Context) -> Sample {
        panic!("of the probe, which this test wants")
    }
}

#[test]
fn a_probe_of_one_s_own_decides() {
    let pass = Sample::pass(Duration::from_millis(3)).with_weight(Weight::Set(7));
    assert_eq!(
        attempt(Check::new(closed_port(), CustomProbe::new(Always(pass)))).verdict,
        Verdict::Up
    );
    let failure = Failure::new(Stage::Content, FailKind::Status).with_code(9);
    let fail = Sample::fail(failure.clone(), Duration::ZERO);
    let status = attempt(Check::new(closed_port(), CustomProbe::new(Always(fail))));
    assert_eq!(status.last_failure.unwrap().1, failure);
    let status = attempt(Check::new(closed_port(), CustomProbe::new(Panics)));
    assert_eq!(status.last_failure.unwrap().1.kind, FailKind::Probe);
    let status = attempt_within(
        Check::new(closed_port(), CustomProbe::new(Never)),
        Duration::from_millis(100),
    );
    assert_eq!(status.last_failure.unwrap().1.kind, FailKind::TimedOut);
}

#[test]
fn the_weight_of_a_probe_is_the_weight_of_the_target() {
    let checker = Checker::<u32>::spawn().unwrap();
    let policy = Arc::new(quick());
    let set = CustomProbe::new(Always(Sample::pass(Duration::ZERO).with_weight(Weight::Set(4))));
    let add = CustomProbe::new(Always(Sample::pass(Duration::ZERO).with_weight(Weight::Add(10))));
    let mut spec = TargetSpec::new(1, Check::new(closed_port(), set), policy.clone());
    spec.weight = 3;
    checker.reconcile([spec.and(Check::new(closed_port(), add), policy)]);
    assert_eq!(checker.initial_round().wait(Duration::from_secs(30)), 0);
    let status = checker.status(&1).unwrap();
    assert_eq!(
        (status.state, status.weight),
        (State::Up, 14),
        "3, one more for 4, ten more"
    );
}

/// Blocks the thread of all custom probes, which no probe should do.
struct Blocks(Arc<AtomicU32>);

impl Probe for Blocks {
    async fn probe(&self, _: Context) -> Sample {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(400));
        Sample::pass(Duration::ZERO)
    }
}

#[test]
fn a_probe_that_blocks_makes_nobody_else_down() {
    let checker = Checker::<u32>::spawn().unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let policy = Arc::new(Policy {
        timeout: Duration::from_millis(100),
        interval: Duration::from_millis(20),
        ..quick()
    });
    let patient = Arc::new(Policy {
        timeout: Duration::from_secs(30),
        ..*policy
    });
    let good = CustomProbe::new(Always(Sample::pass(Duration::ZERO)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    checker.reconcile([
        TargetSpec::new(
            1,
            Check::new(closed_port(), CustomProbe::new(Blocks(runs.clone()))),
            patient,
        ),
        TargetSpec::new(2, Check::new(closed_port(), good), policy.clone()),
        TargetSpec::new(3, Check::tcp(listener.local_addr().unwrap()), policy),
    ]);
    while runs.load(Ordering::Relaxed) < 4 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let good = checker.status(&2).unwrap().checks.remove(0);
    assert_ne!(good.verdict, Verdict::Down);
    assert!(
        good.inconclusive > 0 && good.cause == Some(Cause::Overload),
        "{good:?}"
    );
    assert_eq!(
        checker.state(&3),
        Some(State::Up),
        "built-in checks do not notice"
    );
    assert_eq!(checker.metrics().totals.failed, 0);
}
