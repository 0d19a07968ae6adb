//! What every pool consists of, whatever its values and however it is shared.

use alloc::boxed::Box;

use crate::backend::{BackendId, Spec};
use crate::backends::Backends;
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::flow::Flow;
use crate::kind::SchedulerKind;
use crate::options::Options;
use crate::persistence::{NONE, Templates};
use crate::scheduler::{Event, Scheduler};

/// The list, the scheduler and the remembered clients.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) backends: Backends,
    pub(crate) engine: Engine,
    environment: Box<dyn Environment>,
    templates: Option<Templates>,
    /// More back ends than this have no place in the scheduler's table.
    limit: usize,
}

/// One counted connection: what must be known to uncount it.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) id: BackendId,
    pub(crate) active: bool,
    template: u32,
}

impl Core {
    pub(crate) fn new(kind: SchedulerKind, options: &Options, mut environment: Box<dyn Environment>) -> Self {
        let engine = Engine::new(kind, options, environment.now());
        let limit = if kind == SchedulerKind::Mh {
            options.mh_size.slots() as usize
        } else {
            usize::MAX
        };
        Self {
            limit,
            ..Self::with_engine(engine, options, environment)
        }
    }

    pub(crate) fn with_engine(engine: Engine, options: &Options, environment: Box<dyn Environment>) -> Self {
        Self {
            backends: Backends::new(options.rules, options.order),
            engine,
            environment,
            templates: options.persistence.map(Templates::new),
            limit: usize::MAX,
        }
    }

    /// Puts a back end into the list.
    pub(crate) fn add(&mut self, spec: &Spec) -> Result<BackendId, Error> {
        if self.backends.len() >= self.limit {
            return Err(Error::TooManyBackends(self.limit));
        }
        let (slot, moves) = self.backends.add(spec)?;
        if let Some(moves) = moves {
            self.engine.update(&self.backends, Event::Moved(&moves));
        }
        let id = self.backends.id(slot);
        self.engine.update(&self.backends, Event::Added(id));
        Ok(id)
    }

    pub(crate) fn edit(&mut self, id: BackendId, spec: &Spec) -> Result<(), Error> {
        spec.check()?;
        self.known(id)?;
        let rules = self.backends.rules();
        self.backends.record_mut(id.slot).edit(spec, rules);
        self.engine.update(&self.backends, Event::Edited(id));
        Ok(())
    }

    /// Takes a back end out of the list. True if it has no connections any more.
    pub(crate) fn remove(&mut self, id: BackendId) -> Result<bool, Error> {
        self.known(id)?;
        let position = self.backends.remove(id.slot);
        self.engine
            .update(&self.backends, Event::Removed { id, position });
        Ok(self.backends.record(id.slot).total == 0)
    }

    pub(crate) fn spec(&self, id: BackendId) -> Result<Spec, Error> {
        self.known(id)?;
        let record = self.backends.record(id.slot);
        Ok(Spec {
            weight: record.weight(),
            upper: record.upper,
            lower: record.lower,
            key: record.key,
        })
    }

    /// Picks a back end and does not count.
    #[inline]
    pub(crate) fn select(&mut self, flow: &Flow) -> Option<BackendId> {
        if self.templates.is_some() {
            return self.recall(flow).map(|(id, _)| id);
        }
        self.engine
            .select(&self.backends, flow, self.environment.as_mut())
    }

    /// Picks a back end and counts a connection.
    #[inline]
    pub(crate) fn pick(&mut self, flow: &Flow, active: bool) -> Option<Count> {
        let (id, template) = if self.templates.is_some() {
            let (id, template) = self.recall(flow)?;
            if let Some(templates) = &mut self.templates {
                templates.open(template);
            }
            (id, template)
        } else {
            let id = self
                .engine
                .select(&self.backends, flow, self.environment.as_mut())?;
            (id, NONE)
        };
        self.count(id, active);
        Some(Count { id, active, template })
    }

    /// As [`Self::pick`], passing over back ends that have refused this flow.
    pub(crate) fn pick_except(&mut self, flow: &Flow, active: bool, refused: &[BackendId]) -> Option<Count> {
        self.exclude(refused, true);
        let count = self.pick(flow, active);
        self.exclude(refused, false);
        count
    }

