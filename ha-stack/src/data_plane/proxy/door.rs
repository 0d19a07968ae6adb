//! What the threads of the proxy share: where clients come in, who serves them, and what was carried.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lvs_sched::{BackendId, Connection, Flow, SharedPool};

use crate::data_plane::{Front, OnFailure, ProxyProtocol, Traffic};

/// Where clients of one virtual server come in.
pub(super) struct Door {
    pub(super) front: Front,
    pub(super) address: SocketAddr,
    pub(super) tally: Tally,
    rules: RwLock<Rules>,
}

/// How clients of a virtual server are served now.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) pool: SharedPool<Arc<Peer>>,
    /// Each datagram is a connection of its own.
    pub(super) one_packet: bool,
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    /// After so long without a datagram a client is forgotten.
    pub(super) udp_idle: Duration,
    /// So long may a connection of which one direction has ended be silent.
    pub(super) half_closed: Duration,
}

/// A real server.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) tally: Tally,
    /// Attempts that have failed since the last success.
    failures: AtomicU32,
    /// When it was last told that it fails.
    told: AtomicU64,
    /// Others are preferred until then.
    avoided_until: AtomicU64,
    /// Since when it is not in the table any more; 0 if it is.
    retired: AtomicU64,
}

/// What was carried.
#[derive(Default)]
pub(super) struct Tally {
    connections: AtomicU64,
    open: AtomicU64,
    pub(super) packets_in: AtomicU64,
    pub(super) packets_out: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    rates: [Rate; 3],
}

/// How fast a counter has grown of late.
#[derive(Default)]
struct Rate {
    seen: AtomicU64,
    /// For each second, times [`SCALE`].
    scaled: AtomicU64,
}

/// What belongs to the whole proxy.
pub(super) struct Office {
    begun: Instant,
    places: AtomicUsize,
    limit: usize,
    /// Connections through a real server that is not in the table any more end after so many milliseconds.
    pub(super) farewell: u64,
    on_failure: RwLock<Option<OnFailure>>,
}

/// A place for somebody, taken while it lives.
pub(super) struct Place(Arc<Office>);

/// A connection or a session, counted while it lives.
pub(super) struct Guest {
    door: Arc<Door>,
    peer: Option<Arc<Peer>>,
    _place: Place,
}

impl Door {
    pub(super) fn new(front: Front, address: SocketAddr, rules: Rules) -> Self {
        Self {
            front,
            address,
            tally: Tally::default(),
            rules: RwLock::new(rules),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Has the rates reckoned anew; called every [`PERIOD`] by one thread.
    pub(super) fn sample(&self) {
        self.tally.sample();
        for status in self.rules().pool.status() {
            status.backend.tally.sample();
        }
    }
}

impl Rules {
    /// The real server that the scheduler prefers among those that were not refused and do not fail just now; if all fail,
    /// the best of them. What is passed over is added to `refused`.
    pub(super) fn choose(
        &self,
        flow: &Flow,
        refused: &mut Vec<BackendId>,
        now: u64,
    ) -> Option<Connection<Arc<Peer>>> {
        let mut last_resort = None;
        loop {
            let Some(choice) = self.pool.pick_except(flow, refused) else {
                return last_resort;
            };
            if !choice.is_avoided(now) {
                return Some(choice);
            }
            refused.push(choice.id());
            last_resort = last_resort.or(Some(choice));
        }
    }
}

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tally: Tally::default(),
            failures: AtomicU32::new(0),
            told: AtomicU64::new(0),
            avoided_until: AtomicU64::new(0),
            retired: AtomicU64::new(0),
        }
    }

    fn is_avoided(&self, now: u64) -> bool {
        self.avoided_until.load(Ordering::Relaxed) > now
    }

    pub(super) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.avoided_until.store(0, Ordering::Relaxed);
        }
    }

    /// It did not take a connection. From the third time in a row others are preferred, for longer each time. Returns whether
    /// this is to be told: the first time, and once a second.
    fn failed(&self, now: u64) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if let Some(more) = failures.checked_sub(FORGIVEN) {
            let pause = (AVOIDED << more.min(5)).min(AVOIDED_AT_MOST);
            self.avoided_until.store(now + pause, Ordering::Relaxed);
        }
        let is_told = failures == 1 || now.saturating_sub(self.told.load(Ordering::Relaxed)) >= TOLD_AGAIN;
        if is_told {
            self.told.store(now, Ordering::Relaxed);
        }
        is_told
    }

    /// It is taken out of the table, and its connections end at this time; or it is put in again.
    pub(super) fn retire(&self, end: Option<u64>) {
        let end = end.map_or(0, |end| end.max(1));
        self.retired.store(end, Ordering::Relaxed);
        if end == 0 {
            self.avoided_until.store(0, Ordering::Relaxed);
        }
    }

    /// When its connections end, if it was taken out.
    pub(super) fn retired(&self) -> Option<u64> {
        match self.retired.load(Ordering::Relaxed) {
            0 => None,
            end => Some(end),
        }
    }
}

