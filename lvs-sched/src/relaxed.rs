//! A pool that many threads share, with choices drawn ahead.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::num::NonZeroU32;
use core::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::backend::{BackendId, Spec};
use crate::environment::{Environment, System};
use crate::error::Error;
use crate::flow::Flow;
use crate::kind::SchedulerKind;
use crate::ledger::{Account, Ledger};
use crate::options::Options;
use crate::pool_core::Core;
use crate::tickets::Tickets;

/// Back ends of type `T` and a scheduler over them, for many threads that must not wait for each other.
///
/// A [`SharedPool`](crate::SharedPool) takes a lock for each pick and each drop. Here whoever needs picks draws some ahead
/// under the lock, and the threads take them one by one without it; connections that end are written down and counted
/// at the next drawing. So the lock is taken once for as many connections as the *slack*, and by one thread of all.
///
/// What it saves is waiting, not work: the scheduler's own steps are the same and still one thread's at a time, and a pick
/// touches a few shared words more. While threads seldom meet, [`SharedPool`](crate::SharedPool) is the quicker one; measure
/// with as many cores as you have (`docs/performance.md` has figures for two).
///
/// # How far a choice may be off
/// Each choice is exactly what the scheduler would pick for counters that leave out the connections which ended since the
/// last drawing: fewer than `slack` of them, plus one for each thread that is just ending one. Picks are never left out:
/// of those drawn ahead each counts the ones before it. So with the threads idle, `lc` never uses a back end that has more
/// than `slack - 1` connections more than the least loaded, and an upper threshold is never passed. `rr` and `wrr`, which do
/// not ask for connections, keep their exact order; a change of the list makes them skip what was drawn ahead.
///
/// Choices that depend on the flow cannot be drawn ahead: `dh`, `sh`, `mh`, `lblc`, `lblcr` and persistence are refused. (The hash
/// tables of a [`SharedPool`](crate::SharedPool) wait for nobody anyway.)
pub struct RelaxedPool<T> {
    handle: Arc<Handle<T>>,
}

/// A counted connection to a back end of a [`RelaxedPool`], which is its value by [`Deref`]. Dropping it ends the
/// connection.
#[must_use = "dropping the guard at once ends the connection"]
pub struct RelaxedConnection<T> {
    node: Arc<Node<T>>,
    active: bool,
}

/// What is counted about a back end of a relaxed pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelaxedStatus {
    /// Which one.
    pub id: BackendId,
    /// What was last said of it.
    pub spec: Spec,
    /// Active connections.
    pub active: u32,
    /// All connections.
    pub total: u32,
    /// Whether it is over its threshold, counting those drawn for the next ones to come.
    pub overloaded: bool,
}

struct Handle<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    batch: ArcSwap<Batch<T>>,
    ledger: Ledger,
    slack: u32,
    /// Whether choices depend on connections.
    feedback: bool,
}

struct State<T> {
    core: Core,
    /// By slot; also of back ends that left and have connections.
    nodes: Vec<Option<Arc<Node<T>>>>,
    /// How often picks were drawn.
    drawings: u64,
}

/// Picks drawn ahead.
struct Batch<T> {
    tickets: Tickets,
    picks: Vec<Arc<Node<T>>>,
}

struct Node<T> {
    id: BackendId,
    value: T,
    account: Account,
    shared: Arc<Shared<T>>,
}

impl<T> RelaxedPool<T> {
    /// An empty pool with the default options and a slack of 64.
    ///
    /// # Errors
    /// [`Error::NotRelaxable`] for a scheduler that asks for the flow.
    pub fn new(kind: SchedulerKind) -> Result<Self, Error> {
        Self::with_options(kind, &Options::default(), DEFAULT_SLACK)
    }

    /// An empty pool.
    ///
    /// # Errors
    /// [`Error::NotRelaxable`] for a scheduler that asks for the flow, or with persistence.
    pub fn with_options(kind: SchedulerKind, options: &Options, slack: NonZeroU32) -> Result<Self, Error> {
        Self::with_environment(kind, options, slack, System::new())
    }

