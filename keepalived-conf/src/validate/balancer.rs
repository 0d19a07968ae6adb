//! Virtual and real servers.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::diagnostic::{Severity, Verdict};
use crate::model::configuration::Configuration;
use crate::model::forwarding::Method;
use crate::model::real_server::RealServer;
use crate::model::virtual_server::{Scheduler, VirtualServer, VirtualServerName};
use crate::model::virtual_server_group::{GroupEntry, VirtualServerGroup};
use crate::reader::Reader;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    let held = held(configuration);
    let groups = configuration.virtual_server_group.iter();
    let groups = groups.map(|group| (group.name.as_str(), group)).collect();
    let files = configuration.track_file.iter();
    let files = files.map(|file| file.name.as_str()).collect();
    let mut unchecked = Vec::new();
    for server in &configuration.virtual_server {
        name(server, configuration, &held, &groups, reader);
        completeness(server, is_marked(server, &groups), reader);
        scheduling(server, reader);
        sorry(server, reader);
        quorum(server, reader);
        real_servers(server, &files, &mut unchecked, reader);
        duplicates(server, reader);
    }
    without_check(&unchecked, reader);
}

fn name(
    server: &VirtualServer,
    configuration: &Configuration,
    held: &HashSet<IpAddr>,
    groups: &Groups<'_>,
    reader: &mut Reader<'_>,
) {
    match &server.name {
        VirtualServerName::Address(name) => {
            if name.port.is_none() && server.persistence_timeout.is_none() {
                reader.at(
                    server.origin,
                    "",
                    Severity::Warning,
                    "a service for all ports must be persistent: 360 s are taken",
                    "add a port, or `persistence_timeout`",
                );
            }
            if !configuration.vrrp_instance.is_empty() && !held.contains(&name.address) {
                reader.at_as(
                    server.origin,
                    "",
                    Severity::Warning,
                    format!("no virtual router holds {}: unless it is on this host otherwise, nobody reaches the service", name.address),
                    "add it to a `virtual_ipaddress` or `virtual_ipaddress_excluded`",
                    Verdict::Silent,
                );
            }
        }
        VirtualServerName::Group(name) => {
            let group = groups.get(name.as_str());
            if let Some(group) = group.filter(|group| group.entries.is_empty()) {
                reader.at(
                    group.origin,
                    "",
                    Severity::Error,
                    format!("the group `{name}` is empty"),
                    "keepalived would go on without its virtual servers",
                );
            }
            if group.is_none() {
                reader.at(
                    server.origin,
                    "",
                    Severity::Error,
                    format!("no virtual_server_group `{name}`"),
                    "keepalived would go on without this virtual server",
                );
            }
        }
        VirtualServerName::Fwmark(_) => {}
    }
}

/// The addresses that this host may come to hold.
fn held(configuration: &Configuration) -> HashSet<IpAddr> {
    let held = configuration.vrrp_instance.iter().flat_map(|router| {
        router
            .virtual_ipaddress
            .iter()
            .chain(&router.virtual_ipaddress_excluded)
    });
    held.chain(&configuration.static_ipaddress)
        .map(|each| each.address.address)
        .collect()
}

/// Whether it is for packets with marks, of whatever protocol.
fn is_marked(server: &VirtualServer, groups: &Groups<'_>) -> bool {
    let is_mark = |entry: &GroupEntry| matches!(entry, GroupEntry::Fwmark { .. });
    match &server.name {
        VirtualServerName::Fwmark(_) => true,
        VirtualServerName::Address(_) => false,
        VirtualServerName::Group(name) => groups
            .get(name.as_str())
            .is_some_and(|group| !group.entries.is_empty() && group.entries.iter().all(is_mark)),
    }
}

/// By name.
type Groups<'a> = HashMap<&'a str, &'a VirtualServerGroup>;

fn completeness(server: &VirtualServer, marked: bool, reader: &mut Reader<'_>) {
    if server.real_server.is_empty() {
        reader.at(
            server.origin,
            "",
            Severity::Warning,
            "a virtual server without a real server is dropped",
            "add a `real_server`",
        );
        return;
    }
    if server.protocol.is_some() && marked {
        reader.at(
            server.origin,
            "protocol",
            Severity::Warning,
            "`protocol` is ignored: a mark is that of packets of any protocol",
            "remove `protocol`",
        );
    }
    if server.protocol.is_none() && !marked {
        reader.at(
            server.origin,
            "",
            Severity::Warning,
            "no `protocol`: UDP is taken",
            "add `protocol TCP`",
        );
    }
    if server.lvs_sched.is_none() {
        reader.at(
            server.origin,
            "",
            Severity::Warning,
            "no `lvs_sched`: wlc is taken",
            "add `lvs_sched`",
        );
    }
    if server.lvs_method.is_none() && server.real_server.iter().any(|real| real.lvs_method.is_none()) {
        reader.at(
            server.origin,
            "",
            Severity::Warning,
            "no `lvs_method`: NAT is taken",
            "add `lvs_method`",
        );
    }
    if server.ops && server.protocol != Some(crate::Protocol::Udp) && !marked {
        reader.at(
            server.origin,
            "ops",
            Severity::Warning,
            "`ops` is for UDP: it is ignored",
            "",
        );
    }
}

