#![doc = include_str!("../README.md")]
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

#[cfg(feature = "tokio")]
mod async_client;
mod batch;
mod client;
mod config;
mod daemon;
mod destination;
mod error;
mod family_lookup;
mod message;
mod name;
mod proc;
mod reconcile;
mod rules;
mod service;
mod session;
#[cfg(feature = "sim")]
mod sim;
mod stats;
mod sysctl;
mod table;

#[cfg(feature = "tokio")]
pub use async_client::AsyncClient;
pub use batch::{Batch, BatchReport};
pub use client::Client;
pub use config::{Info, Timeout, Timeouts, Version};
pub use daemon::{Daemon, DaemonOptions, DaemonRole, MulticastGroup};
pub use destination::{Checksum, Destination, Forward, Thresholds, Tunnel, Weight};
pub use error::{DecodeError, Error, Reason, Refusal};
pub use message::{Command, DaemonEntry, DestinationEntry, Reply, Request, ServiceEntry, UnknownAttribute};
pub use name::{EngineName, InterfaceName, InvalidName, Name, SchedulerName};
pub use proc::{
    Connection, Connections, Engine, ProcDestination, ProcFormat, ProcKey, ProcService, ProcTable,
    ProcessorStatistics, parse_table, read_statistics, read_statistics_per_processor, read_table,
};
pub use reconcile::{Changes, Owned, ReconcileOptions, Removal, plan};
pub use rules::{ParseError, ParseErrorKind, parse_rules, write_request, write_rules};
pub use service::{
    Endpoint, Family, Granularity, HashFlags, Persistence, PersistenceTimeout, PrefixLength, Protocol,
    Scheduler, SchedulerFlags, Service, ServiceKey,
};
pub use session::Transport;
#[cfg(feature = "sim")]
pub use sim::{Fault, SimulatedKernel};
pub use stats::{Rates, Stats};
pub use sysctl::{CpuList, Defence, SYSCTL_NAMES, SyncThreshold, Sysctl, SysctlValue};
pub use table::{Snapshot, SnapshotService, Table, TableService};
