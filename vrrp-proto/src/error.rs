use core::net::Ipv6Addr;

use crate::{AdverInterval, Version};

/// Why something was refused: bytes on reading, values on building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The TTL or hop limit is outside what is accepted: the message may come from beyond the link (R1).
    #[error("ttl or hop limit {0} is not accepted: 255 proves that no router was crossed")]
    HopLimit(u8),
    /// Neither VRRPv2 nor VRRPv3 (R2).
    #[error("version {0} is neither 2 nor 3")]
    Version(u8),
    /// Not an advertisement, the only type there is (R3).
    #[error("type {0} is not 1, an advertisement")]
    Type(u8),
    /// Fewer bytes than the header announces, or than a header has (R4).
    #[error("{actual} bytes, but {needed} are needed")]
    TooShort {
        /// How many bytes there should be.
        needed: usize,
        /// How many there are.
        actual: usize,
    },
    /// More bytes than the header announces (R4).
    #[error("{actual} bytes, but the header announces {expected}")]
    TooLong {
        /// How many bytes there should be.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// The checksum covers other bytes than these, in every accepted form (R5).
    #[error("checksum {found:#06x} does not match, {expected:#06x} would")]
    Checksum {
        /// The checksum in the message.
        found: u16,
        /// The checksum that the first accepted form computes.
        expected: u16,
    },
    /// A VRID of 0.
    #[error("a vrid is 1 to 255, not 0")]
    Vrid,
    /// No address at all (R11).
    #[error("no address is listed")]
    NoAddress,
    /// An interval of 0 (R12).
    #[error("the advertisement interval is 0")]
    NoInterval,
    /// The first IPv6 address is not link-local (R13).
    #[error("the first address {0} is not link-local")]
    NotLinkLocal(Ipv6Addr),
    /// Authenticated by an IP Authentication Header, which is recognised and not supported.
    #[error("authenticated by an ip authentication header, which is not supported")]
    AuthenticationHeader,
    /// An authentication type that VRRPv2 does not know.
    #[error("authentication type {0} is unknown")]
    AuthenticationType(u8),
    /// VRRPv2 knows IPv4 only.
    #[error("version 2 does not exist over ipv6")]
    Version2OverIpv6,
    /// Addresses of both families where one is needed (W10).
    #[error("ipv4 and ipv6 addresses are mixed")]
    MixedFamilies,

    /// A frame that carries something else.
    #[error("ethernet type {0:#06x} is not the one expected")]
    EtherType(u16),
    /// More VLAN tags than two.
    #[error("more than two vlan tags")]
    TooManyTags,
    /// An IP header that is none, or of another version than the frame says.
    #[error("the ip header is malformed")]
    IpHeader,
    /// The checksum of an IPv4 header covers other bytes than these.
    #[error("ip header checksum {found:#06x} does not match, {expected:#06x} would")]
    IpChecksum {
        /// The checksum in the header.
        found: u16,
        /// The checksum that it should have.
        expected: u16,
    },
    /// A part of a packet; the advertisements of VRRP are never so long that they come in parts.
    #[error("a fragment of an ip packet")]
    Fragment,
    /// An IP packet that carries something else.
    #[error("ip protocol {0} is not the one expected")]
    Protocol(u8),
    /// An ARP packet that is not a gratuitous one of IPv4 on Ethernet.
    #[error("not a gratuitous arp")]
    Arp,
    /// An ICMPv6 message that is not an unsolicited neighbour advertisement with a link-layer address.
    #[error("not an unsolicited neighbour advertisement with a link-layer address")]
    NeighborAdvertisement,
    /// A group, or the unspecified address, where a neighbour is to be announced.
    #[error("{0} is not the address of one station")]
    NotUnicast(Ipv6Addr),

    /// Something behind a message that has the length of an `auth_hmac` trailer and not its form.
    #[error("the trailer is malformed")]
    Trailer,
    /// A trailer made with a key that is not known.
    #[error("key {0} is not known")]
    UnknownKey(u8),
    /// A trailer that was not made with the key that it names.
    #[error("the trailer is forged")]
    Forged,
    /// A trailer whose time is too far from ours.
    #[error("the trailer is {behind} seconds behind our clock")]
    Stale {
        /// How many seconds it is behind; negative if it is ahead.
        behind: i32,
    },
    /// A trailer that was accepted before, or overtaken by one that was.
    #[error("the trailer was used before")]
    Replayed,

    /// More addresses than the count field can say.
    #[error("{0} addresses, but an advertisement lists at most 255")]
    TooManyAddresses(usize),
    /// An interval that the version cannot say.
    #[error("an interval of {interval} does not fit into {version}")]
    Interval {
        /// The version.
        version: Version,
        /// The interval.
        interval: AdverInterval,
    },
    /// The buffer does not take what is to be written.
    #[error("a buffer of {actual} bytes, but {needed} are needed")]
    BufferTooSmall {
        /// How many bytes are written.
        needed: usize,
        /// How many fit.
        actual: usize,
    },
    /// A key under the number 0.
    #[error("the number of a key is 1 to 255, not 0")]
    KeyId,
    /// A key too short to be secure or longer than a block of the hash.
    #[error("a key of {0} bytes is not one of 32 to 64")]
    KeyLength(usize),
    /// An iterator over addresses that gave others the second time.
    #[error("the addresses are not those that were checked")]
    AddressesChanged,
}

/// The part of a received message that was found wanting: what a counter counts and a log names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The TTL or hop limit of the IP header (R1).
    HopLimit,
    /// The version (R2).
    Version,
    /// The type (R3).
    Type,
    /// The length of the whole (R4).
    Length,
    /// The checksum (R5).
    Checksum,
    /// The VRID (R6).
    Vrid,
    /// The authentication type (R8), or the trailer.
    Authentication,
    /// The interval (R12).
    Interval,
    /// The number of addresses (R11).
    Count,
    /// The addresses (R13, W10).
    Addresses,
    /// What carries the message: the frame or the IP packet.
    Carrier,
}

impl Error {
    /// The field of a received message that this names, or `None` where nothing was received.
    pub const fn field(&self) -> Option<Field> {
        Some(match self {
            Self::HopLimit(_) => Field::HopLimit,
            Self::Version(_) | Self::Version2OverIpv6 => Field::Version,
            Self::Type(_) => Field::Type,
            Self::TooShort { .. } | Self::TooLong { .. } => Field::Length,
            Self::Checksum { .. } => Field::Checksum,
            Self::Vrid => Field::Vrid,
            Self::NoAddress => Field::Count,
            Self::NoInterval => Field::Interval,
            Self::NotLinkLocal(_) | Self::MixedFamilies => Field::Addresses,
            Self::AuthenticationHeader
            | Self::AuthenticationType(_)
            | Self::Trailer
            | Self::UnknownKey(_)
            | Self::Forged
            | Self::Stale { .. }
            | Self::Replayed => Field::Authentication,
            Self::EtherType(_)
            | Self::TooManyTags
            | Self::IpHeader
            | Self::IpChecksum { .. }
            | Self::Fragment
            | Self::Protocol(_)
            | Self::Arp
            | Self::NeighborAdvertisement
            | Self::NotUnicast(_) => Field::Carrier,
            Self::TooManyAddresses(_)
            | Self::Interval { .. }
            | Self::BufferTooSmall { .. }
            | Self::KeyId
            | Self::KeyLength(_)
            | Self::AddressesChanged => return None,
        })
    }
}
