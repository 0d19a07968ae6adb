//! Weighted round robin: each back end in turn, as often as its weight says.

use crate::backend::{BackendId, Record};
use crate::backends::Backends;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::scheduler::{Event, Scheduler};
use crate::tree::{DivisorTree, MaxTree};

/// `wrr`: rounds at falling levels of weight, each giving a turn to whoever weighs at least the level.
///
/// Kernel behaviour: `ip_vs_wrr`. Weights 4, 3 and 2 give the cycle A A B A B C A B C, and a period is exactly the sum of weights
/// over their greatest common divisor. The kernel walks every level, also those that nobody reaches (65 million steps
/// when one of weight 65535 is overloaded among a thousand of weight 1); this form jumps to the next one that somebody
/// reaches, and lands in the same state.
#[derive(Clone, Debug)]
pub(crate) struct Wrr {
    /// Weights of those who are not overloaded.
    reachable: MaxTree,
    /// All weights.
    weights: DivisorTree,
    /// The position after the last pick; 0 at the front of the list.
    start: usize,
    /// The level of the current round.
    level: i64,
    /// The level of the first round.
    top: i64,
    /// From one level to the next: the greatest common divisor of the weights.
    step: i64,
}

impl Default for Wrr {
    fn default() -> Self {
        Self {
            reachable: MaxTree::default(),
            weights: DivisorTree::default(),
            start: 0,
            level: 0,
            top: 0,
            step: 1,
        }
    }
}

impl Scheduler for Wrr {
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        match event {
            Event::Loaded(id) => self.enter(backends.record(id.slot)),
            Event::Added(id) | Event::Edited(id) => {
                if let Some(position) = backends.position(id) {
                    self.enter(backends.record(id.slot));
                    self.weigh(backends, position / BLOCK);
                }
                self.restart();
            }
            Event::Removed { position, .. } => {
                self.reachable.set(position, 0);
                self.weigh(backends, position / BLOCK);
                self.restart();
            }
            // A change of the list follows, which restarts the round anyway.
            Event::Moved(_) => {
                self.reachable = MaxTree::new(backends.positions());
                for backend in backends.iter() {
                    self.enter(backend.record);
                }
                let blocks = backends.positions() / BLOCK;
                self.weights = DivisorTree::new(blocks);
                (0..blocks).for_each(|block| self.weigh(backends, block));
            }
        }
    }

    #[inline]
    fn select(&mut self, backends: &Backends, _: &Flow, _: &mut dyn Environment) -> Option<BackendId> {
        self.turn(backends)
    }
}

impl Wrr {
    /// The next one.
    #[inline]
    pub(crate) fn turn(&mut self, backends: &Backends) -> Option<BackendId> {
        if self.top == 0 {
            return None;
        }
        let reachable = i64::from(self.reachable.max());
        if reachable == 0 {
            self.exhaust();
            return None;
        }
        let position = match self.reachable.next(self.start, self.level as u32) {
            Some(position) => position,
            None => {
                self.level -= self.step;
                if self.level <= 0 {
                    self.level = self.top;
                }
                if self.level > reachable {
                    let excess = self.level - reachable;
                    self.level -= (excess + self.step - 1) / self.step * self.step;
                }
                self.reachable.next(0, self.level as u32)?
            }
        };
        self.start = position + 1;
        Some(backends.id(backends.slot_at(position)))
    }

    /// After so many picks the cycle begins anew, while nobody is overloaded.
    #[cfg(feature = "std")]
    pub(crate) fn period(&self, backends: &Backends) -> u64 {
        let sum: u64 = backends.iter().map(|backend| u64::from(backend.weight())).sum();
        sum / u64::from(self.weights.divisor_and_max().0.max(1))
    }

    fn enter(&mut self, record: &Record) {
        let reachable = if record.eligible() { record.weight() } else { 0 };
        self.reachable.set(record.position as usize, reachable);
    }

    /// Looks at the weights of a block of positions.
    fn weigh(&mut self, backends: &Backends, block: usize) {
        let positions = block * BLOCK..(block + 1) * BLOCK;
        let listed = positions.filter_map(|position| backends.at(position));
        self.weights.set(block, listed.map(|backend| backend.weight()));
    }

    /// After any edit the round goes on from the front of the list, at the nearest level that still exists.
    fn restart(&mut self) {
        let (divisor, greatest) = self.weights.divisor_and_max();
        self.start = 0;
        self.step = i64::from(divisor.max(1));
        self.top = i64::from(greatest) - (self.step - 1);
        if self.level > self.top || self.level == 0 {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    /// Where the kernel's walk ends when nobody can be picked: it visits the levels from the current one down, and once
    /// more those above it if the walk began inside the list.
    const fn exhaust(&mut self) {
        if self.start == 0 {
            self.level = self.top;
        } else if self.level - self.step <= 0 {
            self.level = self.top - (self.top - 1) / self.step * self.step;
        } else {
            self.start = 0;
            self.level = self.top;
        }
    }
}

/// So many positions together are one value of the tree of divisors, which only edits look at. There are never fewer.
const BLOCK: usize = 16;

#[cfg(feature = "reference")]
impl Wrr {
    pub(crate) const fn start(&self) -> usize {
        self.start
    }

    pub(crate) const fn level(&self) -> i64 {
        self.level
    }
}
