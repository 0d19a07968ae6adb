//! Which virtual router a packet is for: a hash table of open addressing, so that a look-up touches one cache line.
//! Keys come from the configuration, never from a packet, so nobody can choose them to collide.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use vrrp_proto::{AddressFamily, Vrid};

use crate::InterfaceId;

/// What an advertisement is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) fn new(interface: InterfaceId, family: AddressFamily, vrid: Vrid) -> Self {
        let family = match family {
            AddressFamily::Ipv4 => 0,
            AddressFamily::Ipv6 => 1 << 8,
        };
        Self(u64::from(interface.0) << 9 | family | u64::from(vrid.get()))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// A power of two long, at most three quarters full. A VRID is never 0, so neither is a key, and 0 is a free place.
    places: Vec<(u64, u32)>,
    used: usize,
}

impl Index {
    pub(crate) fn get(&self, key: Key) -> Option<u32> {
        self.place_of(key)
            .and_then(|place| self.places.get(place))
            .map(|entry| entry.1)
    }

    /// Sets what a key stands for; gives what it stood for before.
    pub(crate) fn insert(&mut self, key: Key, number: u32) -> Option<u32> {
        if let Some(entry) = self.place_of(key).and_then(|place| self.places.get_mut(place)) {
            return Some(core::mem::replace(&mut entry.1, number));
        }
        if (self.used + 1) * 4 > self.places.len() * 3 {
            let larger = (self.places.len() * 2).max(8);
            let smaller = core::mem::replace(&mut self.places, alloc::vec![FREE; larger]);
            smaller
                .into_iter()
                .filter(|entry| *entry != FREE)
                .for_each(|entry| self.put(entry));
        }
        self.put((key.0, number));
        self.used += 1;
        None
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let Some(mut hole) = self.place_of(key) else {
            return;
        };
        self.used -= 1;
        let mut next = hole;
        // What comes after the hole and belongs before it moves up, so that searches need not know of holes.
        loop {
            next = self.after(next);
            let Some(entry) = self.places.get(next).copied().filter(|entry| *entry != FREE) else {
                break;
            };
            let home = self.home(entry.0);
            let distance = |from: usize| next.wrapping_sub(from) & self.mask();
            if distance(home) >= distance(hole) {
                self.set(hole, entry);
                hole = next;
            }
        }
        self.set(hole, FREE);
    }

    fn put(&mut self, entry: (u64, u32)) {
        let mut place = self.home(entry.0);
        while self.places.get(place).is_some_and(|taken| *taken != FREE) {
            place = self.after(place);
        }
        self.set(place, entry);
    }

    fn place_of(&self, key: Key) -> Option<usize> {
        let mut place = self.home(key.0);
        loop {
            match self.places.get(place) {
                Some(entry) if entry.0 == key.0 => return Some(place),
                Some(entry) if *entry != FREE => place = self.after(place),
                Some(_) | None => return None,
            }
        }
    }

    fn set(&mut self, place: usize, entry: (u64, u32)) {
        if let Some(slot) = self.places.get_mut(place) {
            *slot = entry;
        }
    }

    /// Where a key belongs. The golden ratio spreads what differs in few bits.
    const fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.mask()
    }

    const fn after(&self, place: usize) -> usize {
        (place + 1) & self.mask()
    }

    const fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }
}

/// The index follows from the virtual routers; two routers that have the same are equal.
impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

impl Hash for Index {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

const FREE: (u64, u32) = (0, 0);

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn agrees_with_a_sorted_map() {
        let mut state = 1u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for keys in [4, 40, 4_000] {
            let mut index = Index::default();
            let mut map = BTreeMap::new();
            for round in 0..20_000 {
                let key = random(keys) + 1;
                if random(3) == 0 {
                    index.remove(Key(key));
                    map.remove(&key);
                } else {
                    assert_eq!(index.insert(Key(key), round), map.insert(key, round));
                }
                let other = random(keys) + 1;
                assert_eq!(index.get(Key(other)), map.get(&other).copied());
                assert_eq!(index.used, map.len());
            }
            for key in 1..=keys {
                assert_eq!(index.get(Key(key)), map.get(&key).copied());
            }
            let entries = index.places.iter().filter(|entry| **entry != FREE).count();
            assert_eq!(entries, map.len());
        }
        assert_eq!(Index::default().get(Key(1)), None);
    }

    #[test]
    fn keys_differ() {
        let key =
            |interface, family, vrid| Key::new(InterfaceId(interface), family, Vrid::new(vrid).unwrap());
        let all = [
            key(0, AddressFamily::Ipv4, 255),
            key(0, AddressFamily::Ipv6, 255),
            key(1, AddressFamily::Ipv4, 255),
            key(u32::MAX, AddressFamily::Ipv6, 255),
            key(u32::MAX, AddressFamily::Ipv6, 1),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(all.iter().skip(place + 1).all(|other| one != other));
        }
    }

    /// The keys of a host fill the table evenly: no look-up takes long.
    #[test]
    fn searches_are_short() {
        let mut index = Index::default();
        let keys = (0..128).flat_map(|interface| (1..=254).map(move |vrid| (interface, vrid)));
        let keys: Vec<Key> = keys
            .map(|(interface, vrid)| {
                Key::new(
                    InterfaceId(interface),
                    AddressFamily::Ipv4,
                    Vrid::new(vrid).unwrap(),
                )
            })
            .collect();
        for key in &keys {
            index.insert(*key, 1);
        }
        let steps: usize = keys
            .iter()
            .map(|key| index.place_of(*key).unwrap().wrapping_sub(index.home(key.0)) & index.mask())
            .sum();
        assert!(steps < keys.len() * 2, "{steps} steps for {} keys", keys.len());
    }
}
