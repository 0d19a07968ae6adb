//! What the host reports: packets, interfaces, addresses that come and go, works carried out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use vrrp_fsm::{Datagram, DiscardReason, Input, Instant};
use vrrp_proto::{AddressFamily, Envelope};

use super::{About, Driver, QUIET};
use crate::Error;
use crate::handle::DriverEvent;
use crate::host::{Change, HostEvent, Switch};
use crate::link::LinkAddress;
use crate::seat::Seat;

impl Driver {
    pub(super) fn receive(&mut self, now: Instant) -> Result<(), Error> {
        let Self {
            host,
            router,
            slots,
            strangers,
            ..
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
            let Err(discard) = router.handle_packet(
                now,
                &Datagram {
                    interface: slot.id,
                    envelope,
                    message: received.message,
                    received: received.time,
                },
            ) else {
                return;
            };
            if let Some(id) = discard.router.filter(|_| discard.is_news) {
                news.push((id, received.source, discard));
            }
            // They come this far only where somebody wants to know.
            if let DiscardReason::UnknownVrid(vrid) = discard.reason {
                let known = (slot.id, AddressFamily::of(received.source), vrid);
                let told = strangers.get(&known).copied();
                if told.is_none_or(|told| now.saturating_since(told) >= QUIET) {
                    strangers.insert(known, now);
                    tracing::info!(
                        interface = %slot.name,
                        vrid = vrid.get(),
                        from = %received.source,
                        "an advertisement of a virtual router that is not configured here"
                    );
                }
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
                    self.doubts.extend(self.seats.keys());
                    self.put_back_all();
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
                HostEvent::RouteGone(gone) => self.route_gone(&gone, now),
                HostEvent::RuleGone(gone) => self.rule_gone(&gone, now),
                HostEvent::Done { ticket, failures } => self.done(ticket, &failures, now),
                HostEvent::Joined {
                    interface,
                    group,
                    result,
                } => self.joined(interface, group, result, now),
            }
        }
        if all && !self.doubts.is_empty() {
            self.check_held(now);
        }
        self.carry_out(now);
        all
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
            if !(seat.holding && seat.owns(gone.index, gone.address, base, &self.table)) {
                continue;
            }
            if seat.outstanding != 0 {
                // Perhaps by ourselves, or it is about to be put back: that is seen when the works are done.
                self.doubts.insert(seat.key);
            } else {
                let lapsed = self.lease_of(seat).is_some_and(|lease| {
                    now.saturating_since(seat.leased_at) >= Duration::from_secs(lease.into())
                });
                let untracked = seat.instance.is_untracked(gone.address);
                lost.push((seat.key, seat.router, lapsed, untracked && !lapsed));
            }
        }
        for (key, router, lapsed, untracked) in lost {
            let address = gone.address;
            if untracked {
                if let Some(seat) = self.seats.get_mut(&key) {
                    seat.given_up.push(address);
                }
                continue;
            }
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

    /// Whether everything that is to be there is, of those about whom there are doubts and of whom no work is under way. All
    /// notifications have been read, and those of a work come before the news that it is done.
    fn check_held(&mut self, now: Instant) {
        let mut lost = Vec::new();
        let (seats, slots, table) = (&self.seats, &self.slots, &self.table);
        self.doubts.retain(|key| {
            let Some(seat) = seats.get(key).filter(|seat| seat.holding) else {
                return false;
            };
            if seat.outstanding != 0 {
                return true;
            }
            let base = slots.get(seat.slot).and_then(|slot| slot.index);
            for address in &seat.instance.addresses {
                if let Some(index) = seat.device(address, base, table)
                    && table.address(index, address.address()).is_none()
                {
                    lost.push((seat.key, seat.router, address.address()));
                }
            }
            false
        });
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
