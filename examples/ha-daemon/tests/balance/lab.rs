//! Hosts on one segment: network namespaces around a bridge, and the programs on them.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use failover_lab::namespace::Namespace;
use ipvs_netlink::{Client, Table};

use crate::roles;

/// The interface of every host.
pub(crate) const INTERFACE: &str = "ens1f1";

/// Which daemon a director runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Daemon {
    Ours,
    Keepalived,
}

/// The cable between the hosts.
pub(crate) struct Segment {
    switch: String,
    ports: AtomicU32,
}

/// A host.
pub(crate) struct Host {
    namespace: String,
    directory: PathBuf,
}

/// A program on a host; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Segment {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        load_modules();
        let switch = format!("lb{}-{number}", std::process::id());
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        Self {
            switch,
            ports: AtomicU32::new(0),
        }
    }

    /// A host with these addresses.
    pub(crate) fn host(&self, name: &str, addresses: &[&str]) -> Host {
        let namespace = format!("{}-{name}", self.switch);
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &namespace]);
        ip(&[
            "-n",
            &self.switch,
            "link",
            "add",
            &port,
            "type",
            "veth",
            "peer",
            "name",
            INTERFACE,
            "netns",
            &namespace,
        ]);
        ip(&["-n", &self.switch, "link", "set", &port, "master", "br0", "up"]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        for address in addresses {
            ip(&["-n", &namespace, "addr", "add", address, "dev", INTERFACE]);
        }
        ip(&["-n", &namespace, "link", "set", INTERFACE, "up"]);
        let directory = env::temp_dir().join(&namespace);
        std::fs::create_dir_all(&directory).unwrap();
        Host { namespace, directory }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.switch]).status();
    }
}

impl Host {
    /// A file of this host.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a program to its end; returns whether it succeeded and what it wrote.
    pub(crate) fn run(&self, words: &[&str]) -> (bool, String) {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// As [`run`](Self::run), for what has to succeed.
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let (succeeded, text) = self.run(words);
        assert!(succeeded, "{words:?}: {text}");
        text
    }

