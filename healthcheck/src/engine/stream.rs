//! A conversation over a connection.

use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::net;
use crate::check::{Check, Endpoint};
use crate::conversation::{Conversation, Passed, Progress};
use crate::failure::{FailKind, Failure, Stage};
use crate::layer::Layer;
use crate::outcome::{Cause, Outcome};
use crate::scheduler::Ticket;
use crate::time::Time;

/// One attempt that talks.
pub(super) struct Stream {
    ticket: Ticket,
    started: Time,
    check: Check,
    talk: Box<dyn Conversation>,
    layer: Option<Box<dyn Layer>>,
    /// What was said, before or after the layer.
    plain: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    phase: Phase,
    /// The connection is one that an earlier attempt left behind, and nothing has come over it yet.
    inherited: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// The layer is not open yet.
    Agreeing,
    Talking,
}

/// What becomes of a stream after it did what it could.
pub(super) enum Fate {
    /// Nothing until there is input.
    Wait,
    /// There is more to read, but others want their turn.
    More,
    Reconnect,
    Passed {
        passed: Passed,
        keep: bool,
    },
    Failed(Failure),
    Local(Outcome),
}

impl Stream {
    /// Inconclusive if nothing is said in this kind of check, or it cannot be encrypted.
    pub(super) fn new(ticket: Ticket, check: &Check, started: Time) -> Result<Self, Outcome> {
        let talk = check
            .conversation()
            .ok_or(Outcome::Inconclusive(Cause::NotRunnable))?;
        let layer = check
            .layer()
            .map_err(|_| Outcome::Inconclusive(Cause::NotRunnable))?;
        Ok(Self {
            ticket,
            started,
            check: check.clone(),
            talk,
            layer,
            plain: Vec::new(),
            out: Vec::new(),
            sent: 0,
            phase: Phase::Connecting,
            inherited: false,
        })
    }

    /// Becomes the next attempt, over the connection of the one that passed.
    pub(super) fn renew(&mut self, ticket: Ticket, started: Time) {
        self.ticket = ticket;
        self.started = started;
        self.phase = Phase::Connecting;
        self.inherited = true;
    }

    pub(super) const fn ticket(&self) -> Ticket {
        self.ticket
    }

    pub(super) const fn started(&self) -> Time {
        self.started
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.check.endpoint
    }

    pub(super) const fn check(&self) -> &Check {
        &self.check
    }

    pub(super) fn stage(&self) -> Stage {
        match self.phase {
            Phase::Connecting => Stage::Connect,
            Phase::Agreeing => Stage::Handshake,
            Phase::Talking => self.talk.stage(),
        }
    }

    /// Forgets the connection, for another one.
    pub(super) fn reset(&mut self) -> Result<(), Outcome> {
        self.out.clear();
        self.plain.clear();
        self.sent = 0;
        self.phase = Phase::Connecting;
        self.inherited = false;
        self.layer = self
            .check
            .layer()
            .map_err(|_| Outcome::Inconclusive(Cause::NotRunnable))?;
        Ok(())
    }

    /// Goes on as far as the socket allows.
    pub(super) fn advance(&mut self, fd: &OwnedFd, flags: EventFlags, buffer: &mut [u8]) -> Fate {
        if self.phase == Phase::Connecting {
            if flags.intersects(EventFlags::ERR | EventFlags::HUP)
                && let Some(errno) = net::pending_error(fd)
            {
                return self.broken(errno);
            }
            if !flags.contains(EventFlags::OUT) {
                return Fate::Wait;
            }
            if !self.inherited && net::own_port(self.endpoint()).is_some_and(|port| net::is_own(fd, port)) {
                return Fate::Failed(Failure::new(Stage::Connect, FailKind::Refused));
            }
            self.phase = Phase::Agreeing;
            if let Some(fate) = self.agree() {
                let _ = self.flush(fd);
                return fate;
            }
        }
        if let Some(fate) = self.flush(fd) {
            return fate;
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            return self.read(fd, flags, buffer);
        }
        Fate::Wait
    }

