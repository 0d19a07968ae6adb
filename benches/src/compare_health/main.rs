//! `healthcheck` beside HAProxy, in the same run: CPU time for each check, memory, lateness.
//!
//! `compare-health [--rounds N] [--seconds S] [--only WHAT] [--svg FILE]` starts an nginx of its own on loopback, then in
//! turn this crate and HAProxy, each pinned to the first core and the servers to the second, and prints the medians, and
//! draws how the cost grows. Loopback addresses of 127.0.0.0/8 stand for the targets. `--only` names a case or the
//! beginning of some. Everything it starts it ends by its process.
//!
//! keepalived is not beside them: its checkers do not start on a kernel without IPVS.

mod plot;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use healthcheck::{Basis, Check, Checker, Http, Ping, Policy, Start, TargetSpec};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|other| other == name)
            .and_then(|at| arguments.get(at + 1))
    };
    if let Some(kind) = option("--ours") {
        let number = |name: &str| {
            option(name)
                .ok_or("an option is missing")?
                .parse::<u64>()
                .map_err(Box::<dyn Error>::from)
        };
        return ours(
            kind,
            number("--targets")?,
            number("--interval")?,
            number("--port")?,
            number("--seconds")?,
        );
    }
    if option("--inside").is_none() {
        // A network of its own: nobody else's connections are counted, and nobody else's ports are taken.
        // And a session before all others: what else the machine does is not measured.
        let inside = "ip link set lo up && { echo -19 > /proc/self/autogroup; } 2>/dev/null; exec \"$0\" \"$@\" --inside yes";
        let own = std::env::current_exe()?;
        let status = Command::new("setsid")
            .args(["--wait", "unshare", "-n", "sh", "-c", inside])
            .arg(own)
            .args(&arguments)
            .status()?;
        return if status.success() {
            Ok(())
        } else {
            Err("the comparison failed (it needs root)".into())
        };
    }
    let rounds = option("--rounds").map_or(Ok(3), |text| text.parse())?;
    let seconds = option("--seconds").map_or(Ok(6), |text| text.parse())?;
    let lab = Lab::new()?;
    let wanted = |name: &str| option("--only").is_none_or(|only| name.starts_with(only.as_str()));
    println!(
        "| case | what | µs CPU per check | RSS MB | checks/s | failed | late p99 ms |\n|---|---|---|---|---|---|---|"
    );
    let mut growth = [("healthcheck", Vec::new()), ("HAProxy", Vec::new())];
    for (name, kind, targets, interval) in CASES {
        if !wanted(name) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(lab.run_ours(kind, *targets, *interval, seconds)?);
            // HAProxy has no echo checks, keeps no connections in this version, and would need more than a core for 50,000.
            if matches!(*kind, "tcp" | "http" | "keep") && *targets <= 10_000 {
                theirs.push(lab.run_haproxy(kind, *targets, *interval, seconds)?);
            }
        }
        let ours = report(name, "healthcheck", &mut ours);
        let theirs = report(name, "HAProxy", &mut theirs);
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            println!(
                "| {name} | ratio | {:.2} | {:.2} | | | |",
                ours.cpu / theirs.cpu,
                ours.rss / theirs.rss
            );
        }
        if *kind == "tcp" && *interval == 1_000 {
            for ((_, points), figures) in growth.iter_mut().zip([ours, theirs]) {
                points
                    .extend(figures.map(|figures| (*targets as f64, figures.cpu * figures.rate / 10_000.0)));
            }
        }
    }
    if let Some(file) = option("--svg") {
        let series = growth.map(|(name, points)| plot::Series { name, points });
        std::fs::write(file, plot::svg(&series))?;
    }
    Ok(())
}

/// Name, kind, targets, interval in milliseconds.
const CASES: &[(&str, &str, u64, u64)] = &[
    ("tcp-1k", "tcp", 1_000, 1_000),
    ("tcp-2k", "tcp", 2_000, 1_000),
    ("tcp-10k", "tcp", 10_000, 1_000),
    ("tcp-50k", "tcp", 50_000, 1_000),
    ("tcp-50k-10s", "tcp", 50_000, 10_000),
    ("http-5k", "http", 5_000, 1_000),
    ("http-keep-5k", "keep", 5_000, 1_000),
    ("ping-10k", "ping", 10_000, 1_000),
    ("ping-closed", "ping", 20_000, 150),
];

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// Microseconds for each check.
    cpu: f64,
    /// Megabytes.
    rss: f64,
    rate: f64,
    failed: f64,
    late: f64,
}

/// Prints the median of the runs by CPU time, and between which of them it lies.
fn report(case: &str, what: &str, runs: &mut [Figures]) -> Option<Figures> {
    runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let (first, last, median) = (*runs.first()?, *runs.last()?, *runs.get(runs.len() / 2)?);
    let Figures {
        cpu,
        rss,
        rate,
        failed,
        late,
    } = median;
    println!(
        "| {case} | {what} | {cpu:.1} ({:.1} to {:.1}) | {rss:.1} | {rate:.0} | {failed} | {late:.1} |",
        first.cpu, last.cpu
    );
    Some(median)
}

/// The server all probes go to, and a place for files.
struct Lab {
    directory: PathBuf,
    port: u16,
    nginx: Child,
}

