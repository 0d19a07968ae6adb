//! Against a kernel in memory.

use ipvs_netlink::{Client, DaemonRole, Fault, SimulatedKernel};

use super::*;
use crate::balance::{Balancer, RealServerPlan, VirtualServerPlan};
use crate::data_plane::{
    Algorithm, DesiredReal, DesiredServer, Forwarding, Granularity, Persistence, ProxyProtocol,
};

fn server(front: &str, real_servers: &[(&str, u32)]) -> DesiredServer {
    DesiredServer {
        front: front.parse().unwrap(),
        scheduling: Algorithm {
            name: "rr".to_owned(),
            flags: 0,
        },
        one_packet: false,
        persistence: None,
        proxy_protocol: None,
        real_servers: real_servers
            .iter()
            .map(|(address, weight)| DesiredReal {
                address: address.parse().unwrap(),
                forwarding: Forwarding::DirectRoute,
                weight: *weight,
                upper_threshold: 0,
                lower_threshold: 0,
            })
            .collect(),
        absent: Vec::new(),
        cut: Vec::new(),
    }
}

fn table(servers: Vec<DesiredServer>) -> DesiredTable {
    DesiredTable {
        virtual_servers: servers.into_iter().map(Arc::new).collect(),
        ..DesiredTable::default()
    }
}

fn kernel() -> Client<SimulatedKernel> {
    Client::over(SimulatedKernel::new()).unwrap()
}

/// The rows that there are: virtual servers with the weights of their real servers, the newest first.
fn rows(client: &Client<SimulatedKernel>) -> Vec<String> {
    let table = client.snapshot().unwrap().table();
    let rows = table.services.iter().map(|service| {
        let reals = service
            .destinations
            .iter()
            .map(|each| format!(" {}={}", each.endpoint, each.weight.get()));
        format!("{}{}", service.service.key, reals.collect::<String>())
    });
    rows.collect()
}

