//! Overload on purpose: no false "down", whatever this host lacks.

mod support;

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use healthcheck::{Basis, Cause, Check, Checker, Event, Policy, Start, State, TargetSpec, Tcp};
use support::Accepting;

/// What these tests do to the process must not meet.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One failure would be enough, so that none can hide.
fn nervous() -> Policy {
    Policy {
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(1_500),
        spread: Duration::from_secs(1),
        rise: NonZeroU16::MIN,
        fall: NonZeroU16::MIN,
        start: Start::Unknown,
        basis: Basis::FixedRate,
        ..Policy::haproxy()
    }
}

fn listener() -> (Accepting, u16) {
    let listener = Accepting::on("0.0.0.0:0");
    let port = listener.addr().port();
    (listener, port)
}

fn targets(port: u16, kind: Tcp) -> impl Iterator<Item = TargetSpec<u32, Check>> {
    let policy = Arc::new(nervous());
    (0..3_000_u32).map(move |number| {
        let addr = ([127, 2, (number >> 8) as u8, (number & 255) as u8], port);
        TargetSpec::new(number, Check::new(addr, kind), policy.clone())
    })
}

/// Nobody was ever down.
fn assert_calm(checker: &Checker<u32>, events: &mut healthcheck::Events<u32>) {
    while let Some(event) = events.try_next() {
        assert!(
            !matches!(event, Event::Changed { to: State::Down, .. }),
            "{event:?}"
        );
    }
    assert_eq!(checker.metrics().totals.failed, 0, "{checker:?}");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn three_thousand_targets_with_256_descriptors() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = rustix::process::Rlimit {
        current: Some(256),
        maximum: Some(20_000),
    };
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let lowered = rustix::process::Rlimit {
        maximum: before.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, lowered).unwrap();
    let (_listener, port) = listener();
    // It believes that it may have far more than there are.
    let checker = Checker::builder().max_in_flight(5_000).spawn::<u32>().unwrap();
    let mut events = checker.subscribe();
    checker.reconcile(targets(port, Tcp::default()).map(|mut spec| {
        spec.checks[0].1 = Arc::new(Policy {
            spread: Duration::ZERO,
            ..nervous()
        });
        spec
    }));
    // All start at once, more than there are descriptors: some cannot be made, none is believed to be down.
    assert_eq!(checker.initial_round().wait(Duration::from_secs(60)), 0);
    assert_calm(&checker, &mut events);
    assert!(
        checker
            .statuses()
            .iter()
            .all(|(_, status)| status.state == State::Up)
    );
    drop(checker);
    // One that knows the limit keeps within it and has nothing inconclusive to tell.
    let checker = Checker::builder().spawn::<u32>().unwrap();
    let mut events = checker.subscribe();
    checker.reconcile(targets(port, Tcp::default()));
    assert_eq!(checker.initial_round().wait(Duration::from_secs(60)), 0);
    assert_calm(&checker, &mut events);
    let lacking = checker
        .statuses()
        .iter()
        .filter(|(_, status)| status.checks[0].cause == Some(Cause::Resources))
        .count();
    assert_eq!(lacking, 0);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
}

#[test]
#[ignore = "needs root and network namespaces"]
fn every_core_stolen_four_times() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (_listener, port) = listener();
    let checker = Checker::builder().spawn::<u32>().unwrap();
    let mut events = checker.subscribe();
    checker.reconcile(targets(port, Tcp::default()));
    assert_eq!(checker.initial_round().wait(Duration::from_secs(60)), 0);
    let stop = Arc::new(AtomicBool::new(false));
    let thieves: Vec<_> = (0..4 * std::thread::available_parallelism().unwrap().get())
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let before = checker.metrics().totals.passed;
    while checker.metrics().totals.passed < before + 3_000 {
        std::thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    thieves.into_iter().for_each(|thief| thief.join().unwrap());
    assert_calm(&checker, &mut events);
}

/// Three thousand targets change again and again while nobody listens.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_flood_of_events_and_readers_who_do_not_read() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (listener, port) = listener();
    let checker = Checker::builder().spawn::<u32>().unwrap();
    let mut lazy = checker.subscribe();
    checker.reconcile(targets(port, Tcp::default()));
    assert_eq!(checker.initial_round().wait(Duration::from_secs(60)), 0);
    while lazy.try_next().is_some() {}
    // Everything goes down and comes back, three thousand at a time, and nobody reads.
    let mut listening = vec![listener];
    for _ in 0..3 {
        listening.clear();
        wait_for(&checker, State::Down);
        listening.push(Accepting::on(("0.0.0.0", port)));
        wait_for(&checker, State::Up);
    }
    let mut seen = 0;
    while let Some(event) = lazy.try_next() {
        let Event::Changed {
            from,
            to,
            transitions,
            ..
        } = event
        else {
            continue;
        };
        assert_eq!((from, to), (State::Up, State::Up));
        assert!(transitions >= 6, "{transitions}");
        seen += 1;
    }
    assert_eq!(seen, 3_000, "one for each, with the count of what was between");
    drop(listening);
}

fn wait_for(checker: &Checker<u32>, state: State) {
    let begun = Instant::now();
    while !checker.statuses().iter().all(|(_, status)| status.state == state) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not all are {state}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
