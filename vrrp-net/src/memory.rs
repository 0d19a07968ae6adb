//! A network segment in memory: hosts without privileges, for tests, simulations and other systems.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vrrp_fsm::Instant;
use vrrp_proto::{AddressFamily, MacAddress};

use crate::Error;
use crate::host::{Change, Host, HostEvent, Listen, Received, Transmission, Transmissions, Waker, Work};
use crate::link::{Link, LinkAddress};

/// A segment to which hosts in memory are connected.
///
/// Its clock stands still until [`advance_to`](Self::advance_to) moves it ([`Segment::new`]), so that a test of hours
/// takes no time, or follows the computer's ([`Segment::real_time`]), so that drivers can run on it in threads.
#[derive(Debug, Clone)]
pub struct Segment(Arc<Shared>);

impl Segment {
    /// A segment whose clock stands at zero until it is moved.
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A segment whose clock runs by itself.
    #[must_use]
    pub fn real_time() -> Self {
        Self::with(Some(std::time::Instant::now()))
    }

    fn with(origin: Option<std::time::Instant>) -> Self {
        Self(Arc::new(Shared {
            origin,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }))
    }

    /// Connects a host with one interface, `eth0`, that has these addresses.
    #[must_use]
    pub fn host(&self, addresses: &[(IpAddr, u8)]) -> MemoryHost {
        let mut state = self.lock();
        let place = state.stations.len();
        let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
        let mac = MacAddress([2, 0, 0, 0, 0, number]);
        let mut station = Station {
            link: Link {
                index: INTERFACE,
                name: "eth0".into(),
                mac: Some(mac),
                mtu: 1500,
                base: None,
                up: true,
                running: true,
                ethernet: true,
                arp: true,
            },
            addresses: Vec::new(),
            listens: Vec::new(),
            queue: VecDeque::new(),
            events: VecDeque::new(),
            woken: false,
        };
        for (address, prefix_len) in addresses {
            station.addresses.push(Held {
                address: LinkAddress {
                    index: INTERFACE,
                    address: *address,
                    prefix_len: *prefix_len,
                    scope: 0,
                    secondary: false,
                    tentative: false,
                    permanent: true,
                    ours: false,
                },
                until: None,
            });
        }
        station.events.push_back(HostEvent::Snapshot {
            links: vec![station.link.clone()],
            addresses: station
                .addresses
                .iter()
                .map(|held| held.address.clone())
                .collect(),
        });
        state.stations.push(station);
        MemoryHost {
            segment: self.clone(),
            place,
            no_filter: false,
        }
    }

    /// How long a packet travels. The default is 50 µs.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    }

