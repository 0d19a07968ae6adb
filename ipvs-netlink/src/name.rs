use std::fmt;
use std::str::FromStr;

/// A short name as the kernel keeps them: 1 to `MAX` bytes, without blanks, control characters or slashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name<const MAX: usize> {
    bytes: [u8; ROOM],
    length: u8,
}

/// The name of a scheduler, at most 15 bytes.
pub type SchedulerName = Name<15>;
/// The name of a persistence engine (`sip`), at most 15 bytes.
pub type EngineName = Name<15>;
/// The name of a network interface, at most 15 bytes.
pub type InterfaceName = Name<15>;

/// A text that cannot be such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 15 bytes, without blanks, control characters or slashes")]
#[non_exhaustive]
pub struct InvalidName;

impl<const MAX: usize> Name<MAX> {
    /// The name, if the text can be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX.min(ROOM - 1)).contains(&text.len());
        let clean = !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '/');
        let mut bytes = [0; ROOM];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).ok()?;
        (fits && clean).then_some(Self { bytes, length })
    }

    /// A name known to be one.
    pub(crate) const fn constant(bytes: [u8; ROOM], length: u8) -> Self {
        Self { bytes, length }
    }

    /// The bytes of the text and the NUL that the kernel wants after them.
    pub(crate) fn with_nul(&self) -> &[u8] {
        self.bytes.get(..=usize::from(self.length)).unwrap_or(&[0])
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or(&[]);
        // Always the bytes of a text.
        std::str::from_utf8(bytes).unwrap_or("")
    }
}

impl<const MAX: usize> FromStr for Name<MAX> {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text).ok_or(InvalidName)
    }
}

impl<const MAX: usize> fmt::Display for Name<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const MAX: usize> fmt::Debug for Name<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

const ROOM: usize = 16;

#[cfg(test)]
mod tests {
    use super::SchedulerName;

    #[test]
    fn names_are_short_and_clean() {
        assert_eq!(SchedulerName::new("wlc").unwrap().as_str(), "wlc");
        for bad in ["", "a b", "a/b", "1234567890123456", "a\0"] {
            assert!(SchedulerName::new(bad).is_none(), "{bad:?}");
        }
        assert!("123456789012345".parse::<SchedulerName>().is_ok());
        assert!("1234567890123456".parse::<SchedulerName>().is_err());
    }
}
