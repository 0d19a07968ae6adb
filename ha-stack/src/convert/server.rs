//! Virtual and real servers.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};

use keepalived_conf::{
    GroupEntry, IpFamily, Method, Origin, RealServer, SocketName, VirtualServer, VirtualServerName,
};

use crate::balance::{
    BalancePlan, RealServerPlan, SorryServerPlan, SynchronizationPlan, VirtualServerPlan, names,
};
use crate::convert::Context;
use crate::convert::check;
use crate::data_plane::{
    Algorithm, ConnectionTimeouts, Forwarding, Front, Granularity, Persistence, ProxyProtocol, Transport,
    Tunnel, TunnelChecksum,
};
use crate::notify::Hooks;

pub(super) fn convert(context: &mut Context<'_>) {
    context.conversion.plan.balance = whole(context);
    let configuration = context.configuration;
    for server in &configuration.virtual_server {
        // keepalived drops one without real servers; the parser has said so.
        if server.real_server.is_empty() {
            continue;
        }
        if let Some(plan) = virtual_server(context, server) {
            context.conversion.plan.virtual_servers.push(plan.into());
        }
    }
    if let Err(error) = crate::balance::Balancer::check(&context.conversion.plan.virtual_servers) {
        context.error(Origin(None), error.to_string());
    }
}

/// What holds for the load balancer as a whole.
fn whole(context: &mut Context<'_>) -> BalancePlan {
    let mut plan = BalancePlan::default();
    let Some(global) = context.global() else {
        return plan;
    };
    if let Some(timeouts) = global.lvs_timeouts {
        plan.timeouts = ConnectionTimeouts {
            tcp: timeouts.tcp,
            tcp_fin: timeouts.tcpfin,
            udp: timeouts.udp,
        };
    }
    plan.flush = global.lvs_flush;
    plan.flush_on_stop = global
        .lvs_flush_on_stop
        .is_some_and(|flush| !flush.virtual_servers_only);
    plan.initial_notifications = global.rs_init_notifies;
    plan.log_all_failures = global.checker_log_all_failures.unwrap_or(false);
    let Some(daemon) = &global.lvs_sync_daemon else {
        return plan;
    };
    let instances = &context.configuration.vrrp_instance;
    let instance = daemon
        .instance
        .as_ref()
        .map(|name| (name, instances.iter().find(|instance| instance.name == *name)));
    if let Some((name, None)) = instance {
        context.error(
            Origin(None),
            format!("lvs_sync_daemon: there is no vrrp_instance `{name}`, so nobody decides who sends"),
        );
        return plan;
    }
    let vrid = instance.and_then(|(_, instance)| instance?.virtual_router_id);
    let mut synchronization =
        SynchronizationPlan::new(&daemon.interface, daemon.id.or(vrid).unwrap_or_default());
    synchronization.router.clone_from(&daemon.instance);
    synchronization.max_length = daemon.maxlen;
    synchronization.group = daemon.group;
    synchronization.port = daemon.port;
    synchronization.ttl = daemon.ttl;
    plan.synchronization = Some(synchronization);
    plan
}

fn virtual_server(context: &mut Context<'_>, server: &VirtualServer) -> Option<VirtualServerPlan> {
    let transport = match server.protocol {
        Some(keepalived_conf::Protocol::Tcp) => Transport::Tcp,
        Some(keepalived_conf::Protocol::Sctp) => Transport::Sctp,
        // keepalived's default.
        Some(keepalived_conf::Protocol::Udp) | None => Transport::Udp,
    };
    let fronts = fronts(context, server, transport)?;
    let mut plan = VirtualServerPlan::new(*fronts.first()?);
    plan.transport = transport;
    plan.fronts = fronts;
    if let VirtualServerName::Group(name) = &server.name {
        plan.name = names::of_group(name, transport).into();
        plan.label = format!("[{name}]:0").into();
        plan.group = Some(name.clone());
    }
    plan.scheduling = scheduling(server);
    plan.forwarding = forwarding(server.lvs_method.as_ref())?;
    let methods = [&server.lvs_method, &server.sorry_server_lvs_method];
    full_nat(context, server.origin, &methods);
    let is_marked = matches!(server.name, VirtualServerName::Fwmark(_));
    plan.one_packet = server.ops && (transport == Transport::Udp || is_marked);
    plan.persistence = persistence(server, &plan.fronts);
    plan.proxy_protocol = server.proxy_protocol.map(|version| match version {
        keepalived_conf::ProxyProtocol::V1 => ProxyProtocol::V1,
        keepalived_conf::ProxyProtocol::V2 => ProxyProtocol::V2,
    });
    plan.quorum = server.quorum.unwrap_or(1);
    plan.hysteresis = server.hysteresis.unwrap_or(0);
    plan.omega = server.omega;
    plan.mail = mailed(context, server.smtp_alert, false);
    plan.hooks = hooks(context, server.quorum_up.as_ref(), server.quorum_down.as_ref());
    if let (true, VirtualServerName::Address(name)) = (server.ha_suspend, &server.name) {
        plan.suspended_without = Some(name.address);
    }
    if let Some(sorry) = &server.sorry_server {
        let method = server
            .sorry_server_lvs_method
            .as_ref()
            .or(server.lvs_method.as_ref());
        let forwarding = forwarding(method)?;
        // As with keepalived there is none then; the parser has said so where it could.
        let joins = matches!(forwarding, Forwarding::Tunnel(_));
        if joins
            || plan
                .fronts
                .iter()
                .all(|front| front.is_ipv6() == sorry.address.is_ipv6())
        {
            plan.sorry_server = Some(SorryServerPlan {
                address: SocketAddr::new(sorry.address, sorry.port.unwrap_or(0)),
                forwarding,
                inhibit: server.sorry_server_inhibit,
            });
        }
    }
    let mut places = HashSet::with_capacity(server.real_server.len());
    for real in &server.real_server {
        let real = real_server(context, server, real, plan.forwarding, &plan.fronts)?;
        // Of two at the same place keepalived, too, drops the second.
        if places.insert(real.address) {
            plan.real_servers.push(real);
        }
    }
    Some(plan)
}

