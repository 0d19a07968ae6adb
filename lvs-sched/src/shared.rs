//! A pool that many threads share, exact.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::backend::{BackendId, Spec};
use crate::backends::put;
use crate::connection::{Backend, Choices, Connection, Status};
use crate::engine::Engine;
use crate::environment::{Environment, System};
use crate::error::Error;
use crate::flow::Flow;
use crate::gauge::Gauge;
use crate::kind::SchedulerKind;
use crate::options::Options;
use crate::pool_core::Core;
use crate::scheduler::Scheduler;
use crate::snapshot::{Found, Snapshot};

/// Back ends of type `T` and a scheduler over them, for many threads or tasks. Cloning gives another handle to the same
/// pool.
///
/// Every choice is the one that a single thread would have made with the picks and drops in some order: each takes one
/// lock, held for a few dozen nanoseconds and never across a call of yours. These take no lock at all, neither to choose
/// nor to count, and wait for nobody but an edit:
///
/// - the hash tables `dh`, `sh` and `mh`, save to count where there are connection thresholds;
/// - `rr`, and `wrr` while its period (the sum of weights over their greatest common divisor) is at most 65,536, where no back
///   end has a connection threshold: each takes the next number of a shared counter.
///
/// With persistence in front everything takes the lock. For many connections and the least-connection family there is
/// [`RelaxedPool`](crate::RelaxedPool).
///
/// Changes ([`add`](Self::add), [`edit`](Self::edit), [`remove`](Self::remove)) go on beside picks. For the schedulers that take
/// no lock each makes a new table; do many at once in [`update`](Self::update).
pub struct SharedPool<T> {
    handle: Arc<Handle<T>>,
}

/// Changes to a shared pool under one lock. See [`SharedPool::update`].
pub struct Edits<'a, T> {
    shared: &'a Arc<Shared<T>>,
    state: MutexGuard<'a, State<T>>,
    /// Dropped after the lock is released: what values do when dropped is not ours.
    retired: Option<Arc<Snapshot<T>>>,
}

/// Ends the cycle of pool and back ends when the last handle goes.
struct Handle<T> {
    shared: Arc<Shared<T>>,
}

pub(crate) struct Shared<T> {
    state: Mutex<State<T>>,
    /// What threads look at instead of the state, where the scheduler allows it.
    snapshot: Option<ArcSwap<Snapshot<T>>>,
}

pub(crate) struct State<T> {
    pub(crate) core: Core,
    /// The snapshot has the same, until it is changed.
    nodes: Arc<Nodes<T>>,
}

/// By slot.
pub(crate) type Nodes<T> = Vec<Option<Arc<Node<T>>>>;

/// A back end as it is shared.
pub(crate) struct Node<T> {
    pub(crate) id: BackendId,
    pub(crate) value: T,
    pub(crate) shared: Arc<Shared<T>>,
    /// Used with a snapshot only: then connections are counted here, and the state's records follow.
    pub(crate) gauge: Gauge,
}

impl<T> SharedPool<T> {
    /// An empty pool with the default options.
    #[must_use]
    pub fn new(kind: SchedulerKind) -> Self {
        Self::with_options(kind, &Options::default())
    }

    /// An empty pool.
    #[must_use]
    pub fn with_options(kind: SchedulerKind, options: &Options) -> Self {
        Self::with_environment(kind, options, System::new())
    }

    /// An empty pool that takes time and chance from `environment`.
    #[must_use]
    pub fn with_environment(
        kind: SchedulerKind,
        options: &Options,
        environment: impl Environment + 'static,
    ) -> Self {
        let in_turn = matches!(kind, SchedulerKind::Rr | SchedulerKind::Wrr);
        let lock_free = (kind.is_hash() || in_turn) && options.persistence.is_none();
        Self::from_core(Core::new(kind, options, Box::new(environment)), lock_free)
    }

    /// An empty pool with a scheduler of your own, which is called under the pool's lock. Of the options only rules, order
    /// and persistence have a meaning.
    #[must_use]
    pub fn with_scheduler(
        scheduler: impl Scheduler + 'static,
        options: &Options,
        environment: impl Environment + 'static,
    ) -> Self {
        let engine = Engine::Own(Box::new(scheduler));
        Self::from_core(Core::with_engine(engine, options, Box::new(environment)), false)
    }

    fn from_core(core: Core, lock_free: bool) -> Self {
        let shared = Shared {
            state: Mutex::new(State {
                core,
                nodes: Arc::default(),
            }),
            snapshot: lock_free.then(|| ArcSwap::from_pointee(Snapshot::default())),
        };
        Self {
            handle: Arc::new(Handle {
                shared: Arc::new(shared),
            }),
        }
    }

    /// Adds a back end.
    ///
    /// # Errors
    /// A weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT), a lower threshold above the upper one, or more back ends than
    /// the table of `mh` has slots.
    pub fn add(&self, value: T, spec: Spec) -> Result<BackendId, Error> {
        self.update(|edits| edits.add(value, spec))
    }

