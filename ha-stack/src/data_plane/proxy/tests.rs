//! Over loopback: what is carried, to whom, and what stays when the table changes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener as Listener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::*;
use crate::data_plane::{Algorithm, ProxyProtocol};

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
        proxy_protocol: None,
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
        cut: Vec::new(),
    };
    DesiredTable {
        virtual_servers: vec![Arc::new(server)],
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
        counters.traffic.packets_in, None,
        "nobody tells how many there were"
    );
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
    Arc::make_mut(&mut wanted.virtual_servers[0]).scheduling.name = "sh".to_owned();
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
        change(Arc::make_mut(&mut wanted.virtual_servers[0]));
        plane
            .reconcile(&wanted, Extent::Whole)
            .unwrap()
            .refused
            .join("\n")
    };
    let front = |text: &'static str| move |server: &mut DesiredServer| server.front = text.parse().unwrap();
    assert!(refusals(&mut plane, &front("sctp 127.0.0.1:53")).contains("TCP and UDP"));
    let announced = |server: &mut DesiredServer| {
        front("udp 127.0.0.1:53")(server);
        server.proxy_protocol = Some(ProxyProtocol::V2);
    };
    assert!(refusals(&mut plane, &announced).contains("for TCP"));
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

/// What comes to a real server until the client's direction ends.
fn heard(listener: &Listener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    text
}

#[test]
fn real_servers_are_told_who_the_client_is() {
    let (front, listener) = (free(), Listener::bind("127.0.0.1:0").unwrap());
    let mut plane = ProxyPlane::start(false).unwrap();
    let mut wanted = table(front, &[(listener.local_addr().unwrap(), 1)]);
    for (version, length) in [(ProxyProtocol::V1, None), (ProxyProtocol::V2, Some(28))] {
        Arc::make_mut(&mut wanted.virtual_servers[0]).proxy_protocol = Some(version);
        plane.reconcile(&wanted, Extent::Changed).unwrap();
        let mut client = TcpStream::connect(front).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let text = heard(&listener);
        let own = client.local_addr().unwrap();
        match length {
            None => {
                let line = format!(
                    "PROXY TCP4 {} {} {} {}\r\n",
                    own.ip(),
                    front.ip(),
                    own.port(),
                    front.port()
                );
                assert_eq!(text, [line.as_bytes(), b"hello"].concat());
            }
            Some(length) => {
                assert_eq!(text[24..26], own.port().to_be_bytes());
                assert_eq!(text[length..], *b"hello");
            }
        }
    }
}

#[test]
fn whoever_checks_is_told_of_failures_and_the_failing_is_avoided() {
    let (front, a, nobody) = (free(), real_server("a"), free());
    let mut plane = ProxyPlane::start(false).unwrap();
    let (tell, told) = mpsc::channel();
    plane.report_failures(Box::new(move |front, real| {
        tell.send((front, real)).unwrap_or_default()
    }));
    let wanted = table(front, &[(a, 1), (nobody, 1)]);
    applied(&mut plane, &wanted);
    // Round robin would offer it every second one. After three failures in a row it is asked no more, for a second.
    let names: String = (0..20).map(|_| connect(front).1).collect();
    assert_eq!(names, "a".repeat(20));
    let failures: Vec<_> = told.try_iter().collect();
    assert!(
        failures
            .iter()
            .all(|failure| *failure == (wanted.virtual_servers[0].front, nobody))
    );
    assert!(!failures.is_empty());
}

#[test]
fn connections_through_what_is_taken_out_end_after_a_while_unless_it_comes_back() {
    let (front, a) = (free(), real_server("a"));
    let mut plane = ProxyPlane::with_farewell(false, Duration::from_millis(1)).unwrap();
    applied(&mut plane, &table(front, &[(a, 1)]));
    let (mut cut, _) = connect(front);
    applied(&mut plane, &table(front, &[]));
    // Reset, so that nobody takes it for a proper end.
    let error = cut.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let mut plane = ProxyPlane::with_farewell(false, Duration::from_secs(3600)).unwrap();
    let front = free();
    applied(&mut plane, &table(front, &[(a, 1)]));
    let kept = connect(front);
    applied(&mut plane, &table(front, &[]));
    assert!(plane.counters().unwrap()[0].real_servers.is_empty());
    applied(&mut plane, &table(front, &[(a, 1)]));
    let counters = plane.counters().unwrap().remove(0);
    assert_eq!(counters.real_servers[0].active, 1, "it goes on where it was");
    assert_eq!(finish(kept, b"x"), b"x");
}

