//! By what keepalived is known from outside: the file of its process number, its name, and what it writes when it gets a
//! signal.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;

use clap::ValueEnum;
use ha_stack::{Plan, Status};
use keepalived_conf::Configuration;
use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1, SIGUSR2};

use crate::SMALL_STACK;

/// What keepalived can be asked for by a signal, in its own words.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Wish {
    Stop,
    Reload,
    Data,
    Stats,
    StatsClear,
    Json,
}

impl Wish {
    /// The number that keepalived has for it where the C library is GNU's, whatever ours is.
    fn number(self) -> i32 {
        match self {
            Self::Stop => SIGTERM,
            Self::Reload => SIGHUP,
            Self::Data => SIGUSR1,
            Self::Stats => SIGUSR2,
            Self::StatsClear => STATS_CLEAR,
            Self::Json => JSON,
        }
    }
}

/// Writes the number of a signal to standard output.
pub(crate) fn signum(wish: Wish) -> ExitCode {
    println!("{}", wish.number());
    ExitCode::SUCCESS
}

/// The signals that ask for a file.
pub(crate) const DUMPS: [i32; 4] = [SIGUSR1, SIGUSR2, STATS_CLEAR, JSON];

const JSON: i32 = 36;
const STATS_CLEAR: i32 = 63;

/// What the configuration says about this.
pub(crate) struct Outside {
    pid_file: Option<PathBuf>,
    process_name: Option<String>,
    dumps: Dumps,
    /// The counters as they were when they were last cleared.
    cleared: Status,
    writer: Option<JoinHandle<()>>,
}

/// The files that signals ask for.
struct Dumps {
    data: PathBuf,
    stats: PathBuf,
    json: PathBuf,
    json_version: u8,
}

impl Dumps {
    fn new(configuration: &Configuration) -> Self {
        let global = configuration.global_defs.as_ref();
        let by_instance = global.and_then(|global| global.data_use_instance) == Some(true);
        let file = |own: Option<&String>, ending: &str| {
            let usual = || std::env::temp_dir().join(keepalived(configuration, by_instance) + ending);
            own.map_or_else(usual, PathBuf::from)
        };
        Self {
            data: file(global.and_then(|global| global.state_dump_file.as_ref()), ".data"),
            stats: file(
                global.and_then(|global| global.stats_dump_file.as_ref()),
                ".stats",
            ),
            json: file(global.and_then(|global| global.json_dump_file.as_ref()), ".json"),
            json_version: global.and_then(|global| global.json_version).unwrap_or(1),
        }
    }
}

/// `keepalived`, with the instance behind it.
fn keepalived(configuration: &Configuration, with_instance: bool) -> String {
    match configuration.instance.as_ref().filter(|_| with_instance) {
        Some(instance) => format!("keepalived_{instance}"),
        None => "keepalived".to_owned(),
    }
}

impl Outside {
    pub(crate) fn new(configuration: &Configuration, pid_file: Option<&Path>) -> Self {
        let global = configuration.global_defs.as_ref();
        let name = global.and_then(|global| global.process_name.clone());
        let is_named = global.is_some_and(|global| global.process_names);
        let in_directory = || {
            let name = keepalived(configuration, true) + ".pid";
            configuration
                .use_pid_dir
                .then(|| Path::new(PID_DIRECTORY).join(name))
        };
        Self {
            pid_file: pid_file.map(Path::to_owned).or_else(in_directory),
            process_name: name.or_else(|| is_named.then(|| keepalived(configuration, true))),
            dumps: Dumps::new(configuration),
            cleared: Status::default(),
            writer: None,
        }
    }

    /// Shows that this process runs, and how it is called.
    pub(crate) fn appear(&self) {
        if let Some(name) = &self.process_name {
            // The kernel cuts it to 15 bytes.
            if let Err(error) = fs::write("/proc/self/comm", name) {
                tracing::warn!(%error, "the process keeps its name");
            }
        }
        if let Some(path) = &self.pid_file {
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            let written = made.and_then(|()| replace(path, format!("{}\n", std::process::id()).as_bytes()));
            if let Err(error) = written {
                tracing::warn!(%error, path = %path.display(), "the process number is not written down");
            }
        }
    }

    /// Another configuration, from which the files to be written are taken.
    pub(crate) fn reload(&mut self, configuration: &Configuration) {
        self.dumps = Dumps::new(configuration);
    }

    /// Writes what a signal asks for, on a thread of its own: a disk may be stuck.
    pub(crate) fn dump(&mut self, signal: i32, status: Status, plan: &Plan) {
        if self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            tracing::warn!("the last file that was asked for is not written yet");
            return;
        }
        let shown = since(status.clone(), &self.cleared);
        let (path, content) = match signal {
            SIGUSR1 => (&self.dumps.data, ha_stack::keepalived_data(&shown, plan)),
            JSON => {
                let value = ha_stack::keepalived_json(&shown, plan, self.dumps.json_version);
                (&self.dumps.json, value.to_string())
            }
            _ => (&self.dumps.stats, ha_stack::keepalived_stats(&shown)),
        };
        if signal == STATS_CLEAR {
            self.cleared = status;
        }
        let path = path.clone();
        let write = move || {
            if let Err(error) = replace(&path, content.as_bytes()) {
                tracing::warn!(%error, path = %path.display(), "the state is not written");
            }
        };
        let thread = std::thread::Builder::new().stack_size(SMALL_STACK);
        self.writer = thread.name("dump".to_owned()).spawn(write).ok();
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(path) = &self.pid_file {
            // It may never have been written.
            let _ = fs::remove_file(path);
        }
    }
}

/// The counters less those of `before`.
fn since(mut status: Status, before: &Status) -> Status {
    for router in &mut status.virtual_routers {
        let known = before
            .virtual_routers
            .iter()
            .find(|known| known.name == router.name);
        for (name, count) in &mut router.statistics {
            let old = known.and_then(|known| known.statistics.get(name));
            *count = count.saturating_sub(old.copied().unwrap_or(0));
        }
    }
    status
}

/// Puts a new file in place of whatever is there. In a directory that everybody may write to, nothing that somebody has laid
/// there is followed or written into.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
    file.write_all(content)?;
    fs::rename(&fresh, path)
}

const PID_DIRECTORY: &str = "/run/keepalived";
