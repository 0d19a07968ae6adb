use core::fmt;

/// How a VRRPv2 advertisement says who sent it ([RFC 2338 §5.3.6]; [RFC 3768 §5.3.6] keeps the first only).
///
/// VRRPv3 has none; its advertisements read as [`None`](Self::None).
///
/// [RFC 2338 §5.3.6]: https://www.rfc-editor.org/rfc/rfc2338#section-5.3.6
/// [RFC 3768 §5.3.6]: https://www.rfc-editor.org/rfc/rfc3768#section-5.3.6
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// A password that everybody on the link can read; keepalived's `auth_type PASS`.
    SimplePassword(Password),
}

/// The eight bytes of a simple password.
///
/// Equality takes the same time wherever the bytes differ, and `Debug` does not show them.
#[derive(Clone, Copy)]
pub struct Password([u8; 8]);

impl Password {
    /// How many bytes count.
    pub const LEN: usize = 8;

    /// The first eight bytes of `text`, padded with zeros. What comes after them is ignored, as keepalived does, so two
    /// routers whose passwords begin alike understand each other.
    pub fn truncating(text: &[u8]) -> Self {
        let mut bytes = [0; Self::LEN];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The bytes on the wire.
    pub const fn octets(&self) -> [u8; Self::LEN] {
        self.0
    }
}

impl From<[u8; 8]> for Password {
    fn from(octets: [u8; 8]) -> Self {
        Self(octets)
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        // One comparison of one integer: there is no first difference to stop at.
        u64::from_ne_bytes(self.0) ^ u64::from_ne_bytes(other.0) == 0
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_eight_bytes() {
        assert_eq!(Password::truncating(b"s3cr").octets(), *b"s3cr\0\0\0\0");
        assert_eq!(Password::truncating(b"").octets(), [0; 8]);
        assert_eq!(Password::truncating(b"12345678").octets(), *b"12345678");
        assert_eq!(
            Password::truncating(b"123456789"),
            Password::truncating(b"12345678abc")
        );
        assert_eq!(Password::from(*b"12345678"), Password::truncating(b"12345678"));
        for byte in 0..8 {
            let mut other = *b"12345678";
            other[byte] ^= 0x80;
            assert_ne!(Password::from(other), Password::truncating(b"12345678"));
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = std::format!(
            "{:?}",
            Authentication::SimplePassword(Password::truncating(b"s3cr"))
        );
        assert_eq!(shown, "SimplePassword(Password(..))");
    }
}
