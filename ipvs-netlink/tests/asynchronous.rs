//! The asynchronous client against a kernel in memory.

use std::net::Ipv4Addr;

use ipvs_netlink::{
    AsyncClient, Batch, Destination, Error, Forward, Reason, ReconcileOptions, Scheduler, Service,
    ServiceKey, SimulatedKernel, Table, TableService,
};

fn service(port: u16) -> Service {
    Service::new(
        ServiceKey::tcp((Ipv4Addr::new(10, 0, 0, 1), port)),
        Scheduler::RoundRobin,
    )
}

#[tokio::test]
async fn a_hundred_tasks_share_one_client() {
    let client = AsyncClient::over(SimulatedKernel::new()).await.unwrap();
    let tasks: Vec<_> = (1..=100)
        .map(|port| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.add_service(service(port));
                let place = Destination::new((Ipv4Addr::new(10, 0, 0, 2), port), Forward::Masquerade);
                batch.add_destination(service(port).key, place);
                client.apply(batch).await.unwrap().into_result().unwrap();
                client.destinations(service(port).key).await.unwrap().len()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert_eq!(client.snapshot().await.unwrap().services.len(), 100);
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let client = AsyncClient::over(SimulatedKernel::new()).await.unwrap();
    drop(tokio::time::timeout(std::time::Duration::ZERO, client.add_service(service(1))).await);
    let services = client.services().await.unwrap();
    // Never begun or carried out: either way the next answers are its own.
    assert!(services.len() <= 1);
    client
        .reconcile(Table::default(), ReconcileOptions::default())
        .await
        .unwrap();
    let table = Table {
        services: vec![TableService {
            service: service(2),
            destinations: Vec::new(),
        }],
    };
    client
        .reconcile(table, ReconcileOptions::default())
        .await
        .unwrap();
    assert!(client.service(service(2).key).await.is_ok());
    let error = client.delete_service(service(3).key).await.unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.reason == Reason::ServiceNotFound));
}

#[tokio::test]
async fn all_calls_answer() {
    let client = AsyncClient::over(SimulatedKernel::new()).await.unwrap();
    assert_eq!(client.info().await.unwrap().version.to_string(), "1.2.1");
    assert!(client.timeouts().await.unwrap().tcp.is_some());
    client
        .set_timeouts(ipvs_netlink::Timeouts::default())
        .await
        .unwrap();
    let daemon = ipvs_netlink::Daemon::new(ipvs_netlink::DaemonRole::Master, "eth0".parse().unwrap(), 1);
    client.start_daemon(daemon).await.unwrap();
    assert_eq!(client.daemons().await.unwrap().len(), 1);
    client
        .stop_daemon(ipvs_netlink::DaemonRole::Master)
        .await
        .unwrap();
    client.add_service(service(1)).await.unwrap();
    client.edit_service(service(1)).await.unwrap();
    let place = Destination::new((Ipv4Addr::new(10, 0, 0, 2), 1), Forward::Masquerade);
    client.add_destination(service(1).key, place).await.unwrap();
    client.edit_destination(service(1).key, place).await.unwrap();
    client
        .delete_destination(service(1).key, place.endpoint)
        .await
        .unwrap();
    client.zero(None).await.unwrap();
    client.delete_service(service(1).key).await.unwrap();
    client.flush().await.unwrap();
}
