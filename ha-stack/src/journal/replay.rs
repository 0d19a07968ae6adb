//! From a journal to what happened, in words: the election is told everything again and asked why it decided so.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vrrp_fsm::{
    Datagram, DiscardReason, Event, GroupId, Instant, InterfaceId, Output, Reason, RouterId, State, TrackId,
    VrrpRouter,
};
use vrrp_proto::{Envelope, Packet, Priority, ReceiveChecks};

use crate::journal::entry::{Entry, Status, Told};
use crate::journal::known::STEP;
use crate::supervisor::differences;
use crate::vrrp::{START_DELAY, reason_in_words};

/// Reads a journal and explains it.
///
/// The decisions are not read but made anew by the same state machine, so the reasons are those that it had.
#[derive(Debug, Default)]
pub struct Replay {
    router: VrrpRouter,
    numbers: HashMap<u32, RouterId>,
    seats: HashMap<RouterId, Seat>,
    groups: HashMap<u32, (GroupId, String)>,
    names: HashMap<TrackId, String>,
    tracked: HashMap<TrackId, Status>,
    /// What the clock on the wall showed at zero of the election's clock, in nanoseconds since 1970.
    origin: Option<i128>,
    now: Instant,
    remarks: Vec<Remark>,
    /// Whether what follows is what the file was begun anew with, not a start.
    is_continued: bool,
    readable: u64,
    unreadable: u64,
}

/// Something that a journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// When it was by the host's clock, if the journal says so.
    pub time: Option<SystemTime>,
    /// The virtual router that it is about, if it is about one.
    pub name: Option<Arc<str>>,
    /// What.
    pub text: String,
    /// Whether a state changed.
    pub is_change: bool,
    /// Whether the virtual router became active with it, or ceased to be.
    pub is_move: bool,
}

impl fmt::Display for Remark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some(time) => write!(formatter, "{} ", humantime::format_rfc3339_millis(time))?,
            None => write!(formatter, "{:24} ", "")?,
        }
        match &self.name {
            Some(name) => write!(formatter, "{name}: {}", self.text),
            None => formatter.write_str(&self.text),
        }
    }
}

/// One virtual router.
#[derive(Debug)]
struct Seat {
    name: Arc<str>,
    interface: String,
    source: Option<IpAddr>,
    up: bool,
    fault: bool,
    /// Whether it may have been active already when the file was begun anew.
    is_continued: bool,
    heard: Vec<Heard>,
}

impl Seat {
    /// Whether a change for this reason is none: it was active when the file was begun anew, so nobody was to be heard.
    fn is_still_active(&self, reason: Reason) -> bool {
        self.is_continued
            && self.heard.is_empty()
            && matches!(reason, Reason::NothingHeard { from: None, .. })
    }
}

/// What was heard of one other router.
#[derive(Clone, Copy, Debug)]
struct Heard {
    from: IpAddr,
    at: Instant,
    priority: Priority,
    count: u64,
}

