//! Any order of configurations, outcomes, orders and jumps of the clock: nothing panics, no attempt is lost or counted
//! twice, no limit is passed, and a reader who follows the events ends with the states that are true.

#![no_main]

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Basis, Combine, Event, FailKind, Failure, Forced, Limits, Monitor, Plan, Policy, Sample, Stage, Start,
    State, TargetSpec, Ticket, Time,
};
use libfuzzer_sys::fuzz_target;

#[derive(Clone, PartialEq, Eq, Hash)]
struct What(u8);

impl Plan for What {
    fn lane(&self) -> u8 {
        self.0 & 1
    }

    fn host(&self) -> Option<std::net::IpAddr> {
        Some([192, 0, 2, self.0 >> 2 & 3].into())
    }
}

const MOST: u32 = 3;
const PER_HOST: u32 = 2;

fuzz_target!(|orders: Vec<(u8, u8, u16)>| {
    let mut monitor = Monitor::<u8, What>::new(2, Limits::default(), 7);
    monitor.limit_lane(1, MOST);
    monitor.limit_hosts(PER_HOST);
    let reader = monitor.subscribe();
    let mut seen: HashMap<u8, State> = HashMap::new();
    let mut running: Vec<(Ticket, What)> = Vec::new();
    let (mut now, mut cancelled) = (Time::ZERO, 0);
    for (order, which, number) in orders {
        match order % 12 {
            0..=2 => now = now.after(Duration::from_millis(u64::from(number) * u64::from(which >> 5))),
            3 => {
                let wanted = (0..16_u8)
                    .filter(|bit| number >> bit & 1 == 1)
                    .map(|key| spec(key, which));
                let diff = monitor.reconcile(now, wanted);
                seen.retain(|key, _| !diff.removed.contains(key));
                seen.extend(diff.added.into_iter().map(|key| (key, State::Unknown)));
            }
            4 => {
                monitor.suspend(now, &(which % 16), number & 1 == 1);
            }
            5 => {
                let forced = [None, Some(Forced::Up), Some(Forced::Down), Some(Forced::Drain)];
                monitor.force(now, &(which % 16), forced[usize::from(number & 3)]);
            }
            6 => {
                monitor.check_now(now, &(which % 16));
            }
            7 => {
                let snapshot = monitor.snapshot(now);
                monitor.restore(now, &snapshot);
            }
            8 => monitor.report_repeats(number & 1 == 1),
            9 => {
                while let Some(event) = monitor.poll_event(reader) {
                    if let Event::Changed { key, from, to, .. } = event {
                        assert_eq!(seen.insert(key, to), Some(from), "a change was lost");
                    }
                }
                for (key, state) in &seen {
                    assert_eq!(monitor.state(key), Some(*state));
                }
            }
            _ => {
                // A turn, in which some of what runs ends.
                monitor.begin_turn(now);
                for at in (0..running.len()).rev() {
                    if which >> (at & 7) & 1 == 1 {
                        let (ticket, _) = running.swap_remove(at);
                        let before = ended(&monitor);
                        monitor.complete(now, ticket, sample(number, at));
                        let counted = ended(&monitor) - before;
                        assert!(counted <= 1);
                        // It may have been called off since.
                        cancelled += 1 - counted;
                        monitor.complete(now, ticket, sample(!number, at));
                        assert_eq!(ended(&monitor), before + counted, "an end was counted twice");
                    }
                }
                while let Some(ticket) = monitor.poll_cancelled() {
                    // It may have ended in this very turn.
                    let before = running.len();
                    running.retain(|(other, _)| *other != ticket);
                    cancelled += (before - running.len()) as u64;
                }
                while let Some(ticket) = monitor.poll_expired() {
                    let before = running.len();
                    running.retain(|(other, _)| *other != ticket);
                    assert_eq!(running.len() + 1, before, "what does not run cannot expire");
                    let failure = Failure::new(Stage::Reply, FailKind::TimedOut);
                    monitor.expire(now, ticket, Sample::fail(failure, Duration::ZERO));
                }
                while let Some(attempt) = monitor.poll_start() {
                    running.push((attempt.ticket, attempt.plan.clone()));
                }
                let limited = running.iter().filter(|(_, what)| what.lane() == 1).count();
                assert!(limited <= MOST as usize, "too many at once");
                for host in running.iter().map(|(_, what)| what.host()) {
                    let same = running.iter().filter(|(_, what)| what.host() == host).count();
                    assert!(same <= PER_HOST as usize, "too many for one host");
                }
                let next = monitor.poll_timeout();
                assert!(next.is_none_or(|next| next > now), "no time to sleep");
                let accounted = ended(&monitor) + running.len() as u64 + cancelled;
                assert_eq!(monitor.totals().started, accounted, "an attempt was lost");
            }
        }
    }
});

fn ended(monitor: &Monitor<u8, What>) -> u64 {
    let totals = monitor.totals();
    totals.passed + totals.failed + totals.inconclusive
}

fn spec(key: u8, which: u8) -> TargetSpec<u8, What> {
    let policy = |number: u8| {
        Arc::new(Policy {
            interval: Duration::from_millis(100 << (number & 7)),
            timeout: Duration::from_millis(50 << (number >> 3 & 7)),
            rise: NonZeroU16::MIN.saturating_add(u16::from(number & 1)),
            fall: NonZeroU16::MIN.saturating_add(u16::from(number >> 1 & 1)),
            basis: if number & 4 == 0 {
                Basis::FixedRate
            } else {
                Basis::AfterCompletion
            },
            start: [Start::Unknown, Start::FullyUp, Start::Up, Start::Down][usize::from(number >> 4 & 3)],
            jitter: number >> 3,
            retry_delay: (number & 8 != 0).then_some(Duration::from_millis(70)),
            ..Policy::haproxy()
        })
    };
    // Different targets share checks now and then.
    let mut spec = TargetSpec::new(key, What(key & 7 | which & 8), policy(which & 63));
    if which & 64 != 0 {
        spec = spec.and(What(key & 3 | 4), policy(which));
    }
    if which & 128 != 0 {
        spec.combine = [Combine::Any, Combine::AtLeast(2)][usize::from(key & 1)];
    }
    spec
}

fn sample(number: u16, at: usize) -> Sample {
    match number >> (at & 15) & 3 {
        0 | 1 => Sample::pass(Duration::from_millis(u64::from(number))),
        2 => Sample::fail(Failure::new(Stage::Connect, FailKind::Refused), Duration::ZERO),
        _ => Sample::inconclusive(healthcheck::Cause::Source),
    }
}
