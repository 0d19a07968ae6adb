//! For model checkers: two states that will behave alike, made equal.

use alloc::boxed::Box;

use crate::phase::Phase;
use crate::receive::Reported;
use crate::statistics::Counters;
use crate::sync_group::Group;
use crate::{Instant, LastHeard, Reason, RouterStatistics, VirtualRouter, VrrpRouter};

impl VirtualRouter {
    /// The same router with all times moved so that `now` becomes `origin`, and without what the election does not depend
    /// on: counters, alarms, reasons, and times that are over.
    ///
    /// Two routers of which this gives the same value decide alike from then on. `origin` has to be later than any
    /// interval of the router is long.
    #[must_use]
    pub fn normalised(&self, now: Instant, origin: Instant) -> Self {
        let moved = |time: Instant| match time {
            Instant::NEVER => Instant::NEVER,
            time if time >= now => origin.plus(time.nanos_since(now)),
            time => Instant::from_nanos(origin.as_nanos().saturating_sub(now.nanos_since(time))),
        };
        let mut normal = self.clone();
        normal.counters = Counters::default();
        normal.alarms = None;
        normal.latest = origin;
        normal.changed = origin;
        if !matches!(normal.reason, Reason::Fault(_) | Reason::Shutdown) {
            normal.reason = Reason::NotStarted;
        }
        normal.last_heard = self.last_heard.map(|last| LastHeard {
            received: origin,
            ..last
        });
        match &mut normal.phase {
            Phase::Initialize => normal.last_heard = None,
            Phase::Backup(backup) => {
                backup.since = moved(backup.since);
                backup.preempt_from = moved(backup.preempt_from.max(now));
                backup.ignored = false;
                backup.wants = backup.wants.take().map(|_| Box::new(Reason::SyncGroup));
            }
            Phase::Active(active) => {
                active.sent = moved(active.sent);
                active.answer_from = moved(active.answer_from.max(now));
                active.second_block = moved(active.second_block);
                active.refresh = moved(active.refresh);
                active.lower_priority_block = moved(active.lower_priority_block);
                active.rival_since = Instant::NEVER;
                active.rival_until = Instant::NEVER;
            }
        }
        normal
    }
}

impl VrrpRouter {
    /// The same for all virtual routers of a host, and for their sync groups. The outputs have to be taken before, and
    /// nobody may advertise at a longer interval than the members of a group do.
    #[must_use]
    pub fn normalised(&self, now: Instant, origin: Instant) -> Self {
        let mut normal = self.clone();
        normal.statistics = RouterStatistics::default();
        normal.reported = Reported::default();
        for (slot, index) in normal.slots.iter_mut().zip(0..) {
            if let Some(router) = &mut slot.router {
                **router = router.normalised(now, origin);
                normal.deadlines.set(index, router.poll_timeout());
            }
        }
        for (id, group) in &self.groups {
            let members = || group.members.iter().filter_map(|index| self.member(*index));
            let waits =
                members().map(|member| member.down_nanos() + member.parameters().adver_interval().as_nanos());
            let moved = group.normalised(now, origin, waits.max().unwrap_or(0));
            // When the first member last heard somebody: now, since the group became active, or before.
            let heard = members().next().and_then(VirtualRouter::last_heard);
            let heard = heard.map(|last| match last.received {
                time if time >= now => origin,
                time if time >= group.promoted => moved.promoted,
                _ => Instant::ZERO,
            });
            let first = group
                .members
                .first()
                .and_then(|first| normal.slots.get_mut(*first as usize));
            let last = first.and_then(|slot| slot.router.as_mut()?.last_heard.as_mut());
            if let Some((last, received)) = last.zip(heard) {
                last.received = received;
            }
            normal.groups.insert(*id, moved);
        }
        normal
    }
}

impl Group {
    /// Times count for as long as a member may wait, where there is a contest; else only whether they are over.
    fn normalised(&self, now: Instant, origin: Instant, longest: u64) -> Self {
        let counts = if self.contests == 0 { 1 } else { longest + 1 };
        let moved = |time: Instant| {
            let age = now.nanos_since(time).min(counts);
            Instant::from_nanos(origin.as_nanos().saturating_sub(age))
        };
        Self {
            promoted: moved(self.promoted),
            demoted: moved(self.demoted),
            waited: self.waited && self.contests > 0,
            ..self.clone()
        }
    }
}
