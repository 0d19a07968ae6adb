//! Pipes, through which the kernel passes bytes from one socket to another without copying them.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// A bounded number of pipes, kept for the next one who wants one.
pub(super) struct Pipes {
    idle: Vec<Pipe>,
    /// How many may still be made.
    left: usize,
}

pub(super) struct Pipe {
    exit: OwnedFd,
    entry: OwnedFd,
    held: usize,
}

impl Pipes {
    pub(super) fn new(most: usize) -> Self {
        Self {
            idle: Vec::new(),
            left: most,
        }
    }

    pub(super) fn take(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.idle.pop() {
            return Some(pipe);
        }
        self.left = self.left.checked_sub(1)?;
        match Pipe::new() {
            Ok(pipe) => Some(pipe),
            Err(_) => {
                self.left += 1;
                None
            }
        }
    }

    /// One that holds bytes nobody will take is closed.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        match pipe.held == 0 && self.idle.len() < IDLE {
            true => self.idle.push(pipe),
            false => self.left += 1,
        }
    }
}

impl Pipe {
    fn new() -> Result<Self, Errno> {
        let (exit, entry) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Who has used up what a user may have gets pipes of the ordinary size.
        let _ = fcntl_setpipe_size(&entry, SIZE);
        Ok(Self { exit, entry, held: 0 })
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes in what there is at `from`; 0 is its end. Only while nothing is held: a full pipe looks like an empty socket.
    pub(super) fn fill(&mut self, from: &OwnedFd) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let taken = splice(from, None, &self.entry, None, MOST, flags)?;
        self.held += taken;
        Ok(taken)
    }

    /// Passes on what `to` takes.
    pub(super) fn drain(&mut self, to: &OwnedFd) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let passed = splice(&self.exit, None, to, None, self.held, flags)?;
        self.held = self.held.saturating_sub(passed);
        Ok(passed)
    }
}

/// Idle ones kept by each thread.
const IDLE: usize = 16;

/// In bytes: sixty-four pages or pieces of a packet.
const SIZE: usize = 256 << 10;

/// At once, in bytes.
const MOST: usize = 1 << 20;
