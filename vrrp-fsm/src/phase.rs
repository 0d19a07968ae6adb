//! What a virtual router remembers in one state only. A timer is a field of the state in which it runs.

use alloc::boxed::Box;
use core::net::IpAddr;

use vrrp_proto::AdverInterval;

use crate::{Instant, Reason};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Initialize,
    Backup(Backup),
    Active(Active),
}

/// The active-down timer is not stored: it follows from `since`, `wait`, the interval in force and the priority. So a
/// change of any of them moves it, and none postpones it beyond what it would have been from the start (I14).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backup {
    /// When the last advertisement was accepted, or when the router began to listen.
    pub(crate) since: Instant,
    pub(crate) wait: Wait,
    /// The interval of the active router, once it was heard (VRRPv3).
    pub(crate) learned: Option<AdverInterval>,
    /// Until when advertisements of lower priority are accepted: set by the first of them, never after one that is not.
    pub(crate) preempt_from: Instant,
    /// The last that was heard was ignored for its lower priority.
    pub(crate) ignored: bool,
    /// Handed over on request: whoever is active is accepted.
    pub(crate) resigned: bool,
    /// The timer was found to have expired long ago, and one more down interval was granted.
    pub(crate) slept: bool,
    /// Member of a sync group: would be active, were it alone.
    pub(crate) wants: Option<Box<Reason>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wait {
    /// The active-down interval: of this one, whose advertisement was accepted last, or of nobody yet.
    Full(Option<IpAddr>),
    /// The skew time: this one left.
    Left(IpAddr),
    /// The skew time: this one was reported down.
    Down(IpAddr),
}

impl Wait {
    /// Whose wait it is.
    pub(crate) const fn of(self) -> Option<IpAddr> {
        match self {
            Self::Full(of) => of,
            Self::Left(from) | Self::Down(from) => Some(from),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Active {
    /// The time from which the adver timer counts.
    pub(crate) sent: Instant,
    /// From when the next loser is answered.
    pub(crate) answer_from: Instant,
    /// The second block of announcements.
    pub(crate) second_block: Instant,
    pub(crate) refresh: Instant,
    /// The second block after somebody of lower priority was heard.
    pub(crate) lower_priority_block: Instant,
    /// Since when another router is active too, which loses; and when it is forgotten.
    pub(crate) rival_since: Instant,
    pub(crate) rival_until: Instant,
}

impl Backup {
    pub(crate) const fn new(since: Instant) -> Self {
        Self {
            since,
            wait: Wait::Full(None),
            learned: None,
            preempt_from: Instant::NEVER,
            ignored: false,
            resigned: false,
            slept: false,
            wants: None,
        }
    }
}
