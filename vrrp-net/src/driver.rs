//! The driver: it feeds the election with packets, time and what happens on the host, and carries its decisions out.

mod commands;
mod events;
mod interfaces;
mod outputs;
mod routes;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_fsm::{GroupId, Input, Instant, InterfaceId, RouterId, Track, TrackId};

use vrrp_proto::{AddressFamily, MacAddress, Vrid};

use crate::Error;
use crate::election::{Election, Recorder};
use crate::handle::{Control, Notice, RouterHandle, SeatShared};
use crate::host::{Change, Host, Listen, Transmissions, Work};
use crate::instance::Instance;
use crate::link::LinkTable;
use crate::seat::Seat;
use crate::tracker::Running;

/// A running election: all virtual routers of a host, driven by one thread.
///
/// There are three ways to run it. [`run`](Self::run) drives it on the caller's thread until it is told to stop;
/// [`spawn_thread`](Self::spawn_thread) does so on a thread of its own; and inside an event loop of one's own,
/// [`process`](Self::process) is called whenever [`Host::descriptor`] is readable.
///
/// Dropping the driver gives up all addresses.
#[derive(Debug)]
pub struct Driver {
    host: Box<dyn Host>,
    router: Election,
    table: LinkTable,
    slots: Vec<Slot>,
    seats: HashMap<u64, Box<Seat>>,
    by_router: HashMap<RouterId, u64>,
    /// Whose each address is that moves.
    moving: HashMap<IpAddr, Vec<u64>>,
    groups: HashMap<String, GroupId>,
    /// The queues that announcements share.
    queues: HashMap<Arc<str>, u32>,
    next_key: u64,
    next_track: u32,
    control: Control,
    packets: Transmissions,
    /// Which seats the changes of a work belong to, by ticket.
    works: VecDeque<(u64, Owners)>,
    work: Pending,
    next_ticket: u64,
    renewals: BTreeSet<(Instant, u64)>,
    /// What this pass has to tell, and what waits for a work to be carried out.
    fresh: Vec<(u64, Notice)>,
    waiting: VecDeque<(u64, Option<u64>, Notice)>,
    /// Whose advertisements cannot be sent: said once, not with every one of them.
    send_failing: HashSet<u64>,
    /// Whose addresses may have been deleted by somebody else while changes of ours were under way.
    doubts: HashSet<u64>,
    /// When to try to listen where that has failed.
    listen_again: Option<Instant>,
    /// Virtual routers that are not configured here, and when they were named last.
    strangers: HashMap<(InterfaceId, AddressFamily, Vrid), Instant>,
    /// How late a pass may be before it is said, and when that was said last.
    late: Duration,
    told_late: Option<Instant>,
    stopping: bool,
    stopped: bool,
}

/// An interface by its configured name.
#[derive(Debug)]
struct Slot {
    name: String,
    id: InterfaceId,
    /// The kernel's number while the interface is there. It decides: a rename changes nothing.
    index: Option<u32>,
    /// What is listened to, so that it is not set anew.
    listens: Vec<Listen>,
    /// The groups that could not be joined.
    not_joined: Vec<IpAddr>,
}

/// The work that gathers during one pass.
#[derive(Debug, Default)]
struct Pending {
    work: Work,
    owners: Owners,
}

/// Whose each change is, and what it is about.
type Owners = Vec<(u64, About)>;

/// What a change is about, for the report of its failure.
#[derive(Debug, Clone, Copy)]
enum About {
    Address(IpAddr),
    Filter(IpAddr),
    Other,
}

impl Driver {
    /// A driver on this host, without virtual routers.
    ///
    /// # Errors
    /// What the host says when its interfaces cannot be read.
    pub fn new(host: impl Host + 'static) -> Result<Self, Error> {
        let control = Control::new(host.waker());
        let mut driver = Self {
            host: Box::new(host),
            router: Election::default(),
            table: LinkTable::default(),
            slots: Vec::new(),
            seats: HashMap::new(),
            by_router: HashMap::new(),
            moving: HashMap::new(),
            groups: HashMap::new(),
            queues: HashMap::new(),
            next_key: 0,
            next_track: OWN_TRACKS,
            control,
            packets: Transmissions::default(),
            works: VecDeque::new(),
            work: Pending::default(),
            next_ticket: 0,
            renewals: BTreeSet::new(),
            fresh: Vec::new(),
            waiting: VecDeque::new(),
            send_failing: HashSet::new(),
            doubts: HashSet::new(),
            listen_again: None,
            strangers: HashMap::new(),
            late: LATE,
            told_late: None,
            stopping: false,
            stopped: false,
        };
        let now = driver.host.now();
        driver.absorb_events(now);
        Ok(driver)
    }

