//! What can be checked, as plain values that can be compared: equal checks are made once.

#[cfg(feature = "dialogue")]
mod dialogue;
#[cfg(feature = "dns")]
mod dns;
#[cfg(any(feature = "http", feature = "dialogue"))]
mod expect;
mod external;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "icmp")]
mod ping;
#[cfg(feature = "script")]
mod script;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "udp")]
mod udp;

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

#[cfg(feature = "dialogue")]
pub use dialogue::{Dialogue, DialogueStep};
#[cfg(feature = "dns")]
pub use dns::Dns;
#[cfg(any(feature = "http", feature = "dialogue"))]
pub use expect::Expect;
#[cfg(feature = "regex")]
pub use expect::Pattern;
pub use external::{External, Reporter};
#[cfg(feature = "file")]
pub use file::File;
#[cfg(feature = "http")]
pub use http::{Http, HttpVersion, Method, Request, StatusRange};
#[cfg(feature = "http2")]
pub use http2::{Grpc, Http2};
#[cfg(feature = "icmp")]
pub use ping::Ping;
#[cfg(feature = "script")]
pub use script::Script;
pub use tcp::{Close, Tcp};
#[cfg(all(fuzzing, feature = "tls"))]
pub(crate) use tls::not_after;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsBuilder};
#[cfg(feature = "udp")]
pub use udp::Udp;

use crate::conversation::Conversation;
#[cfg(feature = "tls")]
use crate::conversation::Progress;
use crate::error::Error;
#[cfg(feature = "tls")]
use crate::failure::Stage;
use crate::layer::Layer;
use crate::monitor::Plan;
use crate::probe::CustomProbe;

/// One check: where, and what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    pub(crate) endpoint: Endpoint,
    pub(crate) kind: Kind,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

impl Check {
    /// A check of this kind at this place.
    pub fn new(endpoint: impl Into<Endpoint>, kind: impl Into<Kind>) -> Self {
        Self {
            endpoint: endpoint.into(),
            kind: kind.into(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// A check of this kind that goes nowhere over the network: a script, a file, an external verdict.
    pub fn local(kind: impl Into<Kind>) -> Self {
        Self::new(NOWHERE, kind)
    }

    /// The same over TLS. Checks that do not talk over a connection are not changed by it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn over(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What is said over the connection, for the checks that say something: to be driven over another one, by a test or a
    /// fuzzer. Encryption is not part of it.
    pub fn conversation(&self) -> Option<Box<dyn Conversation>> {
        self.kind.conversation(&self.endpoint)
    }

    /// A session of encryption, if this check asks for one.
    pub(crate) fn layer(&self) -> Result<Option<Box<dyn Layer>>, Error> {
        #[cfg(feature = "tls")]
        {
            let ((Some(tls), _) | (None, Kind::Tls(tls))) = (&self.tls, &self.kind) else {
                return Ok(None);
            };
            tls.session(self.endpoint.addr.ip()).map(Some)
        }
        #[cfg(not(feature = "tls"))]
        Ok(None)
    }

    /// A TCP connection, half open where the kernel allows: see [`Tcp`].
    pub fn tcp(endpoint: impl Into<Endpoint>) -> Self {
        Self::new(endpoint, Tcp::default())
    }

    /// The same at another place.
    #[must_use]
    pub fn at(mut self, addr: SocketAddr) -> Self {
        self.endpoint.addr = addr;
        self
    }

    /// Where.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }
}

impl Plan for Check {
    fn lane(&self) -> u8 {
        self.kind.lane()
    }

    fn host(&self) -> Option<IpAddr> {
        let ip = self.endpoint.addr.ip();
        (!ip.is_unspecified()).then_some(ip)
    }
}

/// The kinds of check there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A TCP connection.
    Tcp(Tcp),
    /// An ICMP echo.
    #[cfg(feature = "icmp")]
    Ping(Ping),
    /// One or several HTTP/1.1 requests.
    #[cfg(feature = "http")]
    Http(Http),
    /// Send and expect.
    #[cfg(feature = "dialogue")]
    Dialogue(Dialogue),
    /// A handshake of TLS, and nothing said over it.
    #[cfg(feature = "tls")]
    Tls(Tls),
    /// A request over HTTP/2.
    #[cfg(feature = "http2")]
    Http2(Http2),
    /// The health service of gRPC.
    #[cfg(feature = "http2")]
    Grpc(Grpc),
    /// A question to a name server.
    #[cfg(feature = "dns")]
    Dns(Dns),
    /// A datagram.
    #[cfg(feature = "udp")]
    Udp(Udp),
    /// A program.
    #[cfg(feature = "script")]
    Script(Script),
    /// A number in a file.
    #[cfg(feature = "file")]
    File(File),
    /// What somebody else reports.
    External(External),
    /// The user's own.
    Custom(CustomProbe),
}

impl Kind {
    /// One word for it, as a status shows: `tcp`, `http`, `grpc`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            #[cfg(feature = "icmp")]
            Self::Ping(_) => "ping",
            #[cfg(feature = "http")]
            Self::Http(_) => "http",
            #[cfg(feature = "dialogue")]
            Self::Dialogue(_) => "dialogue",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "tls",
            #[cfg(feature = "http2")]
            Self::Http2(_) => "http2",
            #[cfg(feature = "http2")]
            Self::Grpc(_) => "grpc",
            #[cfg(feature = "dns")]
            Self::Dns(_) => "dns",
            #[cfg(feature = "udp")]
            Self::Udp(_) => "udp",
            #[cfg(feature = "script")]
            Self::Script(_) => "script",
            #[cfg(feature = "file")]
            Self::File(_) => "file",
            Self::External(_) => "external",
            Self::Custom(_) => "custom",
        }
    }
}

