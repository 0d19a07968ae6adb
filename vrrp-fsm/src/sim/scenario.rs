use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use vrrp_proto::{AddressFamily, AdverInterval, Priority, Vrid};

use super::{HostPlan, MemberPlan, Quality, Simulation, Violation};
use crate::{Input, Instant, Preempt, TrackStatus};

/// Hosts and what happens to them: all that a run depends on. As text ([`Display`](fmt::Display) and
/// [`FromStr`](core::str::FromStr)) it is a regression test.
///
/// A run ends with calm: all links are healed, all processes run, all interfaces are up, all tracked objects are good,
/// the numbers are those of the plan again. After the time that the standard allows for settling, each virtual router has
/// to be active on exactly one host: where everybody preempts and one has the highest priority, on that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Where everything random comes from.
    pub seed: u64,
    /// The hosts, at most 32. They start one after the other, unless an action says otherwise.
    pub hosts: Vec<HostPlan>,
    /// What happens, in the order of time.
    pub actions: Vec<(Duration, Action)>,
}

/// One thing that happens. Hosts and segments that are not there make it happen to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "who writes a scenario has to know them all"
)]
pub enum Action {
    /// The process starts.
    Start(u8),
    /// The process stops in an orderly way.
    Stop(u8),
    /// The process is killed; its addresses stay.
    Crash(u8),
    /// The process does not run for a while.
    Pause(u8),
    /// It goes on.
    Resume(u8),
    /// Nothing gets from one host to another: segment, from, to.
    Cut(u8, u8, u8),
    /// A cut is mended.
    Mend(u8, u8, u8),
    /// The segment falls apart: hosts whose bit is set, and the others.
    Partition(u8, u32),
    /// All links are good again.
    Heal,
    /// All links are like this.
    Links(Quality),
    /// A host hears its own packets on a segment, or not any more.
    Loop(u8, u8, bool),
    /// The interface of a host to a segment goes up or down.
    Interface(u8, u8, bool),
    /// A tracked object of a host is good or bad.
    Track(u8, u8, bool),
    /// A virtual router of a host hands over: host, member.
    Resign(u8, u8),
    /// Another priority.
    Priority(u8, u8, Priority),
    /// Another interval.
    Interval(u8, u8, AdverInterval),
    /// Another number of addresses.
    Addresses(u8, u8, u8),
    /// The clock of a host gains so many millionths.
    Drift(u8, i32),
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Simulated time.
    pub simulated: Duration,
    /// Packets sent, counted once for each receiver.
    pub packets: u64,
    /// Changes of state.
    pub transitions: u64,
}

