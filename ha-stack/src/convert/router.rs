//! Virtual routers and sync groups.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use keepalived_conf::{
    AuthType, Broadcast, GlobalDefs, Lifetime, Scope, Seconds, SyncGroup, UseVmac, VirtualAddress,
    VrrpInstance,
};
use vrrp_fsm::{AddressListCheck, Announcements, Dialect, Peer, Preempt};
use vrrp_net::{Instance, Pace, VirtualMac};
use vrrp_proto::{AddressFamily, AdverInterval, ChecksumForm, MacAddress, Password, Priority, Vrid};

use crate::convert::Context;
use crate::convert::track::{self, Lists, Object};
use crate::convert::{route, rule, signing};
use crate::plan::{SyncGroupPlan, TrackPlan, TrackedObject, VirtualRouterPlan};

pub(super) fn convert(context: &mut Context<'_>, objects: &[Object]) {
    let configuration = context.configuration;
    for instance in &configuration.vrrp_instance {
        let group = configuration
            .vrrp_sync_group
            .iter()
            .find(|group| group.group.contains(&instance.name));
        if let Some(mut plan) = router(context, instance) {
            plan.tracks = tracks(context, instance, group, objects);
            if instance.unicast_fault_no_peer && instance.unicast_peer.is_empty() {
                plan.tracks.push(TrackPlan {
                    object: TrackedObject::Peer,
                    weight: 0,
                    reverse: false,
                });
            }
            if let Some(group) = group {
                plan.instance = plan.instance.sync_group(&group.name);
            }
            plan.hooks = context.instance_hooks(instance);
            plan.mail = mailed(context, instance.smtp_alert);
            let global = context
                .global()
                .and_then(|global| global.vrrp_notify_priority_changes);
            plan.notify_priority_changes = instance.notify_priority_changes.or(global).unwrap_or(false);
            if let Err(error) = plan.instance.to_parameters() {
                context.error(instance.origin, format!("`{}`: {error}", instance.name));
            }
            context.conversion.plan.virtual_routers.push(plan);
        }
    }
    for group in &configuration.vrrp_sync_group {
        let mut plan = SyncGroupPlan::new(&group.name);
        plan.hooks = context.group_hooks(group);
        plan.mail = mailed(context, group.smtp_alert);
        context.conversion.plan.sync_groups.push(plan);
    }
}

impl<'a> Context<'a> {
    pub(super) fn global(&self) -> Option<&'a GlobalDefs> {
        self.configuration.global_defs.as_ref()
    }
}

/// Mail about virtual routers is off unless asked for.
fn mailed(context: &Context<'_>, own: Option<bool>) -> bool {
    let global = context.global();
    own.or_else(|| global.and_then(|global| global.smtp_alert_vrrp))
        .or_else(|| global.and_then(|global| global.smtp_alert))
        .unwrap_or(false)
}

fn tracks(
    context: &Context<'_>,
    instance: &VrrpInstance,
    group: Option<&SyncGroup>,
    objects: &[Object],
) -> Vec<TrackPlan> {
    let lists = Lists {
        interfaces: &instance.track_interface,
        scripts: &instance.track_script,
        files: &instance.track_file,
        processes: &instance.track_process,
    };
    let interface = instance.interface.as_deref();
    let own = track::tracks(&lists, objects, interface);
    let Some(group) = group else {
        return own;
    };
    let lists = Lists {
        interfaces: &group.track_interface,
        scripts: &group.track_script,
        files: &group.track_file,
        processes: &group.track_process,
    };
    let of_group = track::tracks(&lists, objects, interface);
    let members = context.configuration.vrrp_instance.iter();
    let owner = members
        .filter(|member| group.group.contains(&member.name))
        .any(|member| member.effective_priority() == 255);
    track::in_group(own, of_group, group, owner)
}

