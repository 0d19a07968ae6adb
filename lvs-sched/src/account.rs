//! Connections of one back end that ended or changed and are not yet counted as such.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What happened to the connections of a back end since somebody last settled, and how much of that may stay unsettled.
#[derive(Debug)]
pub(crate) struct Account {
    /// Ended connections in the low half; in the high one, which may be negative, by how many the active ones became fewer.
    word: AtomicU64,
    /// From so many on, of either, they must be settled.
    quota: AtomicU32,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            quota: AtomicU32::new(1),
        }
    }

    /// A connection ended. True if the account must be settled.
    #[inline]
    pub(crate) fn close(&self, active: bool) -> bool {
        self.note(if active { DEACTIVATED + 1 } else { 1 })
    }

    /// A connection became active or inactive. True if the account must be settled.
    #[inline]
    pub(crate) fn set_active(&self, active: bool) -> bool {
        self.note(if active {
            DEACTIVATED.wrapping_neg()
        } else {
            DEACTIVATED
        })
    }

    /// How many ended and by how many the active ones became fewer; then begins at zero again.
    pub(crate) fn settle(&self) -> (u32, i32) {
        halves(self.word.swap(0, Ordering::AcqRel))
    }

    /// The same without beginning again.
    #[cfg(test)]
    pub(crate) fn unsettled(&self) -> (u32, i32) {
        halves(self.word.load(Ordering::Acquire))
    }

    /// Sets how much may stay unsettled. With 1, and settled once afterwards, everything that comes later is settled at once.
    pub(crate) fn set_quota(&self, quota: u32) {
        self.quota.store(quota, Ordering::Relaxed);
    }

    #[inline]
    fn note(&self, change: u64) -> bool {
        let word = self.word.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        let (ended, deactivated) = halves(word);
        ended.max(deactivated.unsigned_abs()) >= self.quota.load(Ordering::Relaxed)
    }
}

const fn halves(word: u64) -> (u32, i32) {
    (word as u32, (word >> 32) as i32)
}

const DEACTIVATED: u64 = 1 << 32;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_half_reaches_the_quota() {
        let account = Account::new();
        account.set_quota(3);
        let ends = [account.close(true), account.close(false), account.close(true)];
        assert_eq!(ends, [false, false, true]);
        assert_eq!(account.unsettled(), (3, 2));
        assert_eq!(account.settle(), (3, 2));
        let changes = [true, true, false, true, true].map(|active| account.set_active(active));
        assert_eq!(changes, [false, false, false, false, true]);
        assert_eq!(account.settle(), (0, -3));
        assert_eq!(account.settle(), (0, 0));
    }
}

#[cfg(all(test, loom))]
mod proofs {
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    /// Connections end while the quota falls to one, as it does when a back end is removed: in every order of events each
    /// is settled once, by whoever was told to, and none is left over.
    #[test]
    fn nothing_is_lost_counted_twice_or_left_over() {
        loom::model(|| {
            let account = Arc::new(Account::new());
            account.set_quota(5);
            let settled = Arc::new(Mutex::new((0, 0)));
            let settle = |account: &Account, settled: &Mutex<(u32, i32)>| {
                let mut settled = settled.lock().unwrap();
                let (ended, deactivated) = account.settle();
                *settled = (settled.0 + ended, settled.1 + deactivated);
            };
            let closers: [_; 2] = core::array::from_fn(|_| {
                let (account, settled) = (account.clone(), settled.clone());
                thread::spawn(move || {
                    if account.close(true) {
                        settle(&account, &settled);
                    }
                })
            });
            account.set_quota(1);
            settle(&account, &settled);
            for closer in closers {
                closer.join().unwrap();
            }
            assert_eq!(*settled.lock().unwrap(), (2, 2));
            assert_eq!(account.unsettled(), (0, 0));
        });
    }
}
