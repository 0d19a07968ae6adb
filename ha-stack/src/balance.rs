//! Load balancing: which real servers serve, from configuration, verdicts and operators' orders.

mod balancer;
mod differences;
mod found;
pub(crate) mod names;
mod plan;
mod runner;
mod server;
mod status;

pub use balancer::{Balancer, ServerHappening};
pub use plan::{BalancePlan, RealServerPlan, SorryServerPlan, SynchronizationPlan, VirtualServerPlan};
pub(crate) use runner::Runner;
pub use server::ServerOrder;
pub(crate) use status::statuses;

#[cfg(test)]
mod tests;
