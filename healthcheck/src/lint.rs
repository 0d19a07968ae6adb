//! What is likely wrong with a policy, said before it hurts.

use core::fmt;
use core::time::Duration;

use crate::policy::{Basis, MAX_JITTER, Policy, SHORTEST, Start};

impl Policy {
    /// What in this policy is likely to surprise, most serious first. An empty answer is no promise.
    pub fn lint(&self) -> Vec<Lint> {
        let mut found = Vec::new();
        if self.interval < SHORTEST {
            found.push(Lint::IntervalTooShort {
                interval: self.interval,
            });
        }
        if self.timeout.is_zero() {
            found.push(Lint::NoTime);
        } else if self.timeout <= FIRST_RETRANSMISSION {
            found.push(Lint::NoSecondSyn {
                timeout: self.timeout,
                lone: self.fall.get() < 3,
            });
        }
        if self.fall.get() == 1 {
            found.push(Lint::OneFailureDecides);
        }
        if self.basis == Basis::FixedRate && self.timeout > self.interval {
            found.push(Lint::StartsSkipped {
                timeout: self.timeout,
                interval: self.interval,
            });
        }
        if let Some(fast) = self
            .fast
            .or(self.retry_delay)
            .filter(|fast| *fast > self.interval)
        {
            found.push(Lint::DoubtIsSlower {
                fast,
                interval: self.interval,
            });
        }
        if self.jitter > MAX_JITTER {
            found.push(Lint::JitterCut { jitter: self.jitter });
        }
        if self.spread.is_zero() {
            found.push(Lint::NoSpread);
        }
        if matches!(self.start, Start::FullyUp) {
            found.push(Lint::UncheckedTraffic {
                until: self.worst_case_detection(),
            });
        }
        if self.retry_delay.is_some_and(|delay| delay.is_zero()) && self.fall.get() > 1 {
            found.push(Lint::RetryTogether);
        }
        found
    }
}

/// One thing in a policy that is likely to surprise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lint {
    /// The interval is below a millisecond and is taken as one.
    IntervalTooShort {
        /// As configured.
        interval: Duration,
    },
    /// The timeout is zero: no attempt can pass.
    NoTime,
    /// Linux repeats a lost SYN after one second: with this timeout there is no second try within an attempt, so one
    /// lost packet is one failure.
    NoSecondSyn {
        /// As configured.
        timeout: Duration,
        /// Fewer than three failures make the verdict, so that random loss alone will bring false alarms.
        lone: bool,
    },
    /// A single failure takes the target out.
    OneFailureDecides,
    /// The timeout is longer than the interval: while a target does not answer, starts are skipped.
    StartsSkipped {
        /// As configured.
        timeout: Duration,
        /// As configured.
        interval: Duration,
    },
    /// A doubtful target is checked less often than a healthy one.
    DoubtIsSlower {
        /// The delay used in doubt.
        fast: Duration,
        /// The ordinary one.
        interval: Duration,
    },
    /// Jitter is cut to 50 percent.
    JitterCut {
        /// As configured.
        jitter: u8,
    },
    /// All first checks start at once.
    NoSpread,
    /// A dead target gets traffic for this long after the start.
    UncheckedTraffic {
        /// The worst case.
        until: Duration,
    },
    /// Retries follow at once, so all of them can fall into the same short disturbance.
    RetryTogether,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IntervalTooShort { interval } => write!(f, "an interval of {interval:?} is taken as 1 ms"),
            Self::NoTime => f.write_str("a timeout of zero lets no attempt pass"),
            Self::NoSecondSyn { timeout, lone } => {
                write!(
                    f,
                    "a timeout of {timeout:?} leaves no second SYN (Linux sends it after 1 s)"
                )?;
                if *lone {
                    f.write_str(", and so few failures decide that packet loss alone will")
                } else {
                    Ok(())
                }
            }
            Self::OneFailureDecides => f.write_str("one failure, one lost packet even, takes the target out"),
            Self::StartsSkipped { timeout, interval } => {
                write!(
                    f,
                    "a timeout of {timeout:?} is longer than the interval of {interval:?}: starts will be skipped"
                )
            }
            Self::DoubtIsSlower { fast, interval } => {
                write!(
                    f,
                    "a doubtful target is checked every {fast:?}, a healthy one every {interval:?}"
                )
            }
            Self::JitterCut { jitter } => write!(f, "a jitter of {jitter} % is cut to {MAX_JITTER} %"),
            Self::NoSpread => f.write_str("without a spread all first checks start at the same moment"),
            Self::UncheckedTraffic { until } => {
                write!(
                    f,
                    "a target that is dead at the start gets traffic for up to {until:?}"
                )
            }
            Self::RetryTogether => {
                f.write_str("retries without a delay can all fall into one short disturbance")
            }
        }
    }
}

/// The initial retransmission timeout of Linux (RFC 6298 §2.1).
const FIRST_RETRANSMISSION: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use core::num::NonZeroU16;

    use super::*;

    #[test]
    fn presets_say_what_is_known_about_them() {
        assert_eq!(Policy::keepalived(false).lint(), []);
        assert_eq!(Policy::haproxy().lint(), []);
        assert_eq!(Policy::nlb().lint(), []);
        let second = Duration::from_secs(1);
        assert_eq!(
            Policy::kubernetes().lint(),
            [Lint::NoSecondSyn {
                timeout: second,
                lone: false
            }]
        );
    }

    #[test]
    fn every_lint_can_be_produced_and_reads_as_a_sentence() {
        let bad = Policy {
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            fall: NonZeroU16::MIN,
            jitter: 80,
            spread: Duration::ZERO,
            start: Start::FullyUp,
            fast: Some(Duration::from_secs(1)),
            ..Policy::kubernetes()
        };
        let mut all = bad.lint();
        all.extend(
            Policy {
                timeout: Duration::from_millis(900),
                fall: NonZeroU16::MIN,
                ..Policy::nlb()
            }
            .lint(),
        );
        all.extend(
            Policy {
                timeout: Duration::from_secs(31),
                ..Policy::nlb()
            }
            .lint(),
        );
        all.extend(
            Policy {
                retry_delay: Some(Duration::ZERO),
                ..Policy::keepalived(false)
            }
            .lint(),
        );
        let texts: Vec<String> = all.iter().map(Lint::to_string).collect();
        for part in [
            "taken as 1 ms",
            "timeout of zero",
            "no second SYN (Linux sends it after 1 s), and so few",
            "one failure",
            "starts will be skipped",
            "doubtful target",
            "cut to 50 %",
            "same moment",
            "dead at the start",
            "short disturbance",
        ] {
            assert!(
                texts.iter().any(|text| text.contains(part)),
                "nothing says {part:?} in {texts:?}"
            );
        }
    }
}
