//! The engine as a task of tokio.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Check, Checker, Context, CustomProbe, Event, Policy, Probe, Sample, Start, State, TargetSpec,
};
use tokio::time::timeout;

/// Needs a tokio runtime around it.
struct Sleeps;

impl Probe for Sleeps {
    async fn probe(&self, _: Context) -> Sample {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Sample::pass(Duration::from_millis(20))
    }
}

async fn a_server_comes_and_goes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let (checker, engine) = Checker::builder()
        .executor(tokio::runtime::Handle::current())
        .build::<u8>()
        .unwrap();
    let engine = tokio::spawn(engine.run_on_tokio());
    let mut events = checker.subscribe();
    let policy = Arc::new(Policy {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(10),
        fall: NonZeroU16::MIN,
        start: Start::Unknown,
        ..Policy::haproxy()
    });
    checker.reconcile([
        TargetSpec::new(1, Check::tcp(addr), policy.clone()),
        TargetSpec::new(2, Check::local(CustomProbe::new(Sleeps)), policy),
    ]);
    let patience = Duration::from_secs(60);
    timeout(patience, checker.initial_round()).await.unwrap();
    for key in [1, 2] {
        assert_eq!(checker.state(&key), Some(State::Up), "{key}");
    }
    let mut until = async |wanted| {
        loop {
            if let Some(Event::Changed { key: 1, to, .. }) = timeout(patience, events.next()).await.unwrap()
                && to == wanted
            {
                return;
            }
        }
    };
    until(State::Up).await;
    server.abort();
    until(State::Down).await;
    drop(checker);
    timeout(patience, engine).await.unwrap().unwrap().unwrap();
    assert!(timeout(patience, events.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn on_one_thread() {
    a_server_comes_and_goes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several() {
    a_server_comes_and_goes().await;
}
