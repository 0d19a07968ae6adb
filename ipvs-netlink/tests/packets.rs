//! The packet layer from outside: round trips, prefixes, random bytes, rules as text.

mod common;

use common::{daemon, destination, endpoint, key, service};
use ipvs_netlink::{
    DaemonEntry, DestinationEntry, Family, Info, ParseErrorKind, Rates, Reply, Request, ServiceEntry, Stats,
    Timeout, Timeouts, UnknownAttribute, parse_rules, write_request,
};
use proptest::prelude::*;

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let timeout = || prop::option::of((1_u32..=2_147_483).prop_map(|n| Timeout::from_seconds(n).unwrap()));
    (timeout(), timeout(), timeout()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        service().prop_map(Request::AddService),
        service().prop_map(Request::EditService),
        key().prop_map(Request::DeleteService),
        key().prop_map(Request::Service),
        Just(Request::Services),
        (key(), destination()).prop_map(|(key, destination)| Request::AddDestination(key, destination)),
        (key(), destination()).prop_map(|(key, destination)| Request::EditDestination(key, destination)),
        (key(), endpoint()).prop_map(|(key, endpoint)| Request::DeleteDestination(key, endpoint)),
        key().prop_map(Request::Destinations),
        daemon().prop_map(Request::StartDaemon),
        daemon().prop_map(|daemon| Request::StopDaemon(daemon.role)),
        Just(Request::Daemons),
        timeouts().prop_map(Request::SetTimeouts),
        Just(Request::Timeouts),
        Just(Request::Info),
        prop::option::of(key()).prop_map(Request::Zero),
        Just(Request::Flush),
    ]
}

fn stats() -> impl Strategy<Value = Stats> {
    prop::array::uniform10(any::<u64>()).prop_map(|[a, b, c, d, e, f, g, h, i, j]| Stats {
        connections: a,
        packets_in: b,
        packets_out: c,
        bytes_in: d,
        bytes_out: e,
        rates: Rates {
            connections: f,
            packets_in: g,
            packets_out: h,
            bytes_in: i,
            bytes_out: j,
        },
    })
}

fn unknown() -> impl Strategy<Value = Vec<UnknownAttribute>> {
    let attribute = (100_u16..200, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, value)| {
        UnknownAttribute {
            kind,
            value: value.into(),
        }
    });
    prop::collection::vec(attribute, 0..3)
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        (service(), stats(), unknown()).prop_map(|(service, stats, unknown)| Reply::Service(ServiceEntry {
            service,
            stats,
            unknown,
        })),
        (destination(), any::<[u32; 3]>(), stats(), unknown()).prop_map(
            |(destination, [active, inactive, persistent], stats, unknown)| {
                Reply::Destination(DestinationEntry {
                    destination,
                    active,
                    inactive,
                    persistent,
                    stats,
                    unknown,
                })
            }
        ),
        (daemon(), unknown()).prop_map(|(daemon, unknown)| Reply::Daemon(DaemonEntry { daemon, unknown })),
        timeouts().prop_map(Reply::Timeouts),
    ]
}

proptest! {
    #[test]
    fn requests_are_read_as_they_are_written(request in request()) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(Request::decode(&bytes, request.is_dump()), Ok(request));
    }

    /// A message cut off anywhere is refused, or is a whole message of fewer attributes; it never panics.
    #[test]
    fn every_prefix_is_refused(reply in reply()) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        prop_assert_eq!(Reply::decode(&bytes, Family::V4), Ok(reply.clone()));
        for length in 0..bytes.len() {
            if let Ok(shorter) = Reply::decode(&bytes[..length], Family::V4) {
                // Only the timeouts are attributes of the message itself, each of which may be missing.
                prop_assert!(matches!(shorter, Reply::Timeouts(_)));
            }
        }
    }

    #[test]
    fn random_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), dump: bool) {
        let _ = Reply::decode(&bytes, Family::V6);
        let _ = Request::decode(&bytes, dump);
    }

    /// One byte of a message turned over: refused or read, never a panic.
    #[test]
    fn a_damaged_message_is_read_without_a_panic(reply in reply(), place: prop::sample::Index, value: u8) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        let place = place.index(bytes.len());
        bytes[place] ^= value;
        let _ = Reply::decode(&bytes, Family::V4);
    }

    #[test]
    fn rules_are_read_as_they_are_written(request in request()) {
        if let Some(line) = write_request(&request) {
            prop_assert_eq!(parse_rules(&line), Ok(vec![request]), "{}", line);
        }
    }

    #[test]
    fn random_rules_are_read_without_a_panic(text in "(-[AaEeDdtufsrwmgipMboxy6CZ]|--(set|pe|tun-type|tun-port|mcast-group)|10.0.0.1:80|[a-z0-9.:=/-]{0,9}|[ \n]){0,14}") {
        let _ = parse_rules(&text);
    }
}

