//! Statements to values: what every block, list and value shares while it is read.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::diagnostic::{Diagnostic, Report, Severity, Verdict};
use crate::environment::Environment;
use crate::keyword::{Keyword, Support, nearest};
use crate::lexer::Word;
use crate::options::Options;
use crate::source::{Origin, Span};
use crate::tree::Statement;

/// What a value may use while it is read.
pub(crate) struct Reader<'a> {
    pub(crate) environment: &'a dyn Environment,
    pub(crate) options: &'a Options,
    report: &'a mut Report,
    /// Where the keywords of each block stood, by the block's own place.
    marks: HashMap<(Option<Span>, &'static str), Span, BuildHasherDefault<PlaceHasher>>,
    block: Origin,
    /// Inside a block that is not supported as a whole, its keywords are not reported one by one.
    quiet: u32,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        environment: &'a dyn Environment,
        options: &'a Options,
        report: &'a mut Report,
    ) -> Self {
        Self {
            environment,
            options,
            report,
            marks: HashMap::default(),
            block: Origin(None),
            quiet: 0,
        }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    /// What is wrong with the value of a keyword: an error where it changes who is elected, else a warning.
    pub(crate) fn bad_value(
        &mut self,
        keyword: &Keyword,
        span: Span,
        message: String,
        advice: Option<String>,
    ) {
        let diagnostic = match keyword.is_vital() {
            true => Diagnostic::error(span, message),
            false => Diagnostic::warning(span, message),
        };
        let advice = advice.unwrap_or_else(|| match keyword.default {
            "" => format!("`{}` takes {}", keyword.name(), keyword.range),
            default => {
                let name = keyword.name();
                format!("`{name}` takes {}; without it: {default}", keyword.range)
            }
        });
        self.push(diagnostic.advice(advice));
    }

    /// A keyword without the value it needs.
    pub(crate) fn no_value(&mut self, keyword: &Keyword, span: Span) {
        let verdict = match REPORTED_WITHOUT_VALUE.contains(&keyword.name()) {
            true => Verdict::Reports,
            false => Verdict::GivesUp,
        };
        self.push(
            Diagnostic::error(span, format!("`{}` without a value", keyword.name()))
                .advice(format!("it takes {}", keyword.range))
                .verdict(verdict),
        );
    }

    /// Notes that a keyword was met, and says so if it is not supported.
    pub(crate) fn met(&mut self, keyword: &'static Keyword, span: Span) {
        self.marks.insert((self.block.0, keyword.name()), span);
        if let Support::NotSupported { meaning, .. } = keyword.support
            && self.quiet == 0
        {
            let verdict = if keyword.is_new() {
                Verdict::Reports
            } else {
                Verdict::Silent
            };
            self.push(
                Diagnostic::warning(span, format!("`{}` is not supported: {meaning}", keyword.name()))
                    .verdict(verdict),
            );
        } else if keyword.is_new() {
            // What keepalived 2.2.7 does not know decides its exit status and is no fault of the text.
            self.keepalived_objects();
        }
    }

    /// Something that only keepalived objects to.
    pub(crate) fn keepalived_objects(&mut self) {
        self.report.note_verdict(Verdict::Reports);
    }

    /// Where a keyword of a block stood; the block itself where the keyword is not there.
    pub(crate) fn mark(&self, block: Origin, keyword: &'static str) -> Option<Span> {
        self.marks.get(&(block.0, keyword)).copied().or(block.0)
    }

    /// Reports at a keyword of a block.
    pub(crate) fn at(
        &mut self,
        block: Origin,
        keyword: &'static str,
        severity: Severity,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.at_as(block, keyword, severity, message, advice, Verdict::Reports);
    }

    pub(crate) fn at_as(
        &mut self,
        block: Origin,
        keyword: &'static str,
        severity: Severity,
        message: impl Into<String>,
        advice: impl Into<String>,
        verdict: Verdict,
    ) {
        self.somewhere(self.mark(block, keyword), severity, message, advice, verdict);
    }

    /// Reports at an entry of a list.
    pub(crate) fn of_entry(
        &mut self,
        entry: Origin,
        severity: Severity,
        message: impl Into<String>,
        advice: impl Into<String>,
        verdict: Verdict,
    ) {
        self.somewhere(entry.0, severity, message, advice, verdict);
    }

    /// Reports at a place, if it has one: what was not read from a text has none.
    fn somewhere(
        &mut self,
        span: Option<Span>,
        severity: Severity,
        message: impl Into<String>,
        advice: impl Into<String>,
        verdict: Verdict,
    ) {
        let nowhere = Span {
            file: u32::MAX,
            start: 0,
            end: 0,
        };
        let place = span.unwrap_or(nowhere);
        let mut diagnostic = match severity {
            Severity::Error => Diagnostic::error(place, message),
            Severity::Warning => Diagnostic::warning(place, message),
        }
        .verdict(verdict);
        diagnostic.span = span;
        let advice = advice.into();
        if !advice.is_empty() {
            diagnostic = diagnostic.advice(advice);
        }
        self.push(diagnostic);
    }

    /// Reads the statements of a block, each through `read`, which returns false for a keyword it does not know.
    pub(crate) fn block(
        &mut self,
        owner: &'static str,
        origin: Origin,
        statements: &[Statement],
        vocabulary: &'static [Keyword],
        read: &mut dyn FnMut(&'static Keyword, &Statement, &mut Self),
    ) {
        let outer = std::mem::replace(&mut self.block, origin);
        for statement in statements {
            let word = statement.keyword();
            match vocabulary.iter().find(|keyword| keyword.is(word)) {
                Some(keyword) => {
                    self.met(keyword, statement.keyword_span());
                    let quiet = u32::from(matches!(keyword.support, Support::NotSupported { .. }));
                    self.quiet = self.quiet.saturating_add(quiet);
                    read(keyword, statement, self);
                    self.quiet = self.quiet.saturating_sub(quiet);
                }
                None => self.unknown(owner, statement, vocabulary),
            }
        }
        self.block = outer;
    }

    /// A keyword that is not known here.
    pub(crate) fn unknown(&mut self, owner: &str, statement: &Statement, vocabulary: &'static [Keyword]) {
        let word = statement.keyword();
        let span = statement.keyword_span();
        let known = vocabulary
            .iter()
            .flat_map(|keyword| keyword.spellings.iter().copied());
        let near = nearest(word, known);
        let vital = near
            .and_then(|near| vocabulary.iter().find(|keyword| keyword.is(near)))
            .is_some_and(Keyword::is_vital);
        let place = match owner {
            "" => String::from("outside every block"),
            owner => format!("in `{owner}`"),
        };
        let message = format!("unknown keyword `{word}` {place}");
        let has_block = statement.block.is_some();
        let mut diagnostic = match vital || has_block || owner.is_empty() {
            true => Diagnostic::error(span, message),
            false => Diagnostic::warning(span, message),
        };
        let mut advice = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if word == "nb_get_retry" => {
                String::from("the word is `retry`; this one is for HTTP_GET and SSL_GET")
            }
            None if word.starts_with('$') => String::from("no such definition stands before this line"),
            None => String::from("the line is ignored"),
        };
        if has_block && !owner.is_empty() {
            advice.push_str(
                " keepalived would not skip this block: its `}` ends the block around it, and what follows is lost",
            );
        }
        diagnostic = diagnostic.advice(advice);
        self.push(diagnostic);
    }

    /// Words after the last that means something.
    pub(crate) fn superfluous(&mut self, words: &Words<'_>) {
        if let Some(word) = words.rest().first() {
            let span = words
                .rest()
                .last()
                .map_or(word.span, |last| word.span.to(last.span));
            self.push(
                Diagnostic::warning(
                    span,
                    format!("`{}` is ignored: nothing more is expected here", word.text),
                )
                .verdict(Verdict::Silent),
            );
        }
    }
}

