//! For model checkers: two states that will behave alike, made equal.

use alloc::boxed::Box;

use crate::phase::Phase;
use crate::statistics::Counters;
use crate::{Instant, LastHeard, Reason, VirtualRouter};

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
        if !matches!(normal.reason, Reason::Fault(_)) {
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
