//! Real virtual routers on one link, in steps of a tick: every delay, order and loss that the link allows.
//!
//! The search visits millions of worlds but few different routers. So each router state is kept once, under a number,
//! and what an input does to it is worked out once, by the real [`VirtualRouter`].

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrp_fsm::{Heard, Input, Instant, Output, Parameters, Preempt, State, VirtualRouter};
use vrrp_proto::{AdverInterval, Priority};

use crate::explorer::System;

/// One tick. With suitable intervals and priorities every timer is a whole number of ticks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Every router is moved to this time, so that states that differ in nothing but the time are the same.
pub(crate) const NOW: Instant = Instant::from_millis(1_000_000);

/// A message on its way to one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flying {
    to: u8,
    message: Message,
    age: u8,
}

/// What the receiver sees of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Message {
    from: u8,
    priority: u8,
    centiseconds: u16,
}

/// Everything at one moment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The numbers of the router states.
    nodes: Vec<u32>,
    states: Vec<State>,
    held: Vec<bool>,
    /// Who is dead, and neither hears nor does anything.
    dead: Vec<bool>,
    flying: Vec<Flying>,
    /// Ticks since the start, or since a router died or left the role by an input, no further than the horizon.
    elapsed: u16,
    /// Messages that may still be lost.
    losses: u8,
    /// Something that no output may ever do.
    wrong: Option<&'static str>,
}

#[derive(Clone, Debug)]
#[expect(dead_code, reason = "read by the Debug form, in a counterexample")]
pub(crate) enum Step {
    Tick,
    Timeout(usize),
    Deliver(Flying),
    Lose(Flying),
    Crash(usize),
    Input(usize, &'static str),
}

/// What a run of the explorer asks.
pub(crate) struct Network<C> {
    pub(crate) initial: Vec<Vec<VirtualRouter>>,
    /// The longest time on the link, in ticks.
    pub(crate) delay: u8,
    /// `elapsed` stops counting here.
    pub(crate) horizon: u16,
    /// Inputs that may come at any time: to whom, what, and its name.
    pub(crate) inputs: Vec<(usize, Input, &'static str)>,
    /// The router that may die, if any.
    pub(crate) mortal: Option<usize>,
    pub(crate) losses: u8,
    /// Whether what one router sends to another arrives in the order of sending.
    pub(crate) in_order: bool,
    pub(crate) check: C,
    pub(crate) routers: Routers,
}

/// Every router state met, once.
#[derive(Default)]
pub(crate) struct Routers {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: HashMap<VirtualRouter, u32>,
    all: Vec<VirtualRouter>,
    effects: HashMap<(u32, Cause), Effect>,
}

/// What may happen to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    Tick,
    Timeout,
    Heard(Message),
    Input(usize),
}

/// What comes of it.
#[derive(Clone)]
struct Effect {
    number: u32,
    state: State,
    held: bool,
    /// Priority and interval of each advertisement sent.
    sent: Vec<(u8, u16)>,
    wrong: Option<&'static str>,
}

/// The address of a router: the higher its number, the higher.
pub(crate) fn address(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(node + 1).unwrap()))
}

