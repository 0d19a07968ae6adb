#![doc = include_str!("../README.md")]

pub mod capture;
pub mod director;
pub mod disturb;
pub mod freeze;
pub mod lab;
pub mod measure;
pub mod memory;
pub mod namespace;
pub mod observe;
pub mod ping;
pub mod report;
pub mod segment;
pub mod spec;
pub mod story;
pub mod svg;
mod sys;
pub mod witness;
pub mod world;
