//! The intervals of the standard, in nanoseconds. Multiplied before divided: at 10 ms the skews of neighbouring
//! priorities differ by 39 µs.

use vrrp_proto::{AdverInterval, Priority, Version};

use crate::time::SECOND;

/// Skew_Time ([RFC 9568 §6.1], [RFC 3768 §6.1]): a part of the interval, in VRRPv2 of a second.
///
/// [RFC 9568 §6.1]: https://www.rfc-editor.org/rfc/rfc9568#section-6.1
/// [RFC 3768 §6.1]: https://www.rfc-editor.org/rfc/rfc3768#section-6.1
pub(crate) const fn skew(version: Version, priority: Priority, interval: AdverInterval) -> u64 {
    let whole = match version {
        Version::V2 => SECOND,
        Version::V3 => interval.as_nanos(),
    };
    (256 - priority.get() as u64) * whole / 256
}

/// Active_Down_Interval.
pub(crate) const fn active_down(
    version: Version,
    priority: Priority,
    interval: AdverInterval,
    adverts: u8,
) -> u64 {
    adverts as u64 * interval.as_nanos() + skew(version, priority, interval)
}

/// How late an active router may advertise before it has to assume that a backup took over: the earliest moment at which
/// one could have, counted from when the advertisement was due. With `adverts` 1 that would be the skew alone, a fraction
/// of a millisecond; then an interval is granted.
pub(crate) const fn pause_allowance(version: Version, interval: AdverInterval, adverts: u8) -> u64 {
    let missed = if adverts > 2 { adverts as u64 - 1 } else { 1 };
    missed * interval.as_nanos() + skew(version, Priority::new(254), interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(millis: u16) -> AdverInterval {
        AdverInterval::from_centiseconds(millis / 10).unwrap()
    }

    /// RFC 9568 §6.1; the values are worked out by hand from 3 L + (256 - p) L / 256.
    #[test]
    fn version_3() {
        for (millis, priority, down) in [
            (10, 254, 30_078_125),
            (10, 200, 32_187_500),
            (10, 100, 36_093_750),
            (10, 1, 39_960_937),
            (100, 254, 300_781_250),
            (100, 200, 321_875_000),
            (100, 100, 360_937_500),
            (100, 1, 399_609_375),
            (1_000, 254, 3_007_812_500),
            (1_000, 200, 3_218_750_000),
            (1_000, 100, 3_609_375_000),
            (1_000, 1, 3_996_093_750),
            (1_000, 255, 3_003_906_250),
            (40_950, 1, 163_640_039_062),
        ] {
            let priority = Priority::new(priority);
            assert_eq!(active_down(Version::V3, priority, interval(millis), 3), down);
            assert_eq!(
                skew(Version::V3, priority, interval(millis)),
                down - u64::from(millis) * 3_000_000
            );
        }
        assert_eq!(skew(Version::V3, Priority::new(254), interval(10)), 78_125);
    }

    /// RFC 3768 §6.1: the skew is a part of a second, whatever the interval.
    #[test]
    fn version_2() {
        for (seconds, priority, down) in [
            (1, 254, 3_007_812_500),
            (1, 255, 3_003_906_250),
            (1, 1, 3_996_093_750),
            (10, 100, 30_609_375_000),
            (255, 100, 765_609_375_000),
        ] {
            let interval = AdverInterval::from_seconds(seconds).unwrap();
            assert_eq!(
                active_down(Version::V2, Priority::new(priority), interval, 3),
                down
            );
        }
    }

    #[test]
    fn other_numbers_of_missed_advertisements() {
        let down = |adverts| active_down(Version::V3, Priority::new(199), interval(10), adverts);
        assert_eq!(down(1), 12_226_562);
        assert_eq!(down(2), 22_226_562);
        assert_eq!(down(100), 1_002_226_562);
    }

    #[test]
    fn pauses() {
        assert_eq!(pause_allowance(Version::V3, interval(100), 3), 200_781_250);
        assert_eq!(pause_allowance(Version::V3, interval(100), 2), 100_781_250);
        assert_eq!(pause_allowance(Version::V3, interval(100), 1), 100_781_250);
        assert_eq!(pause_allowance(Version::V2, interval(10_000), 4), 30_007_812_500);
    }
}
