//! The files of one configuration, and places in them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The files that were read, in the order in which they were opened: the main file first.
///
/// A diagnostic holds only offsets; this turns them into a file name, a line and a column. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<SourceFile>>,
}

impl Sources {
    /// Adds a file and returns its number. Bytes that are not UTF-8 become U+FFFD one by one.
    pub(crate) fn add(&mut self, path: PathBuf, bytes: Vec<u8>) -> u32 {
        let mut text = String::from_utf8(bytes).unwrap_or_else(|error| decoded(error.as_bytes()));
        text.shrink_to_fit();
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(Arc::new(SourceFile {
            path,
            text: Arc::new(text),
            lines: OnceLock::new(),
        }));
        number
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn get(&self, file: u32) -> Option<&Arc<SourceFile>> {
        self.files.get(usize::try_from(file).ok()?)
    }

    /// The path of the file in which `span` lies, as it was given.
    #[must_use]
    pub fn path(&self, span: Span) -> Option<&Path> {
        Some(&self.get(span.file)?.path)
    }

    /// The whole text of the file in which `span` lies.
    #[must_use]
    pub fn text(&self, span: Span) -> Option<&str> {
        Some(&self.get(span.file)?.text)
    }

    /// The line and column at which `span` begins.
    #[must_use]
    pub fn position(&self, span: Span) -> Option<Position> {
        let file = self.get(span.file)?;
        let lines = file.lines();
        let line = lines.partition_point(|start| *start <= span.start);
        let start = *lines.get(line.checked_sub(1)?)?;
        let before = file
            .text
            .get(usize::try_from(start).ok()?..usize::try_from(span.start).ok()?)?;
        Some(Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count())
                .unwrap_or(u32::MAX)
                .saturating_add(1),
        })
    }

    /// `FILE:LINE:COLUMN` of where `span` begins.
    #[must_use]
    pub fn locate(&self, span: Span) -> String {
        match (self.path(span), self.position(span)) {
            (Some(path), Some(at)) => format!("{}:{}:{}", path.display(), at.line, at.column),
            _ => String::from("?"),
        }
    }
}

/// One file, decoded.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: Arc<String>,
    /// Where each line begins, once somebody has asked.
    lines: OnceLock<Vec<u32>>,
}

impl SourceFile {
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            std::iter::once(0)
                .chain(self.text.match_indices('\n').map(|(at, _)| at.saturating_add(1)))
                .map(|at| u32::try_from(at).unwrap_or(u32::MAX))
                .collect()
        })
    }
}

fn decoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A stretch of text in one of the [`Sources`], in bytes of the decoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Number of the file in [`Sources`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// First byte after the stretch.
    pub end: u32,
}

impl Span {
    /// The smallest stretch that covers both; `self` where they lie in different files.
    pub(crate) fn to(self, other: Self) -> Self {
        if self.file != other.file {
            return self;
        }
        Self {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A place for people: both numbers count from one, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

/// Where a block or an entry of the typed configuration stood in the text.
///
/// It is no part of the configuration: two configurations that say the same are equal whatever their origins, so all
/// origins compare equal. `None` where the configuration came from TOML, JSON or code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin(pub Option<Span>);

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let mut sources = Sources::default();
        let file = sources.add(PathBuf::from("a.conf"), "x\n#é priority\n".into());
        let start = u32::try_from("x\n#é ".len()).unwrap();
        let span = Span {
            file,
            start,
            end: start + 8,
        };
        assert_eq!(sources.locate(span), "a.conf:2:4");
        assert_eq!(
            sources.locate(Span {
                file: 7,
                start: 0,
                end: 0
            }),
            "?"
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_apart() {
        let mut sources = Sources::default();
        let file = sources.add(PathBuf::from("a"), b"a\xff\xfeb".to_vec());
        let span = Span {
            file,
            start: 0,
            end: 1,
        };
        assert_eq!(sources.text(span), Some("a\u{fffd}\u{fffd}b"));
    }
}