    /// Adds a virtual router. It takes part from the next [`process`](Self::process) on, as soon as its interface is
    /// there.
    ///
    /// # Errors
    /// [`Error::Parameters`] when something is out of range, does not fit together, or the number is taken on the
    /// interface; [`Error::Filter`] when packets are not to be accepted and the host cannot keep them out.
    pub fn add(&mut self, instance: Instance) -> Result<RouterHandle, Error> {
        let now = self.host.now();
        let tracks = self.track_ids(&instance)?;
        let parameters = Seat::parameters(&instance, &tracks)?;
        self.check_filter(&parameters)?;
        let slot = self.slot(&instance.interface);
        let id = self.slots.get(slot).map_or(InterfaceId(0), |slot| slot.id);
        let names = (instance.name.as_str(), instance.interface.as_str());
        let router = self.router.add(now, names, id, parameters.clone())?;
        #[cfg(feature = "auth-hmac")]
        self.router.set_signing(now, router, instance.signing.clone())?;
        let key = self.next_key;
        self.next_key += 1;
        let shared = Arc::new(SeatShared::new(
            instance.name.clone(),
            instance.vrid,
            self.status(router, now),
        ));
        let running = self.start_trackers(&instance, &tracks)?;
        let vmacs = Seat::virtual_links(&instance, &parameters, &|name, mac| self.is_taken(name, mac));
        let queue = self.queue(&instance);
        let seat = Seat {
            key,
            vmacs,
            queue,
            family: parameters.family(),
            instance,
            router,
            slot,
            shared: Arc::clone(&shared),
            running,
            tracks,
            holding: false,
            native: Vec::new(),
            given_up: Vec::new(),
            outstanding: 0,
            last_ticket: None,
            leased_at: now,
            renew_at: None,
            started: false,
            removing: false,
            told_up: None,
            told_source: None,
            told_fault: false,
            told_deaf: false,
        };
        self.by_router.insert(router, key);
        self.seats.insert(key, Box::new(seat));
        self.find_native(key);
        self.note_addresses(key);
        // What is known of its interface comes first: a member that has not heard of it yet would be a fault of the others.
        self.refresh_slot(slot, now);
        self.join_group(key, now);
        self.start(key, now);
        self.finish_pass(now);
        Ok(RouterHandle {
            key,
            seat: shared,
            control: self.control.clone(),
        })
    }

    /// Lets a recorder see everything that the election is told from now on; before the first virtual router is added,
    /// that is everything. Without one nothing is spent on it.
    pub fn set_recorder(&mut self, recorder: impl Recorder + 'static) {
        self.router.set_recorder(Box::new(recorder));
    }

    /// An election that [`run`](Self::run) drives and that could not run for longer than this when it was time says so in
    /// the log, at most once a minute. The default is a second.
    pub fn set_lateness(&mut self, limit: Duration) {
        self.late = limit;
    }

