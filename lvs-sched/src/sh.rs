//! Source hashing: flows from one address go to one back end.

use alloc::vec::Vec;

use crate::backend::NOWHERE;
use crate::backends::Backends;
use crate::flow::Flow;
use crate::hash::{address_key, golden};
use crate::options::{Options, TableBits};
use crate::table::{Availability, Table, occupant};

/// `sh`: a table filled with the back ends in turn, each in as many neighbouring buckets as it weighs, looked up by the
/// source address and, when told, port.
///
/// Kernel behaviour: `ip_vs_sh`. A back end of weight 0 still has one bucket; when the weights sum to more than the table
/// has buckets, the last back ends get fewer or none. With the fallback flag the search for another one begins at twice
/// the hash.
#[derive(Clone, Debug)]
pub(crate) struct Sh {
    bits: TableBits,
    fallback: bool,
    port: bool,
    buckets: Vec<u32>,
}

impl Sh {
    pub(crate) const fn new(options: &Options) -> Self {
        Self {
            bits: options.sh_bits,
            fallback: options.hash_fallback,
            port: options.hash_port,
            buckets: Vec::new(),
        }
    }
}

impl Table for Sh {
    fn fill(&mut self, backends: &Backends) {
        self.buckets.clear();
        let size = 1 << self.bits.get();
        while !backends.is_empty() && self.buckets.len() < size {
            for backend in backends.iter() {
                let room = size - self.buckets.len();
                let share = (backend.weight().max(1) as usize).min(room);
                self.buckets.extend(core::iter::repeat_n(backend.slot, share));
            }
        }
    }

    #[inline]
    fn lookup(&self, flow: &Flow, state: impl Fn(u32) -> Availability) -> Option<u32> {
        let port = if self.port { u32::from(flow.source_port) } else { 0 };
        let key = address_key(flow.source).wrapping_add(port);
        let hash = golden(key, self.bits.get()) as usize;
        let slot = occupant(&self.buckets, hash)?;
        match state(slot) {
            Availability::Eligible => return Some(slot),
            Availability::Unavailable if !self.fallback => return None,
            Availability::Unavailable | Availability::Excluded => {}
        }
        let mask = self.buckets.len() - 1;
        (0..self.buckets.len())
            .map(|offset| self.buckets[(hash + ((hash + offset) & mask)) & mask])
            .find(|&slot| slot != NOWHERE && state(slot) == Availability::Eligible)
    }
}
