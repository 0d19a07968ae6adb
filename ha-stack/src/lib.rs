#![doc = include_str!("../README.md")]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::wildcard_enum_match_arm,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc
)]

#[cfg(feature = "balance")]
mod balance;
mod children;
mod command;
mod control;
#[cfg(feature = "keepalived")]
mod convert;
#[cfg(feature = "balance")]
mod data_plane;
mod diagnosis;
mod dump;
mod duplicate;
mod election;
mod error;
mod fixed;
#[cfg(feature = "http")]
mod http;
mod hub;
mod journal;
mod metrics;
mod notify;
mod persist;
mod plan;
mod process;
mod pulse;
mod real_server;
mod status;
mod supervisor;
mod sys;
mod systemd;
mod track;
mod vrrp;

#[cfg(feature = "balance")]
pub use balance::{
    BalancePlan, Balancer, RealServerPlan, ServerHappening, ServerOrder, SorryServerPlan,
    SynchronizationPlan, VirtualServerPlan,
};
pub use command::{CommandLine, Credentials};
pub use control::{Control, ControlClient, ControlLock, ControlServer, Request, Response, ServerAction};
#[cfg(feature = "keepalived")]
pub use convert::{Conversion, ConvertOptions, Problem};
#[cfg(feature = "proxy")]
pub use data_plane::ProxyPlane;
#[cfg(feature = "balance")]
pub use data_plane::{
    Algorithm, Applied, ConnectionTimeouts, DataPlane, DesiredReal, DesiredServer, DesiredTable, Extent,
    Forwarding, Front, Granularity, IpvsPlane, NoPlane, NotAFront, OnFailure, Persistence, ProxyProtocol,
    RealCounters, RecordingPlane, ServerCounters, Synchronization, Traffic, Transport, Tunnel,
    TunnelChecksum,
};
pub use dump::{keepalived_data, keepalived_json, keepalived_stats};
pub use duplicate::holders_of;
pub use election::{Election, Happening, StaticElection};
pub use error::Error;
pub use fixed::{FixedAddress, FixedKeeper};
#[cfg(feature = "http")]
pub use http::HttpServer;
pub use hub::EventHub;
pub use journal::{Journal, JournalRecorder, Remark, Replay};
pub use metrics::metrics;
pub use notify::{
    Courier, Event, EventKind, EventQueue, FifoNotifier, Hooks, Notifier, NotifyState, Object, ScriptNotifier,
};
#[cfg(feature = "mail")]
pub use notify::{MailNotifier, MailSettings};
pub use plan::{
    FifoPlan, FifoSubject, Plan, Scheduling, SyncGroupPlan, TrackPlan, TrackedObject, VirtualRouterPlan,
};
pub use process::{
    enter_network_namespace, limit_realtime, name_thread, run_on_processors, set_file_mask, set_niceness,
};
pub use real_server::{Delivery, RealServerHost};
pub use status::{
    CheckStatus, PeerProblem, RealServerStatus, Status, SyncGroupStatus, TrackedStatus, TrafficStatus,
    VirtualRouterStatus, VirtualServerStatus,
};
pub use supervisor::{Order, Supervisor};
pub use systemd::ServiceManager;
pub use track::{
    ArgumentMatch, FileTracker, InitialValue, InterfaceTracker, ProcessPattern, ProcessTracker, ScriptAction,
    ScriptCheck, ScriptCounter, ScriptSchedule, ScriptTracker, TrackedFile, TrackedProcess, Verdict,
};
pub use vrrp::VrrpElection;
