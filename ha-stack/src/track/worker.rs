//! What all trackers are inside: a thread that is told what to watch.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::children::Waker;
use crate::error::Error;
use crate::pulse::Pulse;

/// A tracker, as whoever looks after it sees it.
pub(crate) trait Watch {
    /// Whether its thread runs and has done something since this was called last.
    fn has_moved(&self) -> bool;

    /// Lets go of it without waiting for its thread, which may be stuck.
    fn abandon(self);
}

/// A thread that watches objects of type `T`. Dropping this ends it, and waits for that.
pub(super) struct Worker<T> {
    inbox: Arc<Inbox<T>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the thread finds what it is told. Its waker is readable when there is something.
pub(super) struct Inbox<T> {
    pub(super) waker: Waker,
    orders: Mutex<Orders<T>>,
    pulse: Pulse,
}

/// What the thread was told since it last asked.
pub(super) struct Orders<T> {
    /// The objects that are to be watched instead of those before.
    pub(super) wanted: Option<Vec<T>>,
    /// To end.
    pub(super) stop: bool,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread, which must return when it is told to stop.
    pub(super) fn start(
        name: &'static str,
        run: impl FnOnce(Arc<Inbox<T>>) + Send + 'static,
    ) -> Result<Self, Error> {
        let inbox = Arc::new(Inbox {
            waker: Waker::new().map_err(Error::system("cannot make an event descriptor"))?,
            orders: Mutex::default(),
            pulse: Pulse::default(),
        });
        let of_thread = Arc::clone(&inbox);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(of_thread))
            .map_err(Error::system("cannot start a thread for a tracker"))?;
        Ok(Self {
            inbox,
            thread: Some(thread),
        })
    }
}

impl<T> Worker<T> {
    /// Replaces what is watched.
    pub(super) fn watch(&self, wanted: Vec<T>) {
        self.inbox.tell(|orders| orders.wanted = Some(wanted));
    }

    /// Whether the thread runs and has done something since this was called last.
    pub(super) fn has_moved(&self) -> bool {
        let is_alive = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let has_answered = self.inbox.pulse.has_answered();
        self.inbox.waker.wake();
        is_alive && has_answered
    }

    /// Lets go of a thread that may never end. If it goes on after all, it finds that it is to end.
    pub(super) fn abandon(mut self) {
        self.thread = None;
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.inbox.tell(|orders| orders.stop = true);
        if let Some(thread) = self.thread.take() {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "the thread of a tracker ended in a panic");
            }
        }
    }
}

impl<T> Inbox<T> {
    /// What was told since the last call. A sign of life, too.
    pub(super) fn take(&self) -> Orders<T> {
        self.pulse.answer();
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, change: impl FnOnce(&mut Orders<T>)) {
        change(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        self.waker.wake();
    }
}

impl<T> Default for Orders<T> {
    fn default() -> Self {
        Self {
            wanted: None,
            stop: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_is_stuck_or_dead_shows() {
        let (go, may_go) = mpsc::channel::<()>();
        let worker: Worker<()> = Worker::start("test", move |inbox| {
            while may_go.recv().is_ok() {
                inbox.take();
            }
        })
        .unwrap();
        assert!(worker.has_moved(), "it has not been asked before");
        assert!(!worker.has_moved());
        go.send(()).unwrap();
        while !worker.has_moved() {
            go.send(()).unwrap();
            std::thread::yield_now();
        }
        // Its end.
        drop(go);
        while !worker.thread.as_ref().unwrap().is_finished() {
            std::thread::yield_now();
        }
        worker.inbox.take();
        assert!(!worker.has_moved());
        worker.abandon();
    }
}
