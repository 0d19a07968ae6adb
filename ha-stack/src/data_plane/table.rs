//! What a load balancer should do, in operators' words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;
use std::sync::Arc;

/// Everything a load balancer should do: rows of virtual servers, and what belongs to the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "data planes of other crates take it apart"
)]
pub struct DesiredTable {
    /// The virtual servers, each front once. One that is the same as in the last table of the same
    /// [`Balancer`](crate::Balancer) is the same [`Arc`] mostly, so it can be passed over without a look at its real servers.
    pub virtual_servers: Vec<Arc<DesiredServer>>,
    /// How long idle connections are kept.
    pub timeouts: ConnectionTimeouts,
    /// How connections are shared with another director: nothing, sending, receiving, or both.
    pub synchronization: Vec<Synchronization>,
    /// Whether the table is ours alone: then what others put there is removed.
    pub exclusive: bool,
}

/// One virtual server, as the data plane sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "data planes of other crates take it apart"
)]
pub struct DesiredServer {
    /// Where requests arrive.
    pub front: Front,
    /// How a real server is picked.
    pub scheduling: Algorithm,
    /// Each datagram is a connection of its own.
    pub one_packet: bool,
    /// Whether a client stays with its real server.
    pub persistence: Option<Persistence>,
    /// How real servers are told who the client is. The kernel cannot do this.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who serves now, in the order of the configuration.
    pub real_servers: Vec<DesiredReal>,
    /// Who is known and must not serve: what failed, say, and has no connections worth keeping. Whoever stands in neither
    /// list gets no new connections, and is removed once it has none; where clients stay with their real server, at once.
    pub absent: Vec<SocketAddr>,
    /// Those of the absent whose connections end now. The kernel cannot end one: it sends nothing more of it to the real
    /// server.
    pub cut: Vec<SocketAddr>,
}

/// One real server that serves now, or that keeps the connections it has (weight 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "data planes of other crates take it apart"
)]
pub struct DesiredReal {
    /// Where it listens.
    pub address: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Its share, 0 to 2,147,483,647; 0 gets no new connections.
    pub weight: u32,
    /// No new connections above so many; 0 for no bound.
    pub upper_threshold: u32,
    /// New connections again below so many.
    pub lower_threshold: u32,
}

/// Where requests arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every kind")]
pub enum Front {
    /// At an address and port; port 0 stands for all ports.
    Address {
        /// Over what.
        transport: Transport,
        /// Where.
        address: SocketAddr,
    },
    /// As packets that the firewall marked.
    Mark {
        /// The mark.
        mark: NonZeroU32,
        /// Whether they are of IPv6.
        ipv6: bool,
    },
}

/// What a virtual server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every kind")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// How a real server is picked: the name the kernel has for it, and its flags.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is the kernel's two words")]
pub struct Algorithm {
    /// `rr`, `wrr`, `lc`, `wlc`, …
    pub name: String,
    /// The three flags as bits. `sh` and `mh` take the first for fallback and the second for the port.
    pub flags: u8,
}

/// How long a client stays with its real server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is what a configuration says")]
pub struct Persistence {
    /// After its last connection, in seconds, 1 to 4,294,967.
    pub seconds: u32,
    /// Which clients count as one.
    pub granularity: Granularity,
    /// What else tells clients apart: the name of a module of the kernel.
    pub engine: Option<String>,
}

/// The [PROXY protocol](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt): who the client is stands before its
/// first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every version")]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Which clients count as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every kind")]
pub enum Granularity {
    /// Each address by itself.
    #[default]
    Address,
    /// Those of a network of this prefix length, 1 to 128.
    Prefix(u8),
    /// Those that this netmask makes equal.
    Netmask(Ipv4Addr),
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every kind")]
pub enum Forwarding {
    /// NAT: the destination is rewritten, and answers come back through here.
    Masquerade,
    /// DR: the frame is sent on as it is.
    DirectRoute,
    /// TUN: the packet is sent on within another.
    Tunnel(Tunnel),
    /// Both addresses are rewritten. The kernel does not do this.
    FullNat,
}

/// Within what a packet is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every kind")]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// The UDP port of the other end.
        port: NonZeroU16,
        /// Its checksum.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Whether it carries a checksum.
        checksum: bool,
    },
}

