//! The engine against servers of this test on loopback: what each probe finds, and what it does when things go wrong.

mod custom;
mod dialogue;
mod hostile;
mod http;
mod local;
#[path = "../support/mod.rs"]
mod support;
mod tcp;
mod tls;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{Basis, Check, CheckStatus, Checker, Policy, Start, TargetSpec};

/// Often, patient, and the first result decides.
fn quick() -> Policy {
    Policy {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(10),
        spread: Duration::ZERO,
        rise: NonZeroU16::MIN,
        fall: NonZeroU16::MIN,
        start: Start::Unknown,
        basis: Basis::AfterCompletion,
        ..Policy::haproxy()
    }
}

/// What one attempt finds out, with this much time.
fn attempt_within(check: Check, timeout: Duration) -> CheckStatus {
    let checker = Checker::<&str>::spawn().unwrap();
    let policy = Arc::new(Policy {
        timeout,
        interval: Duration::from_secs(3_600),
        ..quick()
    });
    checker.reconcile([TargetSpec::new("it", check, policy)]);
    assert_eq!(
        checker.initial_round().wait(Duration::from_secs(60)),
        0,
        "no result: {:?}",
        checker.status(&"it")
    );
    checker.status(&"it").unwrap().checks.remove(0)
}

fn attempt(check: impl Into<Check>) -> CheckStatus {
    attempt_within(check.into(), Duration::from_secs(20))
}

/// A port of loopback on which nobody listens now.
fn closed_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
