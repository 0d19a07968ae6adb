//! The status as Prometheus reads it.

use std::fmt::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use crate::status::{RealServerStatus, Status, TrafficStatus};

/// The status in Prometheus' text format, version 0.0.4.
pub fn metrics(status: &Status) -> String {
    let mut text = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.gauge("ha_build_info", "Always 1; the version is a label.", &version, 1);
    routers(&mut text, status);
    for group in &status.sync_groups {
        for state in STATES {
            let labels = [("name", group.name.as_str()), ("state", state)];
            let help = "Whether the sync group is in this state.";
            text.gauge(
                "ha_sync_group_state",
                help,
                &labels,
                u64::from(group.state == state),
            );
        }
    }
    for tracked in &status.tracked {
        let labels = [("kind", tracked.kind.as_str()), ("name", tracked.name.as_str())];
        let help = "Whether the tracked object is up; absent while it is not known.";
        match tracked.state.as_str() {
            "up" => text.gauge("ha_tracked_up", help, &labels, 1),
            "down" => text.gauge("ha_tracked_up", help, &labels, 0),
            _ => {}
        }
    }
    servers(&mut text, status);
    text.counter(
        "ha_notifications_merged_total",
        "Notifications replaced by later ones because their receiver was too slow.",
        &[],
        status.notifications_merged,
    );
    text.finish()
}

fn routers(text: &mut Exposition, status: &Status) {
    for router in &status.virtual_routers {
        let vrid = router.vrid.to_string();
        let base = [
            ("name", router.name.as_str()),
            ("interface", router.interface.as_str()),
            ("vrid", vrid.as_str()),
            ("family", router.family.as_str()),
        ];
        for state in STATES {
            let labels: Vec<_> = base.into_iter().chain([("state", state)]).collect();
            text.gauge(
                "ha_virtual_router_state",
                "Whether the virtual router is in this state.",
                &labels,
                u64::from(router.state == state),
            );
        }
        text.gauge(
            "ha_virtual_router_priority",
            "The priority as configured or set by an operator.",
            &base,
            router.priority,
        );
        text.gauge(
            "ha_virtual_router_effective_priority",
            "The priority with what tracked objects add and take away.",
            &base,
            router.effective_priority,
        );
        if let Some(since) = humantime::parse_rfc3339(&router.since)
            .ok()
            .and_then(|since| since.duration_since(UNIX_EPOCH).ok())
        {
            text.gauge(
                "ha_virtual_router_state_since_timestamp_seconds",
                "When the virtual router entered its state, in seconds since 1970.",
                &base,
                Decimal(since.as_secs(), since.subsec_micros()),
            );
        }
        for problem in &router.problems {
            let peer = [("peer", problem.peer.as_str()), ("field", problem.field.as_str())];
            let labels: Vec<_> = base.into_iter().chain(peer).collect();
            text.gauge(
                "ha_virtual_router_peer_problem",
                "Whether a peer does something differently, by what it is.",
                &labels,
                1,
            );
        }
        for (name, value) in &router.statistics {
            text.counter(
                &format!("ha_virtual_router_{name}_total"),
                "A counter of the virtual router; the names are those of RFC 6527.",
                &base,
                *value,
            );
        }
    }
}

fn servers(text: &mut Exposition, status: &Status) {
    for server in &status.virtual_servers {
        let base = [("virtual_server", server.name.as_str())];
        text.gauge(
            "ha_virtual_server_quorum_met",
            "Whether enough real servers are up.",
            &base,
            u64::from(server.quorum_met),
        );
        if server.sorry_server.is_some() {
            text.gauge(
                "ha_virtual_server_sorry_server_active",
                "Whether the sorry server answers.",
                &base,
                u64::from(server.sorry_server_active),
            );
        }
        carried(text, "ha_virtual_server", &base, server.traffic.as_ref());
        for real in &server.real_servers {
            real_server(text, &server.name, real);
        }
    }
}

fn real_server(text: &mut Exposition, server: &str, real: &RealServerStatus) {
    let labels = [("virtual_server", server), ("real_server", real.address.as_str())];
    text.gauge(
        "ha_real_server_up",
        "Whether the real server is up.",
        &labels,
        u64::from(real.state == "up"),
    );
    text.gauge(
        "ha_real_server_weight",
        "The weight as the data plane has it.",
        &labels,
        u64::try_from(real.effective_weight).unwrap_or(0),
    );
    for (name, help, connections) in [
        (
            "ha_real_server_active_connections",
            "Connections to the real server now.",
            real.active_connections,
        ),
        (
            "ha_real_server_inactive_connections",
            "Connections to the real server that end.",
            real.inactive_connections,
        ),
    ] {
        if let Some(connections) = connections {
            text.gauge(name, help, &labels, connections);
        }
    }
    carried(text, "ha_real_server", &labels, real.traffic.as_ref());
    for (number, check) in real.checks.iter().enumerate() {
        // A real server may have two of a kind.
        let number = number.to_string();
        let check_labels = [("check", number.as_str()), ("type", check.kind.as_str())];
        let labels: Vec<_> = labels.into_iter().chain(check_labels).collect();
        let help = "Whether the check takes the real server to be up; absent while it is not known.";
        match check.state.as_str() {
            "up" => text.gauge("ha_check_up", help, &labels, 1),
            "down" => text.gauge("ha_check_up", help, &labels, 0),
            _ => {}
        }
        if let Some(latency) = check.last_latency_us.map(Duration::from_micros) {
            text.gauge(
                "ha_check_last_duration_seconds",
                "How long the last attempt of the check took.",
                &labels,
                Decimal(latency.as_secs(), latency.subsec_micros()),
            );
        }
    }
}

