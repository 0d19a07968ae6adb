//! What a runner knows, and what it does with it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use healthcheck::{Checker, Combine, Policy, Start, State as TargetState, TargetSpec};

use crate::balance::balancer::{Balancer, Configured, ServerHappening};
use crate::balance::found;
use crate::balance::plan::{BalancePlan, SynchronizationPlan, VirtualServerPlan};
use crate::balance::runner::Target;
use crate::balance::server::{ServerOrder, Standing};
use crate::balance::status::open_connections;
use crate::data_plane::{DataPlane, Extent, Front, Synchronization};
use crate::election::Happening;
use crate::error::Error;

pub(crate) struct State {
    pub(crate) balancer: Balancer,
    pub(crate) plane: Box<dyn DataPlane>,
    /// `None` at the end: the thread that reads its events then ends too.
    pub(crate) checker: Option<Checker<Target>>,
    pub(super) plan: BalancePlan,
    /// Virtual routers that are active here.
    pub(super) active: HashSet<String>,
    /// Virtual servers whose checks are suspended.
    suspended: HashSet<Arc<str>>,
    /// Whether the data plane was told anything yet.
    pub(super) begun: bool,
    /// Whether it has taken anything yet.
    taken: bool,
    /// It is not known what it has.
    pub(super) stale: bool,
    /// What it refused last.
    pub(super) refused: Vec<String>,
    /// The drains that end by themselves.
    drains: HashMap<Target, Drain>,
}

/// A drain that ends by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    begin: Instant,
    end: Instant,
    /// How long it took, and how many connections were cut off, where that could be asked.
    over: Option<(Duration, Option<u64>)>,
}

impl State {
    pub(super) fn new(plane: Box<dyn DataPlane>, checker: Checker<Target>) -> Self {
        Self {
            balancer: Balancer::new(),
            plane,
            checker: Some(checker),
            plan: BalancePlan::default(),
            active: HashSet::new(),
            suspended: HashSet::new(),
            begun: false,
            taken: false,
            stale: false,
            refused: Vec::new(),
            drains: HashMap::new(),
        }
    }

    /// Takes in another configuration, which was checked; what it changes is not carried out yet. `out` is who a
    /// predecessor had taken out.
    pub(super) fn configure(
        &mut self,
        servers: Vec<Arc<VirtualServerPlan>>,
        plan: BalancePlan,
        active: HashSet<String>,
        out: &HashSet<Target>,
    ) -> Configured {
        let initial = plan.initial_notifications;
        let configured = self.balancer.configure_without(servers, initial, out);
        let mut reals = self.balancer.servers().iter().flat_map(|server| &server.reals);
        let some = reals.any(|real| real.plan.log_failures.contains(&true));
        if let Some(checker) = &self.checker {
            checker.report_repeats(plan.log_all_failures || some);
        }
        self.plan = plan;
        self.active = active;
        configured
    }

    /// Takes in an order; what it changes is not carried out yet.
    pub(super) fn order(
        &mut self,
        server: &str,
        real: SocketAddr,
        order: ServerOrder,
    ) -> Result<Vec<Happening>, Error> {
        let happened = self.balancer.order(server, real, order)?;
        let target = (Arc::from(server), real);
        match order {
            ServerOrder::DrainFor(time) => {
                let begin = Instant::now();
                let drain = Drain {
                    begin,
                    end: begin.checked_add(time).unwrap_or(begin),
                    over: None,
                };
                self.drains.insert(target, drain);
            }
            // Its weight is not what drains it.
            ServerOrder::Weight(_) => {}
            ServerOrder::Drain
            | ServerOrder::Cut
            | ServerOrder::Disable
            | ServerOrder::Enable
            | ServerOrder::Add
            | ServerOrder::Remove => drop(self.drains.remove(&target)),
        }
        Ok(said(happened, Some("ordered by an operator".into())).collect())
    }

