//! The state in the forms that keepalived writes to files when it gets a signal, for programs that read those.
//!
//! They hold what there is here to tell under keepalived's names; what this stack has no counterpart for is left out.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vrrp_fsm::{AddressListCheck, Parameters, Preempt};
use vrrp_net::VirtualAddress;

use crate::plan::{Plan, VirtualRouterPlan};
use crate::status::{Status, VirtualRouterStatus};

/// keepalived's JSON: for each virtual router `data` and `stats`. `version` 1 is an array of them, 2 an object with that array
/// under `vrrp`.
pub fn keepalived_json(status: &Status, plan: &Plan, version: u8) -> Value {
    let rows: Vec<Value> = routers(status, plan)
        .map(|(router, plan, parameters)| {
            json!({ "data": data(router, plan, parameters.as_ref()), "stats": stats(router) })
        })
        .collect();
    match version {
        2 => json!({ "vrrp": rows }),
        _ => Value::Array(rows),
    }
}

/// keepalived's text about the state of each virtual router and sync group.
pub fn keepalived_data(status: &Status, plan: &Plan) -> String {
    let mut text = String::from("------< VRRP Topology >------\n");
    for (router, plan, parameters) in routers(status, plan) {
        // Writing to a string does not fail.
        let _ = router_text(&mut text, router, plan, parameters.as_ref());
    }
    if !status.sync_groups.is_empty() {
        text.push_str("------< VRRP Sync groups >------\n");
    }
    for group in &status.sync_groups {
        let _ = writeln!(
            text,
            " VRRP Sync Group = {}, {}\n   VRRP member instances :",
            group.name,
            word(&group.state),
        );
        for member in &group.members {
            let _ = writeln!(text, "     {member}");
        }
    }
    text
}

/// keepalived's text about the counters of each virtual router.
pub fn keepalived_stats(status: &Status) -> String {
    let mut text = String::new();
    for router in &status.virtual_routers {
        let count = |name: &str| router.statistics.get(name).copied().unwrap_or(0);
        let _ = write!(
            text,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  \
             Released master: {}\n  Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    \
             Advertisement Interval: {}\n    Address List: {}\n  Authentication Errors:\n    Invalid Type: 0\n    \
             Type Mismatch: 0\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    Sent: {}\n",
            router.name,
            count("advertisements_received"),
            count("advertisements_sent"),
            count("became_active"),
            count("released_active"),
            count("length_errors"),
            count("ttl_errors"),
            count("type_errors"),
            count("interval_errors"),
            count("address_list_errors"),
            count("authentication_errors"),
            count("priority_zero_received"),
            count("priority_zero_sent"),
        );
    }
    text
}

type Row<'a> = (
    &'a VirtualRouterStatus,
    Option<&'a VirtualRouterPlan>,
    Option<Parameters>,
);

/// Each virtual router beside what was planned for it.
fn routers<'a>(status: &'a Status, plan: &'a Plan) -> impl Iterator<Item = Row<'a>> {
    status.virtual_routers.iter().map(|router| {
        let plans = &plan.virtual_routers;
        let own = plans.iter().find(|own| own.instance.name() == router.name);
        // What runs has been checked.
        let parameters = own.and_then(|own| own.instance.to_parameters().ok());
        (router, own, parameters)
    })
}

