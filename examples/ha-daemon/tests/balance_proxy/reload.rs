//! A thousand requests a second while the configuration changes under them: none is lost, and no connection breaks.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use failover_lab::namespace::Namespace;

use crate::daemon::Daemon;
use crate::server::RealServer;
use crate::{LIMIT, until};

const FRONT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 1, 100)), 80);

/// Real servers by their last byte and weight, and whatever else.
fn configuration(real_servers: &[(u8, u32)], more: &str) -> String {
    let real_server = |(last, weight): &(u8, u32)| {
        format!(
            "real_server 127.0.1.{last} 80 {{\nweight {weight}\nTCP_CHECK {{\nconnect_timeout 2\nretry 3\n}}\n}}\n"
        )
    };
    format!(
        "{more}virtual_server {} {} {{\ndelay_loop 1\nwarmup 0\nlb_algo wlc\nlb_kind NAT\nprotocol TCP\n{}}}\n",
        FRONT.ip(),
        FRONT.port(),
        real_servers.iter().map(real_server).collect::<String>()
    )
}

/// One request, answered and ended in order.
fn request() -> io::Result<()> {
    let mut client = TcpStream::connect(FRONT)?;
    client.set_read_timeout(Some(LIMIT))?;
    client.write_all(b"request")?;
    client.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    match answer.split_once(' ') {
        Some((_, "request")) => Ok(()),
        _ => Err(io::Error::other(format!("the answer is {answer:?}"))),
    }
}

/// A connection that is there all the time.
fn established() -> TcpStream {
    let mut client = TcpStream::connect(FRONT).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut name = [0; 2];
    client.read_exact(&mut name).unwrap();
    client
}

#[test]
#[ignore = "needs root and network namespaces"]
fn no_request_is_lost_while_the_configuration_changes() {
    let host = &Namespace::new().unwrap();
    let servers = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
    let servers = servers.map(|(name, last)| RealServer::start(host, name, ([127, 0, 1, last], 80).into()));
    let daemon = Daemon::start(host, &configuration(&[(1, 1), (2, 1), (3, 1)], ""));
    let script = "vrrp_script elsewhere {\nscript /bin/true\ninterval 5\n}\n";
    let other = "virtual_server 127.0.1.101 80 {\ndelay_loop 1\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 127.0.1.1 80 {\nTCP_CHECK {\n}\n}\n}\n";
    let changes = [
        (vec![(1, 1), (2, 1), (3, 1), (4, 1)], ""),
        (vec![(1, 1), (3, 1), (4, 1)], ""),
        (vec![(1, 5), (3, 1), (4, 3)], ""),
        (vec![(1, 5), (3, 1), (4, 3)], script),
        (vec![(1, 5), (3, 1), (4, 3)], other),
        (vec![(1, 5), (2, 2), (3, 0), (4, 3)], ""),
        (vec![(2, 2)], script),
        (vec![(1, 1), (2, 1), (3, 1)], ""),
    ];
    until("all real servers to serve", || daemon.serving(0).len() == 3);
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let failures = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    host.run(|| {
                        let mut failures = Vec::new();
                        let mut next = Instant::now();
                        while !stop.load(Ordering::Relaxed) {
                            match request() {
                                Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                                Err(error) => failures.push(error.to_string()),
                            }
                            // A thousand a second from all of them; who is late does not catch up.
                            next = (next + PACE).max(Instant::now());
                            std::thread::sleep(next.saturating_duration_since(Instant::now()));
                        }
                        Ok(failures)
                    })
                    .unwrap()
                })
            })
            .collect();
        let mut open = host
            .run(|| Ok((0..12).map(|_| established()).collect::<Vec<_>>()))
            .unwrap();
        let begun = Instant::now();
        for (number, (real_servers, more)) in changes.iter().enumerate() {
            let answer = daemon.reload(&configuration(real_servers, more));
            assert!(!answer.is_empty() && !answer.contains("refused"), "{answer}");
            let so_far = served.load(Ordering::Relaxed);
            until("some hundred requests more", || {
                served.load(Ordering::Relaxed) > so_far + EACH
                    || clients.iter().any(|client| client.is_finished())
            });
            for client in &mut open {
                let word = format!("{number}").into_bytes();
                client.write_all(&word).unwrap();
                let mut answer = vec![0; word.len()];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(answer, word, "an established connection");
            }
        }
        stop.store(true, Ordering::Relaxed);
        let rate = served.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        println!("{rate:.0} requests a second through {} reloads", changes.len());
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(failures, [""; 0]);
    drop(servers);
}

const CLIENTS: u32 = 8;

const PACE: Duration = Duration::from_millis(CLIENTS as u64);

/// Requests between two changes.
const EACH: u64 = 500;
