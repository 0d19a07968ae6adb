//! Directors: ours, which is this program run again inside a host, and keepalived.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vrrp_net::{Driver, LinuxHost};

use crate::namespace::Namespace;
use crate::plan::Kind;
use crate::spec::DirectorSpec;
use crate::sys;

/// A director that runs inside a host; killed when dropped.
#[derive(Debug)]
pub struct Director {
    child: Child,
    kind: Kind,
    lines: Option<Receiver<Line>>,
    directory: Option<PathBuf>,
}

/// What our director prints, one JSON object to a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which virtual router; empty when the whole director is meant.
    pub router: String,
    /// The state that was entered, if that is what happened.
    pub state: Option<String>,
    /// What happened, for a person.
    pub text: String,
}

impl Director {
    /// Starts our director: `program` is the laboratory's own executable.
    ///
    /// # Errors
    /// What the system says.
    pub fn ours(namespace: &Namespace, program: &str, spec: &DirectorSpec) -> io::Result<Self> {
        let spec = serde_json::to_string(spec)?;
        let mut child = namespace
            .command(program)
            .arg(DIRECT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // Not as an argument: a thousand virtual routers are longer than one may be.
        if let Some(mut input) = child.stdin.take() {
            input.write_all(spec.as_bytes())?;
        }
        let (sender, lines) = channel();
        let output = child.stdout.take();
        std::thread::spawn(move || {
            let lines = output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            kind: Kind::Ours,
            lines: Some(lines),
            directory: None,
        })
    }

    /// Starts keepalived with the same virtual routers.
    ///
    /// # Errors
    /// What the system says, above all that there is no keepalived.
    pub fn keepalived(namespace: &Namespace, host: usize, spec: &DirectorSpec) -> io::Result<Self> {
        let text: String = spec
            .routers
            .iter()
            .map(|router| router.keepalived(host))
            .collect();
        Self::keepalived_with(namespace, &format!("{GLOBAL}{text}"))
    }

    /// Starts keepalived with this configuration.
    ///
    /// # Errors
    /// What the system says, above all that there is no keepalived.
    pub fn keepalived_with(namespace: &Namespace, configuration: &str) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("failover-lab-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let file = directory.join("keepalived.conf");
        fs::write(&file, configuration)?;
        let log = File::create(directory.join("log"))?;
        let child = namespace
            .command("keepalived")
            .args(["-n", "-l", "-D", "-P", "-f"])
            .arg(&file)
            .arg("-p")
            .arg(directory.join("pid"))
            .arg("-r")
            .arg(directory.join("vrrp-pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self {
            child,
            kind: Kind::Keepalived,
            lines: None,
            directory: Some(directory),
        })
    }

    /// Whether there is a keepalived to start.
    #[must_use]
    pub fn has_keepalived() -> bool {
        Command::new("keepalived")
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    }

    /// Whose program it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The process to look at.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.worker().unwrap_or_else(|| self.child.id())
    }

    /// All its processes.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        all.extend(self.worker());
        all
    }

    /// What keepalived has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.directory
            .as_ref()
            .and_then(|directory| fs::read_to_string(directory.join("log")).ok())
            .unwrap_or_default()
    }

    /// The next line of our director that comes within `patience` and satisfies `wanted`.
    #[must_use]
    pub fn wait_line(&self, patience: Duration, wanted: impl Fn(&Line) -> bool) -> Option<Line> {
        let deadline = Instant::now() + patience;
        let lines = self.lines.as_ref()?;
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            let line = lines.recv_timeout(left).ok()?;
            if wanted(&line) {
                return Some(line);
            }
        }
    }

    /// Kills it as a crash would: at once, with nothing said. keepalived's parent would start its child again, and the
    /// child stop in good order when the parent dies; so the parent is stopped first, and both die.
    ///
    /// # Errors
    /// What the system says when the process is gone already.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(worker) = self.worker() {
            sys::signal(self.child.id(), libc::SIGSTOP)?;
            sys::signal(worker, libc::SIGKILL)?;
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, which hands over.
    ///
    /// # Errors
    /// What the system says when the process is gone already.
    pub fn ask_to_stop(&mut self) -> io::Result<()> {
        sys::signal(self.child.id(), libc::SIGTERM)
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// When it does not stop within ten seconds.
    pub fn stop(&mut self) -> io::Result<()> {
        self.ask_to_stop()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the director does not stop"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Halts it, or lets it go on.
    ///
    /// # Errors
    /// What the system says when the process is gone already.
    pub fn pause(&self, pause: bool) -> io::Result<()> {
        let signal = if pause { libc::SIGSTOP } else { libc::SIGCONT };
        for process in self.processes() {
            sys::signal(process, signal)?;
        }
        Ok(())
    }

    /// keepalived's child, which does the work.
    fn worker(&self) -> Option<u32> {
        let file = self.directory.as_ref()?.join("vrrp-pid");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.kill();
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// Is a director: runs the virtual routers that standard input describes until it is told to stop.
///
/// # Errors
/// A text for the person who started it.
pub fn direct() -> Result<(), Box<dyn std::error::Error>> {
    let spec: DirectorSpec = serde_json::from_reader(io::stdin().lock())?;
    // Before any thread is started, so that all inherit it.
    let signals = sys::block_signals()?;
    if spec.realtime {
        // Before the host is opened, so that the thread which changes addresses has it too. Offered, not demanded: an
        // ordinary user's laboratory runs without.
        let _ = vrrp_net::lock_memory();
        let _ = vrrp_net::set_realtime_priority(50);
    }
    let mut driver = Driver::new(LinuxHost::open()?)?;
    let mut printers = Vec::new();
    for router in &spec.routers {
        let instance = router
            .instance()
            .ok_or("a number or an address is out of range")?;
        std::thread::sleep(spec.stagger);
        let handle = driver.add(instance)?;
        printers.push(handle.events());
        say(handle.name(), Some(&handle.status().state.to_string()), "added");
        if spec.routers.len() > MANY {
            // With a thread for each of a thousand virtual routers it would be these that are measured.
            printers.clear();
        }
    }
    for (events, router) in printers.into_iter().zip(&spec.routers) {
        let name = format!("{}-{}", router.interface, router.vrid);
        std::thread::spawn(move || {
            for notice in events {
                let state = match notice.event {
                    vrrp_net::DriverEvent::Election(vrrp_fsm::Event::StateChanged { to, .. }) => {
                        Some(to.to_string())
                    }
                    _ => None,
                };
                say(&name, state.as_deref(), &notice.event.to_string());
            }
        });
    }
    let thread = driver.spawn_thread()?;
    sys::wait_signal(&signals)?;
    thread.stop()?;
    Ok(())
}

fn say(router: &str, state: Option<&str>, text: &str) {
    let line = Line {
        router: router.into(),
        state: state.map(str::to_owned),
        text: text.into(),
    };
    if let Ok(line) = serde_json::to_string(&line) {
        println!("{line}");
    }
}

/// The first argument of a process that is a director.
pub const DIRECT: &str = "direct";
/// With more virtual routers than this, a director says nothing about each.
const MANY: usize = 16;
/// keepalived as an operator would run it here, who knows no other user for scripts. Real-time priority, which is not its
/// default, would not help it: with two hundred routers at 10 ms it was seen to leave no time for the rest of the machine, and
/// to be throttled for seconds.
const GLOBAL: &str = "global_defs {\n  script_user root\n}\n";
