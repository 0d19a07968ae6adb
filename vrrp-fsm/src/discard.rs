use core::fmt;
use core::net::IpAddr;

use vrrp_proto::{AdverInterval, Field, Version, Vrid};

use crate::RouterId;

/// A packet that was not taken in: nothing changed but a counter, so it is safe to ignore this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The virtual router that it was for, as far as that could be told.
    pub router: Option<RouterId>,
    /// What was wrong with it.
    pub reason: DiscardReason,
    /// Whether this reason is the first of its kind for the virtual router in a minute, and so worth a line in a log
    /// ([RFC 9568 §7.1] asks for logging at a limited rate).
    ///
    /// [RFC 9568 §7.1]: https://www.rfc-editor.org/rfc/rfc9568#section-7.1
    pub is_news: bool,
}

/// What was wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscardReason {
    /// It is not a well-formed advertisement (R1 to R5, R11 to R13).
    Malformed(vrrp_proto::Error),
    /// No virtual router has this VRID on the interface and in the family (R6).
    UnknownVrid(Vrid),
    /// The virtual router is in Initialize.
    NotRunning,
    /// Multicast where unicast is configured or the other way round, or another group.
    Destination(IpAddr),
    /// Unicast from somebody who is no peer.
    NotAPeer(IpAddr),
    /// The other version than the configured one (R2).
    Version {
        /// The version of the packet.
        received: Version,
        /// The configured one.
        expected: Version,
    },
    /// Another type of authentication than the configured one, or another password (R8).
    Authentication,
    /// Not signed, and all have to be (`auth_hmac`).
    NotSigned,
    /// Signed, and its time cannot be checked as nobody told ours.
    NoWallClock,
    /// We own the addresses, and are configured not to listen (R7).
    Owner,
    /// VRRPv2, and another interval than ours (R9).
    AdverInterval {
        /// The interval of the packet.
        received: AdverInterval,
        /// Ours.
        expected: AdverInterval,
    },
    /// Other addresses than ours, which is configured to be a reason (R10).
    AddressList,
}

impl Discard {
    /// The part of the packet that was found wanting; `None` when nothing is wrong with the packet.
    pub const fn field(&self) -> Option<Field> {
        match &self.reason {
            DiscardReason::Malformed(error) => error.field(),
            DiscardReason::UnknownVrid(_) => Some(Field::Vrid),
            DiscardReason::Version { .. } => Some(Field::Version),
            DiscardReason::Authentication | DiscardReason::NotSigned => Some(Field::Authentication),
            DiscardReason::AdverInterval { .. } => Some(Field::Interval),
            DiscardReason::AddressList => Some(Field::Addresses),
            DiscardReason::NotRunning
            | DiscardReason::Destination(_)
            | DiscardReason::NotAPeer(_)
            | DiscardReason::NoWallClock
            | DiscardReason::Owner => None,
        }
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)
    }
}

impl core::error::Error for Discard {}

impl DiscardReason {
    /// A number below 32 for each kind.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Self::Malformed(error) => match error.field() {
                Some(Field::HopLimit) => 0,
                Some(Field::Version) => 1,
                Some(Field::Type) => 2,
                Some(Field::Length) => 3,
                Some(Field::Checksum) => 4,
                Some(Field::Vrid) => 5,
                Some(Field::Authentication) => 6,
                Some(Field::Interval) => 7,
                Some(Field::Count) => 8,
                Some(Field::Addresses) => 9,
                _ => 10,
            },
            Self::UnknownVrid(_) => 11,
            Self::NotRunning => 12,
            Self::Destination(_) => 13,
            Self::NotAPeer(_) => 14,
            Self::Version { .. } => 15,
            Self::Authentication => 16,
            Self::Owner => 17,
            Self::AdverInterval { .. } => 18,
            Self::AddressList => 19,
            Self::NotSigned => 20,
            Self::NoWallClock => 21,
        }
    }
}

impl fmt::Display for DiscardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "{error}"),
            Self::UnknownVrid(vrid) => write!(f, "no virtual router {vrid} here"),
            Self::NotRunning => f.write_str("the virtual router is not running"),
            Self::Destination(address) => write!(f, "sent to {address}, which is not what is configured"),
            Self::NotAPeer(address) => write!(f, "{address} is not a peer"),
            Self::Version { received, expected } => write!(f, "{received}, but {expected} is configured"),
            Self::Authentication => f.write_str("the authentication is not what is configured"),
            Self::NotSigned => f.write_str("not signed, and all advertisements have to be"),
            Self::NoWallClock => f.write_str("signed, but we do not know the time of the day"),
            Self::Owner => f.write_str("we own the addresses and do not listen"),
            Self::AdverInterval { received, expected } => {
                write!(
                    f,
                    "an interval of {received}, but {expected} is configured, and VRRPv2 wants them equal"
                )
            }
            Self::AddressList => f.write_str("other addresses than configured"),
        }
    }
}
