use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use crate::name::{EngineName, SchedulerName};

/// The family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "IPVS knows these two")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// Another number. The kernel keeps such a service and never schedules a connection to it.
    Other(u8),
}

/// An address with a port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "an endpoint is these two")]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port; 0 for any.
    pub port: u16,
}

/// What packets a service takes: those to an address, protocol and port, or those that a firewall mark was put on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ServiceKey {
    /// Packets to this address and port. Port 0 stands for all ports; the kernel then schedules only if the service is
    /// persistent.
    Address {
        /// The protocol.
        protocol: Protocol,
        /// The virtual address and port.
        endpoint: Endpoint,
    },
    /// Packets of this family with this firewall mark. Mark 0 is the absence of a mark, so it is none of a service.
    Mark {
        /// The mark.
        mark: NonZeroU32,
        /// The family of the packets.
        family: Family,
    },
}

/// A service: what it takes and how it spreads it over its destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the kernel wants, whole, on each edit"
)]
pub struct Service {
    /// What it takes.
    pub key: ServiceKey,
    /// How it spreads it.
    pub scheduler: Scheduler,
    /// Each packet is scheduled by itself, without a connection being kept. For UDP and firewall marks.
    pub one_packet: bool,
    /// Connections of one client go to one destination for a while.
    pub persistence: Option<Persistence>,
}

/// How a client is kept at one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel keeps")]
pub struct Persistence {
    /// For how long after its last connection.
    pub timeout: PersistenceTimeout,
    /// What counts as one client.
    pub granularity: Granularity,
    /// An engine that recognises a client by what its packets say, instead of by its address alone (`sip`).
    pub engine: Option<EngineName>,
}

/// Whole seconds, at most 4,294,967 (49 days): what the kernel's clock can hold at a thousand ticks a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersistenceTimeout(u32);

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Granularity {
    /// Each address.
    Address,
    /// All addresses with the same first bits. As long as an address of the family or longer: each address.
    Prefix(PrefixLength),
    /// All addresses that agree in the bits of this mask, which need not be its first ones. For IPv4 only; to an IPv6
    /// service it means each address.
    Mask(Ipv4Addr),
}

/// 1 to 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixLength(u8);

/// Which destination a new connection goes to. Each is a kernel module `ip_vs_NAME`, which the kernel loads when it is
/// first used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheduler {
    /// One after the other.
    RoundRobin,
    /// One after the other, by weight.
    WeightedRoundRobin,
    /// The fewest connections.
    LeastConnection,
    /// The fewest connections for its weight.
    WeightedLeastConnection,
    /// By the packet's destination address, as long as its server is not overloaded.
    LocalityBasedLeastConnection,
    /// As before, with a set of servers for each address.
    LocalityBasedLeastConnectionReplication,
    /// By a hash of the destination address.
    DestinationHash,
    /// By a hash of the source address.
    SourceHash(HashFlags),
    /// By Maglev hashing of the source address. Since Linux 4.18.
    MaglevHash(HashFlags),
    /// The shortest expected delay.
    ShortestExpectedDelay,
    /// An idle one, else the shortest expected delay.
    NeverQueue,
    /// The heaviest that is up. Since Linux 3.18.
    FailOver,
    /// The heaviest until it is full, then the next. Since Linux 4.3.
    OverFlow,
    /// The better of two drawn by weight. Since Linux 5.12; not built by every distribution.
    PowerOfTwo,
    /// None at all: nothing is scheduled, connections that exist are carried on. Since Linux 4.3.
    Disabled,
    /// One by name, with the three flags that a scheduler may interpret.
    Other(SchedulerName, SchedulerFlags),
}

/// What the hashing schedulers do besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's two flags")]
pub struct HashFlags {
    /// If the server is down or overloaded another one is hashed to, instead of the packet being dropped.
    pub fallback: bool,
    /// The source port is hashed too.
    pub port: bool,
}

/// The three flags of a service that are the scheduler's to interpret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SchedulerFlags(u8);

impl Service {
    /// A service with a scheduler, neither persistent nor one-packet.
    #[must_use]
    pub const fn new(key: ServiceKey, scheduler: Scheduler) -> Self {
        Self {
            key,
            scheduler,
            one_packet: false,
            persistence: None,
        }
    }

    /// The same service as the kernel would give it back: ways of saying the same thing become one.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let family = self.key.family();
        if let Some(persistence) = &mut self.persistence {
            persistence.granularity = persistence.granularity.canonical(family);
        }
        self.scheduler = Scheduler::from_parts(self.scheduler.name(), self.scheduler.flags());
        self
    }
}

impl ServiceKey {
    /// A TCP service.
    #[must_use]
    pub fn tcp(endpoint: impl Into<Endpoint>) -> Self {
        Self::Address {
            protocol: Protocol::Tcp,
            endpoint: endpoint.into(),
        }
    }

