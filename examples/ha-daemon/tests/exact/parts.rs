//! The parts: each virtual router, and what its peer says to it.

use std::net::Ipv4Addr;

use crate::stage::{FAULTY, FORGETFUL, LEFTOVER, OWN, OWNER, PAIR, Packet, Part, Says};

pub(crate) const MASTER_OF_100: u8 = 2;
pub(crate) const OWNER_UNSAID: u8 = 3;
pub(crate) const OWNER_AS_BACKUP: u8 = 4;
pub(crate) const WITHOUT_PRIORITY: u8 = 5;
pub(crate) const MASTER_NOPREEMPT: u8 = 6;
pub(crate) const EQUAL: u8 = 9;
pub(crate) const LOWER: u8 = 10;
pub(crate) const NOPREEMPT: u8 = 11;
pub(crate) const LEARNED: u8 = 12;
pub(crate) const OTHER_INTERVAL: u8 = 13;
pub(crate) const RELEASED_2: u8 = 14;
pub(crate) const RELEASED_3: u8 = 15;
pub(crate) const SKEW_2: u8 = 16;
pub(crate) const DELAYED: u8 = 17;
pub(crate) const DELAYED_DEATH: u8 = 18;
pub(crate) const FAR: u8 = 19;
pub(crate) const PASSWORD: u8 = 20;
pub(crate) const SPOILED: u8 = 21;
pub(crate) const VERSION: u8 = 22;
pub(crate) const KIND: u8 = 23;
pub(crate) const CUT: u8 = 24;
pub(crate) const LONG_PASSWORD: u8 = 25;
pub(crate) const UNICAST: u8 = 26;
pub(crate) const HEARS_LOWER: u8 = 27;
pub(crate) const HEARS_ZERO: u8 = 28;
pub(crate) const HEARS_HIGHER: u8 = 29;
pub(crate) const HEARS_HIGHER_NOPREEMPT: u8 = 30;
pub(crate) const HEARS_HIGHER_ANSWERS: u8 = 31;
pub(crate) const HEARS_EQUAL_HIGHER_ADDRESS: u8 = 32;
pub(crate) const HEARS_EQUAL_LOWER_ADDRESS: u8 = 33;
pub(crate) const HEARS_ITSELF: u8 = 34;
pub(crate) const UNICAST_TTL: u8 = 37;
pub(crate) const SEVERAL: u8 = 38;
pub(crate) const PENDING: u8 = 39;
pub(crate) const VERSION_3: u8 = 41;
pub(crate) const WAKES_LOWER: u8 = 42;

/// Those that no advertisement reaches that they would believe.
pub(crate) const UNBELIEVING: [u8; 8] = [
    FAR,
    PASSWORD,
    SPOILED,
    VERSION,
    KIND,
    CUT,
    UNICAST,
    OTHER_INTERVAL,
];

/// Those that become active after 6.6 s and advertise then every 6 s: between their advertisements there is time to say
/// something to them.
const RARELY: &str = "priority 100\n advert_int 6\n down_timer_adverts 1";

/// When that is said.
const BETWEEN: f64 = 9.0;