#[test]
fn connections_of_who_is_cut_off_end_at_once() {
    let (front, a, b) = (free(), real_server("a"), real_server("b"));
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(a, 1)]));
    let (mut cut, _) = connect(front);
    applied(&mut plane, &table(front, &[(a, 0), (b, 1)]));
    let kept = connect(front);
    let mut wanted = table(front, &[(b, 1)]);
    Arc::make_mut(&mut wanted.virtual_servers[0]).cut = vec![a];
    applied(&mut plane, &wanted);
    let error = cut.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(finish(kept, b"x"), b"x");
    // One that was taken out gently first.
    let (mut cut, _) = connect(front);
    applied(&mut plane, &table(front, &[]));
    let mut wanted = table(front, &[]);
    Arc::make_mut(&mut wanted.virtual_servers[0]).cut = vec![b];
    applied(&mut plane, &wanted);
    let error = cut.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn what_is_long_arrives_whole_both_ways_while_the_reader_is_slow() {
    let (front, a) = (free(), real_server("a"));
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(a, 1)]));
    let (mut client, _) = connect(front);
    let long: Vec<u8> = (0..24 << 20)
        .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut sender = client.try_clone().unwrap();
    let sent = long.clone();
    let sending = std::thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    let mut piece = vec![0; 100_000];
    loop {
        let read = client.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
        if answer.len() < 1 << 20 {
            // The proxy must not take in more than the reader takes out.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    sending.join().unwrap();
    assert!(answer == long, "{} of {} bytes", answer.len(), long.len());
}

/// What was long and becomes many short pieces, read slowly, leaves the pipe and still arrives.
#[test]
fn what_is_long_first_and_then_short_arrives_whole() {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let front = free();
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(listener.local_addr().unwrap(), 1)]));
    let mut client = TcpStream::connect(front).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let sending = std::thread::spawn(move || {
        for _ in 0..3 {
            server.write_all(&vec![1; 4 << 20]).unwrap();
            for _ in 0..600 {
                server.write_all(&[2; 100]).unwrap();
                std::thread::yield_now();
            }
        }
    });
    let (mut ones, mut twos) = (0, 0);
    let mut piece = vec![0; 3000];
    loop {
        let read = client.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        ones += piece[..read].iter().filter(|byte| **byte == 1).count();
        twos += piece[..read].iter().filter(|byte| **byte == 2).count();
    }
    sending.join().unwrap();
    assert_eq!((ones, twos), (12 << 20, 180_000));
}

