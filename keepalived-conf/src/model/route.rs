//! Routes: `virtual_routes` and `static_routes`, in the words of `ip route`.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::field::{Entry, Positional, Value};
use crate::keyword::{ADDRESS, FLAG, INTERFACE, Keyword, Range, WORD, YES, count, int, no, text};
use crate::lexer::Words;
use crate::macros::entry;
use crate::model::raw::Raw;
use crate::reader::Reader;
use crate::source::Origin;
use crate::value::{Prefix, next};

/// Without this it would be another route.
const LEFT_OUT: crate::keyword::Support = no("the whole route is left out");

entry! {
    /// A route.
    RouteOptions {
        /// The gateway; `inet6` before an IPv6 gateway of an IPv4 route.
        via: Option<Via> = ["via", "gw"], ADDRESS, "none", YES;
        /// A second gateway; an old word for `nexthop`.
        or: Option<IpAddr> = ["or"], ADDRESS, "none", YES;
        /// The interface.
        device: Option<String> = ["dev", "oif"], INTERFACE, "found by the kernel", YES;
        /// The source address of packets that take it.
        source: Option<IpAddr> = ["src"], ADDRESS, "chosen by the kernel", YES;
        /// The source of packets the route is for (IPv6).
        from: Option<Prefix> = ["from"], ADDRESS, "any", YES;
        /// The routing table.
        table: Option<String> = ["table"], text("number or name"), "main", YES;
        /// The scope.
        scope: Option<String> = ["scope"], WORD, "global", YES;
        /// The metric: the lowest is used.
        metric: Option<u32> = ["metric", "preference", "priority"], int(0, 4_294_967_295), "0", YES;
        /// Who is written down as the route's author. Another than keepalived needs `no_track`.
        protocol: Option<String> = ["protocol"], text("number or name"), "keepalived (18)", YES;
        /// The gateway is on the link, whatever its address.
        onlink: bool = ["onlink"], FLAG, "off", YES;
        /// The type of service.
        tos: Option<String> = ["tos", "dsfield"], WORD, "0", YES;
        /// The size of packets.
        mtu: Option<Locked> = ["mtu"], text("[lock] bytes"), "that of the interface", YES;
        /// The hop limit.
        hoplimit: Option<u8> = ["hoplimit"], int(0, 255), "the system's", YES;
        /// The segment size that is told to TCP peers.
        advmss: Option<Locked> = ["advmss"], text("[lock] bytes"), "from the mtu", YES;
        /// Round-trip time.
        rtt: Option<Locked> = ["rtt"], text("[lock] time"), "measured", YES;
        /// Variance of the round-trip time.
        rttvar: Option<Locked> = ["rttvar"], text("[lock] time"), "measured", YES;
        /// Reordering.
        reordering: Option<Locked> = ["reordering"], text("[lock] number"), "the system's", YES;
        /// Greatest window.
        window: Option<u32> = ["window"], int(0, 4_294_967_295), "none", YES;
        /// Clamp of the congestion window.
        cwnd: Option<Locked> = ["cwnd"], text("[lock] number"), "none", YES;
        /// Slow start threshold.
        ssthresh: Option<Locked> = ["ssthresh"], text("[lock] number"), "none", YES;
        /// Realms.
        realms: Option<String> = ["realms"], WORD, "none", YES;
        /// Least retransmission time.
        rto_min: Option<Locked> = ["rto_min"], text("[lock] time"), "the system's", YES;
        /// Initial congestion window.
        initcwnd: Option<u32> = ["initcwnd"], int(0, 4_294_967_295), "the system's", YES;
        /// Initial receive window.
        initrwnd: Option<u32> = ["initrwnd"], int(0, 4_294_967_295), "the system's", YES;
        /// Features, such as `ecn`.
        features: Option<String> = ["features"], Range::OneOf(&["ecn"]), "none", YES;
        /// Quick acknowledgements.
        quickack: Option<u8> = ["quickack"], int(0, 1), "the system's", YES;
        /// Congestion control.
        congctl: Option<Locked> = ["congctl"], text("[lock] name"), "the system's", YES;
        /// Router preference (IPv6).
        pref: Option<String> = ["pref"], Range::OneOf(&["low", "medium", "high"]), "medium", YES;
        /// When it expires (IPv6).
        expires: Option<u32> = ["expires"], count(0, 4_294_967_295, "s"), "never", YES;
        /// No cookie for TCP fast open.
        fastopen_no_cookie: Option<u8> = ["fastopen_no_cookie"], int(0, 1), "0", YES;
        /// Hides the hops of a tunnel.
        ttl_propagate: Option<String> = ["ttl-propagate"], Range::OneOf(&["enabled", "disabled"]), "the system's", YES;
        /// Replaces the destination in MPLS.
        as_to: Option<String> = ["as"], WORD, "none", LEFT_OUT;
        /// A tunnel for the packets.
        encap: Option<Raw> = ["encap"], text("kind and its options, to the end of the line"), "none", LEFT_OUT;
        /// Puts it before a route that matches.
        prepend: bool = ["prepend"], FLAG, "off", YES;
        /// Puts it after a route that matches.
        append: bool = ["append"], FLAG, "off", YES;
        /// It is not put back when somebody deletes it. The virtual router stays active in either case.
        no_track: bool = ["no_track"], FLAG, "off: it is put back", YES;
        /// The virtual routers that follow this static route.
        track_group: Option<String> = ["track_group"], WORD, "none", no("a static route that is deleted is put back, and no virtual router is told");
        /// One of several ways, with a gateway, an interface and a weight of its own; the rest of the line.
        nexthop: Option<Raw> = ["nexthop"], text("via ADDRESS dev INTERFACE weight N, to the end of the line"), "none", YES;
    }
}

