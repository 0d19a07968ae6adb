use core::fmt;

/// A version of VRRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a new version would be a new protocol")]
pub enum Version {
    /// VRRPv2, [RFC 3768](https://www.rfc-editor.org/rfc/rfc3768): IPv4 only, whole seconds.
    V2,
    /// VRRPv3, [RFC 9568](https://www.rfc-editor.org/rfc/rfc9568) and before it
    /// [RFC 5798](https://www.rfc-editor.org/rfc/rfc5798): IPv4 and IPv6, centiseconds.
    V3,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VRRPv{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn numbers_and_names() {
        assert_eq!((Version::V2.number(), Version::V3.number()), (2, 3));
        assert_eq!(Version::V3.to_string(), "VRRPv3");
    }
}
