//! The table that a daemon makes of a configuration, beside the one that keepalived makes.
//!
//! `tests/fixtures/ipvs/NAME.conf` is the configuration, `tests/fixtures/ipvs/NAME.rules` what it comes to, in ipvsadm's words.

use std::time::{Duration, Instant};

use ipvs_netlink::{Daemon as SyncDaemon, Request, Table, Timeouts, parse_rules, write_rules};

use crate::lab::{Daemon, Host, Segment, fixture, sorted, until};

/// Everything that a configuration shows of itself in the kernel.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    table: Table,
    timeouts: Option<Timeouts>,
    daemons: Vec<SyncDaemon>,
}

impl Shown {
    fn by_rules(text: &str) -> Self {
        let requests = parse_rules(text).unwrap();
        let mut shown = Self {
            table: sorted(Table::from_requests(&requests)),
            ..Self::default()
        };
        for request in requests {
            match request {
                Request::SetTimeouts(timeouts) => shown.timeouts = Some(timeouts),
                Request::StartDaemon(daemon) => shown.daemons.push(daemon),
                _ => {}
            }
        }
        shown
    }

    /// Timeouts only where some are expected: without a word about them they are whatever they were.
    fn by(host: &Host, expected: &Self) -> Self {
        let client = host.ipvs();
        let daemons = client.daemons().unwrap();
        Self {
            table: host.table(),
            timeouts: expected.timeouts.map(|_| client.timeouts().unwrap()),
            daemons: daemons.into_iter().map(|entry| entry.daemon).collect(),
        }
    }

    fn text(&self) -> String {
        let mut requests = self.table.requests();
        requests.extend(self.timeouts.map(Request::SetTimeouts));
        requests.extend(self.daemons.iter().copied().map(Request::StartDaemon));
        write_rules(&requests)
    }
}

/// Runs a daemon with a configuration until the kernel shows what is expected of it, and goes on showing it; then stops it.
fn settles(host: &Host, daemon: Daemon, name: &str) {
    let expected = Shown::by_rules(fixture(&format!("{name}.rules")));
    let script = host.write("script", "exit $1\n");
    host.write("three", "3\n");
    host.write("none", "0\n");
    let config = fixture(&format!("{name}.conf"))
        .replace("SCRIPT", &format!("/bin/sh {script}"))
        .replace("FOLDER", &host.path(""));
    let mut running = host.daemon(daemon, &config);
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut right = 0;
    while right < 10 {
        let shown = Shown::by(host, &expected);
        right = if shown == expected { right + 1 } else { 0 };
        assert!(
            Instant::now() < deadline,
            "{name} by {daemon:?}:\n--- expected\n{}\n--- shown\n{}",
            expected.text(),
            shown.text()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    running.stop();
    until("the table to be empty", || host.table().services.is_empty());
    until("the sync daemons to end", || {
        host.ipvs().daemons().unwrap().is_empty()
    });
}

fn all(daemon: Daemon) {
    let segment = Segment::new();
    let director = segment.host("director", &["10.88.9.1/16", "10.87.9.1/16"]);
    let real = segment.host("real", &["10.87.0.1/16"]);
    // All that is refused is told: a check of a datagram takes silence for success.
    real.sysctl("ipv4/icmp_ratelimit", 0);
    let _server = real.play("probed");
    until("the servers to listen", || {
        real.net("tcp").contains(":0050 00000000:0000 0A")
    });
    settles(&director, daemon, "keywords");
    settles(&director, daemon, "checks");
    settles(&director, daemon, "probes");
    settles(&director, daemon, "both");
    // Somebody else's row, for `lvs_flush`.
    let foreign = parse_rules("-A -t 10.88.200.1:80 -s rr").unwrap();
    director.ipvs().apply(&foreign.into_iter().collect()).unwrap();
    settles(&director, daemon, "following");
}

#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn ours_are_those_that_keepalived_makes() {
    std::thread::scope(|scope| {
        scope.spawn(|| all(Daemon::Keepalived));
        scope.spawn(|| all(Daemon::Ours));
    });
}