    /// Gives a host carrier or takes it away.
    pub fn set_carrier(&self, host: HostId, carrier: bool) {
        let mut state = self.lock();
        if let Some(station) = state.stations.get_mut(host.0) {
            station.link.running = carrier;
            let event = HostEvent::Link(station.link.clone());
            station.events.push_back(event);
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Lets two hosts hear each other or not.
    pub fn set_connected(&self, one: HostId, other: HostId, connected: bool) {
        let pair = (one.0.min(other.0), one.0.max(other.0));
        let mut state = self.lock();
        state.cuts.retain(|cut| *cut != pair);
        if !connected {
            state.cuts.push(pair);
        }
    }

    /// Takes an address away from a host behind the back of its driver.
    pub fn steal(&self, host: HostId, address: IpAddr) {
        let now = self.now_nanos();
        self.lock()
            .remove(host.0, now, |held| held.address.address == address);
        self.0.changed.notify_all();
    }

    /// Whether a host has an address now.
    #[must_use]
    pub fn holds(&self, host: HostId, address: IpAddr) -> bool {
        self.settle().stations.get(host.0).is_some_and(|station| {
            station
                .addresses
                .iter()
                .any(|held| held.address.address == address)
        })
    }

    /// The time on the segment's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.now_nanos())
    }

    /// Moves a clock that stands still. It never goes back.
    pub fn advance_to(&self, now: Instant) {
        let mut state = self.lock();
        state.now = state.now.max(now.as_nanos());
        drop(state);
        drop(self.settle());
        self.0.changed.notify_all();
    }

    /// When something next happens by itself: a packet arrives, a lease ends.
    #[must_use]
    pub fn next_event(&self) -> Option<Instant> {
        let state = self.lock();
        let arrival = state.flying.keys().next().map(|(at, _)| *at);
        let ends = state
            .stations
            .iter()
            .flat_map(|station| &station.addresses)
            .filter_map(|held| held.until);
        ends.chain(arrival).min().map(Instant::from_nanos)
    }

    /// What has happened on the segment since the last call, in order.
    pub fn take_log(&self) -> Vec<SegmentEvent> {
        std::mem::take(&mut self.settle().log)
    }

    fn now_nanos(&self) -> u64 {
        match self.0.origin {
            Some(origin) => u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
            None => self.lock().now,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change to the state is complete before anything can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state with everything done that is due by now.
    fn settle(&self) -> MutexGuard<'_, State> {
        let now = self.now_nanos();
        let mut state = self.lock();
        state.settle(now);
        state
    }
}

impl Default for Segment {
    fn default() -> Self {
        Self::new()
    }
}

/// A host of a [`Segment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostId(usize);

/// Something that happened on a [`Segment`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentEvent {
    /// A host sent a VRRP message.
    Sent {
        /// When.
        at: Instant,
        /// Which host.
        host: HostId,
        /// The envelope.
        transmission: Transmission,
        /// The message.
        message: Vec<u8>,
    },
    /// A host announced an address.
    Announced {
        /// When.
        at: Instant,
        /// Which host.
        host: HostId,
        /// Which address.
        address: IpAddr,
    },
    /// A host has an address from now on.
    AddressUp {
        /// When.
        at: Instant,
        /// Which host.
        host: HostId,
        /// Which address.
        address: IpAddr,
    },
    /// A host no longer has an address.
    AddressDown {
        /// When.
        at: Instant,
        /// Which host.
        host: HostId,
        /// Which address.
        address: IpAddr,
    },
}

/// A host on a [`Segment`] in memory.
#[derive(Debug)]
pub struct MemoryHost {
    segment: Segment,
    place: usize,
    no_filter: bool,
}

impl MemoryHost {
    /// By what the segment knows this host.
    #[must_use]
    pub fn id(&self) -> HostId {
        HostId(self.place)
    }

    /// A host that cannot keep packets from its addresses, as Linux without nf_tables.
    #[must_use]
    pub fn without_packet_filter(mut self) -> Self {
        self.no_filter = true;
        self
    }

    /// A driver's successor on the same host: the addresses stay, the sockets are new.
    #[must_use]
    pub fn restarted(segment: &Segment, id: HostId) -> Self {
        let mut state = segment.settle();
        if let Some(station) = state.stations.get_mut(id.0) {
            station.listens.clear();
            station.queue.clear();
            station.events.clear();
            station.events.push_back(HostEvent::Snapshot {
                links: vec![station.link.clone()],
                addresses: station
                    .addresses
                    .iter()
                    .map(|held| held.address.clone())
                    .collect(),
            });
        }
        drop(state);
        Self {
            segment: segment.clone(),
            place: id.0,
            no_filter: false,
        }
    }
}

impl Host for MemoryHost {
    fn now(&self) -> Instant {
        self.segment.now()
    }

