//! Connections really flow, each way that there is.

use std::collections::BTreeMap;
use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ipvs_netlink::{
    Connections, Destination, Endpoint, Forward, ReconcileOptions, Removal, Scheduler, Service, ServiceKey,
    Table, TableService, Tunnel,
};

use crate::support::*;

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
    const NAME: &str = "traffic::traffic_flows_by_masquerading_direct_routing_and_tunnels";
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
