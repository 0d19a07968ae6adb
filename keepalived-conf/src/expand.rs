//! Files to lines: includes, conditions, definitions and sequences are gone afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Report, Verdict};
use crate::environment::{Environment, FileKind};
use crate::include::{self, Checks};
use crate::lexer::{Line, Marks, Words, trimmed, trimmed_range, without_comment};
use crate::limits::{BINDINGS, EXPANDED_LINE_BYTES, LINE_BYTES, Limits, SUBSTITUTIONS};
use crate::options::Options;
use crate::sequence::{self, Sequence};
use crate::source::Span;
use crate::text::{Draft, Text, Whole};

/// Yields the lines of a configuration one by one.
pub(crate) struct Expander<'a> {
    environment: &'a dyn Environment,
    options: &'a Options,
    pub(crate) report: &'a mut Report,
    files: Vec<OpenFile>,
    queue: Vec<Queued>,
    definitions: BTreeMap<String, Rc<Definition>>,
    lines: usize,
    bytes: usize,
    random: u64,
    /// What `include_check` says.
    checks: Checks,
    /// For lines that stand in no sequence.
    unbound: Bindings,
    stopped: bool,
}

/// A file that is being read.
struct OpenFile {
    whole: Rc<Whole>,
    offset: usize,
    directory: PathBuf,
}

/// The lines a name stands for.
struct Definition {
    lines: Vec<Text>,
}

/// Values that a sequence gave its variables, the innermost last.
type Bindings = Rc<Vec<(String, String)>>;

/// What is to be read before the files go on.
enum Queued {
    Line(Line, Bindings),
    Sequence(Sequence, Text, Bindings),
}

impl<'a> Expander<'a> {
    pub(crate) fn new(
        environment: &'a dyn Environment,
        options: &'a Options,
        report: &'a mut Report,
        main: &Path,
    ) -> Self {
        let mut expander = Self {
            environment,
            options,
            report,
            files: Vec::new(),
            queue: Vec::new(),
            definitions: BTreeMap::new(),
            lines: 0,
            bytes: 0,
            random: options.random_seed.max(1),
            checks: Checks::default(),
            unbound: Bindings::default(),
            stopped: false,
        };
        expander.open_main(main);
        expander
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    /// The next line that has words in it.
    pub(crate) fn next_line(&mut self) -> Option<Line> {
        loop {
            let (line, bindings) = self.next_raw()?;
            if let Some(line) = self.expand(line, &bindings) {
                return Some(line);
            }
        }
    }

    /// Nothing more is read.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    fn limits(&self) -> Limits {
        self.options.limits
    }

    /// The next line as it was written, comment and white space off, not empty.
    fn next_raw(&mut self) -> Option<(Line, Bindings)> {
        while !self.stopped {
            let Some(queued) = self.queue.pop() else {
                let mut line = self.next_physical()?;
                if line.marks.has(Marks::COMMENT) {
                    line = without_comment(&line.text);
                }
                if line.text.len() == 0 {
                    continue;
                }
                self.count(&line.text)?;
                return Some((line, Rc::clone(&self.unbound)));
            };
            let (line, bindings) = match queued {
                Queued::Line(line, bindings) => (line, bindings),
                Queued::Sequence(mut sequence, rest, bindings) => {
                    let Some(values) = sequence.next() else { continue };
                    let mut inner = Vec::clone(&bindings);
                    inner.extend(values);
                    let line = Line::new(rest.clone());
                    self.queue.push(Queued::Sequence(sequence, rest, bindings));
                    (line, Rc::new(inner))
                }
            };
            self.count(&line.text)?;
            return Some((line, bindings));
        }
        None
    }

    /// Counts a line against the limits; `None` once they are reached.
    #[inline]
    fn count(&mut self, line: &Text) -> Option<()> {
        self.lines = self.lines.saturating_add(1);
        self.bytes = self.bytes.saturating_add(line.len());
        let Limits { lines, bytes, .. } = self.options.limits;
        if self.lines <= lines && self.bytes <= bytes {
            return Some(());
        }
        self.report(
            Diagnostic::error(
                line.all(),
                "the configuration grows beyond every limit: reading stops here",
            )
            .advice("look for a sequence or a definition that repeats more than it should"),
        );
        self.stopped = true;
        None
    }

