//! The client against a live kernel, with ipvsadm as its peer.
//!
//! Each test starts from an empty table. They run one after the other, in a network namespace or a machine of their own:
//! `cargo xtask test -p ipvs-netlink` does that.

mod agreement;
mod errors;
mod example;
mod reconcile;
mod refusals;
mod support;
mod traffic;
mod views;
