use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use vrrp_proto::Priority;

use super::journal::rebuild;
use super::{Happening, HostClock, HostPlan, Journal, MemberPlan};
use crate::{
    Event, Input, Instant, Output, Parameters, Reason, RouterId, State, TrackStatus, VirtualRouter,
    VrrpRouter,
};

/// One host: its virtual routers while its process lives, and the addresses on its interfaces, which outlive that.
#[derive(Clone, Debug)]
pub struct Host {
    number: u8,
    plan: HostPlan,
    router: Option<VrrpRouter>,
    members: Vec<RouterId>,
    held: Vec<BTreeSet<IpAddr>>,
    pub(super) clock: HostClock,
    /// The state of the interface to each segment; up unless noted.
    down: BTreeSet<u8>,
    tracks: BTreeMap<u8, TrackStatus>,
    pub(super) paused: bool,
    pub(super) journal: Option<Journal>,
    pub(super) transitions: u64,
}

/// An invariant of the protocol that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in simulated time.
    pub at: Instant,
    /// Which, and where.
    pub what: String,
}

/// A packet that a host sends.
pub(super) struct Sent {
    pub(super) segment: u8,
    pub(super) source: IpAddr,
    pub(super) parameters: Parameters,
    pub(super) priority: Priority,
}

impl Host {
    pub(super) fn new(number: u8, plan: HostPlan) -> Self {
        Self {
            number,
            held: plan.members.iter().map(|_| BTreeSet::new()).collect(),
            // Origins far apart: nothing may depend on the clocks of two hosts being alike.
            clock: HostClock::new(
                Instant::from_millis(1_000_000 + 1_234_567 * u64::from(number)),
                plan.drift,
            ),
            plan,
            router: None,
            members: Vec::new(),
            down: BTreeSet::new(),
            tracks: BTreeMap::new(),
            paused: false,
            journal: None,
            transitions: 0,
        }
    }

    /// The virtual routers, while the process lives.
    pub fn router(&self) -> Option<&VrrpRouter> {
        self.router.as_ref()
    }

    /// One of its virtual routers, while the process lives.
    pub fn virtual_router(&self, member: usize) -> Option<&VirtualRouter> {
        self.router.as_ref()?.virtual_router(*self.members.get(member)?)
    }

    /// The plan, with the changes made to it since.
    pub fn plan(&self) -> &HostPlan {
        &self.plan
    }

    /// The addresses of a virtual router that are on the host, whether the process lives or not.
    pub fn held(&self, member: usize) -> impl Iterator<Item = IpAddr> {
        self.held.get(member).into_iter().flatten().copied()
    }

    /// Its clock.
    pub fn clock(&self) -> &HostClock {
        &self.clock
    }

    /// The process starts; whatever a killed predecessor left is there.
    pub(super) fn start(&mut self, now: Instant, sent: &mut Vec<Sent>) -> Result<(), String> {
        if self.router.is_some() {
            return Ok(());
        }
        let (router, members) = rebuild(now, self.number, &self.plan)?;
        self.members = members;
        self.router = Some(router);
        if let Some(journal) = &mut self.journal {
            journal.note(now, Happening::ProcessStarted(self.plan.clone()));
        }
        for segment in self.down.clone() {
            self.happen(now, Happening::Interface { segment, up: false }, sent)?;
        }
        for (id, status) in self.tracks.clone() {
            self.happen(now, Happening::Track { id, status }, sent)?;
        }
        for member in 0..self.plan.members.len() {
            let held = self.held.get(member).is_some_and(|held| !held.is_empty());
            self.happen(
                now,
                Happening::Input {
                    member,
                    input: Input::Startup { held },
                },
                sent,
            )?;
        }
        Ok(())
    }

    /// The process is killed: nothing is sent, and the addresses stay.
    pub(super) fn crash(&mut self) {
        self.router = None;
        self.paused = false;
    }

