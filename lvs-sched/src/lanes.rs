//! A place for each processor, so that threads seldom want the same one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places that hold an `L` or nothing. Each thread keeps to one; where there are more threads than places some share.
pub(crate) struct Lanes<L> {
    /// A power of two of them.
    lanes: Box<[Lane<L>]>,
}

#[repr(align(128))]
struct Lane<L>(Mutex<Option<L>>);

impl<L> Lanes<L> {
    /// One for each processor.
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = (0..processors.next_power_of_two().min(MAX_LANES)).map(|_| Lane(Mutex::new(None)));
        Self {
            lanes: lanes.collect(),
        }
    }

    /// The place of this thread.
    #[inline]
    pub(crate) fn mine(&self) -> MutexGuard<'_, Option<L>> {
        let number = NUMBER.with(|&number| number);
        self.lanes[number & (self.lanes.len() - 1)].lock()
    }

    /// Empties all places, one after the other.
    pub(crate) fn take_all(&self) -> Vec<L> {
        self.lanes.iter().filter_map(|lane| lane.lock().take()).collect()
    }
}

impl<L> Lane<L> {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Option<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_LANES: usize = 256;

/// Threads are numbered as they come, so that the first ones have places of their own.
static THREADS: AtomicUsize = AtomicUsize::new(0);

std::thread_local! {
    static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}
