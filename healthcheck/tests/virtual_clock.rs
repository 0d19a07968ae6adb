//! The monitor with fifty thousand targets over a clock that only this test moves.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Basis, Cause, Event, FailKind, Failure, Forced, Limits, Monitor, Plan, Policy, Sample, Stage, Start,
    State, TargetSpec, Ticket, Time,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fake(u32);

impl Plan for Fake {
    fn host(&self) -> Option<IpAddr> {
        Some(Ipv4Addr::from(self.0 % 1000).into())
    }
}

type Fakes = Monitor<u32, Fake>;

/// A world in which attempts take random times and the clock is a number.
struct World {
    monitor: Fakes,
    now: u64,
    random: u64,
    /// Attempts under way, by the time at which they end.
    ends: BTreeMap<(u64, u32), (Ticket, bool)>,
    running: HashMap<Ticket, (u64, u32)>,
    starts: HashMap<u32, Vec<u64>>,
    record: bool,
    serial: u32,
    /// How long an attempt takes, in milliseconds: from, to.
    takes: (u64, u64),
    broken: fn(u32, u64) -> bool,
    most_starts_in_a_turn: usize,
}

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            monitor: Monitor::new(1, limits, 7),
            now: 0,
            random: 42,
            ends: BTreeMap::new(),
            running: HashMap::new(),
            starts: HashMap::new(),
            record: true,
            serial: 0,
            takes: (1, 20),
            broken: |_, _| false,
            most_starts_in_a_turn: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below.max(1)
    }

    fn want(&mut self, numbers: impl IntoIterator<Item = u32>, policy: &Policy) -> healthcheck::Diff<u32> {
        let policy = Arc::new(*policy);
        let wanted: Vec<_> = numbers
            .into_iter()
            .map(|number| TargetSpec::new(number, Fake(number), policy.clone()))
            .collect();
        self.monitor.reconcile(Time::from_nanos(self.now), wanted)
    }

    /// One turn at the present time; returns when to come back.
    fn turn(&mut self) -> Option<u64> {
        let now = Time::from_nanos(self.now);
        self.monitor.begin_turn(now);
        while let Some(ticket) = self.monitor.poll_cancelled() {
            if let Some(end) = self.running.remove(&ticket) {
                self.ends.remove(&end);
            }
        }
        while let Some(end) = self.ends.first_entry() {
            if end.key().0 > self.now {
                break;
            }
            let (ticket, good) = end.remove();
            self.running.remove(&ticket);
            let sample = if good {
                Sample::pass(Duration::from_millis(1))
            } else {
                Sample::fail(
                    Failure::new(Stage::Connect, FailKind::Refused),
                    Duration::from_millis(1),
                )
            };
            self.monitor.complete(now, ticket, sample);
        }
        while let Some(ticket) = self.monitor.poll_expired() {
            if let Some(end) = self.running.remove(&ticket) {
                self.ends.remove(&end);
            }
            let sample = Sample::fail(
                Failure::new(Stage::Connect, FailKind::TimedOut),
                Duration::from_secs(1),
            );
            self.monitor.expire(now, ticket, sample);
        }
        let mut started = 0;
        while let Some(attempt) = self.monitor.poll_start() {
            let (ticket, number) = (attempt.ticket, attempt.plan.0);
            started += 1;
            if self.record {
                self.starts.entry(number).or_default().push(self.now);
            }
            let (from, to) = self.takes;
            let takes = (from + self.random(to - from)) * MILLI + self.random(MILLI);
            self.serial += 1;
            let end = (self.now + takes, self.serial);
            let good = !(self.broken)(number, self.now);
            self.ends.insert(end, (ticket, good));
            self.running.insert(ticket, end);
        }
        self.most_starts_in_a_turn = self.most_starts_in_a_turn.max(started);
        self.monitor.poll_timeout().map(Time::as_nanos)
    }

    fn run_until(&mut self, until: u64) {
        while self.now < until {
            let wake = self.turn().unwrap_or(u64::MAX);
            let end = self.ends.keys().next().map_or(u64::MAX, |end| end.0);
            self.now = wake.min(end.max(self.now + MILLI)).max(self.now + 1).min(until);
        }
    }
}

