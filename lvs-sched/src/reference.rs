//! The fourteen in their most naive form, to compare the fast ones with.
//!
//! Each algorithm is a walk over a list, written from its definition and sharing nothing with the fast forms but the
//! options and the hash functions: no tree, no bit set, no incremental table. Slow on purpose. The tests and the fuzz
//! target run both side by side; the kernel's own modules are the judge over both.

mod hashing;
mod locality;
mod state;
mod walks;

use alloc::vec::Vec;

use crate::backend::Spec;
use crate::environment::Environment;
use crate::flow::Flow;
use crate::kind::SchedulerKind;
use crate::options::{Options, Order, Rules};

pub use locality::Remembered;
pub use state::State;

/// A pool in naive form. Its back ends are named by the caller, each with a number of its own.
#[derive(Debug)]
pub struct Model {
    kind: SchedulerKind,
    options: Options,
    /// In list order.
    list: Vec<Server>,
    /// Back ends that left, which caches may still name.
    gone: Vec<Server>,
    round_robin: Option<u32>,
    weighted: walks::WeightedRound,
    locality: locality::Memory,
}

/// A back end of a [`Model`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// The caller's number for it.
    pub name: u32,
    /// What was last said of it.
    pub spec: Spec,
    /// The last weight that was not 0.
    pub last_weight: u32,
    /// Active connections.
    pub active: u32,
    /// All connections.
    pub total: u32,
    /// Whether it is over its threshold.
    pub overloaded: bool,
    refused: bool,
}

impl Model {
    /// An empty model.
    #[must_use]
    pub fn new(kind: SchedulerKind, options: &Options, environment: &mut dyn Environment) -> Self {
        Self {
            kind,
            options: options.clone(),
            list: Vec::new(),
            gone: Vec::new(),
            round_robin: None,
            weighted: walks::WeightedRound::default(),
            locality: locality::Memory::new(environment.now()),
        }
    }

    /// Adds a back end.
    pub fn add(&mut self, name: u32, spec: Spec) {
        let server = Server {
            name,
            spec,
            last_weight: spec.weight,
            active: 0,
            total: 0,
            overloaded: false,
            refused: false,
        };
        match self.options.order {
            Order::NewestFirst => self.list.insert(0, server),
            Order::Insertion => self.list.push(server),
        }
        self.list_changed();
    }

    /// Changes the specification of a back end.
    pub fn edit(&mut self, name: u32, spec: Spec) {
        let rules = self.options.rules;
        if let Some(server) = self.list.iter_mut().find(|server| server.name == name) {
            let old = server.spec;
            server.spec = spec;
            if spec.weight > 0 {
                server.last_weight = spec.weight;
            }
            match rules {
                Rules::Current => {
                    if (old.upper, old.lower) != (spec.upper, spec.lower) {
                        server.mark(0);
                    }
                }
                Rules::Legacy => {
                    if spec.upper == 0 || spec.upper > old.upper {
                        server.overloaded = false;
                    }
                }
            }
            self.list_changed();
        }
    }

    /// Removes a back end.
    pub fn remove(&mut self, name: u32) {
        if let Some(index) = self.list.iter().position(|server| server.name == name) {
            if self.round_robin == Some(name) {
                self.round_robin = index.checked_sub(1).map(|before| self.list[before].name);
            }
            let server = self.list.remove(index);
            self.gone.push(server);
            self.list_changed();
        }
    }

    /// Picks a back end without counting.
    pub fn select(&mut self, flow: &Flow, environment: &mut dyn Environment) -> Option<u32> {
        match self.kind {
            SchedulerKind::Rr => self.rr(),
            SchedulerKind::Wrr => self.wrr(),
            SchedulerKind::Lc => self.lc(),
            SchedulerKind::Wlc => self.wlc(),
            SchedulerKind::Lblc => self.lblc(flow, environment.now()),
            SchedulerKind::Lblcr => self.lblcr(flow, environment.now()),
            SchedulerKind::Dh => self.dh(flow),
            SchedulerKind::Sh => self.sh(flow),
            SchedulerKind::Mh => self.mh(flow),
            SchedulerKind::Sed => self.sed(),
            SchedulerKind::Nq => self.nq(),
            SchedulerKind::Fo => self.fo(),
            SchedulerKind::Ovf => self.ovf(),
            SchedulerKind::Twos => self.twos(environment),
        }
    }

