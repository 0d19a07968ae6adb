//! How late starts were: a histogram that never grows.

use core::time::Duration;

/// A histogram of delays in buckets of an eighth of an octave: a quantile is at most 12.5 percent too high.
#[derive(Clone, Debug)]
pub struct Lateness {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    longest: Duration,
}

impl Lateness {
    /// How many delays were recorded.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The longest of them.
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// The delay that `per_mille` of 1000 do not exceed (rounded up to the end of its bucket); zero if none were
    /// recorded.
    pub fn quantile(&self, per_mille: u16) -> Duration {
        let rank = u128::from(self.count) * u128::from(per_mille.min(1000));
        let rank = rank.div_ceil(1000).max(1);
        let mut seen = 0_u128;
        for (number, bucket) in self.buckets.iter().enumerate() {
            seen += u128::from(*bucket);
            if seen >= rank {
                return bucket_end(number).min(self.longest);
            }
        }
        Duration::ZERO
    }

    pub(crate) fn record(&mut self, delay: Duration) {
        self.count = self.count.saturating_add(1);
        self.longest = self.longest.max(delay);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(delay)) {
            *bucket = bucket.saturating_add(1);
        }
    }
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            longest: Duration::ZERO,
        }
    }
}

/// Whole microseconds up to eight, then eight buckets to each doubling, up to 2⁴⁰ µs (twelve days).
fn bucket_of(delay: Duration) -> usize {
    let micros = u64::try_from(delay.as_micros())
        .unwrap_or(u64::MAX)
        .min((1 << 40) - 1);
    if micros < 8 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let octave = micros.ilog2() - 3;
    let eighth = (micros >> octave) & 7;
    usize::try_from(u64::from(octave) * 8 + eighth).unwrap_or(0) + 8
}

fn bucket_end(number: usize) -> Duration {
    if number < 8 {
        return Duration::from_micros(u64::try_from(number).unwrap_or(0) + 1);
    }
    let octave = (number - 8) / 8;
    let eighth = u64::try_from((number - 8) % 8).unwrap_or(0);
    Duration::from_micros((8 + eighth + 1) << octave)
}

const BUCKETS: usize = 8 + 8 * 38;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delay_lies_below_the_end_of_its_bucket_and_above_the_one_before() {
        for micros in (0..4000).chain((12..40).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let delay = Duration::from_micros(micros);
            let bucket = bucket_of(delay);
            assert!(bucket < BUCKETS && delay < bucket_end(bucket), "{micros}");
            assert!(bucket == 0 || delay >= bucket_end(bucket - 1), "{micros}");
        }
        assert!(bucket_of(Duration::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_close_and_never_too_low() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.quantile(990), Duration::ZERO);
        (1..=1000).for_each(|millis| lateness.record(Duration::from_millis(millis)));
        let p99 = lateness.quantile(990);
        assert!(
            p99 >= Duration::from_millis(990) && p99 <= Duration::from_millis(1000),
            "{p99:?}"
        );
        let median = lateness.quantile(500);
        assert!(
            median >= Duration::from_millis(500) && median <= Duration::from_millis(563),
            "{median:?}"
        );
        assert_eq!(lateness.longest(), Duration::from_secs(1));
    }
}
