//! The back ends that serve one destination of `lblcr`, and how the least loaded of many is found.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::backend::{BackendId, BackendRef};
use crate::backends::Backends;
use crate::environment::Instant;
use crate::tree::Tournament;

/// Back ends that serve one destination, the newest last.
#[derive(Debug)]
pub(crate) struct Set {
    members: Vec<BackendId>,
    changed: Instant,
    /// A small set is looked through.
    index: Option<Box<Index>>,
}

/// The members of a large set by load, as they were at some moment. A back end may be a member of thousands of sets, so its
/// changes do not go to each: a set that is asked catches up with them.
#[derive(Debug)]
struct Index {
    tournament: Tournament,
    /// Where in the set the back end of a slot is.
    places: HashMap<u32, u32>,
    /// How many changes it has seen.
    seen: u64,
}

/// The slots of the back ends that changed last.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Change number `i` is at `i` modulo the length.
    latest: Box<[u32; REMEMBERED]>,
    count: u64,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            latest: Box::new([0; REMEMBERED]),
            count: 0,
        }
    }

    #[inline]
    pub(crate) fn note(&mut self, slot: u32) {
        self.latest[self.count as usize % REMEMBERED] = slot;
        self.count += 1;
    }

    /// The slots that changed since there were so many changes; none if those are too many for the ring or for `limit`.
    fn since(&self, seen: u64, limit: usize) -> Option<impl Iterator<Item = u32>> {
        let missed = self.count - seen;
        let limit = limit.min(REMEMBERED) as u64;
        (missed <= limit).then(|| (seen..self.count).map(|change| self.latest[change as usize % REMEMBERED]))
    }
}

impl Set {
    pub(crate) fn new(backends: &Backends, id: BackendId, now: Instant) -> Self {
        backends.hold(id);
        Self {
            members: alloc::vec![id],
            changed: now,
            index: None,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    #[cfg(feature = "reference")]
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = BackendId> {
        self.members.iter().rev().copied()
    }

    pub(crate) fn contains(&self, id: BackendId) -> bool {
        match &self.index {
            // What a set holds keeps its slot, so that no other back end has it.
            Some(index) => index.places.contains_key(&id.slot),
            None => self.members.contains(&id),
        }
    }

    /// Adds a back end that is no member.
    pub(crate) fn insert(&mut self, backends: &Backends, id: BackendId, now: Instant) {
        backends.hold(id);
        let place = self.members.len();
        self.members.push(id);
        self.changed = now;
        if let Some(index) = &mut self.index
            && !index.append(backends, id, place)
        {
            self.index = None;
        }
    }

    /// The eligible member with the least overhead for its weight, the newest of equals.
    pub(crate) fn least<'a>(&mut self, backends: &'a Backends, changes: &Changes) -> Option<BackendRef<'a>> {
        if self.members.len() >= LARGE {
            return self.least_of_many(backends, changes);
        }
        let newest_first = self.members.iter().rev();
        newest_first
            .filter_map(|&id| backends.get(id))
            .filter(BackendRef::eligible)
            .reduce(|least, backend| if lighter(backend, least) { backend } else { least })
    }

    fn least_of_many<'a>(&mut self, backends: &'a Backends, changes: &Changes) -> Option<BackendRef<'a>> {
        // To catch up with one change takes as long as to look at several members anew.
        let limit = self.members.len() / 8;
        let index = match &mut self.index {
            Some(index) => {
                match changes.since(index.seen, limit) {
                    Some(slots) => slots.for_each(|slot| index.enter(backends, slot)),
                    None => index.fill(backends, &self.members),
                }
                index
            }
            vacant @ None => vacant.insert(Box::new(Index::new(backends, &self.members))),
        };
        index.seen = changes.count;
        let first = index.tournament.first()?;
        let place = index.place(first);
        backends.get(*self.members.get(place)?)
    }

    /// When the set did not change for the expiration time it drops the member with the most overhead for its weight. Members
    /// that left the list are as good as any, and a quiesced one stays.
    pub(crate) fn shed(&mut self, backends: &Backends, now: Instant, expiration: u64) {
        let age = now.as_nanos().saturating_sub(self.changed.as_nanos());
        if self.members.len() <= 1 || age <= expiration {
            return;
        }
        let newest_first = self.members.iter().enumerate().rev();
        let most = newest_first
            .filter_map(|(index, &id)| Some((index, backends.find(id)?)))
            .filter(|(_, backend)| backend.weight() > 0)
            .reduce(|most, other| if lighter(most.1, other.1) { other } else { most });
        if let Some((index, backend)) = most {
            backends.let_go(backend.id());
            self.members.remove(index);
            self.changed = now;
            self.index = None;
        }
    }

    /// Drops the members that left the list.
    pub(crate) fn forget_removed(&mut self, backends: &Backends) {
        self.index = None;
        self.members.retain(|&id| {
            let listed = backends.get(id).is_some();
            if !listed {
                backends.let_go(id);
            }
            listed
        });
    }

    pub(crate) fn release(self, backends: &Backends) {
        for id in self.members {
            backends.let_go(id);
        }
    }
}

