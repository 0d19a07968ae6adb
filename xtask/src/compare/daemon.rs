//! The whole daemon with a thousand virtual routers beside keepalived with the same file: start, reload, status, memory,
//! stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Figures, KINDS};
use crate::process::{self, Result, cargo, root};
use crate::static_build::INSTALLED;

/// Measures each in turn, so often. `laboratory` is a `failover-lab` beside which an `ha-daemon` lies; without it that is
/// built.
pub(super) fn measure(laboratory: Option<&Path>, rounds: usize) -> Result<Figures> {
    let program = match laboratory {
        Some(laboratory) => laboratory.with_file_name("ha-daemon"),
        None => {
            // As it is installed.
            process::run(&mut cargo(&["build", "--profile", INSTALLED, "-p", "ha-daemon"]))?;
            root().join("target").join(INSTALLED).join("ha-daemon")
        }
    };
    let mut figures = Figures::default();
    for _ in 0..rounds {
        for kind in KINDS {
            for (what, value) in Host::new(&program)?.round(kind)? {
                figures.add(what, kind, value);
            }
        }
    }
    Ok(figures)
}

/// A network namespace with a cable for each 250 virtual routers, and a directory for what is written.
struct Host {
    namespace: String,
    directory: PathBuf,
    program: PathBuf,
}

impl Host {
    fn new(program: &Path) -> Result<Self> {
        let namespace = format!("compare{}", std::process::id());
        let directory = std::env::temp_dir().join(&namespace);
        fs::create_dir_all(&directory)?;
        let host = Self {
            namespace,
            directory,
            program: program.to_owned(),
        };
        ip(&["netns", "add", &host.namespace])?;
        for cable in 0..CABLES {
            let (one, other) = (format!("e{cable}"), format!("p{cable}"));
            let inside = |words: &[&str]| ip(&[&["-n", host.namespace.as_str()], words].concat());
            inside(&["link", "add", &one, "type", "veth", "peer", "name", &other])?;
            inside(&["addr", "add", &format!("10.{}.0.1/16", 100 + cable), "dev", &one])?;
            for end in [&one, &other] {
                inside(&["link", "set", end, "up"])?;
            }
        }
        Ok(host)
    }

    /// One life of one daemon.
    fn round(&self, kind: &str) -> Result<Vec<(&'static str, f64)>> {
        let config = self.directory.join("keepalived.conf");
        fs::write(&config, configuration(ALL))?;
        let begun = Instant::now();
        let mut daemon = Daemon(self.start(kind, &config)?);
        self.until(|held| held == ALL)?;
        // Nobody is elected before the down interval of 3.2 s is over; what is beyond it is the daemon's.
        let started = begun.elapsed();
        std::thread::sleep(Duration::from_secs(1));
        let memory = resident(daemon.0.id());

        // One more, at the end of the file.
        fs::write(&config, configuration(ALL + 1))?;
        let begun = Instant::now();
        signal(daemon.0.id(), "HUP")?;
        self.until(|held| held == ALL + 1)?;
        let reloaded = begun.elapsed();
        let mut figures = vec![
            (
                "from the start to the last of 1,000 addresses, ms",
                milliseconds(started),
            ),
            (
                "from the reload to the address of the one that is new, ms",
                milliseconds(reloaded),
            ),
            ("resident memory of all its processes, MB", memory / 1024.0),
        ];
        if kind == "ours" {
            let begun = Instant::now();
            let status = process::read(
                Command::new(&self.program)
                    .args(["status", "--json", "--control"])
                    .arg(self.directory.join("socket")),
            )?;
            figures.push(("the status of all as JSON, ms", milliseconds(begun.elapsed())));
            let status: serde_json::Value = serde_json::from_str(&status)?;
            let routers = status["virtual_routers"].as_array().map_or(0, Vec::len);
            if routers != ALL + 1 {
                return Err(format!("the status has {routers} virtual routers").into());
            }
        }
        let begun = Instant::now();
        signal(daemon.0.id(), "TERM")?;
        daemon.0.wait()?;
        figures.push(("from SIGTERM to the end, ms", milliseconds(begun.elapsed())));
        self.until(|held| held == 0)?;
        Ok(figures)
    }

    fn start(&self, kind: &str, config: &Path) -> Result<Child> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        let own = |name: &str| self.directory.join(name);
        if kind == "ours" {
            command.arg(&self.program).arg("run");
            command
                .arg("--config")
                .arg(config)
                .arg("--control")
                .arg(own("socket"));
        } else {
            command.args(["keepalived", "-n", "-P", "-f"]).arg(config);
            command.arg("-p").arg(own("pid")).arg("-r").arg(own("vrrp.pid"));
        }
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// Waits until so many of the addresses are there.
    fn until(&self, is_so: impl Fn(usize) -> bool) -> Result {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = Command::new("ip")
                .args(["-n", &self.namespace, "-4", "-o", "addr", "show"])
                .output()?;
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            let held = text.lines().filter(|line| line.contains("/32")).count();
            if is_so(held) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain: {held} addresses are there").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What is left is of this run only.
        let _ = ip(&["netns", "del", &self.namespace]);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Ended with whoever measures it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = signal(self.0.id(), "TERM");
            let _ = self.0.wait();
        }
    }
}

fn configuration(routers: usize) -> String {
    let mut text = String::new();
    for number in 0..routers {
        // 250 numbers on each cable, and the one that is new is the 251st of the first.
        let (cable, vrid) = match number.checked_sub(ALL) {
            Some(new) => (0, PER_CABLE + 1 + new),
            None => (number / PER_CABLE, 1 + number % PER_CABLE),
        };
        text += &format!(
            "vrrp_instance V{number} {{\n interface e{cable}\n virtual_router_id {vrid}\n priority 200\n \
             virtual_ipaddress {{\n  10.{}.1.{vrid}/32\n }}\n}}\n",
            100 + cable
        );
    }
    text
}

/// Kilobytes, of a process and those that it started.
fn resident(process: u32) -> f64 {
    let of = |process: u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    of(process) + children.map(of).sum::<f64>()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn ip(arguments: &[&str]) -> Result {
    process::read(Command::new("ip").args(arguments)).map(drop)
}

fn signal(process: u32, name: &str) -> Result {
    process::read(Command::new("kill").args([&format!("-{name}"), &process.to_string()])).map(drop)
}

const ALL: usize = 1000;
const PER_CABLE: usize = 250;
const CABLES: usize = ALL / PER_CABLE;
const PATIENCE: Duration = Duration::from_secs(60);
