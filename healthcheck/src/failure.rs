//! Why an attempt failed, in a form a program can match on and a person can read.

use core::fmt;

/// One failed attempt: where it stopped, what was wrong, and what the target said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Failure {
    /// How far the attempt got.
    pub stage: Stage,
    /// What was wrong.
    pub kind: FailKind,
    /// The number that goes with it: errno for [`FailKind::Refused`], [`FailKind::Unreachable`], [`FailKind::Reset`]
    /// and [`FailKind::Io`]; the reply code of HTTP, SMTP, FTP, gRPC or DNS for [`FailKind::Status`]; the exit code for
    /// [`FailKind::Exit`]; the signal for [`FailKind::Signal`].
    pub code: Option<i32>,
    /// The first bytes of what the target sent, where it sent something that explains the failure.
    pub excerpt: Excerpt,
}

impl Failure {
    /// A failure without number or excerpt.
    pub const fn new(stage: Stage, kind: FailKind) -> Self {
        Self {
            stage,
            kind,
            code: None,
            excerpt: Excerpt::EMPTY,
        }
    }

    /// The same with a number.
    #[must_use]
    pub const fn with_code(mut self, code: i32) -> Self {
        self.code = Some(code);
        self
    }

    /// The same with the first bytes of `text`.
    #[must_use]
    pub fn with_excerpt(mut self, text: &[u8]) -> Self {
        self.excerpt = Excerpt::new(text);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage.text(), self.kind.text())?;
        if let Some(code) = self.code {
            write!(f, " ({} {code})", self.kind.unit())?;
        }
        if self.excerpt.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.excerpt)
        }
    }
}

impl core::error::Error for Failure {}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Stage {
    /// Reaching the target: the handshake of TCP, the way of a datagram.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// Waiting for the target to speak first.
    Greeting,
    /// Sending what we have to say.
    Send,
    /// Waiting for the reply, or reading it.
    Reply,
    /// Judging a reply that arrived whole.
    Content,
    /// Running a script or reading a file.
    Run,
}

impl Stage {
    const fn text(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "TLS handshake",
            Self::Greeting => "greeting",
            Self::Send => "send",
            Self::Reply => "reply",
            Self::Content => "content",
            Self::Run => "run",
        }
    }
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FailKind {
    /// Nobody listens there: a reset in answer to the SYN, or port unreachable.
    Refused,
    /// No way to the host or network.
    Unreachable,
    /// The deadline of the whole attempt passed.
    TimedOut,
    /// The target broke off an established connection.
    Reset,
    /// The target closed before it had said everything.
    Closed,
    /// Another error of the operating system.
    Io,
    /// The target answered, and the answer is a refusal: HTTP 503, SMTP 421, DNS SERVFAIL, gRPC NOT_SERVING.
    Status,
    /// The answer is none of the protocol that was spoken.
    Malformed,
    /// The answer is larger than the check allows.
    TooLarge,
    /// The expected text, pattern, digest or record is not in the answer.
    Mismatch,
    /// What must not be in the answer is.
    Forbidden,
    /// The certificate is past its end.
    CertificateExpired,
    /// The certificate is for another name.
    CertificateName,
    /// The certificate leads to no trusted authority, or is otherwise not acceptable.
    CertificateUntrusted,
    /// TLS failed for another reason: an alert, no common version or cipher, not TLS at all.
    Tls,
    /// The script ended with a failing status.
    Exit,
    /// The script was ended by a signal.
    Signal,
    /// The file is missing, unreadable or holds no number.
    File,
    /// Reported as down by whoever measures it (a BFD session, an agent).
    Reported,
    /// The probe itself failed: the user's probe panicked or was dropped without an answer.
    Probe,
}

impl FailKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::Reset => "connection reset by the target",
            Self::Closed => "closed too early by the target",
            Self::Io => "input/output error",
            Self::Status => "answered with a failure status",
            Self::Malformed => "answer does not follow the protocol",
            Self::TooLarge => "answer is too large",
            Self::Mismatch => "expected content is missing",
            Self::Forbidden => "unwanted content is present",
            Self::CertificateExpired => "certificate has expired",
            Self::CertificateName => "certificate is for another name",
            Self::CertificateUntrusted => "certificate is not trusted",
            Self::Tls => "TLS failed",
            Self::Exit => "script failed",
            Self::Signal => "script was killed",
            Self::File => "file does not hold a usable value",
            Self::Reported => "reported as down",
            Self::Probe => "the probe broke",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Refused | Self::Unreachable | Self::Reset | Self::Io | Self::File => "errno",
            Self::Status => "status",
            Self::Exit => "exit status",
            Self::Signal => "signal",
            Self::Tls => "alert",
            Self::TimedOut
            | Self::Closed
            | Self::Malformed
            | Self::TooLarge
            | Self::Mismatch
            | Self::Forbidden
            | Self::CertificateExpired
            | Self::CertificateName
            | Self::CertificateUntrusted
            | Self::Reported
            | Self::Probe => "code",
        }
    }
}

/// Up to [`Excerpt::CAPACITY`] bytes of what a target sent, held inline and printed without its control characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl Excerpt {
    /// How much is kept.
    pub const CAPACITY: usize = 64;

    /// Nothing.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::CAPACITY],
        len: 0,
    };

    /// The first bytes of `text`.
    pub fn new(text: &[u8]) -> Self {
        let mut excerpt = Self::EMPTY;
        for (to, from) in excerpt.bytes.iter_mut().zip(text) {
            *to = *from;
        }
        excerpt.len = u8::try_from(text.len().min(Self::CAPACITY)).unwrap_or(0);
        excerpt
    }

    /// The bytes as the target sent them.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for Excerpt {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Display for Excerpt {
    /// Printable ASCII as it is, everything else as an escape: a target must not write on our terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Excerpt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.as_bytes().escape_ascii())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Excerpt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)
            .map(|text| Self::new(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_a_sentence() {
        let refused = Failure::new(Stage::Connect, FailKind::Refused).with_code(111);
        assert_eq!(refused.to_string(), "connect: connection refused (errno 111)");
        let status = Failure::new(Stage::Content, FailKind::Status)
            .with_code(503)
            .with_excerpt(b"HTTP/1.1 503\r\n\x1b[2J");
        assert_eq!(
            status.to_string(),
            "content: answered with a failure status (status 503): \"HTTP/1.1 503\\r\\n\\x1b[2J\""
        );
    }

    #[test]
    fn an_excerpt_keeps_the_beginning() {
        let long = [b'x'; 200];
        assert_eq!(Excerpt::new(&long).as_bytes(), &long[..Excerpt::CAPACITY]);
        assert!(Excerpt::new(b"").is_empty());
    }
}