    /// The process stops in an orderly way.
    pub(super) fn stop(&mut self, now: Instant, sent: &mut Vec<Sent>) -> Result<(), String> {
        for member in 0..self.plan.members.len() {
            self.happen(
                now,
                Happening::Input {
                    member,
                    input: Input::Shutdown,
                },
                sent,
            )?;
        }
        self.crash();
        Ok(())
    }

    pub(super) fn set_interface(
        &mut self,
        now: Instant,
        segment: u8,
        up: bool,
        sent: &mut Vec<Sent>,
    ) -> Result<(), String> {
        if up {
            self.down.remove(&segment);
        } else {
            self.down.insert(segment);
        }
        self.happen(now, Happening::Interface { segment, up }, sent)
    }

    pub(super) fn is_up(&self, segment: u8) -> bool {
        !self.down.contains(&segment)
    }

    pub(super) fn set_track(
        &mut self,
        now: Instant,
        id: u8,
        status: TrackStatus,
        sent: &mut Vec<Sent>,
    ) -> Result<(), String> {
        self.tracks.insert(id, status);
        self.happen(now, Happening::Track { id, status }, sent)
    }

    /// Other numbers for one virtual router, from now on.
    pub(super) fn configure(
        &mut self,
        now: Instant,
        member: usize,
        plan: MemberPlan,
        sent: &mut Vec<Sent>,
    ) -> Result<(), String> {
        let Some(place) = self.plan.members.get_mut(member) else {
            return Ok(());
        };
        *place = plan;
        let parameters = plan.parameters().map_err(|error| format!("plan: {error}"))?;
        self.happen(
            now,
            Happening::Input {
                member,
                input: Input::Configure(parameters.into()),
            },
            sent,
        )
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.router.as_ref()?.poll_timeout()
    }

    /// Gives something to the process, carries out what it answers, and checks it.
    pub(super) fn happen(
        &mut self,
        now: Instant,
        happening: Happening,
        sent: &mut Vec<Sent>,
    ) -> Result<(), String> {
        let Some(router) = &mut self.router else {
            return Ok(());
        };
        let before: Vec<State> = self
            .members
            .iter()
            .map(|id| {
                router
                    .virtual_router(*id)
                    .map_or(State::Initialize, VirtualRouter::state)
            })
            .collect();
        if let Happening::Input {
            member,
            input: Input::Startup { held: true },
        } = &happening
        {
            // Configured anew meanwhile, perhaps: what is there is what the plan says.
            if let (Some(held), Some(id)) = (self.held.get_mut(*member), self.members.get(*member)) {
                let parameters = router.virtual_router(*id).map(VirtualRouter::parameters);
                *held = parameters
                    .into_iter()
                    .flat_map(|known| known.addresses().iter().copied())
                    .collect();
            }
        }
        happening.give(router, &self.members, now)?;
        let mut outputs = Vec::new();
        while let Some(output) = router.poll_output() {
            outputs.push(output);
        }
        let limit = OUTPUTS_PER_MEMBER * self.members.len().max(1);
        if outputs.len() > limit {
            return Err(format!("I12: {} outputs for {happening:?}", outputs.len()));
        }
        let all_timers = matches!(happening, Happening::Timeout);
        if let Some(journal) = &mut self.journal {
            journal.note(now, happening);
            journal.note_outputs(&outputs);
        }
        self.carry_out(&before, &outputs, sent)?;
        self.check(all_timers.then_some(now))
    }