impl World {
    /// Who is alive and active.
    pub(crate) fn active(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&node| !self.dead[node] && self.states[node] == State::Active)
            .collect()
    }

    pub(crate) fn state(&self, node: usize) -> State {
        self.states[node]
    }

    pub(crate) fn is_dead(&self, node: usize) -> bool {
        self.dead[node]
    }

    /// Ticks since the start, or since a router died or left the role by an input, no further than the horizon.
    pub(crate) fn elapsed(&self) -> u16 {
        self.elapsed
    }

    /// Puts the effect of an input on a router into the world.
    fn apply(&mut self, node: usize, effect: &Effect) {
        self.nodes[node] = effect.number;
        self.states[node] = effect.state;
        self.held[node] = effect.held;
        self.wrong = self.wrong.or(effect.wrong);
        for &(priority, centiseconds) in &effect.sent {
            for to in (0..self.nodes.len()).filter(|&to| to != node && !self.dead[to]) {
                let message = Message {
                    from: node as u8,
                    priority,
                    centiseconds,
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
        for (node, state) in self.states.iter().enumerate() {
            let dead = if self.dead[node] { "dead " } else { "" };
            write!(formatter, " {node} is {dead}{state} #{};", self.nodes[node])?;
        }
        write!(formatter, " flying: {:?}", self.flying)
    }
}

impl Routers {
    fn number(&self, router: VirtualRouter) -> u32 {
        let mut inner = self.inner.borrow_mut();
        if let Some(&number) = inner.numbers.get(&router) {
            return number;
        }
        let number = u32::try_from(inner.all.len()).unwrap();
        inner.all.push(router.clone());
        inner.numbers.insert(router, number);
        number
    }

    fn is_due(&self, number: u32) -> bool {
        self.inner.borrow().all[number as usize]
            .poll_timeout()
            .is_some_and(|deadline| deadline <= NOW)
    }

    fn effect(
        &self,
        number: u32,
        held: bool,
        cause: Cause,
        inputs: &[(usize, Input, &'static str)],
    ) -> Effect {
        if let Some(effect) = self.inner.borrow().effects.get(&(number, cause)) {
            return effect.clone();
        }
        let mut router = self.inner.borrow().all[number as usize].clone();
        let effect = match cause {
            Cause::Tick => {
                router = router.normalised(NOW.saturating_add(TICK), NOW);
                Effect {
                    number: 0,
                    state: router.state(),
                    held,
                    sent: Vec::new(),
                    wrong: None,
                }
            }
            Cause::Timeout => act(&mut router, Input::Timeout),
            Cause::Input(index) => act(&mut router, inputs[index].1.clone()),
            Cause::Heard(message) => {
                let interval = AdverInterval::from_centiseconds(message.centiseconds).unwrap();
                let priority = Priority::new(message.priority);
                let heard = Heard::new(NOW, address(message.from.into()), priority, interval);
                act(&mut router, Input::Advertisement(heard))
            }
        };
        let effect = Effect {
            number: self.number(router),
            ..effect
        };
        self.inner
            .borrow_mut()
            .effects
            .insert((number, cause), effect.clone());
        effect
    }
}

/// Gives the input to the router, judges its outputs (I10 to I12), and forgets what decides nothing.
fn act(router: &mut VirtualRouter, input: Input) -> Effect {
    let before = router.clone();
    let owner = router.parameters().priority().is_owner();
    let mut held = router.holds_addresses();
    router.handle_input(NOW, input.clone());
    if input == (Input::Startup { held: true }) {
        // The premise of this input, not something that an output did.
        held = router.holds_addresses();
    }
    let mut outputs = Vec::new();
    while let Some(output) = router.poll_output() {
        outputs.push(output);
    }
    let state = router.state();
    let (mut sent, mut announced, mut wrong) = (Vec::new(), false, None);
    if outputs.len() > 8 {
        wrong = Some("more outputs for one input than the documented constant");
    }
    for output in outputs {
        match output {
            Output::Advertise { priority } => {
                if before.state() != State::Active && state != State::Active {
                    wrong = Some("I10: an advertisement from a router that neither was nor is active");
                }
                if priority.is_owner() && !owner {
                    wrong = Some("I10: priority 255 from a router that is not the owner");
                }
                if priority.is_release() && (before.state() != State::Active || state == State::Active) {
                    wrong = Some("I10: priority 0 from a router that did not give up the role");
                }
                sent.push((
                    priority.get(),
                    router.parameters().adver_interval().centiseconds(),
                ));
            }
            Output::AddAddresses => held = true,
            Output::RemoveAddresses => held = false,
            Output::Announce { .. } => announced = true,
            Output::AddAddress(_)
            | Output::RemoveAddress(_)
            | Output::AnnounceAddress { .. }
            | Output::Event(_) => {}
        }
    }
    if held != router.holds_addresses() {
        wrong = Some("I11: the outputs and holds_addresses() disagree");
    }
    if state == State::Active && !held {
        wrong = Some("I11: an active router without its addresses");
    }
    if state == State::Active && before.state() != State::Active && (!announced || sent.is_empty()) {
        wrong = Some("I11: became active without an advertisement or an announcement");
    }
    if router.poll_timeout().is_some() != (state != State::Initialize) {
        wrong = Some("I12: a timer runs exactly outside Initialize");
    }
    if router.poll_timeout().is_some_and(|deadline| deadline <= NOW) {
        wrong = Some("I12: a timer is due again at once");
    }
    *router = router.normalised(NOW, NOW);
    // I9 for what the state machine itself discards: a backup that preempts does not listen to a lower priority, unless
    // it handed over on request, which the caller has to exclude.
    if let Input::Advertisement(heard) = input {
        let preempts = router.parameters().preempt() == Preempt::Immediate && !before.holds_addresses();
        let lower = !heard.priority.is_release() && heard.priority < before.effective_priority();
        let untouched = before.poll_timeout() == router.poll_timeout() && sent.is_empty();
        let due = before.poll_timeout().is_some_and(|deadline| deadline <= NOW);
        if before.state() == State::Backup && preempts && lower && !due && !untouched {
            wrong = wrong.or(Some("I9: a discarded advertisement changed something"));
        }
    }
    Effect {
        number: 0,
        state,
        held,
        sent,
        wrong,
    }
}

impl<C: Fn(&World) -> Result<(), String>> System for Network<C> {
    type State = World;
    type Step = Step;

    fn initial(&self) -> Vec<World> {
        let world = |routers: &Vec<VirtualRouter>| World {
            nodes: routers
                .iter()
                .map(|router| self.routers.number(router.clone()))
                .collect(),
            states: routers.iter().map(VirtualRouter::state).collect(),
            held: routers.iter().map(VirtualRouter::holds_addresses).collect(),
            dead: vec![false; routers.len()],
            flying: Vec::new(),
            elapsed: 0,
            losses: self.losses,
            wrong: None,
        };
        self.initial.iter().map(world).collect()
    }

    fn steps(&self, world: &World, found: &mut Vec<(Step, World)>) {
        let effect = |world: &World, node: usize, cause| {
            self.routers
                .effect(world.nodes[node], world.held[node], cause, &self.inputs)
        };
        let mut must_wait = false;
        for (index, &message) in world.flying.iter().enumerate() {
            must_wait |= message.age >= self.delay;
            let is_earlier = |other: &Flying| {
                // Of two of the same age the one that gives up the role was sent last.
                let sent = |flying: &Flying| (Reverse(flying.age), flying.message.priority == 0);
                other.to == message.to
                    && other.message.from == message.message.from
                    && sent(other) < sent(&message)
            };
            let overtakes = self.in_order && world.flying.iter().any(is_earlier);
            if overtakes || index > 0 && world.flying[index - 1] == message {
                continue;
            }
            let mut next = world.clone();
            next.flying.remove(index);
            if world.losses > 0 {
                let mut lost = next.clone();
                lost.losses -= 1;
                found.push((Step::Lose(message), lost));
            }
            let node = usize::from(message.to);
            next.apply(node, &effect(world, node, Cause::Heard(message.message)));
            found.push((Step::Deliver(message), next));
        }
        for node in (0..world.nodes.len()).filter(|&node| !world.dead[node]) {
            if self.routers.is_due(world.nodes[node]) {
                must_wait = true;
                let mut next = world.clone();
                next.apply(node, &effect(world, node, Cause::Timeout));
                found.push((Step::Timeout(node), next));
            }
        }
        for (index, (node, _, name)) in self.inputs.iter().enumerate() {
            if !world.dead[*node] {
                let mut next = world.clone();
                next.apply(*node, &effect(world, *node, Cause::Input(index)));
                if world.states[*node] == State::Active && next.states[*node] == State::Initialize {
                    next.elapsed = 0;
                }
                found.push((Step::Input(*node, name), next));
            }
        }
        if let Some(node) = self.mortal.filter(|&node| !world.dead[node]) {
            let mut next = world.clone();
            next.dead[node] = true;
            next.elapsed = 0;
            next.flying.retain(|message| usize::from(message.to) != node);
            found.push((Step::Crash(node), next));
        }
        if !must_wait {
            let mut next = world.clone();
            for node in (0..world.nodes.len()).filter(|&node| !world.dead[node]) {
                next.apply(node, &effect(world, node, Cause::Tick));
            }
            for message in &mut next.flying {
                message.age += 1;
            }
            next.elapsed = self.horizon.min(next.elapsed + 1);
            found.push((Step::Tick, next));
        }
    }

    fn check(&self, world: &World) -> Result<(), String> {
        match world.wrong {
            Some(wrong) => Err(wrong.to_owned()),
            None => (self.check)(world),
        }
    }
}

/// A router that was started and has heard nobody, with `left` ticks before its timer: a backup when `active` is false.
pub(crate) fn router(parameters: &Parameters, node: usize, active: bool, left: u16) -> VirtualRouter {
    let mut router = VirtualRouter::new(parameters.clone(), Some(address(node)));
    router.handle_input(Instant::from_millis(100_000), Input::Startup { held: false });
    if active && router.state() == State::Backup {
        let deadline = router.poll_timeout().expect("a backup has a timer");
        router.handle_input(deadline, Input::Timeout);
        assert_eq!(router.state(), State::Active);
    }
    while router.poll_output().is_some() {}
    let deadline = router.poll_timeout().expect("a timer runs");
    let now =
        Instant::from_nanos(deadline.as_nanos() - u64::from(left) * u64::try_from(TICK.as_nanos()).unwrap());
    router.normalised(now, NOW)
}
