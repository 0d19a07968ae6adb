//! The watch over interfaces, addresses and our routes: rtnetlink's multicast groups, and a full reading whenever some of its
//! notifications were lost.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_batch::{Batch, Protocol, Socket, messages};
use socket2::SockFilter;

use super::message::{self, Notification};
use super::sys;
use crate::Error;
use crate::host::HostEvent;
use crate::route::PROTOCOL;

/// Notifications from the kernel about interfaces, addresses, and routes that have gone.
pub(crate) struct Watch {
    notifications: netlink_sys::Socket,
    buffer: Vec<u8>,
    requests: Socket,
    events: VecDeque<HostEvent>,
}

impl Watch {
    /// Starts the watch; the first event is the snapshot.
    pub(crate) fn open() -> Result<Self, Error> {
        let mut notifications =
            netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).map_err(Error::Watch)?;
        // Without it everything comes, and what does not concern us is dropped after it has been read.
        if let Err(error) = socket2::SockRef::from(&borrow(&notifications)).attach_filter(&filter()) {
            tracing::debug!(%error, "notifications are not filtered");
        }
        // The low bits of the address select the groups.
        notifications
            .bind(&netlink_sys::SocketAddr::new(0, GROUPS))
            .map_err(Error::Watch)?;
        notifications.set_non_blocking(true).map_err(Error::Watch)?;
        // Room for some thousands of notifications: a mass takeover is a burst of them. Not granted in a user
        // namespace; then overruns are merely likelier, and answered by a new snapshot.
        let _ = sys::set_option(
            borrow(&notifications),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            RECEIVE_BUFFER,
        );
        let mut watch = Self {
            notifications,
            buffer: Vec::with_capacity(BUFFER),
            requests: Socket::open(Protocol::ROUTE)?,
            events: VecDeque::new(),
        };
        watch.snapshot()?;
        Ok(watch)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        borrow(&self.notifications)
    }

    pub(crate) fn poll_event(&mut self) -> Option<HostEvent> {
        self.events.pop_front()
    }

    /// Reads at most `limit` datagrams; says whether more may be queued.
    pub(crate) fn read(&mut self, limit: usize) -> Result<bool, Error> {
        for _ in 0..limit {
            self.buffer.clear();
            match self.notifications.recv(&mut self.buffer, 0) {
                Ok(_) => {
                    for message in messages(&self.buffer).flatten() {
                        let event = match message::parse(message.kind, message.body) {
                            Some(Notification::Link(link)) => HostEvent::Link(link),
                            Some(Notification::LinkGone(index)) => HostEvent::LinkGone(index),
                            Some(Notification::Address(address)) => HostEvent::Address(address),
                            Some(Notification::AddressGone(address)) => HostEvent::AddressGone(address),
                            Some(Notification::RouteGone(route)) => HostEvent::RouteGone(route),
                            Some(Notification::RuleGone(rule)) => HostEvent::RuleGone(rule),
                            None => continue,
                        };
                        self.events.push_back(event);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.snapshot()?;
                }
                Err(error) => return Err(Error::Watch(error)),
            }
        }
        Ok(true)
    }

    /// Reads everything anew. Notifications still queued come after it and are at least as new.
    fn snapshot(&mut self) -> Result<(), Error> {
        let mut batch = Batch::new();
        message::dump_all(&mut batch);
        let mut links = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..SNAPSHOT_TRIES {
            links.clear();
            addresses.clear();
            let report = self.requests.run(&mut batch, |_, message| {
                match message::parse(message.kind, message.body) {
                    Some(Notification::Link(link)) => links.push(link),
                    Some(Notification::Address(address)) => addresses.push(address),
                    _ => {}
                }
            })?;
            if report.is_clean() {
                break;
            }
        }
        self.events.push_back(HostEvent::Snapshot { links, addresses });
        Ok(())
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("fd", &self.notifications.as_raw_fd())
            .field("events", &self.events.len())
            .finish()
    }
}

/// Lets pass what is not about routes and rules, routes of ours that go, and rules that go: a routing daemon may change
/// thousands of routes, and the thread that elects reads this.
fn filter() -> Vec<SockFilter> {
    // Netlink is in the host's byte order, and the filter loads in the network's.
    let kind = |kind: u16| u32::from(kind.to_be());
    vec![
        SockFilter::new(LOAD_HALF, 0, 0, KIND_OFFSET),
        SockFilter::new(JUMP_IF_EQUAL, 4, 0, kind(message::RTM_NEWROUTE)),
        SockFilter::new(JUMP_IF_EQUAL, 3, 0, kind(message::RTM_NEWRULE)),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, kind(message::RTM_DELROUTE)),
        SockFilter::new(LOAD_BYTE, 0, 0, PROTOCOL_OFFSET),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, u32::from(PROTOCOL)),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

fn borrow(socket: &netlink_sys::Socket) -> BorrowedFd<'_> {
    sys::borrow(socket)
}

/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`, and routes and rules of both families.
const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 0x40 | 0x400 | 0x80 | 0x4_0000;
/// Where a message says its kind, and where behind its header a route says its author.
const KIND_OFFSET: u32 = 4;
const PROTOCOL_OFFSET: u32 = 16 + 5;
/// `BPF_LD | BPF_H | BPF_ABS`: A becomes the two bytes at k.
const LOAD_HALF: u16 = 0x28;
/// `BPF_LD | BPF_B | BPF_ABS`: A becomes the byte at k.
const LOAD_BYTE: u16 = 0x30;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
const RECEIVE_BUFFER: i32 = 4 * 1024 * 1024;
const BUFFER: usize = 64 * 1024;
/// A table that changes while it is read is read again; one that never rests is taken as it is, for the
/// notifications behind it say the rest.
const SNAPSHOT_TRIES: usize = 4;
