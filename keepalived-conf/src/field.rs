//! The shapes that everything in the model has: values in a row, statements, fields of a block, entries of a list.

use std::ops::{Deref, DerefMut};

use crate::diagnostic::{Diagnostic, Verdict};
use crate::keyword::{Keyword, Range, nearest};
use crate::lexer::{Word, Words};
use crate::printer::Printer;
use crate::reader::Reader;
use crate::statement::{Block, Statement};

/// What is said in one or a few words of a row.
pub(crate) trait Value: Sized {
    /// Takes the words it needs; says what is wrong with them and yields `None` if they will not do.
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self>;

    /// Appends the words that `take` takes.
    fn put(&self, line: &mut Vec<String>);

    /// Whether it holds whatever is said of the same keyword afterwards.
    fn prevails(&self) -> bool {
        false
    }
}

/// What is said in a statement of its own.
pub(crate) trait Setting: Sized {
    /// Reads a statement. `previous` is what an earlier one of the same keyword said.
    fn read(
        keyword: &'static Keyword,
        statement: &Statement,
        reader: &mut Reader<'_>,
        previous: Option<Self>,
    ) -> Option<Self>;

    fn write(&self, keyword: &str, printer: &mut Printer);

    /// Whether it holds whatever is said of the same keyword afterwards.
    fn prevails(&self) -> bool {
        false
    }
}

/// One line of a list.
pub(crate) trait Entry: Sized {
    /// Whether each word is an entry of its own, rather than each line.
    const EACH_WORD: bool;

    fn read_entry(words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) -> Option<Self>;

    fn write_entry(&self, line: &mut Vec<String>);
}

/// A field of a block.
pub(crate) trait Field {
    fn read(&mut self, keyword: &'static Keyword, statement: &Statement, reader: &mut Reader<'_>);

    fn write(&self, keyword: &Keyword, printer: &mut Printer);

    #[cfg_attr(
        not(feature = "serde"),
        expect(dead_code, reason = "only serde leaves fields out")
    )]
    fn is_unset(&self) -> bool;
}

/// Reads what a statement says of one field of a block.
pub(crate) type ReadField<B> = fn(&mut B, &'static Keyword, &Statement, &mut Reader<'_>);

