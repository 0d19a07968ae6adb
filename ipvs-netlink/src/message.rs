//! The packet layer: requests and replies as bytes, without input or output.
//!
//! ```text
//! nlmsghdr (netlink-batch) | genlmsghdr: command, version, 0, 0 | attributes
//!                                        SERVICE { AF, PROTOCOL, ADDR, PORT | FWMARK, SCHED_NAME, FLAGS, .. }
//!                                        DEST    { ADDR, PORT, FWD_METHOD, WEIGHT, .. }
//! ```
//!
//! Numbers are in the host's byte order, except ports of services, destinations and tunnels, addresses and IPv4 masks;
//! the port of a sync daemon is in the host's order again.

mod attribute;
mod reply;
mod request;

pub use reply::{DaemonEntry, DestinationEntry, Reply, ServiceEntry, UnknownAttribute};
pub use request::{Command, Request};

/// Command numbers.
mod command {
    pub(crate) const NEW_SERVICE: u8 = 1;
    pub(crate) const SET_SERVICE: u8 = 2;
    pub(crate) const DEL_SERVICE: u8 = 3;
    pub(crate) const GET_SERVICE: u8 = 4;
    pub(crate) const NEW_DEST: u8 = 5;
    pub(crate) const SET_DEST: u8 = 6;
    pub(crate) const DEL_DEST: u8 = 7;
    pub(crate) const GET_DEST: u8 = 8;
    pub(crate) const NEW_DAEMON: u8 = 9;
    pub(crate) const DEL_DAEMON: u8 = 10;
    pub(crate) const GET_DAEMON: u8 = 11;
    pub(crate) const SET_CONFIG: u8 = 12;
    pub(crate) const GET_CONFIG: u8 = 13;
    pub(crate) const SET_INFO: u8 = 14;
    pub(crate) const GET_INFO: u8 = 15;
    pub(crate) const ZERO: u8 = 16;
    pub(crate) const FLUSH: u8 = 17;
}

/// Attribute numbers, by the attribute they stand in.
mod number {
    pub(crate) mod top {
        pub(crate) const SERVICE: u16 = 1;
        pub(crate) const DEST: u16 = 2;
        pub(crate) const DAEMON: u16 = 3;
        pub(crate) const TIMEOUT_TCP: u16 = 4;
        pub(crate) const TIMEOUT_TCP_FIN: u16 = 5;
        pub(crate) const TIMEOUT_UDP: u16 = 6;
    }

    pub(crate) mod service {
        pub(crate) const AF: u16 = 1;
        pub(crate) const PROTOCOL: u16 = 2;
        pub(crate) const ADDR: u16 = 3;
        pub(crate) const PORT: u16 = 4;
        pub(crate) const FWMARK: u16 = 5;
        pub(crate) const SCHED_NAME: u16 = 6;
        pub(crate) const FLAGS: u16 = 7;
        pub(crate) const TIMEOUT: u16 = 8;
        pub(crate) const NETMASK: u16 = 9;
        pub(crate) const STATS: u16 = 10;
        pub(crate) const PE_NAME: u16 = 11;
        pub(crate) const STATS64: u16 = 12;
    }

    pub(crate) mod dest {
        pub(crate) const ADDR: u16 = 1;
        pub(crate) const PORT: u16 = 2;
        pub(crate) const FWD_METHOD: u16 = 3;
        pub(crate) const WEIGHT: u16 = 4;
        pub(crate) const U_THRESH: u16 = 5;
        pub(crate) const L_THRESH: u16 = 6;
        pub(crate) const ACTIVE_CONNS: u16 = 7;
        pub(crate) const INACT_CONNS: u16 = 8;
        pub(crate) const PERSIST_CONNS: u16 = 9;
        pub(crate) const STATS: u16 = 10;
        pub(crate) const ADDR_FAMILY: u16 = 11;
        pub(crate) const STATS64: u16 = 12;
        pub(crate) const TUN_TYPE: u16 = 13;
        pub(crate) const TUN_PORT: u16 = 14;
        pub(crate) const TUN_FLAGS: u16 = 15;
    }

    pub(crate) mod daemon {
        pub(crate) const STATE: u16 = 1;
        pub(crate) const MCAST_IFN: u16 = 2;
        pub(crate) const SYNC_ID: u16 = 3;
        pub(crate) const SYNC_MAXLEN: u16 = 4;
        pub(crate) const MCAST_GROUP: u16 = 5;
        pub(crate) const MCAST_GROUP6: u16 = 6;
        pub(crate) const MCAST_PORT: u16 = 7;
        pub(crate) const MCAST_TTL: u16 = 8;
    }

