//! A hash index that holds only numbers: the keys stay where they are.

use std::hash::{BuildHasher, Hash, RandomState};

/// Maps hashes to numbers with four bytes a slot; the owner says what a number's hash is and whether it is the one sought.
#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: Vec<u32>,
    len: usize,
    hasher: RandomState,
}

impl Index {
    pub(crate) fn hash(&self, key: &impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The first number under this hash that `is` accepts.
    pub(crate) fn get(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = home(hash, mask);
        loop {
            match self.slots.get(at).copied() {
                None | Some(EMPTY) => return None,
                Some(id) if is(id) => return Some(id),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    /// Adds a number; `hash_of` gives the hashes of those already inside.
    pub(crate) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(&Self, u32) -> u64) {
        self.reserve(1, hash_of);
        self.place(hash, id);
        self.len += 1;
    }

    /// Makes room for this many more at once, so that no outgrown tables are left behind.
    pub(crate) fn reserve(&mut self, more: usize, hash_of: impl Fn(&Self, u32) -> u64) {
        // At most seven eighths full: short walks at four bytes each.
        let wanted = (self.len.saturating_add(more)).saturating_mul(8);
        if wanted <= self.slots.len() * 7 {
            return;
        }
        let bigger = wanted.div_ceil(7).next_power_of_two().max(8);
        let old = core::mem::replace(&mut self.slots, vec![EMPTY; bigger]);
        for id in old.into_iter().filter(|id| *id != EMPTY) {
            let hash = hash_of(self, id);
            self.place(hash, id);
        }
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, hash: u64, id: u32, hash_of: impl Fn(&Self, u32) -> u64) {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return;
        };
        let mut at = home(hash, mask);
        loop {
            match self.slots.get(at).copied() {
                None | Some(EMPTY) => return,
                Some(found) if found == id => break,
                Some(_) => at = (at + 1) & mask,
            }
        }
        self.len -= 1;
        // Close the gap, so that walks never meet a hole before their aim.
        let mut hole = at;
        loop {
            at = (at + 1) & mask;
            let next = self.slots.get(at).copied().unwrap_or(EMPTY);
            if next == EMPTY {
                break;
            }
            let next_home = home(hash_of(self, next), mask);
            if (at.wrapping_sub(next_home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.set(hole, next);
                hole = at;
            }
        }
        self.set(hole, EMPTY);
    }

    fn place(&mut self, hash: u64, id: u32) {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return;
        };
        let mut at = home(hash, mask);
        while self.slots.get(at).is_some_and(|slot| *slot != EMPTY) {
            at = (at + 1) & mask;
        }
        self.set(at, id);
    }

    fn set(&mut self, at: usize, id: u32) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = id;
        }
    }
}

const EMPTY: u32 = u32::MAX;

fn home(hash: u64, mask: usize) -> usize {
    usize::try_from(hash & u64::try_from(mask).unwrap_or(u64::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A long walk of insertions and removals, beside a map that is known to be right; hashes collide on purpose.
    #[test]
    fn agrees_with_a_map() {
        let mut index = Index::default();
        let mut map = HashMap::new();
        let hash = |id: u32| u64::from(id % 37);
        let mut random = 1_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (random >> 16) % 200;
            if map.remove(&id).is_some() {
                index.remove(hash(id), id, |_, id| hash(id));
            } else {
                map.insert(id, ());
                index.insert(hash(id), id, |_, id| hash(id));
            }
            for id in 0..200 {
                assert_eq!(
                    index.get(hash(id), |found| found == id).is_some(),
                    map.contains_key(&id)
                );
            }
        }
    }
}
