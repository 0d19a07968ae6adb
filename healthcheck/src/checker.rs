//! The handle: what an application holds.

use core::fmt;
use core::future::Future;
use core::hash::Hash;
use core::pin::Pin;
use core::task::{Context as TaskContext, Poll, Waker};
use core::time::Duration;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use crate::check::{Check, LANE_CONNECTION, LANE_CUSTOM, LANE_SCRIPT};
use crate::engine::{ALL_LANES, Engine, EngineClock, Executor, wake};
use crate::error::Error;
use crate::monitor::{Diff, Event, Forced, Monitor, Snapshot, State, Status, TargetSpec, Totals};
use crate::scheduler::Limits;
use crate::time::Time;

/// What a target can be called by.
pub trait Key: Clone + Eq + Hash + Send + 'static {}

impl<T: Clone + Eq + Hash + Send + 'static> Key for T {}

/// Checks any number of targets and tells what changes. Cheap to clone; the last one dropped ends the checks.
#[derive(Clone)]
pub struct Checker<K: Key> {
    shared: Arc<Shared<K>>,
    #[expect(dead_code, reason = "its end is the end of the engine")]
    alive: Arc<Alive<K>>,
}

impl Checker<()> {
    /// How a checker should be.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<K: Key> Checker<K> {
    /// A checker with its own thread and ordinary settings.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no descriptor or thread for it.
    pub fn spawn() -> Result<Self, Error> {
        Builder::default().spawn()
    }

    /// Makes the set of targets equal to `wanted`; what did not change does not notice. See [`Monitor::reconcile`].
    pub fn reconcile(&self, wanted: impl IntoIterator<Item = TargetSpec<K, Check>>) -> Diff<K> {
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
        let diff = state.monitor.end_reconcile(reconciliation);
        self.shared.announce(state);
        wake(&self.shared.wake);
        diff
    }

    /// Everything that changes from now on. Nothing is lost however slowly it is read: see [`Event`].
    pub fn subscribe(&self) -> Events<K> {
        let reader = self.shared.lock().monitor.subscribe();
        Events {
            shared: self.shared.clone(),
            reader,
        }
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
        Round {
            waiting: Waiting::new(self.shared.clone(), None),
        }
    }

    /// Checks a target as soon as possible, and completes with what is known then; `None` if there is no such target
    /// or it is suspended.
    pub fn check_now(&self, key: &K) -> Answer<K> {
        let wanted = self.shared.lock().monitor.check_now(self.shared.clock.now(), key);
        wake(&self.shared.wake);
        let known = wanted.is_some();
        Answer {
            waiting: Waiting::new(self.shared.clone(), wanted),
            key: key.clone(),
            known,
        }
    }

    /// Stops checking a target, keeping its verdict, or starts again. False if there is no such target.
    pub fn suspend(&self, key: &K, suspended: bool) -> bool {
        let mut state = self.shared.lock();
        let found = state.monitor.suspend(self.shared.clock.now(), key, suspended);
        self.shared.announce(state);
        wake(&self.shared.wake);
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
            in_flight: (0..ALL_LANES).map(|lane| scheduler.running(lane)).sum(),
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

/// How a checker should be.
#[derive(Clone)]
pub struct Builder {
    pub(crate) limits: Limits,
    pub(crate) seed: u64,
    pub(crate) most: Option<usize>,
    pub(crate) per_host: Option<u32>,
    pub(crate) scripts: u32,
    pub(crate) customs: u32,
    pub(crate) executor: Option<Arc<dyn Executor>>,
}

impl Default for Builder {
    /// As many connections at once as the descriptor limit allows with an eighth to spare, no limit per host, eight
    /// scripts and 256 custom probes at once, phases of its own for every process.
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self {
            limits: Limits::default(),
            seed: RandomState::new().hash_one(0),
            most: None,
            per_host: None,
            scripts: 8,
            customs: 256,
            executor: None,
        }
    }
}

impl Builder {
    /// At most so many connections at once (and idle ones kept).
    #[must_use]
    pub const fn max_in_flight(mut self, most: usize) -> Self {
        self.most = Some(most);
        self
    }

    /// At most so many attempts at once towards one address.
    #[must_use]
    pub const fn per_host(mut self, most: u32) -> Self {
        self.per_host = Some(most);
        self
    }

    /// At most so many scripts at once.
    #[must_use]
    pub const fn max_scripts(mut self, most: u32) -> Self {
        self.scripts = most;
        self
    }

