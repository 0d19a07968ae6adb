//! Tables made as they are wanted: large ones, behind whose back others work, interrupted ones.

use std::env;
use std::time::{Duration, Instant};

use ipvs_netlink::{Batch, Client, Request, Table, TableService};
use netlink_batch::Limits;

use crate::support::*;

/// Numbers that only look random, the same each time.
fn sequence() -> impl Iterator<Item = u16> {
    let mut state = 88_172_645_463_325_252_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u16::try_from(state % 10_000).unwrap()
    })
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn ten_thousand_destinations_survive_edits_behind_our_back() {
    let client = client();
    let wanted = big_table();
    let before = client.with_transport(|socket| socket.counters());
    let changes = client.reconcile(&wanted, &all()).unwrap();
    assert_eq!(changes.done.len(), 10_250);
    assert!(changes.refused.is_empty());
    let after = client.with_transport(|socket| socket.counters());
    println!(
        "{} sends and {} receives for 10,250 changes and one snapshot of nothing",
        after.sends - before.sends,
        after.receives - before.receives
    );
    assert_eq!(sorted(client.snapshot().unwrap().table()), sorted(wanted.clone()));
    assert!(client.reconcile(&wanted, &all()).unwrap().is_empty());

    for (round, number) in sequence().take(60).enumerate() {
        let port = 1000 + number / 40;
        let place = destination(number).endpoint;
        let key = format!("-t 10.98.0.1:{port}");
        match round % 6 {
            0 => ipvsadm(&format!("-e {key} -r {place} -m -w 3")),
            1 => ipvsadm(&format!("-d {key} -r {place}")),
            2 => ipvsadm(&format!("-a {key} -r 10.95.0.{}:80 -m", round + 1)),
            3 => ipvsadm(&format!("-E {key} -s rr -p 60")),
            4 => ipvsadm(&format!("-A -t 10.94.0.1:{} -s rr", 5000 + round)),
            _ => ipvsadm(&format!("-D {key}")),
        };
        // A service deleted once must be there to be edited later.
        if round % 6 == 5 {
            client.reconcile(&wanted, &all()).unwrap();
        }
    }
    let changes = client.reconcile(&wanted, &all()).unwrap();
    assert!(changes.refused.is_empty(), "{:?}", changes.refused);
    assert_eq!(sorted(client.snapshot().unwrap().table()), sorted(wanted.clone()));
    assert!(client.reconcile(&wanted, &all()).unwrap().is_empty());
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn two_clients_at_once_both_end_with_what_they_want() {
    let client = client();
    let wanted = big_table();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let changes = Client::open().unwrap().reconcile(&wanted, &all()).unwrap();
                assert!(changes.refused.is_empty(), "{:?}", changes.refused.first());
            });
        }
    });
    assert!(client.reconcile(&wanted, &all()).unwrap().is_empty());
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn an_overrun_is_noticed_and_made_good() {
    let client = client();
    let wanted = Table {
        services: vec![TableService {
            service: service(80),
            destinations: (0..100).map(destination).collect(),
        }],
    };
    client.reconcile(&wanted, &all()).unwrap();
    let limits = client.with_transport(|socket| {
        let limits = socket.limits();
        socket.set_limits(Limits::for_buffers(limits.bytes, usize::MAX));
        limits
    });
    // As many refusals in one send as the send buffer has room for: far more than the receive buffer has.
    let requests = (0..limits.bytes / 150).map(|_| Request::AddDestination(service(80).key, destination(1)));
    let mut batch: Batch = requests.collect();
    batch.add_destination(service(80).key, destination(200));
    let report = client.apply(&batch).unwrap();
    assert!(!report.refused().is_empty());
    assert!(!report.unconfirmed().is_empty());
    assert_eq!(
        report.refused().len() + report.unconfirmed().len(),
        report.len(),
        "nothing in doubt counts as done"
    );
    client.with_transport(|socket| socket.set_limits(limits));
    let changes = client.reconcile(&wanted, &all()).unwrap();
    assert_eq!(
        changes.done,
        [Request::DeleteDestination(
            service(80).key,
            destination(200).endpoint
        )]
    );
}

/// Run again by the test itself, to be killed.
#[test]
#[ignore = "needs an IPVS kernel"]
fn a_reconciliation_that_is_killed_is_finished_by_the_next() {
    if env::var_os("IPVS_TEST_VICTIM").is_some() {
        Client::open().unwrap().reconcile(&big_table(), &all()).unwrap();
        return;
    }
    let client = client();
    let mut victim = again(
        "reconcile::a_reconciliation_that_is_killed_is_finished_by_the_next",
        "IPVS_TEST_VICTIM",
        &[],
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    // The table is written a service after the other: some there, not all.
    while client.services().unwrap().is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    let there = client.services().unwrap().len();
    println!("killed with {there} of 250 services written");
    assert!(there > 0);
    client.reconcile(&big_table(), &all()).unwrap();
    assert_eq!(sorted(client.snapshot().unwrap().table()), sorted(big_table()));
}
