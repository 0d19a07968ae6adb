//! What happens on the host: packets, interfaces, addresses, works carried out.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_fsm::{Datagram, Delivery, Input, Instant, InterfaceId};
use vrrp_proto::{AddressFamily, Envelope};

use super::{About, Driver, Slot};
use crate::Error;
use crate::handle::DriverEvent;
use crate::host::{Change, HostEvent, Listen, Switch};
use crate::link::LinkAddress;
use crate::seat::Seat;

impl Driver {
    pub(super) fn receive(&mut self, now: Instant) -> Result<(), Error> {
        let Self {
            host, router, slots, ..
        } = self;
        let mut news = Vec::new();
        host.receive(&mut |received| {
            let Some(slot) = slots.iter().find(|slot| slot.index == Some(received.interface)) else {
                return;
            };
            let Ok(envelope) = Envelope::new(received.source, received.destination, received.hop_limit)
            else {
                return;
            };
            // A discarded packet has been counted by the router, which lets each kind be told once a minute.
            if let Err(discard) = router.handle_packet(
                now,
                &Datagram {
                    interface: slot.id,
                    envelope,
                    message: received.message,
                    received: received.time,
                },
            ) && discard.is_news
                && let Some(id) = discard.router
            {
                news.push((id, received.source, discard));
            }
        })?;
        for (id, from, discard) in news {
            if let Some(key) = self.by_router.get(&id).copied() {
                self.publish(key, now, DriverEvent::Discarded { from, discard });
            }
        }
        self.carry_out(now);
        Ok(())
    }

    /// Takes in what has happened; `false` says that there is more. A flood of notifications must not hold up an
    /// advertisement.
    pub(super) fn absorb_events(&mut self, now: Instant) -> bool {
        let mut all = false;
        for _ in 0..BURST {
            let Some(event) = self.host.poll_event() else {
                all = true;
                break;
            };
            match event {
                HostEvent::Snapshot { links, addresses } => {
                    self.table.clear();
                    for link in links {
                        self.table.set_link(link);
                    }
                    for address in addresses {
                        self.table.set_address(address);
                    }
                    self.refresh_all(now);
                    self.check_held(now);
                }
                HostEvent::Link(link) => {
                    if self.table.set_link(link) {
                        self.refresh_all(now);
                    }
                }
                HostEvent::LinkGone(index) => {
                    if self.table.remove_link(index) {
                        self.refresh_all(now);
                    }
                }
                HostEvent::Address(address) => {
                    let slot = self.slot_of(address.index);
                    let moves = self.moving.contains_key(&address.address);
                    let source = address.address;
                    // Addresses that move come and go by the hundred, and nothing depends on them.
                    if self.table.set_address(address) && !moves {
                        self.refresh_around(slot, source, now);
                    }
                }
                HostEvent::AddressGone(address) => {
                    let known = self.table.remove_address(&address);
                    if self.moving.contains_key(&address.address) {
                        if known {
                            self.address_gone(&address, now);
                        }
                    } else {
                        self.refresh_around(self.slot_of(address.index), address.address, now);
                    }
                }
                HostEvent::Done { ticket, failures } => self.done(ticket, &failures, now),
            }
        }
        self.carry_out(now);
        all
    }

    /// After an address came or went: the virtual routers of its interface, and those that send from it.
    fn refresh_around(&mut self, slot: Option<usize>, address: IpAddr, now: Instant) {
        if let Some(slot) = slot {
            self.refresh_slot(slot, now);
        }
        let senders: Vec<_> = self
            .seats
            .values()
            .filter(|seat| seat.instance.track_source && seat.instance.source == Some(address))
            .map(|seat| seat.key)
            .collect();
        for key in senders {
            self.refresh_seat(key, now);
        }
    }

    pub(super) fn slot_of(&self, index: u32) -> Option<usize> {
        self.slots.iter().position(|slot| slot.index == Some(index))
    }

