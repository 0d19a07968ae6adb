//! rtnetlink messages about routes and rules. Numbers are those of `linux/rtnetlink.h` and `linux/fib_rules.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use netlink_batch::Change;
use vrrp_proto::AddressFamily;

use super::message::{
    AF_INET, AF_INET6, RTM_DELROUTE, RTM_DELRULE, RTM_NEWROUTE, RTM_NEWRULE, Request, family_number, finish,
    ip_address, put, put_address, put_text, start, take_attribute, u32_at,
};
use crate::route::{
    GoneRoute, GoneRule, RouteKind, RouteMetric, RouteOrder, RouterPreference, RuleAction, VirtualRoute,
    VirtualRule,
};

/// Adds or removes a route; `index_of` knows the interfaces.
pub(crate) fn route(route: &VirtualRoute, add: bool, index_of: &dyn Fn(&str) -> u32) -> Request {
    let mut body = Vec::with_capacity(96);
    let table = route.table;
    let kind = match route.kind {
        RouteKind::Unicast => 1,
        RouteKind::Blackhole => 6,
        RouteKind::Unreachable => 7,
        RouteKind::Prohibit => 8,
        RouteKind::Throw => 9,
    };
    body.extend_from_slice(&[
        family_number(route.destination),
        route.prefix_len,
        route.from.map_or(0, |(_, length)| length),
        route.tos,
        u8::try_from(table).unwrap_or(0),
        route.protocol,
        route.scope().number(),
        kind,
    ]);
    let onlink = if route.onlink { RTNH_F_ONLINK } else { 0 };
    let single = route.next_hops.is_empty();
    body.extend_from_slice(&u32::from(if single { onlink } else { 0 }).to_ne_bytes());
    if route.prefix_len != 0 {
        put_address(&mut body, RTA_DST, route.destination);
    }
    if let Some((network, _)) = route.from {
        put_address(&mut body, RTA_SRC, network);
    }
    put(&mut body, RTA_TABLE, &table.to_ne_bytes());
    if let Some(gateway) = route.gateway {
        put_gateway(&mut body, route.destination, gateway);
    }
    if let Some(device) = &route.device {
        put(&mut body, RTA_OIF, &index_of(device).to_ne_bytes());
    }
    if let Some(source) = route.source {
        put_address(&mut body, RTA_PREFSRC, source);
    }
    if let Some(metric) = route.metric {
        put(&mut body, RTA_PRIORITY, &metric.to_ne_bytes());
    }
    put_metrics(&mut body, route);
    if let Some(realms) = route.realms {
        put(&mut body, RTA_FLOW, &realms.to_ne_bytes());
    }
    if let Some(preference) = route.preference {
        let bits = match preference {
            RouterPreference::Medium => 0,
            RouterPreference::High => 1,
            RouterPreference::Low => 3,
        };
        put(&mut body, RTA_PREF, &[bits]);
    }
    if let Some(seconds) = route.expires {
        put(&mut body, RTA_EXPIRES, &seconds.to_ne_bytes());
    }
    if let Some(propagate) = route.ttl_propagate {
        put(&mut body, RTA_TTL_PROPAGATE, &[u8::from(propagate)]);
    }
    if !single {
        let multipath = start(&mut body, RTA_MULTIPATH);
        for hop in &route.next_hops {
            let begin = body.len();
            let flags = if hop.onlink { RTNH_F_ONLINK } else { onlink };
            let others = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
            body.extend_from_slice(&[0, 0, flags, others]);
            let index = hop.device.as_deref().map_or(0, index_of);
            body.extend_from_slice(&index.to_ne_bytes());
            if let Some(gateway) = hop.gateway {
                put_gateway(&mut body, route.destination, gateway);
            }
            if let Some(realms) = hop.realms {
                put(&mut body, RTA_FLOW, &realms.to_ne_bytes());
            }
            finish(&mut body, begin);
        }
        finish(&mut body, multipath);
    }
    Request {
        kind: if add { RTM_NEWROUTE } else { RTM_DELROUTE },
        change: match (add, route.order) {
            (false, _) => Change::PLAIN,
            (true, RouteOrder::Replace) => Change::CREATE_OR_REPLACE,
            (true, RouteOrder::Append) => Change::APPEND,
            (true, RouteOrder::Prepend) => Change::CREATE,
        },
        body,
    }
}

