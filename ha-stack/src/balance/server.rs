//! One virtual server: who serves, from what is believed and what is ordered. No clock, no socket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use healthcheck::{Policy, Quorum, Start};

use crate::balance::plan::{RealServerPlan, VirtualServerPlan};
use crate::data_plane::{DesiredReal, DesiredServer, Forwarding, Front};

/// What an operator wants of a real server, until it is said otherwise or the daemon is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerOrder {
    /// No new connections; those that are there stay. It does not count for the quorum.
    Drain,
    /// As [`Drain`](Self::Drain), for so long at most: then, or once it has no connection, [`Cut`](Self::Cut).
    DrainFor(Duration),
    /// Taken out, and the connections that it has end.
    Cut,
    /// Taken out as if it had failed.
    Disable,
    /// Back to what the configuration and the checks say: undoes every other order.
    Enable,
    /// This weight instead of the configured one.
    Weight(u32),
    /// One more real server, with the settings and the checks of the first.
    Add,
    /// Taken out for good, its checks too. It gets no new connections; those that are there may end.
    Remove,
}

/// Whether an operator lets a real server take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Enabled,
    Draining,
    Disabled,
    /// Out, with no regard to the connections it has.
    Cut,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) plan: Arc<VirtualServerPlan>,
    /// Those of the plan without the removed ones, then those that were added.
    pub(crate) reals: Vec<Real>,
    /// Where each of them stands.
    places: HashMap<SocketAddr, usize>,
    /// Configured ones that an operator took out.
    removed: Vec<SocketAddr>,
    pub(crate) quorum_met: bool,
    /// Whether it was seen yet if the quorum is met.
    is_settled: bool,
    /// The sorry server has been in the table.
    sorry_used: bool,
    /// What the table has of it, until something changes.
    rows: OnceLock<Vec<Arc<DesiredServer>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Real {
    pub(crate) plan: RealServerPlan,
    /// What the checks say.
    pub(crate) up: bool,
    /// Whether that was told, or need not be: who is up from the start is not news.
    is_told: bool,
    /// What the checks say about the weight: the difference to the configured one.
    adjustment: i64,
    pub(crate) standing: Standing,
    /// Instead of the configured one.
    pub(crate) ordered_weight: Option<u32>,
    /// By an operator.
    pub(crate) added: bool,
}

/// What a change led to, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Real(SocketAddr, bool),
    Quorum(bool),
}

impl Server {
    /// One that begins; the real servers that `is_out` names are not up before their checks say so.
    pub(crate) fn new(plan: Arc<VirtualServerPlan>, is_out: impl Fn(SocketAddr) -> bool) -> Self {
        let reals = plan.real_servers.iter().cloned().map(|plan| {
            let is_out = is_out(plan.address);
            let mut real = Real::new(plan);
            if is_out {
                (real.up, real.is_told) = (false, false);
            }
            real
        });
        let mut server = Self {
            reals: reals.collect(),
            places: HashMap::new(),
            plan,
            removed: Vec::new(),
            quorum_met: false,
            is_settled: false,
            sorry_used: false,
            rows: OnceLock::new(),
        };
        server.find_places();
        server
    }

    fn find_places(&mut self) {
        let reals = self.reals.iter().enumerate();
        self.places = reals.map(|(place, real)| (real.plan.address, place)).collect();
    }

    /// The same under a plan that is equal: whoever runs the new one has it already.
    pub(crate) fn replace_plan(&mut self, plan: Arc<VirtualServerPlan>) {
        self.plan = plan;
    }

