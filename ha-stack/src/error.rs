//! The one error type of this crate.

use std::io;
use std::path::PathBuf;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A command line without a first word.
    #[error("the command is empty")]
    EmptyCommand,
    /// The system knows no user of this name.
    #[error("no such user on this system")]
    UnknownUser,
    /// The system knows no group of this name.
    #[error("no such group on this system")]
    UnknownGroup,
    /// A file, pipe, socket or program that could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another daemon runs on this control socket.
    #[error("another daemon runs already, on {}: stop that one, or give this one a control socket of its own", path.display())]
    AlreadyRunning {
        /// The control socket.
        path: PathBuf,
    },
    /// An address that cannot be listened on.
    #[cfg(feature = "http")]
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The plan does not fit together, or the election could not be run.
    #[error(transparent)]
    Election(#[from] vrrp_net::Error),
    /// Two virtual routers of one name.
    #[error("two virtual routers have the same name")]
    DuplicateName,
    /// A virtual router tracks a script, file or process that the plan does not have.
    #[error("a virtual router tracks something that is not defined")]
    UnknownTrack,
    /// Nothing is called so.
    #[error("there is no virtual router or sync group of this name")]
    UnknownName,
    /// Two virtual servers of one name or at one place.
    #[error("{0} is configured twice")]
    DuplicateServer(String),
    /// An order about a virtual or real server that there is not, or, to add one, that there is.
    #[error("{0}")]
    UnknownServer(String),
    /// Only who is active can hand over.
    #[error("it is not active here")]
    NotActive,
    /// 0 and 255 have a meaning of their own.
    #[error("a priority is 1 to 254")]
    PriorityRange,
    /// Not now: try again later.
    #[error("not ready yet")]
    NotYet,
    /// The other side is gone.
    #[error("nobody listens any more")]
    Closed,
    /// The kernel's load balancer could not be used.
    #[cfg(feature = "balance")]
    #[error(transparent)]
    Ipvs(#[from] ipvs_netlink::Error),
    /// Health checks could not be started.
    #[cfg(feature = "balance")]
    #[error(transparent)]
    Check(#[from] healthcheck::Error),
    /// Virtual servers, but nothing to carry their traffic.
    #[cfg(feature = "balance")]
    #[error("there are virtual servers and no data plane to carry their traffic")]
    NoDataPlane,
    /// Not an address that mail could be sent to, or none at all.
    #[cfg(feature = "mail")]
    #[error("not a mail address")]
    MailAddress,
    /// The mail server could not be reached or refused.
    #[cfg(feature = "mail")]
    #[error("mail was not sent: {0}")]
    Mail(#[source] lettre::transport::smtp::Error),
    /// The kernel refused something that has no name.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
