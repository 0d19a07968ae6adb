//! `vrrp_instance`.

use std::net::IpAddr;

use crate::command::Command;
use crate::field::{List, Value};
use crate::keyword::{
    ADDRESS, BOOL, FLAG, INTERFACE, Keyword, Range, SCRIPT, VITAL, WORD, YES, count, int, list, no, secs,
    text,
};
use crate::lexer::Words;
use crate::macros::{block, words};
use crate::model::address::VirtualAddress;
use crate::model::bfd::BFD;
use crate::model::raw::Raw;
use crate::model::route::Route;
use crate::model::rule::Rule;
use crate::model::track::{TrackBfd, TrackFile, TrackInterface, TrackProcess, TrackScript, UnicastPeer};
use crate::reader::Reader;
use crate::value::{Seconds, ignored};

block! {
    /// A virtual router: addresses that one of several hosts holds.
    VrrpInstance(name: String) = "vrrp_instance" {
        /// A hint: active at the start only together with priority 255; sets priority 255 where none is given.
        state: Option<State> = ["state"], Range::OneOf(State::WORDS), "BACKUP; MASTER at priority 255", YES;
        /// The interface that carries the advertisements.
        interface: Option<String> = ["interface"], INTERFACE, "required", VITAL;
        /// The number of the virtual router on its link.
        virtual_router_id: Option<u8> = ["virtual_router_id"], int(1, 255), "required", VITAL;
        /// Who has the highest is elected; 255 is the owner of the addresses.
        priority: Option<u8> = ["priority"], int(1, 255), "100; 255 with `state MASTER`", VITAL;
        /// The time between two advertisements. VRRPv2 rounds to whole seconds, VRRPv3 to hundredths, at most 40.95 s.
        advert_int: Option<Seconds> = ["advert_int"], secs(10, 255_000), "1 s", VITAL;
        /// The version of the protocol.
        version: Option<u8> = ["version"], int(2, 3), "`vrrp_version`; 3 for IPv6", VITAL;
        /// The password of VRRPv2.
        authentication: Option<Authentication> = ["authentication"], Range::Block("auth_type and auth_pass"), "none", VITAL;
        /// A keyed digest behind each advertisement, with protection against replay.
        auth_hmac: Option<AuthHmac> = ["auth_hmac"], Range::Block("keys"), "none", VITAL.new_in_keepalived();
        /// The addresses, advertised in this order.
        virtual_ipaddress: List<VirtualAddress> = ["virtual_ipaddress"], list("addresses"), "none", VITAL;
        /// Addresses that are held but not advertised; any family.
        virtual_ipaddress_excluded: List<VirtualAddress> = ["virtual_ipaddress_excluded"], list("addresses"), "none", VITAL;
        /// Says that there are no addresses on purpose.
        no_virtual_ipaddress: bool = ["no_virtual_ipaddress"], FLAG, "off", VITAL.new_in_keepalived();
        /// Routes that exist while active.
        virtual_routes: List<Route> = ["virtual_routes"], list("routes"), "none", VITAL;
        /// Routing rules that exist while active.
        virtual_rules: List<Rule> = ["virtual_rules"], list("rules"), "none", VITAL;
        /// Keeps the other addresses of a network when one of them is removed.
        promote_secondaries: bool = ["promote_secondaries"], FLAG, "off", YES;
        /// Does not take over from an active router of lower priority.
        nopreempt: bool = ["nopreempt"], FLAG, "off", VITAL;
        /// Takes over from an active router of lower priority.
        preempt: bool = ["preempt"], FLAG, "on", VITAL;
        /// Waits so long before it takes over from an active router of lower priority.
        preempt_delay: Option<Seconds> = ["preempt_delay"], secs(0, 1_000_000), "0 s", VITAL;
        /// So many advertisements may be missed before a backup takes over.
        down_timer_adverts: Option<u8> = ["down_timer_adverts"], count(1, 100, "advertisements"), "`vrrp_down_timer_adverts`", VITAL;
        /// Steps back when this process ran so late that a peer must have taken over. So it is always here, with `nopreempt` or without it and whatever the priority, but for the owner.
        timer_expired_backup: Option<Raw> = ["timer_expired_backup"], text("[1..254]"), "always on", YES.new_in_keepalived();
        /// Accepts packets to the addresses.
        accept: bool = ["accept"], FLAG, "on, except in strict mode", YES;
        /// Accepts no packets to the addresses, unless it is their owner. Where the kernel has no nf_tables that is said,
        /// and they are accepted.
        no_accept: bool = ["no_accept"], FLAG, "on in strict mode", YES;
        /// Follows the standard to the letter.
        strict_mode: Option<bool> = ["strict_mode"], BOOL, "`vrrp_strict`", VITAL;
        /// Compares the address list only when another router advertises than before. keepalived reads `off` as `on`.
        skip_check_adv_addr: Option<bool> = ["skip_check_adv_addr"], BOOL, "`vrrp_skip_check_adv_addr`", YES;
        /// Does not answer an advertisement of lower priority at once.
        lower_prio_no_advert: Option<bool> = ["lower_prio_no_advert"], BOOL, "`vrrp_lower_prio_no_advert`", YES;
        /// Advertises once more before it yields to a higher priority.
        higher_prio_send_advert: Option<bool> = ["higher_prio_send_advert"], BOOL, "`vrrp_higher_prio_send_advert`", YES;
        /// The owner of the addresses listens to nobody.
        owner_ignore_adverts: Option<bool> = ["owner_ignore_adverts"], BOOL, "off", YES.new_in_keepalived();
        /// VRRPv3 checksum without the addresses, as RFC 9568 and some routers have it for IPv4.
        v3_checksum_as_v2: Option<bool> = ["v3_checksum_as_v2"], BOOL, "off", YES.new_in_keepalived();
        /// Checksum of VRRPv3 unicast as before keepalived 1.3.7.
        old_unicast_checksum: Option<OldChecksum> = ["old_unicast_checksum"], text("[never]"), "found out from what is received", no("advertisements of keepalived before 1.3.7 over VRRPv3 unicast are not understood");
        /// The source address of advertisements.
        mcast_src_ip: Option<IpAddr> = ["mcast_src_ip"], ADDRESS, "the first address of the interface", VITAL;
        /// The source address of advertisements sent to peers.
        unicast_src_ip: Option<IpAddr> = ["unicast_src_ip"], ADDRESS, "the first address of the interface", VITAL;
        /// The multicast group.
        mcast_dst_ip: Option<IpAddr> = ["mcast_dst_ip"], ADDRESS, "`vrrp_mcast_group4`, `vrrp_mcast_group6`", VITAL;
        /// Sends to these instead of to the group.
        unicast_peer: List<UnicastPeer> = ["unicast_peer"], list("addresses"), "none", VITAL;
        /// Without peers it is at fault, instead of using multicast.
        unicast_fault_no_peer: bool = ["unicast_fault_no_peer"], FLAG, "off", VITAL;
        /// Time to live of advertisements sent to peers.
        unicast_ttl: Option<u8> = ["unicast_ttl"], int(0, 255), "255", YES;
        /// Discards advertisements of whoever is not a peer.
        check_unicast_src: bool = ["check_unicast_src"], FLAG, "`vrrp_check_unicast_src`", VITAL;
        /// Without its source address it is at fault.
        track_src_ip: bool = ["track_src_ip"], FLAG, "off", VITAL;
        /// A macvlan with the virtual router's own hardware address.
        use_vmac: Option<UseVmac> = ["use_vmac"], text("[name] [hardware address]"), "off", VITAL;
        /// The same for addresses on other interfaces, and of the other family.
        use_vmac_addr: bool = ["use_vmac_addr"], FLAG, "off", YES;
        /// Advertisements leave through the interface below the macvlan.
        vmac_xmit_base: bool = ["vmac_xmit_base"], FLAG, "off", YES;
        /// An ipvlan instead of a macvlan.
        use_ipvlan: Option<Raw> = ["use_ipvlan"], text("[name] [address] [bridge|private|vepa]"), "off", no("the addresses are put on the interface itself");
        /// For unicast without an interface: the VRF.
        vrf: Option<String> = ["vrf"], INTERFACE, "none", no("name the interface instead");
        /// Old word: the family follows from the addresses.
        native_ipv6: bool = ["native_ipv6"], FLAG, "off", no("it is an old word without an effect: the family follows from the addresses");
        /// Takes no notice of the state of its own interface.
        dont_track_primary: bool = ["dont_track_primary"], FLAG, "off", VITAL;
        /// Interfaces that count.
        track_interface: List<TrackInterface> = ["track_interface"], list("interface [weight N] [reverse]"), "none", VITAL;
        /// Check scripts that count.
        track_script: List<TrackScript> = ["track_script"], list("script [weight N] [reverse|noreverse]"), "none", VITAL;
        /// Files that count.
        track_file: List<TrackFile> = ["track_file"], list("file [weight N] [reverse|noreverse]"), "none", VITAL;
        /// Processes that count.
        track_process: List<TrackProcess> = ["track_process"], list("process [weight N] [reverse|noreverse]"), "none", VITAL;
        /// BFD sessions that count.
        track_bfd: List<TrackBfd> = ["track_bfd"], list("session [weight N] [reverse|noreverse]"), "none", BFD;
        /// Announcements sent together when it becomes active.
        garp_master_repeat: Option<u32> = ["garp_master_repeat"], count(0, 4_294_967_295, "packets"), "`vrrp_garp_master_repeat`", YES;
        /// After so long they are sent once more; 0 for not.
        garp_master_delay: Option<u32> = ["garp_master_delay"], count(0, 86_400, "s"), "`vrrp_garp_master_delay`", YES;
        /// Announces again and again while active; 0 for not.
        garp_master_refresh: Option<u32> = ["garp_master_refresh"], count(0, 86_400, "s"), "`vrrp_garp_master_refresh`", YES;
        /// Announcements sent together at each refresh.
        garp_master_refresh_repeat: Option<u32> = ["garp_master_refresh_repeat"], count(0, 4_294_967_295, "packets"), "`vrrp_garp_master_refresh_repeat`", YES;
        /// Announcements sent together when an advertisement of lower priority is heard.
        garp_lower_prio_repeat: Option<u32> = ["garp_lower_prio_repeat"], count(0, 4_294_967_295, "packets"), "`vrrp_garp_lower_prio_repeat`", YES;
        /// After so long they are sent once more.
        garp_lower_prio_delay: Option<u32> = ["garp_lower_prio_delay"], count(0, 86_400, "s"), "`vrrp_garp_lower_prio_delay`", YES;
        /// Announces on interfaces that carry no advertisements.
        garp_extra_if: Option<GarpExtraIf> = ["garp_extra_if", "vmac_garp_intvl"], text("[all] seconds"), "0 s", no("addresses on other interfaces are announced as all are");
        /// Run when it becomes active.
        notify_master: Option<Command> = ["notify_master"], SCRIPT, "none", YES;
        /// Run when it becomes backup.
        notify_backup: Option<Command> = ["notify_backup"], SCRIPT, "none", YES;
        /// Run when it is at fault.
        notify_fault: Option<Command> = ["notify_fault"], SCRIPT, "none", YES;
        /// Run when the daemon stops.
        notify_stop: Option<Command> = ["notify_stop"], SCRIPT, "none", YES;
        /// Run when a reload has removed it.
        notify_deleted: Option<Command> = ["notify_deleted"], text("[\"command arguments\" [user [group]]]"), "`notify_fault`", YES;
        /// Run at each change, with `INSTANCE`, the name, the state and the priority appended.
        notify: Option<Command> = ["notify"], SCRIPT, "none", YES;
        /// Run when an advertisement of lower priority is heard while active.
        notify_master_rx_lower_pri: Option<Command> = ["notify_master_rx_lower_pri"], SCRIPT, "none", YES;
        /// Writes priorities to the FIFOs too.
        notify_priority_changes: Option<bool> = ["notify_priority_changes"], BOOL, "`vrrp_notify_priority_changes`", YES;
        /// Mails at each change.
        smtp_alert: Option<bool> = ["smtp_alert"], BOOL, "`smtp_alert_vrrp`", YES;
        /// Has no effect in keepalived either.
        debug: Option<u8> = ["debug"], int(0, 4), "0", no("it has no effect, in keepalived neither");
        /// Receive buffer of the socket.
        kernel_rx_buf_size: Option<u32> = ["kernel_rx_buf_size"], count(0, 4_294_967_295, "bytes"), "the system's", no("the driver sizes its own buffers");
        /// Old word: asks after the link again and again.
        linkbeat_use_polling: bool = ["linkbeat_use_polling"], FLAG, "off", no("the kernel's messages are believed");
    }
}

