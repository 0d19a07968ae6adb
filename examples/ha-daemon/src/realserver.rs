//! `ha-daemon realserver`: the real server's half of direct routing and tunnels.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use ha_stack::{Delivery, RealServerHost};

use crate::client;

/// Which address, and how its packets come.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The virtual address
    #[arg(long)]
    address: IpAddr,
    /// How the director sends its packets here
    #[arg(long, value_enum)]
    method: Method,
    /// Give the address back, and with the last one the switches
    #[arg(long)]
    undo: bool,
    /// Where it is kept what was there before
    #[arg(long, default_value = RECORD, value_name = "FILE")]
    record: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    /// Direct routing: the address on lo
    Dr,
    /// Tunnel: the address on tunl0 or ip6tnl0
    Tun,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let host = RealServerHost::new(&options.record);
    let delivery = match options.method {
        Method::Dr => Delivery::DirectRoute,
        Method::Tun => Delivery::Tunnel,
    };
    let done = match options.undo {
        false => host.prepare(options.address, delivery),
        true => host.undo(options.address, delivery),
    };
    match done {
        Ok(lines) if lines.is_empty() => client::write_lines(&["nothing had to be changed".to_owned()]),
        Ok(lines) => client::write_lines(&lines),
        Err(error) => client::fail(&error.to_string()),
    }
}

const RECORD: &str = "/run/ha-daemon.realserver";
