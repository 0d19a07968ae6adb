//! Things by number, where a number that is used again can be told from the one before.

/// Which thing: where it is, and how many were there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) turn: u32,
}

pub(super) struct Slots<T> {
    slots: Vec<(u32, Option<T>)>,
    vacant: Vec<u32>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.vacant.len() == self.slots.len()
    }

    /// The key that the next thing will have.
    pub(super) fn next(&self) -> Key {
        let fresh = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let index = self.vacant.last().copied().unwrap_or(fresh);
        let turn = self.slots.get(index as usize).map_or(0, |slot| slot.0);
        Key { index, turn }
    }

    pub(super) fn insert(&mut self, thing: T) -> Key {
        let key = self.next();
        self.vacant.pop();
        match self.slots.get_mut(key.index as usize) {
            Some(slot) => slot.1 = Some(thing),
            None => self.slots.push((0, Some(thing))),
        }
        key
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (turn, thing) = self.slots.get_mut(key.index as usize)?;
        thing.as_mut().filter(|_| *turn == key.turn)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let (turn, thing) = self.slots.get_mut(key.index as usize)?;
        if *turn != key.turn {
            return None;
        }
        let thing = thing.take()?;
        *turn = (*turn + 1) & TURNS;
        self.vacant.push(key.index);
        Some(thing)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, (turn, thing))| {
                let index = u32::try_from(index).ok()?;
                let key = Key { index, turn: *turn };
                thing.as_mut().map(|thing| (key, thing))
            })
    }
}

/// What fits beside the index and a kind into 64 bits.
const TURNS: u32 = (1 << 24) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_used_again_is_another_key() {
        let mut slots = Slots::new();
        let (a, b) = (slots.insert('a'), slots.insert('b'));
        assert_eq!(slots.remove(a), Some('a'));
        assert_eq!(slots.remove(a), None);
        let expected = slots.next();
        let c = slots.insert('c');
        assert_eq!((c, c.index), (expected, a.index));
        assert_eq!(slots.get_mut(a), None);
        assert_eq!(
            slots
                .iter_mut()
                .map(|(key, thing)| (key, *thing))
                .collect::<Vec<_>>(),
            [(c, 'c'), (b, 'b')]
        );
        slots.remove(b);
        slots.remove(c);
        assert!(slots.is_empty());
    }
}
