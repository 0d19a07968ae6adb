//! The dialogue of an HTTP/1 check.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::body::Body;
use super::{HttpPlan, HttpVersion, Method, Request};
use crate::conversation::{Conversation, Progress};
use crate::failure::{FailKind, Failure, Stage};

/// One attempt: all requests of the plan, one after the other.
pub(super) struct Exchange {
    plan: Arc<HttpPlan>,
    addr: SocketAddr,
    current: usize,
    part: Part,
    /// The head while it is incomplete; then the body, if something is expected of it.
    buffer: Vec<u8>,
    excerpt: crate::failure::Excerpt,
    /// The connection can take another request.
    open: bool,
    answered: bool,
    interim: u8,
}

enum Part {
    Head,
    Body(Body),
}

impl Exchange {
    pub(super) fn new(plan: Arc<HttpPlan>, addr: SocketAddr) -> Self {
        Self {
            plan,
            addr,
            current: 0,
            part: Part::Head,
            buffer: Vec::new(),
            excerpt: crate::failure::Excerpt::EMPTY,
            open: true,
            answered: false,
            interim: 0,
        }
    }

    fn request(&self) -> Option<&Request> {
        self.plan.requests.get(self.current)
    }

    /// The connection is needed after this answer.
    fn wants_more(&self) -> bool {
        self.plan.keep_alive || self.current + 1 < self.plan.requests.len()
    }

    fn write_request(&self, out: &mut Vec<u8>) {
        let Some(request) = self.request() else { return };
        // Writing to memory cannot fail.
        let _ = self.try_write(request, out);
    }

    fn try_write(&self, request: &Request, out: &mut Vec<u8>) -> std::io::Result<()> {
        out.reserve(160);
        let version = match self.plan.version {
            HttpVersion::Http10 => "1.0",
            HttpVersion::Http11 => "1.1",
        };
        write!(
            out,
            "{} {} HTTP/{version}\r\nHost: ",
            request.method.text(),
            request.path
        )?;
        match &request.host {
            Some(host) => write!(out, "{host}\r\n")?,
            None => write!(out, "{}\r\n", self.addr)?,
        }
        let given = |name: &str| {
            request
                .headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        if !given("user-agent") {
            out.extend_from_slice(b"User-Agent: healthcheck\r\n");
        }
        if !given("accept") {
            out.extend_from_slice(b"Accept: */*\r\n");
        }
        if !given("connection") {
            // What is not the version's own way has to be said.
            match self.plan.version {
                HttpVersion::Http10 if self.plan.keep_alive => {
                    out.extend_from_slice(b"Connection: keep-alive\r\n")
                }
                HttpVersion::Http11 if !self.wants_more() => out.extend_from_slice(b"Connection: close\r\n"),
                HttpVersion::Http10 | HttpVersion::Http11 => {}
            }
        }
        if !request.body.is_empty() || matches!(request.method, Method::Post | Method::Put) {
            write!(out, "Content-Length: {}\r\n", request.body.len())?;
        }
        for (name, value) in &request.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&request.body);
        Ok(())
    }

