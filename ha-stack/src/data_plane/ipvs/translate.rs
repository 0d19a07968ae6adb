//! From operators' words to the kernel's and back.

use std::net::{IpAddr, SocketAddr};

use ipvs_netlink::{
    Checksum, Daemon, DaemonOptions, DaemonRole, Destination, Endpoint, EngineName, Family, Forward,
    InterfaceName, MulticastGroup, PersistenceTimeout, PrefixLength, Protocol, Scheduler, SchedulerFlags,
    SchedulerName, Service, ServiceKey, Stats, TableService, Thresholds, Timeout, Timeouts, Weight,
};

use crate::data_plane::{
    Algorithm, ConnectionTimeouts, DesiredReal, DesiredServer, Forwarding, Front, Granularity, Persistence,
    Synchronization, Traffic, Transport, Tunnel, TunnelChecksum,
};

pub(super) fn key(front: &Front) -> ServiceKey {
    match *front {
        Front::Address { transport, address } => ServiceKey::Address {
            protocol: match transport {
                Transport::Tcp => Protocol::Tcp,
                Transport::Udp => Protocol::Udp,
                Transport::Sctp => Protocol::Sctp,
            },
            endpoint: Endpoint::from(address),
        },
        Front::Mark { mark, ipv6 } => ServiceKey::Mark {
            mark,
            family: match ipv6 {
                true => Family::V6,
                false => Family::V4,
            },
        },
    }
}

/// `None` for what is not expressed in operators' words, and so is not ours.
pub(super) fn front(key: &ServiceKey) -> Option<Front> {
    match *key {
        ServiceKey::Address { protocol, endpoint } => Some(Front::Address {
            transport: match protocol {
                Protocol::Tcp => Transport::Tcp,
                Protocol::Udp => Transport::Udp,
                Protocol::Sctp => Transport::Sctp,
                Protocol::Other(_) | _ => return None,
            },
            address: SocketAddr::from(endpoint),
        }),
        ServiceKey::Mark { mark, family } => Some(Front::Mark {
            mark,
            ipv6: family == Family::V6,
        }),
        _ => None,
    }
}

/// The rows of a virtual server; what the kernel has no word for is left out and said.
pub(super) fn server(server: &DesiredServer, refused: &mut Vec<String>) -> TableService {
    let front = &server.front;
    let mut service = Service::new(key(front), scheduler(front, &server.scheduling, refused));
    service.one_packet = server.one_packet;
    if server.proxy_protocol.is_some() {
        refused.push(format!(
            "{front}: the kernel does not speak the PROXY protocol; use --data-plane proxy"
        ));
    }
    service.persistence = server
        .persistence
        .as_ref()
        .map(|wanted| persistence(front, wanted, refused));
    let destinations = server.real_servers.iter();
    TableService {
        service,
        destinations: destinations
            .filter_map(|real| destination(front, real, refused))
            .collect(),
    }
}

fn scheduler(front: &Front, wanted: &Algorithm, refused: &mut Vec<String>) -> Scheduler {
    match SchedulerName::new(&wanted.name) {
        Some(name) => Scheduler::from_parts(name, SchedulerFlags::from_bits(wanted.flags)),
        None => {
            refused.push(format!(
                "{front}: `{}` is no name of a scheduler: wlc is taken",
                wanted.name
            ));
            Scheduler::WeightedLeastConnection
        }
    }
}

fn persistence(front: &Front, wanted: &Persistence, refused: &mut Vec<String>) -> ipvs_netlink::Persistence {
    let timeout = PersistenceTimeout::from_seconds(wanted.seconds).unwrap_or_else(|| {
        refused.push(format!(
            "{front}: {} s are too long to persist: 360 s are taken",
            wanted.seconds
        ));
        PersistenceTimeout::DEFAULT
    });
    let granularity = match wanted.granularity {
        Granularity::Address => ipvs_netlink::Granularity::Address,
        Granularity::Netmask(mask) => ipvs_netlink::Granularity::Mask(mask),
        Granularity::Prefix(bits) => PrefixLength::new(bits).map_or(
            ipvs_netlink::Granularity::Address,
            ipvs_netlink::Granularity::Prefix,
        ),
    };
    let engine = wanted.engine.as_deref().and_then(|name| {
        let engine = EngineName::new(name);
        if engine.is_none() {
            refused.push(format!("{front}: `{name}` is no name of a persistence engine"));
        }
        engine
    });
    ipvs_netlink::Persistence {
        timeout,
        granularity,
        engine,
    }
}

