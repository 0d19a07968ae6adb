//! TCP checks.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Cause, Check, Checker, Close, Endpoint, Event, FailKind, Forced, NetOptions, Policy, Stage, State,
    TargetSpec, Tcp, Verdict,
};

use crate::support::Accepting;
use crate::{attempt, closed_port, quick};

#[test]
fn who_listens_is_up_and_who_does_not_is_refused() {
    for ip in ["127.0.0.1", "::1"] {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        for close in [Close::HalfOpen, Close::Reset, Close::Fin] {
            let status = attempt(Check::new(listener.local_addr().unwrap(), Tcp::closing(close)));
            assert_eq!(
                (status.verdict, status.samples),
                (Verdict::Up, 1),
                "{ip} {close:?}"
            );
        }
    }
    let status = attempt(Check::tcp(closed_port()));
    let (_, failure) = status.last_failure.unwrap();
    assert_eq!(
        (status.verdict, failure.stage, failure.kind),
        (Verdict::Down, Stage::Connect, FailKind::Refused)
    );
    assert_eq!(failure.code, Some(libc_econnrefused()));
}

fn libc_econnrefused() -> i32 {
    std::net::TcpStream::connect(closed_port())
        .unwrap_err()
        .raw_os_error()
        .unwrap()
}

#[test]
fn half_open_wakes_nobody_and_reset_does() {
    let checker = Checker::<u32>::spawn().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let check = Check::tcp(listener.local_addr().unwrap());
    checker.reconcile([TargetSpec::new(1, check, Arc::new(quick()))]);
    while checker.metrics().totals.passed < 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Not one, unless this machine stalled for longer than kernels withhold an acknowledgement.
    let woken = std::iter::from_fn(|| listener.accept().ok()).count();
    assert!(woken < 10, "the server was woken {woken} times of 20");
    let loud = Check::new(listener.local_addr().unwrap(), Tcp::closing(Close::Reset));
    checker.reconcile([TargetSpec::new(1, loud, Arc::new(quick()))]);
    let before = checker.metrics().totals.passed;
    while checker.metrics().totals.passed < before + 5 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(false).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "a reset, not an end");
}

#[test]
fn a_server_that_goes_and_comes_is_seen_and_explained() {
    let checker = Checker::<u32>::spawn().unwrap();
    let mut events = checker.subscribe();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let policy = Policy {
        fall: std::num::NonZeroU16::new(3).unwrap(),
        ..quick()
    };
    checker.reconcile([TargetSpec::new(7, Check::tcp(addr), Arc::new(policy))]);
    let expect = |events: &mut healthcheck::Events<u32>, wanted| match events.wait(Duration::from_secs(30)) {
        Some(Event::Changed { to, reason, .. }) => {
            assert_eq!(to, wanted);
            reason
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(expect(&mut events, State::Up), None);
    drop(listener);
    let reason = expect(&mut events, State::Down).unwrap();
    assert_eq!(
        (reason.failure.kind, reason.streak, reason.check),
        (FailKind::Refused, 3, 0)
    );
    let listener = TcpListener::bind(addr).unwrap();
    expect(&mut events, State::Up);
    checker.force(&7, Some(Forced::Drain));
    expect(&mut events, State::Drain);
    assert_eq!(checker.status(&7).unwrap().verdict, Verdict::Up);
    drop(listener);
}

#[test]
fn what_cannot_be_measured_is_inconclusive() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let checker = Checker::<u32>::spawn().unwrap();
    let nowhere = NetOptions {
        source: Some("192.0.2.1".parse().unwrap()),
        ..NetOptions::default()
    };
    let no_device = NetOptions {
        device: Some("no-such-device0".into()),
        ..NetOptions::default()
    };
    let endpoint = Endpoint::from(listener.local_addr().unwrap());
    let policy = Arc::new(quick());
    checker.reconcile([
        TargetSpec::new(
            1,
            Check::tcp(endpoint.clone().via(Arc::new(nowhere))),
            policy.clone(),
        ),
        TargetSpec::new(
            2,
            Check::tcp(endpoint.clone().via(Arc::new(no_device))),
            policy.clone(),
        ),
        TargetSpec::new(3, Check::tcp(endpoint), policy),
    ]);
    while checker.metrics().totals.inconclusive < 6 || checker.metrics().totals.passed < 3 {
        std::thread::sleep(Duration::from_millis(10));
    }
    for key in [1, 2] {
        let status = checker.status(&key).unwrap();
        assert_eq!((status.state, status.checks[0].samples), (State::Unknown, 0));
        assert_eq!(status.checks[0].cause, Some(Cause::Source));
    }
    assert_eq!(checker.state(&3), Some(State::Up));
}

#[test]
fn the_source_address_is_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let net = NetOptions {
        source: Some("127.0.0.77".parse().unwrap()),
        ..NetOptions::default()
    };
    let endpoint = Endpoint::from(listener.local_addr().unwrap()).via(Arc::new(net));
    let status = attempt(Check::new(endpoint, Tcp::closing(Close::Fin)));
    assert_eq!(status.verdict, Verdict::Up);
    assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.77");
}