    /// An empty pool that takes chance from `environment`.
    ///
    /// # Errors
    /// [`Error::NotRelaxable`] for a scheduler that asks for the flow, or with persistence.
    pub fn with_environment(
        kind: SchedulerKind,
        options: &Options,
        slack: NonZeroU32,
        environment: impl Environment + 'static,
    ) -> Result<Self, Error> {
        if kind.uses_flow() || options.persistence.is_some() {
            return Err(Error::NotRelaxable(kind));
        }
        let shared = Shared {
            state: Mutex::new(State {
                core: Core::new(kind, options, Box::new(environment)),
                nodes: Vec::new(),
                drawings: 0,
            }),
            batch: ArcSwap::from_pointee(Batch::default()),
            ledger: Ledger::default(),
            slack: slack.get().min(MAX_SLACK),
            feedback: !matches!(kind, SchedulerKind::Rr | SchedulerKind::Wrr),
        };
        Ok(Self {
            handle: Arc::new(Handle {
                shared: Arc::new(shared),
            }),
        })
    }

    /// Adds a back end.
    ///
    /// # Errors
    /// A weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT), or a lower threshold above the upper one.
    pub fn add(&self, value: T, spec: Spec) -> Result<BackendId, Error> {
        let shared = &self.handle.shared;
        shared.change(|state| {
            let id = state.core.add(&spec)?;
            let slots = state.core.backends.slots();
            if state.nodes.len() < slots {
                state.nodes.resize_with(slots, || None);
            }
            state.nodes[id.slot as usize] = Some(Arc::new(Node {
                id,
                value,
                account: Account::new(),
                shared: shared.clone(),
            }));
            Ok(id)
        })
    }

    /// Sets weight, thresholds and key. Connections stay counted.
    ///
    /// # Errors
    /// An unknown identifier, or what [`add`](Self::add) refuses too.
    pub fn edit(&self, id: BackendId, spec: Spec) -> Result<(), Error> {
        self.handle.shared.change(|state| state.core.edit(id, &spec))
    }

    /// Sets the weight alone. 0 quiesces: no new connections, the open ones go on.
    ///
    /// # Errors
    /// An unknown identifier or a weight above [`MAX_WEIGHT`](crate::MAX_WEIGHT).
    pub fn set_weight(&self, id: BackendId, weight: u32) -> Result<(), Error> {
        self.handle.shared.change(|state| {
            let spec = state.core.spec(id)?;
            state.core.edit(id, &Spec { weight, ..spec })
        })
    }

    /// Takes a back end out of the list. Open connections go on; the value is dropped at the first drawing or change after
    /// the last of them.
    ///
    /// # Errors
    /// An unknown identifier.
    pub fn remove(&self, id: BackendId) -> Result<(), Error> {
        let removed = self.handle.shared.change(|state| {
            let idle = state.core.remove(id)?;
            let node = state.nodes.get_mut(id.slot as usize).filter(|_| idle);
            Ok(node.and_then(Option::take))
        });
        removed.map(drop)
    }

    /// Picks a back end and counts an active connection until the guard is dropped.
    #[inline]
    pub fn pick(&self) -> Option<RelaxedConnection<T>> {
        let shared = &self.handle.shared;
        loop {
            let batch = shared.batch.load();
            let ticket = batch.tickets.take(shared.slack);
            if let Some(node) = ticket.and_then(|ticket| batch.picks.get(ticket)) {
                return Some(RelaxedConnection {
                    node: node.clone(),
                    active: true,
                });
            }
            if !shared.draw_after(&batch) {
                return None;
            }
        }
    }

    /// As [`pick`](Self::pick), passing over back ends that have refused the flow. Takes the lock.
    pub fn pick_except(&self, refused: &[BackendId]) -> Option<RelaxedConnection<T>> {
        self.handle.shared.change(|state| {
            let count = state.core.pick_except(&Flow::ANY, true, refused)?;
            let node = state.node(count.id)?.clone();
            Some(RelaxedConnection { node, active: true })
        })
    }

    /// Each back end in list order with what is counted about it. Takes the lock.
    #[must_use]
    pub fn status(&self) -> Vec<RelaxedStatus> {
        let shared = &self.handle.shared;
        let (mut state, mut retired) = (shared.lock(), Vec::new());
        shared.count_ended(&mut state, &mut retired);
        let batch = shared.batch.load();
        let untaken = batch.picks.iter().skip(batch.tickets.taken());
        let mut reserved = BTreeMap::new();
        for node in untaken {
            *reserved.entry(node.id).or_insert(0) += 1;
        }
        let core = &state.core;
        let backends = core.backends.iter();
        let status = backends
            .filter_map(|backend| {
                let id = backend.id();
                let reserved = reserved.get(&id).copied().unwrap_or(0);
                Some(RelaxedStatus {
                    id,
                    spec: core.spec(id).ok()?,
                    active: backend.active().saturating_sub(reserved),
                    total: backend.total().saturating_sub(reserved),
                    overloaded: backend.overloaded(),
                })
            })
            .collect();
        drop(state);
        status
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

    /// How often picks were drawn ahead, which is how often a pick took the lock: a measure of contention.
    #[must_use]
    pub fn drawings(&self) -> u64 {
        self.handle.shared.lock().drawings
    }
}

impl<T> Clone for RelaxedPool<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
        }
    }
}