    fn carry_out(
        &mut self,
        before: &[State],
        outputs: &[(RouterId, Output)],
        sent: &mut Vec<Sent>,
    ) -> Result<(), String> {
        let mut progress: Vec<Progress> = before.iter().map(|_| Progress::default()).collect();
        for (id, output) in outputs {
            let Some(member) = self.members.iter().position(|known| known == id) else {
                return Err(format!(
                    "an output for a virtual router that is not there: {output:?}"
                ));
            };
            let parameters = self
                .virtual_router(member)
                .map(|router| router.parameters().clone());
            let (Some(parameters), Some(held), Some(progress), Some(before)) = (
                parameters,
                self.held.get_mut(member),
                progress.get_mut(member),
                before.get(member),
            ) else {
                return Err(format!("no member {member}"));
            };
            match output {
                Output::Advertise { priority } => {
                    let owner = parameters.priority().is_owner();
                    if priority.is_owner() && !owner {
                        return Err(format!("I10: member {member} claims to own the addresses"));
                    }
                    if priority.is_release() && *before != State::Active && !progress.became_active {
                        return Err(format!("I10: member {member} gave up a role it did not have"));
                    }
                    progress.advertised = true;
                    if let Some(plan) = self.plan.members.get(member) {
                        sent.push(Sent {
                            segment: plan.segment,
                            source: plan.primary(self.number),
                            parameters: parameters.clone(),
                            priority: *priority,
                        });
                    }
                }
                Output::AddAddresses => {
                    progress.added = progress.advertised;
                    held.extend(parameters.addresses());
                }
                Output::Announce { repeat } => {
                    if *repeat == 0 || held.is_empty() {
                        return Err(format!(
                            "member {member} announces addresses that it does not hold"
                        ));
                    }
                    progress.announced = progress.added;
                }
                Output::RemoveAddresses => held.clear(),
                Output::AddAddress(address) => {
                    held.insert(*address);
                }
                Output::RemoveAddress(address) => {
                    held.remove(address);
                }
                Output::AnnounceAddress { address, .. } => {
                    if !held.contains(address) {
                        return Err(format!(
                            "member {member} announces {address}, which it does not hold"
                        ));
                    }
                }
                Output::Event(Event::StateChanged { from, to, .. }) => {
                    self.transitions += 1;
                    if *to == State::Active && !progress.announced {
                        return Err(format!("I11: member {member} became active out of order"));
                    }
                    if *from == State::Active && *to != State::Active && !held.is_empty() {
                        return Err(format!(
                            "I11: member {member} reported {to} before giving up its addresses"
                        ));
                    }
                    progress.became_active |= *to == State::Active;
                }
                Output::Event(_) => {}
            }
        }
        Ok(())
    }

    /// After the timers were handled nothing is due any more at `now`.
    fn check(&self, now: Option<Instant>) -> Result<(), String> {
        let Some(router) = &self.router else { return Ok(()) };
        let mut running = false;
        for (member, held) in self.held.iter().enumerate() {
            let Some(virtual_router) = self.virtual_router(member) else {
                continue;
            };
            if *virtual_router.reason() == Reason::NotStarted {
                // Its addresses are those that a killed predecessor left.
                continue;
            }
            let state = virtual_router.state();
            running |= state != State::Initialize;
            if virtual_router.holds_addresses() == held.is_empty() {
                return Err(format!("I11: member {member} is {state} and holds {held:?}"));
            }
            if state == State::Active
                && !held
                    .iter()
                    .eq(sorted(virtual_router.parameters().addresses()).iter())
            {
                return Err(format!("I11: member {member} is active and holds {held:?}"));
            }
            let timeout = virtual_router.poll_timeout();
            if timeout.is_some() != (state != State::Initialize) {
                return Err(format!(
                    "I12: member {member} is {state} and waits for {timeout:?}"
                ));
            }
            if timeout.is_some_and(|timeout| now.is_some_and(|now| timeout <= now)) {
                return Err(format!("I12: member {member} is due again at once"));
            }
        }
        if router.poll_timeout().is_some() != running {
            return Err(format!("I12: the host waits for {:?}", router.poll_timeout()));
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "after {}: {}", self.at, self.what)
    }
}

/// How far a member got on its way to active, within one step.
#[derive(Default)]
struct Progress {
    advertised: bool,
    added: bool,
    announced: bool,
    became_active: bool,
}

/// What one input may put out for each virtual router, with at most 20 addresses each.
const OUTPUTS_PER_MEMBER: usize = 64;

fn sorted(addresses: &[IpAddr]) -> BTreeSet<IpAddr> {
    addresses.iter().copied().collect()
}
