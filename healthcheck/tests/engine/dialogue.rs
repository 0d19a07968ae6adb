//! Dialogues, HTTP/2 and gRPC against hostile servers, and datagrams against a few lines of server.

use std::net::UdpSocket;
use std::time::Duration;

use healthcheck::{Check, Dialogue, Dns, FailKind, Grpc, Http2, Stage, Udp, Verdict};

use crate::hostile::{self, failure};
use crate::{attempt, attempt_within};

#[test]
fn dialogues_with_hostile_servers() {
    let all: Vec<(&str, Dialogue)> = vec![
        ("smtp", Dialogue::smtp("check.example")),
        ("ftp", Dialogue::ftp()),
        ("ssh", Dialogue::ssh()),
        ("redis", Dialogue::redis()),
        ("mysql", Dialogue::mysql("check")),
        ("postgresql", Dialogue::postgresql("check")),
    ];
    for (name, dialogue) in all {
        assert_eq!(
            failure(hostile::silent(), dialogue.clone()).kind,
            FailKind::TimedOut,
            "{name}, silent"
        );
        let dripped = failure(hostile::dripping(b"\x01\x00\x00"), dialogue.clone()).kind;
        assert!(
            matches!(
                dripped,
                FailKind::TimedOut | FailKind::Malformed | FailKind::Mismatch
            ),
            "{name}: {dripped:?}"
        );
        let flooded = failure(hostile::endless(b"", b"22"), dialogue.clone()).kind;
        assert!(
            matches!(
                flooded,
                FailKind::TooLarge | FailKind::Malformed | FailKind::TimedOut
            ),
            "{name}: {flooded:?}"
        );
        let reset = failure(hostile::resetting(), dialogue.clone()).kind;
        assert!(
            matches!(reset, FailKind::Reset | FailKind::Closed | FailKind::TimedOut),
            "{name}: {reset:?}"
        );
        let noise = failure(hostile::dripping(b"\xff\xfe\n"), dialogue).kind;
        assert!(
            matches!(
                noise,
                FailKind::Malformed | FailKind::Mismatch | FailKind::TimedOut
            ),
            "{name}: {noise:?}"
        );
    }
    let busy = failure(hostile::dripping(b"4"), Dialogue::smtp("x"));
    assert_eq!((busy.stage, busy.kind), (Stage::Greeting, FailKind::TimedOut));
}

#[test]
fn http2_with_hostile_servers() {
    for (name, kind) in [("get", false), ("grpc", true)] {
        let ask = |addr| {
            if kind {
                failure(addr, Grpc::new("a.Service"))
            } else {
                failure(addr, Http2::get("/").unwrap())
            }
        };
        assert_eq!(ask(hostile::silent()).kind, FailKind::TimedOut, "{name}");
        let page = ask(hostile::saying(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        ));
        assert!(
            matches!(
                page.kind,
                FailKind::Malformed | FailKind::Closed | FailKind::TooLarge | FailKind::Reset
            ),
            "{name}: {page}"
        );
        let reset = ask(hostile::resetting());
        assert!(
            matches!(reset.kind, FailKind::Reset | FailKind::Closed),
            "{name}: {reset}"
        );
        let settings = ask(hostile::endless(b"", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"));
        assert!(
            !settings.kind.to_owned().eq(&FailKind::Refused),
            "{name}: settings for ever end: {settings}"
        );
        let away = ask(hostile::saying(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b"));
        assert!(
            matches!(away.kind, FailKind::TooLarge | FailKind::Reset | FailKind::Closed),
            "{name}: {away}"
        );
    }
}

/// Answers every datagram with what this makes of it.
fn echo(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&answer(&buffer[..length]), from);
        }
    });
    addr
}

#[test]
fn datagrams() {
    let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = quiet.local_addr().unwrap();
    let short = Duration::from_millis(200);
    let status = attempt_within(Check::new(addr, Udp::new("hello")), short);
    assert_eq!(status.verdict, Verdict::Up, "silence is success");
    let needed = Udp::new("hello").require_reply("68 XX").unwrap();
    let silent = attempt_within(Check::new(addr, needed.clone()), short)
        .last_failure
        .unwrap()
        .1;
    assert_eq!((silent.stage, silent.kind), (Stage::Reply, FailKind::TimedOut));
    drop(quiet);
    let gone = attempt(Check::new(addr, Udp::new("hello")))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(gone.kind, FailKind::Refused);
    assert_eq!(
        attempt(Check::new(echo(<[u8]>::to_vec), needed.clone())).verdict,
        Verdict::Up
    );
    let wrong = attempt(Check::new(echo(|_| b"no".to_vec()), needed))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(
        (wrong.kind, wrong.excerpt.as_bytes()),
        (FailKind::Mismatch, &b"no"[..])
    );
}

#[test]
fn name_servers() {
    let good = echo(|question| {
        let mut reply = question.to_vec();
        reply[2] |= 0x80;
        reply
    });
    assert_eq!(attempt(Check::new(good, Dns::root())).verdict, Verdict::Up);
    let refusing = echo(|question| {
        let mut reply = question.to_vec();
        (reply[2], reply[3]) = (0x81, 5);
        reply
    });
    let refused = attempt(Check::new(refusing, Dns::new("a.example", 1).unwrap()))
        .last_failure
        .unwrap()
        .1;
    assert_eq!((refused.kind, refused.code), (FailKind::Status, Some(5)));
    // Answers to other questions, and no answers at all, are waited over.
    let forging = echo(|question| {
        let mut reply = question.to_vec();
        (reply[0], reply[2]) = (reply[0] ^ 1, 0x80);
        reply
    });
    let forged = attempt_within(Check::new(forging, Dns::root()), Duration::from_millis(200));
    assert_eq!(forged.last_failure.unwrap().1.kind, FailKind::TimedOut);
    let short = attempt_within(
        Check::new(echo(|_| b"\0".to_vec()), Dns::root()),
        Duration::from_millis(200),
    );
    assert_eq!(short.last_failure.unwrap().1.kind, FailKind::TimedOut);
    let looping = echo(|question| {
        let mut reply = question.to_vec();
        (reply[2], reply[7]) = (0x80, 1);
        reply.extend(b"\xc0\x11\xc0\x11\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x01");
        reply
    });
    let looped = attempt(Check::new(looping, Dns::new("a.example", 1).unwrap().at_least(2)));
    assert!(matches!(
        looped.last_failure.unwrap().1.kind,
        FailKind::Malformed | FailKind::Mismatch
    ));
}