    /// At most so many custom probes at once.
    #[must_use]
    pub const fn max_custom(mut self, most: u32) -> Self {
        self.customs = most;
        self
    }

    /// What decides phases and jitter.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How turns are put together and lateness is treated.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where custom probes run.
    #[must_use]
    pub fn executor(mut self, executor: impl Executor) -> Self {
        self.executor = Some(Arc::new(executor));
        self
    }

    /// A checker with its own thread.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no descriptor or thread for it.
    pub fn spawn<K: Key>(self) -> Result<Checker<K>, Error> {
        let (shared, engine) = self.assemble()?;
        let run = move || {
            // Waiting fails only for reasons that make all of it pointless; nobody is left to be told.
            let _ = engine.run();
        };
        let thread = std::thread::Builder::new().name("healthcheck".into()).spawn(run);
        let thread = thread.map_err(|error| Error::System("start a thread", error))?;
        let alive = Arc::new(Alive {
            shared: shared.clone(),
            thread: Mutex::new(Some(thread)),
        });
        Ok(Checker { shared, alive })
    }

    /// A checker and its engine, to be run wherever the application likes.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no descriptor for it.
    pub fn build<K: Key>(self) -> Result<(Checker<K>, Engine<K>), Error> {
        let (shared, engine) = self.assemble()?;
        let alive = Arc::new(Alive {
            shared: shared.clone(),
            thread: Mutex::new(None),
        });
        Ok((Checker { shared, alive }, engine))
    }

