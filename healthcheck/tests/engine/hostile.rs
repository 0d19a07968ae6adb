//! Servers that mean no good: each attempt ends within its deadline, in bounded memory, with a reason that names what
//! was wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use healthcheck::{Cause, Check, Expect, FailKind, Failure, Http, Kind, Request, Stage};

use crate::attempt_within;

/// A server that does this with every connection.
fn server(behave: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let behave = behave.clone();
            std::thread::spawn(move || behave(stream));
        }
    });
    addr
}

/// The failure of one attempt with 700 ms, which must not take much more.
pub(crate) fn failure(addr: SocketAddr, kind: impl Into<Kind>) -> Failure {
    let begun = Instant::now();
    let status = attempt_within(Check::new(addr, kind), Duration::from_millis(700));
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "an attempt outlived its deadline by far"
    );
    // Nothing but a stall of this machine may keep it from an answer.
    assert!(matches!(status.cause, None | Some(Cause::Overload)), "{status:?}");
    status.last_failure.expect("this server passed").1
}

pub(crate) fn silent() -> SocketAddr {
    server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// One byte of this a tenth of a second, for ever.
pub(crate) fn dripping(text: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        for byte in text.iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

/// This, and then this for as long as anybody listens (but not more than 100 MB).
pub(crate) fn endless(begin: &'static [u8], then: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        if stream.write_all(begin).is_err() {
            return;
        }
        let block = then.repeat((64 << 10) / then.len());
        for _ in 0..1600 {
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    })
}

/// Says this and then breaks off: with unread input a close is a reset.
pub(crate) fn resetting() -> SocketAddr {
    server(|mut stream| {
        let _ = stream.read(&mut [0; 4]);
    })
}

pub(crate) fn saying(text: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(text);
    })
}

#[test]
fn http() {
    let plain = || Http::get("/").unwrap();
    let looking = || {
        Http::new(vec![
            Request::get("/").expect(Expect::contains("fine")).at_most(10_000),
        ])
        .unwrap()
    };
    let kind = |addr, http: Http| failure(addr, http).kind;
    let silent = failure(silent(), plain());
    assert_eq!((silent.stage, silent.kind), (Stage::Reply, FailKind::TimedOut));
    assert_eq!(
        kind(dripping(b"HTTP/1.1 200 OK\r\nX: "), plain()),
        FailKind::TimedOut
    );
    assert_eq!(
        kind(dripping(b"HTTP/1.1 200 OK\r\nX: "), looking()),
        FailKind::TimedOut
    );
    assert_eq!(
        kind(endless(b"HTTP/1.1 200 OK\r\nX: ", b"a"), plain()),
        FailKind::TooLarge,
        "100 MB header"
    );
    assert_eq!(
        kind(endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), plain()),
        FailKind::TooLarge,
        "headers for ever"
    );
    assert_eq!(
        kind(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"a"), looking()),
        FailKind::TooLarge,
        "a body for ever"
    );
    assert_eq!(
        kind(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), plain()),
        FailKind::Malformed,
        "interim for ever"
    );
    assert!(matches!(
        kind(resetting(), plain()),
        FailKind::Reset | FailKind::Closed
    ));
    assert_eq!(
        kind(saying(b"\xff\xfe\xfd"), plain()),
        FailKind::Malformed,
        "invalid UTF-8"
    );
    assert_eq!(
        kind(saying(b"HTTP/1.1 200 \xff\xfe\r\n\r\n\xff"), looking()),
        FailKind::Mismatch
    );
    assert_eq!(
        kind(saying(b"SSH-2.0-OpenSSH_9.2\r\n"), plain()),
        FailKind::Malformed
    );
    let cut = kind(
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfine"),
        looking(),
    );
    assert!(matches!(cut, FailKind::Closed | FailKind::Reset), "{cut:?}");
    let bad_chunk = saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(kind(bad_chunk, looking()), FailKind::Malformed);
}
