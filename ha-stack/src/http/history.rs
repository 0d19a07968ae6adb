//! Who was active, since when and why: what the status page draws a timeline of.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::control::Control;
use crate::notify::{Event, EventKind, NotifyState, Object};
use crate::status::{Status, VirtualRouterStatus};

/// Collects while somebody calls [`keep_up`](Self::keep_up) now and then. Bounded, whatever happens.
pub(super) struct History {
    inner: Mutex<Inner>,
}

struct Inner {
    events: Option<mpsc::Receiver<Event>>,
    /// When the status was last looked at.
    looked: Option<Instant>,
    told: Told,
}

/// What is told, in the form that `/history` has.
#[derive(Default, Serialize)]
struct Told {
    host: String,
    virtual_routers: BTreeMap<String, VecDeque<Span>>,
    events: VecDeque<Event>,
}

/// A time during which the same router was active, as far as this host knows; it ends where the next one begins.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Span {
    since: String,
    state: String,
    reason: String,
    active_router: Option<String>,
}

impl History {
    /// Begins now.
    pub(super) fn new(control: &dyn Control) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            inner: Mutex::new(Inner {
                events: control.watch(),
                looked: None,
                told: Told {
                    host: host.trim().to_owned(),
                    ..Told::default()
                },
            }),
        }
    }

    /// Takes in what has happened. Who is active is looked at when something has, and every few seconds.
    pub(super) fn keep_up(&self, control: &dyn Control) {
        let mut inner = self.lock();
        let happened = inner.take_events();
        let due = inner.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if happened || due {
            inner.told.observe(&control.status(), SystemTime::now());
            inner.looked = Some(Instant::now());
        }
    }

    /// All of it, as JSON.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self.lock().told)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take_events(&mut self) -> bool {
        let Some(events) = &self.events else { return false };
        let mut happened = false;
        for event in events.try_iter() {
            self.told.note(event);
            happened = true;
        }
        happened
    }
}

impl Told {
    /// An event is exact about when and why, but does not know who else is active.
    fn note(&mut self, event: Event) {
        if let (Object::Instance(name), EventKind::State(state)) = (&event.object, event.kind) {
            let spans = self.virtual_routers.entry(name.to_string()).or_default();
            let state = word(state);
            if spans.back().is_none_or(|last| last.state != state) {
                push(
                    spans,
                    MOST_SPANS,
                    Span {
                        since: timestamp(event.time),
                        state: state.to_owned(),
                        reason: event.reason.as_deref().unwrap_or_default().to_owned(),
                        active_router: None,
                    },
                );
            }
        }
        push(&mut self.events, MOST_EVENTS, event);
    }

    /// The status knows who is active.
    fn observe(&mut self, status: &Status, now: SystemTime) {
        self.virtual_routers.retain(|name, _| {
            let mut routers = status.virtual_routers.iter();
            routers.any(|router| router.name == *name)
        });
        for router in &status.virtual_routers {
            let spans = self.virtual_routers.entry(router.name.clone()).or_default();
            match spans.back_mut().filter(|last| last.state == router.state) {
                None => push(spans, MOST_SPANS, span(router, router.since.clone())),
                Some(last) => {
                    if last.reason.is_empty() {
                        last.reason.clone_from(&router.reason);
                    }
                    match (&last.active_router, &router.active_router) {
                        (None, Some(_)) => last.active_router.clone_from(&router.active_router),
                        // Another one took over between others, while this host was and is a backup.
                        (Some(before), Some(after)) if before != after => {
                            push(spans, MOST_SPANS, span(router, timestamp(now)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

fn span(router: &VirtualRouterStatus, since: String) -> Span {
    Span {
        since,
        state: router.state.clone(),
        reason: router.reason.clone(),
        active_router: router.active_router.clone(),
    }
}

/// The state of RFC 9568 behind keepalived's word.
fn word(state: NotifyState) -> &'static str {
    match state {
        NotifyState::Master => "active",
        NotifyState::Backup => "backup",
        NotifyState::Fault | NotifyState::Stop | NotifyState::Deleted => "initialize",
    }
}

fn push<T>(queue: &mut VecDeque<T>, most: usize, value: T) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(value);
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// How often [`History::keep_up`] is to be called.
pub(super) const KEEP_UP: Duration = Duration::from_secs(1);

const LOOK: Duration = Duration::from_secs(5);

const MOST_SPANS: usize = 50;

const MOST_EVENTS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, state: NotifyState) -> Event {
        Event {
            sequence: 1,
            time: SystemTime::UNIX_EPOCH,
            object: Object::Instance(name.into()),
            kind: EventKind::State(state),
            priority: 100,
            reason: None,
            merged: 0,
        }
    }

    fn seen(state: &str, active_router: Option<&str>) -> Status {
        let mut status = crate::status::tests::example();
        for router in &mut status.virtual_routers {
            router.state = state.to_owned();
            router.active_router = active_router.map(str::to_owned);
            router.reason = "as the status says".to_owned();
        }
        status
    }

    fn spans(told: &Told) -> Vec<(&str, &str, Option<&str>)> {
        told.virtual_routers["VI_1"]
            .iter()
            .map(|span| {
                (
                    span.state.as_str(),
                    span.reason.as_str(),
                    span.active_router.as_deref(),
                )
            })
            .collect()
    }

    #[test]
    fn events_make_spans_and_the_status_says_who() {
        let mut told = Told::default();
        told.note(state("VI_1", NotifyState::Backup));
        told.observe(&seen("backup", Some("10.0.0.2")), SystemTime::UNIX_EPOCH);
        let mut event = state("VI_1", NotifyState::Master);
        event.reason = Some("nothing heard".into());
        told.note(event);
        told.observe(&seen("active", Some("10.0.0.1")), SystemTime::UNIX_EPOCH);
        assert_eq!(
            spans(&told),
            [
                ("backup", "as the status says", Some("10.0.0.2")),
                ("active", "nothing heard", Some("10.0.0.1"))
            ]
        );
        assert_eq!(told.events.len(), 2);
    }

    #[test]
    fn the_role_that_moves_between_others_is_seen() {
        let mut told = Told::default();
        for peer in [Some("10.0.0.2"), None, Some("10.0.0.2"), Some("10.0.0.3")] {
            told.observe(&seen("backup", peer), SystemTime::UNIX_EPOCH);
        }
        let peers: Vec<_> = spans(&told).into_iter().map(|(_, _, peer)| peer).collect();
        assert_eq!(peers, [Some("10.0.0.2"), Some("10.0.0.3")]);
    }

    #[test]
    fn it_is_bounded_and_forgets_what_is_not_configured() {
        let mut told = Told::default();
        for _ in 0..500 {
            told.note(state("VI_1", NotifyState::Backup));
            told.note(state("VI_1", NotifyState::Master));
            told.note(state("gone", NotifyState::Deleted));
        }
        assert_eq!(told.virtual_routers["VI_1"].len(), MOST_SPANS);
        assert_eq!(told.events.len(), MOST_EVENTS);
        told.observe(&seen("active", None), SystemTime::UNIX_EPOCH);
        assert!(!told.virtual_routers.contains_key("gone"));
    }
}
