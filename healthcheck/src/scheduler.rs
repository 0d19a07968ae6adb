//! When each attempt starts and when it has taken too long: two heaps over a clock that is handed in.
//!
//! Inside run two clocks, which are the caller's less what a stall took: one for deadlines, which hardly moves while the
//! caller does not look, and one for starts, which moves a little more. A machine that was suspended, a process that was
//! stopped or starved, thus costs nobody his deadline, brings no storm of overdue starts and leaves the phases as even
//! as they were; and a process that is always late checks less often, but does not stop.

use core::time::Duration;
use std::collections::VecDeque;

use crate::heap::Heap;
use crate::lateness::Lateness;
use crate::policy::Basis;
use crate::time::{Time, nanos};

/// Plans starts and watches deadlines of jobs, which it knows by number only.
///
/// A turn is [`begin_turn`](Self::begin_turn), then [`finish`](Self::finish) for everything that ended, then
/// [`poll_expired`](Self::poll_expired) until it is empty, then [`poll_start`](Self::poll_start) until it is empty, then
/// sleep until [`poll_timeout`](Self::poll_timeout) or input, whichever is first. The order matters: an answer that has
/// arrived counts although its deadline has passed meanwhile.
#[derive(Debug)]
pub struct Scheduler {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// A job is in at most one of the two: planned, or running against a deadline.
    starts: Heap,
    deadlines: Heap,
    lanes: Vec<LaneState>,
    hosts: Vec<HostState>,
    per_host: u32,
    /// The caller's clock in the present turn.
    real: u64,
    /// The clock of starts, and what it has lost to stalls.
    now: u64,
    lost_starts: u64,
    /// The clock of deadlines, and what it has lost.
    watch: u64,
    lost_watch: u64,
    /// When the caller was told to come back, on his clock.
    expected: Option<u64>,
    /// Whether the caller came back too late for this turn.
    late_turn: bool,
    limits: Limits,
    lateness: Lateness,
    stalls: u64,
}

/// How the scheduler treats the time it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Turns closer together than this are put together, to save wake-ups.
    pub coalesce: Duration,
    /// A turn that is later than this is a stall: deadlines move by what is more, and what still expires is inconclusive.
    pub stall: Duration,
    /// Starts that a stall made overdue are made up for as far as this, the others move: at most so much comes at once.
    pub catch_up: Duration,
}

impl Default for Limits {
    /// Turns at least 5 ms apart, a stall from 50 ms, starts of up to 100 ms at once after it.
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(5),
            stall: Duration::from_millis(50),
            catch_up: Duration::from_millis(100),
        }
    }
}

/// One attempt of one job. A ticket of an attempt that is over is recognised and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    job: u32,
    attempt: u32,
}

impl Ticket {
    /// The number of the job.
    pub const fn job(self) -> u32 {
        self.job
    }
}

/// An attempt that is to start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Names the attempt.
    pub ticket: Ticket,
    /// How much later than planned it starts.
    pub late: Duration,
}

/// When a job runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The delay.
    pub delay: Duration,
    /// What it is counted from.
    pub basis: Basis,
    /// Nanoseconds by which this one start is moved, earlier if negative; it does not move the later ones of a fixed rate.
    pub jitter: i64,
}

