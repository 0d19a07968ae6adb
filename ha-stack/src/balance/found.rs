//! What the table says that a predecessor left.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balance::plan::{RealServerPlan, VirtualServerPlan};
use crate::balance::runner::Target;
use crate::balance::server::at_front;
use crate::data_plane::{Front, RealCounters, ServerCounters};

/// The real servers that a daemon which was killed had taken out, as far as the table shows. They are not sent anything
/// before a check of theirs has passed; with keepalived they get their share until one fails.
///
/// A virtual server that has nobody in its rows says nothing: it may have been killed before it was filled.
pub(crate) fn out_of(found: Vec<ServerCounters>, plans: &[Arc<VirtualServerPlan>]) -> HashSet<Target> {
    let found: HashMap<Front, Vec<RealCounters>> = found
        .into_iter()
        .filter(|server| !server.real_servers.is_empty())
        .map(|server| (server.front, server.real_servers))
        .collect();
    let mut out = HashSet::new();
    for plan in plans {
        let rows: Vec<_> = plan
            .fronts
            .iter()
            .filter_map(|front| Some((front, found.get(front)?)))
            .collect();
        if rows.is_empty() {
            continue;
        }
        // Without a check nothing would ever bring it back.
        let checked = plan.real_servers.iter().filter(|real| !real.checks.is_empty());
        let gone = checked.filter(|real| rows.iter().all(|(front, rows)| is_out(real, front, rows)));
        out.extend(gone.map(|real| (plan.name.clone(), real.address)));
    }
    out
}

fn is_out(real: &RealServerPlan, front: &Front, rows: &[RealCounters]) -> bool {
    let address: SocketAddr = at_front(real.address, real.forwarding, front);
    match rows.iter().find(|row| row.address == address) {
        None => true,
        Some(row) => real.inhibit && row.weight == 0 && real.weight > 0,
    }
}

#[cfg(test)]
mod tests {
    use healthcheck::{Check, Policy};

    use super::*;
    use crate::data_plane::Traffic;

    fn address(last: u8) -> SocketAddr {
        format!("10.0.1.{last}:80").parse().unwrap()
    }

    fn plan() -> VirtualServerPlan {
        let mut plan = VirtualServerPlan::new("tcp 10.0.0.100:80".parse().unwrap());
        plan.real_servers = (1..=3).map(|last| RealServerPlan::new(address(last))).collect();
        let policy = Arc::new(Policy::keepalived(false));
        for real in &mut plan.real_servers {
            real.checks = vec![(Check::tcp(real.address), Arc::clone(&policy))];
        }
        plan
    }

    /// The last octets of those that are out, where these rows are found: last octet and weight.
    fn out(plan: &VirtualServerPlan, rows: &[(u8, u32)]) -> Vec<u8> {
        let row = |(last, weight): &(u8, u32)| RealCounters {
            address: address(*last),
            weight: *weight,
            active: 0,
            inactive: 0,
            traffic: Traffic::default(),
        };
        let found = ServerCounters {
            front: plan.fronts[0],
            traffic: Traffic::default(),
            real_servers: rows.iter().map(row).collect(),
        };
        let out = out_of(vec![found], &[Arc::new(plan.clone())]);
        (1..=3)
            .filter(|last| out.contains(&(plan.name.clone(), address(*last))))
            .collect()
    }

    #[test]
    fn who_is_missing_was_out_and_an_empty_table_says_nothing() {
        let mut plan = plan();
        assert_eq!(out(&plan, &[]), [0; 0]);
        assert_eq!(out(&plan, &[(1, 1), (2, 1), (3, 1)]), [0; 0]);
        assert_eq!(out(&plan, &[(1, 1), (3, 1)]), [2]);
        assert_eq!(out(&plan, &[(250, 1)]), [1, 2, 3], "the sorry server stood in");
        assert_eq!(out(&plan, &[(1, 0), (2, 1), (3, 1)]), [0; 0], "drained, not dead");
        plan.real_servers[0].inhibit = true;
        assert_eq!(out(&plan, &[(1, 0), (2, 1), (3, 1)]), [1]);
        plan.real_servers[0].weight = 0;
        assert_eq!(out(&plan, &[(1, 0), (2, 1), (3, 1)]), [0; 0]);
        plan.real_servers[1].checks.clear();
        assert_eq!(out(&plan, &[(1, 0)]), [3], "nothing would bring the second back");
        assert_eq!(out_of(Vec::new(), &[plan.into()]), HashSet::new());
    }
}
