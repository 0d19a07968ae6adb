#![cfg_attr(feature = "engine", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "engine"), doc = "The core without I/O: see the README.")]
#![deny(
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
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

#[cfg(feature = "engine")]
mod bell;
#[cfg(feature = "engine")]
mod builder;
#[cfg(feature = "engine")]
mod check;
#[cfg(feature = "engine")]
mod checker;
#[cfg(feature = "engine")]
mod clock;
#[cfg(feature = "engine")]
mod conversation;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "engine")]
mod error;
mod failure;
mod group;
mod health;
mod heap;
mod index;
mod lateness;
#[cfg(feature = "engine")]
mod layer;
mod lint;
mod monitor;
mod outcome;
mod policy;
#[cfg(feature = "engine")]
mod probe;
mod ramp;
mod scheduler;
#[cfg(feature = "engine")]
mod shared;
#[cfg(feature = "engine")]
mod sys;
mod time;
#[cfg(feature = "engine")]
mod waiting;

#[cfg(feature = "engine")]
pub use builder::Builder;
#[cfg(feature = "dns")]
pub use check::Dns;
#[cfg(any(feature = "http", feature = "dialogue"))]
pub use check::Expect;
#[cfg(feature = "file")]
pub use check::File;
#[cfg(feature = "regex")]
pub use check::Pattern;
#[cfg(feature = "icmp")]
pub use check::Ping;
#[cfg(feature = "script")]
pub use check::Script;
#[cfg(feature = "udp")]
pub use check::Udp;
#[cfg(feature = "engine")]
pub use check::{Check, Close, Endpoint, External, Kind, NetOptions, Reporter, Tcp};
#[cfg(feature = "dialogue")]
pub use check::{Dialogue, DialogueStep};
#[cfg(feature = "http2")]
pub use check::{Grpc, Http2};
#[cfg(feature = "http")]
pub use check::{Http, HttpVersion, Method, Request, StatusRange};
#[cfg(feature = "tls")]
pub use check::{Tls, TlsBuilder};
#[cfg(feature = "engine")]
pub use checker::{Checker, Metrics};
#[cfg(feature = "engine")]
pub use conversation::{Conversation, Passed, Progress};
#[cfg(feature = "engine")]
pub use engine::{Engine, Executor};
#[cfg(feature = "engine")]
pub use error::Error;
pub use failure::{Excerpt, FailKind, Failure, Stage};
pub use group::{FailOpen, Quorum};
pub use health::{Change, HealthState, Step, Verdict};
pub use lateness::Lateness;
pub use lint::Lint;
pub use monitor::{
    Attempt, CheckStatus, Combine, Diff, Event, Forced, Monitor, Plan, Reason, Snapshot, State, Status,
    TargetSnapshot, TargetSpec, Totals,
};
pub use outcome::{Cause, Notice, Outcome, Sample, Weight};
pub use policy::{Basis, Policy, Start};
#[cfg(feature = "engine")]
pub use probe::{BoxFuture, Context, CustomProbe, Probe};
pub use ramp::Ramp;
pub use scheduler::{Due, Limits, Next, Scheduler, Ticket};
#[cfg(feature = "engine")]
pub use shared::Key;
pub use time::Time;
#[cfg(feature = "engine")]
pub use waiting::{Answer, Events, Round};

/// Parsers that nobody calls directly, for the fuzzer.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// What a packet of ICMP says, with its IPv4 header before it if `raw`.
    #[cfg(feature = "icmp")]
    pub fn icmp(packet: &[u8], v6: bool, raw: bool) -> bool {
        crate::engine::understands_icmp(packet, v6, raw)
    }

    /// The end of a certificate's life.
    #[cfg(feature = "tls")]
    pub fn not_after(certificate: &[u8]) -> Option<u64> {
        crate::check::not_after(certificate)
    }
}
