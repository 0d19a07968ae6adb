//! What is expected of the content of a reply.

#[cfg(feature = "regex")]
use core::fmt;
#[cfg(feature = "regex")]
use core::hash::{Hash, Hasher};
#[cfg(feature = "regex")]
use core::ops::RangeInclusive;
#[cfg(feature = "regex")]
use std::sync::Arc;

#[cfg(feature = "regex")]
use crate::error::Error;
use crate::failure::{FailKind, Failure, Stage};

/// Something that must or must not be in a reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expect {
    /// These bytes are in it.
    Contains(Vec<u8>),
    /// These bytes are not in it.
    Lacks(Vec<u8>),
    /// The pattern matches somewhere.
    #[cfg(feature = "regex")]
    Matches(Pattern),
    /// The pattern matches nowhere.
    #[cfg(feature = "regex")]
    Never(Pattern),
    /// The whole of it has this MD5 digest (keepalived's `digest`).
    #[cfg(feature = "digest")]
    Md5([u8; 16]),
}

impl Expect {
    /// This text is in it.
    pub fn contains(text: impl Into<Vec<u8>>) -> Self {
        Self::Contains(text.into())
    }

    /// The pattern matches somewhere.
    ///
    /// # Errors
    ///
    /// [`Error::BadPattern`] if it is no regular expression.
    #[cfg(feature = "regex")]
    pub fn matches(pattern: &str) -> Result<Self, Error> {
        Ok(Self::Matches(Pattern::new(pattern)?))
    }

    /// Judges a reply.
    pub(crate) fn judge(&self, reply: &[u8]) -> Result<(), Failure> {
        let (holds, kind) = match self {
            Self::Contains(text) => (find(reply, text), FailKind::Mismatch),
            Self::Lacks(text) => (!find(reply, text), FailKind::Forbidden),
            #[cfg(feature = "regex")]
            Self::Matches(pattern) => (pattern.is_in(reply), FailKind::Mismatch),
            #[cfg(feature = "regex")]
            Self::Never(pattern) => (!pattern.is_in(reply), FailKind::Forbidden),
            #[cfg(feature = "digest")]
            Self::Md5(digest) => {
                use md5::Digest as _;
                (md5::Md5::digest(reply).as_slice() == digest, FailKind::Mismatch)
            }
        };
        if holds {
            Ok(())
        } else {
            Err(Failure::new(Stage::Content, kind).with_excerpt(reply))
        }
    }
}

/// A compiled regular expression over bytes (its classes are those of ASCII), equal to another of the same text and place. Matching takes time linear in the reply,
/// whatever the reply and the pattern.
#[cfg(feature = "regex")]
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    regex: regex::bytes::Regex,
    /// Where in the reply a match may begin.
    from: usize,
    to: usize,
}

#[cfg(feature = "regex")]
impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// [`Error::BadPattern`] if it is no regular expression, or one too large (it may come from a configuration that
    /// somebody else wrote).
    pub fn new(text: &str) -> Result<Self, Error> {
        // Over bytes: `\d`, `\w` and letters without regard to case are those of ASCII.
        let regex = regex::bytes::RegexBuilder::new(text)
            .unicode(false)
            .size_limit(1 << 20)
            .build();
        Ok(Self {
            text: text.into(),
            regex: regex.map_err(|_| Error::BadPattern)?,
            from: 0,
            to: usize::MAX,
        })
    }

    /// Only matches that begin at one of these bytes of the reply count, both ends included (keepalived's
    /// `regex_min_offset` and `regex_max_offset`). What lies before still counts as text before: `^` matches at byte 0 only.
    #[must_use]
    pub fn beginning_in(mut self, bytes: RangeInclusive<usize>) -> Self {
        (self.from, self.to) = bytes.into_inner();
        self
    }

    fn is_in(&self, reply: &[u8]) -> bool {
        match (self.from, self.to) {
            (0, usize::MAX) => self.regex.is_match(reply),
            // The first match begins before all others, so that none is in time where this one is late.
            (from, to) => {
                from <= reply.len()
                    && self
                        .regex
                        .find_at(reply, from)
                        .is_some_and(|found| found.start() <= to)
            }
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(feature = "regex")]
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

#[cfg(feature = "regex")]
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.from, self.to) == (&other.text, other.from, other.to)
    }
}

