use core::fmt;

/// The time between two advertisements of an active router, valid by construction.
///
/// VRRPv3 says it in centiseconds, 1 to 4095 ([RFC 9568 §5.2.7] with erratum 8301), VRRPv2 in whole seconds, 1 to 255
/// ([RFC 3768 §5.3.7]). The default of both is one second.
///
/// [RFC 9568 §5.2.7]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2.7
/// [RFC 3768 §5.3.7]: https://www.rfc-editor.org/rfc/rfc3768#section-5.3.7
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdverInterval {
    centiseconds: u16,
}

impl AdverInterval {
    /// One second, the default of every version.
    pub const DEFAULT: Self = Self { centiseconds: 100 };

    /// An interval as VRRPv3 says it: 1 to 4095 centiseconds, `None` for anything else.
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Self> {
        match centiseconds {
            1..=MAXIMUM_CENTISECONDS => Some(Self { centiseconds }),
            _ => None,
        }
    }

    /// An interval as VRRPv2 says it: 1 to 255 seconds, `None` for 0.
    pub const fn from_seconds(seconds: u8) -> Option<Self> {
        match seconds {
            0 => None,
            _ => Some(Self {
                centiseconds: seconds as u16 * CENTISECONDS_PER_SECOND,
            }),
        }
    }

    /// In nanoseconds, 10,000,000 to 255,000,000,000.
    pub const fn as_nanos(self) -> u64 {
        self.centiseconds as u64 * NANOSECONDS_PER_CENTISECOND
    }

    /// In centiseconds, 1 to 25,500; more than 4095 only where it was made from VRRPv2's seconds.
    pub const fn centiseconds(self) -> u16 {
        self.centiseconds
    }

    /// In seconds, if it is a whole number of them: what VRRPv2 can say.
    pub const fn seconds(self) -> Option<u8> {
        if self.centiseconds.is_multiple_of(CENTISECONDS_PER_SECOND) {
            let [_, seconds] = (self.centiseconds / CENTISECONDS_PER_SECOND).to_be_bytes();
            Some(seconds)
        } else {
            None
        }
    }

    /// Whether the 12 bits of VRRPv3 can say it; those of VRRPv2 above 40 seconds do not fit.
    pub const fn fits_version_3(self) -> bool {
        self.centiseconds <= MAXIMUM_CENTISECONDS
    }
}

impl Default for AdverInterval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for AdverInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds() {
            Some(seconds) => write!(f, "{seconds} s"),
            None => {
                let seconds = self.centiseconds / CENTISECONDS_PER_SECOND;
                let rest = self.centiseconds % CENTISECONDS_PER_SECOND;
                write!(f, "{seconds}.{rest:02} s")
            }
        }
    }
}

const MAXIMUM_CENTISECONDS: u16 = 0x0fff;
const CENTISECONDS_PER_SECOND: u16 = 100;
const NANOSECONDS_PER_CENTISECOND: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    /// RFC 9568 §5.2.7 and erratum 8301: 1 to 4095 centiseconds.
    #[test]
    fn centiseconds_have_twelve_bits_and_are_never_zero() {
        for centiseconds in 0..=u16::MAX {
            let interval = AdverInterval::from_centiseconds(centiseconds);
            assert_eq!(interval.is_some(), (1..=4095).contains(&centiseconds));
            if let Some(interval) = interval {
                assert_eq!(interval.centiseconds(), centiseconds);
                assert_eq!(interval.as_nanos(), u64::from(centiseconds) * 10_000_000);
                assert!(interval.fits_version_3());
            }
        }
    }

    /// RFC 3768 §5.3.7: whole seconds in a byte.
    #[test]
    fn seconds_are_a_byte_and_never_zero() {
        assert_eq!(AdverInterval::from_seconds(0), None);
        for seconds in 1..=255 {
            let interval = AdverInterval::from_seconds(seconds).unwrap();
            assert_eq!(interval.seconds(), Some(seconds));
            assert_eq!(interval.centiseconds(), u16::from(seconds) * 100);
            assert_eq!(interval.as_nanos(), u64::from(seconds) * 1_000_000_000);
            assert_eq!(interval.fits_version_3(), seconds <= 40);
        }
    }

    #[test]
    fn parts_of_a_second_are_not_seconds() {
        let interval = |centiseconds| AdverInterval::from_centiseconds(centiseconds).unwrap();
        assert_eq!(interval(1).seconds(), None);
        assert_eq!(interval(150).seconds(), None);
        assert_eq!(interval(200).seconds(), Some(2));
        assert_eq!(AdverInterval::default(), interval(100));
        assert_eq!(interval(1).to_string(), "0.01 s");
        assert_eq!(interval(150).to_string(), "1.50 s");
        assert_eq!(interval(4000).to_string(), "40 s");
    }
}
