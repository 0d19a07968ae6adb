use core::net::IpAddr;

use vrrp_proto::Priority;

use crate::Event;

/// What a driver has to do, in the order in which it is given.
///
/// On becoming active: [`Advertise`](Self::Advertise), [`AddAddresses`](Self::AddAddresses),
/// [`Announce`](Self::Announce), then the [event](crate::Event::StateChanged). On leaving: `Advertise` with priority 0
/// where the role is given up, [`RemoveAddresses`](Self::RemoveAddresses), then the event.
///
/// Address lists are read from the [parameters](crate::VirtualRouter::parameters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an embedder who forgets to remove an address must not compile"
)]
pub enum Output {
    /// Send an advertisement of the current parameters with this priority, from the virtual MAC where there is one.
    Advertise {
        /// The effective priority, or 0 on leaving.
        priority: Priority,
    },
    /// Hold all addresses: put them on the interface, join the solicited-node groups, let packets to them in if
    /// [`accept_mode`](crate::Parameters::accept_mode). Those that are there already stay.
    AddAddresses,
    /// Give up all addresses.
    RemoveAddresses,
    /// Hold this address too: it was added to the parameters of an active router.
    AddAddress(IpAddr),
    /// Give up this address: it is not in the parameters any more.
    RemoveAddress(IpAddr),
    /// Announce all addresses, one after the other, this many times around.
    Announce {
        /// How often each is announced.
        repeat: u8,
    },
    /// Announce this address this many times.
    AnnounceAddress {
        /// The address.
        address: IpAddr,
        /// How often.
        repeat: u8,
    },
    /// Something to tell; nothing to do.
    Event(Event),
}
