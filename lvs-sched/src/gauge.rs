//! Connections of a back end, counted by many threads without a lock.

use crate::sync::{AtomicU32, Ordering};

/// Counters of one back end, and whether it may get a flow.
///
/// Counting is a fixed number of atomic additions. Where the back end has thresholds the caller is told to reassess: to
/// take its lock, read the total and set the flag by it. Whoever does so last has seen everybody's addition, so the flag
/// is right once all have.
#[derive(Debug)]
pub(crate) struct Gauge {
    active: AtomicU32,
    /// All connections, and in the highest bits whether there are thresholds and whether it is barred from flows. One word,
    /// so that of an addition and a new threshold one always sees the other.
    total: AtomicU32,
}

impl Gauge {
    pub(crate) fn new(eligible: bool, has_thresholds: bool) -> Self {
        let thresholds = if has_thresholds { THRESHOLDS } else { 0 };
        let barred = if eligible { 0 } else { BARRED };
        Self {
            active: AtomicU32::new(0),
            total: AtomicU32::new(thresholds | barred),
        }
    }

    #[inline]
    pub(crate) fn is_eligible(&self) -> bool {
        self.total.load(Ordering::Relaxed) & BARRED == 0
    }

    pub(crate) fn set_eligible(&self, eligible: bool) {
        self.set_flag(BARRED, !eligible);
    }

    /// Counts a connection. True if the flag must be reassessed.
    #[inline]
    pub(crate) fn open(&self, active: bool) -> bool {
        if active {
            self.active.fetch_add(1, Ordering::Relaxed);
        }
        self.total.fetch_add(1, Ordering::Relaxed) & THRESHOLDS != 0
    }

    /// Uncounts a connection. True if the flag must be reassessed.
    #[inline]
    pub(crate) fn close(&self, active: bool) -> bool {
        if active {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
        self.total.fetch_sub(1, Ordering::Relaxed) & THRESHOLDS != 0
    }

    pub(crate) fn set_active(&self, active: bool) {
        if active {
            self.active.fetch_add(1, Ordering::Relaxed);
        } else {
            self.active.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// From here on everybody who counts reassesses, or nobody need.
    pub(crate) fn set_thresholds(&self, present: bool) {
        self.set_flag(THRESHOLDS, present);
    }

    pub(crate) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    pub(crate) fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed) & !(THRESHOLDS | BARRED)
    }

    fn set_flag(&self, flag: u32, set: bool) {
        if set {
            self.total.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.total.fetch_and(!flag, Ordering::Relaxed);
        }
    }
}

const THRESHOLDS: u32 = 1 << 31;
const BARRED: u32 = 1 << 30;

#[cfg(all(test, loom))]
mod proofs {
    use alloc::vec::Vec;

    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    /// Two connections come, one of them goes again, and meanwhile somebody sets a threshold of two: in every order of
    /// events the flag ends as the total says.
    #[test]
    fn the_flag_ends_as_the_total_says() {
        loom::model(|| {
            let gauge = Arc::new(Gauge::new(true, false));
            // The threshold, as the pool keeps it under its lock.
            let upper = Arc::new(Mutex::new(0_u32));
            let reassess = |gauge: &Gauge, upper: &Mutex<u32>| {
                let upper = upper.lock().unwrap();
                gauge.set_eligible(*upper == 0 || gauge.total() < *upper);
            };
            let counting: Vec<_> = [false, true]
                .into_iter()
                .map(|closes| {
                    let (gauge, upper) = (gauge.clone(), upper.clone());
                    thread::spawn(move || {
                        if gauge.open(true) {
                            reassess(&gauge, &upper);
                        }
                        if closes && gauge.close(true) {
                            reassess(&gauge, &upper);
                        }
                    })
                })
                .collect();
            {
                let mut upper = upper.lock().unwrap();
                *upper = 1;
                gauge.set_thresholds(true);
                gauge.set_eligible(gauge.total() < *upper);
            }
            for thread in counting {
                thread.join().unwrap();
            }
            assert_eq!(gauge.total(), 1);
            assert_eq!(gauge.active(), 1);
            assert!(!gauge.is_eligible());
        });
    }
}