/// The checksum of a GUE tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle every kind")]
pub enum TunnelChecksum {
    /// None.
    #[default]
    None,
    /// Its own.
    Own,
    /// The checksum of what it carries is left to the other end.
    Remote,
}

/// How long idle connections are kept, in seconds; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's three timeouts")]
pub struct ConnectionTimeouts {
    /// Established TCP connections.
    pub tcp: Option<u32>,
    /// TCP connections after the first FIN.
    pub tcp_fin: Option<u32>,
    /// UDP.
    pub udp: Option<u32>,
}

/// One direction in which connections are shared with another director.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is what a configuration says")]
pub struct Synchronization {
    /// Whether this director tells (it is active) or listens (it is backup).
    pub sends: bool,
    /// Through which interface.
    pub interface: String,
    /// Tells pairs of directors apart.
    pub id: u8,
    /// The longest message in bytes; by default what fits the interface.
    pub max_length: Option<u16>,
    /// The multicast group; by default 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; by default 8848.
    pub port: Option<u16>,
    /// How far messages go; by default 1.
    pub ttl: Option<u8>,
}

impl Front {
    /// Whether it is an address and UDP.
    pub fn is_udp(&self) -> bool {
        match self {
            Self::Address { transport, .. } => *transport == Transport::Udp,
            Self::Mark { .. } => false,
        }
    }

    /// Whether requests are of IPv6.
    pub fn is_ipv6(&self) -> bool {
        match self {
            Self::Address { address, .. } => address.is_ipv6(),
            Self::Mark { ipv6, .. } => *ipv6,
        }
    }

    /// The port; `None` for a mark.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Address { address, .. } => Some(address.port()),
            Self::Mark { .. } => None,
        }
    }
}

/// As in `tcp 10.0.0.1:80`, `fwmark 7` and `fwmark 7 ipv6`.
impl fmt::Display for Front {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { transport, address } => write!(formatter, "{transport} {address}"),
            Self::Mark { mark, ipv6: false } => write!(formatter, "fwmark {mark}"),
            Self::Mark { mark, ipv6: true } => write!(formatter, "fwmark {mark} ipv6"),
        }
    }
}

impl FromStr for Front {
    type Err = NotAFront;

    fn from_str(text: &str) -> Result<Self, NotAFront> {
        let words: Vec<&str> = text.split(' ').collect();
        let mark = |text: &str| text.parse().map_err(|_| NotAFront);
        match words.as_slice() {
            ["fwmark", number] => Ok(Self::Mark {
                mark: mark(number)?,
                ipv6: false,
            }),
            ["fwmark", number, "ipv6"] => Ok(Self::Mark {
                mark: mark(number)?,
                ipv6: true,
            }),
            [transport, address] => Ok(Self::Address {
                transport: Transport::from_word(transport).ok_or(NotAFront)?,
                address: address.parse().map_err(|_| NotAFront)?,
            }),
            _ => Err(NotAFront),
        }
    }
}

/// The text is no [`Front`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a transport and an address nor a mark")]
#[non_exhaustive]
pub struct NotAFront;

impl Transport {
    /// `tcp`, `udp` or `sctp`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|transport| transport.word() == word)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl Forwarding {
    /// `masq`, `droute`, `tunnel` or `fullnat`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Masquerade => "masq",
            Self::DirectRoute => "droute",
            Self::Tunnel(_) => "tunnel",
            Self::FullNat => "fullnat",
        }
    }

    /// Whether a real server can listen on another port than the virtual server.
    pub fn changes_ports(self) -> bool {
        match self {
            Self::Masquerade | Self::FullNat => true,
            Self::DirectRoute | Self::Tunnel(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_read_as_it_is_written() {
        for text in [
            "tcp 10.0.0.1:80",
            "udp [2001:db8::1]:53",
            "sctp 10.0.0.1:0",
            "fwmark 7",
            "fwmark 7 ipv6",
        ] {
            assert_eq!(text.parse::<Front>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "tcp",
            "icmp 10.0.0.1:80",
            "fwmark 0",
            "fwmark 7 ipv4",
            "tcp 10.0.0.1:80 ",
        ] {
            assert_eq!(text.parse::<Front>(), Err(NotAFront), "{text}");
        }
    }
}
