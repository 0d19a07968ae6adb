//! How much memory tables of two sizes take: a modest number of bytes for each destination, and the same for both.

mod sys;

use std::net::Ipv4Addr;

use ipvs_netlink::{
    Batch, Client, Destination, Forward, Owned, ReconcileOptions, Request, Scheduler, Service, ServiceKey,
    SimulatedKernel, Table, TableService,
};

/// So many services with 40 destinations each.
fn table(services: u16) -> Table {
    let services = (0..services)
        .map(|number| TableService {
            service: Service::new(
                ServiceKey::tcp((Ipv4Addr::new(10, 98, 0, 1), 1000 + number)),
                Scheduler::WeightedLeastConnection,
            ),
            destinations: (0..40)
                .map(|host| {
                    let [high, low] = (number * 40 + host).to_be_bytes();
                    Destination::new((Ipv4Addr::new(10, 97, high, low), 80), Forward::Masquerade)
                })
                .collect(),
        })
        .collect();
    Table { services }
}

/// Bytes for each destination: a snapshot kept, one being read, a reconciliation that finds nothing to do, a batch of all,
/// and what the client keeps for the next one.
fn measure(services: u16) -> [usize; 5] {
    let wanted = table(services);
    let destinations = usize::from(services) * 40;
    let client = Client::over(SimulatedKernel::new()).unwrap();
    let options = ReconcileOptions {
        owned: Owned::All,
        ..ReconcileOptions::default()
    };
    let fresh = sys::in_use();
    let mut snapshot = None;
    let reading = sys::most(|| snapshot = Some(client.snapshot().unwrap()));
    drop(snapshot.take());
    assert!(reading < 4096, "{reading} bytes for an empty table");
    // A table is written by edits in place, for additions would be counted with what they make.
    client.reconcile(&wanted, &options).unwrap();
    let batch: Batch = wanted
        .requests()
        .into_iter()
        .map(|request| match request {
            Request::AddService(service) => Request::EditService(service),
            Request::AddDestination(key, destination) => Request::EditDestination(key, destination),
            other => other,
        })
        .collect();
    let client = client.with_transport(std::mem::take);
    let client = Client::over(client).unwrap();
    let before = sys::in_use();
    let applying = sys::most(|| client.apply(&batch).unwrap().into_result().unwrap());
    let kept = sys::in_use().saturating_sub(before);
    let before = sys::in_use();
    let reading = sys::most(|| snapshot = Some(client.snapshot().unwrap()));
    let held = sys::in_use() - before;
    drop(snapshot.take());
    let reconciling = sys::most(|| assert!(client.reconcile(&wanted, &options).unwrap().is_empty()));
    assert!(sys::in_use() > fresh);
    [held, reading, reconciling, applying, kept].map(|bytes| bytes / destinations)
}

/// One test, as the counters are those of the whole process.
#[test]
fn memory() {
    let small = measure(250);
    let large = measure(1000);
    println!("bytes for each destination, of 10,000 and of 40,000:");
    for (number, name) in [
        "snapshot held",
        "snapshot read",
        "reconcile, nothing to do",
        "batch applied",
        "kept for the next",
    ]
    .into_iter()
    .enumerate()
    {
        println!("  {name:<25} {:>5} {:>5}", small[number], large[number]);
        assert!(number != 4 || large[number] == 0, "nothing is kept for the next");
        // Vectors grow by doubling: up to twice as much of one than of another size.
        assert!(large[number] <= small[number] * 2 + 8, "{name} is not linear");
        assert!(large[number].max(small[number]) <= 1024, "{name} is not modest");
    }
}
