//! What differs between two configurations of the load balancer, in words.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::balance::plan::{RealServerPlan, VirtualServerPlan};

pub(super) fn added(new: &VirtualServerPlan) -> String {
    format!("{} added", new.name)
}

pub(super) fn changed(old: &VirtualServerPlan, new: &VirtualServerPlan) -> String {
    format!("{} changed: {}", new.name, changes(old, new))
}

pub(super) fn removed(old: &VirtualServerPlan) -> String {
    format!("{} removed", old.name)
}

fn changes(old: &VirtualServerPlan, new: &VirtualServerPlan) -> String {
    let mut words = Vec::new();
    let before = by_address(&old.real_servers);
    let after = by_address(&new.real_servers);
    for real in &new.real_servers {
        match before.get(&real.address) {
            None => words.push(format!("{} added", real.address)),
            Some(before) if before.weight != real.weight => {
                words.push(format!(
                    "{} weight {} to {}",
                    real.address, before.weight, real.weight
                ));
            }
            Some(before) if *before != real => words.push(format!("{} other settings", real.address)),
            Some(_) => {}
        }
    }
    for real in &old.real_servers {
        if !after.contains_key(&real.address) {
            words.push(format!("{} removed", real.address));
        }
    }
    if old.scheduling != new.scheduling {
        words.push(format!(
            "scheduler {} to {}",
            old.scheduling.name, new.scheduling.name
        ));
    }
    if old.quorum != new.quorum {
        words.push(format!("quorum {} to {}", old.quorum, new.quorum));
    }
    if words.is_empty() {
        words.push("other settings".to_owned());
    }
    words.join(", ")
}

fn by_address(plans: &[RealServerPlan]) -> HashMap<SocketAddr, &RealServerPlan> {
    plans.iter().map(|real| (real.address, real)).collect()
}