    /// The next line of a file, white space off.
    #[inline]
    fn next_physical(&mut self) -> Option<Line> {
        loop {
            let file = self.files.last_mut()?;
            let rest = file.whole.as_bytes().get(file.offset..).unwrap_or_default();
            if rest.is_empty() {
                self.files.pop();
                continue;
            }
            let end = memchr::memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            let from = file.offset;
            file.offset = from.saturating_add(line.len()).saturating_add(1);
            let solid = trimmed_range(line);
            let marks = line.get(solid.clone()).map(Marks::of).unwrap_or_default();
            let solid = from.saturating_add(solid.start)..from.saturating_add(solid.end);
            let text = Text::part(&file.whole, solid);
            if marks.has(Marks::NUL) {
                self.report(Diagnostic::error(text.all(), "a line with a NUL byte is ignored"));
            } else if line.len() > LINE_BYTES && line.strip_suffix(b"\r").unwrap_or(line).len() > LINE_BYTES {
                let message = format!("a line of more than {LINE_BYTES} bytes is ignored");
                self.report(Diagnostic::error(text.all(), message).advice("split it with a definition"));
            } else {
                return Some(Line { text, marks });
            }
        }
    }

    /// Applies conditions, definitions, sequences and includes to a line. `None` when nothing of it is left for now.
    #[inline]
    fn expand(&mut self, line: Line, bindings: &Bindings) -> Option<Line> {
        match line.marks.has(Marks::SIGIL) {
            true => self.rewrite(line.text, bindings),
            false => self.include(&line.text).then_some(line),
        }
    }

    fn rewrite(&mut self, line: Text, bindings: &Bindings) -> Option<Line> {
        let mut line = self.condition(line)?;
        if let Some((name, value)) = definition_start(&line) {
            let definition = self.read_definition(value);
            self.definitions.insert(name, Rc::new(definition));
            return None;
        }
        for _ in 0..SUBSTITUTIONS {
            line = self.condition(line)?;
            if sequence::begins(line.as_str()) {
                self.start_sequence(&line, bindings);
                return None;
            }
            match self.substitute(&line, bindings) {
                Substituted::Nothing => {
                    // What definitions made of it is read, too; the next line that is counted sees it.
                    self.bytes = self.bytes.saturating_add(line.len());
                    return self.include(&line).then(|| Line::new(line));
                }
                Substituted::Line(next) if next.len() <= EXPANDED_LINE_BYTES => {
                    line = trimmed(next);
                    if line.len() == 0 {
                        return None;
                    }
                }
                Substituted::Lines(lines) => {
                    // A body of many lines that uses itself would never end; each line it makes counts.
                    for line in &lines {
                        self.count(line)?;
                    }
                    let lines = lines.into_iter().rev().map(Line::new);
                    self.queue
                        .extend(lines.map(|line| Queued::Line(line, Rc::clone(bindings))));
                    return None;
                }
                Substituted::Line(_) => break,
            }
        }
        self.report(
            Diagnostic::error(
                line.all(),
                "a definition that contains itself: the line is ignored",
            )
            .advice("keepalived does not stop reading here at all"),
        );
        None
    }

    /// `@id line` and `@^id line`.
    fn condition(&mut self, line: Text) -> Option<Text> {
        let mut line = line;
        while let Some(rest) = line.as_str().strip_prefix('@') {
            let (name, _) = rest.split_once(crate::lexer::is_blank)?;
            let length = name.len().saturating_add(1);
            let (wanted, name) = match name.strip_prefix('^') {
                Some(name) => (false, name),
                None => (true, name),
            };
            if (name == self.identity()) != wanted {
                return None;
            }
            line = trimmed(line.slice(length..line.len()));
        }
        (line.len() > 0).then_some(line)
    }

    /// Which of several hosts that share a file this one is.
    fn identity(&self) -> String {
        match &self.options.config_id {
            Some(identity) => identity.clone(),
            None => self.environment.host_name(),
        }
    }

    /// Reads what follows `$NAME=`; a backslash at the end of a line goes on with the next line.
    fn read_definition(&mut self, first: Text) -> Definition {
        let mut lines = Vec::new();
        let mut line = first;
        while line.as_str().ends_with('\\') {
            let end = line.len().saturating_sub(1);
            let part = trimmed(line.slice(0..end));
            if part.len() > 0 {
                lines.push(part);
            }
            let Some((next, _)) = self.next_raw() else {
                return Definition { lines };
            };
            line = next.text;
        }
        if line.len() > 0 || lines.is_empty() {
            lines.push(line);
        }
        Definition { lines }
    }