    /// Cuts off what has drained, or was given its time. Returns whether there was any.
    pub(super) fn end_drains(&mut self, now: Instant) -> bool {
        let is_standing = |state: &Self, (server, real): &Target, standing| {
            let server = state.balancer.server(server);
            let real = server.and_then(|server| server.real(*real));
            real.is_some_and(|real| real.standing == standing)
        };
        // A reload may have taken out what was drained.
        let mut drains = std::mem::take(&mut self.drains);
        drains.retain(|target, drain| {
            let standing = match drain.over {
                None => Standing::Draining,
                Some(_) => Standing::Cut,
            };
            is_standing(self, target, standing)
        });
        self.drains = drains;
        if self.drains.values().all(|drain| drain.over.is_some()) {
            return false;
        }
        // Who cannot be asked has connections, until the time is over.
        let counters = self.plane.counters().ok();
        let mut ended = false;
        for ((server, real), drain) in self.drains.iter_mut().filter(|(_, drain)| drain.over.is_none()) {
            let open = counters.as_ref().zip(self.balancer.server(server));
            let open = open.map(|(counters, server)| open_connections(server, *real, counters));
            let time = now.saturating_duration_since(drain.begin);
            let is_idle = open == Some(0) && time >= SETTLED;
            if !is_idle && now < drain.end {
                continue;
            }
            drain.over = Some((time, open));
            tracing::info!(%server, %real, cut_off = open, "drained");
            // It is not news: it served no more.
            let _ = self.balancer.order(server, *real, ServerOrder::Cut);
            ended = true;
        }
        ended
    }

    /// The drain of a real server that ends by itself, or has ended.
    pub(crate) fn drain(&self, server: &str, real: SocketAddr) -> Option<&Drain> {
        self.drains.get(&(Arc::from(server), real))
    }

    /// What is told at the end.
    pub(super) fn farewell(&self) -> Vec<Happening> {
        said(self.balancer.farewell(), Some("the daemon stops".into())).collect()
    }

    /// Who a predecessor had taken out, before anything is put into the table.
    pub(super) fn found_out(
        &mut self,
        servers: &[Arc<VirtualServerPlan>],
        plan: &BalancePlan,
    ) -> HashSet<Target> {
        if self.begun || plan.flush {
            return HashSet::new();
        }
        match self.plane.counters() {
            Ok(found) => found::out_of(found, servers),
            // What it is that it cannot say is said when it is told something.
            Err(_) => HashSet::new(),
        }
    }

    /// Has the real servers of the virtual servers at these places checked, those who were `out` at once, and those who
    /// are gone no more. Takes in what is known of them.
    pub(super) fn aim_checks(
        &mut self,
        places: &[usize],
        gone: Vec<Target>,
        out: &HashSet<Target>,
    ) -> Vec<Happening> {
        let Some(checker) = &self.checker else {
            return Vec::new();
        };
        let servers = places
            .iter()
            .filter_map(|place| self.balancer.servers().get(*place));
        let count = servers.clone().map(|server| server.reals.len()).sum();
        let targets = servers.flat_map(|server| {
            server.reals.iter().map(|real| {
                let key = (Arc::clone(&server.plan.name), real.plan.address);
                let mut checks = real.plan.checks.clone();
                if out.contains(&key) {
                    for (_, policy) in &mut checks {
                        *policy = Arc::new(Policy {
                            start: Start::Unknown,
                            ..**policy
                        });
                    }
                }
                TargetSpec {
                    key,
                    checks,
                    combine: Combine::All,
                    weight: real.plan.weight,
                }
            })
        });
        let diff = checker.change(
            Counted {
                inner: targets,
                count,
            },
            gone,
        );
        for target in out {
            // What comes of it comes as every verdict does.
            drop(checker.check_now(target));
        }
        self.suspended.retain(|name| self.balancer.server(name).is_some());
        // Who comes to a virtual server whose checks are suspended is not checked either.
        for target in diff
            .added
            .iter()
            .filter(|(name, _)| self.suspended.contains(name))
        {
            checker.suspend(target, true);
        }
        // What is known of the others has been learned, or is on its way.
        let mut told = self.suspend();
        let new = diff.added.iter().chain(&diff.changed);
        told.extend(new.flat_map(|target| self.learn(target)));
        told
    }

