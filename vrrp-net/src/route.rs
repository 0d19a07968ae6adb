//! Routes and rules that come and go with the active role.

use std::net::IpAddr;

use vrrp_proto::AddressFamily;

use crate::address::{Scope, family_of};

/// A route that the active router adds and removes.
///
/// Built from a destination, then given what it needs: `VirtualRoute::new(network, 8).gateway(g).device("eth0")`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VirtualRoute {
    pub(crate) destination: IpAddr,
    pub(crate) prefix_len: u8,
    pub(crate) kind: RouteKind,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) device: Option<String>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) table: u32,
    pub(crate) metric: Option<u32>,
    pub(crate) scope: Option<Scope>,
    pub(crate) mtu: Option<u32>,
    pub(crate) onlink: bool,
    pub(crate) append: bool,
    pub(crate) next_hops: Vec<NextHop>,
}

impl VirtualRoute {
    /// A route to a network, in the main table; `None` when the prefix length does not fit the family.
    #[must_use]
    pub fn new(destination: IpAddr, prefix_len: u8) -> Option<Self> {
        let longest = if destination.is_ipv4() { 32 } else { 128 };
        (prefix_len <= longest).then_some(Self {
            destination,
            prefix_len,
            kind: RouteKind::Unicast,
            gateway: None,
            device: None,
            source: None,
            table: MAIN_TABLE,
            metric: None,
            scope: None,
            mtu: None,
            onlink: false,
            append: false,
            next_hops: Vec::new(),
        })
    }

    /// What becomes of the packets. The default is [`RouteKind::Unicast`].
    #[must_use]
    pub fn kind(mut self, kind: RouteKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sends them to this router.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Sends them out of this interface.
    #[must_use]
    pub fn device(mut self, name: &str) -> Self {
        self.device = Some(name.into());
        self
    }

    /// The source address the host prefers along this route.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The routing table, by number. The default is the main table.
    #[must_use]
    pub fn table(mut self, table: u32) -> Self {
        self.table = table;
        self
    }

    /// The metric; lower wins.
    #[must_use]
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// The scope. By default link scope without a gateway, global with one, as iproute2 does.
    #[must_use]
    pub fn scoped(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The path's largest packet.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Treats the gateway as reachable although no network covers it.
    #[must_use]
    pub fn onlink(mut self) -> Self {
        self.onlink = true;
        self
    }

    /// Adds the route behind equal ones instead of replacing them.
    #[must_use]
    pub fn append(mut self) -> Self {
        self.append = true;
        self
    }

    /// Adds one of several ways to go.
    #[must_use]
    pub fn next_hop(mut self, hop: NextHop) -> Self {
        self.next_hops.push(hop);
        self
    }

    /// The address family.
    #[must_use]
    pub fn family(&self) -> AddressFamily {
        family_of(self.destination)
    }

    pub(crate) fn scope(&self) -> Scope {
        if let Some(scope) = self.scope {
            return scope;
        }
        let direct = self.destination.is_ipv4()
            && self.gateway.is_none()
            && self.next_hops.is_empty()
            && self.kind == RouteKind::Unicast;
        if direct { Scope::Link } else { Scope::Global }
    }
}

/// What becomes of the packets a route matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RouteKind {
    /// They are sent on.
    #[default]
    Unicast,
    /// Dropped silently.
    Blackhole,
    /// Dropped; the sender hears "unreachable".
    Unreachable,
    /// Dropped; the sender hears "prohibited".
    Prohibit,
    /// This table has no answer; the next rule decides.
    Throw,
}

/// One of several ways along a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The router, if not the destination itself.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub device: Option<String>,
    /// Its share, 1 to 255.
    pub weight: u8,
}

/// A routing rule that the active router adds and removes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VirtualRule {
    pub(crate) family: AddressFamily,
    pub(crate) preference: u32,
    pub(crate) action: RuleAction,
    pub(crate) from: Option<(IpAddr, u8)>,
    pub(crate) to: Option<(IpAddr, u8)>,
    pub(crate) mark: Option<(u32, u32)>,
    pub(crate) incoming: Option<String>,
    pub(crate) outgoing: Option<String>,
    pub(crate) tos: u8,
    pub(crate) invert: bool,
}

impl VirtualRule {
    /// A rule for all packets of a family; `preference` is its place in the list.
    #[must_use]
    pub fn new(family: AddressFamily, preference: u32, action: RuleAction) -> Self {
        Self {
            family,
            preference,
            action,
            from: None,
            to: None,
            mark: None,
            incoming: None,
            outgoing: None,
            tos: 0,
            invert: false,
        }
    }

    /// Only packets from this network.
    #[must_use]
    pub fn from(mut self, network: IpAddr, prefix_len: u8) -> Self {
        self.from = Some((network, prefix_len));
        self
    }

    /// Only packets to this network.
    #[must_use]
    pub fn to(mut self, network: IpAddr, prefix_len: u8) -> Self {
        self.to = Some((network, prefix_len));
        self
    }

    /// Only packets whose firewall mark has this value under this mask.
    #[must_use]
    pub fn mark(mut self, mark: u32, mask: u32) -> Self {
        self.mark = Some((mark, mask));
        self
    }

    /// Only packets that came in by this interface.
    #[must_use]
    pub fn incoming(mut self, name: &str) -> Self {
        self.incoming = Some(name.into());
        self
    }

    /// Only packets of sockets bound to this interface.
    #[must_use]
    pub fn outgoing(mut self, name: &str) -> Self {
        self.outgoing = Some(name.into());
        self
    }

    /// Only packets with this type of service.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// Only packets that the rest of the rule does not describe.
    #[must_use]
    pub fn invert(mut self) -> Self {
        self.invert = true;
        self
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuleAction {
    /// Look into this table.
    Table(u32),
    /// Drop silently.
    Blackhole,
    /// Drop and say "unreachable".
    Unreachable,
    /// Drop and say "prohibited".
    Prohibit,
}

/// The number of the main routing table.
const MAIN_TABLE: u32 = 254;
