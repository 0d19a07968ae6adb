//! Weighted failover: the heaviest.

use crate::backend::Record;
use crate::options::Rules;
use crate::ranked::{Rank, Ranked};

/// `fo`: the greatest weight, connections ignored. Kernel behaviour: `ip_vs_fo`.
#[derive(Debug)]
pub(crate) struct FoRank;

/// The scheduler.
pub(crate) type Fo = Ranked<FoRank>;

impl Rank for FoRank {
    const NAME: &'static str = "Fo";

    #[inline]
    fn rank(record: &Record, _: Rules) -> (u32, u32) {
        (1, record.weight())
    }
}