    /// A UDP service.
    #[must_use]
    pub fn udp(endpoint: impl Into<Endpoint>) -> Self {
        Self::Address {
            protocol: Protocol::Udp,
            endpoint: endpoint.into(),
        }
    }

    /// An SCTP service.
    #[must_use]
    pub fn sctp(endpoint: impl Into<Endpoint>) -> Self {
        Self::Address {
            protocol: Protocol::Sctp,
            endpoint: endpoint.into(),
        }
    }

    /// A service for a firewall mark.
    #[must_use]
    pub const fn mark(mark: NonZeroU32, family: Family) -> Self {
        Self::Mark { mark, family }
    }

    /// The family of the packets it takes.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { endpoint, .. } => endpoint.family(),
            Self::Mark { family, .. } => *family,
        }
    }
}

impl Endpoint {
    /// An address with a port.
    #[must_use]
    pub const fn new(address: IpAddr, port: u16) -> Self {
        Self { address, port }
    }

    /// The address's family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

impl PersistenceTimeout {
    /// As read from the kernel, where a slower tick leaves room for more.
    pub(crate) const fn unchecked(seconds: u32) -> Self {
        Self(seconds)
    }

    /// What ipvsadm and keepalived take when they are not told: 360 s.
    pub const DEFAULT: Self = Self(360);

    /// So many seconds, up to 4,294,967.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Option<Self> {
        // The kernel multiplies by its ticks per second (up to 1000) in 32 bits, without looking.
        if seconds <= u32::MAX / 1000 {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl PrefixLength {
    /// So many bits, 1 to 128.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= 1 && bits <= 128 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl Granularity {
    pub(crate) fn canonical(self, family: Family) -> Self {
        let whole = match family {
            Family::V4 => 32,
            Family::V6 => 128,
        };
        match self {
            Self::Prefix(length) if length.0 >= whole => Self::Address,
            Self::Mask(_) if family == Family::V6 => Self::Address,
            Self::Mask(mask) => Self::from_v4(mask),
            Self::Address | Self::Prefix(_) => self,
        }
    }

    pub(crate) fn from_v4(mask: Ipv4Addr) -> Self {
        let bits = mask.to_bits();
        let ones = bits.leading_ones();
        let contiguous = bits == u32::MAX.checked_shl(32 - ones).unwrap_or(0);
        match u8::try_from(ones).ok().and_then(PrefixLength::new) {
            Some(PrefixLength(32)) => Self::Address,
            Some(length) if contiguous => Self::Prefix(length),
            _ => Self::Mask(mask),
        }
    }

    /// The mask of an IPv4 service.
    pub(crate) fn v4(self) -> Ipv4Addr {
        match self.canonical(Family::V4) {
            Self::Address => Ipv4Addr::BROADCAST,
            Self::Prefix(length) => Ipv4Addr::from_bits(
                u32::MAX
                    .checked_shl(32_u32.saturating_sub(u32::from(length.0)))
                    .unwrap_or(0),
            ),
            Self::Mask(mask) => mask,
        }
    }

    /// The prefix of an IPv6 service.
    pub(crate) fn v6(self) -> u8 {
        match self.canonical(Family::V6) {
            Self::Prefix(length) => length.0,
            Self::Address | Self::Mask(_) => 128,
        }
    }
}

impl Scheduler {
    /// The name under which the kernel knows it.
    #[must_use]
    pub fn name(&self) -> SchedulerName {
        let text = match self {
            Self::Other(name, _) => return *name,
            Self::SourceHash(_) => "sh",
            Self::MaglevHash(_) => "mh",
            Self::RoundRobin => "rr",
            Self::WeightedRoundRobin => "wrr",
            Self::LeastConnection => "lc",
            Self::WeightedLeastConnection => "wlc",
            Self::LocalityBasedLeastConnection => "lblc",
            Self::LocalityBasedLeastConnectionReplication => "lblcr",
            Self::DestinationHash => "dh",
            Self::ShortestExpectedDelay => "sed",
            Self::NeverQueue => "nq",
            Self::FailOver => "fo",
            Self::OverFlow => "ovf",
            Self::PowerOfTwo => "twos",
            Self::Disabled => "none",
        };
        SchedulerName::new(text).unwrap_or(NONE)
    }

    /// The flags that go with it.
    #[must_use]
    pub fn flags(&self) -> SchedulerFlags {
        match self {
            Self::SourceHash(flags) | Self::MaglevHash(flags) => {
                SchedulerFlags(u8::from(flags.fallback) | (u8::from(flags.port) << 1))
            }
            Self::Other(_, flags) => *flags,
            Self::RoundRobin
            | Self::WeightedRoundRobin
            | Self::LeastConnection
            | Self::WeightedLeastConnection
            | Self::LocalityBasedLeastConnection
            | Self::LocalityBasedLeastConnectionReplication
            | Self::DestinationHash
            | Self::ShortestExpectedDelay
            | Self::NeverQueue
            | Self::FailOver
            | Self::OverFlow
            | Self::PowerOfTwo
            | Self::Disabled => SchedulerFlags(0),
        }
    }

    /// The scheduler of this name with these flags.
    #[must_use]
    pub fn from_parts(name: SchedulerName, flags: SchedulerFlags) -> Self {
        let hash = HashFlags {
            fallback: flags.0 & 1 != 0,
            port: flags.0 & 2 != 0,
        };
        match name.as_str() {
            "sh" if flags.0 < 4 => Self::SourceHash(hash),
            "mh" if flags.0 < 4 => Self::MaglevHash(hash),
            text if flags.0 == 0 => PLAIN
                .iter()
                .find(|(name, _)| *name == text)
                .map_or(Self::Other(name, flags), |(_, scheduler)| *scheduler),
            _ => Self::Other(name, flags),
        }
    }

    /// The scheduler of this name without flags, if the text can be a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(Self::from_parts(SchedulerName::new(name)?, SchedulerFlags(0)))
    }
}

impl SchedulerFlags {
    /// The lowest three bits: flag-1, flag-2, flag-3.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl Protocol {
    /// The protocol with this IP number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }

