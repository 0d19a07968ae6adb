//! The kernel's IPVS as a data plane.

mod translate;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipvs_netlink::{
    Client, DaemonRole, Endpoint, Owned, Reason, ReconcileOptions, Refusal, Removal, ServiceKey, Table,
    Timeout, Timeouts, Transport,
};
use netlink_batch::Socket;

use crate::data_plane::record::{Ours, Record};
use crate::data_plane::{
    Applied, ConnectionTimeouts, DataPlane, DesiredServer, DesiredTable, Extent, Front, RealCounters,
    ServerCounters, Synchronization,
};
use crate::error::Error;

/// The kernel's table of virtual servers.
///
/// A virtual server of the configuration is ours, whoever made it: it is adopted as it is found, and only what differs
/// is changed, so its connections and counters stay. What is ours is also written down in a file, so that a virtual
/// server which is no longer configured is removed even if the daemon that made it was killed. Everything else in the
/// table is left alone.
pub struct IpvsPlane<T = Socket> {
    client: Client<T>,
    record: Record,
    /// What the kernel has, as far as the last calls tell.
    known: HashMap<Front, Known>,
    timeouts: ConnectionTimeouts,
    /// What was carried out last; `None` while that is not known.
    synchronization: Option<Vec<Synchronization>>,
}

/// A virtual server that the kernel has as it was desired.
struct Known {
    desired: Arc<DesiredServer>,
    /// What the kernel has no word for.
    refused: Vec<String>,
}

impl Known {
    fn is(&self, desired: &Arc<DesiredServer>) -> bool {
        Arc::ptr_eq(&self.desired, desired) || self.desired == *desired
    }
}

impl IpvsPlane {
    /// The IPVS of the calling thread's network namespace. `record` is where it is written down what is ours; without
    /// it only the configuration says so.
    ///
    /// # Errors
    /// [`Error::Ipvs`] if the kernel has no IPVS or does not let us use it, [`Error::File`] if the record cannot be read.
    pub fn open(record: Option<PathBuf>) -> Result<Self, Error> {
        Self::over(Client::open()?, record)
    }
}

impl<T: Transport> IpvsPlane<T> {
    /// The IPVS behind a client.
    ///
    /// # Errors
    /// As [`open`](IpvsPlane::open).
    pub fn over(client: Client<T>, record: Option<PathBuf>) -> Result<Self, Error> {
        // Whoever may not ask this may ask nothing.
        client.info()?;
        Ok(Self {
            client,
            record: Record::open(record)?,
            known: HashMap::new(),
            timeouts: ConnectionTimeouts::default(),
            synchronization: None,
        })
    }

    fn rows(&mut self, desired: &DesiredTable, extent: Extent, applied: &mut Applied) -> Result<(), Error> {
        let fronts: BTreeSet<Front> = desired
            .virtual_servers
            .iter()
            .map(|server| server.front)
            .collect();
        let mut ours = Ours {
            fronts,
            synchronization: self.record.ours().synchronization.clone(),
        };
        let recorded = &self.record.ours().fronts;
        let gone: BTreeSet<Front> = recorded.difference(&ours.fronts).copied().collect();
        // Known to be ours before it is there.
        if *recorded != ours.fronts {
            let mut before = self.record.ours().clone();
            before.fronts.extend(ours.fronts.iter().copied());
            self.record.write(&before)?;
        }

        let gone_keys: HashSet<ServiceKey> = gone.iter().map(translate::key).collect();
        let mut wanted = Table::default();
        let mut at_once: HashSet<_> = gone_keys.iter().map(|key| (*key, None)).collect();
        let mut told: Vec<(Front, Known)> = Vec::new();
        for server in &desired.virtual_servers {
            let known = self.known.get_mut(&server.front);
            if extent == Extent::Changed
                && let Some(known) = known.filter(|known| known.is(server))
            {
                applied.refused.extend(known.refused.iter().cloned());
                known.desired = Arc::clone(server);
                continue;
            }
            let mut refused = Vec::new();
            let service = translate::server(server, &mut refused);
            let key = service.service.key;
            applied.refused.extend(refused.iter().cloned());
            let desired = Arc::clone(server);
            told.push((server.front, Known { desired, refused }));
            match service.service.persistence {
                // The kernel goes on sending clients to where they have been, whatever its weight.
                Some(_) => drop(at_once.insert((key, None))),
                None => at_once.extend(
                    server
                        .absent
                        .iter()
                        .map(|real| (key, Some(Endpoint::from(*real)))),
                ),
            }
            wanted.services.push(service);
        }
        if !wanted.services.is_empty() || !gone_keys.is_empty() || desired.exclusive {
            let options = ReconcileOptions {
                owned: match desired.exclusive {
                    true => Owned::All,
                    false => Owned::And(gone_keys.clone()),
                },
                removal: match desired.exclusive {
                    true => Removal::Now,
                    false => Removal::WhenIdle,
                },
                at_once,
                ..ReconcileOptions::default()
            };
            // With a table that is ours alone a part of it would make the rest unwanted.
            if desired.exclusive && extent == Extent::Changed {
                let all = desired.virtual_servers.iter();
                let mut said = Vec::new();
                wanted.services = all.map(|server| translate::server(server, &mut said)).collect();
            }
            let outcome = self.client.reconcile(&wanted, &options);
            // Until it is known better, nothing is known.
            for front in told.iter().map(|(front, _)| front).chain(&gone) {
                self.known.remove(front);
            }
            let changes = outcome?;
            applied.changes += changes.done.len();
            let refused: HashSet<ServiceKey> = changes
                .refused
                .iter()
                .filter_map(|refusal| refusal.service)
                .collect();
            for front in &gone {
                let key = translate::key(front);
                let is_still_there =
                    refused.contains(&key) && !changes.refused.iter().any(|refusal| is_gone(refusal, key));
                if is_still_there {
                    ours.fronts.insert(*front);
                }
            }
            for (front, known) in told {
                if !refused.contains(&translate::key(&front)) {
                    self.known.insert(front, known);
                }
            }
            applied
                .refused
                .extend(changes.refused.iter().map(Refusal::to_string));
        }
        self.record.write(&ours)
    }

