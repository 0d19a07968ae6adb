use alloc::boxed::Box;
use core::net::IpAddr;

use vrrp_proto::{AddressFamily, AdverInterval, Priority, Version};

use crate::alarm::Alarms;
use crate::outputs::Outputs;
use crate::phase::{Active, Backup, Phase, Wait};
use crate::statistics::{Counters, NewMasterReason};
use crate::track::Known;
use crate::{Event, Fault, Heard, Input, Instant, Output, Parameters, Reason, State, Statistics, timers};

/// One virtual router of [RFC 9568](https://www.rfc-editor.org/rfc/rfc9568): a value that changes with the inputs it is
/// given and nothing else.
///
/// # How it is driven
///
/// 1. Make it with [`new`](Self::new). It is in Initialize and has no timeout.
/// 2. Give it what happens, with the time: [`handle_input`](Self::handle_input). [`Input::Startup`] first, or the
///    primary address and the tracked objects before it. An advertisement comes in through
///    [`VrrpRouter::handle_packet`](crate::VrrpRouter::handle_packet), which makes the receive checks.
/// 3. After **each** input take all outputs from [`poll_output`](Self::poll_output) and carry them out in that order.
/// 4. Give it [`Input::Timeout`] when the time of [`poll_timeout`](Self::poll_timeout) has come; ask anew after each
///    input.
///
/// After a pause (a stopped process, a suspended machine), and in general, hand in the packets that wait in the socket
/// before the timeout that is due: each with the time of the call and, in [`Heard::received`], its own.
///
/// # What holds
///
/// - There is a timeout exactly outside of Initialize, and after an input it lies after the time of that input.
/// - The addresses are on the host exactly while [`holds_addresses`](Self::holds_addresses): while active, and for at
///   most one listening interval (two in a sync group) after a start that found them there.
/// - Time never goes back: an input with an earlier time than the last counts as simultaneous with it.
/// - What one input puts out is bounded by a constant, but for [`Input::Configure`], which may add a few for each address.
/// - An active router that did not run for so long that others must have taken over becomes a backup before anything
///   else, unless it owns the addresses. A backup that slept through a whole down interval listens for another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualRouter {
    pub(crate) parameters: Parameters,
    pub(crate) phase: Phase,
    pub(crate) counters: Counters,
    pub(crate) outputs: Outputs,
    pub(crate) tracked: Box<[Known]>,
    pub(crate) alarms: Option<Box<Alarms>>,
    pub(crate) latest: Instant,
    pub(crate) changed: Instant,
    pub(crate) reason: Reason,
    pub(crate) last_heard: Option<LastHeard>,
    pub(crate) primary: Option<IpAddr>,
    pub(crate) effective: Priority,
    pub(crate) conditions: Conditions,
    pub(crate) holding: bool,
}

/// What decides whether the virtual router takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Conditions {
    pub(crate) started: bool,
    pub(crate) interface_up: bool,
    pub(crate) driver_fault: bool,
    /// A member of a sync group, which becomes active with the others only.
    pub(crate) grouped: bool,
    pub(crate) group_fault: Option<Fault>,
}

/// The last advertisement of another active router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LastHeard {
    /// Who sent it.
    pub source: IpAddr,
    /// Its priority, not 0.
    pub priority: Priority,
    /// When.
    pub received: Instant,
}

impl VirtualRouter {
    /// A virtual router in Initialize, with the address that its advertisements will be sent from if it is known.
    pub fn new(parameters: Parameters, primary_address: Option<IpAddr>) -> Self {
        let mut router = Self {
            tracked: parameters.tracks().iter().map(|_| Known::Pending).collect(),
            effective: parameters.priority(),
            parameters,
            phase: Phase::Initialize,
            counters: Counters::default(),
            outputs: Outputs::new(),
            alarms: None,
            latest: Instant::ZERO,
            changed: Instant::ZERO,
            reason: Reason::NotStarted,
            last_heard: None,
            primary: None,
            conditions: Conditions {
                started: false,
                interface_up: true,
                driver_fault: false,
                grouped: false,
                group_fault: None,
            },
            holding: false,
        };
        router.set_primary(primary_address);
        router
    }

