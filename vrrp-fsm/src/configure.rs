//! Other parameters while running.

use alloc::boxed::Box;
use core::net::IpAddr;

use crate::phase::Phase;
use crate::statistics::NewMasterReason;
use crate::track::Known;
use crate::virtual_router::{SayZero, after};
use crate::{Instant, Output, Parameters, Reason, VirtualRouter};

impl VirtualRouter {
    pub(crate) fn configure(&mut self, now: Instant, new: Parameters) {
        if new.vrid != self.parameters.vrid || new.family != self.parameters.family {
            self.become_another(now, new);
            return;
        }
        let old = core::mem::replace(&mut self.parameters, new);
        self.retrack(&old.tracks);
        self.priority_changed();
        if self.holds_addresses() {
            for address in missing(&old.addresses, &self.parameters.addresses) {
                self.outputs.push(Output::RemoveAddress(address));
            }
        }
        match self.phase {
            Phase::Initialize => {}
            Phase::Backup(_) => self.configured_in_backup(now, &old),
            Phase::Active(_) => self.configured_while_active(now, &old),
        }
        self.faults_changed(now);
    }

    /// Another VRID or family is another virtual router: this one leaves, that one starts.
    fn become_another(&mut self, now: Instant, new: Parameters) {
        let started = self.conditions.started;
        if started {
            self.leave(now, Phase::Initialize, Reason::Configured, SayZero::Yes);
        }
        self.conditions.started = false;
        self.tracked = new.tracks.iter().map(|_| Known::Pending).collect();
        self.primary = self.primary.filter(|_| new.family == self.parameters.family);
        self.parameters = new;
        self.last_heard = None;
        self.effective = self.parameters.priority;
        if started {
            self.handle_start_again(now);
        }
    }

    fn handle_start_again(&mut self, now: Instant) {
        self.conditions.started = true;
        if self.fault().is_none() {
            self.begin(now, Reason::Configured);
        } else {
            self.faults_changed(now);
        }
    }

    fn configured_in_backup(&mut self, now: Instant, old: &Parameters) {
        let became_owner = self.parameters.priority.is_owner() && !old.priority.is_owner();
        let version_changed = old.version() != self.version();
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        if version_changed {
            backup.learned = None;
        }
        if !became_owner {
            return;
        }
        if self.conditions.grouped {
            backup.wants = Some(Box::new(Reason::Configured));
        } else {
            self.become_active(now, Reason::Configured, NewMasterReason::Priority);
        }
    }

    fn configured_while_active(&mut self, now: Instant, old: &Parameters) {
        if !self.parameters.advertises_like(old) {
            self.advertise(self.effective);
            if let Phase::Active(active) = &mut self.phase {
                active.sent = now;
            }
        }
        if self.parameters.accept_mode() != old.accept_mode() {
            self.put(Output::AddAddresses);
        }
        let schedule = self.parameters.announcements;
        let repeat = schedule.repeat;
        let mut added = false;
        for address in missing(&self.parameters.addresses, &old.addresses) {
            self.outputs.push(Output::AddAddress(address));
            self.outputs.push(Output::AnnounceAddress { address, repeat });
            added = true;
        }
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if added {
            active.second_block = after(now, schedule.delay);
        }
        if schedule.refresh != old.announcements.refresh {
            active.refresh = after(now, schedule.refresh);
        }
    }
}

/// What is in the first list and not in the second.
fn missing<'a>(list: &'a [IpAddr], from: &'a [IpAddr]) -> impl Iterator<Item = IpAddr> + 'a {
    list.iter()
        .copied()
        .filter(move |address| !from.contains(address))
}
