use core::fmt;

use crate::Error;

/// A tracked object: an interface, a script, a file, a process, a BFD session. The number means something to the
/// driver only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u32);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tracked object {}", self.0)
    }
}

/// How a virtual router takes a tracked object, with keepalived's arithmetic.
///
/// | weight | the object is good | it is bad | it has the value v |
/// |---|---|---|---|
/// | w > 0 | priority + w | – | priority + v·w |
/// | w < 0 | – | priority − \|w\| | priority + v·w |
/// | 0 | – | fault | fault unless v is 0 |
///
/// `reverse` negates the adjustment; with weight 0 it exchanges good and bad (a value of 0 is the fault then). A value
/// whose product is −254 or less is a fault, one above 253 counts as 253.
///
/// An object of weight 0 that has not reported yet holds the router in Initialize, so that nothing becomes active
/// before each of them has been seen once. One with another weight counts for nothing until it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Track {
    id: TrackId,
    weight: i16,
    reverse: bool,
}

impl Track {
    /// Track this object; `weight` is −254 to 254, and 0 makes its failure a fault.
    ///
    /// # Errors
    ///
    /// [`Error::Weight`] when the weight is out of range.
    pub const fn new(id: TrackId, weight: i16) -> Result<Self, Error> {
        if weight < -254 || weight > 254 {
            return Err(Error::Weight(weight));
        }
        Ok(Self {
            id,
            weight,
            reverse: false,
        })
    }

    /// The same, reversed.
    #[must_use]
    pub const fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The object.
    pub const fn id(&self) -> TrackId {
        self.id
    }

    /// The weight.
    pub const fn weight(&self) -> i16 {
        self.weight
    }

    /// Whether it is reversed.
    pub const fn is_reversed(&self) -> bool {
        self.reverse
    }

    /// The same as a fault tracker.
    #[must_use]
    pub(crate) const fn unweighted(mut self) -> Self {
        self.weight = 0;
        self
    }

    /// What the object does to the virtual router.
    pub(crate) fn effect(&self, status: TrackStatus) -> Effect {
        let weight = i64::from(self.weight);
        let sign = if self.reverse { -1 } else { 1 };
        if self.weight == 0 {
            let good = match status {
                TrackStatus::Good => true,
                TrackStatus::Bad => false,
                TrackStatus::Value(value) => value == 0,
            };
            return if good != self.reverse {
                Effect::Adjust(0)
            } else {
                Effect::Fault
            };
        }
        match status {
            TrackStatus::Good => Effect::Adjust(if weight > 0 { sign * weight } else { 0 }),
            TrackStatus::Bad => Effect::Adjust(if weight < 0 { sign * weight } else { 0 }),
            TrackStatus::Value(value) => match value.saturating_mul(sign * weight) {
                ..=-254 => Effect::Fault,
                product => Effect::Adjust(product.min(253)),
            },
        }
    }
}

/// What is known of a tracked object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "an object is good, bad, or a number")]
pub enum TrackStatus {
    /// An interface is up, a script succeeds, a process runs, a session is up.
    Good,
    /// The contrary.
    Bad,
    /// The number in a tracked file; the weight multiplies it.
    Value(i64),
}

/// What a tracked object does to a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Adjust(i64),
    Fault,
}

/// What one virtual router knows of one object that it tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Known {
    /// Nothing yet, and the router waits for it before it first takes part.
    Pending,
    /// Nothing yet, but the router took part already when the object was configured, and is not disturbed.
    Waived,
    /// What was last reported.
    Reported(TrackStatus),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keepalived's arithmetic, row by row.
    #[test]
    fn adjustments() {
        use Effect::{Adjust, Fault};
        use TrackStatus::{Bad, Good, Value};
        for (weight, reverse, status, effect) in [
            (10, false, Good, Adjust(10)),
            (10, false, Bad, Adjust(0)),
            (-10, false, Good, Adjust(0)),
            (-10, false, Bad, Adjust(-10)),
            (10, true, Good, Adjust(-10)),
            (10, true, Bad, Adjust(0)),
            (-10, true, Good, Adjust(0)),
            (-10, true, Bad, Adjust(10)),
            (0, false, Good, Adjust(0)),
            (0, false, Bad, Fault),
            (0, true, Good, Fault),
            (0, true, Bad, Adjust(0)),
            (0, false, Value(0), Adjust(0)),
            (0, false, Value(1), Fault),
            (0, false, Value(-1), Fault),
            (0, true, Value(0), Fault),
            (0, true, Value(5), Adjust(0)),
            (1, false, Value(-253), Adjust(-253)),
            (1, false, Value(-254), Fault),
            (1, false, Value(253), Adjust(253)),
            (1, false, Value(254), Adjust(253)),
            (2, false, Value(-20), Adjust(-40)),
            (2, true, Value(-20), Adjust(40)),
            (2, true, Value(127), Fault),
            (-1, false, Value(254), Fault),
            (-1, false, Value(-400), Adjust(253)),
            (254, false, Value(i64::MAX), Adjust(253)),
            (254, false, Value(i64::MIN), Fault),
            (-254, false, Bad, Adjust(-254)),
        ] {
            let track = Track::new(TrackId(1), weight).unwrap();
            let track = if reverse { track.reversed() } else { track };
            assert_eq!(track.effect(status), effect, "{track:?} {status:?}");
        }
    }

    #[test]
    fn weights_have_a_range() {
        for weight in [-254, 0, 254] {
            assert_eq!(Track::new(TrackId(3), weight).unwrap().weight(), weight);
        }
        for weight in [i16::MIN, -255, 255, i16::MAX] {
            assert_eq!(Track::new(TrackId(3), weight), Err(Error::Weight(weight)));
        }
        assert!(!Track::new(TrackId(3), 7).unwrap().is_reversed());
        let track = Track::new(TrackId(3), 7).unwrap().reversed();
        assert_eq!((track.id(), track.is_reversed()), (TrackId(3), true));
        assert_eq!(track.unweighted().weight(), 0);
    }
}
