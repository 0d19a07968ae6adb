//! Virtual routers.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::diagnostic::{Severity, Verdict};
use crate::model::configuration::Configuration;
use crate::model::vrrp_instance::{AuthType, State, VrrpInstance};
use crate::reader::Reader;
use crate::source::Origin;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    let mut taken: BTreeMap<Identity<'_>, &VrrpInstance> = BTreeMap::new();
    for router in &configuration.vrrp_instance {
        identity(router, &mut taken, reader);
        none(router, configuration, reader);
        addresses(router, reader);
        source(router, reader);
        timing(router, configuration, reader);
        preemption(router, reader);
        authentication(router, configuration, reader);
        tracked(router, configuration, reader);
        strictness(router, configuration, reader);
    }
    interfaces(configuration, reader);
    groups(configuration, reader);
}

/// What tells virtual routers on one link apart. Unicast ones are told apart by their peers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'a> {
    vrid: u8,
    ipv6: bool,
    interface: &'a str,
    group: Option<IpAddr>,
    peers: Option<IpAddr>,
}

fn identity<'a>(
    router: &'a VrrpInstance,
    taken: &mut BTreeMap<Identity<'a>, &'a VrrpInstance>,
    reader: &mut Reader<'_>,
) {
    let name = &router.name;
    let unicast = !router.unicast_peer.is_empty() && router.unicast_src_ip.is_some();
    // One that stands there with a bad value has been reported with that.
    if router.interface.is_none() && !unicast && !reader.was_refused(router.origin, "interface") {
        reader.at(
            router.origin,
            "",
            Severity::Error,
            format!("`{name}` has no interface"),
            "add `interface` with the name of the network interface",
        );
    }
    if router.interface.as_deref() == Some("lo") {
        reader.at(
            router.origin,
            "interface",
            Severity::Error,
            "the loopback interface reaches nobody",
            "name the interface on which the other hosts are",
        );
    }
    let Some(vrid) = router.virtual_router_id else {
        if !reader.was_refused(router.origin, "virtual_router_id") {
            reader.at(
                router.origin,
                "",
                Severity::Error,
                format!("`{name}` has no virtual_router_id"),
                "add `virtual_router_id` and a number from 1 to 255, the same on all hosts",
            );
        }
        return;
    };
    let peers: Vec<IpAddr> = router.unicast_peer.iter().map(|peer| peer.address).collect();
    let ways: Vec<Option<IpAddr>> = match peers.as_slice() {
        [] => vec![None],
        peers => peers.iter().copied().map(Some).collect(),
    };
    for peer in ways {
        let identity = Identity {
            vrid,
            ipv6: router.is_ipv6(),
            interface: router.interface.as_deref().unwrap_or_default(),
            group: if peer.is_none() { router.mcast_dst_ip } else { None },
            peers: peer,
        };
        if let Some(other) = taken.insert(identity, router) {
            if std::ptr::eq(other, router) {
                continue;
            }
            let interface = router.interface.as_deref().unwrap_or("?");
            let message = format!(
                "`{}` and `{name}` both have VRID {vrid} on {interface}",
                other.name
            );
            reader.at(
                router.origin,
                "virtual_router_id",
                Severity::Error,
                message,
                "give each virtual router on a link its own number",
            );
            return;
        }
    }
}

/// Without an address there is nothing to move, which is meant seldom, and forbidden by the standard of version 3.
fn none(router: &VrrpInstance, configuration: &Configuration, reader: &mut Reader<'_>) {
    if !router.virtual_ipaddress.is_empty() || router.no_virtual_ipaddress {
        return;
    }
    let demanded = router.effective_version(configuration) == 3 || router.is_strict(configuration);
    let severity = if demanded {
        Severity::Error
    } else {
        Severity::Warning
    };
    reader.at(
        router.origin,
        "virtual_ipaddress",
        severity,
        format!("`{}` has no virtual address", router.name),
        "add `virtual_ipaddress { … }`, or `no_virtual_ipaddress` if it is meant",
    );
}

