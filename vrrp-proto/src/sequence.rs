use crate::Error;

/// The number of a signed advertisement: a time of the day in 2^-16 seconds and a counter, in 64 bits.
///
/// One is after another by serial arithmetic ([RFC 1982]), so that the end of the 32 bits of seconds in 2106 is none.
///
/// [RFC 1982]: https://www.rfc-editor.org/rfc/rfc1982
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The first sequence of a moment: seconds since 1970, of which the low 32 bits count, and nanoseconds below
    /// 1,000,000,000, above which they are taken for the last.
    pub const fn at(seconds: u64, nanoseconds: u32) -> Self {
        let nanoseconds = if nanoseconds < NANOSECONDS_PER_SECOND {
            nanoseconds
        } else {
            NANOSECONDS_PER_SECOND - 1
        };
        let fraction = ((nanoseconds as u64) << 16) / NANOSECONDS_PER_SECOND as u64;
        Self(seconds << 32 | fraction << 16)
    }

    /// From its 64 bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The one after it. The counter carries into the time.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether it is after the other.
    pub const fn is_after(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead <= i64::MAX as u64
    }

    /// Whether its time is at most `tolerance` seconds away from ours; its fraction of a second is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] with the difference.
    pub const fn check(self, now: Self, tolerance: u32) -> Result<(), Error> {
        let behind = now.seconds().wrapping_sub(self.seconds()).cast_signed();
        if behind.unsigned_abs() > tolerance {
            return Err(Error::Stale { behind });
        }
        Ok(())
    }

    /// The low 32 bits of the seconds since 1970.
    const fn seconds(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// Gives each advertisement a sequence after all before it, whatever the wall clock does.
///
/// Nothing has to be kept over a restart as long as the clock went on meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequencer {
    last: Option<Sequence>,
}

impl Sequencer {
    /// One that has given none yet.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The next sequence: that of now, or the one after the last if the clock has not gone on.
    pub const fn next(&mut self, now: Sequence) -> Sequence {
        let next = match self.last {
            Some(last) if !now.is_after(last) => last.next(),
            Some(_) | None => now,
        };
        self.last = Some(next);
        next
    }
}

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_seconds_and_a_fraction() {
        assert_eq!(Sequence::at(1, 0).bits(), 1 << 32);
        assert_eq!(Sequence::at(1, 500_000_000).bits(), 0x1_8000_0000);
        assert_eq!(Sequence::at(1, 999_999_999).bits(), 0x1_ffff_0000);
        assert_eq!(Sequence::at(1, u32::MAX), Sequence::at(1, 999_999_999));
        assert_eq!(Sequence::at(1, 1_000_000_000), Sequence::at(1, 999_999_999));
        assert_eq!(Sequence::at(1 << 32, 0), Sequence::at(0, 0));
        assert_eq!(Sequence::from_bits(7).bits(), 7);
    }

    /// RFC 1982 §3.2.
    #[test]
    fn after_is_serial() {
        let sequence = Sequence::from_bits;
        assert!(sequence(1).is_after(sequence(0)));
        assert!(!sequence(0).is_after(sequence(0)));
        assert!(!sequence(0).is_after(sequence(1)));
        assert!(sequence(0).is_after(sequence(u64::MAX)));
        assert!(sequence(5).is_after(sequence(u64::MAX - 5)));
        assert!(sequence(i64::MAX as u64).is_after(sequence(0)));
        assert!(!sequence(1 << 63).is_after(sequence(0)));
        assert_eq!(sequence(u64::MAX).next(), sequence(0));
    }

    #[test]
    fn current_is_within_the_tolerance_either_way() {
        let now = Sequence::at(1000, 0);
        let check = |seconds, nanoseconds| Sequence::at(seconds, nanoseconds).check(now, 5);
        assert_eq!(check(1000, 0), Ok(()));
        assert_eq!(check(995, 0), Ok(()));
        assert_eq!(check(994, 999_999_999), Err(Error::Stale { behind: 6 }));
        assert_eq!(check(1005, 999_999_999), Ok(()));
        assert_eq!(check(1006, 0), Err(Error::Stale { behind: -6 }));
        // Over the end of the 32 bits.
        let first = Sequence::at(1 << 32, 0);
        let last = Sequence::at((1 << 32) - 1, 0);
        assert_eq!(first.check(last, 1), Ok(()));
        assert_eq!(last.check(first, 1), Ok(()));
        assert_eq!(last.check(first, 0), Err(Error::Stale { behind: 1 }));
        // As far away as it gets.
        let far = Sequence::at(1 << 31, 0);
        assert_eq!(far.check(first, 300), Err(Error::Stale { behind: i32::MIN }));
    }

    #[test]
    fn a_sequencer_only_goes_forward() {
        let mut sequencer = Sequencer::new();
        assert_eq!(sequencer, Sequencer::default());
        let at = |seconds| Sequence::at(seconds, 0);
        assert_eq!(sequencer.next(at(10)), at(10));
        assert_eq!(sequencer.next(at(10)), at(10).next());
        assert_eq!(sequencer.next(at(3)), at(10).next().next());
        assert_eq!(sequencer.next(at(11)), at(11));
    }
}
