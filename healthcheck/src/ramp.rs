//! Easing a recovered target in.

use core::time::Duration;

use crate::time::{Time, nanos};

/// The weight of a target grows from a fraction to the whole over some time after its recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    duration: Duration,
    from_percent: u8,
}

impl Ramp {
    /// From `from_percent` of the weight (at most 100) to all of it within `duration`.
    pub fn new(duration: Duration, from_percent: u8) -> Self {
        Self {
            duration,
            from_percent: from_percent.min(100),
        }
    }

    /// The weight at `now` of a target of weight `full` that recovered at `since`: never more than `full`, never zero
    /// unless `full` is, never falling as time goes on.
    pub fn weight(&self, full: u32, since: Time, now: Time) -> u32 {
        if full == 0 {
            return 0;
        }
        let whole = u128::from(nanos(self.duration));
        let gone = u128::from(nanos(now.since(since))).min(whole);
        if gone == whole {
            return full;
        }
        let from = u128::from(self.from_percent);
        // from % + (100 − from) % × gone / whole, of full: at most 2³² × 100 × 2⁶⁴, far inside 128 bits.
        let scaled = u128::from(full) * (from * whole + (100 - from) * gone) / (100 * whole);
        u32::try_from(scaled).unwrap_or(full).clamp(1, full)
    }

    /// When the weight is next due to be computed anew, if `steps` (at least one) changes should make the whole ramp;
    /// `None` when it is over.
    pub fn next_step(&self, since: Time, now: Time, steps: u32) -> Option<Time> {
        let whole = nanos(self.duration);
        let gone = nanos(now.since(since));
        if gone >= whole {
            return None;
        }
        let step = (whole / u64::from(steps.max(1))).max(1);
        Some(since.after(Duration::from_nanos(
            (gone / step).saturating_add(1).saturating_mul(step).min(whole),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_from_the_fraction_to_the_whole_and_never_falls() {
        let ramp = Ramp::new(Duration::from_secs(10), 20);
        let at = |millis| ramp.weight(100, Time::ZERO, Time::ZERO.after(Duration::from_millis(millis)));
        assert_eq!((at(0), at(5_000), at(10_000), at(99_000)), (20, 60, 100, 100));
        assert!((0..200).map(|i| at(i * 50)).is_sorted());
        assert_eq!(Ramp::new(Duration::ZERO, 0).weight(7, Time::ZERO, Time::ZERO), 7);
        assert_eq!(
            Ramp::new(Duration::MAX, 0).weight(u32::MAX, Time::ZERO, Time::from_nanos(1)),
            1
        );
        assert_eq!(ramp.weight(0, Time::ZERO, Time::ZERO), 0);
    }

    #[test]
    fn steps_lead_to_the_end() {
        let ramp = Ramp::new(Duration::from_secs(10), 0);
        let mut now = Time::ZERO;
        let mut steps = 0;
        while let Some(next) = ramp.next_step(Time::ZERO, now, 4) {
            assert!(next > now);
            now = next;
            steps += 1;
        }
        assert_eq!((steps, now), (4, Time::ZERO.after(Duration::from_secs(10))));
    }
}
