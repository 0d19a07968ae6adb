//! What a round is about: whose programs, which fault, how many virtual routers, and which addresses everybody has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::{DirectorSpec, RouterSpec};
use crate::story::Setting;

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ours.
    Ours,
    /// keepalived.
    Keepalived,
}

/// What happens to the active router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP for two seconds.
    Pause,
    /// It loses carrier.
    Link,
    /// The directors cannot hear each other; the client hears both.
    Partition,
    /// Cut off from everybody, with its carrier.
    Cut,
}

impl Fault {
    /// What a person calls it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Stop => "asked to stop",
            Self::Pause => "paused for two seconds",
            Self::Link => "loses carrier",
            Self::Partition => "cannot hear its peer any more, nor the peer it",
            Self::Cut => "cut off",
        }
    }

    /// The same with "the active router" before it.
    #[must_use]
    pub fn predicate(self) -> String {
        match self {
            Self::Link | Self::Partition => self.words().to_owned(),
            Self::Kill | Self::Stop | Self::Pause | Self::Cut => format!("is {}", self.words()),
        }
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The executable to run as director.
    pub program: String,
    /// The fault.
    pub fault: Fault,
    /// How many virtual routers.
    pub instances: usize,
    /// The interval in centiseconds.
    pub centiseconds: u16,
    /// Whether neither takes the role from a living active router.
    pub nopreempt: bool,
    /// Announce each address once only.
    pub minimal_announcements: bool,
    /// Real-time priority for our directors.
    pub realtime: bool,
}

impl Plan {
    /// How many networks it takes: a network has at most 255 virtual routers.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.instances.div_ceil(PER_NETWORK)
    }

    /// What a director with this priority is told.
    #[must_use]
    pub fn director(&self, priority: u8) -> DirectorSpec {
        let routers = (0..self.instances)
            .map(|number| {
                let network = number / PER_NETWORK;
                let vrid = u8::try_from(number % PER_NETWORK + 1).unwrap_or(u8::MAX);
                RouterSpec {
                    interface: format!("eth{network}"),
                    vrid,
                    priority,
                    centiseconds: self.centiseconds,
                    addresses: vec![format!("{}/16", virtual_address(network, vrid, false))],
                    nopreempt: self.nopreempt,
                    minimal_announcements: self.minimal_announcements,
                    ..RouterSpec::default()
                }
            })
            .collect();
        DirectorSpec {
            routers,
            realtime: self.realtime,
            stagger: Duration::ZERO,
        }
    }

    /// What a round of this plan is about.
    #[must_use]
    pub fn setting(&self, round: usize, kinds: [Kind; 2]) -> Setting {
        let standby = self.director(LOW);
        let allowed = standby.routers.first().map_or(0, |router| {
            if self.fault == Fault::Stop {
                router.skew()
            } else {
                router.active_down()
            }
        });
        Setting {
            round,
            kinds,
            fault: self.fault.words().into(),
            allowed,
            watched: ((0, 1), watched()),
            routers: self.instances,
            silences: self.fault != Fault::Partition,
        }
    }
}

/// The host's own IPv4 address on a network: `10.77+N.0.1` for the first host.
#[must_use]
pub fn ipv4(network: usize, host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77 + byte(network), 0, byte(host) + 1)
}

/// The host's own global IPv6 address on a network.
#[must_use]
pub fn ipv6(network: usize, host: usize) -> Ipv6Addr {
    Ipv6Addr::new(
        0xfd77,
        0,
        0,
        u16::from(byte(network)),
        0,
        0,
        0,
        u16::from(byte(host)) + 1,
    )
}

/// The link-local address of a host, formed from its hardware address.
#[must_use]
pub fn link_local(network: usize, host: usize) -> Ipv6Addr {
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        0,
        0x00ff,
        0xfe00 | u16::from(byte(network)),
        u16::from(byte(host)) + 1,
    )
}

/// The virtual address number `number` (from 1) of a network.
#[must_use]
pub fn virtual_address(network: usize, number: u8, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd77, 0, 0, u16::from(byte(network)), 0, 0, 1, number.into()).into()
    } else {
        Ipv4Addr::new(10, 77 + byte(network), 1, number).into()
    }
}

/// The address the client looks at.
#[must_use]
pub fn watched() -> IpAddr {
    virtual_address(0, 1, false)
}

/// The priorities of the active director and of the one that stands by.
pub const HIGH: u8 = 200;
/// See [`HIGH`].
pub const LOW: u8 = 100;
/// How many virtual routers live on one network.
pub const PER_NETWORK: usize = 250;

pub(crate) fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
