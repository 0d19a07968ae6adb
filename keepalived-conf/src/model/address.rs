//! Addresses that are put on interfaces: virtual, excluded, static.

use std::net::IpAddr;

use crate::field::{Positional, Value};
use crate::keyword::{FLAG, INTERFACE, Keyword, Range, WORD, YES, no, text};
use crate::lexer::Words;
use crate::macros::{entry, words};
use crate::reader::Reader;
use crate::value::{Prefix, next};

entry! {
    /// An address that is put on an interface, with the options of `ip address add`.
    VirtualAddress(address: Prefix) {
        /// The broadcast address; `+` sets the host bits of the network, `-` clears them.
        broadcast: Option<Broadcast> = ["brd", "broadcast"], text("IPv4 address, `+` or `-`"), "none", YES;
        /// The interface that holds it.
        device: Option<String> = ["dev"], INTERFACE, "that of the virtual router", YES;
        /// The scope.
        scope: Option<Scope> = ["scope"], Range::OneOf(Scope::WORDS), "global", YES;
        /// The label, for tools that think in aliases: the interface's name, a colon and anything.
        label: Option<String> = ["label"], WORD, "none", YES;
        /// The address of the other end of a point-to-point link.
        peer: Option<Prefix> = ["peer"], text("IP address with prefix"), "none", YES;
        /// IPv6 home address.
        home: bool = ["home"], FLAG, "off", YES;
        /// IPv6: detect duplicates before use. Without it the address is usable at once.
        nodad: bool = ["-nodad"], FLAG, "duplicates are not looked for", YES;
        /// IPv6: template for temporary addresses.
        mngtmpaddr: bool = ["mngtmpaddr"], FLAG, "off", YES;
        /// Adds no route for the prefix.
        noprefixroute: bool = ["noprefixroute"], FLAG, "off", YES;
        /// Joins the multicast group of that address.
        autojoin: bool = ["autojoin"], FLAG, "off", YES;
        /// It is not put back when somebody deletes it. The virtual router stays active in either case.
        no_track: bool = ["no_track"], FLAG, "off: it is put back", YES;
        /// Puts the address on a macvlan with the virtual router's own hardware address.
        use_vmac: bool = ["use_vmac"], FLAG, "off", YES;
        /// How long the address is preferred as a source.
        preferred_lft: Option<Lifetime> = ["preferred_lft"], text("seconds or `forever`"), "forever; 0 for an IPv6 /128", YES;
        /// The virtual routers that follow this static address.
        track_group: Option<String> = ["track_group"], WORD, "none", no("a static address that is deleted is put back, and no virtual router is told");
    }
}

impl Positional for VirtualAddress {
    fn advice(word: &str) -> Option<String> {
        word.parse::<Prefix>()
            .is_ok()
            .then(|| String::from("each address needs a line of its own: this one is not configured"))
    }
}

/// The broadcast address of an interface address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing more to say")]
pub enum Broadcast {
    /// All host bits set.
    Highest,
    /// All host bits clear.
    Lowest,
    /// This one.
    Address(IpAddr),
}

impl std::fmt::Display for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Highest => f.write_str("+"),
            Self::Lowest => f.write_str("-"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl std::str::FromStr for Broadcast {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "+" => Ok(Self::Highest),
            "-" => Ok(Self::Lowest),
            address => address.parse().map(Self::Address),
        }
    }
}

impl Value for Broadcast {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        let found = word.text.parse().ok();
        if found.is_none() {
            reader.bad_value(
                keyword,
                word.span,
                format!("`{}` is no broadcast address", word.text),
                None,
            );
        }
        found
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.to_string());
    }
}

words! {
    /// How far an address is valid.
    Scope {
        /// Everywhere.
        Global = ["global", "universe"],
        /// In the site.
        Site = ["site"],
        /// On the link.
        Link = ["link"],
        /// On this host.
        Host = ["host"],
        /// Nowhere.
        Nowhere = ["nowhere"],
    }
}

/// How long an address is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing more to say")]
pub enum Lifetime {
    /// Without end.
    Forever,
    /// For so many seconds; 0 is not at all.
    Seconds(u32),
}

impl std::fmt::Display for Lifetime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::Seconds(seconds) => seconds.fmt(f),
        }
    }
}

impl std::str::FromStr for Lifetime {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "forever" => Ok(Self::Forever),
            seconds => seconds.parse().map(Self::Seconds),
        }
    }
}

impl Value for Lifetime {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        let found = word.text.parse().ok();
        if found.is_none() {
            reader.bad_value(
                keyword,
                word.span,
                format!("`{}` is no lifetime", word.text),
                None,
            );
        }
        found
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.to_string());
    }
}

#[cfg(feature = "serde")]
crate::value::serde_text!(Broadcast, Lifetime);
