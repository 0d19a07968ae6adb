//! The host this program runs on, if that is Linux.

mod announce;
mod filter;
mod frame;
mod message;
mod receive;
mod route;
mod switches;
mod sys;
mod transmit;
mod watch;
mod worker;

#[cfg(feature = "tokio")]
pub(crate) use self::sys::register_with_tokio;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use vrrp_fsm::Instant;
use vrrp_proto::AddressFamily;

use self::receive::Receiver;
use self::transmit::Transmitter;
use self::watch::Watch;
use self::worker::{Job, Worker};
use crate::Error;
use crate::host::{Host, HostEvent, Listen, Received, Transmissions, Waker, Work};

/// The Linux host in whose network namespace it was opened. Some of its sockets are opened when they are first needed, so
/// whoever drives it has to be in the same one.
///
/// It needs `CAP_NET_RAW` for its sockets and `CAP_NET_ADMIN` for addresses. Opening it starts one thread, which
/// changes addresses and announces them; dropping it lets that thread finish what was submitted, and puts back the
/// switches (`sysctl`) that were set for virtual MAC addresses.
#[derive(Debug)]
pub struct LinuxHost {
    epoll: sys::Epoll,
    timer: sys::Timer,
    armed: Option<Instant>,
    woken: Arc<sys::Event>,
    worker: Worker,
    done: Arc<sys::Event>,
    watch: Watch,
    watch_ready: bool,
    receivers: Vec<Receiver>,
    /// When all receivers were last seen empty: nothing in them now can be older.
    empty_at: u64,
    buffers: sys::ReceiveBuffers,
    flow: Flow,
    transmitter: Transmitter,
}

impl LinuxHost {
    /// Opens the host in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Socket`] without `CAP_NET_RAW`; [`Error::Watch`], [`Error::Thread`], [`Error::Poll`] when the system
    /// is out of descriptors, memory or threads.
    pub fn open() -> Result<Self, Error> {
        let epoll = sys::Epoll::new().map_err(Error::Poll)?;
        let timer = sys::Timer::new().map_err(Error::Poll)?;
        let woken = Arc::new(sys::Event::new().map_err(Error::Poll)?);
        let done = Arc::new(sys::Event::new().map_err(Error::Poll)?);
        let watch = Watch::open()?;
        // The timer is edge triggered: setting it anew is enough, nobody needs to read it.
        epoll.add(timer.fd(), TIMER, true).map_err(Error::Poll)?;
        epoll.add(woken.fd(), WOKEN, false).map_err(Error::Poll)?;
        epoll.add(done.fd(), DONE, false).map_err(Error::Poll)?;
        epoll.add(watch.fd(), WATCH, false).map_err(Error::Poll)?;
        Ok(Self {
            worker: Worker::start(Arc::clone(&done))?,
            transmitter: Transmitter::open()?,
            epoll,
            timer,
            armed: None,
            woken,
            done,
            watch,
            watch_ready: true,
            receivers: Vec::new(),
            empty_at: 0,
            buffers: sys::ReceiveBuffers::new(),
            flow: Flow::default(),
        })
    }

    /// Takes note of what there is to do, after at most so many milliseconds (any number of them if negative).
    fn look(&mut self, milliseconds: i32) -> Result<(), Error> {
        let (woken, done, watch_ready) = (&self.woken, &self.done, &mut self.watch_ready);
        let (flow, receivers) = (&mut self.flow, &mut self.receivers);
        let more = self
            .epoll
            .wait(milliseconds, |token| match token {
                WOKEN => woken.clear(),
                DONE => done.clear(),
                WATCH => *watch_ready = true,
                TIMER => {}
                receiver => {
                    flow.received.now = true;
                    let found = receivers.iter_mut().find(|known| token_of(known) == receiver);
                    if let Some(found) = found {
                        found.ready = true;
                    }
                }
            })
            .map_err(Error::Poll)?;
        if more {
            for receiver in &mut self.receivers {
                receiver.ready = true;
            }
        }
        Ok(())
    }
}