fn data(
    router: &VirtualRouterStatus,
    plan: Option<&VirtualRouterPlan>,
    parameters: Option<&Parameters>,
) -> Value {
    let mut data = json!({
        "iname": router.name,
        "ifp_ifname": router.interface,
        "vrid": router.vrid,
        "base_priority": router.priority,
        "effective_priority": router.effective_priority,
        "vipset": router.state == "active",
        "state": number(&router.state),
        "wantstate": number(wanted(router)),
        "version": router.version,
        "last_transition": seconds_since_1970(&router.since),
    });
    let Some(rest) = data.as_object_mut() else {
        return data;
    };
    if let Some(plan) = plan {
        let of = |excluded: bool| -> Vec<String> {
            let addresses = plan.instance.virtual_addresses();
            addresses
                .filter(|address| address.is_excluded() == excluded)
                .map(|address| line(address, router))
                .collect()
        };
        for (name, addresses) in [("vips", of(false)), ("evips", of(true))] {
            if !addresses.is_empty() {
                rest.insert(name.to_owned(), addresses.into());
            }
        }
        rest.insert("smtp_alert".to_owned(), plan.mail.into());
        rest.insert("notify_deleted".to_owned(), plan.hooks.deleted.is_some().into());
    }
    if let Some(parameters) = parameters {
        let announcements = parameters.announcements();
        let interval = f64::from(parameters.adver_interval().centiseconds()) / 100.0;
        let (nopreempt, delay) = match parameters.preempt() {
            Preempt::Never => (true, 0),
            Preempt::Immediate => (false, 0),
            Preempt::Delayed(delay) => (false, delay.as_secs()),
        };
        let more = [
            ("adver_int", json!(interval)),
            ("nopreempt", json!(nopreempt)),
            ("preempt_delay", json!(delay)),
            ("garp_delay", json!(announcements.delay.as_secs_f64())),
            ("garp_rep", json!(announcements.repeat)),
            ("garp_refresh", json!(announcements.refresh.as_secs())),
            ("garp_refresh_rep", json!(announcements.refresh_repeat)),
            (
                "garp_lower_prio_delay",
                json!(announcements.lower_priority_delay.as_secs()),
            ),
            ("garp_lower_prio_rep", json!(announcements.lower_priority_repeat)),
            (
                "lower_prio_no_advert",
                json!(u8::from(!parameters.answers_lower_priority())),
            ),
            (
                "higher_prio_send_advert",
                json!(u8::from(parameters.advertises_before_yielding())),
            ),
            (
                "skip_check_adv_addr",
                json!(u8::from(
                    parameters.address_list_check() == AddressListCheck::Ignore
                )),
            ),
            ("accept", json!(u8::from(parameters.accept_mode()))),
        ];
        rest.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    data
}

fn stats(router: &VirtualRouterStatus) -> Value {
    let count = |name: &str| router.statistics.get(name).copied().unwrap_or(0);
    json!({
        "advert_rcvd": count("advertisements_received"),
        "advert_sent": count("advertisements_sent"),
        "become_master": count("became_active"),
        "release_master": count("released_active"),
        "packet_len_err": count("length_errors"),
        "advert_interval_err": count("interval_errors"),
        "ip_ttl_err": count("ttl_errors"),
        "invalid_type_rcvd": count("type_errors"),
        "addr_list_err": count("address_list_errors"),
        "invalid_authtype": 0,
        "authtype_mismatch": 0,
        "auth_failure": count("authentication_errors"),
        "pri_zero_rcvd": count("priority_zero_received"),
        "pri_zero_sent": count("priority_zero_sent"),
    })
}

fn router_text(
    text: &mut String,
    router: &VirtualRouterStatus,
    plan: Option<&VirtualRouterPlan>,
    parameters: Option<&Parameters>,
) -> std::fmt::Result {
    writeln!(text, " VRRP Instance = {}", router.name)?;
    writeln!(text, "   VRRP Version = {}", router.version)?;
    if let Some(group) = plan.and_then(|plan| plan.instance.group()) {
        writeln!(text, "   Sync group = {group}")?;
    }
    writeln!(text, "   State = {}", word(&router.state))?;
    writeln!(text, "   Wantstate = {}", word(wanted(router)))?;
    writeln!(
        text,
        "   Last transition = {:.6} ({})",
        seconds_since_1970(&router.since),
        router.since
    )?;
    writeln!(text, "   Interface = {}", router.interface)?;
    if let Some(parameters) = parameters {
        let announcements = parameters.announcements();
        writeln!(
            text,
            "   Gratuitous ARP delay = {}",
            announcements.delay.as_secs()
        )?;
        writeln!(text, "   Gratuitous ARP repeat = {}", announcements.repeat)?;
        writeln!(
            text,
            "   Gratuitous ARP refresh = {}",
            announcements.refresh.as_secs()
        )?;
        writeln!(
            text,
            "   Gratuitous ARP refresh repeat = {}",
            announcements.refresh_repeat
        )?;
        writeln!(
            text,
            "   Gratuitous ARP lower priority delay = {}",
            announcements.lower_priority_delay.as_secs()
        )?;
        writeln!(
            text,
            "   Gratuitous ARP lower priority repeat = {}",
            announcements.lower_priority_repeat
        )?;
    }
    writeln!(text, "   Virtual Router ID = {}", router.vrid)?;
    writeln!(text, "   Priority = {}", router.priority)?;
    writeln!(text, "   Effective priority = {}", router.effective_priority)?;
    writeln!(text, "   Total priority = {}", router.effective_priority)?;
    if let Some(parameters) = parameters {
        let centiseconds = parameters.adver_interval().centiseconds();
        match router.version {
            2 => writeln!(text, "   Advert interval = {} sec", centiseconds / 100)?,
            _ => writeln!(
                text,
                "   Advert interval = {} milli-sec",
                u32::from(centiseconds) * 10
            )?,
        }
        let preempt = match parameters.preempt() {
            Preempt::Never => "disabled",
            Preempt::Immediate | Preempt::Delayed(_) => "enabled",
        };
        writeln!(text, "   Preempt = {preempt}")?;
    }
    let Some(plan) = plan else { return Ok(()) };
    for (title, excluded) in [("Virtual IP", false), ("Virtual IP Excluded", true)] {
        let addresses = plan.instance.virtual_addresses();
        let listed: Vec<_> = addresses
            .filter(|address| address.is_excluded() == excluded)
            .collect();
        if !listed.is_empty() {
            match excluded {
                false => writeln!(text, "   {title} ({}):", listed.len())?,
                true => writeln!(text, "   {title} :")?,
            }
        }
        for address in listed {
            writeln!(text, "     {}", line(address, router))?;
        }
    }
    Ok(())
}

/// An address as keepalived writes it: `10.1.10.7/24 dev eth0 scope global set`.
fn line(address: &VirtualAddress, router: &VirtualRouterStatus) -> String {
    let full = if address.address().is_ipv4() { 32 } else { 128 };
    let prefix = match address.prefix_len() {
        length if length == full => String::new(),
        length => format!("/{length}"),
    };
    let device = address.device_name().unwrap_or(&router.interface);
    let set = if router.state == "active" { " set" } else { "" };
    format!("{}{prefix} dev {device} scope global{set}", address.address())
}

/// The state that a virtual router would have without a fault.
fn wanted(router: &VirtualRouterStatus) -> &str {
    match router.state.as_str() {
        "initialize" => "backup",
        state => state,
    }
}

/// keepalived's word for a state. While the daemon runs, a virtual router is in `initialize` for a fault.
fn word(state: &str) -> &'static str {
    match state {
        "active" => "MASTER",
        "backup" => "BACKUP",
        _ => "FAULT",
    }
}