fn real_server(
    context: &mut Context<'_>,
    server: &VirtualServer,
    real: &RealServer,
    inherited: Forwarding,
    fronts: &[Front],
) -> Option<RealServerPlan> {
    full_nat(context, real.origin, &[&real.lvs_method]);
    let forwarding = match &real.lvs_method {
        Some(own) => forwarding(Some(own))?,
        None => inherited,
    };
    let SocketName { address, port } = real.address;
    let own_port = match &server.name {
        VirtualServerName::Address(name) => name.port,
        VirtualServerName::Fwmark(_) | VirtualServerName::Group(_) => None,
    };
    let wrong_family = fronts.iter().any(|front| front.is_ipv6() != address.is_ipv6());
    if wrong_family && !matches!(forwarding, Forwarding::Tunnel(_)) {
        context.error(
            real.origin,
            format!("{address} is of another family than its virtual server: only tunnels join families"),
        );
        return None;
    }
    let table_port = match (own_port, port) {
        // Without translation the port is that of the virtual server, whatever is written.
        (Some(own), _) if !forwarding.changes_ports() => own,
        (own, written) => written.or(own).unwrap_or(0),
    };
    let mut plan = RealServerPlan::new(SocketAddr::new(address, table_port));
    plan.forwarding = forwarding;
    plan.weight = real.weight.or(server.weight).unwrap_or(1);
    plan.upper_threshold = real.uthreshold.unwrap_or(0);
    plan.lower_threshold = real.lthreshold.unwrap_or(0);
    plan.inhibit = real
        .inhibit_on_failure
        .or(server.inhibit_on_failure)
        .unwrap_or(false);
    plan.mail = mailed(context, real.smtp_alert.or(server.smtp_alert), true);
    if real.notify_up.is_some() || real.notify_down.is_some() {
        let hooks = hooks(context, real.notify_up.as_ref(), real.notify_down.as_ref());
        plan.hooks = Some(hooks.into());
    }
    let checked = SocketAddr::new(address, port.or(own_port).unwrap_or(0));
    (plan.checks, plan.log_failures) = check::checks(context, server, real, checked);
    Some(plan)
}

/// Where requests arrive; `None` after an error.
fn fronts(context: &mut Context<'_>, server: &VirtualServer, transport: Transport) -> Option<Vec<Front>> {
    let by_real_server = server
        .real_server
        .first()
        .is_some_and(|real| real.address.address.is_ipv6());
    let is_ipv6 =
        |family: Option<IpFamily>| family.map_or(by_real_server, |family| family == IpFamily::Inet6);
    let mark = |context: &mut Context<'_>, mark: u32, family: Option<IpFamily>| {
        let Some(mark) = NonZeroU32::new(mark) else {
            context.error(server.origin, "the mark 0 is that of every packet without one");
            return None;
        };
        Some(Front::Mark {
            mark,
            ipv6: is_ipv6(family),
        })
    };
    match &server.name {
        VirtualServerName::Address(name) => Some(vec![Front::Address {
            transport,
            address: SocketAddr::new(name.address, name.port.unwrap_or(0)),
        }]),
        VirtualServerName::Fwmark(number) => Some(vec![mark(context, *number, server.ip_family)?]),
        VirtualServerName::Group(name) => {
            let groups = &context.configuration.virtual_server_group;
            // The parser has said that there is none.
            let group = groups.iter().find(|group| group.name == *name)?;
            let mut fronts = Vec::new();
            for entry in &group.entries {
                match *entry {
                    GroupEntry::Fwmark { mark: number, family } => {
                        fronts.push(mark(context, number, family.or(server.ip_family))?);
                    }
                    GroupEntry::Addresses { first, last, port } => {
                        let Some(addresses) = range(first, last) else {
                            context.error(
                                group.origin,
                                format!("{first}-{last} are too many addresses: {MOST_ADDRESSES} at most"),
                            );
                            return None;
                        };
                        let port = port.unwrap_or(0);
                        fronts.extend(addresses.into_iter().map(|address| Front::Address {
                            transport,
                            address: SocketAddr::new(address, port),
                        }));
                    }
                }
            }
            // The parser has said that it is empty.
            if fronts.is_empty() {
                return None;
            }
            Some(fronts)
        }
    }
}

