//! Routing rules.

use std::ops::RangeInclusive;

use keepalived_conf::{Origin, Prefix, Rule};
use vrrp_net::{RuleAction, VirtualRule};
use vrrp_proto::AddressFamily;

use crate::convert::Context;
use crate::convert::names::{self, INTERFACE_GROUPS, IP_PROTOCOLS, SERVICES, TABLES};

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
    let action = action(context, rule)?;
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
    built = selectors(context, rule, built)?;
    if rule.not {
        built = built.invert();
    }
    if let Some(protocol) = rule.protocol.filter(|_| rule.no_track) {
        built = built.protocol(protocol);
    }
    if rule.no_track {
        built = built.untracked();
    }
    Some(built)
}

fn action(context: &mut Context<'_>, rule: &Rule) -> Option<RuleAction> {
    Some(match (&rule.table, rule.goto) {
        _ if rule.blackhole => RuleAction::Blackhole,
        _ if rule.unreachable => RuleAction::Unreachable,
        _ if rule.prohibit => RuleAction::Prohibit,
        _ if rule.l3mdev => RuleAction::VrfTable,
        (_, Some(preference)) => RuleAction::Goto(preference),
        (Some(name), None) => RuleAction::Table(TABLES.look_up(context, rule.origin, name)?),
        (None, None) => RuleAction::Table(MAIN_TABLE),
    })
}

/// Which packets a rule is for, beside their networks.
fn selectors(context: &mut Context<'_>, rule: &Rule, mut built: VirtualRule) -> Option<VirtualRule> {
    let origin = rule.origin;
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
        built = built.tos(SERVICES.look_up_byte(context, origin, tos)?);
    }
    if let Some(realms) = &rule.realms {
        built = built.realms(names::realms(context, origin, realms)?);
    }
    if let Some(length) = rule.suppress_prefixlength {
        built = built.suppress_prefix_length(length);
    }
    if let Some(group) = &rule.suppress_ifgroup {
        built = built.suppress_interface_group(INTERFACE_GROUPS.look_up(context, origin, group)?);
    }
    if let Some(users) = &rule.uidrange {
        built = built.users(range(context, origin, users, "range of users")?);
    }
    if let Some(protocol) = &rule.ipproto {
        built = built.ip_protocol(IP_PROTOCOLS.look_up_byte(context, origin, protocol)?);
    }
    if let Some(ports) = &rule.sport {
        built = built.source_ports(range(context, origin, ports, "range of ports")?);
    }
    if let Some(ports) = &rule.dport {
        built = built.destination_ports(range(context, origin, ports, "range of ports")?);
    }
    if let Some(tunnel) = rule.tunnel_id {
        built = built.tunnel(tunnel);
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

/// `FIRST[-LAST]`.
fn range<T: std::str::FromStr + PartialOrd + Copy>(
    context: &mut Context<'_>,
    origin: Origin,
    text: &str,
    what: &str,
) -> Option<RangeInclusive<T>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let found = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Some(first..=last),
        _ => None,
    };
    if found.is_none() {
        context.error(origin, format!("`{text}` is no {what}"));
    }
    found
}

/// `MARK[/MASK]`, decimal or with `0x`.
fn mark(context: &mut Context<'_>, origin: Origin, text: &str) -> Option<(u32, u32)> {
    let (mark, mask) = match text.split_once('/') {
        Some((mark, mask)) => (names::number(mark), names::number(mask)),
        None => (names::number(text), Some(u32::MAX)),
    };
    let (Some(mark), Some(mask)) = (mark, mask) else {
        context.error(origin, format!("`{text}` is no firewall mark"));
        return None;
    };
    Some((mark, mask))
}

const MAIN_TABLE: u32 = 254;
