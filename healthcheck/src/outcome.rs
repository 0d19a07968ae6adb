//! What one attempt found out.

use core::fmt;
use core::time::Duration;

use crate::failure::Failure;

/// What one attempt says about the target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The target did what the check asks for.
    Pass,
    /// It did not.
    Fail(Failure),
    /// We could not measure. This says nothing about the target, so it never moves a verdict.
    Inconclusive(Cause),
}

/// Why an attempt could not be made or judged; always something on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Cause {
    /// No descriptor, buffer, process or memory left.
    Resources,
    /// The source address, device or mark that the check asks for cannot be used on this host.
    Source,
    /// No free local port towards this target.
    Ports,
    /// This process ran late, so an answer may have been missed.
    Overload,
    /// Not permitted: a raw socket, a mark, another user for a script.
    Permission,
    /// The script of the check is not there.
    NotRunnable,
    /// The check is suspended.
    Suspended,
    /// Nobody has reported a result (external checks).
    NoReport,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resources => "no descriptor, process or memory left on this host",
            Self::Source => "the source address or device cannot be used on this host",
            Self::Ports => "no free local port towards the target",
            Self::Overload => "this host ran late",
            Self::Permission => "not permitted on this host",
            Self::NotRunnable => "the script is not there",
            Self::Suspended => "the check is suspended",
            Self::NoReport => "nothing was reported",
        })
    }
}

/// The full result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The judgement.
    pub outcome: Outcome,
    /// From the start of the attempt to its end.
    pub latency: Duration,
    /// What the check says about the weight of the target, if it speaks of weights (scripts, files).
    pub weight: Option<Weight>,
    /// Something to tell the operator although the attempt passed.
    pub notice: Option<Notice>,
}

impl Sample {
    /// An attempt that says nothing of weights.
    pub(crate) const fn of(outcome: Outcome, latency: Duration) -> Self {
        Self {
            outcome,
            latency,
            weight: None,
            notice: None,
        }
    }

    /// A passed attempt.
    pub const fn pass(latency: Duration) -> Self {
        Self::of(Outcome::Pass, latency)
    }

    /// A failed attempt.
    pub const fn fail(failure: Failure, latency: Duration) -> Self {
        Self::of(Outcome::Fail(failure), latency)
    }

    /// An attempt that could not be made.
    pub const fn inconclusive(cause: Cause) -> Self {
        Self::of(Outcome::Inconclusive(cause), Duration::ZERO)
    }

    /// The same with a weight.
    #[must_use]
    pub const fn with_weight(mut self, weight: Weight) -> Self {
        self.weight = Some(weight);
        self
    }
}

/// What a check says about the weight of its target.
///
/// With several speaking checks the differences to the configured weight are added up, as keepalived does for
/// `MISC_CHECK misc_dynamic` and `FILE_CHECK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Weight {
    /// The weight should be this.
    Set(u32),
    /// The configured weight should be changed by this.
    Add(i64),
}

/// Something worth telling although the attempt passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Notice {
    /// The certificate ends in this many days.
    CertificateExpires {
        /// Whole days left.
        days: u32,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateExpires { days } => write!(f, "the certificate expires in {days} days"),
        }
    }
}
