//! All virtual servers together.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balance::differences;
use crate::balance::names;
use crate::balance::plan::VirtualServerPlan;
use crate::balance::server::{Server, ServerOrder, Told};
use crate::data_plane::DesiredTable;
use crate::error::Error;
use crate::notify::{EventKind, Object};

/// Decides who serves: a pure function of the configuration, what the checks say and what operators order.
///
/// It has no clock and no socket. Whoever runs it passes verdicts on, makes a data plane equal to [`table`](Self::table)
/// after each call, and then tells what the call returned.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    servers: Vec<Server>,
    by_name: HashMap<Arc<str>, usize>,
}

/// Something that happened to a virtual or a real server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct ServerHappening {
    /// To whom.
    pub object: Object,
    /// [`EventKind::Up`] or [`EventKind::Down`].
    pub kind: EventKind,
}

/// What became of another configuration. What stayed the same is not in it.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(crate) happened: Vec<ServerHappening>,
    /// The places of the virtual servers that are new or different.
    pub(crate) touched: Vec<usize>,
    /// The real servers that there are no more.
    pub(crate) gone: Vec<(Arc<str>, SocketAddr)>,
    /// What differs, in words.
    pub(crate) lines: Vec<String>,
}

impl Balancer {
    /// One without virtual servers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the virtual servers equal to `plans`. What stays keeps what is known of it, what was ordered, and its quorum.
    /// Returns what happened; with `initial` that includes real servers that are new and up.
    ///
    /// # Errors
    /// [`Error::DuplicateServer`] if two have the same name or the same front. Nothing is changed then.
    pub fn configure(
        &mut self,
        plans: Vec<Arc<VirtualServerPlan>>,
        initial: bool,
    ) -> Result<Vec<ServerHappening>, Error> {
        Self::check(&plans)?;
        Ok(self.configure_without(plans, initial, &HashSet::new()).happened)
    }

    /// The same with plans that were [checked](Self::check), where of the virtual servers that are new these real servers
    /// are not up before their checks say so.
    pub(crate) fn configure_without(
        &mut self,
        plans: Vec<Arc<VirtualServerPlan>>,
        initial: bool,
        out: &HashSet<(Arc<str>, SocketAddr)>,
    ) -> Configured {
        let mut old: HashMap<Arc<str>, Server> = self
            .servers
            .drain(..)
            .map(|server| (Arc::clone(&server.plan.name), server))
            .collect();
        self.by_name.clear();
        let mut configured = Configured::default();
        for plan in plans {
            let place = self.servers.len();
            self.by_name.insert(Arc::clone(&plan.name), place);
            let (mut server, new) = match old.remove(&plan.name) {
                Some(mut server) if *server.plan == *plan => {
                    server.replace_plan(plan);
                    self.servers.push(server);
                    continue;
                }
                Some(mut server) => {
                    configured.lines.push(differences::changed(&server.plan, &plan));
                    let name = Arc::clone(&plan.name);
                    let (new, gone) = server.configure(plan);
                    configured
                        .gone
                        .extend(gone.into_iter().map(|address| (Arc::clone(&name), address)));
                    (server, new)
                }
                None => {
                    configured.lines.push(differences::added(&plan));
                    let new = plan.real_servers.iter().map(|real| real.address).collect();
                    let name = Arc::clone(&plan.name);
                    let is_out = |address| out.contains(&(Arc::clone(&name), address));
                    (Server::new(plan, is_out), new)
                }
            };
            let new_and_up = new
                .iter()
                .filter(|address| initial && server.real(**address).is_some_and(|real| real.up));
            let mut told: Vec<Told> = new_and_up.map(|address| Told::Real(*address, true)).collect();
            told.extend(server.settle());
            configured
                .happened
                .extend(told.into_iter().map(|told| happening(&server, told)));
            configured.touched.push(place);
            self.servers.push(server);
        }
        let mut removed: Vec<Server> = old.into_values().collect();
        removed.sort_by(|one, other| one.plan.name.cmp(&other.plan.name));
        for server in &removed {
            configured.lines.push(differences::removed(&server.plan));
            let reals = server.reals.iter();
            configured
                .gone
                .extend(reals.map(|real| (Arc::clone(&server.plan.name), real.plan.address)));
        }
        configured
    }

