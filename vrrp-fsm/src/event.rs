use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use vrrp_proto::Priority;

use crate::time::Seconds;
use crate::{Alarm, Fault, State};

/// Something to tell a person, a log or a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The state changed; or the router is in Initialize still, for another reason than before.
    StateChanged {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// The effective priority changed.
    PriorityChanged {
        /// The priority before.
        from: Priority,
        /// The priority now.
        to: Priority,
    },
    /// An active router heard another that loses against it, and answered (keepalived's `MASTER_RX_LOWER_PRI`).
    HeardLower {
        /// The other.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// Something is wrong on the link or on this host. Each alarm is given once, and again when it changes, at most once
    /// a minute.
    Alarm(Alarm),
    /// An alarm is over.
    AlarmEnded(Alarm),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateChanged { from, to, reason } => write!(f, "{from} -> {to}: {reason}"),
            Self::PriorityChanged { from, to } => {
                write!(
                    f,
                    "the effective priority changed from {} to {}",
                    from.get(),
                    to.get()
                )
            }
            Self::HeardLower { from, priority } => {
                write!(f, "priority {} from {from} loses, answered", priority.get())
            }
            Self::Alarm(alarm) => write!(f, "alarm: {alarm}"),
            Self::AlarmEnded(alarm) => write!(f, "over: {alarm}"),
        }
    }
}

/// Why the state changed, for a person to read: `priority 0 from 10.0.0.2`, `nothing heard from 10.0.0.2 for 3.609 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Never started.
    NotStarted,
    /// Started.
    Started,
    /// Started, with the addresses of a killed predecessor.
    StartedHolding,
    /// Started as the owner of the addresses.
    Owner,
    /// Nobody was heard for the down interval.
    NothingHeard {
        /// Who was active before, if anybody was heard.
        from: Option<IpAddr>,
        /// How long nothing was heard.
        during: Duration,
    },
    /// The active router left.
    PriorityZero {
        /// Who left.
        from: IpAddr,
    },
    /// The active router was reported to be gone.
    PeerDown {
        /// Who is gone.
        peer: IpAddr,
    },
    /// The active router has a lower priority than ours, and is replaced.
    LowerPriority {
        /// Who.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
        /// Ours.
        own: Priority,
    },
    /// Another active router has a higher priority.
    HigherPriority {
        /// Who.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
        /// Ours.
        own: Priority,
    },
    /// Another active router has our priority and a higher address.
    HigherAddress {
        /// Who.
        from: IpAddr,
        /// The priority of both.
        priority: Priority,
    },
    /// This process did not run when it had to advertise; a peer must have taken over.
    Paused {
        /// How late it was.
        late: Duration,
    },
    /// Handed over on request.
    Resigned,
    /// Shut down.
    Shutdown,
    /// A fault.
    Fault(Fault),
    /// The last fault is over.
    FaultOver,
    /// The sync group moved as a whole.
    SyncGroup,
    /// Became the owner of the addresses, or another virtual router, by new parameters.
    Configured,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::Started => f.write_str("started"),
            Self::StartedHolding => f.write_str("started, keeping the addresses that a predecessor held"),
            Self::Owner => f.write_str("started as the address owner"),
            Self::NothingHeard { from: None, during } => write!(f, "nothing heard for {}", Seconds(*during)),
            Self::NothingHeard {
                from: Some(from),
                during,
            } => write!(f, "nothing heard from {from} for {}", Seconds(*during)),
            Self::PriorityZero { from } => write!(f, "priority 0 from {from}"),
            Self::PeerDown { peer } => write!(f, "{peer} was reported down"),
            Self::LowerPriority { from, priority, own } => {
                write!(
                    f,
                    "priority {} from {from} is lower than our {}",
                    priority.get(),
                    own.get()
                )
            }
            Self::HigherPriority { from, priority, own } => {
                write!(
                    f,
                    "priority {} from {from} is higher than our {}",
                    priority.get(),
                    own.get()
                )
            }
            Self::HigherAddress { from, priority } => {
                write!(
                    f,
                    "our priority {} from {from}, which is the higher address",
                    priority.get()
                )
            }
            Self::Paused { late } => write!(
                f,
                "ran {} late, so a peer must have taken over meanwhile",
                Seconds(*late)
            ),
            Self::Resigned => f.write_str("handed over on request"),
            Self::Shutdown => f.write_str("shut down"),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::FaultOver => f.write_str("the last fault is over"),
            Self::SyncGroup => f.write_str("the sync group moved"),
            Self::Configured => f.write_str("configured anew"),
        }
    }
}
