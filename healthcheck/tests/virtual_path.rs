//! The real path through a virtual address: two real servers have the same address, and the firewall mark of the check
//! decides which of them it reaches.

use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Basis, Check, Checker, Close, Endpoint, Expect, FailKind, Http, NetOptions, Ping, Policy, Request, Start,
    State, TargetSpec, Tcp,
};

const VIRTUAL: ([u8; 4], u16) = ([192, 0, 2, 10], 80);

#[test]
#[ignore = "needs root and network namespaces"]
fn the_mark_decides_which_real_server_is_checked() {
    // In a network of its own, which goes with it. What the harness prints in there is not this run's result.
    if std::env::var_os("INSIDE").is_none() {
        let output = Command::new("unshare")
            .arg("--net")
            .arg(std::env::current_exe().unwrap())
            .args([
                "--include-ignored",
                "--exact",
                "the_mark_decides_which_real_server_is_checked",
            ])
            .env("INSIDE", "1")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
        return;
    }
    let directory = std::env::temp_dir().join(format!("healthcheck-path-{}", std::process::id()));
    sh("ip link set lo up");
    let first = RealServer::start(&directory, 1);
    let _second = RealServer::start(&directory, 2);

    let policy = Arc::new(Policy {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(10),
        spread: Duration::ZERO,
        rise: NonZeroU16::MIN,
        fall: NonZeroU16::MIN,
        start: Start::Unknown,
        basis: Basis::AfterCompletion,
        ..Policy::haproxy()
    });
    let marked = |mark| {
        let net = NetOptions {
            mark: Some(mark),
            ..NetOptions::default()
        };
        Endpoint::from(VIRTUAL).via(Arc::new(net))
    };
    let says = |text: &str| Http::new(vec![Request::get("/").expect(Expect::contains(text))]).unwrap();
    let target = |key, check: Check| TargetSpec::new(key, check, policy.clone());
    let checker = Checker::<&str>::spawn().unwrap();
    checker.reconcile([
        target("1 by HTTP", Check::new(marked(1), says("server 1"))),
        target("2 by HTTP", Check::new(marked(2), says("server 2"))),
        target("2 mistaken for 1", Check::new(marked(2), says("server 1"))),
        target("1 by TCP", Check::tcp(marked(1))),
        target("2 by TCP", Check::new(marked(2), Tcp::closing(Close::Fin))),
        target("1 by echo", Check::new(marked(1), Ping::default())),
        target("2 by echo", Check::new(marked(2), Ping::default())),
        target("nobody's mark", Check::tcp(marked(3))),
    ]);
    assert_eq!(
        checker.initial_round().wait(Duration::from_secs(60)),
        0,
        "{:?}",
        checker.statuses()
    );
    for (key, status) in checker.statuses() {
        let up = !matches!(key, "2 mistaken for 1" | "nobody's mark");
        assert_eq!(status.state == State::Up, up, "{key}: {status:?}");
    }
    let reason = |key| {
        checker
            .status(&key)
            .unwrap()
            .checks
            .remove(0)
            .last_failure
            .unwrap()
            .1
    };
    assert_eq!(reason("2 mistaken for 1").kind, FailKind::Mismatch);
    assert_eq!(reason("nobody's mark").kind, FailKind::Unreachable);

    // One real server goes. The virtual address is still there, and only the checks with its mark fail.
    drop(first);
    for key in ["1 by HTTP", "1 by TCP", "1 by echo"] {
        let begun = std::time::Instant::now();
        while checker.state(&key) != Some(State::Down) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{key} is still up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for key in ["2 by HTTP", "2 by TCP", "2 by echo"] {
        assert_eq!(checker.state(&key), Some(State::Up), "{key}");
    }
    drop(checker);
    std::fs::remove_dir_all(directory).unwrap();
}

/// BusyBox's web server in a network of its own, where it has the virtual address.
struct RealServer {
    child: Child,
}

impl RealServer {
    fn start(directory: &Path, number: u8) -> Self {
        let content = directory.join(number.to_string());
        std::fs::create_dir_all(&content).unwrap();
        std::fs::write(content.join("index.html"), format!("this is server {number}")).unwrap();
        // It waits for its cable, which only those who know its process can plug in.
        let inside = "until ip addr add 192.0.2.10/32 dev eth0 2>/dev/null; do sleep 0.05; done
             ip link set lo up; ip link set eth0 up; ip route add default dev eth0
             exec busybox httpd -f -p 192.0.2.10:80 -h \"$0\"";
        let child = Command::new("unshare")
            .args(["--net", "sh", "-c", inside])
            .arg(&content)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (pid, table) = (child.id(), 100 + u32::from(number));
        let server = Self { child };
        // `unshare` needs a moment until the process is in its own network: before that the cable would come back to us.
        let own = || std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let ours = std::fs::read_link("/proc/self/ns/net").ok();
        wait_until(|| own().is_some_and(|own| Some(own) != ours));
        sh(&format!(
            "ip link add to{number} type veth peer name eth0 netns {pid}
             ip addr add 10.0.{number}.1/32 dev to{number}; ip link set to{number} up
             ip route add 192.0.2.10/32 dev to{number} src 10.0.{number}.1 table {table}
             ip rule add fwmark {number} table {table}"
        ));
        wait_until(|| listens(pid));
        server
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process's network has a listener on port 80.
fn listens(pid: u32) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    table.lines().any(|line| line.contains(":0050 00000000:0000 0A"))
}

fn wait_until(mut what: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}
