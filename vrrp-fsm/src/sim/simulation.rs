use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cmp::Reverse;
use core::net::IpAddr;

use vrrp_proto::{AddressFamily, Envelope, Vrid};

use super::host::Sent;
use super::{Happening, Host, HostPlan, Journal, MemberPlan, Quality, Random, Violation};
use crate::{Delivery, Input, Instant, State, TrackStatus};

/// Hosts on segments, and the time.
///
/// Everything random comes from the seed: two simulations that are told the same do the same. After each step of a host
/// the invariants I10 to I12 of the protocol are checked on it; what holds between hosts is up to the caller, who asks
/// [`active`](Self::active) when it should.
#[derive(Debug)]
pub struct Simulation {
    now: Instant,
    hosts: Vec<Host>,
    wakes: Vec<Wake>,
    inboxes: Vec<Vec<Happening>>,
    queue: BinaryHeap<Reverse<Coming>>,
    order: u64,
    random: Random,
    quality: Quality,
    qualities: BTreeMap<(u8, u8, u8), Quality>,
    cuts: BTreeSet<(u8, u8, u8)>,
    loops: BTreeSet<(u8, u8)>,
    packets: u64,
}

/// When a host handles its timers next.
#[derive(Clone, Copy, Debug)]
struct Wake {
    deadline: Option<Instant>,
    number: u64,
}

/// Something that will happen, in the order of time and then of its making.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Coming {
    at: Instant,
    order: u64,
    what: What,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Wake {
        host: u8,
        number: u64,
    },
    Arrival {
        host: u8,
        segment: u8,
        source: IpAddr,
        destination: IpAddr,
        hop_limit: u8,
        message: Arc<[u8]>,
    },
}

impl Simulation {
    /// Hosts of which none is started, on good links.
    pub fn new(seed: u64, plans: impl IntoIterator<Item = HostPlan>) -> Self {
        let hosts: Vec<Host> = plans
            .into_iter()
            .zip(0..)
            .map(|(plan, number)| Host::new(number, plan))
            .collect();
        Self {
            now: Instant::ZERO,
            wakes: vec![
                Wake {
                    deadline: None,
                    number: 0
                };
                hosts.len()
            ],
            inboxes: hosts.iter().map(|_| Vec::new()).collect(),
            hosts,
            queue: BinaryHeap::new(),
            order: 0,
            random: Random::new(seed),
            quality: Quality::GOOD,
            qualities: BTreeMap::new(),
            cuts: BTreeSet::new(),
            loops: BTreeSet::new(),
            packets: 0,
        }
    }

    /// Keeps a journal of each host from now on.
    pub fn record(&mut self) {
        for host in &mut self.hosts {
            host.journal = Some(Journal::default());
        }
    }

    /// The journal of a host, if one is kept.
    pub fn journal(&self, host: u8) -> Option<&Journal> {
        self.host(host)?.journal.as_ref()
    }

    /// The simulated time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A host.
    pub fn host(&self, host: u8) -> Option<&Host> {
        self.hosts.get(usize::from(host))
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// How many packets were sent, counted once for each receiver.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How many changes of state there were.
    pub fn transitions(&self) -> u64 {
        self.hosts.iter().map(|host| host.transitions).sum()
    }

    /// The hosts on which this virtual router is active.
    pub fn active(&self, segment: u8, family: AddressFamily, vrid: Vrid) -> Vec<u8> {
        self.who(segment, family, vrid, |host, member| {
            host.virtual_router(member)
                .is_some_and(|router| router.state() == State::Active)
        })
    }

    /// The hosts that have addresses of this virtual router on their interface.
    pub fn holders(&self, segment: u8, family: AddressFamily, vrid: Vrid) -> Vec<u8> {
        self.who(segment, family, vrid, |host, member| {
            host.held(member).next().is_some()
        })
    }

    fn who(
        &self,
        segment: u8,
        family: AddressFamily,
        vrid: Vrid,
        is: impl Fn(&Host, usize) -> bool,
    ) -> Vec<u8> {
        let mut found = Vec::new();
        for (host, number) in self.hosts.iter().zip(0..) {
            let matching =
                |plan: &MemberPlan| plan.segment == segment && plan.family == family && plan.vrid == vrid;
            let mut members = host
                .plan()
                .members
                .iter()
                .enumerate()
                .filter(|(_, plan)| matching(plan));
            if members.any(|(member, _)| is(host, member)) {
                found.push(number);
            }
        }
        found
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] of an invariant.
    pub fn run_until(&mut self, end: Instant) -> Result<(), Violation> {
        while let Some(Reverse(coming)) = self.queue.peek() {
            if coming.at > end {
                break;
            }
            let Some(Reverse(coming)) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(coming.at);
            match coming.what {
                What::Wake { host, number } => self.wake(host, number)?,
                What::Arrival {
                    host,
                    segment,
                    source,
                    destination,
                    hop_limit,
                    message,
                } => {
                    let Ok(envelope) = Envelope::new(source, destination, hop_limit) else {
                        continue;
                    };
                    self.arrive(host, segment, envelope, message)?;
                }
            }
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// The process of a host starts, and finds the addresses that a killed one left.
    ///
    /// # Errors
    ///
    /// Of this and of all the following: the first [`Violation`] of an invariant.
    pub fn start(&mut self, host: u8) -> Result<(), Violation> {
        self.with(host, Host::start)
    }

    /// The process of a host stops in an orderly way.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn stop(&mut self, host: u8) -> Result<(), Violation> {
        self.with(host, Host::stop)
    }

    /// The process of a host is killed.
    pub fn crash(&mut self, host: u8) {
        if let (Some(place), Some(inbox)) = (
            self.hosts.get_mut(usize::from(host)),
            self.inboxes.get_mut(usize::from(host)),
        ) {
            place.crash();
            inbox.clear();
        }
    }

    /// The process of a host stops running; what arrives waits in its sockets.
    pub fn pause(&mut self, host: u8) {
        if let Some(place) = self.hosts.get_mut(usize::from(host)) {
            place.paused = place.router().is_some();
        }
    }

    /// A paused process goes on: first with what waits in its sockets, then with its timers.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn resume(&mut self, host: u8) -> Result<(), Violation> {
        let Some(place) = self.hosts.get_mut(usize::from(host)) else {
            return Ok(());
        };
        if !core::mem::take(&mut place.paused) {
            return Ok(());
        }
        let waiting = self
            .inboxes
            .get_mut(usize::from(host))
            .map(core::mem::take)
            .unwrap_or_default();
        for happening in waiting {
            self.happen(host, happening)?;
        }
        self.happen(host, Happening::Timeout)
    }

    /// Gives something to the process of a host, if it lives.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn give(&mut self, host: u8, happening: Happening) -> Result<(), Violation> {
        self.happen(host, happening)
    }

