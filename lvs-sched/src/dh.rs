//! Destination hashing: flows to one address go to one back end.

use alloc::vec::Vec;

use crate::backends::Backends;
use crate::flow::Flow;
use crate::hash::{address_key, golden};
use crate::options::{Options, TableBits};
use crate::table::{Availability, Table, occupant};

/// `dh`: a table filled with the back ends in turn, whatever their weights, looked up by the destination address.
///
/// Kernel behaviour: `ip_vs_dh`. A flow whose back end is quiesced or overloaded is refused.
#[derive(Clone, Debug)]
pub(crate) struct Dh {
    bits: TableBits,
    buckets: Vec<u32>,
}

impl Dh {
    pub(crate) const fn new(options: &Options) -> Self {
        Self {
            bits: options.dh_bits,
            buckets: Vec::new(),
        }
    }
}

impl Table for Dh {
    fn fill(&mut self, backends: &Backends) {
        self.buckets.clear();
        if !backends.is_empty() {
            let size = 1 << self.bits.get();
            while self.buckets.len() < size {
                let room = size - self.buckets.len();
                self.buckets
                    .extend(backends.iter().map(|backend| backend.slot).take(room));
            }
        }
    }

    #[inline]
    fn lookup(&self, flow: &Flow, state: impl Fn(u32) -> Availability) -> Option<u32> {
        let bucket = golden(address_key(flow.destination), self.bits.get()) as usize;
        let slot = occupant(&self.buckets, bucket)?;
        match state(slot) {
            Availability::Eligible => Some(slot),
            Availability::Unavailable => None,
            Availability::Excluded => {
                let (before, after) = self.buckets.split_at(bucket);
                let mut others = after.iter().chain(before).copied();
                others.find(|&slot| state(slot) == Availability::Eligible)
            }
        }
    }
}
