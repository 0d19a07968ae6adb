//! `virtual_server`.

use crate::command::Command;
use crate::diagnostic::Diagnostic;
use crate::field::Value;
use crate::keyword::{
    BOOL, FLAG, Keyword, LONGEST, Range, SCRIPT, VITAL, WORD, YES, count, int, no, secs, text,
};
use crate::lexer::Words;
use crate::macros::{block, words};
use crate::model::forwarding::Forwarding;
use crate::model::real_server::RealServer;
use crate::model::socket_name::SocketName;
use crate::reader::Reader;
use crate::value::{Seconds, ignored, next};

block! {
    /// A service that is balanced over real servers.
    VirtualServer(name: VirtualServerName) = "virtual_server" {
        /// The protocol.
        protocol: Option<Protocol> = ["protocol"], Range::OneOf(Protocol::WORDS), "UDP", VITAL;
        /// How a real server is picked.
        lvs_sched: Option<Scheduler> = ["lvs_sched", "lb_algo"], Range::OneOf(Scheduler::WORDS), "wlc", YES;
        /// How packets reach the real server.
        lvs_method: Option<Forwarding> = ["lvs_method", "lb_kind"], text("NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]|FNAT"), "NAT", VITAL;
        /// A client stays with its real server for so long after its last connection.
        persistence_timeout: Option<Persistence> = ["persistence_timeout"], count(1, 2_678_400, "s"), "off; 360 s without a value", YES;
        /// Clients of one network count as one.
        persistence_granularity: Option<Granularity> = ["persistence_granularity"], text("netmask or prefix length"), "one address", YES;
        /// Tells clients apart by what they say.
        persistence_engine: Option<String> = ["persistence_engine"], Range::OneOf(&["sip"]), "none", YES;
        /// UDP: each packet is a connection.
        ops: bool = ["ops"], FLAG, "off", YES;
        /// An extension of ours: the PROXY protocol tells real servers who the client is; the embedded proxy speaks it, the kernel does not.
        proxy_protocol: Option<ProxyProtocol> = ["proxy_protocol"], Range::OneOf(ProxyProtocol::WORDS), "off", YES.new_in_keepalived();
        /// The service is looked up by hash.
        hashed: bool = ["hashed"], FLAG, "on", YES;
        /// First flag of the scheduler.
        flag_1: bool = ["flag-1"], FLAG, "off", YES;
        /// Second flag of the scheduler.
        flag_2: bool = ["flag-2"], FLAG, "off", YES;
        /// Third flag of the scheduler.
        flag_3: bool = ["flag-3"], FLAG, "off", YES;
        /// `sh`: the port counts too.
        sh_port: bool = ["sh-port"], FLAG, "off", YES;
        /// `sh`: another real server for one that has weight 0.
        sh_fallback: bool = ["sh-fallback"], FLAG, "off", YES;
        /// `mh`: the port counts too.
        mh_port: bool = ["mh-port"], FLAG, "off", YES;
        /// `mh`: another real server for one that has weight 0.
        mh_fallback: bool = ["mh-fallback"], FLAG, "off", YES;
        /// From one check to the next.
        delay_loop: Option<Seconds> = ["delay_loop"], secs(1, LONGEST), "60 s", YES;
        /// How long a check waits for an answer.
        connect_timeout: Option<Seconds> = ["connect_timeout"], secs(1, 4_294_967), "5 s", YES;
        /// So many failures in a row are forgiven.
        retry: Option<u32> = ["retry"], count(1, 4_294_967_295, "attempts"), "that of the check", YES;
        /// How long after a failure the next attempt begins.
        delay_before_retry: Option<Seconds> = ["delay_before_retry"], secs(0, LONGEST), "that of the check", YES;
        /// The first check begins at random within so long.
        warmup: Option<Seconds> = ["warmup"], secs(0, LONGEST), "`delay_loop`", YES;
        /// The weight of real servers that name none.
        weight: Option<u32> = ["weight"], int(1, 2_147_483_647), "1", YES;
        /// A failed real server gets weight 0 instead of being removed.
        inhibit_on_failure: Option<bool> = ["inhibit_on_failure"], BOOL, "off", YES;
        /// Real servers are down until their checks have succeeded.
        alpha: Option<bool> = ["alpha"], BOOL, "off", YES;
        /// Tells at the end that everything is down.
        omega: bool = ["omega"], FLAG, "off", YES;
        /// The least sum of weights for the service to be up.
        quorum: Option<u32> = ["quorum"], int(1, 4_294_967_295), "1", YES;
        /// So much more than the quorum is needed to come up, and so much less to go down.
        hysteresis: Option<u32> = ["hysteresis"], int(0, 4_294_967_295), "0", YES;
        /// Run when the quorum is gained.
        quorum_up: Option<Command> = ["quorum_up"], SCRIPT, "none", YES;
        /// Run when the quorum is lost.
        quorum_down: Option<Command> = ["quorum_down"], SCRIPT, "none", YES;
        /// Checks run only while the address is on this host.
        ha_suspend: bool = ["ha_suspend"], FLAG, "off", YES;
        /// The family of a service that is a mark.
        ip_family: Option<IpFamily> = ["ip_family"], Range::OneOf(IpFamily::WORDS), "that of the real servers", YES;
        /// The name in HTTP requests of checks.
        virtualhost: Option<String> = ["virtualhost"], WORD, "the address", YES;
        /// The name in SNMP.
        snmp_name: Option<String> = ["snmp_name"], WORD, "none", no("there is no SNMP");
        /// Mails about real servers.
        smtp_alert: Option<bool> = ["smtp_alert"], BOOL, "`smtp_alert_checker`", YES;
        /// Answers while the quorum is lost.
        sorry_server: Option<SocketName> = ["sorry_server"], text("address [port]"), "none", YES;
        /// It gets weight 0 instead of being removed.
        sorry_server_inhibit: bool = ["sorry_server_inhibit"], FLAG, "off", YES;
        /// How packets reach it.
        sorry_server_lvs_method: Option<Forwarding> = ["sorry_server_lvs_method"], text("as `lvs_method`"), "`lvs_method`", YES;
        /// Who serves.
        real_server: Vec<RealServer> = ["real_server"], Range::Block("a real server"), "a virtual server without any is dropped", VITAL;
    }
}

