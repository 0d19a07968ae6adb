//! The handle: what an application holds.

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crate::check::{Check, LANES};
use crate::monitor::{Diff, Forced, Monitor, Reconciliation, Snapshot, State, Status, TargetSpec, Totals};
use crate::shared::{Key, Shared};
use crate::time::Time;
use crate::waiting::{Answer, Events, Round};

/// Checks any number of targets and tells what changes. Cheap to clone; the last one dropped ends the checks.
#[derive(Clone)]
pub struct Checker<K: Key> {
    shared: Arc<Shared<K>>,
    #[expect(dead_code, reason = "its end is the end of the engine")]
    alive: Arc<Alive<K>>,
}

impl<K: Key> Checker<K> {
    /// The first handle of an engine, and the thread that it runs on, if it has one of its own.
    pub(crate) fn new(shared: Arc<Shared<K>>, thread: Option<JoinHandle<()>>) -> Self {
        let alive = Arc::new(Alive {
            shared: shared.clone(),
            thread: Mutex::new(thread),
        });
        Self { shared, alive }
    }

    /// Makes the set of targets equal to `wanted`; what did not change does not notice. See [`Monitor::reconcile`](crate::Monitor::reconcile).
    pub fn reconcile(&self, wanted: impl IntoIterator<Item = TargetSpec<K, Check>>) -> Diff<K> {
        self.take_in(wanted, Monitor::end_reconcile)
    }

    /// Adds or changes the targets of `wanted` and removes those of `gone`; the others are not looked at. See
    /// [`Monitor::change`](crate::Monitor::change).
    pub fn change(
        &self,
        wanted: impl IntoIterator<Item = TargetSpec<K, Check>>,
        gone: impl IntoIterator<Item = K>,
    ) -> Diff<K> {
        // Nothing of the caller's runs under the lock.
        let gone: Vec<K> = gone.into_iter().collect();
        self.take_in(wanted, |monitor, reconciliation| {
            monitor.end_change(reconciliation, gone)
        })
    }

    fn take_in(
        &self,
        wanted: impl IntoIterator<Item = TargetSpec<K, Check>>,
        end: impl FnOnce(&mut Monitor<K, Check>, Reconciliation<K>) -> Diff<K>,
    ) -> Diff<K> {
        // Some at a time: the engine goes on meanwhile, and 50,000 specifications never exist at once. The caller's iterator
        // runs while nothing but this is locked, so it may ask the checker whatever it likes except for another of these.
        let _one_at_a_time = self
            .shared
            .reconciling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut wanted = wanted.into_iter();
        let mut reconciliation = self.shared.lock().monitor.begin_reconcile(wanted.size_hint().0);
        loop {
            let some: Vec<_> = wanted.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let mut state = self.shared.lock();
            state
                .monitor
                .reconcile_some(self.shared.clock.now(), &mut reconciliation, some);
            self.shared.announce(state);
        }
        let mut state = self.shared.lock();
        let diff = end(&mut state.monitor, reconciliation);
        self.shared.announce(state);
        self.shared.bell.ring();
        diff
    }

    /// Everything that changes from now on. Nothing is lost however slowly it is read: see [`Event`](crate::Event).
    pub fn subscribe(&self) -> Events<K> {
        let reader = self.shared.lock().monitor.subscribe();
        Events::new(self.shared.clone(), reader)
    }

    /// What is known about a target.
    pub fn status(&self, key: &K) -> Option<Status> {
        self.shared.lock().monitor.status(key)
    }

    /// What should be done with a target.
    pub fn state(&self, key: &K) -> Option<State> {
        self.shared.lock().monitor.state(key)
    }

    /// What is known about every target.
    pub fn statuses(&self) -> Vec<(K, Status)> {
        let state = self.shared.lock();
        state
            .monitor
            .statuses()
            .map(|(key, status)| (key.clone(), status))
            .collect()
    }

    /// What is believed now, to be kept over a restart or sent to another host.
    pub fn snapshot(&self) -> Snapshot<K> {
        self.shared.lock().monitor.snapshot(self.shared.clock.now())
    }

