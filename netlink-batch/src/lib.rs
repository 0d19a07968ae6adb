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

mod batch;
mod error;
mod limits;
mod message;
mod report;
mod run;
mod socket;
mod sys;

pub use batch::{Batch, Change};
pub use error::Error;
pub use limits::Limits;
pub use message::{Malformed, Message, Messages, messages};
pub use report::{Failure, Outcome, Report};
pub use run::{Run, Sequence};
pub use socket::{Counters, Protocol, Socket};
