//! Text that remembers which characters of which file each of its bytes came from.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::source::Span;

/// A line on its way from the file to its words, or a part of it: a stretch of a whole that all of them share.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    whole: Rc<Whole>,
    from: usize,
    to: usize,
}

/// A file, or a line that was put together.
#[derive(Debug)]
pub(crate) struct Whole {
    file: u32,
    text: Arc<String>,
    /// For each byte the stretch of the file it stands for; empty where it stands for itself.
    origin: Vec<(u32, u32)>,
}

impl Whole {
    pub(crate) fn of_file(file: u32, text: Arc<String>) -> Self {
        Self {
            file,
            text,
            origin: Vec::new(),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Text {
    /// A part of a whole, from one character to another.
    #[inline]
    pub(crate) fn part(whole: &Rc<Whole>, range: Range<usize>) -> Self {
        Self {
            whole: Rc::clone(whole),
            from: range.start,
            to: range.end,
        }
    }

    /// A text of no file.
    pub(crate) fn alone(text: &str) -> Self {
        Self::part(
            &Rc::new(Whole::of_file(0, Arc::new(text.to_owned()))),
            0..text.len(),
        )
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        self.whole.text.get(self.from..self.to).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.whole
            .text
            .as_bytes()
            .get(self.from..self.to)
            .unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.to.saturating_sub(self.from)
    }

    pub(crate) fn file(&self) -> u32 {
        self.whole.file
    }

    /// A part of this text, from one character to another.
    #[inline]
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        self.clone().narrowed(range)
    }

    /// The same of a text that is not needed any more.
    #[inline]
    pub(crate) fn narrowed(mut self, range: Range<usize>) -> Self {
        self.to = self.from.saturating_add(range.end).min(self.to);
        self.from = self.from.saturating_add(range.start).min(self.to);
        self
    }

    /// Takes so much off the front.
    #[inline]
    pub(crate) fn skip(&mut self, length: usize) {
        self.from = self.from.saturating_add(length).min(self.to);
    }

    /// Where a part of this text, from one character to another, came from.
    #[inline]
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let from = self.from.saturating_add(range.start);
        let to = self.from.saturating_add(range.end);
        let origin = &self.whole.origin;
        let (start, end) = match origin.last() {
            None => (offset(from), offset(to)),
            Some(last) => {
                let place = |at: usize| origin.get(at).unwrap_or(last);
                (place(from).0, place(to.saturating_sub(1).max(from)).1)
            }
        };
        Span {
            file: self.whole.file,
            start,
            end: end.max(start),
        }
    }

    #[inline]
    pub(crate) fn all(&self) -> Span {
        self.span(0..self.len())
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// A line that is being put together. Definitions and sequences rewrite lines; what they put in points at the place that
/// asked for it.
#[derive(Debug)]
pub(crate) struct Draft {
    file: u32,
    text: String,
    origin: Vec<(u32, u32)>,
}

impl Draft {
    /// Nothing yet, of one file.
    pub(crate) fn of_file(file: u32) -> Self {
        Self {
            file,
            text: String::new(),
            origin: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, more: &Text) {
        self.text.push_str(more.as_str());
        let whole = &*more.whole;
        match whole.origin.get(more.from..more.to) {
            Some(origin) => self.origin.extend_from_slice(origin),
            None => {
                for (at, character) in more.as_str().char_indices() {
                    let start = more.from.saturating_add(at);
                    let length = character.len_utf8();
                    let place = (offset(start), offset(start.saturating_add(length)));
                    self.origin.extend(std::iter::repeat_n(place, length));
                }
            }
        }
    }

    /// Appends text that stands for `place`.
    pub(crate) fn push_for(&mut self, more: &str, place: Span) {
        self.text.push_str(more);
        self.origin
            .extend(std::iter::repeat_n((place.start, place.end), more.len()));
    }

    pub(crate) fn finish(self) -> Text {
        let to = self.text.len();
        let whole = Whole {
            file: self.file,
            text: Arc::new(self.text),
            origin: self.origin,
        };
        Text::part(&Rc::new(whole), 0..to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_and_a_copy_of_it_point_at_the_same_places() {
        let line = Text::alone("xé y");
        let part = line.slice(1..line.len());
        let mut copy = Draft::of_file(0);
        copy.push(&part.slice(0..2));
        copy.push(&part.slice(2..part.len()));
        let copy = copy.finish();
        assert_eq!(copy.as_str(), part.as_str());
        for start in [0, 2, 3] {
            for end in [2, 3, 4].into_iter().filter(|end| *end > start) {
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
        let mut line = Draft::of_file(0);
        line.push(&Text::alone("ab"));
        line.push_for("xyz", place);
        let line = line.finish();
        assert_eq!(line.as_str(), "abxyz");
        assert_eq!(line.span(3..4), place);
        assert_eq!(line.span(1..3).start, 1);
    }
}
