//! The load balancer as the status shows it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use healthcheck::{CheckStatus as Checked, Status as TargetStatus};

use crate::balance::plan::RealServerPlan;
use crate::balance::runner::State;
use crate::balance::server::{Real, Server, Standing};
use crate::data_plane::{Front, RealCounters, ServerCounters, Traffic, Transport};
use crate::status::{CheckStatus, RealServerStatus, TrafficStatus, VirtualServerStatus};

/// Every virtual server, in the order of the configuration.
pub(crate) fn statuses(state: &mut State) -> Vec<VirtualServerStatus> {
    // A data plane that cannot be asked now still shows who is up.
    let counters = state.plane.counters().unwrap_or_default();
    let counters: HashMap<Front, ServerCounters> =
        counters.into_iter().map(|each| (each.front, each)).collect();
    let servers = state.balancer.servers().iter();
    servers
        .map(|server| {
            let mut total = None;
            let mut carried: HashMap<SocketAddr, RealCounters> = HashMap::new();
            for front in server.plan.fronts.iter().filter_map(|front| counters.get(front)) {
                total = Some(front.traffic.plus(total.unwrap_or_default()));
                for real in &front.real_servers {
                    carried
                        .entry(real.address)
                        .and_modify(|sum| add(sum, real))
                        .or_insert_with(|| real.clone());
                }
            }
            let reals = server.reals.iter().map(|real| {
                let key = (Arc::clone(&server.plan.name), real.plan.address);
                let checked = state.checker.as_ref().and_then(|checker| checker.status(&key));
                let drain = state.drain(&server.plan.name, real.plan.address);
                let drain = drain.map(ToString::to_string);
                let mut status = real_status(server, real, checked.as_ref(), find(&carried, &real.plan));
                status.order = drain.or(status.order);
                status
            });
            VirtualServerStatus {
                name: server.plan.name.to_string(),
                address: match (server.plan.fronts.as_slice(), &server.plan.group) {
                    ([Front::Address { address, .. }], None) => Some(address.to_string()),
                    _ => None,
                },
                fwmark: match (server.plan.fronts.as_slice(), &server.plan.group) {
                    ([Front::Mark { mark, .. }], None) => Some(mark.get()),
                    _ => None,
                },
                group: server.plan.group.clone(),
                protocol: server.plan.transport.to_string(),
                scheduler: server.plan.scheduling.name.clone(),
                forwarding: server.plan.forwarding.word().to_owned(),
                quorum: server.plan.quorum,
                quorum_met: server.quorum_met,
                sorry_server: server.plan.sorry_server.map(|sorry| sorry.address.to_string()),
                sorry_server_active: server.is_sorry(),
                real_servers: reals.collect(),
                traffic: total.map(traffic),
            }
        })
        .collect()
}

fn real_status(
    server: &Server,
    real: &Real,
    checked: Option<&TargetStatus>,
    carried: Option<&RealCounters>,
) -> RealServerStatus {
    let checks = real.plan.checks.iter().enumerate().map(|(index, (check, _))| {
        let status = checked.and_then(|status| status.checks.get(index));
        CheckStatus {
            kind: check.kind().word().to_owned(),
            state: status.map_or_else(|| "unknown".to_owned(), |status| status.verdict.to_string()),
            last_error: status.and_then(last_error),
            last_latency_us: status
                .filter(|status| status.last.is_some())
                .map(|status| u64::try_from(status.latency.as_micros()).unwrap_or(u64::MAX)),
        }
    });
    RealServerStatus {
        address: real.plan.address.to_string(),
        weight: real.plan.weight.into(),
        effective_weight: server.table_weight(real).unwrap_or(0).into(),
        state: match real.up {
            true => "up".to_owned(),
            false => "down".to_owned(),
        },
        order: match real.standing {
            Standing::Draining => Some("drain".to_owned()),
            Standing::Disabled | Standing::Cut => Some("disable".to_owned()),
            Standing::Enabled => real.ordered_weight.map(|weight| format!("weight {weight}")),
        },
        checks: checks.collect(),
        active_connections: carried.map(|carried| carried.active),
        inactive_connections: carried.map(|carried| carried.inactive),
        traffic: carried.map(|carried| traffic(carried.traffic)),
    }
}

/// The last failure, or why the last attempt could not be made.
fn last_error(status: &Checked) -> Option<String> {
    match (&status.last_failure, status.cause) {
        (Some((_, failure)), _) => Some(failure.to_string()),
        (None, Some(cause)) => Some(cause.to_string()),
        (None, None) => None,
    }
}

/// How many connections a real server has. The kernel counts as inactive what is about to end, and all that is UDP.
pub(crate) fn open_connections(server: &Server, real: SocketAddr, counters: &[ServerCounters]) -> u64 {
    let fronts = counters
        .iter()
        .filter(|each| server.plan.fronts.contains(&each.front));
    let rows = fronts.flat_map(|each| each.real_servers.iter().map(move |row| (each.front, row)));
    rows.filter(|(front, row)| {
        server
            .behind(front, row.address)
            .is_some_and(|it| it.plan.address == real)
    })
    .map(|(_, row)| match server.plan.transport {
        Transport::Udp => row.active.saturating_add(row.inactive),
        Transport::Tcp | Transport::Sctp => row.active,
    })
    .sum()
}

/// The row of a real server; where ports are not changed it stands under the virtual server's. Where they are, another port of
/// the same host is another real server.
fn find<'a>(
    carried: &'a HashMap<SocketAddr, RealCounters>,
    real: &RealServerPlan,
) -> Option<&'a RealCounters> {
    carried.get(&real.address).or_else(|| {
        let same_host = |each: &&RealCounters| each.address.ip() == real.address.ip();
        let mut same = carried.values().filter(same_host);
        same.next()
            .filter(|_| same.next().is_none() && !real.forwarding.changes_ports())
    })
}

fn add(sum: &mut RealCounters, more: &RealCounters) {
    sum.active = sum.active.saturating_add(more.active);
    sum.inactive = sum.inactive.saturating_add(more.inactive);
    sum.traffic = sum.traffic.plus(more.traffic);
}

fn traffic(traffic: Traffic) -> TrafficStatus {
    TrafficStatus {
        connections: traffic.connections,
        packets_in: traffic.packets_in,
        packets_out: traffic.packets_out,
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
        connections_per_second: traffic.connection_rate,
        bytes_in_per_second: traffic.byte_rate_in,
        bytes_out_per_second: traffic.byte_rate_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_plane::Forwarding;

    #[test]
    fn what_another_port_of_the_same_host_carries_is_not_its_own() {
        let address: SocketAddr = "10.0.1.1:80".parse().unwrap();
        let row = RealCounters {
            address,
            weight: 1,
            active: 5,
            inactive: 0,
            traffic: Traffic::default(),
        };
        let carried = HashMap::from([(address, row)]);
        let mut real = RealServerPlan::new("10.0.1.1:81".parse().unwrap());
        for (forwarding, is_found) in [
            (Forwarding::Masquerade, false),
            (Forwarding::FullNat, false),
            (Forwarding::DirectRoute, true),
        ] {
            real.forwarding = forwarding;
            assert_eq!(find(&carried, &real).is_some(), is_found, "{forwarding:?}");
        }
        real.address = address;
        assert!(find(&carried, &real).is_some());
    }
}
