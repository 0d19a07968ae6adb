//! A pool that many threads share, whose choices may be a little off.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::num::NonZeroU32;
use core::ops::Deref;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::account::Account;
use crate::backend::{BackendId, Spec};
use crate::backends::put;
use crate::environment::System;
use crate::error::Error;
use crate::flow::Flow;
use crate::kind::SchedulerKind;
use crate::lanes::Lanes;
use crate::options::Options;
use crate::pool_core::Core;

/// Back ends of type `T` and a scheduler of the least-connection family over them, for many threads that must not wait for
/// each other.
///
/// A [`SharedPool`](crate::SharedPool) takes a lock for each pick and each drop, and does the scheduler's work for each.
/// Here a thread takes several connections to the chosen back end at a time and hands them out one by one, and connections
/// that end are counted several at a time. That saves the lock and the work alike, so that this pool is quicker with a
/// single thread too, where the back ends carry some tens of connections or more (`docs/performance.md`).
///
/// # How far a choice may be off
/// Several are never more than `slack`, and never more than one and a quarter of what the back end carries at the time.
/// While each carries fewer than four, or with a slack of 1, each choice is the exact one.
///
/// With one thread `lc` never uses a back end that has more than `2 * slack - 2` connections more than the least loaded;
/// each further thread, up to one for each processor, may add `2 * slack`. `wlc` and `sed` are off by the same numbers of
/// connections, to be divided by the weights. An upper threshold is never passed, and `ovf` keeps to its weights.
/// Thresholds see an ended connection late, unless the back end is overloaded.
///
/// `lc`, `wlc`, `sed`, `nq`, `fo` and `ovf` are meant, whose choice follows from the connections alone. Others are refused:
/// in a [`SharedPool`](crate::SharedPool) round robin and the hash tables take no lock anyway, and `twos`, `lblc` and `lblcr`
/// choose anew for each flow, as persistence does.
pub struct RelaxedPool<T> {
    handle: Arc<Handle<T>>,
}

/// A counted connection to a back end of a [`RelaxedPool`], which is its value by [`Deref`]. Dropping it ends the
/// connection.
///
/// It borrows nothing: send it to the task that carries the connection.
#[must_use = "dropping the guard at once ends the connection"]
pub struct RelaxedConnection<T> {
    node: Arc<Node<T>>,
    active: bool,
}

/// Connections to one back end after the other, best first, until one accepts. See [`RelaxedPool::choices`].
#[must_use = "nothing is picked until the iterator is asked"]
pub struct RelaxedChoices<T> {
    pool: RelaxedPool<T>,
    refused: Vec<BackendId>,
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
    /// Whether it is over its threshold.
    pub overloaded: bool,
}

struct Handle<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// A thread that holds its lane may take this lock, but not the other way round.
    state: Mutex<State<T>>,
    lanes: Lanes<Lease<T>>,
    /// Leases of earlier epochs are void. Changed under the lock.
    epoch: AtomicU64,
    slack: u32,
    kind: SchedulerKind,
}

/// The connections in it are those that came, those that are leased and those that ended and are not settled.
struct State<T> {
    core: Core,
    /// By slot.
    nodes: Vec<Option<Arc<Node<T>>>>,
    lock_takings: u64,
}

/// Connections to one back end that are counted and did not come yet.
struct Lease<T> {
    node: Arc<Node<T>>,
    left: u32,
    epoch: u64,
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
    /// [`Error::NotRelaxable`] for a scheduler outside the least-connection family.
    pub fn new(kind: SchedulerKind) -> Result<Self, Error> {
        Self::with_options(kind, &Options::default(), DEFAULT_SLACK)
    }

