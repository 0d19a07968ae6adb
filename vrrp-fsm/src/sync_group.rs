//! Sync groups: virtual routers that are active together or not at all.

use alloc::vec::Vec;
use core::net::IpAddr;

use vrrp_proto::Priority;

use crate::phase::{Backup, Phase};
use crate::virtual_router::SayZero;
use crate::{
    Error, Fault, GroupId, Input, Instant, Reason, RouterId, State, Track, VirtualRouter, VrrpRouter,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    /// Ordered so that the first is the same virtual router on every host: by family, VRID and first address.
    pub(crate) members: Vec<u32>,
    /// When it last became active, and when it last was dragged out of it.
    pub(crate) promoted: Instant,
    pub(crate) demoted: Instant,
    /// How often in a row it was dragged out soon after it had become active.
    pub(crate) contests: u8,
    /// It let the others go first since.
    pub(crate) waited: bool,
    /// The strongest that the first member heard since the group became active.
    pub(crate) rival: Option<(Priority, IpAddr)>,
}

impl VrrpRouter {
    /// Joins virtual routers to a sync group (`vrrp_sync_group`):
    ///
    /// - a member becomes active only when every other one would too, or is already;
    /// - a member that becomes a backup takes the others with it, and so does one with a fault;
    /// - after a fault they all start again when the last is over.
    ///
    /// A member that was not started keeps the group from becoming active; one that is shut down leaves the others as they
    /// are.
    ///
    /// Two hosts of which each wins one member would drag each other down for ever. Therefore a group that was dragged
    /// down soon after it had become active lets a host go first whose router beats its own first member (by family, VRID
    /// and address, so that all hosts compare the same one): it waits one more round. At every third such round it waits
    /// whoever it heard, for the sake of hosts without this rule. So two hosts settle within two down intervals of the
    /// better one's slowest member, and two delays of the link.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRouter`], [`Error::AlreadyGrouped`]; and [`Error::UnknownRouter`] for a group of none.
    pub fn add_sync_group(&mut self, now: Instant, members: &[RouterId]) -> Result<GroupId, Error> {
        for (place, member) in members.iter().enumerate() {
            self.virtual_router(*member).ok_or(Error::UnknownRouter)?;
            let grouped = self
                .slots
                .get(member.index as usize)
                .is_some_and(|slot| slot.group.is_some());
            if grouped || members.iter().take(place).any(|earlier| earlier == member) {
                return Err(Error::AlreadyGrouped);
            }
        }
        let mut indices: Vec<u32> = members.iter().map(|member| member.index).collect();
        indices.sort_by_key(|index| {
            let router = self
                .slots
                .get(*index as usize)
                .and_then(|slot| slot.router.as_deref());
            let identity = router.map(VirtualRouter::parameters);
            identity.map(|known| (known.family(), known.vrid(), known.addresses().first().copied()))
        });
        let first = *indices.first().ok_or(Error::UnknownRouter)?;
        let id = GroupId(self.next_group);
        self.next_group = self.next_group.checked_add(1).ok_or(Error::TooManyRouters)?;
        for index in &indices {
            if let Some(slot) = self.slots.get_mut(*index as usize) {
                slot.group = Some(id);
                if let Some(router) = &mut slot.router {
                    router.conditions.grouped = true;
                }
            }
        }
        let group = Group {
            members: indices,
            promoted: now,
            demoted: now,
            contests: 0,
            waited: false,
            rival: None,
        };
        self.groups.insert(id, group);
        self.settle(now, id, first, false, false, false);
        Ok(id)
    }

    /// Dissolves a sync group; its members stay in the states in which they are.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownGroup`].
    pub fn remove_sync_group(&mut self, now: Instant, id: GroupId) -> Result<(), Error> {
        let group = self.groups.remove(&id).ok_or(Error::UnknownGroup)?;
        for index in group.members {
            if let Some(slot) = self.slots.get_mut(index as usize) {
                slot.group = None;
            }
            self.with(index, |router| {
                router.conditions.grouped = false;
                router.set_group_fault(now, None);
            });
        }
        Ok(())
    }

    /// The members of a sync group, in the order of family and VRID.
    pub fn sync_group(&self, id: GroupId) -> impl Iterator<Item = (RouterId, &VirtualRouter)> {
        let members = self.groups.get(&id).map_or(&[][..], |group| &group.members);
        members.iter().filter_map(|index| self.at(*index))
    }

    /// The state of a sync group: the lowest of its members, in the order Initialize, Backup, Active.
    pub fn sync_group_state(&self, id: GroupId) -> Option<State> {
        let mut states = self.sync_group(id).map(|(_, router)| router.state());
        let first = states.next()?;
        Some(states.fold(first, State::min))
    }

