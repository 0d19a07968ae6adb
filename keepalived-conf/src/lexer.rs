//! One line: comments off, braces apart, words out.

use crate::source::Span;
use crate::text::Text;

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: Box<str>,
    pub(crate) span: Span,
    /// Whether it stood in quotation marks.
    pub(crate) quoted: bool,
}

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

/// Takes a comment off the end and white space off both ends. `!` and `#` begin a comment anywhere outside quotation
/// marks; after a backslash they stand for themselves.
pub(crate) fn without_comment(line: &Text) -> Text {
    let text = line.as_str();
    if !text.bytes().any(|byte| matches!(byte, b'#' | b'!')) {
        return trimmed(line);
    }
    let mut out = line.empty_like();
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
                    out.append(&line.slice(kept_from..at));
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
    out.append(&line.slice(kept_from..end));
    trimmed(&out)
}

/// The same text without white space at its ends.
pub(crate) fn trimmed(line: &Text) -> Text {
    let text = line.as_str().as_bytes();
    let solid = |byte: &u8| !is_blank_byte(*byte);
    match (text.iter().position(solid), text.iter().rposition(solid)) {
        (Some(first), Some(last)) => line.slice(first..last.saturating_add(1)),
        _ => line.slice(0..0),
    }
}

/// Splits a line at its braces. Each brace outside quotation marks counts, wherever it stands, except those of `${…}`.
///
/// # Errors
///
/// Where a quotation mark has no partner.
pub(crate) fn pieces(line: &Text) -> Result<Vec<Piece>, Unterminated> {
    let text = line.as_str();
    if !text.bytes().any(|byte| matches!(byte, b'{' | b'}' | b'"')) {
        let whole = trimmed(line);
        return Ok(match whole.len() {
            0 => Vec::new(),
            _ => vec![Piece::Words(whole)],
        });
    }
    let mut out = Vec::new();
    let mut from = 0;
    let mut quote = None;
    let mut substitution = false;
    let mut previous = b' ';
    let flush = |out: &mut Vec<Piece>, from: usize, to: usize| {
        let piece = trimmed(&line.slice(from..to));
        if piece.len() > 0 {
            out.push(Piece::Words(piece));
        }
    };
    // What matters is ASCII, and no byte of another character looks like it.
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => quote = if quote.is_some() { None } else { Some(at) },
            b'{' if quote.is_none() && previous == b'$' => substitution = true,
            b'}' if quote.is_none() && substitution => substitution = false,
            b'{' | b'}' if quote.is_none() => {
                flush(&mut out, from, at);
                let next = at.saturating_add(1);
                let span = line.span(at..next);
                out.push(match byte {
                    b'{' => Piece::Open(span),
                    _ => Piece::Close(span),
                });
                from = next;
            }
            _ => {}
        }
        previous = byte;
    }
    if let Some(at) = quote {
        return Err(Unterminated(line.span(at..at.saturating_add(1))));
    }
    flush(&mut out, from, text.len());
    Ok(out)
}

/// The words of a piece: between white space, or between quotation marks. A quotation mark in the middle of a word ends
/// the word.
pub(crate) fn words(piece: &Text) -> Vec<Word> {
    let text = piece.as_str();
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let Some(skipped) = rest.iter().position(|byte| !is_blank_byte(*byte)) else {
            break;
        };
        let start = at.saturating_add(skipped);
        let rest = bytes.get(start..).unwrap_or_default();
        let quoted = rest.first() == Some(&b'"');
        let body = rest.get(usize::from(quoted)..).unwrap_or_default();
        let ends = |byte: &u8| *byte == b'"' || !quoted && is_blank_byte(*byte);
        let length = body.iter().position(ends).unwrap_or(body.len());
        let inner_start = start.saturating_add(usize::from(quoted));
        let inner_end = inner_start.saturating_add(length);
        at = inner_end
            .saturating_add(usize::from(quoted))
            .min(text.len())
            .max(start.saturating_add(1));
        out.push(Word {
            text: text.get(inner_start..inner_end).unwrap_or_default().into(),
            span: piece.span(start..at),
            quoted,
        });
    }
    out
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

fn is_blank_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Text {
        Text::alone(line)
    }

    fn plain(line: &str) -> Vec<String> {
        words(&text(line))
            .into_iter()
            .map(|word| word.text.into())
            .collect()
    }

    #[test]
    fn a_comment_begins_anywhere_outside_quotation_marks() {
        assert_eq!(without_comment(&text("  a b # c ! d")).as_str(), "a b");
        assert_eq!(without_comment(&text("a!b")).as_str(), "a");
        assert_eq!(
            without_comment(&text(r##"a "b#c" d#"##)).as_str(),
            r##"a "b#c" d"##
        );
        assert_eq!(without_comment(&text(r"a\#b \! c")).as_str(), "a#b ! c");
        assert_eq!(without_comment(&text("# all of it")).as_str(), "");
    }

    #[test]
    fn a_quotation_mark_in_the_middle_ends_the_word() {
        assert_eq!(plain(r#"a"b c"d"#), ["a", "b c", "d"]);
        assert_eq!(plain("x\ty  z"), ["x", "y", "z"]);
        assert_eq!(plain(r#"x """#), ["x", ""]);
    }

    #[test]
    fn spans_cover_the_quotation_marks() {
        let found = words(&text(r#"ab "c d""#));
        assert_eq!(
            found[1].span,
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
            pieces(&text(line))
                .unwrap()
                .into_iter()
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
        assert_eq!(pieces(&text(r#"a "b"#)).unwrap_err().0.start, 2);
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