fn addresses(router: &VrrpInstance, reader: &mut Reader<'_>) {
    let first = router
        .virtual_ipaddress
        .first()
        .map(|first| first.address.address);
    let mut seen = HashSet::new();
    for each in &router.virtual_ipaddress {
        let address = each.address.address;
        if let Some(first) = first
            && address.is_ipv4() != first.is_ipv4()
        {
            reader.of_entry(
                each.origin,
                Severity::Error,
                format!("{address} is of another family than {first}"),
                "a virtual router has one family; move it to `virtual_ipaddress_excluded` or to another virtual router",
                Verdict::Reports,
            );
        }
        if !seen.insert(address) {
            reader.of_entry(
                each.origin,
                Severity::Warning,
                format!("{address} is said twice"),
                "the second is ignored",
                Verdict::Silent,
            );
        }
    }
    let count = router.virtual_ipaddress.len();
    if count > 255 {
        reader.at(
            router.origin,
            "virtual_ipaddress",
            Severity::Warning,
            format!("{count} addresses: an advertisement holds 255 of them"),
            "move the rest to `virtual_ipaddress_excluded`",
        );
    }
    for each in router
        .virtual_ipaddress
        .iter()
        .chain(&router.virtual_ipaddress_excluded)
    {
        if let Some(label) = &each.label
            && label.len() > 15
        {
            reader.of_entry(
                each.origin,
                Severity::Error,
                format!("the label `{label}` is too long"),
                "the kernel takes 15 characters",
                Verdict::Silent,
            );
        }
    }
}

fn source(router: &VrrpInstance, reader: &mut Reader<'_>) {
    let family = if router.is_ipv6() { "IPv6" } else { "IPv4" };
    for (keyword, address) in [
        ("mcast_src_ip", router.mcast_src_ip),
        ("unicast_src_ip", router.unicast_src_ip),
        ("mcast_dst_ip", router.mcast_dst_ip),
    ] {
        if let Some(address) = address
            && address.is_ipv6() != router.is_ipv6()
        {
            let message = format!("{address} is not {family}, as the virtual addresses are");
            let advice =
                "use an address of that family, or put the virtual addresses into another virtual router";
            reader.at(router.origin, keyword, Severity::Error, message, advice);
        }
    }
    if let Some(group) = router.mcast_dst_ip
        && !group.is_multicast()
    {
        reader.at(
            router.origin,
            "mcast_dst_ip",
            Severity::Error,
            format!("{group} is no multicast address"),
            "224.0.0.18 and ff02::12 are those of the standard",
        );
    }
    let mut seen = HashSet::new();
    for peer in &router.unicast_peer {
        if !seen.insert(peer.address) {
            reader.of_entry(
                peer.origin,
                Severity::Warning,
                format!("the peer {} is said twice", peer.address),
                "the second is ignored",
                Verdict::Silent,
            );
        }
        if peer.address.is_ipv6() != router.is_ipv6() {
            reader.of_entry(
                peer.origin,
                Severity::Error,
                format!(
                    "the peer {} is not {family}, as the virtual addresses are",
                    peer.address
                ),
                "",
                Verdict::Reports,
            );
        }
    }
    if router.unicast_src_ip.is_some() && router.unicast_peer.is_empty() && !router.unicast_fault_no_peer {
        reader.at_as(
            router.origin,
            "unicast_src_ip",
            Severity::Warning,
            "a unicast source without a `unicast_peer`: advertisements go to the multicast group",
            "name the peers",
            Verdict::Silent,
        );
    }
}

fn timing(router: &VrrpInstance, configuration: &Configuration, reader: &mut Reader<'_>) {
    let Some(interval) = router.advert_int else { return };
    let micros = interval.as_micros();
    if router.effective_version(configuration) == 2 {
        if !micros.is_multiple_of(1_000_000) {
            let rounded = router.effective_interval(configuration);
            reader.at_as(
                router.origin,
                "advert_int",
                Severity::Warning,
                format!("VRRPv2 knows whole seconds: {interval} s becomes {rounded} s"),
                "use `version 3` on all hosts for less than a second",
                Verdict::Reports,
            );
        }
    } else if micros > 40_950_000 {
        reader.at(
            router.origin,
            "advert_int",
            Severity::Warning,
            format!("VRRPv3 knows at most 40.95 s: {interval} s becomes that"),
            "use 40.95 or less",
        );
    } else if !micros.is_multiple_of(10_000) {
        let rounded = router.effective_interval(configuration);
        reader.at_as(
            router.origin,
            "advert_int",
            Severity::Warning,
            format!("VRRPv3 knows hundredths of a second: {interval} s becomes {rounded} s"),
            "",
            Verdict::Reports,
        );
    }
}

