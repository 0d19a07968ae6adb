//! Routing rules: `virtual_rules` and `static_rules`, in the words of `ip rule`.

use crate::field::Positional;
use crate::keyword::{FLAG, INTERFACE, Support, WORD, YES, int, no, text};
use crate::macros::entry;
use crate::value::Prefix;

/// Without this it would be another rule.
const LEFT_OUT: Support = no("the whole rule is left out");

entry! {
    /// A routing rule.
    Rule {
        /// Packets from there.
        from: Option<String> = ["from"], text("network or `all`"), "all", YES;
        /// Packets to there.
        to: Option<String> = ["to"], text("network or `all`"), "all", YES;
        /// Turns the condition round.
        not: bool = ["not"], FLAG, "off", YES;
        /// The routing table that is looked up.
        table: Option<String> = ["table", "lookup"], text("number or name"), "main", YES;
        /// The order among the rules; without it keepalived counts down from 16384.
        preference: Option<u32> = ["preference", "priority", "order", "pref"], int(0, 4_294_967_295), "assigned", YES;
        /// Packets that came in there.
        incoming: Option<String> = ["iif", "dev"], INTERFACE, "any", YES;
        /// Packets of sockets bound there.
        outgoing: Option<String> = ["oif"], INTERFACE, "any", YES;
        /// Packets with this mark, perhaps under a mask.
        fwmark: Option<String> = ["fwmark"], text("mark[/mask]"), "any", YES;
        /// Type of service.
        tos: Option<String> = ["tos", "dsfield"], WORD, "any", YES;
        /// Realms.
        realms: Option<String> = ["realms"], WORD, "none", LEFT_OUT;
        /// Ignores routes to prefixes this short.
        suppress_prefixlength: Option<String> = ["suppress_prefixlength", "suppress_prefixlen"], int(0, 128), "none", LEFT_OUT;
        /// Ignores routes through this group of interfaces.
        suppress_ifgroup: Option<String> = ["suppress_ifgroup", "suppress_ifgrp"], WORD, "none", LEFT_OUT;
        /// Goes on at another rule.
        goto: Option<u32> = ["goto"], int(0, 4_294_967_295), "none", LEFT_OUT;
        /// Sockets of these users.
        uidrange: Option<String> = ["uidrange"], text("first-last"), "any", LEFT_OUT;
        /// Looks up the table of the VRF.
        l3mdev: bool = ["l3mdev"], FLAG, "off", LEFT_OUT;
        /// Who is written down as the rule's author.
        protocol: Option<String> = ["protocol", "proto"], text("number or name"), "keepalived (18)", no("the rule's author is always keepalived, 18");
        /// Packets of this protocol.
        ip_proto: Option<String> = ["ip_proto", "ipproto"], WORD, "any", LEFT_OUT;
        /// Packets from these ports.
        sport: Option<String> = ["sport"], text("first[-last]"), "any", LEFT_OUT;
        /// Packets to these ports.
        dport: Option<String> = ["dport"], text("first[-last]"), "any", LEFT_OUT;
        /// Packets of this tunnel.
        tunnel_id: Option<String> = ["tunnel-id"], WORD, "any", LEFT_OUT;
        /// Drops the packet without a word.
        blackhole: bool = ["blackhole"], FLAG, "off", YES;
        /// Answers that the destination is not reachable.
        unreachable: bool = ["unreachable"], FLAG, "off", YES;
        /// Answers that it is forbidden.
        prohibit: bool = ["prohibit"], FLAG, "off", YES;
        /// The virtual router stays active when somebody deletes it.
        no_track: bool = ["no_track"], FLAG, "off", no("a rule that is deleted is not noticed in either case");
        /// The virtual routers that follow this static rule.
        track_group: Option<String> = ["track_group"], WORD, "none", no("a rule that is deleted is not noticed");
        /// The family is IPv6.
        inet6: bool = ["inet6"], FLAG, "from the addresses", YES;
    }
}

impl Rule {
    /// Whether it has something without which it would be another rule, and which is not supported.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.realms.is_some()
            || self.suppress_prefixlength.is_some()
            || self.suppress_ifgroup.is_some()
            || self.goto.is_some()
            || self.uidrange.is_some()
            || self.l3mdev
            || self.ip_proto.is_some()
            || self.sport.is_some()
            || self.dport.is_some()
            || self.tunnel_id.is_some()
    }
}

impl Positional for Rule {
    fn advice(word: &str) -> Option<String> {
        word.parse::<Prefix>()
            .is_ok()
            .then(|| String::from("write `from` or `to` before a network"))
    }
}
