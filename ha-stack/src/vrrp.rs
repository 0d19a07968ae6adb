//! The election by VRRP, as a stream of what happens to each virtual router and sync group.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use vrrp_fsm::{Event as FsmEvent, Fault, Reason, State, TrackId};
use vrrp_net::{DriverEvent, Events, Notice, RouterHandle};

use crate::diagnosis::{Difference, Differences};
use crate::election::{Election, Happening};
use crate::notify::{EventKind, NotifyState, Object};
use crate::status::PeerProblem;

/// What VRRP decides about any number of virtual routers of one driver.
///
/// It ends when all of them have been removed or their driver has.
pub struct VrrpElection {
    book: Book,
    fresh: UnboundedReceiver<Fresh>,
    streams: SelectAll<BoxStream<'static, (u64, Option<Notice>)>>,
    ready: VecDeque<Happening>,
}

impl VrrpElection {
    /// The election of these virtual routers, each under the name it was given.
    pub fn of(handles: impl IntoIterator<Item = RouterHandle>) -> Self {
        let (election, registrar) = Self::new();
        for handle in handles {
            let terms = Terms {
                name: handle.name().into(),
                group: None,
                priorities: true,
            };
            registrar.add(&handle, terms);
        }
        election
    }

    /// An election without virtual routers yet, and the means to add them.
    pub(crate) fn new() -> (Self, Registrar) {
        let (sender, fresh) = unbounded();
        let book = Book::default();
        let registrar = Registrar {
            book: book.clone(),
            sender,
        };
        let election = Self {
            book,
            fresh,
            streams: SelectAll::new(),
            ready: VecDeque::new(),
        };
        (election, registrar)
    }

    fn poll_notice(&mut self, context: &mut Context<'_>) -> Poll<Option<(u64, Option<Notice>)>> {
        let mut may_grow = true;
        loop {
            match self.fresh.poll_next_unpin(context) {
                Poll::Ready(Some(fresh)) => {
                    let Fresh {
                        serial,
                        mut events,
                        first,
                    } = fresh;
                    self.ready.extend(first);
                    let notices = futures::stream::poll_fn(move |context| events.poll_next(context));
                    let notices = notices.map(move |notice| (serial, Some(notice)));
                    let end = futures::stream::once(async move { (serial, None) });
                    self.streams.push(notices.chain(end).boxed());
                }
                Poll::Ready(None) => {
                    may_grow = false;
                    break;
                }
                Poll::Pending => break,
            }
        }
        match self.streams.poll_next_unpin(context) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(item)),
            Poll::Ready(None) if !may_grow && self.ready.is_empty() => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => match self.ready.is_empty() {
                // An end without a virtual router: only what is ready is to be fetched.
                false => Poll::Ready(Some((u64::MAX, None))),
                true => Poll::Pending,
            },
        }
    }
}

#[async_trait]
impl Election for VrrpElection {
    async fn next(&mut self) -> Option<Happening> {
        loop {
            if let Some(happening) = self.ready.pop_front() {
                return Some(happening);
            }
            let (serial, notice) = poll_fn(|context| self.poll_notice(context)).await?;
            let mut book = self.book.lock();
            match notice {
                Some(notice) => self.ready.extend(book.digest(serial, notice.event)),
                None => book.end(serial),
            }
        }
    }
}

impl fmt::Debug for VrrpElection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VrrpElection").finish_non_exhaustive()
    }
}

/// Adds virtual routers to an election and knows what is known of them. The election ends when this is dropped and all
/// virtual routers are gone.
#[derive(Debug)]
pub(crate) struct Registrar {
    book: Book,
    sender: UnboundedSender<Fresh>,
}

impl Registrar {
    /// Returns the number the virtual router has here.
    pub(crate) fn add(&self, handle: &RouterHandle, terms: Terms) -> u64 {
        // The subscription comes before the status is read, so nothing falls between, and what is in both is recognised.
        let events = handle.events();
        let mut book = self.book.lock();
        let serial = book.add(terms);
        let fresh = Fresh {
            serial,
            events,
            first: book.begin(serial, handle),
        };
        // The election is gone only when the program ends.
        let _ = self.sender.unbounded_send(fresh);
        serial
    }

    /// Changes how a virtual router is told about.
    pub(crate) fn set_terms(&self, serial: u64, terms: Terms) {
        if let Some(record) = self.book.lock().records.get_mut(&serial) {
            record.terms = terms;
        }
    }

    /// The virtual router is being taken out of the configuration; `told` is what is said when it is gone.
    pub(crate) fn set_leaving(&self, serial: u64, told: NotifyState) {
        if let Some(record) = self.book.lock().records.get_mut(&serial) {
            record.shutdown = told;
            record.leaving = true;
        }
    }

