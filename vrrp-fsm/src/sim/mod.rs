//! A simulator: hosts with all their virtual routers, on segments that delay, lose, duplicate and reorder packets, all
//! in one thread and a pure function of a seed.
//!
//! - [`Simulation`] is the kit: hosts, links, time; every step is checked against the invariants of the protocol.
//! - [`Scenario`] is what happens in it, as text that can be kept: [`Scenario::storm`] makes a wild one from a seed,
//!   [`Scenario::shrink`] makes one that fails small.
//! - [`Journal`] holds every input with its time, and replays it to the same outputs.
//!
//! ```
//! use vrrp_fsm::sim::Scenario;
//!
//! let report = Scenario::storm(7).run().expect("the invariants hold");
//! assert!(report.packets > 0);
//! ```

mod clock;
mod host;
mod journal;
mod link;
mod plan;
mod random;
mod scenario;
mod shrink;
mod simulation;
mod storm;
mod text;

pub use clock::HostClock;
pub use host::{Host, Violation};
pub use journal::{Happening, Journal, Mismatch};
pub use link::Quality;
pub use plan::{HostPlan, MemberPlan};
pub use random::Random;
pub use scenario::{Action, Failure, Report, Scenario};
pub use simulation::Simulation;
pub use text::ParseError;
