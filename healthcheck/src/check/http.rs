//! Does the web server answer, and rightly?

mod body;
mod exchange;

use core::ops::RangeInclusive;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::check::expect::Expect;
use crate::conversation::Conversation;
use crate::error::Error;
use exchange::Exchange;

/// One or several HTTP/1.1 or 1.0 requests, made one after the other within one deadline; all must be answered as expected.
///
/// It proves that the server behind the port reads requests and gives these answers. With [`keep_alive`](Self::keep_alive)
/// it no longer proves that it accepts new connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http {
    plan: Arc<HttpPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HttpPlan {
    pub(super) requests: Vec<Request>,
    pub(super) version: HttpVersion,
    pub(super) keep_alive: bool,
}

impl Http {
    /// `GET` of this path, to be answered with a status from 200 to 299.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] if the path does not begin with a slash or holds a space or control character.
    pub fn get(path: &str) -> Result<Self, Error> {
        Self::new(vec![Request::get(path)])
    }

    /// These requests, in this order.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] if there is none, or one cannot be written down as a request;
    /// [`Error::BadStatusRange`] if one expects a status that cannot be.
    pub fn new(requests: Vec<Request>) -> Result<Self, Error> {
        if requests.is_empty() {
            return Err(Error::BadRequest);
        }
        requests.iter().try_for_each(Request::validate)?;
        Ok(Self {
            plan: Arc::new(HttpPlan {
                requests,
                version: HttpVersion::Http11,
                keep_alive: false,
            }),
        })
    }

    /// Keeps the connection for the next attempt: a third of the cost, and a connection less for the server to accept.
    #[must_use]
    pub fn keep_alive(mut self, on: bool) -> Self {
        Arc::make_mut(&mut self.plan).keep_alive = on;
        self
    }

    /// Speaks this version of the protocol; 1.1 unless set.
    #[must_use]
    pub fn version(mut self, version: HttpVersion) -> Self {
        Arc::make_mut(&mut self.plan).version = version;
        self
    }

    /// The dialogue as the engine has it, to be driven over any other connection. `addr` stands in the `Host` header
    /// of requests that name no host.
    pub fn conversation(&self, addr: SocketAddr) -> Box<dyn Conversation> {
        Box::new(Exchange::new(self.plan.clone(), addr))
    }
}

/// One request, and what is expected of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) host: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) statuses: Vec<StatusRange>,
    pub(super) expect: Vec<Expect>,
    pub(super) most: usize,
}

impl Request {
    /// `GET` of this path; 200 to 299 is expected, and a body of up to a mebibyte is looked at.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
            statuses: Vec::new(),
            expect: Vec::new(),
            most: 1 << 20,
        }
    }

    /// With another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With this `Host` instead of the address. Over TLS the certificate is checked for the name given there, not for
    /// this one.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body and its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Accepts these statuses; repeated calls add up. Without any, 200 to 299.
    #[must_use]
    pub fn status(mut self, range: impl Into<StatusRange>) -> Self {
        self.statuses.push(range.into());
        self
    }

    /// Expects this of the body; repeated calls add up, and all must hold.
    #[must_use]
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect.push(expect);
        self
    }

    /// Looks at bodies of up to so many bytes; a longer one fails the attempt if something is expected of it.
    #[must_use]
    pub const fn at_most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    pub(super) fn accepts(&self, status: u16) -> bool {
        if self.statuses.is_empty() {
            return (200..=299).contains(&status);
        }
        self.statuses
            .iter()
            .any(|range| (range.from..=range.to).contains(&status))
    }

    fn validate(&self) -> Result<(), Error> {
        let visible = |text: &str| text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        let value = |text: &str| {
            text.bytes()
                .all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f)
        };
        let token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        let good_path = (self.path.starts_with('/') || self.path == "*") && visible(&self.path);
        let good_host = self
            .host
            .as_ref()
            .is_none_or(|host| visible(host) && !host.is_empty());
        let good_headers = self.headers.iter().all(|(name, text)| token(name) && value(text));
        if !(good_path && good_host && good_headers) {
            return Err(Error::BadRequest);
        }
        match self
            .statuses
            .iter()
            .find(|range| range.from > range.to || range.from < 100 || range.to > 999)
        {
            Some(range) => Err(Error::BadStatusRange(range.from, range.to)),
            None => Ok(()),
        }
    }
}

/// The version of the protocol that requests are made in. Answers are understood in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "later versions are other protocols")]
pub enum HttpVersion {
    /// 1.0 (RFC 1945), with a `Host` all the same. The connection ends with the answer, unless the check keeps it.
    Http10,
    /// 1.1 (RFC 9112).
    #[default]
    Http11,
}

/// The methods that make sense in a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `GET`.
    #[default]
    Get,
    /// `HEAD`: the answer has no body.
    Head,
    /// `OPTIONS`.
    Options,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

impl Method {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    from: u16,
    to: u16,
}

impl From<u16> for StatusRange {
    fn from(status: u16) -> Self {
        Self {
            from: status,
            to: status,
        }
    }
}

impl From<RangeInclusive<u16>> for StatusRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self {
            from: *range.start(),
            to: *range.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_request_is_refused() {
        for bad in [
            Request::get(""),
            Request::get("health"),
            Request::get("/a b"),
            Request::get("/a\r\nX: y"),
            Request::get("/").host(""),
            Request::get("/").host("a\nb"),
            Request::get("/").header("X Y", "z"),
            Request::get("/").header("X", "a\r\nb"),
        ] {
            assert!(matches!(Http::new(vec![bad]), Err(Error::BadRequest)));
        }
        assert!(matches!(Http::new(Vec::new()), Err(Error::BadRequest)));
        for (from, to) in [(300, 200), (99, 200), (200, 1000)] {
            let request = Request::get("/").status(from..=to);
            assert!(
                matches!(Http::new(vec![request]), Err(Error::BadStatusRange(f, t)) if (f, t) == (from, to))
            );
        }
        assert!(Http::get("/health?x=1").is_ok());
    }
}
