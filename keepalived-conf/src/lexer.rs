//! One line: comments off, braces apart, words out.

use std::ops::{BitOr, Range};

use crate::source::Span;
use crate::text::{Draft, Text};

/// One word of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) span: Span,
}

/// A line, and what is to be looked for in it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: Text,
    pub(crate) marks: Marks,
}

impl Line {
    pub(crate) fn new(text: Text) -> Self {
        let marks = Marks::of(text.as_bytes());
        Self { text, marks }
    }
}

/// Which of the characters that mean something a text may hold: nearly every line holds none, and is read at one glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

impl Marks {
    const BLANK: Self = Self(1);
    pub(crate) const NUL: Self = Self(2);
    /// `#` and `!`.
    pub(crate) const COMMENT: Self = Self(4);
    pub(crate) const QUOTE: Self = Self(8);
    pub(crate) const BRACE: Self = Self(16);
    /// `$`, `@` and `~`: what definitions, conditions and sequences begin with.
    pub(crate) const SIGIL: Self = Self(32);
    pub(crate) const BACKSLASH: Self = Self(64);

    #[inline]
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(text.iter().fold(0, |marks, byte| marks | kind(*byte)))
    }

    #[inline]
    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

impl BitOr for Marks {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[inline]
fn kind(byte: u8) -> u8 {
    KINDS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The mark of each byte.
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut rest = kinds.as_mut_slice();
    let mut byte: u8 = 0;
    while let Some((kind, more)) = rest.split_first_mut() {
        *kind = match byte {
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => Marks::BLANK.0,
            0 => Marks::NUL.0,
            b'#' | b'!' => Marks::COMMENT.0,
            b'"' => Marks::QUOTE.0,
            b'{' | b'}' => Marks::BRACE.0,
            b'$' | b'@' | b'~' => Marks::SIGIL.0,
            b'\\' => Marks::BACKSLASH.0,
            _ => 0,
        };
        rest = more;
        byte = byte.wrapping_add(1);
    }
    kinds
};

/// A piece of a line: what keepalived reads as a line of its own.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Open(Span),
    Close(Span),
    Words(Text),
}

/// A quotation mark without its partner, at the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unterminated(pub(crate) Span);

/// Takes a comment off the end of a line, and white space off its ends. `!` and `#` begin a comment anywhere outside
/// quotation marks; after a backslash they stand for themselves.
pub(crate) fn without_comment(line: &Text) -> Line {
    let text = line.as_str();
    let mut out = Draft::of_file(line.file());
    let mut kept_from = 0;
    let mut quoted = false;
    let mut characters = text.char_indices().peekable();
    let mut end = text.len();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => {
                if let Some((_, next)) = characters.next()
                    && !quoted
                    && matches!(next, '#' | '!')
                {
                    out.push(&line.slice(kept_from..at));
                    kept_from = at.saturating_add(1);
                }
            }
            '#' | '!' if !quoted => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let last = line.slice(kept_from..end);
    if kept_from == 0 {
        return Line::new(trimmed(last));
    }
    out.push(&last);
    Line::new(trimmed(out.finish()))
}

/// The same text without white space at its ends.
pub(crate) fn trimmed(line: Text) -> Text {
    let solid = trimmed_range(line.as_bytes());
    line.narrowed(solid)
}

#[inline]
pub(crate) fn trimmed_range(text: &[u8]) -> Range<usize> {
    let solid = |byte: &u8| !is_blank_byte(*byte);
    let start = text.iter().position(solid).unwrap_or(text.len());
    start..text.iter().rposition(solid).map_or(start, |last| last + 1)
}

/// The pieces of a line. Each brace outside quotation marks counts, wherever it stands, except those of `${…}`.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// What is still to be read.
    rest: Line,
}

impl Pieces {
    /// # Errors
    ///
    /// Where a quotation mark has no partner.
    pub(crate) fn new(line: Line) -> Result<Self, Unterminated> {
        if line.marks.has(Marks::QUOTE)
            && let Some(at) = outside_quotes(line.text.as_bytes(), |_| false).1
        {
            return Err(Unterminated(line.text.span(at..at.saturating_add(1))));
        }
        Ok(Self { rest: line })
    }

    /// Where the next brace is.
    #[inline]
    fn brace(&self) -> Option<usize> {
        let text = self.rest.text.as_bytes();
        let brace = |byte: u8| matches!(byte, b'{' | b'}');
        match self
            .rest
            .marks
            .has(Marks::QUOTE | Marks::SIGIL | Marks::BACKSLASH)
        {
            true => outside_quotes(text, brace).0,
            false => text.iter().position(|byte| brace(*byte)),
        }
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while self.rest.text.len() > 0 {
            let brace = self.brace();
            if brace == Some(0) {
                let span = self.rest.text.span(0..1);
                let opens = self.rest.text.as_bytes().first() == Some(&b'{');
                self.rest.text.skip(1);
                return Some(match opens {
                    true => Piece::Open(span),
                    false => Piece::Close(span),
                });
            }
            let end = brace.unwrap_or(self.rest.text.len());
            let words = trimmed(self.rest.text.slice(0..end));
            self.rest.text.skip(end);
            if words.len() > 0 {
                return Some(Piece::Words(words));
            }
        }
        None
    }
}

