//! What an application holds of a running election: handles that work from any thread and under any runtime.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use vrrp_fsm::{Discard, Instant, Reason, State, Statistics, TrackId, TrackStatus};
use vrrp_proto::{Priority, Vrid};

use crate::Error;
use crate::host::Waker;
use crate::instance::Instance;

/// One virtual router of a running election.
///
/// Cheap to clone. When its virtual router is removed or the election ends, its streams end and its requests are
/// without effect.
#[derive(Debug, Clone)]
pub struct RouterHandle {
    pub(crate) key: u64,
    pub(crate) seat: Arc<SeatShared>,
    pub(crate) control: Control,
}

impl RouterHandle {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.seat.name
    }

    /// Its number.
    #[must_use]
    pub fn vrid(&self) -> Vrid {
        self.seat.vrid
    }

    /// Its state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.status().state
    }

    /// Whether this host holds the addresses.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state() == State::Active
    }

    /// Everything known of it now.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.seat.status).clone()
    }

    /// Its states from now on, beginning with the present one: an iterator for a thread, [`States::next_state`] to await.
    #[must_use]
    pub fn states(&self) -> States {
        let first = self.status();
        States {
            first: Some(StateChange {
                at: first.since,
                from: first.state,
                to: first.state,
                reason: first.reason,
            }),
            events: self.events(),
        }
    }

    /// Everything that happens to it from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let queue = Arc::new(EventQueue::default());
        let mut subscribers = lock(&self.seat.subscribers);
        if subscribers.closed {
            queue.close();
        } else {
            subscribers.queues.push(Arc::downgrade(&queue));
        }
        Events(queue)
    }

    /// Hands the addresses over: says so with priority 0, and takes them back only when nobody else is heard any more.
    pub fn resign(&self) {
        self.control.send(Command::Resign(self.key));
    }

    /// Sets the priority, 1 to 255; 0 is without effect.
    pub fn set_priority(&self, priority: Priority) {
        self.control.send(Command::SetPriority(self.key, priority));
    }

    /// Announces the addresses once more, if active.
    pub fn announce(&self) {
        self.control.send(Command::Announce(self.key));
    }

    /// Reports a reason of the application's own to stay out of the election, or that it is over.
    pub fn set_fault(&self, present: bool) {
        self.control.send(Command::Fault(self.key, present));
    }

    /// Reports that another router is gone, as BFD finds out. If it is the active one, that counts as its priority 0.
    pub fn peer_down(&self, peer: std::net::IpAddr) {
        self.control.send(Command::PeerDown(self.key, peer));
    }

    /// Gives it other parameters, addresses and routes. What does not change does not notice. The interface, the number,
    /// the family and the virtual MAC cannot change: remove it and add another.
    ///
    /// # Errors
    /// [`Error::Parameters`] when they do not fit together, [`Error::Identity`] when they are of another virtual router;
    /// then everything stays as it was. [`Error::Stopped`] when the election has ended.
    pub fn configure(&self, instance: Instance) -> Result<(), Error> {
        self.control
            .ask(|reply| Command::Configure(self.key, Box::new(instance), reply))?
    }

    /// Shuts it down: it hands over, gives up its addresses and is forgotten.
    pub fn remove(&self) {
        self.control.send(Command::Remove(self.key));
    }
}

/// The whole of a running election, from any thread.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) shared: Arc<ControlShared>,
}

