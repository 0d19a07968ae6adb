//! The clock and the random numbers, which come from outside.

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// A point in time: nanoseconds from an origin that the environment picks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

/// Where a pool takes time and chance from.
///
/// Time is asked for by `lblc`, `lblcr` and persistence, chance by `twos`; the other schedulers never ask.
pub trait Environment: fmt::Debug + Send {
    /// The time now. Going backwards is harmless: nothing expires meanwhile.
    fn now(&mut self) -> Instant;

    /// A number from 0 to `bound - 1`, each equally likely. `bound` is never 0.
    fn random_below(&mut self, bound: u64) -> u64;
}

/// An environment for tests and simulation: time is set by hand, numbers follow from a seed.
///
/// Clones share the clock and not the numbers, so keep one to set the time and give the other to the pool.
#[derive(Clone, Debug)]
pub struct Simulated {
    now: Arc<AtomicU64>,
    random: SplitMix,
}

/// The machine's monotonic clock, and numbers from a seed that differs each time.
#[cfg(feature = "std")]
#[derive(Clone, Debug)]
pub struct System {
    origin: std::time::Instant,
    random: SplitMix,
}

impl Instant {
    /// This many nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This much later; stops at the end of time, after 584 years.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Simulated {
    /// Time zero, and the numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Arc::new(AtomicU64::new(0)),
            random: SplitMix(seed),
        }
    }

    /// Sets the time for this environment and its clones.
    pub fn set(&self, now: Instant) {
        self.now.store(now.0, Ordering::Relaxed);
    }

    /// Lets time pass for this environment and its clones.
    pub fn advance(&self, duration: Duration) {
        let now = self.now.load(Ordering::Relaxed);
        self.now
            .store(now.saturating_add(nanos(duration)), Ordering::Relaxed);
    }
}

impl Environment for Simulated {
    fn now(&mut self) -> Instant {
        Instant(self.now.load(Ordering::Relaxed))
    }

    fn random_below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }
}

#[cfg(feature = "std")]
impl System {
    /// The clock starts here.
    #[must_use]
    pub fn new() -> Self {
        use std::hash::BuildHasher;
        Self {
            origin: std::time::Instant::now(),
            random: SplitMix(std::hash::RandomState::new().hash_one(0)),
        }
    }
}

#[cfg(feature = "std")]
impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
impl Environment for System {
    fn now(&mut self) -> Instant {
        Instant(nanos(self.origin.elapsed()))
    }

    fn random_below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }
}

/// A duration in nanoseconds, at most 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sebastiano Vigna's SplitMix64: enough for spreading load, not for secrets.
#[derive(Clone, Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The high half of a product: the bias is below `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