/// Where the first byte outside quotation marks is that is wanted and no part of `${…}`, and where a quotation mark is
/// that has no partner before it.
fn outside_quotes(text: &[u8], wanted: impl Fn(u8) -> bool) -> (Option<usize>, Option<usize>) {
    let mut quote = None;
    let mut substitution = false;
    let mut previous = b' ';
    // What matters is ASCII, and no byte of another character looks like it.
    let mut bytes = text.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => quote = if quote.is_some() { None } else { Some(at) },
            b'{' if quote.is_none() && previous == b'$' => substitution = true,
            b'}' if quote.is_none() && substitution => substitution = false,
            _ if quote.is_none() && wanted(byte) => return (Some(at), None),
            _ => {}
        }
        previous = byte;
    }
    (None, quote)
}

/// The words of a text that are still to be read: between white space, or between quotation marks. A quotation mark in
/// the middle of a word ends the word.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    text: &'a Text,
    /// All of it up to where reading ends.
    whole: &'a str,
    at: usize,
    /// Where the last word that was taken stood.
    last: Span,
}

impl<'a> Words<'a> {
    /// All words of a text.
    pub(crate) fn of(text: &'a Text) -> Self {
        Self {
            text,
            whole: text.as_str(),
            at: 0,
            last: text.all(),
        }
    }

    /// The words of a text from `at` on, where a word ends.
    pub(crate) fn after(text: &'a Text, at: usize) -> Self {
        Self {
            text,
            whole: text.as_str(),
            at,
            last: text.span(0..at),
        }
    }

    /// The next word.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Word<'a>> {
        let (start, inner, end) = word(self.whole.as_bytes(), self.at)?;
        self.at = end;
        self.last = self.text.span(start..end);
        Some(Word {
            text: self.whole.get(inner)?,
            span: self.last,
        })
    }

    /// The next word, which stays to be read.
    pub(crate) fn peek(&self) -> Option<Word<'a>> {
        self.clone().take()
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take_if(&mut self, wanted: impl FnOnce(&str) -> bool) -> Option<Word<'a>> {
        let mut after = self.clone();
        let word = after.take().filter(|word| wanted(word.text))?;
        *self = after;
        Some(word)
    }

    /// The next word alone.
    pub(crate) fn take_alone(&mut self) -> Option<Self> {
        let mut alone = self.clone();
        alone.last = self.take()?.span;
        alone.whole = self.whole.get(..self.at)?;
        Some(alone)
    }

    /// Where all that is still to be read stands; `None` where nothing is.
    pub(crate) fn rest(&self) -> Option<Span> {
        if self.at == self.whole.len() {
            return None;
        }
        let mut rest = self.clone();
        let first = rest.take()?.span;
        while rest.take().is_some() {}
        Some(first.to(rest.last))
    }

    /// Where the last word that was taken stood.
    pub(crate) fn last(&self) -> Span {
        self.last
    }

    /// The text after the last word that was taken.
    pub(crate) fn text(&self) -> &'a str {
        self.whole.get(self.at..).unwrap_or_default()
    }
}

/// Where the first word of a text ends.
pub(crate) fn first_word_end(text: &Text) -> usize {
    word(text.as_bytes(), 0).map_or(0, |(_, _, end)| end)
}

/// The next word: where it begins, what there is of it without its quotation marks, and where it ends.
fn word(text: &[u8], from: usize) -> Option<(usize, Range<usize>, usize)> {
    let mut start = from;
    while is_blank_byte(*text.get(start)?) {
        start = start.saturating_add(1);
    }
    let quoted = *text.get(start)? == b'"';
    let ends = match quoted {
        true => Marks::QUOTE,
        false => Marks::QUOTE | Marks::BLANK,
    };
    let inner = start.saturating_add(usize::from(quoted));
    let mut end = inner;
    while let Some(byte) = text.get(end)
        && !Marks(kind(*byte)).has(ends)
    {
        end = end.saturating_add(1);
    }
    let after = end.saturating_add(usize::from(quoted)).min(text.len());
    Some((start, inner..end, after))
}