fn preemption(router: &VrrpInstance, reader: &mut Reader<'_>) {
    let master = router.state == Some(State::Master);
    let owner = router.effective_priority() == 255;
    if master && router.priority.is_none() && !reader.was_refused(router.origin, "priority") {
        reader.at_as(
            router.origin,
            "state",
            Severity::Warning,
            "`state MASTER` without a priority makes this host the owner of the addresses, priority 255",
            "add `priority 100`, or whatever this host is to have",
            Verdict::Silent,
        );
    }
    let cleared = if owner { "priority 255" } else { "`state MASTER`" };
    if router.nopreempt && (master || owner) {
        reader.at(
            router.origin,
            "nopreempt",
            Severity::Warning,
            format!("{cleared} clears `nopreempt`: this host takes over"),
            "use `state BACKUP` on all hosts together with `nopreempt`",
        );
    }
    let delay = router.preempt_delay.is_some_and(|delay| delay.as_micros() > 0);
    if delay && (master || router.nopreempt) {
        let cleared = if master { "`state MASTER`" } else { "`nopreempt`" };
        reader.at(
            router.origin,
            "preempt_delay",
            Severity::Warning,
            format!("{cleared} clears `preempt_delay`"),
            "",
        );
    }
    if router.nopreempt && router.preempt {
        reader.at_as(
            router.origin,
            "preempt",
            Severity::Error,
            "`preempt` and `nopreempt` contradict each other",
            "keep one of them",
            Verdict::Silent,
        );
    }
}

fn authentication(router: &VrrpInstance, configuration: &Configuration, reader: &mut Reader<'_>) {
    let Some(authentication) = &router.authentication else {
        return;
    };
    let origin = authentication.origin;
    if authentication.auth_type == Some(AuthType::Ah) {
        reader.at_as(
            origin,
            "auth_type",
            Severity::Error,
            "the authentication header (AH) is not supported: peers would not accept our advertisements",
            "use `auth_type PASS`, or none and a filter, on all hosts",
            Verdict::Silent,
        );
    }
    if router.effective_version(configuration) == 3 {
        reader.at(
            origin,
            "auth_type",
            Severity::Warning,
            "VRRPv3 has no authentication: this block is ignored",
            "remove it, or use `version 2`",
        );
        return;
    }
    match &authentication.auth_pass {
        Some(password) if password.len() > 8 => {
            let shown: String = password
                .chars()
                .scan(0, |bytes, each| {
                    *bytes = each.len_utf8().saturating_add(*bytes);
                    (*bytes <= 8).then_some(each)
                })
                .collect();
            reader.at(
                origin,
                "auth_pass",
                Severity::Warning,
                format!("the password is cut to its first 8 bytes, `{shown}`"),
                "whoever knows those 8 gets in; write them only",
            );
        }
        None if authentication.auth_type.is_some() => reader.at(
            origin,
            "auth_type",
            Severity::Error,
            "`auth_type` without `auth_pass`",
            "add `auth_pass` with at most 8 characters, the same on all hosts",
        ),
        _ => {}
    }
    if authentication.auth_type.is_none() && authentication.auth_pass.is_some() {
        reader.at(
            origin,
            "auth_pass",
            Severity::Error,
            "`auth_pass` without `auth_type`",
            "add `auth_type PASS`",
        );
    }
}

fn tracked(router: &VrrpInstance, configuration: &Configuration, reader: &mut Reader<'_>) {
    super::script::known(
        configuration,
        &router.track_script,
        &router.track_file,
        &router.track_process,
        reader,
    );
    for each in &router.track_interface {
        if Some(&each.name) == router.interface.as_ref() {
            reader.of_entry(
                each.origin,
                Severity::Warning,
                format!(
                    "{} is this virtual router's own interface, which is tracked anyhow",
                    each.name
                ),
                "remove the line",
                Verdict::Reports,
            );
        }
    }
}