    /// Its IP number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl<A: Into<IpAddr>> From<(A, u16)> for Endpoint {
    fn from((address, port): (A, u16)) -> Self {
        Self::new(address.into(), port)
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.address, endpoint.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::from(*self), f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.pad("TCP"),
            Self::Udp => f.pad("UDP"),
            Self::Sctp => f.pad("SCTP"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// As in `TCP 10.0.0.1:80` and `FWM 7 IPv6`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, endpoint } => write!(f, "{protocol} {endpoint}"),
            Self::Mark {
                mark,
                family: Family::V4,
            } => write!(f, "FWM {mark}"),
            Self::Mark {
                mark,
                family: Family::V6,
            } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The schedulers that take no flags.
const PLAIN: [(&str, Scheduler); 13] = [
    ("rr", Scheduler::RoundRobin),
    ("wrr", Scheduler::WeightedRoundRobin),
    ("lc", Scheduler::LeastConnection),
    ("wlc", Scheduler::WeightedLeastConnection),
    ("lblc", Scheduler::LocalityBasedLeastConnection),
    ("lblcr", Scheduler::LocalityBasedLeastConnectionReplication),
    ("dh", Scheduler::DestinationHash),
    ("sed", Scheduler::ShortestExpectedDelay),
    ("nq", Scheduler::NeverQueue),
    ("fo", Scheduler::FailOver),
    ("ovf", Scheduler::OverFlow),
    ("twos", Scheduler::PowerOfTwo),
    ("none", Scheduler::Disabled),
];

const NONE: SchedulerName = SchedulerName::constant(*b"none\0\0\0\0\0\0\0\0\0\0\0\0", 4);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Family, Granularity, PLAIN, PrefixLength, Scheduler, SchedulerFlags};

    #[test]
    fn every_scheduler_has_its_name_back() {
        for (name, scheduler) in PLAIN {
            assert_eq!(scheduler.name().as_str(), name);
            assert_eq!(Scheduler::from_name(name), Some(scheduler));
        }
        for bits in 0..8 {
            let flags = SchedulerFlags::from_bits(bits);
            for name in ["sh", "mh", "rr", "mine"] {
                let scheduler = Scheduler::from_parts(name.parse().unwrap(), flags);
                assert_eq!((scheduler.name().as_str(), scheduler.flags()), (name, flags));
            }
        }
    }

    #[test]
    fn masks_and_prefixes_are_one_thing() {
        let prefix = Granularity::Prefix(PrefixLength::new(24).unwrap());
        let mask = Ipv4Addr::new(255, 255, 255, 0);
        assert_eq!(prefix.v4(), mask);
        assert_eq!(Granularity::from_v4(mask), prefix);
        assert_eq!(Granularity::from_v4(Ipv4Addr::BROADCAST), Granularity::Address);
        let odd = Ipv4Addr::new(255, 0, 255, 0);
        assert_eq!(Granularity::from_v4(odd), Granularity::Mask(odd));
        assert_eq!(
            Granularity::from_v4(Ipv4Addr::UNSPECIFIED),
            Granularity::Mask(Ipv4Addr::UNSPECIFIED)
        );
        let long = Granularity::Prefix(PrefixLength::new(64).unwrap());
        assert_eq!(long.canonical(Family::V4), Granularity::Address);
        assert_eq!(long.v6(), 64);
        assert_eq!(long.v4(), Ipv4Addr::BROADCAST);
    }
}
