//! Random operations on a pool and on its naive form side by side: each pick, each counter and the inner state must agree.
//!
//! `LVS_SCHED_CASES` sets how many sequences are run for each scheduler; each has up to four hundred operations.

#![cfg(feature = "reference")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lvs_sched::reference::{Model, State};
use lvs_sched::{
    BackendId, Flow, MhSize, Options, Order, Pool, Rules, SchedulerKind, Simulated, Spec, TableBits, Ticket,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// One step of a sequence. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Operation {
    Add(Spec),
    Edit(usize, Spec),
    SetWeight(usize, u32),
    Remove(usize),
    Select(Flow),
    Pick(Flow, bool),
    Retry(Flow, Vec<usize>),
    Open(usize),
    Close(usize),
    Toggle(usize),
    Wait(u64),
}

/// A pool and its model, and how the one's identifiers are named in the other.
struct Pair {
    pool: Pool<u32>,
    model: Model,
    clock: Simulated,
    chance: Simulated,
    ids: BTreeMap<u32, BackendId>,
    /// Names of all there ever were.
    names: BTreeMap<BackendId, u32>,
    next: u32,
    tickets: Vec<Ticket>,
}

impl Pair {
    fn new(kind: SchedulerKind, options: &Options, seed: u64) -> Self {
        let clock = Simulated::new(seed);
        let mut chance = clock.clone();
        Self {
            pool: Pool::with_environment(kind, options, clock.clone()),
            model: Model::new(kind, options, &mut chance),
            clock,
            chance,
            ids: BTreeMap::new(),
            names: BTreeMap::new(),
            next: 0,
            tickets: Vec::new(),
        }
    }

    fn nth(&self, index: usize) -> Option<(u32, BackendId)> {
        let index = index.checked_rem(self.ids.len())?;
        self.ids.iter().nth(index).map(|(&name, &id)| (name, id))
    }

    fn name(&self, id: BackendId) -> u32 {
        self.names[&id]
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Add(spec) => {
                let name = self.next;
                // The key names the back end; a few share one.
                let spec = spec.key(name / 2 * 7);
                self.next += 1;
                let id = self.pool.add(name, spec).expect("a valid specification");
                self.model.add(name, spec);
                self.ids.insert(name, id);
                prop_assert_eq!(self.names.insert(id, name), None);
            }
            Operation::Edit(index, spec) => {
                if let Some((name, id)) = self.nth(*index) {
                    self.pool.edit(id, *spec).expect("a valid specification");
                    self.model.edit(name, *spec);
                }
            }
            Operation::SetWeight(index, weight) => {
                if let Some((name, id)) = self.nth(*index) {
                    self.pool.set_weight(id, *weight).expect("a valid weight");
                    let servers = self.model.servers();
                    let mut spec = servers
                        .iter()
                        .find(|server| server.name == name)
                        .expect("listed")
                        .spec;
                    spec.weight = *weight;
                    self.model.edit(name, spec);
                }
            }
            Operation::Remove(index) => {
                if let Some((name, id)) = self.nth(*index) {
                    let value = self.pool.remove(id).expect("a known back end");
                    prop_assert_eq!(
                        value.is_none(),
                        self.tickets.iter().any(|ticket| ticket.id() == id)
                    );
                    self.model.remove(name);
                    self.ids.remove(&name);
                }
            }
            Operation::Select(flow) => {
                let picked = self.pool.select(flow).map(|id| self.name(id));
                prop_assert_eq!(picked, self.model.select(flow, &mut self.chance));
            }
            Operation::Pick(flow, active) => {
                let ticket = if *active {
                    self.pool.pick(flow)
                } else {
                    self.pool.pick_inactive(flow)
                };
                let picked = ticket.as_ref().map(|ticket| self.name(ticket.id()));
                prop_assert_eq!(picked, self.model.select(flow, &mut self.chance));
                if let (Some(ticket), Some(name)) = (ticket, picked) {
                    self.model.open(name, *active);
                    self.tickets.push(ticket);
                }
            }
            Operation::Retry(flow, indices) => {
                let refused: Vec<_> = indices.iter().filter_map(|&index| self.nth(index)).collect();
                let (names, ids): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
                let ticket = self.pool.pick_except(flow, &ids);
                let picked = ticket.as_ref().map(|ticket| self.name(ticket.id()));
                prop_assert_eq!(picked, self.model.select_except(flow, &names, &mut self.chance));
                if let (Some(ticket), Some(name)) = (ticket, picked) {
                    prop_assert!(!names.contains(&name));
                    self.model.open(name, true);
                    self.tickets.push(ticket);
                }
            }
            Operation::Open(index) => {
                if let Some((name, id)) = self.nth(*index) {
                    self.tickets.push(self.pool.open(id).expect("a known back end"));
                    self.model.open(name, true);
                }
            }
            Operation::Close(index) => {
                if let Some(index) = index.checked_rem(self.tickets.len()) {
                    let ticket = self.tickets.swap_remove(index);
                    self.model.close(self.name(ticket.id()), ticket.is_active());
                    self.pool.close(ticket);
                }
            }
            Operation::Toggle(index) => {
                if let Some(index) = index.checked_rem(self.tickets.len()) {
                    let active = !self.tickets[index].is_active();
                    let name = self.name(self.tickets[index].id());
                    self.pool.set_active(&mut self.tickets[index], active);
                    self.model.set_active(name, active);
                }
            }
            Operation::Wait(milliseconds) => self.clock.advance(Duration::from_millis(*milliseconds)),
        }
        self.compare()
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let counted: Vec<_> = self
            .pool
            .iter()
            .map(|(backend, &name)| {
                (
                    name,
                    backend.weight(),
                    backend.active(),
                    backend.total(),
                    backend.overloaded(),
                )
            })
            .collect();
        let expected: Vec<_> = self
            .model
            .servers()
            .iter()
            .map(|server| {
                (
                    server.name,
                    server.spec.weight,
                    server.active,
                    server.total,
                    server.overloaded,
                )
            })
            .collect();
        prop_assert_eq!(counted, expected);
        let state = State::of(&self.pool);
        prop_assert_eq!(state.after.map(|id| self.name(id)), self.model.after());
        prop_assert_eq!(state.level, self.model.level());
        let remembered: BTreeMap<IpAddr, Vec<u32>> = state
            .remembered
            .into_iter()
            .map(|(address, ids)| (address, ids.into_iter().map(|id| self.name(id)).collect()))
            .collect();
        let expected: BTreeMap<IpAddr, Vec<u32>> = self
            .model
            .remembered()
            .iter()
            .map(|entry| (entry.destination, entry.servers.clone()))
            .collect();
        prop_assert_eq!(remembered, expected);
        Ok(())
    }
}

