//! Routes: `virtual_routes` and `static_routes`, in the words of `ip route`.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::field::{Entry, Positional, Value};
use crate::keyword::{ADDRESS, FLAG, INTERFACE, Keyword, WORD, YES, count, int, no, text};
use crate::macros::entry;
use crate::model::raw::Raw;
use crate::reader::{Reader, Words};
use crate::source::Origin;
use crate::value::{Prefix, next};

/// A metric of a route that is kept and printed and not set.
const METRIC: crate::keyword::Support = no("the route is added without this metric");

/// Without this it would be another route.
const LEFT_OUT: crate::keyword::Support = no("the whole route is left out");

entry! {
    /// A route.
    RouteOptions {
        /// The gateway; `inet6` before an IPv6 gateway of an IPv4 route.
        via: Option<Via> = ["via", "gw"], ADDRESS, "none", YES;
        /// A second gateway; an old word.
        or: Option<IpAddr> = ["or"], ADDRESS, "none", LEFT_OUT;
        /// The interface.
        device: Option<String> = ["dev", "oif"], INTERFACE, "found by the kernel", YES;
        /// The source address of packets that take it.
        source: Option<IpAddr> = ["src"], ADDRESS, "chosen by the kernel", YES;
        /// The source of packets the route is for (IPv6).
        from: Option<Prefix> = ["from"], ADDRESS, "any", LEFT_OUT;
        /// The routing table.
        table: Option<String> = ["table"], text("number or name"), "main", YES;
        /// The scope.
        scope: Option<String> = ["scope"], WORD, "link or global", YES;
        /// The metric: the lowest is used.
        metric: Option<u32> = ["metric", "preference", "priority"], int(0, 4_294_967_295), "0", YES;
        /// Who is written down as the route's author.
        protocol: Option<String> = ["proto", "protocol"], text("number or name"), "keepalived (18)", YES;
        /// The gateway is on the link, whatever its address.
        onlink: bool = ["onlink"], FLAG, "off", YES;
        /// The type of service.
        tos: Option<String> = ["tos", "dsfield"], WORD, "0", METRIC;
        /// The size of packets.
        mtu: Option<Locked> = ["mtu"], text("[lock] bytes"), "that of the interface", YES;
        /// The hop limit.
        hoplimit: Option<u8> = ["hoplimit"], int(0, 255), "the system's", METRIC;
        /// The segment size that is told to TCP peers.
        advmss: Option<u32> = ["advmss"], count(0, 65_535, "bytes"), "from the mtu", METRIC;
        /// Round-trip time.
        rtt: Option<String> = ["rtt"], WORD, "measured", METRIC;
        /// Variance of the round-trip time.
        rttvar: Option<String> = ["rttvar"], WORD, "measured", METRIC;
        /// Reordering.
        reordering: Option<u32> = ["reordering"], int(0, 4_294_967_295), "the system's", METRIC;
        /// Greatest window.
        window: Option<u32> = ["window"], int(0, 4_294_967_295), "none", METRIC;
        /// Clamp of the congestion window.
        cwnd: Option<u32> = ["cwnd"], int(0, 4_294_967_295), "none", METRIC;
        /// Slow start threshold.
        ssthresh: Option<Locked> = ["ssthresh"], text("[lock] number"), "none", METRIC;
        /// Realms.
        realms: Option<String> = ["realms"], WORD, "none", METRIC;
        /// Least retransmission time.
        rto_min: Option<String> = ["rto_min"], WORD, "the system's", METRIC;
        /// Initial congestion window.
        initcwnd: Option<u32> = ["initcwnd"], int(0, 4_294_967_295), "the system's", METRIC;
        /// Initial receive window.
        initrwnd: Option<u32> = ["initrwnd"], int(0, 4_294_967_295), "the system's", METRIC;
        /// Features, such as `ecn`.
        features: Option<String> = ["features"], WORD, "none", METRIC;
        /// Quick acknowledgements.
        quickack: Option<u8> = ["quickack"], int(0, 1), "the system's", METRIC;
        /// Congestion control.
        congctl: Option<Locked> = ["congctl"], text("[lock] name"), "the system's", METRIC;
        /// Router preference (IPv6).
        pref: Option<String> = ["pref"], WORD, "medium", METRIC;
        /// When it expires (IPv6).
        expires: Option<u32> = ["expires"], count(0, 4_294_967_295, "s"), "never", METRIC;
        /// No cookie for TCP fast open.
        fastopen_no_cookie: Option<u8> = ["fastopen_no_cookie"], int(0, 1), "0", METRIC;
        /// Hides the hops of a tunnel.
        ttl_propagate: Option<String> = ["ttl-propagate"], WORD, "the system's", METRIC;
        /// Replaces the destination in MPLS.
        as_to: Option<String> = ["as"], WORD, "none", LEFT_OUT;
        /// The weight of the next hop.
        weight: Option<u16> = ["weight"], int(1, 256), "1", METRIC;
        /// A tunnel for the packets.
        encap: Option<Raw> = ["encap"], text("kind and its options, to the end of the line"), "none", LEFT_OUT;
        /// Puts it before a route that matches.
        prepend: bool = ["prepend"], FLAG, "off", METRIC;
        /// Puts it after a route that matches.
        append: bool = ["append"], FLAG, "off", YES;
        /// The virtual router stays active when somebody deletes it.
        no_track: bool = ["no_track"], FLAG, "off", no("a route that is deleted is not noticed in either case");
        /// The virtual routers that follow this static route.
        track_group: Option<String> = ["track_group"], WORD, "none", no("a route that is deleted is not noticed");
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
    /// Whether it has something without which it would be another route, and which is not supported.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        let options = &self.options;
        options.or.is_some() || options.from.is_some() || options.as_to.is_some() || options.encap.is_some()
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
            match &*word.text {
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
