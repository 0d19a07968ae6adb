//! Trees over positions, each a flat array: node `i` has the children `2i` and `2i + 1`, leaves lie at the end.

use alloc::vec::Vec;
use core::mem;

/// Finds the position of the least quotient `cost / weight`, the first of equals.
///
/// A tournament: each pair sends its winner up, the left one unless the right one is strictly better, and weight 0 never
/// wins. A change costs a comparison for each level up to where nothing changes any more; but the last one is put off
/// until it matters. Mostly it never does: who ends a connection is often the best choice for the next one, which undoes
/// the change.
#[derive(Clone, Debug)]
pub(crate) struct Tournament {
    /// By position, the last change left out.
    loads: Vec<Load>,
    /// Positions: pair `i` is won by the better of those who won the pairs `2i` and `2i + 1`. The leaves would lie behind.
    winners: Vec<u32>,
    winner: u32,
    last: Entrant,
}

/// What one position in a [`Tournament`] costs, and by what that is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    cost: u32,
    weight: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entrant {
    position: u32,
    load: Load,
}

impl Default for Tournament {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Tournament {
    /// A tournament without entrants for a power of two of positions.
    pub(crate) fn new(positions: usize) -> Self {
        let last = Entrant {
            position: 0,
            load: Load::ABSENT,
        };
        let mut tournament = Self {
            loads: alloc::vec![Load::ABSENT; positions],
            winners: alloc::vec![0; positions],
            winner: 0,
            last,
        };
        tournament.fill(core::iter::empty());
        tournament
    }

    /// How many positions there are.
    #[inline]
    pub(crate) const fn positions(&self) -> usize {
        self.loads.len()
    }

    /// Enters a position, or with weight 0 withdraws it.
    #[inline]
    pub(crate) fn set(&mut self, position: usize, cost: u32, weight: u32) {
        let (position, load) = (position as u32, Load::new(cost, weight));
        let before = mem::replace(&mut self.last, Entrant { position, load });
        if before.position != position {
            self.play(before);
        }
    }

    /// Enters many positions at once, each with its cost and weight. The others stay as they are.
    pub(crate) fn fill(&mut self, entrants: impl Iterator<Item = (usize, u32, u32)>) {
        self.play(self.last);
        for (position, cost, weight) in entrants {
            self.loads[position] = Load::new(cost, weight);
        }
        let positions = self.loads.len();
        for index in (1..positions).rev() {
            let [left, right] = [2 * index, 2 * index + 1].map(|child| {
                let position = match child.checked_sub(positions) {
                    Some(leaf) => leaf as u32,
                    None => self.winners[child],
                };
                self.entrant(position)
            });
            self.winners[index] = left.against(right, true).position;
        }
        self.winner = self.winners.get(1).copied().unwrap_or(0);
        if let Some(&load) = self.loads.get(self.last.position as usize) {
            self.last.load = load;
        }
    }

    /// The winner.
    #[inline]
    pub(crate) fn first(&mut self) -> Option<usize> {
        let last = self.last;
        let before = *self.loads.get(last.position as usize)?;
        // If the last change is for the worse it matters only to who would have won without it.
        if last.position == self.winner && !last.load.is_as_good_as(before) {
            self.play(last);
        }
        let mut first = last;
        if self.winner != last.position {
            let winner = self.entrant(self.winner);
            first = winner.against(last, winner.position < last.position);
        }
        (first.load.weight > 0).then_some(first.position as usize)
    }

    #[inline]
    fn entrant(&self, position: u32) -> Entrant {
        Entrant {
            position,
            load: self.loads[position as usize],
        }
    }

    /// Carries a change through.
    #[inline]
    fn play(&mut self, entrant: Entrant) {
        let (loads, winners) = (self.loads.as_mut_slice(), self.winners.as_mut_slice());
        let Some(load) = loads.get_mut(entrant.position as usize) else {
            return;
        };
        if *load == entrant.load {
            return;
        }
        *load = entrant.load;
        let mut winner = entrant;
        let mut rival = entrant.position ^ 1;
        let mut index = loads.len() + entrant.position as usize;
        while index > 1 {
            // Who the rivals are does not depend on who wins, so that all are known before the first comparison.
            let sibling = Entrant {
                position: rival,
                load: loads[rival as usize],
            };
            winner = winner.against(sibling, index & 1 == 0);
            index /= 2;
            if winner.position != entrant.position && winners[index] == winner.position {
                return;
            }
            winners[index] = winner.position;
            rival = winners[index ^ 1];
        }
        self.winner = winner.position;
    }
}

impl Load {
    const ABSENT: Self = Self { cost: 1, weight: 0 };

    #[inline]
    const fn new(cost: u32, weight: u32) -> Self {
        if weight == 0 {
            Self::ABSENT
        } else {
            Self { cost, weight }
        }
    }

