//! The typed configuration: one file for each block of the language.

pub(crate) mod address;
pub(crate) mod bfd;
pub(crate) mod checker;
pub(crate) mod configuration;
pub(crate) mod forwarding;
pub(crate) mod garp_group;
pub(crate) mod global_defs;
pub(crate) mod http;
pub(crate) mod interface;
pub(crate) mod raw;
pub(crate) mod real_server;
pub(crate) mod route;
pub(crate) mod rule;
pub(crate) mod socket_name;
pub(crate) mod sync_group;
pub(crate) mod track;
pub(crate) mod track_file;
pub(crate) mod track_process;
pub(crate) mod virtual_server;
pub(crate) mod virtual_server_group;
pub(crate) mod vrrp_instance;
pub(crate) mod vrrp_script;
