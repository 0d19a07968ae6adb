//! Every event, numbered, to everybody who wants it.

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::election::Happening;
use crate::notify::{Courier, Event, Hooks, Object, ScriptNotifier};

/// Numbers events and hands them to the scripts, the other notifiers and those who watch, without ever waiting for any.
#[derive(Debug)]
pub struct EventHub {
    scripts: ScriptNotifier,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sequence: u64,
    notifiers: Vec<Arc<Courier>>,
    watchers: Vec<Courier>,
    /// What notifiers that are gone had merged.
    merged: u64,
}

impl State {
    fn number(&mut self, happening: Happening) -> Event {
        self.sequence += 1;
        Event {
            sequence: self.sequence,
            time: SystemTime::now(),
            object: happening.object,
            kind: happening.kind,
            priority: happening.priority,
            reason: happening.reason,
            merged: 0,
        }
    }
}

impl EventHub {
    /// A hub with these scripts and nobody else yet.
    pub fn new(scripts: ScriptNotifier) -> Self {
        Self {
            scripts,
            state: Mutex::new(State {
                sequence: 0,
                notifiers: Vec::new(),
                watchers: Vec::new(),
                merged: 0,
            }),
        }
    }

    /// Makes an event of what happened, and hands it to everybody.
    pub fn publish(&self, happening: Happening) -> Event {
        let mut state = self.lock();
        let event = state.number(happening);
        // Handing over never waits, so the order of the numbers is the order of delivery.
        self.scripts.send(&event);
        for courier in state.notifiers.iter().map(Arc::as_ref).chain(&state.watchers) {
            courier.send(event.clone());
        }
        state.watchers.retain(|courier| !courier.is_closed());
        event
    }

    /// Makes an event of what is so already, and hands it to these only.
    pub(crate) fn repeat(&self, happening: Happening, to: &[Arc<Courier>]) {
        let event = self.lock().number(happening);
        for courier in to {
            courier.send(event.clone());
        }
    }

    /// The events from now on; `None` if there is no thread for one more who watches. A receiver that is slow gets the
    /// latest state of each object and the number of those it missed.
    pub fn watch(&self) -> Option<mpsc::Receiver<Event>> {
        let (sender, receiver) = mpsc::sync_channel(WATCHER_CAPACITY);
        let courier = Courier::start("watch", sender, WATCHER_CAPACITY).ok()?;
        self.lock().watchers.push(courier);
        Some(receiver)
    }

    /// Replaces the scripts of all objects.
    pub fn set_hooks(&self, hooks: HashMap<Object, Hooks>) {
        self.scripts.set_hooks(hooks);
    }

    /// Replaces the notifiers other than scripts; one that is in both lists is kept. What the others have not delivered yet they
    /// deliver before they go, within a second.
    pub fn set_notifiers(&self, notifiers: Vec<Arc<Courier>>) {
        let mut old = std::mem::replace(&mut self.lock().notifiers, notifiers.clone());
        old.retain(|courier| !notifiers.iter().any(|kept| Arc::ptr_eq(kept, courier)));
        let deadline = Instant::now() + FLUSH_LIMIT;
        let mut merged = 0;
        for courier in old {
            courier.flush(deadline.saturating_duration_since(Instant::now()));
            merged += courier.merged();
        }
        self.lock().merged += merged;
    }

    /// Puts another courier in the place of one that is stuck, which is not waited for. No event falls between the two.
    pub(crate) fn replace(&self, stuck: &Arc<Courier>, fresh: &Arc<Courier>) {
        let mut state = self.lock();
        state.merged += stuck.merged();
        fresh.succeed(stuck);
        for courier in &mut state.notifiers {
            if Arc::ptr_eq(courier, stuck) {
                *courier = Arc::clone(fresh);
            }
        }
    }

    /// Adds notifiers to those there are; one that is there already is not added again.
    pub fn add_notifiers(&self, notifiers: &[Arc<Courier>]) {
        let mut state = self.lock();
        for courier in notifiers {
            if !state.notifiers.iter().any(|known| Arc::ptr_eq(known, courier)) {
                state.notifiers.push(Arc::clone(courier));
            }
        }
    }

