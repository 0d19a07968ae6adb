//! Targets with names, their checks, and what follows from the outcomes. No clock, no I/O.

mod event;
mod reconcile;
mod snapshot;
mod target;

use core::hash::Hash;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

pub use event::{Event, Reason};
pub use reconcile::Diff;
pub(crate) use reconcile::Reconciliation;
pub use snapshot::{Snapshot, TargetSnapshot};
pub use target::{CheckStatus, Combine, Forced, Plan, State, Status, TargetSpec};

use crate::health::Verdict;
use crate::index::Index;
use crate::outcome::{Cause, Outcome, Sample, Weight};
use crate::policy::{MAX_JITTER, Policy};
use crate::scheduler::{Limits, Next, Scheduler, Ticket};
use crate::time::{Time, nanos};
use event::Reader;
use target::{Job, Story, Target};

/// The whole checker without its hands: what to probe when, and what the outcomes mean.
///
/// The caller carries out the attempts. A turn is: [`begin_turn`](Self::begin_turn); [`complete`](Self::complete) for every
/// attempt that ended; [`poll_expired`](Self::poll_expired) and [`expire`](Self::expire) until there is none;
/// [`poll_start`](Self::poll_start) until there is none; sleep until [`poll_timeout`](Self::poll_timeout). The engine of
/// this crate does exactly that, and so can a simulation.
#[derive(Debug)]
pub struct Monitor<K, P> {
    targets: Vec<Option<Target<K>>>,
    free_targets: Vec<u32>,
    by_key: Index,
    jobs: Vec<Option<Job<P>>>,
    by_plan: Index,
    scheduler: Scheduler,
    hosts: Hosts,
    readers: Vec<Option<Reader>>,
    cancelled: VecDeque<Ticket>,
    random: u64,
    placed: u64,
    round: u32,
    unsampled: usize,
    repeats: bool,
    totals: Totals,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Attempts begun.
    pub started: u64,
    /// Attempts that passed.
    pub passed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Of these, attempts whose deadline passed.
    pub expired: u64,
    /// Attempts that could not be made or judged.
    pub inconclusive: u64,
    /// Starts of a fixed rate that fell into a running attempt.
    pub skipped: u64,
    /// Changes of a target's state.
    pub changes: u64,
}

/// An attempt to make now.
#[derive(Debug)]
pub struct Attempt<'a, P> {
    /// Names the attempt; give it back with the outcome.
    pub ticket: Ticket,
    /// What to do.
    pub plan: &'a P,
    /// How long it may take in all.
    pub timeout: Duration,
    /// How many conclusive attempts there were before it.
    pub samples: u32,
}

impl<K: Clone + Eq + Hash, P: Plan> Monitor<K, P> {
    /// A monitor without targets. `lanes` is how many kinds of attempt [`Plan::lane`] tells apart; `seed` decides phases
    /// and jitter, so that equal seeds give equal runs.
    pub fn new(lanes: u8, limits: Limits, seed: u64) -> Self {
        Self {
            targets: Vec::new(),
            free_targets: Vec::new(),
            by_key: Index::default(),
            jobs: Vec::new(),
            by_plan: Index::default(),
            scheduler: Scheduler::new(lanes, limits),
            hosts: Hosts::default(),
            readers: Vec::new(),
            cancelled: VecDeque::new(),
            random: seed,
            placed: seed,
            round: 0,
            unsampled: 0,
            repeats: false,
            totals: Totals::default(),
        }
    }

    /// At most this many attempts of a lane at once; others wait their turn.
    pub fn limit_lane(&mut self, lane: u8, most: u32) {
        self.scheduler.limit_lane(lane, most);
    }

    /// At most this many attempts at once towards one host. Set it before there are targets.
    pub fn limit_hosts(&mut self, most: u32) {
        self.scheduler.limit_hosts(most);
    }

    /// Whether every failure is an event, also one that changes nothing (keepalived's `log_all_failures`).
    pub const fn report_repeats(&mut self, on: bool) {
        self.repeats = on;
    }

