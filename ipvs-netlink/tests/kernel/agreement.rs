//! What ipvsadm sets is read here, and the other way round.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use ipvs_netlink::{
    Batch, Daemon, DaemonOptions, DaemonRole, Destination, Forward, MulticastGroup, Reason, Table,
    Thresholds, Timeout, Timeouts, Tunnel, Weight, parse_rules, write_rules,
};

use crate::support::*;

#[test]
#[ignore = "needs an IPVS kernel"]
fn what_ipvsadm_sets_is_read() {
    let client = client();
    for line in RULES {
        ipvsadm(line);
    }
    assert_eq!(
        sorted(client.snapshot().unwrap().table()),
        sorted(Table::from_requests(&rules()))
    );
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn what_is_set_is_read_by_ipvsadm() {
    let client = client();
    client
        .apply(&Batch::from_iter(rules()))
        .unwrap()
        .into_result()
        .unwrap();
    let saved = ipvsadm("-S -n");
    // ipvsadm does not save thresholds; those it lists.
    let mut wanted = sorted(Table::from_requests(&rules()));
    let mut thresholds = Vec::new();
    for service in &mut wanted.services {
        for destination in &mut service.destinations {
            let limits = destination.thresholds;
            if limits != Thresholds::NONE {
                thresholds.push((destination.endpoint.to_string(), limits));
            }
            destination.thresholds = Thresholds::NONE;
        }
    }
    let read = parse_rules(&saved).unwrap_or_else(|error| panic!("{error}\n{saved}"));
    assert_eq!(sorted(Table::from_requests(&read)), wanted);
    let listed = ipvsadm("-L -n --thresholds");
    for (endpoint, limits) in thresholds {
        let found = listed.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(1) == Some(&endpoint.as_str())
                && words.get(2) == Some(&limits.upper().to_string().as_str())
                && words.get(3) == Some(&limits.lower().to_string().as_str())
        });
        assert!(found, "{endpoint} {limits:?}\n{listed}");
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn ipvsadm_restores_what_is_written_and_nothing_is_lost_on_the_way_through_here() {
    let client = client();
    let mut text = write_rules(&rules());
    let mut child = Command::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let table = client.snapshot().unwrap().table();
    assert_eq!(sorted(table.clone()), sorted(Table::from_requests(&rules())));
    // Written, read and applied again: the same, with the order of the destinations.
    text = write_rules(&table.requests());
    client.flush().unwrap();
    client
        .apply(&Batch::from_iter(parse_rules(&text).unwrap()))
        .unwrap()
        .into_result()
        .unwrap();
    assert_eq!(client.snapshot().unwrap().table(), table);
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn edits_on_either_side_are_seen_on_the_other() {
    let client = client();
    client.add_service(service(80)).unwrap();
    client.add_destination(service(80).key, destination(1)).unwrap();
    ipvsadm("-E -t 10.98.0.1:80 -s sh -p 90 -M 255.255.0.0");
    ipvsadm("-e -t 10.98.0.1:80 -r 10.97.0.1:80 -m -w 9 -x 8 -y 4");
    let line = "-A -t 10.98.0.1:80 -s sh -p 90 -M 255.255.0.0\n-a -t 10.98.0.1:80 -r 10.97.0.1:80 -m -w 9 -x 8 -y 4\n";
    assert_eq!(write_rules(&client.snapshot().unwrap().table().requests()), line);
    client.edit_service(service(80)).unwrap();
    client
        .edit_destination(service(80).key, destination(1).weight(Weight::ZERO))
        .unwrap();
    assert_eq!(
        ipvsadm("-S -n"),
        "-A -t 10.98.0.1:80 -s rr\n-a -t 10.98.0.1:80 -r 10.97.0.1:80 -m -w 0\n"
    );
    client
        .delete_destination(service(80).key, destination(1).endpoint)
        .unwrap();
    client.delete_service(service(80).key).unwrap();
    assert_eq!(ipvsadm("-S -n"), "");
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn timeouts_are_the_same_on_both_sides() {
    let client = client();
    let seconds = |n| Timeout::from_seconds(n);
    ipvsadm("--set 901 121 301");
    let wanted = Timeouts {
        tcp: seconds(901),
        tcp_fin: seconds(121),
        udp: seconds(301),
    };
    assert_eq!(client.timeouts().unwrap(), wanted);
    client
        .set_timeouts(Timeouts {
            udp: seconds(17),
            ..Timeouts::default()
        })
        .unwrap();
    assert!(ipvsadm("-L --timeout").contains("901 121 17"));
    // The longest that can be said is one that the kernel takes.
    client
        .set_timeouts(Timeouts {
            tcp: seconds(2_147_483),
            ..wanted
        })
        .unwrap();
    assert_eq!(client.timeouts().unwrap().tcp, seconds(2_147_483));
    client.set_timeouts(wanted).unwrap();
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn sync_daemons_are_the_same_on_both_sides() {
    let client = client();
    run("ip", &["link", "set", "lo", "up"]);
    run("ip", &["link", "add", "sync0", "type", "dummy"]);
    run("ip", &["addr", "add", "10.96.0.1/24", "dev", "sync0"]);
    run("ip", &["link", "set", "sync0", "up"]);
    assert!(client.daemons().unwrap().is_empty());
    let daemon = Daemon {
        role: DaemonRole::Master,
        interface: "sync0".parse().unwrap(),
        sync_id: 7,
        options: DaemonOptions {
            max_length: Some(1000),
            group: MulticastGroup::v4(Ipv4Addr::new(224, 0, 0, 90)),
            port: Some(8850),
            ttl: Some(3),
        },
    };
    client.start_daemon(daemon).unwrap();
    assert_eq!(client.daemons().unwrap()[0].daemon, daemon);
    let listed = ipvsadm("-L --daemon");
    for part in [
        "master",
        "sync0",
        "syncid=7",
        "maxlen=1000",
        "224.0.0.90",
        "8850",
        "ttl=3",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert_eq!(refusal(client.start_daemon(daemon)), Reason::DaemonExists);
    ipvsadm("--start-daemon backup --mcast-interface sync0 --syncid 9");
    let daemons = client.daemons().unwrap();
    let backup = daemons
        .iter()
        .find(|entry| entry.daemon.role == DaemonRole::Backup)
        .unwrap();
    assert_eq!(backup.daemon.sync_id, 9);
    assert_eq!(backup.daemon.options.port, Some(8848));
    assert!(backup.unknown.is_empty());

    // Mixed families and a daemon exclude each other.
    client.add_service(service(80)).unwrap();
    let v6 = Destination::new(
        (Ipv6Addr::new(0x2001, 0xdb8, 0x97, 0, 0, 0, 0, 1), 80),
        Forward::Tunnel(Tunnel::Ipip),
    );
    assert_eq!(
        refusal(client.add_destination(service(80).key, v6)),
        Reason::MixedFamiliesAndDaemon
    );
    client.stop_daemon(DaemonRole::Master).unwrap();
    client.stop_daemon(DaemonRole::Backup).unwrap();
    client.add_destination(service(80).key, v6).unwrap();
    assert_eq!(
        refusal(client.start_daemon(daemon)),
        Reason::MixedFamiliesAndDaemon
    );
    client.flush().unwrap();
    assert_eq!(
        refusal(client.stop_daemon(DaemonRole::Master)),
        Reason::DaemonNotRunning
    );
    let nowhere = Daemon {
        interface: "nowhere0".parse().unwrap(),
        ..daemon
    };
    assert_eq!(
        refusal(client.start_daemon(nowhere)),
        Reason::InterfaceNotFound("nowhere0".parse().unwrap())
    );
    let v6_group = Daemon {
        options: DaemonOptions {
            group: MulticastGroup::v6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x90)),
            ..daemon.options
        },
        ..daemon
    };
    client.start_daemon(v6_group).unwrap();
    assert_eq!(client.daemons().unwrap()[0].daemon, v6_group);
    client.stop_daemon(DaemonRole::Master).unwrap();
    run("ip", &["link", "del", "sync0"]);
}
