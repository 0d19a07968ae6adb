//! UDP: each client has a socket of its own towards its real server, through which the answers find back.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lvs_sched::{BackendId, Connection, Flow};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, recvfrom, send, sendto,
    socket_with,
};

use crate::data_plane::proxy::door::{Door, Guest, Office, Peer, Rules};
use crate::data_plane::proxy::slots::{Key, Slots};

/// Where datagrams of one virtual server come in.
pub(super) struct Counter {
    pub(super) door: Arc<Door>,
    pub(super) socket: Arc<OwnedFd>,
    /// Who is served by whom. Where each datagram is scheduled by itself, a client has a session with each real server.
    clients: HashMap<(SocketAddr, Option<BackendId>), Key>,
    /// Every session, the oldest first, to find one that makes room.
    ages: VecDeque<Key>,
}

/// A client and its real server.
pub(super) struct Session {
    pub(super) socket: OwnedFd,
    front: Arc<OwnedFd>,
    counter: usize,
    client: SocketAddr,
    name: (SocketAddr, Option<BackendId>),
    guard: Connection<Arc<Peer>>,
    guest: Guest,
    idle: u64,
    touched: u64,
    /// A datagram has passed since it was last asked to make room.
    used: bool,
    /// The last datagram went to the real server.
    unanswered: bool,
}

/// What the sessions of a thread are kept with.
pub(super) struct Hall<'a> {
    pub(super) epoll: &'a OwnedFd,
    pub(super) office: &'a Arc<Office>,
    pub(super) sessions: &'a mut Slots<Session>,
    pub(super) buffer: &'a mut [u8],
    /// What the kernel is to say of a session's socket.
    pub(super) token: fn(Key) -> u64,
    pub(super) now: u64,
}

impl Counter {
    pub(super) fn new(door: Arc<Door>, socket: Arc<OwnedFd>) -> Self {
        Self {
            door,
            socket,
            clients: HashMap::new(),
            ages: VecDeque::new(),
        }
    }

    /// Takes in what clients have sent, for one turn.
    pub(super) fn receive(&mut self, number: usize, hall: &mut Hall<'_>) {
        let rules = self.door.rules();
        for _ in 0..AT_ONCE {
            let (length, from) = match recvfrom(&*self.socket, &mut *hall.buffer, RecvFlags::DONTWAIT) {
                Ok((length, _, from)) => (length, from),
                // The complaint of a client that has gone.
                Err(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::INTR) => continue,
                Err(_) => return,
            };
            if let Some(client) = from.and_then(|from| SocketAddr::try_from(from).ok()) {
                self.pass(number, client, length, &rules, hall);
            }
        }
    }