    /// Whether `plans` fit together.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    pub fn check(plans: &[Arc<VirtualServerPlan>]) -> Result<(), Error> {
        let mut names = HashSet::with_capacity(plans.len());
        let mut fronts = HashSet::with_capacity(plans.len());
        for plan in plans {
            if !names.insert(&plan.name) {
                return Err(Error::DuplicateServer(plan.name.to_string()));
            }
            if let Some(front) = plan.fronts.iter().find(|front| !fronts.insert(**front)) {
                return Err(Error::DuplicateServer(names::of_front(front)));
            }
        }
        Ok(())
    }

    /// Takes in what the checks say of a real server. `weight` is on the scale of the configured one.
    pub fn verdict(&mut self, server: &str, real: SocketAddr, up: bool, weight: u32) -> Vec<ServerHappening> {
        let Some(server) = self.server_mut(server) else {
            return Vec::new();
        };
        let told = server.verdict(real, up, weight);
        told.into_iter().map(|told| happening(server, told)).collect()
    }

    /// Takes in an operator's order.
    ///
    /// # Errors
    /// [`Error::UnknownServer`] if there is no such virtual or real server, or, to add one, if there is one already.
    pub fn order(
        &mut self,
        server: &str,
        real: SocketAddr,
        order: ServerOrder,
    ) -> Result<Vec<ServerHappening>, Error> {
        let unknown = |server: &Server| match order {
            ServerOrder::Add => Error::UnknownServer(format!("{} has {real} already", server.plan.name)),
            ServerOrder::Drain
            | ServerOrder::DrainFor(_)
            | ServerOrder::Cut
            | ServerOrder::Disable
            | ServerOrder::Enable
            | ServerOrder::Weight(_)
            | ServerOrder::Remove => {
                Error::UnknownServer(format!("{} has no real server {real}", server.plan.name))
            }
        };
        let Some(server) = self.server_mut(server) else {
            return Err(Error::UnknownServer(format!(
                "there is no virtual server {server}"
            )));
        };
        let told = server.order(real, order).ok_or_else(|| unknown(server))?;
        Ok(told.into_iter().map(|told| happening(server, told)).collect())
    }

    /// What the data plane should have now.
    pub fn table(&self) -> DesiredTable {
        DesiredTable {
            virtual_servers: self.servers.iter().flat_map(Server::rows).cloned().collect(),
            ..DesiredTable::default()
        }
    }

    /// What is told at the end: with omega, everything that was up is down.
    pub fn farewell(&self) -> Vec<ServerHappening> {
        let mut happened = Vec::new();
        for server in self.servers.iter().filter(|server| server.plan.omega) {
            let up = server.reals.iter().filter(|real| real.up);
            let told = up.map(|real| Told::Real(real.plan.address, false));
            let quorum = server.quorum_met.then_some(Told::Quorum(false));
            happened.extend(told.chain(quorum).map(|told| happening(server, told)));
        }
        happened
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn server(&self, name: &str) -> Option<&Server> {
        self.servers.get(*self.by_name.get(name)?)
    }

    fn server_mut(&mut self, name: &str) -> Option<&mut Server> {
        self.servers.get_mut(*self.by_name.get(name)?)
    }
}

fn happening(server: &Server, told: Told) -> ServerHappening {
    let kind = |up| match up {
        true => EventKind::Up,
        false => EventKind::Down,
    };
    match told {
        Told::Real(address, up) => ServerHappening {
            object: names::real_object(server.plan.transport, address, &server.plan.label),
            kind: kind(up),
        },
        Told::Quorum(up) => ServerHappening {
            object: server.plan.object(),
            kind: kind(up),
        },
    }
}
