//! Rise and fall: how single outcomes become a verdict. No clock, no I/O.

use core::fmt;
use core::time::Duration;

use crate::outcome::Outcome;
use crate::policy::{Policy, SHORTEST, Start};

/// What is believed about a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Verdict {
    /// Not known yet.
    #[default]
    Unknown,
    /// Does not work.
    Down,
    /// Works.
    Up,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Up => "up",
        })
    }
}

/// The memory of one check: its verdict and how far the opposite verdict is. Sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HealthState {
    verdict: Verdict,
    /// Outcomes in a row that contradict the verdict.
    against: u16,
    /// Conclusive outcomes so far.
    samples: u32,
    /// Inconclusive ones so far.
    inconclusive: u32,
}

impl HealthState {
    /// The state before the first outcome.
    pub fn new(policy: &Policy) -> Self {
        let (verdict, against) = match policy.start {
            Start::FullyUp => (Verdict::Up, 0),
            Start::Up => (Verdict::Up, policy.fall.get().saturating_sub(1)),
            Start::Down => (Verdict::Down, policy.rise.get().saturating_sub(1)),
            Start::FullyDown => (Verdict::Down, 0),
            Start::Unknown => (Verdict::Unknown, 0),
        };
        Self {
            verdict,
            against,
            samples: 0,
            inconclusive: 0,
        }
    }

    /// A state that holds `verdict` until the first outcome, which then decides: for a check that takes over from
    /// another one, or from a snapshot that is too old to be believed without a look.
    pub fn provisional(policy: &Policy, verdict: Verdict) -> Self {
        let against = match verdict {
            Verdict::Up => policy.fall.get().saturating_sub(1),
            Verdict::Down => policy.rise.get().saturating_sub(1),
            Verdict::Unknown => 0,
        };
        Self {
            verdict,
            against,
            samples: 0,
            inconclusive: 0,
        }
    }

    /// `saved` as a start under `policy`: its verdict and how far that was doubted, but no outcome of this run yet.
    pub(crate) fn resumed(&self, policy: &Policy, saved: Self) -> Self {
        let most = match saved.verdict {
            Verdict::Up => policy.fall.get(),
            Verdict::Down => policy.rise.get(),
            Verdict::Unknown => 1,
        };
        Self {
            verdict: saved.verdict,
            against: saved.against.min(most.saturating_sub(1)),
            ..*self
        }
    }

    /// The same under another policy: doubts that would already be enough there stop one short of it.
    pub(crate) fn under(&self, policy: &Policy) -> Self {
        Self {
            samples: self.samples,
            inconclusive: self.inconclusive,
            ..self.resumed(policy, *self)
        }
    }

    /// What is believed now.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the verdict is `Up`; `None` while nothing is known.
    pub const fn is_up(&self) -> Option<bool> {
        match self.verdict {
            Verdict::Up => Some(true),
            Verdict::Down => Some(false),
            Verdict::Unknown => None,
        }
    }

    /// Outcomes in a row that contradict the verdict.
    pub const fn against(&self) -> u16 {
        self.against
    }

    /// Conclusive outcomes so far (stops at 2³² − 1).
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// Inconclusive outcomes so far (stops at 2³² − 1).
    pub const fn inconclusive(&self) -> u32 {
        self.inconclusive
    }

    /// Takes one outcome in. An inconclusive one is counted and moves nothing; the next attempt then comes after the
    /// ordinary delay.
    pub fn on_outcome(&mut self, policy: &Policy, outcome: &Outcome) -> Step {
        let before = self.verdict;
        let passed = match outcome {
            Outcome::Pass => true,
            Outcome::Fail(_) => false,
            Outcome::Inconclusive(_) => {
                self.inconclusive = self.inconclusive.saturating_add(1);
                return Step {
                    change: None,
                    next: self.settled_delay(policy),
                };
            }
        };
        self.samples = self.samples.saturating_add(1);
        let (agrees, needed, other) = match (self.verdict, passed) {
            (Verdict::Up, pass) => (pass, policy.fall.get(), Verdict::Down),
            (Verdict::Down, pass) => (!pass, policy.rise.get(), Verdict::Up),
            (Verdict::Unknown, true) => (false, 1, Verdict::Up),
            (Verdict::Unknown, false) => (false, 1, Verdict::Down),
        };
        if agrees {
            self.against = 0;
        } else {
            self.against = self.against.saturating_add(1);
            if self.against >= needed {
                self.verdict = other;
                self.against = 0;
            }
        }
        let change = (before != self.verdict).then_some(Change {
            from: before,
            to: self.verdict,
        });
        Step {
            change,
            next: self.delay(policy),
        }
    }

    /// The delay to the next attempt in the present state.
    pub fn delay(&self, policy: &Policy) -> Duration {
        if self.against == 0 {
            return self.settled_delay(policy);
        }
        let doubtful = match self.verdict {
            Verdict::Up => policy.retry_delay.or(policy.fast),
            Verdict::Down | Verdict::Unknown => policy.fast,
        };
        doubtful.unwrap_or(policy.interval).max(SHORTEST)
    }

    fn settled_delay(&self, policy: &Policy) -> Duration {
        let delay = match self.verdict {
            Verdict::Down => policy.down.unwrap_or(policy.interval),
            Verdict::Up | Verdict::Unknown => policy.interval,
        };
        delay.max(SHORTEST)
    }
}

/// What one outcome led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The change of verdict, if there was one.
    pub change: Option<Change>,
    /// How long to wait for the next attempt, counted as [`Policy::basis`] says.
    pub next: Duration,
}

/// A change of verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was believed.
    pub from: Verdict,
    /// What is believed now.
    pub to: Verdict,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_small() {
        assert!(size_of::<HealthState>() <= 16);
    }
}
