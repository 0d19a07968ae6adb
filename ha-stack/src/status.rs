//! What is going on, in the form that `status --json` and `/status` have.
//!
//! Fields may be added; none is renamed or changes its meaning while `schema` stays.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that can be known about a running stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The version of this format: 1.
    pub schema: u32,
    /// What carries the traffic: `ipvs`, `proxy` or `none`.
    pub data_plane: String,
    /// In the order of the configuration.
    pub virtual_routers: Vec<VirtualRouterStatus>,
    /// In the order of the configuration.
    pub sync_groups: Vec<SyncGroupStatus>,
    /// In the order of the configuration.
    pub virtual_servers: Vec<VirtualServerStatus>,
    /// What is tracked, in the order of the configuration.
    #[serde(default)]
    pub tracked: Vec<TrackedStatus>,
    /// Notifications that were replaced by later ones because their receiver was too slow.
    #[serde(default)]
    pub notifications_merged: u64,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            data_plane: "none".to_owned(),
            virtual_routers: Vec::new(),
            sync_groups: Vec::new(),
            virtual_servers: Vec::new(),
            tracked: Vec::new(),
            notifications_merged: 0,
        }
    }
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written out by whoever runs an election of another kind"
)]
pub struct VirtualRouterStatus {
    /// The name of its `vrrp_instance`.
    pub name: String,
    /// The interface its advertisements use.
    pub interface: String,
    /// Its VRID.
    pub vrid: u8,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// 2 or 3.
    pub version: u8,
    /// `initialize`, `backup` or `active`.
    pub state: String,
    /// Why it is in that state, for a person.
    pub reason: String,
    /// As configured, or as an operator set it.
    pub priority: u8,
    /// With what tracked objects add and take away.
    pub effective_priority: u8,
    /// The addresses it stands for, with their prefix lengths.
    pub addresses: Vec<String>,
    /// When it entered its state, as RFC 3339 says.
    pub since: String,
    /// The active router's address: its own, or that of the last advertisement it accepted.
    pub active_router: Option<String>,
    /// What a peer does differently, if one does.
    #[serde(default)]
    pub problems: Vec<PeerProblem>,
    /// Counters, by name.
    pub statistics: BTreeMap<Cow<'static, str>, u64>,
}

/// Something that another router does differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written out by whoever runs an election of another kind"
)]
pub struct PeerProblem {
    /// Its address.
    pub peer: String,
    /// What differs: `version`, `authentication`, `interval`, `checksum`, `addresses`, `vrid`, `owner`, `active` and so on.
    pub field: String,
    /// The whole of it, for a person.
    pub text: String,
}

/// One sync group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written out by whoever runs an election of another kind"
)]
pub struct SyncGroupStatus {
    /// Its name.
    pub name: String,
    /// `initialize`, `backup` or `active`.
    pub state: String,
    /// The names of its virtual routers.
    pub members: Vec<String>,
}