    fn timeouts(&mut self, desired: ConnectionTimeouts, applied: &mut Applied) -> Result<(), Error> {
        let wanted: Timeouts = translate::timeouts(desired);
        if wanted == Timeouts::default() || self.timeouts == desired {
            return Ok(());
        }
        let there = self.client.timeouts()?;
        let differs = |wanted: Option<Timeout>, there| wanted.is_some() && wanted != there;
        if differs(wanted.tcp, there.tcp)
            || differs(wanted.tcp_fin, there.tcp_fin)
            || differs(wanted.udp, there.udp)
        {
            self.client.set_timeouts(wanted)?;
            applied.changes += 1;
        }
        self.timeouts = desired;
        Ok(())
    }

    /// Starts and stops sync daemons; one that somebody else started stays unless one of its kind is wanted.
    fn synchronization(
        &mut self,
        desired: &DesiredTable,
        extent: Extent,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let wanted = &desired.synchronization;
        let mut ours = self.record.ours().clone();
        let is_ours_to_look_at = !wanted.is_empty() || !ours.synchronization.is_empty();
        if !is_ours_to_look_at || (extent == Extent::Changed && self.synchronization.as_ref() == Some(wanted))
        {
            return Ok(());
        }
        ours.synchronization.extend(wanted.iter().map(|each| each.sends));
        self.record.write(&ours)?;
        self.synchronization = None;
        let running = self.client.daemons()?;
        for sends in [false, true] {
            let role = translate::role(sends);
            let there = running.iter().find(|entry| entry.daemon.role == role);
            let target = wanted.iter().find(|each| each.sends == sends);
            let target = target.and_then(|each| translate::daemon(each, &mut applied.refused));
            let is_right = match (there, target) {
                (Some(there), Some(target)) => translate::is_same_daemon(&there.daemon, &target),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if is_right {
                continue;
            }
            if there.is_some() && (target.is_some() || ours.synchronization.contains(&sends)) {
                self.stop(role, applied)?;
            }
            if let Some(target) = target {
                match self.client.start_daemon(target) {
                    Ok(()) => applied.changes += 1,
                    Err(ipvs_netlink::Error::Refused(refusal)) => applied.refused.push(refusal.to_string()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.synchronization = Some(wanted.clone());
        ours.synchronization = wanted.iter().map(|each| each.sends).collect();
        self.record.write(&ours)
    }

    fn stop(&self, role: DaemonRole, applied: &mut Applied) -> Result<(), Error> {
        match self.client.stop_daemon(role) {
            Ok(()) => applied.changes += 1,
            Err(ipvs_netlink::Error::Refused(refusal)) if refusal.reason == Reason::DaemonNotRunning => {}
            Err(ipvs_netlink::Error::Refused(refusal)) => applied.refused.push(refusal.to_string()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl<T: Transport + Send> DataPlane for IpvsPlane<T> {
    fn name(&self) -> &'static str {
        "ipvs"
    }

    fn reconcile(&mut self, desired: &DesiredTable, extent: Extent) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        self.rows(desired, extent, &mut applied)?;
        self.timeouts(desired.timeouts, &mut applied)?;
        self.synchronization(desired, extent, &mut applied)?;
        Ok(applied)
    }

    fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
        let mut all = Vec::new();
        for service in self.client.snapshot()?.services {
            let Some(front) = translate::front(&service.entry.service.key) else {
                continue;
            };
            if !self.record.ours().fronts.contains(&front) {
                continue;
            }
            let real_servers = service.destinations.iter().map(|entry| RealCounters {
                address: SocketAddr::from(entry.destination.endpoint),
                weight: entry.destination.weight.get(),
                active: entry.active.into(),
                inactive: entry.inactive.into(),
                traffic: translate::traffic(&entry.stats),
            });
            all.push(ServerCounters {
                front,
                traffic: translate::traffic(&service.entry.stats),
                real_servers: real_servers.collect(),
            });
        }
        Ok(all)
    }
}

impl<T> fmt::Debug for IpvsPlane<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IpvsPlane")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// Whether the refusal says that there is nothing left to remove.
fn is_gone(refusal: &Refusal, key: ServiceKey) -> bool {
    refusal.service == Some(key) && refusal.reason == Reason::ServiceNotFound
}

#[cfg(test)]
mod tests;