    /// Takes in what happened at `now`. It cannot fail.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        let now = now.max(self.latest);
        self.latest = now;
        self.yield_after_pause(now);
        match input {
            Input::Startup { held } => self.startup(now, held),
            Input::Shutdown => self.shutdown(now),
            Input::Timeout => {}
            Input::Advertisement(heard) => self.advertisement(now, &heard),
            Input::PeerDown(peer) => self.peer_down(now, peer),
            Input::Resign => self.resign(now),
            Input::Interface { up } => {
                self.conditions.interface_up = up;
                self.faults_changed(now);
            }
            Input::PrimaryAddress(address) => {
                self.set_primary(address);
                self.faults_changed(now);
            }
            Input::Fault { present } => {
                self.conditions.driver_fault = present;
                self.faults_changed(now);
            }
            Input::Track { id, status } => self.track(now, id, status),
            Input::AddressesLost => self.addresses_lost(),
            Input::Announce => self.announce(),
            Input::Configure(parameters) => self.configure(now, *parameters),
        }
        self.expire(now);
    }

    /// The next thing to do, to be asked for until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// When [`Input::Timeout`] is due; `None` exactly in Initialize.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Initialize => None,
            Phase::Backup(backup) => Some(self.active_down_deadline(backup)),
            Phase::Active(active) => Some(
                self.adver_deadline(active)
                    .min(active.second_block)
                    .min(active.refresh)
                    .min(active.lower_priority_block),
            ),
        }
    }

    /// The state.
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Initialize => State::Initialize,
            Phase::Backup(_) => State::Backup,
            Phase::Active(_) => State::Active,
        }
    }

    /// Why it is in this state.
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Since when it is in this state.
    pub const fn since(&self) -> Instant {
        self.changed
    }

    /// The parameters that are in force.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The priority after tracking: what advertisements carry.
    pub const fn effective_priority(&self) -> Priority {
        self.effective
    }

    /// The address that advertisements are sent from.
    pub const fn primary_address(&self) -> Option<IpAddr> {
        self.primary
    }

    /// Who is active as far as this router knows: itself, or the last that it accepted, or else the last that it heard.
    pub fn active_router(&self) -> Option<IpAddr> {
        match &self.phase {
            Phase::Initialize => None,
            Phase::Active(_) => self.primary,
            Phase::Backup(backup) => match backup.wait {
                Wait::Full(Some(accepted)) => Some(accepted),
                Wait::Full(None) | Wait::Left(_) | Wait::Down(_) => self.last_heard.map(|last| last.source),
            },
        }
    }

    /// The last advertisement of another active router, whether it won or lost.
    pub const fn last_heard(&self) -> Option<LastHeard> {
        self.last_heard
    }

    /// Whether the addresses are on this host: while active, and while listening after a start that found them.
    pub const fn holds_addresses(&self) -> bool {
        matches!(self.phase, Phase::Active(_)) || self.holding
    }

    /// The counters.
    pub fn statistics(&self) -> Statistics {
        self.counters.statistics()
    }

    /// Active_Adver_Interval: that of the active router, as far as it is known ([RFC 9568 §6.1]).
    ///
    /// [RFC 9568 §6.1]: https://www.rfc-editor.org/rfc/rfc9568#section-6.1
    pub fn active_adver_interval(&self) -> AdverInterval {
        match &self.phase {
            Phase::Backup(backup) => self.interval_of(backup),
            Phase::Initialize | Phase::Active(_) => self.parameters.adver_interval,
        }
    }

    pub(crate) const fn version(&self) -> Version {
        self.parameters.version()
    }

    pub(crate) fn put(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(crate) fn tell(&mut self, event: Option<Event>) {
        if let Some(event) = event {
            self.put(Output::Event(event));
        }
    }

    fn set_primary(&mut self, address: Option<IpAddr>) {
        self.primary = address.filter(|address| AddressFamily::of(*address) == self.parameters.family);
    }

    fn startup(&mut self, now: Instant, held: bool) {
        if self.conditions.started {
            return;
        }
        self.conditions.started = true;
        self.holding = held;
        if held {
            // The predecessor was active with these objects; that they have not reported yet is no reason to let go.
            self.waive_pending();
        }
        let reason = if held {
            Reason::StartedHolding
        } else {
            Reason::Started
        };
        if self.fault().is_none() {
            self.begin(now, reason);
        } else {
            self.faults_changed(now);
        }
    }

    fn shutdown(&mut self, now: Instant) {
        if !self.conditions.started {
            return;
        }
        self.conditions.started = false;
        self.leave(now, Phase::Initialize, Reason::Shutdown, SayZero::Yes);
    }

    /// From Initialize, with nothing in the way.
    pub(crate) fn begin(&mut self, now: Instant, reason: Reason) {
        self.last_heard = None;
        let owner = self.effective.is_owner();
        if owner && !self.conditions.grouped {
            let reason = if reason == Reason::FaultOver {
                reason
            } else {
                Reason::Owner
            };
            self.become_active(now, reason, NewMasterReason::Priority);
            return;
        }
        let mut backup = Backup::new(now);
        if owner {
            backup.wants = Some(Box::new(Reason::Owner));
        }
        self.change(now, Phase::Backup(backup), reason);
    }

    /// From any state to Initialize or Backup, without the addresses.
    pub(crate) fn leave(&mut self, now: Instant, to: Phase, reason: Reason, say_zero: SayZero) {
        if self.state() == State::Active {
            self.counters.rare().master_releases += 1;
            if say_zero == SayZero::Yes {
                self.advertise(Priority::RELEASE);
            }
        }
        if self.holds_addresses() {
            self.holding = false;
            self.put(Output::RemoveAddresses);
        }
        self.change(now, to, reason);
    }

    pub(crate) fn become_active(&mut self, now: Instant, reason: Reason, counted: NewMasterReason) {
        self.counters.master_transitions += 1;
        self.counters.new_master_reason = counted;
        let schedule = self.parameters.announcements;
        let second_block = after(now, schedule.delay);
        let refresh_from = if second_block == Instant::NEVER {
            now
        } else {
            second_block
        };
        let active = Active {
            sent: now,
            answer_from: now,
            second_block,
            refresh: after(refresh_from, schedule.refresh),
            lower_priority_block: Instant::NEVER,
            rival_since: Instant::NEVER,
            rival_until: Instant::NEVER,
        };
        self.holding = false;
        self.advertise(self.effective);
        self.put(Output::AddAddresses);
        self.put(Output::Announce {
            repeat: schedule.repeat,
        });
        self.change(now, Phase::Active(active), reason);
    }

    fn change(&mut self, now: Instant, to: Phase, reason: Reason) {
        let from = self.state();
        self.phase = to;
        self.reason = reason;
        self.changed = now;
        let to = self.state();
        self.put(Output::Event(Event::StateChanged { from, to, reason }));
    }

    pub(crate) fn advertise(&mut self, priority: Priority) {
        self.counters.sent_advertisements += 1;
        if priority.is_release() {
            self.counters.rare().sent_pri_zero_packets += 1;
        }
        self.put(Output::Advertise { priority });
    }

    fn advertisement(&mut self, now: Instant, heard: &Heard) {
        let owner_is_deaf = self.effective.is_owner() && self.parameters.owner_ignores_advertisements;
        if self.state() == State::Initialize || owner_is_deaf {
            return;
        }
        if Some(heard.source) == self.primary {
            self.own_source(now, heard.source);
            return;
        }
        let heard = Heard {
            received: heard.received.min(now),
            ..*heard
        };
        self.counters.rcvd_advertisements += 1;
        if heard.priority.is_release() {
            self.counters.rare().rcvd_pri_zero_packets += 1;
        } else {
            self.last_heard = Some(LastHeard {
                source: heard.source,
                priority: heard.priority,
                received: heard.received,
            });
        }
        match self.phase {
            Phase::Initialize => {}
            Phase::Backup(_) => self.heard_in_backup(now, &heard),
            Phase::Active(_) => self.heard_while_active(now, &heard),
        }
        self.compare(now, &heard);
    }

    fn resign(&mut self, now: Instant) {
        if self.state() == State::Active {
            let mut backup = Backup::new(now);
            backup.resigned = true;
            self.leave(now, Phase::Backup(backup), Reason::Resigned, SayZero::Yes);
        }
    }

    /// Whatever is due by now. Afterwards nothing is.
    fn expire(&mut self, now: Instant) {
        match self.phase {
            Phase::Initialize => {}
            Phase::Backup(_) => self.expire_backup(now),
            Phase::Active(_) => self.expire_active(now),
        }
    }

    pub(crate) fn interval_of(&self, backup: &Backup) -> AdverInterval {
        backup.learned.unwrap_or(self.parameters.adver_interval)
    }

    pub(crate) fn active_down_deadline(&self, backup: &Backup) -> Instant {
        backup
            .since
            .plus(self.wait_nanos(backup.wait, self.interval_of(backup)))
    }

    /// How long a wait is with the parameters in force.
    pub(crate) const fn wait_nanos(&self, wait: Wait, interval: AdverInterval) -> u64 {
        let adverts = match wait {
            Wait::Full(_) => self.parameters.down_timer_adverts,
            Wait::Left(_) | Wait::Down(_) => 0,
        };
        timers::active_down(self.version(), self.effective, interval, adverts)
    }

    /// Active_Down_Interval with the interval in force.
    pub(crate) fn down_nanos(&self) -> u64 {
        self.wait_nanos(Wait::Full(None), self.active_adver_interval())
    }

    pub(crate) const fn adver_deadline(&self, active: &Active) -> Instant {
        active.sent.plus(self.parameters.adver_interval.as_nanos())
    }
}

/// Whether an active router that leaves says so with priority 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SayZero {
    Yes,
    No,
}

/// The end of an optional delay; never for zero.
pub(crate) const fn after(now: Instant, nanos: u64) -> Instant {
    if nanos == 0 {
        Instant::NEVER
    } else {
        now.plus(nanos)
    }
}
