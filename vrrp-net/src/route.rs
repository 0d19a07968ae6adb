//! Routes and rules that come and go with the active role.

use std::net::IpAddr;
use std::ops::RangeInclusive;

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
    pub(crate) metrics: Vec<RouteMetric>,
    pub(crate) locked: Vec<RouteMetric>,
    pub(crate) congestion_control: Option<(String, bool)>,
    pub(crate) onlink: bool,
    pub(crate) order: RouteOrder,
    pub(crate) next_hops: Vec<NextHop>,
    pub(crate) from: Option<(IpAddr, u8)>,
    pub(crate) tos: u8,
    pub(crate) protocol: u8,
    pub(crate) realms: Option<u32>,
    pub(crate) preference: Option<RouterPreference>,
    pub(crate) expires: Option<u32>,
    pub(crate) ttl_propagate: Option<bool>,
    pub(crate) tracked: bool,
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
            metrics: Vec::new(),
            locked: Vec::new(),
            congestion_control: None,
            onlink: false,
            order: RouteOrder::default(),
            next_hops: Vec::new(),
            from: None,
            tos: 0,
            protocol: PROTOCOL,
            realms: None,
            preference: None,
            expires: None,
            ttl_propagate: None,
            tracked: true,
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
    pub fn mtu(self, mtu: u32) -> Self {
        self.tuned(RouteMetric::Mtu(mtu))
    }

    /// Sets something that the kernel would otherwise measure or take from the system.
    #[must_use]
    pub fn tuned(mut self, metric: RouteMetric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// The same, and what is measured on the path does not change it.
    #[must_use]
    pub fn locked(mut self, metric: RouteMetric) -> Self {
        self.metrics.push(metric);
        self.locked.push(metric);
        self
    }

    /// The congestion control of TCP along this route, by its name; locked, connections cannot choose another.
    #[must_use]
    pub fn congestion_control(mut self, name: &str, lock: bool) -> Self {
        self.congestion_control = Some((name.into(), lock));
        self
    }

    /// Only for packets from this network (IPv6).
    #[must_use]
    pub fn from(mut self, network: IpAddr, prefix_len: u8) -> Self {
        self.from = Some((network, prefix_len));
        self
    }

    /// Only for packets with this type of service (IPv4).
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// Who is written down as the route's author. The default is keepalived's number, 18. Only routes of that number are
    /// put back when somebody deletes them: of others the driver does not hear, so that it need not read along when a
    /// routing daemon changes thousands.
    #[must_use]
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = protocol;
        self
    }

    /// The realms, as the kernel counts them: that of the source in the upper half, that of the destination in the lower.
    #[must_use]
    pub fn realms(mut self, realms: u32) -> Self {
        self.realms = Some(realms);
        self
    }

    /// How this router compares with others that were advertised (IPv6).
    #[must_use]
    pub fn router_preference(mut self, preference: RouterPreference) -> Self {
        self.preference = Some(preference);
        self
    }

    /// The kernel removes the route after so many seconds (IPv6). It is not put back then.
    #[must_use]
    pub fn expires(mut self, seconds: u32) -> Self {
        self.expires = Some(seconds);
        self
    }

    /// Whether the time to live is carried into and out of MPLS.
    #[must_use]
    pub fn ttl_propagate(mut self, propagate: bool) -> Self {
        self.ttl_propagate = Some(propagate);
        self
    }

    /// Leaves it to whoever deletes it: it is not put back.
    #[must_use]
    pub fn untracked(mut self) -> Self {
        self.tracked = false;
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
        self.order = RouteOrder::Append;
        self
    }

    /// Adds the route before equal ones instead of replacing them.
    #[must_use]
    pub fn prepend(mut self) -> Self {
        self.order = RouteOrder::Prepend;
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

    /// Whether this is the route that vanished, and it is to be put back.
    #[must_use]
    pub fn misses(&self, gone: &GoneRoute) -> bool {
        self.is_kept()
            && self.destination == gone.destination
            && self.prefix_len == gone.prefix_len
            && self.table == gone.table
            && self.metric.is_none_or(|metric| metric == gone.metric)
    }

    /// Whether it is to be there whoever deletes it.
    pub(crate) fn is_kept(&self) -> bool {
        self.tracked && self.expires.is_none()
    }

    #[cfg(target_os = "linux")]
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

/// Where a route stands among equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum RouteOrder {
    #[default]
    Replace,
    Append,
    Prepend,
}

/// Something about the path of a route (`ip-route(8)`, `RTAX_*` of `linux/rtnetlink.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteMetric {
    /// The largest packet, in bytes.
    Mtu(u32),
    /// The most that is advertised as a TCP window, in bytes.
    Window(u32),
    /// The round-trip time to begin with, in eighths of a millisecond.
    RoundTripTime(u32),
    /// Its variance to begin with, in quarters of a millisecond.
    RoundTripVariance(u32),
    /// The slow start threshold, in segments.
    SlowStartThreshold(u32),
    /// The most that the congestion window grows to, in segments.
    CongestionWindow(u32),
    /// The segment size that TCP peers are told, in bytes.
    AdvertisedSegment(u32),
    /// How far segments may be reordered before one counts as lost.
    Reordering(u32),
    /// The hop limit or time to live.
    HopLimit(u32),
    /// The congestion window to begin with, in segments.
    InitialCongestionWindow(u32),
    /// Bits for `RTAX_FEATURE_*`: 1 is explicit congestion notification.
    Features(u32),
    /// The least time before something is sent again, in milliseconds.
    LeastRetransmission(u32),
    /// The receive window to begin with, in segments.
    InitialReceiveWindow(u32),
    /// 1: acknowledgements are sent at once.
    QuickAcknowledgement(u32),
    /// 1: TCP Fast Open without a cookie.
    FastOpenWithoutCookie(u32),
}

