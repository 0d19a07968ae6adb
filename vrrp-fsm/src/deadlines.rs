//! The next deadline of many virtual routers: a tree of which each node is the earlier of its two children. A deadline
//! that moves changes nodes only as far up as it matters, and nothing is allocated for it.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::Instant;

#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    /// The second half are the deadlines, by number, with [`Instant::NEVER`] for none; before them their parents, the root
    /// at 1. The length is a power of two.
    tree: Vec<Instant>,
}

impl Deadlines {
    /// The earliest; of several the one with the lowest number.
    pub(crate) fn first(&self) -> Option<(Instant, u32)> {
        let earliest = self.next()?;
        let leaves = self.tree.len() / 2;
        let mut place = 1;
        while place < leaves {
            place *= 2;
            if self.tree.get(place) != Some(&earliest) {
                place += 1;
            }
        }
        let number = u32::try_from(place - leaves).ok()?;
        Some((earliest, number))
    }

    /// When the earliest is.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.tree
            .get(1)
            .copied()
            .filter(|earliest| *earliest != Instant::NEVER)
    }

    /// Sets, moves or takes away the deadline of a number. Numbers should be dense.
    pub(crate) fn set(&mut self, number: u32, deadline: Option<Instant>) {
        while self.tree.len() / 2 <= number as usize {
            self.grow();
        }
        let mut place = self.tree.len() / 2 + number as usize;
        let mut value = deadline.unwrap_or(Instant::NEVER);
        while let Some(known) = self.tree.get_mut(place) {
            if *known == value || place == 0 {
                break;
            }
            *known = value;
            let other = self.tree.get(place ^ 1).copied().unwrap_or(Instant::NEVER);
            value = value.min(other);
            place /= 2;
        }
    }

    fn grow(&mut self) {
        let leaves = self.tree.len() / 2;
        let old = core::mem::take(&mut self.tree);
        self.tree.resize((leaves * 4).max(4), Instant::NEVER);
        for (deadline, number) in old.into_iter().skip(leaves).zip(0..) {
            self.set(number, Some(deadline));
        }
    }
}

/// The deadlines follow from the virtual routers; two routers that have the same are equal.
impl PartialEq for Deadlines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Deadlines {}

impl Hash for Deadlines {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::collections::BTreeSet;

    use super::*;

    fn checked(deadlines: &Deadlines) {
        for place in 1..deadlines.tree.len() / 2 {
            assert_eq!(
                deadlines.tree[place],
                deadlines.tree[2 * place].min(deadlines.tree[2 * place + 1])
            );
        }
    }

    #[test]
    fn agrees_with_a_sorted_set() {
        let mut state = 1u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut deadlines = Deadlines::default();
        let mut set = BTreeSet::new();
        let mut of = BTreeMap::new();
        for round in 0..20_000 {
            let number = u32::try_from(random(50)).unwrap();
            let deadline = (random(4) > 0).then(|| Instant::from_nanos(random(30) + round / 100));
            deadlines.set(number, deadline);
            if let Some(old) = of.remove(&number) {
                set.remove(&(old, number));
            }
            if let Some(new) = deadline {
                of.insert(number, new);
                set.insert((new, number));
            }
            assert_eq!(
                deadlines.first().map(|first| first.0),
                set.first().map(|first| first.0)
            );
            if let Some((deadline, number)) = deadlines.first() {
                assert_eq!(of.get(&number), Some(&deadline));
            }
            checked(&deadlines);
        }
        for number in 0..60 {
            deadlines.set(number, None);
            checked(&deadlines);
        }
        assert_eq!(deadlines.first(), None);
    }
}
