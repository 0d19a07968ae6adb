//! What `lblc` and `lblcr` remember: for each destination address where its flows went, swept as the kernel sweeps it.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;

use crate::backend::{BackendId, Record};
use crate::backends::Backends;
use crate::bitset::BitSet;
use crate::environment::{Instant, nanos};
use crate::hash::{address_key, golden};
use crate::options::Options;
use crate::scheduler::{Event, Scheduler};
use crate::wlc::Wlc;

/// A map from destination addresses to `V`, of bounded size, each entry with the time of its last use.
///
/// The kernel keeps 1024 chains and sweeps them in turn, every minute; so does this, for the same entries to go at the
/// same time, with a map beside them to find an entry in constant time.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    index: HashMap<IpAddr, u32>,
    entries: Vec<Entry<V>>,
    vacant: Vec<u32>,
    chains: Vec<u32>,
    len: usize,
    size: usize,
    expiration: Duration,
    next_sweep: Instant,
    /// Sweeps since the last full one, plus one.
    sweeps: u64,
    /// The chain where the last sweep ended.
    rover: usize,
}

#[derive(Debug)]
struct Entry<V> {
    key: IpAddr,
    /// `None` marks a vacant entry.
    value: Option<V>,
    last_use: Instant,
    previous: u32,
    next: u32,
}

/// The back ends as `lblc` and `lblcr` see them: by load, and whether any is half idle.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    pub(crate) least: Wlc,
    /// Those with fewer active connections than half their weight.
    half_idle: BitSet,
}

impl<V> Cache<V> {
    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        Self {
            index: HashMap::new(),
            entries: Vec::new(),
            vacant: Vec::new(),
            chains: alloc::vec![END; CHAINS],
            len: 0,
            size: options.cache_size as usize,
            expiration: options.expiration,
            next_sweep: now.saturating_add(SWEEP_INTERVAL),
            sweeps: 1,
            rover: 0,
        }
    }

    #[cfg(feature = "reference")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IpAddr, &V)> {
        let entries = self.entries.iter();
        entries.filter_map(|entry| Some((entry.key, entry.value.as_ref()?)))
    }

    /// The value for a destination, which counts as used now.
    pub(crate) fn touch(&mut self, key: IpAddr, now: Instant) -> Option<&mut V> {
        let &index = self.index.get(&key)?;
        let entry = &mut self.entries[index as usize];
        entry.last_use = now;
        entry.value.as_mut()
    }

    /// Remembers a destination that is not in the map. Gives the value back when the map is full.
    pub(crate) fn insert(&mut self, key: IpAddr, value: V, now: Instant) -> Result<(), V> {
        if self.len >= self.size + self.size / 2 {
            return Err(value);
        }
        let chain = chain(key);
        let next = self.chains[chain];
        let entry = Entry {
            key,
            value: Some(value),
            last_use: now,
            previous: END,
            next,
        };
        let index = if let Some(index) = self.vacant.pop() {
            self.entries[index as usize] = entry;
            index
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = index;
        }
        self.chains[chain] = index;
        self.index.insert(key, index);
        self.len += 1;
        Ok(())
    }

    /// Sweeps as often as was due since the last time, handing out what goes.
    pub(crate) fn sweep(&mut self, now: Instant, mut release: impl FnMut(V)) {
        if now < self.next_sweep {
            return;
        }
        let interval = nanos(SWEEP_INTERVAL);
        let mut due = (now.as_nanos() - self.next_sweep.as_nanos()) / interval + 1;
        // Nothing was used meanwhile. So after the first hundred sweeps the map is under its size, and the full ones, each
        // thirtieth, only take what the last of them takes: leave out those between, in whole turns.
        if due > 3 * IDLE_SWEEPS {
            let skipped = (due - 2 * IDLE_SWEEPS) / FULL_SWEEP * FULL_SWEEP;
            for _ in 0..IDLE_SWEEPS {
                self.sweep_once(&mut release);
            }
            self.next_sweep = self
                .next_sweep
                .saturating_add(Duration::from_nanos(skipped.saturating_mul(interval)));
            due -= IDLE_SWEEPS + skipped;
        }
        for _ in 0..due {
            self.sweep_once(&mut release);
        }
    }

    fn sweep_once(&mut self, release: &mut impl FnMut(V)) {
        let now = self.next_sweep;
        self.next_sweep = now.saturating_add(SWEEP_INTERVAL);
        if self.sweeps.is_multiple_of(FULL_SWEEP) {
            self.sweeps = 1;
            for chain in 0..CHAINS {
                self.expire(chain, now, self.expiration, release);
            }
        } else if self.len <= self.size {
            self.sweeps += 1;
        } else {
            let mut goal = ((self.len - self.size) * 4 / 3).min(self.size / 2) as isize;
            for _ in 0..CHAINS {
                self.rover = (self.rover + 1) % CHAINS;
                goal -= self.expire(self.rover, now, EARLY_EXPIRATION, release) as isize;
                if goal <= 0 {
                    break;
                }
            }
        }
    }

    /// Removes the entries of a chain that were not used for `age`.
    fn expire(&mut self, chain: usize, now: Instant, age: Duration, release: &mut impl FnMut(V)) -> usize {
        let before = self.len;
        let mut at = self.chains[chain];
        while let Some(entry) = self.entries.get(at as usize) {
            let next = entry.next;
            if now >= entry.last_use.saturating_add(age)
                && let Some(value) = self.remove(at)
            {
                release(value);
            }
            at = next;
        }
        before - self.len
    }

    fn remove(&mut self, index: u32) -> Option<V> {
        let entry = self.entries.get_mut(index as usize)?;
        let value = entry.value.take()?;
        let (key, previous, next) = (entry.key, entry.previous, entry.next);
        match self.entries.get_mut(previous as usize) {
            Some(entry) => entry.next = next,
            None => self.chains[chain(key)] = next,
        }
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.previous = previous;
        }
        self.index.remove(&key);
        self.vacant.push(index);
        self.len -= 1;
        Some(value)
    }
}