    /// Opens a turn. Returns how late the caller is if that is a stall: see [`Scheduler::begin_turn`].
    pub fn begin_turn(&mut self, now: Time) -> Option<Duration> {
        self.scheduler.begin_turn(now)
    }

    /// Takes in what an attempt found out. A ticket of an attempt that is already over changes nothing.
    pub fn complete(&mut self, now: Time, ticket: Ticket, sample: Sample) {
        if !self.scheduler.is_running(ticket) {
            return;
        }
        let jitter = self.jitter();
        let number = ticket.job();
        let Some(job) = self.job_mut(number) else { return };
        let was_pending = job.is_pending();
        let step = job.state.on_outcome(&job.policy, &sample.outcome);
        let repeat = matches!(sample.outcome, Outcome::Fail(_)) && step.change.is_none();
        let weight_before = job.story.as_ref().and_then(|story| story.weight);
        let notice = sample.notice;
        let news = job.tell(now, sample);
        let weight_after = job.story.as_ref().and_then(|story| story.weight);
        let next = Next {
            delay: step.next,
            basis: job.policy.basis,
            jitter: jitter(job.policy.jitter, step.next),
        };
        let again = core::mem::take(&mut job.again);
        let pending = job.is_pending();
        match news {
            News::Passed => self.totals.passed += 1,
            News::Failed => self.totals.failed += 1,
            News::Inconclusive => self.totals.inconclusive += 1,
        }
        self.count_pending(was_pending, pending);
        self.totals.skipped += self.scheduler.finish(ticket, next).unwrap_or(0);
        if again {
            self.scheduler.expedite(number);
        }
        if step.change.is_some() || weight_before != weight_after {
            for target in self.subscribers(number) {
                self.recompute(target, now);
            }
        }
        if let Some(notice) = notice {
            for target in self.subscribers(number) {
                self.note(target, |pending| pending.notice = Some(notice));
            }
        }
        if self.repeats && repeat {
            for target in self.subscribers(number) {
                let checks = self.target(target).map(|target| target.jobs.as_slice());
                let check = checks.and_then(|jobs| jobs.iter().position(|job| *job == number));
                let bit = check.and_then(|check| 1_u64.checked_shl(u32::try_from(check).ok()?));
                if let Some(bit) = bit {
                    self.note(target, |pending| pending.failed |= bit);
                }
            }
        }
    }

    /// The next attempt whose deadline has passed. The caller stops it and says with [`expire`](Self::expire) how far it
    /// had got.
    pub fn poll_expired(&mut self) -> Option<Ticket> {
        self.scheduler.poll_expired()
    }

    /// Ends an attempt that ran into its deadline. In a turn that began late this is inconclusive: the answer may have
    /// come and gone unseen.
    pub fn expire(&mut self, now: Time, ticket: Ticket, mut sample: Sample) {
        if self.scheduler.is_late_turn() {
            sample = Sample::inconclusive(Cause::Overload);
        } else if self.scheduler.is_running(ticket) {
            self.totals.expired += 1;
        }
        self.complete(now, ticket, sample);
    }

