//! When to check, and how many answers it takes to believe them.

use core::num::NonZeroU16;
use core::time::Duration;

use crate::time::nanos;

/// When a check runs and how its results become a verdict.
///
/// Take a preset and change what differs: `Policy { timeout: Duration::from_secs(2), ..Policy::haproxy() }`. Fields may
/// be added in later versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Policy {
    /// Between checks of a target whose verdict is settled up, and of a down one unless [`down`](Self::down) says
    /// otherwise. Less than a millisecond is taken as a millisecond.
    pub interval: Duration,
    /// Between checks while the verdict is on its way to the other side (HAProxy's `fastinter`).
    pub fast: Option<Duration>,
    /// Between checks of a target that is settled down (HAProxy's `downinter`).
    pub down: Option<Duration>,
    /// Before the next attempt after a failure that has not yet made the verdict (keepalived's `delay_before_retry`).
    pub retry_delay: Option<Duration>,
    /// For the whole attempt, from its start to the last byte judged.
    pub timeout: Duration,
    /// Passes in a row that make a down target up.
    pub rise: NonZeroU16,
    /// Failures in a row that make an up target down.
    pub fall: NonZeroU16,
    /// What is believed before the first result.
    pub start: Start,
    /// What the interval is counted from.
    pub basis: Basis,
    /// Every delay is lengthened or shortened by up to this many percent (at most 50), at random.
    pub jitter: u8,
    /// The first checks of a set are spread over the interval, but over no more than this.
    pub spread: Duration,
}

impl Policy {
    /// keepalived's rules: one success is enough, `retry` 1, `connect_timeout` 5 s, `delay_loop` 60 s counted from the end
    /// of a check. Without `alpha` a target counts as up at the start and the first failure takes it out; with `alpha`
    /// it counts as down until the first success.
    pub const fn keepalived(alpha: bool) -> Self {
        Self {
            interval: Duration::from_secs(60),
            fast: None,
            down: None,
            retry_delay: Some(Duration::from_secs(1)),
            timeout: Duration::from_secs(5),
            rise: ONE,
            fall: TWO,
            start: if alpha { Start::Down } else { Start::Up },
            basis: Basis::AfterCompletion,
            jitter: 0,
            spread: Duration::from_secs(60),
        }
    }

    /// HAProxy's rules: `inter` 2 s, `rise` 2, `fall` 3; a server counts as up at the start and one failure takes it out.
    pub const fn haproxy() -> Self {
        Self {
            interval: Duration::from_secs(2),
            fast: None,
            down: None,
            retry_delay: None,
            timeout: Duration::from_secs(2),
            rise: TWO,
            fall: THREE,
            start: Start::Up,
            basis: Basis::AfterCompletion,
            jitter: 0,
            spread: Duration::from_secs(2),
        }
    }

    /// The kubelet's readiness probe: `periodSeconds` 10, `timeoutSeconds` 1, `successThreshold` 1, `failureThreshold` 3;
    /// not ready until the first success.
    pub const fn kubernetes() -> Self {
        Self {
            interval: Duration::from_secs(10),
            fast: None,
            down: None,
            retry_delay: None,
            timeout: Duration::from_secs(1),
            rise: ONE,
            fall: THREE,
            start: Start::Down,
            basis: Basis::FixedRate,
            jitter: 0,
            spread: Duration::from_secs(10),
        }
    }

    /// The AWS network load balancer's defaults: every 30 s, 10 s for an answer, five successes or two failures in a row;
    /// the first result decides.
    pub const fn nlb() -> Self {
        Self {
            interval: Duration::from_secs(30),
            fast: None,
            down: None,
            retry_delay: None,
            timeout: Duration::from_secs(10),
            rise: match NonZeroU16::new(5) {
                Some(five) => five,
                None => ONE,
            },
            fall: TWO,
            start: Start::Unknown,
            basis: Basis::FixedRate,
            jitter: 0,
            spread: Duration::from_secs(30),
        }
    }

    /// The longest time from the death of a target that was up to the verdict "down", if it dies right after a passed
    /// check and every later attempt runs into its deadline. Jitter is included, our own lateness is not.
    ///
    /// For keepalived's rules this is `delay_loop + (retry + 1) × timeout + retry × delay_before_retry`.
    pub fn worst_case_detection(&self) -> Duration {
        let retry = self.stretched(self.retry_delay.or(self.fast).unwrap_or(self.interval));
        let timeout = nanos(self.timeout);
        let between = match self.basis {
            Basis::AfterCompletion => retry.saturating_add(timeout),
            // Missed starts are skipped, so the next one lies on the grid after the end of the attempt.
            Basis::FixedRate => retry.saturating_mul(timeout.div_ceil(retry).max(1)),
        };
        let attempts = u64::from(self.fall.get());
        Duration::from_nanos(
            self.stretched(self.interval)
                .saturating_add(between.saturating_mul(attempts.saturating_sub(1)))
                .saturating_add(timeout),
        )
    }

