//! Virtual servers of a configuration file through the embedded proxy: real servers leave and return, the sorry server
//! stands in, an operator drains, a reload adds; nobody who could be served is turned away.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A real server that says its name to everybody who comes.
struct RealServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RealServer {
    fn start(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Checks come and go without a word.
                let _ = client.and_then(|mut client| client.write_all(name.as_bytes()));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Daemon {
    child: Child,
    directory: PathBuf,
}

impl Daemon {
    fn start(configuration: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ha-daemon-proxy-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("a.conf"), configuration).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ha-daemon"))
            .current_dir(&directory)
            .args([
                "run",
                "-f",
                "a.conf",
                "--control",
                "sock",
                "--data-plane",
                "proxy",
            ])
            .stderr(std::fs::File::create(directory.join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_ha-daemon"))
            .current_dir(&self.directory)
            .args(words)
            .args(["--control", "sock"])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            eprintln!("{log}\n{}", self.ask(&["server", "list"]));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// An address that no other process uses.
fn address(last: u8) -> SocketAddr {
    let [low, high, ..] = std::process::id().to_le_bytes();
    SocketAddr::from(([127, 128 | (high & 63), low, last], 20_078))
}

/// Who answers now.
fn fetch() -> String {
    let mut name = String::new();
    if let Ok(mut client) = TcpStream::connect(address(100)) {
        client.set_read_timeout(Some(LIMIT)).unwrap();
        let _ = client.read_to_string(&mut name);
    }
    name
}

/// Waits until these answer, and nobody else, eight times in a row.
fn wait_for(names: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut heard: Vec<char> = (0..8).flat_map(|_| fetch().chars().collect::<Vec<_>>()).collect();
        heard.sort_unstable();
        heard.dedup();
        if heard.iter().collect::<String>() == names {
            return;
        }
        assert!(Instant::now() < deadline, "{heard:?} instead of {names}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn configuration(real_servers: &[u8]) -> String {
    let real_server = |last: &u8| {
        let address = address(*last);
        format!(
            "real_server {} {} {{\nTCP_CHECK {{\nconnect_timeout 2\nretry 0\n}}\n}}\n",
            address.ip(),
            address.port()
        )
    };
    let (front, sorry) = (address(100), address(99));
    format!(
        "virtual_server {} {} {{\ndelay_loop 1\nwarmup 0\nlb_algo rr\nlb_kind DR\nprotocol TCP\nsorry_server {} {}\n{}}}\n",
        front.ip(),
        front.port(),
        sorry.ip(),
        sorry.port(),
        real_servers.iter().map(real_server).collect::<String>()
    )
}

#[test]
#[ignore = "needs root"]
fn real_servers_leave_return_drain_and_are_added() {
    let (a, b) = (
        RealServer::start("a", address(1)),
        RealServer::start("b", address(2)),
    );
    let _sorry = RealServer::start("s", address(99));
    let daemon = Daemon::start(&configuration(&[1, 2]));
    let server = address(100).to_string();
    wait_for("ab");
    drop(a);
    wait_for("b");
    drop(b);
    wait_for("s");
    let _a = RealServer::start("a", address(1));
    let _b = RealServer::start("b", address(2));
    wait_for("ab");
    let answer = daemon.ask(&["server", "drain", &server, &address(1).ip().to_string()]);
    assert_eq!(
        answer,
        format!("{server}: {} gets weight 0 instead of 1\n", address(1))
    );
    wait_for("b");
    // The order holds over a reload of something else.
    let _c = RealServer::start("c", address(3));
    std::fs::write(daemon.directory.join("a.conf"), configuration(&[1, 2, 3])).unwrap();
    let answer = daemon.ask(&["reload"]);
    assert_eq!(answer, format!("{server} changed: {} added\n", address(3)));
    wait_for("bc");
    daemon.ask(&["server", "enable", &server, &address(1).to_string()]);
    wait_for("abc");
    let status: serde_json::Value = serde_json::from_str(&daemon.ask(&["status", "--json"])).unwrap();
    assert_eq!(status["data_plane"], "proxy");
    let virtual_server = &status["virtual_servers"][0];
    assert_eq!(virtual_server["name"], server);
    assert_eq!(virtual_server["quorum_met"], true);
    assert!(virtual_server["traffic"]["connections"].as_u64().unwrap() > 0);
    assert_eq!(virtual_server["real_servers"][0]["checks"][0]["type"], "tcp");
    assert_eq!(daemon.ask(&["stop"]), "stopped\n");
}

/// How long anything may take on a machine that is busy otherwise.
const LIMIT: Duration = Duration::from_secs(60);