    /// The same under another plan: what is known and what was ordered stays for the real servers that stay. Returns
    /// those that are new and those that are gone.
    pub(crate) fn configure(&mut self, plan: Arc<VirtualServerPlan>) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let mut old: Vec<Option<Real>> = std::mem::take(&mut self.reals).into_iter().map(Some).collect();
        let mut new = Vec::new();
        for wanted in &plan.real_servers {
            if self.removed.contains(&wanted.address) {
                continue;
            }
            let known = self.places.get(&wanted.address);
            match known.and_then(|place| old.get_mut(*place)?.take()) {
                Some(mut real) => {
                    real.plan = wanted.clone();
                    real.added = false;
                    self.reals.push(real);
                }
                None => {
                    new.push(wanted.address);
                    self.reals.push(Real::new(wanted.clone()));
                }
            }
        }
        let (added, gone): (Vec<Real>, Vec<Real>) = old.into_iter().flatten().partition(|real| real.added);
        self.reals.extend(added);
        let gone = gone.into_iter().map(|real| real.plan.address).collect();
        self.find_places();
        self.removed
            .retain(|address| plan.real_servers.iter().any(|real| real.address == *address));
        if self.plan.sorry_server.map(|sorry| sorry.address) != plan.sorry_server.map(|sorry| sorry.address) {
            self.sorry_used = false;
        }
        self.plan = plan;
        (new, gone)
    }

    pub(crate) fn real(&self, address: SocketAddr) -> Option<&Real> {
        self.reals.get(*self.places.get(&address)?)
    }

    fn real_mut(&mut self, address: SocketAddr) -> Option<&mut Real> {
        self.reals.get_mut(*self.places.get(&address)?)
    }

    /// Takes in what the checks say. `weight` is on the scale of the configured weight.
    pub(crate) fn verdict(&mut self, address: SocketAddr, up: bool, weight: u32) -> Vec<Told> {
        let Some(real) = self.real_mut(address) else {
            return Vec::new();
        };
        let adjustment = i64::from(weight) - i64::from(real.plan.weight);
        if (real.up, real.adjustment, real.is_told) == (up, adjustment, true) {
            return Vec::new();
        }
        real.adjustment = adjustment;
        // As with keepalived, a first failure is told even of one that did not count as up before.
        let is_news = real.up != up || !real.is_told;
        (real.up, real.is_told) = (up, true);
        let mut told: Vec<Told> = is_news.then_some(Told::Real(address, up)).into_iter().collect();
        told.extend(self.settle());
        told
    }

    /// Takes in an order. `None` if it is about a real server that there is not, or, to add one, that there is.
    pub(crate) fn order(&mut self, address: SocketAddr, order: ServerOrder) -> Option<Vec<Told>> {
        match order {
            ServerOrder::Add => {
                if self.real(address).is_some() {
                    return None;
                }
                let configured = self.plan.real_servers.iter().find(|real| real.address == address);
                let real = match configured {
                    Some(plan) => Real::new(plan.clone()),
                    None => Real {
                        added: true,
                        ..Real::new(like(self.plan.real_servers.first(), address))
                    },
                };
                self.removed.retain(|removed| *removed != address);
                self.places.insert(address, self.reals.len());
                self.reals.push(real);
            }
            ServerOrder::Remove => {
                let place = *self.places.get(&address)?;
                if !self.reals.remove(place).added {
                    self.removed.push(address);
                }
                self.find_places();
            }
            ServerOrder::Drain | ServerOrder::DrainFor(_) => {
                self.real_mut(address)?.standing = Standing::Draining;
            }
            ServerOrder::Cut => self.real_mut(address)?.standing = Standing::Cut,
            ServerOrder::Disable => self.real_mut(address)?.standing = Standing::Disabled,
            ServerOrder::Weight(weight) => self.real_mut(address)?.ordered_weight = Some(weight),
            ServerOrder::Enable => {
                let real = self.real_mut(address)?;
                real.standing = Standing::Enabled;
                real.ordered_weight = None;
            }
        }
        Some(self.settle().into_iter().collect())
    }

    /// Sees whether the quorum was gained or lost. To be called after whatever changes the rows.
    pub(crate) fn settle(&mut self) -> Option<Told> {
        self.rows.take();
        let total = self.reals.iter().map(|real| u64::from(real.base_weight())).sum();
        let quorum = Quorum::new(self.plan.quorum.into(), self.plan.hysteresis.into(), total);
        let live = self.live_weight();
        let met = quorum.is_met(self.quorum_met, live);
        // A start without the quorum is news where a sorry server steps in.
        let begins_sorry = !self.is_settled && !met && self.plan.sorry_server.is_some();
        let is_news = met != self.quorum_met || begins_sorry;
        (self.quorum_met, self.is_settled) = (met, true);
        self.sorry_used |= self.is_sorry();
        is_news.then_some(Told::Quorum(met))
    }

    /// The weight that is up and takes new connections.
    pub(crate) fn live_weight(&self) -> u64 {
        let live = self.reals.iter().filter(|real| real.is_live());
        live.map(|real| u64::from(real.weight())).sum()
    }

    /// Whether the sorry server answers now.
    pub(crate) fn is_sorry(&self) -> bool {
        !self.quorum_met && self.plan.sorry_server.is_some()
    }

    /// The rows: one for each front. Those that nothing has changed are the same as the last time.
    pub(crate) fn rows(&self) -> &[Arc<DesiredServer>] {
        let rows = self.rows.get_or_init(|| self.made_rows().map(Arc::new).collect());
        debug_assert!(
            rows.iter().map(|row| (**row).clone()).eq(self.made_rows()),
            "settled after each change"
        );
        rows
    }

    fn made_rows(&self) -> impl Iterator<Item = DesiredServer> {
        self.plan.fronts.iter().map(|front| DesiredServer {
            front: *front,
            scheduling: self.plan.scheduling.clone(),
            one_packet: self.plan.one_packet,
            persistence: self.plan.persistence.clone(),
            proxy_protocol: self.plan.proxy_protocol,
            real_servers: self.row(front),
            absent: self.absent(front),
            cut: self.cut(front),
        })
    }

    /// The real server that stands under `address` in the row of `front`.
    pub(crate) fn behind(&self, front: &Front, address: SocketAddr) -> Option<&Real> {
        let mut reals = self.reals.iter();
        reals.find(|real| at_front(real.plan.address, real.plan.forwarding, front) == address)
    }

    fn row(&self, front: &Front) -> Vec<DesiredReal> {
        let reals = self.reals.iter().filter_map(|real| {
            let weight = self.table_weight(real)?;
            Some(DesiredReal {
                address: at_front(real.plan.address, real.plan.forwarding, front),
                forwarding: real.plan.forwarding,
                weight,
                upper_threshold: real.plan.upper_threshold,
                lower_threshold: real.plan.lower_threshold,
            })
        });
        let sorry = self.plan.sorry_server.and_then(|sorry| {
            let weight = match (self.is_sorry(), sorry.inhibit && self.sorry_used) {
                (true, _) => 1,
                (false, true) => 0,
                (false, false) => return None,
            };
            Some(DesiredReal {
                address: at_front(sorry.address, sorry.forwarding, front),
                forwarding: sorry.forwarding,
                weight,
                upper_threshold: 0,
                lower_threshold: 0,
            })
        });
        let mut rows: Vec<DesiredReal> = Vec::with_capacity(self.reals.len());
        let mut places: HashMap<SocketAddr, usize> = HashMap::with_capacity(self.reals.len());
        // A sorry server may be a real server too, and ports that are not changed may make two the same.
        for row in reals.chain(sorry) {
            match places.entry(row.address) {
                Entry::Occupied(place) => {
                    if let Some(known) = rows.get_mut(*place.get()) {
                        known.weight = known.weight.max(row.weight);
                    }
                }
                Entry::Vacant(place) => {
                    place.insert(rows.len());
                    rows.push(row);
                }
            }
        }
        rows
    }

    /// Those that are not in the table now although they are configured.
    fn absent(&self, front: &Front) -> Vec<SocketAddr> {
        let out = self.reals.iter().filter(|real| self.table_weight(real).is_none());
        let out = out.map(|real| at_front(real.plan.address, real.plan.forwarding, front));
        let sorry = self.plan.sorry_server.iter();
        out.chain(sorry.map(|sorry| at_front(sorry.address, sorry.forwarding, front)))
            .collect()
    }

    /// Those of them whose connections end.
    fn cut(&self, front: &Front) -> Vec<SocketAddr> {
        let cut = self.reals.iter().filter(|real| real.standing == Standing::Cut);
        cut.map(|real| at_front(real.plan.address, real.plan.forwarding, front))
            .collect()
    }

    /// The weight that a real server has in the table now; `None` if it is not in it.
    pub(crate) fn table_weight(&self, real: &Real) -> Option<u32> {
        let out = real.plan.inhibit.then_some(0);
        match (real.up, real.standing) {
            (_, Standing::Cut) => None,
            (false, _) | (true, Standing::Disabled) => out,
            (true, Standing::Draining) => Some(0),
            (true, Standing::Enabled) if self.is_sorry() => out,
            (true, Standing::Enabled) => Some(real.weight()),
        }
    }
}