    /// The longest time from the recovery of a target that was down to the verdict "up", if each attempt takes `latency`.
    pub fn worst_case_recovery(&self, latency: Duration) -> Duration {
        let latency = nanos(latency.min(self.timeout));
        let first = self.stretched(self.down.unwrap_or(self.interval));
        let fast = self.stretched(self.fast.unwrap_or(self.interval));
        let between = match self.basis {
            Basis::AfterCompletion => fast.saturating_add(latency),
            Basis::FixedRate => fast.saturating_mul(latency.div_ceil(fast).max(1)),
        };
        // An attempt that was under way when the target recovered may still fail and cost its whole deadline.
        Duration::from_nanos(
            nanos(self.timeout)
                .saturating_add(first)
                .saturating_add(between.saturating_mul(u64::from(self.rise.get()).saturating_sub(1)))
                .saturating_add(latency),
        )
    }

    /// A delay at the far end of the jitter, and never below the shortest there is.
    fn stretched(&self, delay: Duration) -> u64 {
        let delay = nanos(delay.max(SHORTEST));
        delay.saturating_add(delay / 100 * u64::from(self.jitter.min(MAX_JITTER)))
    }
}

/// What is believed about a target before its first result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Start {
    /// Up; it takes [`fall`](Policy::fall) failures to doubt it.
    FullyUp,
    /// Up; the first failure makes it down.
    Up,
    /// Down; the first pass makes it up.
    Down,
    /// Down; it takes [`rise`](Policy::rise) passes.
    FullyDown,
    /// Nothing; the first result decides, and until then the target is neither up nor down.
    Unknown,
}

/// What the delay to the next check is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Basis {
    /// The planned start of this one; a start that falls into a running attempt is skipped, never stacked.
    FixedRate,
    /// The end of this one, as keepalived and HAProxy do.
    AfterCompletion,
}

/// Delays below this are taken as this: a check every nanosecond is a mistake, not a wish.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);
/// More jitter than this is taken as this.
pub(crate) const MAX_JITTER: u8 = 50;

const ONE: NonZeroU16 = NonZeroU16::MIN;
const TWO: NonZeroU16 = ONE.saturating_add(1);
const THREE: NonZeroU16 = ONE.saturating_add(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_follows_keepalived_s_formula() {
        // 60 + (1 + 1) × 5 + 1 × 1
        assert_eq!(
            Policy::keepalived(false).worst_case_detection(),
            Duration::from_secs(71)
        );
        let retry3 = Policy {
            interval: Duration::from_secs(6),
            retry_delay: Some(Duration::from_secs(3)),
            timeout: Duration::from_secs(10),
            fall: NonZeroU16::new(4).unwrap(),
            ..Policy::keepalived(false)
        };
        assert_eq!(
            retry3.worst_case_detection(),
            Duration::from_secs(6 + 4 * 10 + 3 * 3)
        );
    }

    #[test]
    fn detection_at_a_fixed_rate_counts_skipped_starts() {
        // Every 10 s, timeout 1 s, three failures: 10 + 2 × 10 + 1.
        assert_eq!(
            Policy::kubernetes().worst_case_detection(),
            Duration::from_secs(31)
        );
        // A timeout of 25 s skips two starts each time: 10 + 2 × 30 + 25.
        let slow = Policy {
            timeout: Duration::from_secs(25),
            ..Policy::kubernetes()
        };
        assert_eq!(slow.worst_case_detection(), Duration::from_secs(95));
    }

    #[test]
    fn jitter_and_absurd_values_stay_in_range() {
        let jittered = Policy {
            jitter: 10,
            ..Policy::kubernetes()
        };
        assert_eq!(jittered.worst_case_detection(), Duration::from_secs(34));
        let absurd = Policy {
            interval: Duration::MAX,
            timeout: Duration::MAX,
            jitter: 255,
            fall: NonZeroU16::MAX,
            ..Policy::kubernetes()
        };
        assert_eq!(absurd.worst_case_detection(), Duration::from_nanos(u64::MAX));
        let zero = Policy {
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            ..Policy::kubernetes()
        };
        assert_eq!(zero.worst_case_detection(), Duration::from_millis(3));
    }

    #[test]
    fn recovery_counts_the_attempt_under_way() {
        let policy = Policy {
            rise: THREE,
            ..Policy::kubernetes()
        };
        assert_eq!(
            policy.worst_case_recovery(Duration::from_millis(5)),
            Duration::from_millis(1000 + 10_000 + 20_000 + 5)
        );
        assert_eq!(
            Policy::haproxy().worst_case_recovery(Duration::ZERO),
            Duration::from_secs(2 + 2 + 2)
        );
    }
}
