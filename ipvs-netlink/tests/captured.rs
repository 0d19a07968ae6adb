//! Messages between ipvsadm 1.31 and Linux 6.12 on x86-64, captured with strace, equal to ours byte for byte.

#![cfg(target_endian = "little")]

use ipvs_netlink::{DaemonRole, Family, Reply, Request, parse_rules, write_request, write_rules};

/// Hexadecimal digits, blanks between them passed over.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// Bodies of requests, from the header of generic netlink on, with the words that made ipvsadm send them.
const SAME: &[(&str, &str)] = &[
    (
        "-A -t 10.99.0.1:80 -s wlc -p 300 -M 255.255.255.0 -b flag-1",
        "\
    010100005400018006000100020000000600020006000000140003000a63000100000000000000000000000006000400 \
    0050000008000600776c63000c00070009000000ffffffff080008002c01000008000900ffffff00 \
",
    ),
    (
        "-A -t [2001:db8:99::1]:443 -s rr -p 60 -M 64",
        "\
    0101000054000180060001000a00000006000200060000001400030020010db800990000000000000000000106000400 \
    01bb000007000600727200000c00070001000000ffffffff080008003c0000000800090040000000 \
",
    ),
    (
        "-A -f 7 -s sh -b sh-port",
        "\
    01010000380001800600010002000000080005000700000007000600736800000c00070010000000ffffffff08000800 \
    0000000008000900ffffffff \
",
    ),
    (
        "-A -u 10.99.0.1:5060 -s rr -p 60 --pe sip -o",
        "\
    010100005c00018006000100020000000600020011000000140003000a63000100000000000000000000000006000400 \
    13c40000070006007272000008000b00736970000c00070005000000ffffffff080008003c00000008000900ffffffff \
",
    ),
    (
        "--set 901 121 301",
        "\
    0c01000008000400850300000800050079000000080006002d010000 \
",
    ),
    (
        "-Z",
        "\
    10010000 \
",
    ),
    (
        "-C",
        "\
    11010000 \
",
    ),
    (
        "--start-daemon master --mcast-interface sync0 --syncid 7 --sync-maxlen 1000 --mcast-group 224.0.0.90 --mcast-port 8850 --mcast-ttl 3",
        "\
    090100004000038008000100010000000a00020073796e6330000000080003000700000006000400e803000006000700 \
    92220000050008000300000008000500e000005a \
",
    ),
];

/// Here ipvsadm says more than it has to: what a service or destination is found by would be enough.
const LONGER: &[(&str, &str)] = &[
    (
        "-a -t 10.99.0.1:80 -r 10.99.1.2:8080 -m -w 3 -x 100 -y 50",
        "\
    050100005400018006000100020000000600020006000000140003000a63000100000000000000000000000006000400 \
    0050000005000600000000000c00070000000000ffffffff080008000000000008000900ffffffff6000028006000b00 \
    02000000140001000a630102000000000000000000000000060002001f90000008000300000000000800040003000000 \
    05000d000000000006000e000000000006000f000000000008000500640000000800060032000000 \
",
    ),
    (
        "-a -t 10.99.0.1:80 -r 10.99.1.4:80 -i --tun-type gue --tun-port 6080 --tun-csum -w 2",
        "\
    050100005400018006000100020000000600020006000000140003000a63000100000000000000000000000006000400 \
    0050000005000600000000000c00070000000000ffffffff080008000000000008000900ffffffff6000028006000b00 \
    02000000140001000a630104000000000000000000000000060002000050000008000300020000000800040002000000 \
    05000d000100000006000e0017c0000006000f000100000008000500000000000800060000000000 \
",
    ),
    (
        "-a -t 10.99.0.1:80 -r [2001:db8:99:1::1]:80 -i -w 3",
        "\
    050100005400018006000100020000000600020006000000140003000a63000100000000000000000000000006000400 \
    0050000005000600000000000c00070000000000ffffffff080008000000000008000900ffffffff6000028006000b00 \
    0a0000001400010020010db8009900010000000000000001060002000050000008000300020000000800040003000000 \
    05000d000000000006000e000000000006000f000000000008000500000000000800060000000000 \
",
    ),
    (
        "-d -t 10.99.0.1:80 -r 10.99.1.4:80",
        "\
    070100005400018006000100020000000600020006000000140003000a63000100000000000000000000000006000400 \
    0050000005000600000000000c00070000000000ffffffff080008000000000008000900ffffffff6000028006000b00 \
    02000000140001000a630104000000000000000000000000060002000050000008000300030000000800040001000000 \
    05000d000000000006000e000000000006000f000000000008000500000000000800060000000000 \
",
    ),
    (
        "-D -f 7",
        "\
    03010000380001800600010002000000080005000700000005000600000000000c00070000000000ffffffff08000800 \
    0000000008000900ffffffff \
",
    ),
    (
        "--stop-daemon master",
        "\
    0a0100001c000380080001000100000005000200000000000800030000000000 \
",
    ),
];

