//! The kernel's hash functions of addresses and ports.

use core::net::IpAddr;

/// An address as one word: an IPv4 address itself, the four words of an IPv6 address xored.
#[inline]
pub(crate) fn address_key(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
        }
    }
}

/// The `bits` high bits of a product with the golden ratio: the kernel's `hash_32`.
#[inline]
pub(crate) const fn golden(key: u32, bits: u8) -> u32 {
    key.wrapping_mul(GOLDEN_RATIO) >> (32 - bits)
}

/// SipHash-1-3 of the four little-endian bytes of `word` under a key that is `key` twice, its low half: what `mh`
/// calls `hsiphash` on a 64-bit kernel.
#[inline]
pub(crate) const fn sip(word: u32, key: u64) -> u32 {
    let mut state = [
        key ^ 0x736f_6d65_7073_6575,
        key ^ 0x646f_7261_6e64_6f6d,
        key ^ 0x6c79_6765_6e65_7261,
        key ^ 0x7465_6462_7974_6573,
    ];
    // The only block: the length above the message.
    let block = (4 << 56) | word as u64;
    state[3] ^= block;
    state = round(state);
    state[0] ^= block;
    state[2] ^= 0xff;
    state = round(round(round(state)));
    (state[0] ^ state[1] ^ state[2] ^ state[3]) as u32
}

/// `mh`'s first key: places of back ends and flows.
pub(crate) const MH_KEY_1: u64 = 2_654_435_761;
/// `mh`'s second key: the step of a back end through the table.
pub(crate) const MH_KEY_2: u64 = 2_654_446_892;

const GOLDEN_RATIO: u32 = 0x61C8_8647;

#[inline]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;
    use core::net::{Ipv4Addr, Ipv6Addr};

    use siphasher::sip::SipHasher13;

    use super::*;

    #[test]
    fn sip_is_siphash_1_3_of_four_bytes() {
        for key in [MH_KEY_1, MH_KEY_2, 0, u64::MAX] {
            for word in [0, 1, 0x0a00_0001, u32::MAX, 0xdead_beef] {
                let mut hasher = SipHasher13::new_with_keys(key, key);
                hasher.write(&word.to_le_bytes());
                assert_eq!(sip(word, key), hasher.finish() as u32);
            }
        }
        assert_eq!(sip(0, MH_KEY_1), 0x1d5a_77c2);
    }

    /// Slots that the kernel's tables gave for these keys (256 slots, 1024 chains, 4093 slots).
    #[test]
    fn known_slots() {
        let first = address_key(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(golden(first, 8), 39);
        assert_eq!(golden(first.wrapping_add(40_000), 8), 203);
        assert_eq!(golden(first, 10), 159);
        assert_eq!(sip(first, MH_KEY_1) % 4093, 3711);
        assert_eq!(sip(first.wrapping_add(40_000), MH_KEY_1) % 4093, 2940);
        let second = address_key(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)));
        assert_eq!(golden(second, 8), 162);
        assert_eq!(golden(second.wrapping_add(40_000), 8), 70);
        assert_eq!(golden(second, 10), 651);
        assert_eq!(sip(second, MH_KEY_1) % 4093, 403);
        let third = address_key(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
        assert_eq!(third, 0x2001_0db9);
        assert_eq!(golden(third, 8), 63);
        assert_eq!(sip(third, MH_KEY_1) % 4093, 3457);
    }
}