/// What the set of descriptors says when something has arrived.
fn token_of(receiver: &Receiver) -> u64 {
    let family = u64::from(receiver.family == AddressFamily::Ipv6);
    RECEIVE + (u64::from(receiver.interface) << 1 | family)
}

/// How densely packets come and go. Where thousands of them pass in a second it is the waking up for each that costs; so
/// then a little is waited, and several are taken or sent at once.
///
/// Packets count from the time at which the kernel received them, so leaving them for a moment ([`LISTENING_REST`]) postpones
/// no decision of a timer, and no timer is waited past for them. Advertisements are sent up to [`REST`] late.
#[derive(Debug, Default)]
struct Flow {
    received: Beat,
    sent: Beat,
}

/// One direction.
#[derive(Debug, Default)]
struct Beat {
    /// Something passed since it was asked last.
    now: bool,
    /// When that was the time before.
    before: Option<Instant>,
    /// How often in a row it was soon after.
    dense: u8,
}

impl Flow {
    /// How long to leave everything where it is.
    fn rest(&mut self, now: Instant, armed: Option<Instant>) -> Option<Duration> {
        let receives = self.received.is_dense(now, LISTENING_REST);
        if self.sent.is_dense(now, REST) {
            return Some(REST);
        }
        let free = armed.is_none_or(|armed| armed.saturating_since(now) > LISTENING_REST * 2);
        (receives && free).then_some(LISTENING_REST)
    }
}

impl Beat {
    /// `rest` is what is waited while it is dense, and no reason to think that it is not.
    fn is_dense(&mut self, now: Instant, rest: Duration) -> bool {
        if !std::mem::take(&mut self.now) {
            return false;
        }
        let before = self.before.replace(now);
        let waited = if self.dense >= DENSE { rest } else { Duration::ZERO };
        let soon = before.is_some_and(|before| now.saturating_since(before) < SOON + waited);
        self.dense = if soon { self.dense.saturating_add(1) } else { 0 };
        self.dense >= DENSE
    }
}

impl Host for LinuxHost {
    fn now(&self) -> Instant {
        Instant::from_nanos(sys::clock(sys::ELECTION_CLOCK))
    }

    fn wall_clock(&self) -> Duration {
        Duration::from_nanos(sys::clock(libc::CLOCK_REALTIME))
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let now = self.now();
        let mut due = now;
        if let Some(rest) = self.flow.rest(now, until) {
            std::thread::sleep(rest);
            due = now.saturating_add(rest);
        }
        // Notifications that were left for later are a reason not to sleep. What there is to do besides is looked for when
        // packets are received, so nothing is set or asked here that is not needed.
        if self.watch_ready || until.is_some_and(|until| until <= due) {
            return Ok(());
        }
        self.arm(until)?;
        self.look(-1)
    }

    fn arm(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.armed == until {
            return Ok(());
        }
        // A timer that fires too early costs one idle round; setting it anew for every advertisement received would
        // cost a system call each. So a later deadline waits until the timer has fired.
        if let (Some(armed), Some(until)) = (self.armed, until)
            && armed < until
            && self.now() < armed
        {
            return Ok(());
        }
        self.armed = until;
        self.timer.set(until.map(Instant::as_nanos)).map_err(Error::Poll)
    }

    fn waker(&self) -> Waker {
        let woken = Arc::clone(&self.woken);
        Waker::new(move || woken.signal())
    }

    fn listen(&mut self, listen: &Listen) -> Result<(), Error> {
        let known = self
            .receivers
            .iter_mut()
            .position(|receiver| receiver.interface == listen.interface && receiver.family == listen.family);
        if listen.vrids.is_empty() {
            // Closing the socket takes it out of the set and out of its groups.
            if let Some(place) = known {
                self.receivers.remove(place);
            }
            return Ok(());
        }
        let place = match known {
            Some(place) => {
                if let Some(receiver) = self.receivers.get(place) {
                    receiver.filter(&listen.vrids)?;
                }
                place
            }
            None => {
                let receiver = Receiver::open(listen)?;
                self.epoll
                    .add(receiver.fd(), token_of(&receiver), false)
                    .map_err(Error::Poll)?;
                self.receivers.push(receiver);
                self.receivers.len() - 1
            }
        };
        if let Some(receiver) = self.receivers.get_mut(place)
            && let Some((socket, groups)) = receiver.take_new_groups(listen)?
        {
            self.worker.submit(Job::Join {
                socket,
                interface: listen.interface,
                groups,
            });
        }
        Ok(())
    }

    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> Result<(), Error> {
        let looked_at = sys::clock(sys::ELECTION_CLOCK);
        self.look(0)?;
        for receiver in &mut self.receivers {
            if std::mem::take(&mut receiver.ready) {
                receiver.receive(self.empty_at, &mut self.buffers, handle)?;
            }
        }
        self.empty_at = looked_at;
        Ok(())
    }

