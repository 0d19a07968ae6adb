//! Gratuitous ARP and unsolicited neighbour advertisements, sent in batches and paced where that is asked for.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::frame;
use super::switches::forwards_ipv6;
use super::sys::{self, Frame};
use crate::Error;
use crate::host::Announcement;

/// Sends announcements.
#[derive(Debug)]
pub(crate) struct Announcer {
    socket: Socket,
    queues: HashMap<Key, Queue>,
    order: u64,
}

/// Announcements that wait for each other: of a family, on an interface or in a group.
#[derive(Debug, Default)]
struct Queue {
    /// By the round, and the order they came in.
    waiting: BTreeMap<(u8, u64), Announcement>,
    /// When the next one may leave.
    free: u64,
}

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Interface(u32, bool),
    Group(u32, bool),
}

impl Key {
    fn of(announcement: &Announcement) -> Self {
        let ipv6 = announcement.address.is_ipv6();
        match announcement.queue {
            None => Self::Interface(announcement.interface, ipv6),
            Some(group) => Self::Group(group, ipv6),
        }
    }
}

impl Announcer {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            // Protocol zero: a socket that sends and is never handed a packet.
            socket: Socket::new(Domain::PACKET, Type::RAW, None).map_err(Error::Socket)?,
            queues: HashMap::new(),
            order: 0,
        })
    }

    /// Sends the first announcement of each address at once, the others in their turn; all in their turn where they are
    /// paced.
    pub(crate) fn add(&mut self, announcements: &[Announcement]) {
        let now = sys::clock(sys::ELECTION_CLOCK);
        let mut at_once = Vec::with_capacity(announcements.len());
        for announcement in announcements {
            let queue = self.queues.entry(Key::of(announcement)).or_default();
            if announcement.pace == Duration::ZERO && announcement.round == 0 && queue.free <= now {
                at_once.push(*announcement);
                continue;
            }
            self.order += 1;
            queue
                .waiting
                .insert((announcement.round, self.order), *announcement);
        }
        self.send(&at_once);
    }

    /// Drops what waits for an address that is being given up.
    pub(crate) fn forget(&mut self, interface: u32, address: IpAddr) {
        for queue in self.queues.values_mut() {
            queue
                .waiting
                .retain(|_, waiting| waiting.interface != interface || waiting.address != address);
        }
    }

    /// How long until the next one is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let busy = self.queues.values().filter(|queue| !queue.waiting.is_empty());
        let due = busy.map(|queue| queue.free).min()?;
        let now = sys::clock(sys::ELECTION_CLOCK);
        Some(Duration::from_nanos(due.saturating_sub(now)))
    }

    /// Sends some of what is due; changes that are waiting come first.
    pub(crate) fn send_due(&mut self) {
        let now = sys::clock(sys::ELECTION_CLOCK);
        let mut due = Vec::new();
        let mut paced = Vec::new();
        for (key, queue) in &mut self.queues {
            while queue.free <= now
                && due.len() < sys::BATCH
                && let Some((_, announcement)) = queue.waiting.pop_first()
            {
                due.push(announcement);
                if announcement.pace > Duration::ZERO {
                    // One at a time, however late this thread is.
                    queue.free = u64::MAX;
                    paced.push((*key, announcement.pace));
                }
            }
        }
        self.send(&due);
        let sent = sys::clock(sys::ELECTION_CLOCK);
        for (key, pace) in paced {
            if let Some(queue) = self.queues.get_mut(&key) {
                let pace = u64::try_from(pace.as_nanos()).unwrap_or(u64::MAX);
                queue.free = sent.saturating_add(pace);
            }
        }
        self.queues
            .retain(|_, queue| !queue.waiting.is_empty() || queue.free > sent);
    }

    fn send(&self, announcements: &[Announcement]) {
        if announcements.is_empty() {
            return;
        }
        let mut routers = HashMap::new();
        let mut bytes = Vec::with_capacity(announcements.len() * frame::ANNOUNCEMENT_ROOM);
        let mut ranges = Vec::with_capacity(announcements.len());
        for announcement in announcements {
            let start = bytes.len();
            // A host that forwards nothing must not pose as a router towards its neighbours.
            let router = announcement.address.is_ipv6()
                && *routers
                    .entry(announcement.interface)
                    .or_insert_with(|| forwards_ipv6(announcement.interface));
            frame::announcement(&mut bytes, announcement, router);
            ranges.push(start..bytes.len());
        }
        let frames: Vec<_> = announcements
            .iter()
            .zip(&ranges)
            .map(|(announcement, range)| Frame {
                interface: announcement.interface,
                protocol: frame::announcement_protocol(announcement.address),
                bytes: bytes.get(range.clone()).unwrap_or(&[]),
            })
            .collect();
        sys::send_frames(self.socket.as_fd(), &frames, |place, error| {
            if let Some(announcement) = announcements.get(place) {
                tracing::warn!(
                    interface = announcement.interface,
                    address = %announcement.address,
                    %error,
                    "cannot announce the address"
                );
            }
        });
    }
}
