//! Real hosts on one link, each with a sync group, in steps of a tick: every delay and order that the link allows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use vrrp_fsm::{
    Announcements, Heard, Input, Instant, InterfaceId, Output, Parameters, Preempt, RouterId, State,
    VrrpRouter,
};
use vrrp_proto::{AdverInterval, Priority, Vrid};

use crate::explorer::System;
use crate::network::{NOW, TICK, address};

/// An advertisement on its way to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flying {
    to: u8,
    message: Message,
    age: u8,
}

/// What the receiver sees of it: from which host, for which member, with which priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Message {
    from: u8,
    member: u8,
    priority: u8,
}

/// Everything at one moment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The numbers of the host states.
    hosts: Vec<u32>,
    states: Vec<State>,
    flying: Vec<Flying>,
    /// Ticks since the start, no further than the horizon.
    elapsed: u16,
    /// A host of which some members are active and others are not.
    torn: Option<u8>,
}

#[derive(Clone, Debug)]
#[expect(dead_code, reason = "read by the Debug form, in a counterexample")]
pub(crate) enum Step {
    Tick,
    Timeout(usize),
    Deliver(Flying),
}

/// What a run of the explorer asks: that from each of these states of the hosts exactly one is active after `bound`
/// ticks, and ever after.
pub(crate) struct Groups {
    pub(crate) initial: Vec<Vec<VrrpRouter>>,
    /// The longest time on the link, in ticks.
    pub(crate) delay: u8,
    pub(crate) interval: u16,
    pub(crate) bound: u16,
    pub(crate) hosts: Hosts,
}

/// Every host state met, once.
#[derive(Default)]
pub(crate) struct Hosts {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: HashMap<VrrpRouter, u32>,
    all: Vec<VrrpRouter>,
    effects: HashMap<(u32, Cause), Effect>,
}

/// What may happen to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    Tick,
    Timeout,
    Heard(Message),
}

/// What comes of it.
#[derive(Clone)]
struct Effect {
    number: u32,
    state: Option<State>,
    /// The member and the priority of each advertisement sent.
    sent: Vec<(u8, u8)>,
}

impl World {
    /// Which hosts are active.
    fn active(&self) -> Vec<usize> {
        (0..self.hosts.len())
            .filter(|&host| self.states[host] == State::Active)
            .collect()
    }

    fn apply(&mut self, host: usize, effect: &Effect) {
        self.hosts[host] = effect.number;
        match effect.state {
            Some(state) => self.states[host] = state,
            None => self.torn = u8::try_from(host).ok(),
        }
        for &(member, priority) in &effect.sent {
            for to in (0..self.hosts.len()).filter(|&to| to != host) {
                let message = Message {
                    from: host as u8,
                    member,
                    priority,
                };
                self.flying.push(Flying {
                    to: to as u8,
                    message,
                    age: 0,
                });
            }
        }
        self.flying.sort_unstable();
    }
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ticks:", self.elapsed)?;
        for (host, state) in self.states.iter().enumerate() {
            write!(formatter, " {host} is {state} #{};", self.hosts[host])?;
        }
        write!(formatter, " flying: {:?}", self.flying)
    }
}

impl Hosts {
    fn number(&self, host: VrrpRouter) -> u32 {
        let mut inner = self.inner.borrow_mut();
        if let Some(&number) = inner.numbers.get(&host) {
            return number;
        }
        let number = u32::try_from(inner.all.len()).unwrap();
        inner.all.push(host.clone());
        inner.numbers.insert(host, number);
        number
    }

    fn is_due(&self, number: u32) -> bool {
        self.inner.borrow().all[number as usize]
            .poll_timeout()
            .is_some_and(|deadline| deadline <= NOW)
    }

    fn effect(&self, number: u32, cause: Cause, interval: u16) -> Effect {
        if let Some(effect) = self.inner.borrow().effects.get(&(number, cause)) {
            return effect.clone();
        }
        let mut host = self.inner.borrow().all[number as usize].clone();
        let sent = match cause {
            Cause::Tick => {
                host = host.normalised(NOW.saturating_add(TICK), NOW);
                Vec::new()
            }
            Cause::Timeout => {
                host.handle_timeout(NOW);
                settle(&mut host)
            }
            Cause::Heard(message) => {
                let interval = AdverInterval::from_centiseconds(interval).unwrap();
                let from = address(message.from.into());
                hear(&mut host, NOW, message.member, from, message.priority, interval);
                settle(&mut host)
            }
        };
        let effect = Effect {
            state: state(&host),
            number: self.number(host),
            sent,
        };
        let mut inner = self.inner.borrow_mut();
        inner.effects.insert((number, cause), effect.clone());
        effect
    }
}

/// Takes the outputs, gives the advertisements among them, and forgets what decides nothing.
fn settle(host: &mut VrrpRouter) -> Vec<(u8, u8)> {
    let mut sent = Vec::new();
    while let Some((id, output)) = host.poll_output() {
        if let Output::Advertise { priority } = output {
            let vrid = host.virtual_router(id).unwrap().parameters().vrid();
            sent.push((vrid.get(), priority.get()));
        }
    }
    *host = host.normalised(NOW, NOW);
    sent
}

