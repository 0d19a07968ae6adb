//! What the monitor knows about one target and one job.

use core::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::failure::Failure;
use crate::health::{HealthState, Verdict};
use crate::outcome::{Cause, Notice, Weight};
use crate::policy::Policy;
use crate::time::Time;

/// What to do in an attempt, as far as the monitor cares: plans that are equal are carried out once for all targets that
/// have them.
pub trait Plan: Clone + Eq + core::hash::Hash {
    /// The kind of attempt, for the limits on how many run at once.
    fn lane(&self) -> u8 {
        0
    }

    /// The host it goes to, for the limit per host.
    fn host(&self) -> Option<IpAddr> {
        None
    }
}

/// What is wanted of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec<K, P> {
    /// The caller's name for it.
    pub key: K,
    /// What is checked, and how.
    pub checks: Vec<(P, Arc<Policy>)>,
    /// How several checks make one verdict.
    pub combine: Combine,
    /// The weight before any check speaks of it.
    pub weight: u32,
}

impl<K, P> TargetSpec<K, P> {
    /// A target with one check and weight one.
    pub fn new(key: K, plan: impl Into<P>, policy: Arc<Policy>) -> Self {
        Self {
            key,
            checks: vec![(plan.into(), policy)],
            combine: Combine::All,
            weight: 1,
        }
    }

    /// The same with one more check.
    #[must_use]
    pub fn and(mut self, plan: impl Into<P>, policy: Arc<Policy>) -> Self {
        self.checks.push((plan.into(), policy));
        self
    }
}

/// How several checks make one verdict. A target without checks is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Combine {
    /// Up when every check is (keepalived's rule).
    #[default]
    All,
    /// Up when any check is.
    Any,
    /// Up when at least this many are.
    AtLeast(u16),
}

impl Combine {
    pub(super) fn verdict(self, checks: impl Iterator<Item = Verdict>) -> Verdict {
        let (mut up, mut down, mut total) = (0_usize, 0_usize, 0_usize);
        for verdict in checks {
            total += 1;
            match verdict {
                Verdict::Up => up += 1,
                Verdict::Down => down += 1,
                Verdict::Unknown => {}
            }
        }
        let needed = match self {
            Self::All => total,
            Self::Any => total.min(1),
            Self::AtLeast(count) => usize::from(count).min(total),
        };
        if up >= needed {
            Verdict::Up
        } else if total - down < needed {
            Verdict::Down
        } else {
            Verdict::Unknown
        }
    }
}

/// What the operator says about a target, against or without its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Forced {
    /// Use it, whatever the checks say.
    Up,
    /// Do not use it.
    Down,
    /// Nothing new, but let what is there finish.
    Drain,
}

/// What should be done with a target: the verdict, unless the operator forces something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum State {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// Not to be used.
    Down,
    /// Nothing new.
    Drain,
    /// To be used.
    Up,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Drain => "drain",
            Self::Up => "up",
        })
    }
}

/// Everything there is to know about a target.
#[derive(Clone, Debug)]
pub struct Status {
    /// What should be done with it.
    pub state: State,
    /// What its checks say.
    pub verdict: Verdict,
    /// What the operator says.
    pub forced: Option<Forced>,
    /// Whether its checks are suspended; the verdict is then the last one.
    pub suspended: bool,
    /// Since when the state is what it is.
    pub since: Time,
    /// The weight after what the checks say about it.
    pub weight: u32,
    /// Its checks, in the order of the specification.
    pub checks: Vec<CheckStatus>,
}

impl Status {
    /// The check that explains why the target is not up: the first one that is down.
    pub fn reason(&self) -> Option<&CheckStatus> {
        self.checks.iter().find(|check| check.verdict == Verdict::Down)
    }
}

/// Everything there is to know about one check of a target.
#[derive(Clone, Debug)]
pub struct CheckStatus {
    /// Its verdict.
    pub verdict: Verdict,
    /// Outcomes in a row that contradict the verdict.
    pub against: u16,
    /// Conclusive outcomes so far.
    pub samples: u32,
    /// Inconclusive outcomes so far.
    pub inconclusive: u32,
    /// Why the last inconclusive one was that.
    pub cause: Option<Cause>,
    /// How long the last conclusive attempt took.
    pub latency: core::time::Duration,
    /// When it ended; `None` before the first.
    pub last: Option<Time>,
    /// Failures in a row up to now.
    pub streak: u32,
    /// The first failure of that row, or of the last row there was.
    pub first_failure: Option<(Time, Failure)>,
    /// The last failure there was.
    pub last_failure: Option<(Time, Failure)>,
    /// What to tell the operator although it passed.
    pub notice: Option<Notice>,
}

/// One attempt that is made for all targets which want the same.
#[derive(Debug)]
pub(super) struct Job<P> {
    pub(super) plan: P,
    pub(super) policy: Arc<Policy>,
    pub(super) state: HealthState,
    pub(super) subscribers: Numbers,
    pub(super) story: Option<Box<Story>>,
    /// Time of the last conclusive outcome, in nanoseconds; zero for never.
    pub(super) last: u64,
    /// How long that attempt took, in microseconds.
    pub(super) latency: u32,
    /// Subscribers that are not suspended.
    pub(super) active: u32,
    /// Start again as soon as the running attempt ends.
    pub(super) again: bool,
}

/// What only some jobs have.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) first: Option<(Time, Failure)>,
    pub(super) last: Option<(Time, Failure)>,
    pub(super) streak: u32,
    pub(super) weight: Option<Weight>,
    pub(super) notice: Option<Notice>,
    pub(super) cause: Option<Cause>,
}

#[derive(Debug)]
pub(super) struct Target<K> {
    pub(super) key: K,
    pub(super) jobs: Numbers,
    pub(super) since: Time,
    pub(super) weight: u32,
    pub(super) effective_weight: u32,
    pub(super) seen: u32,
    pub(super) combine: Combine,
    pub(super) verdict: Verdict,
    pub(super) state: State,
    pub(super) forced: Option<Forced>,
    pub(super) suspended: bool,
}

/// A list of numbers that is nearly always one long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    #[default]
    None,
    One([u32; 1]),
    #[expect(
        clippy::box_collection,
        reason = "a thin pointer keeps the common case at sixteen bytes"
    )]
    Many(Box<Vec<u32>>),
}

impl Numbers {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    pub(super) fn push(&mut self, number: u32) {
        match self {
            Self::None => *self = Self::One([number]),
            Self::One([first]) => *self = Self::Many(Box::new(vec![*first, number])),
            Self::Many(many) => many.push(number),
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        match self {
            Self::None => {}
            Self::One([one]) => {
                if *one == number {
                    *self = Self::None;
                }
            }
            Self::Many(many) => {
                many.retain(|other| *other != number);
                if let [one] = many.as_slice() {
                    *self = Self::One([*one]);
                }
            }
        }
    }
}

impl IntoIterator for Numbers {
    type Item = u32;
    type IntoIter = core::iter::Chain<core::option::IntoIter<u32>, std::vec::IntoIter<u32>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Self::None => (None, Vec::new()),
            Self::One([one]) => (Some(one), Vec::new()),
            Self::Many(many) => (None, *many),
        };
        one.into_iter().chain(many)
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut all = Self::None;
        numbers.into_iter().for_each(|number| all.push(number));
        all
    }
}
