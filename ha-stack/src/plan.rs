//! What is to run: the typed form that a configuration becomes, and that a library user writes directly.

use std::path::PathBuf;
#[cfg(feature = "balance")]
use std::sync::Arc;
use std::time::Duration;

use vrrp_net::{Instance, VirtualRoute, VirtualRule};

#[cfg(feature = "balance")]
use crate::balance::{BalancePlan, VirtualServerPlan};
use crate::command::{CommandLine, Credentials};
use crate::fixed::FixedAddress;
#[cfg(feature = "mail")]
use crate::notify::MailSettings;
use crate::notify::{Hooks, Object};
use crate::track::{ScriptCheck, TrackedFile, TrackedProcess};

/// Everything a [`Supervisor`](crate::Supervisor) runs. Reloading is giving it another plan.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The virtual routers, each name once.
    pub virtual_routers: Vec<VirtualRouterPlan>,
    /// The sync groups that the virtual routers name. One that is not listed here works, but tells nobody.
    pub sync_groups: Vec<SyncGroupPlan>,
    /// Scripts to be tracked; one that no virtual router tracks is not run.
    pub scripts: Vec<ScriptCheck>,
    /// Files to be tracked.
    pub files: Vec<TrackedFile>,
    /// Processes to be tracked.
    pub processes: Vec<TrackedProcess>,
    /// Addresses that this host has whoever is active.
    pub fixed_addresses: Vec<FixedAddress>,
    /// Routes that this host has whoever is active.
    pub fixed_routes: Vec<VirtualRoute>,
    /// Rules that this host has whoever is active.
    pub fixed_rules: Vec<VirtualRule>,
    /// How long nobody is elected. The first plan with virtual routers begins the wait, and a later one without a delay ends
    /// it; otherwise later plans do not change it.
    pub start_delay: Duration,
    /// How the thread of the election is scheduled; whoever starts it has to see to it.
    pub scheduling: Scheduling,
    /// How the threads of the health checks are scheduled. What the first plan with virtual servers says holds.
    #[cfg(feature = "balance")]
    pub check_scheduling: Scheduling,
    /// What is run before everything else, and for how long at most; whoever starts it has to
    /// [see to it](crate::CommandLine::run).
    pub startup: Option<(CommandLine, Duration)>,
    /// The same after everything else.
    pub shutdown: Option<(CommandLine, Duration)>,
    /// What new files of the process do not allow, as `umask` has it; whoever starts it has to
    /// [set](crate::set_file_mask) it.
    pub file_mask: Option<u32>,
    /// The name of the network namespace whose IPVS is to be used; whoever opens the data plane has to see to it.
    pub ipvs_namespace: Option<String>,
    /// The name of the network namespace that everything is to run in; whoever starts it has to
    /// [enter](crate::enter_network_namespace) it. Without it, that of the process.
    pub network_namespace: Option<String>,
    /// The virtual servers, each name and each place once. Whoever keeps a plan shares them: there may be thousands.
    #[cfg(feature = "balance")]
    pub virtual_servers: Vec<Arc<VirtualServerPlan>>,
    /// What holds for all virtual servers.
    #[cfg(feature = "balance")]
    pub balance: BalancePlan,
    /// Named pipes that get a line for each event.
    pub fifos: Vec<FifoPlan>,
    /// After each reload the pipes get the state of every virtual router and sync group once more.
    pub states_on_reload: bool,
    /// Who gets mail.
    #[cfg(feature = "mail")]
    pub mail: Option<MailSettings>,
}

/// How the kernel runs a thread: that of the election, or those of the health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduling {
    /// What it is called; the kernel keeps 15 bytes.
    pub name: Option<String>,
    /// The real-time priority, 1 to 99. Without it, the election has one above ordinary programs and health checks have
    /// none.
    pub realtime_priority: Option<u8>,
    /// The processors it may run on; empty for all.
    pub processors: Vec<usize>,
    /// How nice it is to others where it has no real-time priority, -20 to 19.
    pub niceness: Option<i8>,
    /// How long it may run with real-time priority without ever waiting, before the kernel ends the process.
    pub longest_run: Option<Duration>,
    /// An election that could not run for longer than this when it was time says so; without it, a second.
    pub late: Option<Duration>,
}

