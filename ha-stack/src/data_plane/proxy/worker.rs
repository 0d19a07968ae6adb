//! A thread of the proxy: it waits for sockets and serves whichever is ready.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use crate::data_plane::Front;
use crate::data_plane::proxy::datagram::{Counter, Hall, Session};
use crate::data_plane::proxy::door::{Door, Office, PERIOD};
use crate::data_plane::proxy::pipes::Pipes;
use crate::data_plane::proxy::slots::{Key, Slots};
use crate::data_plane::proxy::stream::{Fate, Stream};
use crate::data_plane::proxy::way::{BUFFER, Desk};

/// How a worker is told something.
pub(super) struct Inbox {
    orders: Mutex<Vec<Order>>,
    bell: OwnedFd,
}

/// What a worker is told.
pub(super) enum Order {
    /// Clients come in here. One worker is at home at each door: it reckons the rates, and it alone serves UDP.
    Open {
        door: Arc<Door>,
        socket: Arc<OwnedFd>,
        home: bool,
    },
    /// No more clients come in here. Those that are in stay.
    Close(Front),
    Stop,
}

/// A thread of the proxy.
pub(super) struct Worker {
    inbox: Arc<Inbox>,
    office: Arc<Office>,
    epoll: OwnedFd,
    entrances: Vec<Option<Entrance>>,
    streams: Slots<Stream>,
    sessions: Slots<Session>,
    desk: Desk,
    /// Connections that could go on at once.
    again: Vec<Key>,
    /// Nobody is let in until then, in milliseconds: there are no places or no descriptors.
    shut_until: Option<u64>,
    /// Until then this is not said again.
    quiet_until: u64,
    now: u64,
    next_look: u64,
    next_sample: u64,
}

struct Entrance {
    door: Arc<Door>,
    home: bool,
    way_in: WayIn,
}

enum WayIn {
    Tcp(Arc<OwnedFd>),
    Udp(Counter),
}

/// What the kernel says something about.
enum Token {
    Bell,
    Entrance(usize),
    Client(Key),
    Server(Key),
    Session(Key),
}