    /// Reads the head, if it is whole; the rest of the input is left in `input`.
    fn head(&mut self, input: &mut &[u8]) -> Result<Option<Part>, Failure> {
        let before = self.buffer.len();
        // The common case is a head that comes whole: it is read where it lies.
        let (bytes, buffered) = if before == 0 {
            (*input, false)
        } else {
            let room = MOST_HEAD
                .saturating_sub(before)
                .saturating_add(1)
                .min(input.len());
            self.buffer
                .extend_from_slice(input.get(..room).unwrap_or_default());
            (self.buffer.as_slice(), true)
        };
        let parsed = parse(bytes, self.request().map(|request| request.method))
            .map_err(|kind| Failure::new(Stage::Reply, kind).with_excerpt(bytes))?;
        let Some(parsed) = parsed else {
            if bytes.len() > MOST_HEAD {
                return Err(Failure::new(Stage::Reply, FailKind::TooLarge).with_excerpt(bytes));
            }
            if !buffered {
                self.buffer.extend_from_slice(input);
            }
            *input = &[];
            return Ok(None);
        };
        self.excerpt = crate::failure::Excerpt::new(bytes);
        let used = parsed.length.saturating_sub(before);
        *input = input.get(used..).unwrap_or_default();
        self.buffer.clear();
        if parsed.interim {
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err(Failure {
                    excerpt: self.excerpt,
                    ..Failure::new(Stage::Reply, FailKind::Malformed)
                });
            }
            return Ok(Some(Part::Head));
        }
        // A server that answers a 1.0 request in 1.1 ends the connection without a word.
        let asked = self.plan.version == HttpVersion::Http11 || self.plan.keep_alive;
        self.open = parsed.keep_alive && asked;
        self.answered = true;
        if self
            .request()
            .is_some_and(|request| !request.accepts(parsed.status))
        {
            let failure = Failure::new(Stage::Content, FailKind::Status).with_code(i32::from(parsed.status));
            return Err(Failure {
                excerpt: self.excerpt,
                ..failure
            });
        }
        Ok(Some(Part::Body(parsed.body)))
    }

    /// The whole answer is here, or as much of it as matters.
    fn judge(&mut self, out: &mut Vec<u8>) -> Progress {
        if let Some(request) = self.request() {
            for expect in &request.expect {
                if let Err(failure) = expect.judge(&self.buffer) {
                    return Progress::Failed(failure);
                }
            }
        }
        self.buffer.clear();
        // A kept connection does not keep a large body.
        self.buffer.shrink_to(1_024);
        self.current += 1;
        if self.current >= self.plan.requests.len() {
            // The next attempt over this connection begins anew.
            self.current = 0;
            return Progress::PASSED;
        }
        self.part = Part::Head;
        self.answered = false;
        self.interim = 0;
        if self.open {
            self.write_request(out);
            return Progress::More;
        }
        Progress::Reconnect
    }
}

impl Conversation for Exchange {
    fn open(&mut self, out: &mut Vec<u8>) -> Progress {
        self.open = true;
        self.answered = false;
        self.part = Part::Head;
        self.interim = 0;
        self.buffer.clear();
        self.write_request(out);
        Progress::More
    }

    fn receive(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Progress {
        loop {
            if let Part::Head = self.part {
                match self.head(&mut input) {
                    Err(failure) => return Progress::Failed(failure),
                    Ok(None) => return Progress::More,
                    Ok(Some(part)) => self.part = part,
                }
                if let Part::Head = self.part {
                    continue;
                }
            }
            let (looked_at, most) = self
                .request()
                .map_or((false, 0), |request| (!request.expect.is_empty(), request.most));
            if !looked_at && !self.wants_more() {
                // Nobody cares for the body, so we do not wait for it.
                return self.judge(out);
            }
            let Part::Body(body) = &mut self.part else {
                return Progress::More;
            };
            let buffer = &mut self.buffer;
            let mut total = buffer.len();
            let taken = body.take(&mut input, |content| {
                total = total.saturating_add(content.len());
                if looked_at && total <= most {
                    buffer.extend_from_slice(content);
                }
            });
            match taken {
                Err(_) => return Progress::Failed(Failure::new(Stage::Reply, FailKind::Malformed)),
                Ok(_) if looked_at && total > most => {
                    let failure = Failure::new(Stage::Reply, FailKind::TooLarge);
                    return Progress::Failed(Failure {
                        excerpt: self.excerpt,
                        ..failure
                    });
                }
                Ok(false) if !looked_at && matches!(body, Body::UntilClose) => {
                    // An endless body that nobody cares for: the connection is of no more use.
                    self.open = false;
                    return self.judge(out);
                }
                Ok(false) => return Progress::More,
                Ok(true) => {
                    // What follows an answer unasked is not for us: such a connection is not used again.
                    self.open &= input.is_empty();
                    let progress = self.judge(out);
                    return progress;
                }
            }
        }
    }

    fn closed(&mut self) -> Progress {
        if let Part::Body(Body::UntilClose) = self.part {
            self.open = false;
            return self.judge(&mut Vec::new());
        }
        Progress::Failed(Failure::new(Stage::Reply, FailKind::Closed).with_excerpt(&self.buffer))
    }

    fn stage(&self) -> Stage {
        Stage::Reply
    }

    fn reusable(&self) -> bool {
        self.plan.keep_alive && self.open && self.answered
    }
}

struct Head {
    length: usize,
    status: u16,
    /// A 1xx answer: the real one follows.
    interim: bool,
    keep_alive: bool,
    body: Body,
}

/// Reads a head that begins `bytes`; `None` if it is not whole yet.
fn parse(bytes: &[u8], method: Option<Method>) -> Result<Option<Head>, FailKind> {
    let mut few = [httparse::EMPTY_HEADER; 48];
    match parse_with(bytes, method, &mut few) {
        Err(FailKind::TooLarge) => parse_with(bytes, method, &mut vec![httparse::EMPTY_HEADER; 2_000]),
        parsed => parsed,
    }
}

fn parse_with<'a>(
    bytes: &'a [u8],
    method: Option<Method>,
    headers: &mut [httparse::Header<'a>],
) -> Result<Option<Head>, FailKind> {
    let mut response = httparse::Response::new(headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(FailKind::TooLarge),
        Err(_) => return Err(FailKind::Malformed),
    };
    let status = response.code.ok_or(FailKind::Malformed)?;
    let (mut keeps, mut closes) = (response.version == Some(1), false);
    let (mut content_length, mut chunked, mut encoded) = (None, false, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("connection") {
            keeps |= names(header.value, b"keep-alive");
            closes |= names(header.value, b"close");
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            encoded = true;
            chunked = names(header.value, b"chunked");
        } else if header.name.eq_ignore_ascii_case("content-length") {
            let length = core::str::from_utf8(header.value).ok().map(str::trim);
            let length = length.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = length
                .and_then(|text| text.parse::<u64>().ok())
                .ok_or(FailKind::Malformed)?;
            if content_length.is_some_and(|other| other != length) {
                return Err(FailKind::Malformed);
            }
            content_length = Some(length);
        }
    }
    let bodiless = method == Some(Method::Head) || matches!(status, 100..=199 | 204 | 304);
    let body = match (bodiless, encoded, chunked, content_length) {
        (true, ..) => Body::Length(0),
        (_, _, true, _) => Body::CHUNKED,
        (_, false, _, Some(length)) => Body::Length(length),
        _ => Body::UntilClose,
    };
    Ok(Some(Head {
        length,
        status,
        interim: (100..=199).contains(&status) && status != 101,
        keep_alive: keeps && !closes,
        body,
    }))
}

/// Whether a comma-separated header names this.
fn names(value: &[u8], name: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(name))
}

