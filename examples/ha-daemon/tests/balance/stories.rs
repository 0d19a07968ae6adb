//! Direct routing as the article builds it: requests go round, a real server dies and returns, a director is replaced.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ipvs_netlink::{Forward, Scheduler, ServiceKey};

use crate::lab::{Daemon, Host, Process, Segment, fixture, until};

const VIP: &str = "10.128.190.248";
const REAL: [&str; 3] = ["10.128.190.249", "10.128.190.250", "10.128.190.251"];
const SERVE: &str = "BALANCE_SERVE";
const FETCH: &str = "BALANCE_FETCH";

/// Two directors, three real servers and a client.
struct World {
    directors: [Host; 2],
    real: Vec<Host>,
    client: Host,
    _segment: Segment,
}

impl World {
    fn new() -> Self {
        let segment = Segment::new();
        let directors = [("director1", 253), ("director2", 254)].map(|(name, host)| {
            segment.host(
                name,
                &[&format!("10.128.190.{host}/24"), &format!("7.7.7.{host}/24")],
            )
        });
        let real = (1..=3)
            .map(|number| {
                let addresses = [
                    format!("10.128.190.{}/24", 248 + number),
                    format!("7.7.7.1{number}/24"),
                ];
                let host = segment.host(&format!("real{number}"), &[&addresses[0], &addresses[1]]);
                for (name, value) in [("arp_ignore", 1), ("arp_announce", 2)] {
                    for place in ["lo", "all"] {
                        let line = format!("echo {value} >/proc/sys/net/ipv4/conf/{place}/{name}");
                        host.done(&["sh", "-c", &line]);
                    }
                }
                for address in [VIP, DATABASE] {
                    host.done(&["ip", "addr", "add", &format!("{address}/32"), "dev", "lo"]);
                }
                host
            })
            .collect();
        Self {
            directors,
            real,
            client: segment.host("client", &["10.128.190.252/24", "7.7.7.252/24"]),
            _segment: segment,
        }
    }

    fn serve(&self, number: usize) -> Process {
        let process = self.real[number].again(NAME, SERVE, &format!("RS{}", number + 1));
        // Ports 80 and 3306 in state LISTEN.
        until("the real server to listen", || {
            let sockets = self.real[number].done(&["cat", "/proc/net/tcp"]);
            [":0050", ":0CEA"]
                .iter()
                .all(|port| sockets.contains(&format!("{port} 00000000:0000 0A")))
        });
        process
    }

    /// Who answered, one after the other.
    fn fetch(&self, place: &str, times: u32) -> Vec<String> {
        let program = std::env::current_exe().unwrap();
        let pair = format!("{FETCH}={times} {place}");
        let words = [
            "env",
            &pair,
            program.to_str().unwrap(),
            "--ignored",
            "--exact",
            NAME,
            "--nocapture",
        ];
        let text = self.client.done(&words);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("fetched "))
            .unwrap();
        line.split(' ').map(str::to_owned).collect()
    }

    /// The real servers that a director sends requests to.
    fn up(&self, director: usize) -> Vec<String> {
        let table = self.directors[director].table();
        let service = table.services.iter().find(|service| service.service.key == web());
        let destinations = service
            .map(|service| service.destinations.clone())
            .unwrap_or_default();
        destinations
            .iter()
            .map(|destination| destination.endpoint.address.to_string())
            .collect()
    }

    fn active_is(&self, director: usize) -> bool {
        self.directors[director].holds(VIP) && !self.directors[1 - director].holds(VIP)
    }
}

fn web() -> ServiceKey {
    ServiceKey::tcp((Ipv4Addr::new(10, 128, 190, 248), 80))
}

/// The same file on both, but for what makes one of them the other's backup.
fn config(name: &str, director: usize) -> String {
    let text = fixture(name);
    match director {
        0 => text.to_owned(),
        _ => text
            .replace("state MASTER", "state BACKUP")
            .replace("priority 100", "priority 99"),
    }
}

/// Each of these as often as the others, give or take one, and never one twice in a row.
fn assert_in_turn(answers: &[String], of: &[&str]) {
    let mut counts: BTreeMap<&str, usize> = of.iter().map(|name| (*name, 0)).collect();
    for answer in answers {
        *counts
            .get_mut(answer.as_str())
            .unwrap_or_else(|| panic!("{answer} answered: {answers:?}")) += 1;
    }
    let (least, most) = (counts.values().min(), counts.values().max());
    assert!(most.unwrap() - least.unwrap() <= 1, "{counts:?}");
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
}

