//! Round robin: each back end in turn.

use crate::backend::BackendId;
use crate::backends::Backends;
use crate::bitset::BitSet;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::scheduler::{Event, Scheduler};

/// `rr`: the next eligible back end after the last one picked, from the front again after the end.
///
/// Kernel behaviour: `ip_vs_rr`. A pick that finds none leaves the place; a removal moves it to the predecessor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rr {
    eligible: BitSet,
    /// The position after the last pick; 0 before the first one.
    start: usize,
}

impl Scheduler for Rr {
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        match event {
            Event::Added(id) | Event::Edited(id) | Event::Loaded(id) => {
                let record = backends.record(id.slot);
                self.eligible.set(record.position as usize, record.eligible());
            }
            Event::Removed { position, .. } => {
                self.eligible.set(position, false);
                // The predecessor of the first one is the front of the list, before whatever enters there.
                if backends.head() >= self.start {
                    self.start = 0;
                }
            }
            Event::Moved(moves) => {
                self.start = moves.boundary(self.start);
                self.eligible = BitSet::new(backends.positions());
                for backend in backends.iter() {
                    self.eligible
                        .set(backend.record.position as usize, backend.eligible());
                }
            }
        }
    }

    #[inline]
    fn select(&mut self, backends: &Backends, _: &Flow, _: &mut dyn Environment) -> Option<BackendId> {
        self.turn(backends)
    }
}

impl Rr {
    /// The next one.
    #[inline]
    pub(crate) fn turn(&mut self, backends: &Backends) -> Option<BackendId> {
        let position = self.eligible.next(self.start).or_else(|| self.eligible.next(0))?;
        self.start = position + 1;
        Some(backends.id(backends.slot_at(position)))
    }
}

#[cfg(feature = "reference")]
impl Rr {
    pub(crate) const fn start(&self) -> usize {
        self.start
    }
}
