//! What the handles and the engine have in common, behind one lock.

use core::fmt;
use core::hash::Hash;
use core::task::{Context as TaskContext, Poll, Waker};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::bell::Bell;
use crate::check::Check;
use crate::clock::Clock;
use crate::error::Error;
use crate::monitor::Monitor;

/// What a target can be called by.
pub trait Key: Clone + Eq + Hash + Send + 'static {}

impl<T: Clone + Eq + Hash + Send + 'static> Key for T {}

/// What the handles and the engine share.
pub(crate) struct Shared<K: Key> {
    state: Mutex<Locked<K>>,
    changed: Condvar,
    pub(crate) reconciling: Mutex<()>,
    pub(crate) bell: Bell,
    pub(crate) clock: Clock,
}

pub(crate) struct Locked<K: Key> {
    pub(crate) monitor: Monitor<K, Check>,
    wakers: Vec<Waker>,
    /// Those who want to be told after every turn.
    pub(crate) waiting: usize,
    /// Those who sleep until there are events.
    readers: usize,
    pub(crate) stopped: bool,
}

impl<K: Key> Shared<K> {
    pub(crate) fn new(monitor: Monitor<K, Check>) -> Result<Self, Error> {
        Ok(Self {
            state: Mutex::new(Locked {
                monitor,
                wakers: Vec::new(),
                waiting: 0,
                readers: 0,
                stopped: false,
            }),
            changed: Condvar::new(),
            reconciling: Mutex::new(()),
            bell: Bell::new()?,
            clock: Clock::start(),
        })
    }

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

    /// Waits on this thread until something is ready, the deadline is there (`None`) or the checker is gone (`None`).
    pub(crate) fn wait<T>(
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
            if state.stopped || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
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

    /// The same for a task.
    pub(crate) fn poll<T>(
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