    /// The next attempt to make, if one is due and within the limits.
    pub fn poll_start(&mut self) -> Option<Attempt<'_, P>> {
        loop {
            let due = self.scheduler.poll_start()?;
            let number = due.ticket.job();
            let Some(policy) = self.job(number).map(|job| job.policy.clone()) else {
                self.scheduler.remove(number);
                continue;
            };
            self.scheduler.arm(due.ticket, policy.timeout);
            self.totals.started += 1;
            let job = self.job(number)?;
            return Some(Attempt {
                ticket: due.ticket,
                plan: &job.plan,
                timeout: policy.timeout,
                samples: job.state.samples(),
            });
        }
    }

    /// An attempt that was called off (its target was removed, changed or suspended) and should be stopped.
    pub fn poll_cancelled(&mut self) -> Option<Ticket> {
        self.cancelled.pop_front()
    }

    /// When to come back, on the caller's clock.
    pub fn poll_timeout(&mut self) -> Option<Time> {
        self.scheduler.poll_timeout()
    }

    /// A new reader of events; it hears of everything that changes from now on.
    pub fn subscribe(&mut self) -> usize {
        match self.readers.iter().position(Option::is_none) {
            Some(free) => {
                if let Some(reader) = self.readers.get_mut(free) {
                    *reader = Some(Reader::default());
                }
                free
            }
            None => {
                self.readers.push(Some(Reader::default()));
                self.readers.len() - 1
            }
        }
    }

    /// Ends a reader.
    pub fn unsubscribe(&mut self, reader: usize) {
        if let Some(reader) = self.readers.get_mut(reader) {
            *reader = None;
        }
    }

    /// The next event for a reader.
    pub fn poll_event(&mut self, reader: usize) -> Option<Event<K>> {
        let mut reader_state = self.readers.get_mut(reader)?.take()?;
        let event = loop {
            if reader_state.is_empty() {
                break None;
            }
            if let Some(event) = reader_state.next(|target, pending| self.event(target, pending)) {
                break Some(event);
            }
        };
        if let Some(slot) = self.readers.get_mut(reader) {
            *slot = Some(reader_state);
        }
        event
    }

    /// Whether some reader has something to read.
    pub fn has_events(&self) -> bool {
        self.readers.iter().flatten().any(|reader| !reader.is_empty())
    }

    /// Forces a state on a target, or (with `None`) lets its checks decide again. False if there is no such target.
    pub fn force(&mut self, now: Time, key: &K, forced: Option<Forced>) -> bool {
        let Some(id) = self.find(key) else { return false };
        if let Some(target) = self.target_mut(id) {
            target.forced = forced;
        }
        self.recompute(id, now);
        true
    }

    /// Stops checking a target, keeping its verdict, or starts again. False if there is no such target.
    pub fn suspend(&mut self, now: Time, key: &K, suspended: bool) -> bool {
        self.begin_turn(now);
        let Some(id) = self.find(key) else { return false };
        let Some(target) = self.target_mut(id) else {
            return false;
        };
        if core::mem::replace(&mut target.suspended, suspended) == suspended {
            return true;
        }
        for number in self.job_numbers(id) {
            let delay = self.first_delay(number).0;
            let Some(job) = self.job_mut(number) else { continue };
            let was_pending = job.is_pending();
            job.active = if suspended {
                job.active.saturating_sub(1)
            } else {
                job.active.saturating_add(1)
            };
            let (active, pending) = (job.active, job.is_pending());
            self.count_pending(was_pending, pending);
            if suspended && active == 0 {
                self.cancelled.extend(self.scheduler.pause(number));
            } else if !suspended && active == 1 {
                self.scheduler.resume(number, delay);
            }
        }
        self.recompute(id, now);
        true
    }

    /// Checks a target as soon as possible. The result is in once [`answered`](Self::answered) says so for what this
    /// returns; `None` if there is no such target or it is suspended.
    pub fn check_now(&mut self, now: Time, key: &K) -> Option<Vec<(u32, u64)>> {
        self.begin_turn(now);
        let id = self.find(key)?;
        if self.target(id)?.suspended {
            return None;
        }
        let mut wanted = Vec::new();
        for number in self.job_numbers(id) {
            let running = self.scheduler.is_busy(number);
            let Some(job) = self.job_mut(number) else { continue };
            // What runs already may have seen the target before whatever the caller waits for.
            job.again = running;
            wanted.push((number, job.attempts() + 1 + u64::from(running)));
            if !running {
                self.scheduler.expedite(number);
            }
        }
        Some(wanted)
    }

    /// Starts a job at once, for whoever knows that what it reads has changed.
    #[cfg(feature = "engine")]
    pub(crate) fn hurry(&mut self, number: u32) {
        if self.scheduler.is_busy(number) {
            if let Some(job) = self.job_mut(number) {
                job.again = true;
            }
        } else {
            self.scheduler.expedite(number);
        }
    }

    /// Whether every check asked for with [`check_now`](Self::check_now) has had its attempt (or is gone).
    pub fn answered(&self, wanted: &[(u32, u64)]) -> bool {
        wanted.iter().all(|(number, attempts)| {
            self.job(*number)
                .is_none_or(|job| job.attempts() >= *attempts || job.active == 0)
        })
    }

    /// Checks that have not had a conclusive outcome yet, without suspended ones.
    pub const fn unsampled(&self) -> usize {
        self.unsampled
    }

    /// What is known about a target.
    pub fn status(&self, key: &K) -> Option<Status> {
        self.find(key)
            .and_then(|id| self.target(id))
            .map(|target| self.status_of(target))
    }

    /// What is known about every target.
    pub fn statuses(&self) -> impl Iterator<Item = (&K, Status)> {
        self.live_targets()
            .map(|target| (&target.key, self.status_of(target)))
    }

    /// What should be done with a target; cheaper than its whole status.
    pub fn state(&self, key: &K) -> Option<State> {
        self.find(key)
            .and_then(|id| self.target(id))
            .map(|target| target.state)
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.targets.len() - self.free_targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many attempts are made for them: fewer than targets if some want the same, more if some want several.
    pub fn jobs(&self) -> usize {
        self.jobs.iter().flatten().count()
    }

    /// How many jobs there is room for, to make as much room elsewhere.
    #[cfg(feature = "engine")]
    pub(crate) const fn room(&self) -> usize {
        self.jobs.capacity()
    }

    /// Counters since the start.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// The scheduler, to read its figures.
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Puts the news about a target into words.
    fn event(&self, id: u32, pending: &mut event::Pending) -> Option<Event<K>> {
        let Some(target) = self.target(id) else {
            *pending = event::Pending::default();
            return None;
        };
        let key = target.key.clone();
        if let Some((from, transitions)) = pending.changed.take() {
            let reason = self.reason(target);
            return Some(Event::Changed {
                key,
                from,
                to: target.state,
                transitions,
                reason,
                since: target.since,
            });
        }
        if core::mem::take(&mut pending.weight) {
            return Some(Event::Weight {
                key,
                weight: target.effective_weight,
            });
        }
        while pending.failed != 0 {
            let check = pending.failed.trailing_zeros() as usize;
            pending.failed &= pending.failed - 1;
            // It may have another check there since.
            if let Some(reason) = self.reasons(target).find(|reason| reason.1.check == check) {
                return Some(Event::Failed {
                    key,
                    reason: reason.1,
                });
            }
        }
        pending.notice.take().map(|notice| Event::Notice { key, notice })
    }

    /// The present failure of a target, else the last one there was.
    fn reason(&self, target: &Target<K>) -> Option<Reason> {
        self.reasons(target)
            .max_by_key(|(order, _)| *order)
            .map(|(_, reason)| reason)
    }

    /// The last failure of each check of a target; those of checks that are down come last, and then the later ones.
    fn reasons<'a>(&'a self, target: &'a Target<K>) -> impl Iterator<Item = ((bool, Time), Reason)> + 'a {
        self.jobs_of(target).enumerate().filter_map(|(check, job)| {
            let story = job.story.as_ref()?;
            let (at, failure) = story.last.as_ref()?;
            let since = story.first.as_ref().map_or(*at, |(first, _)| *first);
            let reason = Reason {
                check,
                failure: failure.clone(),
                since,
                streak: story.streak,
            };
            Some(((job.state.verdict() == Verdict::Down, *at), reason))
        })
    }

    fn status_of(&self, target: &Target<K>) -> Status {
        Status {
            state: target.state,
            verdict: target.verdict,
            forced: target.forced,
            suspended: target.suspended,
            since: target.since,
            weight: target.effective_weight,
            checks: self.jobs_of(target).map(Job::status).collect(),
        }
    }

    /// Brings a target in line with its checks and tells the readers what that changed.
    fn recompute(&mut self, id: u32, now: Time) {
        let Some(target) = self.target(id) else { return };
        let verdict = if target.suspended {
            target.verdict
        } else {
            target
                .combine
                .verdict(self.jobs_of(target).map(|job| job.state.verdict()))
        };
        let weight = self.weight_of(target);
        let state = match (target.forced, verdict) {
            (Some(Forced::Up), _) | (None, Verdict::Up) => State::Up,
            (Some(Forced::Down), _) | (None, Verdict::Down) => State::Down,
            (Some(Forced::Drain), _) => State::Drain,
            (None, Verdict::Unknown) => State::Unknown,
        };
        let Some(target) = self.target_mut(id) else { return };
        target.verdict = verdict;
        let from = core::mem::replace(&mut target.state, state);
        let old_weight = core::mem::replace(&mut target.effective_weight, weight);
        if from != state {
            target.since = now;
            self.totals.changes += 1;
            self.note(id, |pending| {
                let (first, count) = pending.changed.unwrap_or((from, 0));
                pending.changed = Some((first, count.saturating_add(1)));
            });
        }
        if old_weight != weight {
            self.note(id, |pending| pending.weight = true);
        }
    }

    /// The configured weight and all differences to it.
    fn weight_of(&self, target: &Target<K>) -> u32 {
        let base = i64::from(target.weight);
        let sum = self.jobs_of(target).fold(base, |sum, job| {
            match job.story.as_ref().and_then(|story| story.weight) {
                Some(Weight::Set(weight)) => sum.saturating_add(i64::from(weight).saturating_sub(base)),
                Some(Weight::Add(difference)) => sum.saturating_add(difference),
                None => sum,
            }
        });
        u32::try_from(sum.max(0)).unwrap_or(u32::MAX)
    }

    fn note(&mut self, target: u32, what: impl Fn(&mut event::Pending)) {
        for reader in self.readers.iter_mut().flatten() {
            reader.note(target, &what);
        }
    }

    fn count_pending(&mut self, before: bool, after: bool) {
        self.unsampled = self
            .unsampled
            .saturating_sub(usize::from(before))
            .saturating_add(usize::from(after));
    }

    fn subscribers(&self, job: u32) -> target::Numbers {
        self.job(job)
            .map(|job| job.subscribers.clone())
            .unwrap_or_default()
    }

    fn job_numbers(&self, target: u32) -> target::Numbers {
        self.target(target)
            .map(|target| target.jobs.clone())
            .unwrap_or_default()
    }

    fn find(&self, key: &K) -> Option<u32> {
        let hash = self.by_key.hash(key);
        self.by_key.get(hash, |id| {
            self.target(id).is_some_and(|target| target.key == *key)
        })
    }

    fn live_targets(&self) -> impl Iterator<Item = &Target<K>> {
        self.targets.iter().flatten()
    }

    fn jobs_of<'a>(&'a self, target: &'a Target<K>) -> impl Iterator<Item = &'a Job<P>> {
        target
            .jobs
            .as_slice()
            .iter()
            .filter_map(|number| self.job(*number))
    }

    fn target(&self, id: u32) -> Option<&Target<K>> {
        self.targets.get(index(id)).and_then(Option::as_ref)
    }

    fn target_mut(&mut self, id: u32) -> Option<&mut Target<K>> {
        self.targets.get_mut(index(id)).and_then(Option::as_mut)
    }

    fn job(&self, number: u32) -> Option<&Job<P>> {
        self.jobs.get(index(number)).and_then(Option::as_ref)
    }

    fn job_mut(&mut self, number: u32) -> Option<&mut Job<P>> {
        self.jobs.get_mut(index(number)).and_then(Option::as_mut)
    }

    /// The next place on an even spread: the first start, and the grid a fixed rate counts from.
    fn first_delay(&mut self, number: u32) -> (Duration, Duration) {
        let Some(policy) = self.job(number).map(|job| job.policy.clone()) else {
            return (Duration::ZERO, Duration::ZERO);
        };
        self.place(&policy)
    }

    fn place(&mut self, policy: &Policy) -> (Duration, Duration) {
        // Multiples of the golden ratio fill an interval evenly, however many there are.
        self.placed = self.placed.wrapping_add(GOLDEN);
        let part = |of: Duration| {
            let share = (u128::from(nanos(of)) * u128::from(self.placed)) >> 64;
            Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
        };
        (part(policy.interval.min(policy.spread)), part(policy.interval))
    }

    /// A random number (splitmix64).
    fn jitter(&mut self) -> impl FnOnce(u8, Duration) -> i64 + use<K, P> {
        self.random = self.random.wrapping_add(GOLDEN);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        move |percent, delay| {
            let most = u128::from(nanos(delay)) * u128::from(percent.min(MAX_JITTER)) / 100;
            let offset = ((2 * most + 1) * u128::from(mixed)) >> 64;
            let signed = i128::try_from(offset).unwrap_or(0) - i128::try_from(most).unwrap_or(0);
            i64::try_from(signed).unwrap_or(0)
        }
    }
}