block! {
    /// The authentication of VRRPv2.
    Authentication = "authentication" {
        /// The kind.
        auth_type: Option<AuthType> = ["auth_type"], Range::OneOf(AuthType::WORDS), "none", VITAL;
        /// The password; eight bytes of it count.
        auth_pass: Option<String> = ["auth_pass"], WORD, "none", VITAL;
    }
}

block! {
    /// The keyed digest of keepalived 2.4.
    AuthHmac = "auth_hmac" {
        /// A key with its number.
        key: Vec<Raw> = ["key"], text("number, then hex:…, file:… or text"), "required", VITAL;
        /// The key that is used to send.
        active_key: Option<u8> = ["active_key"], int(1, 255), "the first", VITAL;
        /// From what the sequence is made.
        anti_replay: Option<String> = ["anti_replay"], Range::OneOf(&["time", "monotonic"]), "time", VITAL;
        /// How far clocks may differ.
        time_window: Option<u32> = ["time_window"], count(1, 300, "s"), "three intervals, at least 5 s", VITAL;
        /// What happens to advertisements without it.
        mode: Option<String> = ["mode"], Range::OneOf(&["enforce", "permissive", "receive-only"]), "enforce", VITAL;
    }
}

words! {
    /// What a virtual router is said to be at the start.
    State {
        /// Active.
        Master = ["MASTER"],
        /// Backup.
        Backup = ["BACKUP"],
    }
    prevails Master
}

