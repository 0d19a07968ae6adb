use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

use vrrp_proto::{AddressFamily, Vrid};

use crate::deadlines::Deadlines;
use crate::index::{Index, Key};
use crate::outputs::Outputs;
use crate::receive::Reported;
use crate::sync_group::Group;

use crate::{
    Delivery, Error, GroupId, Input, Instant, InterfaceId, Output, Parameters, RouterId, RouterStatistics,
    State, TrackId, TrackStatus, VirtualRouter,
};

/// All virtual routers of a host.
///
/// It finds the virtual router that a packet is for, makes the receive checks, keeps the deadlines in order, joins
/// virtual routers to sync groups, and passes the state of tracked objects on. It is driven like a
/// [`VirtualRouter`]: after each call of a `handle_` method take all outputs from [`poll_output`](Self::poll_output), and
/// call [`handle_timeout`](Self::handle_timeout) when the time of [`poll_timeout`](Self::poll_timeout) has come.
///
/// Packets are looked up in O(1), a deadline moves in O(log n) at most, the next one is known at once. Nothing is allocated for
/// an advertisement, received or sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VrrpRouter {
    pub(crate) slots: Vec<Slot>,
    free: Vec<u32>,
    pub(crate) numbers: Index,
    pub(crate) deadlines: Deadlines,
    outputs: VecDeque<(RouterId, Output)>,
    /// Lent to the virtual router that takes in something.
    lent: Outputs,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) next_group: u32,
    trackers: BTreeMap<TrackId, Vec<u32>>,
    statuses: BTreeMap<TrackId, TrackStatus>,
    pub(crate) statistics: RouterStatistics,
    pub(crate) reported: Reported,
    #[cfg(feature = "auth-hmac")]
    pub(crate) signers: crate::signing::Signers,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    /// Boxed, so that growing does not move it and what is free takes no room.
    pub(crate) router: Option<Box<VirtualRouter>>,
    generation: u32,
    pub(crate) interface: InterfaceId,
    pub(crate) group: Option<GroupId>,
    /// Another virtual router with the same key and other peers.
    pub(crate) next: Option<u32>,
}

impl Slot {
    pub(crate) fn router_of(&self, id: RouterId) -> Option<&VirtualRouter> {
        self.router
            .as_deref()
            .filter(|_| self.generation == id.generation)
    }
}