    /// The slot of an interface, made when it is first named.
    pub(super) fn slot(&mut self, name: &str) -> usize {
        if let Some(place) = self.slots.iter().position(|slot| slot.name == name) {
            return place;
        }
        let place = self.slots.len();
        let id = InterfaceId(u32::try_from(place).unwrap_or(u32::MAX));
        self.slots.push(Slot {
            name: name.into(),
            id,
            index: None,
            listens: Vec::new(),
        });
        place
    }

    pub(super) fn refresh_all(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            self.refresh_slot(slot, now);
        }
    }

    /// Brings an interface's virtual routers up to date with what the host says about it.
    pub(super) fn refresh_slot(&mut self, place: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        let before = slot.index;
        // An interface that is there keeps its slot whatever it is called now.
        slot.index = before
            .filter(|index| self.table.link(*index).is_some())
            .or_else(|| self.table.by_name(&slot.name).map(|link| link.index));
        let index = slot.index;
        if before != index {
            slot.listens.clear();
        }
        let event = match (before, index) {
            (Some(_), None) => Some(DriverEvent::InterfaceGone),
            (before, Some(index)) if before != Some(index) => Some(DriverEvent::InterfaceFound { index }),
            _ => None,
        };
        if let (Some(before), true) = (before, before != index) {
            for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
                // Nothing is listened to on an interface that is gone; closing cannot fail.
                let _ = self.host.listen(&Listen {
                    interface: before,
                    family,
                    groups: Vec::new(),
                    vrids: Vec::new(),
                });
            }
        }
        self.listen(place);
        let keys: Vec<_> = self
            .seats
            .values()
            .filter(|seat| seat.slot == place)
            .map(|seat| seat.key)
            .collect();
        for key in keys {
            if let Some(event) = event {
                self.publish(key, now, event);
            }
            self.refresh_seat(key, now);
        }
    }

    /// Tells a virtual router's election what has changed for it.
    pub(super) fn refresh_seat(&mut self, key: u64, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        let link = base.and_then(|base| self.table.link(base));
        let up = link.is_some_and(|link| link.up && (link.running || !seat.instance.track_interface));
        let family = self
            .router
            .virtual_router(seat.router)
            .map_or(AddressFamily::Ipv4, |router| router.parameters().family());
        let moving = &self.moving;
        let is_virtual = |address| moving.contains_key(&address);
        let found = base.and_then(|base| match family {
            AddressFamily::Ipv4 => self.table.primary_ipv4(base, &is_virtual).map(IpAddr::V4),
            AddressFamily::Ipv6 => self.table.link_local(base, &is_virtual).map(IpAddr::V6),
        });
        let source = match seat.instance.source {
            Some(source) if seat.instance.track_source && !self.table.is_anywhere(source) => None,
            Some(source) => Some(source),
            None => found,
        };
        let (mut fault, mut appeared) = (false, false);
        // On the way out the links go, and are to stay away.
        let leaving = self.stopping || seat.removing;
        for vmac in seat.vmacs.iter_mut().filter(|_| !leaving) {
            let base = match vmac.on == seat.instance.interface {
                true => base,
                false => self.table.by_name(&vmac.on).map(|link| link.index),
            };
            let Some(base) = base else {
                continue;
            };
            let before = vmac.index;
            vmac.index = self
                .table
                .by_name(&vmac.name)
                .filter(|link| link.base == Some(base) && link.mac == Some(vmac.mac))
                .map(|link| link.index);
            let missing = vmac.index.is_none();
            // What is active already goes on while a link is made, and its addresses follow.
            fault |= missing && !seat.holding;
            appeared |= seat.holding && before.is_none() && !missing;
            // Deleted by somebody else: it is made again.
            vmac.requested &= before.is_none() || !missing;
            if missing && !vmac.requested {
                vmac.requested = true;
                let change = Change::CreateVirtualLink {
                    base,
                    name: vmac.name.clone(),
                    mac: vmac.mac,
                };
                self.work.push(key, change);
            }
        }
        let router = seat.router;
        let mut inputs = Vec::new();
        if seat.told_source != Some(source) {
            seat.told_source = Some(source);
            inputs.push(Input::PrimaryAddress(source));
        }
        if seat.told_fault != fault {
            seat.told_fault = fault;
            inputs.push(Input::Fault { present: fault });
        }
        if appeared {
            inputs.push(Input::AddressesLost);
        }
        if seat.told_up != Some(up) {
            seat.told_up = Some(up);
            inputs.push(Input::Interface { up });
        }
        for input in inputs {
            self.feed(now, router, input);
        }
        self.carry_out(now);
    }

    /// Notes which addresses move with a virtual router. They are nobody's source address, except the owner's own.
    pub(super) fn note_addresses(&mut self, key: u64) {
        self.forget_addresses(key);
        let Some(seat) = self.seats.get(&key) else {
            return;
        };
        for address in &seat.instance.addresses {
            let address = address.address();
            if !seat.native.contains(&address) {
                self.moving.entry(address).or_default().push(key);
            }
        }
    }

    pub(super) fn forget_addresses(&mut self, key: u64) {
        self.moving.retain(|_, keys| {
            keys.retain(|known| *known != key);
            !keys.is_empty()
        });
    }

    /// Opens and sets up what is needed to hear the virtual routers of an interface.
    pub(super) fn listen(&mut self, place: usize) {
        let Some(index) = self.slots.get(place).and_then(|slot| slot.index) else {
            return;
        };
        for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
            let mut groups = Vec::new();
            let mut vrids = Vec::new();
            for seat in self.seats.values().filter(|seat| seat.slot == place) {
                let Some(router) = self.router.virtual_router(seat.router) else {
                    continue;
                };
                let parameters = router.parameters();
                if parameters.family() != family {
                    continue;
                }
                vrids.push(parameters.vrid().get());
                if let Delivery::Multicast(group) = parameters.delivery()
                    && !groups.contains(group)
                {
                    groups.push(*group);
                }
            }
            vrids.sort_unstable();
            vrids.dedup();
            groups.sort_unstable();
            let listen = Listen {
                interface: index,
                family,
                groups,
                vrids,
            };
            let Some(slot) = self.slots.get_mut(place) else {
                return;
            };
            let known = slot.listens.iter().position(|known| known.family == family);
            let same = match known {
                Some(known) => slot.listens.get(known) == Some(&listen),
                None => listen.vrids.is_empty(),
            };
            if same {
                continue;
            }
            match self.host.listen(&listen) {
                Ok(()) => {
                    slot.listens.retain(|known| known.family != family);
                    slot.listens.push(listen);
                }
                Err(error) => {
                    tracing::error!(interface = %slot.name, ?family, %error, "cannot listen");
                }
            }
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

    /// Finds the addresses of an owner that are the host's own: there before we came, and to stay.
    pub(super) fn find_native(&mut self, key: u64) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let owner = self
            .router
            .virtual_router(seat.router)
            .is_some_and(|router| router.parameters().priority().is_owner());
        if !owner {
            return;
        }
        let base = self
            .table
            .by_name(&seat.instance.interface)
            .map(|link| link.index);
        for address in &seat.instance.addresses {
            let device = seat.device(address, base, &self.table);
            let found = device.and_then(|device| self.table.address(device, address.address()));
            if found.is_some_and(|found| found.permanent && !found.ours) {
                seat.native.push(address.address());
            }
        }
    }

    /// Lets a virtual router take part, keeping what a predecessor left on the host.
    pub(super) fn start(&mut self, key: u64, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        let mut held = false;
        let mut leftovers = Vec::new();
        for address in &seat.instance.addresses {
            let device = seat.device(address, base, &self.table);
            let Some(found) = device.and_then(|device| self.table.address(device, address.address())) else {
                continue;
            };
            if seat.native.contains(&found.address) {
                continue;
            }
            if found.prefix_len == address.prefix_len() {
                held = true;
            } else if let Some(old) = crate::VirtualAddress::new(found.address, found.prefix_len) {
                // Left with another prefix length, it would stay for ever beside the new one.
                leftovers.push(Change::RemoveAddress {
                    interface: found.index,
                    address: Arc::new(old),
                });
            }
        }
        seat.started = true;
        if !held {
            // The lease of a predecessor's addresses has ended; its routes and rules have none.
            leftovers.extend(seat.instance.rules.iter().cloned().map(Change::RemoveRule));
            leftovers.extend(seat.instance.routes.iter().cloned().map(Change::RemoveRoute));
        }
        for change in leftovers {
            self.work.push(key, change);
        }
        if held {
            self.publish(key, now, DriverEvent::Adopted);
            self.hold(key, now, None);
        }
        if self
            .seats
            .get(&key)
            .is_some_and(|seat| seat.instance.promote_secondaries)
            && let Some(interface) = base
        {
            let change = Change::SetSwitch {
                interface,
                switch: Switch::PromoteSecondaries,
                value: 1,
            };
            self.work.push(key, change);
        }
        let Some(seat) = self.seats.get(&key) else {
            return;
        };
        let router = seat.router;
        self.feed(now, router, Input::Startup { held });
        self.carry_out(now);
    }

    /// An address has vanished from the host. If it is one that is to be there, the election hears of it.
    pub(super) fn address_gone(&mut self, gone: &LinkAddress, now: Instant) {
        let mut lost = Vec::new();
        let keys = self.moving.get(&gone.address).map_or(&[][..], Vec::as_slice);
        for seat in keys.iter().filter_map(|key| self.seats.get(key)) {
            let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
            // While works are under way the address may have been removed by ourselves.
            if seat.holding && seat.outstanding == 0 && seat.owns(gone.index, gone.address, base, &self.table)
            {
                let lapsed = self.lease_of(seat).is_some_and(|lease| {
                    now.saturating_since(seat.leased_at) >= Duration::from_secs(lease.into())
                });
                lost.push((seat.key, seat.router, lapsed));
            }
        }
        for (key, router, lapsed) in lost {
            let address = gone.address;
            self.publish(
                key,
                now,
                if lapsed {
                    DriverEvent::LeaseLapsed { address }
                } else {
                    DriverEvent::AddressRestored { address }
                },
            );
            self.feed(now, router, Input::AddressesLost);
        }
    }

    /// After notifications were lost: whether everything that is to be there is.
    pub(super) fn check_held(&mut self, now: Instant) {
        let mut lost = Vec::new();
        for seat in self.seats.values() {
            if !seat.holding || seat.outstanding != 0 {
                continue;
            }
            let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
            for address in &seat.instance.addresses {
                if let Some(index) = seat.device(address, base, &self.table)
                    && self.table.address(index, address.address()).is_none()
                {
                    lost.push((seat.key, seat.router, address.address()));
                }
            }
        }
        for (key, router, address) in lost {
            self.publish(key, now, DriverEvent::AddressRestored { address });
            self.feed(now, router, Input::AddressesLost);
        }
    }

    pub(super) fn lease_of(&self, seat: &Seat) -> Option<u32> {
        seat.lease(self.router.virtual_router(seat.router)?.parameters())
    }

    /// A work was carried out.
    pub(super) fn done(&mut self, ticket: u64, failures: &[(usize, i32)], now: Instant) {
        let Some(place) = self.works.iter().position(|(known, _)| *known == ticket) else {
            return;
        };
        let Some((_, owners)) = self.works.remove(place) else {
            return;
        };
        let mut seen = HashSet::new();
        for (key, _) in &owners {
            if seen.insert(*key)
                && let Some(seat) = self.seats.get_mut(key)
            {
                seat.outstanding = seat.outstanding.saturating_sub(1);
            }
        }
        for (place, errno) in failures {
            if let Some((key, about)) = owners.get(*place) {
                let errno = *errno;
                let event = match *about {
                    About::Filter(address) => DriverEvent::FilterFailed { address, errno },
                    About::Address(address) => DriverEvent::ChangeFailed {
                        address: Some(address),
                        errno,
                    },
                    About::Other => DriverEvent::ChangeFailed { address: None, errno },
                };
                self.publish(*key, now, event);
            }
        }
        let gone: Vec<_> = self
            .seats
            .values()
            .filter(|seat| seat.removing && seat.outstanding == 0)
            .map(|seat| seat.key)
            .collect();
        for key in gone {
            self.forget(key, now);
        }
    }
}

/// How many events are taken in at once.
const BURST: usize = 256;