pub(crate) fn parts() -> Vec<Part> {
    let part = |vrid, lines, says| Part { vrid, lines, says };
    let quiet = |vrid, lines| part(vrid, lines, Vec::new());
    let says = |from, to, packet| Says { packet, from, to };
    let always = |packet| vec![says(-1.0, 1e9, packet)];
    let between = |packet: Packet| {
        let packet = Packet {
            interval: 6,
            ..packet
        };
        vec![says(BETWEEN, 1e9, packet)]
    };
    let from = |last: u8, packet: Packet| Packet {
        source: Ipv4Addr::new(10, 1, 10, last),
        ..packet
    };
    let v2 = Packet::v2;
    vec![
        quiet(OWNER, "state MASTER\n priority 255"),
        quiet(MASTER_OF_100, "state MASTER\n priority 100"),
        quiet(OWNER_UNSAID, "priority 255"),
        quiet(OWNER_AS_BACKUP, "state BACKUP\n priority 255"),
        quiet(WITHOUT_PRIORITY, "state MASTER"),
        part(
            MASTER_NOPREEMPT,
            "state MASTER\n priority 100\n nopreempt",
            always(v2(50)),
        ),
        quiet(PAIR[0], "state MASTER\n priority 255"),
        quiet(PAIR[1], "state BACKUP\n priority 100"),
        // The first learns that the active router is slow, and is active itself before long; then the second is told of a
        // better one, which is not there for long.
        part(
            FORGETFUL[0],
            "version 3\n priority 250",
            vec![
                says(-1.0, 1.0, Packet::v3(251, 400)),
                says(1.2, 1.85, Packet::v3(0, 400)),
            ],
        ),
        part(
            FORGETFUL[1],
            "version 3\n priority 250",
            vec![says(6.0, 6.65, Packet::v3(251, 100))],
        ),
        // As a backup.
        part(EQUAL, "priority 100", always(v2(100))),
        part(LOWER, "priority 100", always(v2(50))),
        part(
            NOPREEMPT,
            "state BACKUP\n priority 100\n nopreempt",
            vec![says(-1.0, 4.0, v2(50))],
        ),
        part(
            LEARNED,
            "version 3\n priority 100\n advert_int 1",
            vec![says(-1.0, 2.0, Packet::v3(200, 200))],
        ),
        part(
            OTHER_INTERVAL,
            "priority 100",
            always(Packet {
                interval: 2,
                ..v2(200)
            }),
        ),
        part(
            RELEASED_2,
            "priority 100",
            vec![says(-1.0, 2.0, v2(200)), says(2.4, 3.05, v2(0))],
        ),
        part(
            RELEASED_3,
            "version 3\n priority 1\n advert_int 4",
            vec![
                says(-1.0, 2.0, Packet::v3(200, 400)),
                says(2.4, 3.05, Packet::v3(0, 400)),
            ],
        ),
        part(
            SKEW_2,
            "priority 1\n advert_int 6\n down_timer_adverts 1",
            vec![says(
                -1.0,
                1.0,
                Packet {
                    interval: 6,
                    ..v2(200)
                },
            )],
        ),
        part(
            DELAYED,
            "state BACKUP\n priority 100\n preempt_delay 2",
            always(v2(50)),
        ),
        part(
            DELAYED_DEATH,
            "state BACKUP\n priority 100\n preempt_delay 30",
            vec![says(-1.0, 3.0, v2(50))],
        ),
        // What is not believed, and what is.
        part(
            FAR,
            "priority 100",
            always(Packet {
                hop_limit: 254,
                ..v2(200)
            }),
        ),
        part(
            PASSWORD,
            "priority 100\n authentication {\n  auth_type PASS\n  auth_pass right\n }",
            always(Packet {
                password: b"wrong",
                ..v2(200)
            }),
        ),
        part(
            SPOILED,
            "priority 100",
            always(Packet {
                is_spoiled: true,
                ..v2(200)
            }),
        ),
        part(VERSION, "priority 100", always(Packet::v3(200, 100))),
        part(KIND, "priority 100", always(Packet { kind: 2, ..v2(200) })),
        part(
            CUT,
            "priority 100",
            always(Packet {
                is_cut: true,
                ..v2(200)
            }),
        ),
        part(
            LONG_PASSWORD,
            "priority 100\n authentication {\n  auth_type PASS\n  auth_pass 12345678nine\n }",
            always(Packet {
                password: b"12345678",
                ..v2(200)
            }),
        ),
        part(
            UNICAST,
            "priority 100\n unicast_peer {\n  10.1.10.1\n }",
            always(v2(200)),
        ),
        // While active.
        part(HEARS_LOWER, RARELY, between(v2(50))),
        part(HEARS_ZERO, RARELY, between(v2(0))),
        part(HEARS_HIGHER, RARELY, between(v2(200))),
        part(
            HEARS_HIGHER_NOPREEMPT,
            "state BACKUP\n nopreempt\n priority 100\n advert_int 6\n down_timer_adverts 1",
            between(v2(200)),
        ),
        part(
            HEARS_HIGHER_ANSWERS,
            "higher_prio_send_advert\n priority 100\n advert_int 6\n down_timer_adverts 1",
            between(v2(200)),
        ),
        part(HEARS_EQUAL_HIGHER_ADDRESS, RARELY, between(from(3, v2(100)))),
        part(HEARS_EQUAL_LOWER_ADDRESS, RARELY, between(v2(100))),
        part(HEARS_ITSELF, RARELY, between(from(OWN.octets()[3], v2(100)))),
        // The rest.
        quiet(
            FAULTY,
            "priority 100\n notify /etc/keepalived/notify.sh\n track_script {\n  door\n }",
        ),
        part(LEFTOVER, "priority 100", always(v2(200))),
        quiet(UNICAST_TTL, "priority 100\n unicast_ttl 64"),
        quiet(
            SEVERAL,
            "priority 100\n advert_int 3\n down_timer_adverts 1\n virtual_ipaddress_excluded {\n  10.9.9.9\n }\n \
             virtual_ipaddress {\n  10.9.9.3\n  10.9.9.1/24\n  10.9.9.2\n }",
        ),
        quiet(
            PENDING,
            "state MASTER\n priority 255\n track_script {\n  slow\n }",
        ),
        quiet(VERSION_3, "version 3\n priority 100\n advert_int 1.5"),
        part(
            WAKES_LOWER,
            "version 3\n priority 100\n advert_int 1",
            vec![says(-1.0, 1e9, Packet::v3(50, 100))],
        ),
    ]
}