/// A scenario in which an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The scenario.
    pub scenario: Scenario,
    /// What went wrong in it.
    pub violation: Violation,
}

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// The first invariant that does not hold, with the scenario.
    pub fn run(&self) -> Result<Report, Failure> {
        self.run_in(&mut self.simulation())
    }

    /// The hosts, before anything happened to them.
    pub fn simulation(&self) -> Simulation {
        Simulation::new(self.seed, self.hosts.iter().take(32).cloned())
    }

    /// Runs it in a simulation made by [`simulation`](Self::simulation), to look at that afterwards.
    ///
    /// # Errors
    ///
    /// The first invariant that does not hold, with the scenario.
    pub fn run_in(&self, simulation: &mut Simulation) -> Result<Report, Failure> {
        self.run_checked(simulation).map_err(|violation| Failure {
            scenario: self.clone(),
            violation,
        })
    }

    fn run_checked(&self, simulation: &mut Simulation) -> Result<Report, Violation> {
        let started_later = |host| {
            let first = self
                .actions
                .iter()
                .find(|(_, action)| action.host() == Some(host));
            matches!(first, Some((_, Action::Start(_))))
        };
        for host in (0..32)
            .take(self.hosts.len())
            .filter(|host| !started_later(*host))
        {
            simulation.start(host)?;
        }
        for (at, action) in &self.actions {
            simulation.run_until(Instant::ZERO.saturating_add(*at))?;
            self.act(simulation, *action)?;
        }
        self.calm(simulation)?;
        simulation.run_until(simulation.now().saturating_add(self.settling_time()))?;
        self.check_settled(simulation)?;
        Ok(Report {
            simulated: simulation.now().saturating_since(Instant::ZERO),
            packets: simulation.packets(),
            transitions: simulation.transitions(),
        })
    }

    fn act(&self, simulation: &mut Simulation, action: Action) -> Result<(), Violation> {
        let changed = |simulation: &Simulation, host: u8, member: u8, change: &dyn Fn(&mut MemberPlan)| {
            let mut plan = *simulation.host(host)?.plan().members.get(usize::from(member))?;
            change(&mut plan);
            Some(plan)
        };
        let configure =
            |simulation: &mut Simulation, host, member: u8, change: &dyn Fn(&mut MemberPlan)| match changed(
                simulation, host, member, change,
            ) {
                Some(plan) => simulation.configure(host, member.into(), plan),
                None => Ok(()),
            };
        match action {
            Action::Start(host) => simulation.start(host)?,
            Action::Stop(host) => simulation.stop(host)?,
            Action::Crash(host) => simulation.crash(host),
            Action::Pause(host) => simulation.pause(host),
            Action::Resume(host) => simulation.resume(host)?,
            Action::Cut(segment, from, to) => simulation.cut(segment, from, to),
            Action::Mend(segment, from, to) => simulation.mend(segment, from, to),
            Action::Partition(segment, side) => {
                let count = self.hosts.len().min(32);
                for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                    if (side >> from) & 1 != (side >> to) & 1
                        && let (Ok(from), Ok(to)) = (u8::try_from(from), u8::try_from(to))
                    {
                        simulation.cut(segment, from, to);
                    }
                }
            }
            Action::Heal => simulation.heal(),
            Action::Links(quality) => simulation.set_quality(quality),
            Action::Loop(segment, host, on) => simulation.set_loop(segment, host, on),
            Action::Interface(host, segment, up) => simulation.set_interface(host, segment, up)?,
            Action::Track(host, id, good) => simulation.set_track(host, id, status(good))?,
            Action::Resign(host, member) => simulation.input(host, member.into(), Input::Resign)?,
            Action::Priority(host, member, priority) => {
                configure(simulation, host, member, &|plan| plan.priority = priority)?;
            }
            Action::Interval(host, member, interval) => {
                configure(simulation, host, member, &|plan| plan.interval = interval)?;
            }
            Action::Addresses(host, member, count) => {
                configure(simulation, host, member, &|plan| {
                    plan.addresses = count.clamp(1, 20)
                })?;
            }
            Action::Drift(host, drift) => simulation.set_drift(host, drift.clamp(-100_000, 100_000)),
        }
        Ok(())
    }

    /// Ends every trouble.
    fn calm(&self, simulation: &mut Simulation) -> Result<(), Violation> {
        simulation.heal();
        for (host, plan) in (0..32).zip(&self.hosts) {
            simulation.resume(host)?;
            simulation.set_drift(host, plan.drift);
            for (member, plan) in plan.members.iter().enumerate() {
                simulation.configure(host, member, *plan)?;
                simulation.set_interface(host, plan.segment, true)?;
                if let Some((id, _)) = plan.track {
                    simulation.set_track(host, id, TrackStatus::Good)?;
                }
            }
            simulation.start(host)?;
        }
        Ok(())
    }

    /// How long settling may take: a learned interval may be the longest there ever was, a preempt delay may be pending,
    /// a contest between sync groups may take its rounds.
    fn settling_time(&self) -> Duration {
        let members = || self.hosts.iter().flat_map(|host| &host.members);
        let planned = members().map(|member| member.interval);
        let acted = self.actions.iter().filter_map(|(_, action)| {
            if let Action::Interval(_, _, interval) = action {
                Some(*interval)
            } else {
                None
            }
        });
        let longest = planned.chain(acted).max().unwrap_or(AdverInterval::DEFAULT);
        let second = Duration::from_secs(1);
        let down = Duration::from_nanos(longest.as_nanos()) * 4 + second;
        let delays = members().map(|member| match member.preempt {
            Preempt::Delayed(delay) => delay,
            Preempt::Immediate | Preempt::Never => Duration::ZERO,
        });
        let rounds = if members().any(|member| member.group.is_some()) {
            GROUP_ROUNDS
        } else {
            2
        };
        down * rounds + delays.max().unwrap_or_default() + second
    }

    fn check_settled(&self, simulation: &Simulation) -> Result<(), Violation> {
        let violation = |what: String| {
            Err(Violation {
                at: simulation.now(),
                what,
            })
        };
        let mut keys: Vec<(u8, AddressFamily, Vrid)> = Vec::new();
        for member in self.hosts.iter().flat_map(|host| &host.members) {
            let key = (member.segment, member.family, member.vrid);
            if keys.contains(&key) {
                continue;
            }
            keys.push(key);
            let active = simulation.active(key.0, key.1, key.2);
            let &[winner] = active.as_slice() else {
                return violation(format!(
                    "vrid {} on segment {} is active on {active:?}",
                    key.2.get(),
                    key.0
                ));
            };
            let holders = simulation.holders(key.0, key.1, key.2);
            if holders != [winner] {
                return violation(format!(
                    "the addresses of vrid {} are on hosts {holders:?}",
                    key.2.get()
                ));
            }
            if let Some(best) = self.best(key)
                && best != winner
            {
                return violation(format!(
                    "vrid {} is active on {winner}, not on {best}",
                    key.2.get()
                ));
            }
        }
        self.check_groups(simulation)
    }

    /// A sync group is active as a whole.
    fn check_groups(&self, simulation: &Simulation) -> Result<(), Violation> {
        for (number, host) in simulation.hosts().enumerate() {
            for (member, plan) in host.plan().members.iter().enumerate() {
                let same_group = |other: &&MemberPlan| plan.group.is_some() && other.group == plan.group;
                let state = |member: usize| host.virtual_router(member).map(crate::VirtualRouter::state);
                let others = host
                    .plan()
                    .members
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| same_group(other));
                for (other, _) in others {
                    if state(other) != state(member) {
                        let what = format!("host {number}: members {member} and {other} of a group differ");
                        return Err(Violation {
                            at: simulation.now(),
                            what,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Who has to win, where that follows from the plan alone.
    fn best(&self, (segment, family, vrid): (u8, AddressFamily, Vrid)) -> Option<u8> {
        let mut candidates = Vec::new();
        for (host, plan) in (0..32).zip(&self.hosts) {
            for member in &plan.members {
                if (member.segment, member.family, member.vrid) == (segment, family, vrid) {
                    candidates.push((member.priority, host, member));
                }
            }
        }
        let all_preempt = candidates
            .iter()
            .all(|(priority, _, member)| priority.is_owner() || member.preempt != Preempt::Never);
        // Who handed over on request does not come back while somebody else is there.
        let resigned = self
            .actions
            .iter()
            .any(|(_, action)| matches!(action, Action::Resign(..)));
        let in_group = candidates.iter().any(|(_, _, member)| member.group.is_some());
        candidates.sort_by_key(|(priority, host, _)| (*priority, *host));
        match candidates.as_slice() {
            [.., (second, _, _), (first, host, _)]
                if second < first && all_preempt && !in_group && !resigned =>
            {
                Some(*host)
            }
            [(_, host, _)] => Some(*host),
            _ => None,
        }
    }
}

impl Action {
    fn host(&self) -> Option<u8> {
        match self {
            Self::Start(host)
            | Self::Stop(host)
            | Self::Crash(host)
            | Self::Pause(host)
            | Self::Resume(host)
            | Self::Interface(host, _, _)
            | Self::Track(host, _, _)
            | Self::Resign(host, _)
            | Self::Priority(host, _, _)
            | Self::Interval(host, _, _)
            | Self::Addresses(host, _, _)
            | Self::Drift(host, _)
            | Self::Loop(_, host, _) => Some(*host),
            Self::Cut(..) | Self::Mend(..) | Self::Partition(..) | Self::Heal | Self::Links(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "# {}\n{}", self.violation, self.scenario)
    }
}

/// How many down intervals two hosts whose sync groups contest may take.
const GROUP_ROUNDS: u32 = 12;

const fn status(good: bool) -> TrackStatus {
    if good { TrackStatus::Good } else { TrackStatus::Bad }
}