fn router(context: &mut Context<'_>, instance: &VrrpInstance) -> Option<VirtualRouterPlan> {
    let name = &instance.name;
    let origin = instance.origin;
    let Some(vrid) = instance.virtual_router_id.and_then(Vrid::new) else {
        context.error(origin, format!("`{name}` has no virtual_router_id"));
        return None;
    };
    let default = context
        .global()
        .and_then(|global| global.default_interface.as_deref());
    let Some(interface) = instance.interface.as_deref().or(default) else {
        context.error(origin, format!("`{name}` has no interface"));
        return None;
    };
    let mut built = Instance::new(name, interface, vrid);
    let mut excluded = HashSet::new();
    // What is said twice counts once, as with keepalived.
    let mut said = HashSet::new();
    for address in &instance.virtual_ipaddress {
        if !said.insert(address.address.address) {
            continue;
        }
        // An advertisement lists so many and no more; keepalived excludes the rest, too.
        let excluded = said.len() > MOST_ADVERTISED;
        built = built.address(address_of(context, instance, interface, address, excluded)?);
    }
    for address in &instance.virtual_ipaddress_excluded {
        let key = (address.address.address, address.device.as_deref());
        if said.contains(&key.0) || !excluded.insert(key) {
            continue;
        }
        built = built.address(address_of(context, instance, interface, address, true)?);
    }
    for route in &instance.virtual_routes {
        if let Some(route) = route::route(context, route, instance.is_ipv6()) {
            built = built.route(route);
        }
    }
    for rule in &instance.virtual_rules {
        let family = match instance.is_ipv6() {
            true => AddressFamily::Ipv6,
            false => AddressFamily::Ipv4,
        };
        if let Some(rule) = rule::rule(context, rule, family) {
            built = built.rule(rule);
        }
    }
    if let Some(vmac) = &instance.use_vmac {
        built = built.virtual_mac(virtual_mac(context, instance, vmac, vrid)?);
    }
    if let Some(source) = instance.unicast_src_ip.or(instance.mcast_src_ip) {
        built = built.source(source);
        if instance.track_src_ip {
            built = built.track_source();
        }
    }
    if let Some(hops) = instance.unicast_ttl.filter(|_| !instance.unicast_peer.is_empty()) {
        built = built.unicast_hop_limit(hops);
    }
    if instance.promote_secondaries {
        built = built.promote_secondaries();
    }
    if instance.dont_track_primary {
        built = built.ignore_carrier();
    }
    if let Some(global) = context.global() {
        if let Some(prefix) = global.vmac_addr_prefix.as_ref().or(global.vmac_prefix.as_ref()) {
            built = built.virtual_link_prefix(prefix);
        }
        if global.log_unknown_vrids {
            built = built.report_unknown();
        }
    }
    built = built.announcement_pace(pace(context, interface));
    built = election(context, instance, built)?;
    let mut secret = 0;
    if let Some(hmac) = &instance.auth_hmac {
        let (signing, secrets) = signing::signing(context, instance, hmac)?;
        built = built.signing(signing);
        secret = secrets;
    }
    let mut plan = VirtualRouterPlan::new(built);
    plan.secret = secret;
    Some(plan)
}