impl Index {
    fn new(backends: &Backends, members: &[BackendId]) -> Self {
        let mut index = Self {
            tournament: Tournament::new((members.len() + 1).next_power_of_two()),
            places: (0..).zip(members).map(|(place, id)| (id.slot, place)).collect(),
            seen: 0,
        };
        index.fill(backends, members);
        index
    }

    /// Looks at all members.
    fn fill(&mut self, backends: &Backends, members: &[BackendId]) {
        let last = self.tournament.positions() - 1;
        self.tournament.fill((0..).zip(members).map(|(place, id)| {
            let (cost, weight) = load(backends, id.slot);
            (last - place, cost, weight)
        }));
    }

    /// Adds a member. False if there is no room.
    fn append(&mut self, backends: &Backends, id: BackendId, place: usize) -> bool {
        if place >= self.tournament.positions() {
            return false;
        }
        self.places.insert(id.slot, place as u32);
        self.enter(backends, id.slot);
        true
    }

    /// Takes over the load of the back end in a slot, if that is a member.
    #[inline]
    fn enter(&mut self, backends: &Backends, slot: u32) {
        let Some(&place) = self.places.get(&slot) else {
            return;
        };
        let (cost, weight) = load(backends, slot);
        self.tournament.set(self.place(place as usize), cost, weight);
    }

    /// From a place in the set to a position in the tournament, where the newest is in front, and back.
    #[inline]
    const fn place(&self, place: usize) -> usize {
        self.tournament.positions() - 1 - place
    }
}

/// What `wlc` compares.
#[inline]
fn load(backends: &Backends, slot: u32) -> (u32, u32) {
    let record = backends.record(slot);
    let weight = if record.eligible() { record.weight() } else { 0 };
    (record.overhead(backends.rules()), weight)
}

/// Whether `a` has strictly less overhead for its weight than `b`.
fn lighter(a: BackendRef<'_>, b: BackendRef<'_>) -> bool {
    let left = u64::from(a.overhead()) * u64::from(b.weight());
    let right = u64::from(b.overhead()) * u64::from(a.weight());
    left < right
}

/// From so many members on a set has an index.
const LARGE: usize = 16;
/// How many changes a set may miss before it looks at all its members anew.
const REMEMBERED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_while_they_are_remembered() {
        let mut changes = Changes::new();
        let since = |changes: &Changes, seen, limit| -> Option<Vec<u32>> {
            changes.since(seen, limit).map(Iterator::collect)
        };
        assert_eq!(since(&changes, 0, 0), Some(Vec::new()));
        (0..3_000).for_each(|slot| changes.note(slot));
        assert_eq!(since(&changes, 2_998, 2), Some(alloc::vec![2_998, 2_999]));
        assert_eq!(since(&changes, 2_997, 2), None);
        let all = (3_000 - REMEMBERED as u32..3_000).collect();
        assert_eq!(
            since(&changes, (3_000 - REMEMBERED) as u64, usize::MAX),
            Some(all)
        );
        assert_eq!(since(&changes, (3_000 - REMEMBERED) as u64 - 1, usize::MAX), None);
        assert_eq!(since(&changes, 3_000, 0), Some(Vec::new()));
    }
}
