//! Values of one word: numbers, names, addresses, times.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Verdict};
use crate::field::{Entry, Value, boolean};
use crate::keyword::{Decimal, Keyword, Range};
use crate::lexer::{Word, Words};
use crate::macros::settings;
use crate::reader::Reader;

/// A time in seconds with a resolution of a microsecond, as the language writes it: `3`, `0.25`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u64);

impl Seconds {
    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(1_000_000 * seconds as u64)
    }

    /// From microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// In microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The same as the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal(self.0).fmt(f)
    }
}

impl FromStr for Seconds {
    type Err = NotSeconds;

    /// Reads digits, and after a point more digits; from the seventh decimal on it rounds.
    fn from_str(text: &str) -> Result<Self, NotSeconds> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|each| each.is_ascii_digit());
        if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
            return Err(NotSeconds);
        }
        let whole: u64 = match whole {
            "" => 0,
            whole => whole.parse().map_err(|_| NotSeconds)?,
        };
        let mut micros: u64 = 0;
        for place in 0..6 {
            let digit = part
                .as_bytes()
                .get(place)
                .map_or(0, |digit| u64::from(digit.saturating_sub(b'0')));
            micros = micros.saturating_mul(10).saturating_add(digit);
        }
        let round_up = part.as_bytes().get(6).is_some_and(|digit| *digit >= b'5');
        whole
            .checked_mul(1_000_000)
            .and_then(|whole| whole.checked_add(micros))
            .and_then(|all| all.checked_add(u64::from(round_up)))
            .filter(|all| *all < (1 << 53))
            .map(Self)
            .ok_or(NotSeconds)
    }
}

/// The text is no number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number of seconds")]
#[non_exhaustive]
pub struct NotSeconds;

/// An address, perhaps with the length of its network's prefix: `10.0.0.1`, `10.0.0.1/24`, `2001:db8::1/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// The length of the prefix, where it was written: 0 to 32 or 128.
    pub length: Option<u8>,
}

impl Prefix {
    /// The length that holds: the whole address where none was written.
    #[must_use]
    pub fn effective_length(&self) -> u8 {
        self.length.unwrap_or_else(|| whole(self.address))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match self.length {
            Some(length) => write!(f, "/{length}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Prefix {
    type Err = NotPrefix;

    fn from_str(text: &str) -> Result<Self, NotPrefix> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotPrefix)?;
        let length = match length {
            Some(length) => Some(prefix_length(address, length).ok_or(NotPrefix)?),
            None => None,
        };
        Ok(Self { address, length })
    }
}

/// The text is no address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address with a prefix length")]
#[non_exhaustive]
pub struct NotPrefix;

/// The bits of a whole address.
fn whole(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn prefix_length(address: IpAddr, text: &str) -> Option<u8> {
    if let Ok(length) = text.parse::<u8>() {
        return (length <= whole(address)).then_some(length);
    }
    // A netmask such as 255.255.255.0.
    let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let length = mask.leading_ones();
    (address.is_ipv4() && mask.count_ones() == length)
        .then(|| u8::try_from(length).ok())
        .flatten()
}

impl Value for Prefix {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        if let Ok(prefix) = word.text.parse() {
            return Some(prefix);
        }
        let (address, _) = word.text.split_once('/').unwrap_or((word.text, ""));
        if let Ok(address) = address.parse::<IpAddr>() {
            reader.push(
                Diagnostic::error(word.span, format!("`{}` has no such prefix length", word.text)).advice(
                    format!("0 to {}; keepalived would take the whole address", whole(address)),
                ),
            );
            return None;
        }
        let message = format!("`{}` is no IP address", word.text);
        reader.push(Diagnostic::error(word.span, message).advice("keepalived would go on without it"));
        None
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.to_string());
    }
}

impl Value for IpAddr {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        let found = word.text.parse().ok();
        if found.is_none() {
            let message = format!("`{}` is no IP address", word.text);
            reader.bad_value(keyword, word.span, message, None);
        }
        found
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.to_string());
    }
}

impl Value for String {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        Some(word.text.to_string())
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.clone());
    }
}

impl Value for bool {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(word) = words.take() else {
            return Some(true);
        };
        let found = boolean(word.text);
        if found.is_none() {
            let message = format!("`{}` is neither true nor false", word.text);
            let advice = String::from("true, on, yes; false, off, no; or nothing, which is true");
            reader.bad_value(keyword, word.span, message, Some(advice));
        }
        found
    }

    fn put(&self, line: &mut Vec<String>) {
        if !*self {
            line.push(String::from("false"));
        }
    }
}

