#![doc = include_str!("../README.md")]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc
)]

mod address;
mod driver;
mod election;
mod error;
mod handle;
mod host;
mod instance;
mod link;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod route;
mod seat;
mod tracker;

pub use address::{Broadcast, Scope, VirtualAddress};
pub use driver::{Driver, DriverThread};
pub use election::{Recorder, Told};
pub use error::Error;
pub use handle::{Control, DriverEvent, Events, Notice, RouterHandle, StateChange, States, Status};
pub use host::{
    Announcement, Change, Host, HostEvent, Listen, Received, Switch, Transmission, Transmissions, Waker, Work,
};
pub use instance::{Instance, Lease, Pace, VirtualMac};
pub use link::{Link, LinkAddress};
#[cfg(target_os = "linux")]
pub use linux::{LinuxHost, lock_memory, set_realtime_priority};
pub use memory::{HostId, MemoryHost, Segment, SegmentEvent};
pub use route::{
    GoneRoute, GoneRule, NextHop, RouteKind, RouteMetric, RouterPreference, RuleAction, VirtualRoute,
    VirtualRule,
};