/// A gateway of the other family has an attribute of its own.
fn put_gateway(body: &mut Vec<u8>, destination: IpAddr, gateway: IpAddr) {
    match gateway {
        IpAddr::V6(address) if destination.is_ipv4() => {
            let begin = start(body, RTA_VIA);
            body.extend_from_slice(&u16::from(AF_INET6).to_ne_bytes());
            body.extend_from_slice(&address.octets());
            finish(body, begin);
        }
        gateway => put_address(body, RTA_GATEWAY, gateway),
    }
}

fn put_metrics(body: &mut Vec<u8>, route: &VirtualRoute) {
    if route.metrics.is_empty() && route.congestion_control.is_none() {
        return;
    }
    let metrics = start(body, RTA_METRICS);
    let mut locked = route.locked.iter().fold(0, |bits: u32, metric| {
        let (kind, _) = number_of(*metric);
        bits | 1 << kind
    });
    if let Some((_, true)) = &route.congestion_control {
        locked |= 1 << RTAX_CC_ALGO;
    }
    if locked != 0 {
        put(body, RTAX_LOCK, &locked.to_ne_bytes());
    }
    for metric in &route.metrics {
        let (kind, value) = number_of(*metric);
        put(body, kind, &value.to_ne_bytes());
    }
    if let Some((name, _)) = &route.congestion_control {
        put_text(body, RTAX_CC_ALGO, name);
    }
    finish(body, metrics);
}

/// The kernel's number for a metric, and its value.
fn number_of(metric: RouteMetric) -> (u16, u32) {
    match metric {
        RouteMetric::Mtu(value) => (2, value),
        RouteMetric::Window(value) => (3, value),
        RouteMetric::RoundTripTime(value) => (4, value),
        RouteMetric::RoundTripVariance(value) => (5, value),
        RouteMetric::SlowStartThreshold(value) => (6, value),
        RouteMetric::CongestionWindow(value) => (7, value),
        RouteMetric::AdvertisedSegment(value) => (8, value),
        RouteMetric::Reordering(value) => (9, value),
        RouteMetric::HopLimit(value) => (10, value),
        RouteMetric::InitialCongestionWindow(value) => (11, value),
        RouteMetric::Features(value) => (12, value),
        RouteMetric::LeastRetransmission(value) => (13, value),
        RouteMetric::InitialReceiveWindow(value) => (14, value),
        RouteMetric::QuickAcknowledgement(value) => (15, value),
        RouteMetric::FastOpenWithoutCookie(value) => (17, value),
    }
}