    /// Takes in what is believed of everybody.
    pub(super) fn learn_all(&mut self) -> Vec<Happening> {
        let servers = self.balancer.servers().iter();
        let targets = servers.flat_map(|server| {
            let reals = server.reals.iter();
            reals.map(|real| (Arc::clone(&server.plan.name), real.plan.address))
        });
        let targets: Vec<Target> = targets.collect();
        targets.iter().flat_map(|target| self.learn(target)).collect()
    }

    /// Takes in what is believed of one real server.
    pub(super) fn learn(&mut self, target: &Target) -> Vec<Happening> {
        if self.suspended.contains(&target.0) {
            // An attempt that had begun before says nothing.
            return Vec::new();
        }
        let Some(status) = self.checker.as_ref().and_then(|checker| checker.status(target)) else {
            return Vec::new();
        };
        if status.state == TargetState::Unknown {
            // Until there is something to say all stays as it is.
            return Vec::new();
        }
        let up = status.state == TargetState::Up;
        let reason: Option<Arc<str>> = match up {
            true => None,
            false => status
                .reason()
                .and_then(|check| check.last_failure.as_ref())
                .map(|(_, failure)| failure.to_string().into()),
        };
        let (server, real) = target;
        let happened = self.balancer.verdict(server, *real, up, status.weight);
        said(happened, reason).collect()
    }

    /// Whether each failed attempt of this check is logged.
    pub(super) fn logs_failures(&self, target: &Target, check: usize) -> bool {
        let (server, real) = target;
        let real = self.balancer.server(server).and_then(|server| server.real(*real));
        let own = real.and_then(|real| real.plan.log_failures.get(check));
        self.plan.log_all_failures || own == Some(&true)
    }

    /// A real server did not take what it was sent: whoever is believed to be up is checked at once, and the checks decide.
    pub(super) fn doubt(&self, front: Front, address: SocketAddr) {
        let Some(checker) = &self.checker else { return };
        let servers = self.balancer.servers().iter();
        for server in servers.filter(|server| server.plan.fronts.contains(&front)) {
            if let Some(real) = server.behind(&front, address).filter(|real| real.up) {
                let target = (Arc::clone(&server.plan.name), real.plan.address);
                // What comes of it comes as every verdict does.
                drop(checker.check_now(&target));
            }
        }
    }

    /// Suspends the checks of virtual servers whose address is not on this host, and resumes the others. Takes in what is
    /// known of those.
    pub(super) fn suspend(&mut self) -> Vec<Happening> {
        let Some(checker) = &self.checker else {
            return Vec::new();
        };
        let mut resumed = Vec::new();
        for server in self.balancer.servers() {
            let address = server.plan.suspended_without;
            if address.is_none() && self.suspended.is_empty() {
                continue;
            }
            let suspend = address.is_some_and(|address| !is_local(address));
            if suspend == self.suspended.contains(&server.plan.name) {
                continue;
            }
            for real in &server.reals {
                let target = (Arc::clone(&server.plan.name), real.plan.address);
                checker.suspend(&target, suspend);
                if !suspend {
                    resumed.push(target);
                }
            }
            match suspend {
                true => self.suspended.insert(Arc::clone(&server.plan.name)),
                false => self.suspended.remove(&server.plan.name),
            };
        }
        resumed.iter().flat_map(|target| self.learn(target)).collect()
    }

