//! Network namespaces: hosts of the laboratory's own, which vanish with it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Output, Stdio};

use crate::sys;

/// A network namespace, kept alive by an open descriptor and by nothing else.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes a namespace. The calling thread stays where it is.
    ///
    /// # Errors
    /// What the system says to somebody who may not.
    pub fn new() -> io::Result<Self> {
        let file = on_a_thread(|| {
            sys::unshare_network()?;
            File::open("/proc/thread-self/ns/net")
        })?;
        let namespace = Self { file };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// A namespace that `ip netns add` made, and that stays when this is gone.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn named(name: &str) -> io::Result<Self> {
        let file = File::open(format!("/run/netns/{name}"))?;
        Ok(Self { file })
    }

    /// Runs `work` on a thread inside the namespace and waits for it.
    ///
    /// # Errors
    /// What the system says when the namespace cannot be entered, and what `work` returns.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_a_thread(|| {
            sys::enter_network(self.file.as_fd())?;
            work()
        })
    }

    /// A command that will run inside the namespace and die with this process.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        sys::run_in(&mut command, self.file.as_raw_fd());
        command
    }

    /// Runs `ip` with these arguments, separated by spaces.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn ip(&self, arguments: &str) -> io::Result<String> {
        let output = self
            .command("ip")
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .output()?;
        said(&format!("ip {arguments}"), &output)
    }

    /// Writes a switch under `/proc/sys/net` of the namespace.
    ///
    /// # Errors
    /// What the system says.
    pub fn switch(&self, path: &str, value: &str) -> io::Result<()> {
        self.run(|| std::fs::write(format!("/proc/sys/net/{path}"), value))
    }

    /// The descriptor to refer to the namespace by.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// The output of a program that succeeded.
fn said(what: &str, output: &Output) -> io::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{what}: {}", text.trim())))
}

/// Namespaces belong to threads; a thread that has entered one is not used for anything else.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
