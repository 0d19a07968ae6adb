//! Weighted overflow: the heaviest that is not full.

use crate::backend::Record;
use crate::options::Rules;
use crate::ranked::{Rank, Ranked};

/// `ovf`: the greatest weight among those whose active connections do not exceed it. Kernel behaviour: `ip_vs_ovf`, under
/// which a back end takes one connection more than its weight; UDP never overflows.
#[derive(Debug)]
pub(crate) struct OvfRank;

/// The scheduler.
pub(crate) type Ovf = Ranked<OvfRank>;

impl Rank for OvfRank {
    const NAME: &'static str = "Ovf";

    #[inline]
    fn rank(record: &Record, _: Rules) -> (u32, u32) {
        (
            1,
            if record.active > record.weight() {
                0
            } else {
                record.weight()
            },
        )
    }
}