/// The state of all members, if it is the same.
fn state(host: &VrrpRouter) -> Option<State> {
    let mut states = host.virtual_routers().map(|(_, member)| member.state());
    let first = states.next()?;
    states.all(|state| state == first).then_some(first)
}

fn member(host: &VrrpRouter, vrid: u8) -> RouterId {
    host.virtual_routers()
        .find(|(_, member)| member.parameters().vrid().get() == vrid)
        .expect("a member with this VRID")
        .0
}

fn hear(host: &mut VrrpRouter, now: Instant, vrid: u8, from: IpAddr, priority: u8, interval: AdverInterval) {
    let heard = Heard::new(now, from, Priority::new(priority), interval);
    let id = member(host, vrid);
    host.handle_input(now, id, Input::Advertisement(heard)).unwrap();
}

impl System for Groups {
    type State = World;
    type Step = Step;

    fn initial(&self) -> Vec<World> {
        let world = |hosts: &Vec<VrrpRouter>| World {
            hosts: hosts.iter().map(|host| self.hosts.number(host.clone())).collect(),
            states: hosts
                .iter()
                .map(|host| state(host).expect("all or none"))
                .collect(),
            flying: Vec::new(),
            elapsed: 0,
            torn: None,
        };
        self.initial.iter().map(world).collect()
    }

    fn steps(&self, world: &World, found: &mut Vec<(Step, World)>) {
        let effect = |host: usize, cause| self.hosts.effect(world.hosts[host], cause, self.interval);
        let mut must_wait = false;
        for (index, &message) in world.flying.iter().enumerate() {
            must_wait |= message.age >= self.delay;
            if index > 0 && world.flying[index - 1] == message {
                continue;
            }
            let mut next = world.clone();
            next.flying.remove(index);
            let host = usize::from(message.to);
            next.apply(host, &effect(host, Cause::Heard(message.message)));
            found.push((Step::Deliver(message), next));
        }
        for host in 0..world.hosts.len() {
            if self.hosts.is_due(world.hosts[host]) {
                must_wait = true;
                let mut next = world.clone();
                next.apply(host, &effect(host, Cause::Timeout));
                found.push((Step::Timeout(host), next));
            }
        }
        if !must_wait {
            let mut next = world.clone();
            for host in 0..world.hosts.len() {
                next.apply(host, &effect(host, Cause::Tick));
            }
            for message in &mut next.flying {
                message.age += 1;
            }
            next.elapsed = (self.bound + 1).min(next.elapsed + 1);
            found.push((Step::Tick, next));
        }
    }

    fn check(&self, world: &World) -> Result<(), String> {
        if let Some(host) = world.torn {
            return Err(format!(
                "some members of host {host} are active and others are not"
            ));
        }
        let active = world.active();
        if world.elapsed > self.bound && active.len() != 1 {
            return Err(format!(
                "after {} ticks these are active: {active:?}",
                world.elapsed
            ));
        }
        Ok(())
    }
}

/// A host with one virtual router per priority, all in one sync group.
pub(crate) fn host(number: usize, priorities: &[u8], interval: u16, preempt: Preempt) -> VrrpRouter {
    let mut host = VrrpRouter::new();
    let members: Vec<RouterId> = priorities
        .iter()
        .zip(1..)
        .map(|(priority, vrid)| {
            let parameters = Parameters::builder(
                Vrid::new(vrid).unwrap(),
                [IpAddr::V4(Ipv4Addr::new(10, 0, vrid, 100))],
            )
            .priority(Priority::new(*priority))
            .adver_interval(AdverInterval::from_centiseconds(interval).unwrap())
            .preempt(preempt)
            .announcements(Announcements::MINIMAL)
            .build()
            .expect("valid parameters");
            host.add(InterfaceId(0), parameters, Some(address(number)))
                .unwrap()
        })
        .collect();
    host.add_sync_group(Instant::ZERO, &members).unwrap();
    host
}

/// The host after that many contests, once it runs alone: as backup `waited` ticks after its members heard somebody
/// stronger, the second of them `later` ticks after the first; or as active since.
pub(crate) fn after(host: &VrrpRouter, contests: u8, later: u16, waited: u16, interval: u16) -> VrrpRouter {
    let stronger = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 200));
    let rate = AdverInterval::from_centiseconds(interval).unwrap();
    let mut host = host.clone();
    let mut begin = Instant::from_millis(100_000);
    for (id, _) in host.clone().virtual_routers() {
        host.handle_input(begin, id, Input::Startup { held: false })
            .unwrap();
    }
    for _ in 0..contests {
        while state(&host) != Some(State::Active) {
            begin = host.poll_timeout().expect("a timer runs");
            host.handle_timeout(begin);
        }
        // The second member loses; the first, whose rivals are compared, hears nobody.
        hear(&mut host, begin, 2, stronger, 254, rate);
    }
    let tick = |count: u16| begin.saturating_add(TICK * u32::from(count));
    hear(&mut host, tick(0), 1, stronger, 254, rate);
    for now in 1..=later + waited {
        if now == later {
            hear(&mut host, tick(now), 2, stronger, 254, rate);
        }
        host.handle_timeout(tick(now));
    }
    while host.poll_output().is_some() {}
    host.normalised(tick(later + waited), NOW)
}
