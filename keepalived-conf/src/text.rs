//! Text that remembers which characters of which file each of its bytes came from.

use std::ops::Range;
use std::sync::Arc;

use crate::source::Span;

/// A line on its way from the file to its words. Definitions and sequences rewrite it; what they put in points at the
/// place that asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    file: u32,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// A stretch of a file as it is, which is nearly every line: nothing is copied.
    Stretch { whole: Arc<str>, from: usize, to: usize },
    /// Put together. For each byte of the text, the stretch of the file it stands for.
    Made { text: String, origin: Vec<(u32, u32)> },
}

impl Text {
    /// A stretch of a file; empty where the range does not fit.
    pub(crate) fn from_file(file: u32, whole: Arc<str>, range: Range<usize>) -> Self {
        let content = match whole.get(range.clone()) {
            Some(_) => Content::Stretch {
                whole,
                from: range.start,
                to: range.end,
            },
            None => Content::EMPTY,
        };
        Self { file, content }
    }

    /// A text of no file.
    pub(crate) fn alone(text: &str) -> Self {
        Self::from_file(0, text.into(), 0..text.len())
    }

    pub(crate) fn as_str(&self) -> &str {
        match &self.content {
            Content::Stretch { whole, from, to } => whole.get(*from..*to).unwrap_or_default(),
            Content::Made { text, .. } => text,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Stretch { from, to, .. } => to.saturating_sub(*from),
            Content::Made { text, .. } => text.len(),
        }
    }

    pub(crate) fn file(&self) -> u32 {
        self.file
    }

    /// A part of this text; empty where the range does not fit.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let content = match (&self.content, self.as_str().get(range.clone())) {
            (Content::Stretch { whole, from, .. }, Some(_)) => Content::Stretch {
                whole: Arc::clone(whole),
                from: from.saturating_add(range.start),
                to: from.saturating_add(range.end),
            },
            (Content::Made { origin, .. }, Some(text)) => Content::Made {
                text: text.to_owned(),
                origin: origin.get(range).unwrap_or_default().to_vec(),
            },
            (_, None) => Content::EMPTY,
        };
        Self {
            file: self.file,
            content,
        }
    }

    /// The same as [`slice`](Self::slice), of a text that is not needed any more.
    pub(crate) fn narrowed(self, range: Range<usize>) -> Self {
        match self.content {
            Content::Stretch { whole, from, to } if from.saturating_add(range.end) <= to => {
                let range = from.saturating_add(range.start)..from.saturating_add(range.end);
                Self::from_file(self.file, whole, range)
            }
            Content::Stretch { .. } | Content::Made { .. } => self.slice(range),
        }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        if self.len() == 0 {
            self.content = other.content.clone();
            return;
        }
        let (mut text, mut origin) = self.take();
        text.push_str(other.as_str());
        match &other.content {
            Content::Stretch { .. } => origin.extend((0..other.len()).filter_map(|at| other.place(at))),
            Content::Made { origin: more, .. } => origin.extend_from_slice(more),
        }
        self.content = Content::Made { text, origin };
    }

    /// Appends text that stands for `place`.
    pub(crate) fn append_for(&mut self, more: &str, place: Span) {
        if more.is_empty() {
            return;
        }
        let (mut text, mut origin) = self.take();
        text.push_str(more);
        origin.extend(std::iter::repeat_n((place.start, place.end), more.len()));
        self.content = Content::Made { text, origin };
    }

    /// An empty text of the same file.
    pub(crate) fn empty_like(&self) -> Self {
        Self {
            file: self.file,
            content: Content::EMPTY,
        }
    }

    /// Where a part of this text came from.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        if let Content::Stretch { whole, from, to } = &self.content {
            let range = from.saturating_add(range.start)..from.saturating_add(range.end);
            if !range.is_empty()
                && range.end <= *to
                && whole.is_char_boundary(range.start)
                && whole.is_char_boundary(range.end)
            {
                let number = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
                return Span {
                    file: self.file,
                    start: number(range.start),
                    end: number(range.end),
                };
            }
        }
        let first = self.place(range.start);
        let last = match range.is_empty() {
            true => first,
            false => self.place(range.end.saturating_sub(1)),
        };
        let start = first.map_or(0, |place| place.0);
        Span {
            file: self.file,
            start,
            end: last.map_or(start, |place| place.1).max(start),
        }
    }

    pub(crate) fn whole(&self) -> Span {
        self.span(0..self.len())
    }

    /// The stretch that the character of a byte, or else the last one, stands for.
    fn place(&self, at: usize) -> Option<(u32, u32)> {
        match &self.content {
            Content::Made { origin, .. } => origin.get(at).or_else(|| origin.last()).copied(),
            Content::Stretch { from, .. } => {
                let number = |offset: usize| u32::try_from(from.saturating_add(offset)).unwrap_or(u32::MAX);
                let text = self.as_str();
                let mut start = at.min(text.len().checked_sub(1)?);
                if text.as_bytes().get(start).is_some_and(u8::is_ascii) {
                    return Some((number(start), number(start.saturating_add(1))));
                }
                while !text.is_char_boundary(start) {
                    start = start.saturating_sub(1);
                }
                let character = text.get(start..)?.chars().next()?;
                Some((number(start), number(start.saturating_add(character.len_utf8()))))
            }
        }
    }

    /// Takes the content out, to be written to and put back.
    fn take(&mut self) -> (String, Vec<(u32, u32)>) {
        if let Content::Made { text, origin } = &mut self.content {
            return (std::mem::take(text), std::mem::take(origin));
        }
        let origin = (0..self.len()).filter_map(|at| self.place(at)).collect();
        (self.as_str().to_owned(), origin)
    }
}

impl Default for Text {
    fn default() -> Self {
        Self {
            file: 0,
            content: Content::EMPTY,
        }
    }
}

impl Content {
    const EMPTY: Self = Self::Made {
        text: String::new(),
        origin: Vec::new(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_and_a_copy_of_it_point_at_the_same_places() {
        let line = Text::alone("xé y");
        let part = line.slice(1..line.len());
        let mut copy = part.empty_like();
        copy.append(&part.slice(0..2));
        copy.append(&part.slice(2..part.len()));
        assert_eq!(copy.as_str(), part.as_str());
        for start in 0..6 {
            for end in start..6 {
                assert_eq!(copy.span(start..end), part.span(start..end), "{start}..{end}");
            }
        }
    }

    #[test]
    fn what_is_put_in_points_at_who_asked_for_it() {
        let place = Span {
            file: 0,
            start: 7,
            end: 9,
        };
        let mut line = Text::alone("ab");
        line.append_for("xyz", place);
        assert_eq!(line.as_str(), "abxyz");
        assert_eq!(line.span(3..4), place);
        assert_eq!(line.span(1..3).start, 1);
    }
}
