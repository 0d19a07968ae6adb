//! The descriptors that are watched, and those kept for another use.

use core::mem;
use core::num::NonZeroU16;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll;
use rustix::net::SocketType;

#[cfg(any(feature = "dns", feature = "udp"))]
use super::datagram::Datagram;
use super::net;
#[cfg(feature = "script")]
use super::script::Running;
use super::stream::Stream;
use crate::check::{Close, Endpoint, NetOptions};
use crate::outcome::{Cause, Outcome};
use crate::scheduler::Ticket;
use crate::time::Time;

/// Numbered slots with a descriptor each. A number is the data of its events.
pub(super) struct Sockets {
    pub(super) epoll: OwnedFd,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Sockets without a connection, for whom they fit.
    pools: HashMap<PoolKey, Vec<u32>>,
    /// Connections kept for the next attempt of a job.
    parked: HashMap<u32, u32>,
    /// How many there are in `pools` and `parked`.
    idle: usize,
    most: usize,
}

pub(super) struct Slot {
    pub(super) fd: OwnedFd,
    pool: Option<PoolKey>,
    pub(super) work: Work,
}

/// What a descriptor is for.
pub(super) enum Work {
    Idle,
    Connect(Connect),
    Stream(Box<Stream>),
    /// Between two attempts over one connection.
    Parked(Box<Stream>),
    #[cfg(any(feature = "dns", feature = "udp"))]
    Datagram(Box<Datagram>),
    #[cfg(feature = "script")]
    Script(Box<Running>),
}

/// A connection that is all that is wanted.
pub(super) struct Connect {
    pub(super) ticket: Ticket,
    pub(super) started: Time,
    pub(super) close: Close,
    pub(super) own: Option<NonZeroU16>,
}

/// Sockets of one pool can stand in for each other.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    v6: bool,
    withhold: bool,
    net: Option<Arc<NetOptions>>,
}

impl Sockets {
    /// None yet, and at most `most` ever.
    pub(super) fn new(epoll: OwnedFd, most: usize) -> Self {
        Self {
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            pools: HashMap::new(),
            parked: HashMap::new(),
            idle: 0,
            most,
        }
    }

    pub(super) const fn most(&self) -> usize {
        self.most
    }

