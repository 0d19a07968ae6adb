//! Files whose content is a number that moves the priority.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};

use crate::error::Error;
use crate::track::worker::{Inbox, Watch, Worker};

/// A file whose first number is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedFile {
    /// The name of the `track_file` block.
    pub name: String,
    /// The file; it need not exist, and counts as 0 while it does not.
    pub path: PathBuf,
    /// What is written into it when it begins to be watched.
    pub initial: Option<InitialValue>,
}

/// What is written into a tracked file at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to `init_file`")]
pub struct InitialValue {
    /// The number.
    pub value: i64,
    /// Even if the file is there already.
    pub overwrite: bool,
}

/// A thread that watches files and reports their numbers.
///
/// Dropping the tracker ends the thread.
pub struct FileTracker {
    worker: Worker<TrackedFile>,
}

impl FileTracker {
    /// Starts the thread, which calls `report` with the name and the number of each file once at first and then
    /// whenever the number changes.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel gives no descriptor or no thread.
    pub fn start(report: impl FnMut(&str, i64) + Send + 'static) -> Result<Self, Error> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(io::Error::from)
            .map_err(Error::system("cannot watch files"))?;
        let worker = Worker::start("files", move |inbox| {
            let watcher = Watcher {
                inbox,
                inotify,
                directories: HashMap::new(),
                files: Vec::new(),
                report,
            };
            watcher.run();
        })?;
        Ok(Self { worker })
    }

    /// Replaces the files. One that keeps its name and path is reported again only if its number changed.
    pub fn set_files(&self, files: Vec<TrackedFile>) {
        self.worker.watch(files);
    }
}

impl Watch for FileTracker {
    fn has_moved(&self) -> bool {
        self.worker.has_moved()
    }

    fn abandon(self) {
        self.worker.abandon();
    }
}

impl fmt::Debug for FileTracker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileTracker").finish_non_exhaustive()
    }
}

struct Watched {
    file: TrackedFile,
    value: Option<i64>,
}

struct Watcher<F> {
    inbox: Arc<Inbox<TrackedFile>>,
    inotify: OwnedFd,
    /// The directories that are watched, by path; the kernel's number for each.
    directories: HashMap<PathBuf, i32>,
    files: Vec<Watched>,
    report: F,
}

impl<F: FnMut(&str, i64)> Watcher<F> {
    fn run(mut self) {
        loop {
            let orders = self.inbox.take();
            if orders.stop {
                return;
            }
            if let Some(files) = orders.wanted {
                self.replace(files);
            }
            let complete = self.watch_directories();
            // A directory that does not exist yet, or no longer, is looked for again.
            let timeout = (!complete).then_some(LOOK_AGAIN);
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            let mut descriptors = [
                self.inbox.waker.poll_descriptor(),
                PollFd::new(&self.inotify, PollFlags::IN),
            ];
            if poll(&mut descriptors, timeout.as_ref()).is_err() {
                std::thread::yield_now();
            }
            self.inbox.waker.clear();
            self.read_events();
        }
    }

    fn replace(&mut self, files: Vec<TrackedFile>) {
        let mut old = std::mem::take(&mut self.files);
        for file in files {
            let value = old
                .iter()
                .position(|watched| watched.file == file)
                .map(|index| old.swap_remove(index).value);
            if value.is_none()
                && let Some(initial) = file.initial
                && let Err(error) = write_initial(&file.path, initial)
            {
                tracing::error!(file = file.name, path = %file.path.display(), %error, "cannot write the first value");
            }
            let value = value.flatten();
            self.files.push(Watched { file, value });
        }
        let wanted: Vec<PathBuf> = self
            .files
            .iter()
            .map(|watched| directory(&watched.file.path))
            .collect();
        self.directories.retain(|path, watch| {
            let keep = wanted.contains(path);
            if !keep {
                let _ = remove_watch(&self.inotify, *watch);
            }
            keep
        });
        self.read_all();
    }

    /// Returns whether every directory is being watched. Files of a directory that was added are read afterwards, so
    /// that nothing falls between reading and watching.
    fn watch_directories(&mut self) -> bool {
        let mut complete = true;
        let mut added = false;
        for watched in &self.files {
            let directory = directory(&watched.file.path);
            if self.directories.contains_key(&directory) {
                continue;
            }
            match add_watch(&self.inotify, &directory, WATCHED) {
                Ok(watch) => {
                    self.directories.insert(directory, watch);
                    added = true;
                }
                Err(_) => complete = false,
            }
        }
        if added || !complete {
            self.read_all();
        }
        complete
    }

