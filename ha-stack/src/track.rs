//! What decides about priorities and faults besides the network: scripts, files and processes.

mod counter;
mod file;
mod interface;
mod process;
mod schedule;
mod script;
mod worker;

pub use counter::{ScriptCounter, Verdict};
pub use file::{FileTracker, InitialValue, TrackedFile};
pub use interface::InterfaceTracker;
pub use process::{ArgumentMatch, ProcessPattern, ProcessTracker, TrackedProcess};
pub use schedule::{ScriptAction, ScriptSchedule};
pub use script::{ScriptCheck, ScriptTracker};
pub(crate) use worker::Watch;
