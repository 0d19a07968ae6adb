//! The vocabulary: every keyword with its range, its default and what becomes of it.

use std::fmt;

/// One keyword in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keyword {
    /// How it is written; the first spelling is the one that is printed.
    pub spellings: &'static [&'static str],
    /// What it takes.
    pub range: Range,
    /// What holds without it, in words; empty for nothing.
    pub default: &'static str,
    /// What becomes of it.
    pub support: Support,
    /// What it says, in one or several lines.
    pub description: &'static [&'static str],
}

impl Keyword {
    /// The spelling that is printed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spellings.first().copied().unwrap_or_default()
    }

    pub(crate) fn is(&self, word: &str) -> bool {
        self.spellings.contains(&word)
    }

    /// Whether a mistake here changes who is elected or who gets in.
    #[must_use]
    pub fn is_vital(&self) -> bool {
        matches!(self.support, Support::Supported { vital: true, .. })
    }

    /// Whether keepalived 2.2.7 does not know it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        match self.support {
            Support::Supported { new, .. } | Support::NotSupported { new, .. } => new,
        }
    }
}

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a keyword is supported or it is not")]
pub enum Support {
    /// It does what keepalived does.
    Supported {
        /// A value that is wrong, or a spelling that is nearly right, is an error: it would change who is elected or
        /// who gets in.
        vital: bool,
        /// keepalived 2.2.7 does not know it; later releases do.
        new: bool,
    },
    /// It is read, kept and printed, and nothing is done about it. Reported as a warning.
    NotSupported {
        /// What that means for whoever uses it.
        meaning: &'static str,
        /// keepalived 2.2.7 does not know it; later releases do.
        new: bool,
    },
}

impl Support {
    /// The same, of a keyword that is newer than keepalived 2.2.7.
    pub(crate) const fn new_in_keepalived(self) -> Self {
        match self {
            Self::Supported { vital, .. } => Self::Supported { vital, new: true },
            Self::NotSupported { meaning, .. } => Self::NotSupported { meaning, new: true },
        }
    }
}

/// Supported; keepalived goes on with its default where the value is wrong.
pub(crate) const YES: Support = Support::Supported {
    vital: false,
    new: false,
};
/// Supported; a mistake changes who is elected or who gets in.
pub(crate) const VITAL: Support = Support::Supported {
    vital: true,
    new: false,
};

/// Recognised, not supported.
pub(crate) const fn no(meaning: &'static str) -> Support {
    Support::NotSupported { meaning, new: false }
}

/// What a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Range {
    /// Nothing: it is said or not said.
    Flag,
    /// `true`, `on`, `yes`, `false`, `off`, `no`, or nothing, which is `true`.
    Boolean,
    /// A whole number.
    Integer {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
        /// What is counted; empty for a bare number.
        unit: &'static str,
    },
    /// Seconds, with up to six decimals. The bounds are in microseconds.
    Seconds {
        /// The least.
        least: u64,
        /// The greatest.
        most: u64,
    },
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// Something else, in words.
    Text(&'static str),
    /// A block.
    Block(&'static str),
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("no value"),
            Self::Boolean => f.write_str("[true|false]"),
            Self::Integer { least, most, unit } => {
                write!(f, "{least}..{most}")?;
                if unit.is_empty() {
                    Ok(())
                } else {
                    write!(f, " {unit}")
                }
            }
            Self::Seconds { least, most } => write!(f, "{}..{} s", Decimal(*least), Decimal(*most)),
            Self::OneOf(words) => f.write_str(&words.join("|")),
            Self::Text(text) => f.write_str(text),
            Self::Block("") => f.write_str("block"),
            Self::Block(text) => write!(f, "block of {text}"),
        }
    }
}

