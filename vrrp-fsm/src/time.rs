use core::fmt;
use core::time::Duration;

/// A point in time: nanoseconds since an origin that the driver picks.
///
/// On Linux the driver takes `CLOCK_BOOTTIME`, which goes on while the machine is suspended; a test starts at
/// [`ZERO`](Self::ZERO). The range is 584 years; arithmetic stops at its ends instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// Later than everything that happens.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// This many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// This many milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this, or zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// This much later.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        self.plus(nanos(duration))
    }

    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub(crate) const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09} s", self.0 / SECOND, self.0 % SECOND)
    }
}

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A duration in nanoseconds, cut to 584 years.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    // `try_from` is not const, and the cast is checked by the line above it.
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        duration.as_secs() * SECOND + duration.subsec_nanos() as u64
    }
}

/// Writes nanoseconds as seconds with three digits, rounded to the nearest, or more where they would read as nothing.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_nanos() / 1_000;
        if micros < 1_000 {
            return write!(f, "0.{micros:06} s");
        }
        let millis = (micros + 500) / 1_000;
        write!(f, "{}.{:03} s", millis / 1_000, millis % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let second = Instant::from_millis(1_000);
        assert_eq!(second.as_nanos(), SECOND);
        assert_eq!(Instant::ZERO.saturating_since(second), Duration::ZERO);
        assert_eq!(second.saturating_since(Instant::ZERO), Duration::from_secs(1));
        assert_eq!(
            second.saturating_add(Duration::from_millis(5)),
            Instant::from_millis(1_005)
        );
        assert_eq!(second.saturating_add(Duration::MAX), Instant::NEVER);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::NEVER);
        assert_eq!(Instant::from_nanos(7).as_nanos(), 7);
    }

    #[test]
    fn durations_in_nanoseconds() {
        assert_eq!(nanos(Duration::from_nanos(u64::MAX)), u64::MAX);
        assert_eq!(
            nanos(Duration::from_nanos(u64::MAX) + Duration::from_nanos(1)),
            u64::MAX
        );
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        assert_eq!(nanos(Duration::new(3, 4)), 3 * SECOND + 4);
    }

    #[test]
    fn text() {
        assert_eq!(Instant::from_nanos(1_000_000_002).to_string(), "1.000000002 s");
        assert_eq!(
            Seconds(Duration::from_nanos(3_609_375_000)).to_string(),
            "3.609 s"
        );
        assert_eq!(Seconds(Duration::from_micros(999_500)).to_string(), "1.000 s");
        assert_eq!(Seconds(Duration::from_micros(78)).to_string(), "0.000078 s");
        assert_eq!(Seconds(Duration::from_millis(1)).to_string(), "0.001 s");
    }
}
