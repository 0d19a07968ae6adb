//! Never queue: an idle back end at once, else the shortest expected delay.

use crate::backend::{BackendId, Record};
use crate::backends::Backends;
use crate::bitset::BitSet;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::scheduler::{Event, Scheduler};
use crate::sed::Sed;

/// `nq`: the first in the list without an active connection, whatever its weight; if there is none, as `sed`.
///
/// Kernel behaviour: `ip_vs_nq`.
#[derive(Debug, Default)]
pub(crate) struct Nq {
    idle: BitSet,
    busy: Sed,
}

impl Scheduler for Nq {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        self.busy.update(backends, event);
        match event {
            Event::Added(id) | Event::Edited(id) | Event::Loaded(id) => self.enter(backends.record(id.slot)),
            Event::Removed { position, .. } => self.idle.set(position, false),
            Event::Moved(_) => {
                self.idle = BitSet::new(backends.positions());
                for backend in backends.iter() {
                    self.enter(backend.record);
                }
            }
        }
    }

    #[inline]
    fn select(&mut self, backends: &Backends, _: &Flow, _: &mut dyn Environment) -> Option<BackendId> {
        match self.idle.next(0) {
            Some(position) => Some(backends.id(backends.slot_at(position))),
            None => self.busy.first(backends),
        }
    }
}

impl Nq {
    #[inline]
    fn enter(&mut self, record: &Record) {
        let idle = record.eligible() && record.active == 0;
        self.idle.set(record.position as usize, idle);
    }
}
