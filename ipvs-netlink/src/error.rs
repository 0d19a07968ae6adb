use std::fmt;
use std::io;
use std::num::NonZeroI32;

use crate::destination::{Forward, Tunnel};
use crate::message::{Command, Request};
use crate::name::{EngineName, InterfaceName, SchedulerName};
use crate::service::{Endpoint, ServiceKey};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a request.
    #[error(transparent)]
    Refused(Refusal),
    /// The running kernel has no IPVS, or could not load its module `ip_vs`.
    #[error("this kernel has no IPVS: its module ip_vs is neither built in nor loadable")]
    NoIpvs,
    /// The netlink socket failed.
    #[error(transparent)]
    Transport(#[from] netlink_batch::Error),
    /// Answers were lost: the request was carried out or refused, it is not known which. Read the table anew.
    #[error("the kernel's answer was lost: read the table anew")]
    Unconfirmed,
    /// An answer of the kernel could not be read.
    #[error("cannot read the kernel's answer: {0}")]
    Decode(#[from] DecodeError),
    /// The kernel answered something else than what was asked, or nothing.
    #[error("the kernel gave no answer of the kind that was asked for")]
    NoReply,
    /// The network namespace of this name cannot be opened.
    #[error("cannot open the network namespace: {0}")]
    Namespace(#[source] io::Error),
    /// The same service is wanted twice.
    #[error("service {0} is wanted twice")]
    DuplicateService(ServiceKey),
    /// The same destination of a service is wanted twice.
    #[error("destination {1} of {0} is wanted twice")]
    DuplicateDestination(ServiceKey, Endpoint),
    /// The thread that carried the request out was stopped: the runtime is shutting down.
    #[error("the asynchronous runtime stopped before the answer came")]
    Stopped,
}

/// The kernel's refusal of a request: what was asked, about what, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What was asked.
    pub command: Command,
    /// The service that it was about.
    pub service: Option<ServiceKey>,
    /// The destination that it was about.
    pub destination: Option<Endpoint>,
    /// Why not.
    pub reason: Reason,
    /// The kernel's error number.
    pub errno: NonZeroI32,
}

/// Why the kernel refused a request, as far as its error number and the request itself tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Every request, reading included, needs CAP_NET_ADMIN in the initial user namespace; root in a container's own user
    /// namespace does not have it.
    #[error("needs CAP_NET_ADMIN in the initial user namespace")]
    PermissionDenied,
    /// The service exists already.
    #[error("the service exists already")]
    ServiceExists,
    /// There is no such service.
    #[error("there is no such service")]
    ServiceNotFound,
    /// The service has this destination already.
    #[error("the service has this destination already")]
    DestinationExists,
    /// The service has no such destination.
    #[error("the service has no such destination")]
    DestinationNotFound,
    /// The scheduler is neither loaded nor is there a module for it.
    #[error("the kernel has no scheduler {0} (module ip_vs_{0})")]
    SchedulerMissing(SchedulerName),
    /// The scheduler or the persistence engine is neither loaded nor is there a module for it.
    #[error(
        "the kernel lacks the scheduler {0} (module ip_vs_{0}) or the persistence engine {1} (module ip_vs_pe_{1})"
    )]
    SchedulerOrEngineMissing(SchedulerName, EngineName),
    /// The kernel cannot do IPv6 here.
    #[error("the kernel does not do this address family: IPv6 is disabled")]
    FamilyNotSupported,
    /// Only a tunnel leads from one address family to the other.
    #[error("a destination of the other address family is reached by a tunnel only")]
    MixedFamilies,
    /// Service and destination are of different families, which does not go together with a running sync daemon.
    #[error("destinations of the other address family and a sync daemon exclude each other")]
    MixedFamiliesAndDaemon,
    /// The destination's address is neither unicast nor local. The kernel says so of every address in a network namespace
    /// where none was ever set, not even by `ip link set lo up`.
    #[error(
        "the destination's address is not one that a host can have, or this network namespace has no addresses yet"
    )]
    AddressNotUsable,
    /// The weight is negative or the lower threshold above the upper one.
    #[error("the weight or the thresholds are out of range")]
    OutOfRange,
    /// GUE needs a port.
    #[error("the tunnel needs a port")]
    TunnelPort,
    /// The scheduler has no room for so many destinations.
    #[error("the scheduler has no room for so many destinations, or an attribute is not valid")]
    SchedulerFull,
    /// A sync daemon of this role runs already.
    #[error("a sync daemon of this role runs already")]
    DaemonExists,
    /// No sync daemon of this role runs.
    #[error("no sync daemon of this role runs")]
    DaemonNotRunning,
    /// There is no such interface.
    #[error("there is no interface {0}")]
    InterfaceNotFound(InterfaceName),
    /// Something about the request is not valid, which the kernel does not say more closely.
    #[error("the kernel calls the request invalid")]
    Invalid,
    /// Another dump runs on the socket, or the module is in use.
    #[error("the kernel is busy with another request of this socket")]
    Busy,
    /// This kernel does not know the request.
    #[error("this kernel does not know the request")]
    NotSupported,
    /// The module is being unloaded.
    #[error("the module ip_vs is being unloaded")]
    Unloading,
    /// The kernel has no memory for it.
    #[error("the kernel has no memory for it")]
    OutOfMemory,
    /// The message is too long.
    #[error("the message is too long")]
    TooLong,
    /// Another error number.
    #[error("for an unusual reason")]
    Other,
}