impl Loads {
    #[inline]
    pub(crate) fn update(&mut self, backends: &Backends, event: Event<'_>) {
        self.least.update(backends, event);
        match event {
            Event::Added(id) | Event::Edited(id) | Event::Loaded(id) => self.enter(backends.record(id.slot)),
            Event::Removed { position, .. } => self.half_idle.set(position, false),
            Event::Moved(_) => {
                self.half_idle = BitSet::new(backends.positions());
                for backend in backends.iter() {
                    self.enter(backend.record);
                }
            }
        }
    }

    /// Whether a back end has more active connections than its weight while another one is half idle.
    #[inline]
    pub(crate) fn busy(&self, record: &Record) -> bool {
        record.active > record.weight() && self.half_idle.next(0).is_some()
    }

    #[inline]
    fn enter(&mut self, record: &Record) {
        let half_idle = 2 * u64::from(record.active) < u64::from(record.weight());
        self.half_idle.set(record.position as usize, half_idle);
    }
}

/// The back end for a destination of which nothing usable is remembered.
#[inline]
pub(crate) fn least_loaded(loads: &mut Loads, backends: &Backends) -> Option<BackendId> {
    loads.least.first(backends)
}

const CHAINS: usize = 1024;
const END: u32 = u32::MAX;
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Each so many sweeps one is by [`Options::expiration`] and over all chains.
const FULL_SWEEP: u64 = 30;
/// What is not used for this long may go when the map is over its size.
const EARLY_EXPIRATION: Duration = Duration::from_secs(6 * 60);
/// After this many sweeps without any use between, a map over its size is under it.
const IDLE_SWEEPS: u64 = 100;

fn chain(key: IpAddr) -> usize {
    golden(address_key(key), 10) as usize
}
