//! The seam between the driver and the world.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use vrrp_fsm::Instant;
use vrrp_proto::{AddressFamily, MacAddress};

use crate::Error;
use crate::address::VirtualAddress;
use crate::link::{Link, LinkAddress};
use crate::route::{GoneRoute, GoneRule, VirtualRoute, VirtualRule};

/// How the driver touches the world: time, packets, addresses, announcements, interfaces.
///
/// There are two implementations: `LinuxHost`, and [`MemoryHost`](crate::MemoryHost) on a segment in memory, for tests,
/// for simulations and for systems that are not Linux. All methods are called from the thread that drives the
/// election, and none may wait for the kernel's network configuration lock: what takes that lock ([`submit`](Self::submit))
/// is carried out elsewhere and reported by [`poll_event`](Self::poll_event).
pub trait Host: fmt::Debug + Send {
    /// The time on the clock of the election, which never goes back and counts suspended time.
    fn now(&self) -> Instant;

    /// The time of day, since 1970. Nothing but signatures depends on it.
    fn wall_clock(&self) -> Duration;

    /// Sleeps until something may have to be done: a packet, an event, a call of the [`Waker`], or `until`; `None` for
    /// never. It may return early.
    ///
    /// # Errors
    /// What the system says when it cannot wait at all.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Error>;

    /// Sets the time at which the [descriptor](Self::descriptor) becomes readable at the latest; `None` for never. Needed
    /// only by who waits on that instead of calling [`wait`](Self::wait).
    ///
    /// # Errors
    /// What the system says when it cannot set a timer.
    fn arm(&mut self, until: Option<Instant>) -> Result<(), Error>;

    /// A way to end a [`wait`](Self::wait) from any thread.
    fn waker(&self) -> Waker;

    /// Listens to these virtual routers on an interface; replaces what was listened to there for this family before.
    /// An empty list stops listening.
    ///
    /// # Errors
    /// What the system says when it cannot open the socket.
    fn listen(&mut self, listen: &Listen) -> Result<(), Error>;

    /// Hands over every packet that has arrived, in order, with the time at which it arrived. It is called before events are
    /// asked for, and takes note of whatever has made the [descriptor](Self::descriptor) readable.
    ///
    /// # Errors
    /// What the system says; packets already handed over stay so.
    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> Result<(), Error>;

    /// Sends packets, several to a system call, and names each that could not be sent.
    fn send(&mut self, packets: &Transmissions, failed: &mut dyn FnMut(usize, Error));

    /// Whether [`Change::RefusePackets`] can be carried out here.
    ///
    /// # Errors
    /// [`Error::Filter`] where it cannot.
    fn can_refuse_packets(&self) -> Result<(), Error>;

    /// Changes addresses, routes and interfaces in the order given, then sends the announcements. Works of one host
    /// are carried out in the order in which they were submitted.
    fn submit(&mut self, work: Work);

    /// What has happened: interfaces and addresses seen, works carried out.
    fn poll_event(&mut self) -> Option<HostEvent>;

    /// A descriptor that becomes readable when there is something to do, for an event loop of one's own. `None` where
    /// there is none.
    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>>;
}

/// Ends a [`Host::wait`] from any thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`, which must neither block nor panic.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Wakes the driver.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

/// What to listen to on one interface for one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The interface.
    pub interface: u32,
    /// The address family.
    pub family: AddressFamily,
    /// The multicast groups to join there; empty for unicast only.
    pub groups: Vec<IpAddr>,
    /// The virtual router identifiers to let through.
    pub vrids: Vec<u8>,
}

/// One packet received: the VRRP message and what its envelope said.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The interface it came in by.
    pub interface: u32,
    /// Who sent it.
    pub source: IpAddr,
    /// Where to.
    pub destination: IpAddr,
    /// Its time to live or hop limit.
    pub hop_limit: u8,
    /// When it arrived, by the kernel's clock where there is one.
    pub time: Instant,
    /// The VRRP message, without padding.
    pub message: &'a [u8],
}

/// Packets to send together.
#[derive(Debug, Clone, Default)]
pub struct Transmissions {
    bytes: Vec<u8>,
    items: Vec<(Transmission, Range<usize>)>,
}

impl Transmissions {
    /// Adds a packet whose message is written by `emit` behind what is in the buffer.
    pub fn push(&mut self, transmission: Transmission, emit: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        emit(&mut self.bytes);
        let end = self.bytes.len().max(start);
        self.items.push((transmission, start..end));
    }

    /// The packets in order: envelope and message.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Transmission, &[u8])> {
        self.items.iter().map(|(transmission, range)| {
            let message = self.bytes.get(range.clone()).unwrap_or(&[]);
            (transmission, message)
        })
    }

    /// The envelope of one packet.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Transmission> {
        self.items.get(place).map(|(transmission, _)| transmission)
    }

    /// How many packets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Forgets the packets and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }
}

/// The envelope of a packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmission {
    /// The interface to leave by.
    pub interface: u32,
    /// The source address.
    pub source: IpAddr,
    /// The destination: a multicast group or a peer.
    pub destination: IpAddr,
    /// The time to live or hop limit.
    pub hop_limit: u8,
    /// The source MAC of a multicast packet, where it is not the interface's own.
    pub source_mac: Option<MacAddress>,
    /// The driver's own note about whose packet it is.
    pub tag: u32,
}

