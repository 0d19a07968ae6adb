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
use support::settle;

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

/// What an attempt finds out, with this much time.
fn attempt_within(check: Check, timeout: Duration) -> CheckStatus {
    let checker = Checker::<&str>::spawn().unwrap();
    let policy = Arc::new(Policy {
        timeout,
        interval: Duration::from_secs(3_600),
        ..quick()
    });
    checker.reconcile([TargetSpec::new("it", check, policy)]);
    settle(&checker, &"it")
}

fn attempt(check: impl Into<Check>) -> CheckStatus {
    attempt_within(check.into(), Duration::from_secs(20))
}

/// A port of loopback on which nobody listens, and nobody can: it is taken, by a socket that does not.
fn closed_port() -> SocketAddr {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let taken = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&taken, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = getsockname(&taken).unwrap().try_into().unwrap();
    // For as long as the tests run.
    std::mem::forget(taken);
    addr
}
