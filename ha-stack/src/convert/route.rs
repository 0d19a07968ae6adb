//! Routes and rules.

use std::net::IpAddr;
use std::path::Path;

use keepalived_conf::{Origin, Prefix, Raw, Route, Rule};
use vrrp_net::{NextHop, RouteKind, RuleAction, Scope, VirtualRoute, VirtualRule};
use vrrp_proto::AddressFamily;

use crate::convert::Context;

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
    if let Some(via) = options.via {
        built = built.gateway(via.0);
    }
    if let Some(device) = &options.device {
        built = built.device(device);
    }
    if let Some(source) = options.source {
        built = built.source(source);
    }
    if let Some(name) = &options.table {
        built = built.table(table(context, origin, name)?);
    }
    if let Some(metric) = options.metric {
        built = built.metric(metric);
    }
    if let Some(mtu) = options.mtu.as_ref().and_then(|mtu| mtu.value.parse().ok()) {
        built = built.mtu(mtu);
    }
    if let Some(name) = &options.scope {
        built = built.scoped(scope(context, origin, name)?);
    }
    if options.onlink {
        built = built.onlink();
    }
    if options.append {
        built = built.append();
    }
    for hop in next_hops(context, origin, options.nexthop.as_ref())? {
        built = built.next_hop(hop);
    }
    if options.protocol.is_some() {
        context.warning(origin, "the protocol of a route is always keepalived's, 18");
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
        let mut hop = NextHop {
            gateway: None,
            device: None,
            weight: 1,
        };
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
                    Some(weight @ 1..) => {
                        hop.weight = weight;
                        true
                    }
                    _ => false,
                },
                _ => false,
            };
            if !known {
                context.error(origin, format!("`{word}` in a `nexthop` is not understood"));
                return None;
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

/// A rule; `None` after an error. Without networks it is of the virtual router's family.
pub(super) fn rule(context: &mut Context<'_>, rule: &Rule, family: AddressFamily) -> Option<VirtualRule> {
    let origin = rule.origin;
    if rule.is_left_out() {
        // The parser has said so.
        return None;
    }
    let from = network(context, origin, rule.from.as_deref())?;
    let to = network(context, origin, rule.to.as_deref())?;
    let family = match from.or(to) {
        _ if rule.inet6 => AddressFamily::Ipv6,
        Some(prefix) if prefix.address.is_ipv6() => AddressFamily::Ipv6,
        Some(_) => AddressFamily::Ipv4,
        None => family,
    };
    let action = match (&rule.table, rule.blackhole, rule.unreachable, rule.prohibit) {
        (_, true, _, _) => RuleAction::Blackhole,
        (_, _, true, _) => RuleAction::Unreachable,
        (_, _, _, true) => RuleAction::Prohibit,
        (Some(name), ..) => RuleAction::Table(table(context, origin, name)?),
        (None, ..) => RuleAction::Table(MAIN_TABLE),
    };
    let preference = match rule.preference {
        Some(preference) => preference,
        None => {
            let assigned = context.next_preference();
            context.warning(
                origin,
                format!(
                    "a rule without `preference` gets {assigned}, as keepalived would assign it: say which"
                ),
            );
            assigned
        }
    };
    let mut built = VirtualRule::new(family, preference, action);
    if let Some(prefix) = from {
        built = built.from(prefix.address, prefix.effective_length());
    }
    if let Some(prefix) = to {
        built = built.to(prefix.address, prefix.effective_length());
    }
    if let Some(mark) = &rule.fwmark {
        let (mark, mask) = self::mark(context, origin, mark)?;
        built = built.mark(mark, mask);
    }
    if let Some(name) = &rule.incoming {
        built = built.incoming(name);
    }
    if let Some(name) = &rule.outgoing {
        built = built.outgoing(name);
    }
    if let Some(tos) = &rule.tos {
        let Some(number) = number(tos).and_then(|number| u8::try_from(number).ok()) else {
            context.error(origin, format!("`{tos}` is no type of service"));
            return None;
        };
        built = built.tos(number);
    }
    if rule.not {
        built = built.invert();
    }
    Some(built)
}

/// A network; `all`, `any` and `default` are no restriction.
fn network(context: &mut Context<'_>, origin: Origin, text: Option<&str>) -> Option<Option<Prefix>> {
    match text {
        None | Some("all" | "any" | "default") => Some(None),
        Some(text) => match text.parse() {
            Ok(prefix) => Some(Some(prefix)),
            Err(_) => {
                context.error(origin, format!("`{text}` is no network"));
                None
            }
        },
    }
}

/// `MARK[/MASK]`, decimal or with `0x`.
fn mark(context: &mut Context<'_>, origin: Origin, text: &str) -> Option<(u32, u32)> {
    let (mark, mask) = match text.split_once('/') {
        Some((mark, mask)) => (number(mark), number(mask)),
        None => (number(text), Some(u32::MAX)),
    };
    let (Some(mark), Some(mask)) = (mark, mask) else {
        context.error(origin, format!("`{text}` is no firewall mark"));
        return None;
    };
    Some((mark, mask))
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The number of a routing table: a number, or a name that iproute2 knows.
fn table(context: &mut Context<'_>, origin: Origin, name: &str) -> Option<u32> {
    let known = match name {
        "main" => Some(MAIN_TABLE),
        "default" => Some(253),
        "local" => Some(255),
        text => number(text),
    };
    let found = known.or_else(|| {
        TABLE_FILES.iter().find_map(|file| {
            let content = context.environment.read(Path::new(file), TABLE_FILE_BYTES).ok()?;
            table_in(&String::from_utf8_lossy(&content), name)
        })
    });
    if found.is_none() {
        context.error(
            origin,
            format!("no routing table `{name}` in {}", TABLE_FILES.join(" or ")),
        );
    }
    found
}

/// Looks a name up in the form of `rt_tables`: a number and a name on each line.
fn table_in(content: &str, name: &str) -> Option<u32> {
    content
        .lines()
        .filter_map(|line| line.split('#').next())
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let table = number(words.next()?)?;
            (words.next() == Some(name)).then_some(table)
        })
}

const MAIN_TABLE: u32 = 254;

const TABLE_FILES: [&str; 2] = ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables"];

/// Far more than anybody writes there.
const TABLE_FILE_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_by_name() {
        let content = "#\n# reserved values\n#\n255\tlocal\n0x65 blue # ours\n102\tgreen\n";
        assert_eq!(table_in(content, "green"), Some(102));
        assert_eq!(table_in(content, "blue"), Some(101));
        assert_eq!(table_in(content, "red"), None);
    }
}