/// What goes to the election itself.
fn election(context: &mut Context<'_>, instance: &VrrpInstance, built: Instance) -> Option<Instance> {
    let configuration = context.configuration;
    let global = context.global();
    let strict = instance.is_strict(configuration);
    let version = instance.effective_version(configuration);
    let dialect = match version {
        2 => Dialect::Rfc3768,
        _ => Dialect::Rfc5798,
    };
    let centiseconds = instance.effective_interval(configuration).as_micros() / 10_000;
    let interval = match version {
        2 => u8::try_from(centiseconds / 100)
            .ok()
            .and_then(AdverInterval::from_seconds),
        _ => u16::try_from(centiseconds)
            .ok()
            .and_then(AdverInterval::from_centiseconds),
    };
    let Some(interval) = interval else {
        context.error(
            instance.origin,
            format!("the advert_int of `{}` cannot be said", instance.name),
        );
        return None;
    };
    let preempt = match (
        instance.preempts(),
        instance.effective_preempt_delay(configuration).as_duration(),
    ) {
        (false, _) => Preempt::Never,
        (true, Duration::ZERO) => Preempt::Immediate,
        (true, delay) => Preempt::Delayed(delay),
    };
    let adverts = match strict {
        true => 3,
        false => instance
            .down_timer_adverts
            .or_else(|| global.and_then(|global| global.vrrp_down_timer_adverts))
            .unwrap_or(3),
    };
    let flag = |own: Option<bool>, global: Option<bool>| own.or(global).unwrap_or(false);
    let skip = flag(
        instance.skip_check_adv_addr,
        global.and_then(|global| global.vrrp_skip_check_adv_addr),
    );
    let no_answer = strict
        || flag(
            instance.lower_prio_no_advert,
            global.and_then(|global| global.vrrp_lower_prio_no_advert),
        );
    let last = !strict
        && flag(
            instance.higher_prio_send_advert,
            global.and_then(|global| global.vrrp_higher_prio_send_advert),
        );
    let deaf_owner = strict
        || flag(
            instance.owner_ignore_adverts,
            global.and_then(|global| global.vrrp_owner_ignore_adverts),
        );
    let check_peers =
        instance.check_unicast_src || global.is_some_and(|global| global.vrrp_check_unicast_src);
    let form = match instance.v3_checksum_as_v2 {
        Some(true) if version == 3 && !instance.is_ipv6() => ChecksumForm::Rfc9568,
        _ => ChecksumForm::Rfc5798,
    };
    let password = instance.authentication.as_ref().and_then(|authentication| {
        let is_password = authentication.auth_type == Some(AuthType::Pass) && version == 2 && !strict;
        let text = authentication.auth_pass.as_ref().filter(|_| is_password)?;
        Some(Password::truncating(text.as_bytes()))
    });
    let group = instance.mcast_dst_ip.or_else(|| {
        global.and_then(|global| match instance.is_ipv6() {
            true => global.vrrp_mcast_group6,
            false => global.vrrp_mcast_group4,
        })
    });
    let peers: Vec<Peer> = instance
        .unicast_peer
        .iter()
        .enumerate()
        .filter(|(place, peer)| {
            let mut before = instance.unicast_peer.iter().take(*place);
            !before.any(|known| known.address == peer.address)
        })
        .map(|(_, peer)| Peer {
            minimum_hop_limit: peer.min_ttl.unwrap_or(0),
            maximum_hop_limit: peer.max_ttl.unwrap_or(255),
            ..Peer::new(peer.address)
        })
        .collect();
    // A bound for one peer makes every sender be looked at.
    let check_peers = check_peers
        || instance
            .unicast_peer
            .iter()
            .any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
    let priority = Priority::new(instance.effective_priority());
    let family = match instance.is_ipv6() {
        true => AddressFamily::Ipv6,
        false => AddressFamily::Ipv4,
    };
    let announcements = announcements(instance, global, strict);
    let accepts = instance.accepts(configuration);
    Some(built.parameters(move |builder| {
        let mut builder = builder
            .dialect(dialect)
            .priority(priority)
            .adver_interval(interval)
            .accept_mode(accepts)
            .preempt(preempt)
            .down_timer_adverts(adverts)
            .announcements(announcements)
            .address_list_check(if skip {
                AddressListCheck::Ignore
            } else {
                AddressListCheck::Accept
            })
            .answer_lower_priority(!no_answer)
            .advertise_before_yielding(last)
            .owner_ignores_advertisements(deaf_owner)
            .any_first_address(!strict)
            .checksum_form(form)
            .check_peers(check_peers)
            .no_address(family);
        if let Some(password) = password {
            builder = builder.password(password);
        }
        if !peers.is_empty() {
            builder.unicast_peers(peers.iter().copied())
        } else if let Some(group) = group {
            builder.multicast_group(group)
        } else {
            builder
        }
    }))
}

