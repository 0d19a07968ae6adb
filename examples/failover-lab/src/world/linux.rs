//! On Linux: as root right here, as anybody else in namespaces of their own.

use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use super::{Entered, World};
use crate::director::{DIRECT, Director, direct};
use crate::lab;
use crate::measure::Programs;
use crate::namespace::Namespace;
use crate::plan::{Kind, Plan};
use crate::story::Record;
use crate::sys;

/// Finds out, and as an ordinary user moves into namespaces of one's own: this program is run again inside.
///
/// Must be called while the process has one thread.
#[must_use]
pub fn enter() -> Entered {
    if std::env::var_os(INSIDE).is_some() {
        if let Err(error) = sys::private_mounts() {
            return Entered::Here(World::Forbidden(format!("cannot mount: {error}")));
        }
        return Entered::Here(check());
    }
    if sys::is_root() {
        return Entered::Here(check());
    }
    if let Err(error) = sys::enter_own_world() {
        return Entered::Here(World::Forbidden(error.to_string()));
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Entered::Here(World::Forbidden(error.to_string())),
    };
    // Children of this process are the first of a process namespace: when that one ends, so do all others in it.
    let status = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Entered::Done(ExitCode::from(code.unwrap_or(1)))
        }
        Err(error) => Entered::Here(World::Forbidden(error.to_string())),
    }
}

/// Is something else than the laboratory, if the first argument says so: a director, or somebody who measures.
#[must_use]
pub fn errand() -> Option<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some(DIRECT) => Some(match direct() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        }),
        Some(MEASURE) => Some(measure()),
        _ => None,
    }
}

/// Whether there is a keepalived to run.
#[must_use]
pub fn has_keepalived() -> bool {
    Director::has_keepalived()
}

/// Runs a round in namespaces.
///
/// # Errors
/// As [`lab::run`].
pub fn round(plan: &Plan, kinds: [Kind; 2], progress: &dyn Fn(&str)) -> io::Result<Record> {
    lab::run(plan, kinds, progress)
}

/// Measures one thing of one program, for `cargo xtask compare`: `failover-lab measure WHAT ours|keepalived`.
fn measure() -> ExitCode {
    match enter() {
        Entered::Done(code) => return code,
        Entered::Here(World::Forbidden(why)) => return fail(&why),
        Entered::Here(World::Free) => {}
    }
    let mut words = std::env::args().skip(2);
    let (what, kind) = (words.next(), words.next());
    let kind = match kind.as_deref() {
        Some("ours") => Kind::Ours,
        Some("keepalived") => Kind::Keepalived,
        _ => return fail("measure WHAT ours|keepalived"),
    };
    let programs = match std::env::current_exe() {
        Ok(path) => Programs {
            ours: path.to_string_lossy().into_owned(),
        },
        Err(error) => return fail(&error.to_string()),
    };
    let figures = match what.as_deref() {
        Some("garbage") => programs.garbage(kind),
        Some("cost") => programs.cost(kind, 200, Duration::from_secs(10)),
        Some("memory") => programs.memory(kind, 1000),
        Some("restart") => programs.restart(kind),
        Some("lease") => programs.lease(1000, Duration::from_secs(10)),
        _ => return fail("measure garbage|cost|memory|restart|lease"),
    };
    match figures.and_then(|figures| Ok(serde_json::to_string(&figures)?)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("failover-lab: {text}");
    ExitCode::FAILURE
}

/// Tries what the laboratory will need.
fn check() -> World {
    match Namespace::new() {
        Ok(_) => World::Free,
        Err(error) => World::Forbidden(error.to_string()),
    }
}

/// Set in the environment of the process inside.
const INSIDE: &str = "FAILOVER_LAB_INSIDE";
/// The first argument of a process that measures.
const MEASURE: &str = "measure";
