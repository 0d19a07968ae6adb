//! The client against a live kernel, with ipvsadm as its peer.
//!
//! Each test starts from an empty table. They run one after the other, in a network namespace or a machine of their own:
//! `cargo xtask test -p ipvs-netlink` does that.

use std::collections::BTreeMap;
use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipvs_netlink::{
    Batch, Client, Connections, Daemon, DaemonOptions, DaemonRole, Destination, Endpoint, Error, Forward,
    MulticastGroup, Owned, Persistence, PersistenceTimeout, ProcKey, Reason, ReconcileOptions, Removal,
    Request, Scheduler, Service, ServiceKey, Sysctl, Table, TableService, Thresholds, Timeout, Timeouts,
    Tunnel, Weight, parse_rules, read_statistics, read_table, write_rules,
};
use netlink_batch::Limits;

/// What ipvsadm can set, apart from daemons and timeouts. Destinations stand in the order in which `ipvsadm -S` sorts them.
const RULES: &[&str] = &[
    "-A -t 10.99.0.1:80 -s rr",
    "-A -u 10.99.0.1:53 -s wrr -o",
    "-A --sctp-service 10.99.0.1:3868 -s lc",
    "-A -t [2001:db8:99::1]:443 -s wlc",
    "-A -f 7 -s sed",
    "-A -f 7 -6 -s nq",
    "-A -f 4294967295 -s fo -o",
    "-A -t 10.99.0.2:0 -s wlc -p 300",
    "-A -t 10.99.0.3:80 -s lblc -p 1",
    "-A -t 10.99.0.4:80 -s lblcr -p 2678400 -M 255.255.255.0",
    "-A -t [2001:db8:99::4]:80 -s dh -p 360 -M 64",
    "-A -u 10.99.0.5:5060 -s rr -p 600 --pe sip -o",
    "-A -t 10.99.0.6:80 -s sh -b sh-fallback",
    "-A -t 10.99.0.7:80 -s sh -b sh-fallback,sh-port",
    "-A -t 10.99.0.8:80 -s mh -b mh-port",
    "-A -t 10.99.0.9:80 -s mh",
    "-A -t 10.99.0.10:80 -s ovf",
    "-A -t 10.99.0.11:80 -s rr -b flag-1,flag-2,flag-3",
    "-A -t 10.99.0.12:80 -s none",
    "-a -t 10.99.0.1:80 -r 10.99.1.1:80 -g -w 1",
    "-a -t 10.99.0.1:80 -r 10.99.1.2:8080 -m -w 0",
    "-a -t 10.99.0.1:80 -r 10.99.1.3:80 -i -w 65535",
    "-a -t 10.99.0.1:80 -r 10.99.1.4:80 -i --tun-type gue --tun-port 6080 --tun-nocsum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.5:80 -i --tun-type gue --tun-port 6080 --tun-csum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.6:80 -i --tun-type gue --tun-port 6081 --tun-remcsum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.7:80 -i --tun-type gre --tun-nocsum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.8:80 -i --tun-type gre --tun-csum -w 2",
    "-a -t 10.99.0.1:80 -r [2001:db8:99:1::1]:80 -i -w 3",
    "-a -t [2001:db8:99::1]:443 -r [2001:db8:99:1::2]:443 -m -w 4",
    "-a -t [2001:db8:99::1]:443 -r 10.99.1.9:443 -i -w 4",
    "-a -f 7 -r 10.99.1.1:0 -g -w 1",
    "-a -f 7 -6 -r [2001:db8:99:1::3]:0 -g -w 1",
    "-a --sctp-service 10.99.0.1:3868 -r 10.99.1.1:3868 -m -w 1",
    "-a -t 10.99.0.3:80 -r 10.99.1.1:80 -m -w 5 -x 100 -y 50",
    "-a -t 10.99.0.3:80 -r 10.99.1.2:80 -m -w 5 -x 2147483647",
];

