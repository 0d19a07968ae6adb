//! ICMP echoes to loopback. They need a raw socket, or a group that `net.ipv4.ping_group_range` names.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Basis, Check, Checker, Endpoint, FailKind, NetOptions, Ping, Policy, Stage, Start, State, TargetSpec,
};

#[test]
#[ignore = "needs root and network namespaces"]
fn thousands_of_loopback_addresses_answer_over_one_socket() {
    let checker = Checker::<u32>::spawn().unwrap();
    let policy = Arc::new(Policy {
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(30),
        spread: Duration::from_secs(2),
        fall: NonZeroU16::MIN,
        rise: NonZeroU16::MIN,
        start: Start::Unknown,
        basis: Basis::FixedRate,
        ..Policy::haproxy()
    });
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    let targets = (0..5_000_u32).map(|number| {
        let ip = IpAddr::from([127, 3, (number >> 8) as u8, (number & 255) as u8]);
        TargetSpec::new(number, Check::new(ip, Ping { padding: 40 }), policy.clone())
    });
    let v6 = TargetSpec::new(
        9_999,
        Check::new("::1".parse::<IpAddr>().unwrap(), Ping::default()),
        policy.clone(),
    );
    checker.reconcile(targets.chain([v6]));
    assert_eq!(
        checker.initial_round().wait(Duration::from_secs(120)),
        0,
        "{:?}",
        checker.statuses().last()
    );
    for (key, status) in checker.statuses() {
        assert_eq!(status.state, State::Up, "{key}: {:?}", status.checks);
    }
    assert!(
        descriptors() <= before + 20,
        "one socket for each family, not one for each target"
    );
    assert_eq!(checker.metrics().totals.failed, 0);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn silence_is_a_failure_that_says_so() {
    let checker = Checker::<u32>::spawn().unwrap();
    let policy = Arc::new(Policy {
        timeout: Duration::from_millis(300),
        spread: Duration::ZERO,
        start: Start::Unknown,
        ..Policy::haproxy()
    });
    // A network that no host may be in (RFC 5737), by way of the loopback device, where nobody answers for it.
    let nobody: IpAddr = "192.0.2.1".parse().unwrap();
    let net = NetOptions {
        device: Some("lo".into()),
        ..NetOptions::default()
    };
    let endpoint = Endpoint::from(nobody).via(Arc::new(net));
    checker.reconcile([TargetSpec::new(1, Check::new(endpoint, Ping::default()), policy)]);
    assert_eq!(checker.initial_round().wait(Duration::from_secs(60)), 0);
    let (_, failure) = checker.status(&1).unwrap().checks.remove(0).last_failure.unwrap();
    assert!(
        matches!(failure.kind, FailKind::TimedOut | FailKind::Unreachable),
        "{failure}"
    );
    assert!(matches!(failure.stage, Stage::Reply | Stage::Connect));
}
