use core::fmt;
use core::net::IpAddr;

use crate::{AddressFamily, Vrid};

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Every station on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The virtual router's own address, `00:00:5e:00:01:{vrid}` for IPv4, `00:00:5e:00:02:{vrid}` for IPv6
    /// ([RFC 9568 §7.3]).
    ///
    /// [RFC 9568 §7.3]: https://www.rfc-editor.org/rfc/rfc9568#section-7.3
    pub const fn virtual_router(family: AddressFamily, vrid: Vrid) -> Self {
        let family = match family {
            AddressFamily::Ipv4 => 1,
            AddressFamily::Ipv6 => 2,
        };
        Self([0x00, 0x00, 0x5e, 0x00, family, vrid.get()])
    }

    /// Which virtual router this address belongs to, if it is the address of one.
    pub const fn as_virtual_router(self) -> Option<(AddressFamily, Vrid)> {
        let (family, number) = match self.0 {
            [0x00, 0x00, 0x5e, 0x00, 0x01, number] => (AddressFamily::Ipv4, number),
            [0x00, 0x00, 0x5e, 0x00, 0x02, number] => (AddressFamily::Ipv6, number),
            _ => return None,
        };
        match Vrid::new(number) {
            Some(vrid) => Some((family, vrid)),
            None => None,
        }
    }

    /// Where Ethernet sends packets for a multicast group ([RFC 1112 §6.4], [RFC 2464 §7]); `None` if the address is
    /// not a group.
    ///
    /// [RFC 1112 §6.4]: https://www.rfc-editor.org/rfc/rfc1112#section-6.4
    /// [RFC 2464 §7]: https://www.rfc-editor.org/rfc/rfc2464#section-7
    pub const fn multicast(group: IpAddr) -> Option<Self> {
        match group {
            IpAddr::V4(group) if group.is_multicast() => {
                let [_, b, c, d] = group.octets();
                Some(Self([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
            }
            IpAddr::V6(group) if group.is_multicast() => {
                let [.., a, b, c, d] = group.octets();
                Some(Self([0x33, 0x33, a, b, c, d]))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }

    /// The six bytes, as they stand on the wire.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl From<[u8; 6]> for MacAddress {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl From<MacAddress> for [u8; 6] {
    fn from(address: MacAddress) -> Self {
        address.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    /// RFC 9568 §7.3.
    #[test]
    fn of_a_virtual_router_and_back() {
        for number in 1..=255 {
            let vrid = Vrid::new(number).unwrap();
            for (family, fifth) in [(AddressFamily::Ipv4, 1), (AddressFamily::Ipv6, 2)] {
                let mac = MacAddress::virtual_router(family, vrid);
                assert_eq!(mac, MacAddress([0, 0, 0x5e, 0, fifth, number]));
                assert_eq!(mac.as_virtual_router(), Some((family, vrid)));
                assert_eq!(MacAddress::from(<[u8; 6]>::from(mac)), mac);
                assert_eq!(mac.octets(), mac.0);
            }
        }
        assert_eq!(MacAddress([0, 0, 0x5e, 0, 1, 0]).as_virtual_router(), None);
        assert_eq!(MacAddress([0, 0, 0x5e, 0, 3, 1]).as_virtual_router(), None);
        assert_eq!(MacAddress([2, 0, 0x5e, 0, 1, 1]).as_virtual_router(), None);
    }

    /// RFC 9568 §5.1: the groups of VRRP on Ethernet.
    #[test]
    fn of_a_group() {
        let of = |group: &str| MacAddress::multicast(group.parse().unwrap()).map(|mac| mac.to_string());
        assert_eq!(of("224.0.0.18").as_deref(), Some("01:00:5e:00:00:12"));
        assert_eq!(of("239.129.2.3").as_deref(), Some("01:00:5e:01:02:03"));
        assert_eq!(of("ff02::12").as_deref(), Some("33:33:00:00:00:12"));
        assert_eq!(of("ff02::1:ff01:203").as_deref(), Some("33:33:ff:01:02:03"));
        assert_eq!(of("10.0.0.1"), None);
        assert_eq!(of("fe80::1"), None);
    }
}