/// Takes what one option of an entry says.
pub(crate) type TakePart<E> = fn(&mut E, &mut Words<'_>, &'static Keyword, &mut Reader<'_>);

/// An option in a row.
pub(crate) trait Part {
    fn take(&mut self, words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>);

    fn put(&self, keyword: &Keyword, line: &mut Vec<String>);
}

/// Which words of an entry mean something that no keyword introduces.
pub(crate) trait Positional {
    /// Advice about a word that is not known, where there is better advice than the nearest keyword.
    fn advice(_word: &str) -> Option<String> {
        None
    }
}

#[cfg(feature = "serde")]
pub(crate) fn is_unset(field: &impl Field) -> bool {
    field.is_unset()
}

impl<T: Setting> Field for Option<T> {
    fn read(&mut self, keyword: &'static Keyword, statement: &Statement, reader: &mut Reader<'_>) {
        let before = self.take();
        let block = matches!(keyword.range, Range::Block(_));
        *self = match before {
            None => T::read(keyword, statement, reader, None),
            Some(before) if block => T::read(keyword, statement, reader, Some(before)),
            Some(before) => Some(again(before, keyword, statement, reader)),
        };
    }

    fn write(&self, keyword: &Keyword, printer: &mut Printer) {
        if let Some(value) = self {
            value.write(keyword.name(), printer);
        }
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

/// What holds of a keyword that is said once more.
fn again<T: Setting>(
    before: T,
    keyword: &'static Keyword,
    statement: &Statement,
    reader: &mut Reader<'_>,
) -> T {
    let span = statement.keyword_span();
    let name = keyword.name();
    if before.prevails() {
        let message = format!("`{name}` is said twice: what was said first holds");
        reader.push(Diagnostic::warning(span, message).verdict(Verdict::Silent));
        return before;
    }
    if is_script(keyword) {
        let message = format!("a second `{name}` is ignored: the first counts");
        reader.push(Diagnostic::warning(span, message).verdict(Verdict::Reports));
        return before;
    }
    let message = format!("`{name}` is said twice: the last counts");
    reader.push(Diagnostic::warning(span, message).verdict(Verdict::Silent));
    // A bad value leaves the earlier one in force, as keepalived does.
    T::read(keyword, statement, reader, None).unwrap_or(before)
}

/// A script keyword keeps its first value; every other its last.
fn is_script(keyword: &Keyword) -> bool {
    keyword.range == crate::keyword::SCRIPT
}

impl<T: Setting> Field for Vec<T> {
    fn read(&mut self, keyword: &'static Keyword, statement: &Statement, reader: &mut Reader<'_>) {
        if let Some(value) = T::read(keyword, statement, reader, None) {
            // There is often one, as with checks, and else there are many, as with real servers.
            if self.len() == self.capacity() {
                self.reserve_exact(if self.is_empty() { 1 } else { self.len().max(15) });
            }
            self.push(value);
        }
    }

    fn write(&self, keyword: &Keyword, printer: &mut Printer) {
        for value in self {
            value.write(keyword.name(), printer);
        }
    }

    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl Field for bool {
    fn read(&mut self, keyword: &'static Keyword, statement: &Statement, reader: &mut Reader<'_>) {
        no_block(keyword, statement, reader);
        let words = statement.arguments();
        reader.superfluous(&words);
        let denied = words.peek().is_some_and(|word| boolean(word.text) == Some(false));
        if denied {
            reader.push(
                Diagnostic::warning(
                    statement.span(),
                    format!("`{}` takes no value, so this sets it", keyword.name()),
                )
                .advice("leave the line out to have it off")
                .verdict(Verdict::Silent),
            );
        }
        *self = true;
    }

    fn write(&self, keyword: &Keyword, printer: &mut Printer) {
        if *self {
            printer.line(&[keyword.name().to_owned()]);
        }
    }

    fn is_unset(&self) -> bool {
        !*self
    }
}

impl<T: Value> Part for Option<T> {
    fn take(&mut self, words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) {
        *self = T::take(words, keyword, reader).or_else(|| self.take());
    }

    fn put(&self, keyword: &Keyword, line: &mut Vec<String>) {
        if let Some(value) = self {
            line.push(keyword.name().to_owned());
            value.put(line);
        }
    }
}

impl<T: Value> Part for Vec<T> {
    fn take(&mut self, words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) {
        self.extend(T::take(words, keyword, reader));
    }

    fn put(&self, keyword: &Keyword, line: &mut Vec<String>) {
        for value in self {
            line.push(keyword.name().to_owned());
            value.put(line);
        }
    }
}

impl Part for bool {
    fn take(&mut self, _: &mut Words<'_>, _: &'static Keyword, _: &mut Reader<'_>) {
        *self = true;
    }

    fn put(&self, keyword: &Keyword, line: &mut Vec<String>) {
        if *self {
            line.push(keyword.name().to_owned());
        }
    }
}

/// The lines of a block that is a list. Several blocks of the same keyword make one list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// Reads the lines of a list's block.
pub(crate) fn read_entries<T: Entry>(
    list: &mut List<T>,
    body: Block,
    keyword: &'static Keyword,
    reader: &mut Reader<'_>,
) {
    while let Some(line) = reader.next(body) {
        if line.block.is_some() {
            reader.push(Diagnostic::error(
                line.keyword_span(),
                format!(
                    "a block in the list `{}`: `{}` is no entry",
                    keyword.name(),
                    line.keyword()
                ),
            ));
            continue;
        }
        let mut words = line.words();
        match T::EACH_WORD {
            true => {
                while let Some(mut word) = words.take_alone() {
                    list.extend(T::read_entry(&mut word, keyword, reader));
                }
            }
            false => list.extend(T::read_entry(&mut words, keyword, reader)),
        }
    }
}

impl<T: Entry> Field for List<T> {
    fn read(&mut self, keyword: &'static Keyword, statement: &Statement, reader: &mut Reader<'_>) {
        let name = keyword.name();
        let span = statement.keyword_span();
        let Some(block) = statement.block else {
            reader.push(
                Diagnostic::error(span, format!("`{name}` needs a block"))
                    .advice(format!("write `{name} {{`, one entry on each line, and `}}`"))
                    .verdict(Verdict::Reports),
            );
            return;
        };
        let arguments = statement.arguments();
        if let (Some(first), Some(all)) = (arguments.peek(), arguments.rest()) {
            reader.push(Diagnostic::warning(
                all,
                format!("`{}` between `{name}` and its block is ignored", first.text),
            ));
        }
        read_entries(self, block, keyword, reader);
    }

    fn write(&self, keyword: &Keyword, printer: &mut Printer) {
        if self.0.is_empty() {
            return;
        }
        printer.open(&[keyword.name().to_owned()]);
        for entry in &self.0 {
            let mut line = Vec::new();
            entry.write_entry(&mut line);
            printer.line(&line);
        }
        printer.close();
    }

    fn is_unset(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a statement that is a keyword and a value.
pub(crate) fn read_value<T: Value>(
    keyword: &'static Keyword,
    statement: &Statement,
    reader: &mut Reader<'_>,
) -> Option<T> {
    no_block(keyword, statement, reader);
    let mut words = statement.arguments();
    let value = T::take(&mut words, keyword, reader)?;
    reader.superfluous(&words);
    Some(value)
}

pub(crate) fn write_value<T: Value>(value: &T, keyword: &str, printer: &mut Printer) {
    let mut line = vec![keyword.to_owned()];
    value.put(&mut line);
    printer.line(&line);
}

fn no_block(keyword: &Keyword, statement: &Statement, reader: &mut Reader<'_>) {
    if statement.block.is_some() {
        reader.push(
            Diagnostic::error(
                statement.keyword_span(),
                format!("`{}` takes no block", keyword.name()),
            )
            .advice("what stands in it is not read"),
        );
    }
}

/// Says that a block keyword has no block.
pub(crate) fn needs_block(keyword: &Keyword, statement: &Statement, reader: &mut Reader<'_>) {
    let name = keyword.name();
    reader.push(
        Diagnostic::error(statement.keyword_span(), format!("`{name}` needs a block"))
            .advice(format!("write `{name} … {{` and `}}`")),
    );
}

/// Says that a word in an entry is not known.
pub(crate) fn unknown_option<T: Positional>(
    word: Word<'_>,
    owner: &Keyword,
    vocabulary: &'static [Keyword],
    reader: &mut Reader<'_>,
) {
    let known = || {
        vocabulary
            .iter()
            .flat_map(|keyword| keyword.spellings.iter().copied())
    };
    let glued = known()
        .filter(|option| option.len() > 2 && word.text.len() > option.len())
        .find_map(|option| Some((option, word.text.strip_prefix(option)?)));
    let advice = match (T::advice(word.text), glued, nearest(word.text, known())) {
        (Some(advice), _, _) => advice,
        (None, Some((option, rest)), _) => {
            format!("did you mean `{option} {rest}`, with a space? Nothing is done about it as it stands")
        }
        (None, None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None, None) => String::from("it is ignored"),
    };
    let message = format!("unknown option `{}` in `{}`", word.text, owner.name());
    // keepalived 2.2.7 drops what begins like an option without a word.
    let verdict = Verdict::Reports;
    reader.push(
        Diagnostic::warning(word.span, message)
            .advice(advice)
            .verdict(verdict),
    );
}

/// The words of the language for true and false.
pub(crate) fn boolean(word: &str) -> Option<bool> {
    match word {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(feature = "serde")]
pub(crate) fn is_default<T: Default + PartialEq>(field: &T) -> bool {
    *field == T::default()
}
