//! Closures that decide about the priority.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vrrp_fsm::{TrackId, TrackStatus};

use crate::Error;
use crate::handle::Control;

/// A closure to be asked, how often, and what its answer weighs.
#[derive(Clone)]
pub(crate) struct Tracker {
    pub(crate) weight: i16,
    pub(crate) every: Duration,
    pub(crate) check: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Tracker {
    /// Asks from now on, on a thread of its own: the closure may take its time.
    pub(crate) fn start(&self, id: TrackId, control: Control) -> Result<Running, Error> {
        let state = Arc::new(State::default());
        let running = Running(Arc::clone(&state));
        let (check, every) = (Arc::clone(&self.check), self.every);
        std::thread::Builder::new()
            .name("vrrp-tracker".into())
            .spawn(move || {
                while !*state.lock() {
                    let status = if check() {
                        TrackStatus::Good
                    } else {
                        TrackStatus::Bad
                    };
                    control.track(id, status);
                    let stop = state.lock();
                    let waited = state.changed.wait_timeout_while(stop, every, |stop| !*stop);
                    drop(waited);
                }
            })
            .map_err(Error::Thread)?;
        Ok(running)
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("weight", &self.weight)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// A tracker that asks until this is dropped. A closure that is being asked is not waited for.
#[derive(Debug)]
pub(crate) struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.lock() = true;
        self.0.changed.notify_all();
    }
}

#[derive(Debug, Default)]
struct State {
    stop: Mutex<bool>,
    changed: Condvar,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
