//! A virtual router in Active ([RFC 9568 §6.4.3](https://www.rfc-editor.org/rfc/rfc9568#section-6.4.3)).

use vrrp_proto::Version;

use crate::phase::{Backup, Phase, Wait};
use crate::virtual_router::{SayZero, after};
use crate::{Alarm, Event, Heard, Instant, Output, Reason, VirtualRouter, timers};

impl VirtualRouter {
    pub(crate) fn heard_while_active(&mut self, now: Instant, heard: &Heard) {
        let own = self.effective;
        if heard.priority.is_release() {
            self.advertise(own);
            if let Phase::Active(active) = &mut self.phase {
                active.sent = now;
            }
        } else if heard.priority > own {
            let reason = Reason::HigherPriority {
                from: heard.source,
                priority: heard.priority,
                own,
            };
            self.give_way(now, heard, reason);
        } else if heard.priority == own && Some(heard.source) > self.primary {
            let reason = Reason::HigherAddress {
                from: heard.source,
                priority: own,
            };
            self.give_way(now, heard, reason);
        } else {
            self.heard_loser(now, heard);
        }
    }

    fn give_way(&mut self, now: Instant, heard: &Heard, reason: Reason) {
        if self.parameters.advertise_before_yielding {
            self.advertise(self.effective);
        }
        let mut backup = Backup::new(self.listening_since(now, heard));
        backup.learned = (self.version() == Version::V3).then_some(heard.interval);
        backup.wait = Wait::Full(Some(heard.source));
        self.leave(now, Phase::Backup(backup), reason, SayZero::No);
    }

    /// Answers at once, so that the loser yields after one delay instead of one interval, and announces, because frames
    /// of the loser may have drawn switches and hosts to it. One answer in a quarter of an interval is enough for all
    /// losers, as all receive it; so two routers that cannot settle do not answer each other without end.
    fn heard_loser(&mut self, now: Instant, heard: &Heard) {
        let interval = self.parameters.adver_interval.as_nanos();
        let slower = interval.max(heard.interval.as_nanos());
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if active.rival_since == Instant::NEVER || active.rival_until < now {
            active.rival_since = now;
        }
        active.rival_until = now.plus(3 * slower);
        let persists = now.nanos_since(active.rival_since) > 2 * slower;
        let answer = active.answer_from <= now;
        if answer {
            active.answer_from = now.plus(interval / 4);
        }
        if answer {
            if self.parameters.answer_lower_priority {
                self.advertise(self.effective);
            }
            self.announce_after_conflict(now);
            self.put(Output::Event(Event::HeardLower {
                from: heard.source,
                priority: heard.priority,
            }));
        }
        if persists {
            self.raise(now, Alarm::SecondActive { from: heard.source });
        }
    }

    /// Announces because a router that loses, against this one or another of its sync group, was active too.
    pub(crate) fn announce_after_conflict(&mut self, now: Instant) {
        let schedule = self.parameters.announcements;
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if schedule.lower_priority_repeat == 0 {
            return;
        }
        active.lower_priority_block = after(now, schedule.lower_priority_delay);
        self.put(Output::Announce {
            repeat: schedule.lower_priority_repeat,
        });
    }

    /// Steps down, before anything else, if this process slept while it had to advertise and a backup must have taken
    /// over. The address owner goes on: nobody else may be active beside it.
    pub(crate) fn yield_after_pause(&mut self, now: Instant) {
        let Phase::Active(active) = &self.phase else {
            return;
        };
        let late = now.nanos_since(self.adver_deadline(active));
        let parameters = &self.parameters;
        let allowance = timers::pause_allowance(
            parameters.version(),
            parameters.adver_interval,
            parameters.down_timer_adverts,
        );
        if late > allowance && !self.effective.is_owner() {
            let late = now.saturating_since(self.adver_deadline(active));
            self.leave(
                now,
                Phase::Backup(Backup::new(now)),
                Reason::Paused { late },
                SayZero::No,
            );
        }
    }

    pub(crate) fn expire_active(&mut self, now: Instant) {
        let Phase::Active(active) = &self.phase else {
            return;
        };
        let due = self.adver_deadline(active);
        if due <= now {
            self.advertise(self.effective);
            self.lateness(now, due);
            self.forget_rival(now);
        }
        let interval = self.parameters.adver_interval.as_nanos();
        let schedule = self.parameters.announcements;
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if due <= now {
            // The beat goes on where it was, so that lateness does not add up; unless a whole beat was missed.
            active.sent = if due.plus(interval) > now { due } else { now };
        }
        let mut repeat = 0;
        if active.second_block <= now {
            active.second_block = Instant::NEVER;
            repeat = schedule.repeat;
        }
        if active.lower_priority_block <= now {
            active.lower_priority_block = Instant::NEVER;
            repeat = repeat.max(schedule.lower_priority_repeat);
        }
        if active.refresh <= now {
            active.refresh = after(now, schedule.refresh);
            repeat = repeat.max(schedule.refresh_repeat);
        }
        if repeat > 0 {
            self.put(Output::Announce { repeat });
        }
    }

    /// The second active router is gone when nothing was heard of it for three intervals.
    fn forget_rival(&mut self, now: Instant) {
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        if active.rival_until < now {
            active.rival_since = Instant::NEVER;
            active.rival_until = Instant::NEVER;
            self.end_alarm(|alarm| matches!(alarm, Alarm::SecondActive { .. }));
        }
    }

    pub(crate) fn addresses_lost(&mut self) {
        if matches!(self.phase, Phase::Active(_)) {
            self.put(Output::AddAddresses);
            self.announce();
        }
    }

    pub(crate) fn announce(&mut self) {
        if matches!(self.phase, Phase::Active(_)) {
            self.put(Output::Announce {
                repeat: self.parameters.announcements.repeat,
            });
        }
    }
}
