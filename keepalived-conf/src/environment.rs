//! How the parser looks at the world: files, programs, names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Everything a parser may ask of the host it runs on.
///
/// [`System`](crate::System) asks the real one, [`Memory`] a made-up one: tests and fuzzing need no files. Where the
/// answer is not known, say so (`None`): what cannot be known is not diagnosed.
pub trait Environment {
    /// The content of a file, at most `most` bytes of it.
    ///
    /// # Errors
    ///
    /// Whatever the system says; `FileTooLarge` where there are more than `most` bytes.
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// The regular files that match a pattern of `*`, `?`, `[…]`, sorted by name.
    fn matching(&self, pattern: &Path) -> Vec<PathBuf>;

    /// What is at the path of a file that is to be included.
    fn kind(&self, path: &Path) -> FileKind;

    /// What a script's first word leads to. Without a slash it is looked up on the search path.
    fn program(&self, name: &str) -> Program;

    /// Whether a user of this name exists.
    fn user_exists(&self, name: &str) -> Option<bool>;

    /// Whether a group of this name exists.
    fn group_exists(&self, name: &str) -> Option<bool>;

    /// Whether a network interface of this name exists now.
    fn interface_exists(&self, name: &str) -> Option<bool>;

    /// Whether a host name leads to an address.
    fn resolves(&self, host: &str) -> Option<bool>;

    /// An environment variable, for `${_ENV NAME}`.
    fn variable(&self, name: &str) -> Option<String>;

    /// The host's name up to its first dot: the identity that `@id` lines are compared with.
    fn host_name(&self) -> String;
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// Nothing, or nothing that can be seen.
    Missing,
    /// A regular file without an execute bit.
    Regular,
    /// A regular file with an execute bit; keepalived refuses it as configuration.
    Executable,
    /// A directory, a socket or the like.
    Other,
}

/// What a script's first word leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Program {
    /// A program.
    Found,
    /// A program which, or a directory above which, somebody other than root may write.
    WritableByOthers,
    /// A file that is not executable.
    NotExecutable,
    /// Nothing.
    Missing,
    /// This environment cannot tell.
    Unknown,
}

/// A made-up host: what is not listed does not exist.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Files by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// What [`Environment::program`] finds.
    pub programs: BTreeSet<String>,
    /// Users and groups; `None` means that nothing is known about them.
    pub users: Option<BTreeSet<String>>,
    /// Interfaces; `None` means that nothing is known about them.
    pub interfaces: Option<BTreeSet<String>>,
    /// Host names that lead to an address; `None` means that nothing is known about them.
    pub hosts: Option<BTreeSet<String>>,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// The host's name.
    pub host_name: String,
}

impl Memory {
    /// A host that has this one file.
    #[must_use]
    pub fn with_file(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            files: BTreeMap::from([(path.into(), content.into())]),
            ..Self::default()
        }
    }
}

impl Environment for Memory {
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let content = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if content.len() as u64 > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content.clone())
    }

    fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        let Some(pattern) = pattern.to_str().and_then(|text| glob::Pattern::new(text).ok()) else {
            return Vec::new();
        };
        let options = glob::MatchOptions {
            require_literal_separator: true,
            ..glob::MatchOptions::default()
        };
        self.files
            .keys()
            .filter(|path| pattern.matches_path_with(path, options))
            .cloned()
            .collect()
    }

    fn kind(&self, path: &Path) -> FileKind {
        match self.files.contains_key(path) {
            true => FileKind::Regular,
            false => FileKind::Missing,
        }
    }

    fn program(&self, name: &str) -> Program {
        match self.programs.contains(name) {
            true => Program::Found,
            false => Program::Missing,
        }
    }

    fn user_exists(&self, name: &str) -> Option<bool> {
        self.users.as_ref().map(|users| users.contains(name))
    }

    fn group_exists(&self, name: &str) -> Option<bool> {
        self.user_exists(name)
    }

    fn interface_exists(&self, name: &str) -> Option<bool> {
        self.interfaces.as_ref().map(|names| names.contains(name))
    }

    fn resolves(&self, host: &str) -> Option<bool> {
        self.hosts.as_ref().map(|hosts| hosts.contains(host))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn host_name(&self) -> String {
        self.host_name.clone()
    }
}