impl Inbox {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self {
            orders: Mutex::default(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    pub(super) fn tell(&self, order: Order) {
        self.orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(order);
        // Fails only when it has been rung four thousand million times for nothing.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Order> {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Worker {
    pub(super) fn new(inbox: Arc<Inbox>, office: Arc<Office>, pipes: usize) -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &inbox.bell, Token::Bell.data(), EventFlags::IN)?;
        Ok(Self {
            inbox,
            now: office.now(),
            office,
            epoll,
            entrances: Vec::new(),
            streams: Slots::new(),
            sessions: Slots::new(),
            desk: Desk {
                buffer: vec![0; BUFFER],
                pipes: Pipes::new(pipes),
            },
            again: Vec::new(),
            shut_until: None,
            quiet_until: 0,
            next_look: 0,
            next_sample: 0,
        })
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), self.patience().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the proxy cannot wait for its sockets");
                    return;
                }
            }
            self.now = self.office.now();
            for event in &events {
                let (flags, data) = (event.flags, event.data);
                match Token::from(data.u64()) {
                    Token::Bell => {
                        for order in self.inbox.take() {
                            match order {
                                Order::Open { door, socket, home } => self.open(door, socket, home),
                                Order::Close(front) => self.close(front),
                                Order::Stop => return,
                            }
                        }
                    }
                    Token::Entrance(number) => self.let_in(number),
                    Token::Client(key) => self.serve(key, |stream, office, desk| {
                        stream.client_event(flags, office, desk)
                    }),
                    Token::Server(key) => self.serve(key, |stream, office, desk| {
                        stream.server_event(flags, office, desk)
                    }),
                    Token::Session(key) => self.answer(key),
                }
            }
            for key in std::mem::take(&mut self.again) {
                self.serve(key, |stream, office, desk| stream.go(office.now(), desk));
            }
            self.look();
        }
    }

    /// How long it waits at most.
    fn patience(&self) -> Option<Timespec> {
        if !self.again.is_empty() {
            return Some(Timespec::default());
        }
        let is_idle = self.entrances.is_empty() && self.streams.is_empty() && self.sessions.is_empty();
        if is_idle {
            return None;
        }
        let next = self
            .shut_until
            .map_or(self.next_look, |until| until.min(self.next_look));
        let milliseconds = next.saturating_sub(self.office.now()).max(1);
        std::time::Duration::from_millis(milliseconds).try_into().ok()
    }

    fn open(&mut self, door: Arc<Door>, socket: Arc<OwnedFd>, home: bool) {
        let free = self.entrances.iter().position(Option::is_none);
        let number = free.unwrap_or(self.entrances.len());
        let way_in = match door.front.is_udp() {
            false => WayIn::Tcp(socket),
            true => WayIn::Udp(Counter::new(Arc::clone(&door), socket)),
        };
        let entrance = Entrance { door, home, way_in };
        self.listen(&entrance, number);
        match self.entrances.get_mut(number) {
            Some(slot) => *slot = Some(entrance),
            None => self.entrances.push(Some(entrance)),
        }
    }

    fn listen(&self, entrance: &Entrance, number: usize) {
        let outcome = match &entrance.way_in {
            // Of all workers that wait, one is woken.
            WayIn::Tcp(socket) if self.shut_until.is_none() => {
                let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
                epoll::add(&self.epoll, socket, Token::Entrance(number).data(), flags)
            }
            WayIn::Tcp(_) => Ok(()),
            WayIn::Udp(_) if !entrance.home => Ok(()),
            WayIn::Udp(counter) => epoll::add(
                &self.epoll,
                &counter.socket,
                Token::Entrance(number).data(),
                EventFlags::IN,
            ),
        };
        if let Err(error) = outcome {
            tracing::error!(front = %entrance.door.front, %error, "the proxy cannot let clients in");
        }
    }

    fn close(&mut self, front: Front) {
        let entrances = self.entrances.iter();
        let is_it = |entrance: &Option<Entrance>| {
            entrance
                .as_ref()
                .is_some_and(|entrance| entrance.door.front == front)
        };
        let Some(number) = entrances.into_iter().position(is_it) else {
            return;
        };
        // Who has been let in by the kernel is served.
        self.let_in(number);
        let Some(entrance) = self.entrances.get_mut(number).and_then(Option::take) else {
            return;
        };
        match entrance.way_in {
            WayIn::Tcp(socket) => {
                let _ = epoll::delete(&self.epoll, &socket);
            }
            WayIn::Udp(counter) => {
                let _ = epoll::delete(&self.epoll, &counter.socket);
                // Answers would have nowhere to come from.
                let over: Vec<Key> = self
                    .sessions
                    .iter_mut()
                    .filter(|(_, session)| session.counter() == number)
                    .map(|(key, _)| key)
                    .collect();
                for key in over {
                    self.sessions.remove(key);
                }
            }
        }
        while self.entrances.last().is_some_and(Option::is_none) {
            self.entrances.pop();
        }
    }

    /// Lets clients in, for one turn.
    fn let_in(&mut self, number: usize) {
        let Some(Some(entrance)) = self.entrances.get_mut(number) else {
            return;
        };
        let (door, socket) = match &mut entrance.way_in {
            WayIn::Tcp(socket) => (Arc::clone(&entrance.door), Arc::clone(socket)),
            WayIn::Udp(counter) => {
                let mut hall = Hall {
                    epoll: &self.epoll,
                    office: &self.office,
                    sessions: &mut self.sessions,
                    buffer: &mut self.desk.buffer[..],
                    token: session_token,
                    now: self.now,
                };
                return counter.receive(number, &mut hall);
            }
        };
        for _ in 0..AT_ONCE {
            // Whoever finds no place waits in the kernel's queue.
            let Some(place) = self.office.place() else {
                return self.shut();
            };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (client, from) = match acceptfrom_with(&*socket, flags) {
                Ok((client, Some(from))) => (client, from),
                Ok((_, None)) | Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(Errno::INVAL) => {
                    // Somebody has ended it. Whoever looks at the whole table next has it opened again.
                    let _ = epoll::delete(&self.epoll, &socket);
                    return;
                }
                Err(error) => {
                    if self.now >= self.quiet_until {
                        self.quiet_until = self.now + QUIET;
                        tracing::warn!(%error, "the proxy cannot accept connections for now");
                    }
                    return self.shut();
                }
            };
            let Ok(from) = SocketAddr::try_from(from) else {
                continue;
            };
            let stream = Stream::begin(client, from, &door, &self.office, place, self.now);
            if let Some(stream) = stream {
                self.watch(stream);
            }
        }
    }

    fn watch(&mut self, stream: Stream) {
        let key = self.streams.next();
        let sockets = [
            (stream.client(), Token::Client(key)),
            (stream.server(), Token::Server(key)),
        ];
        for (socket, token) in sockets {
            if let Err(error) = epoll::add(&self.epoll, socket, token.data(), EVERY_CHANGE) {
                tracing::warn!(%error, "the proxy cannot wait for a connection");
                return;
            }
        }
        self.streams.insert(stream);
    }

    /// Lets nobody in for a while, or until somebody leaves.
    fn shut(&mut self) {
        for entrance in self.entrances.iter().flatten() {
            if let WayIn::Tcp(socket) = &entrance.way_in {
                let _ = epoll::delete(&self.epoll, socket);
            }
        }
        self.shut_until = Some(self.now + PAUSE);
    }

    fn reopen(&mut self) {
        self.shut_until = None;
        for (number, entrance) in self.entrances.iter().enumerate() {
            if let Some(entrance) = entrance
                && let WayIn::Tcp(_) = entrance.way_in
            {
                self.listen(entrance, number);
            }
        }
    }

    fn serve(&mut self, key: Key, act: impl FnOnce(&mut Stream, &Arc<Office>, &mut Desk) -> Fate) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        match act(stream, &self.office, &mut self.desk) {
            Fate::Wait => {}
            Fate::Again => self.again.push(key),
            Fate::NewServer => {
                let token = Token::Server(key).data();
                if epoll::add(&self.epoll, stream.server(), token, EVERY_CHANGE).is_err() {
                    self.end(key);
                }
            }
            Fate::Over => self.end(key),
        }
    }

    fn end(&mut self, key: Key) {
        if let Some(stream) = self.streams.remove(key) {
            stream.end(&mut self.desk);
        }
        if self.shut_until.is_some() {
            self.reopen();
        }
    }

    fn answer(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if !session.answer(&self.office, &mut self.desk.buffer, self.now) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) {
        let Some(number) = self.sessions.get_mut(key).map(|session| session.counter()) else {
            return;
        };
        let mut hall = Hall {
            epoll: &self.epoll,
            office: &self.office,
            sessions: &mut self.sessions,
            buffer: &mut self.desk.buffer[..],
            token: session_token,
            now: self.now,
        };
        if let Some(Some(entrance)) = self.entrances.get_mut(number)
            && let WayIn::Udp(counter) = &mut entrance.way_in
        {
            counter.end(key, &mut hall);
        }
    }

    /// Sees to what time brings.
    fn look(&mut self) {
        if self.shut_until.is_some_and(|until| self.now >= until) {
            self.reopen();
        }
        if self.now < self.next_look {
            return;
        }
        self.next_look = self.now + LOOK;
        let keys: Vec<Key> = self.streams.iter_mut().map(|(key, _)| key).collect();
        let now = self.now;
        for key in keys {
            self.serve(key, |stream, office, desk| stream.look(office, now, desk));
        }
        let sessions = self.sessions.iter_mut();
        let over = sessions.filter(|(_, session)| session.is_over(now));
        let over: Vec<Key> = over.map(|(key, _)| key).collect();
        for key in over {
            self.forget(key);
        }
        if now >= self.next_sample {
            self.next_sample = now + u64::try_from(PERIOD.as_millis()).unwrap_or(LOOK);
            for entrance in self.entrances.iter().flatten().filter(|entrance| entrance.home) {
                entrance.door.sample();
            }
        }
    }
}