impl Value for Seconds {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        let Ok(seconds) = word.text.parse::<Self>() else {
            let message = format!("`{}` is no number of seconds", word.text);
            reader.bad_value(keyword, word.span, message, None);
            return None;
        };
        if let Range::Seconds { least, most } = keyword.range
            && !(least..=most).contains(&seconds.0)
        {
            let message = format!("{} s is outside {}", seconds, keyword.range);
            reader.bad_value(keyword, word.span, message, None);
            return None;
        }
        Some(seconds)
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.to_string());
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
                let word = next(words, keyword, reader)?;
                let (least, most) = match keyword.range {
                    Range::Integer { least, most, .. } => (least, most),
                    _ => (i64::MIN, i64::MAX),
                };
                let Ok(number) = word.text.parse::<i64>() else {
                    let message = format!("`{}` is no whole number", word.text);
                    reader.bad_value(keyword, word.span, message, None);
                    return None;
                };
                let fits = (least..=most).contains(&number);
                let Some(value) = Self::try_from(number).ok().filter(|_| fits) else {
                    let message = format!("{number} is outside {}", keyword.range);
                    reader.bad_value(keyword, word.span, message, None);
                    return None;
                };
                Some(value)
            }

            fn put(&self, line: &mut Vec<String>) {
                line.push(self.to_string());
            }
        }

        settings!($type);
    )+};
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64);
settings!(Prefix, IpAddr, String, bool, Seconds);

impl Entry for String {
    const EACH_WORD: bool = true;

    fn read_entry(words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        Value::take(words, keyword, reader)
    }

    fn write_entry(&self, line: &mut Vec<String>) {
        line.push(self.clone());
    }
}

/// The next word, or the complaint that there is none.
pub(crate) fn next<'a>(
    words: &mut Words<'a>,
    keyword: &Keyword,
    reader: &mut Reader<'_>,
) -> Option<Word<'a>> {
    let word = words.take();
    if word.is_none() {
        reader.no_value(keyword, words.last());
    }
    word
}

/// A word that is ignored, as keepalived ignores it without a word.
pub(crate) fn ignored(word: Word<'_>, why: &str, reader: &mut Reader<'_>) {
    reader.push(Diagnostic::warning(word.span, format!("`{}` {why}", word.text)).verdict(Verdict::Silent));
}

/// Serializes through the text form.
#[cfg(feature = "serde")]
macro_rules! serde_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

#[cfg(feature = "serde")]
pub(crate) use serde_text;
#[cfg(feature = "serde")]
serde_text!(Prefix);

/// Times are numbers of seconds, whole where they are whole.
#[cfg(feature = "serde")]
mod seconds_as_numbers {
    use super::Seconds;

    impl serde::Serialize for Seconds {
        #[expect(
            clippy::float_arithmetic,
            clippy::cast_precision_loss,
            reason = "below 2^53 a double is exact"
        )]
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0.is_multiple_of(1_000_000) {
                true => serializer.serialize_u64(self.0.checked_div(1_000_000).unwrap_or(0)),
                false => serializer.serialize_f64(self.0 as f64 / 1e6),
            }
        }
    }

    impl<'de> serde::Deserialize<'de> for Seconds {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Number)
        }
    }

    struct Number;

    impl serde::de::Visitor<'_> for Number {
        type Value = Seconds;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number of seconds that is not negative")
        }

        fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Seconds, E> {
            seconds
                .checked_mul(1_000_000)
                .filter(|micros| *micros < 1 << 53)
                .map(Seconds)
                .ok_or_else(|| E::custom("too many seconds"))
        }

        fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Seconds, E> {
            self.visit_u64(u64::try_from(seconds).map_err(|_| E::custom("a negative time"))?)
        }

        #[expect(
            clippy::float_arithmetic,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie between 0 and 2^53"
        )]
        fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Seconds, E> {
            let micros = (seconds * 1e6).round();
            match (0.0..9_007_199_254_740_992.0).contains(&micros) {
                true => Ok(Seconds(micros as u64)),
                false => Err(E::custom("a time that is negative or too long")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_keep_microseconds() {
        for (text, micros) in [
            ("1", 1_000_000),
            ("0.25", 250_000),
            (".5", 500_000),
            ("2.", 2_000_000),
        ] {
            assert_eq!(text.parse::<Seconds>().unwrap().as_micros(), micros);
        }
        assert_eq!("0.0000014".parse::<Seconds>().unwrap().as_micros(), 1);
        assert_eq!("0.0000015".parse::<Seconds>().unwrap().as_micros(), 2);
        assert_eq!(Seconds::from_micros(1_500_000).to_string(), "1.5");
        for text in ["", ".", "-1", "1e3", "1s", "99999999999999999999", "1.2.3"] {
            assert_eq!(text.parse::<Seconds>(), Err(NotSeconds), "{text:?}");
        }
    }

    #[test]
    fn prefixes_know_their_family() {
        assert_eq!("10.0.0.1/24".parse::<Prefix>().unwrap().effective_length(), 24);
        assert_eq!("10.0.0.1".parse::<Prefix>().unwrap().effective_length(), 32);
        assert_eq!("10.0.0.0/255.255.0.0".parse::<Prefix>().unwrap().length, Some(16));
        assert_eq!("fe80::1/64".parse::<Prefix>().unwrap().to_string(), "fe80::1/64");
        for text in [
            "10.0.0.300",
            "10.0.0.1/33",
            "fe80::1/129",
            "10.0.0.1/255.0.255.0",
            "",
            "/8",
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(NotPrefix), "{text:?}");
        }
    }
}