#[test]
fn thousands_of_targets_are_all_up_with_few_sockets() {
    let listener = Accepting::on("0.0.0.0:0");
    let port = listener.addr().port();
    let checker = Checker::builder().max_in_flight(100).spawn::<u32>().unwrap();
    let policy = Arc::new(Policy {
        interval: Duration::from_secs(1),
        spread: Duration::from_secs(1),
        ..quick()
    });
    let target = |number: u32| {
        let ip = [127, 1, (number >> 8) as u8, (number & 255) as u8];
        TargetSpec::new(number, Check::tcp((ip, port)), policy.clone())
    };
    let diff = checker.reconcile((0..5_000).map(target));
    assert_eq!(diff.added.len(), 5_000);
    assert_eq!(checker.initial_round().wait(Duration::from_secs(60)), 0);
    assert!(
        checker
            .statuses()
            .iter()
            .all(|(_, status)| status.state == State::Up)
    );
    let diff = checker.reconcile((1_000..6_000).map(target));
    assert_eq!(
        (diff.added.len(), diff.removed.len(), diff.unchanged),
        (1_000, 1_000, 4_000)
    );
    assert_eq!(checker.metrics().totals.failed, 0);
    drop(listener);
}

#[test]
fn an_engine_fits_into_somebody_else_s_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (checker, mut engine) = Checker::builder().build::<u32>().unwrap();
    checker.reconcile([TargetSpec::new(
        1,
        Check::tcp(listener.local_addr().unwrap()),
        Arc::new(quick()),
    )]);
    for _ in 0..10_000 {
        let left = engine.process().unwrap();
        if checker.state(&1) == Some(State::Up) {
            return;
        }
        std::thread::sleep(
            left.unwrap_or(Duration::from_millis(1))
                .min(Duration::from_millis(1)),
        );
    }
    panic!("never up");
}

#[test]
fn futures_complete() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let checker = Checker::<u32>::spawn().unwrap();
    let mut events = checker.subscribe();
    let hourly = Policy {
        interval: Duration::from_secs(3_600),
        ..quick()
    };
    checker.reconcile([TargetSpec::new(
        1,
        Check::tcp(listener.local_addr().unwrap()),
        Arc::new(hourly),
    )]);
    block_on(checker.initial_round());
    assert!(matches!(
        block_on(events.next()),
        Some(Event::Changed { to: State::Up, .. })
    ));
    drop(listener);
    let status = block_on(checker.check_now(&1)).unwrap();
    assert_eq!(status.state, State::Down);
    assert!(block_on(checker.check_now(&2)).is_none());
    let task = std::thread::spawn(move || {
        assert!(matches!(
            block_on(events.next()),
            Some(Event::Changed { to: State::Down, .. })
        ));
        block_on(events.next())
    });
    drop(checker);
    assert!(
        task.join().unwrap().is_none(),
        "the end of the checker ends the waiting"
    );
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(done) =
            future.as_mut().poll(&mut std::task::Context::from_waker(&waker))
        {
            return done;
        }
        std::thread::park();
    }
}
