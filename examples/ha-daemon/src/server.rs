//! `ha-daemon server`: what real servers do, and changing it.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use ha_stack::{RealServerStatus, Request, Response, ServerAction, TrafficStatus, VirtualServerStatus};

use crate::ControlOption;
use crate::client::{ask, connect, fail, line, write_lines};

/// What is done with servers.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Show virtual servers with their real servers, checks and counters
    List {
        /// Only this one, by its name in the status, such as 10.1.10.7:80
        virtual_server: Option<String>,
        #[command(flatten)]
        control: ControlOption,
    },
    /// Add a real server, with the settings and the checks of the first one; it serves once they pass
    Add(Servers),
    /// Take a real server out, its checks too
    Remove(Servers),
    /// Set a weight
    Weight {
        /// 0 to 2147483647
        #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(i32::MAX)))]
        weight: u32,
        #[command(flatten)]
        servers: Servers,
    },
    /// No new connections; those that are there stay
    Drain {
        /// Take it out after so many seconds, or once it has no connection; cut off those it has then, and say how many
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=604_800))]
        deadline: Option<u32>,
        #[command(flatten)]
        servers: Servers,
    },
    /// Undo drain, disable and weight
    Enable(Servers),
    /// Take a real server out as if it had failed
    Disable(Servers),
}

/// Which real server of which virtual server.
#[derive(clap::Args)]
pub(crate) struct Servers {
    /// The virtual server, by its name in the status, such as 10.1.10.7:80
    virtual_server: String,
    /// The real server: its address, and its port where that is not clear
    real_server: String,
    #[command(flatten)]
    control: ControlOption,
}

pub(crate) fn run(action: Action) -> ExitCode {
    let (servers, action) = match action {
        Action::List {
            virtual_server,
            control,
        } => return list(&control, virtual_server.as_deref()),
        Action::Add(servers) => (servers, ServerAction::Add),
        Action::Remove(servers) => (servers, ServerAction::Remove),
        Action::Weight { weight, servers } => (servers, ServerAction::Weight { weight }),
        Action::Drain { deadline, servers } => (servers, ServerAction::Drain { deadline }),
        Action::Enable(servers) => (servers, ServerAction::Enable),
        Action::Disable(servers) => (servers, ServerAction::Disable),
    };
    let request = Request::Server {
        virtual_server: servers.virtual_server.clone(),
        real_server: servers.real_server.clone(),
        action,
    };
    let done = ask(&servers.control.control, &request);
    match action {
        ServerAction::Drain { deadline: Some(_) } if done == ExitCode::SUCCESS => drained(&servers),
        _ => done,
    }
}