    fn send(&mut self, packets: &Transmissions, failed: &mut dyn FnMut(usize, Error)) {
        self.flow.sent.now = true;
        self.transmitter.send(packets, failed);
    }

    fn can_refuse_packets(&self) -> Result<(), Error> {
        filter::is_possible().map_err(Error::Filter)
    }

    fn submit(&mut self, work: Work) {
        self.worker.submit(Job::Work(work));
    }

    fn poll_event(&mut self) -> Option<HostEvent> {
        if let Some(event) = self.worker.poll_event() {
            if let HostEvent::Joined {
                interface,
                group,
                result: Err(_),
            } = event
            {
                let mut receivers = self.receivers.iter_mut();
                let of = AddressFamily::of(group);
                let tried = receivers.find(|known| known.interface == interface && known.family == of);
                if let Some(receiver) = tried {
                    receiver.forget_group(group);
                }
            }
            return Some(event);
        }
        if let Some(event) = self.watch.poll_event() {
            self.transmitter.note(&event);
            return Some(event);
        }
        while self.watch_ready {
            match self.watch.read(WATCH_BURST) {
                Ok(more) => self.watch_ready = more,
                Err(error) => {
                    tracing::error!(%error, "cannot read the kernel's notifications");
                    self.watch_ready = false;
                }
            }
            if let Some(event) = self.watch.poll_event() {
                self.transmitter.note(&event);
                return Some(event);
            }
        }
        None
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.epoll.fd())
    }
}

impl AsFd for LinuxHost {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.fd()
    }
}

/// Puts the calling thread into the real-time class `SCHED_FIFO` with this priority (1 to 99), so that no ordinary
/// process delays an election. Threads started afterwards inherit it: called before [`LinuxHost::open`], it is for the thread
/// that changes addresses and announces them too, and a takeover of many addresses on a busy host takes a fraction of the
/// time.
///
/// The library never does this on its own.
///
/// # Errors
/// [`Error::Privilege`] without `CAP_SYS_NICE`, or for a priority out of range.
pub fn set_realtime_priority(priority: u8) -> Result<(), Error> {
    sys::set_realtime(priority).map_err(Error::Privilege)
}

/// Keeps the whole process in memory, so that an election never waits for the disk: all that is there now, and whatever is
/// touched later. So it is called early, before threads that do not matter have their stacks.
///
/// The library never does this on its own.
///
/// # Errors
/// [`Error::Privilege`] without `CAP_IPC_LOCK` where `RLIMIT_MEMLOCK` is a limit: it would be met sooner or later, and a thread
/// or a buffer be refused. Then nothing is locked.
pub fn lock_memory() -> Result<(), Error> {
    sys::lock_memory().map_err(Error::Privilege)
}

const TIMER: u64 = 0;
const WOKEN: u64 = 1;
const DONE: u64 = 2;
const WATCH: u64 = 3;
/// The first of those of the receivers.
const RECEIVE: u64 = 4;

/// How long what is to be sent is left to gather: a twentieth of the shortest interval.
const REST: Duration = Duration::from_micros(500);
/// How long what comes in is left to gather.
const LISTENING_REST: Duration = Duration::from_millis(1);
/// After how many that came so soon after the one before.
const DENSE: u8 = 16;
const SOON: Duration = Duration::from_micros(600);

/// How many datagrams of notifications are read at once.
const WATCH_BURST: usize = 16;
