//! When each attempt starts and when it has taken too long: two heaps over a clock that is handed in.
//!
//! Inside run two clocks, which are the caller's less what a stall took: one for deadlines, which hardly moves while the
//! caller does not look, and one for starts, which moves a little more. A machine that was suspended, a process that was
//! stopped or starved, thus costs nobody his deadline, brings no storm of overdue starts and leaves the phases as even
//! as they were; and a process that is always late checks less often, but does not stop.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};

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
    starts: BinaryHeap<Reverse<Entry>>,
    deadlines: BinaryHeap<Reverse<Entry>>,
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
            starts: BinaryHeap::new(),
            deadlines: BinaryHeap::new(),
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

    /// Makes room for this many more jobs without the waste of doubling.
    pub fn reserve(&mut self, jobs: usize) {
        let more = jobs.saturating_sub(self.free.len());
        self.slots.reserve_exact(more);
        self.starts.reserve_exact(jobs);
        self.deadlines.reserve_exact(jobs);
    }

    /// A new job, first due after `delay`; `grid` is where a fixed rate counts from, also as a delay from now.
    pub fn add(&mut self, lane: u8, host: u32, delay: Duration, grid: Duration) -> u32 {
        let lane = lane.min(u8::try_from(self.lanes.len().saturating_sub(1)).unwrap_or(u8::MAX));
        let at = self.now.saturating_add(nanos(delay));
        let due = self.now.saturating_add(nanos(grid));
        let host_index = usize::try_from(host).unwrap_or(usize::MAX);
        if self.per_host != u32::MAX && host != NO_HOST && self.hosts.len() <= host_index {
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
        while let Some(Reverse(entry)) = self.deadlines.peek().copied() {
            if entry.at > self.watch {
                break;
            }
            self.deadlines.pop();
            let now = self.watch;
            let Some(slot) = self.slot_mut(entry.job).filter(|slot| slot.armed == entry.at) else {
                continue;
            };
            slot.armed = UNARMED;
            if slot.phase != Phase::Running || slot.deadline == UNARMED {
                continue;
            }
            if slot.deadline > now {
                // The entry belonged to an earlier attempt of this job; one entry per job is all the heap ever holds.
                slot.armed = slot.deadline;
                let again = Entry {
                    at: slot.deadline,
                    job: entry.job,
                    seq: 0,
                };
                self.deadlines.push(Reverse(again));
                continue;
            }
            let ticket = Ticket {
                job: entry.job,
                attempt: slot.seq,
            };
            return Some(ticket);
        }
        None
    }

    /// The next attempt to start now, as far as the limits allow. Give it its time with [`arm`](Self::arm).
    pub fn poll_start(&mut self) -> Option<Due> {
        self.collect_due();
        for lane in 0..self.lanes.len() {
            while let Some((job, seq)) = self.lanes.get_mut(lane).and_then(LaneState::next) {
                let Some(slot) = self
                    .slots
                    .get(index(job))
                    .filter(|s| s.seq == seq && s.phase == Phase::Waiting)
                else {
                    continue;
                };
                let (host, planned) = (slot.host, slot.deadline);
                if !self.enter_host(host, job, seq) {
                    continue;
                }
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.running = lane.running.saturating_add(1);
                }
                let late = Duration::from_nanos(self.now.saturating_sub(planned));
                self.lateness.record(late);
                let slot = self.slots.get_mut(index(job))?;
                slot.phase = Phase::Running;
                slot.seq = slot.seq.wrapping_add(1);
                slot.deadline = UNARMED;
                return Some(Due {
                    ticket: Ticket {
                        job,
                        attempt: slot.seq,
                    },
                    late,
                });
            }
        }
        None
    }

    /// Sets the deadline of a running attempt, counted from this turn.
    pub fn arm(&mut self, ticket: Ticket, timeout: Duration) {
        let deadline = self.watch.saturating_add(nanos(timeout)).min(UNARMED - 1);
        let Some(slot) = self.running_mut(ticket) else {
            return;
        };
        slot.deadline = deadline;
        if deadline < slot.armed {
            slot.armed = deadline;
            self.deadlines.push(Reverse(Entry {
                at: deadline,
                job: ticket.job,
                seq: 0,
            }));
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
            .map(|entry| entry.0.at.saturating_add(self.lost_starts));
        let deadline = self
            .deadlines
            .peek()
            .map(|entry| entry.0.at.saturating_add(self.lost_watch));
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
        while let Some(Reverse(entry)) = self.starts.peek().copied() {
            if entry.at > self.now {
                break;
            }
            self.starts.pop();
            let Some(slot) = self.slots.get_mut(index(entry.job)) else {
                continue;
            };
            if slot.phase != Phase::Planned || slot.seq != entry.seq {
                continue;
            }
            slot.phase = Phase::Waiting;
            // While a job waits, its deadline field holds when it should have started.
            slot.deadline = entry.at;
            if let Some(lane) = self.lanes.get_mut(usize::from(slot.lane)) {
                lane.ready.push_back((entry.job, entry.seq));
            }
        }
    }

    /// Takes a place of this host, or queues the job for one.
    fn enter_host(&mut self, host: u32, job: u32, seq: u32) -> bool {
        let most = self.per_host;
        let Some(host) = self.hosts.get_mut(index(host)) else {
            return true;
        };
        if host.running >= most {
            host.waiting.push_back((job, seq));
            return false;
        }
        host.running += 1;
        true
    }

    /// Takes a job out of whatever it is in, and gives back its places. Returns the ticket if it was running.
    fn leave(&mut self, job: u32) -> Option<Ticket> {
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
            while let Some((next, seq)) = host.waiting.pop_front() {
                let Some(slot) = self
                    .slots
                    .get(index(next))
                    .filter(|s| s.seq == seq && s.phase == Phase::Waiting)
                else {
                    continue;
                };
                if let Some(lane) = self.lanes.get_mut(usize::from(slot.lane)) {
                    lane.ready.push_back((next, seq));
                }
                break;
            }
        }
        Some(ticket)
    }

    fn push_start(&mut self, job: u32, at: u64) {
        let Some(slot) = self.slots.get_mut(index(job)) else {
            return;
        };
        slot.seq = slot.seq.wrapping_add(1);
        let entry = Entry {
            at,
            job,
            seq: slot.seq,
        };
        self.starts.push(Reverse(entry));
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
    /// The end of the running attempt; while waiting, when the start was planned.
    deadline: u64,
    /// The time of this job's entry in the heap of deadlines, which may be earlier than the deadline.
    armed: u64,
    /// Changes with everything that happens to the job: it tells stale entries and tickets.
    seq: u32,
    host: u32,
    lane: u8,
    phase: Phase,
}

impl Slot {
    const EMPTY: Self = Self {
        due: 0,
        deadline: UNARMED,
        armed: UNARMED,
        seq: 0,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    job: u32,
    seq: u32,
}

#[derive(Debug)]
struct LaneState {
    most: u32,
    running: u32,
    ready: VecDeque<(u32, u32)>,
}

impl LaneState {
    /// The next in the queue, if there is a place.
    fn next(&mut self) -> Option<(u32, u32)> {
        if self.running < self.most {
            self.ready.pop_front()
        } else {
            None
        }
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
    waiting: VecDeque<(u32, u32)>,
}

const UNARMED: u64 = u64::MAX;

fn index(job: u32) -> usize {
    usize::try_from(job).unwrap_or(usize::MAX)
}