/// Waits for the end of a drain, and says what came of it. It ends without us, too.
fn drained(servers: &Servers) -> ExitCode {
    let mut client = match connect(&servers.control.control) {
        Ok(client) => client,
        Err(error) => return fail(&error),
    };
    loop {
        let status = match client.ask(&Request::Status) {
            Ok(Response::Status(status)) => status,
            Ok(Response::Error(error)) => return fail(&error),
            Ok(_) => return fail("the daemon answered something else"),
            Err(error) => return fail(&error.to_string()),
        };
        let server = status.virtual_servers.iter();
        let mut reals = server
            .filter(|server| server.name == servers.virtual_server)
            .flat_map(|server| &server.real_servers);
        let real = reals.find(|real| is_meant(&real.address, &servers.real_server));
        let order = real.and_then(|real| real.order.as_deref()).unwrap_or_default();
        if order.starts_with("drained ") {
            return write_lines(&[format!(
                "{}: {} {order}",
                servers.virtual_server, servers.real_server
            )]);
        }
        if !order.starts_with("drain, ") {
            return fail("it drains no more: somebody gave another order, or it was taken out");
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether an operator who wrote this, with or without a port, means the real server at this address.
fn is_meant(address: &str, wanted: &str) -> bool {
    let address: Result<SocketAddr, _> = address.parse();
    address.is_ok_and(|address| wanted.parse() == Ok(address) || wanted.parse() == Ok(address.ip()))
}

/// How often it is looked whether a drain is over.
const LOOK: Duration = Duration::from_millis(500);

fn list(control: &ControlOption, wanted: Option<&str>) -> ExitCode {
    let mut client = match connect(&control.control) {
        Ok(client) => client,
        Err(error) => return fail(&error),
    };
    let status = match client.ask(&Request::Status) {
        Ok(Response::Status(status)) => status,
        Ok(Response::Error(error)) => return fail(&error),
        Ok(_) => return fail("the daemon answered something else"),
        Err(error) => return fail(&error.to_string()),
    };
    let servers = status.virtual_servers.iter();
    let mut shown = servers
        .filter(|server| wanted.is_none_or(|name| name == server.name))
        .peekable();
    if let (Some(name), None) = (wanted, shown.peek()) {
        return fail(&format!("there is no virtual server {name}"));
    }
    for server in shown {
        // Whoever read this has gone: `server list | head`.
        if line(table(server).trim_end()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// One virtual server as a person reads it.
pub(crate) fn table(server: &VirtualServerStatus) -> String {
    let mut text = format!(
        "{} ({} {} {}): {}{}\n",
        server.name,
        server.protocol,
        server.scheduler,
        server.forwarding,
        match server.quorum_met {
            true => "up",
            false => "down, the quorum is lost",
        },
        match (&server.sorry_server, server.sorry_server_active) {
            (Some(sorry), true) => format!(", {sorry} answers instead"),
            _ => String::new(),
        },
    );
    if let Some(traffic) = &server.traffic {
        text.push_str(&format!("  {}\n", carried(traffic)));
    }
    for real in &server.real_servers {
        text.push_str(&real_server(real));
    }
    text
}

fn real_server(real: &RealServerStatus) -> String {
    let mut text = format!(
        "  {} {} weight {}",
        real.address, real.state, real.effective_weight
    );
    if real.effective_weight != real.weight {
        text.push_str(&format!(" (of {})", real.weight));
    }
    if let Some(order) = &real.order {
        text.push_str(&format!(", ordered: {order}"));
    }
    if let (Some(active), Some(inactive)) = (real.active_connections, real.inactive_connections) {
        text.push_str(&format!(", {active} active and {inactive} inactive connections"));
    }
    if let Some(traffic) = &real.traffic {
        text.push_str(&format!("; {}", carried(traffic)));
    }
    text.push('\n');
    for check in &real.checks {
        text.push_str(&format!("    {} {}", check.kind, check.state));
        if let Some(latency) = check.last_latency_us {
            text.push_str(&format!(", {latency} us"));
        }
        // What is up again has its last failure too, which would only confuse.
        if let (Some(error), true) = (&check.last_error, check.state != "up") {
            text.push_str(&format!(": {error}"));
        }
        text.push('\n');
    }
    text
}

fn carried(traffic: &TrafficStatus) -> String {
    let packets = match (traffic.packets_in, traffic.packets_out) {
        (None, None) => String::new(),
        (there, back) => {
            let [there, back] = [there, back].map(Option::unwrap_or_default);
            format!("{there} packets in, {back} out, ")
        }
    };
    format!(
        "{} connections, {packets}{} bytes in, {} out, {} connections/s",
        traffic.connections, traffic.bytes_in, traffic.bytes_out, traffic.connections_per_second,
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_may_be_written_in_any_way() {
        for wanted in ["[2001:db8::1]:80", "[2001:DB8:0::1]:80", "2001:DB8::1"] {
            assert!(super::is_meant("[2001:db8::1]:80", wanted), "{wanted}");
        }
        for wanted in ["[2001:db8::1]:81", "2001:db8::2", "x"] {
            assert!(!super::is_meant("[2001:db8::1]:80", wanted), "{wanted}");
        }
    }
}
