//! A start that finds the addresses of a killed predecessor on the host.

mod common;

use common::*;
use vrrp_fsm::{Fault, Input, Output, Reason, State, Track, TrackId, TrackStatus};

#[test]
fn nobody_else_is_active() {
    let mut router = router(builder(100));
    let outputs = feed(&mut router, 0, Input::Startup { held: true });
    assert_eq!(
        outputs,
        [changed(State::Initialize, State::Backup, Reason::StartedHolding)]
    );
    assert!(router.holds_addresses());
    let now = deadline(&router);
    assert_eq!(now, 3_609_375_000);
    let outputs = feed(&mut router, now, Input::Timeout);
    assert_eq!(outputs[..3], [sent(100), Output::AddAddresses, announce(5)]);
    assert!(router.holds_addresses());
}

/// Whoever is heard, the addresses go at once: never beside another active router.
#[test]
fn somebody_is_active() {
    for priority in [1, 99, 100, 200, 255] {
        let mut router = router(builder(100));
        feed(&mut router, 0, Input::Startup { held: true });
        assert_eq!(
            hear(&mut router, SECOND, "10.0.0.2", priority),
            [Output::RemoveAddresses]
        );
        assert!(!router.holds_addresses());
        assert_eq!(hear(&mut router, SECOND, "10.0.0.2", priority), []);
    }
}

/// One that leaves is not active.
#[test]
fn somebody_leaves() {
    let mut router = router(builder(100));
    feed(&mut router, 0, Input::Startup { held: true });
    assert_eq!(hear(&mut router, SECOND, "10.0.0.2", 0), []);
    assert!(router.holds_addresses());
    assert_eq!(deadline(&router), SECOND + 609_375_000);
}

#[test]
fn shutdown_and_faults() {
    for (input, reason) in [
        (Input::Shutdown, Reason::Shutdown),
        (
            Input::Interface { up: false },
            Reason::Fault(Fault::InterfaceDown),
        ),
    ] {
        let mut router = router(builder(100));
        feed(&mut router, 0, Input::Startup { held: true });
        let outputs = feed(&mut router, 1, input.clone());
        assert_eq!(
            outputs,
            [
                Output::RemoveAddresses,
                changed(State::Backup, State::Initialize, reason)
            ]
        );
        assert!(!router.holds_addresses());
    }
    let mut router = router(builder(100));
    feed(&mut router, 0, Input::Interface { up: false });
    let outputs = feed(&mut router, 0, Input::Startup { held: true });
    assert_eq!(outputs[0], Output::RemoveAddresses);
    assert!(!router.holds_addresses());
}

/// Objects that have not reported yet do not take the addresses away; one that reports a failure does.
#[test]
fn tracked_objects() {
    let track = Track::new(TrackId(1), 0).unwrap();
    let mut router = router(builder(100).tracks([track]));
    feed(&mut router, 0, Input::Startup { held: true });
    assert_eq!(router.state(), State::Backup);
    let status = TrackStatus::Bad;
    let outputs = feed(
        &mut router,
        1,
        Input::Track {
            id: TrackId(1),
            status,
        },
    );
    assert_eq!(outputs[0], Output::RemoveAddresses);
    assert_eq!(router.fault(), Some(Fault::Track(TrackId(1))));
}

#[test]
fn the_owner() {
    let mut router = router(builder(255));
    let outputs = feed(&mut router, 0, Input::Startup { held: true });
    assert_eq!(outputs[..2], [sent(255), Output::AddAddresses]);
    assert_eq!(router.state(), State::Active);
    feed(&mut router, 1, Input::Shutdown);
    assert!(!router.holds_addresses());
}

/// An address that is configured away while it is held is given up.
#[test]
fn configured_away() {
    let mut router = router(builder(100));
    feed(&mut router, 0, Input::Startup { held: true });
    let outputs = feed(
        &mut router,
        1,
        configure(builder(100).addresses([ip("10.0.0.101")])),
    );
    assert_eq!(outputs, [Output::RemoveAddress(ip("10.0.0.100"))]);
}