/// The addresses of a range; `None` if there are too many.
fn range(first: IpAddr, last: IpAddr) -> Option<Vec<IpAddr>> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    let (from, to) = (number(first), number(last));
    if to.checked_sub(from)? >= MOST_ADDRESSES {
        return None;
    }
    let address = |number: u128| match first {
        IpAddr::V4(_) => u32::try_from(number).ok().map(|number| IpAddr::V4(number.into())),
        IpAddr::V6(_) => Some(IpAddr::V6(number.into())),
    };
    (from..=to).map(address).collect()
}

fn scheduling(server: &VirtualServer) -> Algorithm {
    let name = server
        .lvs_sched
        .map_or_else(|| "wlc".to_owned(), |scheduler| scheduler.to_string());
    let (fallback, port) = match name.as_str() {
        "sh" => (server.sh_fallback, server.sh_port),
        "mh" => (server.mh_fallback, server.mh_port),
        _ => (false, false),
    };
    let flags = [server.flag_1 || fallback, server.flag_2 || port, server.flag_3];
    let bits = flags.iter().zip([1, 2, 4]).filter(|(is_set, _)| **is_set);
    Algorithm {
        name,
        flags: bits.map(|(_, bit)| bit).sum(),
    }
}

fn persistence(server: &VirtualServer, fronts: &[Front]) -> Option<Persistence> {
    let all_ports = fronts.iter().any(|front| front.port() == Some(0));
    let is_persistent =
        server.persistence_timeout.is_some() || server.persistence_granularity.is_some() || all_ports;
    is_persistent.then(|| Persistence {
        seconds: server
            .persistence_timeout
            .map_or(DEFAULT_PERSISTENCE, |wanted| wanted.seconds),
        granularity: match server.persistence_granularity {
            None => Granularity::Address,
            Some(keepalived_conf::Granularity::Netmask(mask)) => Granularity::Netmask(mask),
            Some(keepalived_conf::Granularity::Prefix(bits)) => Granularity::Prefix(bits),
        },
        engine: server.persistence_engine.clone(),
    })
}

fn forwarding(wanted: Option<&keepalived_conf::Forwarding>) -> Option<Forwarding> {
    let Some(wanted) = wanted else {
        return Some(Forwarding::Masquerade);
    };
    Some(match wanted.method {
        Method::Nat => Forwarding::Masquerade,
        Method::Dr => Forwarding::DirectRoute,
        Method::Fnat => Forwarding::FullNat,
        Method::Tun => Forwarding::Tunnel(match wanted.tunnel {
            None | Some(keepalived_conf::Tunnel::Ipip) => Tunnel::Ipip,
            Some(keepalived_conf::Tunnel::Gre) => Tunnel::Gre {
                checksum: wanted.checksum == Some(keepalived_conf::TunnelChecksum::Yes),
            },
            Some(keepalived_conf::Tunnel::Gue) => Tunnel::Gue {
                port: wanted.port.and_then(NonZeroU16::new)?,
                checksum: match wanted.checksum {
                    None | Some(keepalived_conf::TunnelChecksum::No) => TunnelChecksum::None,
                    Some(keepalived_conf::TunnelChecksum::Yes) => TunnelChecksum::Own,
                    Some(keepalived_conf::TunnelChecksum::Remote) => TunnelChecksum::Remote,
                },
            },
        }),
    })
}

/// Says what `FNAT` means where the kernel balances, if one of these is that.
fn full_nat(context: &mut Context<'_>, origin: Origin, methods: &[&Option<keepalived_conf::Forwarding>]) {
    let is_full = |method: &keepalived_conf::Forwarding| method.method == Method::Fnat;
    if !methods.iter().any(|method| method.as_ref().is_some_and(is_full)) {
        return;
    }
    let advice = "use NAT, DR or TUN, or --data-plane proxy";
    match context.options.full_nat {
        Some(true) => {}
        Some(false) => context.error(origin, format!("the kernel's IPVS has no FNAT: {advice}")),
        None => context.warning(
            origin,
            format!("where the kernel has IPVS, which has no FNAT, this is left out: {advice}"),
        ),
    }
}

fn hooks(
    context: &mut Context<'_>,
    up: Option<&keepalived_conf::Command>,
    down: Option<&keepalived_conf::Command>,
) -> Hooks {
    Hooks {
        up: up.and_then(|command| context.command(command, None)),
        down: down.and_then(|command| context.command(command, None)),
        ..Hooks::default()
    }
}

fn mailed(context: &Context<'_>, own: Option<bool>, default: bool) -> bool {
    let Some(global) = context.global() else {
        return own.unwrap_or(default);
    };
    let wanted = own.or(global.smtp_alert_checker).or(global.smtp_alert);
    wanted.unwrap_or(default && !global.no_checker_emails)
}

/// So many addresses a range may have.
const MOST_ADDRESSES: u128 = 1 << 16;

/// keepalived's, in seconds.
const DEFAULT_PERSISTENCE: u32 = 360;

#[cfg(test)]
mod tests;
