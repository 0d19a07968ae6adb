//! Weighted least connection: whoever carries the least for its weight.

use crate::backend::Record;
use crate::options::Rules;
use crate::ranked::{Rank, Ranked};

/// `wlc`: the least overhead for the weight. Kernel behaviour: `ip_vs_wlc`. When all are idle the first in the list is
/// picked, not the heaviest.
#[derive(Debug)]
pub(crate) struct WlcRank;

/// The scheduler.
pub(crate) type Wlc = Ranked<WlcRank>;

impl Rank for WlcRank {
    const NAME: &'static str = "Wlc";

    #[inline]
    fn rank(record: &Record, rules: Rules) -> (u32, u32) {
        (record.overhead(rules), record.weight())
    }
}
