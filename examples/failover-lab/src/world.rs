//! Where the laboratory may build.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{enter, errand, has_keepalived, round};
#[cfg(target_os = "linux")]
pub use linux::{enter, errand, has_keepalived, round};

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