    /// Looks after the thread of the scripts.
    pub(crate) fn tend(&self) {
        self.scripts.tend();
    }

    /// How many events were replaced by later ones, for anybody but those who watch.
    pub fn merged(&self) -> u64 {
        let state = self.lock();
        let couriers = state
            .notifiers
            .iter()
            .map(|courier| courier.merged())
            .sum::<u64>();
        state.merged + couriers + self.scripts.merged()
    }

    /// Lets everybody get what waits, for so long at most in all.
    pub fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let rest = || deadline.saturating_duration_since(Instant::now());
        if !self.scripts.flush(rest()) {
            tracing::warn!("a notification script still runs at the end");
        }
        let state = self.lock();
        for courier in state.notifiers.iter().map(Arc::as_ref).chain(&state.watchers) {
            courier.flush(rest());
        }
    }

    /// Lets nothing be published for as long as what is returned is there.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Sized {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const WATCHER_CAPACITY: usize = 1024;

const FLUSH_LIMIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{EventKind, NotifyState};

    fn hub() -> EventHub {
        EventHub::new(ScriptNotifier::start(Duration::from_secs(1), None).unwrap())
    }

    fn happening(state: NotifyState) -> Happening {
        Happening {
            object: Object::Instance("VI_1".into()),
            kind: EventKind::State(state),
            priority: 100,
            reason: None,
        }
    }

    #[test]
    fn events_are_numbered_and_reach_everybody() {
        let hub = hub();
        let (sender, receiver) = mpsc::sync_channel(9);
        hub.set_notifiers(vec![Arc::new(Courier::start("test", sender, 9).unwrap())]);
        let watcher = hub.watch().unwrap();
        hub.publish(happening(NotifyState::Backup));
        hub.publish(happening(NotifyState::Master));
        for stream in [receiver, watcher] {
            let events = [stream.recv().unwrap(), stream.recv().unwrap()];
            assert_eq!(
                events.map(|event| (event.sequence, event.kind.word())),
                [(1, "BACKUP"), (2, "MASTER")]
            );
        }
    }

    #[test]
    fn a_watcher_that_went_away_is_forgotten() {
        let hub = hub();
        drop(hub.watch());
        while !hub.lock().watchers.is_empty() {
            hub.publish(happening(NotifyState::Backup));
        }
    }

    #[test]
    fn notifiers_that_are_replaced_deliver_what_they_have() {
        let hub = hub();
        let (sender, receiver) = mpsc::sync_channel(1);
        hub.set_notifiers(vec![Arc::new(Courier::start("test", sender, 9).unwrap())]);
        for _ in 0..5 {
            hub.publish(happening(NotifyState::Backup));
        }
        let reader = std::thread::spawn(move || receiver.iter().count());
        hub.set_notifiers(Vec::new());
        assert_eq!(reader.join().unwrap(), 5);
        assert_eq!(hub.merged(), 0);
    }

    #[test]
    fn one_that_takes_the_place_of_another_gets_what_that_has_not_had_and_what_comes() {
        let hub = hub();
        // Nobody receives: it is stuck with the first.
        let (sender, _held) = mpsc::sync_channel(0);
        let stuck = Arc::new(Courier::start("test", sender, 2).unwrap());
        hub.set_notifiers(vec![Arc::clone(&stuck)]);
        for state in [NotifyState::Backup, NotifyState::Master].repeat(5) {
            hub.publish(happening(state));
        }
        let merged = hub.merged();
        assert!(merged > 0);
        let (sender, receiver) = mpsc::sync_channel(9);
        hub.replace(&stuck, &Arc::new(Courier::start("test", sender, 9).unwrap()));
        assert_eq!(hub.merged(), merged);
        hub.publish(happening(NotifyState::Fault));
        let words: Vec<_> = receiver.iter().take_while(|event| event.sequence < 11).collect();
        assert_eq!(words.last().unwrap().kind.word(), "MASTER");
    }
}