    fn start_sequence(&mut self, line: &Text, bindings: &Bindings) {
        if bindings.len() >= BINDINGS {
            self.report(
                Diagnostic::error(
                    line.all(),
                    "sequences stand too deep in each other: reading stops here",
                )
                .advice("look for a definition that contains itself"),
            );
            self.stopped = true;
            return;
        }
        let Some(close) = line.as_str().find(')') else {
            self.report(
                Diagnostic::error(line.all(), "`)` missing: the line is ignored")
                    .advice("close the sequence on the same line"),
            );
            return;
        };
        let mut head = line.slice(0..close.saturating_add(1));
        for _ in 0..SUBSTITUTIONS {
            match self.substitute(&head, bindings) {
                Substituted::Line(next) if next.len() <= EXPANDED_LINE_BYTES => head = next,
                Substituted::Nothing | Substituted::Line(_) | Substituted::Lines(_) => break,
            }
        }
        let rest = trimmed(line.slice(close.saturating_add(1)..line.len()));
        match Sequence::parse(head.as_str()) {
            Some(sequence) if rest.len() > 0 => {
                self.queue
                    .push(Queued::Sequence(sequence, rest, Rc::clone(bindings)));
            }
            Some(_) => {}
            None => self.report(
                Diagnostic::error(head.all(), "this is no sequence: the line is ignored").advice(
                    "~SEQ(name, [start,] [step,] end), ~SEQx for hexadecimal, ~LST(name, a, b) or \
                     ~LST({name,name}, {a,b}, {c,d})",
                ),
            ),
        }
    }

    /// Replaces the first name that stands for something.
    fn substitute(&mut self, line: &Text, bindings: &Bindings) -> Substituted {
        let text = line.as_str();
        let dollars = text.bytes().enumerate().filter(|(_, byte)| *byte == b'$');
        for (at, _) in dollars {
            let Some(reference) = Reference::at(text, at) else {
                continue;
            };
            let place = line.span(at..reference.end);
            let before = line.slice(0..at);
            let after = line.slice(reference.end..line.len());
            let bound = bindings.iter().rev().find(|(name, _)| name == reference.name);
            let value = match bound {
                Some((_, value)) => Some(value.clone()),
                None => self.predefined(reference.name),
            };
            if let Some(value) = value {
                let mut out = Draft::of_file(line.file());
                out.push(&before);
                out.push_for(&value, place);
                out.push(&after);
                return Substituted::Line(out.finish());
            }
            let Some(definition) = self.definitions.get(reference.name) else {
                continue;
            };
            return insert(&definition.lines, &before, &after, place);
        }
        Substituted::Nothing
    }

    /// `${_NAME}`.
    fn predefined(&mut self, reference: &str) -> Option<String> {
        let mut parts = reference.split_whitespace();
        let name = parts.next()?;
        Some(match name {
            "_HASH" => String::from("#"),
            "_BANG" => String::from("!"),
            "_PWD" => self.files.last()?.directory.display().to_string(),
            // Not what the keyword `instance` says.
            "_INSTANCE" => match &self.options.instance {
                Some(instance) => instance.clone(),
                None => self.identity(),
            },
            "_ENV" => self.environment.variable(parts.next()?).unwrap_or_default(),
            "_RANDOM" => {
                let mut bound =
                    |default: u64| parts.next().and_then(|text| text.parse().ok()).unwrap_or(default);
                let least = bound(0);
                let most: u64 = bound(32_767).max(least);
                // xorshift64: even enough for what this is used for, start delays and the like.
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let values = most.saturating_sub(least).saturating_add(1);
                let drawn = self.random.checked_rem(values).unwrap_or(0);
                least.saturating_add(drawn).to_string()
            }
            _ => return None,
        })
    }

    /// Opens what an include line names. False when the line is one.
    #[inline]
    fn include(&mut self, line: &Text) -> bool {
        !line.as_bytes().starts_with(include::START.as_bytes()) || self.is_no_include(line)
    }

