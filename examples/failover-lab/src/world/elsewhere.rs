//! On a system that is not Linux: nowhere. The story is told in memory.

use std::io;
use std::process::ExitCode;

use super::{Entered, World};
use crate::plan::{Kind, Plan};
use crate::story::Record;

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