/// Bytes that are not what the kernel sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message ends within a header or an attribute.
    #[error("the message is cut off")]
    Truncated,
    /// An attribute is too short or has a value that it cannot have.
    #[error("attribute {kind} is not valid")]
    Attribute {
        /// Its number.
        kind: u16,
    },
    /// An attribute is missing without which the message means nothing.
    #[error("an attribute is missing")]
    Missing,
    /// The command is none of these.
    #[error("command {0} is not known")]
    Command(u8),
}

impl Refusal {
    pub(crate) fn new(request: &Request, errno: NonZeroI32) -> Self {
        Self {
            command: request.command(),
            service: request.service_key(),
            destination: request.endpoint(),
            reason: reason(request, errno.get()),
            errno,
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// As in `cannot add destination 10.0.0.2:80 of TCP 10.0.0.1:80: the service has this destination already (errno 17)`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.command)?;
        if let Some(endpoint) = self.destination {
            write!(f, " {endpoint} of")?;
        }
        if let Some(service) = self.service {
            write!(f, " {service}")?;
        }
        write!(f, ": {} (errno {})", self.reason, self.errno)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddService => "add service",
            Self::EditService => "edit service",
            Self::DeleteService => "delete service",
            Self::ReadServices => "read services",
            Self::AddDestination => "add destination",
            Self::EditDestination => "edit destination",
            Self::DeleteDestination => "delete destination",
            Self::ReadDestinations => "read destinations",
            Self::StartDaemon => "start the sync daemon",
            Self::StopDaemon => "stop the sync daemon",
            Self::ReadDaemons => "read the sync daemons",
            Self::SetTimeouts => "set the timeouts",
            Self::ReadTimeouts => "read the timeouts",
            Self::ReadInfo => "read the version",
            Self::Zero => "zero the counters",
            Self::Flush => "flush the table",
        })
    }
}

/// The same number means different things for different requests.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a few requests give a number a meaning of their own"
)]
fn reason(request: &Request, errno: i32) -> Reason {
    match errno {
        EPERM => Reason::PermissionDenied,
        EEXIST => match request {
            Request::AddDestination(..) => Reason::DestinationExists,
            Request::StartDaemon(_) => Reason::DaemonExists,
            _ => Reason::ServiceExists,
        },
        ESRCH => match request {
            Request::StopDaemon(_) => Reason::DaemonNotRunning,
            _ => Reason::ServiceNotFound,
        },
        ENOENT => match request {
            Request::AddService(service) | Request::EditService(service) => {
                let scheduler = service.scheduler.name();
                service
                    .persistence
                    .and_then(|persistence| persistence.engine)
                    .map_or(Reason::SchedulerMissing(scheduler), |engine| {
                        Reason::SchedulerOrEngineMissing(scheduler, engine)
                    })
            }
            _ => Reason::DestinationNotFound,
        },
        EINVAL => invalid(request),
        ERANGE => Reason::OutOfRange,
        EAFNOSUPPORT => Reason::FamilyNotSupported,
        ENODEV => match request {
            Request::StartDaemon(daemon) => Reason::InterfaceNotFound(daemon.interface),
            _ => Reason::Other,
        },
        EBUSY => Reason::Busy,
        EOPNOTSUPP => Reason::NotSupported,
        ENOPROTOOPT => Reason::Unloading,
        ENOMEM => Reason::OutOfMemory,
        EMSGSIZE => Reason::TooLong,
        _ => Reason::Other,
    }
}

/// What the kernel may mean by EINVAL, judged by the request.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a few requests can be told more about"
)]
fn invalid(request: &Request) -> Reason {
    match request {
        Request::AddDestination(key, destination) | Request::EditDestination(key, destination) => {
            let tunnel = match destination.forward {
                Forward::Tunnel(tunnel) => Some(tunnel),
                _ => None,
            };
            let mixed = key.family() != destination.endpoint.family();
            match tunnel {
                None if mixed => Reason::MixedFamilies,
                Some(Tunnel::Other { kind: 1, port: 0, .. }) => Reason::TunnelPort,
                Some(_) if mixed => Reason::MixedFamiliesAndDaemon,
                _ if destination.thresholds.upper() > i32::MAX.unsigned_abs() => Reason::OutOfRange,
                _ => Reason::AddressNotUsable,
            }
        }
        Request::EditService(_) => Reason::SchedulerFull,
        Request::StartDaemon(_) => Reason::MixedFamiliesAndDaemon,
        _ => Reason::Invalid,
    }
}

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ERANGE: i32 = 34;
const EMSGSIZE: i32 = 90;
const ENOPROTOOPT: i32 = 92;
const EOPNOTSUPP: i32 = 95;
const EAFNOSUPPORT: i32 = 97;