impl Token {
    fn number(&self) -> u64 {
        let keyed = |kind: u64, key: &Key| (kind << 56) | (u64::from(key.turn) << 32) | u64::from(key.index);
        match self {
            Self::Bell => 0,
            Self::Entrance(number) => (1 << 56) | *number as u64,
            Self::Client(key) => keyed(2, key),
            Self::Server(key) => keyed(3, key),
            Self::Session(key) => keyed(4, key),
        }
    }

    fn data(&self) -> EventData {
        EventData::new_u64(self.number())
    }
}

impl From<u64> for Token {
    fn from(number: u64) -> Self {
        let [kind, t1, t2, t3, i1, i2, i3, i4] = number.to_be_bytes();
        let key = Key {
            index: u32::from_be_bytes([i1, i2, i3, i4]),
            turn: u32::from_be_bytes([0, t1, t2, t3]),
        };
        match kind {
            1 => Self::Entrance(key.index as usize),
            2 => Self::Client(key),
            3 => Self::Server(key),
            4 => Self::Session(key),
            _ => Self::Bell,
        }
    }
}

fn session_token(key: Key) -> u64 {
    Token::Session(key).number()
}

const EVERY_CHANGE: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// Of one call.
const EVENTS: usize = 256;

/// Clients let in before others are served.
const AT_ONCE: usize = 32;

/// How often every connection is looked at, in milliseconds.
const LOOK: u64 = 1000;

/// How long a complaint lasts, in milliseconds.
const QUIET: u64 = 10_000;

/// How long nobody is let in, in milliseconds.
const PAUSE: u64 = 100;