    /// What was told last of every virtual router and sync group.
    pub(crate) fn states(&self) -> Vec<Happening> {
        let book = self.book.lock();
        let mut serials: Vec<&u64> = book.records.keys().collect();
        serials.sort_unstable();
        let routers = serials.into_iter().filter_map(|serial| {
            let record = book.records.get(serial)?;
            Some(record.happening(EventKind::State(record.told?), None))
        });
        let groups = book.groups.iter().map(|(name, state)| Happening {
            object: Object::Group(Arc::clone(name)),
            kind: EventKind::State(*state),
            priority: 0,
            reason: None,
        });
        routers.chain(groups).collect()
    }

    /// No more virtual routers will come.
    pub(crate) fn close(&self) {
        self.sender.close_channel();
    }

    /// Whether a virtual router has ended that was not told to.
    pub(crate) fn has_ended(&self) -> bool {
        self.book.lock().has_ended
    }

    /// What the numbers of tracked objects mean, for people.
    pub(crate) fn set_track_names(&self, names: HashMap<TrackId, String>) {
        self.book.lock().track_names = names;
    }

    /// What is known of a virtual router beyond what its handle says.
    pub(crate) fn view(&self, serial: u64) -> Option<View> {
        let book = self.book.lock();
        let record = book.records.get(&serial)?;
        Some(View {
            since: record.since,
            problems: record.differences.now(Instant::now()),
        })
    }

    pub(crate) fn reason(&self, reason: Reason) -> String {
        self.book.lock().reason(reason)
    }

    /// The state of a sync group, if it has members.
    pub(crate) fn group_state(&self, group: &str) -> Option<State> {
        self.book.lock().group_state(group)
    }
}

/// A virtual router that was added.
#[derive(Debug)]
struct Fresh {
    serial: u64,
    events: Events,
    /// What its present state means to the outside.
    first: Vec<Happening>,
}

/// How a virtual router is told about.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) name: Arc<str>,
    pub(crate) group: Option<Arc<str>>,
    /// Whether changes of priority are told.
    pub(crate) priorities: bool,
}

#[derive(Debug)]
pub(crate) struct View {
    pub(crate) since: SystemTime,
    pub(crate) problems: Vec<PeerProblem>,
}

#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<Pages>>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has been told, and with that what there is to tell.
#[derive(Debug, Default)]
struct Pages {
    next: u64,
    records: HashMap<u64, Record>,
    groups: HashMap<Arc<str>, NotifyState>,
    track_names: HashMap<TrackId, String>,
    has_ended: bool,
}

#[derive(Debug)]
struct Record {
    terms: Terms,
    state: State,
    /// Whether it is in Initialize for a fault that is told.
    at_fault: bool,
    told: Option<NotifyState>,
    /// What is told when it is shut down.
    shutdown: NotifyState,
    leaving: bool,
    priority: u8,
    since: SystemTime,
    differences: Differences,
}

impl Pages {
    fn add(&mut self, terms: Terms) -> u64 {
        let serial = self.next;
        self.next += 1;
        self.records.insert(
            serial,
            Record {
                terms,
                state: State::Initialize,
                at_fault: false,
                told: None,
                shutdown: NotifyState::Stop,
                leaving: false,
                priority: 0,
                since: SystemTime::now(),
                differences: Differences::default(),
            },
        );
        serial
    }

    fn begin(&mut self, serial: u64, handle: &RouterHandle) -> Vec<Happening> {
        let status = handle.status();
        if let Some(record) = self.records.get_mut(&serial) {
            record.priority = status.effective_priority.get();
        }
        self.enter(serial, status.state, status.reason)
    }

    fn end(&mut self, serial: u64) {
        let gone = self.records.remove(&serial);
        self.has_ended |= gone.as_ref().is_some_and(|record| !record.leaving);
        if let Some(group) = gone.and_then(|record| record.terms.group)
            && self.members(&group).next().is_none()
        {
            self.groups.remove(&group);
        }
    }

    fn digest(&mut self, serial: u64, event: DriverEvent) -> Vec<Happening> {
        if let DriverEvent::Discarded { from, discard } = event
            && let Some(record) = self.records.get_mut(&serial)
            && let Some(difference) = Difference::of_discard(from, &discard)
        {
            record
                .differences
                .note(&record.terms.name, difference, Instant::now());
        }
        // The driver has logged the rest; it concerns nobody else.
        let DriverEvent::Election(event) = event else {
            return Vec::new();
        };
        match event {
            FsmEvent::StateChanged { to, reason, .. } => self.enter(serial, to, reason),
            FsmEvent::PriorityChanged { to, .. } => {
                let Some(record) = self.records.get_mut(&serial) else {
                    return Vec::new();
                };
                record.priority = to.get();
                let state = match record.state {
                    State::Active => NotifyState::Master,
                    State::Backup | State::Initialize => NotifyState::Backup,
                };
                match record.terms.priorities {
                    true => vec![record.happening(EventKind::Priority(state), None)],
                    false => Vec::new(),
                }
            }
            FsmEvent::HeardLower { from, priority } => {
                let reason = format!("heard priority {} from {from}", priority.get());
                let kind = EventKind::ReceivedLowerPriority;
                let record = self.records.get(&serial);
                record
                    .map(|record| record.happening(kind, Some(reason.into())))
                    .into_iter()
                    .collect()
            }
            FsmEvent::Alarm(alarm) => {
                if let Some(record) = self.records.get_mut(&serial) {
                    match Difference::of_alarm(&alarm) {
                        Some(difference) => {
                            record
                                .differences
                                .note(&record.terms.name, difference, Instant::now())
                        }
                        None => tracing::warn!(instance = %record.terms.name, %alarm),
                    }
                }
                Vec::new()
            }
            FsmEvent::AlarmEnded(alarm) => {
                if let Some(record) = self.records.get_mut(&serial) {
                    tracing::info!(instance = %record.terms.name, %alarm, "over");
                    if let Some(difference) = Difference::of_alarm(&alarm) {
                        record.differences.end(&difference);
                    }
                }
                Vec::new()
            }
            // An event of a later version of the election.
            _ => Vec::new(),
        }
    }