#[cfg(feature = "regex")]
impl Eq for Pattern {}

#[cfg(feature = "regex")]
impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.text, self.from, self.to).hash(state);
    }
}

fn find(reply: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else {
        return true;
    };
    let mut from = reply;
    while let Some(at) = from.iter().position(|byte| byte == first) {
        let Some(tail) = from.get(at + 1..) else {
            return false;
        };
        if tail.starts_with(rest) {
            return true;
        }
        from = tail;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_wherever_it_is() {
        for (reply, text, found) in [
            ("abc", "abc", true),
            ("aabc", "abc", true),
            ("ab", "abc", false),
            ("", "", true),
            ("abab", "b", true),
        ] {
            assert_eq!(
                find(reply.as_bytes(), text.as_bytes()),
                found,
                "{text} in {reply}"
            );
            assert_eq!(Expect::contains(text).judge(reply.as_bytes()).is_ok(), found);
            assert_eq!(Expect::Lacks(text.into()).judge(reply.as_bytes()).is_ok(), !found);
        }
        let failure = Expect::contains("x").judge(b"\xff\xfe").unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Content, FailKind::Mismatch)
        );
    }

    #[cfg(feature = "regex")]
    #[test]
    fn patterns_see_bytes_and_bad_ones_are_refused() {
        let pattern = Expect::matches("v[0-9]+").unwrap();
        assert!(pattern.judge(b"\xff\xfe v12").is_ok());
        assert_eq!(pattern.judge(b"w1").unwrap_err().kind, FailKind::Mismatch);
        let ascii = Expect::matches("(?i)^version \\d+\\.\\w").unwrap();
        assert!(ascii.judge(b"VERSION 12.x\xff").is_ok());
        assert_eq!(
            Expect::Never(Pattern::new("v1").unwrap())
                .judge(b"v1")
                .unwrap_err()
                .kind,
            FailKind::Forbidden
        );
        assert!(matches!(Expect::matches("("), Err(Error::BadPattern)));
        assert!(matches!(Pattern::new("(x{1000}){1000}"), Err(Error::BadPattern)));
        assert_eq!(Pattern::new("a").unwrap(), Pattern::new("a").unwrap());
    }

    #[cfg(feature = "regex")]
    #[test]
    fn a_match_counts_where_it_begins() {
        let v1 = |bytes| Expect::Matches(Pattern::new("v1").unwrap().beginning_in(bytes));
        for (bytes, found) in [
            (0..=usize::MAX, true),
            (0..=2, true),
            (0..=1, false),
            (2..=2, true),
            (3..=9, true),
            (3..=5, false),
            (7..=9, false),
            (9..=usize::MAX, false),
            (usize::MAX..=usize::MAX, false),
        ] {
            assert_eq!(v1(bytes.clone()).judge(b"..v1..v1").is_ok(), found, "{bytes:?}");
        }
        let first = Pattern::new("^v1").unwrap().beginning_in(2..=2);
        assert!(Expect::Never(first.clone()).judge(b"..v1").is_ok());
        assert_ne!(first, Pattern::new("^v1").unwrap());
    }

    #[cfg(feature = "digest")]
    #[test]
    fn the_digest_is_that_of_the_whole_reply() {
        let abc = Expect::Md5(*b"\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72");
        assert!(abc.judge(b"abc").is_ok());
        assert_eq!(abc.judge(b"abcd").unwrap_err().kind, FailKind::Mismatch);
    }
}