impl From<Tcp> for Kind {
    fn from(tcp: Tcp) -> Self {
        Self::Tcp(tcp)
    }
}

#[cfg(feature = "icmp")]
impl From<Ping> for Kind {
    fn from(ping: Ping) -> Self {
        Self::Ping(ping)
    }
}

#[cfg(feature = "http")]
impl From<Http> for Kind {
    fn from(http: Http) -> Self {
        Self::Http(http)
    }
}

#[cfg(feature = "dialogue")]
impl From<Dialogue> for Kind {
    fn from(dialogue: Dialogue) -> Self {
        Self::Dialogue(dialogue)
    }
}

#[cfg(feature = "tls")]
impl From<Tls> for Kind {
    fn from(tls: Tls) -> Self {
        Self::Tls(tls)
    }
}

#[cfg(feature = "http2")]
impl From<Http2> for Kind {
    fn from(http2: Http2) -> Self {
        Self::Http2(http2)
    }
}

#[cfg(feature = "http2")]
impl From<Grpc> for Kind {
    fn from(grpc: Grpc) -> Self {
        Self::Grpc(grpc)
    }
}

#[cfg(feature = "dns")]
impl From<Dns> for Kind {
    fn from(dns: Dns) -> Self {
        Self::Dns(dns)
    }
}

#[cfg(feature = "udp")]
impl From<Udp> for Kind {
    fn from(udp: Udp) -> Self {
        Self::Udp(udp)
    }
}

#[cfg(feature = "script")]
impl From<Script> for Kind {
    fn from(script: Script) -> Self {
        Self::Script(script)
    }
}

#[cfg(feature = "file")]
impl From<File> for Kind {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}

impl From<External> for Kind {
    fn from(external: External) -> Self {
        Self::External(external)
    }
}

impl From<CustomProbe> for Kind {
    fn from(probe: CustomProbe) -> Self {
        Self::Custom(probe)
    }
}

