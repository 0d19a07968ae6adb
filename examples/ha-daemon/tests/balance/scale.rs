//! Many virtual servers with ten real servers each: from the start to the whole table, from a reload to the kernel, memory and
//! processor time at rest. keepalived beside it.
//!
//! `cargo xtask compare balance` does it with a thousand of them and optimised programs; without that it is a test with
//! fewer, of which only the tables count.

use std::fs;
use std::time::{Duration, Instant};

use ipvs_netlink::{Batch, Client, ServiceKey, Table, Weight, parse_rules};

use crate::lab::{Daemon, Host, Process, Segment, sorted};

/// How many virtual servers there are is in this variable.
const SERVERS: &str = "SCALE_SERVERS";
const REALS: u32 = 10;

struct Size(u32);

impl Size {
    fn front(&self, server: u32) -> String {
        format!("10.{}.{}.1", 20 + server / 250, server % 250)
    }

    fn real(server: u32, real: u32) -> String {
        format!("10.88.{real}.{}", 1 + server % 250)
    }

    /// The last of all real servers has this weight, the others 1.
    fn config(&self, weight: u32) -> String {
        let mut text = String::new();
        for server in 0..self.0 {
            let front = self.front(server);
            text += &format!("virtual_server {front} 80 {{\n protocol TCP\n lb_algo wrr\n lb_kind DR\n");
            for real in 0..REALS {
                let (address, weight) = (Self::real(server, real), self.weight(server, real, weight));
                text += &format!(" real_server {address} 80 {{\n  weight {weight}\n }}\n");
            }
            text += "}\n";
        }
        text
    }

    fn table(&self, weight: u32) -> Table {
        let mut rules = String::new();
        for server in 0..self.0 {
            let front = self.front(server);
            rules += &format!("-A -t {front}:80 -s wrr\n");
            for real in 0..REALS {
                let (address, weight) = (Self::real(server, real), self.weight(server, real, weight));
                rules += &format!("-a -t {front}:80 -r {address}:80 -g -w {weight}\n");
            }
        }
        sorted(Table::from_requests(&parse_rules(&rules).unwrap()))
    }

    fn weight(&self, server: u32, real: u32, last: u32) -> u32 {
        match (server + 1, real + 1) == (self.0, REALS) {
            true => last,
            false => 1,
        }
    }

    fn key(&self, server: u32) -> ServiceKey {
        ServiceKey::tcp((self.front(server).parse::<std::net::Ipv4Addr>().unwrap(), 80))
    }

    /// Whether the last of all rows is there and has this weight.
    fn has_last(&self, client: &Client, weight: u32) -> bool {
        // While the service is not there, that is an error.
        let rows = client.destinations(self.key(self.0 - 1)).unwrap_or_default();
        let weight = Weight::new(weight).unwrap();
        rows.len() == REALS as usize && rows.iter().any(|row| row.destination.weight == weight)
    }
}

fn measure(host: &Host, daemon: Daemon, size: &Size, rest: Duration) {
    let client = host.ipvs();
    let config = size.config(7);
    let begin = Instant::now();
    let mut process = host.daemon(daemon, &config);
    let first = since(begin, || client.service(size.key(0)).is_ok());
    let started = since(begin, || size.has_last(&client, 7));
    assert!(host.table() == size.table(7), "the table of {daemon:?}");

    host.write("config", &size.config(8));
    let begin = Instant::now();
    process.signal("HUP");
    let reloaded = since(begin, || size.has_last(&client, 8));
    assert!(
        host.table() == size.table(8),
        "the table of {daemon:?} after a reload"
    );

    // What the reload has left to do is not rest.
    std::thread::sleep(rest / 4);
    let before = processor_time(&process);
    std::thread::sleep(rest);
    let at_rest = (processor_time(&process) - before) / rest.as_secs_f64();
    let memory = resident(&process);
    let begin = Instant::now();
    process.stop();
    let stopped = begin.elapsed();
    // keepalived gives up before all of many rows are deleted.
    let left = client.services().unwrap().len();
    assert!(left == 0 || daemon == Daemon::Keepalived, "{left} are left");
    client.flush().unwrap();
    println!(
        "{daemon:?}: first row {first:.0?}, last row {started:.0?} after the start; a changed weight {reloaded:.1?} after the \
         reload; {memory:.1} MB resident; {:.2} % of a processor at rest; {stopped:.0?} to the end, which leaves {left} virtual servers",
        at_rest * 100.0
    );
}

/// What the kernel itself needs, with the client that does what is asked and no more.
fn kernel(host: &Host, size: &Size) {
    let client = host.ipvs();
    let batch: Batch = size.table(7).requests().into_iter().collect();
    let begin = Instant::now();
    client.apply(&batch).unwrap();
    println!("the rows alone: {:.0?}", begin.elapsed());
    client.flush().unwrap();
}

fn since(begin: Instant, mut is_so: impl FnMut() -> bool) -> Duration {
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(180), "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
    begin.elapsed()
}

/// Of a process and those that it started.
fn of_all(process: &Process, each: impl Fn(u32) -> f64) -> f64 {
    let children = process.children();
    let children = children.iter().filter_map(|child| child.parse().ok());
    each(process.id()) + children.map(&each).sum::<f64>()
}

/// In megabytes.
fn resident(process: &Process) -> f64 {
    of_all(process, |id| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kilobytes.unwrap_or(0.0) / 1024.0
    })
}

/// In seconds.
fn processor_time(process: &Process) -> f64 {
    of_all(process, |id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name come the state and twelve more words, then user and system time in hundredths.
        let words: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok());
        (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
    })
}

#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn many_servers_have_their_rows() {
    let wanted = std::env::var(SERVERS)
        .ok()
        .map(|servers| servers.parse().unwrap());
    let (size, rounds, rest) = match wanted {
        Some(servers) => (Size(servers), 3, 20),
        None => (Size(50), 1, 1),
    };
    let segment = Segment::new();
    let host = segment.host("director", &["10.88.99.1/16"]);
    for _ in 0..rounds {
        kernel(&host, &size);
        for daemon in [Daemon::Ours, Daemon::Keepalived] {
            measure(&host, daemon, &size, Duration::from_secs(rest));
        }
    }
}
