//! The rules of keepalived and HAProxy, each written down a second time in its own terms and compared over every
//! sequence of outcomes up to a length, for every small policy.

use std::num::NonZeroU16;
use std::time::Duration;

use healthcheck::{Cause, FailKind, Failure, HealthState, Outcome, Policy, Stage, Start, Verdict};

const INTERVAL: Duration = Duration::from_secs(60);
const FAST: Duration = Duration::from_secs(7);
const DOWN: Duration = Duration::from_secs(90);
const RETRY: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Pass,
    Fail,
    Nothing,
}

impl Seen {
    fn outcome(self) -> Outcome {
        match self {
            Self::Pass => Outcome::Pass,
            Self::Fail => Outcome::Fail(Failure::new(Stage::Connect, FailKind::Refused)),
            Self::Nothing => Outcome::Inconclusive(Cause::Resources),
        }
    }
}

/// Every sequence of this many outcomes.
fn sequences(length: u32) -> impl Iterator<Item = Vec<Seen>> {
    (0..3_u32.pow(length)).map(move |mut number| {
        let mut sequence = Vec::new();
        for _ in 0..length {
            sequence.push([Seen::Pass, Seen::Fail, Seen::Nothing][(number % 3) as usize]);
            number /= 3;
        }
        sequence
    })
}

