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

mod command;
mod diagnostic;
mod effective;
mod environment;
mod error;
mod expand;
mod field;
mod include;
mod keyword;
mod lexer;
mod limits;
mod macros;
mod model;
mod options;
mod parser;
mod printer;
mod reader;
#[cfg(feature = "render")]
mod render;
mod sequence;
mod source;
mod statement;
mod system;
mod text;
mod validate;
mod value;
mod vocabulary;

pub use command::Command;
pub use diagnostic::{Diagnostic, Report, Severity, Verdict};
pub use environment::{Environment, FileKind, Memory, Program};
pub use error::Error;
pub use field::List;
pub use keyword::{Keyword, Range, Support};
pub use limits::Limits;
pub use model::address::{Broadcast, Lifetime, Scope, VirtualAddress};
pub use model::bfd::BfdInstance;
pub use model::checker::{
    BfdCheck, DnsCheck, DnsType, FileCheck, MiscCheck, PingCheck, SmtpCheck, SmtpHost, TcpCheck, UdpCheck,
};
pub use model::configuration::{Configuration, Ssl};
pub use model::forwarding::{Forwarding, Method, Tunnel, TunnelChecksum};
pub use model::garp_group::GarpGroup;
pub use model::global_defs::{
    AutoPriority, DynamicInterfaces, Fifo, FlushOnStop, GlobalDefs, SmtpServer, SyncDaemon,
};
pub use model::http::{HttpCheck, HttpProtocol, StatusCodes, Url};
pub use model::interface::{LinkbeatInterface, UpDownDelay};
pub use model::raw::Raw;
pub use model::real_server::RealServer;
pub use model::route::{Locked, Route, RouteOptions, Via};
pub use model::rule::Rule;
pub use model::socket_name::SocketName;
pub use model::sync_group::{SyncGroup, TrackGroup};
pub use model::track::{
    TrackBfd, TrackFile, TrackInterface, TrackProcess, TrackScript, UnicastPeer, User, Weight,
};
pub use model::track_file::{InitFile, TrackedFile};
pub use model::track_process::{ParameterMatch, ProcessPattern, TrackedProcess};
pub use model::virtual_server::{
    Granularity, IpFamily, Persistence, Protocol, ProxyProtocol, Scheduler, Timeouts, VirtualServer,
    VirtualServerName,
};
pub use model::virtual_server_group::{GroupEntry, VirtualServerGroup};
pub use model::vrrp_instance::{
    AuthHmac, AuthType, Authentication, GarpExtraIf, OldChecksum, State, UseVmac, VrrpInstance,
};
pub use model::vrrp_script::VrrpScript;
pub use options::Options;
pub use source::{Origin, Position, Sources, Span};
pub use system::System;
pub use value::{NotPrefix, NotSeconds, Prefix, Seconds};
pub use vocabulary::{Block, vocabulary};
