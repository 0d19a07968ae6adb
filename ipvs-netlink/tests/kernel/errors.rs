//! Every refusal that a kernel can be brought to, by its meaning.

use std::env;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use ipvs_netlink::{
    Client, Connections, Destination, Error, Forward, Persistence, PersistenceTimeout, Reason, Request,
    Scheduler, Service, Table, TableService, Tunnel, read_statistics, read_table,
};

use crate::support::*;

#[test]
#[ignore = "needs an IPVS kernel"]
fn every_error_that_can_be_provoked_has_its_meaning() {
    let client = client();
    let key = service(80).key;
    let missing = service(81).key;
    client.add_service(service(80)).unwrap();
    client.add_destination(key, destination(1)).unwrap();
    assert_eq!(refusal(client.add_service(service(80))), Reason::ServiceExists);
    assert_eq!(
        refusal(client.add_destination(key, destination(1))),
        Reason::DestinationExists
    );
    for result in [
        client.edit_service(service(81)),
        client.delete_service(missing),
        client.service(missing).map(|_| ()),
        client.destinations(missing).map(|_| ()),
        client.add_destination(missing, destination(1)),
        client.edit_destination(missing, destination(1)),
        client.delete_destination(missing, destination(1).endpoint),
        client.zero(Some(missing)),
    ] {
        assert_eq!(refusal(result), Reason::ServiceNotFound);
    }
    assert_eq!(
        refusal(client.edit_destination(key, destination(2))),
        Reason::DestinationNotFound
    );
    assert_eq!(
        refusal(client.delete_destination(key, destination(2).endpoint)),
        Reason::DestinationNotFound
    );
    let unheard = Scheduler::from_name("unheard").unwrap();
    let wanted = Reason::SchedulerMissing("unheard".parse().unwrap());
    let with_unheard = Service {
        scheduler: unheard,
        ..service(82)
    };
    assert_eq!(refusal(client.add_service(with_unheard)), wanted);
    let edit = Service {
        scheduler: unheard,
        ..service(80)
    };
    assert_eq!(refusal(client.edit_service(edit)), wanted);
    let engine = Service {
        persistence: Some(Persistence {
            timeout: PersistenceTimeout::DEFAULT,
            granularity: ipvs_netlink::Granularity::Address,
            engine: Some("unheard".parse().unwrap()),
        }),
        ..service(83)
    };
    assert!(matches!(
        refusal(client.add_service(engine)),
        Reason::SchedulerOrEngineMissing(..)
    ));
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0x97, 0, 0, 0, 0, 1);
    assert_eq!(
        refusal(client.add_destination(key, Destination::new((v6, 80), Forward::Masquerade))),
        Reason::MixedFamilies
    );
    let multicast = Destination::new((Ipv4Addr::new(224, 0, 0, 1), 80), Forward::Masquerade);
    assert_eq!(
        refusal(client.add_destination(key, multicast)),
        Reason::AddressNotUsable
    );
    let portless = Tunnel::Other {
        kind: 1,
        port: 0,
        flags: 0,
    };
    let portless = Destination::new(destination(3).endpoint, Forward::Tunnel(portless));
    assert_eq!(refusal(client.add_destination(key, portless)), Reason::TunnelPort);
    // Nothing of all that has changed anything.
    assert_eq!(
        client.snapshot().unwrap().table().requests(),
        [
            Request::AddService(service(80)),
            Request::AddDestination(key, destination(1))
        ]
    );
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn a_scheduler_without_room_for_so_many_destinations_is_said_to_be_full() {
    let client = client();
    let table = Table {
        services: vec![TableService {
            service: service(80),
            destinations: (0..4100).map(destination).collect(),
        }],
    };
    client.reconcile(&table, &all()).unwrap();
    let maglev = Service {
        scheduler: Scheduler::from_name("mh").unwrap(),
        ..service(80)
    };
    assert_eq!(refusal(client.edit_service(maglev)), Reason::SchedulerFull);
}

/// Run again as an ordinary user, by the test itself.
#[test]
#[ignore = "needs an IPVS kernel"]
fn without_privileges_everything_is_refused_and_proc_can_be_read() {
    if env::var_os("IPVS_TEST_UNPRIVILEGED").is_some() {
        let client = Client::open().unwrap();
        let refused = |result: Result<(), Error>| assert_eq!(refusal(result), Reason::PermissionDenied);
        refused(client.services().map(|_| ()));
        refused(client.info().map(|_| ()));
        refused(client.add_service(service(80)));
        refused(client.flush());
        refused(client.reconcile(&big_table(), &all()).map(|_| ()));
        assert_eq!(read_table().unwrap().services.len(), 1);
        assert!(read_statistics().is_ok());
        assert!(Connections::open().unwrap().all(|connection| connection.is_ok()));
        return;
    }
    let client = client();
    client.add_service(service(80)).unwrap();
    // Where anybody can get at it.
    let copy = env::temp_dir().join(format!("ipvs-unprivileged-{}", std::process::id()));
    std::fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let status = Command::new(&copy)
        .args([
            "--ignored",
            "--exact",
            "errors::without_privileges_everything_is_refused_and_proc_can_be_read",
        ])
        .env("IPVS_TEST_UNPRIVILEGED", "1")
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    std::fs::remove_file(&copy).unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stdout)
    );
}
