use std::collections::{HashMap, HashSet};

use crate::destination::{Destination, Weight};
use crate::error::{Error, Refusal};
use crate::message::{DestinationEntry, Request};
use crate::service::{Endpoint, ServiceKey};
use crate::table::{Snapshot, SnapshotService, Table, TableService};

/// What a reconciliation may touch, and how it takes things away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "built by its fields and `..Default::default()`"
)]
pub struct ReconcileOptions {
    /// Which services are the caller's. The kernel does not say whose a service is.
    pub owned: Owned,
    /// What happens to a destination, or a service, that is no longer wanted.
    pub removal: Removal,
    /// What goes at once, whatever `removal` says: a destination that has failed, say, or with `None` a service and
    /// everything in it that is not wanted.
    pub at_once: HashSet<(ServiceKey, Option<Endpoint>)>,
    /// Find out what would be changed, and change nothing.
    pub dry_run: bool,
}

/// Which services are the caller's to change and delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owned {
    /// Those that are wanted. None is ever deleted.
    #[default]
    Wanted,
    /// Those that are wanted and these, which are deleted when they are not wanted: those of the last configuration, say.
    And(HashSet<ServiceKey>),
    /// All.
    All,
}

/// How a destination that is no longer wanted goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// At once. Its connections are then cut off or starve, as the sysctls say.
    #[default]
    Now,
    /// It gets weight 0, and is deleted by the first reconciliation that finds it without connections.
    WhenIdle,
}

/// What a reconciliation has done, or would do in a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// What was carried out (in a dry run: would be), in this order.
    pub done: Vec<Request>,
    /// What the kernel refused.
    pub refused: Vec<Refusal>,
    /// Destinations that are no longer wanted, have weight 0, and still have connections.
    pub draining: Vec<(ServiceKey, Endpoint)>,
}

/// The smallest change from what there is to what is wanted, without carrying it out.
///
/// Services are added before destinations, and both before anything is changed in place or deleted, so that there is
/// always somewhere for packets to go. What differs in a service or destination is edited in place: its connections and
/// counters stay. The order of destinations is not changed, for that would mean deleting some of them.
///
/// # Errors
/// [`Error::DuplicateService`] and [`Error::DuplicateDestination`] if the same thing is wanted twice.
pub fn plan(snapshot: &Snapshot, wanted: &Table, options: &ReconcileOptions) -> Result<Changes, Error> {
    let mut plan = Planner::default();
    let there: HashMap<ServiceKey, &SnapshotService> = snapshot
        .services
        .iter()
        .map(|service| (service.entry.service.key, service))
        .collect();
    let mut keys = HashSet::with_capacity(wanted.services.len());
    for wanted in &wanted.services {
        let key = wanted.service.key;
        if !keys.insert(key) {
            return Err(Error::DuplicateService(key));
        }
        match there.get(&key) {
            Some(service) => plan.service(service, wanted, options)?,
            None => plan.new_service(wanted)?,
        }
    }
    for service in &snapshot.services {
        let key = service.entry.service.key;
        if !keys.contains(&key) && options.owned.includes(&key) {
            plan.unwanted_service(service, options);
        }
    }
    Ok(plan.finish())
}

impl ReconcileOptions {
    /// Whether a destination, or a service, does not wait for its connections to end.
    fn at_once(&self, key: ServiceKey, endpoint: Option<Endpoint>) -> bool {
        self.removal == Removal::Now
            || self.at_once.contains(&(key, endpoint))
            || self.at_once.contains(&(key, None))
    }
}

impl Owned {
    pub(crate) fn includes(&self, key: &ServiceKey) -> bool {
        match self {
            Self::Wanted => false,
            Self::And(keys) => keys.contains(key),
            Self::All => true,
        }
    }
}

impl Changes {
    /// Whether everything is as wanted, but for what still drains.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.done.is_empty() && self.refused.is_empty()
    }
}