/// The real server ends first; what the client still has to say arrives.
#[test]
fn the_other_direction_goes_on_when_the_real_server_has_ended_its_own() {
    let (front, listener) = (free(), Listener::bind("127.0.0.1:0").unwrap());
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(listener.local_addr().unwrap(), 1)]));
    let mut client = TcpStream::connect(front).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    server.write_all(b"goodbye").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut word = String::new();
    client.read_to_string(&mut word).unwrap();
    assert_eq!(word, "goodbye");
    let long = vec![3; 4 << 20];
    let sending = std::thread::spawn(move || {
        client.write_all(&long).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    let mut text = Vec::new();
    server.read_to_end(&mut text).unwrap();
    assert_eq!(text.len(), 4 << 20);
    drop(sending.join().unwrap());
}

/// Whoever does not read is sent no more than the kernel's buffers and the proxy's own hold, however much there is.
#[test]
fn a_reader_that_does_not_read_stops_the_writer() {
    let (front, listener) = (free(), Listener::bind("127.0.0.1:0").unwrap());
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &table(front, &[(listener.local_addr().unwrap(), 1)]));
    let client = TcpStream::connect(front).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let piece = vec![5; 1 << 20];
    let (mut taken, mut refused) = (0_usize, 0);
    // Half a second without a byte taken is long enough; a machine that stalls only ends this sooner.
    while refused < 50 {
        match server.write(&piece) {
            Ok(length) => (taken, refused) = (taken + length, 0),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                refused += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        assert!(taken < 128 << 20, "{taken} bytes were taken, and nobody reads");
    }
    drop(client);
}

#[test]
fn a_door_that_somebody_closed_is_opened_again() {
    let (front, a) = (free(), real_server("a"));
    let mut plane = ProxyPlane::start(false).unwrap();
    let wanted = table(front, &[(a, 1)]);
    applied(&mut plane, &wanted);
    let kept = connect(front);
    for service in plane.services.values() {
        rustix::net::shutdown(&service.socket, rustix::net::Shutdown::Both).unwrap();
    }
    assert!(TcpStream::connect(front).is_err());
    let whole = plane.reconcile(&wanted, Extent::Whole).unwrap();
    assert_eq!((whole.changes, whole.refused.len()), (1, 0));
    assert_eq!(connect(front).1, "a");
    assert_eq!(plane.reconcile(&wanted, Extent::Whole).unwrap().changes, 0);
    assert_eq!(finish(kept, b"x"), b"x");
    assert_eq!(
        plane.counters().unwrap()[0].traffic.connections,
        2,
        "it goes on counting"
    );
}

/// A real server of UDP that answers with its name and what it was sent.
fn datagrams(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let answer = [name.as_bytes(), &buffer[..length]].concat();
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

fn udp(front: SocketAddr, real_servers: &[(SocketAddr, u32)]) -> DesiredTable {
    let mut table = table(front, real_servers);
    Arc::make_mut(&mut table.virtual_servers[0]).front = Front::Address {
        transport: Transport::Udp,
        address: front,
    };
    table
}

fn client(front: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(front).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// Says something and returns the name of who answers. A datagram may be lost, on loopback only where nobody listened.
fn say(socket: &UdpSocket) -> String {
    socket.send(b"?").unwrap();
    let mut answer = [0; 16];
    let length = socket.recv(&mut answer).unwrap();
    String::from_utf8(answer[..length].to_vec())
        .unwrap()
        .replace('?', "")
}

#[test]
fn a_client_of_udp_stays_with_its_real_server() {
    let (front, a, b) = (free(), datagrams("a"), datagrams("b"));
    let mut plane = ProxyPlane::start(false).unwrap();
    let mut wanted = udp(front, &[(a, 1), (b, 1)]);
    applied(&mut plane, &wanted);
    let (first, second) = (client(front), client(front));
    assert_eq!(say(&first) + &say(&first) + &say(&second) + &say(&first), "bbab");
    let counters = plane.counters().unwrap().remove(0);
    assert_eq!(counters.traffic.connections, 2);
    assert_eq!(
        (counters.traffic.packets_in, counters.traffic.packets_out),
        (Some(4), Some(4))
    );
    assert_eq!((counters.traffic.bytes_in, counters.traffic.bytes_out), (4, 8));
    assert_eq!(
        counters
            .real_servers
            .iter()
            .map(|real| real.inactive)
            .sum::<u64>(),
        2
    );
    // Each datagram by itself.
    Arc::make_mut(&mut wanted.virtual_servers[0]).one_packet = true;
    applied(&mut plane, &wanted);
    let third = client(front);
    let names: Vec<String> = (0..4).map(|_| say(&third)).collect();
    assert!(
        names == ["a", "b", "a", "b"] || names == ["b", "a", "b", "a"],
        "{names:?}"
    );
    // After the idle time a client is a new one.
    Arc::make_mut(&mut wanted.virtual_servers[0]).one_packet = false;
    wanted.timeouts.udp = Some(2);
    applied(&mut plane, &wanted);
    let fourth = client(front);
    let before = say(&fourth);
    let deadline = Instant::now() + LIMIT;
    let mine = |plane: &mut ProxyPlane| {
        plane.counters().unwrap()[0]
            .real_servers
            .iter()
            .map(|real| real.inactive)
            .sum::<u64>()
    };
    // The others were there while the time was five minutes.
    while mine(&mut plane) > 4 {
        assert!(Instant::now() < deadline, "it stays with {before}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(say(&fourth), before);
}

#[test]
fn a_real_server_of_udp_that_is_not_there_is_passed_over() {
    let (front, a, nobody) = (free(), datagrams("a"), free());
    let mut plane = ProxyPlane::start(false).unwrap();
    let (tell, told) = mpsc::channel();
    plane.report_failures(Box::new(move |_, real| tell.send(real).unwrap_or_default()));
    applied(&mut plane, &udp(front, &[(a, 1), (nobody, 1)]));
    let client = client(front);
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let deadline = Instant::now() + LIMIT;
    // The first datagram is lost; the kernel then says that nobody is there.
    loop {
        client.send(b"?").unwrap();
        if client.recv(&mut [0; 16]).is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "nobody answers");
    }
    assert_eq!(told.try_recv(), Ok(nobody));
}

/// One that is silent and is taken out loses its clients; one that still answers keeps them.
#[test]
fn clients_of_udp_leave_a_real_server_that_is_taken_out_and_silent() {
    let (front, a) = (free(), datagrams("a"));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut plane = ProxyPlane::start(false).unwrap();
    applied(&mut plane, &udp(front, &[(silent.local_addr().unwrap(), 1)]));
    let one = client(front);
    one.send(b"?").unwrap();
    silent.set_read_timeout(Some(LIMIT)).unwrap();
    silent.recv(&mut [0; 16]).unwrap();
    applied(&mut plane, &udp(front, &[(a, 1)]));
    assert_eq!(say(&one), "a");
    let b = datagrams("b");
    applied(&mut plane, &udp(front, &[(b, 1)]));
    assert_eq!(say(&one) + &say(&one), "aa", "it answers, so it keeps its client");
    assert_eq!(say(&client(front)), "b");
}

/// How long anything may take on a machine that is busy otherwise.
const LIMIT: Duration = Duration::from_secs(60);
