//! A set of positions that finds the next member in a step per factor of 64.

use alloc::vec::Vec;

/// Bits in words, each word summed up by one bit of the level above.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitSet {
    levels: Vec<Vec<u64>>,
}

impl BitSet {
    /// The empty set with room for positions below `positions`.
    pub(crate) fn new(positions: usize) -> Self {
        let mut levels = Vec::new();
        let mut words = positions.div_ceil(64);
        while words > 0 {
            levels.push(alloc::vec![0; words]);
            if words == 1 {
                break;
            }
            words = words.div_ceil(64);
        }
        Self { levels }
    }

    pub(crate) fn set(&mut self, position: usize, member: bool) {
        let mut index = position;
        for level in &mut self.levels {
            let word = &mut level[index / 64];
            let before = *word;
            if member {
                *word |= 1 << (index % 64);
            } else {
                *word &= !(1 << (index % 64));
            }
            // The level above only tells empty words from others.
            if (before == 0) == (*word == 0) {
                break;
            }
            index /= 64;
        }
    }

    /// The first member from `from` on.
    #[inline]
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let mut index = from;
        let mut height = 0;
        loop {
            let words = self.levels.get(height)?;
            let word = index / 64;
            let rest = words.get(word)? & (u64::MAX << (index % 64));
            if rest != 0 {
                let mut found = word * 64 + rest.trailing_zeros() as usize;
                while height > 0 {
                    height -= 1;
                    found = found * 64 + self.levels[height][found].trailing_zeros() as usize;
                }
                return Some(found);
            }
            height += 1;
            index = word + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_scan_finds() {
        for positions in [0, 1, 16, 64, 65, 4_096, 5_000] {
            let mut set = BitSet::new(positions);
            let mut plain = alloc::vec![false; positions];
            let mut state = 1_usize;
            for step in 0..3_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                if positions > 0 {
                    let position = (state >> 33) % positions;
                    let member = step % 3 != 0;
                    set.set(position, member);
                    plain[position] = member;
                }
                let from = (state >> 20) % (positions + 2);
                let expected = (from..positions).find(|&position| plain[position]);
                assert_eq!(set.next(from), expected);
            }
        }
    }
}
