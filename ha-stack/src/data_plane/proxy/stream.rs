//! One TCP connection: picked, connected, carried, counted.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use lvs_sched::{BackendId, Connection, Flow};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_keepalive, set_socket_linger, set_tcp_keepidle, set_tcp_nodelay, socket_error,
};
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, connect, getsockname, shutdown, socket_with,
};

use crate::data_plane::proxy::door::{Door, Guest, Office, Peer, Place, Rules};
use crate::data_plane::proxy::header::header;
use crate::data_plane::proxy::way::{Desk, Passed, Ready, Way};

/// A client, and the real server it has or is to have.
pub(super) struct Stream {
    client: OwnedFd,
    client_is: Ready,
    server: OwnedFd,
    server_is: Ready,
    state: State,
    towards: Way,
    back: Way,
    /// Counts it for the scheduler.
    guard: Connection<Arc<Peer>>,
    half_closed: u64,
    /// When something last passed, in milliseconds.
    touched: u64,
    /// Whether it is watched for ends that vanish.
    watched: bool,
    hurried: bool,
}

enum State {
    Connecting(Box<Search>),
    Connected(Guest),
    /// Between the two, never seen from outside.
    Moving,
}

/// The way to a real server that answers.
struct Search {
    rules: Rules,
    flow: Flow,
    from: SocketAddr,
    refused: Vec<BackendId>,
    attempts: u8,
    /// When this one is given up, in milliseconds.
    deadline: u64,
    guest: Guest,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for its sockets.
    Wait,
    /// It could go on at once.
    Again,
    /// It has another socket towards the real server, to be listened to.
    NewServer,
    /// It is over.
    Over,
}

impl Stream {
    /// Picks a real server for a client and begins to connect. `None` if there is nobody, or no descriptor.
    pub(super) fn begin(
        client: OwnedFd,
        from: SocketAddr,
        door: &Arc<Door>,
        office: &Arc<Office>,
        place: Place,
        now: u64,
    ) -> Option<Self> {
        let rules = door.rules();
        let asked = match door.address.ip().is_unspecified() {
            true => getsockname(&client)
                .ok()
                .and_then(|address| address.try_into().ok())?,
            false => door.address,
        };
        let mut search = Search {
            flow: Flow::new(from, asked),
            from,
            refused: Vec::new(),
            attempts: 0,
            deadline: 0,
            guest: place.guest(door),
            rules,
        };
        let Some((guard, server)) = search.next(office, now) else {
            let _ = set_socket_linger(&client, Some(Duration::ZERO));
            return None;
        };
        Some(Self {
            client,
            client_is: Ready::default(),
            server,
            server_is: Ready::default(),
            half_closed: u64::try_from(search.rules.half_closed.as_millis()).unwrap_or(u64::MAX),
            state: State::Connecting(Box::new(search)),
            towards: Way::default(),
            back: Way::default(),
            guard,
            touched: now,
            watched: false,
            hurried: false,
        })
    }

    pub(super) fn client(&self) -> &OwnedFd {
        &self.client
    }

    pub(super) fn server(&self) -> &OwnedFd {
        &self.server
    }

    /// Something happened to the client's socket.
    pub(super) fn client_event(&mut self, flags: EventFlags, office: &Arc<Office>, desk: &mut Desk) -> Fate {
        note(&mut self.client_is, flags);
        match self.state {
            // It has gone before anybody could serve it.
            State::Connecting(_) if flags.intersects(EventFlags::ERR | EventFlags::HUP) => Fate::Over,
            State::Connecting(_) | State::Moving => Fate::Wait,
            State::Connected(_) => self.go(office.now(), desk),
        }
    }

