//! `Serialize` and `Deserialize` of the base types: numbers, checked on the way in.

use ::serde::de::Error as _;
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{AddressFamily, AdverInterval, ChecksumForm, MacAddress, Priority, Version, Vrid};

impl Serialize for Vrid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Vrid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(u8::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(Self::new)
    }
}

/// In centiseconds; more than 4095 of them must be whole seconds.
impl Serialize for AdverInterval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.centiseconds().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AdverInterval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let centiseconds = u16::deserialize(deserializer)?;
        let whole_seconds = || {
            (centiseconds % 100 == 0)
                .then(|| u8::try_from(centiseconds / 100).ok())
                .flatten()
                .and_then(Self::from_seconds)
        };
        Self::from_centiseconds(centiseconds)
            .or_else(whole_seconds)
            .ok_or_else(|| D::Error::custom("an interval is 1 to 4095 centiseconds or 1 to 255 seconds"))
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.octets().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 6]>::deserialize(deserializer).map(Self)
    }
}

/// An enum that is a number on the outside.
macro_rules! as_number {
    ($type:ty, $what:literal, { $($value:path => $number:literal),+ $(,)? }) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let number: u16 = match self {
                    $($value => $number,)+
                };
                number.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match u16::deserialize(deserializer)? {
                    $($number => Ok($value),)+
                    _ => Err(D::Error::custom($what)),
                }
            }
        }
    };
}

as_number!(Version, "a version is 2 or 3", { Version::V2 => 2, Version::V3 => 3 });
as_number!(AddressFamily, "a family is 4 or 6", { AddressFamily::Ipv4 => 4, AddressFamily::Ipv6 => 6 });
as_number!(ChecksumForm, "a checksum form is 5798, 9568 or 1306", {
    ChecksumForm::Rfc5798 => 5798,
    ChecksumForm::Rfc9568 => 9568,
    ChecksumForm::OldUnicast => 1306,
});

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn round_trips<'a, T: Serialize + Deserialize<'a> + PartialEq + Debug>(value: T, text: &'a str) {
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(serde_json::from_str::<T>(text).unwrap(), value);
    }

    #[test]
    fn numbers_come_back_as_what_they_were() {
        round_trips(Vrid::new(51).unwrap(), "51");
        round_trips(Priority::new(0), "0");
        round_trips(AdverInterval::from_centiseconds(4095).unwrap(), "4095");
        round_trips(AdverInterval::from_seconds(255).unwrap(), "25500");
        round_trips(MacAddress([1, 2, 3, 4, 5, 6]), "[1,2,3,4,5,6]");
        round_trips(Version::V2, "2");
        round_trips(Version::V3, "3");
        round_trips(AddressFamily::Ipv4, "4");
        round_trips(AddressFamily::Ipv6, "6");
        round_trips(ChecksumForm::Rfc5798, "5798");
        round_trips(ChecksumForm::Rfc9568, "9568");
        round_trips(ChecksumForm::OldUnicast, "1306");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(serde_json::from_str::<Vrid>("0").is_err());
        for text in ["0", "4096", "4150", "25600", "65500"] {
            assert!(serde_json::from_str::<AdverInterval>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Version>("1").is_err());
        assert!(serde_json::from_str::<AddressFamily>("5").is_err());
        assert!(serde_json::from_str::<ChecksumForm>("0").is_err());
    }
}
