//! How the process runs: names, processors and priorities, what comes before and after everything else, the mode of its files,
//! and what it says of others on the link.

use std::time::{Duration, Instant};

use crate::lab::{Host, INTERFACE, Pair, Process, until};
use crate::stage::{CONFIG, Daemon, OURS};

/// What the process looks like from outside.
struct Look {
    /// Name, processors, niceness, real-time priority and class of each thread.
    threads: Vec<String>,
    first: String,
    last: String,
    notified: String,
}

impl Look {
    fn thread(&self, name: &str) -> &str {
        let mut threads = self.threads.iter();
        threads
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('|'))
            .unwrap_or_else(|| panic!("no {name} in {:#?}", self.threads))
    }
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn how_the_process_runs() {
    for daemon in [Daemon::Ours, Daemon::Keepalived] {
        let look = look(daemon);
        // The first script has ended before anything begins, and the last begins when everything has ended; that they fail
        // is no obstacle.
        assert_eq!(look.first, "0\nended\n", "{daemon:?}");
        assert_eq!(look.last, "0\n", "{daemon:?}");
        // Nobody to talk to is a fault, and stays one.
        assert_eq!(look.notified, "INSTANCE LONELY FAULT 100\n", "{daemon:?}");
        let theirs = daemon == Daemon::Keepalived;
        // Round robin or first come first served: no difference where there is one of a priority.
        let class = if theirs { 2 } else { 1 };
        assert_eq!(
            look.thread("keepalived_vrrp"),
            format!("0|0 7 {class}"),
            "{daemon:?}"
        );
        if theirs {
            continue;
        }
        // keepalived's ends where the kernel has no IPVS. The class is with the flag that scripts do not inherit it.
        assert_eq!(look.thread("keepalived_ipvs"), "0|4 3 1");
        assert_eq!(look.thread("verdicts"), "0|4 3 1");
        assert_eq!(look.thread("notify-scripts").rsplit_once('|').unwrap().1, "0 0 0");
    }
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn who_is_killed_for_good_leaves_no_address() {
    let (ours, theirs) = (Pair::new(), Pair::new());
    let both = [(Daemon::Ours, &ours.second), (Daemon::Keepalived, &theirs.second)];
    let processes = both.map(|(daemon, host)| {
        let here = instance("HERE", 1, "state MASTER\n priority 255", "10.1.10.7");
        host.write(CONFIG, &format!("global_defs {{\n process_names\n}}\n{here}"));
        start(host, daemon)
    });
    for (_, host) in both {
        until("the address", || host.holds("10.1.10.7"));
    }
    // keepalived's second process would be told of the end of the first, and give the address up, if it ran still.
    let (code, text) = theirs.second.run(
        "sh",
        &[
            "-c",
            "kill -STOP $(cat /run/v) && kill -KILL $(cat /run/p) && kill -KILL $(cat /run/v)",
        ],
    );
    assert_eq!(code, Some(0), "{text}");
    signal(&ours.second, "KILL");
    let killed = Instant::now();
    until("the kernel to take the address", || {
        !ours.second.holds("10.1.10.7")
    });
    let taken = killed.elapsed();
    // Three seconds are the shortest lease.
    assert!(taken < Duration::from_secs(8), "{taken:?}");
    std::thread::sleep(Duration::from_secs(1));
    assert!(theirs.second.holds("10.1.10.7"));
    drop(processes);
}

fn look(daemon: Daemon) -> Look {
    let Pair {
        first: other,
        second: host,
    } = Pair::new();
    host.write(CONFIG, &configuration());
    let held = format!("ip -o addr show dev {INTERFACE} | grep -c 10.1.10.7/");
    host.write_program(
        "/etc/keepalived/first.sh",
        &format!("#!/bin/sh\n{held} >> /run/first\nsleep 1\necho ended >> /run/first\nexit 1\n"),
    );
    host.write_program(
        "/etc/keepalived/last.sh",
        &format!("#!/bin/sh\n{held} >> /run/last\nexit 1\n"),
    );
    host.write_program(
        "/etc/keepalived/notify.sh",
        "#!/bin/sh\necho \"$*\" >> /run/notified\n",
    );
    let mut process = start(&host, daemon);
    until("the address", || host.holds("10.1.10.7"));
    until("the fault", || host.read("/run/notified").contains("FAULT"));
    // A virtual router that nobody here knows.
    other.write(
        CONFIG,
        &instance("STRANGER", 77, "state MASTER\n priority 255", "10.1.10.9"),
    );
    let mut stranger = other.start(OURS, &["run", "--config", CONFIG]);
    until("the stranger to be heard", || {
        names_the_stranger(&host.read("/run/log"))
    });
    stranger.signal("-TERM");
    assert_eq!(stranger.wait(), Some(0));
    let script = "for t in /proc/[0-9]*/task/*; do \
                  echo \"$(cat $t/comm)|$(sed -n 's/^Cpus_allowed_list:.//p' $t/status)|$(sed 's/.*) //' $t/stat | cut -d' ' -f17,38,39)\"; \
                  done";
    let (_, threads) = host.run("sh", &["-c", script]);
    // It is called otherwise now.
    signal(&host, "TERM");
    assert_eq!(process.wait(), Some(0));
    Look {
        threads: threads.lines().map(str::to_owned).collect(),
        first: host.read("/run/first"),
        last: host.read("/run/last"),
        notified: host
            .read("/run/notified")
            .lines()
            .take(1)
            .map(|line| format!("{line}\n"))
            .collect(),
    }
}

fn signal(host: &Host, name: &str) {
    let (code, text) = host.run("sh", &["-c", &format!("kill -{name} $(cat /run/p)")]);
    assert_eq!(code, Some(0), "{text}");
}

fn names_the_stranger(log: &str) -> bool {
    // In our words and in keepalived's.
    log.contains(" vrid=77 ") || log.contains("Unknown VRID(77)")
}

fn start(host: &Host, daemon: Daemon) -> Process<'_> {
    let line = match daemon {
        Daemon::Ours => format!("exec {OURS} run --config {CONFIG} --data-plane none -p /run/p 2> /run/log"),
        Daemon::Keepalived => {
            format!("exec keepalived -n -l -P -f {CONFIG} -p /run/p -r /run/v > /run/log 2>&1")
        }
    };
    // As both are called with `process_names`.
    host.start("sh", &["-c", &line]).becoming("keepalived")
}