fn count(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

/// keepalived's checker: `retry_it` counts the failures of a checker that is up; one success brings it up.
struct Keepalived {
    up: bool,
    retry_it: u16,
    retry: u16,
}

impl Keepalived {
    fn new(alpha: bool, retry: u16) -> Self {
        // Without alpha the counter starts exhausted, so the first failure decides.
        Self {
            up: !alpha,
            retry_it: if alpha { 0 } else { retry },
            retry,
        }
    }

    fn see(&mut self, seen: Seen) -> Duration {
        match seen {
            Seen::Pass => {
                (self.up, self.retry_it) = (true, 0);
                INTERVAL
            }
            Seen::Fail if !self.up => INTERVAL,
            Seen::Fail if self.retry_it < self.retry => {
                self.retry_it += 1;
                RETRY
            }
            Seen::Fail => {
                (self.up, self.retry_it) = (false, 0);
                INTERVAL
            }
            // A local error: the check is put off by delay_loop and nothing is counted.
            Seen::Nothing => INTERVAL,
        }
    }
}

#[test]
fn keepalived_s_rules_for_every_sequence() {
    let mut compared = 0_u32;
    for alpha in [false, true] {
        for retry in 0..=3 {
            let policy = Policy {
                interval: INTERVAL,
                retry_delay: Some(RETRY),
                fall: count(retry + 1),
                ..Policy::keepalived(alpha)
            };
            for sequence in sequences(7) {
                let mut theirs = Keepalived::new(alpha, retry);
                let mut ours = HealthState::new(&policy);
                for (place, seen) in sequence.iter().enumerate() {
                    let next = theirs.see(*seen);
                    let step = ours.on_outcome(&policy, &seen.outcome());
                    assert_eq!(
                        ours.is_up(),
                        Some(theirs.up),
                        "{sequence:?} at {place}, retry {retry}"
                    );
                    assert_eq!(step.next, next, "{sequence:?} at {place}, retry {retry}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 2 * 4 * 3_u32.pow(7) * 7);
}

/// HAProxy's server: `health` runs from 0 to rise + fall − 1 and is up from `rise` on.
struct Haproxy {
    health: u16,
    rise: u16,
    fall: u16,
}

impl Haproxy {
    fn new(start: Start, rise: u16, fall: u16) -> Self {
        let health = match start {
            Start::FullyUp => rise + fall - 1,
            Start::Up => rise,
            Start::Down => rise - 1,
            _ => 0,
        };
        Self { health, rise, fall }
    }

    fn up(&self) -> bool {
        self.health >= self.rise
    }

    fn see(&mut self, seen: Seen) -> Duration {
        let full = self.rise + self.fall - 1;
        match seen {
            Seen::Pass if self.up() => self.health = full,
            Seen::Pass => {
                self.health += 1;
                if self.up() {
                    self.health = full;
                }
            }
            Seen::Fail if self.health > self.rise => self.health -= 1,
            Seen::Fail => self.health = 0,
            Seen::Nothing => return if self.up() { INTERVAL } else { DOWN },
        }
        match self.health {
            health if health == full => INTERVAL,
            0 => DOWN,
            _ => FAST,
        }
    }
}

#[test]
fn haproxy_s_rules_for_every_sequence() {
    for start in [Start::FullyUp, Start::Up, Start::Down, Start::FullyDown] {
        for (rise, fall) in (1..=4).flat_map(|rise| (1..=4).map(move |fall| (rise, fall))) {
            let policy = Policy {
                interval: INTERVAL,
                fast: Some(FAST),
                down: Some(DOWN),
                rise: count(rise),
                fall: count(fall),
                start,
                ..Policy::haproxy()
            };
            for sequence in sequences(7) {
                let mut theirs = Haproxy::new(start, rise, fall);
                let mut ours = HealthState::new(&policy);
                assert_eq!(ours.is_up(), Some(theirs.up()));
                for (place, seen) in sequence.iter().enumerate() {
                    let next = theirs.see(*seen);
                    let step = ours.on_outcome(&policy, &seen.outcome());
                    let at = (&sequence, place, start, rise, fall);
                    assert_eq!(ours.is_up(), Some(theirs.up()), "{at:?}");
                    assert_eq!(step.next, next, "{at:?}");
                }
            }
        }
    }
}

/// What holds for every policy: an inconclusive outcome moves nothing, a change needs exactly the number of
/// contradictions, and the step tells a change exactly when there is one.
#[test]
fn inconclusive_moves_nothing_and_changes_are_told_for_every_sequence() {
    for start in [
        Start::FullyUp,
        Start::Up,
        Start::Down,
        Start::FullyDown,
        Start::Unknown,
    ] {
        for (rise, fall) in (1..=4).flat_map(|rise| (1..=4).map(move |fall| (rise, fall))) {
            let policy = Policy {
                rise: count(rise),
                fall: count(fall),
                start,
                ..Policy::nlb()
            };
            for sequence in sequences(6) {
                let mut with = HealthState::new(&policy);
                let mut without = HealthState::new(&policy);
                for seen in &sequence {
                    let before = with;
                    let step = with.on_outcome(&policy, &seen.outcome());
                    assert_eq!(step.change.is_some(), before.verdict() != with.verdict());
                    if *seen == Seen::Nothing {
                        assert_eq!(
                            (with.verdict(), with.against()),
                            (before.verdict(), before.against())
                        );
                    } else {
                        without.on_outcome(&policy, &seen.outcome());
                    }
                    if let Some(change) = step.change {
                        assert_ne!(change.to, Verdict::Unknown);
                        assert_eq!(with.against(), 0);
                    }
                }
                assert_eq!(
                    (with.verdict(), with.against()),
                    (without.verdict(), without.against())
                );
                assert_eq!(with.samples(), without.samples());
                let nothing = sequence.iter().filter(|seen| **seen == Seen::Nothing).count();
                assert_eq!(with.inconclusive() as usize, nothing);
            }
        }
    }
}

#[test]
fn a_start_without_belief_takes_the_first_result() {
    let policy = Policy {
        rise: count(5),
        fall: count(5),
        start: Start::Unknown,
        ..Policy::nlb()
    };
    for (seen, verdict) in [(Seen::Pass, Verdict::Up), (Seen::Fail, Verdict::Down)] {
        let mut state = HealthState::new(&policy);
        assert_eq!(state.is_up(), None);
        state.on_outcome(&policy, &Seen::Nothing.outcome());
        assert_eq!(state.is_up(), None);
        state.on_outcome(&policy, &seen.outcome());
        assert_eq!(state.verdict(), verdict);
    }
}