/// What a virtual or real server has carried; what the data plane does not count is left out.
fn carried(text: &mut Exposition, of: &str, labels: &[(&str, &str)], traffic: Option<&TrafficStatus>) {
    let Some(traffic) = traffic else {
        return;
    };
    for (name, help, value) in [
        (
            "connections",
            "Connections, since the data plane has the row.",
            Some(traffic.connections),
        ),
        (
            "incoming_packets",
            "Packets towards real servers, since the data plane has the row.",
            traffic.packets_in,
        ),
        (
            "outgoing_packets",
            "Packets from real servers, since the data plane has the row.",
            traffic.packets_out,
        ),
        (
            "incoming_bytes",
            "Bytes towards real servers, since the data plane has the row.",
            Some(traffic.bytes_in),
        ),
        (
            "outgoing_bytes",
            "Bytes from real servers, since the data plane has the row.",
            Some(traffic.bytes_out),
        ),
    ] {
        if let Some(value) = value {
            text.counter(&format!("{of}_{name}_total"), help, labels, value);
        }
    }
}

/// Seconds, and microseconds below a second.
struct Decimal(u64, u32);

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:06}", self.0, self.1)
    }
}

/// Samples, gathered by metric as the format wants them.
#[derive(Default)]
struct Exposition {
    families: Vec<Family>,
}

struct Family {
    name: String,
    help: &'static str,
    kind: &'static str,
    samples: String,
}

impl Exposition {
    fn gauge(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.sample(name, help, "gauge", labels, value);
    }

    fn counter(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        self.sample(name, help, "counter", labels, value);
    }

    fn sample(
        &mut self,
        name: &str,
        help: &'static str,
        kind: &'static str,
        labels: &[(&str, &str)],
        value: impl fmt::Display,
    ) {
        let index = match self.families.iter().position(|family| family.name == name) {
            Some(index) => index,
            None => {
                self.families.push(Family {
                    name: name.to_owned(),
                    help,
                    kind,
                    samples: String::new(),
                });
                self.families.len() - 1
            }
        };
        let Some(family) = self.families.get_mut(index) else {
            return;
        };
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(family.samples, "{name}{labels} {value}");
    }

    fn finish(self) -> String {
        self.families.into_iter().fold(String::new(), |mut text, family| {
            let _ = writeln!(text, "# HELP {} {}", family.name, family.help);
            let _ = writeln!(text, "# TYPE {} {}", family.name, family.kind);
            text.push_str(&family.samples);
            text
        })
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

const STATES: [&str; 3] = ["initialize", "backup", "active"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    #[test]
    fn every_part_of_the_status_has_its_samples() {
        let text = metrics(&example());
        let labels = r#"name="VI_1",interface="eth0",vrid="51",family="ipv4""#;
        for line in [
            &*format!(r#"ha_virtual_router_state{{{labels},state="active"}} 1"#),
            &format!(r#"ha_virtual_router_state{{{labels},state="backup"}} 0"#),
            &format!("ha_virtual_router_effective_priority{{{labels}}} 95"),
            &format!("ha_virtual_router_advertisements_sent_total{{{labels}}} 1"),
            &format!(
                r#"ha_virtual_router_peer_problem{{{labels},peer="10.1.10.3",field="authentication"}} 1"#
            ),
            r#"ha_sync_group_state{name="G1",state="active"} 1"#,
            r#"ha_tracked_up{kind="script",name="chk"} 0"#,
            r#"ha_real_server_up{virtual_server="10.1.10.7:80",real_server="10.1.10.11:80"} 1"#,
            r#"ha_real_server_active_connections{virtual_server="10.1.10.7:80",real_server="10.1.10.11:80"} 3"#,
            r#"ha_real_server_connections_total{virtual_server="10.1.10.7:80",real_server="10.1.10.11:80"} 68"#,
            r#"ha_check_up{virtual_server="10.1.10.7:80",real_server="10.1.10.11:80",check="0",type="tcp"} 1"#,
            r#"ha_check_last_duration_seconds{virtual_server="10.1.10.7:80",real_server="10.1.10.11:80",check="0",type="tcp"} 0.000180"#,
            &format!("ha_virtual_router_state_since_timestamp_seconds{{{labels}}} 1767323045.000000"),
            "ha_notifications_merged_total 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in:\n{text}"
            );
        }
    }

    #[test]
    fn each_metric_is_described_once_and_its_samples_stand_together() {
        let mut status = example();
        let mut another = status.virtual_routers[0].clone();
        another.name = "VI_2".to_owned();
        status.virtual_routers.push(another);
        let real = &mut status.virtual_servers[0].real_servers[0];
        real.checks.push(real.checks[0].clone());
        let text = metrics(&status);
        let mut current = "";
        let (mut described, mut samples) = (Vec::new(), Vec::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split(' ').next().unwrap();
                assert!(!described.contains(&current), "{current} twice");
                let is_counter = rest.ends_with(" counter");
                assert_eq!(current.ends_with("_total"), is_counter, "{current}");
                described.push(current);
            } else if !line.starts_with('#') {
                assert!(line.starts_with(current), "{line} under {current}");
                assert!(!samples.contains(&line), "{line} twice");
                samples.push(line);
            }
        }
    }

    #[test]
    fn a_name_cannot_break_the_format() {
        let mut status = example();
        status.sync_groups[0].name = "a\"} 1\nb\\".to_owned();
        assert!(metrics(&status).contains(r#"name="a\"} 1\nb\\",state="active""#));
    }
}
