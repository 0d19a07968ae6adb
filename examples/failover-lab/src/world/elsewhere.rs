//! Where the laboratory may build: nowhere, on a system that is not Linux. It tells its story in memory.

use std::io;
use std::process::ExitCode;

use crate::plan::{Kind, Plan};
use crate::story::Record;

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

/// Finds out.
#[must_use]
pub fn enter() -> Entered {
    Entered::Here(World::Forbidden("this is not Linux".into()))
}

/// No process of the laboratory is anything else than the laboratory.
#[must_use]
pub fn errand() -> Option<ExitCode> {
    None
}

/// There is no keepalived.
#[must_use]
pub fn has_keepalived() -> bool {
    false
}

/// Runs no round.
///
/// # Errors
/// Always.
pub fn round(_: &Plan, _: [Kind; 2], _: &dyn Fn(&str)) -> io::Result<Record> {
    Err(io::ErrorKind::Unsupported.into())
}
