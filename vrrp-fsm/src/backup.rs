//! A virtual router in Backup ([RFC 9568 §6.4.2](https://www.rfc-editor.org/rfc/rfc9568#section-6.4.2)).

use alloc::boxed::Box;
use core::net::IpAddr;

use vrrp_proto::Version;

use crate::phase::{Backup, Phase, Wait};
use crate::statistics::NewMasterReason;
use crate::{Heard, Instant, Output, Preempt, Reason, VirtualRouter};

impl VirtualRouter {
    pub(crate) fn heard_in_backup(&mut self, now: Instant, heard: &Heard) {
        if heard.priority.is_release() {
            self.hurry(heard.received, Wait::Left(heard.source));
            return;
        }
        if self.holding {
            // Somebody is active: whoever wins in the end, until then the addresses are not on two hosts.
            self.holding = false;
            self.put(Output::RemoveAddresses);
        }
        let accepted = self.accepts(now, heard);
        let learned = (self.version() == Version::V3).then_some(heard.interval);
        let since = self.listening_since(now, heard);
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        if !accepted {
            backup.ignored = true;
            return;
        }
        // No advertisement postpones what a later one decided.
        *backup = Backup {
            since: since.max(backup.since),
            wait: Wait::Full(Some(heard.source)),
            learned,
            preempt_from: backup.preempt_from,
            resigned: backup.resigned,
            ..Backup::new(now)
        };
    }

    /// When the down interval of an accepted advertisement begins: when it was received. One that waited in a queue for a
    /// whole down interval says that we slept, not that its sender is gone: then it begins now.
    pub(crate) fn listening_since(&self, now: Instant, heard: &Heard) -> Instant {
        let interval = match self.version() {
            Version::V2 => self.parameters.adver_interval,
            Version::V3 => heard.interval,
        };
        let overdue = heard.received.plus(self.wait_nanos(Wait::Full(None), interval)) <= now;
        if overdue { now } else { heard.received }
    }

    /// Whether the sender is taken for the rightful active router.
    fn accepts(&mut self, now: Instant, heard: &Heard) -> bool {
        let own = self.effective;
        let preempt = if own.is_owner() {
            Preempt::Immediate
        } else {
            self.parameters.preempt
        };
        let Phase::Backup(backup) = &mut self.phase else {
            return false;
        };
        if heard.priority >= own {
            backup.preempt_from = Instant::NEVER;
            return true;
        }
        if backup.resigned {
            return true;
        }
        match preempt {
            Preempt::Never => true,
            Preempt::Immediate => false,
            Preempt::Delayed(delay) => {
                if backup.preempt_from == Instant::NEVER {
                    backup.preempt_from = now.saturating_add(delay);
                }
                now < backup.preempt_from
            }
        }
    }

    /// Only whoever is taken for the active router is waited for: that a weaker one was heard since, and ignored, makes it
    /// neither deaf to the loss of the stronger one nor eager at the loss of the weaker.
    pub(crate) fn peer_down(&mut self, now: Instant, peer: IpAddr) {
        if self.active_router() == Some(peer) {
            self.hurry(now, Wait::Down(peer));
        }
    }

    /// The skew time from now on, unless the timer expires even earlier: a stream of such messages cannot postpone the
    /// takeover.
    fn hurry(&mut self, since: Instant, wait: Wait) {
        let Phase::Backup(backup) = &self.phase else {
            return;
        };
        let deadline = since.plus(self.wait_nanos(wait, self.interval_of(backup)));
        if deadline >= self.active_down_deadline(backup) {
            return;
        }
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        backup.since = since;
        backup.wait = wait;
        backup.ignored = false;
    }

    pub(crate) fn expire_backup(&mut self, now: Instant) {
        let Phase::Backup(backup) = &self.phase else {
            return;
        };
        let late = now.nanos_since(self.active_down_deadline(backup));
        if now < self.active_down_deadline(backup) {
            return;
        }
        let full = self.wait_nanos(Wait::Full(None), self.interval_of(backup));
        let slept = late > full && !backup.slept;
        let (reason, counted) = self.takeover_reason(now, backup);
        let grouped = self.conditions.grouped;
        if !slept && !grouped {
            self.become_active(now, reason, counted);
            return;
        }
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        backup.since = now;
        backup.wait = Wait::Full(backup.wait.of());
        if slept {
            backup.slept = true;
            return;
        }
        let again = backup.wants.replace(Box::new(reason)).is_some();
        if again && self.holding {
            // The group did not follow for a whole round: what was found is not ours.
            self.holding = false;
            self.put(Output::RemoveAddresses);
        }
    }

    fn takeover_reason(&self, now: Instant, backup: &Backup) -> (Reason, NewMasterReason) {
        let ignored = self.last_heard.filter(|_| backup.ignored);
        match (ignored, backup.wait) {
            (Some(last), _) => {
                let (from, priority, own) = (last.source, last.priority, self.effective);
                (
                    Reason::LowerPriority { from, priority, own },
                    NewMasterReason::Preempted,
                )
            }
            (None, Wait::Left(from)) => (Reason::PriorityZero { from }, NewMasterReason::MasterNoResponse),
            (None, Wait::Down(peer)) => (Reason::PeerDown { peer }, NewMasterReason::MasterNoResponse),
            (None, Wait::Full(_)) => {
                let last = self.last_heard;
                let since = last.map_or(self.changed, |last| last.received);
                let reason = Reason::NothingHeard {
                    from: last.map(|last| last.source),
                    during: now.saturating_since(since),
                };
                (reason, NewMasterReason::MasterNoResponse)
            }
        }
    }

    /// Whether this member of a sync group would be active, were it alone.
    pub(crate) const fn wants_active(&self) -> bool {
        match &self.phase {
            Phase::Backup(backup) => backup.wants.is_some(),
            Phase::Initialize => false,
            Phase::Active(_) => true,
        }
    }

    /// The sync group becomes active.
    pub(crate) fn promote(&mut self, now: Instant) {
        let now = now.max(self.latest);
        self.latest = now;
        if let Phase::Backup(backup) = &self.phase {
            let reason = backup.wants.as_deref().copied().unwrap_or(Reason::SyncGroup);
            let counted = if matches!(reason, Reason::LowerPriority { .. }) {
                NewMasterReason::Preempted
            } else if self.effective.is_owner() {
                NewMasterReason::Priority
            } else {
                NewMasterReason::MasterNoResponse
            };
            self.become_active(now, reason, counted);
        }
    }

    /// The sync group waits for another round.
    pub(crate) fn hold_off(&mut self, now: Instant) {
        let now = now.max(self.latest);
        self.latest = now;
        if let Phase::Backup(backup) = &mut self.phase {
            backup.since = now;
            backup.wait = Wait::Full(backup.wait.of());
            backup.wants = None;
        }
    }
}