/// Microseconds written as seconds, without zeros at the end.
pub(crate) struct Decimal(pub(crate) u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.checked_div(1_000_000).unwrap_or(0);
        let part = self.0.checked_rem(1_000_000).unwrap_or(0);
        write!(f, "{whole}")?;
        if part == 0 {
            return Ok(());
        }
        let digits = format!("{part:06}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

pub(crate) const FLAG: Range = Range::Flag;
pub(crate) const BOOL: Range = Range::Boolean;
pub(crate) const ADDRESS: Range = Range::Text("IP address");
pub(crate) const INTERFACE: Range = Range::Text("interface");
pub(crate) const WORD: Range = Range::Text("word");
pub(crate) const PATH: Range = Range::Text("path");
pub(crate) const SCRIPT: Range = Range::Text("\"command arguments\" [user [group]]");
pub(crate) const BLOCK: Range = Range::Block("");

pub(crate) const fn int(least: i64, most: i64) -> Range {
    Range::Integer {
        least,
        most,
        unit: "",
    }
}

pub(crate) const fn count(least: i64, most: i64, unit: &'static str) -> Range {
    Range::Integer { least, most, unit }
}

/// Seconds; the bounds are in milliseconds.
pub(crate) const fn secs(least: u64, most: u64) -> Range {
    Range::Seconds {
        least: least.saturating_mul(1_000),
        most: most.saturating_mul(1_000),
    }
}

/// In milliseconds, 49 days: what has no bound with keepalived, and means never.
pub(crate) const LONGEST: u64 = 4_294_967_295;

pub(crate) const fn text(what: &'static str) -> Range {
    Range::Text(what)
}

pub(crate) const fn list(of: &'static str) -> Range {
    Range::Block(of)
}

/// Where in a vocabulary each spelling stands: a table by their hashes, made at compile time.
pub(crate) struct Index([u8; SLOTS]);

impl Index {
    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "done by the compiler, which says where it goes wrong"
    )]
    pub(crate) const fn of(vocabulary: &[Keyword]) -> Self {
        assert!(vocabulary.len() < FREE as usize, "a number has a byte");
        let mut slots = [FREE; SLOTS];
        let mut used = 0;
        let mut number = 0;
        while number < vocabulary.len() {
            let spellings = vocabulary[number].spellings;
            let mut spelling = 0;
            while spelling < spellings.len() {
                let mut slot = hash(spellings[spelling]);
                while slots[slot] != FREE {
                    slot = (slot + 1) % SLOTS;
                }
                slots[slot] = number as u8;
                used += 1;
                assert!(used < SLOTS, "a search ends at a free slot");
                spelling += 1;
            }
            number += 1;
        }
        Self(slots)
    }

    /// The number of the keyword that is written like this, and the keyword.
    pub(crate) fn find<'a>(&self, vocabulary: &'a [Keyword], word: &str) -> Option<(usize, &'a Keyword)> {
        let mut slot = hash(word);
        loop {
            let number = usize::from(*self.0.get(slot)?);
            // Past the end of the vocabulary where the slot is free.
            let keyword = vocabulary.get(number)?;
            if keyword.is(word) {
                return Some((number, keyword));
            }
            slot = slot.wrapping_add(1) % SLOTS;
        }
    }
}

const fn hash(word: &str) -> usize {
    let mut rest = word.as_bytes();
    let mut hash: u32 = 0;
    while let Some((byte, more)) = rest.split_first() {
        hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
        rest = more;
    }
    // What was multiplied is best at its upper end.
    hash as usize >> 16 & (SLOTS - 1)
}

const SLOTS: usize = 512;
const FREE: u8 = u8::MAX;

/// The keyword nearest to a word, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > 64 {
        return None;
    }
    let most = match length {
        0..=2 => return None,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .map(|each| {
            (
                strsim::damerau_levenshtein(&word.to_ascii_lowercase(), each),
                each,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, each)| each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["priority", "interface", "preempt_delay"];
        assert_eq!(nearest("prioriti", known.into_iter()), Some("priority"));
        assert_eq!(nearest("Interface", known.into_iter()), Some("interface"));
        assert_eq!(nearest("elephant", known.into_iter()), None);
        assert_eq!(nearest("", known.into_iter()), None);
    }

    #[test]
    fn ranges_show_their_unit() {
        assert_eq!(int(1, 255).to_string(), "1..255");
        assert_eq!(secs(10, 255_000).to_string(), "0.01..255 s");
        assert_eq!(count(0, 5, "bytes").to_string(), "0..5 bytes");
    }
}