    pub(crate) mod info {
        pub(crate) const VERSION: u16 = 1;
        pub(crate) const CONN_TAB_SIZE: u16 = 2;
    }
}

/// Flags of a service.
mod flag {
    pub(crate) const PERSISTENT: u32 = 1;
    pub(crate) const HASHED: u32 = 2;
    pub(crate) const ONE_PACKET: u32 = 4;
    /// The lowest of the scheduler's three.
    pub(crate) const SCHEDULER_SHIFT: u32 = 3;
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    //! The layouts of both byte orders, on whichever of them this runs.

    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::num::{NonZeroU16, NonZeroU32};

    use super::attribute::Order;
    use super::{Reply, Request};
    use crate::config::{Timeout, Timeouts};
    use crate::daemon::{Daemon, DaemonOptions, DaemonRole, MulticastGroup};
    use crate::destination::{Checksum, Destination, Forward, Thresholds, Tunnel, Weight};
    use crate::message::{DestinationEntry, ServiceEntry};
    use crate::service::{
        Family, Granularity, HashFlags, Persistence, PersistenceTimeout, PrefixLength, Scheduler, Service,
        ServiceKey,
    };
    use crate::stats::Stats;

    struct Big;
    impl Order for Big {
        const BIG: bool = true;
    }

    struct Little;
    impl Order for Little {
        const BIG: bool = false;
    }

    fn service(key: ServiceKey) -> Service {
        Service {
            key,
            scheduler: Scheduler::SourceHash(HashFlags {
                fallback: true,
                port: false,
            }),
            one_packet: true,
            persistence: Some(Persistence {
                timeout: PersistenceTimeout::from_seconds(300).unwrap(),
                granularity: Granularity::Prefix(PrefixLength::new(24).unwrap()),
                engine: None,
            }),
        }
    }

    fn big(request: &Request) -> Vec<u8> {
        let mut bytes = Vec::new();
        request.encode_as::<Big>(&mut bytes);
        assert_eq!(
            Request::decode_as::<Big>(&bytes, request.is_dump()).unwrap(),
            *request
        );
        let mut little = Vec::new();
        request.encode_as::<Little>(&mut little);
        assert_eq!(
            Request::decode_as::<Little>(&little, request.is_dump()).unwrap(),
            *request
        );
        bytes
    }

    #[test]
    fn a_service_on_a_big_endian_host() {
        let key = ServiceKey::tcp((Ipv4Addr::new(10, 0, 0, 1), 80));
        #[rustfmt::skip]
        let expected = [
            1, 1, 0, 0,
            0, 0x54, 0x80, 1, // SERVICE
            0, 6, 0, 1, 0, 2, 0, 0, // AF
            0, 6, 0, 2, 0, 6, 0, 0, // PROTOCOL
            0, 0x14, 0, 3, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // ADDR
            0, 6, 0, 4, 0, 80, 0, 0, // PORT
            0, 7, 0, 6, b's', b'h', 0, 0, // SCHED_NAME
            0, 0xc, 0, 7, 0, 0, 0, 0xd, 0xff, 0xff, 0xff, 0xff, // FLAGS
            0, 8, 0, 8, 0, 0, 1, 0x2c, // TIMEOUT
            0, 8, 0, 9, 255, 255, 255, 0, // NETMASK, in the network's order
        ];
        assert_eq!(big(&Request::AddService(service(key))), expected);
    }

