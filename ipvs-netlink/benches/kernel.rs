//! 250 services with 40 destinations each, against a live kernel: what the kernel itself needs (the same messages, encoded
//! beforehand, sent and received without being looked at), this crate, and ipvsadm.
//!
//! ```text
//! cargo xtask vm --kernel 6.12 --bench ipvs-netlink/kernel
//! ```

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ipvs_netlink::{
    Batch, Client, Destination, Forward, Owned, ReconcileOptions, Request, Scheduler, Service, ServiceKey,
    Table, TableService, write_rules,
};
use netlink_batch::{Change, Limits, Protocol, Run, Sequence, Socket};

fn main() {
    // Built by `cargo test --benches` too; there is nothing to measure then.
    if !std::env::args().any(|argument| argument == "--bench")
        && !fs::exists("/proc/net/ip_vs").unwrap_or(false)
    {
        let _ = Command::new("modprobe").arg("ip_vs").status();
    }
    if Client::open().is_err() {
        println!("no IPVS here: run it by cargo xtask vm");
        return;
    }
    load();
    read();
}

fn table() -> Table {
    let services = (0..250_u16)
        .map(|number| TableService {
            service: Service::new(
                ServiceKey::tcp((Ipv4Addr::new(10, 98, 0, 1), 1000 + number)),
                Scheduler::WeightedLeastConnection,
            ),
            destinations: (0..40)
                .map(|host| {
                    let [high, low] = (number * 40 + host).to_be_bytes();
                    Destination::new((Ipv4Addr::new(10, 97, high, low), 80), Forward::Masquerade)
                })
                .collect(),
        })
        .collect();
    Table { services }
}

