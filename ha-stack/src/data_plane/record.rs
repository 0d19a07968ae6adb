//! Which rows are ours, written down so that a successor knows.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::data_plane::Front;
use crate::error::Error;

/// A file with a line for each thing that this daemon has put into the kernel.
///
/// It is written before something new is added and after something old was removed, so at any moment it names at least
/// what is there: whoever follows after a kill finds all of it.
#[derive(Debug)]
pub(super) struct Record {
    path: Option<PathBuf>,
    written: Ours,
}

/// What is in the kernel and ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ours {
    pub(super) fronts: BTreeSet<Front>,
    /// Sync daemons: `true` for the one that sends.
    pub(super) synchronization: BTreeSet<bool>,
}

impl Record {
    /// Reads what a predecessor left; nothing if there is no file.
    pub(super) fn open(path: Option<PathBuf>) -> Result<Self, Error> {
        let written = match &path {
            None => Ours::default(),
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => Ours::from_text(&text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ours::default(),
                Err(source) => {
                    return Err(Error::File {
                        path: path.clone(),
                        source,
                    });
                }
            },
        };
        Ok(Self { path, written })
    }

    pub(super) fn ours(&self) -> &Ours {
        &self.written
    }

    /// Writes, if it is not what is written already.
    pub(super) fn write(&mut self, ours: &Ours) -> Result<(), Error> {
        if self.written == *ours {
            return Ok(());
        }
        if let Some(path) = &self.path {
            let outcome = match ours.is_empty() {
                true => fs::remove_file(path).or_else(|error| {
                    let is_gone = error.kind() == io::ErrorKind::NotFound;
                    if is_gone { Ok(()) } else { Err(error) }
                }),
                // Whoever reads it sees the old text or the new one, never half of it.
                false => {
                    let new = path.with_extension("new");
                    fs::write(&new, ours.text()).and_then(|()| fs::rename(&new, path))
                }
            };
            outcome.map_err(|source| Error::File {
                path: path.clone(),
                source,
            })?;
        }
        self.written = ours.clone();
        Ok(())
    }
}

impl Ours {
    fn is_empty(&self) -> bool {
        self.fronts.is_empty() && self.synchronization.is_empty()
    }

    fn text(&self) -> String {
        let fronts = self.fronts.iter().map(|front| format!("{front}\n"));
        let synchronization = self.synchronization.iter().map(|sends| match sends {
            true => SENDS.to_owned() + "\n",
            false => LISTENS.to_owned() + "\n",
        });
        fronts.chain(synchronization).collect()
    }

    /// A line that means nothing, of another version say, is nobody's.
    fn from_text(text: &str) -> Self {
        let mut ours = Self::default();
        for line in text.lines() {
            match line {
                SENDS => drop(ours.synchronization.insert(true)),
                LISTENS => drop(ours.synchronization.insert(false)),
                line => ours.fronts.extend(line.parse::<Front>()),
            }
        }
        ours
    }
}

const SENDS: &str = "sync master";
const LISTENS: &str = "sync backup";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found_and_nothing_leaves_no_file() {
        let path = std::env::temp_dir().join(format!("ha-stack-record-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let mut record = Record::open(Some(path.clone())).unwrap();
        let mut ours = Ours::default();
        ours.fronts.insert("tcp 10.0.0.1:80".parse().unwrap());
        ours.fronts.insert("fwmark 7 ipv6".parse().unwrap());
        ours.synchronization.insert(true);
        record.write(&ours).unwrap();
        assert_eq!(Record::open(Some(path.clone())).unwrap().ours(), &ours);
        fs::write(&path, "x y z\ntcp 10.0.0.1:80\n").unwrap();
        assert_eq!(Record::open(Some(path.clone())).unwrap().ours().fronts.len(), 1);
        record.write(&Ours::default()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_that_names_the_file() {
        let mut record = Record::open(Some("/nonexistent/record".into())).unwrap();
        let mut ours = Ours::default();
        ours.fronts.insert("fwmark 7".parse().unwrap());
        assert!(
            record
                .write(&ours)
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/record")
        );
    }
}