    #[inline]
    fn is_as_good_as(self, other: Self) -> bool {
        u64::from(self.cost) * u64::from(other.weight) <= u64::from(other.cost) * u64::from(self.weight)
    }
}

impl Entrant {
    /// The better of two, of equals the left one: the least `cost / weight`, without dividing. The absent one has weight 0
    /// and a cost above 0, so it loses against anybody and cannot beat anybody.
    #[inline]
    fn against(self, sibling: Self, is_left: bool) -> Self {
        let ours = u64::from(self.load.cost) * u64::from(sibling.load.weight);
        let theirs = u64::from(sibling.load.cost) * u64::from(self.load.weight);
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

/// Keeps the greatest common divisor and the maximum of values, zeros left out, that are given for blocks of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct DivisorTree {
    nodes: Vec<(u32, u32)>,
}

impl DivisorTree {
    /// All values zero, for a power of two of blocks, or none.
    pub(crate) fn new(blocks: usize) -> Self {
        Self {
            nodes: alloc::vec![(0, 0); 2 * blocks],
        }
    }

    pub(crate) fn set(&mut self, block: usize, values: impl Iterator<Item = u32>) {
        let both = values.fold((0, 0), |(divisor, greatest), value| {
            (gcd(divisor, value), value.max(greatest))
        });
        let mut index = self.nodes.len() / 2 + block;
        self.nodes[index] = both;
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
    values: Vec<u32>,
    /// Sum `i` is of the sums `2i` and `2i + 1`. The values would lie behind.
    sums: Vec<u64>,
}

impl SumTree {
    /// All values zero, for a power of two of positions, at least two, or none.
    pub(crate) fn new(positions: usize) -> Self {
        Self {
            values: alloc::vec![0; positions],
            sums: alloc::vec![0; positions],
        }
    }

    pub(crate) fn set(&mut self, position: usize, value: u32) {
        let before = mem::replace(&mut self.values[position], value);
        if before == value {
            return;
        }
        let mut index = (self.values.len() + position) / 2;
        while index > 0 {
            self.sums[index] = self.sums[index] - u64::from(before) + u64::from(value);
            index /= 2;
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sums.get(1).copied().unwrap_or(0)
    }

    /// The first position with a value above 0 at which the running sum reaches `amount`, which is at most the whole.
    pub(crate) fn reach(&self, amount: u64) -> usize {
        let positions = self.values.len();
        let mut rest = amount.max(1);
        let mut index = 1;
        // Which way it goes is chance, so without a branch.
        while 2 * index < positions {
            index *= 2;
            let left = self.sums[index];
            let right = left < rest;
            rest -= left * u64::from(right);
            index += usize::from(right);
        }
        let position = 2 * index - positions;
        position + usize::from(u64::from(self.values[position]) < rest)
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

    /// Positions entered one by one and all at once, also where one change is put off meanwhile.
    #[test]
    fn a_tournament_can_be_filled_at_once() {
        for positions in [1_usize, 2, 32] {
            let (mut filled, mut set) = (Tournament::new(positions), Tournament::new(positions));
            let mut numbers = numbers();
            while let Some(number) = numbers.next() {
                let entrants: Vec<_> = numbers
                    .by_ref()
                    .take(number as usize % 5)
                    .map(|number| (number as usize % positions, number >> 8 & 63, number >> 14 & 7))
                    .collect();
                for &(position, cost, weight) in &entrants {
                    set.set(position, cost, weight);
                }
                filled.fill(entrants.into_iter());
                assert_eq!(filled.first(), set.first());
                let (position, cost) = (number as usize >> 20 & (positions - 1), number >> 9 & 63);
                filled.set(position, cost, 1);
                set.set(position, cost, 1);
                if number & 64 == 0 {
                    assert_eq!(filled.first(), set.first());
                }
            }
        }
    }

    #[test]
    fn trees_agree_with_plain_arrays() {
        for positions in [2_usize, 16, 128, 1_024] {
            let mut plain = alloc::vec![(1_u32, 0_u32); positions];
            let (mut tournament, mut max) = (Tournament::new(positions), MaxTree::new(positions));
            let mut seldom_asked = Tournament::new(positions);
            let (mut divisor, mut sum) = (DivisorTree::new(positions / 2), SumTree::new(positions));
            for number in numbers() {
                let position = number as usize % positions;
                let (cost, weight) = (number >> 8 & 63, number >> 14 & 7);
                plain[position] = (cost, weight);
                tournament.set(position, cost, weight);
                max.set(position, weight);
                seldom_asked.set(position, cost, weight);
                let pair = position & !1;
                divisor.set(position / 2, plain[pair..pair + 2].iter().map(|entry| entry.1));
                sum.set(position, weight);

                let least = (0..positions).filter(|&i| plain[i].1 > 0).reduce(|best, i| {
                    let better = plain[i].0 * plain[best].1 < plain[best].0 * plain[i].1;
                    if better { i } else { best }
                });
                assert_eq!(tournament.first(), least);
                if number >> 3 & 7 == 0 {
                    assert_eq!(seldom_asked.first(), least);
                }
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
