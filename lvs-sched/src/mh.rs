//! Maglev hashing: flows from one address go to one back end, and few move when back ends come and go.

use alloc::vec::Vec;

use crate::backend::NOWHERE;
use crate::backends::Backends;
use crate::flow::Flow;
use crate::hash::{MH_KEY_1, MH_KEY_2, address_key, sip};
use crate::options::{MhSize, Options};
use crate::table::{Availability, Table, occupant};
use crate::tree::gcd;

/// `mh`: Google's Maglev table with weights, looked up by the source address and, when told, port.
///
/// Kernel behaviour: `ip_vs_mh` on a 64-bit machine (32-bit kernels hash differently). The table is filled by the last
/// weight that was not 0, so that quiescing a back end does not move the flows of others; its own are refused, or with
/// the fallback flag sent elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Mh {
    size: MhSize,
    slots: u32,
    fallback: bool,
    port: bool,
    buckets: Vec<u32>,
    /// 2^64 divided by the number of slots, rounded up, to take a remainder with two multiplications.
    reciprocal: u64,
}

/// A back end while it takes its places in the table.
struct Candidate {
    slot: u32,
    place: u32,
    skip: u32,
    turns: u32,
}

impl Mh {
    pub(crate) const fn new(options: &Options) -> Self {
        Self {
            size: options.mh_size,
            slots: options.mh_size.slots(),
            fallback: options.hash_fallback,
            port: options.hash_port,
            buckets: Vec::new(),
            reciprocal: u64::MAX / options.mh_size.slots() as u64 + 1,
        }
    }

    /// The slot of a key, as in Lemire's "Faster remainder by direct computation".
    #[inline]
    fn bucket(&self, key: u32) -> usize {
        let low = self.reciprocal.wrapping_mul(u64::from(sip(key, MH_KEY_1)));
        ((u128::from(low) * u128::from(self.slots)) >> 64) as usize
    }

    fn candidates(&self, backends: &Backends) -> Vec<Candidate> {
        let (divisor, greatest) = backends.iter().fold((0, 0), |(divisor, greatest), backend| {
            let weight = backend.last_weight();
            (gcd(divisor, weight), weight.max(greatest))
        });
        if divisor == 0 {
            return Vec::new();
        }
        // Weights in as many bits as the table can tell apart.
        let length = u32::BITS - (greatest / divisor).leading_zeros();
        let shift = length.saturating_sub(self.size.weight_bits());
        let slots = self.slots;
        backends
            .iter()
            .filter(|backend| backend.last_weight() > 0)
            .map(|backend| Candidate {
                slot: backend.slot,
                place: sip(backend.key(), MH_KEY_1) % slots,
                skip: sip(backend.key(), MH_KEY_2) % (slots - 1) + 1,
                turns: ((backend.last_weight() / divisor) >> shift).max(1),
            })
            .collect()
    }
}

impl Table for Mh {
    fn fill(&mut self, backends: &Backends) {
        let slots = self.slots;
        self.buckets.clear();
        let mut candidates = self.candidates(backends);
        if candidates.is_empty() {
            return;
        }
        self.buckets.resize(slots as usize, NOWHERE);
        let mut vacant = slots;
        loop {
            for candidate in &mut candidates {
                for _ in 0..candidate.turns {
                    while self.buckets[candidate.place as usize] != NOWHERE {
                        candidate.place += candidate.skip;
                        if candidate.place >= slots {
                            candidate.place -= slots;
                        }
                    }
                    self.buckets[candidate.place as usize] = candidate.slot;
                    vacant -= 1;
                    if vacant == 0 {
                        return;
                    }
                }
            }
        }
    }

    #[inline]
    fn lookup(&self, flow: &Flow, state: impl Fn(u32) -> Availability) -> Option<u32> {
        let port = if self.port { u32::from(flow.source_port) } else { 0 };
        let key = address_key(flow.source).wrapping_add(port);
        let first = self.bucket(key);
        let slot = occupant(&self.buckets, first)?;
        match state(slot) {
            Availability::Eligible => return Some(slot),
            Availability::Unavailable if !self.fallback => return None,
            Availability::Unavailable | Availability::Excluded => {}
        }
        let slots = self.slots;
        let others = (0..slots).filter_map(|step| {
            let offset = (first as u32 + step) % slots;
            occupant(&self.buckets, self.bucket(key.wrapping_add(offset)))
        });
        others
            .into_iter()
            .find(|&slot| state(slot) == Availability::Eligible)
    }
}
