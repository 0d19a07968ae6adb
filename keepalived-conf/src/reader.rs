//! Statements to values: what every block, list and value shares while it is read.

use std::collections::BTreeSet;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Report, Severity, Verdict};
use crate::environment::Environment;
use crate::expand::Expander;
use crate::keyword::{Index, Keyword, Support, nearest};
use crate::lexer::Words;
use crate::options::Options;
use crate::source::{Origin, Span};
use crate::statement::{Block, Statement, Statements};

/// What a value may use while it is read.
pub(crate) struct Reader<'a> {
    pub(crate) environment: &'a dyn Environment,
    pub(crate) options: &'a Options,
    statements: Statements<'a>,
    /// Where the keywords of each block stood.
    met: Vec<Met>,
    /// So many of them, from the first on, are in the order of blocks and keywords; the others in that of reading.
    sorted: usize,
    /// Keywords whose value was reported, by block.
    refused: BTreeSet<(Option<Span>, &'static str)>,
    block: Origin,
    /// Inside a block that is not supported as a whole, its keywords are not reported one by one.
    quiet: u32,
}

/// A keyword that was met.
struct Met {
    block: Option<Span>,
    keyword: &'static Keyword,
    at: Span,
    /// How many were met before it.
    number: usize,
}

impl<'a> Reader<'a> {
    /// Reads the file at `path`.
    pub(crate) fn new(
        environment: &'a dyn Environment,
        options: &'a Options,
        report: &'a mut Report,
        path: &Path,
    ) -> Self {
        let expander = Expander::new(environment, options, report, path);
        Self {
            environment,
            options,
            statements: Statements::new(expander, options.limits.block_depth),
            met: Vec::new(),
            sorted: 0,
            refused: BTreeSet::new(),
            block: Origin(None),
            quiet: 0,
        }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.statements.report().push(diagnostic);
    }

    /// What is wrong with the value of a keyword: an error where it changes who is elected, else a warning.
    pub(crate) fn bad_value(
        &mut self,
        keyword: &Keyword,
        span: Span,
        message: String,
        advice: Option<String>,
    ) {
        self.refused.insert((self.block.0, keyword.name()));
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
        self.refused.insert((self.block.0, keyword.name()));
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
        self.met.push(Met {
            block: self.block.0,
            keyword,
            at: span,
            number: self.met.len(),
        });
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
        self.statements.report().note_verdict(Verdict::Reports);
    }

    /// Where a keyword of a block stood; the block itself where the keyword is not there.
    pub(crate) fn mark(&mut self, block: Origin, keyword: &str) -> Option<Span> {
        self.last_met(block, keyword).map(|met| met.at).or(block.0)
    }

    /// Whether a keyword stood in a block, with a value that is good or not. Blocks that one definition made share a place,
    /// and what stood in one of them stood in all.
    pub(crate) fn was_met(&mut self, block: Origin, keyword: &str) -> bool {
        self.last_met(block, keyword).is_some()
    }

    /// Whether one keyword of a block was met before another.
    pub(crate) fn stood_before(&mut self, block: Origin, first: &str, second: &str) -> bool {
        let first = self.last_met(block, first).map(|met| met.number);
        let second = self.last_met(block, second).map(|met| met.number);
        first.zip(second).is_some_and(|(first, second)| first < second)
    }

    /// Whether the value of a keyword of a block was reported.
    pub(crate) fn was_refused(&self, block: Origin, keyword: &'static str) -> bool {
        self.refused.contains(&(block.0, keyword))
    }

    fn last_met(&mut self, block: Origin, keyword: &str) -> Option<&Met> {
        let key = |met: &Met| (met.block, met.keyword.name());
        if self.sorted < self.met.len() {
            // Of a keyword that was met twice the last stands last.
            self.met.sort_by_key(|met| (key(met), met.number));
            self.sorted = self.met.len();
        }
        let wanted = (block.0, keyword);
        let end = self.met.partition_point(|met| key(met) <= wanted);
        let last = self.met.get(end.checked_sub(1)?)?;
        (key(last) == wanted).then_some(last)
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
        let place = self.mark(block, keyword);
        self.somewhere(place, severity, message, advice, verdict);
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

    /// The next statement of a block; `None` at its end.
    pub(crate) fn next(&mut self, block: Block) -> Option<Statement> {
        self.statements.next(block)
    }

    /// From here on keywords are met in this block. Returns that in which they were met before.
    pub(crate) fn enter(&mut self, block: Origin) -> Origin {
        std::mem::replace(&mut self.block, block)
    }

    /// Reads a statement through `read` if its keyword is known: that gets the keyword's number in the vocabulary too.
    pub(crate) fn statement(
        &mut self,
        owner: &str,
        statement: &Statement,
        vocabulary: &'static [Keyword],
        index: &Index,
        read: impl FnOnce(usize, &'static Keyword, &mut Self),
    ) {
        let Some((number, keyword)) = index.find(vocabulary, statement.keyword()) else {
            self.unknown(owner, statement, vocabulary);
            return;
        };
        self.met(keyword, statement.keyword_span());
        let quiet = u32::from(matches!(keyword.support, Support::NotSupported { .. }));
        self.quiet = self.quiet.saturating_add(quiet);
        read(number, keyword, self);
        self.quiet = self.quiet.saturating_sub(quiet);
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
        if let (Some(word), Some(span)) = (words.peek(), words.rest()) {
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

/// keepalived goes on without the values of these, and ends at once without that of any other.
const REPORTED_WITHOUT_VALUE: [&str; 2] = ["router_id", "script_user"];
