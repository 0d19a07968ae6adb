//! Somebody else changes the table between two steps of a reconciliation: every step, every kind of change.

mod common;

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use common::small_table;
use ipvs_netlink::{
    Batch, Client, Destination, Forward, Owned, Reason, ReconcileOptions, Request, Scheduler, Service,
    ServiceKey, SimulatedKernel, Table, TableService, Transport, Weight, plan,
};
use netlink_batch::{Error, Message, Report};
use proptest::prelude::*;

/// One way of several to the same kernel. Before each thing that goes this way, somebody else does something.
#[derive(Clone, Default)]
struct Shared {
    kernel: Arc<Mutex<SimulatedKernel>>,
    meddling: Arc<Mutex<VecDeque<Vec<Request>>>>,
}

impl Transport for Shared {
    fn run(
        &mut self,
        batch: &mut netlink_batch::Batch,
        reply: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<Report, Error> {
        let next = self.meddling.lock().unwrap().pop_front();
        if let Some(requests) = next {
            let other = Client::over(Self {
                kernel: Arc::clone(&self.kernel),
                ..Self::default()
            });
            // What is refused has been done by somebody already.
            other.unwrap().apply(&Batch::from_iter(requests)).unwrap();
        }
        self.kernel.lock().unwrap().run(batch, reply)
    }
}

fn key(host: u8) -> ServiceKey {
    ServiceKey::tcp((Ipv4Addr::new(10, 0, 0, host), 80))
}

fn destination(host: u8) -> Destination {
    Destination::new((Ipv4Addr::new(10, 0, 1, host), 80), Forward::Masquerade)
}

fn table(hosts: &[u8]) -> Table {
    Table {
        services: vec![TableService {
            service: Service::new(key(1), Scheduler::RoundRobin),
            destinations: hosts.iter().map(|host| destination(*host)).collect(),
        }],
    }
}

fn everything() -> ReconcileOptions {
    ReconcileOptions {
        owned: Owned::All,
        ..ReconcileOptions::default()
    }
}

/// A reconciliation of `before` to `wanted` while somebody else does this before step `step` of it: the list of services is
/// read, then their destinations, then all is changed.
fn meddled(before: &Table, wanted: &Table, step: usize, meddling: Vec<Request>) {
    let way = Shared::default();
    let client = Client::over(way.clone()).unwrap();
    client.reconcile(before, &everything()).unwrap();
    let quiet = std::iter::repeat_n(Vec::new(), step);
    way.meddling
        .lock()
        .unwrap()
        .extend(quiet.chain([meddling.clone()]));
    let changes = client.reconcile(wanted, &everything()).unwrap();
    assert!(
        changes.refused.is_empty(),
        "step {step}, {meddling:?}: {:?}",
        changes.refused
    );
    // What was done to a service after it had been looked at is found by the next look.
    client.reconcile(wanted, &everything()).unwrap();
    let left = plan(&client.snapshot().unwrap(), wanted, &everything()).unwrap();
    assert!(left.is_empty(), "step {step}, {meddling:?}: {left:?}");
}

#[test]
fn what_somebody_else_does_in_between_is_made_good() {
    let before = table(&[1, 2, 3]);
    let mut wanted = table(&[2, 3, 4]);
    wanted.services[0].service.scheduler = Scheduler::WeightedRoundRobin;
    wanted.services[0].destinations[0].weight = Weight::new(9).unwrap();
    wanted.services.push(TableService {
        service: Service::new(key(2), Scheduler::RoundRobin),
        destinations: vec![destination(1)],
    });
    let cases = [
        // ESRCH on an edit and on an addition: the service is deleted between the dump and the edit.
        vec![Request::DeleteService(key(1))],
        vec![Request::Flush],
        // ENOENT on an edit and on a deletion.
        vec![Request::DeleteDestination(key(1), destination(2).endpoint)],
        vec![Request::DeleteDestination(key(1), destination(1).endpoint)],
        // EEXIST on an addition, the same and another.
        vec![Request::AddDestination(key(1), destination(4))],
        vec![Request::AddDestination(
            key(1),
            destination(4).weight(Weight::new(77).unwrap()),
        )],
        vec![Request::AddService(Service::new(key(2), Scheduler::NeverQueue))],
        vec![
            Request::AddService(Service::new(key(2), Scheduler::NeverQueue)),
            Request::AddDestination(key(2), destination(9)),
        ],
        // Deleted and made anew, with other destinations.
        vec![
            Request::DeleteService(key(1)),
            Request::AddService(Service::new(key(1), Scheduler::NeverQueue)),
            Request::AddDestination(key(1), destination(9)),
        ],
    ];
    for meddling in cases {
        for step in 0..3 {
            meddled(&before, &wanted, step, meddling.clone());
        }
    }
}

#[test]
fn somebody_who_never_leaves_off_is_reported_not_waited_for() {
    let way = Shared::default();
    let client = Client::over(way.clone()).unwrap();
    // Before every look the destination is gone, before every change it is there.
    let there = vec![
        Request::AddService(Service::new(key(1), Scheduler::RoundRobin)),
        Request::AddDestination(key(1), destination(1)),
    ];
    let rounds = std::iter::repeat_n([vec![Request::Flush], Vec::new(), there], 100).flatten();
    way.meddling.lock().unwrap().extend(rounds);
    let changes = client.reconcile(&table(&[1]), &everything()).unwrap();
    let reasons: Vec<Reason> = changes.refused.iter().map(|refusal| refusal.reason).collect();
    assert_eq!(reasons, [Reason::ServiceExists, Reason::DestinationExists]);
}

#[test]
fn two_that_want_the_same_both_end_with_it() {
    let wanted = Table {
        services: (1..=50)
            .map(|host| TableService {
                service: Service::new(key(host), Scheduler::RoundRobin),
                destinations: (1..=20).map(destination).collect(),
            })
            .collect(),
    };
    let way = Shared::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = Client::over(way.clone()).unwrap();
                let changes = client.reconcile(&wanted, &everything()).unwrap();
                assert!(changes.refused.is_empty(), "{:?}", changes.refused);
            });
        }
    });
    let client = Client::over(way.clone()).unwrap();
    assert!(client.reconcile(&wanted, &everything()).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever somebody else does, and whenever: once they have left off, the next run ends with what is wanted.
    #[test]
    fn any_meddling_is_made_good(
        before in small_table(),
        wanted in small_table(),
        other in small_table(),
        step in 0_usize..6,
    ) {
        let way = Shared::default();
        let client = Client::over(way.clone()).unwrap();
        client.reconcile(&before, &everything()).unwrap();
        let mut meddling = vec![Request::Flush];
        meddling.extend(other.requests());
        let quiet = std::iter::repeat_n(Vec::new(), step);
        way.meddling.lock().unwrap().extend(quiet.chain([meddling]));
        client.reconcile(&wanted, &everything()).unwrap();
        way.meddling.lock().unwrap().clear();
        let changes = client.reconcile(&wanted, &everything()).unwrap();
        prop_assert!(changes.refused.is_empty());
        let left = plan(&client.snapshot().unwrap(), &wanted, &everything()).unwrap();
        prop_assert!(left.is_empty());
    }
}
