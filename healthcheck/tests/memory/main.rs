//! How much memory a target takes.

use std::sync::Arc;
use std::time::Duration;

use healthcheck::{Basis, Check, Checker, Policy, Start, State, TargetSpec};

#[path = "../support/mod.rs"]
mod support;
mod sys;

/// Everything that checker and engine hold on the heap after each target was checked, less what they hold anyway.
#[test]
fn a_target_takes_256_bytes_at_most() {
    let listener = support::Accepting::on("0.0.0.0:0");
    let port = listener.addr().port();
    let policy = Arc::new(Policy {
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(60),
        spread: Duration::from_millis(500),
        start: Start::Unknown,
        basis: Basis::FixedRate,
        ..Policy::haproxy()
    });
    let target = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        TargetSpec::new(number, Check::tcp(([127, 1, high, low], port)), policy.clone())
    };
    let engine = || {
        // Few at once: what runs takes memory too, but that does not grow with the number of targets.
        let builder = Checker::builder().seed(1).max_in_flight(100);
        builder.build::<u32>().unwrap()
    };
    let anyway = sys::held_by(engine);
    // The second size is where every table that doubles has just done so.
    for count in [10_000, 14_400] {
        let held = sys::held_by(|| {
            let (checker, mut engine) = engine();
            checker.reconcile((0..count).map(target));
            while checker.metrics().totals.passed < u64::from(count) {
                for _ in 0..50 {
                    engine.process().unwrap();
                }
            }
            assert_eq!(checker.state(&(count - 1)), Some(State::Up));
            (checker, engine)
        });
        let each = (held - anyway) / count as usize;
        println!("{count} targets: {held} bytes, {each} for each");
        assert!(each <= 256, "{each} bytes for each of {count}");
    }
}