/// One virtual router with what belongs to it outside the election.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VirtualRouterPlan {
    /// The virtual router. What it tracks is not set here but in `tracks`.
    pub instance: Instance,
    /// What moves its priority or is a fault.
    pub tracks: Vec<TrackPlan>,
    /// Its notification scripts.
    pub hooks: Hooks,
    /// Whether its changes of state are mailed.
    pub mail: bool,
    /// Whether changes of its priority are told, to pipes and to those who watch.
    pub notify_priority_changes: bool,
    /// Another number for other keys, which do not show otherwise.
    pub(crate) secret: u64,
}

impl VirtualRouterPlan {
    /// A virtual router that tracks nothing and tells nobody.
    pub fn new(instance: Instance) -> Self {
        Self {
            instance,
            tracks: Vec::new(),
            hooks: Hooks::default(),
            mail: false,
            notify_priority_changes: false,
            secret: 0,
        }
    }
}

/// One sync group's part outside the election; its members name it by
/// [`Instance::sync_group`](vrrp_net::Instance::sync_group).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SyncGroupPlan {
    /// Its name.
    pub name: String,
    /// Its notification scripts.
    pub hooks: Hooks,
    /// Whether its changes of state are mailed.
    pub mail: bool,
}

impl SyncGroupPlan {
    /// A group that tells nobody.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            hooks: Hooks::default(),
            mail: false,
        }
    }
}

/// How a virtual router takes a tracked object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it is the three words of a configuration line"
)]
pub struct TrackPlan {
    /// What is tracked.
    pub object: TrackedObject,
    /// -254 to 254; 0 makes its failure a fault.
    pub weight: i16,
    /// Negates the weight, or without one exchanges good and bad.
    pub reverse: bool,
}

/// Something that is tracked, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TrackedObject {
    /// One of [`Plan::scripts`].
    Script(String),
    /// One of [`Plan::files`].
    File(String),
    /// One of [`Plan::processes`].
    Process(String),
    /// An interface.
    Interface(String),
    /// Somebody to advertise to (`unicast_fault_no_peer`). Whoever has no peers tracks this, and never sees it.
    Peer,
    /// That [`Plan::start_delay`] is over. Not to be written into plans.
    Start,
}

impl TrackedObject {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::Script(name) | Self::File(name) | Self::Process(name) | Self::Interface(name) => name,
            Self::Peer => "peer",
            Self::Start => "start",
        }
    }

    /// `script`, `file`, `process`, `interface`, `unicast` or `delay`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Script(_) => "script",
            Self::File(_) => "file",
            Self::Process(_) => "process",
            Self::Interface(_) => "interface",
            Self::Peer => "unicast",
            Self::Start => "delay",
        }
    }
}

/// A named pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FifoPlan {
    /// Where it is; made if it is not there.
    pub path: PathBuf,
    /// A program to start, with the path as its last argument.
    pub reader: Option<CommandLine>,
    /// Whose it is; without it, the daemon's.
    pub owner: Option<Credentials>,
    /// About what it tells.
    pub subject: FifoSubject,
}

/// About what a pipe tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FifoSubject {
    /// Everything.
    #[default]
    Everything,
    /// Virtual routers and sync groups.
    Routers,
    /// Virtual and real servers.
    Servers,
}

impl FifoSubject {
    /// Whether it tells about this object.
    pub(crate) fn includes(self, object: &Object) -> bool {
        match self {
            Self::Everything => true,
            Self::Routers => !object.is_server(),
            Self::Servers => object.is_server(),
        }
    }
}

impl FifoPlan {
    /// A pipe that somebody else reads.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reader: None,
            owner: None,
            subject: FifoSubject::Everything,
        }
    }
}