fn weights() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(1), 2 => Just(0), 6 => 1..6_u32, 2 => (1..30_u32).prop_map(|tens| tens * 10), 1 => 1..400_u32]
}

fn specs() -> impl Strategy<Value = Spec> {
    let thresholds = prop_oneof![
        3 => Just((0, 0)),
        2 => (1..9_u32).prop_map(|upper| (upper, 0)),
        1 => (1..9_u32, 0..9_u32).prop_map(|(upper, lower)| (upper, lower.min(upper))),
    ];
    (weights(), thresholds).prop_map(|(weight, (upper, lower))| Spec::new(weight).thresholds(upper, lower))
}

/// Few addresses, so that flows meet again; enough to fill the caches of the test.
fn flows() -> impl Strategy<Value = Flow> {
    let addresses = || {
        prop_oneof![
            9 => (0..24_u32).prop_map(|host| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + host * 0x0123))),
            1 => (0..4_u128).prop_map(|host| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) + host))),
        ]
    };
    (addresses(), 0..3_u16, addresses()).prop_map(|(source, port, destination)| Flow {
        source,
        source_port: 40_000 + port,
        destination,
        destination_port: 80,
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    let index = || any::<u16>().prop_map(usize::from);
    prop_oneof![
        4 => specs().prop_map(Operation::Add),
        2 => (index(), specs()).prop_map(|(index, spec)| Operation::Edit(index, spec)),
        1 => (index(), weights()).prop_map(|(index, weight)| Operation::SetWeight(index, weight)),
        2 => index().prop_map(Operation::Remove),
        4 => flows().prop_map(Operation::Select),
        20 => (flows(), prop::bool::weighted(0.8)).prop_map(|(flow, active)| Operation::Pick(flow, active)),
        2 => (flows(), vec(index(), 1..4)).prop_map(|(flow, indices)| Operation::Retry(flow, indices)),
        1 => index().prop_map(Operation::Open),
        12 => index().prop_map(Operation::Close),
        3 => index().prop_map(Operation::Toggle),
        3 => prop_oneof![6 => 0..2_000_u64, 3 => 0..100_000_u64, 1 => 0..4_000_000_u64].prop_map(Operation::Wait),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let sizes = prop_oneof![3 => Just(MhSize::P251), 1 => Just(MhSize::P509)];
    (any::<[bool; 4]>(), 4..9_u8, 4..9_u8, sizes, 1..90_u64, 2..12_u32).prop_map(
        |([legacy, newest_first, fallback, port], dh, sh, mh, expiration, cache)| {
            Options::default()
                .rules(if legacy { Rules::Legacy } else { Rules::Current })
                .order(if newest_first {
                    Order::NewestFirst
                } else {
                    Order::Insertion
                })
                .hash(fallback, port)
                .dh_bits(TableBits::new(dh).expect("4 to 8"))
                .sh_bits(TableBits::new(sh).expect("4 to 8"))
                .mh_size(mh)
                .expiration(Duration::from_secs(expiration * 10))
                .cache_size(cache)
        },
    )
}

fn agree(kind: SchedulerKind) {
    // Begin with some back ends: an empty pool says little.
    agree_from(kind, 64, vec(specs(), 0..20), operations());
}

fn agree_from(
    kind: SchedulerKind,
    cases: u32,
    begin: impl Strategy<Value = Vec<Spec>>,
    operations: impl Strategy<Value = Operation>,
) {
    let told = std::env::var("LVS_SCHED_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: told.unwrap_or(cases),
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Config::default()
    });
    let input = (options(), any::<u64>(), begin, vec(operations, 1..400));
    let result = runner.run(&input, |(options, seed, begin, operations)| {
        let mut pair = Pair::new(kind, &options, seed);
        for spec in begin {
            pair.apply(&Operation::Add(spec))?;
        }
        for operation in &operations {
            pair.apply(operation)?;
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{kind} is not as its definition: {failure}");
    }
}

/// A destination so busy that dozens of back ends serve it, which are then found by an index that grows several times.
#[test]
fn large_sets_of_lblcr() {
    let index = || any::<u16>().prop_map(usize::from);
    let busy = || {
        prop_oneof![12 => Just(0), 1 => 1..3_u32].prop_map(|host| Flow {
            destination: Ipv4Addr::from_bits(host).into(),
            ..Flow::ANY
        })
    };
    let begin = vec(
        prop_oneof![9 => Just(Spec::new(1)), 3 => (2..9_u32).prop_map(Spec::new), 1 => specs()],
        60..100,
    );
    let operations = prop_oneof![
        20 => (busy(), prop::bool::weighted(0.95)).prop_map(|(flow, active)| Operation::Pick(flow, active)),
        1 => (busy(), vec(index(), 1..4)).prop_map(|(flow, indices)| Operation::Retry(flow, indices)),
        1 => index().prop_map(Operation::Open),
        3 => index().prop_map(Operation::Close),
        1 => operations(),
    ];
    agree_from(SchedulerKind::Lblcr, 24, begin, operations);
}

/// One destination that is busy for ever, while the back ends are replaced again and again: its set does not grow without end.
#[test]
fn a_set_of_lblcr_forgets_who_left() {
    let mut pair = Pair::new(SchedulerKind::Lblcr, &Options::default(), 1);
    let mut largest = 0;
    for round in 0..300 {
        let mut steps = vec![Operation::Add(Spec::new(1))];
        steps.extend([const { Operation::Pick(Flow::ANY, true) }; 3]);
        if round > 5 {
            steps.push(Operation::Remove(0));
        }
        for step in &steps {
            pair.apply(step).unwrap();
        }
        let state = State::of(&pair.pool);
        largest = state
            .remembered
            .iter()
            .map(|set| set.1.len())
            .fold(largest, usize::max);
    }
    assert_eq!(largest, 64);
}

macro_rules! schedulers {
    ($($name:ident: $kind:ident,)*) => {
        $(#[test]
        fn $name() {
            agree(SchedulerKind::$kind);
        })*

        #[test]
        fn none_is_left_out() {
            let tested = [$(SchedulerKind::$kind),*];
            assert_eq!(tested, SchedulerKind::ALL);
        }
    };
}

schedulers! {
    rr: Rr,
    wrr: Wrr,
    lc: Lc,
    wlc: Wlc,
    lblc: Lblc,
    lblcr: Lblcr,
    dh: Dh,
    sh: Sh,
    mh: Mh,
    sed: Sed,
    nq: Nq,
    fo: Fo,
    ovf: Ovf,
    twos: Twos,
}