words! {
    /// The kind of authentication.
    AuthType {
        /// A password in clear.
        Pass = ["PASS"],
        /// The IPsec authentication header.
        Ah = ["AH"],
    }
}

/// The macvlan of a virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct UseVmac {
    /// The name of the interface; without it `vrrp.VRID`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub name: Option<String>,
    /// The hardware address: five or six octets; of five the VRID is the sixth. Without it that of the standard.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub address: Option<String>,
}

impl Value for UseVmac {
    fn take(words: &mut Words<'_>, _: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut found = Self::default();
        while let Some(word) = words.peek() {
            // Of keepalived after 2.2.7. The first is about a message that the kernel sends here in any case.
            if words.take_if(|word| word == "netlink_notify_msg").is_some() {
                continue;
            }
            if let Some(group) = words.take_if(|word| word == "group") {
                words.take();
                ignored(
                    group,
                    "is not set: the macvlan is in the usual group of interfaces",
                    reader,
                );
                continue;
            }
            let octets: Vec<&str> = word.text.split(':').collect();
            let hexadecimal = |octet: &&str| octet.len() <= 2 && u8::from_str_radix(octet, 16).is_ok();
            if matches!(octets.len(), 5 | 6) && octets.iter().all(hexadecimal) && found.address.is_none() {
                found.address = Some(word.text.to_string());
            } else if found.name.is_none() && found.address.is_none() {
                found.name = Some(word.text.to_string());
            } else {
                break;
            }
            words.take();
        }
        Some(found)
    }

    fn put(&self, line: &mut Vec<String>) {
        line.extend(self.name.clone());
        line.extend(self.address.clone());
    }
}

/// The old form of the unicast checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct OldChecksum {
    /// Never, whatever is received.
    pub never: bool,
}

impl Value for OldChecksum {
    fn take(words: &mut Words<'_>, _: &Keyword, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            never: words.take_if(|word| word == "never").is_some(),
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        if self.never {
            line.push(String::from("never"));
        }
    }
}

/// Announcements on interfaces that carry no advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct GarpExtraIf {
    /// On all of them, not only on macvlans.
    #[cfg_attr(feature = "serde", serde(default))]
    pub all: bool,
    /// The time between two rounds.
    pub interval: Seconds,
}

impl Value for GarpExtraIf {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let all = words.take_if(|word| word == "all").is_some();
        let range = Keyword {
            range: Range::Seconds {
                least: 0,
                most: 86_400_000_000,
            },
            ..*keyword
        };
        Some(Self {
            all,
            interval: Seconds::take(words, &range, reader)?,
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        if self.all {
            line.push(String::from("all"));
        }
        self.interval.put(line);
    }
}

crate::macros::settings!(UseVmac, OldChecksum, GarpExtraIf);