impl Kind {
    pub(crate) const fn lane(&self) -> u8 {
        match self {
            #[cfg(feature = "icmp")]
            Self::Ping(_) => LANE_PING,
            #[cfg(feature = "script")]
            Self::Script(_) => LANE_SCRIPT,
            #[cfg(feature = "file")]
            Self::File(_) => LANE_LOCAL,
            Self::External(_) => LANE_LOCAL,
            Self::Custom(_) => LANE_CUSTOM,
            Self::Tcp(_) => LANE_CONNECTION,
            #[cfg(any(
                feature = "http",
                feature = "dialogue",
                feature = "tls",
                feature = "http2",
                feature = "dns",
                feature = "udp"
            ))]
            _ => LANE_CONNECTION,
        }
    }

    /// What is said over a connection, for the kinds that say something.
    fn conversation(&self, endpoint: &Endpoint) -> Option<Box<dyn Conversation>> {
        let _ = endpoint;
        match self {
            #[cfg(feature = "http")]
            Self::Http(http) => Some(http.conversation(endpoint.addr)),
            #[cfg(feature = "dialogue")]
            Self::Dialogue(dialogue) => Some(dialogue.conversation()),
            #[cfg(feature = "http2")]
            Self::Http2(http2) => Some(http2.conversation(endpoint.addr)),
            #[cfg(feature = "http2")]
            Self::Grpc(grpc) => Some(grpc.conversation(endpoint.addr)),
            #[cfg(feature = "tls")]
            Self::Tls(_) => Some(Box::new(Silence)),
            _ => None,
        }
    }
}

/// A conversation in which nothing is said: that it can begin is all that is asked.
#[cfg(feature = "tls")]
struct Silence;

#[cfg(feature = "tls")]
impl Conversation for Silence {
    fn open(&mut self, _: &mut Vec<u8>) -> Progress {
        Progress::PASSED
    }

    fn receive(&mut self, _: &[u8], _: &mut Vec<u8>) -> Progress {
        Progress::PASSED
    }

    fn closed(&mut self) -> Progress {
        Progress::PASSED
    }

    fn stage(&self) -> Stage {
        Stage::Handshake
    }
}

pub(crate) const LANE_CONNECTION: u8 = 0;
#[allow(dead_code, reason = "without echoes nobody is in this lane")]
pub(crate) const LANE_PING: u8 = 1;
pub(crate) const LANE_SCRIPT: u8 = 2;
pub(crate) const LANE_CUSTOM: u8 = 3;
pub(crate) const LANE_LOCAL: u8 = 4;
pub(crate) const LANES: u8 = 5;

/// The place of checks that have none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Where a check goes and how it gets there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address and port. To test the real path of a load balancer, this is the virtual address, and
    /// [`NetOptions::mark`] selects the real server.
    pub addr: SocketAddr,
    /// Everything unusual about the way; `None` for the ordinary.
    pub net: Option<Arc<NetOptions>>,
}

impl Endpoint {
    /// The same place by another way.
    #[must_use]
    pub fn via(mut self, net: Arc<NetOptions>) -> Self {
        self.net = (*net != NetOptions::default()).then_some(net);
        self
    }

    pub(crate) const fn is_v6(&self) -> bool {
        self.addr.is_ipv6()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addr)?;
        self.net.as_ref().map_or(Ok(()), |net| write!(f, " via {net:?}"))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, net: None }
    }
}

impl From<IpAddr> for Endpoint {
    /// For checks that have no port.
    fn from(ip: IpAddr) -> Self {
        Self::from(SocketAddr::new(ip, 0))
    }
}

impl From<(Ipv4Addr, u16)> for Endpoint {
    fn from((ip, port): (Ipv4Addr, u16)) -> Self {
        Self::from(SocketAddr::from((ip, port)))
    }
}

impl From<(Ipv6Addr, u16)> for Endpoint {
    fn from((ip, port): (Ipv6Addr, u16)) -> Self {
        Self::from(SocketAddr::from((ip, port)))
    }
}

impl From<([u8; 4], u16)> for Endpoint {
    fn from(addr: ([u8; 4], u16)) -> Self {
        Self::from(SocketAddr::from(addr))
    }
}

/// How a check leaves this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetOptions {
    /// The source address (keepalived's `bindto`).
    pub source: Option<IpAddr>,
    /// The source port (keepalived's `bind_port`); zero lets the kernel choose. A fixed port can serve one attempt at a
    /// time towards each endpoint.
    pub source_port: u16,
    /// The interface (keepalived's `bind_if`).
    pub device: Option<String>,
    /// The firewall mark of every packet (keepalived's `fwmark`); needs `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
    /// The type-of-service byte (traffic class in IPv6).
    pub tos: Option<u8>,
}