/// Flags that are one scheduler's own.
fn scheduling(server: &VirtualServer, reader: &mut Reader<'_>) {
    for (flag, is_set, scheduler) in [
        ("sh-port", server.sh_port, Scheduler::SourceHashing),
        ("sh-fallback", server.sh_fallback, Scheduler::SourceHashing),
        ("mh-port", server.mh_port, Scheduler::MaglevHashing),
        ("mh-fallback", server.mh_fallback, Scheduler::MaglevHashing),
    ] {
        if !is_set {
            continue;
        }
        let (message, advice) = if server.lvs_sched != Some(scheduler) {
            let message = format!("`{flag}` is for `lvs_sched {scheduler}`: it is ignored");
            (message, format!("remove `{flag}`"))
        } else if reader.stood_before(server.origin, flag, "lvs_sched") {
            let message =
                format!("keepalived ignores `{flag}` before `lvs_sched {scheduler}`; here it holds");
            (message, format!("put `{flag}` behind it"))
        } else {
            continue;
        };
        reader.at(server.origin, flag, Severity::Warning, message, advice);
    }
    if server.hashed && server.lvs_sched != Some(Scheduler::SourceHashing) {
        // It is always so; keepalived takes it for a flag of `sh`.
        reader.keepalived_objects();
    }
}

fn sorry(server: &VirtualServer, reader: &mut Reader<'_>) {
    let Some(sorry) = &server.sorry_server else {
        let method = server.sorry_server_lvs_method.is_some();
        for (keyword, is_set) in [
            ("sorry_server_inhibit", server.sorry_server_inhibit),
            ("sorry_server_lvs_method", method),
        ] {
            if is_set {
                reader.at(
                    server.origin,
                    keyword,
                    Severity::Warning,
                    format!("`{keyword}` without a `sorry_server` is ignored"),
                    "add a `sorry_server`",
                );
            }
        }
        return;
    };
    let method = server.sorry_server_lvs_method.or(server.lvs_method);
    let is_tunnel = method.is_some_and(|method| method.method == Method::Tun);
    if let VirtualServerName::Address(name) = &server.name
        && name.address.is_ipv4() != sorry.address.is_ipv4()
        && !is_tunnel
    {
        reader.at(
            server.origin,
            "sorry_server",
            Severity::Warning,
            format!(
                "the sorry server {} is of another family than the virtual server: there is none",
                sorry.address
            ),
            "only tunnels join families",
        );
    }
}

fn quorum(server: &VirtualServer, reader: &mut Reader<'_>) {
    if server.real_server.is_empty() {
        return;
    }
    let wanted = server.quorum.unwrap_or(1);
    let default = server.weight.unwrap_or(1);
    let all: u64 = server
        .real_server
        .iter()
        .map(|real| u64::from(real.weight.unwrap_or(default)))
        .sum();
    let quorum = u64::from(wanted).min(all);
    if u64::from(wanted) > all {
        let message = match all {
            0 => String::from("no real server has a weight: the quorum is never met"),
            _ => format!("the quorum {wanted} is more than all real servers together weigh: {all} is taken"),
        };
        reader.at(server.origin, "quorum", Severity::Warning, message, "");
    }
    let hysteresis = u64::from(server.hysteresis.unwrap_or(0));
    if hysteresis >= quorum && server.hysteresis.is_some() {
        reader.at(
            server.origin,
            "hysteresis",
            Severity::Warning,
            format!(
                "`hysteresis` must be less than the quorum: {} is taken",
                quorum.saturating_sub(1)
            ),
            "",
        );
    }
    let needed = quorum.saturating_add(hysteresis.min(quorum.saturating_sub(1)));
    if needed > all && all > 0 {
        reader.at_as(
            server.origin,
            "hysteresis",
            Severity::Warning,
            format!(
                "quorum and hysteresis are {needed} together, and all real servers weigh {all}: the quorum is never met, from the start on"
            ),
            "a smaller `hysteresis`, or more weight",
            Verdict::Silent,
        );
    }
}

