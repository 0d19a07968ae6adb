//! The outputs of the election, carried out: advertisements, addresses, announcements, leases, reports.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_fsm::{
    Delivery, Discard, DiscardReason, Event, Instant, Output, Parameters, RouterId, State, VirtualRouter,
};
use vrrp_proto::{Envelope, Priority};

use super::{Driver, Pending};
use crate::Error;
use crate::handle::{DriverEvent, Notice, Status};
use crate::host::{Change, Transmission};

impl Driver {
    /// Carries out what the election has decided, in order. Packets and changes are gathered for the end of the pass.
    pub(super) fn carry_out(&mut self, now: Instant) {
        while let Some((router, output)) = self.router.poll_output() {
            let Some(key) = self.by_router.get(&router).copied() else {
                continue;
            };
            match output {
                Output::Advertise { priority } => self.advertise(key, now, priority),
                Output::AddAddresses => self.hold(key, now, None),
                Output::RemoveAddresses => self.let_go(key),
                Output::AddAddress(address) => self.hold(key, now, Some(address)),
                Output::RemoveAddress(address) => self.let_go_of(key, address),
                Output::Announce { repeat } => self.announce(key, None, repeat),
                Output::AnnounceAddress { address, repeat } => {
                    self.announce(key, Some(address), repeat);
                }
                Output::Event(event) => {
                    self.publish(key, now, DriverEvent::Election(event));
                }
            }
        }
    }

    pub(super) fn advertise(&mut self, key: u64, now: Instant, priority: Priority) {
        let Some(seat) = self.seats.get(&key) else {
            return;
        };
        let Some(router) = self.router.virtual_router(seat.router) else {
            return;
        };
        let (Some(Some(source)), Some(interface)) = (
            seat.told_source,
            self.slots.get(seat.slot).and_then(|slot| slot.index),
        ) else {
            return;
        };
        let parameters = router.parameters();
        let room = parameters.addresses().len() * parameters.family().address_len() + MESSAGE_FRAME;
        let (count, hop_limit, source_mac) = match parameters.delivery() {
            Delivery::Multicast(_) => (1, 255, seat.source_mac()),
            Delivery::Unicast(peers) => (peers.len(), seat.instance.hop_limit.unwrap_or(255), None),
        };
        let id = seat.router;
        for number in 0..count {
            let parameters = self.router.virtual_router(id).map(VirtualRouter::parameters);
            let destination = match parameters.map(Parameters::delivery) {
                Some(Delivery::Multicast(group)) => *group,
                Some(Delivery::Unicast(peers)) => match peers.get(number) {
                    Some(peer) => peer.address,
                    None => return,
                },
                None => return,
            };
            let Ok(envelope) = Envelope::new(source, destination, hop_limit) else {
                continue;
            };
            let transmission = Transmission {
                interface,
                source,
                destination,
                hop_limit,
                source_mac,
                tag: u32::try_from(key).unwrap_or(u32::MAX),
            };
            let election = &mut self.router;
            self.packets.push(transmission, |bytes| {
                let start = bytes.len();
                bytes.resize(start + room, 0);
                let buffer = bytes.get_mut(start..).unwrap_or(&mut []);
                // One that does not fit its envelope leaves nothing.
                let written = election.emit(now, id, priority, &envelope, buffer);
                bytes.truncate(start + written);
            });
        }
    }