    fn enter(&mut self, serial: u64, state: State, reason: Reason) -> Vec<Happening> {
        let text: Arc<str> = self.reason(reason).into();
        let Some(record) = self.records.get_mut(&serial) else {
            return Vec::new();
        };
        if record.state != state {
            record.since = SystemTime::now();
        }
        record.state = state;
        let told = record.to_tell(state, reason);
        record.at_fault = told == Some(NotifyState::Fault);
        let Some(told) = told.filter(|told| record.told != Some(*told)) else {
            return Vec::new();
        };
        record.told = Some(told);
        let mut happenings = vec![record.happening(EventKind::State(told), Some(Arc::clone(&text)))];
        if let Some(group) = record.terms.group.clone() {
            happenings.extend(self.tell_group(group, text));
        }
        happenings
    }

    fn tell_group(&mut self, group: Arc<str>, reason: Arc<str>) -> Option<Happening> {
        let mut members = self.members(&group).peekable();
        members.peek()?;
        let members: Vec<&Record> = members.collect();
        let told = if members.iter().any(|member| member.at_fault) {
            NotifyState::Fault
        } else if members
            .iter()
            .all(|member| member.told == Some(NotifyState::Stop))
        {
            NotifyState::Stop
        } else if members.iter().all(|member| member.state == State::Active) {
            NotifyState::Master
        } else if members.iter().all(|member| member.state != State::Active) {
            NotifyState::Backup
        } else {
            // On the way: the members move one after the other.
            return None;
        };
        if told == NotifyState::Backup && members.iter().any(|member| member.state != State::Backup) {
            return None;
        }
        if self.groups.insert(Arc::clone(&group), told) == Some(told) {
            return None;
        }
        Some(Happening {
            object: Object::Group(group),
            kind: EventKind::State(told),
            priority: 0,
            reason: Some(reason),
        })
    }

    fn members(&self, group: &str) -> impl Iterator<Item = &Record> {
        self.records
            .values()
            .filter(move |record| record.terms.group.as_deref() == Some(group))
    }

    fn group_state(&self, group: &str) -> Option<State> {
        let mut states = self.members(group).map(|member| member.state);
        let first = states.next()?;
        Some(states.fold(first, State::min))
    }

    fn reason(&self, reason: Reason) -> String {
        reason_in_words(reason, &self.track_names)
    }
}

impl Record {
    /// What a state is to the outside; `None` for what is not told.
    fn to_tell(&self, state: State, reason: Reason) -> Option<NotifyState> {
        match (state, reason) {
            (State::Active, _) => Some(NotifyState::Master),
            (State::Backup, _) => Some(NotifyState::Backup),
            (State::Initialize, Reason::Shutdown) => Some(self.shutdown),
            // keepalived, too, waits for the first results without a word.
            (State::Initialize, Reason::NotStarted | Reason::Fault(Fault::TrackPending(_))) => None,
            (State::Initialize, _) => Some(NotifyState::Fault),
        }
    }

    fn happening(&self, kind: EventKind, reason: Option<Arc<str>>) -> Happening {
        Happening {
            object: Object::Instance(Arc::clone(&self.terms.name)),
            kind,
            priority: self.priority,
            reason,
        }
    }
}

/// What is said of [`TrackedObject::Start`](crate::TrackedObject::Start).
pub(crate) const START_DELAY: &str = "the start delay";

/// What is said of [`TrackedObject::Peer`](crate::TrackedObject::Peer).
pub(crate) const NO_PEER: &str = "no unicast peer is configured";

/// The reason in words, with the names of tracked objects instead of their numbers.
pub(crate) fn reason_in_words(reason: Reason, names: &HashMap<TrackId, String>) -> String {
    let named = if let Reason::Fault(Fault::Track(id)) = &reason {
        names.get(id).map(|name| match name.as_str() {
            NO_PEER => NO_PEER.to_owned(),
            name => format!("{name} failed"),
        })
    } else if let Reason::Fault(Fault::TrackPending(id)) = &reason {
        names.get(id).map(|name| match name.as_str() {
            START_DELAY => format!("{START_DELAY} is not over"),
            name => format!("{name} has not reported yet"),
        })
    } else {
        None
    };
    named.unwrap_or_else(|| reason.to_string())
}
