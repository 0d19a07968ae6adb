//! Lines to statements, one after another: a row of words, and the block that belongs to it.

use crate::diagnostic::{Diagnostic, Report};
use crate::expand::Expander;
use crate::lexer::{Marks, Piece, Pieces, Words, first_word_end};
use crate::source::Span;
use crate::text::Text;

/// A row of words and perhaps a block, whose content is still to be read.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Without white space at its ends.
    text: Text,
    /// Where the first word ends.
    keyword_end: usize,
    pub(crate) block: Option<Block>,
}

impl Statement {
    #[inline]
    fn new(text: Text, block: Option<Block>) -> Self {
        Self {
            keyword_end: first_word_end(&text),
            text,
            block,
        }
    }

    /// The first word.
    pub(crate) fn keyword(&self) -> &str {
        let word = self.text.as_str().get(..self.keyword_end).unwrap_or_default();
        match word.strip_prefix('"') {
            Some(word) => word.trim_end_matches('"'),
            None => word,
        }
    }

    pub(crate) fn keyword_span(&self) -> Span {
        self.text.span(0..self.keyword_end)
    }

    /// The words after the first.
    pub(crate) fn arguments(&self) -> Words<'_> {
        Words::after(&self.text, self.keyword_end)
    }

    /// All of its words.
    pub(crate) fn words(&self) -> Words<'_> {
        Words::of(&self.text)
    }

    pub(crate) fn span(&self) -> Span {
        self.text.all()
    }
}

/// A block that is being read, by how many stand around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block(usize);

impl Block {
    /// What stands outside every block.
    pub(crate) const OUTERMOST: Self = Self(0);
}

/// Yields the statements of a configuration, block by block.
pub(crate) struct Statements<'a> {
    expander: Expander<'a>,
    most_deep: usize,
    /// Of the line that is being read.
    pieces: Option<Pieces>,
    /// A piece that was looked at, and is still to be read.
    ahead: Option<Piece>,
    open: Vec<Open>,
}

/// A block whose end is still to come.
struct Open {
    /// What it is, where that is said.
    keyword: Option<Text>,
    span: Span,
}

impl<'a> Statements<'a> {
    pub(crate) fn new(expander: Expander<'a>, most_deep: usize) -> Self {
        Self {
            expander,
            most_deep,
            pieces: None,
            ahead: None,
            open: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self) -> &mut Report {
        self.expander.report
    }

    /// The next statement of a block; `None` at its end. What nobody read of the blocks in it is passed over.
    pub(crate) fn next(&mut self, block: Block) -> Option<Statement> {
        while self.open.len() >= block.0 {
            let Some(piece) = self.piece() else {
                self.end();
                return None;
            };
            let within = self.open.len() > block.0;
            match piece {
                Piece::Words(text) => {
                    let statement = self.statement(text);
                    if !within {
                        return Some(statement);
                    }
                }
                Piece::Open(span) => {
                    self.report().push(
                        Diagnostic::error(span, "a block without a keyword before it")
                            .advice("write what the block is before its `{`"),
                    );
                    self.enter(None, span);
                }
                Piece::Close(span) => {
                    if self.open.pop().is_none() {
                        self.report().push(Diagnostic::error(span, "extra `}`").advice(
                            "every block before this place is closed already; look for a `}` too many above",
                        ));
                    }
                }
            }
        }
        None
    }

    #[inline]
    fn piece(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.ahead.take().or_else(|| self.pieces.as_mut()?.next()) {
                return Some(piece);
            }
            let line = self.expander.next_line()?;
            if !line.marks.has(Marks::BRACE | Marks::QUOTE) {
                return Some(Piece::Words(line.text));
            }
            match Pieces::new(line) {
                Ok(pieces) => self.pieces = Some(pieces),
                Err(unterminated) => self.report().push(
                    Diagnostic::error(
                        unterminated.0,
                        "quotation mark without its partner: the line is ignored",
                    )
                    .advice("close it on the same line"),
                ),
            }
        }
    }

    fn statement(&mut self, text: Text) -> Statement {
        if !text.as_str().is_ascii() && text.as_str().contains(char::REPLACEMENT_CHARACTER) {
            self.report().push(
                Diagnostic::error(text.all(), "this is not UTF-8 text")
                    .advice("save the file as UTF-8, or see whether it is a configuration at all"),
            );
        }
        self.ahead = self.piece();
        let block = match self.ahead {
            Some(Piece::Open(span)) => {
                self.ahead = None;
                self.enter(Some(text.clone()), span)
            }
            _ => None,
        };
        Statement::new(text, block)
    }

    fn enter(&mut self, keyword: Option<Text>, span: Span) -> Option<Block> {
        if self.open.len() >= self.most_deep {
            self.report().push(Diagnostic::error(
                span,
                "blocks stand too deep in each other: reading stops here",
            ));
            self.expander.stop();
            self.pieces = None;
            self.open.clear();
            return None;
        }
        self.open.push(Open { keyword, span });
        Some(Block(self.open.len()))
    }

    /// Nothing follows: what is open is never closed.
    fn end(&mut self) {
        for Open { keyword, span } in std::mem::take(&mut self.open) {
            let keyword = keyword.as_ref().and_then(|text| Words::of(text).take());
            let keyword = keyword.map_or("", |word| word.text);
            let message = format!("the block of `{keyword}` that begins here is never closed: `}}` missing");
            self.report()
                .push(Diagnostic::error(span, message).advice("add a `}` where it is to end"));
        }
    }
}