/// What makes a virtual server: an address and port, a mark, or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever converts it must handle every kind"
)]
pub enum VirtualServerName {
    /// An address, and a port unless the service is persistent.
    Address(SocketName),
    /// Packets with this mark of the firewall.
    Fwmark(u32),
    /// A `virtual_server_group`.
    Group(String),
}

impl Value for VirtualServerName {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        if words.take_if(|word| word == "fwmark").is_some() {
            let range = Keyword {
                range: int(0, 4_294_967_295),
                ..*keyword
            };
            return u32::take(words, &range, reader).map(Self::Fwmark);
        }
        if words.take_if(|word| word == "group").is_some() {
            return String::take(words, keyword, reader).map(Self::Group);
        }
        SocketName::take(words, keyword, reader).map(Self::Address)
    }

    fn put(&self, line: &mut Vec<String>) {
        match self {
            Self::Address(address) => address.put(line),
            Self::Fwmark(mark) => line.extend([String::from("fwmark"), mark.to_string()]),
            Self::Group(name) => line.extend([String::from("group"), name.clone()]),
        }
    }
}

words! {
    /// What a virtual server speaks.
    Protocol {
        /// TCP.
        Tcp = ["TCP", "tcp"],
        /// UDP.
        Udp = ["UDP", "udp"],
        /// SCTP.
        Sctp = ["SCTP", "sctp"],
    }
}