/// The words of a command line: white space separates, `'` and `"` group, a backslash escapes (`\n`, `\t`, `\x41`,
/// `\101`, `\cA`, `\E`, and any other character for itself; inside `'…'` only `\'` and `\\`).
///
/// `None` where a quotation mark has no partner.
pub(crate) fn command_words(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\\') => {
                let word = word.get_or_insert_default();
                match characters.next_if(|next| matches!(next, '\'' | '\\')) {
                    Some(next) => word.push(next),
                    None => word.push('\\'),
                }
            }
            (_, '\\') => {
                let escaped = escape(&mut characters);
                word.get_or_insert_default().push(escaped);
            }
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if is_blank(character) || character == '\n' => out.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return None;
    }
    out.extend(word);
    Some(out)
}

/// What stands after a backslash, as one character.
fn escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> char {
    let Some(character) = characters.next() else {
        return '\\';
    };
    match character {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'c' => characters
            .next()
            .and_then(|next| u8::try_from(next).ok())
            .map_or('c', |next| char::from(next & 0x1f)),
        'x' => hexadecimal(characters).unwrap_or('x'),
        '0'..='7' => {
            let first = character.to_digit(8).unwrap_or(0);
            let mut value = first;
            for _ in 0..2 {
                let Some(digit) = characters.peek().and_then(|next| next.to_digit(8)) else {
                    break;
                };
                characters.next();
                value = value.saturating_mul(8).saturating_add(digit);
            }
            u8::try_from(value & 0xff).map_or('?', char::from)
        }
        other => other,
    }
}

/// All the digits that there are, of which the lowest byte counts.
fn hexadecimal(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let mut value: Option<u32> = None;
    while let Some(digit) = characters.peek().and_then(|next| next.to_digit(16)) {
        characters.next();
        value = Some((value.unwrap_or(0) << 4 | digit) & 0xff);
    }
    value.and_then(|value| u8::try_from(value).ok()).map(char::from)
}

/// The white space of the language; a carriage return is one, so that files from elsewhere read the same.
pub(crate) fn is_blank(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_blank_byte)
}

#[inline]
fn is_blank_byte(byte: u8) -> bool {
    Marks(kind(byte)).has(Marks::BLANK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Text {
        Text::alone(line)
    }

    fn plain(line: &str) -> Vec<String> {
        let text = text(line);
        let mut words = Words::of(&text);
        std::iter::from_fn(|| words.take().map(|word| word.text.to_owned())).collect()
    }

    fn bare(line: &str) -> String {
        without_comment(&text(line)).text.as_str().to_owned()
    }

    fn broken(line: &str) -> Result<Pieces, Unterminated> {
        Pieces::new(Line::new(text(line)))
    }

    #[test]
    fn a_comment_begins_anywhere_outside_quotation_marks() {
        assert_eq!(bare("  a b # c ! d"), "a b");
        assert_eq!(bare("a!b"), "a");
        assert_eq!(bare(r##"a "b#c" d#"##), r##"a "b#c" d"##);
        assert_eq!(bare(r"a\#b \! c"), "a#b ! c");
        assert_eq!(bare("# all of it"), "");
    }

    #[test]
    fn a_quotation_mark_in_the_middle_ends_the_word() {
        assert_eq!(plain(r#"a"b c"d"#), ["a", "b c", "d"]);
        assert_eq!(plain("x\ty  z"), ["x", "y", "z"]);
        assert_eq!(plain(r#"x """#), ["x", ""]);
    }

    #[test]
    fn spans_cover_the_quotation_marks() {
        let text = text(r#"ab "c d""#);
        let mut words = Words::of(&text);
        words.take();
        assert_eq!(
            words.take().unwrap().span,
            Span {
                file: 0,
                start: 3,
                end: 8
            }
        );
    }

    #[test]
    fn braces_stand_alone_wherever_they_are_written() {
        let shape = |line: &str| -> Vec<String> {
            broken(line)
                .unwrap()
                .map(|piece| match piece {
                    Piece::Open(_) => String::from("{"),
                    Piece::Close(_) => String::from("}"),
                    Piece::Words(text) => text.as_str().to_owned(),
                })
                .collect()
        };
        assert_eq!(shape("a{b c} d"), ["a", "{", "b c", "}", "d"]);
        assert_eq!(shape(r#"s "x {y}" {"#), [r#"s "x {y}""#, "{"]);
        assert_eq!(shape("a ${B} {"), ["a ${B}", "{"]);
        assert_eq!(broken(r#"a "b"#).unwrap_err().0.start, 2);
    }

    #[test]
    fn command_lines_know_both_quotes_and_escapes() {
        let split = |text| command_words(text).unwrap();
        assert_eq!(split("/bin/sh -c 'exit 1'"), ["/bin/sh", "-c", "exit 1"]);
        assert_eq!(split(r#"a "b c"d \x41\102\t\E"#), ["a", "b cd", "AB\t\u{1b}"]);
        assert_eq!(split(r"a '' \ b"), ["a", "", " b"]);
        assert_eq!(split(r"'a\'b\n'"), [r"a'b\n"]);
        assert_eq!(command_words("a 'b"), None);
        assert_eq!(split(""), Vec::<String>::new());
    }
}