    pub(super) fn get(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index(number)).and_then(Option::as_mut)
    }

    /// What a slot was for; it is for nothing from now on.
    pub(super) fn take(&mut self, number: u32) -> Option<Work> {
        self.get(number)
            .map(|slot| mem::replace(&mut slot.work, Work::Idle))
    }

    pub(super) fn put(&mut self, number: u32, work: Work) {
        if let Some(slot) = self.get(number) {
            slot.work = work;
        }
    }

    /// Makes a descriptor, at the cost of idle ones where there is no room for it.
    pub(super) fn with_room<T>(
        &mut self,
        mut make: impl FnMut() -> Result<T, Outcome>,
    ) -> Result<T, Outcome> {
        while self.slots.len() - self.free.len() >= self.most && self.evict() {}
        let made = make();
        if matches!(made, Err(Outcome::Inconclusive(Cause::Resources))) && self.evict() {
            return make();
        }
        made
    }

    /// Has a descriptor watched for input until it is closed.
    #[cfg(any(feature = "dns", feature = "udp", feature = "script"))]
    pub(super) fn watch(&mut self, fd: OwnedFd, work: Work) -> Result<u32, Outcome> {
        let number = self.insert(fd, None, work);
        let added = self.add(number, epoll::EventFlags::IN);
        if added.is_err() {
            self.close(number);
        }
        added.map(|()| number)
    }

    /// Begins a connection, on a socket out of the pool or, if there is none or the socket may not go there later, a new one.
    /// With `withhold` the last acknowledgement of the handshake waits for data.
    pub(super) fn connect(
        &mut self,
        endpoint: &Endpoint,
        withhold: bool,
        pooled: bool,
    ) -> Result<u32, Outcome> {
        let key = PoolKey {
            v6: endpoint.is_v6(),
            withhold,
            net: endpoint.net.clone(),
        };
        let (number, fresh) = self.socket(endpoint, key, pooled)?;
        let Some(slot) = self.get(number) else {
            return Err(Outcome::Inconclusive(Cause::Resources));
        };
        let mut begun = match rustix::net::connect(&slot.fd, &endpoint.addr) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(()),
            Err(errno) => Err(net::connecting(errno)),
        };
        if fresh && begun.is_ok() {
            // Watched once for all its attempts. Edge-triggered, so that an idle socket is silent.
            let flags = epoll::EventFlags::IN
                | epoll::EventFlags::OUT
                | epoll::EventFlags::RDHUP
                | epoll::EventFlags::ET;
            begun = self.add(number, flags);
        }
        if begun.is_err() {
            // A socket that is not watched must not get into the pool.
            self.release(number, !fresh);
        }
        begun.map(|()| number)
    }

    /// A socket and whether it is new.
    fn socket(&mut self, endpoint: &Endpoint, key: PoolKey, pooled: bool) -> Result<(u32, bool), Outcome> {
        if pooled && let Some(number) = self.pools.get_mut(&key).and_then(Vec::pop) {
            self.idle = self.idle.saturating_sub(1);
            return Ok((number, false));
        }
        let fd = self.with_room(|| net::socket(endpoint, SocketType::STREAM, None))?;
        if key.withhold {
            // The server's program is not woken for nothing. Where this is refused the check still works, only less quietly.
            let _ = crate::sys::set_int(&fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1);
        }
        let number = self.insert(fd, pooled.then_some(key), Work::Idle);
        Ok((number, true))
    }

    fn insert(&mut self, fd: OwnedFd, pool: Option<PoolKey>, work: Work) -> u32 {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.slots.get_mut(index(number)) {
            *slot = Some(Slot { fd, pool, work });
        }
        number
    }

    fn add(&self, number: u32, flags: epoll::EventFlags) -> Result<(), Outcome> {
        let Some(slot) = self.slots.get(index(number)).and_then(Option::as_ref) else {
            return Err(Outcome::Inconclusive(Cause::Resources));
        };
        let data = epoll::EventData::new_u64(u64::from(number));
        epoll::add(&self.epoll, &slot.fd, data, flags).map_err(net::local)
    }

    /// Keeps a connection for the next attempt of its job, if there is room for idle ones.
    pub(super) fn park(&mut self, number: u32, stream: Box<Stream>) {
        if self.idle >= self.most / 2 {
            self.release(number, true);
            return;
        }
        self.idle += 1;
        self.parked.insert(stream.ticket().job(), number);
        self.put(number, Work::Parked(stream));
    }

    /// The connection kept for a job.
    pub(super) fn unpark(&mut self, job: u32) -> Option<(u32, Box<Stream>)> {
        let number = self.forget(job)?;
        let Work::Parked(stream) = self.take(number)? else {
            self.release(number, true);
            return None;
        };
        Some((number, stream))
    }

    /// A connection is no longer kept for a job.
    pub(super) fn forget(&mut self, job: u32) -> Option<u32> {
        let number = self.parked.remove(&job)?;
        self.idle = self.idle.saturating_sub(1);
        Some(number)
    }

    /// Takes a socket out of its attempt: into the pool if it may be used again, else away.
    pub(super) fn release(&mut self, number: u32, again: bool) {
        let room = self.idle < MOST_IDLE.min(self.most / 2);
        let Some(slot) = self.slots.get_mut(index(number)).and_then(Option::as_mut) else {
            return;
        };
        slot.work = Work::Idle;
        if again
            && let Some(pool) = &slot.pool
            // Dissolving the connection resets it; the socket keeps its options and its place in epoll.
            && rustix::net::connect_unspec(&slot.fd).is_ok()
            && room
        {
            match self.pools.get_mut(pool) {
                Some(idle) => idle.push(number),
                None => {
                    self.pools.insert(pool.clone(), vec![number]);
                }
            }
            self.idle += 1;
            return;
        }
        self.close(number);
    }

    pub(super) fn close(&mut self, number: u32) {
        if self.slots.get_mut(index(number)).and_then(Option::take).is_some() {
            self.free.push(number);
        }
    }

    /// Closes an idle socket to make room. False if there is none.
    fn evict(&mut self) -> bool {
        let pool = self.pools.iter().find(|(_, idle)| !idle.is_empty());
        let victim = match pool.map(|(key, _)| key.clone()) {
            Some(key) => {
                let idle = self.pools.get_mut(&key).and_then(Vec::pop);
                self.pools.retain(|_, idle| !idle.is_empty());
                idle
            }
            None => {
                let job = self.parked.keys().next().copied();
                job.and_then(|job| self.parked.remove(&job))
            }
        };
        let Some(victim) = victim else { return false };
        self.idle = self.idle.saturating_sub(1);
        self.close(victim);
        true
    }
}

/// Idle sockets that are kept.
const MOST_IDLE: usize = 256;

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
