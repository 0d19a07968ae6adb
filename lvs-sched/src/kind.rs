//! The fourteen by name.

use core::fmt;
use core::str::FromStr;

use crate::error::Error;

/// One of the kernel's schedulers. Parses and prints as `ipvsadm -s` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum SchedulerKind {
    /// Round robin: each in turn.
    Rr,
    /// Weighted round robin: each in turn, as often as its weight says.
    Wrr,
    /// Least connection: whoever carries the least.
    Lc,
    /// Weighted least connection: whoever carries the least for its weight. The default of `ipvsadm`.
    #[default]
    Wlc,
    /// Locality-based least connection: one back end for each destination, while it keeps up.
    Lblc,
    /// The same with a set of back ends for each destination.
    Lblcr,
    /// Destination hashing.
    Dh,
    /// Source hashing, weighted.
    Sh,
    /// Maglev hashing of the source, weighted: few flows move when back ends come and go.
    Mh,
    /// Shortest expected delay: whoever would serve one more the soonest.
    Sed,
    /// Never queue: an idle one at once, else as `sed`.
    Nq,
    /// Weighted failover: the heaviest that is available.
    Fo,
    /// Weighted overflow: the heaviest until its weight in connections is used up, then the next.
    Ovf,
    /// The power of two choices, drawn by weight.
    Twos,
}

impl SchedulerKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Lblc,
        Self::Lblcr,
        Self::Dh,
        Self::Sh,
        Self::Mh,
        Self::Sed,
        Self::Nq,
        Self::Fo,
        Self::Ovf,
        Self::Twos,
    ];

    /// The name that the kernel and `ipvsadm` know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Dh => "dh",
            Self::Sh => "sh",
            Self::Mh => "mh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Twos => "twos",
        }
    }

    /// Whether the choice follows from the flow and the list alone, not from connections or from what was picked before.
    #[must_use]
    pub const fn is_hash(self) -> bool {
        matches!(self, Self::Dh | Self::Sh | Self::Mh)
    }

    /// Whether the choice depends on the flow.
    #[must_use]
    pub const fn uses_flow(self) -> bool {
        self.is_hash() || matches!(self, Self::Lblc | Self::Lblcr)
    }

    /// Whether the choice follows from the list and its connections alone, which is what a relaxed pool needs.
    #[must_use]
    pub const fn is_relaxable(self) -> bool {
        matches!(
            self,
            Self::Lc | Self::Wlc | Self::Sed | Self::Nq | Self::Fo | Self::Ovf
        )
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let mut kinds = Self::ALL.into_iter();
        kinds
            .find(|kind| kind.name() == name)
            .ok_or(Error::UnknownScheduler)
    }
}