    fn is_no_include(&mut self, line: &Text) -> bool {
        let mut found = Words::of(line);
        let Some(first) = found.take() else {
            return true;
        };
        let Some(checks) = include::keyword(first.text) else {
            self.learn_checks(line);
            return true;
        };
        let checks = checks.union(self.checks);
        // All that follows, quotation marks too, is one pattern.
        let rest = found.text().trim();
        let Some(place) = found.rest().filter(|_| !rest.is_empty()) else {
            self.report(
                Diagnostic::error(first.span, format!("`{}` without a file", first.text))
                    .advice("name a file or a pattern after it")
                    .verdict(Verdict::GivesUp),
            );
            return false;
        };
        let directory = self
            .files
            .last()
            .map(|file| file.directory.clone())
            .unwrap_or_default();
        let mut paths = Vec::new();
        let choices = include::braces(rest);
        for choice in &choices {
            let of_this = self.paths(choice, &directory);
            if of_this.is_empty() {
                // In a directory that is not there a pattern is not tried.
                let whole = directory.join(choice);
                let nowhere = whole
                    .parent()
                    .is_none_or(|parent| self.environment.kind(parent) == FileKind::Missing);
                let kind = match (choices.len(), include::is_pattern(choice)) {
                    (2.., _) => Checks::BRACE,
                    (_, true) if !nowhere => Checks::WILDCARD,
                    _ => Checks::MATCH,
                };
                self.no_match(choice, place, checks.contains(kind), kind);
            }
            paths.extend(of_this);
        }
        // The last to be pushed is the first to be read.
        for path in paths.iter().rev() {
            self.open(path, place);
        }
        false
    }

    fn no_match(&mut self, pattern: &str, place: Span, forbidden: bool, kind: Checks) {
        let missing = format!("no file matches `{pattern}`");
        let advice = "what it was to configure is not configured; remove the line or mend the path";
        self.report(match (forbidden, kind) {
            (true, _) => Diagnostic::error(place, missing)
                .advice("`include_check` or the keyword itself forbids it; remove the line or mend the path")
                // With the same exit status it ends here, too.
                .verdict(Verdict::Security),
            (false, Checks::WILDCARD) => Diagnostic::warning(place, missing).verdict(Verdict::Silent),
            (false, _) => Diagnostic::warning(place, missing)
                .advice(advice)
                .verdict(Verdict::Silent),
        });
    }

    /// `include_check` holds from where it stands.
    fn learn_checks(&mut self, line: &Text) {
        let mut words = Words::of(line);
        let Some(keyword) = std::iter::from_fn(|| words.take()).find(|word| word.text == "include_check")
        else {
            return;
        };
        let words = std::iter::from_fn(|| words.take()).map(|word| word.text);
        let (checks, unknown) = self.checks.changed(words.take_while(|word| *word != "}"));
        self.checks = checks;
        if let Some(unknown) = unknown {
            let message = format!("`{unknown}` is not known as `include_check`: it is ignored");
            self.report(
                Diagnostic::warning(keyword.span, message).advice("read, match, wildcard_match, brace_match"),
            );
        }
    }

    fn paths(&self, pattern: &str, directory: &Path) -> Vec<PathBuf> {
        let mut out = Vec::new();
        for each in include::braces(pattern) {
            let path = directory.join(&each);
            match include::is_pattern(&each) {
                true => out.extend(self.environment.matching(&path)),
                false if self.environment.kind(&path) != FileKind::Missing => out.push(path),
                false => {}
            }
        }
        out
    }

    fn open(&mut self, path: &Path, place: Span) {
        let opened = self.report.sources_mut().len();
        if self.files.len() > self.limits().include_depth || opened >= self.limits().files {
            self.report(
                Diagnostic::error(place, "too many files include each other: this one is not read")
                    .advice("look for a file that includes itself"),
            );
            self.stopped = true;
            return;
        }
        let complaint = match self.environment.kind(path) {
            FileKind::Executable => Some("is executable, and so is not read as configuration"),
            FileKind::Other => Some("is no regular file, and so is not read"),
            FileKind::Missing => Some("does not exist"),
            FileKind::Regular => None,
        };
        if let Some(complaint) = complaint {
            let message = format!("{} {complaint}", path.display());
            self.report(match complaint.starts_with("is no") {
                true => Diagnostic::warning(place, message),
                false => Diagnostic::error(place, message),
            });
            return;
        }
        match self.environment.read(path, self.limits().file_bytes) {
            Ok(content) => self.push(path, content),
            Err(error) => {
                self.report(Diagnostic::error(
                    place,
                    format!("{} cannot be read: {error}", path.display()),
                ));
            }
        }
    }

