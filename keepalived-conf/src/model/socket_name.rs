//! Where somebody is reached: an address, and perhaps a port.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::field::Value;
use crate::keyword::Keyword;
use crate::lexer::Words;
use crate::reader::Reader;
use crate::value::next;

/// An address, and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct SocketName {
    /// The address.
    pub address: IpAddr,
    /// The port.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub port: Option<u16>,
}

impl Value for SocketName {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        let Ok(address) = word.text.parse() else {
            reader.push(
                Diagnostic::error(word.span, format!("`{}` is no IP address", word.text)).advice(format!(
                    "keepalived would go on without this `{}`",
                    keyword.name()
                )),
            );
            return None;
        };
        let port = match words.peek() {
            Some(word) => match word.text.parse::<u16>() {
                Ok(0) if keyword.is("virtual_server") => None,
                Ok(port) if port > 0 => Some(port),
                _ => {
                    reader.push(
                        Diagnostic::error(word.span, format!("`{}` is no port", word.text))
                            .advice("1 to 65535"),
                    );
                    return None;
                }
            },
            None => None,
        };
        words.take();
        Some(Self { address, port })
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.address.to_string());
        line.extend(self.port.map(|port| port.to_string()));
    }
}

crate::macros::settings!(SocketName);
