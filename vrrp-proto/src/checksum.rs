use core::net::IpAddr;

use crate::Envelope;
use crate::family::IPV4_GROUP;

/// What the checksum of a VRRPv3 advertisement over IPv4 covers: the standards disagree, and so do the routers.
///
/// VRRPv2 and VRRPv3 over IPv6 have one form each and ignore this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumForm {
    /// The message and a pseudo-header of the IPv4 addresses, as [RFC 5798 §5.2.8] is read by keepalived and FRR.
    ///
    /// Both refuse the other form, which leaves two routers active for good; so this is the default.
    ///
    /// [RFC 5798 §5.2.8]: https://www.rfc-editor.org/rfc/rfc5798#section-5.2.8
    #[default]
    Rfc5798,
    /// The message alone, as [RFC 9568 §5.2.8] says. Cisco and Juniper send it; keepalived does with
    /// `v3_checksum_as_v2`.
    ///
    /// [RFC 9568 §5.2.8]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2.8
    Rfc9568,
    /// [`Rfc5798`](Self::Rfc5798), but with the group 224.0.0.18 in the pseudo-header of a message to a unicast
    /// address: keepalived up to 1.3.6, and later ones with `old_unicast_checksum`.
    OldUnicast,
}

impl ChecksumForm {
    /// What this form adds to the sum of a message of `length` bytes. IPv6 only has [`Rfc5798`](Self::Rfc5798).
    #[inline]
    pub(crate) fn pseudo_header(self, envelope: &Envelope, length: usize) -> Sum {
        match self {
            Self::Rfc5798 => Sum::pseudo_header(envelope.source(), envelope.destination(), VRRP, length),
            Self::Rfc9568 => Sum::default(),
            Self::OldUnicast => Sum::pseudo_header(envelope.source(), IPV4_GROUP.into(), VRRP, length),
        }
    }
}

/// A sum of 16-bit words that becomes an Internet checksum ([RFC 1071]).
///
/// It takes words of 32 bits: 2^16 is 1 in one's complement arithmetic of 16 bits, so folding at the end gives the same.
///
/// [RFC 1071]: https://www.rfc-editor.org/rfc/rfc1071
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// The pseudo-header of IPv4 ([RFC 768]) or IPv6 ([RFC 8200 §8.1]), which sum alike: addresses, protocol, length.
    ///
    /// [RFC 768]: https://www.rfc-editor.org/rfc/rfc768
    /// [RFC 8200 §8.1]: https://www.rfc-editor.org/rfc/rfc8200#section-8.1
    #[inline]
    pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let sum = Self(u64::from(protocol) + length as u64);
        sum.address(source).address(destination)
    }

    #[inline]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let word = |word: &[u8; 4]| u64::from(u32::from_be_bytes(*word));
        // No message is long enough to fill the other 32 bits of the sum: an IP packet has at most 2^14 such words.
        Self(self.0 + words.iter().map(word).sum::<u64>() + word(&last))
    }

    #[inline]
    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(self.0 + u64::from(u32::from(address))),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    #[inline]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Without a word that was added: its complement is added.
    #[inline]
    pub(crate) const fn minus(self, word: u16) -> Self {
        Self(self.0 + !word as u64)
    }

    /// The checksum over everything added. Where the checksum itself was among it, 0 means that it is right.
    #[inline]
    pub(crate) const fn checksum(self) -> u16 {
        let mut sum = self.0;
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        let [.., high, low] = sum.to_be_bytes();
        !u16::from_be_bytes([high, low])
    }
}

/// The number of VRRP among the protocols over IP.
pub(crate) const VRRP: u8 = 112;

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 1071 words it, 16 bits at a time.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    /// The example of RFC 1071 §3.
    #[test]
    fn the_example_of_the_standard() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&bytes).checksum(), !0xddf2);
    }

    #[test]
    fn four_bytes_at_a_time_is_two_bytes_at_a_time() {
        let mut state = 1u32;
        let mut bytes = [0; 64];
        for round in 0..200 {
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = if round % 3 == 0 { 0xff } else { (state >> 24) as u8 };
            }
            for length in 0..=bytes.len() {
                let bytes = &bytes[..length];
                assert_eq!(Sum::default().bytes(bytes).checksum(), plain(bytes));
            }
        }
    }

    #[test]
    fn carries_are_folded_to_the_end() {
        for value in [
            0,
            1,
            0xffff,
            0x1_0000,
            0xffff_ffff,
            0x1_0000_0000,
            u64::MAX,
            u64::MAX - 1,
        ] {
            let expected = if value == 0 { 0 } else { (value - 1) % 0xffff + 1 };
            assert_eq!(u64::from(!Sum(value).checksum()), expected, "{value:#x}");
        }
    }

    #[test]
    fn taking_a_word_away() {
        let sum = Sum::default().bytes(&[0x12, 0x34, 0xab, 0xcd]);
        assert_eq!(sum.minus(0xabcd).checksum(), !0x1234);
        assert_eq!(
            sum.plus(Sum(1)).checksum(),
            Sum::default().bytes(&[0x12, 0x35, 0xab, 0xcd]).checksum()
        );
    }

    /// RFC 8200 §8.1: source, destination, length, three zero bytes, next header.
    #[test]
    fn the_pseudo_headers() {
        let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1];
        let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&source);
        bytes[16..32].copy_from_slice(&group);
        bytes[35] = 40;
        bytes[39] = 112;
        assert_eq!(
            Sum::pseudo_header(source.into(), group.into(), 112, 40).checksum(),
            plain(&bytes)
        );

        let bytes = [10, 0, 0, 1, 224, 0, 0, 18, 0, 112, 0, 12];
        let sum = Sum::pseudo_header([10, 0, 0, 1].into(), [224, 0, 0, 18].into(), 112, 12);
        assert_eq!(sum.checksum(), plain(&bytes));
    }
}
