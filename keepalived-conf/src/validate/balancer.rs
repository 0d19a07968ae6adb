//! Virtual and real servers.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::diagnostic::{Severity, Verdict};
use crate::model::configuration::Configuration;
use crate::model::forwarding::Method;
use crate::model::real_server::RealServer;
use crate::model::virtual_server::{VirtualServer, VirtualServerName};
use crate::reader::Reader;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    let held = held(configuration);
    let groups = configuration.virtual_server_group.iter();
    let groups = groups.map(|group| group.name.as_str()).collect();
    let mut unchecked = Vec::new();
    for server in &configuration.virtual_server {
        name(server, configuration, &held, &groups, reader);
        completeness(server, reader);
        quorum(server, reader);
        real_servers(server, &mut unchecked, reader);
        duplicates(server, reader);
    }
    without_check(&unchecked, reader);
}

fn name(
    server: &VirtualServer,
    configuration: &Configuration,
    held: &HashSet<IpAddr>,
    groups: &HashSet<&str>,
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
            if !groups.contains(name.as_str()) {
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

fn completeness(server: &VirtualServer, reader: &mut Reader<'_>) {
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
    let marked = matches!(server.name, VirtualServerName::Fwmark(_));
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

fn quorum(server: &VirtualServer, reader: &mut Reader<'_>) {
    let quorum = server.quorum.unwrap_or(1);
    let default = server.weight.unwrap_or(1);
    let all: u64 = server
        .real_server
        .iter()
        .map(|real| u64::from(real.weight.unwrap_or(default)))
        .sum();
    if u64::from(quorum) > all && !server.real_server.is_empty() {
        reader.at(
            server.origin,
            "quorum",
            Severity::Warning,
            format!("the quorum {quorum} is more than all real servers together weigh: {all} is taken"),
            "",
        );
    }
    if server.hysteresis.is_some_and(|hysteresis| hysteresis >= quorum) {
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
}

fn real_servers<'a>(server: &'a VirtualServer, unchecked: &mut Vec<&'a RealServer>, reader: &mut Reader<'_>) {
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