impl<P> Job<P> {
    /// Takes down what a sample tells besides its judgement.
    fn tell(&mut self, now: Time, sample: Sample) -> News {
        if let Some(weight) = sample.weight {
            self.story().weight = Some(weight);
        }
        if sample.notice.is_some() || self.story.as_ref().is_some_and(|story| story.notice.is_some()) {
            self.story().notice = sample.notice;
        }
        let latency = u32::try_from(sample.latency.as_micros()).unwrap_or(u32::MAX);
        match sample.outcome {
            Outcome::Pass => {
                self.last = now.as_nanos().max(1);
                self.latency = latency;
                if let Some(story) = self.story.as_mut() {
                    story.streak = 0;
                }
                News::Passed
            }
            Outcome::Fail(failure) => {
                self.last = now.as_nanos().max(1);
                self.latency = latency;
                let story = self.story();
                if story.streak == 0 {
                    story.first = Some((now, failure.clone()));
                }
                story.streak = story.streak.saturating_add(1);
                story.last = Some((now, failure));
                News::Failed
            }
            Outcome::Inconclusive(cause) => {
                self.story().cause = Some(cause);
                News::Inconclusive
            }
        }
    }

    fn story(&mut self) -> &mut Story {
        self.story.get_or_insert_default()
    }

    /// Whether the first outcome is still to come.
    fn is_pending(&self) -> bool {
        self.active > 0 && self.state.samples() == 0
    }

