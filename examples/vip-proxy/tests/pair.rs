//! Two proxies, three back ends and a client, each in a network namespace of its own on one segment.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use failover_lab::namespace::Namespace;
use failover_lab::segment::Segment;

const PROXIES: [usize; 2] = [0, 1];
const BACK_ENDS: [usize; 3] = [2, 3, 4];
const CLIENT: usize = 5;
const PORT: u16 = 80;

fn virtual_address() -> IpAddr {
    Segment::virtual_address(0, 1, false)
}

fn back_end_address(host: usize) -> SocketAddr {
    SocketAddr::new(Segment::ipv4(0, host).into(), PORT)
}

/// Reads each client to its end and only then answers, with the number of its host. Ends when dropped.
struct BackEnd {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    host: usize,
    thread: Option<JoinHandle<()>>,
}

impl BackEnd {
    fn start(segment: &Segment, host: usize) -> Self {
        let address = back_end_address(host);
        // A socket stays in the namespace it was made in, whoever uses it.
        let listener = segment.host(host).run(|| TcpListener::bind(address)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A health check or a client that went away is no reason to end.
                    Ok((stream, _)) => drop(std::thread::spawn(move || answer(stream, host))),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Self {
            stop,
            address,
            host,
            thread: Some(thread),
        }
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, host: usize) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut request = Vec::new();
    stream.read_to_end(&mut request)?;
    write!(stream, "{host} {}", String::from_utf8_lossy(&request))
}

/// A running proxy; killed when dropped.
struct Proxy {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(segment: &Segment, host: usize, priority: &str, scheduler: &str) -> Self {
        let mut command = segment.host(host).command(env!("CARGO_BIN_EXE_vip-proxy"));
        command
            .args([
                "--interface",
                "eth0",
                "--priority",
                priority,
                "--scheduler",
                scheduler,
            ])
            .args(["--listen", &SocketAddr::new(virtual_address(), PORT).to_string()])
            .args(BACK_ENDS.map(|host| back_end_address(host).to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = Arc::default();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&output);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                println!("proxy {host}: {line}");
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, output }
    }

    /// How often it has written this line.
    fn said(&self, line: &str) -> usize {
        let output = self.output.lock().unwrap();
        output.iter().filter(|said| *said == line).count()
    }

    /// Asks it to stop, and returns whether it says that all went well.
    fn stop(&mut self) -> bool {
        let mut kill = std::process::Command::new("kill");
        assert!(kill.arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says something, ends its direction, and reads the answer. Returns which back end gave it.
fn ask(client: &Namespace) -> io::Result<usize> {
    let mut stream = client.run(|| {
        TcpStream::connect_timeout(&SocketAddr::new(virtual_address(), PORT), Duration::from_secs(5))
    })?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"hello")?;
    stream.shutdown(Shutdown::Write)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let host = reply.strip_suffix(" hello").and_then(|host| host.parse().ok());
    host.ok_or_else(|| io::Error::other(format!("the answer is {reply:?}")))
}

fn holds(host: &Namespace) -> bool {
    let addresses = host.ip("-o addr show dev eth0").unwrap();
    addresses.contains(&format!(" {}/", virtual_address()))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Who answers the next `count` requests. All of them must be answered.
fn answers(client: &Namespace, count: usize) -> Vec<usize> {
    (0..count).map(|_| ask(client).unwrap()).collect()
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs root and network namespaces"]
fn requests_are_spread_and_the_dead_are_replaced() {
    let segment = Segment::build(1, 6).unwrap();
    let client = segment.host(CLIENT);
    let mut back_ends: Vec<BackEnd> = BACK_ENDS.map(|host| BackEnd::start(&segment, host)).into();
    let [first, second] = PROXIES.map(|host| segment.host(host));
    let mut first_proxy = Proxy::start(&segment, PROXIES[0], "200", "rr");
    until("an answer through the first proxy", || ask(client).is_ok());

    // In turn, each as often as the others.
    let mut turns = answers(client, 9);
    turns.sort_unstable();
    assert_eq!(turns, [2, 2, 2, 3, 3, 3, 4, 4, 4]);

    // A dead one costs no request, not even before anybody knows that it is dead.
    let dead = back_ends.remove(0);
    let (address, host) = (dead.address, dead.host);
    drop(dead);
    assert!(!answers(client, 9).contains(&host), "{address} is dead");
    until("the check to find out", || {
        first_proxy.said(&format!("{address} is down")) > 0
    });
    back_ends.push(BackEnd::start(&segment, host));
    until("the back end to get requests again", || {
        ask(client).unwrap() == host
    });

    // The address moves when its holder is killed, and back.
    let _second_proxy = Proxy::start(&segment, PROXIES[1], "150", "rr");
    first_proxy.kill();
    until("the second proxy to take over", || holds(second));
    until("an answer through the second proxy", || ask(client).is_ok());
    assert_eq!(answers(client, 3).len(), 3);
    let mut back = Proxy::start(&segment, PROXIES[0], "200", "rr");
    until("the first proxy to take the address back", || {
        holds(first) && !holds(second)
    });
    until("an answer through the first proxy", || ask(client).is_ok());

    // One that is stopped hands the address over itself.
    assert!(back.stop());
    assert!(!holds(first));
    until("the second proxy to take over", || holds(second));
    until("an answer through the second proxy", || ask(client).is_ok());
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_proxy_that_sees_no_back_end_leaves_the_address_to_one_that_does() {
    let segment = Segment::build(1, 6).unwrap();
    let client = segment.host(CLIENT);
    let _back_ends = BACK_ENDS.map(|host| BackEnd::start(&segment, host));
    let [first, second] = PROXIES.map(|host| segment.host(host));
    let _first_proxy = Proxy::start(&segment, PROXIES[0], "200", "wlc");
    let _second_proxy = Proxy::start(&segment, PROXIES[1], "150", "wlc");
    until("the first proxy to hold the address", || {
        holds(first) && !holds(second)
    });

    // What it sends to the back ends gets lost, and only that. (Without a route nothing would be known about them.)
    let neighbours = |verb: &str| {
        for host in BACK_ENDS {
            let address = Segment::ipv4(0, host);
            let nobody = "lladdr 02:00:00:00:0f:0f nud permanent";
            first
                .ip(&format!("neigh {verb} {address} dev eth0 {nobody}"))
                .unwrap();
        }
    };
    neighbours("replace");
    until("the second proxy to take over", || holds(second) && !holds(first));
    until("an answer through the second proxy", || ask(client).is_ok());
    neighbours("del");
    until("the first proxy to take the address back", || {
        holds(first) && !holds(second)
    });
}
