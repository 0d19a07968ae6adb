//! How packets reach a real server.

use crate::diagnostic::Diagnostic;
use crate::field::Value;
use crate::keyword::{Keyword, int};
use crate::lexer::Words;
use crate::macros::words;
use crate::reader::Reader;
use crate::value::ignored;

words! {
    /// How a packet reaches its real server.
    Method {
        /// Addresses are translated, and answers come back through the director.
        Nat = ["NAT"],
        /// The frame is sent on as it is.
        Dr = ["DR"],
        /// The packet is sent on in another packet.
        Tun = ["TUN"],
        /// Both addresses are translated; the embedded proxy does this, the kernel does not.
        Fnat = ["FNAT"],
    }
}

words! {
    /// In what a packet is wrapped.
    Tunnel {
        /// IP in IP.
        Ipip = ["ipip"],
        /// Generic UDP encapsulation.
        Gue = ["gue"],
        /// Generic routing encapsulation.
        Gre = ["gre"],
    }
}

words! {
    /// Which checksum a tunnel has.
    TunnelChecksum {
        /// None.
        No = ["nocsum"],
        /// One of its own.
        Yes = ["csum"],
        /// That of what it carries.
        Remote = ["remcsum"],
    }
}

/// How packets reach the real server: `NAT`, `DR`, `TUN type gue port 6080 csum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct Forwarding {
    /// The method.
    pub method: Method,
    /// The tunnel; without it IP in IP.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub tunnel: Option<Tunnel>,
    /// The port of a GUE tunnel.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub port: Option<u16>,
    /// The checksum of a GUE or GRE tunnel.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub checksum: Option<TunnelChecksum>,
}

impl Value for Forwarding {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut found = Self {
            method: Method::take(words, keyword, reader)?,
            tunnel: None,
            port: None,
            checksum: None,
        };
        while let Some(word) = words.take() {
            match (word.text, TunnelChecksum::from_word(word.text)) {
                ("type", _) => found.tunnel = Some(Tunnel::take(words, keyword, reader)?),
                ("port", _) => {
                    let range = Keyword {
                        range: int(1, 65_535),
                        ..*keyword
                    };
                    found.port = Some(u16::take(words, &range, reader)?);
                }
                (_, Some(checksum)) => found.checksum = Some(checksum),
                (_, None) => ignored(word, "is no option of a forwarding method", reader),
            }
        }
        if found.tunnel == Some(Tunnel::Gue) && found.port.is_none() {
            reader.push(
                Diagnostic::error(words.last(), "a GUE tunnel needs a port").advice("type gue port 6080"),
            );
            return None;
        }
        if found.tunnel != Some(Tunnel::Gue) && found.port.take().is_some() {
            reader.push(
                Diagnostic::warning(words.last(), "only a GUE tunnel has a port: it is left out")
                    .advice("remove `port`"),
            );
        }
        if found.tunnel == Some(Tunnel::Gre) && found.checksum == Some(TunnelChecksum::Remote) {
            found.checksum = None;
            reader.push(
                Diagnostic::warning(words.last(), "a GRE tunnel has no `remcsum`: it is left out")
                    .advice("use `csum`"),
            );
        }
        Some(found)
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.method.to_string());
        if let Some(tunnel) = self.tunnel {
            line.extend([String::from("type"), tunnel.to_string()]);
        }
        if let Some(port) = self.port {
            line.extend([String::from("port"), port.to_string()]);
        }
        line.extend(self.checksum.map(|checksum| checksum.to_string()));
    }
}

crate::macros::settings!(Forwarding);
