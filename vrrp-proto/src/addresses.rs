use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::slice;

use crate::AddressFamily;

/// The addresses that a received advertisement lists, in its order: an iterator over its bytes.
#[derive(Clone)]
pub struct Addresses<'a>(Bytes<'a>);

#[derive(Clone)]
enum Bytes<'a> {
    Ipv4(slice::Iter<'a, [u8; 4]>),
    Ipv6(slice::Iter<'a, [u8; 16]>),
}

impl<'a> Addresses<'a> {
    /// The whole addresses in these bytes.
    #[inline]
    pub(crate) fn new(family: AddressFamily, bytes: &'a [u8]) -> Self {
        Self(match family {
            AddressFamily::Ipv4 => Bytes::Ipv4(bytes.as_chunks().0.iter()),
            AddressFamily::Ipv6 => Bytes::Ipv6(bytes.as_chunks().0.iter()),
        })
    }

    /// The family of all of them.
    pub const fn family(&self) -> AddressFamily {
        match self.0 {
            Bytes::Ipv4(_) => AddressFamily::Ipv4,
            Bytes::Ipv6(_) => AddressFamily::Ipv6,
        }
    }
}

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    #[inline]
    fn next(&mut self) -> Option<IpAddr> {
        match &mut self.0 {
            Bytes::Ipv4(octets) => Some(Ipv4Addr::from(*octets.next()?).into()),
            Bytes::Ipv6(octets) => Some(Ipv6Addr::from(*octets.next()?).into()),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Bytes::Ipv4(octets) => octets.size_hint(),
            Bytes::Ipv6(octets) => octets.size_hint(),
        }
    }
}

impl ExactSizeIterator for Addresses<'_> {}

/// The same addresses in the same order.
impl PartialEq for Addresses<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.family() == other.family() && self.clone().eq(other.clone())
    }
}

impl Eq for Addresses<'_> {}

impl fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn bytes_are_addresses_in_order() {
        let addresses = Addresses::new(AddressFamily::Ipv4, &[10, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses.family(), AddressFamily::Ipv4);
        assert_eq!(std::format!("{addresses:?}"), "[10.0.0.1, 10.0.0.2]");
        let all: Vec<IpAddr> = addresses.collect();
        assert_eq!(all, [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);

        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&[0xfe, 0x80]);
        let mut addresses = Addresses::new(AddressFamily::Ipv6, &bytes);
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses.family(), AddressFamily::Ipv6);
        assert_eq!(addresses.next(), Some("fe80::".parse().unwrap()));
        assert_eq!(addresses.len(), 1);
        assert_eq!(addresses.next(), Some("::".parse().unwrap()));
        assert_eq!(addresses.next(), None);
    }

    #[test]
    fn equal_means_the_same_family_and_addresses() {
        let of = Addresses::new;
        let zeros = [0; 16];
        assert_eq!(of(AddressFamily::Ipv4, &zeros), of(AddressFamily::Ipv4, &zeros));
        assert_ne!(of(AddressFamily::Ipv4, &[]), of(AddressFamily::Ipv6, &[]));
        assert_ne!(
            of(AddressFamily::Ipv4, &zeros[..4]),
            of(AddressFamily::Ipv4, &zeros[..8])
        );
        assert_ne!(of(AddressFamily::Ipv4, &[1; 4]), of(AddressFamily::Ipv4, &[2; 4]));
    }
}