    fn flush(&mut self, fd: &OwnedFd) -> Option<Fate> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match rustix::net::send(fd, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return None,
                Err(Errno::INTR) => {}
                // What the server said before it broke off explains more than the break: read that first.
                Err(Errno::PIPE | Errno::CONNRESET) if !self.inherited => return None,
                Err(errno) => return Some(self.broken(errno)),
            }
        }
        self.out.clear();
        self.sent = 0;
        None
    }

    fn read(&mut self, fd: &OwnedFd, flags: EventFlags, buffer: &mut [u8]) -> Fate {
        let ending = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        for _ in 0..READS {
            let length = match rustix::net::recv(fd, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => {
                    if self.inherited {
                        return Fate::Reconnect;
                    }
                    if self.phase == Phase::Agreeing {
                        return Fate::Failed(Failure::new(Stage::Handshake, FailKind::Closed));
                    }
                    let progress = self.talk.closed();
                    return self
                        .judge(progress)
                        .unwrap_or_else(|| Fate::Failed(Failure::new(self.talk.stage(), FailKind::Closed)));
                }
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Fate::Wait,
                Err(Errno::INTR) => continue,
                Err(errno) => return self.broken(errno),
            };
            self.inherited = false;
            let input = buffer.get(..length).unwrap_or_default();
            let fate = self.hear(input);
            let flushed = self.flush(fd);
            if let Some(fate) = fate.or(flushed) {
                return fate;
            }
            if length < buffer.len() && !ending {
                // The queue was emptied; whatever comes now is a new edge.
                return Fate::Wait;
            }
        }
        Fate::More
    }

    /// Opens the conversation as soon as the layer, if there is one, is open.
    fn agree(&mut self) -> Option<Fate> {
        if let Some(layer) = &mut self.layer {
            layer.drain(&mut self.out);
            if !layer.is_open() {
                return None;
            }
        }
        self.phase = Phase::Talking;
        let progress = match &mut self.layer {
            None => self.talk.open(&mut self.out),
            Some(_) => {
                let mut said = Vec::new();
                let progress = self.talk.open(&mut said);
                if let Some(failed) = self.say(&said) {
                    return Some(failed);
                }
                progress
            }
        };
        self.judge(progress)
    }

    /// Takes in what came over the connection.
    fn hear(&mut self, input: &[u8]) -> Option<Fate> {
        let Some(layer) = &mut self.layer else {
            let progress = self.talk.receive(input, &mut self.out);
            return self.judge(progress);
        };
        let mut plain = core::mem::take(&mut self.plain);
        plain.clear();
        let received = layer.receive(input, &mut plain);
        if let Err(failure) = received {
            // The alert that tells the server why goes out with what is flushed next.
            layer.drain(&mut self.out);
            return Some(Fate::Failed(failure));
        }
        if self.phase == Phase::Agreeing
            && let Some(fate) = self.agree()
        {
            return Some(fate);
        }
        let mut fate = None;
        if !plain.is_empty() && self.phase == Phase::Talking {
            let mut said = Vec::new();
            let progress = self.talk.receive(&plain, &mut said);
            fate = self.say(&said).or_else(|| self.judge(progress));
        }
        if let Some(layer) = &mut self.layer {
            layer.drain(&mut self.out);
        }
        self.plain = plain;
        fate
    }

    /// Sends something through the layer.
    fn say(&mut self, said: &[u8]) -> Option<Fate> {
        let layer = self.layer.as_mut()?;
        if !said.is_empty()
            && let Err(failure) = layer.say(said)
        {
            return Some(Fate::Failed(failure));
        }
        layer.drain(&mut self.out);
        None
    }

    /// What a step of the conversation means, unless it just goes on.
    fn judge(&self, progress: Progress) -> Option<Fate> {
        match progress {
            Progress::More => None,
            Progress::Reconnect => Some(Fate::Reconnect),
            Progress::Passed(mut passed) => {
                passed.notice = passed
                    .notice
                    .or_else(|| self.layer.as_ref().and_then(|layer| layer.notice()));
                let keep = self.talk.reusable() && self.out.is_empty();
                Some(Fate::Passed { passed, keep })
            }
            Progress::Failed(failure) => Some(Fate::Failed(failure)),
        }
    }

    fn broken(&self, errno: Errno) -> Fate {
        if self.phase == Phase::Connecting {
            return match net::connecting(errno) {
                Outcome::Fail(failure) => Fate::Failed(failure),
                local @ (Outcome::Pass | Outcome::Inconclusive(_)) => Fate::Local(local),
            };
        }
        if self.inherited {
            // The server may close a kept connection at any time; that says nothing about it.
            return Fate::Reconnect;
        }
        Fate::Failed(net::failed(self.stage(), errno))
    }
}

/// Reads in a row from one connection.
const READS: usize = 16;