    fn push(&mut self, path: &Path, content: Vec<u8>) {
        let number = self.report.sources_mut().add(path.to_path_buf(), content);
        if let Some(source) = self.report.sources_mut().get(number) {
            self.files.push(OpenFile {
                whole: Rc::new(Whole::of_file(number, Arc::clone(&source.text))),
                offset: 0,
                directory: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            });
        }
    }

    /// The main file, which may be a pattern.
    fn open_main(&mut self, main: &Path) {
        let text = main.to_string_lossy();
        let paths = match include::is_pattern(&text) || text.contains('{') {
            true => self.paths(&text, Path::new("")),
            false => vec![main.to_path_buf()],
        };
        let mut read = Vec::new();
        for path in &paths {
            let complaint = match self.environment.kind(path) {
                FileKind::Executable => "is executable, and so is not read as configuration".to_owned(),
                FileKind::Other => "is no regular file".to_owned(),
                FileKind::Missing | FileKind::Regular => {
                    match self.environment.read(path, self.limits().file_bytes) {
                        Ok(content) => {
                            read.push((path, content));
                            continue;
                        }
                        Err(error) => format!("cannot be read: {error}"),
                    }
                }
            };
            self.report(no_place(format!("{} {complaint}", path.display())));
        }
        if paths.is_empty() {
            self.report(no_place(format!("no file matches {text}")));
        }
        for (path, content) in read.into_iter().rev() {
            self.push(path, content);
        }
    }
}

fn no_place(message: String) -> Diagnostic {
    let nowhere = Span {
        file: u32::MAX,
        start: 0,
        end: 0,
    };
    let mut diagnostic = Diagnostic::error(nowhere, message).verdict(Verdict::Reports);
    diagnostic.span = None;
    diagnostic
}

/// What became of a line.
enum Substituted {
    Nothing,
    Line(Text),
    Lines(Vec<Text>),
}

/// Puts a definition between two halves of a line.
fn insert(lines: &[Text], before: &Text, after: &Text, place: Span) -> Substituted {
    let mut out = Vec::with_capacity(lines.len());
    let mut current = Draft::of_file(before.file());
    current.push(before);
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            let next = Draft::of_file(before.file());
            out.push(std::mem::replace(&mut current, next).finish());
        }
        match line.file() == before.file() {
            // An error in the body is shown in the body, where it is to be mended.
            true => current.push(line),
            false => current.push_for(line.as_str(), place),
        }
    }
    current.push(after);
    let last = current.finish();
    match out.is_empty() {
        true => Substituted::Line(last),
        false => {
            out.push(last);
            Substituted::Lines(
                out.into_iter()
                    .map(trimmed)
                    .filter(|line| line.len() > 0)
                    .collect(),
            )
        }
    }
}

/// `$NAME` or `${NAME}` in a line.
struct Reference<'a> {
    name: &'a str,
    end: usize,
}

impl<'a> Reference<'a> {
    fn at(text: &'a str, dollar: usize) -> Option<Self> {
        let start = dollar.saturating_add(1);
        let rest = text.get(start..)?;
        if let Some(inner) = rest.strip_prefix('{') {
            let length = inner.find('}')?;
            let name = inner.get(..length)?;
            return Some(Self {
                name,
                end: start.saturating_add(length).saturating_add(2),
            });
        }
        let length = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let name = rest.get(..length).filter(|name| !name.is_empty())?;
        let next = rest.get(length..)?.chars().next();
        let ends = next.is_none_or(|next| crate::lexer::is_blank(next) || matches!(next, ',' | ')'));
        ends.then_some(Self {
            name,
            end: start.saturating_add(length),
        })
    }
}

/// `$NAME=value`.
fn definition_start(line: &Text) -> Option<(String, Text)> {
    let text = line.as_str();
    let (name, value) = text.strip_prefix('$')?.split_once('=')?;
    if name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() || !name.chars().all(is_name)
    {
        return None;
    }
    let from = text.len().saturating_sub(value.len());
    Some((name.to_owned(), trimmed(line.slice(from..text.len()))))
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
