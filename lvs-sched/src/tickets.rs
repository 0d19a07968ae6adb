//! Which thread takes which of the picks that were drawn ahead.

use crate::sync::{AtomicU64, Ordering};

/// Hands out the numbers 0, 1, 2 and so on, each once, until so many connections came and went that fresh picks must be
/// drawn, or until [`seal`](Self::seal).
///
/// One word: how many were taken in its low half, and in its high half how many events there were, each taking and each
/// ending of a connection being one.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Tickets {
    word: AtomicU64,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    /// The next number, while there were fewer than `limit` events.
    #[inline]
    pub(crate) fn take(&self, limit: u32) -> Option<usize> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word >> EVENTS >= u64::from(limit) {
                return None;
            }
            let taken = word + TAKEN;
            match self
                .word
                .compare_exchange_weak(word, taken, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some((word & COUNT) as usize),
                Err(now) => word = now,
            }
        }
    }

    /// A connection ended.
    #[inline]
    pub(crate) fn note_event(&self) {
        self.word.fetch_add(1 << EVENTS, Ordering::Relaxed);
    }

    /// How many numbers were taken so far.
    pub(crate) fn taken(&self) -> usize {
        (self.word.load(Ordering::Relaxed) & COUNT) as usize
    }

    /// Ends the handing out, and says how many numbers were taken: all below this and no others.
    pub(crate) fn seal(&self) -> usize {
        (self.word.fetch_or(SEALED, Ordering::Relaxed) & COUNT) as usize
    }
}

const EVENTS: u32 = 32;
const COUNT: u64 = u32::MAX as u64;
/// A taking is an event too.
const TAKEN: u64 = (1 << EVENTS) + 1;
/// More events than any limit; the rest of the half is room for those who note one afterwards.
const SEALED: u64 = 1 << 63;

#[cfg(all(test, loom))]
mod proofs {
    use alloc::vec::Vec;

    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    /// In every order of events each number is taken once or, after the seal, never; and no more than the limit.
    #[test]
    fn each_number_is_taken_once_or_returned() {
        loom::model(|| {
            let tickets = Arc::new(Tickets::new());
            let taken = Arc::new(Mutex::new(Vec::new()));
            let takers: Vec<_> = (0..2)
                .map(|taker| {
                    let (tickets, taken) = (tickets.clone(), taken.clone());
                    thread::spawn(move || {
                        if let Some(number) = tickets.take(2) {
                            taken.lock().unwrap().push(number);
                        }
                        if taker == 0 {
                            tickets.note_event();
                        }
                    })
                })
                .collect();
            let sealed = tickets.seal();
            for taker in takers {
                taker.join().unwrap();
            }
            let mut taken = taken.lock().unwrap().clone();
            taken.sort_unstable();
            assert_eq!(taken, (0..sealed).collect::<Vec<_>>());
            assert_eq!(tickets.take(u32::MAX >> 1), None);
        });
    }
}
