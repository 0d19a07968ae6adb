//! Which thread takes which of the picks that are known beforehand.

use crate::sync::{AtomicU64, Ordering};

/// Hands out the numbers 0, 1, 2 and so on, each once, until [`seal`](Self::seal).
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Tickets {
    next: AtomicU64,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
        }
    }

    /// The next number, unless sealed.
    #[inline]
    pub(crate) fn take(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < SEALED).then_some(number)
    }

    /// Ends the handing out, and says how many numbers were taken: all below this and no others.
    pub(crate) fn seal(&self) -> u64 {
        self.next.fetch_or(SEALED, Ordering::Relaxed) & !SEALED
    }
}

/// More than will ever be taken; above it is room for those who try afterwards.
const SEALED: u64 = 1 << 63;

#[cfg(all(test, loom))]
mod proofs {
    use alloc::vec::Vec;

    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    /// In every order of events each number below the seal is taken once, and none above it.
    #[test]
    fn each_number_is_taken_once() {
        loom::model(|| {
            let tickets = Arc::new(Tickets::new());
            let taken = Arc::new(Mutex::new(Vec::new()));
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let (tickets, taken) = (tickets.clone(), taken.clone());
                    thread::spawn(move || {
                        for _ in 0..2 {
                            if let Some(number) = tickets.take() {
                                taken.lock().unwrap().push(number);
                            }
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
            assert_eq!(tickets.take(), None);
        });
    }
}
