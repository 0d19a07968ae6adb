use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which Internet Protocol carries the advertisements, and so which addresses they list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "VRRP knows these two")]
pub enum AddressFamily {
    /// Internet Protocol version 4.
    Ipv4,
    /// Internet Protocol version 6.
    Ipv6,
}

impl AddressFamily {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The group that advertisements go to, 224.0.0.18 or ff02::12 ([RFC 9568 §5.1]).
    ///
    /// [RFC 9568 §5.1]: https://www.rfc-editor.org/rfc/rfc9568#section-5.1
    pub const fn multicast_group(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(IPV4_GROUP),
            Self::Ipv6 => IpAddr::V6(IPV6_GROUP),
        }
    }

    /// The length of an address in bytes, 4 or 16.
    pub const fn address_len(self) -> usize {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 => 16,
        }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

pub(crate) const IPV4_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
pub(crate) const IPV6_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    /// RFC 9568 §5.1.1.2 and §5.1.2.2.
    #[test]
    fn groups_and_lengths() {
        for (family, group, length, name) in [
            (AddressFamily::Ipv4, "224.0.0.18", 4, "IPv4"),
            (AddressFamily::Ipv6, "ff02::12", 16, "IPv6"),
        ] {
            assert_eq!(family.multicast_group().to_string(), group);
            assert_eq!(AddressFamily::of(family.multicast_group()), family);
            assert_eq!(family.address_len(), length);
            assert_eq!(family.to_string(), name);
        }
    }
}
