//! Which interfaces there are, who lives on each, and what is listened to: the elections are told of whatever changes.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_fsm::{Delivery, Input, Instant, InterfaceId, Parameters};
use vrrp_proto::AddressFamily;

use super::{Driver, Slot};
use crate::Error;
use crate::handle::DriverEvent;
use crate::host::{Change, Listen};
use crate::seat::Seat;

impl Driver {
    /// After an address came or went: the virtual routers of its interface, and those that send from it.
    pub(super) fn refresh_around(&mut self, slot: Option<usize>, address: IpAddr, now: Instant) {
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

    /// The virtual routers of a slot.
    fn seats_of(&self, place: usize) -> Vec<u64> {
        let seats = self.seats.values().filter(|seat| seat.slot == place);
        seats.map(|seat| seat.key).collect()
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
            not_joined: Vec::new(),
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
            slot.not_joined.clear();
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
        for key in self.seats_of(place) {
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
        // Who hears nobody would become active beside whoever is.
        let deaf = match (self.slots.get(seat.slot), self.router.virtual_router(seat.router)) {
            (Some(slot), Some(router)) => base.is_some() && !slot.hears(router.parameters()),
            _ => false,
        };
        seat.told_deaf &= deaf;
        let (mut fault, mut appeared) = (deaf, false);
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
            let mut all = false;
            for seat in self.seats.values().filter(|seat| seat.slot == place) {
                let Some(router) = self.router.virtual_router(seat.router) else {
                    continue;
                };
                let parameters = router.parameters();
                if parameters.family() != family {
                    continue;
                }
                vrids.push(parameters.vrid().get());
                all |= seat.instance.report_unknown;
                if let Delivery::Multicast(group) = parameters.delivery()
                    && !groups.contains(group)
                {
                    groups.push(*group);
                }
            }
            if all {
                vrids = (1..=u8::MAX).collect();
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
                    let errno = match error {
                        Error::Socket(error) | Error::Poll(error) => error.raw_os_error().unwrap_or(0),
                        _ => 0,
                    };
                    self.cannot_listen(place, errno);
                }
            }
        }
    }

    /// A group was joined or not: what is sent to it is heard, or is not.
    pub(super) fn joined(&mut self, interface: u32, group: IpAddr, result: Result<(), i32>, now: Instant) {
        let Some(place) = self.slot_of(interface) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        let was_missing = slot.not_joined.contains(&group);
        slot.not_joined.retain(|known| *known != group);
        match result {
            Ok(()) if !was_missing => return,
            Ok(()) => {}
            Err(errno) => {
                slot.not_joined.push(group);
                // So that it is asked for again.
                for listen in &mut slot.listens {
                    listen.groups.retain(|known| *known != group);
                }
                self.cannot_listen(place, errno);
            }
        }
        for key in self.seats_of(place) {
            self.refresh_seat(key, now);
        }
    }

    /// Tells those that hear nobody, and tries again later.
    fn cannot_listen(&mut self, place: usize, errno: i32) {
        let now = self.host.now();
        self.listen_again
            .get_or_insert_with(|| now.saturating_add(LISTEN_AGAIN));
        let Some(slot) = self.slots.get(place) else {
            return;
        };
        let hears = |seat: &Seat| {
            let router = self.router.virtual_router(seat.router);
            router.is_none_or(|router| slot.hears(router.parameters()))
        };
        // Somebody who has just been added has nobody to tell it to yet, and is told next time.
        let deaf: Vec<_> = self
            .seats
            .values()
            .filter(|seat| seat.slot == place && seat.started && !seat.told_deaf && !hears(seat))
            .map(|seat| seat.key)
            .collect();
        for key in deaf {
            if let Some(seat) = self.seats.get_mut(&key) {
                seat.told_deaf = true;
            }
            self.publish(key, now, DriverEvent::ListenFailed { errno });
        }
    }

    /// Where listening failed a while ago, it is tried once more.
    pub(super) fn listen_again(&mut self, now: Instant) {
        if self.listen_again.is_some_and(|at| at <= now) {
            self.listen_again = None;
            self.refresh_all(now);
        }
    }
}

impl Slot {
    /// Whether what is sent to a virtual router here is received.
    fn hears(&self, parameters: &Parameters) -> bool {
        let groups_fit = |listen: &Listen| match parameters.delivery() {
            Delivery::Multicast(group) => listen.groups.contains(group) && !self.not_joined.contains(group),
            Delivery::Unicast(_) => true,
        };
        self.listens.iter().any(|listen| {
            listen.family == parameters.family()
                && listen.vrids.contains(&parameters.vrid().get())
                && groups_fit(listen)
        })
    }
}

/// After so long it is tried to listen again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
