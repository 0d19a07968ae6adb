//! Generators: any service, destination, daemon and table that can be written down.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroU32};

use ipvs_netlink::{
    Checksum, Daemon, DaemonOptions, DaemonRole, Destination, Endpoint, Family, Forward, Granularity,
    MulticastGroup, Persistence, PersistenceTimeout, PrefixLength, Protocol, Scheduler, SchedulerFlags,
    Service, ServiceKey, Table, TableService, Thresholds, Tunnel, Weight,
};
use proptest::prelude::*;

pub(crate) fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

pub(crate) fn endpoint() -> impl Strategy<Value = Endpoint> {
    (address(), any::<u16>()).prop_map(|(address, port)| Endpoint::new(address, port))
}

pub(crate) fn key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![Just(6_u8), Just(17), Just(132), any::<u8>()];
    prop_oneof![
        (protocol, endpoint()).prop_map(|(number, endpoint)| ServiceKey::Address {
            protocol: Protocol::from_number(number),
            endpoint,
        }),
        (1..=u32::MAX, any::<bool>()).prop_map(|(mark, v6)| ServiceKey::Mark {
            mark: NonZeroU32::new(mark).unwrap(),
            family: if v6 { Family::V6 } else { Family::V4 },
        }),
    ]
}

pub(crate) fn scheduler() -> impl Strategy<Value = Scheduler> {
    (prop::sample::select(NAMES), 0_u8..8).prop_map(|(name, flags)| {
        Scheduler::from_parts(name.parse().unwrap(), SchedulerFlags::from_bits(flags))
    })
}

pub(crate) fn granularity() -> impl Strategy<Value = Granularity> {
    prop_oneof![
        Just(Granularity::Address),
        (1_u8..=128).prop_map(|bits| Granularity::Prefix(PrefixLength::new(bits).unwrap())),
        any::<u32>().prop_map(|bits| Granularity::Mask(Ipv4Addr::from_bits(bits))),
    ]
}

pub(crate) fn persistence() -> impl Strategy<Value = Persistence> {
    (0_u32..=4_294_967, granularity(), any::<bool>()).prop_map(|(seconds, granularity, engine)| Persistence {
        timeout: PersistenceTimeout::from_seconds(seconds).unwrap(),
        granularity,
        engine: engine.then(|| "sip".parse().unwrap()),
    })
}

/// In canonical form, which is how the kernel gives it back.
pub(crate) fn service() -> impl Strategy<Value = Service> {
    (key(), scheduler(), any::<bool>(), prop::option::of(persistence())).prop_map(
        |(key, scheduler, one_packet, persistence)| {
            Service {
                key,
                scheduler,
                one_packet,
                persistence,
            }
            .canonical()
        },
    )
}

pub(crate) fn forward() -> impl Strategy<Value = Forward> {
    let checksum = prop_oneof![
        Just(Checksum::None),
        Just(Checksum::Computed),
        Just(Checksum::Remote)
    ];
    prop_oneof![
        Just(Forward::Masquerade),
        Just(Forward::Local),
        Just(Forward::DirectRoute),
        Just(Forward::Bypass),
        (5_u8..8).prop_map(Forward::Other),
        Just(Forward::Tunnel(Tunnel::Ipip)),
        any::<bool>().prop_map(|checksum| Forward::Tunnel(Tunnel::Gre { checksum })),
        (1..=u16::MAX, checksum).prop_map(|(port, checksum)| {
            let port = NonZeroU16::new(port).unwrap();
            Forward::Tunnel(Tunnel::Gue { port, checksum })
        }),
    ]
}

pub(crate) fn thresholds() -> impl Strategy<Value = Thresholds> {
    (0_u32..=2_147_483_647)
        .prop_flat_map(|upper| (Just(upper), 0..=upper))
        .prop_map(|(upper, lower)| Thresholds::new(upper, lower).unwrap())
}

pub(crate) fn destination() -> impl Strategy<Value = Destination> {
    (endpoint(), forward(), 0_u32..=2_147_483_647, thresholds()).prop_map(
        |(endpoint, forward, weight, thresholds)| Destination {
            endpoint,
            forward,
            weight: Weight::new(weight).unwrap(),
            thresholds,
        },
    )
}

pub(crate) fn daemon() -> impl Strategy<Value = Daemon> {
    let group = prop_oneof![
        (0_u32..1 << 28)
            .prop_map(|bits| MulticastGroup::v4(Ipv4Addr::from_bits(0xe000_0000 | bits)).unwrap()),
        any::<u16>()
            .prop_map(|low| { MulticastGroup::v6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, low)).unwrap() }),
    ];
    let options = (
        prop::option::of(1_u16..),
        prop::option::of(group),
        prop::option::of(1_u16..),
        prop::option::of(1_u8..),
    )
        .prop_map(|(max_length, group, port, ttl)| DaemonOptions {
            max_length,
            group,
            port,
            ttl,
        });
    (any::<bool>(), any::<u8>(), options).prop_map(|(master, sync_id, options)| Daemon {
        role: if master {
            DaemonRole::Master
        } else {
            DaemonRole::Backup
        },
        interface: "eth0".parse().unwrap(),
        sync_id,
        options,
    })
}

/// A table over so few keys and endpoints that two of them have some in common.
pub(crate) fn small_table() -> impl Strategy<Value = Table> {
    let destination = (1_u8..6, 0_u32..3, any::<bool>()).prop_map(|(host, weight, masquerade)| {
        let forward = if masquerade {
            Forward::Masquerade
        } else {
            Forward::DirectRoute
        };
        Destination::new((Ipv4Addr::new(10, 0, 1, host), 80), forward).weight(Weight::new(weight).unwrap())
    });
    let scheduler = prop::sample::select(&["rr", "wlc", "sh"][..]);
    let service = (1_u8..6, scheduler, prop::collection::vec(destination, 0..6)).prop_map(
        |(host, scheduler, mut destinations)| {
            let key = ServiceKey::tcp((Ipv4Addr::new(10, 0, 0, host), 80));
            let mut seen = std::collections::HashSet::new();
            destinations.retain(|destination: &Destination| seen.insert(destination.endpoint));
            TableService {
                service: Service::new(key, Scheduler::from_name(scheduler).unwrap()),
                destinations,
            }
        },
    );
    prop::collection::vec(service, 0..6).prop_map(|mut services| {
        let mut seen = std::collections::HashSet::new();
        services.retain(|service: &TableService| seen.insert(service.service.key));
        Table { services }
    })
}

pub(crate) const NAMES: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos", "none",
    "mine",
];
