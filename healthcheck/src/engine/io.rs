//! The hands of the engine: attempts in, samples out. One epoll, one thread.

use core::mem::{self, MaybeUninit};
use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{Timespec, epoll};

#[cfg(any(feature = "dns", feature = "udp"))]
use super::datagram::Datagram;
use super::executor::Executors;
#[cfg(feature = "file")]
use super::files::Files;
use super::net;
#[cfg(feature = "icmp")]
use super::ping::{Echo, Pings};
#[cfg(feature = "script")]
use super::script::Scripts;
use super::sockets::{Connect, Sockets, Work};
use super::stream::{Fate, Stream};
use crate::bell::Bell;
use crate::check::{Check, Close, Endpoint, Kind};
use crate::clock::Clock;
use crate::error::Error;
use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::{Cause, Outcome, Sample};
use crate::probe::Context;
use crate::scheduler::Ticket;
use crate::time::Time;

/// Everything that touches the operating system.
pub(super) struct Io {
    pub(super) clock: Clock,
    sockets: Sockets,
    places: Vec<Place>,
    buffer: Box<[u8; 16 << 10]>,
    /// Streams that had more to say than one turn should read.
    again: Vec<u32>,
    pub(super) done: Vec<(Ticket, Sample)>,
    pub(super) executors: Executors,
    #[cfg(feature = "icmp")]
    pings: Pings,
    #[cfg(feature = "script")]
    scripts: Scripts,
    #[cfg(feature = "file")]
    files: Files,
    /// The number of the last question to a name server.
    #[cfg(any(feature = "dns", feature = "udp"))]
    identifier: u16,
    pub(super) woken: bool,
    /// Jobs whose files changed.
    pub(super) changed: Vec<u32>,
}