/// One tracked object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "written out by whoever runs trackers of another kind"
)]
pub struct TrackedStatus {
    /// `script`, `file`, `process`, `interface` or `delay`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `up`, `down`, `unknown`, or the number in a file.
    pub state: String,
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by data planes")]
pub struct VirtualServerStatus {
    /// What it is called in messages.
    pub name: String,
    /// Address and port; absent for a firewall mark or a group.
    pub address: Option<String>,
    /// The firewall mark.
    pub fwmark: Option<u32>,
    /// The group of addresses.
    pub group: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The kernel's name of the scheduler.
    pub scheduler: String,
    /// `masq`, `droute`, `tunnel` or `fullnat`.
    pub forwarding: String,
    /// The weight that has to be up.
    pub quorum: u32,
    /// Whether it is.
    pub quorum_met: bool,
    /// Who answers when nobody else does.
    pub sorry_server: Option<String>,
    /// Whether they do now.
    #[serde(default)]
    pub sorry_server_active: bool,
    /// Its real servers.
    pub real_servers: Vec<RealServerStatus>,
    /// What it has carried.
    #[serde(default)]
    pub traffic: Option<TrafficStatus>,
}

/// One real server of one virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by data planes")]
pub struct RealServerStatus {
    /// Address and port.
    pub address: String,
    /// As configured.
    pub weight: i64,
    /// As the data plane has it.
    pub effective_weight: i64,
    /// `up` or `down`.
    pub state: String,
    /// What an operator ordered: `drain`, `disable`, `weight` and a number. A drain with a deadline is `drain, N s left`,
    /// then `drained in N s, connections cut off: N`.
    #[serde(default)]
    pub order: Option<String>,
    /// Its checks.
    pub checks: Vec<CheckStatus>,
    /// Connections now.
    #[serde(default)]
    pub active_connections: Option<u64>,
    /// Connections that end.
    #[serde(default)]
    pub inactive_connections: Option<u64>,
    /// What it has carried.
    #[serde(default)]
    pub traffic: Option<TrafficStatus>,
}

/// What was carried, since the data plane has the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by data planes")]
pub struct TrafficStatus {
    /// Connections.
    pub connections: u64,
    /// Packets towards the real server; `null` where the data plane sees none, as a proxy does of TCP.
    #[serde(default)]
    pub packets_in: Option<u64>,
    /// Packets back; the same.
    #[serde(default)]
    pub packets_out: Option<u64>,
    /// Bytes towards the real server.
    pub bytes_in: u64,
    /// Bytes back.
    pub bytes_out: u64,
    /// Connections in a second, of late.
    pub connections_per_second: u64,
    /// Bytes in a second towards the real server, of late.
    pub bytes_in_per_second: u64,
    /// Bytes in a second back, of late.
    pub bytes_out_per_second: u64,
}

/// One check of one real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by data planes")]
pub struct CheckStatus {
    /// What is checked: `tcp`, `http` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// What the last failed attempt found.
    pub last_error: Option<String>,
    /// How long the last attempt took, in microseconds.
    pub last_latency_us: Option<u64>,
}

/// The version of the format.
const SCHEMA: u32 = 1;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Status {
        Status {
            data_plane: "ipvs".to_owned(),
            virtual_routers: vec![VirtualRouterStatus {
                name: "VI_1".to_owned(),
                interface: "eth0".to_owned(),
                vrid: 51,
                family: "ipv4".to_owned(),
                version: 2,
                state: "active".to_owned(),
                reason: "no other router advertised".to_owned(),
                priority: 100,
                effective_priority: 95,
                addresses: vec!["10.1.10.7/32".to_owned()],
                since: "2026-01-02T03:04:05Z".to_owned(),
                active_router: Some("10.1.10.2".to_owned()),
                problems: vec![PeerProblem {
                    peer: "10.1.10.3".to_owned(),
                    field: "authentication".to_owned(),
                    text: "another password".to_owned(),
                }],
                statistics: [(Cow::Borrowed("advertisements_sent"), 1)].into(),
            }],
            sync_groups: vec![SyncGroupStatus {
                name: "G1".to_owned(),
                state: "active".to_owned(),
                members: vec!["VI_1".to_owned()],
            }],
            virtual_servers: vec![VirtualServerStatus {
                name: "10.1.10.7:80".to_owned(),
                address: Some("10.1.10.7:80".to_owned()),
                fwmark: None,
                group: None,
                protocol: "tcp".to_owned(),
                scheduler: "rr".to_owned(),
                forwarding: "droute".to_owned(),
                quorum: 1,
                quorum_met: true,
                sorry_server: None,
                sorry_server_active: false,
                traffic: None,
                real_servers: vec![RealServerStatus {
                    address: "10.1.10.11:80".to_owned(),
                    weight: 1,
                    effective_weight: 1,
                    state: "up".to_owned(),
                    order: None,
                    active_connections: Some(3),
                    inactive_connections: Some(1),
                    traffic: Some(TrafficStatus {
                        connections: 68,
                        ..TrafficStatus::default()
                    }),
                    checks: vec![CheckStatus {
                        kind: "tcp".to_owned(),
                        state: "up".to_owned(),
                        last_error: None,
                        last_latency_us: Some(180),
                    }],
                }],
            }],
            tracked: vec![TrackedStatus {
                kind: "script".to_owned(),
                name: "chk".to_owned(),
                state: "down".to_owned(),
            }],
            ..Status::default()
        }
    }

    /// The names are a promise: scripts depend on them.
    #[test]
    fn the_field_names_stay() {
        let expected = serde_json::json!({
            "schema": 1, "data_plane": "ipvs",
            "virtual_routers": [{
                "name": "VI_1", "interface": "eth0", "vrid": 51, "family": "ipv4", "version": 2,
                "state": "active", "reason": "no other router advertised", "priority": 100,
                "effective_priority": 95, "addresses": ["10.1.10.7/32"], "since": "2026-01-02T03:04:05Z",
                "active_router": "10.1.10.2", "problems": [{"peer": "10.1.10.3", "field": "authentication", "text": "another password"}], "statistics": {"advertisements_sent": 1}}],
            "sync_groups": [{"name": "G1", "state": "active", "members": ["VI_1"]}],
            "virtual_servers": [{
                "name": "10.1.10.7:80", "address": "10.1.10.7:80", "fwmark": null, "group": null,
                "protocol": "tcp", "scheduler": "rr", "forwarding": "droute",
                "quorum": 1, "quorum_met": true, "sorry_server": null, "sorry_server_active": false, "traffic": null,
                "real_servers": [{
                    "address": "10.1.10.11:80", "weight": 1, "effective_weight": 1, "state": "up", "order": null,
                    "active_connections": 3, "inactive_connections": 1,
                    "traffic": {
                        "connections": 68, "packets_in": null, "packets_out": null, "bytes_in": 0, "bytes_out": 0,
                        "connections_per_second": 0, "bytes_in_per_second": 0, "bytes_out_per_second": 0},
                    "checks": [{"type": "tcp", "state": "up", "last_error": null, "last_latency_us": 180}]}]}],
            "tracked": [{"kind": "script", "name": "chk", "state": "down"}],
            "notifications_merged": 0
        });
        assert_eq!(serde_json::to_value(example()).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Status>(expected).unwrap(), example());
    }

    #[test]
    fn an_empty_stack_has_every_list() {
        let value = serde_json::to_value(Status::default()).unwrap();
        for list in ["virtual_routers", "sync_groups", "virtual_servers"] {
            assert_eq!(value[list], serde_json::json!([]), "{list}");
        }
    }
}
