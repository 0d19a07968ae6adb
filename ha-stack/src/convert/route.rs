//! Routes.

use std::net::IpAddr;

use keepalived_conf::{Locked, Origin, Raw, Route, RouteOptions};
use vrrp_net::{NextHop, RouteKind, RouteMetric, RouterPreference, Scope, VirtualRoute};

use crate::convert::Context;
use crate::convert::names::{self, PROTOCOLS, SERVICES, TABLES};

/// A route; `None` after an error. `default` is of the family of its gateway, or else of `is_ipv6`.
pub(super) fn route(context: &mut Context<'_>, route: &Route, is_ipv6: bool) -> Option<VirtualRoute> {
    let options = &route.options;
    let origin = options.origin;
    if route.is_left_out() {
        // The parser has said so.
        return None;
    }
    let (destination, length) = match route.destination {
        Some(prefix) => (prefix.address, prefix.effective_length()),
        None if is_ipv6 || options.via.is_some_and(|via| via.0.is_ipv6()) => (IpAddr::from([0_u16; 8]), 0),
        None => (IpAddr::from([0_u8; 4]), 0),
    };
    let mut built = VirtualRoute::new(destination, length)?;
    built = match route.kind.as_deref() {
        None | Some("unicast") => built,
        Some("blackhole") => built.kind(RouteKind::Blackhole),
        Some("unreachable") => built.kind(RouteKind::Unreachable),
        Some("prohibit") => built.kind(RouteKind::Prohibit),
        Some("throw") => built.kind(RouteKind::Throw),
        Some(kind) => {
            context.error(origin, format!("a route of kind `{kind}` is not supported"));
            return None;
        }
    };
    match (options.via, options.or) {
        // An old way to say two next hops.
        (Some(via), Some(or)) => {
            for gateway in [via.0, or] {
                built = built.next_hop(NextHop {
                    gateway: Some(gateway),
                    device: options.device.clone(),
                    ..NextHop::default()
                });
            }
        }
        (via, or) => {
            if let Some(gateway) = via.map(|via| via.0).or(or) {
                built = built.gateway(gateway);
            }
            if let Some(device) = &options.device {
                built = built.device(device);
            }
        }
    }
    if let Some(source) = options.source {
        built = built.source(source);
    }
    if let Some(name) = &options.table {
        built = built.table(TABLES.look_up(context, origin, name)?);
    }
    if let Some(metric) = options.metric {
        built = built.metric(metric);
    }
    built = metrics(context, options, built)?;
    // As with keepalived, and other than with iproute2, also without a gateway.
    built = built.scoped(match &options.scope {
        Some(name) => scope(context, origin, name)?,
        None => Scope::Global,
    });
    if options.onlink {
        built = built.onlink();
    }
    if options.append {
        built = built.append();
    } else if options.prepend {
        built = built.prepend();
    }
    for hop in next_hops(context, origin, options.nexthop.as_ref())? {
        built = built.next_hop(hop);
    }
    if let Some(network) = options.from {
        built = built.from(network.address, network.effective_length());
    }
    if let Some(tos) = &options.tos {
        built = built.tos(SERVICES.look_up_byte(context, origin, tos)?);
    }
    if let Some(realms) = &options.realms {
        built = built.realms(names::realms(context, origin, realms)?);
    }
    if let Some(preference) = &options.pref {
        built = built.router_preference(match preference.as_str() {
            "low" => RouterPreference::Low,
            "high" => RouterPreference::High,
            _ => RouterPreference::Medium,
        });
    }
    if let Some(seconds) = options.expires {
        built = built.expires(seconds);
    }
    if let Some(word) = &options.ttl_propagate {
        built = built.ttl_propagate(word == "enabled");
    }
    if options.no_track {
        built = built.untracked();
    }
    if let Some(name) = &options.protocol {
        let protocol = PROTOCOLS.look_up_byte(context, origin, name)?;
        if options.no_track {
            built = built.protocol(protocol);
        }
    }
    Some(built)
}