fn real_servers<'a>(
    server: &'a VirtualServer,
    files: &HashSet<&str>,
    unchecked: &mut Vec<&'a RealServer>,
    reader: &mut Reader<'_>,
) {
    let family = match &server.name {
        VirtualServerName::Address(name) => Some(name.address.is_ipv4()),
        VirtualServerName::Fwmark(_) | VirtualServerName::Group(_) => None,
    };
    let port = match &server.name {
        VirtualServerName::Address(name) => name.port,
        VirtualServerName::Fwmark(_) | VirtualServerName::Group(_) => None,
    };
    for real in &server.real_server {
        let method = real
            .lvs_method
            .or(server.lvs_method)
            .map_or(Method::Nat, |each| each.method);
        let translates = matches!(method, Method::Nat | Method::Fnat);
        if family.is_some_and(|family| family != real.address.address.is_ipv4()) && method != Method::Tun {
            reader.at(
                real.origin,
                "",
                Severity::Error,
                format!(
                    "{} is of another family than the virtual server",
                    real.address.address
                ),
                "only tunnels join families",
            );
        }
        if let (Some(own), Some(port)) = (real.address.port, port)
            && own != port
            && !translates
        {
            reader.at(
                real.origin,
                "",
                Severity::Warning,
                format!("{method} does not change ports: {port} is taken for {own}"),
                "use the port of the virtual server, or NAT",
            );
        }
        for check in &real.misc_check {
            if check.misc_path.is_none() {
                reader.at(
                    check.origin,
                    "",
                    Severity::Error,
                    "a MISC_CHECK without `misc_path`",
                    "add the script",
                );
            }
        }
        checks_without_effect(real, reader);
        file_checks(real, files, reader);
        let checks = real.tcp_check.len()
            + real.http_get.len()
            + real.ssl_get.len()
            + real.smtp_check.len()
            + real.dns_check.len()
            + real.misc_check.len()
            + real.udp_check.len()
            + real.ping_check.len()
            + real.bfd_check.len()
            + real.file_check.len();
        if checks == 0 {
            unchecked.push(real);
        }
    }
}

fn duplicates(server: &VirtualServer, reader: &mut Reader<'_>) {
    let mut all: Vec<&RealServer> = server.real_server.iter().collect();
    // Stable: of two the second in the text is the one too many.
    all.sort_by_key(|real| real.address);
    for pair in all.windows(2) {
        if let [first, second] = pair
            && first.address == second.address
        {
            reader.at(
                second.origin,
                "",
                Severity::Warning,
                "this real server is there already",
                "remove it",
            );
        }
    }
}

fn file_checks(real: &RealServer, files: &HashSet<&str>, reader: &mut Reader<'_>) {
    for check in &real.file_check {
        let (message, advice) = match &check.track_file {
            None => (
                String::from("a FILE_CHECK without `track_file`"),
                "add the name of a track_file",
            ),
            Some(name) if !files.contains(name.as_str()) => {
                (format!("no track_file `{name}`"), "add a `track_file` block")
            }
            Some(_) => continue,
        };
        reader.at(check.origin, "", Severity::Error, message, advice);
    }
}

/// Checks that cannot do what is meant.
fn checks_without_effect(real: &RealServer, reader: &mut Reader<'_>) {
    for check in real.http_get.iter().chain(&real.ssl_get) {
        if check.url.is_empty() {
            let message = "a check of pages without a `url` checks nothing: it is left out";
            reader.at(
                check.origin,
                "",
                Severity::Warning,
                message,
                "add `url { path / }`",
            );
        }
        for url in check.url.iter().filter(|url| url.path.is_none()) {
            let message = "a `url` without a `path`: / is asked for; keepalived leaves it out";
            reader.at(url.origin, "", Severity::Warning, message, "add `path /`");
        }
    }
    for check in &real.udp_check {
        let (least, most) = (check.min_reply_length, check.max_reply_length.unwrap_or(255));
        if check.require_reply.is_some() && least.is_some_and(|least| least > most) {
            reader.at(
                check.origin,
                "min_reply_length",
                Severity::Warning,
                format!("no reply is so long and not longer than {most}: the check always fails"),
                "a smaller `min_reply_length` or a greater `max_reply_length`",
            );
        }
    }
}

/// Says of a few real servers that nothing checks them, and of how many more it is so.
fn without_check(unchecked: &[&RealServer], reader: &mut Reader<'_>) {
    for (number, real) in unchecked.iter().take(NAMED_WITHOUT_CHECK).enumerate() {
        let more = match unchecked.len().saturating_sub(NAMED_WITHOUT_CHECK) {
            more if more > 0 && number.saturating_add(1) == NAMED_WITHOUT_CHECK => {
                format!(", and so are {more} more")
            }
            _ => String::new(),
        };
        reader.at_as(
            real.origin,
            "",
            Severity::Warning,
            format!(
                "{} has no check: it is taken to be up always{more}",
                real.address.address
            ),
            "add a TCP_CHECK at least",
            Verdict::Silent,
        );
    }
}

/// So many real servers without a check are named; a file that has thousands means it.
const NAMED_WITHOUT_CHECK: usize = 10;