impl Scheduler {
    /// A scheduler with `lanes` kinds of attempts, none of them limited.
    pub fn new(lanes: u8, limits: Limits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            starts: Heap::default(),
            deadlines: Heap::default(),
            lanes: (0..lanes.max(1)).map(|_| LaneState::default()).collect(),
            hosts: Vec::new(),
            per_host: u32::MAX,
            real: 0,
            now: 0,
            lost_starts: 0,
            watch: 0,
            lost_watch: 0,
            expected: None,
            late_turn: false,
            limits,
            lateness: Lateness::default(),
            stalls: 0,
        }
    }

    /// At most this many attempts of a lane at once.
    pub fn limit_lane(&mut self, lane: u8, most: u32) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.most = most;
        }
    }

    /// At most this many attempts at once towards one host.
    pub fn limit_hosts(&mut self, most: u32) {
        self.per_host = most.max(1);
    }

    /// Whether there is a limit per host, so that hosts have to be told apart.
    pub(crate) const fn limits_hosts(&self) -> bool {
        self.per_host != u32::MAX
    }

    /// Makes room for this many more jobs without the waste of doubling.
    pub fn reserve(&mut self, jobs: usize) {
        let more = jobs.saturating_sub(self.free.len());
        self.slots.reserve_exact(more);
        self.starts.reserve_exact(jobs);
    }

    /// A new job, first due after `delay`; `grid` is where a fixed rate counts from, also as a delay from now.
    pub fn add(&mut self, lane: u8, host: u32, delay: Duration, grid: Duration) -> u32 {
        let lane = lane.min(u8::try_from(self.lanes.len().saturating_sub(1)).unwrap_or(u8::MAX));
        let at = self.now.saturating_add(nanos(delay));
        let due = self.now.saturating_add(nanos(grid));
        let host_index = usize::try_from(host).unwrap_or(usize::MAX);
        if self.limits_hosts() && host != NO_HOST && self.hosts.len() <= host_index {
            self.hosts
                .resize_with(host_index.saturating_add(1), HostState::default);
        }
        let job = match self.free.pop() {
            Some(job) => job,
            None => {
                self.slots.push(Slot::EMPTY);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.slot_mut(job) {
            slot.seq = slot.seq.wrapping_add(1);
            slot.due = due;
            slot.lane = lane;
            slot.host = host;
            slot.phase = Phase::Planned;
        }
        self.push_start(job, at);
        job
    }

    /// Ends a job. Its number may be given out again.
    pub fn remove(&mut self, job: u32) -> Option<Ticket> {
        let running = self.leave(job);
        if let Some(slot) = self.slot_mut(job)
            && slot.phase != Phase::Free
        {
            slot.phase = Phase::Free;
            self.free.push(job);
        }
        running
    }

    /// Stops starting a job. If an attempt was running, it is over: its ticket is returned and no longer counts.
    pub fn pause(&mut self, job: u32) -> Option<Ticket> {
        let running = self.leave(job);
        if let Some(slot) = self.slot_mut(job)
            && slot.phase != Phase::Free
        {
            slot.phase = Phase::Paused;
        }
        running
    }

    /// Starts a paused job again after `delay`. Anything but a paused job is left alone.
    pub fn resume(&mut self, job: u32, delay: Duration) {
        let at = self.now.saturating_add(nanos(delay));
        if let Some(slot) = self.slot_mut(job).filter(|slot| slot.phase == Phase::Paused) {
            slot.due = at;
            slot.phase = Phase::Planned;
            self.push_start(job, at);
        }
    }

    /// Brings the next start forward to this turn; the grid of a fixed rate stays.
    pub fn expedite(&mut self, job: u32) {
        let now = self.now;
        if self.slot(job).is_some_and(|slot| slot.phase == Phase::Planned) {
            self.push_start(job, now);
        }
    }

    /// Puts a planned start at most `delay` from now, for a policy that has become more frequent.
    pub fn hasten(&mut self, job: u32, delay: Duration) {
        let at = self.now.saturating_add(nanos(delay));
        if let Some(slot) = self
            .slot_mut(job)
            .filter(|slot| slot.phase == Phase::Planned && slot.due > at)
        {
            slot.due = at;
            self.push_start(job, at);
        }
    }

    /// Opens a turn at `now`, or tells the time before jobs are added or changed. Returns how late the caller is if that
    /// is a stall. A clock that goes back is taken as one that stands still.
    pub fn begin_turn(&mut self, now: Time) -> Option<Duration> {
        let before = self.real;
        self.real = now.as_nanos().max(before);
        let late = self
            .expected
            .map_or(0, |expected| self.real.saturating_sub(expected.max(before)));
        let stall = nanos(self.limits.stall);
        if late > stall {
            self.late_turn = true;
            self.stalls = self.stalls.saturating_add(1);
            self.lost_watch = self.lost_watch.saturating_add(late - stall);
            self.lost_starts = self
                .lost_starts
                .saturating_add(late.saturating_sub(nanos(self.limits.catch_up)));
        }
        self.now = self.real.saturating_sub(self.lost_starts);
        self.watch = self.real.saturating_sub(self.lost_watch);
        (late > stall).then(|| Duration::from_nanos(late))
    }

    /// Whether this turn began late, so that what expires in it proves nothing.
    pub const fn is_late_turn(&self) -> bool {
        self.late_turn
    }

    /// The next attempt whose deadline has passed. End it with
    /// [`finish`](Self::finish).
    pub fn poll_expired(&mut self) -> Option<Ticket> {
        let (_, job) = self.deadlines.peek().filter(|(at, _)| *at <= self.watch)?;
        self.unplan(job);
        let attempt = self.slot(job)?.seq;
        Some(Ticket { job, attempt })
    }

    /// The next attempt to start now, as far as the limits allow. Give it its time with [`arm`](Self::arm).
    pub fn poll_start(&mut self) -> Option<Due> {
        self.collect_due();
        for lane in 0..self.lanes.len() {
            while let Some(ready) = self.lanes.get_mut(lane).and_then(LaneState::next) {
                let Some(host) = self.waiting_host(ready) else {
                    continue;
                };
                if !self.enter_host(host, ready) {
                    continue;
                }
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.running = lane.running.saturating_add(1);
                }
                let late = Duration::from_nanos(self.now.saturating_sub(ready.planned));
                self.lateness.record(late);
                let slot = self.slots.get_mut(index(ready.job))?;
                slot.phase = Phase::Running;
                slot.seq = slot.seq.wrapping_add(1);
                let ticket = Ticket {
                    job: ready.job,
                    attempt: slot.seq,
                };
                return Some(Due { ticket, late });
            }
        }
        None
    }

    /// Sets the deadline of a running attempt, counted from this turn.
    pub fn arm(&mut self, ticket: Ticket, timeout: Duration) {
        let deadline = self.watch.saturating_add(nanos(timeout));
        if self.is_running(ticket) {
            self.unplan(ticket.job);
            self.deadlines
                .push(deadline, ticket.job, keep_places(&mut self.slots));
        }
    }

    /// Whether this attempt is still running.
    pub fn is_running(&self, ticket: Ticket) -> bool {
        self.slot(ticket.job)
            .is_some_and(|slot| slot.phase == Phase::Running && slot.seq == ticket.attempt)
    }

    /// Whether an attempt of this job is running.
    pub fn is_busy(&self, job: u32) -> bool {
        self.slot(job).is_some_and(|slot| slot.phase == Phase::Running)
    }

    /// Ends an attempt and plans the next one. Returns the number of starts of a fixed rate that fell into this
    /// attempt, or `None` for the ticket of an attempt that is already over.
    pub fn finish(&mut self, ticket: Ticket, next: Next) -> Option<u64> {
        self.running_mut(ticket)?;
        self.leave(ticket.job);
        let grace = nanos(self.limits.stall);
        let now = self.now;
        let delay = nanos(next.delay).max(1);
        let slot = self.slot_mut(ticket.job)?;
        let mut skipped = 0;
        slot.due = match next.basis {
            Basis::AfterCompletion => now.saturating_add(delay),
            // Started early on request: the planned start is still to come.
            Basis::FixedRate if slot.due > now => slot.due,
            Basis::FixedRate => {
                // A start that was missed by a hair is made up for, others are skipped.
                let passed = now.saturating_sub(slot.due).saturating_sub(grace.min(delay / 4));
                let steps = passed.div_ceil(delay).max(1);
                skipped = steps - 1;
                slot.due.saturating_add(delay.saturating_mul(steps))
            }
        };
        slot.phase = Phase::Planned;
        let at = slot.due.saturating_add_signed(next.jitter).max(now);
        self.push_start(ticket.job, at);
        Some(skipped)
    }

    /// When to come back, on the caller's clock; `None` when nothing is planned.
    ///
    /// The answer is remembered: coming back later than this is being late.
    pub fn poll_timeout(&mut self) -> Option<Time> {
        self.late_turn = false;
        let soonest = self.real.saturating_add(nanos(self.limits.coalesce));
        let start = self
            .starts
            .peek()
            .map(|(at, _)| at.saturating_add(self.lost_starts));
        let deadline = self
            .deadlines
            .peek()
            .map(|(at, _)| at.saturating_add(self.lost_watch));
        let waiting = self
            .lanes
            .iter()
            .any(|lane| !lane.ready.is_empty() && lane.running < lane.most);
        let planned = [start, deadline].into_iter().flatten().min();
        self.expected = if waiting {
            Some(soonest)
        } else {
            planned.map(|at| at.max(soonest))
        };
        self.expected.map(Time::from_nanos)
    }

    /// How late starts were, compared with the plan.
    pub const fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// How many turns were stalls.
    pub const fn stalls(&self) -> u64 {
        self.stalls
    }

    /// The time in which nobody looked, over all stalls.
    pub const fn inattentive(&self) -> Duration {
        Duration::from_nanos(self.lost_watch)
    }

    /// Attempts running in a lane.
    pub fn running(&self, lane: u8) -> u32 {
        self.lanes.get(usize::from(lane)).map_or(0, |lane| lane.running)
    }

    /// Attempts that are due but wait for a place within the limits.
    pub fn waiting(&self) -> usize {
        let lanes: usize = self.lanes.iter().map(|lane| lane.ready.len()).sum();
        lanes + self.hosts.iter().map(|host| host.waiting.len()).sum::<usize>()
    }

    /// Moves what is due from the heap to the queues.
    fn collect_due(&mut self) {
        while let Some((planned, job)) = self.starts.peek().filter(|(at, _)| *at <= self.now) {
            self.unplan(job);
            let Some(slot) = self.slots.get_mut(index(job)) else {
                continue;
            };
            slot.phase = Phase::Waiting;
            let ready = Ready {
                job,
                seq: slot.seq,
                planned,
            };
            if let Some(lane) = self.lanes.get_mut(usize::from(slot.lane)) {
                lane.ready.push_back(ready);
            }
        }
    }

    /// The host of a job that is still waiting for this start; `None` if something else has happened to it meanwhile.
    fn waiting_host(&self, ready: Ready) -> Option<u32> {
        let slot = self.slot(ready.job)?;
        (slot.seq == ready.seq && slot.phase == Phase::Waiting).then_some(slot.host)
    }

    /// Takes a place of this host, or queues the job for one.
    fn enter_host(&mut self, host: u32, ready: Ready) -> bool {
        let most = self.per_host;
        let Some(host) = self.hosts.get_mut(index(host)) else {
            return true;
        };
        if host.running >= most {
            host.waiting.push_back(ready);
            return false;
        }
        host.running += 1;
        true
    }

    /// Takes a job out of whatever it is in, and gives back its places. Returns the ticket if it was running.
    fn leave(&mut self, job: u32) -> Option<Ticket> {
        self.unplan(job);
        let slot = self.slots.get_mut(index(job))?;
        let ticket = Ticket {
            job,
            attempt: slot.seq,
        };
        let (was, lane, host) = (slot.phase, slot.lane, slot.host);
        slot.seq = slot.seq.wrapping_add(1);
        if was != Phase::Running {
            return None;
        }
        slot.phase = Phase::Paused;
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.running = lane.running.saturating_sub(1);
        }
        if let Some(host) = self.hosts.get_mut(index(host)) {
            host.running = host.running.saturating_sub(1);
            // Whoever waits for the place of this host goes back to the queue of his lane; who no longer waits is passed over.
            while let Some(ready) = host.waiting.pop_front() {
                let waits = |slot: &&Slot| slot.seq == ready.seq && slot.phase == Phase::Waiting;
                let Some(slot) = self.slots.get(index(ready.job)).filter(waits) else {
                    continue;
                };
                if let Some(lane) = self.lanes.get_mut(usize::from(slot.lane)) {
                    lane.ready.push_back(ready);
                }
                break;
            }
        }
        Some(ticket)
    }

    fn push_start(&mut self, job: u32, at: u64) {
        self.unplan(job);
        let Some(slot) = self.slot_mut(job) else { return };
        slot.seq = slot.seq.wrapping_add(1);
        self.starts.push(at, job, keep_places(&mut self.slots));
    }

    /// Takes a job out of the heap it is in.
    fn unplan(&mut self, job: u32) {
        let Some(slot) = self.slots.get_mut(index(job)) else {
            return;
        };
        let place = core::mem::replace(&mut slot.place, NOWHERE);
        if place == NOWHERE {
            return;
        }
        let heap = match slot.phase {
            Phase::Running => &mut self.deadlines,
            Phase::Planned => &mut self.starts,
            Phase::Free | Phase::Paused | Phase::Waiting => return,
        };
        heap.remove(place, keep_places(&mut self.slots));
    }

    fn slot(&self, job: u32) -> Option<&Slot> {
        self.slots.get(index(job))
    }

    fn slot_mut(&mut self, job: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index(job))
    }

    fn running_mut(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.slot_mut(ticket.job)
            .filter(|slot| slot.phase == Phase::Running && slot.seq == ticket.attempt)
    }
}