    /// Sets weight, thresholds and key. Connections stay counted.
    ///
    /// # Errors
    /// An unknown identifier, or what [`add`](Self::add) refuses too.
    pub fn edit(&self, id: BackendId, spec: Spec) -> Result<(), Error> {
        self.update(|edits| edits.edit(id, spec))
    }

    /// Sets the weight alone. 0 quiesces: no new connections, the open ones go on.
    ///
    /// # Errors
    /// An unknown identifier or a weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT).
    pub fn set_weight(&self, id: BackendId, weight: u32) -> Result<(), Error> {
        self.update(|edits| edits.set_weight(id, weight))
    }

    /// Takes a back end out of the list. Open connections go on and keep the value.
    ///
    /// # Errors
    /// An unknown identifier.
    pub fn remove(&self, id: BackendId) -> Result<Backend<T>, Error> {
        self.update(|edits| edits.remove(id))
    }

    /// Makes many changes under one lock; picks see all of them or none. Do not use the pool itself inside: it would wait for
    /// itself.
    pub fn update<R>(&self, change: impl FnOnce(&mut Edits<'_, T>) -> R) -> R {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        if let Some(snapshot) = &shared.snapshot {
            snapshot.load().end(&mut state.core);
        }
        let mut edits = Edits {
            shared,
            state,
            retired: None,
        };
        change(&mut edits)
    }

    /// Picks a back end for a flow without counting a connection.
    #[must_use]
    pub fn select(&self, flow: &Flow) -> Option<Backend<T>> {
        let shared = &self.handle.shared;
        if let Some(snapshot) = &shared.snapshot {
            let node = shared.find(snapshot, flow, &[], None)?;
            return Some(Backend { node });
        }
        let mut state = shared.lock();
        let id = state.core.select(flow)?;
        let node = state.node(id)?.clone();
        Some(Backend { node })
    }

    /// Picks a back end for a flow and counts an active connection until the guard is dropped.
    #[inline]
    pub fn pick(&self, flow: &Flow) -> Option<Connection<T>> {
        self.pick_with(flow, true, &[])
    }

    /// As [`pick`](Self::pick), counting an inactive connection, as the kernel counts UDP.
    pub fn pick_inactive(&self, flow: &Flow) -> Option<Connection<T>> {
        self.pick_with(flow, false, &[])
    }

    /// As [`pick`](Self::pick), passing over back ends that have refused this flow. A hashing scheduler then goes on to
    /// the next one in its table.
    pub fn pick_except(&self, flow: &Flow, refused: &[BackendId]) -> Option<Connection<T>> {
        self.pick_with(flow, true, refused)
    }

    /// Connections for a flow to one back end after the other, best first: keep the first that works, and drop the others
    /// on the way.
    pub fn choices(&self, flow: &Flow) -> Choices<T> {
        Choices {
            pool: self.clone(),
            flow: *flow,
            refused: Vec::new(),
        }
    }

    /// Each back end in list order with what is counted about it.
    #[must_use]
    pub fn status(&self) -> Vec<Status<T>> {
        let shared = &self.handle.shared;
        let state = shared.lock();
        let backends = state.core.backends.iter();
        backends
            .filter_map(|backend| {
                let node = state.node(backend.id())?;
                let (active, total) = match shared.snapshot {
                    Some(_) => (node.gauge.active(), node.gauge.total()),
                    None => (backend.active(), backend.total()),
                };
                Some(Status {
                    backend: Backend { node: node.clone() },
                    spec: state.core.spec(backend.id()).ok()?,
                    active,
                    total,
                    overloaded: backend.overloaded(),
                })
            })
            .collect()
    }

    /// A back end in the list by its identifier.
    #[must_use]
    pub fn get(&self, id: BackendId) -> Option<Backend<T>> {
        let state = self.handle.shared.lock();
        state.core.known(id).ok()?;
        let node = state.node(id)?.clone();
        Some(Backend { node })
    }

    /// How many back ends are in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handle.shared.lock().core.backends.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many clients persistence remembers.
    #[must_use]
    pub fn remembered_clients(&self) -> usize {
        self.handle.shared.lock().core.remembered()
    }

    #[inline]
    pub(crate) fn pick_with(
        &self,
        flow: &Flow,
        active: bool,
        refused: &[BackendId],
    ) -> Option<Connection<T>> {
        let shared = &self.handle.shared;
        if let Some(snapshot) = &shared.snapshot {
            return Some(Connection {
                node: shared.find(snapshot, flow, refused, Some(active))?,
                count: None,
                active,
            });
        }
        let mut state = shared.lock();
        let count = if refused.is_empty() {
            state.core.pick(flow, active)?
        } else {
            state.core.pick_except(flow, active, refused)?
        };
        let node = state.node(count.id)?.clone();
        Some(Connection {
            node,
            count: Some(count),
            active,
        })
    }
}

impl<T> Clone for SharedPool<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
        }
    }
}

impl<T> fmt::Debug for SharedPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPool")
            .field("backends", &self.handle.shared.lock().core.backends)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // Values are dropped after the lock is released: what they do is not ours.
        let nodes = mem::take(&mut self.shared.lock().nodes);
        if let Some(snapshot) = &self.shared.snapshot {
            snapshot.store(Arc::default());
        }
        drop(nodes);
    }
}

