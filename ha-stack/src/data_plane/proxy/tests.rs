//! Over loopback: what is carried, to whom, and what stays when the table changes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener as Listener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use super::*;
use crate::data_plane::Algorithm;

/// A real server that answers what it was sent, with its name before, once the client has said that this was all.
fn real_server(name: &'static str) -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                client.write_all(name.as_bytes()).unwrap();
                let mut text = Vec::new();
                if client.read_to_end(&mut text).is_ok() {
                    let _ = client.write_all(&text);
                }
            });
        }
    });
    address
}

/// An address of this test alone: other processes and outgoing connections use neither these addresses nor this port.
fn free() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, 64 | (high & 63), low, last], 20_077))
}

fn table(front: SocketAddr, real_servers: &[(SocketAddr, u32)]) -> DesiredTable {
    let server = DesiredServer {
        front: Front::Address {
            transport: Transport::Tcp,
            address: front,
        },
        scheduling: Algorithm {
            name: "rr".to_owned(),
            flags: 0,
        },
        one_packet: false,
        persistence: None,
        real_servers: real_servers
            .iter()
            .map(|(address, weight)| DesiredReal {
                address: *address,
                forwarding: Forwarding::FullNat,
                weight: *weight,
                upper_threshold: 0,
                lower_threshold: 0,
            })
            .collect(),
        absent: Vec::new(),
    };
    DesiredTable {
        virtual_servers: vec![server],
        ..DesiredTable::default()
    }
}

fn applied(plane: &mut ProxyPlane, table: &DesiredTable) -> usize {
    let applied = plane.reconcile(table, Extent::Changed).unwrap();
    assert_eq!(applied.refused, [""; 0]);
    applied.changes
}

/// Connects, and reads the name of the real server.
fn connect(front: SocketAddr) -> (TcpStream, String) {
    let mut client = TcpStream::connect(front).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut name = [0];
    client.read_exact(&mut name).unwrap();
    (client, String::from_utf8(name.to_vec()).unwrap())
}

/// Sends something, says that this was all, and reads to the end.
fn finish((mut client, _): (TcpStream, String), text: &[u8]) -> Vec<u8> {
    client.write_all(text).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn clients_take_turns_and_the_end_of_a_direction_is_passed_on() {
    let (front, a, b) = (free(), real_server("a"), real_server("b"));
    let mut plane = ProxyPlane::start(false).unwrap();
    let wanted = table(front, &[(a, 1), (b, 1)]);
    assert_eq!(applied(&mut plane, &wanted), 3);
    assert_eq!(applied(&mut plane, &wanted), 0);
    let names: String = (0..4).map(|_| connect(front).1).collect();
    assert_eq!(names, "baba", "the newest first, as with the kernel");
    let long = vec![7; 1 << 20];
    assert_eq!(finish(connect(front), &long), long);
    let deadline = Instant::now() + LIMIT;
    let counters = loop {
        let counters = plane.counters().unwrap().remove(0);
        let open: u64 = counters.real_servers.iter().map(|real| real.active).sum();
        if open == 0 {
            break counters;
        }
        assert!(Instant::now() < deadline, "{counters:?}");
        std::thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(counters.traffic.connections, 5);
    assert_eq!(
        (counters.traffic.bytes_in, counters.traffic.bytes_out),
        (1 << 20, (1 << 20) + 5)
    );
}

#[test]
fn connections_stay_while_their_real_server_drains_and_when_it_is_gone() {
    let (front, a, b) = (free(), real_server("a"), real_server("b"));
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(a, 1)]));
    let (drained, removed, last) = (connect(front), connect(front), connect(front));
    assert_eq!(applied(&mut plane, &table(front, &[(a, 0), (b, 1)])), 2);
    assert_eq!(connect(front).1 + &connect(front).1, "bb");
    assert_eq!(finish(drained, b"x"), b"x");
    assert_eq!(applied(&mut plane, &table(front, &[(b, 1)])), 1);
    assert_eq!(finish(removed, b"y"), b"y");
    assert_eq!(applied(&mut plane, &DesiredTable::default()), 1);
    assert_eq!(finish(last, b"z"), b"z");
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(front).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_real_server_that_refuses_is_passed_over() {
    let (front, a, nobody) = (free(), real_server("a"), free());
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(a, 1), (nobody, 1)]));
    let names: String = (0..4).map(|_| connect(front).1).collect();
    assert_eq!(names, "aaaa");
    applied(&mut plane, &table(front, &[(nobody, 1)]));
    let mut client = TcpStream::connect(front).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    // Closed or reset: nobody answers.
    assert!(!matches!(client.read(&mut [0]), Ok(1)));
}

#[test]
fn another_scheduler_takes_over_where_the_old_one_was() {
    let (front, a, b) = (free(), real_server("a"), real_server("b"));
    let mut plane = ProxyPlane::start(false).unwrap();
    let mut wanted = table(front, &[(a, 1), (b, 1)]);
    applied(&mut plane, &wanted);
    wanted.virtual_servers[0].scheduling.name = "sh".to_owned();
    applied(&mut plane, &wanted);
    let names: String = (0..4).map(|_| connect(front).1).collect();
    assert!(names == "aaaa" || names == "bbbb", "{names}");
}

#[test]
fn what_it_cannot_carry_it_says() {
    let mut plane = ProxyPlane::start(false).unwrap();
    let address = free();
    let refusals = |plane: &mut ProxyPlane, change: &dyn Fn(&mut DesiredServer)| {
        let mut wanted = table(address, &[(address, 1)]);
        change(&mut wanted.virtual_servers[0]);
        plane
            .reconcile(&wanted, Extent::Whole)
            .unwrap()
            .refused
            .join("\n")
    };
    let front = |text: &'static str| move |server: &mut DesiredServer| server.front = text.parse().unwrap();
    assert!(refusals(&mut plane, &front("udp 127.0.0.1:53")).contains("TCP only"));
    assert!(refusals(&mut plane, &front("fwmark 7")).contains("marks"));
    assert!(refusals(&mut plane, &front("tcp 127.0.0.1:0")).contains("all ports"));
    let direct = |server: &mut DesiredServer| server.real_servers[0].forwarding = Forwarding::DirectRoute;
    assert!(refusals(&mut plane, &direct).contains("--data-plane proxy"));
    assert!(refusals(&mut plane, &|server| server.scheduling.name = "x".to_owned()).contains("`x` is no"));
    let taken = Listener::bind(free()).unwrap();
    let wanted = table(taken.local_addr().unwrap(), &[]);
    assert!(plane.reconcile(&wanted, Extent::Whole).unwrap().refused[0].contains("cannot listen"));
    drop(taken);
    assert_eq!(applied(&mut plane, &wanted), 1, "tried again");
    let mut everything = ProxyPlane::start(true).unwrap();
    assert_eq!(refusals(&mut everything, &direct), "");
}

/// How long anything may take on a machine that is busy otherwise.
const LIMIT: Duration = Duration::from_secs(60);