fn announcements(instance: &VrrpInstance, global: Option<&GlobalDefs>, strict: bool) -> Announcements {
    let number =
        |own: Option<u32>, of_all: fn(&GlobalDefs) -> Option<u32>| own.or_else(|| global.and_then(of_all));
    let count = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    let seconds = |number: u32| Duration::from_secs(number.into());
    let least = global.is_some_and(|global| global.vrrp_min_garp == Some(true));
    // `vrrp_min_garp` holds for what is not set otherwise.
    let (usual_repeat, usual_delay) = if least { (1, 0) } else { (5, 5) };
    let repeat = number(instance.garp_master_repeat, |global| {
        global.vrrp_garp_master_repeat
    })
    .unwrap_or(usual_repeat)
    .max(1);
    let delay =
        number(instance.garp_master_delay, |global| global.vrrp_garp_master_delay).unwrap_or(usual_delay);
    let refresh = number(instance.garp_master_refresh, |global| {
        global.vrrp_garp_master_refresh
    })
    .unwrap_or(0);
    let refresh_repeat = number(instance.garp_master_refresh_repeat, |global| {
        global.vrrp_garp_master_refresh_repeat
    })
    .unwrap_or(1);
    let (lower_repeat, lower_delay) = match strict {
        true => (0, 0),
        false => (
            number(instance.garp_lower_prio_repeat, |global| {
                global.vrrp_garp_lower_prio_repeat
            })
            .unwrap_or(repeat),
            number(instance.garp_lower_prio_delay, |global| {
                global.vrrp_garp_lower_prio_delay
            })
            .unwrap_or(delay),
        ),
    };
    Announcements {
        repeat: count(repeat),
        delay: seconds(delay),
        refresh: seconds(refresh),
        refresh_repeat: count(refresh_repeat),
        lower_priority_repeat: count(lower_repeat),
        lower_priority_delay: seconds(lower_delay),
    }
}

/// The time between two announcements: that of the interface's `garp_group`, which all its interfaces share, else that of
/// all, for each interface by itself.
fn pace(context: &Context<'_>, interface: &str) -> Pace {
    let duration = |seconds: Option<Seconds>| seconds.unwrap_or_default().as_duration();
    let mut groups = context.configuration.garp_group.iter().enumerate();
    let found = groups.find(|(_, group)| {
        group.interface.as_deref() == Some(interface) || group.interfaces.iter().any(|name| name == interface)
    });
    if let Some((number, group)) = found {
        // They have no names; their places do as well.
        return Pace::new(duration(group.garp_interval), duration(group.gna_interval))
            .shared(&number.to_string());
    }
    let global = context.global();
    Pace::new(
        duration(global.and_then(|global| global.vrrp_garp_interval)),
        duration(global.and_then(|global| global.vrrp_gna_interval)),
    )
}

/// An address of a virtual router, on the interface or the macvlan where it belongs.
fn address_of(
    context: &mut Context<'_>,
    instance: &VrrpInstance,
    interface: &str,
    address: &VirtualAddress,
    excluded: bool,
) -> Option<vrrp_net::VirtualAddress> {
    let built = virtual_address(context, address, excluded)?;
    let other_interface = address
        .device
        .as_deref()
        .is_some_and(|device| device != interface);
    let other_family = address.address.address.is_ipv6() != instance.is_ipv6();
    let own_link = address.use_vmac || (instance.use_vmac_addr && (other_interface || other_family));
    Some(if own_link { built.virtual_mac() } else { built })
}

