//! Routing rules: `virtual_rules` and `static_rules`, in the words of `ip rule`.

use crate::field::Positional;
use crate::keyword::{FLAG, INTERFACE, WORD, YES, int, no, text};
use crate::macros::entry;
use crate::value::Prefix;

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
        table: Option<String> = ["table", "lookup"], text("number or name"), "required, or another action", YES;
        /// The order among the rules; without it keepalived counts down from 16384.
        preference: Option<u32> = ["preference", "priority", "order"], int(0, 4_294_967_295), "assigned", YES;
        /// Packets that came in there.
        incoming: Option<String> = ["iif", "dev"], INTERFACE, "any", YES;
        /// Packets of sockets bound there.
        outgoing: Option<String> = ["oif"], INTERFACE, "any", YES;
        /// Packets with this mark, perhaps under a mask.
        fwmark: Option<String> = ["fwmark"], text("mark[/mask]"), "any", YES;
        /// Type of service.
        tos: Option<String> = ["tos", "dsfield"], WORD, "any", YES;
        /// Realms.
        realms: Option<String> = ["realms"], WORD, "none", YES;
        /// Ignores routes to prefixes this short.
        suppress_prefixlength: Option<u32> = ["suppress_prefixlength"], int(0, 128), "none", YES;
        /// Ignores routes through this group of interfaces.
        suppress_ifgroup: Option<String> = ["suppress_ifgroup"], WORD, "none", YES;
        /// Goes on at another rule.
        goto: Option<u32> = ["goto"], int(0, 4_294_967_295), "none", YES;
        /// Sockets of these users.
        uidrange: Option<String> = ["uidrange"], text("first-last"), "any", YES;
        /// Looks up the table of the VRF.
        l3mdev: bool = ["l3mdev"], FLAG, "off", YES;
        /// Who is written down as the rule's author.
        protocol: Option<u8> = ["protocol"], int(0, 255), "keepalived (18)", YES;
        /// Packets of this protocol.
        ipproto: Option<String> = ["ipproto"], WORD, "any", YES;
        /// Packets from these ports.
        sport: Option<String> = ["sport"], text("first-last"), "any", YES;
        /// Packets to these ports.
        dport: Option<String> = ["dport"], text("first-last"), "any", YES;
        /// Packets of this tunnel.
        tunnel_id: Option<u64> = ["tunnel-id"], int(0, i64::MAX), "any", YES;
        /// Drops the packet without a word.
        blackhole: bool = ["blackhole"], FLAG, "off", YES;
        /// Answers that the destination is not reachable.
        unreachable: bool = ["unreachable"], FLAG, "off", YES;
        /// Answers that it is forbidden.
        prohibit: bool = ["prohibit"], FLAG, "off", YES;
        /// It is not put back when somebody deletes it. The virtual router stays active in either case.
        no_track: bool = ["no_track"], FLAG, "off: it is put back", YES;
        /// The virtual routers that follow this static rule.
        track_group: Option<String> = ["track_group"], WORD, "none", no("a static rule that is deleted is put back, and no virtual router is told");
        /// The family is IPv6.
        inet6: bool = ["inet6"], FLAG, "from the addresses", YES;
    }
}

impl Rule {
    /// What it is said to do; a rule does one thing.
    pub(crate) fn actions(&self) -> Vec<&'static str> {
        let all = [
            ("table", self.table.is_some()),
            ("goto", self.goto.is_some()),
            ("l3mdev", self.l3mdev),
            ("blackhole", self.blackhole),
            ("unreachable", self.unreachable),
            ("prohibit", self.prohibit),
        ];
        all.into_iter()
            .filter_map(|(word, said)| said.then_some(word))
            .collect()
    }

    /// Whether it leads back, or to itself: the kernel only goes on.
    pub(crate) fn leads_back(&self) -> bool {
        self.goto
            .zip(self.preference)
            .is_some_and(|(goto, preference)| goto <= preference)
    }

    /// Whether it is left out, as keepalived leaves it out: it does not say what to do, says several things, or leads
    /// back.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.actions().len() != 1 || self.leads_back()
    }
}

impl Positional for Rule {
    fn advice(word: &str) -> Option<String> {
        word.parse::<Prefix>()
            .is_ok()
            .then(|| String::from("write `from` or `to` before a network"))
    }
}
