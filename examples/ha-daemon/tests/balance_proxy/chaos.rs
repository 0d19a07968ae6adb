//! Real servers that come and go, checks that freeze, a daemon that is killed, a table that is emptied, and descriptors that run
//! out.

use std::io::{self, Read as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use failover_lab::namespace::Namespace;

use crate::daemon::Daemon;
use crate::server::RealServer;
use crate::{LIMIT, until};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 1, last], 80))
}

/// `check` adds a check to the real server with this last byte.
fn configuration(check: impl Fn(u8) -> String) -> String {
    let real_server = |last: u8| {
        format!(
            "real_server 127.0.1.{last} 80 {{\nTCP_CHECK {{\nconnect_timeout 2\nretry 0\n}}\n{}}}\n",
            check(last)
        )
    };
    format!(
        "global_defs {{\nscript_user root\n}}\n\
         virtual_server 127.0.1.100 80 {{\ndelay_loop 1\nwarmup 0\nlb_algo wlc\nlb_kind NAT\nprotocol TCP\n{}}}\n",
        (1..5).map(real_server).collect::<String>()
    )
}

/// Scripts that hang as long as a file is there, one for each real server.
struct Frost(PathBuf);

impl Frost {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("ha-daemon-frost-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let script = "while test -e \"$1\"; do sleep 0.1; done\n";
        std::fs::write(directory.join("check"), script).unwrap();
        Self(directory)
    }

    fn file(&self, number: usize) -> PathBuf {
        self.0.join(format!("frozen-{number}"))
    }

    fn is_on(&self, number: usize) -> bool {
        self.file(number).exists()
    }

    fn toggle(&self, number: usize) {
        match self.is_on(number) {
            true => std::fs::remove_file(self.file(number)).unwrap(),
            false => std::fs::write(self.file(number), "").unwrap(),
        }
    }

    fn check(&self, last: u8) -> String {
        let (script, file) = (self.0.join("check"), self.file(usize::from(last) - 1));
        format!(
            "MISC_CHECK {{\nmisc_path \"/bin/sh {} {}\"\nmisc_timeout 1\n}}\n",
            script.display(),
            file.display()
        )
    }
}

impl Drop for Frost {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Who answers one request.
fn ask(host: &Namespace) -> io::Result<String> {
    let mut stream = host.run(|| TcpStream::connect(address(100)))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.shutdown(Shutdown::Write)?;
    let mut name = String::new();
    stream.read_to_string(&mut name)?;
    match name.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(name.trim_end().to_owned()),
    }
}

/// The same numbers from the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }
}

/// After each round the table is what the real servers are, and as long as one of them lives every request is answered.
#[test]
#[ignore = "needs root and network namespaces"]
fn whatever_dies_the_table_follows_and_the_living_serve() {
    let rounds = if std::env::var_os("LONG_TESTS").is_some() {
        200
    } else {
        12
    };
    let seed = 0x5eed_0008;
    let mut dice = Dice(seed);
    let host = &Namespace::new().unwrap();
    let start = |number: usize| RealServer::start(host, NAMES[number], address(number as u8 + 1));
    let mut servers: [Option<RealServer>; 4] = std::array::from_fn(|number| Some(start(number)));
    let frost = Frost::new();
    let configuration = configuration(|last| frost.check(last));
    let mut daemon = Daemon::start(host, &configuration);
    until("an answer", || ask(host).is_ok());
    for round in 0..rounds {
        // Each kind once, then whatever comes.
        let what = if round < KINDS { round } else { dice.below(KINDS) };
        let number = dice.below(4);
        // Who is in the table and stays there.
        let steady = (0..4)
            .any(|other| servers[other].is_some() && !frost.is_on(other) && (what >= 3 || other != number));
        match what {
            // It dies, or is back; several times.
            0..3 => {
                for _ in 0..=dice.below(4) {
                    servers[number] = match servers[number].take() {
                        Some(server) => {
                            drop(server);
                            None
                        }
                        None => Some(start(number)),
                    };
                }
            }
            3 => {
                daemon.kill();
                daemon.start_again(&configuration);
                until("the daemon to be back", || daemon.status()["schema"] == 1);
            }
            4 => drop(daemon.reload(&configuration)),
            // Its check hangs, or goes on.
            5 => frost.toggle(number),
            // Nothing is left of the table, and then it is there again.
            6 => {
                daemon.reload("");
                assert_eq!(
                    daemon.status()["virtual_servers"].as_array().map(Vec::len),
                    Some(0)
                );
                daemon.reload(&configuration);
            }
            // Clients who go away in the middle.
            _ => {
                let clients: Vec<_> = (0..20)
                    .map(|_| host.run(|| TcpStream::connect(address(100))))
                    .collect();
                drop(clients);
            }
        }
        let alive: Vec<String> = (0..4)
            .filter(|number| servers[*number].is_some() && !frost.is_on(*number))
            .map(|number| address(number as u8 + 1).to_string())
            .collect();
        if steady && what != 3 {
            // Whoever is not known to be dead yet is passed over.
            ask(host).unwrap_or_else(|error| panic!("seed {seed:#x}, round {round}, action {what}: {error}"));
        }
        until(
            &format!("the table to follow (seed {seed:#x}, round {round})"),
            || daemon.serving(0) == alive,
        );
        for _ in 0..4 {
            assert_eq!(
                ask(host).is_ok(),
                !alive.is_empty(),
                "seed {seed:#x}, round {round}, action {what}"
            );
        }
    }
}

/// Kinds of what happens in a round.
const KINDS: usize = 8;

/// The time that a process has used, in ticks of 10 ms.
fn ticks(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after = text.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A proxy that cannot accept waits: it does not spin, keeps what it has, and goes on as soon as it can.
#[test]
#[ignore = "needs root and network namespaces"]
fn descriptors_that_run_out_stop_nobody_for_good() {
    let host = &Namespace::new().unwrap();
    let _server = RealServer::start(host, "a", address(1));
    let daemon = Daemon::start(host, &configuration(|_| String::new()));
    until("an answer", || ask(host).is_ok());
    let mut kept = host.run(|| TcpStream::connect(address(100))).unwrap();
    kept.set_read_timeout(Some(LIMIT)).unwrap();
    let mut name = [0; 2];
    kept.read_exact(&mut name).unwrap();
    let open = || {
        std::fs::read_dir(format!("/proc/{}/fd", daemon.id()))
            .unwrap()
            .count()
    };
    let limit = |most: usize| {
        let id = daemon.id().to_string();
        let limit = format!("--nofile={most}:");
        let status = Command::new("prlimit")
            .args(["--pid", &id, &limit])
            .status()
            .unwrap();
        assert!(status.success());
    };
    // Some more fit, then no more.
    limit(open() + 10);
    let mut waiting: Vec<TcpStream> = (0..40)
        .map(|_| host.run(|| TcpStream::connect(address(100))).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let before = ticks(daemon.id());
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(daemon.id()) - before;
    assert!(used < 100, "{used} of 200 ticks used while it could do nothing");
    // What was there goes on.
    use std::io::Write as _;
    kept.write_all(b"still").unwrap();
    let mut answer = [0; 5];
    kept.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"still");
    // As many as fit have been served; the others are as soon as those leave.
    for mut client in waiting.drain(..) {
        client.set_read_timeout(Some(LIMIT)).unwrap();
        // One that found a place but no second descriptor was turned away.
        let _ = client.shutdown(Shutdown::Write);
        let _ = client.read_to_string(&mut String::new());
    }
    limit(1000);
    until("new clients to be served", || ask(host).is_ok());
    assert_eq!(daemon.ask(&["stop"]), "stopped\n");
}