    /// Starts a program; what it writes is in the file of that name.
    fn start<W: AsRef<OsStr>>(&self, log: &str, words: &[W]) -> Process {
        let log = std::fs::File::create(self.directory.join(log)).unwrap();
        let child = self
            .command(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Process { child }
    }

    /// This program plays a role on this host.
    pub(crate) fn play(&self, role: &str) -> Process {
        self.start(&file_of(role), &roles::command(role))
    }

    /// What was said in a role so far.
    pub(crate) fn said(&self, role: &str) -> String {
        self.read(&file_of(role))
    }

    /// Has our daemon read another configuration.
    pub(crate) fn reload(&self, config: &str) {
        self.write("config", config);
        let control = self.path("control");
        self.done(&[env!("CARGO_BIN_EXE_ha-daemon"), "reload", "--control", &control]);
    }

    /// As [`play`](Self::play), to its end; returns what it says.
    pub(crate) fn played(&self, role: &str) -> String {
        let words = roles::command(role);
        self.done(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Sets what stands below `/proc/sys/net`.
    pub(crate) fn sysctl(&self, path: &str, value: u32) {
        self.done(&["sh", "-c", &format!("echo {value} >/proc/sys/net/{path}")]);
    }

    pub(crate) fn daemon(&self, daemon: Daemon, config: &str) -> Process {
        let config = self.write("config", config);
        match daemon {
            Daemon::Ours => {
                let control = self.path("control");
                self.start(
                    LOG,
                    &[
                        env!("CARGO_BIN_EXE_ha-daemon"),
                        "run",
                        "--config",
                        &config,
                        "--data-plane",
                        "ipvs",
                        "--control",
                        &control,
                    ],
                )
            }
            Daemon::Keepalived => {
                let files = ["p", "r", "c"].map(|file| self.path(file));
                self.start(
                    LOG,
                    &[
                        "keepalived",
                        "-n",
                        "-l",
                        "-f",
                        &config,
                        "-p",
                        &files[0],
                        "-r",
                        &files[1],
                        "-c",
                        &files[2],
                    ],
                )
            }
        }
    }

    /// What its daemon wrote.
    pub(crate) fn log(&self) -> String {
        self.read(LOG)
    }

    /// A file of this host; nothing if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }

    /// Whether this IPv4 address is its own.
    pub(crate) fn holds(&self, address: &str) -> bool {
        // What is told without another program: whole tests wait for this, on a processor that is emulated.
        let routes = self.net("fib_trie");
        let leaf = format!("|-- {address}\n");
        let mut leaves = routes.split(&leaf).skip(1);
        leaves.any(|leaf| leaf.trim_start().starts_with("/32 host LOCAL"))
    }

    /// A file below `/proc/net`.
    pub(crate) fn net(&self, name: &str) -> String {
        let namespace = Namespace::named(&self.namespace).unwrap();
        let read = || std::fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        namespace.run(read).unwrap()
    }

    pub(crate) fn ipvs(&self) -> Client {
        Client::open_named(&self.namespace).unwrap()
    }

    /// The kernel's table, services and destinations in the order of their keys.
    pub(crate) fn table(&self) -> Table {
        sorted(self.ipvs().snapshot().unwrap().table())
    }

    fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).args(words);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- {}:\n{}", self.namespace, self.log());
        }
        let _ = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Process {
    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        self.wait();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it and those that it started, all at once.
    pub(crate) fn kill(&mut self) {
        let id = self.id();
        let mut command = Command::new("kill");
        command.args(["-KILL", &id.to_string()]).args(self.children());
        assert!(command.status().unwrap().success());
        self.wait();
    }

    /// The numbers of those that it started.
    pub(crate) fn children(&self) -> Vec<String> {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let (option, id) = (format!("-{name}"), self.child.id().to_string());
        let status = Command::new("kill").args([option, id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // keepalived's children end with it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn sorted(mut table: Table) -> Table {
    table.services.sort_by_key(|service| service.service.key);
    for service in &mut table.services {
        service
            .destinations
            .sort_by_key(|destination| destination.endpoint);
    }
    table
}

/// Waits until something is so; two minutes are too long, even on an emulated machine.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether `cargo xtask test --long` asks for more than continuous integration has time for.
pub(crate) fn long() -> bool {
    env::var_os("LONG_TESTS").is_some()
}

/// A file of the fixtures.
pub(crate) fn fixture(name: &str) -> &'static str {
    FIXTURES
        .iter()
        .find(|(fixture, _)| *fixture == name)
        .unwrap_or_else(|| panic!("no fixture {name}"))
        .1
}

/// The file with what is said in a role.
fn file_of(role: &str) -> String {
    role.replace([' ', '/'], "-")
}

/// Loads what is used here. The kernel does so itself when it is asked for something, but of two who ask at the same time
/// one is told that there is no such thing.
fn load_modules() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let schedulers = "rr wrr lc wlc lblc lblcr dh sh mh sed nq fo ovf twos pe_sip";
        let schedulers = schedulers.split(' ').map(|name| format!("ip_vs_{name}"));
        for module in ["veth", "bridge", "ip_vs"]
            .map(str::to_owned)
            .into_iter()
            .chain(schedulers)
        {
            // Where it is built in, or an older kernel has none, there is nothing to load.
            let mut modprobe = Command::new("modprobe");
            let _ = modprobe.args(["-q", &module]).status();
        }
    });
}

/// One after the other: the first of a kind prepares what the others need.
fn ip(words: &[&str]) {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let _guard = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let status = Command::new("ip").args(words).status().unwrap();
    assert!(status.success(), "ip {words:?}");
}

/// The file that holds what the daemon of a host writes.
const LOG: &str = "log";

/// They come along in the program, which runs on another machine.
const FIXTURES: &[(&str, &str)] = &[
    ("both.conf", include_str!("../fixtures/ipvs/both.conf")),
    ("both.rules", include_str!("../fixtures/ipvs/both.rules")),
    ("checks.conf", include_str!("../fixtures/ipvs/checks.conf")),
    ("checks.rules", include_str!("../fixtures/ipvs/checks.rules")),
    (
        "dr-two-services.conf",
        include_str!("../fixtures/ipvs/dr-two-services.conf"),
    ),
    ("following.conf", include_str!("../fixtures/ipvs/following.conf")),
    (
        "following.rules",
        include_str!("../fixtures/ipvs/following.rules"),
    ),
    ("keywords.conf", include_str!("../fixtures/ipvs/keywords.conf")),
    ("keywords.rules", include_str!("../fixtures/ipvs/keywords.rules")),
    ("probes.conf", include_str!("../fixtures/ipvs/probes.conf")),
    ("probes.rules", include_str!("../fixtures/ipvs/probes.rules")),
];
