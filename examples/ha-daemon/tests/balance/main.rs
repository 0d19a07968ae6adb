//! Load balancing end to end under a kernel that has IPVS: two directors, three real servers and a client on one segment,
//! and the table that keepalived makes of a configuration; and a clock that somebody sets.
//!
//! `cargo xtask test -p ha-daemon` boots such a kernel where the host's own is none.

mod chaos;
mod checkers;
mod clock;
mod killed;
mod lab;
mod probed;
mod reload;
mod roles;
mod scale;
mod stories;
mod tables;
mod world;