    /// As [`Self::select`], passing over back ends that have refused this flow.
    pub(crate) fn select_except(&mut self, flow: &Flow, refused: &[BackendId]) -> Option<BackendId> {
        self.exclude(refused, true);
        let id = self.select(flow);
        self.exclude(refused, false);
        id
    }

    /// Counts a connection that came to a back end by another way.
    pub(crate) fn open(&mut self, id: BackendId, active: bool) -> Result<Count, Error> {
        self.known(id)?;
        self.count(id, active);
        Ok(Count {
            id,
            active,
            template: NONE,
        })
    }

    /// Uncounts a connection. True if it was the last one of a back end that has left the list.
    #[inline]
    pub(crate) fn close(&mut self, count: &Count) -> bool {
        if count.template != NONE
            && let Some(templates) = &mut self.templates
        {
            templates.close(count.template);
        }
        let rules = self.backends.rules();
        let record = self.backends.record_mut(count.id.slot);
        if count.active {
            record.active = record.active.saturating_sub(1);
        }
        record.close(rules);
        let left = !record.listed();
        let last = record.total == 0;
        self.loaded(count.id);
        left && last
    }

    pub(crate) fn set_active(&mut self, count: &mut Count, active: bool) {
        if count.active == active {
            return;
        }
        count.active = active;
        let record = self.backends.record_mut(count.id.slot);
        record.active = if active {
            record.active.saturating_add(1)
        } else {
            record.active.saturating_sub(1)
        };
        self.loaded(count.id);
    }

    /// Sets the total of a back end that is counted elsewhere, and says whether it may get a flow.
    #[cfg(feature = "std")]
    pub(crate) fn reassess(&mut self, id: BackendId, total: u32, opened: bool) -> bool {
        let rules = self.backends.rules();
        let record = self.backends.record_mut(id.slot);
        record.reassess(total, opened, rules);
        let eligible = record.eligible();
        self.loaded(id);
        eligible
    }

    /// Counts active connections to a back end that is eligible, before they come.
    #[cfg(feature = "std")]
    pub(crate) fn reserve(&mut self, id: BackendId, count: u32) {
        let rules = self.backends.rules();
        let record = self.backends.record_mut(id.slot);
        record.active = record.active.saturating_add(count);
        record.reassess(record.total.saturating_add(count), true, rules);
        self.loaded(id);
    }

    /// Uncounts connections that ended elsewhere.
    #[cfg(feature = "std")]
    pub(crate) fn settle(&mut self, id: BackendId, closed: u32, deactivated: i32) {
        let rules = self.backends.rules();
        let record = self.backends.record_mut(id.slot);
        record.active = record.active.saturating_add_signed(deactivated.wrapping_neg());
        if closed > 0 {
            record.reassess(record.total.saturating_sub(closed), false, rules);
        }
        self.loaded(id);
    }

    /// How many clients are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.templates.as_ref().map_or(0, Templates::len)
    }

    /// Whether an identifier names a back end in the list.
    pub(crate) fn known(&self, id: BackendId) -> Result<(), Error> {
        self.backends.get(id).map(|_| ()).ok_or(Error::UnknownBackend(id))
    }

    #[inline]
    fn count(&mut self, id: BackendId, active: bool) {
        let rules = self.backends.rules();
        let record = self.backends.record_mut(id.slot);
        record.open(rules);
        if active {
            record.active = record.active.saturating_add(1);
        }
        self.loaded(id);
    }

    #[inline]
    fn loaded(&mut self, id: BackendId) {
        if self.backends.record(id.slot).listed() {
            self.engine.update(&self.backends, Event::Loaded(id));
        }
    }

    fn exclude(&mut self, ids: &[BackendId], excluded: bool) {
        for &id in ids {
            if self.backends.get(id).is_some() {
                self.backends.record_mut(id.slot).exclude(excluded);
                self.engine.update(&self.backends, Event::Loaded(id));
            }
        }
    }

    /// The remembered back end of a client, or a fresh choice that is remembered.
    fn recall(&mut self, flow: &Flow) -> Option<(BackendId, u32)> {
        let now = self.environment.now();
        let templates = self.templates.as_mut()?;
        if let Some(found) = templates.find(flow, &self.backends, now) {
            return Some(found);
        }
        let id = self
            .engine
            .select(&self.backends, flow, self.environment.as_mut())?;
        let template = self.templates.as_mut()?.remember(flow, id, now);
        Some((id, template))
    }
}