    /// An empty pool. More slack saves more; several times the number of threads is enough.
    ///
    /// # Errors
    /// [`Error::NotRelaxable`] for a scheduler outside the least-connection family, or with persistence.
    pub fn with_options(kind: SchedulerKind, options: &Options, slack: NonZeroU32) -> Result<Self, Error> {
        if !kind.is_relaxable() || options.persistence.is_some() {
            return Err(Error::NotRelaxable(kind));
        }
        let shared = Shared {
            state: Mutex::new(State {
                core: Core::new(kind, options, Box::new(System::new())),
                nodes: Vec::new(),
                lock_takings: 0,
            }),
            lanes: Lanes::new(),
            epoch: AtomicU64::new(0),
            slack: slack.get().min(MAX_SLACK),
            kind,
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
            let node = Node {
                id,
                value,
                account: Account::new(),
                shared: shared.clone(),
            };
            put(&mut state.nodes, id.slot, Arc::new(node));
            Ok(id)
        })
    }

    /// Sets weight, thresholds and key. Connections stay counted.
    ///
    /// # Errors
    /// An unknown identifier, or what [`add`](Self::add) refuses too.
    pub fn edit(&self, id: BackendId, spec: Spec) -> Result<(), Error> {
        let shared = &self.handle.shared;
        shared.change(|state| {
            state.core.edit(id, &spec)?;
            shared.settle(state, id);
            Ok(())
        })
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

    /// Takes a back end out of the list. Open connections go on, and the value stays until the last of them ended.
    ///
    /// # Errors
    /// An unknown identifier.
    pub fn remove(&self, id: BackendId) -> Result<(), Error> {
        let removed = self.handle.shared.change(|state| {
            state.core.remove(id)?;
            let node = state.nodes.get_mut(id.slot as usize).and_then(Option::take);
            if let Some(node) = &node {
                // From here on everything is settled at once, so that the record goes with the last connection.
                node.account.set_quota(1);
                node.count_ended(&mut state.core);
            }
            Ok(node)
        })?;
        drop(removed);
        Ok(())
    }

    /// Picks a back end and counts an active connection until the guard is dropped.
    #[inline]
    pub fn pick(&self) -> Option<RelaxedConnection<T>> {
        let shared = &self.handle.shared;
        let node = match shared.take() {
            Some(node) => node,
            None => shared.take_last()?,
        };
        Some(RelaxedConnection { node, active: true })
    }

    /// As [`pick`](Self::pick), passing over back ends that have refused the flow. Takes the lock.
    pub fn pick_except(&self, refused: &[BackendId]) -> Option<RelaxedConnection<T>> {
        let node = self.handle.shared.take_except(refused)?;
        Some(RelaxedConnection { node, active: true })
    }

    /// Connections to one back end after the other, best first: keep the first that works, and drop the others on the way.
    /// Only those after the first take the lock.
    pub fn choices(&self) -> RelaxedChoices<T> {
        RelaxedChoices {
            pool: self.clone(),
            refused: Vec::new(),
        }
    }

    /// Each back end in list order with what is counted about it, exactly while no thread picks. Takes the lock.
    #[must_use]
    pub fn status(&self) -> Vec<RelaxedStatus> {
        let shared = &self.handle.shared;
        shared.recall();
        let mut state = shared.lock();
        let State { core, nodes, .. } = &mut *state;
        nodes.iter().flatten().for_each(|node| node.count_ended(core));
        shared.void_leases();
        let backends = core.backends.iter();
        backends
            .filter_map(|backend| {
                Some(RelaxedStatus {
                    id: backend.id(),
                    spec: core.spec(backend.id()).ok()?,
                    active: backend.active(),
                    total: backend.total(),
                    overloaded: backend.overloaded(),
                })
            })
            .collect()
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

    /// How often connections that came or ended took the lock: a measure of contention.
    #[must_use]
    pub fn lock_takings(&self) -> u64 {
        self.handle.shared.lock().lock_takings
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
        let leases = self.shared.lanes.take_all();
        drop((nodes, leases));
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of the connections that this thread leased, from a new lease if it must be.
    #[inline]
    fn take(&self) -> Option<Arc<Node<T>>> {
        // Dropped after the lane is free: what a value does when it is dropped is not ours.
        let retired;
        let mut lane = self.lanes.mine();
        if let Some(lease) = &mut *lane
            && lease.left > 0
            && lease.epoch == self.epoch.load(Ordering::Acquire)
        {
            lease.left -= 1;
            return Some(lease.node.clone());
        }
        retired = lane.take();
        self.renew(retired.as_ref(), &mut lane)
    }

    /// Gives an old lease back and takes a new one: the first connection of it, and the rest for the lane.
    fn renew(&self, old: Option<&Lease<T>>, lane: &mut Option<Lease<T>>) -> Option<Arc<Node<T>>> {
        let mut state = self.lock();
        state.lock_takings += 1;
        if let Some(old) = old {
            old.give_back(&mut state.core);
        }
        let id = state.core.select(&Flow::ANY)?;
        let (node, count) = self.reserve(&mut state, id, u32::MAX)?;
        if count > 1 {
            *lane = Some(Lease {
                node: node.clone(),
                left: count - 1,
                epoch: self.epoch.load(Ordering::Relaxed),
            });
        }
        Some(node)
    }

    /// A connection when there was none to lease, and perhaps other threads leased all there were.
    #[cold]
    fn take_last(&self) -> Option<Arc<Node<T>>> {
        self.recall();
        self.take_except(&[])
    }

    fn take_except(&self, refused: &[BackendId]) -> Option<Arc<Node<T>>> {
        let mut state = self.lock();
        state.lock_takings += 1;
        let id = state.core.select_except(&Flow::ANY, refused)?;
        let (node, _) = self.reserve(&mut state, id, 1)?;
        Some(node)
    }

    /// Counts as many connections to a back end as may be counted at a time, at most `limit`.
    fn reserve(&self, state: &mut State<T>, id: BackendId, limit: u32) -> Option<(Arc<Node<T>>, u32)> {
        let node = state.node(id)?.clone();
        let core = &mut state.core;
        if core.backends.record(id.slot).upper > 0 {
            // Only connections that are there shall reach the threshold.
            node.count_ended(core);
        }
        let record = core.backends.record(id.slot);
        let mut count = limit.min(self.share(record.total));
        if record.upper > 0 {
            count = count.min(record.upper.saturating_sub(record.total.saturating_add(1)));
        }
        if self.kind == SchedulerKind::Ovf {
            count = count.min(record.weight().saturating_sub(record.active));
        }
        let count = count.max(1);
        core.reserve(id, count);
        self.limit(core, &node);
        Some((node, count))
    }

    /// Takes back what all threads leased and did not use.
    fn recall(&self) {
        let leases = self.lanes.take_all();
        let mut state = self.lock();
        for lease in &leases {
            lease.give_back(&mut state.core);
        }
        self.void_leases();
        drop(state);
    }

    /// Changes the list. Nobody uses a lease from before any more once this returns.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> Result<R, Error>) -> Result<R, Error> {
        let result = change(&mut self.lock());
        self.recall();
        result
    }

    /// From here on every thread decides anew. Called under the lock.
    fn void_leases(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Connections of a back end ended, as many as may stay unsettled.
    fn settle_ended(&self, node: &Node<T>) {
        let mut state = self.lock();
        state.lock_takings += 1;
        node.count_ended(&mut state.core);
        if state.core.known(node.id).is_err() {
            return;
        }
        self.limit(&mut state.core, node);
        // Leases go to others as long as this one is not the best.
        if state.core.select(&Flow::ANY) == Some(node.id) {
            self.void_leases();
        }
    }

    /// Counts the ended connections of a back end and sets how many may stay uncounted.
    fn settle(&self, state: &mut State<T>, id: BackendId) {
        let State { core, nodes, .. } = state;
        if let Some(Some(node)) = nodes.get(id.slot as usize) {
            node.count_ended(core);
            self.limit(core, node);
        }
    }

    /// Sets how many ended connections of a back end may stay uncounted: none while it is overloaded, for it to be used
    /// again when it may.
    fn limit(&self, core: &mut Core, node: &Node<T>) {
        if core.backends.record(node.id.slot).overloaded() {
            node.account.set_quota(1);
            node.count_ended(core);
        }
        let record = core.backends.record(node.id.slot);
        if !record.overloaded() {
            node.account.set_quota(self.share(record.total));
        }
    }

    /// How many connections of a back end may be leased at a time, or have ended and not be counted.
    fn share(&self, total: u32) -> u32 {
        self.slack.min(1 + total / PART)
    }
}

impl<T> State<T> {
    fn node(&self, id: BackendId) -> Option<&Arc<Node<T>>> {
        self.nodes.get(id.slot as usize)?.as_ref()
    }
}

impl<T> Lease<T> {
    fn give_back(&self, core: &mut Core) {
        if self.left > 0 {
            core.settle(self.node.id, self.left, self.left as i32);
        }
    }
}

impl<T> Node<T> {
    /// Counts what its account says.
    fn count_ended(&self, core: &mut Core) {
        let (ended, deactivated) = self.account.settle();
        if (ended, deactivated) != (0, 0) {
            core.settle(self.id, ended, deactivated);
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
            if self.node.account.set_active(active) {
                self.node.shared.settle_ended(&self.node);
            }
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
        if self.node.account.close(self.active) {
            self.node.shared.settle_ended(&self.node);
        }
    }
}

impl<T> Iterator for RelaxedChoices<T> {
    type Item = RelaxedConnection<T>;

    fn next(&mut self) -> Option<RelaxedConnection<T>> {
        let connection = if self.refused.is_empty() {
            self.pool.pick()?
        } else {
            self.pool.pick_except(&self.refused)?
        };
        self.refused.push(connection.id());
        Some(connection)
    }
}

impl<T> fmt::Debug for RelaxedChoices<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaxedChoices")
            .field("refused", &self.refused)
            .finish_non_exhaustive()
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
/// More would save nothing that can be measured.
const MAX_SLACK: u32 = 1 << 16;
/// What is off by one part in so many of a back end's connections is not worth a lock.
const PART: u32 = 4;
