#![doc = include_str!("../README.md")]

#[cfg(target_os = "linux")]
pub mod capture;
#[cfg(target_os = "linux")]
pub mod director;
#[cfg(target_os = "linux")]
pub mod disturb;
#[cfg(target_os = "linux")]
pub mod freeze;
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod measure;
pub mod memory;
#[cfg(target_os = "linux")]
pub mod namespace;
#[cfg(target_os = "linux")]
pub mod observe;
#[cfg(target_os = "linux")]
pub mod ping;
pub mod plan;
pub mod report;
#[cfg(target_os = "linux")]
pub mod segment;
pub mod spec;
pub mod story;
pub mod svg;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
pub mod witness;
#[cfg_attr(not(target_os = "linux"), path = "world/elsewhere.rs")]
pub mod world;