impl Control {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            shared: Arc::new(ControlShared {
                commands: Mutex::default(),
                waker,
            }),
        }
    }

    /// Adds a virtual router. Waits until the driver has taken it; so the driver must be running, and this must not be
    /// called from its own thread.
    ///
    /// # Errors
    /// Those of [`Driver::add`](crate::Driver::add), and [`Error::Stopped`] when the election has ended.
    pub fn add(&self, instance: Instance) -> Result<RouterHandle, Error> {
        self.ask(|reply| Command::Add(Box::new(instance), reply))?
    }

    /// Reports the state of a tracked object, to all virtual routers that track it, now or later.
    pub fn track(&self, id: TrackId, status: TrackStatus) {
        self.send(Command::Track(id, status));
    }

    /// Brings the [status](RouterHandle::status) of every virtual router up to date, counters included, and waits for that,
    /// no longer than `limit`. Returns whether it was done: an election that does not answer is stuck or has ended.
    pub fn refresh(&self, limit: Duration) -> bool {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Refresh(reply));
        answer.recv_timeout(limit).is_ok()
    }

    /// Ends the election: every virtual router hands over and gives up its addresses; then
    /// [`Driver::run`](crate::Driver::run) returns.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    pub(crate) fn send(&self, command: Command) {
        let mut commands = lock(&self.shared.commands);
        if commands.closed {
            return;
        }
        commands.queue.push_back(command);
        drop(commands);
        self.shared.waker.wake();
    }

    /// Sends a command and waits for its answer.
    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = sync_channel(1);
        self.send(command(reply));
        // A driver that ends drops the sender, and so does a queue that is closed.
        answer.recv().map_err(|_| Error::Stopped)
    }

    pub(crate) fn take(&self) -> Option<Command> {
        lock(&self.shared.commands).queue.pop_front()
    }

    pub(crate) fn close(&self) {
        let mut commands = lock(&self.shared.commands);
        commands.closed = true;
        commands.queue.clear();
    }
}

/// What is known of a virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: Reason,
    /// The priority it was configured with.
    pub priority: Priority,
    /// The priority that counts, after tracking.
    pub effective_priority: Priority,
    /// The router that is active, as far as known; our own address while we are.
    pub active_router: Option<std::net::IpAddr>,
    /// Its counters, as of the last change of anything here.
    pub statistics: Statistics,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateChange {
    /// When.
    pub at: Instant,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.to, self.reason)
    }
}

/// Something that happened to a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// When.
    pub at: Instant,
    /// What.
    pub event: DriverEvent,
}

/// What can happen to a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverEvent {
    /// The election decided or noticed something.
    Election(vrrp_fsm::Event),
    /// Somebody deleted an address that we hold; it has been put back.
    AddressRestored {
        /// The address.
        address: std::net::IpAddr,
    },
    /// Somebody deleted a route that we hold; it has been put back.
    RouteRestored {
        /// Where it leads.
        destination: std::net::IpAddr,
        /// The length of that prefix.
        prefix_len: u8,
    },
    /// Somebody deleted a rule that we hold; it has been put back.
    RuleRestored {
        /// Its place in the list.
        preference: u32,
    },
    /// The lease of an address ended before it could be renewed, because this process or the host stood still; it has
    /// been put back.
    LeaseLapsed {
        /// The address.
        address: std::net::IpAddr,
    },
    /// The addresses were found on the host at the start, left there by a predecessor.
    Adopted,
    /// An address, a route or a rule could not be set.
    ChangeFailed {
        /// The address concerned, if it was one.
        address: Option<std::net::IpAddr>,
        /// The system's error number.
        errno: i32,
    },
    /// Packets to an address are accepted although they should not be, because the packet filter could not be set.
    FilterFailed {
        /// The address.
        address: std::net::IpAddr,
        /// The system's error number.
        errno: i32,
    },
    /// An advertisement was not taken in. Each kind of reason is told once a minute at most.
    Discarded {
        /// Who sent it.
        from: std::net::IpAddr,
        /// What was wrong with it.
        discard: Discard,
    },
    /// An advertisement could not be sent.
    SendFailed {
        /// The system's error number, or zero.
        errno: i32,
    },
    /// Advertisements cannot be received, so this virtual router stays out of the election until they can: it is tried again
    /// every second.
    ListenFailed {
        /// The system's error number, or zero.
        errno: i32,
    },
    /// The interface vanished, or is not there yet.
    InterfaceGone,
    /// The interface is there.
    InterfaceFound {
        /// The kernel's number for it.
        index: u32,
    },
}