/// keepalived's number for a state.
fn number(state: &str) -> u8 {
    match state {
        "backup" => 1,
        "active" => 2,
        _ => 3,
    }
}

fn seconds_since_1970(time: &str) -> f64 {
    let time = humantime::parse_rfc3339(time).unwrap_or(SystemTime::UNIX_EPOCH);
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use vrrp_net::Instance;
    use vrrp_proto::Vrid;

    use super::*;
    use crate::status::tests::example;

    fn plan() -> Plan {
        let address = |text: &str| text.parse::<VirtualAddress>().unwrap();
        let mut plan = Plan::default();
        let instance = Instance::new("VI_1", "eth0", Vrid::new(51).unwrap())
            .address(address("10.1.10.7/32"))
            .address(address("10.1.11.7/24").device("eth1").excluded());
        plan.virtual_routers.push(VirtualRouterPlan::new(instance));
        plan
    }

    #[test]
    fn the_json_has_keepalived_s_names_and_numbers() {
        let value = keepalived_json(&example(), &plan(), 1);
        let data = &value[0]["data"];
        for (name, wanted) in [
            ("iname", json!("VI_1")),
            ("ifp_ifname", json!("eth0")),
            ("state", json!(2)),
            ("vrid", json!(51)),
            ("base_priority", json!(100)),
            ("effective_priority", json!(95)),
            ("vips", json!(["10.1.10.7 dev eth0 scope global set"])),
            ("evips", json!(["10.1.11.7/24 dev eth1 scope global set"])),
            ("adver_int", json!(1.0)),
            ("nopreempt", json!(false)),
            ("last_transition", json!(1_767_323_045.0)),
        ] {
            assert_eq!(data[name], wanted, "{name}");
        }
        assert_eq!(value[0]["stats"]["advert_sent"], 1);
        assert_eq!(keepalived_json(&example(), &plan(), 2)["vrrp"], value);
    }

    #[test]
    fn the_texts_have_keepalived_s_lines() {
        let data = keepalived_data(&example(), &plan());
        for line in [
            " VRRP Instance = VI_1\n",
            "   State = MASTER\n",
            "   Interface = eth0\n",
            "   Virtual Router ID = 51\n",
            "   Effective priority = 95\n",
            "   Virtual IP (1):\n     10.1.10.7 dev eth0 scope global set\n",
            "   Virtual IP Excluded :\n     10.1.11.7/24 dev eth1 scope global set\n",
            " VRRP Sync Group = G1, MASTER\n",
        ] {
            assert!(data.contains(line), "{line} in {data}");
        }
        let stats = keepalived_stats(&example());
        assert!(
            stats.starts_with("VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n    Sent: 1\n"),
            "{stats}"
        );
    }
}
