//! What is wrong with a configuration, for people and for programs.

use std::fmt;

use crate::error::Error;
use crate::source::{Sources, Span};

/// One thing to know about the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Whether the configuration can be used despite it.
    pub severity: Severity,
    /// Where; `None` for what has no place, such as "nothing is configured".
    pub span: Option<Span>,
    /// What, in one line, lower case, without a full stop.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// What `keepalived -t` makes of the same place.
    pub keepalived: Verdict,
}

impl Diagnostic {
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message.into())
    }

    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message.into())
    }

    fn new(severity: Severity, span: Span, message: String) -> Self {
        Self {
            severity,
            span: Some(span),
            message,
            advice: None,
            keepalived: Verdict::Reports,
        }
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn verdict(mut self, keepalived: Verdict) -> Self {
        self.keepalived = keepalived;
        self
    }
}

/// How grave a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third would be a new decision for everybody"
)]
pub enum Severity {
    /// keepalived would run all the same, and so may whoever uses this configuration.
    Warning,
    /// It changes who is elected or who gets in, or nobody can tell what was meant. The configuration is not to be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What `keepalived -t` (2.2.7) makes of one place; the gravest decides its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[expect(clippy::exhaustive_enums, reason = "these are all the ways it can end")]
pub enum Verdict {
    /// It says nothing.
    Silent,
    /// It objects to how scripts are run: exit status 6.
    Security,
    /// It reports an error and would run: exit status 5.
    Reports,
    /// It gives up at once: exit status 2.
    GivesUp,
}

/// Every diagnostic of one run, with the files they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    verdict: Option<Verdict>,
}

impl Report {
    /// The diagnostics, in the order of the text. At most 1,000 are kept; the counts go on.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The files the diagnostics point into.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// The exit status of a check: 0, or 1 when there are errors or, if `strict`, warnings.
    #[must_use]
    pub fn exit_code(&self, strict: bool) -> u8 {
        u8::from(self.errors > 0 || (strict && self.warnings > 0))
    }

    /// The exit status that `keepalived -t` (2.2.7) gives for the same text on the same host: 0, 2, 5 or 6.
    #[must_use]
    pub fn keepalived_exit_code(&self) -> u8 {
        match self.verdict {
            None | Some(Verdict::Silent) => 0,
            Some(Verdict::Security) => 6,
            Some(Verdict::Reports) => 5,
            Some(Verdict::GivesUp) => 2,
        }
    }

    /// `FILE:LINE:COLUMN: error|warning: text`, without the source line.
    #[must_use]
    pub fn headline(&self, diagnostic: &Diagnostic) -> String {
        let Diagnostic {
            severity, message, ..
        } = diagnostic;
        match diagnostic.span {
            Some(span) => format!("{}: {severity}: {message}", self.sources.locate(span)),
            None => format!("{severity}: {message}"),
        }
    }

    /// Refuses a report that holds errors.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] with the counts.
    pub fn into_result(self) -> Result<Self, Error> {
        match self.errors {
            0 => Ok(self),
            errors => Err(Error::Rejected {
                errors,
                warnings: self.warnings,
            }),
        }
    }

    pub(crate) fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        match diagnostic.severity {
            Severity::Error => self.errors = self.errors.saturating_add(1),
            Severity::Warning => self.warnings = self.warnings.saturating_add(1),
        }
        self.verdict = self.verdict.max(Some(diagnostic.keepalived));
        if self.diagnostics.len() < MOST_KEPT {
            self.diagnostics.push(diagnostic);
        } else if diagnostic.severity == Severity::Error
            && self.errors <= MOST_KEPT
            && let Some(warning) = self
                .diagnostics
                .iter_mut()
                .rfind(|kept| kept.severity == Severity::Warning)
        {
            // Whoever is refused is to read why.
            *warning = diagnostic;
        }
    }

    /// Something that only keepalived minds.
    pub(crate) fn note_verdict(&mut self, verdict: Verdict) {
        self.verdict = self.verdict.max(Some(verdict));
    }

    pub(crate) fn sort(&mut self) {
        self.diagnostics
            .sort_by_key(|diagnostic| (diagnostic.span.is_none(), diagnostic.span));
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let rows: Vec<Row<'_>> = self.diagnostics.iter().map(|each| Row::new(self, each)).collect();
        let mut out = serializer.serialize_struct("Report", 6)?;
        out.serialize_field("schema", &1)?;
        out.serialize_field("exit_code", &self.exit_code(false))?;
        out.serialize_field("keepalived_exit_code", &self.keepalived_exit_code())?;
        out.serialize_field("errors", &self.errors)?;
        out.serialize_field("warnings", &self.warnings)?;
        out.serialize_field("diagnostics", &rows)?;
        out.end()
    }
}

/// One diagnostic as a program reads it.
#[cfg(feature = "serde")]
#[derive(serde::Serialize)]
struct Row<'a> {
    severity: Severity,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    message: &'a str,
    advice: Option<&'a str>,
    keepalived: Verdict,
}

#[cfg(feature = "serde")]
impl<'a> Row<'a> {
    fn new(report: &Report, diagnostic: &'a Diagnostic) -> Self {
        let at = diagnostic.span.and_then(|span| report.sources.position(span));
        Self {
            severity: diagnostic.severity,
            file: diagnostic
                .span
                .and_then(|span| report.sources.path(span))
                .map(|path| path.display().to_string()),
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            message: &diagnostic.message,
            advice: diagnostic.advice.as_deref(),
            keepalived: diagnostic.keepalived,
        }
    }
}

/// A hostile file must not fill the memory with complaints about itself.
const MOST_KEPT: usize = 1_000;