    /// Believes what was believed before, for checks without a result of their own. Returns how many took it over.
    pub fn restore(&self, snapshot: &Snapshot<K>) -> usize {
        let mut state = self.shared.lock();
        let restored = state.monitor.restore(self.shared.clock.now(), snapshot);
        self.shared.announce(state);
        restored
    }

    /// Completes when every check has had its first result. Suspended and removed ones are not waited for.
    pub fn initial_round(&self) -> Round<K> {
        Round::new(self.shared.clone())
    }

    /// Checks a target as soon as possible, and completes with what is known then; `None` if there is no such target
    /// or it is suspended.
    pub fn check_now(&self, key: &K) -> Answer<K> {
        let wanted = self.shared.lock().monitor.check_now(self.shared.clock.now(), key);
        self.shared.bell.ring();
        Answer::new(self.shared.clone(), key.clone(), wanted)
    }

    /// Stops checking a target, keeping its verdict, or starts again. False if there is no such target.
    pub fn suspend(&self, key: &K, suspended: bool) -> bool {
        let mut state = self.shared.lock();
        let found = state.monitor.suspend(self.shared.clock.now(), key, suspended);
        self.shared.announce(state);
        self.shared.bell.ring();
        found
    }

    /// Forces a state on a target ([`Forced::Drain`] to let it finish what it has), or with `None` lets its checks decide
    /// again. False if there is no such target.
    pub fn force(&self, key: &K, forced: Option<Forced>) -> bool {
        let mut state = self.shared.lock();
        let found = state.monitor.force(self.shared.clock.now(), key, forced);
        self.shared.announce(state);
        found
    }

    /// Figures of the whole.
    pub fn metrics(&self) -> Metrics {
        let state = self.shared.lock();
        let scheduler = state.monitor.scheduler();
        Metrics {
            targets: state.monitor.len(),
            jobs: state.monitor.jobs(),
            totals: state.monitor.totals(),
            in_flight: (0..LANES).map(|lane| scheduler.running(lane)).sum(),
            waiting: scheduler.waiting(),
            late_median: scheduler.lateness().quantile(500),
            late_p99: scheduler.lateness().quantile(990),
            late_longest: scheduler.lateness().longest(),
            stalls: scheduler.stalls(),
            inattentive: scheduler.inattentive(),
        }
    }

    /// Whether every failure is an event, also one that changes nothing ([`Event::Failed`](crate::Event::Failed)).
    pub fn report_repeats(&self, on: bool) {
        self.shared.lock().monitor.report_repeats(on);
    }

    /// A time of this checker, by the wall clock of now.
    pub fn wall(&self, time: Time) -> SystemTime {
        let (now, wall) = (self.shared.clock.now(), SystemTime::now());
        let past = wall.checked_sub(now.since(time));
        past.and_then(|past| past.checked_add(time.since(now)))
            .unwrap_or(wall)
    }

    /// A time of this checker as the time that has passed since.
    pub fn age(&self, time: Time) -> Duration {
        self.shared.clock.now().since(time)
    }
}

impl<K: Key> fmt::Debug for Checker<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("metrics", &self.metrics())
            .finish()
    }
}

/// Figures of a checker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// Targets there are.
    pub targets: usize,
    /// Attempts made for them in each round: fewer if some want the same, more if some want several.
    pub jobs: usize,
    /// Counters since the start.
    pub totals: Totals,
    /// Attempts running.
    pub in_flight: u32,
    /// Attempts that are due and wait for a place within the limits.
    pub waiting: usize,
    /// Half of the starts were no later than this.
    pub late_median: Duration,
    /// 99 of 100 starts were no later than this.
    pub late_p99: Duration,
    /// The latest start of all.
    pub late_longest: Duration,
    /// Times at which the engine came too late to believe its own clock.
    pub stalls: u64,
    /// What deadlines were put off by because of that.
    pub inattentive: Duration,
}

/// Ends the engine when the last handle goes.
struct Alive<K: Key> {
    shared: Arc<Shared<K>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<K: Key> Drop for Alive<K> {
    fn drop(&mut self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut state = self.shared.lock();
        state.stopped = true;
        self.shared.announce(state);
        self.shared.bell.ring();
        // A probe's own callback may drop the last handle; a thread must not wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Specifications taken in at once.
const AT_ONCE: usize = 256;