impl Real {
    fn new(plan: RealServerPlan) -> Self {
        Self {
            up: plan.starts_up(),
            is_told: plan.starts_up(),
            plan,
            adjustment: 0,
            standing: Standing::Enabled,
            ordered_weight: None,
            added: false,
        }
    }

    fn base_weight(&self) -> u32 {
        self.ordered_weight.unwrap_or(self.plan.weight)
    }

    /// The weight with what the checks add and take away.
    pub(crate) fn weight(&self) -> u32 {
        let weight = i64::from(self.base_weight()).saturating_add(self.adjustment);
        u32::try_from(weight.clamp(0, MOST)).unwrap_or(0)
    }

    fn is_live(&self) -> bool {
        self.up && self.standing == Standing::Enabled
    }
}

/// A real server at another address with the settings of `model`, its checks aimed at that address.
fn like(model: Option<&RealServerPlan>, address: SocketAddr) -> RealServerPlan {
    let Some(model) = model else {
        return RealServerPlan::new(address);
    };
    let mut plan = model.clone();
    for (check, policy) in &mut plan.checks {
        *check = aimed(check, model.address, address);
        // Whoever adds it at run time wants to see it work before it serves.
        *policy = Arc::new(Policy {
            start: Start::Unknown,
            ..**policy
        });
    }
    plan.address = address;
    plan
}

/// A check that went to `from` goes to `to`; one that went elsewhere stays.
fn aimed(check: &healthcheck::Check, from: SocketAddr, to: SocketAddr) -> healthcheck::Check {
    let mut place = check.endpoint().addr;
    if place.ip() == from.ip() {
        place.set_ip(to.ip());
    }
    if place.port() == from.port() {
        place.set_port(to.port());
    }
    check.clone().at(place)
}

/// Port 0 is that of the front, and so is every port where packets are sent on unchanged.
pub(crate) fn at_front(mut address: SocketAddr, forwarding: Forwarding, front: &Front) -> SocketAddr {
    match front.port() {
        Some(port) if address.port() == 0 || !forwarding.changes_ports() => address.set_port(port),
        None if !forwarding.changes_ports() => address.set_port(0),
        Some(_) | None => {}
    }
    address
}

/// The kernel's greatest weight.
const MOST: i64 = i32::MAX as i64;
