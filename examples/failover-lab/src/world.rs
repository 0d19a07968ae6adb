//! Where the laboratory may build: as root right here, as anybody else in namespaces of their own.

use std::process::{Command, ExitCode, Stdio};

use crate::namespace::Namespace;
use crate::sys;

/// Whether there are namespaces to build in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum World {
    /// Yes.
    Free,
    /// No, and why not.
    Forbidden(String),
}

/// What became of [`enter`].
#[derive(Debug)]
pub enum Entered {
    /// Go on in this process.
    Here(World),
    /// Another process of ours has done everything, and this is how it ended.
    Done(ExitCode),
}

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

/// Tries what the laboratory will need.
fn check() -> World {
    match Namespace::new() {
        Ok(_) => World::Free,
        Err(error) => World::Forbidden(error.to_string()),
    }
}

/// Set in the environment of the process inside.
const INSIDE: &str = "FAILOVER_LAB_INSIDE";
