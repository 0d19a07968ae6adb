//! Text that remembers which characters of which file each of its bytes came from.

use std::ops::Range;

use crate::source::Span;

/// A line on its way from the file to its words. Definitions and sequences rewrite it; what they put in points at the
/// place that asked for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    file: u32,
    text: String,
    /// For each byte of `text`, the stretch of the file it stands for.
    origin: Vec<(u32, u32)>,
}

impl Text {
    /// A stretch of a file as it is.
    pub(crate) fn from_file(file: u32, start: u32, text: &str) -> Self {
        let mut origin = Vec::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            let from = start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            let to = from.saturating_add(u32::try_from(character.len_utf8()).unwrap_or(1));
            origin.extend(std::iter::repeat_n((from, to), character.len_utf8()));
        }
        Self {
            file,
            text: text.to_owned(),
            origin,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn file(&self) -> u32 {
        self.file
    }

    /// A part of this text; empty where the range does not fit.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        Self {
            file: self.file,
            text: self.text.get(range.clone()).unwrap_or_default().to_owned(),
            origin: self.origin.get(range).unwrap_or_default().to_vec(),
        }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
        self.origin.extend_from_slice(&other.origin);
    }

    /// Appends text that stands for `place`.
    pub(crate) fn append_for(&mut self, text: &str, place: Span) {
        self.text.push_str(text);
        self.origin
            .extend(std::iter::repeat_n((place.start, place.end), text.len()));
    }

    /// An empty text of the same file.
    pub(crate) fn empty_like(&self) -> Self {
        Self {
            file: self.file,
            ..Self::default()
        }
    }

    /// Where a part of this text came from.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let first = self.origin.get(range.start).or_else(|| self.origin.last());
        let last = match range.is_empty() {
            true => first,
            false => self
                .origin
                .get(range.end.saturating_sub(1))
                .or_else(|| self.origin.last()),
        };
        let start = first.map_or(0, |place| place.0);
        Span {
            file: self.file,
            start,
            end: last.map_or(start, |place| place.1).max(start),
        }
    }

    pub(crate) fn whole(&self) -> Span {
        self.span(0..self.text.len())
    }
}
