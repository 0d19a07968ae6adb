//! The commands that the application gives through its handles, carried out.

use std::net::IpAddr;
use std::sync::Arc;

use vrrp_fsm::{Input, Instant, Parameters, RouterId};
use vrrp_proto::Priority;

use super::Driver;
use crate::Error;
use crate::handle::Command;
use crate::host::Change;
use crate::instance::Instance;
use crate::seat::Seat;

impl Driver {
    pub(super) fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Add(instance, reply) => {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(self.add(*instance));
            }
            Command::Configure(key, instance, reply) => {
                let _ = reply.send(self.configure(key, *instance, now));
            }
            Command::Remove(key) => self.remove(key, now),
            Command::Resign(key) => self.input(key, now, Input::Resign),
            Command::SetPriority(key, priority) => self.set_priority(key, priority, now),
            Command::Announce(key) => self.input(key, now, Input::Announce),
            Command::Track(id, status) => {
                self.router.handle_track(now, id, status);
                self.carry_out(now);
            }
            Command::Fault(key, present) => {
                if let Some(seat) = self.seats.get(&key)
                    && !seat.told_fault
                {
                    self.input(key, now, Input::Fault { present });
                }
            }
            Command::PeerDown(key, peer) => self.input(key, now, Input::PeerDown(peer)),
            Command::Refresh(reply) => {
                for seat in self.seats.values() {
                    seat.shared.set_status(self.status(seat.router, now));
                }
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
            Command::Stop => self.stop(now),
        }
    }

    pub(super) fn input(&mut self, key: u64, now: Instant, input: Input) {
        if let Some(seat) = self.seats.get(&key) {
            let router = seat.router;
            self.feed(now, router, input);
            self.carry_out(now);
        }
    }

    /// Tells a virtual router's election what happened.
    pub(super) fn feed(&mut self, now: Instant, router: RouterId, input: Input) {
        if let Err(error) = self.router.handle_input(now, router, input) {
            // The seat knows its router, and what it configures has been checked.
            tracing::error!(%error, "the election refuses an input");
        }
    }

    pub(super) fn set_priority(&mut self, key: u64, priority: Priority, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let instance = seat.instance.clone().priority(priority);
        match Seat::parameters(&instance, &seat.tracks) {
            Ok(parameters) => {
                let refused = self.refused(key);
                if let Some(seat) = self.seats.get_mut(&key) {
                    seat.instance = instance;
                }
                self.input(key, now, Input::Configure(Box::new(parameters)));
                self.filter_anew(key, &refused);
            }
            Err(error) => tracing::warn!(instance = seat.instance.name(), %error, "priority unchanged"),
        }
    }

    pub(super) fn configure(&mut self, key: u64, instance: Instance, now: Instant) -> Result<(), Error> {
        let tracks = self.track_ids(&instance)?;
        let parameters = Seat::parameters(&instance, &tracks)?;
        let seat = self.seats.get(&key).ok_or(Error::Stopped)?;
        let same = seat.instance.interface == instance.interface
            && seat.instance.vrid == instance.vrid
            && seat.instance.virtual_mac == instance.virtual_mac
            && self
                .router
                .virtual_router(seat.router)
                .is_some_and(|router| router.parameters().family() == parameters.family());
        if !same {
            return Err(Error::Identity);
        }
        self.check_filter(&parameters)?;
        let running = self.start_trackers(&instance, &tracks)?;
        let queue = self.queue(&instance);
        let mut links = Seat::virtual_links(&instance, &parameters, &|name, mac| self.is_taken(name, mac));
        let refused = self.refused(key);
        let seat = self.seats.get_mut(&key).ok_or(Error::Stopped)?;
        seat.tracks = tracks;
        seat.queue = queue;
        seat.running = running;
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        let old = seat.instance.clone();
        let slot = seat.slot;
        if seat.holding {
            // What is gone or has changed is removed as it was; what is new is added with the rest.
            let gone = old
                .addresses
                .iter()
                .filter(|address| !instance.addresses.contains(address));
            for address in gone {
                if let Some(interface) = seat.device(address, base, &self.table) {
                    let change = Change::RemoveAddress {
                        interface,
                        address: Arc::clone(address),
                    };
                    self.work.push(key, change);
                }
            }
            for route in old.routes.iter().filter(|route| !instance.routes.contains(route)) {
                self.work.push(key, Change::RemoveRoute(Arc::clone(route)));
            }
            for rule in old.rules.iter().filter(|rule| !instance.rules.contains(rule)) {
                self.work.push(key, Change::RemoveRule(Arc::clone(rule)));
            }
            for route in instance.routes.iter().filter(|route| !old.routes.contains(route)) {
                self.work.push(key, Change::AddRoute(Arc::clone(route)));
            }
            for rule in instance.rules.iter().filter(|rule| !old.rules.contains(rule)) {
                self.work.push(key, Change::AddRule(Arc::clone(rule)));
            }
        }
        let excluded_changed = instance
            .addresses
            .iter()
            .any(|address| !old.addresses.contains(address));
        for link in std::mem::take(&mut seat.vmacs) {
            match links
                .iter_mut()
                .find(|new| new.on == link.on && new.family == link.family)
            {
                Some(new) => *new = link,
                None => {
                    if let Some(interface) = link.index {
                        self.work.push(key, Change::DeleteLink { interface });
                    }
                }
            }
        }
        seat.vmacs = links;
        seat.instance = instance;
        if seat.holding && excluded_changed {
            let mut changes = Vec::new();
            seat.add_changes(&parameters, base, &self.table, None, &mut changes);
            for change in changes {
                self.work.push(key, change);
            }
        }
        self.note_addresses(key);
        let seat = self.seats.get(&key).ok_or(Error::Stopped)?;
        let router = seat.router;
        #[cfg(feature = "auth-hmac")]
        let signing = seat.instance.signing.clone();
        if seat.instance.group != old.group {
            let groups = [old.group, seat.instance.group.clone()];
            for name in groups.into_iter().flatten() {
                self.form_group(name, now);
            }
        }
        #[cfg(feature = "auth-hmac")]
        self.router.set_signing(now, router, signing)?;
        self.router
            .handle_input(now, router, Input::Configure(Box::new(parameters)))?;
        self.filter_anew(key, &refused);
        self.carry_out(now);
        self.refresh_slot(slot, now);
        Ok(())
    }

    /// Whether the host can do what accept mode off asks for.
    pub(super) fn check_filter(&self, parameters: &Parameters) -> Result<(), Error> {
        if parameters.accept_mode() || parameters.priority().is_owner() {
            return Ok(());
        }
        self.host.can_refuse_packets()
    }

    /// The addresses that packets are kept from while this virtual router is active.
    fn refused(&self, key: u64) -> Vec<IpAddr> {
        let seat = self.seats.get(&key);
        let router = seat.and_then(|seat| Some((seat, self.router.virtual_router(seat.router)?)));
        router.map_or_else(Vec::new, |(seat, router)| {
            seat.refused(router.parameters()).collect()
        })
    }

    /// Brings the packet filter up to date with a change of configuration.
    fn filter_anew(&mut self, key: u64, before: &[IpAddr]) {
        if !self.seats.get(&key).is_some_and(|seat| seat.holding) {
            return;
        }
        let now = self.refused(key);
        for address in before.iter().copied().filter(|address| !now.contains(address)) {
            self.work.push(key, Change::AcceptPackets { address });
        }
        for address in now.iter().copied().filter(|address| !before.contains(address)) {
            self.work.push(key, Change::RefusePackets { address });
        }
    }

    /// Joins a virtual router to the sync group that it names, with the others that name it.
    pub(super) fn join_group(&mut self, key: u64, now: Instant) {
        if let Some(name) = self.seats.get(&key).and_then(|seat| seat.instance.group.clone()) {
            self.form_group(name, now);
        }
    }

    /// Makes a sync group of all those that name it now.
    pub(super) fn form_group(&mut self, name: String, now: Instant) {
        if let Some(group) = self.groups.remove(&name)
            && let Err(error) = self.router.remove_sync_group(now, group)
        {
            tracing::error!(group = %name, %error, "cannot form the sync group anew");
        }
        let members: Vec<_> = self
            .seats
            .values()
            .filter(|seat| seat.instance.group.as_ref() == Some(&name))
            .map(|seat| seat.router)
            .collect();
        if members.is_empty() {
            return;
        }
        match self.router.add_sync_group(now, &name, &members) {
            Ok(group) => {
                self.groups.insert(name, group);
            }
            Err(error) => tracing::error!(group = %name, %error, "cannot form the sync group"),
        }
    }

    pub(super) fn remove(&mut self, key: u64, now: Instant) {
        self.shut_down(key, now);
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        seat.removing = true;
        self.finish_pass(now);
        if self.seats.get(&key).is_some_and(|seat| seat.outstanding == 0) {
            self.forget(key, now);
        }
    }

    pub(super) fn forget(&mut self, key: u64, now: Instant) {
        self.publish_last(key);
        let Some(seat) = self.seats.remove(&key) else {
            return;
        };
        self.by_router.remove(&seat.router);
        if let Err(error) = self.router.remove(now, seat.router) {
            tracing::error!(instance = seat.instance.name(), %error, "cannot forget the virtual router");
        }
        seat.shared.close();
        self.forget_addresses(key);
        self.send_failing.remove(&key);
        self.doubts.remove(&key);
        self.renewals.retain(|(_, known)| *known != key);
        self.listen(seat.slot);
    }
}