    /// Picks a back end, passing over some.
    pub fn select_except(
        &mut self,
        flow: &Flow,
        refused: &[u32],
        environment: &mut dyn Environment,
    ) -> Option<u32> {
        for server in &mut self.list {
            server.refused = refused.contains(&server.name);
        }
        let picked = self.select(flow, environment);
        for server in &mut self.list {
            server.refused = false;
        }
        picked
    }

    /// Counts a connection.
    pub fn open(&mut self, name: u32, active: bool) {
        let rules = self.options.rules;
        if let Some(server) = self.find_mut(name) {
            server.total += 1;
            server.active += u32::from(active);
            let Spec { upper, .. } = server.spec;
            match rules {
                Rules::Current if server.total == upper => server.mark(1),
                Rules::Legacy if upper > 0 && server.total >= upper => server.overloaded = true,
                Rules::Current | Rules::Legacy => {}
            }
        }
    }

    /// Uncounts a connection.
    pub fn close(&mut self, name: u32, active: bool) {
        let rules = self.options.rules;
        if let Some(server) = self.find_mut(name) {
            let before = server.total;
            server.total -= 1;
            server.active -= u32::from(active);
            let Spec { upper, lower, .. } = server.spec;
            match rules {
                Rules::Current if before == server.lower() => server.mark(-1),
                Rules::Current => {}
                Rules::Legacy => {
                    let clear = if lower > 0 {
                        server.total < lower
                    } else if upper > 0 {
                        4 * server.total < 3 * upper
                    } else {
                        true
                    };
                    if clear {
                        server.overloaded = false;
                    }
                }
            }
        }
    }

    /// Makes a connection active or inactive that was the other.
    pub fn set_active(&mut self, name: u32, active: bool) {
        if let Some(server) = self.find_mut(name) {
            if active {
                server.active += 1;
            } else {
                server.active -= 1;
            }
        }
    }

    /// The back ends in list order.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.list
    }

    /// `rr` and `wrr`: the back end after which the next walk begins, if not at the front.
    #[must_use]
    pub const fn after(&self) -> Option<u32> {
        match self.kind {
            SchedulerKind::Wrr => self.weighted.last,
            _ => self.round_robin,
        }
    }

    /// `wrr`: the level of the current round.
    #[must_use]
    pub const fn level(&self) -> i64 {
        match self.kind {
            SchedulerKind::Wrr => self.weighted.level,
            _ => 0,
        }
    }

    /// `lblc` and `lblcr`: what is remembered.
    #[must_use]
    pub fn remembered(&self) -> &[Remembered] {
        self.locality.entries()
    }

    fn list_changed(&mut self) {
        self.weighted.restart(&self.list);
    }

    fn find_mut(&mut self, name: u32) -> Option<&mut Server> {
        self.list
            .iter_mut()
            .chain(&mut self.gone)
            .find(|server| server.name == name)
    }

    fn overhead(&self, server: &Server) -> i64 {
        let rest = match self.options.rules {
            Rules::Current => server.total,
            Rules::Legacy => server.total - server.active,
        };
        i64::from(server.active) * 256 + i64::from(rest)
    }
}

impl Server {
    fn weight(&self) -> i64 {
        i64::from(self.spec.weight)
    }

    fn unavailable(&self) -> bool {
        self.overloaded || self.refused
    }

    fn eligible(&self) -> bool {
        self.weight() > 0 && !self.unavailable()
    }

    const fn lower(&self) -> u32 {
        match self.spec.lower {
            0 => self.spec.upper - self.spec.upper / 4,
            lower => lower,
        }
    }

    const fn mark(&mut self, direction: i8) {
        let (upper, lower) = (self.spec.upper, self.lower());
        if upper == 0 {
            self.overloaded = false;
        } else if self.total >= (if direction > 0 { lower } else { upper }) {
            self.overloaded = true;
        } else if self.total >= (if direction < 0 { upper } else { lower }) {
            // Between the thresholds the flag stays.
        } else {
            self.overloaded = false;
        }
    }
}