    /// An input for one virtual router of a host.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn input(&mut self, host: u8, member: usize, input: Input) -> Result<(), Violation> {
        self.happen(host, Happening::Input { member, input })
    }

    /// Other numbers for one virtual router of a host, whether it runs or not.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn configure(&mut self, host: u8, member: usize, plan: MemberPlan) -> Result<(), Violation> {
        self.with(host, |host, now, sent| host.configure(now, member, plan, sent))
    }

    /// The interface of a host to a segment goes up or down, for the host and for its packets.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn set_interface(&mut self, host: u8, segment: u8, up: bool) -> Result<(), Violation> {
        self.with(host, |host, now, sent| host.set_interface(now, segment, up, sent))
    }

    /// A tracked object of a host reports.
    #[expect(clippy::missing_errors_doc, reason = "said once, at `start`")]
    pub fn set_track(&mut self, host: u8, id: u8, status: TrackStatus) -> Result<(), Violation> {
        self.with(host, |host, now, sent| host.set_track(now, id, status, sent))
    }

    /// The clock of a host runs so many millionths fast from now on.
    pub fn set_drift(&mut self, host: u8, drift: i32) {
        let now = self.now;
        if let Some(host) = self.hosts.get_mut(usize::from(host)) {
            host.clock.set_drift(now, drift);
        }
        self.reschedule(host);
    }

    /// What all links are like that nothing else is said of.
    pub fn set_quality(&mut self, quality: Quality) {
        self.quality = quality;
    }

    /// What the way from one host to another is like.
    pub fn set_link(&mut self, segment: u8, from: u8, to: u8, quality: Quality) {
        self.qualities.insert((segment, from, to), quality);
    }

    /// Nothing gets from one host to another on this segment any more.
    pub fn cut(&mut self, segment: u8, from: u8, to: u8) {
        self.cuts.insert((segment, from, to));
    }

    /// A cut is mended.
    pub fn mend(&mut self, segment: u8, from: u8, to: u8) {
        self.cuts.remove(&(segment, from, to));
    }

    /// A host hears its own packets on this segment.
    pub fn set_loop(&mut self, segment: u8, host: u8, on: bool) {
        if on {
            self.loops.insert((segment, host));
        } else {
            self.loops.remove(&(segment, host));
        }
    }

    /// All links are good, nothing is cut or looped.
    pub fn heal(&mut self) {
        self.quality = Quality::GOOD;
        self.qualities.clear();
        self.cuts.clear();
        self.loops.clear();
    }

    /// Puts a packet of whatever content on a segment, for one host.
    pub fn inject(&mut self, host: u8, segment: u8, envelope: &Envelope, message: &[u8]) {
        self.arrival(self.now, host, segment, envelope, Arc::from(message));
    }

    fn with(
        &mut self,
        host: u8,
        act: impl FnOnce(&mut Host, Instant, &mut Vec<Sent>) -> Result<(), alloc::string::String>,
    ) -> Result<(), Violation> {
        let Some(place) = self.hosts.get_mut(usize::from(host)) else {
            return Ok(());
        };
        let local = place.clock.local_at(self.now);
        let mut sent = Vec::new();
        act(place, local, &mut sent).map_err(|what| Violation {
            at: self.now,
            what: format!("host {host}: {what}"),
        })?;
        for packet in sent {
            self.send(host, &packet);
        }
        self.reschedule(host);
        Ok(())
    }

    fn happen(&mut self, host: u8, happening: Happening) -> Result<(), Violation> {
        self.with(host, |host, now, sent| host.happen(now, happening, sent))
    }

    fn wake(&mut self, host: u8, number: u64) -> Result<(), Violation> {
        let Some(place) = self.hosts.get(usize::from(host)) else {
            return Ok(());
        };
        let Some(wake) = self.wakes.get_mut(usize::from(host)) else {
            return Ok(());
        };
        if wake.number != number || place.paused {
            return Ok(());
        }
        wake.deadline = None;
        self.happen(host, Happening::Timeout)
    }

    fn arrive(
        &mut self,
        host: u8,
        segment: u8,
        envelope: Envelope,
        message: Arc<[u8]>,
    ) -> Result<(), Violation> {
        let Some(place) = self.hosts.get(usize::from(host)) else {
            return Ok(());
        };
        if place.router().is_none() || !place.is_up(segment) {
            return Ok(());
        }
        let received = place.clock.local_at(self.now);
        let packet = Happening::Packet {
            segment,
            envelope,
            message,
            received,
        };
        if place.paused {
            if let Some(inbox) = self.inboxes.get_mut(usize::from(host)) {
                inbox.push(packet);
            }
            return Ok(());
        }
        self.happen(host, packet)
    }

    fn send(&mut self, from: u8, packet: &Sent) {
        let Sent {
            segment,
            source,
            parameters,
            priority,
        } = packet;
        if !self
            .hosts
            .get(usize::from(from))
            .is_some_and(|host| host.is_up(*segment))
        {
            return;
        }
        let destinations: Vec<IpAddr> = match parameters.delivery() {
            Delivery::Multicast(group) => vec![*group],
            Delivery::Unicast(peers) => peers.iter().map(|peer| peer.address).collect(),
        };
        for destination in destinations {
            let Ok(envelope) = Envelope::new(*source, destination, 255) else {
                continue;
            };
            let mut buffer = [0; 8 + 20 * 16 + 8];
            let Ok(length) = parameters.emit_advertisement(*priority, &envelope, &mut buffer) else {
                continue;
            };
            let message: Arc<[u8]> = Arc::from(buffer.get(..length).unwrap_or_default());
            for to in 0..self.hosts.len() {
                let Ok(to) = u8::try_from(to) else { break };
                self.transmit(*segment, from, to, &envelope, &message);
            }
        }
    }

    fn transmit(&mut self, segment: u8, from: u8, to: u8, envelope: &Envelope, message: &Arc<[u8]>) {
        let Some(host) = self.hosts.get(usize::from(to)) else {
            return;
        };
        let on_segment = host.plan().members.iter().any(|member| member.segment == segment);
        let addressed = envelope.destination().is_multicast()
            || host
                .plan()
                .members
                .iter()
                .any(|member| member.primary(to) == envelope.destination());
        let heard = if from == to {
            self.loops.contains(&(segment, from))
        } else {
            on_segment && addressed
        };
        if !heard || self.cuts.contains(&(segment, from, to)) {
            return;
        }
        let quality = self
            .qualities
            .get(&(segment, from, to))
            .copied()
            .unwrap_or(self.quality);
        let copies = if self.random.chance(quality.loss) {
            0
        } else if self.random.chance(quality.duplication) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            self.packets += 1;
            let delay = self.random.between(
                crate::time::nanos(quality.shortest),
                crate::time::nanos(quality.longest),
            );
            self.arrival(self.now.plus(delay), to, segment, envelope, Arc::clone(message));
        }
    }

    fn arrival(&mut self, at: Instant, host: u8, segment: u8, envelope: &Envelope, message: Arc<[u8]>) {
        let what = What::Arrival {
            host,
            segment,
            source: envelope.source(),
            destination: envelope.destination(),
            hop_limit: envelope.hop_limit(),
            message,
        };
        self.push(at, what);
    }

    /// Plans when the host handles its timers, if that changed.
    fn reschedule(&mut self, host: u8) {
        let Some(place) = self.hosts.get(usize::from(host)) else {
            return;
        };
        let Some(wake) = self.wakes.get_mut(usize::from(host)) else {
            return;
        };
        let deadline = place.poll_timeout().map(|local| place.clock.simulated_at(local));
        if wake.deadline == deadline {
            return;
        }
        wake.deadline = deadline;
        wake.number += 1;
        let number = wake.number;
        let lateness = crate::time::nanos(place.plan().lateness);
        if let Some(deadline) = deadline {
            let late = self.random.below(lateness.saturating_add(1));
            self.push(deadline.max(self.now).plus(late), What::Wake { host, number });
        }
    }

    fn push(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.queue.push(Reverse(Coming {
            at,
            order: self.order,
            what,
        }));
    }
}
