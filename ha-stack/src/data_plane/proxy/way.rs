//! One direction of a connection.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::data_plane::proxy::pipes::{Pipe, Pipes};

/// Bytes on their way from one socket to the other. Nothing is read before what was read is written, so a slow reader slows
/// the writer.
#[derive(Default)]
pub(super) struct Way {
    /// Read and not written yet.
    waiting: Vec<u8>,
    written: usize,
    /// Instead of the buffer, where it pays.
    pipe: Option<Pipe>,
    /// How often in a row there was as much to read as the buffer holds, and how often much less through the pipe.
    much: u8,
    little: u8,
    copy_only: bool,
    writes: u8,
    /// Nothing more is to be read.
    ended: bool,
    /// The reader has gone; what there is nobody wants.
    pub(super) refused: bool,
    /// The end was passed on.
    pub(super) closed: bool,
}

/// What is known of a socket without asking: the kernel tells each change once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other end has said that it sends no more.
    pub(super) hung_up: bool,
}

/// What all connections of a thread use in turn.
pub(super) struct Desk {
    pub(super) buffer: Vec<u8>,
    pub(super) pipes: Pipes,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The sockets have no more for now.
    All,
    /// There may be more, but others wait too.
    Enough,
}

impl Way {
    /// Begins with these bytes.
    pub(super) fn say(&mut self, bytes: Vec<u8>) {
        self.waiting = bytes;
    }

    /// Whether everything has been passed on, save the end itself.
    pub(super) fn is_over(&self) -> bool {
        self.refused || (self.ended && self.is_empty())
    }

    /// How often something was written; it is not counted far.
    pub(super) fn writes(&self) -> u8 {
        self.writes
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.pipe.as_ref().is_none_or(|pipe| pipe.held() == 0)
    }

    /// Passes on what there is, as long as both sides go along.
    ///
    /// # Errors
    /// What `from` says when it is read. A `to` that takes nothing any more is no error: the other direction may go on.
    pub(super) fn pass(
        &mut self,
        (from, from_is): (&OwnedFd, &mut Ready),
        (to, to_is): (&OwnedFd, &mut Ready),
        desk: &mut Desk,
        counts: [&AtomicU64; 2],
    ) -> Result<Passed, Errno> {
        let mut budget = BUDGET;
        loop {
            if self.refused {
                return Ok(Passed::All);
            }
            if !self.is_empty() {
                if !to_is.writable {
                    return Ok(Passed::All);
                }
                self.write(to, to_is);
                continue;
            }
            if self.ended || !from_is.readable {
                return Ok(Passed::All);
            }
            if budget == 0 {
                return Ok(Passed::Enough);
            }
            let read = match self.read(from, from_is, (to, to_is), desk) {
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    from_is.readable = false;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for count in counts {
                count.fetch_add(read as u64, Ordering::Relaxed);
            }
            budget = budget.saturating_sub(read);
        }
    }

    /// Reads, and writes what was read if that goes at once.
    fn read(
        &mut self,
        from: &OwnedFd,
        from_is: &mut Ready,
        (to, to_is): (&OwnedFd, &mut Ready),
        desk: &mut Desk,
    ) -> Result<usize, Errno> {
        if self.little >= LITTLE {
            self.rest(desk);
            self.little = 0;
        }
        if self.pipe.is_none() && self.much >= MUCH && !self.copy_only {
            self.pipe = desk.pipes.take();
            self.much = 0;
        }
        if let Some(pipe) = &mut self.pipe {
            let read = match pipe.fill(from) {
                // These sockets do not go along with it.
                Err(Errno::INVAL) => {
                    self.copy_only = true;
                    self.rest(desk);
                    return Ok(0);
                }
                other => other?,
            };
            self.little = if read < SHORT {
                self.little.saturating_add(1)
            } else {
                0
            };
            self.ended = read == 0;
            if self.ended {
                self.rest(desk);
            }
            return Ok(read);
        }
        let (read, _) = recv(from, &mut desk.buffer[..], RecvFlags::empty())?;
        let Some(bytes) = desk.buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            self.ended = true;
            return Ok(0);
        };
        if read < desk.buffer.len() {
            // That was all. If the end was announced it comes now.
            from_is.readable = false;
            self.ended = from_is.hung_up;
            self.much = 0;
        } else {
            self.much = self.much.saturating_add(1);
        }
        let mut sent = 0;
        if to_is.writable {
            // The end follows in the same packet.
            let more = if self.ended {
                SendFlags::MORE
            } else {
                SendFlags::empty()
            };
            sent = self.sent(send(to, bytes, SendFlags::NOSIGNAL | more), read, to_is);
        }
        if let Some(left) = bytes.get(sent..).filter(|left| !left.is_empty() && !self.refused) {
            self.waiting.extend_from_slice(left);
        }
        Ok(read)
    }

    /// Writes what waits.
    fn write(&mut self, to: &OwnedFd, to_is: &mut Ready) {
        if let Some(bytes) = self.waiting.get(self.written..).filter(|bytes| !bytes.is_empty()) {
            let length = bytes.len();
            let outcome = send(to, bytes, SendFlags::NOSIGNAL);
            self.written += self.sent(outcome, length, to_is);
            if self.written >= self.waiting.len() {
                // Most connections never need it again.
                (self.waiting, self.written) = (Vec::new(), 0);
            }
        } else if let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held() > 0) {
            // A pipe in pieces is taken piece by piece; that is no sign of a full socket.
            let length = 1;
            let outcome = pipe.drain(to);
            self.sent(outcome, length, to_is);
        }
    }

    /// How much of `length` was taken.
    fn sent(&mut self, outcome: Result<usize, Errno>, length: usize, to_is: &mut Ready) -> usize {
        match outcome {
            Ok(sent) => {
                self.writes = self.writes.saturating_add(1);
                to_is.writable = sent >= length;
                sent
            }
            Err(Errno::INTR) => 0,
            Err(Errno::AGAIN) => {
                to_is.writable = false;
                0
            }
            Err(_) => {
                self.refused = true;
                0
            }
        }
    }

    /// Gives the pipe back, if nothing is in it: it is not needed just now.
    pub(super) fn rest(&mut self, desk: &mut Desk) {
        if pipe_is_empty(self.pipe.as_ref())
            && let Some(pipe) = self.pipe.take()
        {
            desk.pipes.give_back(pipe);
        }
    }

    /// Gives the pipe back, whatever is in it.
    pub(super) fn end(&mut self, desk: &mut Desk) {
        if let Some(pipe) = self.pipe.take() {
            desk.pipes.give_back(pipe);
        }
    }
}

fn pipe_is_empty(pipe: Option<&Pipe>) -> bool {
    pipe.is_none_or(|pipe| pipe.held() == 0)
}

/// A turn, in bytes: then it is another connection's.
const BUDGET: usize = 1 << 20;

/// So many full buffers in a row are worth a pipe.
const MUCH: u8 = 2;

/// So many short reads in a row are not, and this is short, in bytes.
const LITTLE: u8 = 8;
const SHORT: usize = 8 << 10;

/// The buffer of a thread, in bytes.
pub(super) const BUFFER: usize = 64 << 10;