/// More answers before the answer are no honest ones.
const MOST_INTERIM: u8 = 16;
/// A longer head is no honest one.
const MOST_HEAD: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::super::Http;
    use super::*;
    use crate::check::expect::Expect;

    fn addr() -> SocketAddr {
        "127.0.0.1:80".parse().unwrap()
    }

    /// What an answer leads to when it comes in pieces of this size; `None` if more is waited for.
    fn answer(http: &Http, text: &[u8], at_once: usize) -> Option<Progress> {
        let mut talk = http.conversation(addr());
        let mut out = Vec::new();
        assert_eq!(talk.open(&mut out), Progress::More);
        assert!(out.starts_with(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"));
        for piece in text.chunks(at_once) {
            match talk.receive(piece, &mut out) {
                Progress::More => {}
                end => return Some(end),
            }
        }
        None
    }

    fn kind(progress: Option<Progress>) -> Option<(FailKind, Option<i32>)> {
        match progress {
            Some(Progress::Failed(failure)) => Some((failure.kind, failure.code)),
            Some(Progress::Passed(_)) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_judged_the_same_however_they_are_cut() {
        let body = Http::new(vec![Request::get("/").expect(Expect::contains("fine"))]).unwrap();
        let good: &[&[u8]] = &[
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n fi\r\n2\r\nne\r\n0\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 fine\r\n\r\n",
        ];
        for text in &good[..2] {
            for at_once in [1, 2, 3, 7, 1000] {
                assert_eq!(answer(&body, text, at_once), Some(Progress::PASSED));
            }
            for end in 0..text.len() {
                assert_eq!(answer(&body, &text[..end], 5), None, "half an answer is none");
            }
        }
        assert_eq!(
            answer(&Http::get("/").unwrap(), good[2], 4),
            Some(Progress::PASSED)
        );
        let missing = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad";
        assert_eq!(
            kind(answer(&body, missing, 100)),
            Some((FailKind::Mismatch, None))
        );
        let refused = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
        assert_eq!(
            kind(answer(&body, refused, 100)),
            Some((FailKind::Status, Some(503)))
        );
    }

    #[test]
    fn hostile_answers_end_with_a_reason_and_in_bounded_memory() {
        let http = Http::get("/").unwrap();
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 200_000]].concat();
        assert_eq!(
            kind(answer(&http, &endless, 4096)),
            Some((FailKind::TooLarge, None))
        );
        let many = [
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            b"a: b\r\n".repeat(9_000),
            b"\r\n".to_vec(),
        ]
        .concat();
        assert_eq!(kind(answer(&http, &many, 4096)), Some((FailKind::TooLarge, None)));
        for bad in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "\u{fffd}\u{fffd}",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert_eq!(
                kind(answer(&http, bad.as_bytes(), 100)),
                Some((FailKind::Malformed, None)),
                "{bad:?}"
            );
        }
        let large = Http::new(vec![
            Request::get("/").expect(Expect::contains("x")).at_most(1000),
        ])
        .unwrap();
        let flood = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 5_000]].concat();
        assert_eq!(
            kind(answer(&large, &flood, 100)),
            Some((FailKind::TooLarge, None))
        );
    }

    #[test]
    fn several_requests_use_one_connection_or_several() {
        let plan = Http::new(vec![Request::get("/"), Request::get("/second").host("b.example")]).unwrap();
        let mut out = Vec::new();
        let mut talk = plan.conversation(addr());
        talk.open(&mut out);
        out.clear();
        assert_eq!(
            talk.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", &mut out),
            Progress::More
        );
        assert!(out.starts_with(b"GET /second HTTP/1.1\r\nHost: b.example\r\n"));
        assert_eq!(
            talk.receive(b"HTTP/1.1 204 No\r\n\r\n", &mut out),
            Progress::PASSED
        );
        assert!(!talk.reusable(), "nobody asked for that");
        let mut talk = plan.conversation(addr());
        talk.open(&mut out);
        let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(talk.receive(closing, &mut out), Progress::Reconnect);
        out.clear();
        assert_eq!(talk.open(&mut out), Progress::More);
        assert!(out.starts_with(b"GET /second"));
    }

    #[test]
    fn version_1_0_is_one_answer_a_connection_unless_asked_otherwise() {
        let both = vec![Request::get("/"), Request::get("/second")];
        let plan = Http::new(both).unwrap().version(HttpVersion::Http10);
        let mut out = Vec::new();
        let mut talk = plan.conversation(addr());
        talk.open(&mut out);
        assert!(out.starts_with(b"GET / HTTP/1.0\r\nHost: 127.0.0.1:80\r\n"));
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(!text.contains("Connection"), "{text}");
        // As Apache and others do: the version is theirs, the way that of the request.
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(talk.receive(answer, &mut out), Progress::Reconnect);

        let mut talk = plan.keep_alive(true).conversation(addr());
        out.clear();
        talk.open(&mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains("\r\nConnection: keep-alive\r\n"), "{text}");
        let answer = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(talk.receive(answer, &mut out), Progress::More);
    }

    #[test]
    fn a_connection_is_kept_only_if_it_is_clean() {
        let keep = Http::get("/").unwrap().keep_alive(true);
        for (text, clean) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", false),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
            (
                b"HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok",
                false,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nok", false),
        ] {
            let mut talk = keep.conversation(addr());
            let mut out = Vec::new();
            talk.open(&mut out);
            assert_eq!(talk.receive(text, &mut out), Progress::PASSED);
            assert_eq!(talk.reusable(), clean, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_end_of_the_connection_ends_only_a_body_without_length() {
        let http = Http::new(vec![Request::get("/").expect(Expect::contains("ok"))]).unwrap();
        for (text, passed) in [
            (&b"HTTP/1.0 200 OK\r\n\r\nok"[..], true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", false),
            (b"HTTP/1.1 200", false),
            (b"", false),
        ] {
            let mut talk = http.conversation(addr());
            let mut out = Vec::new();
            talk.open(&mut out);
            if !text.is_empty() {
                assert_eq!(talk.receive(text, &mut out), Progress::More);
            }
            assert_eq!(
                talk.closed() == Progress::PASSED,
                passed,
                "{}",
                text.escape_ascii()
            );
        }
    }
}
