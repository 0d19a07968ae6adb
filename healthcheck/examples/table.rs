//! A live table of a few hundred targets: `cargo run --example table` checks servers that it starts itself on loopback,
//! breaks some of them now and then, and shows latencies and reasons. With addresses as arguments it checks those:
//! `cargo run --example table -- 192.0.2.10:80 192.0.2.11:80`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{Check, Checker, Event, Policy, State, TargetSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<SocketAddr> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let mut own = OwnServers::default();
    let targets = if given.is_empty() { own.start(300)? } else { given };
    let checker = Checker::spawn()?;
    let mut events = checker.subscribe();
    let second = Duration::from_secs(1);
    let policy = Arc::new(Policy {
        interval: second,
        timeout: second * 3,
        spread: second,
        ..Policy::haproxy()
    });
    checker.reconcile(
        targets
            .iter()
            .map(|addr| TargetSpec::new(*addr, Check::tcp(*addr), policy.clone())),
    );
    checker.initial_round().wait(Duration::from_secs(5));
    let mut last = Vec::new();
    for round in 0.. {
        while let Some(event) = events.try_next() {
            if let Event::Changed {
                key,
                from,
                to,
                reason,
                ..
            } = event
            {
                let why = reason
                    .map(|reason| reason.failure.to_string())
                    .unwrap_or_default();
                last.push(format!("{key}: {from} -> {to}  {why}"));
            }
        }
        print!("\x1b[H\x1b[2J{}", table(&checker, &last));
        last.drain(..last.len().saturating_sub(8));
        own.disturb(round)?;
        std::thread::sleep(second);
    }
    Ok(())
}

/// The worst dozen, the figures, and what changed lately.
fn table(checker: &Checker<SocketAddr>, last: &[String]) -> String {
    let mut all = checker.statuses();
    all.sort_by_key(|(key, status)| {
        (
            status.state == State::Up,
            std::cmp::Reverse(latency(status)),
            *key,
        )
    });
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, status) in &all {
        *counts.entry(status.state.to_string()).or_default() += 1;
    }
    let metrics = checker.metrics();
    let mut out = format!(
        "{} targets {counts:?}, {} checks, late p99 {:?}\n\n",
        metrics.targets, metrics.totals.started, metrics.late_p99
    );
    let _ = writeln!(
        out,
        "{:<24} {:<8} {:>10} {:>8}  reason",
        "target", "state", "latency", "since"
    );
    for (key, status) in all.iter().take(24) {
        let reason = status.reason().and_then(|check| check.last_failure.as_ref());
        let reason = reason.map(|(_, failure)| failure.to_string()).unwrap_or_default();
        let since = format!("{}s", checker.age(status.since).as_secs());
        let _ = writeln!(
            out,
            "{key:<24} {:<8} {:>8}µs {since:>8}  {reason}",
            status.state,
            latency(status).as_micros()
        );
    }
    let _ = writeln!(out, "\n{}", last.join("\n"));
    out
}

fn latency(status: &healthcheck::Status) -> Duration {
    status
        .checks
        .first()
        .map(|check| check.latency)
        .unwrap_or_default()
}

/// Servers on loopback, to have something to look at.
#[derive(Default)]
struct OwnServers {
    addresses: Vec<SocketAddr>,
    listeners: BTreeMap<usize, TcpListener>,
}

impl OwnServers {
    fn start(&mut self, count: usize) -> std::io::Result<Vec<SocketAddr>> {
        for number in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            self.addresses.push(listener.local_addr()?);
            self.listeners.insert(number, listener);
        }
        Ok(self.addresses.clone())
    }

    /// Every few seconds some go and those that had gone come back.
    fn disturb(&mut self, round: usize) -> std::io::Result<()> {
        if self.addresses.is_empty() || !round.is_multiple_of(5) {
            return Ok(());
        }
        for (number, addr) in self.addresses.iter().enumerate() {
            if (number + round).is_multiple_of(37) {
                self.listeners.remove(&number);
            } else if let Entry::Vacant(gone) = self.listeners.entry(number) {
                gone.insert(TcpListener::bind(addr)?);
            }
        }
        Ok(())
    }
}
