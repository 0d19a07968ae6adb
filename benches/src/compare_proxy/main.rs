//! The embedded proxy beside HAProxy in TCP mode, in the same run: connections a second, bytes a second, CPU time of each.
//!
//! `compare-proxy [--rounds N] [--seconds S]` starts a back end and, in turn, the embedded proxy and HAProxy, each pinned to the
//! first core, the load and the back end to the second, all in a network of their own. Everything it starts it ends by its
//! process.

mod load;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ha_stack::{
    Algorithm, DataPlane, DesiredReal, DesiredServer, DesiredTable, Extent, Forwarding, Front, ProxyPlane,
    Transport,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Who is compared. The last two are one, told to pass on within the kernel what it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rival {
    Ours,
    HaProxy,
    HaProxySplice,
}

/// Connections with a short request and a short answer each, or a few that carry as much as goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Connections,
    Throughput,
}

/// What came of a round.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// Connections or megabytes in a second.
    rate: f64,
    /// Microseconds of the proxy's CPU time for each.
    cpu: f64,
    /// In megabytes.
    resident: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|other| other == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let seconds = Duration::from_secs(option("--seconds").map_or(Ok(3), str::parse)?);
    match option("--part") {
        None => {
            let inside = "ip link set lo up && { echo -19 > /proc/self/autogroup; } 2>/dev/null; exec \"$0\" \"$@\" --part lead";
            let status = Command::new("setsid")
                .args(["--wait", "unshare", "-n", "sh", "-c", inside])
                .arg(std::env::current_exe()?)
                .args(&arguments)
                .status()?;
            match status.success() {
                true => Ok(()),
                false => Err("the comparison failed (it needs root and HAProxy)".into()),
            }
        }
        Some("back-end") => load::serve(BACK_END),
        Some("ours") => ours(),
        Some("connections") => load::connect(FRONT, AT_ONCE, seconds),
        Some("throughput") => load::fetch(FRONT, STREAMS, seconds),
        Some(_) => lead(option("--rounds").map_or(Ok(5), str::parse)?, seconds),
    }
}

fn lead(rounds: usize, seconds: Duration) -> Result<()> {
    let lab = Lab::new(seconds)?;
    println!("| case | proxy | least / median / most | CPU for each | resident |\n|---|---|---|---|---|");
    for (case, unit) in [(Case::Connections, "connections/s"), (Case::Throughput, "MB/s")] {
        let proxies: &[Rival] = match case {
            Case::Connections => &[Rival::Ours, Rival::HaProxy],
            Case::Throughput => &[Rival::Ours, Rival::HaProxy, Rival::HaProxySplice],
        };
        let mut all: Vec<Vec<Figures>> = vec![Vec::new(); proxies.len()];
        for _ in 0..rounds {
            for (proxy, figures) in proxies.iter().zip(&mut all) {
                figures.push(lab.round(case, *proxy)?);
            }
        }
        let mut medians: Vec<Figures> = Vec::new();
        for (proxy, figures) in proxies.iter().zip(&mut all) {
            figures.sort_by(|one, other| one.rate.total_cmp(&other.rate));
            let (Some(least), Some(most)) = (figures.first(), figures.last()) else {
                continue;
            };
            let Some(median) = figures.get(figures.len() / 2) else {
                continue;
            };
            println!(
                "| {case:?} | {proxy:?} | {:.0} / {:.0} / {:.0} {unit} | {:.1} µs | {:.1} MB |",
                least.rate, median.rate, most.rate, median.cpu, median.resident
            );
            medians.push(*median);
        }
        if let [ours, others @ ..] = &medians[..] {
            for (other, proxy) in others.iter().zip(proxies.iter().skip(1)) {
                println!(
                    "| {case:?} | ours to {proxy:?} | {:.2} times the rate | {:.2} of the CPU | |",
                    ours.rate / other.rate,
                    ours.cpu / other.cpu
                );
            }
        }
    }
    Ok(())
}

struct Lab {
    directory: PathBuf,
    back_end: Child,
    seconds: Duration,
}

