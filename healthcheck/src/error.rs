//! What can go wrong outside of an attempt.

use core::fmt;

/// Why something could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The engine could not get what it needs from the operating system; what it wanted, and what it was told.
    System(&'static str, std::io::Error),
    /// A request of an HTTP check cannot be put into a request line: a control character in the path, host or a header.
    BadRequest,
    /// A status range that begins after its end, or lies outside 100 to 999.
    BadStatusRange(u16, u16),
    /// A pattern that is no regular expression, or too large a one.
    BadPattern,
    /// A host or domain name that cannot be one.
    BadName,
    /// A pattern of hexadecimal digits with something else in it, or half a byte.
    BadHex,
    /// A certificate or key that cannot be read, or no certificate authority at all.
    BadCertificate,
    /// No provider of cryptography: enable `tls-ring`, or install one for the process.
    NoProvider,
    /// The provider of cryptography does not offer what TLS needs.
    BadTls,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "cannot {what}: {error}"),
            Self::BadRequest => {
                f.write_str("a path, host or header of an HTTP check holds a control character or is empty")
            }
            Self::BadName => f.write_str("this can be no host or domain name"),
            Self::BadHex => f.write_str("a reply pattern is made of whole bytes, in hexadecimal digits or X"),
            Self::BadCertificate => {
                f.write_str("a certificate or key cannot be read, or there is no authority to trust")
            }
            Self::NoProvider => f.write_str("no provider of cryptography is installed"),
            Self::BadTls => f.write_str("the provider of cryptography does not offer what TLS needs"),
            Self::BadPattern => f.write_str("this is no regular expression, or too large a one"),
            Self::BadStatusRange(from, to) => write!(f, "{from}-{to} is no range of HTTP status codes"),
        }
    }
}

impl core::error::Error for Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only the operating system's errors have a source"
    )]
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::System(_, error) => Some(error),
            _ => None,
        }
    }
}
