use core::fmt;

/// How strongly a router wants to be active, 0 to 255 ([RFC 9568 §5.2.4]).
///
/// On the wire every value is legal. In a configuration 0 is not: it only ever says that the active router is leaving.
///
/// [RFC 9568 §5.2.4]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2.4
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The active router is leaving: somebody else take over.
    pub const RELEASE: Self = Self(0);
    /// What a backup router has when nothing else was said.
    pub const DEFAULT: Self = Self(100);
    /// The router that owns the addresses of the virtual router as its own.
    pub const OWNER: Self = Self(255);

    /// The priority with this value.
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// The value, 0 to 255.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the address owner's 255.
    pub const fn is_owner(self) -> bool {
        self.0 == Self::OWNER.0
    }

    /// Whether this is the 0 of a router that is leaving.
    pub const fn is_release(self) -> bool {
        self.0 == Self::RELEASE.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl From<u8> for Priority {
    fn from(value: u8) -> Self {
        Self(value)
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9568 §5.2.4: 255 is the owner, 1 to 254 back up (100 unless configured), 0 leaves.
    #[test]
    fn each_value_has_its_meaning() {
        for value in 0..=255 {
            let priority = Priority::new(value);
            assert_eq!(priority.get(), value);
            assert_eq!(u8::from(priority), value);
            assert_eq!(Priority::from(value), priority);
            assert_eq!(priority.is_owner(), value == 255);
            assert_eq!(priority.is_release(), value == 0);
            assert_eq!(std::format!("{priority}"), std::format!("{value}"));
        }
        assert_eq!(Priority::default().get(), 100);
        assert!(Priority::OWNER.is_owner());
        assert!(Priority::RELEASE.is_release());
        assert!(Priority::new(101) > Priority::DEFAULT);
    }
}
