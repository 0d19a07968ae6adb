//! Preemption: none, at once, and delayed as keepalived delays it.

mod common;

use std::time::Duration;

use common::*;
use vrrp_fsm::{Input, Preempt, Reason, State};

const DOWN: u64 = 3_218_750_000;

fn delayed(seconds: u64) -> vrrp_fsm::ParametersBuilder {
    builder(200).preempt(Preempt::Delayed(Duration::from_secs(seconds)))
}

/// RFC 9568 §6.4.2 with Preempt_Mode false: any advertisement restarts the timer.
#[test]
fn never() {
    let mut router = started(builder(200).preempt(Preempt::Never));
    for second in 1..50 {
        hear(&mut router, second * SECOND, "10.0.0.2", 1);
        assert_eq!(deadline(&router), second * SECOND + DOWN);
    }
    // This is a rule for backups: an active router yields all the same.
    let (mut router, now) = active(builder(200).preempt(Preempt::Never));
    hear(&mut router, now, "10.0.0.2", 201);
    assert_eq!(router.state(), State::Backup);
}

/// RFC 9568 §6.1: the owner preempts whatever is configured.
#[test]
fn the_owner_always() {
    let mut router = started(builder(255).preempt(Preempt::Never));
    hear(&mut router, 1, "10.0.0.2", 255);
    assert_eq!(router.state(), State::Backup);
    let due = deadline(&router);
    hear(&mut router, SECOND, "10.0.0.3", 254);
    assert_eq!(deadline(&router), due);
}

/// The first advertisement of lower priority starts the delay; then the down timer still has to run out.
#[test]
fn delay() {
    let mut router = started(delayed(10));
    for second in 1..11 {
        hear(&mut router, second * SECOND, "10.0.0.2", 100);
        assert_eq!(deadline(&router), second * SECOND + DOWN);
    }
    for second in 11..14 {
        hear(&mut router, second * SECOND, "10.0.0.2", 100);
        assert_eq!(deadline(&router), 10 * SECOND + DOWN);
    }
    feed(&mut router, 10 * SECOND + DOWN, Input::Timeout);
    assert_eq!(router.state(), State::Active);
    assert!(matches!(router.reason(), Reason::LowerPriority { .. }));
}

/// I17: a death within the delay is noticed as ever; and priority 0 too.
#[test]
fn a_death_within_the_delay() {
    let mut router = started(delayed(1_000));
    hear(&mut router, SECOND, "10.0.0.2", 100);
    feed(&mut router, SECOND + DOWN, Input::Timeout);
    assert_eq!(router.state(), State::Active);

    let mut router = started(delayed(1_000));
    hear(&mut router, SECOND, "10.0.0.2", 100);
    hear(&mut router, 2 * SECOND, "10.0.0.2", 0);
    assert_eq!(deadline(&router), 2 * SECOND + 218_750_000);
}

/// Hearing our priority or more ends the delay; the next lower one starts another.
#[test]
fn the_delay_starts_again() {
    let mut router = started(delayed(2));
    hear(&mut router, SECOND, "10.0.0.2", 100);
    hear(&mut router, 2 * SECOND, "10.0.0.3", 200);
    for second in 4..6 {
        hear(&mut router, second * SECOND, "10.0.0.2", 100);
        assert_eq!(deadline(&router), second * SECOND + DOWN);
    }
    hear(&mut router, 6 * SECOND, "10.0.0.2", 100);
    assert_eq!(deadline(&router), 5 * SECOND + DOWN);
}

/// The delay is one of hearing: it does not begin before somebody of lower priority is heard.
#[test]
fn nobody_to_preempt() {
    let mut router = started(delayed(1_000));
    feed(&mut router, DOWN, Input::Timeout);
    assert_eq!(router.state(), State::Active);
}

#[test]
fn a_delay_of_nothing_is_none() {
    let parameters = delayed(0).build().unwrap();
    assert_eq!(parameters.preempt(), Preempt::Immediate);
}