    pub(crate) fn leave_group(&mut self, now: Instant, id: GroupId, index: u32) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.members.retain(|member| *member != index);
        match group.members.first().copied() {
            Some(first) => self.settle(now, id, first, false, false, false),
            None => {
                self.groups.remove(&id);
            }
        }
    }

    /// Lets the group follow what happened to one member.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        id: GroupId,
        trigger: u32,
        was_active: bool,
        resigning: bool,
        heard_lower: bool,
    ) {
        let Some(mut group) = self.groups.remove(&id) else {
            return;
        };
        if let Some(router) = self.member(trigger) {
            group.note_rival(trigger, router);
        }
        self.spread_fault(now, &group);
        let state = self.member(trigger).map(VirtualRouter::state);
        if was_active && state == Some(State::Backup) {
            self.drag_down(now, &mut group, resigning);
        } else if heard_lower {
            for index in group.members.iter().filter(|index| **index != trigger) {
                self.with(*index, |router| router.announce_after_conflict(now));
            }
        }
        if let Some(router) = self.member(trigger) {
            group.note_peace(router);
        }
        self.promote_group(now, &mut group);
        self.groups.insert(id, group);
    }

    /// What a group learns from an input that changed nothing else.
    pub(crate) fn note(&mut self, id: GroupId, trigger: u32) {
        let slot = self.slots.get(trigger as usize);
        let router = slot.and_then(|slot| slot.router.as_deref());
        if let Some((group, router)) = self.groups.get_mut(&id).zip(router) {
            group.note_rival(trigger, router);
            group.note_peace(router);
        }
    }

    fn spread_fault(&mut self, now: Instant, group: &Group) {
        let faults = group.members.iter().filter_map(|index| {
            let router = self.member(*index)?;
            let takes_part = router.conditions.started || router.reason == Reason::NotStarted;
            router.own_fault().filter(|_| takes_part)
        });
        let worst = faults.map(|fault| {
            if fault.is_pending() {
                Fault::SyncGroupPending
            } else {
                Fault::SyncGroup
            }
        });
        let fault = worst.min();
        for index in &group.members {
            self.with(*index, |router| router.set_group_fault(now, fault));
        }
    }

    fn drag_down(&mut self, now: Instant, group: &mut Group, resigning: bool) {
        let interval = group.members.first().and_then(|first| self.member(*first));
        let soon = interval.map_or(0, VirtualRouter::down_nanos);
        if now.nanos_since(group.promoted) > soon {
            group.contests = 0;
        }
        group.contests = match group.contests {
            _ if resigning => 0,
            // Round and round, for whoever always waited could meet somebody who does, too.
            PATIENCE.. => 1,
            fewer => fewer + 1,
        };
        group.waited = false;
        group.demoted = now;
        for index in &group.members {
            self.with(*index, |router| {
                if resigning {
                    router.handle_input(now, Input::Resign);
                } else if router.state() == State::Active {
                    router.leave(
                        now,
                        Phase::Backup(Backup::new(now)),
                        Reason::SyncGroup,
                        SayZero::No,
                    );
                }
            });
        }
    }

    fn promote_group(&mut self, now: Instant, group: &mut Group) {
        let members = || group.members.iter().filter_map(|index| self.member(*index));
        let any_active = members().any(|router| router.state() == State::Active);
        let all_want = members().all(VirtualRouter::wants_active);
        if !(any_active || all_want) {
            return;
        }
        if !any_active {
            let first = group.members.first().and_then(|first| self.member(*first));
            let own = first.and_then(|first| Some((first.effective_priority(), first.primary_address()?)));
            let outranked = group.rival > own;
            if group.contests > 0 && !group.waited && (outranked || group.contests >= PATIENCE) {
                group.waited = true;
                for index in &group.members {
                    self.with(*index, |router| router.hold_off(now));
                }
                return;
            }
            group.promoted = now;
            group.rival = None;
        }
        for index in &group.members {
            self.with(*index, |router| {
                if router.wants_active() {
                    router.promote(now);
                }
            });
        }
    }

    pub(crate) fn member(&self, index: u32) -> Option<&VirtualRouter> {
        self.slots.get(index as usize)?.router.as_deref()
    }
}

impl Group {
    fn note_rival(&mut self, index: u32, member: &VirtualRouter) {
        if self.members.first() != Some(&index) {
            return;
        }
        let heard = member.last_heard();
        if let Some(heard) = heard.filter(|heard| heard.received >= self.promoted) {
            self.rival = self.rival.max(Some((heard.priority, heard.source)));
        }
    }

    /// Somebody is active and accepted, two intervals after we were dragged down: the contest is over. What came before
    /// that may have been sent before its sender was dragged down, too.
    fn note_peace(&mut self, member: &VirtualRouter) {
        if let Phase::Backup(backup) = &member.phase {
            let interval = member.interval_of(backup).as_nanos();
            if backup.wants.is_none() && backup.since >= self.demoted.plus(2 * interval) {
                self.contests = 0;
            }
        }
    }
}

/// The tracked objects of a member of a sync group: its own and those of the group.
///
/// Where both track the same object the group's entry holds, unless the member's has no weight. In a group with an
/// address owner no entry has a weight: priorities do not move there, only faults.
pub fn sync_group_tracks(member: &[Track], group: &[Track], owner_in_group: bool) -> Vec<Track> {
    let overridden =
        |track: &&Track| track.weight() == 0 || !group.iter().any(|other| other.id() == track.id());
    let own: Vec<Track> = member.iter().filter(overridden).copied().collect();
    let added = group
        .iter()
        .filter(|track| !own.iter().any(|other| other.id() == track.id()));
    let all = own.iter().chain(added).copied();
    all.map(|track| if owner_in_group { track.unweighted() } else { track })
        .collect()
}

/// How many contests are fought before a group waits whoever it heard.
const PATIENCE: u8 = 3;