    fn attempts(&self) -> u64 {
        u64::from(self.state.samples()) + u64::from(self.state.inconclusive())
    }

    fn status(&self) -> CheckStatus {
        let story = self.story.as_deref();
        CheckStatus {
            verdict: self.state.verdict(),
            against: self.state.against(),
            samples: self.state.samples(),
            inconclusive: self.state.inconclusive(),
            cause: story.and_then(|story| story.cause),
            latency: Duration::from_micros(u64::from(self.latency)),
            last: (self.last != 0).then(|| Time::from_nanos(self.last)),
            streak: story.map_or(0, |story| story.streak),
            first_failure: story.and_then(|story| story.first.clone()),
            last_failure: story.and_then(|story| story.last.clone()),
            notice: story.and_then(|story| story.notice),
        }
    }
}

enum News {
    Passed,
    Failed,
    Inconclusive,
}

/// Numbers for hosts, so that the scheduler can count what goes to each.
#[derive(Debug, Default)]
struct Hosts {
    numbers: HashMap<IpAddr, (u32, u32)>,
    free: Vec<u32>,
    next: u32,
}

impl Hosts {
    fn enter(&mut self, host: IpAddr) -> u32 {
        let entry = self.numbers.entry(host).or_insert_with(|| {
            let number = self.free.pop().unwrap_or_else(|| {
                self.next += 1;
                self.next - 1
            });
            (number, 0)
        });
        entry.1 += 1;
        entry.0
    }

    fn leave(&mut self, host: IpAddr) {
        if let Some((number, count)) = self.numbers.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.free.push(*number);
                self.numbers.remove(&host);
            }
        }
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