fn story(daemons: [Daemon; 2]) {
    let world = World::new();
    let mut servers: Vec<Process> = (0..3).map(|number| world.serve(number)).collect();
    let start = |director: usize| {
        world.directors[director].daemon(daemons[director], &config("dr-two-services.conf", director))
    };
    let _second = start(1);
    let mut first = start(0);
    until("the first director to be active", || world.active_is(0));
    for director in 0..2 {
        until("all real servers in the table", || world.up(director) == REAL);
    }
    let table = world.directors[0].table();
    let service = table
        .services
        .iter()
        .find(|service| service.service.key == web())
        .unwrap();
    assert_eq!(service.service.scheduler, Scheduler::RoundRobin);
    assert!(
        service
            .destinations
            .iter()
            .all(|destination| destination.forward == Forward::DirectRoute)
    );
    assert_in_turn(&world.fetch("10.128.190.248:80", 9), &["RS1", "RS2", "RS3"]);

    // Connections and packets are counted, evenly; answers do not pass here.
    until("the counters", || {
        let entries = world.directors[0].ipvs().destinations(web()).unwrap();
        entries.iter().all(|entry| {
            let stats = entry.stats;
            stats.connections == 3 && stats.packets_in >= 9 && stats.packets_out == 0
        })
    });

    // The second service. No virtual_ipaddress holds its address: that is the administrator's to set.
    world.directors[0].done(&["ip", "addr", "add", &format!("{DATABASE}/32"), "dev", "lo"]);
    let answers = world.fetch("7.7.7.18:3306", 205);
    assert_in_turn(&answers, &["RS1", "RS2", "RS3"]);
    assert_eq!(answers.len(), 205);

    // A real server dies and returns.
    drop(servers.remove(1));
    until("the dead real server to leave", || {
        world.up(0) == [REAL[0], REAL[2]]
    });
    assert_in_turn(&world.fetch("10.128.190.248:80", 6), &["RS1", "RS3"]);
    servers.push(world.serve(1));
    until("the real server to return", || world.up(0) == REAL);
    assert_in_turn(&world.fetch("10.128.190.248:80", 6), &["RS1", "RS2", "RS3"]);

    // A director is stopped and returns.
    first.stop();
    until("the second director to take over", || world.active_is(1));
    until("all real servers in its table", || world.up(1) == REAL);
    assert_in_turn(&world.fetch("10.128.190.248:80", 6), &["RS1", "RS2", "RS3"]);
    first = start(0);
    until("the first director to return", || world.active_is(0));
    until("all real servers in its table again", || world.up(0) == REAL);
    assert_in_turn(&world.fetch("10.128.190.248:80", 6), &["RS1", "RS2", "RS3"]);

    // A director falls silent without a word.
    world.directors[0].done(&["ip", "link", "set", crate::lab::INTERFACE, "down"]);
    until("the second director to take over from a dead one", || {
        world.directors[1].holds(VIP)
    });
    assert_in_turn(&world.fetch("10.128.190.248:80", 6), &["RS1", "RS2", "RS3"]);
    first.stop();
}

/// This program as the server of a real server: its name on port 80 and 3306.
fn serve(name: &str) {
    let listen = |port: u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let answer = |listener: TcpListener| {
        for stream in listener.incoming() {
            // One that is gone again was a check.
            let _ = stream.and_then(|mut stream| stream.write_all(name.as_bytes()));
        }
    };
    let (web, database) = (listen(80), listen(3306));
    std::thread::scope(|scope| {
        scope.spawn(|| answer(web));
        scope.spawn(|| answer(database));
    });
}

/// This program as the client.
fn fetch(what: &str) {
    let (times, place) = what.split_once(' ').unwrap();
    let place: SocketAddr = place.parse().unwrap();
    let answers: Vec<String> = (0..times.parse().unwrap())
        .map(|_: u32| {
            let mut stream = TcpStream::connect_timeout(&place, Duration::from_secs(30)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
        .collect();
    println!("\nfetched {}", answers.join(" "));
}

const NAME: &str = "stories::direct_routing_with_two_services";
const DATABASE: &str = "7.7.7.18";

/// At the same time a pair of ours, and one of ours and one of keepalived's: most of it is waiting.
#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn direct_routing_with_two_services() {
    if let Ok(name) = std::env::var(SERVE) {
        return serve(&name);
    }
    if let Ok(what) = std::env::var(FETCH) {
        return fetch(&what);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| story([Daemon::Ours, Daemon::Ours]));
        scope.spawn(|| story([Daemon::Ours, Daemon::Keepalived]));
    });
}
