//! The engine: the monitor and its hands, on one thread.

#[cfg(any(feature = "dns", feature = "udp"))]
mod datagram;
mod executor;
#[cfg(feature = "file")]
mod files;
mod io;
mod net;
#[cfg(feature = "icmp")]
mod ping;
#[cfg(feature = "script")]
mod script;
mod sockets;
mod stream;
#[cfg(feature = "tokio")]
mod tokio;

use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

pub use executor::Executor;
#[cfg(all(fuzzing, feature = "icmp"))]
pub(crate) use ping::understands_icmp;

use crate::check::LANE_CONNECTION;
use crate::error::Error;
use crate::outcome::{Cause, Outcome, Sample};
use crate::scheduler::Ticket;
use crate::shared::{Key, Shared};
use crate::time::Time;
use executor::Executors;
use io::Io;

/// Carries out the checks of a [`Checker`](crate::Checker). It belongs on a thread of its own ([`run`](Self::run)), or into
/// an event loop that waits for its descriptor ([`AsFd`]) and calls [`process`](Self::process).
pub struct Engine<K: Key> {
    io: Io,
    shared: Arc<Shared<K>>,
    /// How many connections at once the system has been seen to allow, and when it was last tried to have more.
    room: u32,
    tried: Time,
}

impl<K: Key> Engine<K> {
    /// An engine that uses at most `most` descriptors.
    pub(crate) fn new(
        shared: Arc<Shared<K>>,
        most: usize,
        seed: u64,
        executor: Option<Arc<dyn Executor>>,
    ) -> Result<Self, Error> {
        let executors = Executors::new(executor, shared.bell.clone());
        let io = Io::new(shared.clock, &shared.bell, most, seed, executors)?;
        let room = u32::try_from(most).unwrap_or(u32::MAX);
        Ok(Self {
            io,
            shared,
            room,
            tried: Time::ZERO,
        })
    }

    /// Runs until the last [`Checker`](crate::Checker) is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the kernel refuses to wait.
    pub fn run(mut self) -> Result<(), Error> {
        let mut timeout = Some(Duration::ZERO);
        while !self.shared.is_stopped() {
            timeout = self.turn(timeout)?;
        }
        Ok(())
    }

    /// Does what there is to do, without waiting. Returns how long nothing will be due; input on the descriptor ends that
    /// time early. `None`: nothing is due until there is input.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the kernel refuses to tell what has happened.
    pub fn process(&mut self) -> Result<Option<Duration>, Error> {
        self.turn(Some(Duration::ZERO))
    }

    /// Waits at most so long, then makes one turn.
    fn turn(&mut self, timeout: Option<Duration>) -> Result<Option<Duration>, Error> {
        let now = self.io.wait(timeout)?;
        if core::mem::take(&mut self.io.woken) {
            self.shared.bell.quiet();
        }
        let mut guard = self.shared.lock();
        let monitor = &mut guard.monitor;
        monitor.begin_turn(now);
        for (ticket, sample) in self.io.done.drain(..) {
            monitor.complete(now, ticket, sample);
        }
        for job in self.io.changed.drain(..) {
            monitor.hurry(job);
        }
        while let Some(ticket) = monitor.poll_cancelled() {
            self.io.stop(ticket);
        }
        while let Some(ticket) = monitor.poll_expired() {
            let sample = self.io.stop(ticket);
            monitor.expire(now, ticket, sample);
        }
        self.io.make_room(monitor.room());
        // Attempts that end at once may leave room for others; a few rounds are enough, the rest is for the next turn.
        let mut left = STARTS_IN_A_TURN;
        for _ in 0..4 {
            while left > 0
                && let Some(attempt) = monitor.poll_start()
            {
                left -= 1;
                self.io
                    .start(attempt.ticket, attempt.plan, attempt.timeout, attempt.samples);
            }
            if self.io.done.is_empty() {
                break;
            }
            let ended = self.io.clock.now();
            let lacking = |(_, sample): &(Ticket, Sample)| {
                matches!(sample.outcome, Outcome::Inconclusive(Cause::Resources))
            };
            if self.io.done.iter().any(lacking) {
                // Less at once from now on, so that those who found no room queue for it instead of failing again.
                self.room = monitor.scheduler().running(LANE_CONNECTION) / 2 + 8;
                self.tried = ended;
                monitor.limit_lane(LANE_CONNECTION, self.room);
            }
            for (ticket, sample) in self.io.done.drain(..) {
                monitor.complete(ended, ticket, sample);
            }
        }
        let most = self.io.most();
        if self.room < most && now.since(self.tried) > TRY_AGAIN {
            self.room = self.room.saturating_add(self.room / 8 + 1).min(most);
            self.tried = now;
            monitor.limit_lane(LANE_CONNECTION, self.room);
        }
        let next = monitor.poll_timeout();
        let now = self.io.clock.now();
        let next = [next, self.io.chores(now)].into_iter().flatten().min();
        self.shared.announce(guard);
        if left == 0 {
            return Ok(Some(Duration::ZERO));
        }
        Ok(next.map(|next| next.since(now)))
    }
}

impl<K: Key> AsFd for Engine<K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<K: Key> core::fmt::Debug for Engine<K> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// After so many starts the answers are looked at before there are more: near targets have answered by then, and a few sockets
/// that the caches still know serve them all.
const STARTS_IN_A_TURN: u32 = 64;
/// Between attempts to have more connections at once after the system ran out.
const TRY_AGAIN: Duration = Duration::from_secs(1);