impl VrrpRouter {
    /// Without a virtual router.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a virtual router, in Initialize, with the address that its advertisements are sent from if it is known.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateVrid`] when the interface has a virtual router of this family and VRID, unless both are unicast
    /// and have no peer in common.
    pub fn add(
        &mut self,
        interface: InterfaceId,
        parameters: Parameters,
        primary_address: Option<IpAddr>,
    ) -> Result<RouterId, Error> {
        self.check_unique(interface, &parameters, None)?;
        let key = Key::new(interface, parameters.family(), parameters.vrid());
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).map_err(|_| Error::TooManyRouters)?;
                grow(&mut self.slots);
                self.slots.push(Slot {
                    router: None,
                    generation: 0,
                    interface,
                    group: None,
                    next: None,
                });
                index
            }
        };
        let next = self.numbers.insert(key, index);
        let router = VirtualRouter::new(parameters, primary_address);
        let slot = self.slots.get_mut(index as usize).ok_or(Error::TooManyRouters)?;
        slot.router = Some(Box::new(router));
        slot.interface = interface;
        slot.next = next;
        let id = RouterId {
            index,
            generation: slot.generation,
        };
        self.note_tracks(index);
        self.tell_statuses(Instant::ZERO, index);
        Ok(id)
    }

    /// Removes a virtual router that is in Initialize; shut it down first and carry out its outputs. It leaves its sync
    /// group.
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`] outside of Initialize, [`Error::UnknownRouter`].
    pub fn remove(&mut self, now: Instant, id: RouterId) -> Result<(), Error> {
        let router = self.virtual_router(id).ok_or(Error::UnknownRouter)?;
        if router.state() != State::Initialize {
            return Err(Error::StillRunning);
        }
        let (family, vrid) = (router.parameters().family(), router.parameters().vrid());
        let slot = self
            .slots
            .get_mut(id.index as usize)
            .ok_or(Error::UnknownRouter)?;
        slot.router = None;
        slot.generation = slot.generation.wrapping_add(1);
        let group = slot.group.take();
        let next = slot.next.take();
        let key = Key::new(slot.interface, family, vrid);
        self.unlink(key, id.index, next);
        self.deadlines.set(id.index, None);
        self.free.push(id.index);
        self.forget_tracks(id.index);
        #[cfg(feature = "auth-hmac")]
        self.signers.0.remove(&id.index);
        if let Some(group) = group {
            self.leave_group(now, group, id.index);
        }
        Ok(())
    }

    /// Takes in what happened to one virtual router.
    ///
    /// [`Input::Configure`] keeps the tracked objects' states and the place in a sync group.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRouter`]; and for [`Input::Configure`] [`Error::IdentityChanged`] and [`Error::DuplicateVrid`], when
    /// the new parameters change what the virtual router is looked up by, or have a peer in common with another of the
    /// same VRID.
    pub fn handle_input(&mut self, now: Instant, id: RouterId, input: Input) -> Result<(), Error> {
        let router = self.virtual_router(id).ok_or(Error::UnknownRouter)?;
        let mut tracks_changed = false;
        if let Input::Configure(new) = &input {
            let old = router.parameters();
            if new.vrid() != old.vrid() || new.family() != old.family() {
                return Err(Error::IdentityChanged);
            }
            tracks_changed = new.tracks() != old.tracks();
            if new.delivery() != old.delivery() {
                let interface = self.interface(id).ok_or(Error::UnknownRouter)?;
                self.check_unique(interface, new, Some(id.index))?;
            }
        }
        if tracks_changed {
            self.forget_tracks(id.index);
        }
        self.feed(now, id.index, input);
        if tracks_changed {
            self.note_tracks(id.index);
            self.tell_statuses(now, id.index);
        }
        Ok(())
    }

    /// The state of a tracked object, for all virtual routers that track it, now or later.
    pub fn handle_track(&mut self, now: Instant, id: TrackId, status: TrackStatus) {
        self.statuses.insert(id, status);
        let users = self.trackers.get(&id).cloned().unwrap_or_default();
        for index in users {
            self.feed(now, index, Input::Track { id, status });
        }
    }

    /// Forgets the state of an object that nobody tracks any more.
    pub fn forget_track(&mut self, id: TrackId) {
        self.statuses.remove(&id);
    }

    /// An interface has carrier and is up, or not: for all its virtual routers.
    pub fn handle_interface(&mut self, now: Instant, interface: InterfaceId, up: bool) {
        for index in self.indices_of(interface) {
            self.feed(now, index, Input::Interface { up });
        }
    }

    /// Shuts down all virtual routers.
    pub fn shutdown(&mut self, now: Instant) {
        for index in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            self.feed(now, index, Input::Shutdown);
        }
    }

    /// Does what is due by now, for all virtual routers. Coming early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((deadline, index)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.feed(now, index, Input::Timeout);
        }
    }

    /// The next thing to do and for which virtual router, to be asked for until there is none.
    pub fn poll_output(&mut self) -> Option<(RouterId, Output)> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while all virtual routers are in Initialize.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// A virtual router, unless it was removed.
    pub fn virtual_router(&self, id: RouterId) -> Option<&VirtualRouter> {
        self.slots.get(id.index as usize)?.router_of(id)
    }

    /// The interface of a virtual router.
    pub fn interface(&self, id: RouterId) -> Option<InterfaceId> {
        self.virtual_router(id)?;
        self.slots.get(id.index as usize).map(|slot| slot.interface)
    }

    /// All virtual routers, in the order of their places.
    pub fn virtual_routers(&self) -> impl Iterator<Item = (RouterId, &VirtualRouter)> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| {
            let generation = slot.generation;
            slot.router
                .as_deref()
                .map(|router| (RouterId { index, generation }, router))
        })
    }

    /// The virtual routers of an interface with this family and VRID: one, or several with other peers each.
    pub fn find(
        &self,
        interface: InterfaceId,
        family: AddressFamily,
        vrid: Vrid,
    ) -> impl Iterator<Item = (RouterId, &VirtualRouter)> {
        self.chain(self.numbers.get(Key::new(interface, family, vrid)))
    }

    /// How many virtual routers there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was discarded before a virtual router could be told.
    pub const fn statistics(&self) -> &RouterStatistics {
        &self.statistics
    }

    pub(crate) fn at(&self, index: u32) -> Option<(RouterId, &VirtualRouter)> {
        let slot = self.slots.get(index as usize)?;
        let generation = slot.generation;
        slot.router
            .as_deref()
            .map(|router| (RouterId { index, generation }, router))
    }

    pub(crate) fn chain(&self, first: Option<u32>) -> impl Iterator<Item = (RouterId, &VirtualRouter)> {
        let mut at = first;
        core::iter::from_fn(move || {
            let index = at?;
            let slot = self.slots.get(index as usize)?;
            at = slot.next;
            let generation = slot.generation;
            slot.router
                .as_deref()
                .map(|router| (RouterId { index, generation }, router))
        })
    }

    /// Gives an input to a virtual router, and to its sync group what follows from it.
    pub(crate) fn feed(&mut self, now: Instant, index: u32, input: Input) {
        let resigning = matches!(input, Input::Resign);
        let routine = matches!(input, Input::Advertisement(_) | Input::Timeout);
        let Some(slot) = self.slots.get(index as usize) else {
            return;
        };
        let (Some(router), group) = (&slot.router, slot.group) else {
            return;
        };
        let stands = |router: &VirtualRouter| (router.state(), router.wants_active());
        let before = stands(router);
        let heard_lower = self.with(index, |router| router.handle_input(now, input));
        let Some(group) = group else {
            return;
        };
        // Most of what happens to a member is no matter for the others, of which there may be thousands.
        if routine && !heard_lower && self.member(index).map(stands) == Some(before) {
            self.note(group, index);
        } else {
            let was_active = before.0 == State::Active;
            self.settle(now, group, index, was_active, resigning, heard_lower);
        }
    }

    /// Lets a virtual router do something; collects its outputs and its deadline. Says whether a loser was answered.
    pub(crate) fn with(&mut self, index: u32, act: impl FnOnce(&mut VirtualRouter)) -> bool {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return false;
        };
        let Some(router) = &mut slot.router else {
            return false;
        };
        core::mem::swap(&mut router.outputs, &mut self.lent);
        act(router);
        core::mem::swap(&mut router.outputs, &mut self.lent);
        self.deadlines.set(index, router.poll_timeout());
        let id = RouterId {
            index,
            generation: slot.generation,
        };
        let mut heard_lower = false;
        while let Some(output) = self.lent.pop() {
            heard_lower |= matches!(output, Output::Event(crate::Event::HeardLower { .. }));
            self.outputs.push_back((id, output));
        }
        heard_lower
    }

    fn indices_of(&self, interface: InterfaceId) -> Vec<u32> {
        let on_it = self
            .slots
            .iter()
            .zip(0..)
            .filter(|(slot, _)| slot.interface == interface);
        on_it.map(|(_, index)| index).collect()
    }

    /// R6 has one answer: a VRID is used once, or towards disjoint sets of peers.
    fn check_unique(
        &self,
        interface: InterfaceId,
        parameters: &Parameters,
        except: Option<u32>,
    ) -> Result<(), Error> {
        let (family, vrid) = (parameters.family(), parameters.vrid());
        let mut others = self
            .find(interface, family, vrid)
            .filter(|(id, _)| Some(id.index) != except);
        let clash = others.any(
            |(_, other)| match (parameters.delivery(), other.parameters().delivery()) {
                (Delivery::Unicast(ours), Delivery::Unicast(theirs)) => ours
                    .iter()
                    .any(|peer| theirs.iter().any(|other| other.address == peer.address)),
                (Delivery::Multicast(ours), Delivery::Multicast(theirs)) => ours == theirs,
                (Delivery::Multicast(_), Delivery::Unicast(_))
                | (Delivery::Unicast(_), Delivery::Multicast(_)) => false,
            },
        );
        if clash {
            return Err(Error::DuplicateVrid {
                interface,
                family,
                vrid,
            });
        }
        Ok(())
    }

    fn unlink(&mut self, key: Key, index: u32, next: Option<u32>) {
        let Some(first) = self.numbers.get(key) else {
            return;
        };
        if first == index {
            match next {
                Some(next) => {
                    self.numbers.insert(key, next);
                }
                None => self.numbers.remove(key),
            }
            return;
        }
        let mut at = Some(first);
        while let Some(slot) = at.and_then(|at| self.slots.get_mut(at as usize)) {
            if slot.next == Some(index) {
                slot.next = next;
                return;
            }
            at = slot.next;
        }
    }

    /// What is known already of the objects that a virtual router tracks.
    fn tell_statuses(&mut self, now: Instant, index: u32) {
        let known = |slot: &Slot| -> Vec<(TrackId, TrackStatus)> {
            let tracks = slot.router.iter().flat_map(|router| router.parameters.tracks());
            tracks
                .filter_map(|track| Some((track.id(), *self.statuses.get(&track.id())?)))
                .collect()
        };
        for (id, status) in self.slots.get(index as usize).map(known).unwrap_or_default() {
            self.feed(now, index, Input::Track { id, status });
        }
    }

    fn note_tracks(&mut self, index: u32) {
        let Some(router) = self
            .slots
            .get(index as usize)
            .and_then(|slot| slot.router.as_ref())
        else {
            return;
        };
        for track in router.parameters.tracks() {
            self.trackers.entry(track.id()).or_default().push(index);
        }
    }

    fn forget_tracks(&mut self, index: u32) {
        self.trackers.retain(|_, users| {
            users.retain(|user| *user != index);
            !users.is_empty()
        });
    }
}

/// Room for one more, without doubling what is large already.
fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
}
