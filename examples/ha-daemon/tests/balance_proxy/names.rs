//! A service over UDP, such as names are asked for: clients take turns, a dead real server and a frozen one leave and return,
//! and nobody waits for them.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use failover_lab::namespace::Namespace;

use crate::daemon::Daemon;
use crate::{LIMIT, until};

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 2, last], 53))
}

/// Each is asked for a name by one check, and has to answer a datagram in a certain way by another.
fn configuration() -> String {
    let real_server = |last: u8| {
        format!(
            "real_server 127.0.2.{last} 53 {{
    DNS_CHECK {{
        type A
        name www.example.
        connect_timeout 1
        retry 0
    }}
    UDP_CHECK {{
        payload {QUERY}
        require_reply 123480000001000100000000XX
        min_reply_length 20
        connect_timeout 1
        retry 0
    }}
}}
"
        )
    };
    format!(
        "virtual_server 127.0.2.100 53 {{\ndelay_loop 1\nwarmup 0\nlb_algo rr\nlb_kind NAT\nprotocol UDP\n{}}}\n",
        (1..3).map(real_server).collect::<String>()
    )
}

/// The question for the address of `a.`: number 0x1234, no flags, one question.
const QUERY: &str = "12340000000100000000000001610000010001";

/// A name server that gives its own last byte as the last byte of every address. Ends when dropped.
struct NameServer {
    stop: Arc<AtomicBool>,
    frozen: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start(host: &Namespace, last: u8) -> Self {
        // A socket stays in the namespace it was made in, whoever uses it.
        let socket = host.run(|| UdpSocket::bind(address(last))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let (stop, frozen) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let (stopped, is_frozen) = (Arc::clone(&stop), Arc::clone(&frozen));
        let thread = std::thread::spawn(move || {
            let mut query = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut query) else {
                    continue;
                };
                if length < 12 || is_frozen.load(Ordering::Relaxed) {
                    continue;
                }
                let mut reply = query[..length].to_vec();
                reply[2] |= 0x80;
                reply[7] = 1;
                // The name of the question, address, internet, a minute, four bytes.
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, last]);
                let _ = socket.send_to(&reply, client);
            }
        });
        Self {
            stop,
            frozen,
            thread: Some(thread),
        }
    }

    fn freeze(&self, on: bool) {
        self.frozen.store(on, Ordering::Relaxed);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Client {
    socket: UdpSocket,
    questions: Cell<u16>,
}

impl Client {
    fn new(host: &Namespace) -> Self {
        let socket = host.run(|| UdpSocket::bind("127.0.2.200:0")).unwrap();
        socket.connect(address(100)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        Self {
            socket,
            questions: Cell::new(0),
        }
    }

    /// Who answers one question; datagrams may be lost.
    fn ask(&self) -> io::Result<u8> {
        let mut query: Vec<u8> = (0..QUERY.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&QUERY[at..at + 2], 16).unwrap())
            .collect();
        // The answer to an earlier question is not the answer to this one.
        self.questions.set(self.questions.get() + 1);
        let number = self.questions.get().to_be_bytes();
        query[..2].copy_from_slice(&number);
        self.socket.send(&query)?;
        loop {
            let mut reply = [0; 512];
            let length = self.socket.recv(&mut reply)?;
            if reply[..2] == number {
                return Ok(reply[length - 1]);
            }
        }
    }

    /// Asks again until somebody answers, as resolvers do.
    fn answered(&self) -> u8 {
        let mut who = None;
        until("an answer", || {
            who = self.ask().ok();
            who.is_some()
        });
        who.unwrap()
    }
}

/// Who answers eight clients, without anybody twice.
fn crowd(host: &Namespace) -> Vec<u8> {
    let mut who: Vec<u8> = (0..8).map(|_| Client::new(host).answered()).collect();
    who.sort_unstable();
    who.dedup();
    who
}

#[test]
#[ignore = "needs root and network namespaces"]
fn clients_of_udp_leave_who_died_and_who_froze() {
    let host = &Namespace::new().unwrap();
    let start = |last| NameServer::start(host, last);
    let (one, two) = (start(1), start(2));
    let daemon = Daemon::start(host, &configuration());
    let both = [address(1).to_string(), address(2).to_string()];
    until("an answer", || Client::new(host).ask().is_ok());
    until("both to serve", || daemon.serving(0) == both);
    assert_eq!(crowd(host), [1, 2]);

    // A client that has its real server keeps it, until that dies; and then waits for no check.
    let client = Client::new(host);
    let first = client.answered();
    assert_eq!([client.answered(), client.answered()], [first, first]);
    let (dead, mut alive) = match first {
        1 => (one, two),
        _ => (two, one),
    };
    drop(dead);
    let other = 3 - first;
    assert_eq!(client.answered(), other);
    until("the dead one to leave", || {
        daemon.serving(0) == [address(other).to_string()]
    });
    assert_eq!(crowd(host), [other]);
    let back = start(first);
    until("both to serve again", || daemon.serving(0) == both);
    assert_eq!(crowd(host), [1, 2]);
    assert_eq!(client.answered(), other, "it stays where it is");

    // One that takes what it is sent and never answers is found out by its checks.
    alive.freeze(true);
    until("the frozen one to leave", || {
        daemon.serving(0) == [address(first).to_string()]
    });
    assert_eq!(client.answered(), first);
    assert_eq!(crowd(host), [first]);
    let status = daemon.status();
    let server = &status["virtual_servers"][0];
    let checks = server["real_servers"][usize::from(other) - 1]["checks"]
        .as_array()
        .unwrap();
    assert_eq!(
        checks.iter().map(|check| &check["type"]).collect::<Vec<_>>(),
        ["dns", "udp"]
    );
    assert!(checks.iter().any(|check| check["state"] == "down"), "{checks:?}");
    let count = |name: &str| server["traffic"][name].as_u64().unwrap();
    assert!(count("connections") >= 24 && count("packets_in") >= count("packets_out"));
    assert!(count("packets_out") >= 24, "{server}");
    alive.freeze(false);
    until("it to return", || daemon.serving(0) == both);
    assert_eq!(crowd(host), [1, 2]);
    alive = start_over(host, alive, other);
    assert_eq!(crowd(host), [1, 2], "nobody waits for one that is started anew");
    drop((back, alive));
    assert_eq!(daemon.ask(&["stop"]), "stopped\n");
}

/// Another one at the same place, at once.
fn start_over(host: &Namespace, server: NameServer, last: u8) -> NameServer {
    drop(server);
    let server = NameServer::start(host, last);
    let deadline = std::time::Instant::now() + LIMIT;
    while Client::new(host).ask().is_err() {
        assert!(std::time::Instant::now() < deadline, "nobody answers");
    }
    server
}
