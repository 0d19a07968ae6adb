//! The kernel seen by /proc, by its settings, and from namespaces.

use std::time::Duration;

use ipvs_netlink::{
    Batch, Client, Error, ProcKey, Reason, Scheduler, Service, ServiceKey, Sysctl, read_table,
};

use crate::support::*;

#[test]
#[ignore = "needs an IPVS kernel"]
fn every_scheduler_of_the_kernel_can_be_had() {
    let client = client();
    let names = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos", "none",
    ];
    for (port, name) in (1..).zip(names) {
        let wanted = Service {
            scheduler: Scheduler::from_name(name).unwrap(),
            ..service(port)
        };
        match client.add_service(wanted) {
            Ok(()) => assert_eq!(client.service(wanted.key).unwrap().service, wanted),
            // Debian's 6.1 is built without it.
            result => {
                assert_eq!(refusal(result), Reason::SchedulerMissing("twos".parse().unwrap()));
            }
        }
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn proc_shows_what_netlink_shows() {
    let client = client();
    client
        .apply(&Batch::from_iter(rules()))
        .unwrap()
        .into_result()
        .unwrap();
    let table = read_table().unwrap();
    let snapshot = client.snapshot().unwrap();
    assert_eq!(table.services.len(), snapshot.services.len());
    for shown in &table.services {
        let matching = snapshot.services.iter().filter(|service| {
            let service = service.entry.service;
            let same_key = match (shown.key, service.key) {
                (
                    ProcKey::Address(protocol, endpoint),
                    ServiceKey::Address {
                        protocol: p,
                        endpoint: e,
                    },
                ) => protocol == p && endpoint == e,
                (ProcKey::Mark(mark), ServiceKey::Mark { mark: m, .. }) => mark == m.get(),
                _ => false,
            };
            same_key && service.scheduler.name() == shown.scheduler
        });
        let same = matching
            .filter(|service| service.destinations.len() == shown.destinations.len())
            .find(|service| {
                service
                    .destinations
                    .iter()
                    .zip(&shown.destinations)
                    .all(|(entry, shown)| {
                        entry.destination.endpoint == shown.endpoint
                            && entry.destination.weight.get() == shown.weight
                    })
            });
        let same = same.unwrap_or_else(|| panic!("{shown:?}"));
        assert_eq!(same.entry.service.persistence.is_some(), shown.persistent);
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn settings_are_there_with_their_types() {
    let client = client();
    drop(client);
    let old = Sysctl::CONNTRACK.get().unwrap();
    Sysctl::CONNTRACK.set(!old).unwrap();
    assert_eq!(Sysctl::CONNTRACK.get().unwrap(), !old);
    Sysctl::CONNTRACK.set(old).unwrap();
    let threshold = Sysctl::SYNC_THRESHOLD.get().unwrap();
    Sysctl::SYNC_THRESHOLD.set(threshold).unwrap();
    assert!(Sysctl::LBLC_EXPIRATION.get().unwrap() > Duration::ZERO);
    Sysctl::DROP_ENTRY.get().unwrap();
    Sysctl::EST_CPULIST
        .get()
        .map(|_| ())
        .or_else(only_missing)
        .unwrap();
    Sysctl::EST_NICE.get().map(|_| ()).or_else(only_missing).unwrap();
    // Every one that the kernel has is known here.
    for entry in std::fs::read_dir("/proc/sys/net/ipv4/vs").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            ipvs_netlink::SYSCTL_NAMES.contains(&name.as_str()) || name == "debug_level",
            "{name}"
        );
    }
}

/// Added in Linux 6.2.
fn only_missing(error: std::io::Error) -> Result<(), std::io::Error> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn a_namespace_has_a_table_of_its_own() {
    let here = client();
    let name = format!("ipvs-{}", std::process::id());
    run("ip", &["netns", "add", &name]);
    let there = Client::open_named(&name).unwrap();
    there.add_service(service(80)).unwrap();
    assert!(here.services().unwrap().is_empty());
    assert_eq!(there.services().unwrap().len(), 1);
    let listed = run("ip", &["netns", "exec", &name, "ipvsadm", "-S", "-n"]);
    assert_eq!(listed, "-A -t 10.98.0.1:80 -s rr\n");
    run("ip", &["netns", "del", &name]);
    assert!(matches!(Client::open_named(&name), Err(Error::Namespace(_))));
}

/// A host whose kernel has IPVS needs no other: what this test runs on is such a host to `cargo xtask vm`.
#[test]
#[ignore = "needs an IPVS kernel"]
fn on_a_host_that_has_ipvs_the_laboratory_is_a_namespace_of_its_own() {
    let xtask = std::env::var("XTASK").expect("set by cargo xtask test");
    let vm = |words: &[&str]| {
        let output = std::process::Command::new(&xtask)
            .args(["vm", "--env", "GREETING=a b", "--"])
            .args(words)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).trim().to_owned(),
        )
    };
    client().add_service(service(80)).unwrap();
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    let (status, there) = vm(&["readlink", "/proc/self/ns/net"]);
    assert_eq!(status, Some(0), "{there}");
    assert!(
        there.starts_with("net:[") && there != here.to_string_lossy(),
        "{there}"
    );
    // It has a table of its own.
    assert_eq!(vm(&["ipvsadm", "-S", "-n"]), (Some(0), String::new()));
    assert_eq!(
        vm(&["sh", "-c", "echo $GREETING; exit 7"]),
        (Some(7), "a b".to_owned())
    );
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an IPVS kernel"]
async fn tasks_share_an_asynchronous_client() {
    let here = ipvs_netlink::AsyncClient::open().await.unwrap();
    here.flush().await.unwrap();
    let tasks: Vec<_> = (1..=20)
        .map(|port| {
            let client = here.clone();
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.add_service(service(port));
                batch.add_destination(service(port).key, destination(port));
                client.apply(batch).await.unwrap().into_result().unwrap();
                client.destinations(service(port).key).await.unwrap().len()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert_eq!(here.snapshot().await.unwrap().services.len(), 20);
    let listed = ipvsadm("-S -n");
    assert_eq!(listed.lines().filter(|line| line.starts_with("-a")).count(), 20);
}
