//! Events in order, and never too many of them.

use std::collections::VecDeque;

use crate::notify::{Event, Object};

/// A queue of events that keeps the order of each object and does not grow without bound.
///
/// Up to its capacity it loses nothing. Beyond it, events of the same kind of one object merge: the newest takes the
/// place of those that wait, and carries their number in [`Event::merged`]. So the latest state of each object is always
/// delivered, and there are never more events than the capacity or, if that is larger, the number of objects times the
/// kinds of events.
///
/// Each event carries a `T` along.
#[derive(Clone, Debug)]
pub struct EventQueue<T = ()> {
    capacity: usize,
    waiting: VecDeque<(Event, T)>,
    merged: u64,
}

impl<T> EventQueue<T> {
    /// An empty queue for so many events.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            waiting: VecDeque::new(),
            merged: 0,
        }
    }

    /// Appends an event.
    pub fn push(&mut self, mut event: Event, with: T) {
        if self.is_full() {
            let replaced = self.remove_like(&event);
            if replaced == 0 {
                self.merge_oldest_pair();
            }
            event.merged = event.merged.saturating_add(replaced);
        }
        self.waiting.push_back((event, with));
    }

    /// Puts an event that was taken out back to the front; if the queue is full and one like it has come since, the two
    /// merge.
    pub fn put_back(&mut self, event: Event, with: T) {
        let later = self.waiting.iter().position(|(later, _)| is_like(later, &event));
        match later {
            Some(later) if self.is_full() => self.merge_into(event, later),
            _ => self.waiting.push_front((event, with)),
        }
    }

    /// Takes the oldest event.
    pub fn pop(&mut self) -> Option<(Event, T)> {
        self.waiting.pop_front()
    }

    /// Takes the oldest event of those objects that `ready` picks.
    pub fn pop_ready(&mut self, mut ready: impl FnMut(&Object) -> bool) -> Option<(Event, T)> {
        let index = self.waiting.iter().position(|(event, _)| ready(&event.object))?;
        self.waiting.remove(index)
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many events were replaced by later ones, in all.
    pub fn merged(&self) -> u64 {
        self.merged
    }
}

impl<T> EventQueue<T> {
    fn is_full(&self) -> bool {
        self.waiting.len() >= self.capacity
    }

    /// Removes every waiting event like `event`. Returns how many events those stood for.
    fn remove_like(&mut self, event: &Event) -> u64 {
        let mut replaced: u64 = 0;
        self.waiting.retain(|(waiting, _)| {
            let like = is_like(waiting, event);
            if like {
                replaced = replaced.saturating_add(1).saturating_add(waiting.merged);
                self.merged = self.merged.saturating_add(1);
            }
            !like
        });
        replaced
    }

    /// Merges the oldest event that has one like it behind it into that one, if there is such a pair.
    fn merge_oldest_pair(&mut self) {
        let pair = self.waiting.iter().enumerate().find_map(|(index, (event, _))| {
            self.waiting
                .iter()
                .skip(index + 1)
                .position(|(later, _)| is_like(later, event))
                .map(|distance| (index, index + 1 + distance))
        });
        if let Some((older, newer)) = pair
            && let Some((event, _)) = self.waiting.remove(older)
        {
            self.merge_into(event, newer - 1);
        }
    }

    fn merge_into(&mut self, event: Event, index: usize) {
        self.merged = self.merged.saturating_add(1);
        if let Some((later, _)) = self.waiting.get_mut(index) {
            later.merged = later.merged.saturating_add(1).saturating_add(event.merged);
        }
    }
}