    fn read_events(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut names: Vec<(i32, OsString)> = Vec::new();
        let mut lost = Vec::new();
        let mut all = false;
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            all |= flags.contains(ReadFlags::QUEUE_OVERFLOW);
            if flags.intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                lost.push(event.wd());
                all = true;
            }
            if let Some(name) = event.file_name() {
                use std::os::unix::ffi::OsStrExt as _;
                names.push((
                    event.wd(),
                    std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned(),
                ));
            }
        }
        self.directories.retain(|_, watch| {
            let keep = !lost.contains(watch);
            if !keep {
                let _ = remove_watch(&self.inotify, *watch);
            }
            keep
        });
        for index in 0..self.files.len() {
            let touched = all
                || self.files.get(index).is_some_and(|watched| {
                    let watch = self.directories.get(&directory(&watched.file.path));
                    names.iter().any(|(number, name)| {
                        Some(number) == watch && Some(name.as_os_str()) == watched.file.path.file_name()
                    })
                });
            if touched {
                self.read(index);
            }
        }
    }

    fn read_all(&mut self) {
        for index in 0..self.files.len() {
            self.read(index);
        }
    }

    fn read(&mut self, index: usize) {
        let Some(watched) = self.files.get_mut(index) else {
            return;
        };
        let value = read_number(&watched.file.path);
        if watched.value != Some(value) {
            tracing::info!(file = watched.file.name, value, "tracked file changed");
            watched.value = Some(value);
            (self.report)(&watched.file.name, value);
        }
    }
}

/// Writes the first number into a file that is not there, or in any case.
fn write_initial(path: &Path, initial: InitialValue) -> io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    match initial.overwrite {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    match options.open(path) {
        Ok(mut file) => writeln!(file, "{}", initial.value),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The directory that holds `path`.
fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    }
}

/// The number at the start of a regular file; 0 if there is none, or no file. Opening must not block, as a FIFO would.
fn read_number(path: &Path) -> i64 {
    use std::os::unix::fs::OpenOptionsExt as _;
    let open = || -> io::Result<Vec<u8>> {
        let file: File = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(Vec::new());
        }
        let mut content = Vec::with_capacity(LONGEST);
        file.take(LONGEST as u64).read_to_end(&mut content)?;
        Ok(content)
    };
    open().map_or(0, |content| parse_number(&content))
}

/// What C's `strtoll` with base 0 makes of `text`: white space, a sign, then hexadecimal after `0x`, octal after `0`,
/// decimal otherwise, up to the first byte that is no digit; too large numbers are the largest there are.
fn parse_number(text: &[u8]) -> i64 {
    let start = text
        .iter()
        .position(|byte| !(byte.is_ascii_whitespace() || *byte == 0x0b))
        .unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (radix, text) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        _ => (10, text),
    };
    text.iter()
        .map_while(|byte| char::from(*byte).to_digit(radix))
        .fold(0_i64, |number, digit| {
            let digit = i64::from(digit);
            let number = number.saturating_mul(i64::from(radix));
            match negative {
                true => number.saturating_sub(digit),
                false => number.saturating_add(digit),
            }
        })
}

/// keepalived reads so much of the file.
const LONGEST: usize = 127;

const LOOK_AGAIN: Duration = Duration::from_secs(1);

const WATCHED: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn numbers_are_read_as_strtoll_reads_them() {
        for (text, number) in [
            ("", 0),
            ("12", 12),
            (" \n\t-12\n", -12),
            ("+5 apples", 5),
            ("0x1f", 31),
            ("0x", 0),
            ("0xg", 0),
            ("010", 8),
            ("089", 0),
            ("apples", 0),
            ("--5", 0),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(parse_number(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn changes_are_reported_however_the_file_comes_to_be() {
        let root = std::env::temp_dir().join(format!("ha-stack-file-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let directory = root.join("later");
        let path = directory.join("value");
        std::fs::create_dir_all(&directory).unwrap();
        let (sender, receiver) = channel();
        let tracker = FileTracker::start(move |name, value| {
            let _ = sender.send((name.to_owned(), value));
        })
        .unwrap();
        tracker.set_files(vec![TrackedFile {
            name: "load".to_owned(),
            path: path.clone(),
            initial: None,
        }]);
        let next = || receiver.recv().unwrap();
        assert_eq!(next(), ("load".to_owned(), 0), "a missing file is 0");
        std::fs::write(&path, "5\n").unwrap();
        assert_eq!(next().1, 5, "written");
        std::fs::write(directory.join("new"), "6").unwrap();
        std::fs::rename(directory.join("new"), &path).unwrap();
        assert_eq!(next().1, 6, "moved over");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next().1, 0, "deleted");
        std::fs::remove_dir(&directory).unwrap();
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&path, "7").unwrap();
        assert_eq!(next().1, 7, "in a directory that was made anew");
        drop(tracker);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_first_value_is_written_only_where_there_is_none_unless_told_to() {
        let path = std::env::temp_dir().join(format!("ha-stack-initial-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for (value, overwrite, expected) in [(5, false, 5), (6, false, 5), (-7, true, -7)] {
            write_initial(&path, InitialValue { value, overwrite }).unwrap();
            assert_eq!(read_number(&path), expected);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_counts_as_nothing() {
        assert_eq!(read_number(Path::new("/dev/zero")), 0);
        assert_eq!(read_number(Path::new("/")), 0);
    }
}