/// Adds or removes a routing rule.
pub(crate) fn rule(rule: &VirtualRule, add: bool) -> Request {
    let mut body = Vec::with_capacity(96);
    let action = match rule.action {
        RuleAction::Table(_) | RuleAction::VrfTable => 1,
        RuleAction::Goto(_) => 2,
        RuleAction::Blackhole => 6,
        RuleAction::Unreachable => 7,
        RuleAction::Prohibit => 8,
    };
    let table = match rule.action {
        RuleAction::Table(table) => table,
        _ => 0,
    };
    let family = match rule.family {
        AddressFamily::Ipv4 => AF_INET,
        AddressFamily::Ipv6 => AF_INET6,
    };
    body.extend_from_slice(&[
        family,
        rule.to.map_or(0, |(_, length)| length),
        rule.from.map_or(0, |(_, length)| length),
        rule.tos,
        u8::try_from(table).unwrap_or(0),
        0,
        0,
        action,
    ]);
    let flags = if rule.invert { FIB_RULE_INVERT } else { 0 };
    body.extend_from_slice(&flags.to_ne_bytes());
    if let Some((address, _)) = rule.to {
        put_address(&mut body, FRA_DST, address);
    }
    if let Some((address, _)) = rule.from {
        put_address(&mut body, FRA_SRC, address);
    }
    put(&mut body, FRA_PRIORITY, &rule.preference.to_ne_bytes());
    match rule.action {
        RuleAction::Goto(preference) => put(&mut body, FRA_GOTO, &preference.to_ne_bytes()),
        RuleAction::VrfTable => put(&mut body, FRA_L3MDEV, &[1]),
        _ if table != 0 => put(&mut body, FRA_TABLE, &table.to_ne_bytes()),
        _ => {}
    }
    if let Some((mark, mask)) = rule.mark {
        put(&mut body, FRA_FWMARK, &mark.to_ne_bytes());
        put(&mut body, FRA_FWMASK, &mask.to_ne_bytes());
    }
    if let Some(name) = &rule.incoming {
        put_text(&mut body, FRA_IIFNAME, name);
    }
    if let Some(name) = &rule.outgoing {
        put_text(&mut body, FRA_OIFNAME, name);
    }
    for (kind, number) in [
        (FRA_FLOW, rule.realms),
        (FRA_SUPPRESS_IFGROUP, rule.suppressed_group),
        (FRA_SUPPRESS_PREFIXLEN, rule.suppressed_length),
    ] {
        if let Some(number) = number {
            put(&mut body, kind, &number.to_ne_bytes());
        }
    }
    if let Some(users) = &rule.users {
        let mut bytes = users.start().to_ne_bytes().to_vec();
        bytes.extend(users.end().to_ne_bytes());
        put(&mut body, FRA_UID_RANGE, &bytes);
    }
    if let Some(protocol) = rule.ip_protocol {
        put(&mut body, FRA_IP_PROTO, &[protocol]);
    }
    put_ports(&mut body, FRA_SPORT_RANGE, rule.source_ports.as_ref());
    put_ports(&mut body, FRA_DPORT_RANGE, rule.destination_ports.as_ref());
    if let Some(tunnel) = rule.tunnel {
        put(&mut body, FRA_TUN_ID, &tunnel.to_be_bytes());
    }
    put(&mut body, FRA_PROTOCOL, &[rule.protocol]);
    Request {
        kind: if add { RTM_NEWRULE } else { RTM_DELRULE },
        change: if add { Change::CREATE_NEW } else { Change::PLAIN },
        body,
    }
}

fn put_ports(body: &mut Vec<u8>, kind: u16, ports: Option<&RangeInclusive<u16>>) {
    if let Some(ports) = ports {
        let mut bytes = ports.start().to_ne_bytes().to_vec();
        bytes.extend(ports.end().to_ne_bytes());
        put(body, kind, &bytes);
    }
}

/// What tells one route from another, in a message that says that it has gone.
pub(super) fn parse_route(body: &[u8]) -> Option<GoneRoute> {
    let (header, mut rest) = body.split_first_chunk::<12>()?;
    let mut gone = GoneRoute {
        destination: match header[0] {
            AF_INET => Ipv4Addr::UNSPECIFIED.into(),
            AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        },
        prefix_len: header[1],
        table: header[4].into(),
        metric: 0,
    };
    while let Some((kind, value)) = take_attribute(&mut rest) {
        match kind {
            RTA_DST => gone.destination = ip_address(value)?,
            RTA_TABLE => gone.table = u32_at(value, 0)?,
            RTA_PRIORITY => gone.metric = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(gone)
}

/// What tells one rule from another, in a message that says that it has gone.
pub(super) fn parse_rule(body: &[u8]) -> Option<GoneRule> {
    let (header, mut rest) = body.split_first_chunk::<12>()?;
    let mut gone = GoneRule {
        family: match header[0] {
            AF_INET => AddressFamily::Ipv4,
            AF_INET6 => AddressFamily::Ipv6,
            _ => return None,
        },
        preference: 0,
    };
    while let Some((kind, value)) = take_attribute(&mut rest) {
        if kind == FRA_PRIORITY {
            gone.preference = u32_at(value, 0)?;
        }
    }
    Some(gone)
}

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_FLOW: u16 = 11;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;
const RTAX_LOCK: u16 = 1;
const RTAX_CC_ALGO: u16 = 16;
const RTNH_F_ONLINK: u8 = 4;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const FIB_RULE_INVERT: u32 = 2;