impl Tally {
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Packets are counted where they are seen, in datagrams. Those of TCP are the kernel's, who does not tell.
    pub(super) fn traffic(&self, in_datagrams: bool) -> Traffic {
        let seen = |packets: &AtomicU64| in_datagrams.then(|| packets.load(Ordering::Relaxed));
        let [connection_rate, byte_rate_in, byte_rate_out] = [0, 1, 2].map(|which: usize| {
            let scaled = self
                .rates
                .get(which)
                .map(|rate| rate.scaled.load(Ordering::Relaxed));
            scaled.unwrap_or(0) / SCALE
        });
        Traffic {
            connections: self.connections.load(Ordering::Relaxed),
            packets_in: seen(&self.packets_in),
            packets_out: seen(&self.packets_out),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            connection_rate,
            byte_rate_in,
            byte_rate_out,
        }
    }

    fn begin(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn sample(&self) {
        let counters = [&self.connections, &self.bytes_in, &self.bytes_out];
        for (rate, counter) in self.rates.iter().zip(counters) {
            let total = counter.load(Ordering::Relaxed);
            let grown = total.saturating_sub(rate.seen.swap(total, Ordering::Relaxed));
            let now = grown.saturating_mul(SCALE) / PERIOD.as_secs();
            let before = rate.scaled.load(Ordering::Relaxed);
            // As the kernel does it: a quarter of the way each time.
            let next = before - before / 4 + now / 4;
            rate.scaled.store(next, Ordering::Relaxed);
        }
    }
}

impl Office {
    pub(super) fn new(limit: usize, farewell: Duration) -> Self {
        Self {
            begun: Instant::now(),
            places: AtomicUsize::new(0),
            limit,
            farewell: u64::try_from(farewell.as_millis()).unwrap_or(u64::MAX),
            on_failure: RwLock::new(None),
        }
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A place, if there is one.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        if self.places.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.places.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(Arc::clone(self)))
    }

    pub(super) fn tell(&self, on_failure: OnFailure) {
        *self.on_failure.write().unwrap_or_else(PoisonError::into_inner) = Some(on_failure);
    }

    /// A real server did not take a connection: it is avoided if it happens again, and whoever checks it is told.
    pub(super) fn failed(&self, door: &Door, peer: &Peer, now: u64, error: &dyn std::fmt::Display) {
        tracing::debug!(real = %peer.address, %error, "offered to the next real server");
        if !peer.failed(now) {
            return;
        }
        let on_failure = self.on_failure.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(on_failure) = &*on_failure {
            on_failure(door.front, peer.address);
        }
    }
}

impl Place {
    /// Somebody has come in by this door.
    pub(super) fn guest(self, door: &Arc<Door>) -> Guest {
        door.tally.begin();
        Guest {
            door: Arc::clone(door),
            peer: None,
            _place: self,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guest {
    pub(super) fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// It is served by this real server.
    pub(super) fn served_by(mut self, peer: &Arc<Peer>) -> Self {
        peer.tally.begin();
        self.peer = Some(Arc::clone(peer));
        self
    }

    /// The counters of both, of the virtual server and of the real server.
    pub(super) fn tallies(&self) -> [&Tally; 2] {
        let all = &self.door.tally;
        [all, self.peer.as_ref().map_or(all, |peer| &peer.tally)]
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.door.tally.end();
        if let Some(peer) = &self.peer {
            peer.tally.end();
        }
    }
}

/// How often rates are reckoned.
pub(super) const PERIOD: Duration = Duration::from_secs(2);

const SCALE: u64 = 1024;

/// One less is forgiven.
const FORGIVEN: u32 = 3;

/// In milliseconds.
const AVOIDED: u64 = 1000;
const AVOIDED_AT_MOST: u64 = 30_000;
const TOLD_AGAIN: u64 = 1000;
