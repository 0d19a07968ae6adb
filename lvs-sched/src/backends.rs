//! The list of back ends, in its order, with what is counted about each.

use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::sync::atomic::Ordering;

use crate::backend::{BackendId, BackendRef, NOWHERE, Record, Spec};
use crate::error::Error;
use crate::options::{Order, Rules};

/// The back ends of one pool as a scheduler sees them.
///
/// Each has a *position*: positions grow along the list, are stable while back ends come and go, have gaps where one
/// left, and are laid out anew when the room runs out (see [`Event::Moved`](crate::Event::Moved)). So a scheduler may
/// keep arrays by position and neither insertion at the front nor removal shifts them.
pub struct Backends {
    records: Vec<Record>,
    free: Vec<u32>,
    /// Slots of back ends that left the list and whose records are still needed.
    leaving: Vec<u32>,
    /// Slots by position, `NOWHERE` in the gaps.
    order: Vec<u32>,
    /// The first position in use, or where the next back end enters at the front.
    head: usize,
    /// The position after the last one ever used.
    tail: usize,
    listed: usize,
    rules: Rules,
    placement: Order,
}

/// How positions changed when the list was laid out anew.
#[derive(Clone, Debug)]
pub struct Moves {
    before: Vec<u32>,
    head: usize,
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Backends {
    pub(crate) const fn new(rules: Rules, placement: Order) -> Self {
        Self {
            records: Vec::new(),
            free: Vec::new(),
            leaving: Vec::new(),
            order: Vec::new(),
            head: 0,
            tail: 0,
            listed: 0,
            rules,
            placement,
        }
    }

    /// How many back ends are in the list.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.listed
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed == 0
    }

