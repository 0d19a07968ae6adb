//! A thread per notifier, with a bounded queue before it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::notify::{Event, EventQueue, Notifier};
use crate::persist::persist;
use crate::pulse::{Patience, Pulse};

/// Carries events to one notifier, in order, on a thread of its own.
///
/// Handing over never waits. A notifier that is slow or stuck holds up nobody but itself: its events wait, and merge as
/// [`EventQueue`] says. Dropping the courier tells the thread to end after the event it is busy with.
pub struct Courier {
    shared: Arc<Shared>,
    patience: Mutex<Patience>,
}

impl Courier {
    /// Starts the thread; `name` appears in the log, `capacity` is how many events may wait before they merge.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel gives no thread.
    pub fn start(
        name: &'static str,
        mut notifier: impl Notifier + 'static,
        capacity: usize,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: EventQueue::new(capacity),
                busy: false,
                stop: false,
            }),
            changed: Condvar::new(),
            pulse: Pulse::default(),
        });
        let worker = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(format!("notify-{name}"))
            .spawn(move || persist(name, || worker.deliver(name, &mut notifier)))
            .map_err(Error::system("cannot start a thread for notifications"))?;
        Ok(Self {
            shared,
            patience: Mutex::new(Patience::new(PATIENCE)),
        })
    }

    /// A look at the thread. Returns for how long it has been stuck with one event, or dead, once that is too long.
    pub(crate) fn look(&self) -> Option<Duration> {
        let has_answered = self.shared.pulse.has_answered();
        self.shared.changed.notify_all();
        self.patience().look(has_answered || self.is_closed())
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what waits for another courier, which gets nothing any more. It has twice the time.
    pub(crate) fn succeed(&self, stuck: &Self) {
        let mut patience = stuck.patience().clone();
        patience.renew();
        *self.patience() = patience;
        let mut left = {
            let mut state = stuck.shared.lock();
            state.stop = true;
            std::mem::replace(&mut state.queue, EventQueue::new(0))
        };
        while let Some((event, ())) = left.pop() {
            self.send(event);
        }
    }

    #[cfg(test)]
    pub(crate) fn set_patience(&self, limit: Duration) {
        *self.patience.lock().unwrap() = Patience::new(limit);
    }

    /// Hands over an event.
    pub fn send(&self, event: Event) {
        let mut state = self.shared.lock();
        if !state.stop {
            state.queue.push(event, ());
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How many events were replaced by later ones because the notifier was too slow.
    pub fn merged(&self) -> u64 {
        self.shared.lock().queue.merged()
    }

    /// Whether the notifier said [`Error::Closed`]: it will get nothing any more.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().stop
    }

    /// Waits until everything is delivered, but no longer than `limit`. Returns whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.busy || !state.queue.is_empty() {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Courier").finish_non_exhaustive()
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pulse: Pulse,
}

struct State {
    queue: EventQueue,
    busy: bool,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, name: &'static str, notifier: &mut impl Notifier) {
        let mut state = self.lock();
        // It may have panicked over an event, which is lost.
        state.busy = false;
        loop {
            self.pulse.answer();
            if state.stop {
                self.changed.notify_all();
                return;
            }
            let Some((event, ())) = state.queue.pop() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.busy = true;
            drop(state);
            let outcome = notifier.notify(&event);
            state = self.lock();
            match outcome {
                Ok(()) => {}
                Err(Error::NotYet) => state.queue.put_back(event, ()),
                Err(Error::Closed) => {
                    state.stop = true;
                    state.queue = EventQueue::new(0);
                }
                Err(error) => {
                    tracing::warn!(notifier = name, object = %event.object, event = event.kind.word(), %error, "a notification was lost");
                }
            }
            state.busy = false;
            self.changed.notify_all();
        }
    }
}