    pub(super) fn hold(&mut self, key: u64, now: Instant, only: Option<IpAddr>) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let Some(router) = self.router.virtual_router(seat.router) else {
            return;
        };
        let parameters = router.parameters();
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        seat.holding = true;
        let changes = match only {
            None => seat.hold(parameters, base, &self.table),
            Some(_) => {
                let mut changes = Vec::new();
                seat.add_changes(parameters, base, &self.table, only, &mut changes);
                changes
            }
        };
        let lease = seat.lease(parameters);
        for change in changes {
            self.work.push(key, change);
        }
        self.schedule_renewal(key, now, lease);
    }

    pub(super) fn let_go(&mut self, key: u64) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        seat.holding = false;
        seat.given_up.clear();
        if let Some(at) = seat.renew_at.take() {
            self.renewals.remove(&(at, key));
        }
        let Some(router) = self.router.virtual_router(seat.router) else {
            return;
        };
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        for change in seat.let_go(router.parameters(), base, &self.table) {
            self.work.push(key, change);
        }
        self.work.forget_announcements(&seat.instance);
    }

    pub(super) fn let_go_of(&mut self, key: u64, address: IpAddr) {
        let Some(seat) = self.seats.get(&key) else {
            return;
        };
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        // A change of configuration has replaced the address's own description: it is identified by what the host has.
        let links = seat.vmacs.iter().filter_map(|link| link.index).chain(base);
        let Some(found) = links
            .filter_map(|device| self.table.address(device, address))
            .next()
        else {
            return;
        };
        if seat.instance.addresses.iter().any(|own| own.address() == address) {
            return;
        }
        if let Some(old) = crate::VirtualAddress::new(found.address, found.prefix_len) {
            let change = Change::RemoveAddress {
                interface: found.index,
                address: Arc::new(old),
            };
            self.work.push(key, change);
        }
    }

    pub(super) fn announce(&mut self, key: u64, only: Option<IpAddr>, repeat: u8) {
        let Some(seat) = self.seats.get(&key) else {
            return;
        };
        let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
        let announcements = seat.announcements(base, &self.table, only, repeat);
        self.work.announce(key, announcements);
    }

    pub(super) fn schedule_renewal(&mut self, key: u64, now: Instant, lease: Option<u32>) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        seat.leased_at = now;
        if let Some(at) = seat.renew_at.take() {
            self.renewals.remove(&(at, key));
        }
        let Some(lease) = lease else {
            return;
        };
        // On a grid, so that the leases of many virtual routers are renewed in one batch; never later than a third.
        let third = u64::from(lease) * SECOND / 3;
        let grid = (third / 4).max(1);
        let at = (now.as_nanos().saturating_add(third) / grid) * grid;
        let at = Instant::from_nanos(at);
        seat.renew_at = Some(at);
        self.renewals.insert((at, key));
    }

    pub(super) fn renew(&mut self, now: Instant) {
        while let Some((at, key)) = self.renewals.first().copied() {
            if at > now {
                return;
            }
            self.renewals.remove(&(at, key));
            let Some(seat) = self.seats.get_mut(&key) else {
                continue;
            };
            seat.renew_at = None;
            if !seat.holding {
                continue;
            }
            let Some(router) = self.router.virtual_router(seat.router) else {
                continue;
            };
            let base = self.slots.get(seat.slot).and_then(|slot| slot.index);
            let mut changes = Vec::new();
            seat.add_changes(router.parameters(), base, &self.table, None, &mut changes);
            let lease = seat.lease(router.parameters());
            for change in changes {
                self.work.push(key, change);
            }
            self.schedule_renewal(key, now, lease);
        }
    }

    /// Sends the packets that have gathered in one go, and hands the changes to the host.
    pub(super) fn finish_pass(&mut self, now: Instant) {
        self.send_packets(now);
        if self.work.is_empty() {
            self.deliver();
            return;
        }
        let Pending { mut work, owners } = std::mem::take(&mut self.work);
        work.ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut seen = HashSet::new();
        for (key, _) in &owners {
            if seen.insert(*key)
                && let Some(seat) = self.seats.get_mut(key)
            {
                seat.outstanding += 1;
                seat.last_ticket = Some(work.ticket);
            }
        }
        self.works.push_back((work.ticket, owners));
        self.host.submit(work);
        self.deliver();
    }

    fn send_packets(&mut self, now: Instant) {
        if self.packets.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        self.host
            .send(&self.packets, &mut |place, error| failed.push((place, error)));
        if !(failed.is_empty() && self.send_failing.is_empty()) {
            let before = std::mem::take(&mut self.send_failing);
            let whose = |place| self.packets.get(place).map(|sent| u64::from(sent.tag));
            let failed: Vec<_> = failed
                .into_iter()
                .filter_map(|(place, error)| Some((whose(place)?, error)))
                .collect();
            let sent: HashSet<u64> = (0..self.packets.len()).filter_map(whose).collect();
            // Who sent nothing just now has not succeeded either.
            self.send_failing.extend(before.difference(&sent));
            for (key, error) in failed {
                let is_news = self.send_failing.insert(key) && !before.contains(&key);
                if is_news {
                    let errno = match &error {
                        Error::Send(error) => error.raw_os_error().unwrap_or(0),
                        _ => 0,
                    };
                    self.publish(key, now, DriverEvent::SendFailed { errno });
                }
            }
        }
        self.packets.clear();
    }

    /// Notes something to tell the application, once the host has carried out what was decided with it.
    pub(super) fn publish(&mut self, key: u64, now: Instant, event: DriverEvent) {
        let notice = Notice { at: now, event };
        self.fresh.push((key, notice));
    }

    /// Tells the application what it can rely on: a router is reported active when its addresses are there.
    pub(super) fn deliver(&mut self) {
        for (key, notice) in self.fresh.drain(..) {
            let ticket = self.seats.get(&key).and_then(|seat| seat.last_ticket);
            self.waiting.push_back((key, ticket, notice));
        }
        // Works are carried out in their order, so everything before the first that is under way is done.
        let first = self.works.front().map(|(ticket, _)| *ticket);
        let is_ready = |ticket: &Option<u64>| match (ticket, first) {
            (Some(ticket), Some(first)) => *ticket < first,
            _ => true,
        };
        if !self.waiting.iter().any(|(_, ticket, _)| is_ready(ticket)) {
            return;
        }
        for (key, ticket, notice) in std::mem::take(&mut self.waiting) {
            if !is_ready(&ticket) {
                self.waiting.push_back((key, ticket, notice));
                continue;
            }
            self.publish_now(key, notice);
        }
    }

    /// What a virtual router that is about to be forgotten has to say still.
    pub(super) fn publish_last(&mut self, forgotten: u64) {
        let (last, others): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(key, _, _)| *key == forgotten);
        self.waiting = others;
        for (key, _, notice) in last {
            self.publish_now(key, notice);
        }
    }

    fn publish_now(&self, key: u64, notice: Notice) {
        let Some(seat) = self.seats.get(&key) else {
            return;
        };
        let event = &notice.event;
        let (instance, vrid) = (seat.instance.name(), seat.instance.vrid.get());
        match event {
            // With a target of its own, for whoever has a better word for what is tracked.
            DriverEvent::Election(Event::StateChanged { .. }) => {
                tracing::info!(target: "vrrp_net::state", instance, vrid, %event)
            }
            // Of no interest: whoever is in fault hears the one that serves.
            DriverEvent::Discarded {
                discard:
                    Discard {
                        reason: DiscardReason::NotRunning,
                        ..
                    },
                ..
            } => tracing::debug!(instance, vrid, %event),
            _ => tracing::info!(instance, vrid, %event),
        }
        seat.shared.set_status(self.status(seat.router, notice.at));
        seat.shared.publish(notice);
    }

    pub(super) fn status(&self, router: RouterId, now: Instant) -> Status {
        match self.router.virtual_router(router) {
            Some(router) => Status {
                state: router.state(),
                since: router.since(),
                reason: *router.reason(),
                priority: router.parameters().priority(),
                effective_priority: router.effective_priority(),
                active_router: router.active_router(),
                statistics: router.statistics(),
            },
            None => Status {
                state: State::Initialize,
                since: now,
                reason: vrrp_fsm::Reason::NotStarted,
                priority: Priority::DEFAULT,
                effective_priority: Priority::DEFAULT,
                active_router: None,
                statistics: vrrp_fsm::Statistics::default(),
            },
        }
    }
}

/// What a message has beside its addresses: a header, VRRPv2's authentication data, and a signature.
const MESSAGE_FRAME: usize = 16 + 28;
const SECOND: u64 = 1_000_000_000;
