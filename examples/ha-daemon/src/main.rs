//! `ha-daemon`: the command line. Everything it does, it does through the public API of the library crates.

mod check;
mod client;
mod config;
mod doctor;
mod log;
mod manual;
mod outside;
mod plane;
mod realserver;
mod replay;
mod run;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

/// Failover of virtual addresses and load balancing, from a keepalived.conf
#[derive(Parser)]
#[command(
    name = "ha-daemon",
    version,
    about,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print the number of the signal that asks a daemon for this, as keepalived does
    #[arg(long, value_name = "WHAT")]
    signum: Option<outside::Wish>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a configuration
    Run(RunOptions),
    /// Check a configuration: exit status 0 or 1
    Check(CheckOptions),
    /// Show what is going on
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Then follow the events
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        control: ControlOption,
    },
    /// Read the configuration again and apply what differs
    Reload(ControlOption),
    /// Give up mastership, clean up and end
    Stop(ControlOption),
    /// Let the peer take over a virtual router or a sync group
    Failover {
        /// Its name
        name: String,
        #[command(flatten)]
        control: ControlOption,
    },
    /// Set the priority of a virtual router until it is restarted or a reload changes it
    Priority {
        /// Its name
        name: String,
        /// 1 to 254
        #[arg(value_parser = clap::value_parser!(u8).range(1..=254))]
        priority: u8,
        #[command(flatten)]
        control: ControlOption,
    },
    /// Explain from a journal what happened and why. Lines with `*` are changes of state
    Replay {
        /// What `run --journal` wrote
        #[arg(default_value = JOURNAL)]
        journal: PathBuf,
        /// Only the last time that somebody else became active: from a minute before that on
        #[arg(long)]
        last: bool,
        /// Only this virtual router, and what concerns all of them
        #[arg(long)]
        name: Option<String>,
    },
    /// Show and change what real servers do, until the daemon is restarted
    Server {
        #[command(subcommand)]
        action: server::Action,
    },
    /// Prepare this host to be a real server behind a virtual address by direct routing or tunnel: the address, and no
    /// answer to ARP for it
    Realserver(realserver::Options),
    /// Find what on this host will bite: sysctls, privileges, duplicates
    Doctor {
        /// The configuration that is to run here
        #[arg(long, short = 'f', value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Write the completions of a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output: `ha-daemon manual | man -l -`
    Manual,
}

#[derive(Args)]
pub(crate) struct ControlOption {
    /// The control socket of the daemon
    #[arg(long, default_value = CONTROL_SOCKET, value_name = "SOCKET")]
    pub(crate) control: PathBuf,
}

/// How a configuration is to be read: the same for those that look at it and the one that runs it.
#[derive(Args)]
pub(crate) struct Reading {
    /// Run check scripts that are shell syntax, not a program, with this shell. keepalived drops them
    #[arg(long, value_name = "SHELL")]
    pub(crate) script_shell: Option<PathBuf>,
    /// With what `@id` lines are compared, instead of the host's name up to its first dot
    #[arg(long, short = 'i', value_name = "ID")]
    pub(crate) config_id: Option<String>,
    /// What carries the traffic of virtual servers
    #[arg(long, value_enum, default_value_t)]
    pub(crate) data_plane: plane::Choice,
}

#[derive(Args)]
pub(crate) struct RunOptions {
    /// The configuration, in keepalived's language
    #[arg(long, short = 'f', value_name = "FILE", default_value = CONFIGURATION)]
    pub(crate) config: PathBuf,
    /// Where to listen for the control commands
    #[arg(long, default_value = CONTROL_SOCKET, value_name = "SOCKET")]
    pub(crate) control: PathBuf,
    /// Where to serve the status page, /status, /history and /metrics over HTTP, read-only; meant for a loopback address
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub(crate) http: Option<SocketAddr>,
    /// How the log on standard error is written; `RUST_LOG` chooses how much of it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: log::Format,
    /// Write what the election is told to this file, for `replay`
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Write the process number to this file
    #[arg(long, short = 'p', value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// The program has put itself in its own place: what is done once, at the start, is done
    #[arg(long = run::BEGUN_ANEW, hide = true)]
    pub(crate) begun_anew: bool,
}

#[derive(Args)]
pub(crate) struct CheckOptions {
    /// The configuration, in keepalived's language
    #[arg(long, short = 'f', value_name = "FILE", default_value = CONFIGURATION)]
    pub(crate) config: PathBuf,
    /// Fail on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// How diagnostics are written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: check::Format,
    /// Write the configuration as it was understood to standard output
    #[arg(long, value_enum)]
    pub(crate) dump: Option<check::Dump>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(command) = arguments.command else {
        // Without either, the help was shown.
        return arguments.signum.map_or(ExitCode::SUCCESS, outside::signum);
    };
    match command {
        Command::Run(options) => run::run(&options),
        Command::Check(options) => check::check(&options),
        Command::Status { json, watch, control } => client::status(&control.control, json, watch),
        Command::Reload(control) => client::ask(&control.control, &ha_stack::Request::Reload),
        Command::Stop(control) => client::ask(&control.control, &ha_stack::Request::Stop),
        Command::Failover { name, control } => {
            client::ask(&control.control, &ha_stack::Request::Failover { name })
        }
        Command::Priority {
            name,
            priority,
            control,
        } => client::ask(&control.control, &ha_stack::Request::Priority { name, priority }),
        Command::Replay { journal, last, name } => replay::replay(&journal, last, name),
        Command::Server { action } => server::run(action),
        Command::Realserver(options) => realserver::run(&options),
        Command::Doctor { config, reading } => doctor::doctor(config.as_deref(), &reading),
        Command::Completions { shell } => manual::completions(Arguments::command(), shell),
        Command::Manual => manual::manual(Arguments::command()),
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let example = "an address and a port are wanted, such as 127.0.0.1:9112 or [::1]:9112";
    text.parse().map_err(|_| example.to_owned())
}

/// The exit status of a configuration that does not pass.
const BAD_CONFIGURATION: u8 = 1;

/// The exit status of a start that failed.
const START_FAILED: u8 = 3;

/// What keepalived reads, too.
const CONFIGURATION: &str = "/etc/keepalived/keepalived.conf";

/// Where the unit has it written.
const JOURNAL: &str = "/var/log/ha-daemon/journal";

const CONTROL_SOCKET: &str = "/run/ha-daemon.sock";

/// For threads that do little, since the whole process is locked into memory.
pub(crate) const SMALL_STACK: usize = 256 * 1024;
