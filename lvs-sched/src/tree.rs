//! Trees over positions, each a flat array: node `i` has the children `2i` and `2i + 1`, leaves lie at the end.

use alloc::vec::Vec;

/// Finds the position of the least quotient `cost / weight`, the first of equals.
///
/// A tournament: each pair sends its winner up, the left one unless the right one is strictly better, and weight 0 never
/// wins. Setting a leaf costs a comparison for each level up to where nothing changes any more.
#[derive(Clone, Debug)]
pub(crate) struct Tournament {
    /// Pair `i` has the winners of the pairs `2i` and `2i + 1`; the leaves lie in the later half. Pair 0 is not used.
    pairs: Vec<[Entrant; 2]>,
    winner: Entrant,
}

/// One position in a [`Tournament`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entrant {
    cost: u32,
    weight: u32,
    position: u32,
}

impl Default for Tournament {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Tournament {
    /// A tournament without entrants for a power of two of positions.
    pub(crate) fn new(positions: usize) -> Self {
        Self {
            pairs: alloc::vec![[Entrant::ABSENT; 2]; positions],
            winner: Entrant::ABSENT,
        }
    }

    /// Enters a position, or with weight 0 withdraws it.
    #[inline]
    pub(crate) fn set(&mut self, position: usize, cost: u32, weight: u32) {
        let mut winner = if weight == 0 {
            Entrant::ABSENT
        } else {
            Entrant {
                cost,
                weight,
                position: position as u32,
            }
        };
        let pairs = self.pairs.as_mut_slice();
        let mut index = pairs.len() + position;
        while index > 1 {
            let side = index & 1;
            index /= 2;
            let pair = &mut pairs[index];
            if pair[side] == winner {
                return;
            }
            pair[side] = winner;
            // Not read back from the pair: that would wait for the store, five times as long as all the rest.
            winner = winner.against(pair[side ^ 1], side == 0);
        }
        self.winner = winner;
    }

    /// The winner.
    #[inline]
    pub(crate) const fn first(&self) -> Option<usize> {
        if self.winner.weight > 0 {
            Some(self.winner.position as usize)
        } else {
            None
        }
    }
}

impl Entrant {
    const ABSENT: Self = Self {
        cost: 1,
        weight: 0,
        position: 0,
    };

    /// The better of two, of equals the left one: the least `cost / weight`, without dividing. The absent one has weight 0
    /// and a cost above 0, so it loses against anybody and cannot beat anybody.
    #[inline]
    fn against(self, sibling: Self, is_left: bool) -> Self {
        let ours = u64::from(self.cost) * u64::from(sibling.weight);
        let theirs = u64::from(sibling.cost) * u64::from(self.weight);
        if ours < theirs + u64::from(is_left) {
            self
        } else {
            sibling
        }
    }
}

/// Finds the next position whose value reaches a threshold.
#[derive(Clone, Debug, Default)]
pub(crate) struct MaxTree {
    nodes: Vec<u32>,
}

impl MaxTree {
    /// All values zero, for a power of two of positions.
    pub(crate) fn new(positions: usize) -> Self {
        Self {
            nodes: alloc::vec![0; 2 * positions],
        }
    }

    pub(crate) fn set(&mut self, position: usize, value: u32) {
        let mut index = self.nodes.len() / 2 + position;
        if self.nodes[index] == value {
            return;
        }
        self.nodes[index] = value;
        while index > 1 {
            let max = self.nodes[index & !1].max(self.nodes[index | 1]);
            index /= 2;
            if self.nodes[index] == max {
                break;
            }
            self.nodes[index] = max;
        }
    }

    /// The greatest value.
    #[inline]
    pub(crate) fn max(&self) -> u32 {
        self.nodes.get(1).copied().unwrap_or(0)
    }

    /// The first position from `from` on whose value is at least `threshold`, which is above 0.
    #[inline]
    pub(crate) fn next(&self, from: usize, threshold: u32) -> Option<usize> {
        let leaves = self.nodes.len() / 2;
        if from >= leaves {
            return None;
        }
        let mut index = leaves + from;
        while self.nodes[index] < threshold {
            // Up while we are a right child, then over to the neighbour on the right.
            index >>= index.trailing_ones();
            if index == 0 {
                return None;
            }
            index += 1;
        }
        while index < leaves {
            index *= 2;
            index += usize::from(self.nodes[index] < threshold);
        }
        Some(index - leaves)
    }
}

/// Keeps the greatest common divisor and the maximum of all values, zeros left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct DivisorTree {
    nodes: Vec<(u32, u32)>,
}