impl fmt::Display for DriverEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Election(event) => event.fmt(f),
            Self::AddressRestored { address } => {
                write!(f, "{address} was deleted by somebody else and is put back")
            }
            Self::RouteRestored {
                destination,
                prefix_len,
            } => write!(
                f,
                "the route to {destination}/{prefix_len} was deleted by somebody else and is put back"
            ),
            Self::RuleRestored { preference } => write!(
                f,
                "the rule with preference {preference} was deleted by somebody else and is put back"
            ),
            Self::LeaseLapsed { address } => {
                write!(
                    f,
                    "the lease of {address} ended while this process stood still; it is put back"
                )
            }
            Self::Adopted => f.write_str("the addresses of a predecessor are still here"),
            Self::ChangeFailed {
                address: Some(address),
                errno,
            } => {
                write!(
                    f,
                    "cannot set {address}: {}",
                    std::io::Error::from_raw_os_error(*errno)
                )
            }
            Self::FilterFailed { address, errno } => write!(
                f,
                "accept_mode is off, but packets to {address} are not kept out (nf_tables of kernel 5.12 is needed): {}",
                std::io::Error::from_raw_os_error(*errno)
            ),
            Self::ChangeFailed { address: None, errno } => write!(
                f,
                "cannot set a route, a rule or an interface: {}",
                std::io::Error::from_raw_os_error(*errno)
            ),
            Self::Discarded { from, discard } => {
                write!(f, "an advertisement from {from} is discarded: {discard}")
            }
            Self::SendFailed { errno } => {
                write!(
                    f,
                    "cannot advertise: {}",
                    std::io::Error::from_raw_os_error(*errno)
                )
            }
            Self::ListenFailed { errno } => write!(
                f,
                "cannot receive advertisements, and stays out of the election: {}",
                std::io::Error::from_raw_os_error(*errno)
            ),
            Self::InterfaceGone => f.write_str("the interface is not there"),
            Self::InterfaceFound { .. } => f.write_str("the interface is there"),
        }
    }
}

/// The states of a virtual router, in order.
///
/// As an iterator it blocks the thread; [`next_state`](Self::next_state) can be awaited under any runtime.
#[derive(Debug)]
pub struct States {
    first: Option<StateChange>,
    events: Events,
}

