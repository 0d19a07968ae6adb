//! The client against a kernel in memory: what a live kernel cannot be brought to, and many random tables.

mod common;

use std::collections::HashSet;
use std::net::Ipv4Addr;

use common::small_table;
use ipvs_netlink::{
    Batch, Client, Destination, Error, Fault, Forward, Owned, Reason, ReconcileOptions, Removal, Request,
    Scheduler, Service, ServiceKey, SimulatedKernel, Table, TableService, Weight, plan,
};
use proptest::prelude::*;

fn client() -> Client<SimulatedKernel> {
    Client::over(SimulatedKernel::new()).unwrap()
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

fn refusal(result: Result<(), Error>) -> Reason {
    match result.unwrap_err() {
        Error::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_error_number_has_its_meaning_for_its_command() {
    let client = client();
    let service = Service::new(key(1), Scheduler::RoundRobin);
    let engine = Service {
        persistence: Some(ipvs_netlink::Persistence {
            timeout: ipvs_netlink::PersistenceTimeout::DEFAULT,
            granularity: ipvs_netlink::Granularity::Address,
            engine: Some("sip".parse().unwrap()),
        }),
        ..service
    };
    let daemon = ipvs_netlink::Daemon::new(ipvs_netlink::DaemonRole::Master, "eth7".parse().unwrap(), 1);
    let v6 = Destination::new((std::net::Ipv6Addr::LOCALHOST, 80), Forward::Masquerade);
    let tunnel = Destination::new(
        (std::net::Ipv6Addr::LOCALHOST, 80),
        Forward::Tunnel(ipvs_netlink::Tunnel::Ipip),
    );
    let gue = Destination::new(
        (Ipv4Addr::LOCALHOST, 80),
        Forward::Tunnel(ipvs_netlink::Tunnel::Other {
            kind: 1,
            port: 0,
            flags: 0,
        }),
    );
    let add = Request::AddDestination(key(1), destination(1));
    let edit = Request::EditDestination(key(1), destination(1));
    let cases = [
        (Request::Flush, 1, Reason::PermissionDenied),
        (Request::AddService(service), 17, Reason::ServiceExists),
        (add, 17, Reason::DestinationExists),
        (Request::StartDaemon(daemon), 17, Reason::DaemonExists),
        (Request::EditService(service), 3, Reason::ServiceNotFound),
        (edit, 3, Reason::ServiceNotFound),
        (
            Request::StopDaemon(ipvs_netlink::DaemonRole::Master),
            3,
            Reason::DaemonNotRunning,
        ),
        (
            Request::AddService(service),
            2,
            Reason::SchedulerMissing("rr".parse().unwrap()),
        ),
        (
            Request::AddService(engine),
            2,
            Reason::SchedulerOrEngineMissing("rr".parse().unwrap(), "sip".parse().unwrap()),
        ),
        (edit, 2, Reason::DestinationNotFound),
        (Request::AddDestination(key(1), v6), 22, Reason::MixedFamilies),
        (
            Request::AddDestination(key(1), tunnel),
            22,
            Reason::MixedFamiliesAndDaemon,
        ),
        (Request::AddDestination(key(1), gue), 22, Reason::TunnelPort),
        (add, 22, Reason::AddressNotUsable),
        (Request::EditService(service), 22, Reason::SchedulerFull),
        (Request::StartDaemon(daemon), 22, Reason::MixedFamiliesAndDaemon),
        (Request::Flush, 22, Reason::Invalid),
        (add, 34, Reason::OutOfRange),
        (Request::AddService(service), 97, Reason::FamilyNotSupported),
        (
            Request::StartDaemon(daemon),
            19,
            Reason::InterfaceNotFound("eth7".parse().unwrap()),
        ),
        (Request::Flush, 16, Reason::Busy),
        (Request::Flush, 95, Reason::NotSupported),
        (Request::Flush, 92, Reason::Unloading),
        (add, 12, Reason::OutOfMemory),
        (add, 90, Reason::TooLong),
        (add, 5, Reason::Other),
    ];
    for (request, errno, reason) in cases {
        client.with_transport(|kernel| kernel.inject([Fault::Refuse(errno)]));
        let report = client.apply(&Batch::from_iter([request])).unwrap();
        let (_, refusal) = report.refused()[0];
        assert_eq!(refusal.reason, reason, "{request:?} {errno}");
        assert_eq!(refusal.errno.get(), errno);
        assert_eq!(refusal.command, request.command());
        assert!(refusal.to_string().contains(&reason.to_string()));
    }
}

#[test]
fn an_error_names_what_it_is_about() {
    let client = client();
    client
        .add_service(Service::new(key(1), Scheduler::RoundRobin))
        .unwrap();
    client.add_destination(key(1), destination(2)).unwrap();
    let error = client.add_destination(key(1), destination(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot add destination 10.0.1.2:80 of TCP 10.0.0.1:80: the service has this destination already (errno 17)"
    );
}

#[test]
fn a_refused_change_does_not_stop_those_after_it() {
    let client = client();
    let mut batch = Batch::new();
    let service = Service::new(key(1), Scheduler::RoundRobin);
    batch.add_service(service);
    let twice = batch.add_service(service);
    batch.add_destination(key(1), destination(1));
    let report = client.apply(&batch).unwrap();
    assert_eq!(report.refused().len(), 1);
    assert_eq!(report.refused()[0].0, twice);
    assert_eq!(client.destinations(key(1)).unwrap().len(), 1);
    assert_eq!(refusal(report.into_result()), Reason::ServiceExists);
}

#[test]
fn a_service_that_does_not_exist_has_no_empty_list_of_destinations() {
    let client = client();
    assert!(matches!(
        client.destinations(key(1)),
        Err(Error::Refused(refusal)) if refusal.reason == Reason::ServiceNotFound
    ));
    client
        .add_service(Service::new(key(1), Scheduler::RoundRobin))
        .unwrap();
    assert!(client.destinations(key(1)).unwrap().is_empty());
}

#[test]
fn lost_answers_are_reported_and_a_reconciliation_finds_the_truth() {
    let client = client();
    client.with_transport(|kernel| kernel.inject([Fault::LoseAnswers]));
    let mut batch = Batch::new();
    batch.add_service(Service::new(key(1), Scheduler::RoundRobin));
    batch.add_destination(key(1), destination(1));
    let report = client.apply(&batch).unwrap();
    assert_eq!(report.unconfirmed(), [0, 1]);
    assert!(matches!(report.into_result(), Err(Error::Unconfirmed)));

    // The snapshot's two reads pass, then the changes' answers are lost.
    client.with_transport(|kernel| kernel.inject([Fault::None, Fault::None, Fault::LoseAnswers]));
    client.reconcile(&table(&[1, 2, 3]), &everything()).unwrap();
    assert_eq!(client.snapshot().unwrap().table(), table(&[1, 2, 3]));
}

#[test]
fn a_reconciliation_that_was_killed_is_finished_by_the_next_one() {
    for survived in 0..12 {
        let client = client();
        client.reconcile(&table(&[1, 2, 3, 4]), &everything()).unwrap();
        let wanted = table(&[3, 4, 5, 6, 7, 8]);
        let faults = std::iter::repeat_n(Fault::None, 2 + survived).chain([Fault::Kill]);
        client.with_transport(|kernel| kernel.inject(faults));
        let killed = client.reconcile(&wanted, &everything()).is_err();
        // Four additions and two deletions.
        assert_eq!(killed, survived < 6);
        client.with_transport(SimulatedKernel::forget_faults);
        client.reconcile(&wanted, &everything()).unwrap();
        let mut there: Vec<_> = client.snapshot().unwrap().table().services[0]
            .destinations
            .iter()
            .map(|destination| destination.endpoint)
            .collect();
        there.sort();
        let wanted: Vec<_> = wanted.services[0]
            .destinations
            .iter()
            .map(|destination| destination.endpoint)
            .collect();
        assert_eq!(there, wanted, "{survived} requests survived");
    }
}

#[test]
fn others_services_are_not_touched() {
    let client = client();
    let mut theirs = table(&[1, 2]);
    theirs.services[0].service.key = key(9);
    client.reconcile(&theirs, &everything()).unwrap();
    client
        .reconcile(&table(&[1]), &ReconcileOptions::default())
        .unwrap();
    client
        .reconcile(&Table::default(), &ReconcileOptions::default())
        .unwrap();
    assert_eq!(client.services().unwrap().len(), 2);
    let owned = Owned::And(HashSet::from([key(1)]));
    let options = ReconcileOptions {
        owned,
        ..ReconcileOptions::default()
    };
    let changes = client.reconcile(&Table::default(), &options).unwrap();
    assert_eq!(changes.done, [Request::DeleteService(key(1))]);
    assert_eq!(client.snapshot().unwrap().table(), theirs);
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_be() {
    let client = client();
    let options = ReconcileOptions {
        dry_run: true,
        ..everything()
    };
    let changes = client.reconcile(&table(&[1]), &options).unwrap();
    assert_eq!(changes.done.len(), 2);
    assert!(client.services().unwrap().is_empty());
}

#[test]
fn a_destination_drains_before_it_is_deleted() {
    let client = client();
    let options = ReconcileOptions {
        removal: Removal::WhenIdle,
        ..everything()
    };
    client.reconcile(&table(&[1, 2]), &options).unwrap();
    let busy = |kernel: &mut SimulatedKernel, connections| {
        kernel.services_mut()[0].destinations[0].active = connections;
    };
    client.with_transport(|kernel| busy(kernel, 3));
    let changes = client.reconcile(&table(&[1]), &options).unwrap();
    assert_eq!(
        changes.done,
        [Request::EditDestination(
            key(1),
            destination(2).weight(Weight::ZERO)
        )]
    );
    assert_eq!(changes.draining, [(key(1), destination(2).endpoint)]);

    let changes = client.reconcile(&table(&[1]), &options).unwrap();
    assert!(changes.is_empty());
    assert_eq!(changes.draining.len(), 1);

    client.with_transport(|kernel| busy(kernel, 0));
    let changes = client.reconcile(&table(&[1]), &options).unwrap();
    assert_eq!(
        changes.done,
        [Request::DeleteDestination(key(1), destination(2).endpoint)]
    );
    assert!(changes.draining.is_empty());

    // Unless it is said to go at once.
    client.reconcile(&table(&[1, 2]), &options).unwrap();
    client.with_transport(|kernel| busy(kernel, 3));
    let failed = ReconcileOptions {
        at_once: HashSet::from([(key(1), Some(destination(2).endpoint))]),
        ..options.clone()
    };
    let changes = client.reconcile(&table(&[1]), &failed).unwrap();
    assert_eq!(
        changes.done,
        [Request::DeleteDestination(key(1), destination(2).endpoint)]
    );

    // A service that goes drains as a whole.
    client.with_transport(|kernel| busy(kernel, 1));
    let changes = client.reconcile(&Table::default(), &options).unwrap();
    assert_eq!(changes.draining.len(), 1);
    client.with_transport(|kernel| busy(kernel, 0));
    let changes = client.reconcile(&Table::default(), &options).unwrap();
    assert_eq!(changes.done, [Request::DeleteService(key(1))]);
}

#[test]
fn the_same_thing_wanted_twice_is_an_error() {
    let client = client();
    let mut wanted = table(&[1]);
    wanted.services.push(wanted.services[0].clone());
    assert!(matches!(
        client.reconcile(&wanted, &everything()),
        Err(Error::DuplicateService(_))
    ));
    let wanted = table(&[1, 2, 1]);
    assert!(matches!(
        client.reconcile(&wanted, &everything()),
        Err(Error::DuplicateDestination(..))
    ));
}

#[test]
fn timeouts_daemons_counters_and_the_rest() {
    let client = client();
    assert_eq!(client.info().unwrap().version.to_string(), "1.2.1");
    let timeouts = ipvs_netlink::Timeouts {
        udp: ipvs_netlink::Timeout::from_seconds(7),
        ..ipvs_netlink::Timeouts::default()
    };
    client.set_timeouts(timeouts).unwrap();
    let read = client.timeouts().unwrap();
    assert_eq!(
        (read.udp.unwrap().seconds(), read.tcp.unwrap().seconds()),
        (7, 900)
    );
    let daemon = ipvs_netlink::Daemon::new(ipvs_netlink::DaemonRole::Backup, "eth0".parse().unwrap(), 3);
    client.start_daemon(daemon).unwrap();
    assert_eq!(client.daemons().unwrap()[0].daemon, daemon);
    client.stop_daemon(ipvs_netlink::DaemonRole::Backup).unwrap();
    client
        .add_service(Service::new(key(1), Scheduler::RoundRobin))
        .unwrap();
    client.zero(Some(key(1))).unwrap();
    assert_eq!(client.service(key(1)).unwrap().stats.connections, 0);
    client
        .edit_service(Service::new(key(1), Scheduler::NeverQueue))
        .unwrap();
    assert_eq!(
        client.service(key(1)).unwrap().service.scheduler,
        Scheduler::NeverQueue
    );
    client.flush().unwrap();
    assert!(client.snapshot().unwrap().services.is_empty());
}

#[test]
fn a_daemon_whose_end_is_not_answered_is_looked_for() {
    let client = client();
    let daemon = ipvs_netlink::Daemon::new(ipvs_netlink::DaemonRole::Master, "eth0".parse().unwrap(), 1);
    client.start_daemon(daemon).unwrap();
    client.with_transport(|kernel| kernel.inject([Fault::LoseAnswers]));
    client.stop_daemon(ipvs_netlink::DaemonRole::Master).unwrap();
    assert!(client.daemons().unwrap().is_empty());
}

#[test]
fn a_kernel_without_ipvs_is_said_to_be_one() {
    /// Knows no family at all.
    struct Without;
    impl ipvs_netlink::Transport for Without {
        fn run(
            &mut self,
            batch: &mut netlink_batch::Batch,
            _: &mut dyn FnMut(usize, &netlink_batch::Message<'_>),
        ) -> Result<netlink_batch::Report, netlink_batch::Error> {
            let mut sequence = netlink_batch::Sequence::new();
            Ok(netlink_batch::Run::new(batch, netlink_batch::Limits::default(), &mut sequence).finish())
        }
    }
    assert!(matches!(Client::over(Without), Err(Error::NoIpvs)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// From any table to any other: the kernel then has what is wanted, and the next run finds nothing to do.
    #[test]
    fn reconciliation_reaches_its_end_and_stays(before in small_table(), wanted in small_table()) {
        let client = client();
        client.reconcile(&before, &everything()).unwrap();
        let changes = client.reconcile(&wanted, &everything()).unwrap();
        prop_assert!(changes.refused.is_empty());
        let snapshot = client.snapshot().unwrap();
        prop_assert!(plan(&snapshot, &wanted, &everything()).unwrap().is_empty());
        // Nothing is done to what is as it should be.
        for service in &before.services {
            if wanted.services.contains(service) {
                let touched = changes.done.iter().any(|request| request.service_key() == Some(service.service.key));
                prop_assert!(!touched);
            }
        }
        // Nothing is deleted that is wanted: connections are kept.
        for request in &changes.done {
            if let Request::DeleteDestination(key, endpoint) = request {
                let kept = wanted.services.iter().any(|service| {
                    service.service.key == *key
                        && service.destinations.iter().any(|destination| destination.endpoint == *endpoint)
                });
                prop_assert!(!kept);
            }
        }
    }

    /// Whatever is refused or lost on the way, a run that is left in peace ends with what is wanted.
    #[test]
    fn faults_are_made_good(
        before in small_table(),
        wanted in small_table(),
        faults in prop::collection::vec(
            prop_oneof![3 => Just(Fault::None), 1 => Just(Fault::Refuse(12)), 1 => Just(Fault::LoseAnswers), 1 => Just(Fault::Kill)],
            0..40,
        ),
    ) {
        let client = client();
        client.reconcile(&before, &everything()).unwrap();
        client.with_transport(|kernel| kernel.inject(faults));
        for _ in 0..3 {
            // May fail in any way; what counts is the state that it leaves.
            let _ = client.reconcile(&wanted, &everything());
        }
        client.with_transport(SimulatedKernel::forget_faults);
        let changes = client.reconcile(&wanted, &everything()).unwrap();
        prop_assert!(changes.refused.is_empty());
        let snapshot = client.snapshot().unwrap();
        prop_assert!(plan(&snapshot, &wanted, &everything()).unwrap().is_empty());
    }

    /// What is saved and restored is the same table, in the same order.
    #[test]
    fn a_table_survives_being_saved(table in small_table()) {
        let text = ipvs_netlink::write_rules(&table.requests());
        let requests = ipvs_netlink::parse_rules(&text).unwrap();
        prop_assert_eq!(Table::from_requests(&requests), table);
    }
}