impl Lab {
    fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("compare-health-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        // Nobody else is in this network.
        let port = 8_080;
        let config = format!(
            "daemon off; master_process off; pid {0}/pid; error_log stderr crit;
             events {{ worker_connections 16000; }}
             http {{ access_log off; keepalive_timeout 120; keepalive_requests 100000000;
                     server {{ listen 0.0.0.0:{port} backlog=16000; return 200 'fine'; }} }}",
            directory.display()
        );
        std::fs::write(directory.join("nginx.conf"), config)?;
        let nginx = pinned(1, "nginx")
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .stderr(Stdio::inherit())
            .spawn()?;
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err("nginx does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            directory,
            port,
            nginx,
        })
    }

    fn run_ours(&self, kind: &str, targets: u64, interval: u64, seconds: u64) -> Result<Figures> {
        let own = std::env::current_exe()?;
        let mut child = pinned(0, own.to_str().ok_or("a strange path")?)
            .args(["--ours", kind])
            .args([
                "--targets",
                &targets.to_string(),
                "--interval",
                &interval.to_string(),
            ])
            .args([
                "--port",
                &self.port.to_string(),
                "--seconds",
                &seconds.to_string(),
            ])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let line = BufReader::new(stdout).lines().next().ok_or("no figures")??;
        child.wait()?;
        let numbers: Vec<f64> = line
            .split(' ')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        let [cpu, rss, rate, failed, late] = numbers[..] else {
            return Err("strange figures".into());
        };
        Ok(Figures {
            cpu,
            rss,
            rate,
            failed,
            late,
        })
    }

    fn run_haproxy(&self, kind: &str, targets: u64, interval: u64, seconds: u64) -> Result<Figures> {
        let mut config = format!(
            "global\n nbthread 1\n maxconn 1000\ndefaults\n mode {1}\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n timeout check 5s\nfrontend f\n bind unix@{0}/front.sock\n default_backend b\nbackend b\n",
            self.directory.display(),
            if kind == "tcp" { "tcp" } else { "http" }
        );
        if kind != "tcp" {
            config.push_str(" option httpchk GET /\n");
        }
        for number in 0..targets {
            writeln!(
                config,
                " server s{number} {}:{} check inter {interval}ms",
                address(number),
                self.port
            )?;
        }
        let path = self.directory.join("haproxy.cfg");
        std::fs::write(&path, config)?;
        let idle = active_opens()?;
        let mut child = pinned(0, "haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&path)
            .stderr(Stdio::null())
            .spawn()?;
        // Reading the configuration, and the first rounds, are not counted.
        let begun = Instant::now();
        while active_opens()? - idle < 3 * targets && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let (before, opened, begun) = (cpu(child.id())?, active_opens()?, Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        let (after, checks, took) = (
            cpu(child.id())?,
            (active_opens()? - opened) as f64,
            begun.elapsed(),
        );
        let rss = resident(child.id())?;
        child.kill()?;
        child.wait()?;
        let cpu = (after - before) as f64 / 1_000.0 / checks;
        Ok(Figures {
            cpu,
            rss,
            rate: checks / took.as_secs_f64(),
            failed: 0.0,
            late: 0.0,
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The other side of [`Lab::run_ours`]: one process, one checker.
fn ours(kind: &str, targets: u64, interval: u64, port: u64, seconds: u64) -> Result<()> {
    let interval = Duration::from_millis(interval);
    let policy = Arc::new(Policy {
        interval,
        timeout: Duration::from_secs(5),
        spread: interval,
        basis: Basis::FixedRate,
        start: Start::Unknown,
        ..Policy::haproxy()
    });
    let port = u16::try_from(port)?;
    let keep = Http::get("/")?.keep_alive(true);
    let fresh = Http::get("/")?;
    let checker = Checker::<u32>::spawn()?;
    checker.reconcile((0..targets).map(|number| {
        let ip = IpAddr::from(address(number));
        let check = match kind {
            "ping" => Check::new(ip, Ping::default()),
            "http" => Check::new((address(number), port), fresh.clone()),
            "keep" => Check::new((address(number), port), keep.clone()),
            _ => Check::tcp((address(number), port)),
        };
        TargetSpec::new(number as u32, check, policy.clone())
    }));
    let first = checker.initial_round().wait(Duration::from_secs(30));
    std::thread::sleep(Duration::from_secs(2));
    let own = std::process::id();
    let (before, begun, totals) = (cpu(own)?, Instant::now(), checker.metrics().totals);
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, took, metrics) = (cpu(own)?, begun.elapsed(), checker.metrics());
    let checks = (metrics.totals.passed + metrics.totals.failed - totals.passed - totals.failed) as f64;
    let failed = metrics.totals.failed + metrics.totals.inconclusive + first as u64;
    let late = metrics.late_p99.as_secs_f64() * 1_000.0;
    let cpu = (after - before) as f64 / 1_000.0 / checks;
    println!(
        "{cpu} {} {} {failed} {late}",
        resident(own)?,
        checks / took.as_secs_f64()
    );
    Ok(())
}

fn address(number: u64) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0000_u32 + number as u32)
}

/// A program on one core, before whatever else this session does.
fn pinned(core: u32, program: &str) -> Command {
    let mut command = Command::new("nice");
    command
        .args(["-n", "-19", "taskset", "-c", &core.to_string(), program])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Nanoseconds on the processor, over all threads.
fn cpu(process: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(Path::new("/proc").join(process.to_string()).join("task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split(' ').next().ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}

/// Connections begun in this network namespace, which is this run's own: HAProxy does not count its checks.
fn active_opens() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (
        lines.next().ok_or("no counters")?,
        lines.next().ok_or("no counters")?,
    );
    let found = names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "ActiveOpens");
    Ok(found.ok_or("no such counter")?.1.parse()?)
}

/// Megabytes in memory.
fn resident(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1_024.0)
}
