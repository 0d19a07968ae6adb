//! The schedulers that hash, with a table made anew for each flow.

use alloc::vec::Vec;

use super::{Model, Server};
use crate::flow::Flow;
use crate::hash::{MH_KEY_1, MH_KEY_2, address_key, golden, sip};

impl Model {
    pub(super) fn dh(&self, flow: &Flow) -> Option<u32> {
        let bits = self.options.dh_bits.get();
        let table: Vec<&Server> = self.list.iter().cycle().take(1 << bits).collect();
        let bucket = golden(address_key(flow.destination), bits) as usize;
        let server = table.get(bucket)?;
        if server.eligible() {
            return Some(server.name);
        }
        // A back end that refused the flow gives way to the next bucket's.
        let mut others = table[bucket..].iter().chain(&table[..bucket]);
        let other = server
            .refused
            .then(|| others.find(|server| server.eligible()))??;
        Some(other.name)
    }

    pub(super) fn sh(&self, flow: &Flow) -> Option<u32> {
        let bits = self.options.sh_bits.get();
        let size = 1_usize << bits;
        let shares = self.list.iter().flat_map(|server| {
            let buckets = (server.weight() as usize).clamp(1, size);
            core::iter::repeat_n(server, buckets)
        });
        let table: Vec<&Server> = shares.cycle().take(size).collect();
        let hash = golden(self.source_key(flow), bits) as usize;
        let server = table.get(hash)?;
        if server.eligible() {
            return Some(server.name);
        }
        if !self.options.hash_fallback && !server.refused {
            return None;
        }
        for offset in 0..size {
            let seed = (offset + hash) % size;
            let server = table.get((seed + hash) % size)?;
            if server.eligible() {
                return Some(server.name);
            }
        }
        None
    }

    pub(super) fn mh(&self, flow: &Flow) -> Option<u32> {
        let table = self.maglev();
        let size = self.options.mh_size.slots();
        let slot = |key: u32| sip(key, MH_KEY_1) % size;
        let key = self.source_key(flow);
        let first = slot(key);
        let server = *table.get(first as usize)?;
        if server.eligible() {
            return Some(server.name);
        }
        if !self.options.hash_fallback && !server.refused {
            return None;
        }
        for offset in 0..size {
            let seed = (offset + first) % size;
            let server = *table.get(slot(key.wrapping_add(seed)) as usize)?;
            if server.eligible() {
                return Some(server.name);
            }
        }
        None
    }

    /// The table of `mh`, slot by slot; empty when nobody ever had a weight.
    fn maglev(&self) -> Vec<&Server> {
        let size = self.options.mh_size.slots();
        let weights = || {
            self.list
                .iter()
                .map(|server| server.last_weight)
                .filter(|&weight| weight > 0)
        };
        let Some(least) = weights().min() else {
            return Vec::new();
        };
        let divisor = (1..=least)
            .rev()
            .find(|step| weights().all(|weight| weight % step == 0));
        let divisor = divisor.unwrap_or(1);
        let mut shift = 0;
        while weights().any(|weight| (weight / divisor) >> shift >= 1 << self.options.mh_size.weight_bits()) {
            shift += 1;
        }
        let mut table: Vec<Option<&Server>> = alloc::vec![None; size as usize];
        let mut steps: Vec<u32> = alloc::vec![0; self.list.len()];
        let mut taken = 0;
        loop {
            for (server, step) in self.list.iter().zip(&mut steps) {
                let turns = match server.last_weight {
                    0 => 0,
                    weight => ((weight / divisor) >> shift).max(1),
                };
                for _ in 0..turns {
                    if taken == size {
                        return table.into_iter().flatten().collect();
                    }
                    let offset = u64::from(sip(server.spec.key, MH_KEY_1) % size);
                    let skip = u64::from(sip(server.spec.key, MH_KEY_2) % (size - 1) + 1);
                    loop {
                        let place = ((offset + skip * u64::from(*step)) % u64::from(size)) as usize;
                        if table[place].is_none() {
                            table[place] = Some(server);
                            break;
                        }
                        *step += 1;
                    }
                    taken += 1;
                }
            }
        }
    }

    fn source_key(&self, flow: &Flow) -> u32 {
        let port = if self.options.hash_port {
            flow.source_port
        } else {
            0
        };
        address_key(flow.source).wrapping_add(u32::from(port))
    }
}
