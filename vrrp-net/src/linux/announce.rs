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
    /// Those that wait for their turn, by the time it comes, the round and the order they came in.
    waiting: BTreeMap<(u64, u8, u64), Announcement>,
    /// When the next one may leave, by interface.
    next_free: HashMap<u32, u64>,
    order: u64,
}

impl Announcer {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            // Protocol zero: a socket that sends and is never handed a packet.
            socket: Socket::new(Domain::PACKET, Type::RAW, None).map_err(Error::Socket)?,
            waiting: BTreeMap::new(),
            next_free: HashMap::new(),
            order: 0,
        })
    }

    /// Sends the first announcement of each address at once, the others in their turn; all in their turn where they are
    /// paced.
    pub(crate) fn add(&mut self, announcements: &[Announcement]) {
        let now = sys::clock(sys::ELECTION_CLOCK);
        let mut at_once = Vec::with_capacity(announcements.len());
        for announcement in announcements {
            let pace = u64::try_from(announcement.pace.as_nanos()).unwrap_or(u64::MAX);
            let free = self.next_free.entry(announcement.interface).or_insert(0);
            if pace == 0 && announcement.round == 0 && *free <= now {
                at_once.push(*announcement);
                continue;
            }
            let due = now.max(*free);
            *free = due.saturating_add(pace);
            self.order += 1;
            let key = (due, announcement.round, self.order);
            self.waiting.insert(key, *announcement);
        }
        self.send(&at_once);
    }

    /// Drops what waits for an address that is being given up.
    pub(crate) fn forget(&mut self, interface: u32, address: IpAddr) {
        self.waiting
            .retain(|_, waiting| waiting.interface != interface || waiting.address != address);
    }

    /// How long until the next one is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let ((due, ..), _) = self.waiting.first_key_value()?;
        let now = sys::clock(sys::ELECTION_CLOCK);
        Some(Duration::from_nanos(due.saturating_sub(now)))
    }

    /// Sends some of what is due; changes that are waiting come first.
    pub(crate) fn send_due(&mut self) {
        let now = sys::clock(sys::ELECTION_CLOCK);
        let mut due = Vec::new();
        while due.len() < sys::BATCH
            && let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        self.send(&due);
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
