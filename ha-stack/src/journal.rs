//! Everything that the election is told, in a file, so that what it decided can be explained afterwards.
//!
//! A line of JSON for each thing. The file is opened for appending and is not for others to read; passwords are masked.
//! When it has grown too long it is renamed, `.1` at its end, and begun anew with what is known.

mod entry;
mod known;
mod mask;
mod recorder;
mod replay;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use vrrp_fsm::TrackId;

use crate::error::Error;
use crate::journal::entry::Entry;
use crate::journal::known::Known;

pub use recorder::JournalRecorder;
pub use replay::{Remark, Replay};

/// A journal that is being written.
///
/// Whoever writes into it never waits: what a slow or full disk does not take is counted, and the number is written as
/// soon as that is possible again. Dropping the last handle and recorder writes what waits.
#[derive(Clone, Debug)]
pub struct Journal {
    sender: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl Journal {
    /// Opens a journal, to be continued if it is there already.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be opened; [`Error::System`] if the system is out of threads.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::with_limit(path.into(), LIMIT)
    }

    fn with_limit(path: PathBuf, limit: u64) -> Result<Self, Error> {
        let file = open(&path).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
        let (sender, items) = sync_channel(CAPACITY);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            length: file.metadata().map_or(0, |metadata| metadata.len()),
            file,
            path,
            limit,
            known: Known::default(),
            lines: Vec::new(),
            count: 0,
            torn: true,
            lost: Arc::clone(&lost),
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&items))
            .map_err(Error::system("cannot start a thread for the journal"))?;
        Ok(Self { sender, lost })
    }

    /// What [`vrrp_net::Driver::set_recorder`] takes, for one driver.
    pub fn recorder(&self) -> JournalRecorder {
        JournalRecorder::new(self.clone())
    }

    /// How many entries could not be written so far and have not been reported in the file yet.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What the numbers of tracked objects mean, for people.
    pub(crate) fn name_tracks(&self, names: impl IntoIterator<Item = (TrackId, String)>) {
        let names = names.into_iter().map(|(id, name)| (id.0, name)).collect();
        self.put(Item::Entry(Entry::Names { names }));
    }

    fn put(&self, item: Item) {
        if self.sender.try_send(item).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything so far is written or lost.
    pub fn flush(&self, limit: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        self.sender.try_send(Item::Flush(done)).is_ok() && is_done.recv_timeout(limit).is_ok()
    }
}

/// What the writer is handed.
#[derive(Debug)]
enum Item {
    /// An entry without a time.
    Entry(Entry),
    /// An entry, and the time of the day when it was made.
    Timed(SystemTime, Entry),
    Flush(SyncSender<()>),
}

struct Writer {
    file: File,
    path: PathBuf,
    length: u64,
    limit: u64,
    known: Known,
    /// Whole lines that wait to be written, and how many.
    lines: Vec<u8>,
    count: u64,
    /// The file may end in the middle of a line.
    torn: bool,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(&mut self, items: &Receiver<Item>) {
        while let Ok(first) = items.recv() {
            self.take(first);
            // Whatever else waits goes out with it.
            while let Ok(item) = items.try_recv() {
                self.take(item);
            }
            self.write();
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Flush(done) => {
                self.write();
                // Whoever asked may have stopped waiting.
                let _ = done.try_send(());
            }
            Item::Entry(entry) => self.line(&entry),
            Item::Timed(wall, entry) => {
                let at = entry.at();
                // An election begins with its own clock.
                let begins = matches!(entry, Entry::Start { .. });
                if begins {
                    self.line(&entry);
                }
                if let Some(clock) = self.known.clock(at, wall) {
                    self.line(&clock);
                }
                if !begins {
                    self.line(&entry);
                }
            }
        }
        if self.lines.len() > BLOCK {
            self.write();
        }
    }

    fn line(&mut self, entry: &Entry) {
        self.known.learn(entry);
        self.count += 1;
        push(&mut self.lines, entry);
    }

    fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if self.length > self.limit {
            self.begin_anew();
        }
        let mut block = Vec::new();
        if self.torn {
            block.push(b'\n');
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            push(&mut block, &Entry::Lost { entries: lost });
        }
        block.append(&mut self.lines);
        let count = std::mem::take(&mut self.count);
        match self.file.write_all(&block) {
            Ok(()) => {
                self.torn = false;
                self.length += u64::try_from(block.len()).unwrap_or(u64::MAX);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.torn, true) {
                    tracing::error!(journal = %self.path.display(), %error, "the journal cannot be written");
                }
                self.lost.fetch_add(lost + count, Ordering::Relaxed);
            }
        }
    }

    /// Renames the file and begins another one with what is known.
    fn begin_anew(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        let renamed = std::fs::rename(&self.path, &old);
        match renamed.and_then(|()| open(&self.path)) {
            Ok(file) => {
                self.file = file;
                self.length = 0;
                self.torn = false;
                let mut lines = Vec::new();
                for entry in self.known.summary() {
                    push(&mut lines, &entry);
                }
                // What waits stands behind what was known before it... which has learned of it already: it does no harm.
                lines.append(&mut self.lines);
                self.lines = lines;
            }
            Err(error) => {
                tracing::error!(journal = %self.path.display(), %error, "the journal cannot be begun anew: it grows on");
                self.limit = self.limit.saturating_mul(2);
            }
        }
    }
}

fn push(lines: &mut Vec<u8>, entry: &Entry) {
    // Writing to memory cannot fail, nor is there anything in an entry that JSON cannot say.
    if serde_json::to_writer(&mut *lines, entry).is_ok() {
        lines.push(b'\n');
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Entries that may wait for the disk.
const CAPACITY: usize = 16_384;

/// So many bytes are written at once.
const BLOCK: usize = 64 * 1024;

/// When the file is this long, it is begun anew.
const LIMIT: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
