use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::InterfaceName;

/// The kernel thread that copies connections between directors: one sends them (master), one takes them (backup); both may
/// run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel wants, whole")]
pub struct Daemon {
    /// Which of the two.
    pub role: DaemonRole,
    /// The interface that it sends or listens on.
    pub interface: InterfaceName,
    /// Tells groups of directors apart; a backup takes what carries its own number, with 0 all.
    pub sync_id: u8,
    /// The rest, each with the kernel's default where absent. Since Linux 4.3.
    pub options: DaemonOptions,
}

/// Which of the two sync daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the kernel has these two")]
pub enum DaemonRole {
    /// Sends connections.
    Master,
    /// Takes them.
    Backup,
}

/// What a sync daemon need not be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's four attributes")]
pub struct DaemonOptions {
    /// The longest message, in bytes; by default what fits the interface.
    pub max_length: Option<u16>,
    /// The multicast group; by default 224.0.0.81.
    pub group: Option<MulticastGroup>,
    /// The UDP port; by default 8848.
    pub port: Option<u16>,
    /// How far packets go; by default 1.
    pub ttl: Option<u8>,
}

/// A multicast address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MulticastGroup(Group);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Daemon {
    /// A daemon with the kernel's defaults.
    #[must_use]
    pub fn new(role: DaemonRole, interface: InterfaceName, sync_id: u8) -> Self {
        Self {
            role,
            interface,
            sync_id,
            options: DaemonOptions::default(),
        }
    }
}

impl MulticastGroup {
    /// An IPv4 group; `None` if the address is no multicast address.
    #[must_use]
    pub const fn v4(address: Ipv4Addr) -> Option<Self> {
        if address.is_multicast() {
            Some(Self(Group::V4(address)))
        } else {
            None
        }
    }

    /// An IPv6 group; `None` if the address is no multicast address.
    #[must_use]
    pub const fn v6(address: Ipv6Addr) -> Option<Self> {
        if address.is_multicast() {
            Some(Self(Group::V6(address)))
        } else {
            None
        }
    }

    pub(crate) const fn group(self) -> Group {
        self.0
    }
}

impl fmt::Display for MulticastGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Group::V4(address) => fmt::Display::fmt(&address, f),
            Group::V6(address) => fmt::Display::fmt(&address, f),
        }
    }
}

impl fmt::Debug for MulticastGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DaemonRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}
