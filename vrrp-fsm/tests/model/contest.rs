//! Two sync groups that meet: from which states on, and within which time one of them has to be active.

use vrrp_fsm::{Preempt, VrrpRouter};

use crate::explorer::search;
use crate::{LIMIT, groups, settle};

/// Two hosts on a link, each with a sync group of two members.
#[derive(Clone, Copy)]
pub(crate) struct Contest {
    pub(crate) priorities: [[u8; 2]; 2],
    pub(crate) preempt: Preempt,
    /// Whose group wins where each would win one member.
    pub(crate) better: usize,
    /// How many contests each may have had before.
    pub(crate) before: &'static [u8],
    pub(crate) delay: u8,
}

impl Contest {
    const INTERVAL: u16 = 4;

    pub(crate) const OPPOSITE: Self = Self {
        priorities: [[192, 64], [64, 192]],
        preempt: Preempt::Immediate,
        better: 0,
        before: &[0],
        delay: 1,
    };

    /// The down interval of the better group, which waits for its slowest member.
    fn down(&self) -> u16 {
        let [first, second] = self.priorities[self.better];
        settle(first.min(second), Self::INTERVAL, 0)
    }

    /// The states of a host that runs alone: its members as backups, the second up to a down interval behind the first, or
    /// active. After contests they move together, as these left them.
    fn states(&self, host: usize) -> Vec<VrrpRouter> {
        let fresh = groups::host(host, &self.priorities[host], Self::INTERVAL, self.preempt);
        let apart = if self.before == [0] { self.down() } else { 0 };
        let mut found = Vec::new();
        for contests in self.before {
            for later in 0..=apart {
                // A contest may cost two rounds; then the group is active, and repeats itself.
                for waited in 0..9 * Self::INTERVAL {
                    let state = groups::after(&fresh, *contests, later, waited, Self::INTERVAL);
                    if !found.contains(&state) {
                        found.push(state);
                    }
                }
            }
        }
        found
    }

    /// From any two such states on: that after `bound` ticks exactly one host is active, all of it, and remains so.
    pub(crate) fn settles_within(&self, bound: u16) -> Result<(), String> {
        let [first, second] = [0, 1].map(|host| self.states(host));
        let pairs = |first: &VrrpRouter| -> Vec<_> {
            second
                .iter()
                .map(|second| vec![first.clone(), second.clone()])
                .collect()
        };
        let system = groups::Groups {
            initial: first.iter().flat_map(pairs).collect(),
            delay: self.delay,
            interval: Self::INTERVAL,
            bound,
            hosts: groups::Hosts::default(),
        };
        let report = search(&system, LIMIT).map_err(|violation| violation.to_string())?;
        println!("{} states, {} transitions", report.states, report.transitions);
        Ok(())
    }

    /// So many down intervals, with a delay each.
    pub(crate) fn rounds(&self, count: u16) -> u16 {
        count * (self.down() + u16::from(self.delay))
    }
}
