//! What keeps a virtual router from taking part, and what tracked objects do to its priority.

use vrrp_proto::Priority;

use crate::phase::Phase;
use crate::track::{Effect, Known};
use crate::virtual_router::SayZero;
use crate::{Event, Fault, Instant, Reason, State, Track, TrackId, TrackStatus, VirtualRouter};

impl VirtualRouter {
    /// What keeps it in Initialize, though started: keepalived's FAULT. Of several faults the first in the order of
    /// [`Fault`].
    pub fn fault(&self) -> Option<Fault> {
        match self.own_fault() {
            // A fault of another member weighs more than that our own objects have not reported.
            Some(own) if own.is_pending() => self
                .conditions
                .group_fault
                .filter(|fault| !fault.is_pending())
                .or(Some(own)),
            Some(own) => Some(own),
            None => self.conditions.group_fault,
        }
    }

    pub(crate) fn own_fault(&self) -> Option<Fault> {
        if !self.conditions.interface_up {
            return Some(Fault::InterfaceDown);
        }
        if self.primary.is_none() {
            return Some(Fault::NoPrimaryAddress);
        }
        let failed = self.tracks().find_map(|(track, known)| match known {
            Known::Reported(status) => (track.effect(status) == Effect::Fault).then_some(track.id()),
            Known::Pending | Known::Waived => None,
        });
        if let Some(id) = failed {
            return Some(Fault::Track(id));
        }
        if self.conditions.driver_fault {
            return Some(Fault::Driver);
        }
        let mut pending = self
            .tracks()
            .filter(|(track, known)| track.weight() == 0 && *known == Known::Pending);
        pending.next().map(|(track, _)| Fault::TrackPending(track.id()))
    }

    /// The unclamped sum of the configured priority and all adjustments.
    pub fn total_priority(&self) -> i64 {
        let adjustments = self.tracks().map(|(track, known)| match known {
            Known::Reported(status) => match track.effect(status) {
                Effect::Adjust(adjustment) => adjustment,
                Effect::Fault => 0,
            },
            Known::Pending | Known::Waived => 0,
        });
        i64::from(self.parameters.priority().get()) + adjustments.sum::<i64>()
    }

    fn tracks(&self) -> impl Iterator<Item = (&Track, Known)> {
        self.parameters.tracks().iter().zip(self.tracked.iter().copied())
    }

    pub(crate) fn track(&mut self, now: Instant, id: TrackId, status: TrackStatus) {
        let mut known = false;
        for (track, slot) in self.parameters.tracks.iter().zip(self.tracked.iter_mut()) {
            if track.id() == id {
                *slot = Known::Reported(status);
                known = true;
            }
        }
        if known {
            self.priority_changed();
            self.faults_changed(now);
        }
    }

    pub(crate) fn waive_pending(&mut self) {
        for known in &mut self.tracked {
            if *known == Known::Pending {
                *known = Known::Waived;
            }
        }
    }

    /// Takes over what is known of the objects that are tracked still. A router that takes part is not disturbed by an
    /// object that has not reported yet.
    pub(crate) fn retrack(&mut self, old: &[Track]) {
        let unreported = if self.state() == State::Initialize {
            Known::Pending
        } else {
            Known::Waived
        };
        let known_of = |id| {
            old.iter()
                .zip(&self.tracked)
                .find(|(track, _)| track.id() == id)
                .map(|(_, known)| *known)
        };
        let tracks = self.parameters.tracks.iter();
        self.tracked = tracks
            .map(|track| known_of(track.id()).unwrap_or(unreported))
            .collect();
    }

    /// The running timers follow by themselves.
    pub(crate) fn priority_changed(&mut self) {
        let to = if self.parameters.priority().is_owner() {
            Priority::OWNER
        } else {
            let clamped = self.total_priority().clamp(1, 254);
            Priority::new(u8::try_from(clamped).unwrap_or(1))
        };
        let from = core::mem::replace(&mut self.effective, to);
        if from != to {
            self.tell(Some(Event::PriorityChanged { from, to }));
        }
    }

    /// Into Initialize with the first fault, out of it with the last.
    pub(crate) fn faults_changed(&mut self, now: Instant) {
        if !self.conditions.started {
            return;
        }
        match (self.state(), self.fault()) {
            (State::Initialize, None) => {
                let silent = matches!(self.reason, Reason::Fault(fault) if fault.is_pending());
                let reason = if silent {
                    Reason::Started
                } else {
                    Reason::FaultOver
                };
                self.begin(now, reason);
            }
            (State::Initialize, Some(fault)) => self.fault_at_start(now, fault),
            (State::Backup | State::Active, Some(fault)) => {
                self.leave(now, Phase::Initialize, Reason::Fault(fault), SayZero::Yes);
            }
            (State::Backup | State::Active, None) => {}
        }
    }

    /// Started, but with a fault; or with another than the one that was told.
    fn fault_at_start(&mut self, now: Instant, fault: Fault) {
        let told = if let Reason::Fault(told) = self.reason {
            Some(told)
        } else {
            None
        };
        if told.is_some_and(|told| fault.is_pending() || !told.is_pending()) {
            return;
        }
        if fault.is_pending() {
            self.reason = Reason::Fault(fault);
            self.changed = now;
        } else {
            self.leave(now, Phase::Initialize, Reason::Fault(fault), SayZero::No);
        }
    }

    /// The group has a fault, or not any more.
    pub(crate) fn set_group_fault(&mut self, now: Instant, fault: Option<Fault>) {
        let now = now.max(self.latest);
        self.latest = now;
        if self.conditions.group_fault != fault {
            self.conditions.group_fault = fault;
            self.faults_changed(now);
        }
    }
}