/// How a router compares with others ([RFC 4191 §2.1](https://www.rfc-editor.org/rfc/rfc4191#section-2.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "two bits, and one value of them is reserved"
)]
pub enum RouterPreference {
    /// Only where there is no other.
    Low,
    /// As any.
    Medium,
    /// Before others.
    High,
}

/// A route that has vanished from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what tells routes apart")]
pub struct GoneRoute {
    /// Where it led.
    pub destination: IpAddr,
    /// The length of that prefix.
    pub prefix_len: u8,
    /// Its table.
    pub table: u32,
    /// Its metric; zero where it had none.
    pub metric: u32,
}

/// A rule that has vanished from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what tells rules apart")]
pub struct GoneRule {
    /// Its family.
    pub family: AddressFamily,
    /// Its place in the list.
    pub preference: u32,
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
    /// Its share, 1 to 256.
    pub weight: u16,
    /// The router is on the link, although no network covers it.
    pub onlink: bool,
    /// The realms, as the kernel counts them.
    pub realms: Option<u32>,
}

impl Default for NextHop {
    /// Nowhere yet, with a share of one.
    fn default() -> Self {
        Self {
            gateway: None,
            device: None,
            weight: 1,
            onlink: false,
            realms: None,
        }
    }
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
    pub(crate) protocol: u8,
    pub(crate) realms: Option<u32>,
    pub(crate) suppressed_length: Option<u32>,
    pub(crate) suppressed_group: Option<u32>,
    pub(crate) users: Option<RangeInclusive<u32>>,
    pub(crate) ip_protocol: Option<u8>,
    pub(crate) source_ports: Option<RangeInclusive<u16>>,
    pub(crate) destination_ports: Option<RangeInclusive<u16>>,
    pub(crate) tunnel: Option<u64>,
    pub(crate) tracked: bool,
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
            protocol: PROTOCOL,
            realms: None,
            suppressed_length: None,
            suppressed_group: None,
            users: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            tunnel: None,
            tracked: true,
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

    /// Who is written down as the rule's author. The default is keepalived's number, 18.
    #[must_use]
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = protocol;
        self
    }

    /// The realms that packets get (IPv4): that of the source in the upper half, that of the destination in the lower.
    #[must_use]
    pub fn realms(mut self, realms: u32) -> Self {
        self.realms = Some(realms);
        self
    }

    /// Takes no answer of the table whose prefix is of this length or shorter.
    #[must_use]
    pub fn suppress_prefix_length(mut self, length: u32) -> Self {
        self.suppressed_length = Some(length);
        self
    }

    /// Takes no answer of the table that leads out of this group of interfaces.
    #[must_use]
    pub fn suppress_interface_group(mut self, group: u32) -> Self {
        self.suppressed_group = Some(group);
        self
    }

    /// Only packets of sockets of these users.
    #[must_use]
    pub fn users(mut self, users: RangeInclusive<u32>) -> Self {
        self.users = Some(users);
        self
    }

    /// Only packets of this protocol.
    #[must_use]
    pub fn ip_protocol(mut self, protocol: u8) -> Self {
        self.ip_protocol = Some(protocol);
        self
    }

    /// Only packets from these ports.
    #[must_use]
    pub fn source_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.source_ports = Some(ports);
        self
    }

    /// Only packets to these ports.
    #[must_use]
    pub fn destination_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.destination_ports = Some(ports);
        self
    }

    /// Only packets of the tunnel with this number.
    #[must_use]
    pub fn tunnel(mut self, number: u64) -> Self {
        self.tunnel = Some(number);
        self
    }

    /// Leaves it to whoever deletes it: it is not put back.
    #[must_use]
    pub fn untracked(mut self) -> Self {
        self.tracked = false;
        self
    }

    /// Whether this may be the rule that vanished, and it is to be put back.
    #[must_use]
    pub fn misses(&self, gone: &GoneRule) -> bool {
        self.tracked && self.family == gone.family && self.preference == gone.preference
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
    /// Look into the table of the VRF that the packet belongs to.
    VrfTable,
    /// Go on at the rule with this preference.
    Goto(u32),
    /// Drop silently.
    Blackhole,
    /// Drop and say "unreachable".
    Unreachable,
    /// Drop and say "prohibited".
    Prohibit,
}

/// The number of the main routing table.
const MAIN_TABLE: u32 = 254;

/// keepalived's number in `/etc/iproute2/rt_protos`: tools already show routes that carry it as the failover daemon's.
pub(crate) const PROTOCOL: u8 = 18;
