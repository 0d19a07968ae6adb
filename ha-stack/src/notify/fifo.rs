//! A named pipe that gets a line for each event.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::command::{CommandLine, Credentials};
use crate::error::Error;
use crate::notify::{Event, Notifier};
use crate::plan::FifoSubject;

/// Writes [`Event::fifo_line`]s to a named pipe.
///
/// Unlike keepalived's, a full pipe loses nothing: the event waits until the reader has made room. The pipe is opened
/// for reading too, so that it exists, and keeps what is in it, while nobody reads.
#[derive(Debug)]
pub struct FifoNotifier {
    path: PathBuf,
    pipe: std::fs::File,
    priorities: bool,
    subject: FifoSubject,
    reader: Option<Child>,
}

impl FifoNotifier {
    /// Opens the pipe; where there is none, makes one that only its owner may use. It stays when this object goes, for
    /// whoever waits for its successor.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be made or opened, or is something else than a pipe.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        match Self::make_and_open(&path) {
            Ok(pipe) => Ok(Self {
                path,
                pipe,
                priorities: false,
                subject: FifoSubject::Everything,
                reader: None,
            }),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// Writes only about these objects.
    #[must_use]
    pub fn about(mut self, subject: FifoSubject) -> Self {
        self.subject = subject;
        self
    }

    /// Gives the pipe to somebody else.
    ///
    /// # Errors
    /// [`Error::File`] if that is not allowed.
    pub fn owned_by(self, owner: &Credentials) -> Result<Self, Error> {
        match std::os::unix::fs::fchown(&self.pipe, Some(owner.user()), Some(owner.group())) {
            Ok(()) => Ok(self),
            Err(source) => Err(Error::File {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Also writes changes of priority, as `notify_priority_changes` asks for.
    #[must_use]
    pub fn with_priorities(mut self, priorities: bool) -> Self {
        self.priorities = priorities;
        self
    }

    /// Starts a program with the pipe's path as its last argument, to be ended with this object.
    ///
    /// # Errors
    /// [`Error::File`] with the program's path if it cannot be started.
    pub fn with_reader(mut self, command: &CommandLine) -> Result<Self, Error> {
        let path = self.path.to_string_lossy().into_owned();
        let child = command.spawn(&[&path]).map_err(|source| Error::File {
            path: command.program().into(),
            source,
        })?;
        self.reader = Some(child);
        Ok(self)
    }

    fn make_and_open(path: &Path) -> io::Result<std::fs::File> {
        let mode = Mode::RUSR | Mode::WUSR;
        match mknodat(CWD, path, FileType::Fifo, mode, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let pipe = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(path)?;
        if !pipe.metadata()?.file_type().is_fifo() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a named pipe"));
        }
        Ok(pipe)
    }

    fn wait_for_room(&self) {
        let mut descriptors = [PollFd::new(&self.pipe, PollFlags::OUT)];
        let timeout = Timespec::try_from(PATIENCE).ok();
        // However it ends, the write is tried again.
        let _ = poll(&mut descriptors, timeout.as_ref());
    }
}

impl Notifier for FifoNotifier {
    fn notify(&mut self, event: &Event) -> Result<(), Error> {
        let is_priority = event.kind.word().ends_with("_PRIORITY");
        if (is_priority && !self.priorities) || !self.subject.includes(&event.object) {
            return Ok(());
        }
        if let Some(reader) = &mut self.reader
            && let Ok(Some(status)) = reader.try_wait()
        {
            tracing::warn!(fifo = %self.path.display(), %status, "the program that reads the pipe has ended");
            self.reader = None;
        }
        // A line is shorter than PIPE_BUF, so the kernel takes the whole of it or nothing.
        match self.pipe.write(event.fifo_line().as_bytes()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.wait_for_room();
                Err(Error::NotYet)
            }
            Err(source) => Err(Error::File {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

impl Drop for FifoNotifier {
    fn drop(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            if let Some(pid) = i32::try_from(reader.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::TERM);
            }
            // Somebody has to collect it, and this must not wait for a program that ignores the signal.
            std::thread::spawn(move || {
                let _ = reader.wait();
            });
        }
    }
}

/// How long one attempt waits for room in the pipe.
const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::notify::event::tests::state;
    use crate::notify::{Courier, EventKind, NotifyState};

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ha-stack-fifo-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_full_pipe_loses_nothing() {
        let path = path("full");
        let notifier = FifoNotifier::open(&path).unwrap();
        let mut reader = OpenOptions::new().read(true).open(&path).unwrap();
        let courier = Courier::start("fifo", notifier, 100_000).unwrap();
        let line = state("VI_1", NotifyState::Master).fifo_line();
        let count = 3 * 65_536 / line.len();
        for _ in 0..count {
            courier.send(state("VI_1", NotifyState::Master));
        }
        let mut read = vec![0; count * line.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), line.repeat(count));
        assert!(courier.flush(Duration::from_secs(60)));
        assert_eq!(courier.merged(), 0);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn priorities_are_written_only_on_request() {
        let path = path("priorities");
        let mut event = state("VI_1", NotifyState::Master);
        event.kind = EventKind::Priority(NotifyState::Master);
        let mut notifier = FifoNotifier::open(&path).unwrap();
        let mut reader = OpenOptions::new().read(true).open(&path).unwrap();
        notifier.notify(&event).unwrap();
        let mut notifier = notifier.with_priorities(true);
        notifier.notify(&event).unwrap();
        drop(notifier);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "INSTANCE \"VI_1\" MASTER_PRIORITY 100\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_reader_gets_the_path_as_its_last_argument() {
        let path = path("reader");
        let copy = path.with_extension("copy");
        let script = format!("head -n 1 \"$1\" > {}", copy.display());
        let command = CommandLine::new(["/bin/sh", "-c", &script, "sh"]).unwrap();
        let mut notifier = FifoNotifier::open(&path).unwrap().with_reader(&command).unwrap();
        notifier.notify(&state("VI_1", NotifyState::Fault)).unwrap();
        notifier.reader.as_mut().unwrap().wait().unwrap();
        assert_eq!(
            std::fs::read_to_string(&copy).unwrap(),
            "INSTANCE \"VI_1\" FAULT 100\n"
        );
        std::fs::remove_file(&copy).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn something_else_is_refused_and_left_alone() {
        let path = path("file");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(FifoNotifier::open(&path), Err(Error::File { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(&path).unwrap();
    }
}
