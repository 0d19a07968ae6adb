//! What `lc`, `wlc`, `sed`, `fo` and `ovf` have in common: the least quotient of a cost and a weight.

use core::fmt;
use core::marker::PhantomData;

use crate::backend::{BackendId, Record};
use crate::backends::Backends;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::options::Rules;
use crate::scheduler::{Event, Scheduler};
use crate::tree::Tournament;

/// A scheduler that picks the eligible back end of the least `cost / weight`, the first in the list of equals.
pub(crate) struct Ranked<R> {
    tournament: Tournament,
    rank: PhantomData<fn() -> R>,
}

/// What one back end costs, and by what that is divided.
pub(crate) trait Rank {
    const NAME: &'static str;

    /// Cost and weight of an eligible back end; weight 0 keeps it out.
    fn rank(record: &Record, rules: Rules) -> (u32, u32);
}

impl<R: Rank> fmt::Debug for Ranked<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(R::NAME).finish_non_exhaustive()
    }
}

impl<R> Default for Ranked<R> {
    fn default() -> Self {
        Self {
            tournament: Tournament::default(),
            rank: PhantomData,
        }
    }
}

impl<R: Rank> Ranked<R> {
    #[inline]
    pub(crate) fn enter(&mut self, record: &Record, rules: Rules) {
        let (cost, weight) = if record.eligible() {
            R::rank(record, rules)
        } else {
            (1, 0)
        };
        self.tournament.set(record.position as usize, cost, weight);
    }

    #[inline]
    pub(crate) fn first(&mut self, backends: &Backends) -> Option<BackendId> {
        let position = self.tournament.first()?;
        Some(backends.id(backends.slot_at(position)))
    }
}

impl<R: Rank> Scheduler for Ranked<R> {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        match event {
            Event::Added(id) | Event::Edited(id) | Event::Loaded(id) => {
                self.enter(backends.record(id.slot), backends.rules());
            }
            Event::Removed { position, .. } => self.tournament.set(position, 1, 0),
            Event::Moved(_) => {
                self.tournament = Tournament::new(backends.positions());
                for backend in backends.iter() {
                    self.enter(backend.record, backends.rules());
                }
            }
        }
    }

    #[inline]
    fn select(&mut self, backends: &Backends, _: &Flow, _: &mut dyn Environment) -> Option<BackendId> {
        self.first(backends)
    }
}