#[derive(Default)]
struct Planner {
    additions: Vec<Request>,
    edits: Vec<Request>,
    deletions: Vec<Request>,
    draining: Vec<(ServiceKey, Endpoint)>,
}

impl Planner {
    fn new_service(&mut self, wanted: &TableService) -> Result<(), Error> {
        let key = wanted.service.key;
        unique(key, &wanted.destinations)?;
        self.additions.push(Request::AddService(wanted.service));
        self.additions.extend(
            wanted
                .destinations
                .iter()
                .map(|destination| Request::AddDestination(key, *destination)),
        );
        Ok(())
    }

    fn service(
        &mut self,
        there: &SnapshotService,
        wanted: &TableService,
        options: &ReconcileOptions,
    ) -> Result<(), Error> {
        let key = wanted.service.key;
        if there.entry.service != wanted.service.canonical() {
            self.edits.push(Request::EditService(wanted.service));
        }
        // What was written in one go and not touched since: the same rows, the newest first.
        let untouched = there.destinations.len() == wanted.destinations.len()
            && there
                .destinations
                .iter()
                .rev()
                .zip(&wanted.destinations)
                .all(|(there, wanted)| there.destination == wanted.canonical());
        if untouched {
            return Ok(());
        }
        unique(key, &wanted.destinations)?;
        let mut rest: HashMap<Endpoint, &DestinationEntry> = there
            .destinations
            .iter()
            .map(|entry| (entry.destination.endpoint, entry))
            .collect();
        for destination in &wanted.destinations {
            match rest.remove(&destination.endpoint) {
                None => self.additions.push(Request::AddDestination(key, *destination)),
                Some(entry) if entry.destination != destination.canonical() => {
                    self.edits.push(Request::EditDestination(key, *destination));
                }
                Some(_) => {}
            }
        }
        // In the kernel's order, so that the same input gives the same plan.
        for entry in &there.destinations {
            if rest.contains_key(&entry.destination.endpoint) {
                self.unwanted_destination(key, entry, options);
            }
        }
        Ok(())
    }

    fn unwanted_destination(
        &mut self,
        key: ServiceKey,
        entry: &DestinationEntry,
        options: &ReconcileOptions,
    ) {
        let destination = entry.destination;
        if options.at_once(key, Some(destination.endpoint)) || is_idle(entry) {
            self.deletions
                .push(Request::DeleteDestination(key, destination.endpoint));
        } else {
            self.drain(key, destination);
        }
    }

    fn unwanted_service(&mut self, service: &SnapshotService, options: &ReconcileOptions) {
        let key = service.entry.service.key;
        if options.at_once(key, None) || service.destinations.iter().all(is_idle) {
            self.deletions.push(Request::DeleteService(key));
            return;
        }
        for entry in &service.destinations {
            self.drain(key, entry.destination);
        }
    }

    fn drain(&mut self, key: ServiceKey, destination: Destination) {
        if destination.weight != Weight::ZERO {
            let quiesced = destination.weight(Weight::ZERO);
            self.edits.push(Request::EditDestination(key, quiesced));
        }
        self.draining.push((key, destination.endpoint));
    }

    fn finish(self) -> Changes {
        let mut done = self.additions;
        done.extend(self.edits);
        done.extend(self.deletions);
        Changes {
            done,
            refused: Vec::new(),
            draining: self.draining,
        }
    }
}

/// Without connections and quiesced already: one that takes connections may get one before it is deleted.
fn is_idle(entry: &DestinationEntry) -> bool {
    let connections = entry.active | entry.inactive | entry.persistent;
    connections == 0 && entry.destination.weight == Weight::ZERO
}

fn unique(key: ServiceKey, destinations: &[Destination]) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(destinations.len());
    match destinations
        .iter()
        .find(|destination| !seen.insert(destination.endpoint))
    {
        Some(twice) => Err(Error::DuplicateDestination(key, twice.endpoint)),
        None => Ok(()),
    }
}