impl States {
    /// The next change; `None` when the virtual router is gone.
    pub async fn next_state(&mut self) -> Option<StateChange> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next change, for a hand-written future.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<StateChange>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        loop {
            match self.events.poll_next(context) {
                Poll::Ready(Some(notice)) => {
                    if let Some(change) = state_change(&notice) {
                        return Poll::Ready(Some(change));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Iterator for States {
    type Item = StateChange;

    fn next(&mut self) -> Option<StateChange> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let notice = self.events.next()?;
            if let Some(change) = state_change(&notice) {
                return Some(change);
            }
        }
    }
}

fn state_change(notice: &Notice) -> Option<StateChange> {
    match notice.event {
        DriverEvent::Election(vrrp_fsm::Event::StateChanged { from, to, reason }) => Some(StateChange {
            at: notice.at,
            from,
            to,
            reason,
        }),
        _ => None,
    }
}

/// Everything that happens to a virtual router, in order.
///
/// As an iterator it blocks the thread; [`next_event`](Self::next_event) can be awaited under any runtime. One that is
/// not read keeps the newest 4096.
#[derive(Debug)]
pub struct Events(Arc<EventQueue>);

impl Events {
    /// The next one; `None` when the virtual router is gone.
    pub async fn next_event(&mut self) -> Option<Notice> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next one, for a hand-written future.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Notice>> {
        let mut inner = lock(&self.0.inner);
        if let Some(notice) = inner.queue.pop_front() {
            return Poll::Ready(Some(notice));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        inner.task = Some(context.waker().clone());
        Poll::Pending
    }

    /// The next one if it comes within `timeout`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Notice> {
        let inner = lock(&self.0.inner);
        let (mut inner, _) = self
            .0
            .changed
            .wait_timeout_while(inner, timeout, |inner| inner.queue.is_empty() && !inner.closed)
            .unwrap_or_else(PoisonError::into_inner);
        inner.queue.pop_front()
    }

    /// The next one if it is there already.
    pub fn try_next(&mut self) -> Option<Notice> {
        lock(&self.0.inner).queue.pop_front()
    }
}

impl Iterator for Events {
    type Item = Notice;

    fn next(&mut self) -> Option<Notice> {
        let inner = lock(&self.0.inner);
        let mut inner = self
            .0
            .changed
            .wait_while(inner, |inner| inner.queue.is_empty() && !inner.closed)
            .unwrap_or_else(PoisonError::into_inner);
        inner.queue.pop_front()
    }
}

/// What a request to the driver is.
#[derive(Debug)]
pub(crate) enum Command {
    Add(Box<Instance>, SyncSender<Result<RouterHandle, Error>>),
    Configure(u64, Box<Instance>, SyncSender<Result<(), Error>>),
    Remove(u64),
    Resign(u64),
    SetPriority(u64, Priority),
    Announce(u64),
    Track(TrackId, TrackStatus),
    Fault(u64, bool),
    PeerDown(u64, std::net::IpAddr),
    Refresh(SyncSender<()>),
    Stop,
}

#[derive(Debug)]
pub(crate) struct ControlShared {
    commands: Mutex<Commands>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Commands {
    queue: VecDeque<Command>,
    closed: bool,
}

/// What a handle and the driver share of one virtual router.
#[derive(Debug)]
pub(crate) struct SeatShared {
    pub(crate) name: String,
    pub(crate) vrid: Vrid,
    pub(crate) status: Mutex<Status>,
    subscribers: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    queues: Vec<Weak<EventQueue>>,
    closed: bool,
}

impl SeatShared {
    pub(crate) fn new(name: String, vrid: Vrid, status: Status) -> Self {
        Self {
            name,
            vrid,
            status: Mutex::new(status),
            subscribers: Mutex::default(),
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        *lock(&self.status) = status;
    }

    pub(crate) fn publish(&self, notice: Notice) {
        lock(&self.subscribers)
            .queues
            .retain(|queue| match queue.upgrade() {
                Some(queue) => {
                    queue.push(notice);
                    true
                }
                None => false,
            });
    }

    pub(crate) fn close(&self) {
        let mut subscribers = lock(&self.subscribers);
        subscribers.closed = true;
        for queue in subscribers.queues.drain(..) {
            if let Some(queue) = queue.upgrade() {
                queue.close();
            }
        }
    }
}

/// The events that one subscriber has not read yet.
#[derive(Debug, Default)]
struct EventQueue {
    inner: Mutex<QueueInner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueInner {
    queue: VecDeque<Notice>,
    task: Option<std::task::Waker>,
    closed: bool,
}

impl EventQueue {
    fn push(&self, notice: Notice) {
        let mut inner = lock(&self.inner);
        if inner.queue.len() == QUEUE_ROOM {
            inner.queue.pop_front();
        }
        inner.queue.push_back(notice);
        self.wake(inner);
    }

    fn close(&self) {
        let mut inner = lock(&self.inner);
        inner.closed = true;
        self.wake(inner);
    }

    fn wake(&self, mut inner: MutexGuard<'_, QueueInner>) {
        let task = inner.task.take();
        drop(inner);
        self.changed.notify_all();
        if let Some(task) = task {
            task.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing done under these locks can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many events wait for a subscriber that does not read.
const QUEUE_ROOM: usize = 4096;
