//! What an application can wait for, on a thread or in a task: events, the first round, an extra check.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context as TaskContext, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::monitor::{Event, Status};
use crate::shared::{Key, Locked, Shared};

/// The events of a checker, for one reader.
#[derive(Debug)]
pub struct Events<K: Key> {
    shared: Arc<Shared<K>>,
    reader: usize,
}

impl<K: Key> Events<K> {
    pub(crate) const fn new(shared: Arc<Shared<K>>, reader: usize) -> Self {
        Self { shared, reader }
    }

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
    pub(crate) fn new(shared: Arc<Shared<K>>) -> Self {
        Self {
            waiting: Waiting::new(shared),
        }
    }

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
    /// The attempts that answer; `None` for a target that nobody knows.
    wanted: Option<Vec<(u32, u64)>>,
}

impl<K: Key> Answer<K> {
    pub(crate) fn new(shared: Arc<Shared<K>>, key: K, wanted: Option<Vec<(u32, u64)>>) -> Self {
        Self {
            waiting: Waiting::new(shared),
            key,
            wanted,
        }
    }

    /// Waits, but at most so long; then what is known is what was known before.
    pub fn wait(self, timeout: Duration) -> Option<Status> {
        let wanted = self.wanted.as_deref()?;
        let deadline = Instant::now().checked_add(timeout);
        self.waiting.shared.wait(false, deadline, |state| {
            state.monitor.answered(wanted).then_some(())
        });
        self.waiting.shared.lock().monitor.status(&self.key)
    }
}

impl<K: Key + Unpin> Future for Answer<K> {
    type Output = Option<Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Status>> {
        let Some(wanted) = self.wanted.as_deref() else {
            return Poll::Ready(None);
        };
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
}

impl<K: Key> Waiting<K> {
    fn new(shared: Arc<Shared<K>>) -> Self {
        shared.lock().waiting += 1;
        Self { shared }
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