pub(super) fn virtual_address(
    context: &mut Context<'_>,
    address: &VirtualAddress,
    excluded: bool,
) -> Option<vrrp_net::VirtualAddress> {
    let prefix = address.address;
    let Some(mut built) = vrrp_net::VirtualAddress::new(prefix.address, prefix.effective_length()) else {
        context.error(
            address.origin,
            format!("`{prefix}` has a prefix length that does not fit"),
        );
        return None;
    };
    if excluded {
        built = built.excluded();
    }
    if let Some(device) = &address.device {
        built = built.device(device);
    }
    if let Some(label) = &address.label {
        built = built.label(label);
    }
    built = match address.scope {
        Some(Scope::Site) => built.scope(vrrp_net::Scope::Site),
        Some(Scope::Link) => built.scope(vrrp_net::Scope::Link),
        Some(Scope::Host) => built.scope(vrrp_net::Scope::Host),
        Some(Scope::Nowhere) => built.scope(vrrp_net::Scope::Other(255)),
        _ => built,
    };
    built = match address.broadcast {
        Some(Broadcast::Highest) => built.broadcast(vrrp_net::Broadcast::Ones),
        Some(Broadcast::Lowest) => built.broadcast(vrrp_net::Broadcast::Zeros),
        Some(Broadcast::Address(IpAddr::V4(broadcast))) => {
            built.broadcast(vrrp_net::Broadcast::Address(broadcast))
        }
        Some(Broadcast::Address(IpAddr::V6(_))) | None => built,
    };
    if let Some(peer) = address.peer {
        built = built.peer(peer.address);
    }
    if address.home {
        built = built.home();
    }
    if address.nodad {
        built = built.detect_duplicates();
    }
    if address.noprefixroute {
        built = built.no_prefix_route();
    }
    match address.preferred_lft {
        Some(Lifetime::Forever) => built = built.preferred_source(true),
        Some(Lifetime::Seconds(0)) => built = built.preferred_source(false),
        Some(Lifetime::Seconds(_)) => context.warning(
            address.origin,
            format!("`{prefix}` is preferred for as long as it is there: the lifetime is not set"),
        ),
        None => {}
    }
    if address.mngtmpaddr {
        built = built.manage_temporary();
    }
    if address.autojoin {
        built = built.autojoin();
    }
    if address.no_track {
        built = built.untracked();
    }
    Some(built)
}

fn virtual_mac(
    context: &mut Context<'_>,
    instance: &VrrpInstance,
    vmac: &UseVmac,
    vrid: Vrid,
) -> Option<VirtualMac> {
    let mut built = VirtualMac::standard();
    let prefix = context.global().and_then(|global| global.vmac_prefix.clone());
    let name = vmac.name.clone().or_else(|| {
        let family = if instance.is_ipv6() { "6" } else { "" };
        prefix.map(|prefix| format!("{prefix}{family}.{}", vrid.get()))
    });
    if let Some(name) = name {
        built = built.name(&name);
    }
    let is_strict = instance.is_strict(context.configuration);
    // Those of the standard follow from the VRID, which one that is given by hand need not.
    let is_standard = |text: &&String| text.to_ascii_lowercase().starts_with("00:00:5e:00:0");
    if let Some(text) = vmac
        .address
        .as_ref()
        .filter(|text| !is_strict && !is_standard(text))
    {
        let mut octets: Vec<u8> = text
            .split(':')
            .filter_map(|octet| u8::from_str_radix(octet, 16).ok())
            .collect();
        if octets.len() == 5 {
            octets.push(vrid.get());
        }
        let Ok(octets) = <[u8; 6]>::try_from(octets) else {
            context.error(instance.origin, format!("`{text}` is no hardware address"));
            return None;
        };
        built = built.mac(MacAddress(octets));
    }
    // keepalived sends to peers from the interface below, too.
    if (instance.vmac_xmit_base && !is_strict) || !instance.unicast_peer.is_empty() {
        built = built.transmit_from_base();
    }
    Some(built)
}

/// As many addresses fit into one advertisement.
const MOST_ADVERTISED: usize = 255;
