#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_arithmetic,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod account;
mod backend;
mod backends;
mod bitset;
#[cfg(feature = "std")]
mod connection;
mod dh;
mod engine;
mod environment;
mod error;
mod flow;
mod fo;
#[cfg(feature = "std")]
mod gauge;
mod hash;
mod kind;
#[cfg(feature = "std")]
mod lanes;
mod lblc;
mod lblcr;
mod lc;
mod locality;
mod members;
mod mh;
mod nq;
mod options;
mod ovf;
mod persistence;
mod pool;
mod pool_core;
mod ranked;
#[cfg(feature = "reference")]
pub mod reference;
#[cfg(feature = "std")]
mod relaxed;
mod rr;
mod scheduler;
mod sed;
mod sh;
#[cfg(feature = "std")]
mod shared;
#[cfg(feature = "std")]
mod snapshot;
#[cfg(feature = "std")]
mod sync;
mod table;
#[cfg(feature = "std")]
mod tickets;
mod tree;
mod twos;
mod wlc;
mod wrr;

pub use backend::{BackendId, BackendRef, MAX_WEIGHT, Spec};
pub use backends::{Backends, Moves};
#[cfg(feature = "std")]
pub use connection::{Backend, Choices, Connection, Status};
#[cfg(feature = "std")]
pub use environment::System;
pub use environment::{Environment, Instant, Simulated};
pub use error::Error;
pub use flow::Flow;
pub use kind::SchedulerKind;
pub use options::{MhSize, Options, Order, Persistence, Rules, TableBits, TableBitsError};
pub use pool::{Fallbacks, Pool, Ticket};
#[cfg(feature = "std")]
pub use relaxed::{RelaxedChoices, RelaxedConnection, RelaxedPool, RelaxedStatus};
pub use scheduler::{Event, Scheduler};
#[cfg(feature = "std")]
pub use shared::{Edits, SharedPool};
