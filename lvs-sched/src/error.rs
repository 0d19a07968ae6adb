//! What an edit of a pool may be refused for.

use crate::backend::BackendId;

/// Why a pool refused an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The identifier belongs to no back end of this pool, or to one that was removed.
    #[error("no back end {0} in this pool")]
    UnknownBackend(BackendId),
    /// A weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT).
    #[error("weight {0} is above {max}", max = crate::backend::MAX_WEIGHT)]
    Weight(u32),
    /// The lower threshold is above the upper one (the kernel answers `ERANGE`).
    #[error("lower threshold {lower} is above the upper threshold {upper}")]
    Thresholds {
        /// Connections at which the back end starts to refuse.
        upper: u32,
        /// Connections below which it accepts again.
        lower: u32,
    },
    /// The pool is full: more back ends than the scheduler's table has slots, or than can be numbered.
    #[error("no room for more than {0} back ends")]
    TooManyBackends(usize),
    /// A name that is none of the fourteen.
    #[error("no scheduler of that name")]
    UnknownScheduler,
    /// The scheduler's choice does not follow from the connections alone, or persistence stands in front.
    #[error("no relaxed pool for {0}: only for lc, wlc, sed, nq, fo and ovf, without persistence")]
    NotRelaxable(crate::SchedulerKind),
}
