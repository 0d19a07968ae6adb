//! What the tests share: servers that end with the test, and whatever they left.

#![allow(dead_code, unreachable_pub, reason = "each binary uses its part")]

use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use healthcheck::{Basis, Check, CheckStatus, Checker, Key, Policy, Start, TargetSpec};

/// A server that runs as long as this lives, and a directory that exists as long.
pub struct Server {
    child: Child,
    pub addr: SocketAddr,
    directory: PathBuf,
}

impl Server {
    /// Starts what `command` makes of the directory and the port, and waits until it listens (with TCP).
    pub fn start(name: &str, command: impl FnOnce(&Path, u16) -> Command) -> Self {
        Self::begin(name, true, command)
    }

    /// The same without TCP to wait for.
    pub fn start_udp(name: &str, command: impl FnOnce(&Path, u16) -> Command) -> Self {
        Self::begin(name, false, command)
    }

    fn begin(name: &str, listens: bool, command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let directory = std::env::temp_dir().join(format!("healthcheck-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = command(&directory, port);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while listens && TcpStream::connect(addr).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "{name} ended at once");
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{name} does not listen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            child,
            addr,
            directory,
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What one attempt finds.
    pub fn check(&self, check: Check) -> CheckStatus {
        let checker = Checker::<u8>::spawn().unwrap();
        let policy = Policy {
            interval: Duration::from_secs(3_600),
            timeout: Duration::from_secs(20),
            spread: Duration::ZERO,
            rise: NonZeroU16::MIN,
            fall: NonZeroU16::MIN,
            start: Start::Unknown,
            basis: Basis::AfterCompletion,
            ..Policy::haproxy()
        };
        checker.reconcile([TargetSpec::new(0, check, Arc::new(policy))]);
        settle(&checker, &0)
    }

    /// Ends the server, so that its port is free.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What the first attempt finds that finds something. On a machine that stalls at the wrong moment one may be inconclusive,
/// as it should be; then there is another.
pub fn settle<K: Key>(checker: &Checker<K>, key: &K) -> CheckStatus {
    let begun = Instant::now();
    let mut seen = 0;
    loop {
        let status = checker.status(key).unwrap().checks.remove(0);
        if status.samples > 0 {
            return status;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "no result: {status:?}"
        );
        if status.inconclusive > seen {
            seen = status.inconclusive;
            drop(checker.check_now(key));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server that takes every connection and drops it.
///
/// Half-open checks of a prober that is late by more than 200 ms are acknowledged by its kernel and end in the queue of
/// the listener, from which only `accept` takes them: one that never accepts is full after some of those.
pub struct Accepting {
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Accepting {
    pub fn on(addr: impl ToSocketAddrs) -> Self {
        let listener = Arc::new(TcpListener::bind(addr).unwrap());
        let theirs = listener.clone();
        let thread = Some(std::thread::spawn(move || while theirs.accept().is_ok() {}));
        Self { listener, thread }
    }

    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // Ends the wait of the thread, and with it the listening.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