    /// The back ends in list order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = BackendRef<'_>> {
        self.order[self.head..self.tail]
            .iter()
            .filter_map(|&slot| self.at_slot(slot))
    }

    /// A back end by its identifier, if it is in the list.
    #[must_use]
    pub fn get(&self, id: BackendId) -> Option<BackendRef<'_>> {
        self.find(id).filter(BackendRef::listed)
    }

    /// The number of positions there is room for: a power of two, or 0 while there never was a back end.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.order.len()
    }

    /// The back end at a position.
    #[must_use]
    pub fn at(&self, position: usize) -> Option<BackendRef<'_>> {
        self.order.get(position).and_then(|&slot| self.at_slot(slot))
    }

    /// The position of a back end in the list.
    #[must_use]
    pub fn position(&self, id: BackendId) -> Option<usize> {
        self.get(id).map(|backend| backend.record.position as usize)
    }

    /// A back end by its identifier, even when it has left the list but has open connections.
    pub(crate) fn find(&self, id: BackendId) -> Option<BackendRef<'_>> {
        self.at_slot(id.slot)
            .filter(|backend| backend.record.generation == id.generation && backend.record.occupied)
    }

    #[inline]
    pub(crate) const fn rules(&self) -> Rules {
        self.rules
    }

    #[inline]
    pub(crate) fn record(&self, slot: u32) -> &Record {
        &self.records[slot as usize]
    }

    #[inline]
    pub(crate) fn record_mut(&mut self, slot: u32) -> &mut Record {
        &mut self.records[slot as usize]
    }

    #[inline]
    pub(crate) fn slot_at(&self, position: usize) -> u32 {
        self.order[position]
    }

    /// The first position that may be in use.
    pub(crate) const fn head(&self) -> usize {
        self.head
    }

    #[inline]
    pub(crate) fn id(&self, slot: u32) -> BackendId {
        BackendId {
            slot,
            generation: self.record(slot).generation,
        }
    }

    fn at_slot(&self, slot: u32) -> Option<BackendRef<'_>> {
        self.records.get(slot as usize).map(|record| BackendRef {
            slot,
            rules: self.rules,
            record,
        })
    }

    /// Puts a back end into the list. The second value tells of new positions, which were given before it entered.
    pub(crate) fn add(&mut self, spec: &Spec) -> Result<(u32, Option<Moves>), Error> {
        spec.check()?;
        if self.free.is_empty() {
            self.reap();
        }
        if self.records.len() >= MAX_SLOTS && self.free.is_empty() {
            return Err(Error::TooManyBackends(MAX_SLOTS));
        }
        let full = match self.placement {
            Order::NewestFirst => self.head == 0,
            Order::Insertion => self.tail == self.order.len(),
        };
        let moves = full.then(|| self.lay_out());
        let position = match self.placement {
            Order::NewestFirst => {
                self.head -= 1;
                self.head
            }
            Order::Insertion => {
                self.tail += 1;
                self.tail - 1
            }
        };
        let mut record = Record::new(0, position as u32);
        record.edit(spec, self.rules);
        let slot = if let Some(slot) = self.free.pop() {
            record.generation = self.record(slot).generation.wrapping_add(1);
            *self.record_mut(slot) = record;
            slot
        } else {
            if self.records.len() == self.records.capacity() {
                self.records.reserve_exact(growth(self.records.len()));
            }
            self.records.push(record);
            (self.records.len() - 1) as u32
        };
        self.order[position] = slot;
        self.listed += 1;
        Ok((slot, moves))
    }

    /// Takes a back end out of the list and says where it was. Its record stays while anything needs it.
    pub(crate) fn remove(&mut self, slot: u32) -> usize {
        let position = self.record_mut(slot).unlist() as usize;
        self.order[position] = NOWHERE;
        self.listed -= 1;
        while self.head < self.tail && self.order[self.head] == NOWHERE {
            self.head += 1;
        }
        self.leaving.push(slot);
        position
    }

    /// Remembers that a scheduler's cache names a back end, so that its record outlives its removal.
    pub(crate) fn hold(&self, id: BackendId) {
        let references = &self.record(id.slot).references;
        references.store(references.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The reverse of [`Self::hold`].
    pub(crate) fn let_go(&self, id: BackendId) {
        let references = &self.record(id.slot).references;
        references.store(
            references.load(Ordering::Relaxed).saturating_sub(1),
            Ordering::Relaxed,
        );
    }

    /// Frees the records of back ends that left the list, where nothing needs them any more.
    fn reap(&mut self) {
        let (records, free) = (&mut self.records, &mut self.free);
        self.leaving.retain(|&slot| {
            let record = &mut records[slot as usize];
            let needed = record.total > 0 || record.references.load(Ordering::Relaxed) > 0;
            if !needed {
                record.occupied = false;
                free.push(slot);
            }
            needed
        });
    }

    /// Closes the gaps, which makes room at the end where back ends enter; doubles it where that is less than an eighth.
    fn lay_out(&mut self) -> Moves {
        let capacity = (self.listed + self.listed / 7 + 1)
            .next_power_of_two()
            .max(MIN_POSITIONS);
        let before = mem::replace(&mut self.order, alloc::vec![NOWHERE; capacity]);
        let head = match self.placement {
            Order::NewestFirst => capacity - self.listed,
            Order::Insertion => 0,
        };
        let listed = before.iter().copied().filter(|&slot| slot != NOWHERE);
        for (position, slot) in (head..).zip(listed) {
            self.order[position] = slot;
            self.record_mut(slot).position = position as u32;
        }
        self.head = head;
        self.tail = head + self.listed;
        Moves { before, head }
    }
}

impl Moves {
    /// Where a boundary between positions went: the same back ends lie before it as did. Position 0, before which
    /// nothing ever lies, stays.
    #[must_use]
    pub fn boundary(&self, before: usize) -> usize {
        let passed = self.before[..before.min(self.before.len())]
            .iter()
            .filter(|&&slot| slot != NOWHERE)
            .count();
        if passed == 0 { 0 } else { self.head + passed }
    }
}

/// Puts what belongs to a back end into a vector by slot.
pub(crate) fn put<V>(values: &mut Vec<Option<V>>, slot: u32, value: V) {
    let slot = slot as usize;
    if values.len() <= slot {
        if values.capacity() <= slot {
            values.reserve_exact(slot - values.len() + growth(slot));
        }
        values.resize_with(slot + 1, || None);
    }
    values[slot] = Some(value);
}

/// How much room to make at once for what is kept by slot: doubling would leave as much again unused.
const fn growth(slots: usize) -> usize {
    slots / 8 + MIN_POSITIONS
}

const MAX_SLOTS: usize = 1 << 30;
const MIN_POSITIONS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(backends: &Backends) -> Vec<u32> {
        backends.iter().map(|backend| backend.key()).collect()
    }

    #[test]
    fn order_survives_growth_and_gaps() {
        for placement in [Order::Insertion, Order::NewestFirst] {
            let mut backends = Backends::new(Rules::Current, placement);
            let mut expected = Vec::new();
            let mut slots = Vec::new();
            for key in 0..1_000 {
                let (slot, _) = backends.add(&Spec::new(1).key(key)).unwrap();
                slots.push(slot);
                match placement {
                    Order::Insertion => expected.push(key),
                    Order::NewestFirst => expected.insert(0, key),
                }
                if key % 3 == 2 {
                    let victim = slots.remove(slots.len() / 2);
                    let key = backends.record(victim).key;
                    backends.remove(victim);
                    expected.retain(|&other| other != key);
                }
                assert_eq!(keys(&backends), expected);
                assert_eq!(backends.len(), expected.len());
            }
            assert!(backends.positions() <= 4 * backends.len());
        }
    }

    #[test]
    fn an_identifier_is_not_used_again() {
        let mut backends = Backends::new(Rules::Current, Order::Insertion);
        let (slot, _) = backends.add(&Spec::new(1)).unwrap();
        let first = backends.id(slot);
        backends.remove(slot);
        let (again, _) = backends.add(&Spec::new(1)).unwrap();
        assert_eq!(slot, again);
        assert_ne!(backends.id(again), first);
        assert!(backends.get(first).is_none());
    }
}
