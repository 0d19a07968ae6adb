//! The commands that talk to a running daemon.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ha_stack::{ControlClient, Error, Request, Response, Status};

use crate::server;

/// Sends one request and writes what changed.
pub(crate) fn ask(socket: &Path, request: &Request) -> ExitCode {
    let answer = match connect(socket) {
        Ok(mut client) => client.ask(request),
        Err(error) => return fail(&error),
    };
    match answer {
        Ok(Response::Changes(changes)) => {
            let changes = match changes.is_empty() {
                true => vec!["nothing changed".to_owned()],
                false => changes,
            };
            write_lines(&changes)
        }
        Ok(Response::Error(error)) => fail(&error),
        Ok(_) => fail("the daemon answered something else"),
        Err(error) => fail(&error.to_string()),
    }
}

/// Writes the status, and with `watch` every event after it.
pub(crate) fn status(socket: &Path, json: bool, watch: bool) -> ExitCode {
    let request = if watch { Request::Watch } else { Request::Status };
    let mut client = match connect(socket) {
        Ok(client) => client,
        Err(error) => return fail(&error),
    };
    let mut answer = client.ask(&request);
    loop {
        let written = match answer {
            Ok(Response::Status(status)) if json => serde_json::to_string(&status)
                .map_err(io::Error::from)
                .and_then(|text| line(&text)),
            Ok(Response::Status(status)) => line(table(&status).trim_end()),
            Ok(Response::Event(event)) if json => line(&event.to_string()),
            Ok(Response::Event(event)) => line(&sentence(&event)),
            Ok(Response::Error(error)) => return fail(&error),
            Ok(_) => return fail("the daemon answered something else"),
            Err(Error::Closed) => return fail("the daemon has ended"),
            Err(error) => return fail(&error.to_string()),
        };
        // Whoever read this has gone: `status --watch | head`.
        if written.is_err() || !watch {
            return ExitCode::SUCCESS;
        }
        answer = client.next();
    }
}

/// A connection to the daemon, or why there is none in words that say what to do.
pub(crate) fn connect(socket: &Path) -> Result<ControlClient, String> {
    ControlClient::connect(socket).map_err(|error| match &error {
        Error::File { path, source } => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
                "no daemon answers on {}: it does not run, or was started with another --control",
                path.display()
            ),
            io::ErrorKind::PermissionDenied => format!(
                "{}: only root and the user that the daemon runs as may ask it",
                path.display()
            ),
            _ => error.to_string(),
        },
        _ => error.to_string(),
    })
}

fn sentence(event: &serde_json::Value) -> String {
    let text = |name| event.get(name).and_then(serde_json::Value::as_str).unwrap_or("");
    let reason = match text("reason") {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    let merged = match event.get("merged").and_then(serde_json::Value::as_u64) {
        Some(merged) if merged > 0 => format!(", after {merged} more"),
        _ => String::new(),
    };
    format!(
        "{} {} {}: {}{reason}{merged}",
        text("time"),
        text("object"),
        text("name"),
        text("event")
    )
}

fn table(status: &Status) -> String {
    let mut text = String::new();
    for router in &status.virtual_routers {
        text.push_str(&format!(
            "{} (VRID {} on {}, VRRPv{}): {} since {}{}: {}\n  priority {}, effective {}; active router {}\n  addresses {}\n",
            router.name,
            router.vrid,
            router.interface,
            router.version,
            router.state,
            router.since,
            age(&router.since),
            router.reason,
            router.priority,
            router.effective_priority,
            router.active_router.as_deref().unwrap_or("unknown"),
            router.addresses.join(" "),
        ));
        for problem in &router.problems {
            text.push_str(&format!("  problem: {}\n", problem.text));
        }
    }
    for group in &status.sync_groups {
        text.push_str(&format!(
            "group {} ({}): {}\n",
            group.name,
            group.members.join(" "),
            group.state
        ));
    }
    for server in &status.virtual_servers {
        text.push_str(&server::table(server));
    }
    for tracked in &status.tracked {
        text.push_str(&format!("{} {}: {}\n", tracked.kind, tracked.name, tracked.state));
    }
    text
}

/// How long ago that was, where the clock on the wall has not been set back since.
fn age(since: &str) -> String {
    let time = humantime::parse_rfc3339(since).ok();
    match time.and_then(|time| SystemTime::now().duration_since(time).ok()) {
        // To the second: nobody waits for the rest.
        Some(age) => format!(
            " ({} ago)",
            humantime::format_duration(Duration::from_secs(age.as_secs()))
        ),
        None => String::new(),
    }
}

pub(crate) fn write_lines(lines: &[String]) -> ExitCode {
    for text in lines {
        if line(text).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

pub(crate) fn fail(error: &str) -> ExitCode {
    // Nobody may be there to read it; the exit status says the same.
    let _ = writeln!(io::stderr().lock(), "ha-daemon: {error}");
    ExitCode::FAILURE
}