fn client() -> Client {
    let client = Client::open().unwrap();
    client.flush().unwrap();
    client
}

fn all() -> ReconcileOptions {
    ReconcileOptions {
        owned: Owned::All,
        ..ReconcileOptions::default()
    }
}

/// Runs a program, which has to succeed, and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ipvsadm(line: &str) -> String {
    run("ipvsadm", &line.split_whitespace().collect::<Vec<_>>())
}

fn rules() -> Vec<Request> {
    parse_rules(&RULES.join("\n")).unwrap()
}

/// A table to compare: services and destinations in the order of their keys.
fn sorted(mut table: Table) -> Table {
    table.services.sort_by_key(|service| service.service.key);
    for service in &mut table.services {
        service
            .destinations
            .sort_by_key(|destination| destination.endpoint);
    }
    table
}

fn refusal(result: Result<(), Error>) -> Reason {
    match result.unwrap_err() {
        Error::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

fn service(port: u16) -> Service {
    Service::new(
        ServiceKey::tcp((Ipv4Addr::new(10, 98, 0, 1), port)),
        Scheduler::RoundRobin,
    )
}

fn destination(number: u16) -> Destination {
    let [high, low] = number.to_be_bytes();
    Destination::new((Ipv4Addr::new(10, 97, high, low), 80), Forward::Masquerade)
}

/// 250 services with 40 destinations each.
fn big_table() -> Table {
    let services = (0..250)
        .map(|number| TableService {
            service: Service {
                scheduler: Scheduler::WeightedLeastConnection,
                ..service(1000 + number)
            },
            destinations: (0..40).map(|host| destination(number * 40 + host)).collect(),
        })
        .collect();
    Table { services }
}

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

#[test]
#[ignore = "needs an IPVS kernel"]
fn every_error_that_can_be_provoked_has_its_meaning() {
    let client = client();
    let key = service(80).key;
    let missing = service(81).key;
    client.add_service(service(80)).unwrap();
    client.add_destination(key, destination(1)).unwrap();
    assert_eq!(refusal(client.add_service(service(80))), Reason::ServiceExists);
    assert_eq!(
        refusal(client.add_destination(key, destination(1))),
        Reason::DestinationExists
    );
    for result in [
        client.edit_service(service(81)),
        client.delete_service(missing),
        client.service(missing).map(|_| ()),
        client.destinations(missing).map(|_| ()),
        client.add_destination(missing, destination(1)),
        client.edit_destination(missing, destination(1)),
        client.delete_destination(missing, destination(1).endpoint),
        client.zero(Some(missing)),
    ] {
        assert_eq!(refusal(result), Reason::ServiceNotFound);
    }
    assert_eq!(
        refusal(client.edit_destination(key, destination(2))),
        Reason::DestinationNotFound
    );
    assert_eq!(
        refusal(client.delete_destination(key, destination(2).endpoint)),
        Reason::DestinationNotFound
    );
    let unheard = Scheduler::from_name("unheard").unwrap();
    let wanted = Reason::SchedulerMissing("unheard".parse().unwrap());
    let with_unheard = Service {
        scheduler: unheard,
        ..service(82)
    };
    assert_eq!(refusal(client.add_service(with_unheard)), wanted);
    let edit = Service {
        scheduler: unheard,
        ..service(80)
    };
    assert_eq!(refusal(client.edit_service(edit)), wanted);
    let engine = Service {
        persistence: Some(Persistence {
            timeout: PersistenceTimeout::DEFAULT,
            granularity: ipvs_netlink::Granularity::Address,
            engine: Some("unheard".parse().unwrap()),
        }),
        ..service(83)
    };
    assert!(matches!(
        refusal(client.add_service(engine)),
        Reason::SchedulerOrEngineMissing(..)
    ));
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0x97, 0, 0, 0, 0, 1);
    assert_eq!(
        refusal(client.add_destination(key, Destination::new((v6, 80), Forward::Masquerade))),
        Reason::MixedFamilies
    );
    let multicast = Destination::new((Ipv4Addr::new(224, 0, 0, 1), 80), Forward::Masquerade);
    assert_eq!(
        refusal(client.add_destination(key, multicast)),
        Reason::AddressNotUsable
    );
    let portless = Tunnel::Other {
        kind: 1,
        port: 0,
        flags: 0,
    };
    let portless = Destination::new(destination(3).endpoint, Forward::Tunnel(portless));
    assert_eq!(refusal(client.add_destination(key, portless)), Reason::TunnelPort);
    // Nothing of all that has changed anything.
    assert_eq!(
        client.snapshot().unwrap().table().requests(),
        [
            Request::AddService(service(80)),
            Request::AddDestination(key, destination(1))
        ]
    );
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn a_scheduler_without_room_for_so_many_destinations_is_said_to_be_full() {
    let client = client();
    let table = Table {
        services: vec![TableService {
            service: service(80),
            destinations: (0..4100).map(destination).collect(),
        }],
    };
    client.reconcile(&table, &all()).unwrap();
    let maglev = Service {
        scheduler: Scheduler::from_name("mh").unwrap(),
        ..service(80)
    };
    assert_eq!(refusal(client.edit_service(maglev)), Reason::SchedulerFull);
}

/// Run again as an ordinary user, by the test itself.
#[test]
#[ignore = "needs an IPVS kernel"]
fn without_privileges_everything_is_refused_and_proc_can_be_read() {
    if env::var_os("IPVS_TEST_UNPRIVILEGED").is_some() {
        let client = Client::open().unwrap();
        let refused = |result: Result<(), Error>| assert_eq!(refusal(result), Reason::PermissionDenied);
        refused(client.services().map(|_| ()));
        refused(client.info().map(|_| ()));
        refused(client.add_service(service(80)));
        refused(client.flush());
        refused(client.reconcile(&big_table(), &all()).map(|_| ()));
        assert_eq!(read_table().unwrap().services.len(), 1);
        assert!(read_statistics().is_ok());
        assert!(Connections::open().unwrap().all(|connection| connection.is_ok()));
        return;
    }
    let client = client();
    client.add_service(service(80)).unwrap();
    // Where anybody can get at it.
    let copy = env::temp_dir().join(format!("ipvs-unprivileged-{}", std::process::id()));
    std::fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let status = Command::new(&copy)
        .args([
            "--ignored",
            "--exact",
            "without_privileges_everything_is_refused_and_proc_can_be_read",
        ])
        .env("IPVS_TEST_UNPRIVILEGED", "1")
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    std::fs::remove_file(&copy).unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stdout)
    );
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn every_scheduler_of_the_kernel_can_be_had() {
    let client = client();
    let names = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos", "none",
    ];
    for (port, name) in (1..).zip(names) {
        let wanted = Service {
            scheduler: Scheduler::from_name(name).unwrap(),
            ..service(port)
        };
        match client.add_service(wanted) {
            Ok(()) => assert_eq!(client.service(wanted.key).unwrap().service, wanted),
            // Debian's 6.1 is built without it.
            result => {
                assert_eq!(refusal(result), Reason::SchedulerMissing("twos".parse().unwrap()));
            }
        }
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn proc_shows_what_netlink_shows() {
    let client = client();
    client
        .apply(&Batch::from_iter(rules()))
        .unwrap()
        .into_result()
        .unwrap();
    let table = read_table().unwrap();
    let snapshot = client.snapshot().unwrap();
    assert_eq!(table.services.len(), snapshot.services.len());
    for shown in &table.services {
        let matching = snapshot.services.iter().filter(|service| {
            let service = service.entry.service;
            let same_key = match (shown.key, service.key) {
                (
                    ProcKey::Address(protocol, endpoint),
                    ServiceKey::Address {
                        protocol: p,
                        endpoint: e,
                    },
                ) => protocol == p && endpoint == e,
                (ProcKey::Mark(mark), ServiceKey::Mark { mark: m, .. }) => mark == m.get(),
                _ => false,
            };
            same_key && service.scheduler.name() == shown.scheduler
        });
        let same = matching
            .filter(|service| service.destinations.len() == shown.destinations.len())
            .find(|service| {
                service
                    .destinations
                    .iter()
                    .zip(&shown.destinations)
                    .all(|(entry, shown)| {
                        entry.destination.endpoint == shown.endpoint
                            && entry.destination.weight.get() == shown.weight
                    })
            });
        let same = same.unwrap_or_else(|| panic!("{shown:?}"));
        assert_eq!(same.entry.service.persistence.is_some(), shown.persistent);
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn settings_are_there_with_their_types() {
    let client = client();
    drop(client);
    let old = Sysctl::CONNTRACK.get().unwrap();
    Sysctl::CONNTRACK.set(!old).unwrap();
    assert_eq!(Sysctl::CONNTRACK.get().unwrap(), !old);
    Sysctl::CONNTRACK.set(old).unwrap();
    let threshold = Sysctl::SYNC_THRESHOLD.get().unwrap();
    Sysctl::SYNC_THRESHOLD.set(threshold).unwrap();
    assert!(Sysctl::LBLC_EXPIRATION.get().unwrap() > Duration::ZERO);
    Sysctl::DROP_ENTRY.get().unwrap();
    Sysctl::EST_CPULIST
        .get()
        .map(|_| ())
        .or_else(only_missing)
        .unwrap();
    Sysctl::EST_NICE.get().map(|_| ()).or_else(only_missing).unwrap();
    // Every one that the kernel has is known here.
    for entry in std::fs::read_dir("/proc/sys/net/ipv4/vs").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            ipvs_netlink::SYSCTL_NAMES.contains(&name.as_str()) || name == "debug_level",
            "{name}"
        );
    }
}

/// Added in Linux 6.2.
fn only_missing(error: std::io::Error) -> Result<(), std::io::Error> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn a_namespace_has_a_table_of_its_own() {
    let here = client();
    let name = format!("ipvs-{}", std::process::id());
    run("ip", &["netns", "add", &name]);
    let there = Client::open_named(&name).unwrap();
    there.add_service(service(80)).unwrap();
    assert!(here.services().unwrap().is_empty());
    assert_eq!(there.services().unwrap().len(), 1);
    let listed = run("ip", &["netns", "exec", &name, "ipvsadm", "-S", "-n"]);
    assert_eq!(listed, "-A -t 10.98.0.1:80 -s rr\n");
    run("ip", &["netns", "del", &name]);
    assert!(matches!(Client::open_named(&name), Err(Error::Namespace(_))));
}

/// Numbers that only look random, the same each time.
fn sequence() -> impl Iterator<Item = u16> {
    let mut state = 88_172_645_463_325_252_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u16::try_from(state % 10_000).unwrap()
    })
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn ten_thousand_destinations_survive_edits_behind_our_back() {
    let client = client();
    let wanted = big_table();
    let before = client.with_transport(|socket| socket.counters());
    let changes = client.reconcile(&wanted, &all()).unwrap();
    assert_eq!(changes.done.len(), 10_250);
    assert!(changes.refused.is_empty());
    let after = client.with_transport(|socket| socket.counters());
    println!(
        "{} sends and {} receives for 10,250 changes and one snapshot of nothing",
        after.sends - before.sends,
        after.receives - before.receives
    );
    assert_eq!(sorted(client.snapshot().unwrap().table()), sorted(wanted.clone()));
    assert!(client.reconcile(&wanted, &all()).unwrap().is_empty());

    for (round, number) in sequence().take(60).enumerate() {
        let port = 1000 + number / 40;
        let place = destination(number).endpoint;
        let key = format!("-t 10.98.0.1:{port}");
        match round % 6 {
            0 => ipvsadm(&format!("-e {key} -r {place} -m -w 3")),
            1 => ipvsadm(&format!("-d {key} -r {place}")),
            2 => ipvsadm(&format!("-a {key} -r 10.95.0.{}:80 -m", round + 1)),
            3 => ipvsadm(&format!("-E {key} -s rr -p 60")),
            4 => ipvsadm(&format!("-A -t 10.94.0.1:{} -s rr", 5000 + round)),
            _ => ipvsadm(&format!("-D {key}")),
        };
        // A service deleted once must be there to be edited later.
        if round % 6 == 5 {
            client.reconcile(&wanted, &all()).unwrap();
        }
    }
    let changes = client.reconcile(&wanted, &all()).unwrap();
    assert!(changes.refused.is_empty(), "{:?}", changes.refused);
    assert_eq!(sorted(client.snapshot().unwrap().table()), sorted(wanted.clone()));
    assert!(client.reconcile(&wanted, &all()).unwrap().is_empty());
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn an_overrun_is_noticed_and_made_good() {
    let client = client();
    let wanted = Table {
        services: vec![TableService {
            service: service(80),
            destinations: (0..100).map(destination).collect(),
        }],
    };
    client.reconcile(&wanted, &all()).unwrap();
    let limits = client.with_transport(|socket| {
        let limits = socket.limits();
        socket.set_limits(Limits::for_buffers(limits.bytes, usize::MAX));
        limits
    });
    // As many refusals in one send as the send buffer has room for: far more than the receive buffer has.
    let requests = (0..limits.bytes / 150).map(|_| Request::AddDestination(service(80).key, destination(1)));
    let mut batch: Batch = requests.collect();
    batch.add_destination(service(80).key, destination(200));
    let report = client.apply(&batch).unwrap();
    assert!(!report.refused().is_empty());
    assert!(!report.unconfirmed().is_empty());
    assert_eq!(
        report.refused().len() + report.unconfirmed().len(),
        report.len(),
        "nothing in doubt counts as done"
    );
    client.with_transport(|socket| socket.set_limits(limits));
    let changes = client.reconcile(&wanted, &all()).unwrap();
    assert_eq!(
        changes.done,
        [Request::DeleteDestination(
            service(80).key,
            destination(200).endpoint
        )]
    );
}

/// Run again by the test itself, to be killed.
#[test]
#[ignore = "needs an IPVS kernel"]
fn a_reconciliation_that_is_killed_is_finished_by_the_next() {
    if env::var_os("IPVS_TEST_VICTIM").is_some() {
        Client::open().unwrap().reconcile(&big_table(), &all()).unwrap();
        return;
    }
    let client = client();
    let mut victim = again(
        "a_reconciliation_that_is_killed_is_finished_by_the_next",
        "IPVS_TEST_VICTIM",
        &[],
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    // The table is written a service after the other: some there, not all.
    while client.services().unwrap().is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    let there = client.services().unwrap().len();
    println!("killed with {there} of 250 services written");
    assert!(there > 0);
    client.reconcile(&big_table(), &all()).unwrap();
    assert_eq!(sorted(client.snapshot().unwrap().table()), sorted(big_table()));
}

fn again(test: &str, variable: &str, prefix: &[&str]) -> Child {
    let program = env::current_exe().unwrap();
    let mut words: Vec<&str> = prefix.to_vec();
    let program = program.to_str().unwrap();
    words.extend([program, "--ignored", "--exact", test, "--nocapture"]);
    Command::new(words[0])
        .args(&words[1..])
        .env(variable, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The hosts of the traffic test; deleted with it.
struct Hosts {
    client: String,
    servers: [String; 2],
}

impl Hosts {
    /// This namespace is the director. The client has one leg on the servers' segment (direct routing and tunnels answer
    /// it there) and one behind the director.
    fn new() -> Self {
        let name = |role: &str| format!("ipvs-{}-{role}", std::process::id());
        let hosts = Self {
            client: name("client"),
            servers: [name("one"), name("two")],
        };
        run("modprobe", &["ipip"]);
        run("ip", &["link", "add", "br0", "type", "bridge"]);
        run("ip", &["addr", "add", "10.9.0.1/24", "dev", "br0"]);
        // One address for each way, for a destination that is deleted and added again keeps its counters for a while.
        run("ip", &["addr", "add", "10.9.0.100/32", "dev", "br0"]);
        run("ip", &["addr", "add", "10.9.0.101/32", "dev", "br0"]);
        run("ip", &["link", "set", "br0", "up"]);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/all/send_redirects", "0").unwrap();
        for (number, host) in [&hosts.client, &hosts.servers[0], &hosts.servers[1]]
            .into_iter()
            .enumerate()
        {
            let port = format!("port{number}");
            run("ip", &["netns", "add", host]);
            run(
                "ip",
                &[
                    "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", host,
                ],
            );
            run("ip", &["link", "set", &port, "master", "br0", "up"]);
            let address = format!("10.9.0.{}/24", 10 + number);
            hosts.on(host, &["ip", "link", "set", "lo", "up"]);
            hosts.on(host, &["ip", "addr", "add", &address, "dev", "eth0"]);
            hosts.on(host, &["ip", "link", "set", "eth0", "up"]);
        }
        run(
            "ip",
            &[
                "link",
                "add",
                "front",
                "type",
                "veth",
                "peer",
                "name",
                "eth1",
                "netns",
                &hosts.client,
            ],
        );
        run("ip", &["addr", "add", "10.9.1.1/24", "dev", "front"]);
        run("ip", &["addr", "add", "10.9.1.100/32", "dev", "front"]);
        run("ip", &["link", "set", "front", "up"]);
        hosts.on(
            &hosts.client,
            &["ip", "addr", "add", "10.9.1.2/24", "dev", "eth1"],
        );
        hosts.on(&hosts.client, &["ip", "link", "set", "eth1", "up"]);
        for server in &hosts.servers {
            hosts.on(server, &["ip", "route", "add", "default", "via", "10.9.0.1"]);
            // The real server's half of direct routing and tunnels: the address without answering for it.
            hosts.on(
                server,
                &["sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce"],
            );
            hosts.on(server, &["ip", "addr", "add", "10.9.0.100/32", "dev", "lo"]);
            hosts.on(server, &["ip", "addr", "add", "10.9.0.101/32", "dev", "lo"]);
            // The tunnel's end that takes packets from anywhere is made by the module in each namespace.
            hosts.on(
                server,
                &[
                    "sh",
                    "-c",
                    "ip link set tunl0 up; for f in all default tunl0 eth0; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done",
                ],
            );
        }
        hosts
    }

    fn on(&self, host: &str, words: &[&str]) -> String {
        run("ip", &[&["netns", "exec", host], words].concat())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.client, &self.servers[0], &self.servers[1]] {
            let _ = Command::new("ip").args(["netns", "del", host]).status();
        }
        for link in ["br0", "front"] {
            let _ = Command::new("ip").args(["link", "del", link]).status();
        }
    }
}

/// A child that does not outlive the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Run again by the test itself, as server and as client in namespaces of their own.
#[test]
#[ignore = "needs an IPVS kernel"]
fn traffic_flows_by_masquerading_direct_routing_and_tunnels() {
    const NAME: &str = "traffic_flows_by_masquerading_direct_routing_and_tunnels";
    if env::var_os("IPVS_TEST_SERVE").is_some() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let host = run("ip", &["-br", "addr", "show", "dev", "eth0"]);
            let host = host.split_whitespace().nth(2).unwrap_or("?").to_owned();
            stream.write_all(host.as_bytes()).unwrap();
        }
        return;
    }
    if let Ok(place) = env::var("IPVS_TEST_FETCH") {
        let place: SocketAddr = place.parse().unwrap();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect_timeout(&place, Duration::from_secs(10)).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            *counts.entry(text).or_default() += 1;
        }
        println!("\nfetched {counts:?}");
        return;
    }
    let client = client();
    let hosts = Hosts::new();
    let _servers: Vec<Server> = hosts
        .servers
        .iter()
        .map(|host| Server(again(NAME, "IPVS_TEST_SERVE", &["ip", "netns", "exec", host])))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    for host in &hosts.servers {
        // Port 80 in state LISTEN.
        while !hosts
            .on(host, &["cat", "/proc/net/tcp"])
            .contains(":0050 00000000:0000 0A")
        {
            assert!(Instant::now() < deadline, "no server in {host}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    for (method, address, name) in [
        (Forward::Masquerade, Ipv4Addr::new(10, 9, 1, 100), "masquerading"),
        (
            Forward::DirectRoute,
            Ipv4Addr::new(10, 9, 0, 100),
            "direct routing",
        ),
        (
            Forward::Tunnel(Tunnel::Ipip),
            Ipv4Addr::new(10, 9, 0, 101),
            "tunnels",
        ),
    ] {
        let key = ServiceKey::tcp((address, 80));
        let table = Table {
            services: vec![TableService {
                service: Service::new(key, Scheduler::RoundRobin),
                destinations: [11, 12]
                    .map(|host| Destination::new((Ipv4Addr::new(10, 9, 0, host), 80), method))
                    .to_vec(),
            }],
        };
        client.flush().unwrap();
        client.reconcile(&table, &all()).unwrap();
        let place = format!("IPVS_TEST_FETCH={address}:80");
        let fetch = again(
            NAME,
            "IPVS_TEST_ROLE",
            &["ip", "netns", "exec", &hosts.client, "env", &place],
        );
        let output = fetch.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {text}");
        assert!(
            text.contains(r#"fetched {"10.9.0.11/24": 10, "10.9.0.12/24": 10}"#),
            "{name}: {text}"
        );

        // Connections are counted at once, and shown by /proc too.
        let entries = client.destinations(key).unwrap();
        assert!(
            entries.iter().all(|entry| entry.active + entry.inactive == 10),
            "{name}: {entries:?}"
        );
        let virtual_address = Endpoint::from((address, 80));
        let shown = Connections::open()
            .unwrap()
            .map(Result::unwrap)
            .filter(|connection| connection.service == virtual_address)
            .count();
        assert_eq!(shown, 20, "{name}");

        // Counters follow within a few seconds, and rates.
        let deadline = Instant::now() + Duration::from_secs(20);
        let stats = loop {
            let stats = client.service(key).unwrap().stats;
            if stats.connections == 20 || Instant::now() > deadline {
                break stats;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(stats.connections, 20, "{name}");
        assert!(
            stats.packets_in >= 60 && stats.bytes_in > 60 * 40,
            "{name}: {stats:?}"
        );
        // Only with masquerading do answers pass here.
        assert_eq!(
            stats.packets_out > 0,
            method == Forward::Masquerade,
            "{name}: {stats:?}"
        );
        client.zero(Some(key)).unwrap();
        assert_eq!(client.service(key).unwrap().stats.connections, 0);

        // Existing connections survive an edit in place and are waited for when draining.
        let mut fewer = table.clone();
        fewer.services[0].destinations.pop();
        let options = ReconcileOptions {
            removal: Removal::WhenIdle,
            ..all()
        };
        let changes = client.reconcile(&fewer, &options).unwrap();
        assert_eq!(changes.draining.len(), 1, "{name}");
        let entries = client.destinations(key).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(
            entries.iter().all(|entry| entry.active + entry.inactive == 10),
            "{name}: {entries:?}"
        );
    }
}