const SERVICE: &str = "\
    010100002c01010006000100020000000600020006000000140003000a63000100000000000000000000000006000400 \
    0050000008000600776c63000c0007000b000000ffffffff080008002c01000008000900ffffff005c000a0008000100 \
    00000000080002000000000008000300000000000c00040000000000000000000c000500000000000000000008000600 \
    0000000008000700000000000800080000000000080009000000000008000a00000000007c000c000c00010000000000 \
    000000000c00020000000000000000000c00030000000000000000000c00040000000000000000000c00050000000000 \
    000000000c00060000000000000000000c00070000000000000000000c00080000000000000000000c00090000000000 \
    000000000c000a000000000000000000 \
";

const DESTINATION: &str = "\
    0501000050010200140001000a630102000000000000000000000000060002001f900000080003000000000008000400 \
    0300000005000d000000000006000e000000000006000f00000000000800050064000000080006003200000008000700 \
    000000000800080000000000080009000000000006000b00020000005c000a0008000100000000000800020000000000 \
    08000300000000000c00040000000000000000000c000500000000000000000008000600000000000800070000000000 \
    0800080000000000080009000000000008000a00000000007c000c000c00010000000000000000000c00020000000000 \
    000000000c00030000000000000000000c00040000000000000000000c00050000000000000000000c00060000000000 \
    000000000c00070000000000000000000c00080000000000000000000c00090000000000000000000c000a0000000000 \
    00000000 \
";

const DAEMON: &str = "\
    090100004000030008000100010000000a00020073796e6330000000080003000700000006000400e803000006000700 \
    92220000050008000300000008000500e000005a \
";

const INFO: &str = "\
    0e01000008000100010201000800020000100000 \
";

#[test]
fn requests_are_those_of_ipvsadm() {
    for (words, captured) in SAME {
        let requests = parse_rules(words).unwrap();
        let captured = bytes(captured);
        let mut encoded = Vec::new();
        requests[0].encode(&mut encoded);
        assert_eq!(encoded, captured, "{words}");
        assert_eq!(Request::decode(&captured, false), Ok(requests[0]), "{words}");
    }
}

#[test]
fn requests_that_ipvsadm_makes_longer_say_the_same() {
    for (words, captured) in LONGER {
        let requests = parse_rules(words).unwrap();
        let captured = bytes(captured);
        assert_eq!(Request::decode(&captured, false), Ok(requests[0]), "{words}");
        let mut encoded = Vec::new();
        requests[0].encode(&mut encoded);
        assert!(encoded.len() < captured.len(), "{words}");
        // A tunnel's destination has all attributes here too.
        if words.contains(" -i ") {
            let destination = encoded.len() - 96;
            assert!(captured.ends_with(&encoded[destination..]), "{words}");
        }
    }
}

#[test]
fn replies_of_the_kernel_are_read() {
    let Reply::Service(entry) = Reply::decode(&bytes(SERVICE), Family::V4).unwrap() else {
        panic!("not a service");
    };
    assert_eq!(
        write_request(&Request::AddService(entry.service)).unwrap(),
        "-A -t 10.99.0.1:80 -s wlc -p 300 -M 255.255.255.0 -b flag-1"
    );
    assert!(entry.unknown.is_empty());
    let Reply::Destination(destination) = Reply::decode(&bytes(DESTINATION), Family::V4).unwrap() else {
        panic!("not a destination");
    };
    assert_eq!(
        write_rules(&[Request::AddDestination(
            entry.service.key,
            destination.destination
        )]),
        "-a -t 10.99.0.1:80 -r 10.99.1.2:8080 -m -w 3 -x 100 -y 50\n"
    );
    assert!(destination.unknown.is_empty());
    let Reply::Daemon(daemon) = Reply::decode(&bytes(DAEMON), Family::V4).unwrap() else {
        panic!("not a daemon");
    };
    assert_eq!(daemon.daemon.role, DaemonRole::Master);
    assert_eq!(
        write_request(&Request::StartDaemon(daemon.daemon)).unwrap(),
        "--start-daemon master --mcast-interface sync0 --syncid 7 --sync-maxlen 1000 --mcast-group 224.0.0.90 \
         --mcast-port 8850 --mcast-ttl 3"
    );
    assert!(daemon.unknown.is_empty());
    let Reply::Info(info) = Reply::decode(&bytes(INFO), Family::V4).unwrap() else {
        panic!("no information");
    };
    assert_eq!(
        (info.version.to_string().as_str(), info.connection_table_size),
        ("1.2.1", 4096)
    );
}

#[test]
fn every_prefix_of_a_reply_is_refused() {
    for captured in [SERVICE, DESTINATION, DAEMON, INFO] {
        let captured = bytes(captured);
        for length in 0..captured.len() {
            assert!(
                Reply::decode(&captured[..length], Family::V4).is_err(),
                "{length}"
            );
        }
    }
}