#[test]
fn the_information_is_read_as_it_is_written() {
    // The only reply that cannot be made by hand: its version has no constructor.
    let bytes = [
        &[14_u8, 1, 0, 0][..],
        &attribute(1, 0x0001_0201),
        &attribute(2, 4096),
    ]
    .concat();
    let Ok(Reply::Info(info)) = Reply::decode(&bytes, Family::V4) else {
        panic!("not read");
    };
    assert_eq!(info.version.to_string(), "1.2.1");
    assert_eq!(info.connection_table_size, 4096);
    let mut again = Vec::new();
    Reply::Info(Info { ..info }).encode(&mut again);
    assert_eq!(again, bytes);
}

fn attribute(kind: u16, value: u32) -> Vec<u8> {
    let mut bytes = 8_u16.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value.to_ne_bytes());
    bytes
}

#[test]
fn what_ipvsadm_saves_is_read() {
    let text = "\
# a comment
-A -t 10.0.0.1:80 -s wlc -p 300 -M 255.255.255.0 --pe sip -o -b flag-1
-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 3
--add-service --fwmark-service 7 --ipv6 --scheduler=sh --sched-flags sh-fallback,sh-port

-a -f 7 -6 -r [2001:db8::2]:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-A -f -1 -s rr
-A -u [2001:db8::1]:53 -p
-a -u [2001:db8::1]:53 -r [2001:db8::2]
--start-daemon backup --mcast-interface eth1
";
    let requests = parse_rules(text).unwrap();
    let lines: Vec<String> = requests.iter().filter_map(write_request).collect();
    assert_eq!(
        lines,
        [
            "-A -t 10.0.0.1:80 -s wlc -p 300 -M 255.255.255.0 --pe sip -o -b flag-1",
            "-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 3",
            "-A -f 7 -6 -s sh -b sh-fallback,sh-port",
            "-a -f 7 -6 -r [2001:db8::2]:80 -i --tun-type gue --tun-port 6080 --tun-remcsum -w 1",
            "-A -f 4294967295 -s rr",
            "-A -u [2001:db8::1]:53 -s wlc -p 360",
            "-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -g -w 1",
            "--start-daemon backup --mcast-interface eth1 --syncid 0",
        ]
    );
}

#[test]
fn errors_point_at_the_word() {
    for (text, line, column, kind) in [
        ("-A -t web:80", 1, 7, ParseErrorKind::Value),
        ("\n-A -q", 2, 4, ParseErrorKind::UnknownOption),
        ("-t 10.0.0.1:80", 1, 1, ParseErrorKind::NoCommand),
        ("-A -D -t 10.0.0.1:80", 1, 4, ParseErrorKind::SecondCommand),
        ("-A -s rr", 1, 9, ParseErrorKind::NoService),
        ("-a -t 10.0.0.1:80", 1, 18, ParseErrorKind::NoDestination),
        ("-A -t", 1, 6, ParseErrorKind::NoValue),
        (
            "-a -t 10.0.0.1:80 -r 10.0.0.2 -x 1 -y 2",
            1,
            22,
            ParseErrorKind::Thresholds,
        ),
        (
            "-a -t 10.0.0.1:80 -r 10.0.0.2 -i --tun-type gue",
            1,
            22,
            ParseErrorKind::TunnelPort,
        ),
        ("-A -t 10.0.0.1:80 -M 64", 1, 22, ParseErrorKind::Mask),
        ("-A -f 0", 1, 7, ParseErrorKind::Value),
    ] {
        let error = parse_rules(text).unwrap_err();
        assert_eq!(
            (error.line, error.column, error.kind),
            (line, column, kind),
            "{text}"
        );
    }
}