/// What stands from the first `nexthop` to the end of the line.
fn next_hops(context: &mut Context<'_>, origin: Origin, words: Option<&Raw>) -> Option<Vec<NextHop>> {
    let Some(words) = words else {
        return Some(Vec::new());
    };
    let mut hops = Vec::new();
    for part in words.0.split(|word| word == "nexthop") {
        let mut hop = NextHop::default();
        let mut words = part.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let known = match word {
                "via" | "gw" => {
                    let next = words.next();
                    let address = if matches!(next, Some("inet" | "inet6")) {
                        words.next()
                    } else {
                        next
                    };
                    hop.gateway = address.and_then(|text| text.parse().ok());
                    hop.gateway.is_some()
                }
                "dev" => {
                    hop.device = words.next().map(str::to_owned);
                    hop.device.is_some()
                }
                "weight" => match words.next().and_then(|text| text.parse().ok()) {
                    Some(weight @ 1..=256) => {
                        hop.weight = weight;
                        true
                    }
                    _ => false,
                },
                "onlink" => {
                    hop.onlink = true;
                    true
                }
                "realms" => {
                    hop.realms = Some(names::realms(context, origin, words.next()?)?);
                    true
                }
                _ => false,
            };
            if !known {
                context.warning(
                    origin,
                    format!("`{word}` in a `nexthop` is not understood: what follows it is ignored"),
                );
                hops.push(hop);
                return Some(hops);
            }
        }
        hops.push(hop);
    }
    Some(hops)
}

fn scope(context: &mut Context<'_>, origin: Origin, name: &str) -> Option<Scope> {
    Some(match name {
        "global" | "universe" => Scope::Global,
        "link" => Scope::Link,
        "host" => Scope::Host,
        "site" => Scope::Site,
        "nowhere" => Scope::Other(255),
        text => match text.parse() {
            Ok(number) => Scope::Other(number),
            Err(_) => {
                context.error(origin, format!("unknown scope `{text}`"));
                return None;
            }
        },
    })
}

/// What the kernel would otherwise measure, or take from the system.
fn metrics(
    context: &mut Context<'_>,
    options: &RouteOptions,
    mut built: VirtualRoute,
) -> Option<VirtualRoute> {
    let origin = options.origin;
    for (locked, parts, metric) in [
        (&options.mtu, 1, RouteMetric::Mtu as fn(u32) -> RouteMetric),
        (&options.advmss, 1, RouteMetric::AdvertisedSegment),
        (&options.reordering, 1, RouteMetric::Reordering),
        (&options.cwnd, 1, RouteMetric::CongestionWindow),
        (&options.ssthresh, 1, RouteMetric::SlowStartThreshold),
        (&options.rtt, 8, RouteMetric::RoundTripTime),
        (&options.rttvar, 4, RouteMetric::RoundTripVariance),
        (&options.rto_min, 1, RouteMetric::LeastRetransmission),
    ] {
        let Some(Locked { value, lock }) = locked else {
            continue;
        };
        let Some(number) = time(value, parts) else {
            context.error(origin, format!("`{value}` is no number"));
            return None;
        };
        built = match lock {
            true => built.locked(metric(number)),
            false => built.tuned(metric(number)),
        };
    }
    for (number, metric) in [
        (
            options.hoplimit.map(u32::from),
            RouteMetric::HopLimit as fn(u32) -> RouteMetric,
        ),
        (options.window, RouteMetric::Window),
        (options.initcwnd, RouteMetric::InitialCongestionWindow),
        (options.initrwnd, RouteMetric::InitialReceiveWindow),
        (options.quickack.map(u32::from), RouteMetric::QuickAcknowledgement),
        (
            options.fastopen_no_cookie.map(u32::from),
            RouteMetric::FastOpenWithoutCookie,
        ),
    ] {
        if let Some(number) = number {
            built = built.tuned(metric(number));
        }
    }
    // Of any other the parser has said that it is ignored.
    if options.features.as_deref() == Some("ecn") {
        built = built.tuned(RouteMetric::Features(1));
    }
    if let Some(Locked { value, lock }) = &options.congctl {
        built = built.congestion_control(value, *lock);
    }
    Some(built)
}

/// A time with `s` or `ms` behind it, in so many parts of a millisecond; without, it is such parts already.
fn time(text: &str, parts: u32) -> Option<u32> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u32 = digits.parse().ok()?;
    match unit {
        "" => Some(number),
        "s" | "sec" | "secs" => number.checked_mul(1_000)?.checked_mul(parts),
        "ms" | "msec" | "msecs" => number.checked_mul(parts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_parts_of_a_millisecond() {
        assert_eq!(time("100", 8), Some(100));
        assert_eq!(time("100ms", 8), Some(800));
        assert_eq!(time("2s", 4), Some(8_000));
        assert_eq!(time("9999999s", 8), None);
        assert_eq!(time("x", 8), None);
    }
}