fn every_second() -> Policy {
    Policy {
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
        spread: Duration::from_secs(1),
        basis: Basis::FixedRate,
        start: Start::Unknown,
        fall: NonZeroU16::new(1).unwrap(),
        rise: NonZeroU16::new(1).unwrap(),
        ..Policy::haproxy()
    }
}

#[test]
fn fifty_thousand_targets_lose_no_start_and_stay_evenly_spread() {
    let mut world = World::new(Limits::default());
    world.want(0..50_000, &every_second());
    world.run_until(10 * SECOND + 10 * MILLI);
    assert_eq!(world.starts.len(), 50_000);
    for (number, starts) in &world.starts {
        assert!(
            (10..=11).contains(&starts.len()),
            "target {number} was started {} times",
            starts.len()
        );
        for pair in starts.windows(2).skip(1) {
            let gap = pair[1] - pair[0];
            assert!(
                (990 * MILLI..=1010 * MILLI).contains(&gap),
                "target {number}: gap of {gap} ns"
            );
        }
    }
    // Phases: every tenth of every second from the second on has its tenth of the starts, within two percent.
    let mut tenths = vec![0_u32; 101];
    world
        .starts
        .values()
        .flatten()
        .for_each(|at| tenths[(at / (100 * MILLI)) as usize] += 1);
    for (tenth, starts) in tenths.iter().enumerate().take(100).skip(1) {
        assert!(
            (4_800..=5_200).contains(starts),
            "tenth {tenth} has {starts} starts"
        );
    }
    assert!(world.monitor.scheduler().lateness().quantile(1000) <= Duration::from_millis(6));
    assert_eq!(
        world.monitor.totals().failed + world.monitor.totals().inconclusive,
        0
    );
    assert!(
        world
            .monitor
            .statuses()
            .all(|(_, status)| status.state == State::Up)
    );
}

#[test]
fn a_pause_brings_no_storm_no_false_alarm_and_keeps_the_phases() {
    let mut world = World::new(Limits::default());
    world.want(0..50_000, &every_second());
    world.run_until(3 * SECOND);
    let reader = world.monitor.subscribe();
    // The machine sleeps for an hour in the middle of some hundred attempts.
    assert!(!world.running.is_empty());
    world.now += 3_600 * SECOND;
    let woken = world.now;
    world.starts.clear();
    world.run_until(woken + 3 * SECOND);
    assert_eq!(world.monitor.scheduler().stalls(), 1);
    assert!(world.monitor.scheduler().inattentive() > Duration::from_secs(3_599));
    // At most what a tenth of a second brings anyway.
    assert!(
        world.most_starts_in_a_turn <= 5_600,
        "a storm of {}",
        world.most_starts_in_a_turn
    );
    assert_eq!(world.monitor.poll_event(reader), None, "a verdict moved");
    assert_eq!(world.monitor.totals().failed, 0);
    // Even from the second tenth on; the first also made up for a tenth.
    let mut tenths = [0_u32; 30];
    for at in world.starts.values().flatten() {
        if let Some(count) = tenths.get_mut(((at - woken) / (100 * MILLI)) as usize) {
            *count += 1;
        }
    }
    assert!(
        tenths.iter().skip(1).all(|count| (4_700..=5_300).contains(count)),
        "{tenths:?}"
    );
}

#[test]
fn answers_lost_in_a_stall_are_inconclusive() {
    let mut world = World::new(Limits::default());
    world.takes = (10_000, 10_001);
    world.want(0..100, &every_second());
    world.run_until(100 * MILLI);
    let started = world.running.len() as u64;
    assert!(started > 5);
    // Nobody looks for the whole of the timeout. What was running had about 400 ms left and keeps it; only what comes
    // out at the very edge is over, and that proves nothing.
    world.now += 5 * SECOND;
    world.turn();
    assert_eq!(world.monitor.totals().failed, 0);
    assert_eq!(world.monitor.totals().expired, 0);
    let now = world.now;
    world.run_until(now + 300 * MILLI);
    assert_eq!(
        world.monitor.totals().failed,
        0,
        "an attempt was cut short by the stall"
    );
    world.run_until(now + 700 * MILLI);
    assert!(
        world.monitor.totals().failed >= started,
        "the remaining time was not given"
    );
}

