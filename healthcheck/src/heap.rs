//! A heap of jobs by time, out of which any of them can be taken.

/// The earliest job first; of two at the same time the one with the lower number.
///
/// Twelve bytes a job. Whoever owns the jobs keeps their places: each call that moves some says where they are now.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
}

/// A time in two halves, so that nothing is lost to alignment, and a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    high: u32,
    low: u32,
    job: u32,
}

impl Heap {
    pub(crate) fn reserve_exact(&mut self, more: usize) {
        self.entries.reserve_exact(more);
    }

    /// The time and number of the first job.
    pub(crate) fn peek(&self) -> Option<(u64, u32)> {
        self.entries.first().map(|entry| (entry.at(), entry.job))
    }

    pub(crate) fn push(&mut self, at: u64, job: u32, moved: impl FnMut(u32, u32)) {
        let entry = Entry::new(at, job);
        self.entries.push(entry);
        self.rise(self.entries.len() - 1, entry, moved);
    }

    /// Takes out the job at this place.
    pub(crate) fn remove(&mut self, place: u32, moved: impl FnMut(u32, u32)) {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if place >= self.entries.len() {
            return;
        }
        let gone = self.entries.swap_remove(place);
        let Some(last) = self.entries.get(place).copied() else {
            return;
        };
        if last < gone {
            self.rise(place, last, moved);
        } else {
            self.sink(place, last, moved);
        }
    }

    /// Puts an entry at a place or above it.
    fn rise(&mut self, mut place: usize, entry: Entry, mut moved: impl FnMut(u32, u32)) {
        while place > 0 {
            let above = (place - 1) / CHILDREN;
            let Some(parent) = self.entries.get(above).copied().filter(|parent| *parent > entry) else {
                break;
            };
            self.put(place, parent, &mut moved);
            place = above;
        }
        self.put(place, entry, &mut moved);
    }

    /// Puts an entry at a place or below it.
    fn sink(&mut self, mut place: usize, entry: Entry, mut moved: impl FnMut(u32, u32)) {
        loop {
            let first = place * CHILDREN + 1;
            let children = self.entries.iter().enumerate().skip(first).take(CHILDREN);
            let Some((below, child)) = children
                .map(|(at, child)| (at, *child))
                .min_by_key(|(_, child)| *child)
            else {
                break;
            };
            if child >= entry {
                break;
            }
            self.put(place, child, &mut moved);
            place = below;
        }
        self.put(place, entry, &mut moved);
    }

    fn put(&mut self, place: usize, entry: Entry, moved: &mut impl FnMut(u32, u32)) {
        if let Some(slot) = self.entries.get_mut(place) {
            *slot = entry;
            moved(entry.job, u32::try_from(place).unwrap_or(u32::MAX));
        }
    }
}

impl Entry {
    fn new(at: u64, job: u32) -> Self {
        Self {
            high: u32::try_from(at >> 32).unwrap_or(u32::MAX),
            low: u32::try_from(at & 0xffff_ffff).unwrap_or(u32::MAX),
            job,
        }
    }

    fn at(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

/// Four to a parent: half the levels of two, and all four lie in one or two lines of the cache.
const CHILDREN: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    /// A long walk beside a set that is known to be right.
    #[test]
    fn agrees_with_a_sorted_set() {
        let mut heap = Heap::default();
        let mut set = BTreeSet::new();
        let mut places = HashMap::new();
        let mut random = 7_u64;
        for step in 0..4_000_u32 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let job = step % 100;
            let place = |job, place| {
                places.insert(job, place);
            };
            if let Some(at) = set.iter().find(|(_, other)| *other == job).map(|(at, _)| *at) {
                let (_, was) = (set.remove(&(at, job)), places[&job]);
                heap.remove(was, |job, place| {
                    places.insert(job, place);
                });
            } else {
                // Few distinct times of a wide range, so that some are equal.
                let at = (random >> 60) * (u64::MAX / 16);
                set.insert((at, job));
                heap.push(at, job, place);
            }
            assert_eq!(heap.peek(), set.first().copied());
            assert_eq!(heap.entries.len(), set.len());
            for (place, entry) in heap.entries.iter().enumerate() {
                assert_eq!(places[&entry.job] as usize, place);
            }
        }
        assert_eq!(size_of::<Entry>(), 12);
    }
}
