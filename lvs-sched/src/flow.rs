//! The flow that asks for a back end.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a scheduler may know of a new flow.
///
/// The hashing schedulers look at it: `sh` and `mh` at the source (and its port, when told), `dh`, `lblc` and `lblcr` at
/// the destination, persistence at the source. To the others any flow is like another: [`Flow::ANY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The client's address.
    pub source: IpAddr,
    /// The client's port.
    pub source_port: u16,
    /// The address the client asked for; in a proxy for many sites, whatever names the site.
    pub destination: IpAddr,
    /// The port the client asked for.
    pub destination_port: u16,
}

impl Flow {
    /// A flow of which nothing is known.
    pub const ANY: Self = Self {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        source_port: 0,
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination_port: 0,
    };

    /// A flow from a client to an address.
    #[must_use]
    pub const fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source: source.ip(),
            source_port: source.port(),
            destination: destination.ip(),
            destination_port: destination.port(),
        }
    }

    /// A flow from a client, where all clients ask for the same address.
    #[must_use]
    pub const fn from_client(source: SocketAddr) -> Self {
        Self {
            source: source.ip(),
            source_port: source.port(),
            ..Self::ANY
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::ANY
    }
}

impl From<SocketAddr> for Flow {
    fn from(source: SocketAddr) -> Self {
        Self::from_client(source)
    }
}
