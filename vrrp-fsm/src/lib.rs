#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    clippy::wildcard_enum_match_arm,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod active;
mod alarm;
mod announcements;
mod backup;
mod builder;
mod configure;
mod deadlines;
mod discard;
mod error;
mod event;
mod faults;
mod identifiers;
mod index;
mod input;
#[cfg(feature = "sim")]
mod normal;
mod output;
mod outputs;
mod parameters;
mod phase;
mod receive;
mod router;
#[cfg(feature = "auth-hmac")]
mod signing;
#[cfg(feature = "sim")]
pub mod sim;
mod state;
mod statistics;
mod sync_group;
mod time;
mod timers;
mod track;
mod virtual_router;
mod watch;

pub use alarm::Alarm;
pub use announcements::Announcements;
pub use builder::ParametersBuilder;
pub use discard::{Discard, DiscardReason};
pub use error::Error;
pub use event::{Event, Reason};
pub use identifiers::{GroupId, InterfaceId, RouterId};
pub use input::{AddressMatch, Heard, Input};
pub use output::Output;
pub use parameters::{AddressListCheck, Delivery, Dialect, Parameters, Peer, Preempt};
pub use receive::Datagram;
pub use router::VrrpRouter;
#[cfg(feature = "auth-hmac")]
pub use signing::{Signing, SigningMode};
pub use state::{Fault, State};
pub use statistics::{NewMasterReason, RouterStatistics, Statistics};
pub use sync_group::sync_group_tracks;
pub use time::Instant;
pub use track::{Track, TrackId, TrackStatus};
pub use virtual_router::{LastHeard, VirtualRouter};