    #[test]
    fn numbers_of_both_orders_stand_side_by_side_on_a_big_endian_host() {
        let mark = ServiceKey::mark(NonZeroU32::new(7).unwrap(), Family::V6);
        let bytes = big(&Request::EditService(service(mark)));
        // The mark and an IPv6 prefix are in the host's order.
        assert!(bytes.windows(8).any(|window| window == [0, 8, 0, 5, 0, 0, 0, 7]));
        assert!(bytes.ends_with(&[0, 8, 0, 9, 0, 0, 0, 24]));

        let destination = Destination {
            endpoint: (Ipv6Addr::LOCALHOST, 0x1234).into(),
            forward: Forward::Tunnel(Tunnel::Gue {
                port: NonZeroU16::new(0x17c0).unwrap(),
                checksum: Checksum::Remote,
            }),
            weight: Weight::new(3).unwrap(),
            thresholds: Thresholds::new(100, 50).unwrap(),
        };
        let bytes = big(&Request::AddDestination(mark, destination));
        for attribute in [
            [0, 6, 0, 2, 0x12, 0x34, 0, 0],
            [0, 8, 0, 3, 0, 0, 0, 2],
            [0, 8, 0, 4, 0, 0, 0, 3],
            [0, 6, 0, 14, 0x17, 0xc0, 0, 0],
            [0, 6, 0, 15, 0, 2, 0, 0],
            [0, 8, 0, 5, 0, 0, 0, 100],
        ] {
            assert!(
                bytes.windows(8).any(|window| window == attribute),
                "{attribute:?}"
            );
        }

        let daemon = Daemon {
            role: DaemonRole::Backup,
            interface: "eth0".parse().unwrap(),
            sync_id: 9,
            options: DaemonOptions {
                max_length: Some(1000),
                group: MulticastGroup::v4(Ipv4Addr::new(224, 0, 0, 90)),
                port: Some(8850),
                ttl: None,
            },
        };
        let bytes = big(&Request::StartDaemon(daemon));
        // The port of a daemon is in the host's order, unlike all others.
        assert!(
            bytes
                .windows(8)
                .any(|window| window == [0, 6, 0, 7, 0x22, 0x92, 0, 0])
        );
        assert!(
            bytes
                .windows(8)
                .any(|window| window == [0, 8, 0, 5, 224, 0, 0, 90])
        );

        let timeouts = Timeouts {
            tcp: Timeout::from_seconds(900),
            ..Timeouts::default()
        };
        assert_eq!(
            big(&Request::SetTimeouts(timeouts)),
            [12, 1, 0, 0, 0, 8, 0, 4, 0, 0, 3, 0x84]
        );
    }

    #[test]
    fn replies_of_both_orders_say_the_same() {
        let key = ServiceKey::udp((Ipv4Addr::new(10, 0, 0, 1), 53));
        let stats = Stats {
            connections: 1 << 40,
            bytes_in: 0x0102_0304_0506_0708,
            ..Stats::default()
        };
        let service = Reply::Service(ServiceEntry {
            service: service(key),
            stats,
            unknown: Vec::new(),
        });
        let destination = Reply::Destination(DestinationEntry {
            destination: Destination::new((Ipv4Addr::new(10, 0, 0, 2), 53), Forward::Masquerade),
            active: 1,
            inactive: 2,
            persistent: 3,
            stats,
            unknown: Vec::new(),
        });
        for reply in [service, destination] {
            let mut bytes = Vec::new();
            reply.encode_as::<Big>(&mut bytes);
            assert_eq!(Reply::decode_as::<Big>(&bytes, Family::V4).unwrap(), reply);
            bytes.clear();
            reply.encode_as::<Little>(&mut bytes);
            assert_eq!(Reply::decode_as::<Little>(&bytes, Family::V4).unwrap(), reply);
        }
    }

    #[test]
    fn counters_are_the_wide_ones_where_there_are_any_and_padding_is_passed_over() {
        use super::attribute::{nest, put};
        use super::number::{service as number, top};
        let entry = |narrow: bool, wide: bool| {
            let mut bytes = vec![1, 1, 0, 0];
            nest::<Little>(&mut bytes, top::SERVICE, |out| {
                put::<Little>(out, number::AF, &[2, 0]);
                put::<Little>(out, number::FWMARK, &[1, 0, 0, 0]);
                put::<Little>(out, number::SCHED_NAME, b"rr\0");
                if wide {
                    nest::<Little>(out, number::STATS64, |out| {
                        put::<Little>(out, 11, &[]);
                        put::<Little>(out, 1, &[0, 0, 0, 0, 1, 0, 0, 0]);
                    });
                }
                if narrow {
                    nest::<Little>(out, number::STATS, |out| put::<Little>(out, 1, &[7, 0, 0, 0]));
                }
                put::<Little>(out, 77, &[1, 2, 3]);
            });
            Reply::decode_as::<Little>(&bytes, Family::V4)
                .unwrap()
                .service()
                .unwrap()
        };
        assert_eq!(entry(true, true).stats.connections, 1 << 32);
        assert_eq!(entry(true, false).stats.connections, 7);
        let unknown = &entry(false, false).unknown[0];
        assert_eq!((unknown.kind, &*unknown.value), (77, &[1, 2, 3][..]));
    }
}