    /// A handle to the whole election, for other threads.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The time on the host's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.host.now()
    }

    /// The host, to wait on its [descriptor](Host::descriptor).
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// When [`process`](Self::process) has to be called at the latest, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let renewal = self.renewals.first().map(|(at, _)| *at);
        let election = self.router.poll_timeout();
        let listening = self.listen_again;
        renewal.into_iter().chain(election).chain(listening).min()
    }

    /// Whether the election was told to stop and everything is given up.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Does everything there is to do at `now`, a time read from [`now`](Self::now) just before. Never blocks.
    ///
    /// Packets that have arrived are seen before timers are judged, with the times at which they arrived: a process that
    /// was paused does not take its own silence for its neighbour's.
    ///
    /// # Errors
    /// What the host says when it can neither receive nor set a timer.
    pub fn process(&mut self, now: Instant) -> Result<(), Error> {
        let until = self.pass(now)?;
        self.host.arm(until)
    }

    /// Does what there is to do, and says until when there is nothing more if nothing happens.
    fn pass(&mut self, now: Instant) -> Result<Option<Instant>, Error> {
        #[cfg(feature = "auth-hmac")]
        self.router.tell_wall_clock(now, || self.host.wall_clock());
        self.receive(now)?;
        let all = self.absorb_events(now);
        while let Some(command) = self.control.take() {
            self.obey(command, now);
        }
        self.router.handle_timeout(now);
        self.carry_out(now);
        self.renew(now);
        self.listen_again(now);
        self.finish_pass(now);
        if self.stopping && !self.stopped && self.works.is_empty() {
            self.stopped = true;
        }
        // What was left for the next pass must not wait for something to happen.
        Ok(if all { self.next_timeout() } else { Some(now) })
    }

    /// Drives the election on this thread until [`Control::stop`] is called; then every virtual router hands over and gives
    /// up its addresses, and this returns.
    ///
    /// # Errors
    /// What the host says when it can neither wait nor receive. The addresses are given up all the same.
    pub fn run(mut self) -> Result<(), Error> {
        let mut until = None;
        loop {
            let now = self.host.now();
            self.judge_lateness(until, now);
            until = self.pass(now)?;
            if self.stopped {
                return Ok(());
            }
            self.host.wait(until)?;
        }
    }

    fn judge_lateness(&mut self, due: Option<Instant>, now: Instant) {
        let Some(by) = due.map(|due| now.saturating_since(due)) else {
            return;
        };
        let is_news = || {
            let told = self.told_late;
            told.is_none_or(|told| now.saturating_since(told) >= QUIET)
        };
        if by > self.late && is_news() {
            self.told_late = Some(now);
            tracing::warn!(
                ?by,
                "the election was late: this host is too busy, or stood still"
            );
        }
    }

    /// Drives the election as a task of a tokio runtime, until [`Control::stop`] is called.
    ///
    /// The timer is the kernel's, not tokio's; but a task that keeps its thread busy delays the election, so a thread of
    /// its own ([`spawn_thread`](Self::spawn_thread)) is the better choice at intervals below a tenth of a second.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Poll`] on a host without a descriptor.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    pub async fn run_on_tokio(mut self) -> Result<(), Error> {
        let descriptor = self
            .host
            .descriptor()
            .ok_or_else(|| Error::Poll(std::io::ErrorKind::Unsupported.into()))?
            .try_clone_to_owned()
            .map_err(Error::Poll)?;
        let descriptor = crate::linux::register_with_tokio(descriptor).map_err(Error::Poll)?;
        loop {
            let now = self.host.now();
            self.process(now)?;
            if self.stopped {
                return Ok(());
            }
            // Cleared before the pass: what happens during it makes the descriptor readable anew.
            descriptor.readable().await.map_err(Error::Poll)?.clear_ready();
        }
    }

    /// Drives the election on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Thread`] when the system is out of threads.
    pub fn spawn_thread(self) -> Result<DriverThread, Error> {
        self.spawn_thread_after(|| Ok(()))
    }

    /// Drives the election on a thread of its own which calls `setup` first: to take real-time priority, say.
    ///
    /// # Errors
    /// [`Error::Thread`] when the system is out of threads, and what `setup` returns.
    pub fn spawn_thread_after(
        self,
        setup: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<DriverThread, Error> {
        let control = self.control();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("vrrp".into())
            // All of it may be locked into memory.
            .stack_size(STACK)
            .spawn(move || {
                let result = setup();
                let failed = result.is_err();
                // The starter waits for this; it cannot have gone away.
                let _ = ready.send(result);
                if failed { Ok(()) } else { self.run() }
            })
            .map_err(Error::Thread)?;
        is_ready.recv().map_err(|_| Error::Stopped)??;
        Ok(DriverThread {
            control,
            thread: Some(thread),
        })
    }

    /// Gives each tracker of an instance a number of ours.
    fn track_ids(&mut self, instance: &Instance) -> Result<Vec<Track>, Error> {
        let mut tracks = Vec::with_capacity(instance.trackers.len());
        for tracker in &instance.trackers {
            tracks.push(Track::new(TrackId(self.next_track), tracker.weight)?);
            self.next_track = self.next_track.wrapping_add(1);
        }
        Ok(tracks)
    }

    /// Whether somebody else has a link of this name. One with the MAC address that is wanted was left by a predecessor.
    pub(super) fn is_taken(&self, name: &str, mac: MacAddress) -> bool {
        let by_us = self
            .seats
            .values()
            .any(|seat| seat.vmacs.iter().any(|link| link.name == name));
        by_us || self.table.by_name(name).is_some_and(|link| link.mac != Some(mac))
    }

    /// The queue in which an instance's announcements wait, if it shares one.
    pub(super) fn queue(&mut self, instance: &Instance) -> Option<u32> {
        let group = instance.pace.group.as_ref()?;
        let next = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        Some(*self.queues.entry(Arc::clone(group)).or_insert(next))
    }

    fn start_trackers(&self, instance: &Instance, tracks: &[Track]) -> Result<Vec<Running>, Error> {
        let trackers = instance.trackers.iter().zip(tracks);
        trackers
            .map(|(tracker, track)| tracker.start(track.id(), self.control.clone()))
            .collect()
    }

    /// Gives everything up and waits, at most two seconds, until it is done.
    fn give_up(&mut self) {
        let now = self.host.now();
        self.stop(now);
        let deadline = now.saturating_add(PATIENCE);
        while !self.works.is_empty() {
            let now = self.host.now();
            if now >= deadline || self.host.wait(Some(deadline)).is_err() {
                return;
            }
            self.absorb_events(now);
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        let keys: Vec<_> = self.seats.keys().copied().collect();
        for key in keys {
            self.shut_down(key, now);
        }
        self.finish_pass(now);
    }

    fn shut_down(&mut self, key: u64, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let router = seat.router;
        self.feed(now, router, Input::Shutdown);
        self.carry_out(now);
        if let Some(seat) = self.seats.get_mut(&key) {
            for interface in seat.vmacs.iter_mut().filter_map(|link| link.index.take()) {
                self.work.push(key, Change::DeleteLink { interface });
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.give_up();
        self.works.clear();
        self.deliver();
        self.control.close();
        for seat in self.seats.values() {
            seat.shared.close();
        }
    }
}

/// An election on a thread of its own. Dropping it ends the election: the addresses are handed over and given up before
/// the drop returns.
#[derive(Debug)]
pub struct DriverThread {
    control: Control,
    thread: Option<std::thread::JoinHandle<Result<(), Error>>>,
}

impl DriverThread {
    /// The handle to the whole election.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Ends the election and waits until everything is given up.
    ///
    /// # Errors
    /// What [`Driver::run`] returned.
    pub fn stop(mut self) -> Result<(), Error> {
        self.control.stop();
        self.join()
    }

    fn join(&mut self) -> Result<(), Error> {
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl Drop for DriverThread {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            // Its error was for `stop` to report, and a panic must not become another inside a drop.
            let _ = thread.join();
        }
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.work.changes.is_empty() && self.work.announcements.is_empty()
    }

    fn push(&mut self, key: u64, change: Change) {
        let about = match &change {
            Change::AddAddress { address, .. } | Change::RemoveAddress { address, .. } => {
                About::Address(address.address())
            }
            Change::RefusePackets { address } => About::Filter(*address),
            _ => About::Other,
        };
        self.work.changes.push(change);
        self.owners.push((key, about));
    }

    fn announce(&mut self, _key: u64, announcements: Vec<crate::Announcement>) {
        self.work.announcements.extend(announcements);
    }

    /// Drops announcements that a later decision of the same pass has overtaken.
    fn forget_announcements(&mut self, instance: &Instance) {
        self.work.announcements.retain(|announcement| {
            !instance
                .addresses
                .iter()
                .any(|address| address.address() == announcement.address)
        });
    }
}

/// Numbers of tracked objects from here on are ours; the application's own are below.
const OWN_TRACKS: u32 = 1 << 31;
/// How long a driver that ends waits for the host to let go of the addresses.
const PATIENCE: Duration = Duration::from_secs(2);

/// keepalived's `min_auto_priority_delay`.
const LATE: Duration = Duration::from_secs(1);

/// What may be repeated for ever is said again after so long.
const QUIET: Duration = Duration::from_secs(60);

/// Many times what the election needs, and a quarter of what a thread gets otherwise.
const STACK: usize = 512 * 1024;