    fn assemble<K: Key>(self) -> Result<(Arc<Shared<K>>, Engine<K>), Error> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let fd = rustix::event::eventfd(0, flags);
        let fd = fd.map_err(|errno| Error::System("create a descriptor to be woken by", errno.into()))?;
        let mut monitor = Monitor::new(ALL_LANES, self.limits, self.seed);
        monitor.limit_lane(
            LANE_CONNECTION,
            u32::try_from(self.descriptors()).unwrap_or(u32::MAX),
        );
        monitor.limit_lane(LANE_SCRIPT, self.scripts);
        monitor.limit_lane(LANE_CUSTOM, self.customs);
        if let Some(most) = self.per_host {
            monitor.limit_hosts(most);
        }
        let clock = EngineClock::start();
        let shared = Arc::new(Shared {
            state: Mutex::new(Locked {
                monitor,
                wakers: Vec::new(),
                waiting: 0,
                readers: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
            reconciling: Mutex::new(()),
            wake: Arc::new(fd),
            clock,
        });
        let engine = Engine::new(&self, shared.clone(), clock)?;
        Ok((shared, engine))
    }

    /// How many descriptors the engine may use.
    pub(crate) fn descriptors(&self) -> usize {
        if let Some(most) = self.most {
            return most.max(1);
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(1 << 20);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let open = std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count);
        limit.saturating_sub(open).saturating_sub(limit / 8).max(8)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limits", &self.limits)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
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

/// The events of a checker, for one reader.
#[derive(Debug)]
pub struct Events<K: Key> {
    shared: Arc<Shared<K>>,
    reader: usize,
}

impl<K: Key> Events<K> {
    /// The next event, if there is one now.
    pub fn try_next(&mut self) -> Option<Event<K>> {
        self.shared.lock().monitor.poll_event(self.reader)
    }

    /// Waits for the next event; `None` after so long without one, or when the checker is gone.
    pub fn wait(&mut self, timeout: Duration) -> Option<Event<K>> {
        let deadline = Instant::now().checked_add(timeout);
        self.shared
            .wait(true, deadline, |state| state.monitor.poll_event(self.reader))
    }

    /// The next event; `None` when the checker is gone.
    #[expect(clippy::should_implement_trait, reason = "a future, not an iterator")]
    pub fn next(&mut self) -> impl Future<Output = Option<Event<K>>> + Send + '_ {
        core::future::poll_fn(|cx| self.poll_next(cx))
    }

    /// The next event, for a task.
    pub fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Event<K>>> {
        self.shared
            .poll(cx, |state| state.monitor.poll_event(self.reader))
    }
}

impl<K: Key> Drop for Events<K> {
    fn drop(&mut self) {
        self.shared.lock().monitor.unsubscribe(self.reader);
    }
}

/// Completes when every check has had its first result.
#[derive(Debug)]
pub struct Round<K: Key> {
    waiting: Waiting<K>,
}

impl<K: Key> Round<K> {
    /// Waits, but at most so long. Returns how many checks are still without a result.
    pub fn wait(self, timeout: Duration) -> usize {
        let left = |state: &Locked<K>| state.monitor.unsampled();
        let deadline = Instant::now().checked_add(timeout);
        let shared = &self.waiting.shared;
        shared
            .wait(false, deadline, |state| (left(state) == 0).then_some(0))
            .unwrap_or_else(|| left(&shared.lock()))
    }
}

impl<K: Key> Future for Round<K> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let done = |state: &mut Locked<K>| (state.monitor.unsampled() == 0).then_some(());
        self.waiting.shared.poll(cx, done).map(|_| ())
    }
}

/// Completes with what an extra check found out.
#[derive(Debug)]
pub struct Answer<K: Key> {
    waiting: Waiting<K>,
    key: K,
    known: bool,
}

impl<K: Key> Answer<K> {
    /// Waits, but at most so long; then what is known is what was known before.
    pub fn wait(self, timeout: Duration) -> Option<Status> {
        if !self.known {
            return None;
        }
        let deadline = Instant::now().checked_add(timeout);
        let wanted = self.waiting.wanted.as_deref().unwrap_or_default();
        self.waiting.shared.wait(false, deadline, |state| {
            state.monitor.answered(wanted).then_some(())
        });
        self.waiting.shared.lock().monitor.status(&self.key)
    }
}

impl<K: Key + Unpin> Future for Answer<K> {
    type Output = Option<Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Status>> {
        if !self.known {
            return Poll::Ready(None);
        }
        let wanted = self.waiting.wanted.as_deref().unwrap_or_default();
        let polled = self.waiting.shared.poll(cx, |state| {
            state
                .monitor
                .answered(wanted)
                .then(|| state.monitor.status(&self.key))
        });
        polled.map(Option::flatten)
    }
}

/// Somebody who wants to be told after every turn.
struct Waiting<K: Key> {
    shared: Arc<Shared<K>>,
    wanted: Option<Vec<(u32, u64)>>,
}

impl<K: Key> Waiting<K> {
    fn new(shared: Arc<Shared<K>>, wanted: Option<Vec<(u32, u64)>>) -> Self {
        shared.lock().waiting += 1;
        Self { shared, wanted }
    }
}

impl<K: Key> fmt::Debug for Waiting<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl<K: Key> Drop for Waiting<K> {
    fn drop(&mut self) {
        self.shared.lock().waiting -= 1;
    }
}

/// What the handles and the engine share.
pub(crate) struct Shared<K: Key> {
    state: Mutex<Locked<K>>,
    changed: Condvar,
    reconciling: Mutex<()>,
    pub(crate) wake: Arc<OwnedFd>,
    clock: EngineClock,
}

pub(crate) struct Locked<K: Key> {
    pub(crate) monitor: Monitor<K, Check>,
    wakers: Vec<Waker>,
    /// Those who want to be told after every turn.
    waiting: usize,
    /// Those who sleep until there are events.
    readers: usize,
    stopped: bool,
}

impl<K: Key> Shared<K> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Locked<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Ends a change: wakes those whom it may concern.
    pub(crate) fn announce(&self, mut state: MutexGuard<'_, Locked<K>>) {
        let events = state.monitor.has_events();
        let concerned = state.waiting > 0 || events || state.stopped;
        let sleeping = state.waiting > 0 || state.readers > 0;
        let wakers = if concerned {
            core::mem::take(&mut state.wakers)
        } else {
            Vec::new()
        };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if concerned && sleeping {
            self.changed.notify_all();
        }
    }

    fn wait<T>(
        &self,
        reader: bool,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Locked<K>) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        state.readers += usize::from(reader);
        let found = loop {
            if let Some(found) = ready(&mut state) {
                break Some(found);
            }
            if state.stopped || self.clock.is_after(deadline) {
                break None;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) => {
                    self.changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        };
        state.readers -= usize::from(reader);
        found
    }

    fn poll<T>(
        &self,
        cx: &mut TaskContext<'_>,
        ready: impl FnOnce(&mut Locked<K>) -> Option<T>,
    ) -> Poll<Option<T>> {
        let mut state = self.lock();
        if let Some(found) = ready(&mut state) {
            return Poll::Ready(Some(found));
        }
        if state.stopped {
            return Poll::Ready(None);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl<K: Key> fmt::Debug for Shared<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
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
        wake(&self.shared.wake);
        // A probe's own callback may drop the last handle; a thread must not wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Specifications taken in at once.
const AT_ONCE: usize = 256;
