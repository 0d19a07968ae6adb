//! HTTP checks against a server of a few lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use healthcheck::{Check, Checker, Expect, FailKind, Http, Request, State, TargetSpec, Verdict};

use crate::{attempt, quick};

/// Answers every request on every connection with what `answer` makes of its first line; counts connections and
/// requests.
fn serve(
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, Arc<(AtomicU32, AtomicU32)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let counts = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let (theirs, answer) = (counts.clone(), Arc::new(answer));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            theirs.0.fetch_add(1, Ordering::Relaxed);
            let (counts, answer) = (theirs.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                loop {
                    let mut first = String::new();
                    if reader.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap_or(0) > 2 {
                        line.clear();
                    }
                    counts.1.fetch_add(1, Ordering::Relaxed);
                    if stream.write_all(&answer(first.trim())).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, counts)
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn statuses_and_bodies_are_judged() {
    let (addr, _) = serve(|line| match line {
        "GET / HTTP/1.1" => ok("all fine"),
        "GET /chunked HTTP/1.1" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n".to_vec()
        }
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let fine = |path: &str| Request::get(path).expect(Expect::contains("fine"));
    assert_eq!(
        attempt(Check::new(addr, Http::get("/").unwrap())).verdict,
        Verdict::Up
    );
    let both = Http::new(vec![fine("/"), fine("/chunked")]).unwrap();
    assert_eq!(attempt(Check::new(addr, both)).verdict, Verdict::Up);
    let missing = attempt(Check::new(addr, Http::get("/nowhere").unwrap()));
    let (_, failure) = missing.last_failure.unwrap();
    assert_eq!((failure.kind, failure.code), (FailKind::Status, Some(404)));
    assert!(failure.excerpt.as_bytes().starts_with(b"HTTP/1.1 404 Not Found"));
    let accepted = Http::new(vec![Request::get("/nowhere").status(200..=299).status(404)]).unwrap();
    assert_eq!(attempt(Check::new(addr, accepted)).verdict, Verdict::Up);
    let wrong = Http::new(vec![Request::get("/").expect(Expect::contains("excellent"))]).unwrap();
    assert_eq!(
        attempt(Check::new(addr, wrong)).last_failure.unwrap().1.kind,
        FailKind::Mismatch
    );
}

#[test]
fn a_kept_connection_serves_many_attempts_and_its_loss_is_no_failure() {
    let answered = Arc::new(AtomicU32::new(0));
    let (addr, counts) = serve(move |_| ok("fine"));
    let checker = Checker::<u32>::spawn().unwrap();
    let keep = Http::get("/").unwrap().keep_alive(true);
    checker.reconcile([TargetSpec::new(1, Check::new(addr, keep), Arc::new(quick()))]);
    while counts.1.load(Ordering::Relaxed) < 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counts.0.load(Ordering::Relaxed), 1, "connections");
    assert_eq!(checker.state(&1), Some(State::Up));
    let _ = answered;
    // A server that closes after each answer without saying so.
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = closing.local_addr().unwrap();
    let served = Arc::new(AtomicU32::new(0));
    let count = served.clone();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = closing.accept() {
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            (&stream).write_all(&ok("fine")).unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let keep = Http::get("/").unwrap().keep_alive(true);
    checker.reconcile([TargetSpec::new(2, Check::new(addr, keep), Arc::new(quick()))]);
    while served.load(Ordering::Relaxed) < 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(checker.metrics().totals.failed, 0);
}
