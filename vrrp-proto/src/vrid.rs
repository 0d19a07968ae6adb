use core::fmt;
use core::num::NonZeroU8;

use crate::Error;

/// The number of a virtual router on its link, 1 to 255 ([RFC 9568 §5.2.3]).
///
/// Virtual routers of IPv4 and of IPv6 with the same number are two independent virtual routers.
///
/// [RFC 9568 §5.2.3]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2.3
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// The VRID with this number, or `None` for 0.
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, 1 to 255.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl TryFrom<u8> for Vrid {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        Self::new(number).ok_or(Error::Vrid)
    }
}

impl From<Vrid> for u8 {
    fn from(vrid: Vrid) -> Self {
        vrid.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9568 §5.2.3: 1 to 255, no default.
    #[test]
    fn every_number_but_zero() {
        assert_eq!(Vrid::new(0), None);
        assert_eq!(Vrid::try_from(0), Err(Error::Vrid));
        for number in 1..=255 {
            let vrid = Vrid::new(number).unwrap();
            assert_eq!(vrid.get(), number);
            assert_eq!(u8::from(vrid), number);
            assert_eq!(Vrid::try_from(number), Ok(vrid));
            assert_eq!(std::format!("{vrid}"), std::format!("{number}"));
        }
    }
}