    /// Something happened to the real server's socket.
    pub(super) fn server_event(&mut self, flags: EventFlags, office: &Arc<Office>, desk: &mut Desk) -> Fate {
        let now = office.now();
        if let State::Connecting(_) = self.state {
            if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                let error = match socket_error(&self.server) {
                    Ok(Err(error)) | Err(error) => error,
                    Ok(Ok(())) => Errno::CONNRESET,
                };
                return self.next(office, now, error);
            }
            if !flags.contains(EventFlags::OUT) {
                return Fate::Wait;
            }
            self.connected();
        }
        note(&mut self.server_is, flags);
        self.go(now, desk)
    }

    fn connected(&mut self) {
        self.guard.answered();
        let State::Connecting(search) = std::mem::replace(&mut self.state, State::Moving) else {
            return;
        };
        if let Some(version) = search.rules.proxy_protocol {
            let asked = SocketAddr::new(search.flow.destination, search.flow.destination_port);
            self.towards.say(header(version, search.from, asked));
        }
        self.state = State::Connected(search.guest.served_by(&self.guard));
    }

    /// The real server does not take it: the next best is tried.
    fn next(&mut self, office: &Arc<Office>, now: u64, error: Errno) -> Fate {
        let State::Connecting(search) = &mut self.state else {
            return Fate::Over;
        };
        office.failed(search.guest.door(), &self.guard, now, &error);
        search.refused.push(self.guard.id());
        match search.next(office, now) {
            Some((guard, server)) => {
                (self.guard, self.server) = (guard, server);
                self.server_is = Ready::default();
                Fate::NewServer
            }
            None => {
                self.reset();
                Fate::Over
            }
        }
    }

    /// Goes on as far as the sockets let it.
    pub(super) fn go(&mut self, now: u64, desk: &mut Desk) -> Fate {
        let State::Connected(guest) = &self.state else {
            return Fate::Wait;
        };
        let [all, own] = guest.tallies();
        let towards = self.towards.pass(
            (&self.client, &mut self.client_is),
            (&self.server, &mut self.server_is),
            desk,
            [&all.bytes_in, &own.bytes_in],
        );
        let back = self.back.pass(
            (&self.server, &mut self.server_is),
            (&self.client, &mut self.client_is),
            desk,
            [&all.bytes_out, &own.bytes_out],
        );
        let (Ok(towards), Ok(back)) = (towards, back) else {
            // A connection that breaks is its two ends' business, and both learn of it.
            self.reset();
            return Fate::Over;
        };
        if self.towards.writes() > 1 && !self.hurried {
            // Only a second packet can be held back for the first. A client's socket has it from where it came in.
            self.hurried = true;
            let _ = set_tcp_nodelay(&self.server, true);
        }
        self.touched = now;
        match (self.towards.is_over(), self.back.is_over()) {
            (true, true) => return Fate::Over,
            (true, false) => close(&mut self.towards, &self.server),
            (false, true) => close(&mut self.back, &self.client),
            (false, false) => {}
        }
        match towards == Passed::Enough || back == Passed::Enough {
            true => Fate::Again,
            false => Fate::Wait,
        }
    }

    /// Once a second: what takes too long ends.
    pub(super) fn look(&mut self, office: &Arc<Office>, now: u64, desk: &mut Desk) -> Fate {
        match &self.state {
            State::Connecting(search) if now >= search.deadline => {
                return self.next(office, now, Errno::TIMEDOUT);
            }
            State::Connecting(_) | State::Moving => return Fate::Wait,
            State::Connected(_) => {}
        }
        if self.guard.retired().is_some_and(|end| now >= end) {
            self.reset();
            return Fate::Over;
        }
        let silent = now.saturating_sub(self.touched);
        if silent >= self.half_closed && (self.towards.closed || self.back.closed) {
            self.reset();
            return Fate::Over;
        }
        if silent >= IDLE {
            self.towards.rest(desk);
            self.back.rest(desk);
            if !self.watched {
                // A real server that has vanished is noticed. It is not worth failing for.
                self.watched = true;
                let _ = set_socket_keepalive(&self.server, true);
                let _ = set_tcp_keepidle(&self.server, KEEP_ALIVE);
            }
        }
        Fate::Wait
    }

    /// Its ends shall not take what they have for all there was.
    fn reset(&self) {
        for socket in [&self.client, &self.server] {
            let _ = set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    /// Gives back what it has of the thread's.
    pub(super) fn end(mut self, desk: &mut Desk) {
        self.towards.end(desk);
        self.back.end(desk);
    }
}

impl Search {
    /// The next real server to try, and a socket that is being connected to it.
    fn next(&mut self, office: &Arc<Office>, now: u64) -> Option<(Connection<Arc<Peer>>, OwnedFd)> {
        while self.attempts < ATTEMPTS {
            let guard = self.rules.choose(&self.flow, &mut self.refused, now)?;
            self.attempts += 1;
            self.deadline = now + CONNECT_LIMIT;
            let error = match dial(guard.address) {
                Ok(server) => return Some((guard, server)),
                // That is not the real server's fault.
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => return None,
                // Neither is this: no port is left towards it.
                Err(Errno::ADDRNOTAVAIL) => {
                    self.refused.push(guard.id());
                    continue;
                }
                Err(error) => error,
            };
            office.failed(self.guest.door(), &guard, now, &error);
            self.refused.push(guard.id());
        }
        None
    }
}

fn note(ready: &mut Ready, flags: EventFlags) {
    // After an error the next call says which.
    let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
    ready.readable |= broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP);
    ready.writable |= broken || flags.contains(EventFlags::OUT);
    ready.hung_up |= flags.contains(EventFlags::RDHUP) && !flags.contains(EventFlags::ERR);
}

/// Passes the end on.
fn close(way: &mut Way, to: &OwnedFd) {
    if !std::mem::replace(&mut way.closed, true) {
        // Fails where the other side has gone, which is then seen otherwise.
        let _ = shutdown(to, Shutdown::Write);
    }
}

fn dial(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// So many real servers are tried for one client.
const ATTEMPTS: u8 = 4;

/// In milliseconds.
const CONNECT_LIMIT: u64 = 3000;
const IDLE: u64 = 20_000;

/// How long a connection is silent before its other end is asked whether it is there.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(60);