impl Io {
    /// Hands for at most `most` descriptors.
    pub(super) fn new(
        clock: Clock,
        bell: &Bell,
        most: usize,
        seed: u64,
        executors: Executors,
    ) -> Result<Self, Error> {
        let system = |what| move |errno: rustix::io::Errno| Error::System(what, errno.into());
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("create an epoll instance"))?;
        let (data, flags) = (
            epoll::EventData::new_u64(WAKE),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        );
        epoll::add(&epoll, bell, data, flags).map_err(system("watch the wake-up"))?;
        let _ = seed;
        Ok(Self {
            clock,
            sockets: Sockets::new(epoll, most),
            places: Vec::new(),
            buffer: Box::new([0; 16 << 10]),
            again: Vec::new(),
            done: Vec::new(),
            executors,
            #[cfg(feature = "icmp")]
            pings: Pings::new(seed),
            #[cfg(feature = "script")]
            scripts: Scripts::new(bell.clone()),
            #[cfg(feature = "file")]
            files: Files::default(),
            #[cfg(any(feature = "dns", feature = "udp"))]
            identifier: u16::try_from(seed & 0xffff).unwrap_or(0),
            woken: false,
            changed: Vec::new(),
        })
    }

    /// How many descriptors it may use.
    pub(super) fn most(&self) -> u32 {
        u32::try_from(self.sockets.most()).unwrap_or(u32::MAX)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.sockets.epoll.as_fd()
    }

    /// Waits for input, at most so long, and deals with all there is. Samples are left in `done`.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<Time, Error> {
        let timeout = if self.again.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        let mut timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut now = None;
        for slot in mem::take(&mut self.again) {
            self.on_event(slot, epoll::EventFlags::IN);
        }
        // A flood must not keep us from the clock for ever; what is left is reported again at once.
        for _ in 0..64 {
            let mut room = [MaybeUninit::uninit(); EVENTS];
            let waited = epoll::wait(&self.sockets.epoll, &mut room, timeout.as_ref());
            now.get_or_insert_with(|| self.clock.now());
            let events = match waited {
                Ok((events, _)) => events,
                Err(rustix::io::Errno::INTR) => break,
                Err(errno) => return Err(Error::System("wait for input", errno.into())),
            };
            for event in &*events {
                let flags = event.flags;
                match event.data.u64() {
                    WAKE => self.woken = true,
                    #[cfg(feature = "file")]
                    FILES => self.changed.extend(self.files.changed()),
                    data if data >= PING => self.on_ping(data - PING),
                    data => self.on_event(u32::try_from(data).unwrap_or(u32::MAX), flags),
                }
            }
            if events.len() < EVENTS {
                break;
            }
            timeout = Some(Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            });
        }
        self.executors.collect(&mut self.done);
        #[cfg(feature = "script")]
        self.collect_scripts();
        Ok(now.unwrap_or_else(|| self.clock.now()))
    }

    /// Makes room for so many jobs: to be told before any of them is started.
    pub(super) fn make_room(&mut self, jobs: usize) {
        if self.places.len() < jobs {
            self.places.reserve_exact(jobs - self.places.len());
            self.places.resize_with(jobs, || Place::None);
        }
    }

    /// Begins an attempt. If it ends at once, its sample is in `done` already.
    pub(super) fn start(&mut self, ticket: Ticket, check: &Check, timeout: Duration, samples: u32) {
        let started = self.clock.now();
        let outcome = match &check.kind {
            Kind::Tcp(tcp) => self.start_tcp(ticket, &check.endpoint, tcp.close, started),
            #[cfg(feature = "icmp")]
            Kind::Ping(ping) => {
                let sent =
                    self.pings
                        .send(&self.sockets.epoll, PING, ticket, &check.endpoint, *ping, started);
                sent.map(|echo| self.place(ticket, Place::Ping(echo)))
            }
            Kind::Custom(probe) => {
                let future = probe.attempt(Context::new(check.endpoint.addr, timeout, samples));
                self.place(ticket, Place::Custom);
                self.executors.spawn(ticket, future);
                Ok(())
            }
            Kind::External(external) => {
                self.done.push((ticket, external.sample()));
                Ok(())
            }
            #[cfg(feature = "script")]
            Kind::Script(script) => {
                self.place(ticket, Place::Script);
                self.scripts.start(ticket, script, started)
            }
            #[cfg(feature = "file")]
            Kind::File(file) => {
                let (outcome, weight) = self.files.read(&self.sockets.epoll, FILES, ticket.job(), file);
                let latency = self.clock.now().since(started);
                self.done.push((
                    ticket,
                    Sample {
                        outcome,
                        latency,
                        weight,
                        notice: None,
                    },
                ));
                Ok(())
            }
            #[cfg(feature = "dns")]
            Kind::Dns(_) => self.start_datagram(ticket, check, started),
            #[cfg(feature = "udp")]
            Kind::Udp(_) => self.start_datagram(ticket, check, started),
            #[allow(
                unreachable_patterns,
                reason = "without further features there are no other kinds"
            )]
            _ => self.start_stream(ticket, check, started),
        };
        if let Err(outcome) = outcome {
            let latency = self.clock.now().since(started);
            self.done.push((ticket, Sample::of(outcome, latency)));
        }
    }

    /// Ends an attempt from our side; says how far it had got.
    pub(super) fn stop(&mut self, ticket: Ticket) -> Sample {
        let timeout = |stage| Outcome::Fail(Failure::new(stage, FailKind::TimedOut));
        let place = self
            .places
            .get_mut(index(ticket.job()))
            .map_or(Place::None, mem::take);
        let (outcome, started) = match place {
            Place::Slot(slot) => match self.sockets.take(slot) {
                Some(Work::Connect(connect)) => {
                    self.sockets.release(slot, connect.close != Close::Fin);
                    (timeout(Stage::Connect), Some(connect.started))
                }
                Some(Work::Stream(stream)) => {
                    self.sockets.release(slot, true);
                    (timeout(stream.stage()), Some(stream.started()))
                }
                #[cfg(any(feature = "dns", feature = "udp"))]
                Some(Work::Datagram(datagram)) => {
                    self.sockets.close(slot);
                    (datagram.silence(), Some(datagram.started))
                }
                #[cfg(feature = "script")]
                Some(Work::Script(running)) => {
                    self.sockets.close(slot);
                    let started = running.started;
                    let now = self.clock.now();
                    self.scripts.stop(*running, now);
                    (timeout(Stage::Run), Some(started))
                }
                Some(Work::Idle | Work::Parked(_)) | None => (timeout(Stage::Connect), None),
            },
            #[cfg(feature = "icmp")]
            Place::Ping(echo) => (timeout(Stage::Reply), self.pings.stop(echo, ticket)),
            #[cfg(feature = "script")]
            Place::Script => {
                // It has not even been started: the fault is not the script's.
                self.scripts.forget(ticket);
                (Outcome::Inconclusive(Cause::Overload), None)
            }
            Place::Custom => (self.executors.stop(ticket), None),
            Place::None => (Outcome::Inconclusive(Cause::Overload), None),
        };
        let latency = started.map_or(Duration::ZERO, |started| self.clock.now().since(started));
        Sample::of(outcome, latency)
    }

    fn start_tcp(
        &mut self,
        ticket: Ticket,
        endpoint: &Endpoint,
        close: Close,
        started: Time,
    ) -> Result<(), Outcome> {
        let withhold = close == Close::HalfOpen;
        let slot = self.sockets.connect(endpoint, withhold, close != Close::Fin)?;
        let own = net::own_port(endpoint);
        let connect = Connect {
            ticket,
            started,
            close,
            own,
        };
        self.sockets.put(slot, Work::Connect(connect));
        self.place(ticket, Place::Slot(slot));
        Ok(())
    }

    #[cfg(any(feature = "dns", feature = "udp"))]
    fn start_datagram(&mut self, ticket: Ticket, check: &Check, started: Time) -> Result<(), Outcome> {
        self.identifier = self.identifier.wrapping_mul(25_173).wrapping_add(13_849);
        let identifier = self.identifier;
        let ask = || Datagram::ask(ticket, &check.endpoint, &check.kind, started, identifier);
        let (fd, datagram) = self.sockets.with_room(ask)?;
        let number = self.sockets.watch(fd, Work::Datagram(Box::new(datagram)))?;
        self.place(ticket, Place::Slot(number));
        Ok(())
    }

    /// Takes over the scripts that were started meanwhile.
    #[cfg(feature = "script")]
    fn collect_scripts(&mut self) {
        let now = self.clock.now();
        for born in self.scripts.collect(now) {
            match born {
                Ok((running, fd)) => {
                    let ticket = running.ticket;
                    match self.sockets.watch(fd, Work::Script(Box::new(running))) {
                        Ok(number) => self.place(ticket, Place::Slot(number)),
                        Err(outcome) => self.finish(ticket, Sample::of(outcome, Duration::ZERO)),
                    }
                }
                Err((ticket, sample)) => self.finish(ticket, sample),
            }
        }
    }

    /// When something is due that only the hands know of.
    #[cfg_attr(
        not(feature = "script"),
        expect(clippy::unused_self, reason = "only scripts have such things")
    )]
    pub(super) fn chores(&mut self, now: Time) -> Option<Time> {
        #[cfg(feature = "script")]
        return self.scripts.bury(now);
        #[cfg(not(feature = "script"))]
        {
            let _ = now;
            None
        }
    }

    fn start_stream(&mut self, ticket: Ticket, check: &Check, started: Time) -> Result<(), Outcome> {
        if let Some((slot, mut stream)) = self.sockets.unpark(ticket.job()) {
            if stream.check() == check {
                stream.renew(ticket, started);
                self.place(ticket, Place::Slot(slot));
                self.advance(slot, stream, epoll::EventFlags::OUT);
                return Ok(());
            }
            self.sockets.release(slot, true);
        }
        let stream = Stream::new(ticket, check, started)?;
        let slot = self.sockets.connect(&check.endpoint, true, true)?;
        self.sockets.put(slot, Work::Stream(Box::new(stream)));
        self.place(ticket, Place::Slot(slot));
        Ok(())
    }

    fn on_event(&mut self, number: u32, flags: epoll::EventFlags) {
        let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
        let Some(slot) = self.sockets.get(number) else {
            return;
        };
        match mem::replace(&mut slot.work, Work::Idle) {
            // The echo of an attempt that is over.
            Work::Idle => {}
            Work::Parked(stream) => {
                // The server closed, or said something unasked.
                let quiet = !broken && !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP);
                if quiet {
                    slot.work = Work::Parked(stream);
                } else {
                    self.sockets.forget(stream.ticket().job());
                    self.sockets.release(number, true);
                }
            }
            Work::Connect(connect) => {
                let outcome = match broken.then(|| net::pending_error(&slot.fd)).flatten() {
                    Some(errno) => net::connecting(errno),
                    None if broken => Outcome::Fail(Failure::new(Stage::Connect, FailKind::Reset)),
                    None if !flags.contains(epoll::EventFlags::OUT) => {
                        slot.work = Work::Connect(connect);
                        return;
                    }
                    None if connect.own.is_some_and(|port| net::is_own(&slot.fd, port)) => {
                        Outcome::Fail(Failure::new(Stage::Connect, FailKind::Refused))
                    }
                    None => Outcome::Pass,
                };
                self.sockets.release(number, connect.close != Close::Fin);
                self.end(connect.ticket, connect.started, outcome);
            }
            Work::Stream(stream) => self.advance(number, stream, flags),
            #[cfg(any(feature = "dns", feature = "udp"))]
            Work::Datagram(datagram) => match datagram.hear(&slot.fd, &mut self.buffer[..]) {
                None => slot.work = Work::Datagram(datagram),
                Some(outcome) => {
                    self.sockets.close(number);
                    self.end(datagram.ticket, datagram.started, outcome);
                }
            },
            #[cfg(feature = "script")]
            Work::Script(mut running) => match running.ended() {
                None => slot.work = Work::Script(running),
                Some((outcome, weight)) => {
                    self.sockets.close(number);
                    let latency = self.clock.now().since(running.started);
                    self.finish(
                        running.ticket,
                        Sample {
                            outcome,
                            latency,
                            weight,
                            notice: None,
                        },
                    );
                }
            },
        }
    }

    /// Lets a stream do what it can.
    fn advance(&mut self, number: u32, mut stream: Box<Stream>, flags: epoll::EventFlags) {
        let Some(slot) = self.sockets.get(number) else {
            return;
        };
        let fate = stream.advance(&slot.fd, flags, &mut self.buffer[..]);
        let (ticket, started) = (stream.ticket(), stream.started());
        match fate {
            Fate::Wait => slot.work = Work::Stream(stream),
            Fate::More => {
                slot.work = Work::Stream(stream);
                self.again.push(number);
            }
            Fate::Reconnect => {
                let endpoint = stream.endpoint().clone();
                let _ = rustix::net::connect_unspec(&slot.fd);
                if let Err(outcome) = stream.reset() {
                    self.sockets.release(number, true);
                    self.end(ticket, started, outcome);
                    return;
                }
                slot.work = Work::Stream(stream);
                let begun = match rustix::net::connect(&slot.fd, &endpoint.addr) {
                    Ok(()) | Err(rustix::io::Errno::INPROGRESS) => return,
                    Err(errno) => net::connecting(errno),
                };
                self.sockets.release(number, true);
                self.end(ticket, started, begun);
            }
            Fate::Passed { passed, keep } => {
                if keep {
                    self.sockets.park(number, stream);
                } else {
                    self.sockets.release(number, true);
                }
                let latency = self.clock.now().since(started);
                self.finish(
                    ticket,
                    Sample {
                        outcome: Outcome::Pass,
                        latency,
                        weight: passed.weight,
                        notice: passed.notice,
                    },
                );
            }
            Fate::Failed(failure) => {
                self.sockets.release(number, true);
                self.end(ticket, started, Outcome::Fail(failure));
            }
            Fate::Local(outcome) => {
                self.sockets.release(number, true);
                self.end(ticket, started, outcome);
            }
        }
    }

    fn end(&mut self, ticket: Ticket, started: Time, outcome: Outcome) {
        let latency = self.clock.now().since(started);
        self.finish(ticket, Sample::of(outcome, latency));
    }

    fn finish(&mut self, ticket: Ticket, sample: Sample) {
        self.place(ticket, Place::None);
        self.done.push((ticket, sample));
    }

    #[cfg(feature = "icmp")]
    fn on_ping(&mut self, socket: u64) {
        let now = self.clock.now();
        let first = self.done.len();
        self.pings
            .receive(socket, now, &mut self.buffer[..], &mut self.done);
        for place in first..self.done.len() {
            if let Some(ticket) = self.done.get(place).map(|(ticket, _)| *ticket) {
                self.place(ticket, Place::None);
            }
        }
    }

    #[cfg(not(feature = "icmp"))]
    fn on_ping(&mut self, _: u64) {}

    fn place(&mut self, ticket: Ticket, place: Place) {
        if let Some(slot) = self.places.get_mut(index(ticket.job())) {
            *slot = place;
        }
    }
}

/// Where the running attempt of a job is.
#[derive(Debug, Default)]
pub(super) enum Place {
    #[default]
    None,
    Slot(u32),
    #[cfg(feature = "icmp")]
    Ping(Echo),
    #[cfg(feature = "script")]
    Script,
    Custom,
}

const EVENTS: usize = 1024;
const WAKE: u64 = u64::MAX;
/// Slots are numbered below this, sockets for echoes from here on.
const PING: u64 = 1 << 32;
#[cfg(feature = "file")]
const FILES: u64 = u64::MAX - 1;

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