/// A namespace with an empty table, its statistics at rest: earlier tables would otherwise be summed up meanwhile, and
/// deleted destinations be looked through.
fn namespace(name: &str) -> String {
    let name = format!("bench-{}-{name}", std::process::id());
    run(Command::new("ip").args(["netns", "add", &name]));
    run(Command::new("ip").args(["-n", &name, "link", "set", "lo", "up"]));
    Client::open_named(&name).unwrap();
    run(Command::new("ip").args(["netns", "exec", &name, "sh", "-c", REST]));
    name
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Each round does everything once, each in a table of its own, starting with another one each time.
fn load() {
    let table = table();
    let requests = table.requests();
    let batch = Batch::from_iter(requests.iter().copied());
    fs::write("/tmp/bench-rules", write_rules(&requests)).unwrap();
    let mut times = [const { Vec::new() }; 4];
    let mut calls = String::new();
    for round in 0..ROUNDS {
        for number in 0..times.len() {
            let way = (round + number) % times.len();
            // ipvsadm takes as long as ten rounds of the others.
            if way == 3 && round % 4 != 0 {
                continue;
            }
            let name = namespace(&format!("{way}-{round}"));
            let taken = match way {
                0 => load_raw(&name, &requests),
                1 => {
                    let client = Client::open_named(&name).unwrap();
                    let before = client.with_transport(|socket| socket.counters());
                    let start = Instant::now();
                    client.apply(&batch).unwrap().into_result().unwrap();
                    let taken = start.elapsed();
                    let after = client.with_transport(|socket| socket.counters());
                    calls = format!(
                        "{} system calls for {} rules",
                        after.sends + after.receives - before.sends - before.receives,
                        requests.len()
                    );
                    taken
                }
                2 => {
                    let client = Client::open_named(&name).unwrap();
                    let start = Instant::now();
                    client.reconcile(&table, &ReconcileOptions::default()).unwrap();
                    start.elapsed()
                }
                _ => {
                    let input = File::open("/tmp/bench-rules").unwrap();
                    let start = Instant::now();
                    run(Command::new("ip")
                        .args(["netns", "exec", &name, "ipvsadm", "-R"])
                        .stdin(input));
                    start.elapsed()
                }
            };
            times[way].push(taken);
            assert_eq!(Client::open_named(&name).unwrap().services().unwrap().len(), 250);
        }
    }
    println!("load, 250 services x 40 destinations, {ROUNDS} rounds:");
    report(&["raw", "batch", "reconcile", "ipvsadm -R"], &times);
    println!("  {calls}");
}

fn load_raw(name: &str, requests: &[Request]) -> Duration {
    let (socket, family) = raw_socket(name);
    let windows = windows(requests, family, socket.limits());
    let mut buffer = Vec::new();
    let start = Instant::now();
    for window in &windows {
        socket.try_send(window).unwrap();
        let answer = socket.try_receive(&mut buffer).unwrap().unwrap();
        assert_eq!(answer[16..20], [0; 4], "an acknowledgement");
    }
    start.elapsed()
}

fn read() {
    let table = table();
    let name = namespace("read");
    let client = Client::open_named(&name).unwrap();
    client.reconcile(&table, &ReconcileOptions::default()).unwrap();
    let options = ReconcileOptions {
        owned: Owned::All,
        ..ReconcileOptions::default()
    };
    let (socket, family) = raw_socket(&name);
    let mut dumps = vec![Request::Services];
    let services = client.services().unwrap();
    dumps.extend(
        services
            .iter()
            .map(|entry| Request::Destinations(entry.service.key)),
    );
    let windows = windows(&dumps, family, socket.limits());
    let mut times = [const { Vec::new() }; 4];
    let mut calls = String::new();
    let mut buffer = Vec::new();
    for round in 0..ROUNDS {
        for number in 0..times.len() {
            let way = (round + number) % times.len();
            let start = Instant::now();
            match way {
                0 => {
                    for window in &windows {
                        socket.try_send(window).unwrap();
                        // NLMSG_DONE comes by itself in these dumps: its number is in the header.
                        while socket.try_receive(&mut buffer).unwrap().unwrap()[4] != 3 {}
                    }
                }
                1 => {
                    let before = client.with_transport(|socket| socket.counters());
                    let snapshot = client.snapshot().unwrap();
                    assert_eq!(snapshot.services.len(), 250);
                    let after = client.with_transport(|socket| socket.counters());
                    calls = format!(
                        "{} system calls for 10,250 rows",
                        after.sends + after.receives - before.sends - before.receives
                    );
                }
                2 => assert!(client.reconcile(&table, &options).unwrap().is_empty()),
                _ => run(Command::new("ip")
                    .args(["netns", "exec", &name, "ipvsadm", "-L", "-n"])
                    .stdout(Stdio::null())),
            }
            times[way].push(start.elapsed());
        }
    }
    println!("read, 250 services x 40 destinations, {ROUNDS} rounds:");
    report(
        &["raw dump", "snapshot", "reconcile, nothing to do", "ipvsadm -Ln"],
        &times,
    );
    println!("  {calls}");
}

/// The median of each way, and between the quartiles of how many times the raw one's median it is.
fn report(names: &[&str], times: &[Vec<Duration>]) {
    let quarter = |times: &[Duration], quarters: usize| {
        let mut sorted = times.to_vec();
        sorted.sort();
        sorted[(sorted.len() - 1) * quarters / 4].as_secs_f64()
    };
    let floor = quarter(&times[0], 2);
    for (name, times) in names.iter().zip(times) {
        let [low, median, high] = [1, 2, 3].map(|quarters| quarter(times, quarters));
        println!(
            "  {name:<26} median {:>8.1} ms, {:>5.2} x raw (quartiles {:.2} to {:.2})",
            median * 1e3,
            median / floor,
            low / floor,
            high / floor
        );
    }
}

fn raw_socket(namespace: &str) -> (Socket, u16) {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    let mut socket = Socket::open_in(Protocol::GENERIC, file.as_fd()).unwrap();
    let mut batch = netlink_batch::Batch::new();
    batch.get(16, |body| {
        body.extend([3, 1, 0, 0, 9, 0, 2, 0]);
        body.extend(b"IPVS\0\0\0\0");
    });
    let mut family = 0;
    // CTRL_ATTR_FAMILY_ID is the second attribute, after the name.
    socket
        .run(&mut batch, |_, message| {
            let body = message.body;
            let place = body.windows(4).position(|window| window == [6, 0, 1, 0]).unwrap();
            family = u16::from_ne_bytes([body[place + 4], body[place + 5]]);
        })
        .unwrap();
    (socket, family)
}

/// The bytes of each send, as the client would send them.
fn windows(requests: &[Request], family: u16, limits: Limits) -> Vec<Vec<u8>> {
    let mut batch = netlink_batch::Batch::new();
    for request in requests {
        if request.is_dump() {
            batch.dump(family, |body| request.encode(body));
        } else {
            batch.change(family, Change::PLAIN, |body| request.encode(body));
        }
    }
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, limits, &mut sequence);
    let mut windows = Vec::new();
    while !run.is_finished() {
        let window = run.poll_transmit().unwrap().to_vec();
        let last = netlink_batch::messages(&window).last().unwrap().unwrap();
        let kind: u16 = if last.flags & 0x300 == 0x300 { 3 } else { 2 };
        let mut answer = 20_u32.to_ne_bytes().to_vec();
        answer.extend(kind.to_ne_bytes());
        answer.extend([0; 2]);
        answer.extend(last.sequence.to_ne_bytes());
        answer.extend([0; 8]);
        run.handle_datagram(&answer, |_, _| {});
        windows.push(window);
    }
    windows
}

const ROUNDS: usize = 12;
const REST: &str =
    "test ! -e /proc/sys/net/ipv4/vs/run_estimation || echo 0 >/proc/sys/net/ipv4/vs/run_estimation";
