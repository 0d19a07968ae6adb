//! Commands that are run: check scripts and notification scripts.

use crate::diagnostic::{Diagnostic, Verdict};
use crate::environment::Program;
use crate::field::Setting;
use crate::keyword::Keyword;
use crate::lexer::command_words;
use crate::printer::Printer;
use crate::reader::Reader;
use crate::source::Origin;
use crate::statement::Statement;

/// A command with its arguments, and as whom to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct Command {
    /// Program and arguments in one text, as written between the quotation marks; [`words`](Self::words) splits it.
    pub line: String,
    /// The user; without it that of `script_user`, else `keepalived_script` where it exists, else root.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub user: Option<String>,
    /// The group; without it the user's own.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub group: Option<String>,
    /// Where it stood.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub origin: Origin,
}

impl Command {
    /// A command that is run as the default user.
    #[must_use]
    pub fn new(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            user: None,
            group: None,
            origin: Origin(None),
        }
    }

    /// Program and arguments: split at white space, `'` and `"` group, a backslash escapes. Empty where a quotation
    /// mark has no partner.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        command_words(&self.line).unwrap_or_default()
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> Option<String> {
        self.words().into_iter().next()
    }

    /// Whether this is text for a shell, which keepalived, running programs only, cannot run.
    #[must_use]
    pub fn is_shell_syntax(&self) -> bool {
        let words = self.words();
        let first = words.first().map_or("", String::as_str);
        let inside_shell = words.get(1).is_some_and(|word| word == "-c");
        let operator = words.iter().any(|word| {
            matches!(
                word.as_str(),
                "&&" | "||" | "|" | ">" | ">>" | "<" | "2>&1" | ";" | "&"
            )
        }) || words
            .iter()
            .any(|word| word.ends_with(';') || word.contains("$("));
        !inside_shell && (operator || matches!(first, "[[" | "if" | "for" | "while" | "!" | "("))
    }
}

impl Setting for Command {
    fn read(
        keyword: &'static Keyword,
        statement: &Statement,
        reader: &mut Reader<'_>,
        _: Option<Self>,
    ) -> Option<Self> {
        let span = statement.span();
        if statement.block.is_some() {
            reader.push(
                Diagnostic::error(span, format!("a brace in `{}`", keyword.name()))
                    .advice("put the whole command between quotation marks"),
            );
            return None;
        }
        let Some(words) = command_words(statement.arguments().text()) else {
            reader.push(Diagnostic::error(
                span,
                format!("quotation mark without its partner in `{}`", keyword.name()),
            ));
            return None;
        };
        let mut words = words.into_iter();
        let Some(line) = words.next() else {
            reader.no_value(keyword, span);
            return None;
        };
        let place = statement.arguments().take().map_or(span, |word| word.span);
        let command = Self {
            line,
            user: words.next(),
            group: words.next(),
            origin: Origin(Some(place)),
        };
        if let Some(extra) = words.next() {
            reader.push(
                Diagnostic::warning(
                    span,
                    format!("`{extra}` is ignored: after the command only user and group"),
                )
                .verdict(Verdict::Silent)
                .advice("put the command with its arguments between quotation marks"),
            );
        }
        Some(command)
    }

    fn write(&self, keyword: &str, printer: &mut Printer) {
        printer.command(keyword, &self.line, self.user.as_deref(), self.group.as_deref());
    }
}

/// Says what will not work about a command on this host. Not in the reader, since commands that nobody uses are dropped
/// without a look.
pub(crate) fn check(command: &Command, what: &str, reader: &mut Reader<'_>) {
    let Some(span) = command.origin.0 else { return };
    if let Some(user) = &command.user
        && reader.environment.user_exists(user) == Some(false)
    {
        reader.push(
            Diagnostic::error(span, format!("no user `{user}`: {what} cannot run")).advice(
                "what stands after the command is the user; put arguments between the quotation marks",
            ),
        );
    }
    let words = command.words();
    let Some(program) = words.first() else {
        reader.push(Diagnostic::error(
            span,
            format!("quotation mark without its partner in the command of {what}"),
        ));
        return;
    };
    if command.is_shell_syntax() {
        let line = command.line.replace('\'', r"\'");
        let diagnostic = if reader.options.shell_scripts {
            Diagnostic::warning(
                span,
                format!("{what} is shell syntax: run by a shell, which keepalived would not do"),
            )
        } else {
            Diagnostic::warning(
                span,
                format!(
                    "{what} is shell syntax, not a program: it is never run, and so never fails or succeeds"
                ),
            )
        };
        reader.push(diagnostic.advice(format!(
            "keepalived drops it as `not found`; write \"/bin/bash -c '{line}'\", which works with both{}",
            match reader.options.shell_scripts {
                true => "",
                false => ", or run it with `--script-shell /bin/bash`",
            }
        )));
        return;
    }
    let diagnostic = match reader.environment.program(program) {
        Program::Missing => Diagnostic::warning(
            span,
            format!("`{program}` is not found: {what} is never run, and so never fails or succeeds"),
        )
        .advice("install it, or give its whole path"),
        Program::NotExecutable => Diagnostic::warning(
            span,
            format!("`{program}` is not executable: {what} is never run"),
        )
        .advice(format!("chmod +x {program}")),
        Program::Found | Program::WritableByOthers | Program::Unknown => return,
    };
    reader.push(diagnostic);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_syntax_is_told_from_a_program() {
        for line in [
            "[[ -f /x ]] && exit 1 || exit 0",
            "pidof a || exit 1",
            "if [ -f /x ]; then exit 1; fi",
        ] {
            assert!(Command::new(line).is_shell_syntax(), "{line}");
        }
        for line in [
            "killall -0 httpd",
            "/bin/sh -c 'a && b'",
            "[ -f /x ]",
            "/etc/x.sh master",
        ] {
            assert!(!Command::new(line).is_shell_syntax(), "{line}");
        }
    }
}
