//! Shortest expected delay: whoever would serve one more the soonest.

use crate::backend::Record;
use crate::options::Rules;
use crate::ranked::{Rank, Ranked};

/// `sed`: the least `(active + 1) / weight`. Kernel behaviour: `ip_vs_sed`. Connections that never become active (UDP) do
/// not count, so with them it is always the first of the greatest weight.
#[derive(Debug)]
pub(crate) struct SedRank;

/// The scheduler.
pub(crate) type Sed = Ranked<SedRank>;

impl Rank for SedRank {
    const NAME: &'static str = "Sed";

    #[inline]
    fn rank(record: &Record, _: Rules) -> (u32, u32) {
        (record.active.saturating_add(1), record.weight())
    }
}