/// Changes to the host, then announcements.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Comes back in [`HostEvent::Done`].
    pub ticket: u64,
    /// Carried out in this order, in as few system calls as possible.
    pub changes: Vec<Change>,
    /// Sent when the changes are made.
    pub announcements: Vec<Announcement>,
}

/// One change to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Adds an address.
    AddAddress {
        /// The interface.
        interface: u32,
        /// The address.
        address: Arc<VirtualAddress>,
        /// After how many seconds the kernel takes it away unless it is added again; `None` for never.
        lease: Option<u32>,
        /// Whether an address that is there already gets the new lease. Otherwise that is an error, because it is
        /// somebody else's.
        replace: bool,
    },
    /// Removes an address.
    RemoveAddress {
        /// The interface.
        interface: u32,
        /// The address.
        address: Arc<VirtualAddress>,
    },
    /// Sets an interface up or down.
    SetLinkUp {
        /// The interface.
        interface: u32,
        /// Up or down.
        up: bool,
    },
    /// Creates an interface with a MAC address of its own on top of another one (a macvlan), set up so that it answers
    /// for its own addresses only.
    CreateVirtualLink {
        /// The interface it stands on.
        base: u32,
        /// Its name.
        name: String,
        /// Its hardware address.
        mac: MacAddress,
    },
    /// Deletes an interface made by [`Change::CreateVirtualLink`].
    DeleteLink {
        /// The interface.
        interface: u32,
    },
    /// Drops what is sent to an address, except neighbour discovery, until it is accepted again.
    RefusePackets {
        /// The address.
        address: IpAddr,
    },
    /// Accepts what is sent to an address again.
    AcceptPackets {
        /// The address.
        address: IpAddr,
    },
    /// Adds a route.
    AddRoute(Arc<VirtualRoute>),
    /// Removes a route.
    RemoveRoute(Arc<VirtualRoute>),
    /// Adds a rule.
    AddRule(Arc<VirtualRule>),
    /// Removes a rule.
    RemoveRule(Arc<VirtualRule>),
    /// Sets a switch of an interface (a `sysctl` under `net.ipv4.conf` or `net.ipv6.conf`) and remembers what it was;
    /// the host puts it back when it is dropped.
    SetSwitch {
        /// The interface.
        interface: u32,
        /// Which switch.
        switch: Switch,
        /// Its value.
        value: u8,
    },
}

/// A switch of an interface that virtual addresses depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Switch {
    /// `ipv4.arp_ignore`: 1 answers for addresses of this interface only.
    ArpIgnore,
    /// `ipv4.arp_announce`: 2 asks from addresses of this interface only.
    ArpAnnounce,
    /// `ipv4.arp_filter`.
    ArpFilter,
    /// `ipv4.accept_local`.
    AcceptLocal,
    /// `ipv4.rp_filter`.
    ReversePathFilter,
    /// `ipv4.promote_secondaries`: removing an address leaves the others of its network.
    PromoteSecondaries,
    /// `ipv4.proxy_arp`: 1 answers for addresses that are reached by another interface.
    ProxyArp,
    /// `ipv6.accept_dad`.
    DuplicateDetection,
    /// `ipv6.disable_ipv6`.
    DisableIpv6,
}

/// One gratuitous ARP (IPv4) or unsolicited neighbour advertisement (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// The interface.
    pub interface: u32,
    /// The address announced.
    pub address: IpAddr,
    /// The MAC address that answers for it.
    pub mac: MacAddress,
    /// 0 for the first time around, 1 for the second…: every address is announced once before any is announced twice.
    pub round: u8,
    /// How long to wait after the one before it in its queue.
    pub pace: Duration,
    /// Which queue it waits in: `None` for the interface's own. IPv4 and IPv6 have different ones in any case.
    pub queue: Option<u32>,
}

/// Something that has happened on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostEvent {
    /// All interfaces and addresses there are. Comes first, and again whenever notifications were lost.
    Snapshot {
        /// The interfaces.
        links: Vec<Link>,
        /// The addresses.
        addresses: Vec<LinkAddress>,
    },
    /// An interface appeared or changed.
    Link(Link),
    /// An interface vanished.
    LinkGone(u32),
    /// An address appeared or changed.
    Address(LinkAddress),
    /// An address was removed, or its life ended.
    AddressGone(LinkAddress),
    /// A route of keepalived's protocol number was removed, by whomever.
    RouteGone(GoneRoute),
    /// A rule was removed, by whomever.
    RuleGone(GoneRule),
    /// A work was carried out.
    Done {
        /// Its ticket.
        ticket: u64,
        /// The changes that failed, by their place in the work, with the system's error number.
        failures: Vec<(usize, i32)>,
    },
    /// A multicast group that [`Host::listen`] named was joined, or could not be. Not told where groups need no joining.
    Joined {
        /// The interface.
        interface: u32,
        /// The group.
        group: IpAddr,
        /// The system's error number, or zero, where it could not.
        result: Result<(), i32>,
    },
}