    /// Sends a datagram to whoever serves its client.
    fn pass(&mut self, number: usize, client: SocketAddr, length: usize, rules: &Rules, hall: &mut Hall<'_>) {
        let mut refused = Vec::new();
        for _ in 0..ATTEMPTS {
            let known = match rules.one_packet {
                true => None,
                false => self.clients.get(&(client, None)).copied(),
            };
            let key = match known {
                Some(key) => key,
                None => match self.begin(number, client, rules, &mut refused, hall) {
                    Some(key) => key,
                    None => return,
                },
            };
            let Some(session) = hall.sessions.get_mut(key) else {
                self.clients.remove(&(client, None));
                continue;
            };
            if session.unanswered && session.guard.retired().is_some() {
                // Taken out, and silent: the client is somebody else's from now on.
                self.end(key, hall);
                continue;
            }
            let Some(bytes) = hall.buffer.get(..length) else {
                return;
            };
            match send(&session.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    (session.touched, session.used, session.unanswered) = (hall.now, true, true);
                    for tally in session.guest.tallies() {
                        tally.packets_in.fetch_add(1, Ordering::Relaxed);
                        tally.bytes_in.fetch_add(sent as u64, Ordering::Relaxed);
                    }
                    return;
                }
                // It is lost, as datagrams are where there is no room.
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::MSGSIZE) => return,
                Err(error) => {
                    // The real server has said of an earlier one that nobody is there.
                    hall.office.failed(&self.door, &session.guard, hall.now, &error);
                    refused.push(session.guard.id());
                    self.end(key, hall);
                }
            }
        }
    }

    /// A session for a client: that of a known pair, or a new one.
    fn begin(
        &mut self,
        number: usize,
        client: SocketAddr,
        rules: &Rules,
        refused: &mut Vec<BackendId>,
        hall: &mut Hall<'_>,
    ) -> Option<Key> {
        let flow = Flow::new(client, self.door.address);
        let mut guard = rules.choose(&flow, refused, hall.now)?;
        // As the kernel counts UDP.
        guard.set_active(false);
        let name = (client, rules.one_packet.then(|| guard.id()));
        if let Some(key) = self.clients.get(&name) {
            return Some(*key);
        }
        let place = match hall.office.place() {
            Some(place) => place,
            None => {
                self.make_room(hall);
                hall.office.place()?
            }
        };
        let socket = match dial(guard.address) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(real = %guard.address, %error, "no socket for a client of UDP");
                return None;
            }
        };
        let session = Session {
            front: Arc::clone(&self.socket),
            counter: number,
            client,
            name,
            guest: place.guest(&self.door).served_by(&guard),
            guard,
            idle: u64::try_from(rules.udp_idle.as_millis()).unwrap_or(u64::MAX),
            touched: hall.now,
            used: false,
            unanswered: false,
            socket,
        };
        let key = hall.sessions.next();
        let data = EventData::new_u64((hall.token)(key));
        epoll::add(hall.epoll, &session.socket, data, EventFlags::IN).ok()?;
        hall.sessions.insert(session);
        self.clients.insert(name, key);
        self.ages.push_back(key);
        Some(key)
    }

    /// Ends the oldest session through which nothing has passed of late.
    fn make_room(&mut self, hall: &mut Hall<'_>) {
        for attempt in 0..SECOND_CHANCES {
            let Some(key) = self.ages.pop_front() else { return };
            match hall.sessions.get_mut(key) {
                Some(session) if session.used && attempt + 1 < SECOND_CHANCES => {
                    session.used = false;
                    self.ages.push_back(key);
                }
                Some(_) => return self.end(key, hall),
                // It has ended by itself.
                None => {}
            }
        }
    }

    pub(super) fn end(&mut self, key: Key, hall: &mut Hall<'_>) {
        if let Some(session) = hall.sessions.remove(key) {
            self.clients.remove(&session.name);
        }
        // Those that have ended are forgotten before they are most.
        if self.ages.len() > 2 * self.clients.len() + FEW {
            self.ages.retain(|key| hall.sessions.get_mut(*key).is_some());
        }
    }
}

impl Session {
    pub(super) fn counter(&self) -> usize {
        self.counter
    }

    /// Passes answers on, for one turn. False if the real server says that nobody is there.
    pub(super) fn answer(&mut self, office: &Office, buffer: &mut [u8], now: u64) -> bool {
        for _ in 0..AT_ONCE {
            match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let Some(bytes) = buffer.get(..length) else {
                        return true;
                    };
                    self.guard.answered();
                    (self.touched, self.used, self.unanswered) = (now, true, false);
                    for tally in self.guest.tallies() {
                        tally.packets_out.fetch_add(1, Ordering::Relaxed);
                        tally.bytes_out.fetch_add(length as u64, Ordering::Relaxed);
                    }
                    // What does not go is lost, as datagrams are.
                    let _ = sendto(
                        &*self.front,
                        bytes,
                        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
                        &self.client,
                    );
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(error) => {
                    office.failed(self.guest.door(), &self.guard, now, &error);
                    return false;
                }
            }
        }
        true
    }

    /// Whether its time is over: it was silent for too long, or its real server is gone for good.
    pub(super) fn is_over(&self, now: u64) -> bool {
        let is_cut = self.guard.retired().is_some_and(|end| now >= end);
        is_cut || now.saturating_sub(self.touched) >= self.idle
    }
}

fn dial(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    connect(&socket, &address)?;
    Ok(socket)
}

/// Datagrams of one turn.
const AT_ONCE: usize = 64;

/// So many real servers are tried for one datagram.
const ATTEMPTS: usize = 3;

const SECOND_CHANCES: usize = 16;

const FEW: usize = 64;
