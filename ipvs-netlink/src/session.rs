//! What the blocking and the asynchronous client share: one transport, used for one thing at a time.

use std::collections::HashSet;

use netlink_batch::{Change, Message, Outcome, Report};

use crate::batch::BatchReport;
use crate::daemon::DaemonRole;
use crate::error::{Error, Reason, Refusal};
use crate::family_lookup;
use crate::message::{DaemonEntry, DestinationEntry, Reply, Request, ServiceEntry};
use crate::reconcile::{Changes, Owned, ReconcileOptions, plan};
use crate::service::{Family, ServiceKey};
use crate::table::{Snapshot, SnapshotService, Table, deduplicate};

/// The way to a kernel: a netlink socket, or something that answers like one.
pub trait Transport {
    /// Carries out a batch; each message that answers a get or a dump is handed to `reply` with its item's index.
    ///
    /// # Errors
    /// What kept the batch from being carried out as a whole; refusals of single items stand in the report.
    fn run(
        &mut self,
        batch: &mut netlink_batch::Batch,
        reply: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<Report, netlink_batch::Error>;
}

impl Transport for netlink_batch::Socket {
    fn run(
        &mut self,
        batch: &mut netlink_batch::Batch,
        reply: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<Report, netlink_batch::Error> {
        Self::run(self, batch, reply)
    }
}

#[derive(Debug)]
pub(crate) struct Session<T> {
    pub(crate) transport: T,
    family: u16,
    wire: netlink_batch::Batch,
}

impl<T: Transport> Session<T> {
    /// Asks for the family's number, which makes the kernel load its module.
    pub(crate) fn new(mut transport: T) -> Result<Self, Error> {
        let mut wire = netlink_batch::Batch::new();
        wire.get(family_lookup::GENL_ID_CTRL, family_lookup::encode);
        let mut family = None;
        let report = transport.run(&mut wire, &mut |_, message| {
            family = family_lookup::decode(message.body);
        })?;
        match (family, report.outcome(0)) {
            (Some(family), _) => Ok(Self {
                transport,
                family,
                wire,
            }),
            (None, Outcome::Unconfirmed) => Err(Error::Unconfirmed),
            (None, _) => Err(Error::NoIpvs),
        }
    }

    /// Carries out changes.
    pub(crate) fn apply(&mut self, requests: &[Request]) -> Result<BatchReport, Error> {
        let report = self.exchange(requests, |_, _| Ok(()))?;
        let mut result = BatchReport {
            total: requests.len(),
            ..BatchReport::default()
        };
        if report.is_clean() {
            return Ok(result);
        }
        for (index, failure) in report.failures() {
            if let Some(request) = requests.get(index) {
                result.refused.push((index, Refusal::new(request, failure.errno)));
            }
        }
        result.unconfirmed.extend(report.unconfirmed());
        Ok(result)
    }

    /// Carries out one change.
    pub(crate) fn change(&mut self, request: Request) -> Result<(), Error> {
        self.apply(&[request])?.into_result()
    }

    /// Stops a sync daemon. The kernel does not answer at all when its thread was stopped before it had begun (it counts
    /// as interrupted); then it is looked whether the daemon is gone.
    pub(crate) fn stop_daemon(&mut self, role: DaemonRole) -> Result<(), Error> {
        match self.change(Request::StopDaemon(role)) {
            Err(Error::Unconfirmed) => {
                let running = self.daemons()?;
                match running.iter().any(|entry| entry.daemon.role == role) {
                    true => Err(Error::Unconfirmed),
                    false => Ok(()),
                }
            }
            result => result,
        }
    }

    pub(crate) fn daemons(&mut self) -> Result<Vec<DaemonEntry>, Error> {
        self.read(Request::Daemons, Reply::daemon)
    }

    /// Carries out one request that reads, and gathers what it is answered.
    pub(crate) fn read<R>(
        &mut self,
        request: Request,
        mut pick: impl FnMut(Reply) -> Option<R>,
    ) -> Result<Vec<R>, Error> {
        let mut rows = Vec::new();
        let report = self.exchange(&[request], |_, reply| {
            rows.extend(pick(reply));
            Ok(())
        })?;
        check(&report, &[request])?;
        Ok(rows)
    }

    /// As [`read`](Self::read), for what is answered by one message.
    pub(crate) fn read_one<R>(
        &mut self,
        request: Request,
        pick: impl FnMut(Reply) -> Option<R>,
    ) -> Result<R, Error> {
        self.read(request, pick)?.pop().ok_or(Error::NoReply)
    }

    pub(crate) fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let mut rows = self.read(Request::Services, Reply::service)?;
        let mut seen = HashSet::with_capacity(rows.len());
        rows.retain(|entry| seen.insert(entry.service.key));
        Ok(rows)
    }

    /// The destinations of a service, which is asked for itself first: the kernel does not tell one without destinations
    /// from one that does not exist.
    pub(crate) fn destinations(&mut self, key: ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let requests = [Request::Service(key), Request::Destinations(key)];
        let mut rows = Vec::new();
        let report = self.exchange(&requests, |_, reply| {
            if let Reply::Destination(entry) = reply {
                rows.push(entry);
            }
            Ok(())
        })?;
        check(&report, &requests)?;
        deduplicate(&mut rows);
        Ok(rows)
    }

    /// Reads the services that `wanted` says, with their destinations.
    pub(crate) fn snapshot(&mut self, wanted: impl Fn(&ServiceKey) -> bool) -> Result<Snapshot, Error> {
        let mut services = self.services()?;
        services.retain(|entry| wanted(&entry.service.key));
        self.with_destinations(services)
    }