impl Lab {
    fn new(seconds: Duration) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("compare-proxy-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let back_end = own_part(1, "back-end")?.spawn()?;
        wait_for(BACK_END)?;
        Ok(Self {
            directory,
            back_end,
            seconds,
        })
    }

    fn start(&self, proxy: Rival) -> Result<Child> {
        let splice = match proxy {
            Rival::Ours => return Ok(own_part(0, "ours")?.spawn()?),
            Rival::HaProxy => "",
            Rival::HaProxySplice => " option splice-request\n option splice-response\n",
        };
        let servers: String = reals()
            .map(|real| format!(" server {0} {real}\n", real.ip()))
            .collect();
        let config = format!(
            "global\n nbthread 1\n maxconn 2000\ndefaults\n mode tcp\n timeout connect 3s\n timeout client 60s\n timeout server 60s\n{splice}listen f\n bind {FRONT}\n balance roundrobin\n{servers}"
        );
        let path = self.directory.join("haproxy.cfg");
        std::fs::write(&path, config)?;
        let mut command = pinned(0, "haproxy");
        Ok(command
            .arg("-db")
            .arg("-f")
            .arg(path)
            .stderr(Stdio::null())
            .spawn()?)
    }

    fn round(&self, case: Case, proxy: Rival) -> Result<Figures> {
        let mut child = self.start(proxy)?;
        let figures = wait_for(FRONT).and_then(|()| self.measure(case, child.id()));
        child.kill()?;
        child.wait()?;
        figures
    }

    fn measure(&self, case: Case, proxy: u32) -> Result<Figures> {
        let part = match case {
            Case::Connections => "connections",
            Case::Throughput => "throughput",
        };
        let before = cpu(proxy)?;
        let mut load = own_part(1, part)?;
        load.args(["--seconds", &self.seconds.as_secs().to_string()]);
        let output = load.stdout(Stdio::piped()).output()?;
        let used = (cpu(proxy)? - before) as f64 / 1000.0;
        let amount: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(Figures {
            rate: amount / self.seconds.as_secs_f64(),
            cpu: used / amount,
            resident: resident(proxy)?,
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.back_end.kill();
        let _ = self.back_end.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The embedded proxy, until it is killed.
fn ours() -> Result<()> {
    let mut plane = ProxyPlane::start(false)?;
    let server = DesiredServer {
        front: Front::Address {
            transport: Transport::Tcp,
            address: FRONT,
        },
        scheduling: Algorithm {
            name: "rr".to_owned(),
            flags: 0,
        },
        one_packet: false,
        persistence: None,
        proxy_protocol: None,
        absent: Vec::new(),
        cut: Vec::new(),
        real_servers: reals()
            .map(|address| DesiredReal {
                address,
                forwarding: Forwarding::FullNat,
                weight: 1,
                upper_threshold: 0,
                lower_threshold: 0,
            })
            .collect(),
    };
    let table = DesiredTable {
        virtual_servers: vec![server.into()],
        ..DesiredTable::default()
    };
    let applied = plane.reconcile(&table, Extent::Whole)?;
    if !applied.refused.is_empty() {
        return Err(applied.refused.join("\n").into());
    }
    loop {
        std::thread::park();
    }
}

fn reals() -> impl Iterator<Item = SocketAddr> {
    (2..5).map(|last| SocketAddr::from(([127, 0, 0, last], BACK_END.port())))
}

fn own_part(core: usize, part: &str) -> Result<Command> {
    let own = std::env::current_exe()?;
    let mut command = pinned(core, own.to_str().ok_or("a strange path")?);
    command.args(["--part", part]);
    Ok(command)
}

fn pinned(core: usize, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command
        .args(["-c", &core.to_string(), program])
        .stdin(Stdio::null());
    command
}

fn wait_for(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("nobody listens on {address}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Nanoseconds of all threads.
fn cpu(process: u32) -> Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split(' ').next().ok_or("an empty schedstat")?;
        sum += first.parse::<u64>()?;
    }
    Ok(sum)
}

fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("no VmRSS")?;
    Ok(kilobytes.trim().parse::<f64>()? / 1000.0)
}

const FRONT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1)), 8000);
const BACK_END: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8001);

/// Connections open at once.
const AT_ONCE: usize = 64;
const STREAMS: usize = 8;