fn strictness(router: &VrrpInstance, configuration: &Configuration, reader: &mut Reader<'_>) {
    if router.garp_master_repeat == Some(0) {
        reader.at(
            router.origin,
            "garp_master_repeat",
            Severity::Warning,
            "`garp_master_repeat 0` becomes 1: without an announcement nobody finds the addresses",
            "",
        );
    }
    if router.skip_check_adv_addr == Some(false) && reader.was_met(router.origin, "skip_check_adv_addr") {
        reader.at_as(
            router.origin,
            "skip_check_adv_addr",
            Severity::Warning,
            "keepalived reads `skip_check_adv_addr off` as `on`; here off is off",
            "",
            Verdict::Silent,
        );
    }
    let by_hand = router.use_vmac.as_ref().and_then(|vmac| vmac.address.as_ref());
    if let Some(address) = by_hand
        && address.to_ascii_lowercase().starts_with("00:00:5e:00:0")
    {
        reader.at(
            router.origin,
            "use_vmac",
            Severity::Warning,
            format!("{address} is one of the standard's addresses, which nobody may choose: that of the VRID is used"),
            "leave it out",
        );
    }
    if !router.is_strict(configuration) {
        return;
    }
    if router.state == Some(State::Master) && router.effective_priority() != 255 {
        reader.at(
            router.origin,
            "state",
            Severity::Warning,
            "strict mode knows `state MASTER` of the owner of the addresses only (priority 255)",
            "use `state BACKUP`",
        );
    }
    if by_hand.is_some() {
        reader.at(
            router.origin,
            "use_vmac",
            Severity::Warning,
            "strict mode forbids a hardware address of one's own: that of the VRID is used",
            "leave it out",
        );
    }
    if router.vmac_xmit_base {
        reader.at(
            router.origin,
            "vmac_xmit_base",
            Severity::Warning,
            "strict mode forbids `vmac_xmit_base`: it is ignored",
            "",
        );
    }
    if router.down_timer_adverts.is_some_and(|adverts| adverts != 3) {
        reader.at(
            router.origin,
            "down_timer_adverts",
            Severity::Warning,
            "strict mode knows three advertisements only: `down_timer_adverts` is ignored",
            "",
        );
    }
    if !router.unicast_peer.is_empty() {
        reader.at(
            router.origin,
            "unicast_peer",
            Severity::Error,
            "strict mode forbids unicast",
            "remove `vrrp_strict`, or `strict_mode off` here",
        );
    }
    if router.authentication.is_some() {
        reader.at(
            router.origin,
            "authentication",
            Severity::Warning,
            "strict mode forbids authentication: this block is ignored",
            "remove `vrrp_strict`, or this block on all hosts",
        );
    }
    if router.preempt_delay.is_some_and(|delay| delay.as_micros() > 0) {
        reader.at(
            router.origin,
            "preempt_delay",
            Severity::Warning,
            "strict mode forbids `preempt_delay`: it is ignored",
            "",
        );
    }
}

/// Multicast groups that are none.
fn groups(configuration: &Configuration, reader: &mut Reader<'_>) {
    let Some(global) = &configuration.global_defs else {
        return;
    };
    for (keyword, group, ipv4) in [
        ("vrrp_mcast_group4", global.vrrp_mcast_group4, true),
        ("vrrp_mcast_group6", global.vrrp_mcast_group6, false),
    ] {
        if let Some(group) = group
            && !(group.is_multicast() && group.is_ipv4() == ipv4)
        {
            let message = format!("{group} is no multicast address for `{keyword}`");
            reader.at(
                global.origin,
                keyword,
                Severity::Error,
                message,
                "keepalived would take that of the standard",
            );
        }
    }
}

/// Interfaces that are not there.
fn interfaces(configuration: &Configuration, reader: &mut Reader<'_>) {
    let dynamic = configuration
        .global_defs
        .as_ref()
        .is_some_and(|global| global.dynamic_interfaces.is_some());
    if dynamic {
        return;
    }
    let mut wanted: Vec<(&str, Origin, &'static str)> = Vec::new();
    for router in &configuration.vrrp_instance {
        wanted.extend(
            router
                .interface
                .as_deref()
                .map(|name| (name, router.origin, "interface")),
        );
        let held = router
            .virtual_ipaddress
            .iter()
            .chain(&router.virtual_ipaddress_excluded);
        wanted.extend(held.filter_map(|each| Some((each.device.as_deref()?, each.origin, "dev"))));
        wanted.extend(
            router
                .track_interface
                .iter()
                .map(|each| (each.name.as_str(), each.origin, "")),
        );
    }
    for (name, origin, keyword) in wanted {
        if reader.environment.interface_exists(name) == Some(false) {
            reader.at(
                origin,
                keyword,
                Severity::Warning,
                format!("no interface `{name}` on this host now"),
                "the virtual router waits for it; keepalived does not start without it, unless `dynamic_interfaces` is set",
            );
        }
    }
}