    fn wall_clock(&self) -> Duration {
        // All hosts of a segment have the same clock; that it began this late in history is as good as any other time.
        Duration::from_nanos(self.segment.now_nanos()) + SOME_DAY
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let mut state = self.segment.settle();
        loop {
            let now = match self.segment.0.origin {
                Some(origin) => u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
                None => state.now,
            };
            state.settle(now);
            let due = until.is_some_and(|until| until.as_nanos() <= now);
            let Some(station) = state.stations.get_mut(self.place) else {
                return Ok(());
            };
            if due || station.woken || !station.queue.is_empty() || !station.events.is_empty() {
                station.woken = false;
                return Ok(());
            }
            let next = [
                until.map(Instant::as_nanos),
                state.flying.keys().next().map(|(at, _)| *at),
            ];
            let next = next.into_iter().flatten().min();
            state = match (self.segment.0.origin, next) {
                (Some(_), Some(next)) => {
                    let wait = Duration::from_nanos(next.saturating_sub(now).max(1));
                    self.segment
                        .0
                        .changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                // A clock that stands still is moved by somebody who notifies.
                _ => self
                    .segment
                    .0
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// There is no descriptor.
    fn arm(&mut self, _until: Option<Instant>) -> Result<(), Error> {
        Ok(())
    }

    fn waker(&self) -> Waker {
        let (segment, place) = (self.segment.clone(), self.place);
        Waker::new(move || {
            if let Some(station) = segment.lock().stations.get_mut(place) {
                station.woken = true;
            }
            segment.0.changed.notify_all();
        })
    }

    fn listen(&mut self, listen: &Listen) -> Result<(), Error> {
        if let Some(station) = self.segment.lock().stations.get_mut(self.place) {
            station
                .listens
                .retain(|known| known.interface != listen.interface || known.family != listen.family);
            if !listen.vrids.is_empty() {
                station.listens.push(listen.clone());
            }
        }
        Ok(())
    }

    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> Result<(), Error> {
        let packets = match self.segment.settle().stations.get_mut(self.place) {
            Some(station) => std::mem::take(&mut station.queue),
            None => VecDeque::new(),
        };
        for packet in packets {
            handle(Received {
                interface: INTERFACE,
                source: packet.transmission.source,
                destination: packet.transmission.destination,
                hop_limit: packet.transmission.hop_limit,
                time: packet.at,
                message: &packet.message,
            });
        }
        Ok(())
    }

    fn send(&mut self, packets: &Transmissions, _failed: &mut dyn FnMut(usize, Error)) {
        let now = self.segment.now_nanos();
        let mut state = self.segment.lock();
        for (transmission, message) in packets.iter() {
            state.send(self.place, now, transmission, message);
        }
        drop(state);
        self.segment.0.changed.notify_all();
    }

    fn can_refuse_packets(&self) -> Result<(), Error> {
        match self.no_filter {
            true => Err(Error::Filter(std::io::ErrorKind::Unsupported.into())),
            false => Ok(()),
        }
    }

    fn submit(&mut self, work: Work) {
        let now = self.segment.now_nanos();
        self.segment.lock().carry_out(self.place, now, &work);
        self.segment.0.changed.notify_all();
    }

    fn poll_event(&mut self) -> Option<HostEvent> {
        self.segment
            .settle()
            .stations
            .get_mut(self.place)?
            .events
            .pop_front()
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

#[derive(Debug)]
struct Shared {
    /// When a clock that runs by itself was started.
    origin: Option<std::time::Instant>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    now: u64,
    delay: u64,
    stations: Vec<Station>,
    cuts: Vec<(usize, usize)>,
    /// Packets on their way, by arrival and order.
    flying: BTreeMap<(u64, u64), Flying>,
    order: u64,
    log: Vec<SegmentEvent>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: 0,
            delay: DELAY,
            stations: Vec::new(),
            cuts: Vec::new(),
            flying: BTreeMap::new(),
            order: 0,
            log: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Station {
    link: Link,
    addresses: Vec<Held>,
    listens: Vec<Listen>,
    queue: VecDeque<Packet>,
    events: VecDeque<HostEvent>,
    woken: bool,
}

#[derive(Debug)]
struct Held {
    address: LinkAddress,
    until: Option<u64>,
}

#[derive(Debug)]
struct Flying {
    from: usize,
    transmission: Transmission,
    message: Vec<u8>,
}

#[derive(Debug)]
struct Packet {
    at: Instant,
    transmission: Transmission,
    message: Vec<u8>,
}

impl State {
    fn settle(&mut self, now: u64) {
        while let Some(entry) = self.flying.first_entry() {
            let (at, _) = *entry.key();
            if at > now {
                break;
            }
            let flying = entry.remove();
            self.deliver(at, &flying);
        }
        for place in 0..self.stations.len() {
            self.remove(place, now, |held| held.until.is_some_and(|until| until <= now));
        }
    }

    fn send(&mut self, from: usize, now: u64, transmission: &Transmission, message: &[u8]) {
        if !self
            .stations
            .get(from)
            .is_some_and(|station| station.link.is_usable())
        {
            return;
        }
        self.log.push(SegmentEvent::Sent {
            at: Instant::from_nanos(now),
            host: HostId(from),
            transmission: *transmission,
            message: message.to_vec(),
        });
        self.order += 1;
        let key = (now.saturating_add(self.delay), self.order);
        self.flying.insert(
            key,
            Flying {
                from,
                transmission: *transmission,
                message: message.to_vec(),
            },
        );
    }

    fn deliver(&mut self, at: u64, flying: &Flying) {
        let destination = flying.transmission.destination;
        let family = AddressFamily::of(destination);
        for (place, station) in self.stations.iter_mut().enumerate() {
            let pair = (place.min(flying.from), place.max(flying.from));
            if place == flying.from || self.cuts.contains(&pair) || !station.link.is_usable() {
                continue;
            }
            let addressed = destination.is_multicast()
                || station
                    .addresses
                    .iter()
                    .any(|held| held.address.address == destination);
            let listened = station.listens.iter().any(|listen| {
                listen.family == family
                    && (!destination.is_multicast() || listen.groups.contains(&destination))
                    && flying
                        .message
                        .get(1)
                        .is_some_and(|vrid| listen.vrids.contains(vrid))
            });
            if addressed && listened {
                station.queue.push_back(Packet {
                    at: Instant::from_nanos(at),
                    transmission: flying.transmission,
                    message: flying.message.clone(),
                });
            }
        }
    }

    fn carry_out(&mut self, place: usize, now: u64, work: &Work) {
        let mut failures = Vec::new();
        for (number, change) in work.changes.iter().enumerate() {
            match change {
                Change::AddAddress {
                    address,
                    lease,
                    replace,
                    ..
                } => {
                    let until = lease.map(|lease| now.saturating_add(u64::from(lease) * 1_000_000_000));
                    let added = self.add(place, now, address, until, *replace);
                    if !added {
                        failures.push((number, EXISTS));
                    }
                }
                Change::RemoveAddress { address, .. } => {
                    let address = address.address();
                    self.remove(place, now, |held| held.address.address == address);
                }
                // One flat segment: there is nothing else to change.
                _ => {}
            }
        }
        for announcement in &work.announcements {
            self.log.push(SegmentEvent::Announced {
                at: Instant::from_nanos(now),
                host: HostId(place),
                address: announcement.address,
            });
        }
        if let Some(station) = self.stations.get_mut(place) {
            station.events.push_back(HostEvent::Done {
                ticket: work.ticket,
                failures,
            });
        }
    }

    fn add(
        &mut self,
        place: usize,
        now: u64,
        spec: &crate::VirtualAddress,
        until: Option<u64>,
        replace: bool,
    ) -> bool {
        let Some(station) = self.stations.get_mut(place) else {
            return false;
        };
        let known = station
            .addresses
            .iter_mut()
            .find(|held| held.address.address == spec.address());
        if let Some(held) = known {
            if replace {
                held.until = until;
            }
            return replace;
        }
        let address = LinkAddress {
            index: INTERFACE,
            address: spec.address(),
            prefix_len: spec.prefix_len(),
            scope: spec.scope.number(),
            secondary: false,
            tentative: false,
            permanent: until.is_none(),
            ours: true,
        };
        station.events.push_back(HostEvent::Address(address.clone()));
        station.addresses.push(Held { address, until });
        self.log.push(SegmentEvent::AddressUp {
            at: Instant::from_nanos(now),
            host: HostId(place),
            address: spec.address(),
        });
        true
    }

    fn remove(&mut self, place: usize, now: u64, which: impl Fn(&Held) -> bool) {
        let Some(station) = self.stations.get_mut(place) else {
            return;
        };
        let mut kept = Vec::with_capacity(station.addresses.len());
        for held in station.addresses.drain(..) {
            if !which(&held) {
                kept.push(held);
                continue;
            }
            self.log.push(SegmentEvent::AddressDown {
                at: Instant::from_nanos(held.until.map_or(now, |until| until.min(now))),
                host: HostId(place),
                address: held.address.address,
            });
            station.events.push_back(HostEvent::AddressGone(held.address));
        }
        station.addresses = kept;
    }
}

/// The number of the only interface of a host in memory.
const INTERFACE: u32 = 1;
/// The second of September 2001 when the clock of a segment begins.
const SOME_DAY: Duration = Duration::from_secs(1_000_000_000);
/// How long a packet travels at first.
const DELAY: u64 = 50_000;
/// `EEXIST`.
const EXISTS: i32 = 17;