words! {
    /// How a real server is picked.
    Scheduler {
        /// Round robin.
        RoundRobin = ["rr"],
        /// Weighted round robin.
        WeightedRoundRobin = ["wrr"],
        /// Least connections.
        LeastConnection = ["lc"],
        /// Weighted least connections.
        WeightedLeastConnection = ["wlc"],
        /// Locality-based least connections.
        LocalityBasedLeastConnection = ["lblc"],
        /// The same with replication.
        LocalityBasedLeastConnectionWithReplication = ["lblcr"],
        /// Destination hashing.
        DestinationHashing = ["dh"],
        /// Source hashing.
        SourceHashing = ["sh"],
        /// Maglev hashing.
        MaglevHashing = ["mh"],
        /// Shortest expected delay.
        ShortestExpectedDelay = ["sed"],
        /// Never queue.
        NeverQueue = ["nq"],
        /// Weighted failover.
        WeightedFailover = ["fo"],
        /// Weighted overflow.
        WeightedOverflow = ["ovf"],
        /// The better of two picked at random.
        PowerOfTwoChoices = ["twos"],
    }
}

words! {
    /// Which version of the PROXY protocol.
    ProxyProtocol {
        /// A line of text.
        V1 = ["v1"],
        /// Binary.
        V2 = ["v2"],
    }
}

words! {
    /// The family of a service that is a mark.
    IpFamily {
        /// IPv4.
        Inet = ["inet"],
        /// IPv6.
        Inet6 = ["inet6"],
    }
}

/// How long a client stays with its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Persistence {
    /// Seconds, 1 to 2,678,400 (31 days).
    pub seconds: u32,
}

impl Value for Persistence {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(word) = words.peek() else {
            return Some(Self { seconds: 360 });
        };
        if word.text == "0" {
            let message =
                String::from("`persistence_timeout 0` is refused by keepalived, and leaves persistence off");
            reader.push(
                Diagnostic::warning(word.span, message)
                    .advice("remove the line: off is what was meant, and what happens without it"),
            );
            words.take();
            return None;
        }
        u32::take(words, keyword, reader).map(|seconds| Self { seconds })
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.seconds.to_string());
    }
}

/// Clients of one network count as one: a netmask (IPv4) or a prefix length (IPv6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing more to say")]
pub enum Granularity {
    /// An IPv4 netmask.
    Netmask(std::net::Ipv4Addr),
    /// A prefix length, 1 to 128.
    Prefix(u8),
}

impl std::fmt::Display for Granularity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Netmask(mask) => mask.fmt(f),
            Self::Prefix(length) => length.fmt(f),
        }
    }
}

impl std::str::FromStr for Granularity {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<u8>() {
            Ok(length @ 1..=128) => Ok(Self::Prefix(length)),
            _ => text.parse().map(Self::Netmask),
        }
    }
}

impl Value for Granularity {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let word = next(words, keyword, reader)?;
        let found = word.text.parse().ok();
        if found.is_none() {
            let message = format!("`{}` is neither a netmask nor a prefix length", word.text);
            reader.bad_value(keyword, word.span, message, None);
        }
        found
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.to_string());
    }
}

/// Timeouts of IPVS connections in seconds; what is not said stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct Timeouts {
    /// Idle TCP connections.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub tcp: Option<u32>,
    /// TCP connections after FIN.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub tcpfin: Option<u32>,
    /// UDP.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub udp: Option<u32>,
}

impl Value for Timeouts {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut found = Self::default();
        let range = Keyword {
            range: count(0, 2_678_400, "s"),
            ..*keyword
        };
        if words.peek().is_none() {
            reader.no_value(keyword, words.last());
            return None;
        }
        while let Some(word) = words.take() {
            let place = match word.text {
                "tcp" => &mut found.tcp,
                "tcpfin" => &mut found.tcpfin,
                "udp" => &mut found.udp,
                _ => {
                    ignored(word, "is no option of `lvs_timeouts`", reader);
                    reader.keepalived_objects();
                    continue;
                }
            };
            // Zero, too, leaves it as it is.
            *place = u32::take(words, &range, reader).filter(|seconds| *seconds > 0);
        }
        (found != Self::default()).then_some(found)
    }

    fn put(&self, line: &mut Vec<String>) {
        for (word, value) in [("tcp", self.tcp), ("tcpfin", self.tcpfin), ("udp", self.udp)] {
            if let Some(value) = value {
                line.extend([word.to_owned(), value.to_string()]);
            }
        }
    }
}

crate::macros::settings!(Persistence, Granularity, Timeouts);

#[cfg(feature = "serde")]
crate::value::serde_text!(Granularity);
