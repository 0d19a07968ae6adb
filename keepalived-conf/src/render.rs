//! Diagnostics drawn beside the source line.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Report, Severity};

impl Report {
    /// Every diagnostic as people want to read it: `FILE:LINE:COLUMN: error|warning: text`, the source line with the
    /// place underlined, and the advice. `colour` adds terminal escapes.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for diagnostic in self.diagnostics() {
            self.render_one(diagnostic, colour, &mut out);
        }
        let hidden = (self.errors() + self.warnings()).saturating_sub(self.diagnostics().len());
        if hidden > 0 {
            out.push_str(&format!("and {hidden} more\n"));
        }
        out
    }

    fn render_one(&self, diagnostic: &Diagnostic, colour: bool, out: &mut String) {
        out.push_str(&self.headline(diagnostic));
        out.push('\n');
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_level(level);
        let mut drawn = false;
        if let Some((line, start, end, number)) = self.source_line(diagnostic) {
            group = group.element(
                Snippet::source(line)
                    .line_start(number)
                    .annotation(AnnotationKind::Primary.span(start..end)),
            );
            drawn = true;
        }
        if let Some(advice) = &diagnostic.advice {
            group = group.element(Level::HELP.message(advice.as_str()));
            drawn = true;
        }
        if drawn {
            let renderer = if colour {
                Renderer::styled()
            } else {
                Renderer::plain()
            };
            out.push_str(&renderer.render(&[group]));
            out.push('\n');
        }
    }

    /// The line a diagnostic points into, the place within it, and its number.
    fn source_line(&self, diagnostic: &Diagnostic) -> Option<(&str, usize, usize, usize)> {
        let span = diagnostic.span?;
        let text = self.sources().text(span)?;
        let start = usize::try_from(span.start).ok()?;
        let end = usize::try_from(span.end).ok()?;
        let line_start = text
            .get(..start)?
            .rfind('\n')
            .map_or(0, |at| at.saturating_add(1));
        let rest = text.get(line_start..)?;
        let line = rest.lines().next().unwrap_or("");
        let from = start.saturating_sub(line_start).min(line.len());
        let to = end.saturating_sub(line_start).clamp(from, line.len());
        let number = usize::try_from(self.sources().position(span)?.line).ok()?;
        Some((line, from, to, number))
    }
}
