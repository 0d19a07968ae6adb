//! The power of two choices: of two drawn by weight, the less loaded.

use crate::backend::{BackendId, Record};
use crate::backends::Backends;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::scheduler::{Event, Scheduler};
use crate::tree::SumTree;

/// `twos`: two back ends drawn at random by weight, perhaps the same one twice; the one with less overhead for its weight
/// is taken, the first drawn of equals.
///
/// Kernel behaviour: `ip_vs_twos`. Each draw is a number from 0 to the sum of the eligible weights *inclusive*, which gives
/// the first in the list one chance more than its weight.
///
/// # Deviation
/// The kernel compares in 32 bits, which wrap when a load times a weight passes two thousand million; this does not.
#[derive(Debug, Default)]
pub(crate) struct Twos {
    weights: SumTree,
}

impl Scheduler for Twos {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        match event {
            Event::Added(id) | Event::Edited(id) | Event::Loaded(id) => self.enter(backends.record(id.slot)),
            Event::Removed { position, .. } => self.weights.set(position, 0),
            Event::Moved(_) => {
                self.weights = SumTree::new(backends.positions());
                for backend in backends.iter() {
                    self.enter(backend.record);
                }
            }
        }
    }

    fn select(
        &mut self,
        backends: &Backends,
        _: &Flow,
        environment: &mut dyn Environment,
    ) -> Option<BackendId> {
        let sum = self.weights.sum();
        if sum == 0 {
            return None;
        }
        let draws = [
            environment.random_below(sum + 1),
            environment.random_below(sum + 1),
        ];
        let [first, second] = draws.map(|draw| backends.slot_at(self.weights.reach(draw.min(sum))));
        let (one, other) = (backends.record(first), backends.record(second));
        let load = |record: &Record| u64::from(record.overhead(backends.rules()));
        let better = u64::from(other.weight()) * load(one) > u64::from(one.weight()) * load(other);
        Some(backends.id(if better { second } else { first }))
    }
}

impl Twos {
    #[inline]
    fn enter(&mut self, record: &Record) {
        let weight = if record.eligible() { record.weight() } else { 0 };
        self.weights.set(record.position as usize, weight);
    }
}
