//! The monotonic clock of an engine.

use std::time::Instant;

use crate::time::Time;

/// Counts from the start of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Time {
        Time::ZERO.after(self.origin.elapsed())
    }
}
