use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::thread;
use std::time::Duration;

use crate::batch::Batch;
use crate::error::Error;
use crate::limits::Limits;
use crate::message::Message;
use crate::report::Report;
use crate::run::{Run, Sequence};
use crate::sys;

/// Which part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(u8);

/// A netlink socket that talks to the kernel and to nobody else.
///
/// The descriptor never blocks; [`run`](Self::run) waits on it. Its buffers are made large (4 MiB) where the caller has
/// CAP_NET_ADMIN, the windows follow whatever they are.
#[derive(Debug)]
pub struct Socket {
    socket: Inner,
    limits: Limits,
    sequence: Sequence,
    buffer: Vec<u8>,
    grace: Duration,
    counters: Counters,
}

/// How many system calls a socket has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams sent.
    pub sends: u64,
    /// Datagrams received, and attempts that found nothing or an overrun.
    pub receives: u64,
}

struct Inner(netlink_sys::Socket);

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        Self::set_up(protocol).map_err(Error::Open)
    }

    /// Opens a socket in another network namespace, given by an open descriptor of `/proc/PID/ns/net` or
    /// `/run/netns/NAME`. A helper thread enters it; the calling thread stays where it is.
    ///
    /// # Errors
    /// [`Error::Namespace`] without CAP_SYS_ADMIN over the namespace or when the descriptor is none; [`Error::Open`].
    pub fn open_in(protocol: Protocol, namespace: BorrowedFd<'_>) -> Result<Self, Error> {
        let opened = thread::scope(|scope| {
            let helper = thread::Builder::new().spawn_scoped(scope, || {
                sys::enter_namespace(namespace).map_err(Error::Namespace)?;
                Self::open(protocol)
            });
            helper.map(|helper| helper.join())
        });
        match opened {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Namespace(io::Error::other("the helper thread panicked"))),
            Err(error) => Err(Error::Namespace(error)),
        }
    }

    /// Carries out a batch, blocking until everything is answered. `reply` receives each message that answers a get
    /// or a dump, with its item's index.
    ///
    /// # Errors
    /// [`Error::Send`], [`Error::Receive`], [`Error::NoAnswer`]. What the kernel refuses is no error here but stands in the
    /// [`Report`].
    pub fn run(
        &mut self,
        batch: &mut Batch,
        mut reply: impl FnMut(usize, &Message<'_>),
    ) -> Result<Report, Error> {
        let mut run = Run::new(batch, self.limits, &mut self.sequence);
        while !run.is_finished() {
            while let Some(bytes) = run.poll_transmit() {
                send(&self.socket, &mut self.counters, bytes).map_err(Error::Send)?;
            }
            match receive(&self.socket, &mut self.counters, &mut self.buffer) {
                Ok(Some(datagram)) => run.handle_datagram(datagram, &mut reply),
                Ok(None) => run.handle_loss(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if run.is_draining() || !wait(&self.socket, self.grace).map_err(Error::Receive)? {
                        run.handle_silence();
                    }
                }
                Err(error) => return Err(Error::Receive(error)),
            }
        }
        if run.is_stuck() {
            return Err(Error::NoAnswer);
        }
        Ok(run.finish())
    }

    /// The parts that an asynchronous front needs to drive a [`Run`] itself: the limits and the sequence numbers for
    /// [`Run::new`].
    pub fn split(&mut self) -> (Limits, &mut Sequence) {
        (self.limits, &mut self.sequence)
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// What the system call returns. The kernel carries requests out at once, so this does not block.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        send(&self.socket, &mut Counters::default(), bytes)
    }

    /// Receives one datagram into `buffer`, which it clears first and gives room when it has none. `None` says that
    /// answers were lost.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is queued, and what else the system call returns.
    pub fn try_receive<'b>(&self, buffer: &'b mut Vec<u8>) -> io::Result<Option<&'b [u8]>> {
        receive(&self.socket, &mut Counters::default(), buffer)
    }

    /// The number of this socket, which no other of its protocol has in its network namespace.
    ///
    /// # Errors
    /// What the system call returns.
    pub fn port(&self) -> io::Result<u32> {
        let mut address = netlink_sys::SocketAddr::new(0, 0);
        self.socket.0.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// How much is sent at once.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Sends less at once, or more; see [`Limits`].
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How long an answer may stay out (5 s at first) before the run counts as lost.
    pub fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// The system calls made by [`run`](Self::run) so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn set_up(protocol: Protocol) -> io::Result<Self> {
        let mut socket = netlink_sys::Socket::new(isize::from(protocol.0))?;
        socket.bind_auto()?;
        // A connected socket hears the kernel only; other processes cannot answer in its place.
        socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // Both are conveniences: shorter errors, errors in words. A kernel that lacks them answers all the same.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        let descriptor = socket.as_raw_fd();
        // Without the capability the default sizes stay, and the windows are smaller.
        let _ = sys::force_buffers(descriptor, BUFFER_BYTES);
        let (send, receive) = sys::buffers(descriptor)?;
        Ok(Self {
            socket: Inner(socket),
            limits: Limits::for_buffers(send, receive),
            sequence: Sequence::new(),
            buffer: Vec::with_capacity(RECEIVE_BYTES),
            grace: Duration::from_secs(5),
            counters: Counters::default(),
        })
    }
}

impl Protocol {
    /// NETLINK_ROUTE: addresses, links, routes, rules, neighbours.
    pub const ROUTE: Self = Self(0);
    /// NETLINK_GENERIC: the families that are found by name.
    pub const GENERIC: Self = Self(16);

    /// Another one, by its number in `linux/netlink.h`.
    #[must_use]
    pub const fn other(number: u8) -> Self {
        Self(number)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        sys::borrow(&self.socket.0)
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.0.as_raw_fd()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Inner").field(&self.0.as_raw_fd()).finish()
    }
}

fn send(socket: &Inner, counters: &mut Counters, bytes: &[u8]) -> io::Result<()> {
    loop {
        counters.sends += 1;
        match socket.0.send(bytes, 0) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn receive<'b>(
    socket: &Inner,
    counters: &mut Counters,
    buffer: &'b mut Vec<u8>,
) -> io::Result<Option<&'b [u8]>> {
    loop {
        buffer.clear();
        // The kernel sizes the datagrams of a dump by the largest buffer it has seen.
        buffer.reserve(RECEIVE_BYTES);
        counters.receives += 1;
        match socket.0.recv(buffer, libc::MSG_TRUNC) {
            Ok(length) if length > buffer.len() => return Ok(None),
            Ok(_) => return Ok(Some(buffer)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn wait(socket: &Inner, grace: Duration) -> io::Result<bool> {
    let milliseconds = i32::try_from(grace.as_millis()).unwrap_or(i32::MAX);
    match sys::wait_readable(socket.0.as_raw_fd(), milliseconds) {
        // Waiting anew after a signal may wait longer in all; it never gives up early.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        result => result,
    }
}

const RECEIVE_BYTES: usize = 64 * 1024;
const BUFFER_BYTES: libc::c_int = 2 * 1024 * 1024;