#[test]
fn steady_lateness_slows_the_checks_instead_of_failing_them() {
    let mut world = World::new(Limits::default());
    world.want(0..1_000, &every_second());
    // A core that is stolen for 400 ms after every turn.
    for _ in 0..200 {
        world.turn();
        world.now += 400 * MILLI;
    }
    assert_eq!(world.monitor.totals().failed, 0);
    assert!(world.monitor.scheduler().stalls() > 50);
    assert!(world.monitor.totals().passed > 1_000);
}

#[test]
fn a_clock_that_jumps_back_changes_nothing() {
    let mut world = World::new(Limits::default());
    world.want(0..1_000, &every_second());
    world.run_until(2 * SECOND);
    let passed = world.monitor.totals().passed;
    for back in [SECOND, 2 * SECOND] {
        world.monitor.begin_turn(Time::from_nanos(world.now - back));
        assert!(world.monitor.poll_expired().is_none());
    }
    world.run_until(4 * SECOND);
    assert!(world.monitor.totals().passed >= passed + 1_990);
    assert_eq!(world.monitor.totals().failed, 0);
}

#[test]
fn random_reconfigurations_keep_what_did_not_change() {
    let mut world = World::new(Limits::default());
    let policy = every_second();
    let hasty = Policy {
        interval: Duration::from_millis(300),
        ..policy
    };
    world.want(0..2_000, &policy);
    world.run_until(2 * SECOND);
    for step in 0..60_u64 {
        let from = world.random(1_000) as u32;
        let chosen = if step % 7 == 3 { &hasty } else { &policy };
        let before: HashMap<u32, u32> = world
            .monitor
            .statuses()
            .map(|(key, status)| (*key, status.checks[0].samples))
            .collect();
        let diff = world.want(from..from + 1_500, chosen);
        assert_eq!(diff.added.len() + diff.changed.len() + diff.unchanged, 1_500);
        assert_eq!(world.monitor.len(), 1_500);
        assert_eq!(world.monitor.jobs(), 1_500);
        for (key, status) in world.monitor.statuses() {
            if let Some(samples) = before.get(key) {
                assert_eq!(status.checks[0].samples, *samples, "{key} forgot");
                assert!(*samples == 0 || status.state == State::Up);
            }
        }
        world.now += world.random(400) * MILLI;
        let until = world.now + world.random(900) * MILLI;
        world.run_until(until);
    }
    let until = world.now + 3 * SECOND;
    world.starts.clear();
    world.run_until(until);
    assert_eq!(world.monitor.totals().failed, 0);
    assert_eq!(world.starts.len(), 1_500, "a start was lost");
    assert!(
        world.starts.values().all(|starts| starts.len() >= 2),
        "a start was lost"
    );
    assert_eq!(world.monitor.scheduler().running(0) as usize, world.running.len());
    assert_eq!(world.monitor.unsampled(), 0);
}

#[test]
fn limits_hold_and_nobody_starves() {
    let mut world = World::new(Limits::default());
    world.monitor.limit_lane(0, 64);
    world.monitor.limit_hosts(2);
    world.takes = (20, 60);
    // 3,000 targets on 1,000 hosts, 64 at a time at 40 ms: 1,600 a second, so half of what is asked for.
    world.want(0..3_000, &every_second());
    for _ in 0..4_000 {
        let wake = world.turn().unwrap();
        let running = world.running.len();
        assert!(running <= 64, "{running} at once");
        let mut hosts = HashMap::<_, u32>::new();
        for ticket in world.running.keys() {
            *hosts.entry(ticket.job() % 1_000).or_default() += 1;
        }
        assert!(hosts.values().all(|count| *count <= 2), "{hosts:?}");
        let end = world.ends.keys().next().map_or(u64::MAX, |end| end.0);
        world.now = wake.min(end).max(world.now + 1);
    }
    assert_eq!(world.starts.len(), 3_000, "somebody starved");
    let least = world.starts.values().map(Vec::len).min().unwrap();
    let most = world.starts.values().map(Vec::len).max().unwrap();
    assert!(most - least <= 2, "between {least} and {most} starts: not fair");
    assert_eq!(world.monitor.totals().failed, 0);
}

