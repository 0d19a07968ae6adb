//! A pool with one owner.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::backend::{BackendId, BackendRef, Spec};
use crate::backends::put;
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::flow::Flow;
use crate::kind::SchedulerKind;
use crate::options::Options;
use crate::pool_core::{Core, Count};
use crate::scheduler::Scheduler;

/// Back ends of type `T` and a scheduler over them, for one thread or one task: no lock, no atomic, no allocation at a
/// pick.
///
/// [`pick`](Self::pick) counts a connection and gives a [`Ticket`], which [`close`](Self::close) takes back;
/// [`select`](Self::select) only decides, for those who count elsewhere. A removed back end gets no more flows; its
/// value stays until its last ticket came back.
///
/// Costs for `n` back ends: a pick, a close or a change of weight takes at most log n steps; adding and removing too,
/// except that now and then (as often as the number of back ends doubles) everything is laid out anew. The hash tables of
/// `dh`, `sh` and `mh` are filled anew by the first choice after a change, or by [`refresh`](Self::refresh).
pub struct Pool<T> {
    core: Core,
    values: Vec<Option<T>>,
}

/// A counted connection to a back end of a [`Pool`]. Dropping it leaves the connection counted for ever.
#[derive(Debug)]
#[must_use = "a ticket that is not given back counts for ever"]
pub struct Ticket(Count);

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("backends", &self.core.backends)
            .finish_non_exhaustive()
    }
}