/// More than a mail server may take for one mail.
const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::notify::NotifyState;
    use crate::notify::event::tests::state;

    /// One that cannot bear its first event.
    struct Delicate(mpsc::SyncSender<&'static str>, bool);

    impl Notifier for Delicate {
        fn notify(&mut self, event: &Event) -> Result<(), Error> {
            assert!(
                std::mem::replace(&mut self.1, true),
                "this panic is part of the test"
            );
            self.0.send(event.kind.word()).map_err(|_| Error::Closed)
        }
    }

    #[test]
    fn a_notifier_that_panics_gets_the_next_event() {
        let (sender, receiver) = mpsc::sync_channel(9);
        let courier = Courier::start("test", Delicate(sender, false), 9).unwrap();
        courier.send(state("VI_1", NotifyState::Backup));
        courier.send(state("VI_1", NotifyState::Master));
        assert_eq!(receiver.recv().unwrap(), "MASTER");
        assert!(courier.flush(Duration::from_secs(60)));
    }

    #[test]
    fn a_slow_notifier_gets_the_latest_state_and_the_number_of_those_it_missed() {
        let (sender, receiver) = mpsc::sync_channel(0);
        let courier = Courier::start("test", sender, 2).unwrap();
        for _ in 0..50 {
            courier.send(state("VI_1", NotifyState::Backup));
            courier.send(state("VI_1", NotifyState::Master));
        }
        let mut told = 0;
        let last = loop {
            let event = receiver.recv().unwrap();
            told += 1 + event.merged;
            if told == 100 {
                break event;
            }
        };
        assert_eq!(last.kind.word(), "MASTER");
        assert!(courier.merged() > 0);
        assert!(courier.flush(Duration::from_secs(60)));
    }

    #[test]
    fn a_stuck_notifier_does_not_hold_up_the_end() {
        let (sender, _receiver) = mpsc::sync_channel(0);
        let courier = Courier::start("test", sender, 2).unwrap();
        courier.send(state("VI_1", NotifyState::Stop));
        assert!(!courier.flush(Duration::from_millis(10)));
    }

    #[test]
    fn one_that_is_stuck_shows_and_another_gets_what_waits() {
        struct Stuck(mpsc::Receiver<()>, mpsc::Sender<()>);
        impl Notifier for Stuck {
            fn notify(&mut self, _: &Event) -> Result<(), Error> {
                let _ = self.1.send(());
                let _ = self.0.recv();
                Ok(())
            }
        }
        let (let_go, held) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let courier = Courier::start("test", Stuck(held, begun), 9).unwrap();
        courier.set_patience(Duration::ZERO);
        courier.send(state("VI_1", NotifyState::Backup));
        has_begun.recv().unwrap();
        courier.send(state("VI_1", NotifyState::Master));
        while courier.look().is_none() {}
        let (sender, receiver) = mpsc::sync_channel(9);
        let other = Courier::start("test", sender, 9).unwrap();
        other.succeed(&courier);
        assert_eq!(receiver.recv().unwrap().kind.word(), "MASTER");
        assert!(courier.is_closed());
        drop(let_go);
    }

    #[test]
    fn an_event_that_cannot_be_delivered_does_not_hold_up_the_next() {
        struct Fails(mpsc::Sender<u64>);
        impl Notifier for Fails {
            fn notify(&mut self, event: &Event) -> Result<(), Error> {
                let _ = self.0.send(event.sequence);
                Err(Error::UnknownUser)
            }
        }
        let (sender, receiver) = mpsc::channel();
        let courier = Courier::start("test", Fails(sender), 9).unwrap();
        for sequence in 1..=3 {
            let mut event = state("VI_1", NotifyState::Backup);
            event.sequence = sequence;
            courier.send(event);
        }
        assert!(courier.flush(Duration::from_secs(60)));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_receiver_that_is_gone_ends_it() {
        let (sender, receiver) = mpsc::sync_channel(9);
        let courier = Courier::start("test", sender, 9).unwrap();
        drop(receiver);
        courier.send(state("VI_1", NotifyState::Backup));
        courier.send(state("VI_1", NotifyState::Master));
        assert!(courier.flush(Duration::from_secs(60)));
        assert!(courier.is_closed());
    }
}