fn configuration() -> String {
    let global = "global_defs {\n script_user root\n process_names\n startup_script /etc/keepalived/first.sh\n \
                  startup_script_timeout 60\n shutdown_script /etc/keepalived/last.sh\n shutdown_script_timeout 60\n \
                  log_unknown_vrids\n vrrp_rt_priority 7\n vrrp_cpu_affinity 0\n vrrp_rlimit_rttime 5000000\n \
                  checker_priority 4\n checker_rt_priority 3\n checker_cpu_affinity 0\n checker_no_swap\n \
                  min_auto_priority_delay 500000\n}\n";
    let here = instance("HERE", 1, "state MASTER\n priority 255", "10.1.10.7");
    let lonely =
        "priority 100\n unicast_src_ip 10.1.10.2\n unicast_fault_no_peer\n notify /etc/keepalived/notify.sh";
    let lonely = instance("LONELY", 2, lonely, "10.1.10.8");
    let server = "virtual_server 10.1.10.7 80 {\n protocol TCP\n lvs_sched rr\n lvs_method NAT\n real_server 10.1.10.2 80 {\n  \
                  TCP_CHECK {\n  }\n }\n}\n";
    format!("{global}{here}{lonely}{server}")
}

fn instance(name: &str, vrid: u8, lines: &str, address: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface {INTERFACE}\n virtual_router_id {vrid}\n {lines}\n \
         virtual_ipaddress {{\n  {address}\n }}\n}}\n"
    )
}