fn is_like(left: &Event, right: &Event) -> bool {
    left.object == right.object && left.kind.class() == right.kind.class()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::event::tests::state;
    use crate::notify::{EventKind, NotifyState};

    fn drain(queue: &mut EventQueue) -> Vec<(String, &'static str, u64)> {
        std::iter::from_fn(|| queue.pop())
            .map(|(event, ())| (event.object.to_string(), event.kind.word(), event.merged))
            .collect()
    }

    #[test]
    fn below_the_capacity_everything_comes_out_in_order() {
        let mut queue = EventQueue::new(3);
        queue.push(state("a", NotifyState::Backup), ());
        queue.push(state("b", NotifyState::Backup), ());
        queue.push(state("a", NotifyState::Master), ());
        assert_eq!(
            drain(&mut queue),
            [
                ("a".to_owned(), "BACKUP", 0),
                ("b".to_owned(), "BACKUP", 0),
                ("a".to_owned(), "MASTER", 0)
            ]
        );
        assert_eq!(queue.merged(), 0);
    }

    #[test]
    fn beyond_it_the_latest_of_an_object_replaces_those_between() {
        let mut queue = EventQueue::new(3);
        queue.push(state("a", NotifyState::Backup), ());
        queue.push(state("b", NotifyState::Backup), ());
        queue.push(state("a", NotifyState::Master), ());
        queue.push(state("a", NotifyState::Fault), ());
        assert_eq!(
            drain(&mut queue),
            [("b".to_owned(), "BACKUP", 0), ("a".to_owned(), "FAULT", 2)]
        );
        assert_eq!(queue.merged(), 2);
    }

    #[test]
    fn an_object_without_waiting_events_makes_another_merge() {
        let mut queue = EventQueue::new(3);
        queue.push(state("a", NotifyState::Backup), ());
        queue.push(state("a", NotifyState::Master), ());
        queue.push(state("b", NotifyState::Backup), ());
        queue.push(state("c", NotifyState::Backup), ());
        assert_eq!(
            drain(&mut queue),
            [
                ("a".to_owned(), "MASTER", 1),
                ("b".to_owned(), "BACKUP", 0),
                ("c".to_owned(), "BACKUP", 0)
            ]
        );
    }

    #[test]
    fn the_latest_of_each_object_survives_even_a_capacity_of_nothing() {
        let mut queue = EventQueue::new(0);
        for round in 0..100 {
            for name in ["a", "b", "c"] {
                queue.push(
                    state(
                        name,
                        if round % 2 == 0 {
                            NotifyState::Backup
                        } else {
                            NotifyState::Master
                        },
                    ),
                    (),
                );
                assert!(queue.len() <= 3);
            }
        }
        assert_eq!(
            drain(&mut queue),
            ["a", "b", "c"].map(|name| (name.to_owned(), "MASTER", 99))
        );
        assert_eq!(queue.merged(), 3 * 99);
    }

    #[test]
    fn kinds_do_not_replace_each_other() {
        let mut queue = EventQueue::new(1);
        queue.push(state("a", NotifyState::Master), ());
        let mut other = state("a", NotifyState::Master);
        other.kind = EventKind::ReceivedLowerPriority;
        queue.push(other, ());
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn an_event_that_was_put_back_comes_out_first_or_gives_way_to_a_later_one() {
        let mut queue = EventQueue::new(2);
        queue.push(state("a", NotifyState::Backup), ());
        queue.push(state("b", NotifyState::Backup), ());
        let (event, ()) = queue.pop().unwrap();
        queue.put_back(event, ());
        let (event, ()) = queue.pop().unwrap();
        assert_eq!(event.object.name(), "a");
        queue.push(state("a", NotifyState::Master), ());
        queue.put_back(event, ());
        assert_eq!(
            drain(&mut queue),
            [("b".to_owned(), "BACKUP", 0), ("a".to_owned(), "MASTER", 1)]
        );
    }

    #[test]
    fn objects_that_are_not_ready_are_passed_over() {
        let mut queue = EventQueue::new(9);
        queue.push(state("a", NotifyState::Backup), ());
        queue.push(state("b", NotifyState::Backup), ());
        let (event, ()) = queue.pop_ready(|object| object.name() == "b").unwrap();
        assert_eq!(event.object.name(), "b");
        assert!(queue.pop_ready(|object| object.name() == "b").is_none());
        assert!(!queue.is_empty());
    }
}