impl Replay {
    /// Reads the whole journal, and hands over each remark as it comes.
    ///
    /// # Errors
    /// What `journal` says when it cannot be read, and [`io::ErrorKind::InvalidData`] if no line is one of a journal. Where only
    /// some are not, they are counted and told at the end.
    pub fn read(mut journal: impl BufRead, mut tell: impl FnMut(&Remark)) -> io::Result<()> {
        let mut replay = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            // Bounded, in case it is no journal at all.
            let length = journal.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            replay.line(&line);
            // What begins an election waits for the clock, which comes next.
            if replay.origin.is_some() || replay.remarks.len() > MOST_HEARD {
                replay.remarks.drain(..).for_each(|remark| tell(&remark));
            }
        }
        if replay.readable == 0 && replay.unreadable > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no journal"));
        }
        replay.end();
        replay.remarks.drain(..).for_each(|remark| tell(&remark));
        Ok(())
    }

    fn line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) => {
                self.readable += 1;
                self.entry(entry);
            }
            // A line that was cut short by a full disk, or by the end of the process.
            Err(_) => self.unreadable += 1,
        }
    }

    fn end(&mut self) {
        let mut seats: Vec<_> = self
            .seats
            .iter()
            .map(|(id, seat)| (*id, Arc::clone(&seat.name)))
            .collect();
        seats.sort_by(|(_, one), (_, other)| one.cmp(other));
        for (id, name) in seats {
            let Some(router) = self.router.virtual_router(id) else {
                continue;
            };
            let text = format!(
                "at the end {} since {}: {}",
                router.state(),
                self.time(router.since())
                    .map(|time| humantime::format_rfc3339_millis(time).to_string())
                    .unwrap_or_default(),
                reason_in_words(*router.reason(), &self.names)
            );
            self.remark(Some(name), text);
        }
        if self.unreadable > 0 {
            self.remark(
                None,
                format!(
                    "{} lines are none of a journal and were left out",
                    self.unreadable
                ),
            );
        }
    }

    fn entry(&mut self, entry: Entry) {
        // Time does not go back; a journal that somebody changed might.
        if let Some(at) = entry.at()
            && !matches!(entry, Entry::Start { .. })
        {
            self.now = self.now.max(at);
        }
        match entry {
            Entry::Start { at, version } => {
                // The clock of the election may have begun anew with the host.
                *self = Self {
                    names: std::mem::take(&mut self.names),
                    remarks: std::mem::take(&mut self.remarks),
                    readable: self.readable,
                    unreadable: self.unreadable,
                    now: Instant::from_nanos(at),
                    ..Self::default()
                };
                self.remark(None, format!("the election begins, version {version}"));
            }
            Entry::Clock { at, wall } => {
                let origin = i128::from(wall) - i128::from(at);
                let before = self.origin.replace(origin);
                if let Some(before) = before {
                    let step =
                        Duration::from_nanos(u64::try_from(before.abs_diff(origin)).unwrap_or(u64::MAX));
                    if step < STEP {
                        return;
                    }
                    let way = if origin > before { "forward" } else { "back" };
                    self.remark(
                        None,
                        format!(
                            "the clock was set {way} by {:.3} s, which the election does not notice",
                            step.as_secs_f64()
                        ),
                    );
                } else {
                    // What was said before the time was known.
                    let time = self.time(self.now);
                    for remark in &mut self.remarks {
                        remark.time = remark.time.or(time);
                    }
                }
            }
            Entry::Names { names } => {
                self.names = names.into_iter().map(|(id, name)| (TrackId(id), name)).collect();
            }
            Entry::Lost { entries } => self.remark(
                None,
                format!("{entries} entries were lost here: what follows may not be what happened"),
            ),
            Entry::Summary { .. } => {
                self.is_continued = true;
                self.remark(
                    None,
                    "the file was begun anew: every virtual router starts here once more".to_owned(),
                );
            }
            Entry::Added {
                router,
                name,
                interface_name,
                interface,
                parameters,
                source,
                ..
            } => {
                let added = parameters
                    .to_parameters()
                    .and_then(|parameters| self.router.add(InterfaceId(interface), parameters, source).ok());
                let Some(id) = added else {
                    self.unreadable += 1;
                    return;
                };
                self.numbers.insert(router, id);
                let seat = Seat {
                    name: name.into(),
                    interface: interface_name,
                    source,
                    up: true,
                    fault: false,
                    is_continued: self.is_continued,
                    heard: Vec::new(),
                };
                let (name, text) = (Arc::clone(&seat.name), self.introduction(id, &seat));
                self.seats.insert(id, seat);
                self.remark(Some(name), text);
            }
            Entry::Removed { router, .. } => {
                if let Some(id) = self.numbers.remove(&router) {
                    self.say(id, "is gone".to_owned());
                    // It was there.
                    let _ = self.router.remove(self.now, id);
                    self.outputs();
                    self.seats.remove(&id);
                }
            }
            Entry::Grouped {
                group, name, members, ..
            } => {
                let members: Vec<RouterId> = members
                    .iter()
                    .filter_map(|number| self.numbers.get(number).copied())
                    .collect();
                if let Ok(id) = self.router.add_sync_group(self.now, &members) {
                    self.groups.insert(group, (id, name));
                    self.outputs();
                }
            }
            Entry::Ungrouped { group, .. } => {
                if let Some((id, _)) = self.groups.remove(&group) {
                    // It was there.
                    let _ = self.router.remove_sync_group(self.now, id);
                    self.outputs();
                }
            }
            Entry::Input { router, input, .. } => {
                if let Some(id) = self.numbers.get(&router).copied() {
                    self.input(id, &input);
                }
            }
            Entry::Packet {
                interface,
                from,
                to,
                hops,
                received,
                message,
                refused,
                ..
            } => {
                if let (Ok(envelope), Some(message)) = (Envelope::new(from, to, hops), bytes(&message)) {
                    let datagram = Datagram {
                        interface: InterfaceId(interface),
                        envelope,
                        message: &message,
                        received: Instant::from_nanos(received),
                    };
                    match refused {
                        None => self.packet(&datagram),
                        // Without the keys it cannot be judged again.
                        Some(why) => self.refused(&datagram, &why),
                    }
                } else {
                    self.unreadable += 1;
                }
            }
            Entry::Track { id, status, .. } => {
                let id = TrackId(id);
                self.track(id, status);
                self.router.handle_track(self.now, id, status.into());
                self.outputs();
            }
            Entry::Timeout { .. } => {
                let due = self.router.poll_timeout().unwrap_or(self.now);
                let late = self.now.saturating_since(due);
                if late >= LATE {
                    self.remark(
                        None,
                        format!("this host or process ran {:.3} s late", late.as_secs_f64()),
                    );
                }
                self.router.handle_timeout(self.now);
                self.outputs();
            }
        }
    }

    fn introduction(&self, id: RouterId, seat: &Seat) -> String {
        self.router.virtual_router(id).map_or_else(String::new, |router| {
            let parameters = router.parameters();
            format!(
                "VRID {} on {}, {}, priority {}, an advertisement each {}",
                parameters.vrid(),
                seat.interface,
                parameters.version(),
                parameters.priority().get(),
                parameters.adver_interval(),
            )
        })
    }

    fn input(&mut self, id: RouterId, input: &Told) {
        let Some(given) = input.to_input() else {
            self.unreadable += 1;
            return;
        };
        if let Told::Track { id, status } = input {
            self.track(TrackId(*id), *status);
        }
        let before = self
            .router
            .virtual_router(id)
            .map(|router| router.parameters().clone());
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let text = match input {
            Told::Startup { held: true } => {
                Some("takes part, with the addresses of a predecessor".to_owned())
            }
            Told::Startup { held: false } => Some("takes part".to_owned()),
            Told::Shutdown => Some("is told to stop".to_owned()),
            Told::PeerDown(peer) => Some(format!("{peer} is reported down")),
            Told::Resign => Some("an operator lets it hand over".to_owned()),
            Told::Interface { up } if *up != std::mem::replace(&mut seat.up, *up) => Some(match up {
                true => format!("{} is up", seat.interface),
                false => format!("{} is down", seat.interface),
            }),
            Told::Source(source) if *source != std::mem::replace(&mut seat.source, *source) => {
                Some(match source {
                    Some(source) => format!("advertises from {source}"),
                    None => "has no address to advertise from".to_owned(),
                })
            }
            Told::Fault { present } if *present != std::mem::replace(&mut seat.fault, *present) => {
                Some(match present {
                    true => "the driver reports a fault".to_owned(),
                    false => "the fault that the driver reported is over".to_owned(),
                })
            }
            Told::AddressesLost => Some("somebody took addresses away; they are put back".to_owned()),
            Told::Configure(terms) => terms
                .to_parameters()
                .zip(before)
                .map(|(after, before)| format!("configured anew: {}", differences(&before, &after))),
            Told::Timeout
            | Told::Announce
            | Told::Track { .. }
            | Told::Interface { .. }
            | Told::Source(_)
            | Told::Fault { .. } => None,
        };
        if let Some(text) = text {
            self.say(id, text);
        }
        // The virtual router is there, and what it is given has been checked.
        let _ = self.router.handle_input(self.now, id, given);
        self.outputs();
    }

    fn track(&mut self, id: TrackId, status: Status) {
        if self.tracked.insert(id, status) == Some(status) {
            return;
        }
        let name = self.names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        let text = match status {
            Status::Good if name == START_DELAY => format!("{name} is over"),
            Status::Good => format!("{name} is well"),
            Status::Bad => format!("{name} failed"),
            Status::Value(value) => format!("{name} says {value}"),
        };
        self.remark(None, text);
    }

    fn packet(&mut self, datagram: &Datagram<'_>) {
        let from = datagram.envelope.source();
        match self.router.handle_packet(self.now, datagram) {
            Ok(id) => {
                let checks = ReceiveChecks::STANDARD
                    .hop_limits(0, 255)
                    .any_first_address()
                    .no_address();
                if let Ok(packet) = Packet::parse(datagram.message, &datagram.envelope, &checks) {
                    let interval = Duration::from_nanos(packet.interval().as_nanos());
                    self.heard(id, from, packet.priority(), interval);
                }
            }
            Err(discard) => {
                if discard.is_news && discard.reason != DiscardReason::NotRunning {
                    let text = format!("an advertisement from {from} is not taken in: {discard}");
                    match discard.router {
                        Some(id) => self.say(id, text),
                        None => self.remark(None, text),
                    }
                }
            }
        }
        self.outputs();
    }

    /// A packet whose signature did not do, and so changed nothing.
    fn refused(&mut self, datagram: &Datagram<'_>, why: &str) {
        if why.is_empty() {
            return;
        }
        let vrid = datagram.message.get(1).copied();
        let is_here = |id: &RouterId| {
            let router = self.router.virtual_router(*id);
            self.router.interface(*id) == Some(datagram.interface)
                && router.is_some_and(|router| Some(router.parameters().vrid().get()) == vrid)
        };
        let seat = self.seats.iter().find(|(id, _)| is_here(id));
        let name = seat.map(|(_, seat)| Arc::clone(&seat.name));
        let from = datagram.envelope.source();
        self.remark(
            name,
            format!("an advertisement from {from} is not taken in: {why}"),
        );
    }

    /// Notes who advertises, and says what is new about it.
    fn heard(&mut self, id: RouterId, from: IpAddr, priority: Priority, interval: Duration) {
        let now = self.now;
        let Some(seat) = self.seats.get_mut(&id) else {
            return;
        };
        let mut texts = Vec::new();
        match seat.heard.iter_mut().find(|heard| heard.from == from) {
            Some(heard) => {
                let silence = now.saturating_since(heard.at);
                if silence >= interval * 2 && !heard.priority.is_release() {
                    texts.push(format!(
                        "{from} is heard again after {:.3} s",
                        silence.as_secs_f64()
                    ));
                }
                if heard.priority.is_release() && !priority.is_release() {
                    texts.push(format!("{from} is back, with priority {}", priority.get()));
                } else if heard.priority != priority && !priority.is_release() {
                    texts.push(format!(
                        "{from} advertises priority {}, before {}",
                        priority.get(),
                        heard.priority.get()
                    ));
                }
                heard.at = now;
                heard.priority = priority;
                heard.count += 1;
            }
            None => {
                texts.push(format!("{from} is heard first, with priority {}", priority.get()));
                // Strangers must not fill it.
                if seat.heard.len() < MOST_HEARD {
                    seat.heard.push(Heard {
                        from,
                        at: now,
                        priority,
                        count: 1,
                    });
                }
            }
        }
        if priority.is_release() {
            texts.push(format!("{from} says that it leaves (priority 0)"));
        }
        for text in texts {
            self.say(id, text);
        }
    }

    fn outputs(&mut self) {
        while let Some((id, output)) = self.router.poll_output() {
            let Output::Event(event) = output else {
                continue;
            };
            let text = if let Event::StateChanged { from, to, reason } = event {
                let why = reason_in_words(reason, &self.names);
                format!("{from} to {to}: {why}{}", self.context(id, reason))
            } else if matches!(event, Event::HeardLower { .. }) {
                // Told with the packet already.
                continue;
            } else {
                event.to_string()
            };
            let seat = self.seats.get(&id);
            let name = seat.map(|seat| Arc::clone(&seat.name));
            let (is_change, is_move) = if let Event::StateChanged { from, to, reason } = event {
                let is_still_active = seat.is_some_and(|seat| seat.is_still_active(reason));
                (
                    true,
                    (from == State::Active || to == State::Active) && !is_still_active,
                )
            } else {
                (false, false)
            };
            self.push(name, text, is_change, is_move);
        }
    }

    /// What else there is to say about the router that fell silent.
    fn context(&self, id: RouterId, reason: Reason) -> String {
        let Reason::NothingHeard { from, .. } = reason else {
            return String::new();
        };
        let heard = self.seats.get(&id).map_or(&[][..], |seat| &seat.heard);
        match from.and_then(|from| heard.iter().find(|heard| heard.from == from)) {
            Some(heard) => format!(
                " (it had priority {}, and advertised {} times before)",
                heard.priority.get(),
                heard.count
            ),
            None if self
                .seats
                .get(&id)
                .is_some_and(|seat| seat.is_still_active(reason)) =>
            {
                " (or it was active before the file was begun anew)".to_owned()
            }
            None if heard.is_empty() => " (no other router was ever heard)".to_owned(),
            None => String::new(),
        }
    }

    fn say(&mut self, id: RouterId, text: String) {
        let name = self.seats.get(&id).map(|seat| Arc::clone(&seat.name));
        self.push(name, text, false, false);
    }

    fn remark(&mut self, name: Option<Arc<str>>, text: String) {
        self.push(name, text, false, false);
    }

    fn push(&mut self, name: Option<Arc<str>>, text: String, is_change: bool, is_move: bool) {
        self.remarks.push(Remark {
            time: self.time(self.now),
            name,
            text,
            is_change,
            is_move,
        });
    }

    fn time(&self, at: Instant) -> Option<SystemTime> {
        let nanos = u64::try_from(self.origin? + i128::from(at.as_nanos())).ok()?;
        Some(UNIX_EPOCH + Duration::from_nanos(nanos))
    }
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().as_chunks::<2>();
    if !pairs.1.is_empty() {
        return None;
    }
    let digit = |character: u8| char::from(character).to_digit(16);
    pairs
        .0
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

/// An advertisement of 255 IPv6 addresses in hexadecimal, and parameters with as many, fit well.
const LONGEST_LINE: u64 = 64 * 1024;

const MOST_HEARD: usize = 64;

/// So late is worth a remark.
const LATE: Duration = Duration::from_millis(100);
