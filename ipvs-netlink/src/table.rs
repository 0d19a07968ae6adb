use std::collections::{HashMap, HashSet};

use crate::destination::Destination;
use crate::message::{DestinationEntry, Request, ServiceEntry};
use crate::service::{Endpoint, Service, ServiceKey};

/// Services with their destinations: what is wanted, or what is to be saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a table is its services")]
pub struct Table {
    /// The services, in the order in which they are made.
    pub services: Vec<TableService>,
}

/// A service with its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two go together")]
pub struct TableService {
    /// The service.
    pub service: Service,
    /// Its destinations, in the order in which they are added. The kernel puts each new one before the others, and
    /// schedulers go through them in that order: the last one here is the first there.
    pub destinations: Vec<Destination>,
}

/// The kernel's table as it was read: a service after the other, so not at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a snapshot is its services")]
pub struct Snapshot {
    /// The services, in the kernel's order, which is that of a hash and differs from boot to boot.
    pub services: Vec<SnapshotService>,
}

/// A service with its destinations, as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two go together")]
pub struct SnapshotService {
    /// The service.
    pub entry: ServiceEntry,
    /// Its destinations, in the kernel's order: the newest first.
    pub destinations: Vec<DestinationEntry>,
}

impl Table {
    /// The requests that make this table where there is none of it.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = Vec::new();
        for service in &self.services {
            requests.push(Request::AddService(service.service));
            let key = service.service.key;
            requests.extend(
                service
                    .destinations
                    .iter()
                    .map(|destination| Request::AddDestination(key, *destination)),
            );
        }
        requests
    }

    /// The table that these requests leave behind where there was none: what a file of rules describes. Requests that the
    /// kernel would refuse change nothing, nor do those about something else than services and destinations.
    #[must_use]
    pub fn from_requests(requests: &[Request]) -> Self {
        let mut table = Self::default();
        let mut places: HashMap<ServiceKey, usize> = HashMap::new();
        for request in requests {
            let place = request.service_key().and_then(|key| places.get(&key).copied());
            let service = place.and_then(|place| table.services.get_mut(place));
            match (request, service) {
                (Request::AddService(service), None) => {
                    places.insert(service.key, table.services.len());
                    table.services.push(TableService {
                        service: *service,
                        destinations: Vec::new(),
                    });
                }
                (Request::EditService(new), Some(service)) => service.service = *new,
                (Request::DeleteService(key), Some(_)) => {
                    table.services.retain(|service| service.service.key != *key);
                    places = (0..)
                        .zip(&table.services)
                        .map(|(place, service)| (service.service.key, place))
                        .collect();
                }
                (Request::AddDestination(_, new), Some(service))
                    if service.position(new.endpoint).is_none() =>
                {
                    service.destinations.push(*new);
                }
                (Request::EditDestination(_, new), Some(service)) => {
                    let place = service.position(new.endpoint);
                    if let Some(old) = place.and_then(|place| service.destinations.get_mut(place)) {
                        *old = *new;
                    }
                }
                (Request::DeleteDestination(_, endpoint), Some(service)) => {
                    service
                        .destinations
                        .retain(|destination| destination.endpoint != *endpoint);
                }
                (Request::Flush, _) => {
                    table.services.clear();
                    places.clear();
                }
                _ => {}
            }
        }
        table
    }
}

impl TableService {
    fn position(&self, endpoint: Endpoint) -> Option<usize> {
        self.destinations
            .iter()
            .position(|destination| destination.endpoint == endpoint)
    }
}

impl Snapshot {
    /// What would have to be written to have this table again, services in the order of their keys.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut services: Vec<TableService> = self.services.iter().map(SnapshotService::table).collect();
        services.sort_by_key(|service| service.service.key);
        Table { services }
    }

    /// The service with this key.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&SnapshotService> {
        self.services
            .iter()
            .find(|service| service.entry.service.key == *key)
    }

    /// A table that changes while it is read may give a row twice.
    pub(crate) fn deduplicate(&mut self) {
        let mut seen = HashSet::with_capacity(self.services.len());
        self.services
            .retain(|service| seen.insert(service.entry.service.key));
        for service in &mut self.services {
            deduplicate(&mut service.destinations);
        }
    }
}

/// Drops rows that were read twice.
pub(crate) fn deduplicate(destinations: &mut Vec<DestinationEntry>) {
    // Fewer than these fit into one datagram, which the kernel fills at once.
    if destinations.len() > 64 {
        let mut seen: HashSet<Endpoint> = HashSet::with_capacity(destinations.len());
        destinations.retain(|entry| seen.insert(entry.destination.endpoint));
    }
}

impl SnapshotService {
    fn table(&self) -> TableService {
        TableService {
            service: self.entry.service,
            destinations: self
                .destinations
                .iter()
                .rev()
                .map(|entry| entry.destination)
                .collect(),
        }
    }
}
