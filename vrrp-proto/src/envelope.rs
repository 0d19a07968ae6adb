use core::net::IpAddr;
#[cfg(feature = "frames")]
use core::net::Ipv6Addr;

use crate::{AddressFamily, Error};

/// What the IP header around a message says, as far as VRRP asks: from where, to where, how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
}

impl Envelope {
    /// What a received packet's IP header said, or what a sent one's will say.
    ///
    /// # Errors
    ///
    /// [`Error::MixedFamilies`] if source and destination are of different families.
    pub const fn new(source: IpAddr, destination: IpAddr, hop_limit: u8) -> Result<Self, Error> {
        match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Ok(Self {
                source,
                destination,
                hop_limit,
            }),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Err(Error::MixedFamilies),
        }
    }

    /// An advertisement as it is usually sent: to the group of the source's family, with a hop limit of 255
    /// ([RFC 9568 §5.1]).
    ///
    /// [RFC 9568 §5.1]: https://www.rfc-editor.org/rfc/rfc9568#section-5.1
    pub const fn multicast(source: IpAddr) -> Self {
        Self {
            source,
            destination: AddressFamily::of(source).multicast_group(),
            hop_limit: 255,
        }
    }

    /// Both addresses of IPv6.
    #[cfg(feature = "frames")]
    pub(crate) const fn from_ipv6(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8) -> Self {
        Self {
            source: IpAddr::V6(source),
            destination: IpAddr::V6(destination),
            hop_limit,
        }
    }

    /// The sender's address.
    pub const fn source(&self) -> IpAddr {
        self.source
    }

    /// The receiver's address or group.
    pub const fn destination(&self) -> IpAddr {
        self.destination
    }

    /// IPv4's TTL or IPv6's hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// The family of both addresses.
    pub const fn family(&self) -> AddressFamily {
        AddressFamily::of(self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_not_mixed() {
        let four: IpAddr = "10.0.0.1".parse().unwrap();
        let six: IpAddr = "fe80::1".parse().unwrap();
        assert_eq!(Envelope::new(four, six, 255), Err(Error::MixedFamilies));
        assert_eq!(Envelope::new(six, four, 255), Err(Error::MixedFamilies));
        let envelope = Envelope::new(four, "10.0.0.2".parse().unwrap(), 7).unwrap();
        assert_eq!(envelope.source(), four);
        assert_eq!(envelope.destination(), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(envelope.hop_limit(), 7);
        assert_eq!(envelope.family(), AddressFamily::Ipv4);
    }

    /// RFC 9568 §5.1.1.2, §5.1.1.3, §5.1.2.2 and §5.1.2.3.
    #[test]
    fn multicast_goes_to_the_group_with_hop_limit_255() {
        for (source, group) in [("10.0.0.1", "224.0.0.18"), ("fe80::1", "ff02::12")] {
            let envelope = Envelope::multicast(source.parse().unwrap());
            assert_eq!(envelope.destination(), group.parse::<IpAddr>().unwrap());
            assert_eq!(envelope.hop_limit(), 255);
        }
    }
}