#[test]
fn events_are_coalesced_never_lost_and_say_why() {
    let mut world = World::new(Limits::default());
    world.want(0..1_000, &every_second());
    world.run_until(2 * SECOND);
    let slow = world.monitor.subscribe();
    let quick = world.monitor.subscribe();
    // A third of the targets flaps, and one reader never reads meanwhile.
    world.broken = |number, now| number.is_multiple_of(3) && (now / SECOND) % 2 == 1;
    let mut quick_events = 0;
    let mut seen: HashMap<u32, State> = HashMap::new();
    for second in 3..=12 {
        world.run_until(second * SECOND);
        while let Some(event) = world.monitor.poll_event(quick) {
            let Event::Changed {
                key,
                from,
                to,
                transitions,
                reason,
                ..
            } = event
            else {
                panic!("{event:?}")
            };
            assert_eq!(from, seen.insert(key, to).unwrap_or(State::Up), "a gap for {key}");
            let reason = reason.expect("a reason");
            assert_eq!(reason.failure.kind, FailKind::Refused);
            assert!(transitions >= 1);
            quick_events += 1;
        }
    }
    assert!(quick_events > 2_000, "{quick_events}");
    let mut slow_events = 0;
    while let Some(event) = world.monitor.poll_event(slow) {
        let Event::Changed {
            key,
            from,
            to,
            transitions,
            ..
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!((from, to), (State::Up, seen[&key]));
        assert!(transitions > 5);
        slow_events += 1;
    }
    assert_eq!(
        slow_events, 334,
        "one event for each target that changed, however often"
    );
    assert!(!world.monitor.has_events());
}

#[test]
fn force_suspend_and_check_now() {
    let mut world = World::new(Limits::default());
    let policy = Policy {
        interval: Duration::from_secs(60),
        spread: Duration::from_secs(60),
        ..every_second()
    };
    world.want(0..10, &policy);
    let now = Time::from_nanos(world.now);
    let wanted = world.monitor.check_now(now, &3).unwrap();
    assert!(!world.monitor.answered(&wanted));
    world.run_until(100 * MILLI);
    assert!(world.monitor.answered(&wanted));
    assert_eq!(world.monitor.state(&3), Some(State::Up));
    for (forced, state) in [
        (Forced::Down, State::Down),
        (Forced::Drain, State::Drain),
        (Forced::Up, State::Up),
    ] {
        assert!(world.monitor.force(now, &3, Some(forced)));
        assert_eq!(world.monitor.state(&3), Some(state));
    }
    world.monitor.force(now, &3, None);
    assert!(!world.monitor.force(now, &99, None));
    // Suspended: no starts, the verdict stays, the first round does not wait for it.
    let now = Time::from_nanos(world.now);
    for key in 0..9 {
        assert!(world.monitor.suspend(now, &key, true));
    }
    assert_eq!(world.monitor.unsampled(), 1);
    assert_eq!(world.monitor.check_now(now, &3), None);
    world.starts.clear();
    world.run_until(200 * SECOND);
    assert_eq!(world.starts.keys().collect::<Vec<_>>(), [&9]);
    assert_eq!(world.monitor.state(&3), Some(State::Up));
    let now = Time::from_nanos(world.now);
    world.monitor.suspend(now, &3, false);
    world.run_until(262 * SECOND);
    assert!(world.starts.contains_key(&3));
}

#[test]
fn what_is_wanted_twice_is_probed_once() {
    let mut world = World::new(Limits::default());
    let policy = Arc::new(every_second());
    let wanted = |keys: std::ops::Range<u32>| {
        keys.map(|key| TargetSpec::new(key, Fake(key % 10), policy.clone()))
            .collect::<Vec<_>>()
    };
    world.monitor.reconcile(Time::ZERO, wanted(0..500));
    assert_eq!((world.monitor.len(), world.monitor.jobs()), (500, 10));
    world.run_until(SECOND + 100 * MILLI);
    assert!(
        world
            .monitor
            .statuses()
            .all(|(_, status)| status.state == State::Up)
    );
    assert!(world.monitor.totals().started <= 22);
    // One of ten servers breaks: fifty targets are down.
    let reader = world.monitor.subscribe();
    world.broken = |number, _| number == 4;
    world.run_until(3 * SECOND);
    let events = std::iter::from_fn(|| world.monitor.poll_event(reader)).count();
    assert_eq!(events, 50);
    // All but one of them leave: the probe stays, with its memory; then it goes too.
    world.monitor.reconcile(Time::from_nanos(world.now), wanted(0..5));
    assert_eq!((world.monitor.len(), world.monitor.jobs()), (5, 5));
    assert_eq!(world.monitor.state(&4), Some(State::Down));
    world.monitor.reconcile(Time::from_nanos(world.now), wanted(0..4));
    assert_eq!(world.monitor.jobs(), 4);
}

#[test]
fn a_change_looks_at_nobody_else() {
    let mut world = World::new(Limits::default());
    world.want(0..10, &every_second());
    let policy = Arc::new(every_second());
    let wanted = |key| TargetSpec::new(key, Fake(key), policy.clone());
    let gone = [1, 2, 3, 99];
    let diff = world.monitor.change(Time::ZERO, [2, 2, 4, 10].map(wanted), gone);
    assert_eq!((diff.added, diff.removed), (vec![10], vec![1, 3]), "2 is wanted");
    assert_eq!((diff.unchanged, diff.duplicates), (2, vec![2]));
    assert_eq!((world.monitor.len(), world.monitor.jobs()), (9, 9));
    // Whoever was not looked at goes with the next whole set, as ever.
    assert_eq!(world.want([0, 10], &every_second()).removed.len(), 7);
}

#[test]
fn a_changed_check_keeps_its_verdict_until_the_first_result() {
    let mut world = World::new(Limits::default());
    let policy = Arc::new(Policy {
        start: Start::Up,
        fall: NonZeroU16::new(3).unwrap(),
        ..every_second()
    });
    world.broken = |number, _| number == 1;
    world
        .monitor
        .reconcile(Time::ZERO, [TargetSpec::new(7, Fake(1), policy.clone())]);
    world.run_until(2 * SECOND);
    assert_eq!(world.monitor.state(&7), Some(State::Down));
    let now = Time::from_nanos(world.now);
    world
        .monitor
        .reconcile(now, [TargetSpec::new(7, Fake(2), policy)]);
    assert_eq!(
        world.monitor.state(&7),
        Some(State::Down),
        "a new check must not put a dead server back unseen"
    );
    world.run_until(4 * SECOND);
    assert_eq!(world.monitor.state(&7), Some(State::Up));
}

#[test]
fn a_snapshot_survives_a_restart() {
    let mut world = World::new(Limits::default());
    world.broken = |number, _| number.is_multiple_of(2);
    world.want(0..100, &every_second());
    world.run_until(3 * SECOND);
    let snapshot = world.monitor.snapshot(Time::from_nanos(world.now));
    let mut next = World::new(Limits::default());
    next.now = 1_000 * SECOND;
    next.want(0..120, &every_second());
    assert_eq!(next.monitor.restore(Time::from_nanos(next.now), &snapshot), 100);
    for (key, status) in next.monitor.statuses() {
        let expected = match key {
            100.. => State::Unknown,
            key if key % 2 == 0 => State::Down,
            _ => State::Up,
        };
        assert_eq!(status.state, expected, "{key}");
        assert_eq!(status.checks[0].samples, 0, "nothing was measured yet");
    }
    let age = Time::from_nanos(next.now).since(next.monitor.status(&1).unwrap().since);
    assert!(age > Duration::from_secs(1), "{age:?}");
}

#[test]
fn a_snapshot_carries_the_operator_s_orders() {
    let mut world = World::new(Limits::default());
    world.want(0..5, &every_second());
    world.run_until(3 * SECOND);
    let now = Time::from_nanos(world.now);
    world.monitor.force(now, &0, Some(Forced::Drain));
    world.monitor.force(now, &1, Some(Forced::Down));
    world.monitor.suspend(now, &2, true);
    world.monitor.force(now, &3, Some(Forced::Drain));
    let snapshot = world.monitor.snapshot(now);
    let mut next = World::new(Limits::default());
    next.want(0..5, &every_second());
    let now = Time::from_nanos(next.now);
    // Ordered after the restart: it is newer than what was saved.
    next.monitor.force(now, &3, Some(Forced::Down));
    next.monitor.restore(now, &snapshot);
    let states: Vec<_> = (0..5).map(|key| next.monitor.state(&key).unwrap()).collect();
    assert_eq!(
        states,
        [State::Drain, State::Down, State::Up, State::Down, State::Up]
    );
    assert!(next.monitor.status(&2).unwrap().suspended);
    next.run_until(next.now + 3 * SECOND);
    assert_eq!(
        next.monitor.status(&2).unwrap().checks[0].samples,
        0,
        "still suspended"
    );
    let now = Time::from_nanos(next.now);
    next.monitor.force(now, &1, None);
    next.monitor.suspend(now, &2, false);
    next.run_until(next.now + 3 * SECOND);
    assert_eq!(next.monitor.state(&1), Some(State::Up));
    assert!(next.monitor.status(&2).unwrap().checks[0].samples > 0);
}

#[test]
fn inconclusive_attempts_are_counted_and_shown() {
    let mut world = World::new(Limits::default());
    world.want(
        0..1,
        &Policy {
            start: Start::Up,
            ..every_second()
        },
    );
    world.now = world.monitor.poll_timeout().unwrap().as_nanos();
    for _ in 0..40 {
        let now = Time::from_nanos(world.now);
        world.monitor.begin_turn(now);
        assert_eq!(world.monitor.poll_expired(), None);
        if let Some(ticket) = world.monitor.poll_start().map(|attempt| attempt.ticket) {
            world
                .monitor
                .complete(now, ticket, Sample::inconclusive(Cause::Resources));
            if world.monitor.totals().inconclusive == 5 {
                break;
            }
        }
        world.now = world.monitor.poll_timeout().unwrap().as_nanos();
    }
    let status = world.monitor.status(&0).unwrap();
    assert_eq!(
        (
            status.state,
            status.checks[0].inconclusive,
            status.checks[0].samples
        ),
        (State::Up, 5, 0)
    );
    assert_eq!(status.checks[0].cause, Some(Cause::Resources));
    assert_eq!(world.monitor.totals().inconclusive, 5);
    assert_eq!(world.monitor.unsampled(), 1);
}

#[test]
fn each_failure_that_changes_nothing_is_told_if_it_is_asked_for() {
    let failures = |world: &mut World, reader| {
        let mut seen = Vec::new();
        while let Some(event) = world.monitor.poll_event(reader) {
            match event {
                Event::Failed { key, reason } => seen.push((key, reason.check, reason.streak)),
                Event::Changed { to, .. } => seen.push((u32::MAX, usize::from(to == State::Down), 0)),
                _ => {}
            }
        }
        seen
    };
    let mut world = World::new(Limits::default());
    world.takes = (1, 2);
    world.broken = |number, _| number == 1;
    let policy = Arc::new(Policy {
        fall: NonZeroU16::new(3).unwrap(),
        start: Start::FullyUp,
        spread: Duration::ZERO,
        ..every_second()
    });
    // Two checks, of which the second fails.
    let spec = TargetSpec::new(7, Fake(0), policy.clone()).and(Fake(1), policy);
    let reader = world.monitor.subscribe();
    world.monitor.reconcile(Time::from_nanos(0), [spec]);
    let mut told = Vec::new();
    for second in 0..4 {
        world.monitor.report_repeats(second > 0);
        world.run_until(second * SECOND + 10 * MILLI);
        told.extend(failures(&mut world, reader));
    }
    // It is up at first; the first failure was not asked for, and the third changed the state.
    assert_eq!(told, [(u32::MAX, 0, 0), (7, 1, 2), (u32::MAX, 1, 0), (7, 1, 4)]);
}
