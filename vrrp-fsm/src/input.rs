use alloc::boxed::Box;
use core::net::IpAddr;

use vrrp_proto::{AdverInterval, ChecksumForm, Priority};

use crate::{Instant, Parameters, TrackId, TrackStatus};

/// What happens to a virtual router.
///
/// Exhaustive: whoever records, replays or generates inputs has to know them all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver that forgets one must not compile"
)]
pub enum Input {
    /// Take part. The address owner becomes active, everybody else a backup.
    Startup {
        /// The addresses are on the host already, left there by a predecessor that was killed. They are kept while the
        /// router listens for a down interval, and removed as soon as another active router is heard.
        held: bool,
    },
    /// Stop taking part; an active router says so with priority 0.
    Shutdown,
    /// The time that [`poll_timeout`](crate::VirtualRouter::poll_timeout) gave may have come. Coming early is harmless.
    Timeout,
    /// An advertisement that passed the receive checks, as [`VrrpRouter::handle_packet`](crate::VrrpRouter) makes it.
    Advertisement(Heard),
    /// Somebody else found out that this router is gone, BFD for example. If it is the one that is active, this counts as
    /// its priority 0; otherwise nothing happens.
    PeerDown(IpAddr),
    /// Hand over on request: an active router says priority 0, becomes a backup, and takes back the role only when
    /// nobody is heard any more, whatever its priority and preemption.
    Resign,
    /// The interface has carrier and is up, or not. Taken to be up until said otherwise.
    Interface {
        /// Whether it is up.
        up: bool,
    },
    /// The address that advertisements are sent from, which decides between equal priorities. Without one the router
    /// stays in Initialize.
    PrimaryAddress(Option<IpAddr>),
    /// A reason of the driver's own to stay in Initialize: no peer, no socket, a duplicate address.
    Fault {
        /// Whether there is one.
        present: bool,
    },
    /// The state of a tracked object.
    Track {
        /// The object.
        id: TrackId,
        /// Its state.
        status: TrackStatus,
    },
    /// Somebody took addresses away that this router holds. An active router puts them back and announces them.
    AddressesLost,
    /// Announce the addresses once more, if active.
    Announce,
    /// Other parameters. What is running goes on; the next advertisement carries the new values, and is sent at once if
    /// they differ. A takeover is not postponed.
    Configure(Box<Parameters>),
}

/// What the election uses of an advertisement that passed the receive checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// The sender: the source address of the packet.
    pub source: IpAddr,
    /// Its priority.
    pub priority: Priority,
    /// Its interval.
    pub interval: AdverInterval,
    /// How its address list compares to ours.
    pub addresses: AddressMatch,
    /// The checksum form, where the message has one of several (VRRPv3 over IPv4).
    pub checksum_form: Option<ChecksumForm>,
    /// When the packet reached the host: the kernel's receive time where there is one, else the time of the call. A later
    /// time than that of the call counts as the time of the call.
    pub received: Instant,
}

impl Heard {
    /// An advertisement with the addresses that we have, too.
    pub const fn new(received: Instant, source: IpAddr, priority: Priority, interval: AdverInterval) -> Self {
        Self {
            source,
            priority,
            interval,
            addresses: AddressMatch::Equal,
            checksum_form: None,
            received,
        }
    }
}

/// How the address list of an advertisement compares to the configured one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two sets are equal, overlap or do not")]
pub enum AddressMatch {
    /// The same addresses, in whatever order, or not compared.
    #[default]
    Equal,
    /// Some are the same.
    Overlapping,
    /// None is: another cluster uses the same VRID on this link.
    Disjoint,
}