impl<T> Shared<T> {
    /// A scheduler of the user's that panicked leaves the pool as it was: at worst one choice was not counted.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses by the snapshot, and counts an active or inactive connection if told.
    #[inline]
    fn find(
        &self,
        snapshot: &ArcSwap<Snapshot<T>>,
        flow: &Flow,
        refused: &[BackendId],
        count: Option<bool>,
    ) -> Option<Arc<Node<T>>> {
        loop {
            match snapshot.load().find(flow, refused) {
                Found::Node(node) => {
                    if let Some(active) = count {
                        node.open(active);
                    }
                    return Some(node.clone());
                }
                Found::Nobody => return None,
                Found::Locked => {
                    let mut state = self.lock();
                    // Or else an edit came before us.
                    if snapshot.load().is_locked() {
                        return state.find(flow, refused, count);
                    }
                }
                Found::Stale => drop(self.lock()),
            }
        }
    }
}

impl<T> State<T> {
    #[inline]
    fn node(&self, id: BackendId) -> Option<&Arc<Node<T>>> {
        self.nodes.get(id.slot as usize)?.as_ref()
    }

    /// Chooses, and counts in the node.
    fn find(&mut self, flow: &Flow, refused: &[BackendId], count: Option<bool>) -> Option<Arc<Node<T>>> {
        let id = self.core.select_except(flow, refused)?;
        let node = self.node(id)?.clone();
        if count.is_some_and(|active| node.gauge.open(active)) {
            self.reassess(&node, true);
        }
        Some(node)
    }

    /// Sets the overload flag by the total of now.
    fn reassess(&mut self, node: &Node<T>, opened: bool) {
        if self.core.known(node.id).is_ok() {
            let eligible = self.core.reassess(node.id, node.gauge.total(), opened);
            node.gauge.set_eligible(eligible);
        }
    }
}

impl<T> Node<T> {
    /// Counts a connection to a back end that a thread found in a snapshot.
    #[inline]
    fn open(&self, active: bool) {
        if self.gauge.open(active) {
            self.reassess(true);
        }
    }

    #[inline]
    pub(crate) fn close(&self, active: bool) {
        if self.gauge.close(active) {
            self.reassess(false);
        }
    }

    #[cold]
    fn reassess(&self, opened: bool) {
        self.shared.lock().reassess(self, opened);
    }
}

impl<T> Edits<'_, T> {
    /// As [`SharedPool::add`].
    ///
    /// # Errors
    /// The same.
    pub fn add(&mut self, value: T, spec: Spec) -> Result<BackendId, Error> {
        let id = self.state.core.add(&spec)?;
        let node = Node {
            id,
            value,
            shared: self.shared.clone(),
            gauge: Gauge::new(spec.weight > 0, spec.upper > 0),
        };
        put(Arc::make_mut(&mut self.state.nodes), id.slot, Arc::new(node));
        Ok(id)
    }

    /// As [`SharedPool::edit`].
    ///
    /// # Errors
    /// The same.
    pub fn edit(&mut self, id: BackendId, spec: Spec) -> Result<(), Error> {
        if self.shared.snapshot.is_some()
            && let Some(node) = self.state.node(id).cloned()
        {
            spec.check()?;
            self.state.core.known(id)?;
            node.gauge.set_thresholds(spec.upper > 0);
            self.state.core.backends.record_mut(id.slot).total = node.gauge.total();
            self.state.core.edit(id, &spec)?;
            let eligible = self.state.core.backends.record(id.slot).eligible();
            node.gauge.set_eligible(eligible);
            return Ok(());
        }
        self.state.core.edit(id, &spec)
    }

    /// As [`SharedPool::set_weight`].
    ///
    /// # Errors
    /// The same.
    pub fn set_weight(&mut self, id: BackendId, weight: u32) -> Result<(), Error> {
        let spec = self.state.core.spec(id)?;
        self.edit(id, Spec { weight, ..spec })
    }

    /// As [`SharedPool::remove`].
    ///
    /// # Errors
    /// The same.
    pub fn remove(&mut self, id: BackendId) -> Result<Backend<T>, Error> {
        self.state.core.known(id)?;
        let nodes = Arc::make_mut(&mut self.state.nodes);
        let node = nodes.get_mut(id.slot as usize).and_then(Option::take);
        let node = node.ok_or(Error::UnknownBackend(id))?;
        if self.shared.snapshot.is_some() {
            // The record counts nothing any more; its connections count themselves.
            self.state.core.backends.record_mut(id.slot).total = 0;
        }
        self.state.core.remove(id)?;
        Ok(Backend { node })
    }
}

impl<T> fmt::Debug for Edits<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edits")
            .field("backends", &self.state.core.backends)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Edits<'_, T> {
    fn drop(&mut self) {
        if let Some(snapshot) = &self.shared.snapshot {
            let State { core, nodes } = &mut *self.state;
            self.retired = Some(snapshot.swap(Arc::new(Snapshot::new(core, nodes))));
        }
    }
}