/// The host number of a job that is under no limit per host.
pub(crate) const NO_HOST: u32 = u32::MAX;

#[derive(Debug)]
struct Slot {
    /// The planned start, without jitter.
    due: u64,
    /// Changes with everything that happens to the job: it tells stale tickets.
    seq: u32,
    /// Where in its heap the job is.
    place: u32,
    host: u32,
    lane: u8,
    phase: Phase,
}

impl Slot {
    const EMPTY: Self = Self {
        due: 0,
        seq: 0,
        place: NOWHERE,
        host: NO_HOST,
        lane: 0,
        phase: Phase::Free,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    Paused,
    Planned,
    Waiting,
    Running,
}

/// A start that is due and waits for a place within the limits.
#[derive(Clone, Copy, Debug)]
struct Ready {
    job: u32,
    seq: u32,
    planned: u64,
}

#[derive(Debug)]
struct LaneState {
    most: u32,
    running: u32,
    ready: VecDeque<Ready>,
}

impl LaneState {
    /// The next in the queue, if there is a place.
    fn next(&mut self) -> Option<Ready> {
        if self.running >= self.most {
            return None;
        }
        let room = self.ready.capacity();
        if room > ROOM_TO_KEEP && self.ready.len() < room / 4 {
            // Everybody was due at once; that does not happen every day.
            self.ready.shrink_to(room / 2);
        }
        self.ready.pop_front()
    }
}

impl Default for LaneState {
    fn default() -> Self {
        Self {
            most: u32::MAX,
            running: 0,
            ready: VecDeque::new(),
        }
    }
}

#[derive(Debug, Default)]
struct HostState {
    running: u32,
    waiting: VecDeque<Ready>,
}

/// Room in a queue that is not given back.
const ROOM_TO_KEEP: usize = 1_024;
/// The place of a job that is in no heap.
const NOWHERE: u32 = u32::MAX;

/// Notes where a heap has moved jobs to.
fn keep_places(slots: &mut [Slot]) -> impl FnMut(u32, u32) + '_ {
    |job, place| {
        if let Some(slot) = slots.get_mut(index(job)) {
            slot.place = place;
        }
    }
}

fn index(job: u32) -> usize {
    usize::try_from(job).unwrap_or(usize::MAX)
}