/// The words of a statement that are still to be read.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    words: &'a [Word],
    /// Where the last word that was taken stood.
    last: Span,
}

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [Word], before: Span) -> Self {
        Self { words, last: before }
    }

    pub(crate) fn of(statement: &'a Statement) -> Self {
        Self::new(statement.arguments(), statement.keyword_span())
    }

    pub(crate) fn take(&mut self) -> Option<&'a Word> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        self.last = first.span;
        Some(first)
    }

    pub(crate) fn peek(&self) -> Option<&'a Word> {
        self.words.first()
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take_if(&mut self, wanted: impl FnOnce(&str) -> bool) -> Option<&'a Word> {
        self.peek().filter(|word| wanted(&word.text))?;
        self.take()
    }

    pub(crate) fn rest(&self) -> &'a [Word] {
        self.words
    }

    /// Where the last word that was taken stood.
    pub(crate) fn last(&self) -> Span {
        self.last
    }
}

/// keepalived goes on without the values of these, and ends at once without that of any other.
const REPORTED_WITHOUT_VALUE: [&str; 2] = ["router_id", "script_user"];

/// Of places in a text, of which there is one for each line: nobody but its author can choose them badly.
#[derive(Default)]
struct PlaceHasher(u64);

impl PlaceHasher {
    fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for PlaceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let number = part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            self.mix(number);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn finish(&self) -> u64 {
        // What was multiplied is best at its upper end.
        self.0.rotate_left(26)
    }
}
