//! Connections that ended while nobody looked, per back end.

use alloc::boxed::Box;
use std::sync::OnceLock;

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What happened to the connections of one back end since the last time somebody looked.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Account {
    /// Connections that ended.
    closed: AtomicU32,
    /// Connections that ended while active or became inactive, less those that became active.
    deactivated: AtomicU32,
}

/// The set of back ends with something in their [`Account`], by slot. Grows without moving.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Each part has twice the room of the one before.
    parts: [OnceLock<Box<[AtomicU64]>>; PARTS],
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            closed: AtomicU32::new(0),
            deactivated: AtomicU32::new(0),
        }
    }

    /// A connection ended.
    #[inline]
    pub(crate) fn close(&self, active: bool) {
        if active {
            self.deactivated.fetch_add(1, Ordering::Relaxed);
        }
        // Whoever sees the end sees the other half too: never more active connections than there are.
        self.closed.fetch_add(1, Ordering::Release);
    }

    /// A connection became active or inactive.
    #[inline]
    pub(crate) fn set_active(&self, active: bool) {
        if active {
            self.deactivated.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.deactivated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many ended, and by how many the active ones became fewer; then begins at zero again.
    pub(crate) fn settle(&self) -> (u32, i32) {
        let closed = self.closed.swap(0, Ordering::Acquire);
        let deactivated = self.deactivated.swap(0, Ordering::Relaxed);
        (closed, deactivated as i32)
    }
}

impl Ledger {
    /// Marks a back end, after its account was written.
    #[inline]
    pub(crate) fn mark(&self, slot: u32) {
        let word = slot as usize / 64;
        let (part, index) = locate(word);
        let words = self.parts[part].get_or_init(|| (0..FIRST << part).map(|_| AtomicU64::new(0)).collect());
        // Whoever takes the mark sees what was written to the account before.
        words[index].fetch_or(1 << (slot % 64), Ordering::AcqRel);
    }

    /// Takes all marks among the first `slots`.
    pub(crate) fn drain(&self, slots: usize, mut each: impl FnMut(u32)) {
        let mut words = slots.div_ceil(64);
        let mut base = 0;
        for (part, cell) in self.parts.iter().enumerate() {
            let size = (FIRST << part).min(words);
            if let Some(cells) = cell.get() {
                for (index, word) in cells[..size].iter().enumerate() {
                    // Read first: most words are empty, and reading does not take the line from others.
                    let mut marks = match word.load(Ordering::Relaxed) {
                        0 => 0,
                        _ => word.swap(0, Ordering::AcqRel),
                    };
                    while marks != 0 {
                        each((base + index as u32) * 64 + marks.trailing_zeros());
                        marks &= marks - 1;
                    }
                }
            }
            words -= size;
            if words == 0 {
                break;
            }
            base += (FIRST << part) as u32;
        }
    }

    /// Takes all marks there are.
    #[cfg(test)]
    fn drain_all(&self) -> alloc::vec::Vec<u32> {
        let mut marks = alloc::vec::Vec::new();
        self.drain(usize::MAX / 128, |slot| marks.push(slot));
        marks
    }
}

/// Words in the first part.
const FIRST: usize = if cfg!(all(test, loom)) { 1 } else { 64 };
/// Enough for two to the power of 32 slots.
const PARTS: usize = 21;

/// The part that a word lies in, and its place there.
const fn locate(word: usize) -> (usize, usize) {
    let part = (word / FIRST + 1).ilog2() as usize;
    (part, word - FIRST * ((1 << part) - 1))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn marks_are_found_once_wherever_they_are() {
        let ledger = Ledger::default();
        let slots = [0, 63, 64, 4_095, 4_096, 4_097, 12_287, 12_288, 100_000, 1_000_000];
        for slot in slots {
            ledger.mark(slot);
            ledger.mark(slot);
        }
        assert_eq!(ledger.drain_all(), slots);
        assert_eq!(ledger.drain_all(), []);
        ledger.mark(5_000);
        let mut found = Vec::new();
        ledger.drain(5_000, |slot| found.push(slot));
        // Whole words are looked at, so the bound is by 64.
        assert_eq!(found, [5_000]);
    }
}

#[cfg(all(test, loom))]
mod proofs {
    use alloc::vec::Vec;

    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two connections end while somebody looks, and looks again at the end: in every order both are seen, each once.
    #[test]
    fn nothing_is_lost_or_counted_twice() {
        loom::model(|| {
            let shared = Arc::new((Ledger::default(), Account::new()));
            // The part is there before anybody closes: making it is the standard library's business.
            shared.0.mark(0);
            assert_eq!(shared.0.drain_all(), [0]);
            let closers: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        shared.1.close(true);
                        shared.0.mark(0);
                    })
                })
                .collect();
            let look = || match shared.0.drain_all().as_slice() {
                [] => (0, 0),
                _ => shared.1.settle(),
            };
            let first = look();
            for closer in closers {
                closer.join().unwrap();
            }
            let second = look();
            assert_eq!((first.0 + second.0, first.1 + second.1), (2, 2));
        });
    }
}
