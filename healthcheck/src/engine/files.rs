//! Files that are watched, so that a change is seen at once.

use core::mem::MaybeUninit;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::epoll;
use rustix::fs::inotify;

use crate::check::File;
use crate::outcome::{Cause, Outcome, Sample, Weight};

/// The watches there are.
#[derive(Default)]
pub(super) struct Files {
    inotify: Option<OwnedFd>,
    /// What is watched in each directory: names, and the jobs that read them.
    directories: HashMap<i32, Vec<(OsString, u32)>>,
}

impl Files {
    /// Reads a file, and sees to it that it is watched. Where it cannot be watched the interval has to do.
    pub(super) fn read(
        &mut self,
        epoll: impl AsFd,
        data: u64,
        job: u32,
        file: &File,
    ) -> (Outcome, Option<Weight>) {
        // First the watch, then the look: a change between the two is seen twice rather than never.
        let _ = self.watch(epoll, data, job, file.path());
        let mut content = Vec::new();
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(file.path());
        match opened.and_then(|opened| opened.take(MOST).read_to_end(&mut content)) {
            Ok(_) => file.judge(Some(&content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => file.judge(None),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let sample = Sample::inconclusive(Cause::Permission);
                (sample.outcome, None)
            }
            Err(_) => (Outcome::Inconclusive(Cause::Resources), None),
        }
    }

    /// The jobs whose files changed.
    pub(super) fn changed(&self) -> Vec<u32> {
        let mut jobs = Vec::new();
        let Some(fd) = &self.inotify else { return jobs };
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(fd, &mut room);
        while let Ok(event) = reader.next() {
            let Some(watched) = self.directories.get(&event.wd()) else {
                continue;
            };
            let name = event.file_name().map(core::ffi::CStr::to_bytes);
            jobs.extend(
                watched
                    .iter()
                    .filter(|(other, _)| Some(other.as_bytes()) == name)
                    .map(|(_, job)| *job),
            );
        }
        jobs
    }

    fn watch(&mut self, epoll: impl AsFd, data: u64, job: u32, path: &Path) -> rustix::io::Result<()> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        if self.inotify.is_none() {
            let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            epoll::add(epoll, &fd, epoll::EventData::new_u64(data), epoll::EventFlags::IN)?;
            self.inotify = Some(fd);
        }
        let Some(fd) = &self.inotify else { return Ok(()) };
        // The directory, not the file: most writers put a new file in the place of the old one.
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let flags = inotify::WatchFlags::CLOSE_WRITE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::MOVED_FROM
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE;
        let number = inotify::add_watch(fd, directory, flags)?;
        let watched = self.directories.entry(number).or_default();
        if !watched
            .iter()
            .any(|(other, number)| other == name && *number == job)
        {
            // A job has one file: what it had before under this number is no longer its own.
            watched.retain(|(_, number)| *number != job);
            watched.push((name.to_owned(), job));
        }
        Ok(())
    }
}

/// No number is longer.
const MOST: u64 = 64;
