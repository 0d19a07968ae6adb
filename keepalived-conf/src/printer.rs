//! Values to text.

use crate::error::Error;
use crate::lexer::{Piece, Pieces, Words, command_words, without_comment};
use crate::limits::LINE_BYTES;
use crate::text::Text;

/// Writes keepalived's language. Every line is read back before it is kept: what would not come back as the same words
/// is counted as unprintable.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    out: String,
    depth: usize,
    unprintable: usize,
}

impl Printer {
    /// A statement without a block.
    pub(crate) fn line(&mut self, line: &[String]) {
        self.write(line, "");
    }

    /// A command: its text is read by rules of its own.
    pub(crate) fn command(&mut self, keyword: &str, command: &str, user: Option<&str>, group: Option<&str>) {
        let mut text = format!("{keyword} \"{}\"", escape_command(command));
        let mut wanted = vec![command];
        for word in [user, group].into_iter().flatten() {
            text.push_str(&format!(" \"{}\"", escape_command(word)));
            wanted.push(word);
        }
        let arguments = text.get(keyword.len()..).unwrap_or_default();
        let same = command_words(arguments).is_some_and(|read| read == wanted);
        let user_first = user.is_some() || group.is_none();
        let length = text.len().saturating_add(self.depth.saturating_mul(4));
        let clean = !text.contains(['\n', '\0', char::REPLACEMENT_CHARACTER]);
        if !(same && one_piece(&text).is_some() && user_first && clean && length <= LINE_BYTES) {
            self.unprintable = self.unprintable.saturating_add(1);
            return;
        }
        self.indent();
        self.out.push_str(&text);
        self.out.push('\n');
    }

    /// A statement with a block: its first line.
    pub(crate) fn open(&mut self, line: &[String]) {
        if self.depth == 0 && !self.out.is_empty() {
            self.out.push('\n');
        }
        self.write(line, " {");
        self.depth = self.depth.saturating_add(1);
    }

    pub(crate) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.indent();
        self.out.push_str("}\n");
    }

    pub(crate) fn finish(self) -> Result<String, Error> {
        match self.unprintable {
            0 => Ok(self.out),
            values => Err(Error::Unprintable { values }),
        }
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n("    ", self.depth));
    }

    fn write(&mut self, line: &[String], end: &str) {
        let quoted: Vec<String> = line.iter().map(|word| quote(word)).collect();
        let text = quoted.join(" ");
        let length = text
            .len()
            .saturating_add(end.len())
            .saturating_add(self.depth.saturating_mul(4));
        if length > LINE_BYTES || !reads_back(&text, line) {
            self.unprintable = self.unprintable.saturating_add(1);
            return;
        }
        self.indent();
        self.out.push_str(&text);
        self.out.push_str(end);
        self.out.push('\n');
    }
}

/// A command line inside the quotation marks of a plain word.
fn escape_command(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' => out.push_str("\\n"),
            '$' => out.push_str("\\x24"),
            _ => out.push(character),
        }
    }
    out
}

fn quote(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.starts_with(['@', '~', '$'])
        && crate::include::keyword(word).is_none()
        && !word.contains(|character: char| {
            crate::lexer::is_blank(character) || matches!(character, '{' | '}' | '#' | '!' | '"' | '\\' | '=')
        });
    if plain {
        word.to_owned()
    } else {
        format!("\"{word}\"")
    }
}

fn reads_back(text: &str, line: &[String]) -> bool {
    if text.contains(['\n', '\0', char::REPLACEMENT_CHARACTER]) || text.contains("${_") {
        return false;
    }
    let Some(piece) = one_piece(text) else {
        return false;
    };
    let mut read = Words::of(&piece);
    line.iter()
        .all(|word| read.take().is_some_and(|read| read.text == *word))
        && read.take().is_none()
}

/// A line without a comment and without a brace.
fn one_piece(line: &str) -> Option<Text> {
    let bare = without_comment(&Text::alone(line));
    if bare.text.as_str() != line {
        return None;
    }
    let mut pieces = Pieces::new(bare).ok()?;
    match (pieces.next()?, pieces.next()) {
        (Piece::Words(text), None) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(line: &[&str]) -> Result<String, Error> {
        let line: Vec<String> = line.iter().map(|word| String::from(*word)).collect();
        let mut printer = Printer::default();
        printer.line(&line);
        printer.finish()
    }

    #[test]
    fn words_are_quoted_where_they_need_it() {
        assert_eq!(
            print(&["a", "b c", "", "d#e"]).unwrap(),
            "a \"b c\" \"\" \"d#e\"\n"
        );
        assert_eq!(print(&["include", "@x"]).unwrap(), "\"include\" \"@x\"\n");
    }

    #[test]
    fn what_would_read_back_as_something_else_is_refused() {
        for word in ["a\"b", "a\nb", "${_PWD}", "x\u{0}", &"x".repeat(2_000)] {
            assert_eq!(
                print(&["k", word]),
                Err(Error::Unprintable { values: 1 }),
                "{word:?}"
            );
        }
    }
}
