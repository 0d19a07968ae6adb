//! Where custom probes run: away from the built-in ones.

use core::pin::Pin;
use core::task::{Context as TaskContext, Poll, Waker};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::time::Instant;

use crate::bell::Bell;
use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::{Cause, Outcome, Sample};
use crate::probe::BoxFuture;
use crate::scheduler::Ticket;

/// Runs futures. The checker brings its own; an application that has a runtime may want its custom probes there.
pub trait Executor: Send + Sync + 'static {
    /// Runs a future to its end, somewhere else.
    fn spawn(&self, future: BoxFuture<()>);
}

/// The custom probes under way.
pub(super) struct Executors {
    executor: Option<Arc<dyn Executor>>,
    results: Arc<Results>,
    running: HashMap<Ticket, Arc<Task>>,
}

struct Results {
    done: Mutex<Vec<(Ticket, Sample)>>,
    bell: Bell,
}

impl Executors {
    pub(super) fn new(executor: Option<Arc<dyn Executor>>, bell: Bell) -> Self {
        let results = Arc::new(Results {
            done: Mutex::new(Vec::new()),
            bell,
        });
        Self {
            executor,
            results,
            running: HashMap::new(),
        }
    }

    pub(super) fn spawn(&mut self, ticket: Ticket, future: BoxFuture<Sample>) {
        // The thread is started with the first custom probe: who has none does not pay for it.
        let executor = self.executor.get_or_insert_with(|| Arc::new(OwnThread::new()));
        let task = Arc::new(Task::default());
        self.running.insert(ticket, task.clone());
        let results = self.results.clone();
        executor.spawn(Box::pin(Guarded {
            future: Some(future),
            task,
            ticket,
            results,
            born: Instant::now(),
        }));
    }

    /// Ends an attempt from our side. One that never got to run, or was held up by another probe, proves nothing.
    pub(super) fn stop(&mut self, ticket: Ticket) -> Outcome {
        let Some(task) = self.running.remove(&ticket) else {
            return Outcome::Inconclusive(Cause::Overload);
        };
        let mut state = lock(&task.state);
        state.cancelled = true;
        let (waker, starved) = (
            state.waker.take(),
            !state.polled || state.woken.is_some_and(|at| at.elapsed() > STUCK),
        );
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if starved {
            return Outcome::Inconclusive(Cause::Overload);
        }
        Outcome::Fail(Failure::new(Stage::Run, FailKind::TimedOut))
    }

    pub(super) fn collect(&mut self, done: &mut Vec<(Ticket, Sample)>) {
        for (ticket, sample) in lock(&self.results.done).drain(..) {
            if self.running.remove(&ticket).is_some() {
                done.push((ticket, sample));
            }
        }
    }
}

#[derive(Default)]
struct Task {
    state: Mutex<TaskState>,
}

#[derive(Default)]
struct TaskState {
    polled: bool,
    cancelled: bool,
    /// It was woken and has not run since.
    woken: Option<Instant>,
    waker: Option<Waker>,
}

/// Notes when a task became ready, so that waiting for the executor is told from waiting for the target.
struct Noted {
    task: Arc<Task>,
    inner: Waker,
}

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        lock(&self.task.state).woken.get_or_insert_with(Instant::now);
        self.inner.wake_by_ref();
    }
}

/// A user's future that can be called off, may panic, and reports whatever happens.
struct Guarded {
    future: Option<BoxFuture<Sample>>,
    task: Arc<Task>,
    ticket: Ticket,
    results: Arc<Results>,
    born: Instant,
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        {
            let mut state = lock(&this.task.state);
            state.polled = true;
            state.woken = None;
            if state.cancelled {
                this.future = None;
            } else {
                state.waker = Some(cx.waker().clone());
            }
        }
        let Some(future) = this.future.as_mut() else {
            return Poll::Ready(());
        };
        let waker = Waker::from(Arc::new(Noted {
            task: this.task.clone(),
            inner: cx.waker().clone(),
        }));
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.as_mut().poll(&mut TaskContext::from_waker(&waker))
        }));
        let sample = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(sample)) => sample,
            Err(_) => Sample::fail(Failure::new(Stage::Run, FailKind::Probe), this.born.elapsed()),
        };
        this.future = None;
        this.report(sample);
        Poll::Ready(())
    }
}

impl Guarded {
    fn report(&self, sample: Sample) {
        lock(&self.results.done).push((self.ticket, sample));
        self.results.bell.ring();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.future.take().is_some() && !lock(&self.task.state).cancelled {
            // The executor threw it away: an attempt must never just vanish.
            self.report(Sample::inconclusive(Cause::Resources));
        }
    }
}

/// A thread that runs futures, for applications without a runtime.
struct OwnThread {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    ready: Mutex<Ready>,
    changed: Condvar,
}

#[derive(Default)]
struct Ready {
    tasks: VecDeque<Arc<Spawned>>,
    closed: bool,
}

struct Spawned {
    future: Mutex<Option<BoxFuture<()>>>,
    queued: std::sync::atomic::AtomicBool,
    queue: Arc<Queue>,
}

impl OwnThread {
    fn new() -> Self {
        let queue = Arc::new(Queue::default());
        let theirs = queue.clone();
        let started = std::thread::Builder::new()
            .name("healthcheck-probe".into())
            .spawn(move || theirs.run());
        if started.is_err() {
            lock(&queue.ready).closed = true;
        }
        Self { queue }
    }
}

impl Executor for OwnThread {
    fn spawn(&self, future: BoxFuture<()>) {
        let task = Spawned {
            future: Mutex::new(Some(future)),
            queued: std::sync::atomic::AtomicBool::new(false),
            queue: self.queue.clone(),
        };
        Arc::new(task).wake();
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        lock(&self.queue.ready).closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn run(&self) {
        loop {
            let mut ready = lock(&self.ready);
            let task = loop {
                if ready.closed {
                    return;
                }
                match ready.tasks.pop_front() {
                    Some(task) => break task,
                    None => ready = self.changed.wait(ready).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(ready);
            task.queued.store(false, std::sync::atomic::Ordering::Release);
            let waker = Waker::from(task.clone());
            let mut future = lock(&task.future);
            if let Some(running) = future.as_mut()
                && running
                    .as_mut()
                    .poll(&mut TaskContext::from_waker(&waker))
                    .is_ready()
            {
                *future = None;
            }
        }
    }
}

impl Wake for Spawned {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return;
        }
        let queue = self.queue.clone();
        let mut ready = lock(&queue.ready);
        if !ready.closed {
            ready.tasks.push_back(self);
        }
        drop(ready);
        queue.changed.notify_one();
    }
}

/// A task that has been ready for so long without running is not the target's fault.
const STUCK: Duration = Duration::from_millis(20);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
