//! Least connection: whoever carries the least, weights ignored.

use crate::backend::Record;
use crate::options::Rules;
use crate::ranked::{Rank, Ranked};

/// `lc`: the least overhead. Kernel behaviour: `ip_vs_lc`, which asks of the weight only that it is not 0.
#[derive(Debug)]
pub(crate) struct LcRank;

/// The scheduler.
pub(crate) type Lc = Ranked<LcRank>;

impl Rank for LcRank {
    const NAME: &'static str = "Lc";

    #[inline]
    fn rank(record: &Record, rules: Rules) -> (u32, u32) {
        (record.overhead(rules), 1)
    }
}