    /// Makes the data plane equal to what is decided. At the end, when it has been emptied, nothing is put into it any more:
    /// a verdict or an order may still be on its way.
    pub(super) fn apply(&mut self, extent: Extent) {
        if self.checker.is_none() {
            return;
        }
        let mut table = self.balancer.table();
        table.timeouts = self.plan.timeouts;
        table.synchronization = self.synchronization();
        table.exclusive = self.plan.flush && !self.taken;
        self.begun = true;
        let refused = match self.plane.reconcile(&table, extent) {
            Ok(applied) => {
                self.taken = true;
                self.stale = false;
                if applied.changes > 0 && extent == Extent::Whole {
                    tracing::debug!(changes = applied.changes, "the load balancer was put right");
                }
                applied.refused
            }
            Err(error) => {
                self.stale = true;
                vec![error.to_string()]
            }
        };
        // Tried again and again, but said once.
        for line in refused.iter().filter(|line| !self.refused.contains(line)) {
            tracing::error!("the load balancer is not as it should be: {line}");
        }
        self.refused = refused;
    }

    fn synchronization(&self) -> Vec<Synchronization> {
        let Some(plan) = &self.plan.synchronization else {
            return Vec::new();
        };
        let directions = match &plan.router {
            None => vec![true, false],
            Some(router) => vec![self.active.contains(router)],
        };
        directions
            .into_iter()
            .map(|sends| direction(plan, sends))
            .collect()
    }

    /// The real server that an operator means: by address and port, or by an address that only one has.
    pub(super) fn find(&self, server: &str, real: &str) -> Result<SocketAddr, Error> {
        if let Ok(address) = real.parse() {
            return Ok(address);
        }
        let unknown = || Error::UnknownServer(format!("`{real}` is no address with a port"));
        let ip: IpAddr = real.parse().map_err(|_| unknown())?;
        let server = self
            .balancer
            .server(server)
            .ok_or_else(|| Error::UnknownServer(format!("there is no virtual server {server}")))?;
        let mut same = server.reals.iter().filter(|real| real.plan.address.ip() == ip);
        match (same.next(), same.next()) {
            (Some(one), None) => Ok(one.plan.address),
            (Some(_), Some(_)) => Err(Error::UnknownServer(format!(
                "{} has several real servers at {ip}: add the port",
                server.plan.name
            ))),
            (None, _) => Err(Error::UnknownServer(format!(
                "{} has no real server at {ip}; to add one, name its port",
                server.plan.name
            ))),
        }
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.over {
            None => {
                let left = self.end.saturating_duration_since(Instant::now());
                write!(formatter, "drain, {} s left", left.as_millis().div_ceil(1000))
            }
            Some((time, cut_off)) => {
                let time = time.as_secs();
                let cut_off = cut_off.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
                write!(formatter, "drained in {time} s, connections cut off: {cut_off}")
            }
        }
    }
}

/// For how long a real server gets nothing new before it is believed to have no connection: one that is just being made is not
/// counted yet, and between short requests there is none for a moment.
const SETTLED: Duration = Duration::from_secs(1);

pub(super) fn said(
    happened: Vec<ServerHappening>,
    reason: Option<Arc<str>>,
) -> impl Iterator<Item = Happening> {
    happened.into_iter().map(move |happening| Happening {
        object: happening.object,
        kind: happening.kind,
        priority: 0,
        reason: reason.clone(),
    })
}

fn direction(plan: &SynchronizationPlan, sends: bool) -> Synchronization {
    Synchronization {
        sends,
        interface: plan.interface.clone(),
        id: plan.id,
        max_length: plan.max_length,
        group: plan.group,
        port: plan.port,
        ttl: plan.ttl,
    }
}

/// An iterator of which it is known how much is left: room for it is made at once.
struct Counted<I> {
    inner: I,
    count: usize,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.count = self.count.saturating_sub(1);
        self.inner.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, None)
    }
}

/// Whether an address is on this host: only then a socket can be bound to it.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