fn record(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ha-stack-ipvs-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

const ONE: &str = "tcp 10.0.0.1:80";
const TWO: &str = "tcp 10.0.0.2:80";

#[test]
fn only_what_differs_is_written() {
    let client = kernel();
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let wanted = table(vec![
        server(ONE, &[("10.0.1.1:80", 1), ("10.0.1.2:80", 2)]),
        server(TWO, &[("10.0.1.1:80", 1)]),
    ]);
    let applied = plane.reconcile(&wanted, Extent::Changed).unwrap();
    assert_eq!((applied.changes, applied.refused.len()), (5, 0));
    assert_eq!(
        rows(&client),
        [
            "TCP 10.0.0.1:80 10.0.1.1:80=1 10.0.1.2:80=2",
            "TCP 10.0.0.2:80 10.0.1.1:80=1"
        ]
    );
    let asked = client.with_transport(|kernel| kernel.requests());
    assert_eq!(plane.reconcile(&wanted, Extent::Changed).unwrap().changes, 0);
    assert_eq!(
        client.with_transport(|kernel| kernel.requests()),
        asked,
        "nothing is asked"
    );
    let wanted = table(vec![
        server(ONE, &[("10.0.1.1:80", 1), ("10.0.1.2:80", 0)]),
        server(TWO, &[("10.0.1.1:80", 1)]),
    ]);
    assert_eq!(plane.reconcile(&wanted, Extent::Changed).unwrap().changes, 1);
    assert_eq!(plane.reconcile(&wanted, Extent::Whole).unwrap().changes, 0);
}

/// Two questions about its own virtual server and one message, and nobody else's rows are made anew to find that out.
#[test]
fn a_changed_weight_among_many_is_one_message() {
    let plans = |weight| -> Vec<Arc<VirtualServerPlan>> {
        let plan = |number: u8| {
            let front = format!("tcp 10.0.0.{number}:80").parse().unwrap();
            let mut plan = VirtualServerPlan::new(front);
            let reals = (1..=10).map(|last| format!("10.0.1.{last}:80").parse().unwrap());
            plan.real_servers = reals.map(RealServerPlan::new).collect();
            if number == 77 {
                plan.real_servers[3].weight = weight;
            }
            Arc::new(plan)
        };
        (1..=200).map(plan).collect()
    };
    let client = kernel();
    let requests = || client.with_transport(|kernel| kernel.requests());
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let mut balancer = Balancer::new();
    balancer.configure(plans(1), false).unwrap();
    let before = balancer.table();
    assert_eq!(plane.reconcile(&before, Extent::Whole).unwrap().changes, 2200);

    let asked = requests();
    balancer.configure(plans(7), false).unwrap();
    let table = balancer.table();
    let pairs = before.virtual_servers.iter().zip(&table.virtual_servers);
    assert_eq!(pairs.filter(|(old, new)| Arc::ptr_eq(old, new)).count(), 199);
    assert_eq!(plane.reconcile(&table, Extent::Changed).unwrap().changes, 1);
    assert_eq!(requests() - asked, 3);
    assert!(rows(&client).concat().contains("10.0.1.4:80=7"));
}

/// What the kernel has no word for is said for as long as it is wanted, also where nothing else is to be done.
#[test]
fn what_is_left_out_is_said_each_time() {
    let mut plane = IpvsPlane::over(kernel(), None).unwrap();
    let mut announced = server(ONE, &[("10.0.1.1:80", 1)]);
    announced.proxy_protocol = Some(ProxyProtocol::V2);
    let wanted = table(vec![announced]);
    for changes in [2, 0, 0] {
        let applied = plane.reconcile(&wanted, Extent::Changed).unwrap();
        assert_eq!((applied.changes, applied.refused.len()), (changes, 1));
    }
}

#[test]
fn who_is_no_longer_configured_keeps_its_connections_and_who_failed_goes_at_once() {
    let client = kernel();
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let all = [("10.0.1.1:80", 1), ("10.0.1.2:80", 1), ("10.0.1.3:80", 1)];
    plane
        .reconcile(&table(vec![server(ONE, &all)]), Extent::Changed)
        .unwrap();
    let connected = |active| {
        client.with_transport(|kernel| {
            let destinations = kernel
                .services_mut()
                .iter_mut()
                .flat_map(|each| &mut each.destinations);
            destinations.for_each(|each| each.active = active);
        });
    };
    connected(1);
    let mut first = server(ONE, &all[..1]);
    first.absent = vec!["10.0.1.2:80".parse().unwrap()];
    let wanted = table(vec![first]);
    plane.reconcile(&wanted, Extent::Changed).unwrap();
    let draining = ["TCP 10.0.0.1:80 10.0.1.1:80=1 10.0.1.3:80=0"];
    assert_eq!(rows(&client), draining);
    assert_eq!(plane.reconcile(&wanted, Extent::Whole).unwrap().changes, 0);
    assert_eq!(rows(&client), draining);
    connected(0);
    plane.reconcile(&wanted, Extent::Whole).unwrap();
    assert_eq!(rows(&client), ["TCP 10.0.0.1:80 10.0.1.1:80=1"]);

    // Persistent clients would go on coming.
    connected(1);
    let mut sticky = server(TWO, &all);
    sticky.persistence = Some(Persistence {
        seconds: 60,
        granularity: Granularity::Address,
        engine: None,
    });
    let fewer = DesiredServer {
        real_servers: sticky.real_servers[..1].to_vec(),
        ..sticky.clone()
    };
    for wanted in [sticky, fewer] {
        plane.reconcile(&table(vec![wanted]), Extent::Changed).unwrap();
        connected(1);
    }
    assert_eq!(rows(&client), ["TCP 10.0.0.2:80 10.0.1.1:80=1"]);
    plane.reconcile(&DesiredTable::default(), Extent::Whole).unwrap();
    assert_eq!(rows(&client), [""; 0]);
}

#[test]
fn what_somebody_else_did_to_our_rows_is_put_right_and_theirs_stay() {
    let client = kernel();
    let foreign = table(vec![server("tcp 10.9.9.9:1", &[("10.0.1.9:1", 1)])]);
    IpvsPlane::over(client.clone(), None)
        .unwrap()
        .reconcile(&foreign, Extent::Whole)
        .unwrap();
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let wanted = table(vec![server(ONE, &[("10.0.1.1:80", 1)])]);
    plane.reconcile(&wanted, Extent::Changed).unwrap();
    client.with_transport(|kernel| {
        kernel
            .services_mut()
            .retain(|each| each.entry.service.key.to_string() != "TCP 10.0.0.1:80")
    });
    assert_eq!(plane.reconcile(&wanted, Extent::Whole).unwrap().changes, 2);
    let both = ["TCP 10.0.0.1:80 10.0.1.1:80=1", "TCP 10.9.9.9:1 10.0.1.9:1=1"];
    assert_eq!(rows(&client), both);
    plane.reconcile(&DesiredTable::default(), Extent::Whole).unwrap();
    assert_eq!(rows(&client), both[1..]);
    // Unless the table is said to be ours alone.
    let exclusive = DesiredTable {
        exclusive: true,
        ..wanted
    };
    plane.reconcile(&exclusive, Extent::Changed).unwrap();
    assert_eq!(rows(&client), both[..1]);
}

#[test]
fn a_successor_adopts_what_it_finds_and_removes_what_is_no_longer_configured() {
    let client = kernel();
    let path = record("adopts");
    let wanted = table(vec![
        server(ONE, &[("10.0.1.1:80", 1)]),
        server(TWO, &[("10.0.1.1:80", 1)]),
    ]);
    let mut first = IpvsPlane::over(client.clone(), Some(path.clone())).unwrap();
    first.reconcile(&wanted, Extent::Changed).unwrap();
    // Killed: nothing is cleaned up.
    drop(first);
    let mut second = IpvsPlane::over(client.clone(), Some(path.clone())).unwrap();
    let wanted = table(vec![server(TWO, &[("10.0.1.1:80", 1)])]);
    let applied = second.reconcile(&wanted, Extent::Changed).unwrap();
    assert_eq!(applied.changes, 1, "one is removed, the other not touched");
    assert_eq!(rows(&client), ["TCP 10.0.0.2:80 10.0.1.1:80=1"]);
    second
        .reconcile(&DesiredTable::default(), Extent::Changed)
        .unwrap();
    assert_eq!(rows(&client), [""; 0]);
    assert!(!path.exists());
}

#[test]
fn killed_at_any_request_the_successor_finishes_the_work() {
    for killed_at in 0..12 {
        let client = kernel();
        let path = record(&format!("killed-{killed_at}"));
        let mut first = IpvsPlane::over(client.clone(), Some(path.clone())).unwrap();
        let old = table(vec![server(ONE, &[("10.0.1.1:80", 1), ("10.0.1.2:80", 1)])]);
        first.reconcile(&old, Extent::Changed).unwrap();
        let faults = std::iter::repeat_n(Fault::None, killed_at).chain([Fault::Kill]);
        client.with_transport(|kernel| kernel.inject(faults));
        let new = table(vec![server(TWO, &[("10.0.1.1:80", 1), ("10.0.1.3:80", 1)])]);
        let _ = first.reconcile(&new, Extent::Changed);
        drop(first);
        client.with_transport(SimulatedKernel::forget_faults);
        let mut second = IpvsPlane::over(client.clone(), Some(path.clone())).unwrap();
        second.reconcile(&new, Extent::Changed).unwrap();
        assert_eq!(
            rows(&client),
            ["TCP 10.0.0.2:80 10.0.1.1:80=1 10.0.1.3:80=1"],
            "killed at {killed_at}"
        );
        second
            .reconcile(&DesiredTable::default(), Extent::Changed)
            .unwrap();
    }
}

#[test]
fn a_refusal_is_said_and_tried_again() {
    let client = kernel();
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let wanted = table(vec![server(ONE, &[("10.0.1.1:80", 1)])]);
    client.with_transport(|kernel| kernel.inject([Fault::None, Fault::None, Fault::Refuse(libc::EINVAL)]));
    let applied = plane.reconcile(&wanted, Extent::Changed).unwrap();
    assert!(applied.refused[0].contains("10.0.1.1:80"), "{applied:?}");
    client.with_transport(SimulatedKernel::forget_faults);
    let applied = plane.reconcile(&wanted, Extent::Changed).unwrap();
    assert_eq!(applied.refused, [""; 0]);
    assert_eq!(rows(&client), ["TCP 10.0.0.1:80 10.0.1.1:80=1"]);
}

#[test]
fn what_was_removed_before_the_exchange_failed_is_made_anew() {
    for failed_at in 0..12 {
        let client = kernel();
        let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
        let fronts = [ONE, TWO, "tcp 10.0.0.3:80"];
        let all = table(fronts.map(|front| server(front, &[("10.0.1.1:80", 1)])).to_vec());
        plane.reconcile(&all, Extent::Changed).unwrap();
        let faults = std::iter::repeat_n(Fault::None, failed_at).chain([Fault::Kill]);
        client.with_transport(|kernel| kernel.inject(faults));
        let _ = plane.reconcile(&DesiredTable::default(), Extent::Changed);
        client.with_transport(SimulatedKernel::forget_faults);
        plane.reconcile(&all, Extent::Changed).unwrap();
        assert_eq!(rows(&client).len(), fronts.len(), "failed at {failed_at}");
    }
}

#[test]
fn full_nat_is_refused_with_advice() {
    let mut plane = IpvsPlane::over(kernel(), None).unwrap();
    let mut server = server(ONE, &[("10.0.1.1:80", 1)]);
    server.real_servers[0].forwarding = Forwarding::FullNat;
    let applied = plane.reconcile(&table(vec![server]), Extent::Changed).unwrap();
    assert_eq!(
        applied.refused,
        [
            "tcp 10.0.0.1:80: 10.0.1.1:80 is left out: the kernel's IPVS has no FNAT; use NAT, DR or TUN, or --data-plane proxy"
        ]
    );
}

#[test]
fn the_proxy_protocol_is_left_out_with_advice_and_the_rest_is_carried() {
    let client = kernel();
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let mut server = server(ONE, &[("10.0.1.1:80", 1)]);
    server.proxy_protocol = Some(ProxyProtocol::V2);
    let applied = plane.reconcile(&table(vec![server]), Extent::Changed).unwrap();
    assert_eq!(
        applied.refused,
        ["tcp 10.0.0.1:80: the kernel does not speak the PROXY protocol; use --data-plane proxy"]
    );
    assert_eq!(rows(&client), ["TCP 10.0.0.1:80 10.0.1.1:80=1"]);
}

#[test]
fn timeouts_and_sync_daemons_follow() {
    let client = kernel();
    let path = record("sync");
    let mut plane = IpvsPlane::over(client.clone(), Some(path.clone())).unwrap();
    let synchronization = |sends| Synchronization {
        sends,
        interface: "eth0".to_owned(),
        id: 51,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    let mut wanted = DesiredTable {
        timeouts: ConnectionTimeouts {
            tcp: Some(60),
            ..ConnectionTimeouts::default()
        },
        synchronization: vec![synchronization(false)],
        ..DesiredTable::default()
    };
    assert_eq!(plane.reconcile(&wanted, Extent::Changed).unwrap().changes, 2);
    assert_eq!(client.timeouts().unwrap().tcp.unwrap().seconds(), 60);
    let running = || -> Vec<DaemonRole> {
        let daemons = client.daemons().unwrap();
        daemons.iter().map(|entry| entry.daemon.role).collect()
    };
    assert_eq!(running(), [DaemonRole::Backup]);
    assert_eq!(plane.reconcile(&wanted, Extent::Whole).unwrap().changes, 0);
    wanted.synchronization = vec![synchronization(true)];
    assert_eq!(plane.reconcile(&wanted, Extent::Changed).unwrap().changes, 2);
    assert_eq!(running(), [DaemonRole::Master]);
    // The successor of one that was killed stops what it left running.
    drop(plane);
    let mut plane = IpvsPlane::over(client.clone(), Some(path.clone())).unwrap();
    plane
        .reconcile(&DesiredTable::default(), Extent::Changed)
        .unwrap();
    assert_eq!(running(), []);
    assert!(!path.exists());
}
