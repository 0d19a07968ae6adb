use core::net::IpAddr;

use vrrp_proto::{AddressFamily, AdverInterval, Version, Vrid};

use crate::InterfaceId;

/// What cannot be configured.
///
/// Nothing that comes from the network is an error: it ends in a new state, an output or a
/// [`Discard`](crate::Discard).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A virtual router without an address.
    #[error("a virtual router needs at least one address")]
    NoAddress,
    /// More addresses than an advertisement can list.
    #[error("{0} addresses, but an advertisement lists at most 255")]
    TooManyAddresses(usize),
    /// Addresses of both families.
    #[error("{address} is not {family} like the addresses before it")]
    MixedFamilies {
        /// The first address that does not fit.
        address: IpAddr,
        /// The family of the others.
        family: AddressFamily,
    },
    /// The same address twice.
    #[error("{0} is listed twice")]
    DuplicateAddress(IpAddr),
    /// The first IPv6 address is not link-local (RFC 9568 §5.2.9).
    #[error("the first IPv6 address must be link-local, and {0} is not")]
    NotLinkLocal(IpAddr),
    /// Priority 0 is what a leaving router says.
    #[error("priority 0 is not a priority to be configured: 1 to 255 are")]
    PriorityZero,
    /// VRRPv2 has whole seconds, VRRPv3 at most 40.95 s.
    #[error("{version} cannot say an interval of {interval}")]
    Interval {
        /// The version.
        version: Version,
        /// The interval.
        interval: AdverInterval,
    },
    /// VRRPv2 is for IPv4 only.
    #[error("VRRPv2 is for IPv4 only")]
    Version2OverIpv6,
    /// A password, which only VRRPv2 carries.
    #[error("a password needs VRRPv2")]
    PasswordOverVersion3,
    /// The multiplier of the down interval is out of range.
    #[error("down_timer_adverts is 1 to 100, not {0}")]
    DownTimerAdverts(u8),
    /// A weight is out of range.
    #[error("a weight is -254 to 254, not {0}")]
    Weight(i16),
    /// The same object is tracked twice by one virtual router.
    #[error("{0} is tracked twice")]
    DuplicateTrack(crate::TrackId),
    /// A unicast peer of the other family.
    #[error("the unicast peer {0} is of the other family")]
    PeerFamily(IpAddr),
    /// The same unicast peer twice.
    #[error("the unicast peer {0} is listed twice")]
    DuplicatePeer(IpAddr),
    /// The group to send to is not a multicast address of the family.
    #[error("{0} is not a multicast group of the family")]
    Group(IpAddr),
    /// The first block of announcements has at least one.
    #[error("at least one announcement is needed on becoming active")]
    NoAnnouncement,
    /// The VRID is in use on this interface, for this family, and towards the same peers.
    #[error("vrid {vrid} ({family}) is already in use on interface {interface}")]
    DuplicateVrid {
        /// The interface.
        interface: InterfaceId,
        /// The family.
        family: AddressFamily,
        /// The VRID.
        vrid: Vrid,
    },
    /// No virtual router has this identifier (any more).
    #[error("no such virtual router")]
    UnknownRouter,
    /// A virtual router has to be shut down, and its outputs carried out, before it is removed.
    #[error("the virtual router is still running")]
    StillRunning,
    /// A change of identity is not a change of parameters: remove the virtual router and add another.
    #[error("the vrid or the family cannot change: remove the virtual router and add another")]
    IdentityChanged,
    /// A virtual router belongs to one sync group at most.
    #[error("the virtual router is in a sync group already")]
    AlreadyGrouped,
    /// No sync group has this identifier (any more).
    #[error("no such sync group")]
    UnknownGroup,
    /// Two keys of one number.
    #[error("two keys have the number {0}")]
    DuplicateKey(u8),
    /// No key of this number.
    #[error("no key has the number {0}")]
    NoSuchKey(u8),
    /// More virtual routers than there are identifiers.
    #[error("too many virtual routers")]
    TooManyRouters,
}