impl<T> fmt::Debug for RelaxedPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaxedPool")
            .field("slack", &self.handle.shared.slack)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // Ends the cycle of pool and back ends, outside the lock.
        let nodes = mem::take(&mut self.shared.lock().nodes);
        self.shared.batch.store(Arc::default());
        drop(nodes);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws fresh picks unless somebody else did since `seen`. False if there is nobody to pick.
    #[cold]
    fn draw_after(&self, seen: &Arc<Batch<T>>) -> bool {
        let (mut state, mut retired) = (self.lock(), Vec::new());
        if !Arc::ptr_eq(&self.batch.load(), seen) {
            return true;
        }
        let old = self.batch.load_full();
        self.take_back(&mut state, &old, &mut retired);
        let any = self.draw(&mut state);
        drop(state);
        any
    }

    /// Changes something under the lock, with all counters exact.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let (mut state, mut retired) = (self.lock(), Vec::new());
        let old = self.batch.load_full();
        self.take_back(&mut state, &old, &mut retired);
        let result = change(&mut state);
        // Whoever picks next draws.
        self.batch.store(Arc::default());
        // Values are dropped after the lock is released: what they do is not ours.
        drop(state);
        drop(old);
        result
    }

    /// Uncounts the picks that nobody took, and the connections that ended.
    fn take_back(&self, state: &mut State<T>, old: &Batch<T>, retired: &mut Vec<Arc<Node<T>>>) {
        let taken = old.tickets.seal();
        for node in old.picks.iter().skip(taken) {
            state.core.settle(node.id, 1, 1);
        }
        self.count_ended(state, retired);
    }

    /// Uncounts the connections that ended.
    fn count_ended(&self, state: &mut State<T>, retired: &mut Vec<Arc<Node<T>>>) {
        let State { core, nodes, .. } = state;
        self.ledger.drain(nodes.len(), |slot| {
            let cell = &mut nodes[slot as usize];
            if let Some(node) = cell {
                let (closed, deactivated) = node.account.settle();
                if core.settle(node.id, closed, deactivated) {
                    retired.extend(cell.take());
                }
            }
        });
    }

    fn draw(&self, state: &mut State<T>) -> bool {
        // As many connections end as come, in the long run: drawing more would be in vain.
        let size = if self.feedback {
            self.slack.div_ceil(2)
        } else {
            self.slack
        };
        let mut batch = Batch::default();
        while batch.picks.len() < size as usize {
            let Some(count) = state.core.pick(&Flow::ANY, true) else {
                break;
            };
            batch.picks.extend(state.node(count.id).cloned());
        }
        let any = !batch.picks.is_empty();
        state.drawings += 1;
        self.batch.store(Arc::new(batch));
        any
    }
}

impl<T> State<T> {
    fn node(&self, id: BackendId) -> Option<&Arc<Node<T>>> {
        self.nodes.get(id.slot as usize)?.as_ref()
    }
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            tickets: Tickets::new(),
            picks: Vec::new(),
        }
    }
}

impl<T> RelaxedConnection<T> {
    /// The back end that serves it.
    #[must_use]
    pub fn id(&self) -> BackendId {
        self.node.id
    }

    /// Counts the connection among the active or the inactive ones. A TCP connection is active until it closes; UDP counts
    /// as inactive.
    pub fn set_active(&mut self, active: bool) {
        if self.active != active {
            self.active = active;
            self.node.account.set_active(active);
            self.note();
        }
    }

    #[inline]
    fn note(&self) {
        let shared = &self.node.shared;
        shared.ledger.mark(self.node.id.slot);
        if shared.feedback {
            shared.batch.load().tickets.note_event();
        }
    }
}

impl<T> Deref for RelaxedConnection<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.value
    }
}

impl<T> Drop for RelaxedConnection<T> {
    #[inline]
    fn drop(&mut self) {
        self.node.account.close(self.active);
        self.note();
    }
}

impl<T> fmt::Debug for RelaxedConnection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaxedConnection")
            .field("id", &self.id())
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

const DEFAULT_SLACK: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// More would only make each drawing long.
const MAX_SLACK: u32 = 1 << 16;