fn destination(front: &Front, real: &DesiredReal, refused: &mut Vec<String>) -> Option<Destination> {
    let address = real.address;
    let Some(forward) = forward(real.forwarding) else {
        refused.push(format!(
            "{front}: {address} is left out: the kernel's IPVS has no FNAT; use NAT, DR or TUN, or --data-plane proxy"
        ));
        return None;
    };
    let mut built = Destination::new(Endpoint::from(address), forward);
    match Weight::new(real.weight) {
        Some(weight) => built.weight = weight,
        None => {
            refused.push(format!(
                "{front}: {address} is left out: the weight {} is too great",
                real.weight
            ));
            return None;
        }
    }
    match Thresholds::new(real.upper_threshold, real.lower_threshold) {
        Some(thresholds) => built.thresholds = thresholds,
        None => refused.push(format!(
            "{front}: {address} has no thresholds: {} and {} contradict each other",
            real.upper_threshold, real.lower_threshold
        )),
    }
    Some(built)
}

fn forward(forwarding: Forwarding) -> Option<Forward> {
    Some(match forwarding {
        Forwarding::Masquerade => Forward::Masquerade,
        Forwarding::DirectRoute => Forward::DirectRoute,
        Forwarding::Tunnel(Tunnel::Ipip) => Forward::Tunnel(ipvs_netlink::Tunnel::Ipip),
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => {
            Forward::Tunnel(ipvs_netlink::Tunnel::Gre { checksum })
        }
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => Forward::Tunnel(ipvs_netlink::Tunnel::Gue {
            port,
            checksum: match checksum {
                TunnelChecksum::None => Checksum::None,
                TunnelChecksum::Own => Checksum::Computed,
                TunnelChecksum::Remote => Checksum::Remote,
            },
        }),
        Forwarding::FullNat => return None,
    })
}

pub(super) fn timeouts(wanted: ConnectionTimeouts) -> Timeouts {
    let timeout = |seconds: Option<u32>| seconds.and_then(Timeout::from_seconds);
    Timeouts {
        tcp: timeout(wanted.tcp),
        tcp_fin: timeout(wanted.tcp_fin),
        udp: timeout(wanted.udp),
    }
}

pub(super) fn role(sends: bool) -> DaemonRole {
    match sends {
        true => DaemonRole::Master,
        false => DaemonRole::Backup,
    }
}

pub(super) fn daemon(wanted: &Synchronization, refused: &mut Vec<String>) -> Option<Daemon> {
    let Some(interface) = InterfaceName::new(&wanted.interface) else {
        refused.push(format!(
            "`{}` is no name of an interface: connections are not shared",
            wanted.interface
        ));
        return None;
    };
    let group = wanted.group.and_then(|group| {
        let built = match group {
            IpAddr::V4(group) => MulticastGroup::v4(group),
            IpAddr::V6(group) => MulticastGroup::v6(group),
        };
        if built.is_none() {
            refused.push(format!(
                "{group} is no multicast group: 224.0.0.81 is taken to share connections"
            ));
        }
        built
    });
    let mut daemon = Daemon::new(role(wanted.sends), interface, wanted.id);
    daemon.options = DaemonOptions {
        max_length: wanted.max_length,
        group,
        port: wanted.port,
        ttl: wanted.ttl,
    };
    Some(daemon)
}

/// Whether what runs is what is wanted; what is not said the kernel has filled in.
pub(super) fn is_same_daemon(there: &Daemon, wanted: &Daemon) -> bool {
    fn fits<T: PartialEq>(there: Option<T>, wanted: Option<T>) -> bool {
        wanted.is_none() || there == wanted
    }
    there.role == wanted.role
        && there.interface == wanted.interface
        && there.sync_id == wanted.sync_id
        && fits(there.options.max_length, wanted.options.max_length)
        && fits(there.options.group, wanted.options.group)
        && fits(there.options.port, wanted.options.port)
        && fits(there.options.ttl, wanted.options.ttl)
}

pub(super) fn traffic(stats: &Stats) -> Traffic {
    Traffic {
        connections: stats.connections,
        packets_in: Some(stats.packets_in),
        packets_out: Some(stats.packets_out),
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        connection_rate: stats.rates.connections,
        byte_rate_in: stats.rates.bytes_in,
        byte_rate_out: stats.rates.bytes_out,
    }
}
