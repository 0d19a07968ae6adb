//! Hosts on one machine: each with a network, a mount and a PID namespace of its own, joined by a cable.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The interface of every host.
pub(crate) const INTERFACE: &str = "eno16777736";

/// Two hosts, 10.1.10.1 and 10.1.10.2.
pub(crate) struct Pair {
    pub(crate) first: Host,
    pub(crate) second: Host,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |side: &str| format!("stack{}-{number}{side}", std::process::id());
        let (one, two) = (name("a"), name("b"));
        for namespace in [&one, &two] {
            run("ip", &["netns", "add", namespace]);
        }
        run(
            "ip",
            &[
                "-n", &one, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns",
                &two,
            ],
        );
        for (namespace, address) in [(&one, "10.1.10.1/24"), (&two, "10.1.10.2/24")] {
            run("ip", &["-n", namespace, "link", "set", "lo", "up"]);
            run("ip", &["-n", namespace, "addr", "add", address, "dev", INTERFACE]);
            run("ip", &["-n", namespace, "link", "set", INTERFACE, "up"]);
        }
        Self {
            first: Host::new(one),
            second: Host::new(two),
        }
    }
}

/// A host. Its processes end with it.
pub(crate) struct Host {
    namespace: String,
    directory: PathBuf,
    init: Child,
    /// The number of the process that is 1 inside.
    inside: u32,
}

impl Host {
    fn new(namespace: String) -> Self {
        let directory = std::env::temp_dir().join(&namespace);
        let _ = std::fs::remove_dir_all(&directory);
        for part in ["etc/keepalived", "run"] {
            std::fs::create_dir_all(directory.join(part)).unwrap();
        }
        for file in [
            "passwd",
            "group",
            "hosts",
            "nsswitch.conf",
            "ld.so.cache",
            "protocols",
        ] {
            let _ = std::fs::copy(Path::new("/etc").join(file), directory.join("etc").join(file));
        }
        let script = format!(
            "mount --bind {0}/etc /etc && mount --bind {0}/run /run && echo ready > /run/ready && exec sleep 1000000",
            directory.display()
        );
        let init = Command::new("ip")
            .args(["netns", "exec", &namespace])
            .args([
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
            ])
            .args(["sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut host = Self {
            namespace,
            directory,
            init,
            inside: 0,
        };
        until("the host to start", || host.directory.join("run/ready").exists());
        // `ip netns exec` and `unshare` become one another; their only child is the host's process 1.
        let children = format!("/proc/{0}/task/{0}/children", host.init.id());
        host.inside = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        host
    }

    /// The name of its network namespace.
    #[allow(dead_code, reason = "each test binary uses a part of it")]
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A file as the host sees it: below `etc` or `run`.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub(crate) fn write_program(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(path, text);
        std::fs::set_permissions(self.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts a program on this host.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Process<'_> {
        let inside = self.inside.to_string();
        let child = Command::new("nsenter")
            .args(["--target", &inside, "--net", "--mount", "--pid", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Process {
            host: self,
            child,
            program: Path::new(program)
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        }
    }

    /// Runs a program on this host to its end. Returns its exit status and what it wrote.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let inside = self.inside.to_string();
        let output = Command::new("nsenter")
            .args(["--target", &inside, "--net", "--mount", "--pid", "--"])
            .arg(program)
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn holds(&self, address: &str) -> bool {
        let output = Command::new("ip")
            .args(["-n", &self.namespace, "-o", "addr", "show", "dev", INTERFACE])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).contains(&format!(" {address}/"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Process 1 takes all others with it.
        let _ = self.init.kill();
        let _ = self.init.wait();
        let _ = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A process on a host; killed when dropped.
pub(crate) struct Process<'a> {
    host: &'a Host,
    child: Child,
    program: String,
}

impl Process<'_> {
    /// Sends a signal to the program, by its name inside the host: `nsenter` stays as its parent.
    pub(crate) fn signal(&self, signal: &str) {
        self.host.run("killall", &[signal, &self.program]);
    }

    /// What the program that was started has become: a shell that executes another.
    #[allow(dead_code, reason = "each test binary uses a part of it")]
    pub(crate) fn becoming(mut self, program: &str) -> Self {
        self.program = program.to_owned();
        self
    }

    /// The number, as seen from outside, of its thread of this name: `nsenter` stays as its parent.
    #[allow(dead_code, reason = "each test binary uses a part of it")]
    pub(crate) fn thread(&self, name: &str) -> u32 {
        let parent = self.child.id();
        let children = format!("/proc/{parent}/task/{parent}/children");
        let process = std::fs::read_to_string(children).unwrap().trim().to_owned();
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let mut threads = threads.map(|thread| thread.unwrap().path());
        let found =
            threads.find(|thread| std::fs::read_to_string(thread.join("comm")).unwrap().trim() == name);
        found
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Waits for its end. Returns the exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal("-KILL");
            let _ = self.child.wait();
        }
    }
}

/// Waits until something is so; a minute is too long.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

static NUMBER: AtomicU32 = AtomicU32::new(0);
