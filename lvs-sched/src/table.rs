//! What `dh`, `sh` and `mh` have in common: a table from hash to back end, filled anew after a change of the list.

use alloc::vec::Vec;
use core::fmt;

use crate::backend::{BackendId, NOWHERE, Record};
use crate::backends::Backends;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::scheduler::{Event, Scheduler};

/// A hash table over slots of back ends. Holds no state but the table, so that many threads may look things up.
pub(crate) trait Table: fmt::Debug + Send + Sync {
    /// Fills the table from the list.
    fn fill(&mut self, backends: &Backends);

    /// The slot for a flow, given what may be said of each slot.
    fn lookup(&self, flow: &Flow, state: impl Fn(u32) -> Availability) -> Option<u32>;
}

/// Whether the back end in a slot may get a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Eligible,
    /// Quiesced or overloaded.
    Unavailable,
    /// It has just refused this flow: look for another, whatever the options say.
    Excluded,
}

/// A table as a scheduler. It is filled at the first choice after a change, so that many changes cost one filling.
#[derive(Debug)]
pub(crate) struct Hashed<T> {
    table: T,
    /// By slot. A choice needs no more of a back end than this, which of a thousand stays in the nearest cache.
    marks: Vec<Mark>,
    stale: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    generation: u32,
    availability: Availability,
}

impl<T: Table> Hashed<T> {
    pub(crate) const fn new(table: T) -> Self {
        Self {
            table,
            marks: Vec::new(),
            stale: true,
        }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn table(&self) -> &T {
        &self.table
    }

    /// Fills the table now if it must be filled.
    pub(crate) fn refresh(&mut self, backends: &Backends) {
        if self.stale {
            self.fill(backends);
        }
    }

    #[cold]
    fn fill(&mut self, backends: &Backends) {
        self.table.fill(backends);
        self.marks.clear();
        for backend in backends.iter() {
            let slot = backend.slot as usize;
            if self.marks.len() <= slot {
                self.marks.resize(slot + 1, Mark::ABSENT);
            }
            self.marks[slot] = Mark::of(backend.record);
        }
        self.stale = false;
    }
}

impl<T: Table> Scheduler for Hashed<T> {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        match event {
            Event::Added(_) | Event::Edited(_) | Event::Removed { .. } => self.stale = true,
            Event::Loaded(id) => {
                if let Some(mark) = self.marks.get_mut(id.slot as usize) {
                    *mark = Mark::of(backends.record(id.slot));
                }
            }
            Event::Moved(_) => {}
        }
    }

    #[inline]
    fn select(&mut self, backends: &Backends, flow: &Flow, _: &mut dyn Environment) -> Option<BackendId> {
        self.refresh(backends);
        let mark = |slot: u32| self.marks.get(slot as usize).copied().unwrap_or(Mark::ABSENT);
        let slot = self.table.lookup(flow, |slot| mark(slot).availability)?;
        let Mark { generation, .. } = mark(slot);
        Some(BackendId { slot, generation })
    }
}

impl Mark {
    const ABSENT: Self = Self {
        generation: 0,
        availability: Availability::Unavailable,
    };

    #[inline]
    const fn of(record: &Record) -> Self {
        let availability = if record.eligible() {
            Availability::Eligible
        } else if record.excluded() {
            Availability::Excluded
        } else {
            Availability::Unavailable
        };
        Self {
            generation: record.generation,
            availability,
        }
    }
}

/// The slot in a bucket, if there is one.
#[inline]
pub(crate) fn occupant(buckets: &[u32], bucket: usize) -> Option<u32> {
    buckets.get(bucket).copied().filter(|&slot| slot != NOWHERE)
}
