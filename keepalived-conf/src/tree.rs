//! Lines to statements: a row of words, and the block that belongs to it.

use crate::diagnostic::Diagnostic;
use crate::expand::Expander;
use crate::lexer::{Piece, Word, pieces, words};
use crate::source::Span;
use crate::text::Text;

/// A row of words and perhaps a block.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) words: Vec<Word>,
    /// The text from which the words were taken: command lines are split by other rules.
    pub(crate) text: Text,
    pub(crate) block: Option<Vec<Self>>,
    pub(crate) span: Span,
}

impl Statement {
    fn new(text: &Text) -> Self {
        Self {
            words: words(text),
            text: text.clone(),
            block: None,
            span: text.whole(),
        }
    }

    /// The first word; the empty word where there is none.
    pub(crate) fn keyword(&self) -> &str {
        self.words.first().map_or("", |word| &word.text)
    }

    pub(crate) fn keyword_span(&self) -> Span {
        self.words.first().map_or(self.span, |word| word.span)
    }

    /// The words after the first.
    pub(crate) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The text after the first word.
    pub(crate) fn argument_text(&self) -> &str {
        let text = self.text.as_str();
        match text.strip_prefix('"') {
            Some(rest) => rest.split_once('"').map_or("", |(_, rest)| rest).trim(),
            None => text.get(self.keyword().len()..).unwrap_or_default().trim(),
        }
    }
}

/// Reads every statement of the configuration.
pub(crate) fn read(expander: &mut Expander<'_>, most_deep: usize) -> Vec<Statement> {
    let mut open: Vec<Open> = Vec::new();
    let mut current: Vec<Statement> = Vec::new();
    while let Some(line) = expander.next_line() {
        let found = match pieces(&line) {
            Ok(found) => found,
            Err(unterminated) => {
                expander.report(
                    Diagnostic::error(
                        unterminated.0,
                        "quotation mark without its partner: the line is ignored",
                    )
                    .advice("close it on the same line"),
                );
                continue;
            }
        };
        for piece in found {
            match piece {
                Piece::Words(text) => {
                    if !text.as_str().is_ascii() && text.as_str().contains(char::REPLACEMENT_CHARACTER) {
                        expander.report(
                            Diagnostic::error(text.whole(), "this is not UTF-8 text").advice(
                                "save the file as UTF-8, or see whether it is a configuration at all",
                            ),
                        );
                    }
                    current.push(Statement::new(&text));
                }
                Piece::Open(span) => {
                    if open.len() >= most_deep {
                        expander.report(Diagnostic::error(
                            span,
                            "blocks stand too deep in each other: reading stops here",
                        ));
                        return close_all(open, current);
                    }
                    let anonymous = current.last().is_none_or(|last| last.block.is_some());
                    if anonymous {
                        expander.report(
                            Diagnostic::error(span, "a block without a keyword before it")
                                .advice("write what the block is before its `{`"),
                        );
                    }
                    open.push(Open {
                        before: std::mem::take(&mut current),
                        anonymous,
                        span,
                    });
                }
                Piece::Close(span) => match open.pop() {
                    Some(last) => current = last.close(current),
                    None => expander.report(Diagnostic::error(span, "extra `}`").advice(
                        "every block before this place is closed already; look for a `}` too many above",
                    )),
                },
            }
        }
    }
    for block in &open {
        let keyword = block.before.last().map_or("", Statement::keyword);
        let message = format!("the block of `{keyword}` that begins here is never closed: `}}` missing");
        expander.report(Diagnostic::error(block.span, message).advice("add a `}` where it is to end"));
    }
    close_all(open, current)
}

fn close_all(mut open: Vec<Open>, mut current: Vec<Statement>) -> Vec<Statement> {
    while let Some(last) = open.pop() {
        current = last.close(current);
    }
    current
}

/// A block that is being read.
struct Open {
    /// The statements around it; the last of them is the one it belongs to.
    before: Vec<Statement>,
    anonymous: bool,
    span: Span,
}

impl Open {
    fn close(self, content: Vec<Statement>) -> Vec<Statement> {
        let mut before = self.before;
        if !self.anonymous
            && let Some(owner) = before.last_mut()
        {
            owner.block = Some(content);
        }
        before
    }
}