impl<T> Pool<T> {
    /// An empty pool with the default options and the machine's clock.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn new(kind: SchedulerKind) -> Self {
        Self::with_options(kind, &Options::default())
    }

    /// An empty pool with the machine's clock.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn with_options(kind: SchedulerKind, options: &Options) -> Self {
        Self::with_environment(kind, options, crate::System::new())
    }

    /// An empty pool that takes time and chance from `environment`.
    #[must_use]
    pub fn with_environment(
        kind: SchedulerKind,
        options: &Options,
        environment: impl Environment + 'static,
    ) -> Self {
        Self::from_core(Core::new(kind, options, Box::new(environment)))
    }

    /// An empty pool with a scheduler of your own. Of the options only rules, order and persistence have a meaning.
    #[must_use]
    pub fn with_scheduler(
        scheduler: impl Scheduler + 'static,
        options: &Options,
        environment: impl Environment + 'static,
    ) -> Self {
        let engine = Engine::Own(Box::new(scheduler));
        Self::from_core(Core::with_engine(engine, options, Box::new(environment)))
    }

    const fn from_core(core: Core) -> Self {
        Self {
            core,
            values: Vec::new(),
        }
    }

    /// Adds a back end.
    ///
    /// # Errors
    /// A weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT), a lower threshold above the upper one, or more back ends than
    /// the table of `mh` has slots.
    pub fn add(&mut self, value: T, spec: Spec) -> Result<BackendId, Error> {
        let id = self.core.add(&spec)?;
        put(&mut self.values, id.slot, value);
        Ok(id)
    }

    /// Sets weight, thresholds and key. Connections stay counted.
    ///
    /// # Errors
    /// An unknown identifier, or what [`add`](Self::add) refuses too.
    pub fn edit(&mut self, id: BackendId, spec: Spec) -> Result<(), Error> {
        self.core.edit(id, &spec)
    }

    /// Sets the weight alone. 0 quiesces: no new connections, the open ones go on.
    ///
    /// # Errors
    /// An unknown identifier or a weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT).
    pub fn set_weight(&mut self, id: BackendId, weight: u32) -> Result<(), Error> {
        let spec = self.core.spec(id)?;
        self.core.edit(id, &Spec { weight, ..spec })
    }

    /// Takes a back end out of the list. Gives back its value unless it has open connections: then it is dropped with
    /// the last ticket.
    ///
    /// # Errors
    /// An unknown identifier.
    pub fn remove(&mut self, id: BackendId) -> Result<Option<T>, Error> {
        let idle = self.core.remove(id)?;
        Ok(if idle { self.take(id) } else { None })
    }

    /// Picks a back end for a flow without counting a connection.
    #[inline]
    pub fn select(&mut self, flow: &Flow) -> Option<BackendId> {
        self.core.select(flow)
    }

    /// Picks a back end for a flow and counts an active connection.
    #[inline]
    pub fn pick(&mut self, flow: &Flow) -> Option<Ticket> {
        self.core.pick(flow, true).map(Ticket)
    }

    /// As [`pick`](Self::pick), counting an inactive connection, as the kernel counts UDP.
    #[inline]
    pub fn pick_inactive(&mut self, flow: &Flow) -> Option<Ticket> {
        self.core.pick(flow, false).map(Ticket)
    }

    /// As [`pick`](Self::pick), passing over back ends that have refused this flow. A hashing scheduler then goes on to
    /// the next one in its table.
    pub fn pick_except(&mut self, flow: &Flow, refused: &[BackendId]) -> Option<Ticket> {
        self.core.pick_except(flow, true, refused).map(Ticket)
    }

    /// The back ends for a flow, best first, each once: what to try in turn. Nothing is counted; [`open`](Self::open) the
    /// one that accepts.
    pub fn fallbacks(&mut self, flow: &Flow) -> Fallbacks<'_> {
        Fallbacks {
            core: &mut self.core,
            flow: *flow,
            refused: Vec::new(),
        }
    }

    /// Counts an active connection that came to a back end by another way.
    ///
    /// # Errors
    /// An unknown identifier.
    pub fn open(&mut self, id: BackendId) -> Result<Ticket, Error> {
        self.core.open(id, true).map(Ticket)
    }

    /// Ends a connection.
    #[inline]
    pub fn close(&mut self, ticket: Ticket) {
        if self.core.close(&ticket.0) {
            drop(self.take(ticket.0.id));
        }
    }

    /// Counts a connection among the active or the inactive ones. A TCP connection is active until it closes; one that
    /// only waits for its last packets is inactive.
    pub fn set_active(&mut self, ticket: &mut Ticket, active: bool) {
        self.core.set_active(&mut ticket.0, active);
    }

    /// A value, also of a back end that was removed and has connections left.
    #[must_use]
    pub fn get(&self, id: BackendId) -> Option<&T> {
        self.core.backends.find(id)?;
        self.values.get(id.slot as usize)?.as_ref()
    }

    /// A value, also of a back end that was removed and has connections left.
    #[must_use]
    pub fn get_mut(&mut self, id: BackendId) -> Option<&mut T> {
        self.core.backends.find(id)?;
        self.values.get_mut(id.slot as usize)?.as_mut()
    }

    /// What is counted about a back end in the list.
    #[must_use]
    pub fn backend(&self, id: BackendId) -> Option<BackendRef<'_>> {
        self.core.backends.get(id)
    }

    /// The back ends in list order, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (BackendRef<'_>, &T)> {
        self.core
            .backends
            .iter()
            .filter_map(|backend| Some((backend, self.values.get(backend.slot as usize)?.as_ref()?)))
    }

    /// How many back ends are in the list.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.core.backends.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.core.backends.is_empty()
    }

    /// How many clients persistence remembers.
    #[must_use]
    pub fn remembered_clients(&self) -> usize {
        self.core.remembered()
    }

    /// Fills the table of a hashing scheduler now, if the list changed, rather than at the next choice.
    pub fn refresh(&mut self) {
        self.core.engine.refresh(&self.core.backends);
    }

    #[cfg(feature = "reference")]
    pub(crate) const fn core(&self) -> &Core {
        &self.core
    }

    fn take(&mut self, id: BackendId) -> Option<T> {
        self.values.get_mut(id.slot as usize)?.take()
    }
}

impl Ticket {
    /// The back end that serves the connection.
    #[must_use]
    pub const fn id(&self) -> BackendId {
        self.0.id
    }

    /// Whether the connection counts as active.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.0.active
    }
}

/// Back ends for one flow, best first, each once. See [`Pool::fallbacks`].
#[derive(Debug)]
pub struct Fallbacks<'a> {
    core: &'a mut Core,
    flow: Flow,
    refused: Vec<BackendId>,
}

impl Iterator for Fallbacks<'_> {
    type Item = BackendId;

    fn next(&mut self) -> Option<BackendId> {
        let id = self.core.select_except(&self.flow, &self.refused)?;
        self.refused.push(id);
        Some(id)
    }
}