    /// Reads what a reconciliation looks at. A few services are asked for by their keys, so that a small change of a large
    /// table costs what the change costs.
    fn snapshot_for(&mut self, wanted: &HashSet<ServiceKey>, owned: &Owned) -> Result<Snapshot, Error> {
        let all: HashSet<ServiceKey> = match owned {
            Owned::Wanted => wanted.clone(),
            Owned::And(keys) => wanted.union(keys).copied().collect(),
            Owned::All => return self.snapshot(|_| true),
        };
        if all.len() > FEW {
            return self.snapshot(|key| all.contains(key));
        }
        let requests: Vec<Request> = all.into_iter().map(Request::Service).collect();
        let mut services = Vec::new();
        let report = self.exchange(&requests, |_, reply| {
            services.extend(reply.service());
            Ok(())
        })?;
        let mut refusals = report
            .failures()
            .filter_map(|(index, failure)| Some(Refusal::new(requests.get(index)?, failure.errno)));
        // One that is not there is what is to be found out.
        if let Some(refusal) = refusals.find(|refusal| refusal.reason != Reason::ServiceNotFound) {
            return Err(Error::Refused(refusal));
        }
        if report.needs_resync() {
            return Err(Error::Unconfirmed);
        }
        self.with_destinations(services)
    }

    fn with_destinations(&mut self, services: Vec<ServiceEntry>) -> Result<Snapshot, Error> {
        let services = services.into_iter().map(|entry| SnapshotService {
            entry,
            destinations: Vec::new(),
        });
        let mut snapshot = Snapshot {
            services: services.collect(),
        };
        let requests: Vec<Request> = snapshot
            .services
            .iter()
            .map(|service| Request::Destinations(service.entry.service.key))
            .collect();
        let services = &mut snapshot.services;
        let report = self.exchange(&requests, |index, reply| {
            if let (Reply::Destination(entry), Some(service)) = (reply, services.get_mut(index)) {
                service.destinations.push(entry);
            }
            Ok(())
        })?;
        check(&report, &requests)?;
        snapshot.deduplicate();
        Ok(snapshot)
    }

    pub(crate) fn reconcile(&mut self, wanted: &Table, options: &ReconcileOptions) -> Result<Changes, Error> {
        let keys: HashSet<ServiceKey> = wanted
            .services
            .iter()
            .map(|service| service.service.key)
            .collect();
        let mut all = Changes::default();
        for round in 1..=ROUNDS {
            let snapshot = self.snapshot_for(&keys, &options.owned)?;
            let plan = plan(&snapshot, wanted, options)?;
            all.draining = plan.draining;
            all.refused.clear();
            if options.dry_run {
                all.done = plan.done;
                break;
            }
            let report = self.apply(&plan.done)?;
            let again = !report.unconfirmed.is_empty()
                || report.refused.iter().any(|(_, refusal)| is_race(refusal.reason));
            all.refused
                .extend(report.refused.iter().map(|(_, refusal)| *refusal));
            // What is not confirmed is found done or undone by the next round.
            let failed: HashSet<usize> = report
                .refused
                .iter()
                .map(|(index, _)| *index)
                .chain(report.unconfirmed.iter().copied())
                .collect();
            let carried_out = plan
                .done
                .into_iter()
                .enumerate()
                .filter(|(index, _)| !failed.contains(index));
            all.done.extend(carried_out.map(|(_, request)| request));
            if !again {
                break;
            }
            if round == ROUNDS && !report.unconfirmed.is_empty() {
                return Err(Error::Unconfirmed);
            }
            tracing::debug!(round, "the table changed while it was reconciled");
        }
        tracing::debug!(
            changes = all.done.len(),
            refused = all.refused.len(),
            draining = all.draining.len(),
            "reconciled"
        );
        Ok(all)
    }

    fn exchange(
        &mut self,
        requests: &[Request],
        mut reply: impl FnMut(usize, Reply) -> Result<(), Error>,
    ) -> Result<Report, Error> {
        self.wire.clear();
        for request in requests {
            let body = |out: &mut Vec<u8>| request.encode(out);
            if request.is_dump() {
                self.wire.dump(self.family, body);
            } else if request.is_get() {
                self.wire.get(self.family, body);
            } else {
                self.wire.change(self.family, Change::PLAIN, body);
            }
        }
        let mut wrong = None;
        let report = self.transport.run(&mut self.wire, &mut |index, message| {
            let family = requests
                .get(index)
                .and_then(Request::service_key)
                .map_or(Family::V4, |key| key.family());
            let result = Reply::decode(message.body, family)
                .map_err(Error::from)
                .and_then(|message| reply(index, message));
            if let Err(error) = result {
                wrong.get_or_insert(error);
            }
        })?;
        // The memory of an ordinary call is kept for the next one, that of a whole table is not.
        if requests.len() > KEPT {
            self.wire = netlink_batch::Batch::new();
        }
        match wrong {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }
}

/// Whether somebody else changed the table in between.
fn is_race(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ServiceExists
            | Reason::ServiceNotFound
            | Reason::DestinationExists
            | Reason::DestinationNotFound
    )
}

fn check(report: &Report, requests: &[Request]) -> Result<(), Error> {
    if let Some((index, failure)) = report.failures().next()
        && let Some(request) = requests.get(index)
    {
        return Err(Error::Refused(Refusal::new(request, failure.errno)));
    }
    if report.needs_resync() {
        return Err(Error::Unconfirmed);
    }
    Ok(())
}

/// Of so many requests at most the memory is kept.
const KEPT: usize = 256;
/// So many services are asked for one by one.
const FEW: usize = 64;
/// So often a reconciliation starts over because somebody else changed the same services.
const ROUNDS: u32 = 4;