impl Positional for RouteOptions {}

/// A route: a destination and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// What the route does with packets: nothing for an ordinary one, else `blackhole`, `unreachable`, `prohibit`,
    /// `throw` and the like.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub kind: Option<String>,
    /// Where it leads; `None` for everywhere (`default`).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub destination: Option<Prefix>,
    /// How.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub options: RouteOptions,
}

impl Route {
    /// Whether it is left out: it has something that is not supported and without which it would be another route, or
    /// what only IPv6 has.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        let options = &self.options;
        let only_ipv6 = options.from.is_some() || options.pref.is_some() || options.expires.is_some();
        let preference = options.pref.as_deref();
        let unknown = !matches!(preference, None | Some("low" | "medium" | "high"));
        unknown || options.as_to.is_some() || options.encap.is_some() || (only_ipv6 && !self.is_ipv6())
    }

    /// Whether it is of IPv6, as far as it says so itself.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        let options = &self.options;
        match (self.destination, options.via, options.from) {
            (Some(prefix), _, _) | (None, None, Some(prefix)) => prefix.address.is_ipv6(),
            (None, Some(via), _) => via.0.is_ipv6(),
            (None, None, None) => false,
        }
    }

    /// The options of a route.
    pub const KEYWORDS: &'static [Keyword] = RouteOptions::KEYWORDS;
}

impl Entry for Route {
    const EACH_WORD: bool = false;

    fn read_entry(words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut options = RouteOptions::new();
        options.origin = Origin(words.peek().map(|word| word.span));
        let mut kind = None;
        let mut destination = None;
        while let Some(word) = words.peek() {
            if options.take_option(words, reader) {
                continue;
            }
            words.take();
            match word.text {
                "to" => {}
                "default" | "default6" if destination.is_none() => destination = Some(None),
                text if KINDS.contains(&text) && kind.is_none() => kind = Some(text.to_owned()),
                text if destination.is_none() && text.parse::<Prefix>().is_ok() => {
                    destination = Some(text.parse().ok());
                }
                _ => {
                    crate::field::unknown_option::<RouteOptions>(
                        word,
                        keyword,
                        RouteOptions::KEYWORDS,
                        reader,
                    );
                }
            }
        }
        let Some(destination) = destination else {
            reader.push(
                Diagnostic::error(words.last(), "a route without a destination")
                    .advice("an address with a prefix length, or `default`"),
            );
            return None;
        };
        Some(Self {
            kind,
            destination,
            options,
        })
    }

    fn write_entry(&self, line: &mut Vec<String>) {
        line.extend(self.kind.clone());
        match &self.destination {
            Some(destination) => destination.put(line),
            None => line.push(String::from("default")),
        }
        // What takes the rest of the line is printed last: the table above ends with it.
        let mut options = self.options.clone();
        let encap = options.encap.take();
        options.write_entry(line);
        if let Some(encap) = encap {
            line.push(String::from("encap"));
            encap.put(line);
        }
    }
}

/// A gateway, perhaps of the other family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Via(pub IpAddr);

impl Value for Via {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        words.take_if(|word| matches!(word, "inet" | "inet6"));
        let word = next(words, keyword, reader)?;
        let Ok(address) = word.text.parse() else {
            reader.push(Diagnostic::error(
                word.span,
                format!("`{}` is no gateway address", word.text),
            ));
            return None;
        };
        Some(Self(address))
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.0.to_string());
    }
}

/// A metric that may be locked: `1400`, `lock 1400`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct Locked {
    /// The value.
    pub value: String,
    /// It is not changed by what is measured.
    #[cfg_attr(feature = "serde", serde(default))]
    pub lock: bool,
}

impl Value for Locked {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let lock = words.take_if(|word| word == "lock").is_some();
        Some(Self {
            value: String::take(words, keyword, reader)?,
            lock,
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        if self.lock {
            line.push(String::from("lock"));
        }
        line.push(self.value.clone());
    }
}

const KINDS: [&str; 10] = [
    "unicast",
    "local",
    "broadcast",
    "multicast",
    "throw",
    "unreachable",
    "prohibit",
    "blackhole",
    "nat",
    "anycast",
];