impl DivisorTree {
    /// All values zero, for a power of two of positions.
    pub(crate) fn new(positions: usize) -> Self {
        Self {
            nodes: alloc::vec![(0, 0); 2 * positions],
        }
    }

    pub(crate) fn set(&mut self, position: usize, value: u32) {
        let mut index = self.nodes.len() / 2 + position;
        if self.nodes[index] == (value, value) {
            return;
        }
        self.nodes[index] = (value, value);
        while index > 1 {
            let (left, right) = (self.nodes[index & !1], self.nodes[index | 1]);
            let both = (gcd(left.0, right.0), left.1.max(right.1));
            index /= 2;
            if self.nodes[index] == both {
                break;
            }
            self.nodes[index] = both;
        }
    }

    /// The greatest common divisor (0 if all are zero) and the maximum.
    pub(crate) fn divisor_and_max(&self) -> (u32, u32) {
        self.nodes.get(1).copied().unwrap_or((0, 0))
    }
}

/// Sums of values before a position, and the position where a sum is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct SumTree {
    nodes: Vec<u64>,
}

impl SumTree {
    /// All values zero, for a power of two of positions.
    pub(crate) fn new(positions: usize) -> Self {
        Self {
            nodes: alloc::vec![0; 2 * positions],
        }
    }

    pub(crate) fn set(&mut self, position: usize, value: u32) {
        let mut index = self.nodes.len() / 2 + position;
        let value = u64::from(value);
        let before = self.nodes[index];
        if before == value {
            return;
        }
        while index > 0 {
            self.nodes[index] = self.nodes[index] - before + value;
            index /= 2;
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.nodes.get(1).copied().unwrap_or(0)
    }

    /// The first position with a value above 0 at which the running sum reaches `amount`, which is at most the whole.
    pub(crate) fn reach(&self, amount: u64) -> usize {
        let leaves = self.nodes.len() / 2;
        let mut rest = amount.max(1);
        let mut index = 1;
        while index < leaves {
            index *= 2;
            // Which way it goes is chance, so without a branch.
            let left = self.nodes[index];
            let right = left < rest;
            rest -= left * u64::from(right);
            index += usize::from(right);
        }
        index - leaves
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
pub(crate) const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few thousand numbers that look random.
    fn numbers() -> impl Iterator<Item = u32> {
        let mut state = 7_u64;
        core::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        })
        .take(6_000)
    }

    #[test]
    fn trees_agree_with_plain_arrays() {
        for positions in [1_usize, 2, 16, 128] {
            let mut plain = alloc::vec![(1_u32, 0_u32); positions];
            let (mut tournament, mut max) = (Tournament::new(positions), MaxTree::new(positions));
            let (mut divisor, mut sum) = (DivisorTree::new(positions), SumTree::new(positions));
            for number in numbers() {
                let position = number as usize % positions;
                let (cost, weight) = (number >> 8 & 63, number >> 14 & 7);
                plain[position] = (cost, weight);
                tournament.set(position, cost, weight);
                max.set(position, weight);
                divisor.set(position, weight);
                sum.set(position, weight);

                let least = (0..positions).filter(|&i| plain[i].1 > 0).reduce(|best, i| {
                    let better = plain[i].0 * plain[best].1 < plain[best].0 * plain[i].1;
                    if better { i } else { best }
                });
                assert_eq!(tournament.first(), least);
                let from = number as usize >> 20 & 255;
                let threshold = (number >> 17 & 7).max(1);
                let reaching = (from..positions).find(|&i| plain[i].1 >= threshold);
                assert_eq!(max.next(from, threshold), reaching);
                let weights = plain.iter().map(|entry| entry.1);
                let greatest = weights.clone().max().unwrap();
                assert_eq!(max.max(), greatest);
                assert_eq!(
                    divisor.divisor_and_max(),
                    (weights.clone().fold(0, gcd), greatest)
                );
                let whole = weights.map(u64::from).sum::<u64>();
                assert_eq!(sum.sum(), whole);
                if whole > 0 {
                    let amount = u64::from(number >> 5) % (whole + 1);
                    let mut rest = amount as i64;
                    let reached = (0..positions).find(|&i| {
                        rest -= i64::from(plain[i].1);
                        plain[i].1 > 0 && rest <= 0
                    });
                    assert_eq!(Some(sum.reach(amount)), reached);
                }
            }
        }
    }
}
