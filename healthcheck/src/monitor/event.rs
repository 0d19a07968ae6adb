//! What changed, for those who want to know: coalesced per target, so that it is bounded, and never lost.

use std::collections::{HashMap, VecDeque};

use super::target::State;
use crate::failure::Failure;
use crate::outcome::Notice;
use crate::time::Time;

/// Something that changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<K> {
    /// What should be done with the target changed. A reader who is slower than the changes gets them as one event: from
    /// what he saw last to what is true now, with the number of changes between. If it changed and changed back, `from`
    /// and `to` are the same.
    Changed {
        /// The target.
        key: K,
        /// What this reader saw last.
        from: State,
        /// What is true now.
        to: State,
        /// How many changes led there.
        transitions: u32,
        /// Why, if a check failed: the present reason while it is down, else the last one.
        reason: Option<Reason>,
        /// Since when it is so.
        since: Time,
    },
    /// The weight that follows from the checks changed.
    Weight {
        /// The target.
        key: K,
        /// Its weight now.
        weight: u32,
    },
    /// A check failed and that changed nothing: it has retries left, or was down before (only with
    /// [`Monitor::report_repeats`](super::Monitor::report_repeats)). Failures that come faster than they are read are told
    /// once for each check of a target, for the first 64 of its checks.
    Failed {
        /// The target.
        key: K,
        /// Which check, and why.
        reason: Reason,
    },
    /// Something to tell although the check passed.
    Notice {
        /// The target.
        key: K,
        /// What.
        notice: Notice,
    },
}

impl<K> Event<K> {
    /// The target it is about.
    pub const fn key(&self) -> &K {
        match self {
            Self::Changed { key, .. }
            | Self::Weight { key, .. }
            | Self::Failed { key, .. }
            | Self::Notice { key, .. } => key,
        }
    }
}

/// Why a target is down, or a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Which of its checks, counted from zero in the order of the specification.
    pub check: usize,
    /// The last failure.
    pub failure: Failure,
    /// When the row of failures began.
    pub since: Time,
    /// How many in a row.
    pub streak: u32,
}

/// What one reader has not read yet.
#[derive(Debug, Default)]
pub(super) struct Reader {
    queue: VecDeque<u32>,
    pending: HashMap<u32, Pending>,
}

/// What one reader has not read about one target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    /// The state he saw last, and the changes since.
    pub(super) changed: Option<(State, u32)>,
    pub(super) weight: bool,
    /// Its checks that failed without changing anything, a bit for each.
    pub(super) failed: u64,
    pub(super) notice: Option<Notice>,
}

impl Reader {
    pub(super) fn note(&mut self, target: u32, what: impl FnOnce(&mut Pending)) {
        let queue = &mut self.queue;
        what(self.pending.entry(target).or_insert_with(|| {
            queue.push_back(target);
            Pending::default()
        }));
    }

    /// The next target with news; what `take` leaves behind stays for the next call.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(u32, &mut Pending) -> Option<T>) -> Option<T> {
        let target = *self.queue.front()?;
        let taken = self
            .pending
            .get_mut(&target)
            .and_then(|pending| take(target, pending));
        let rest = self.pending.get(&target).is_some_and(Pending::is_something);
        if !rest {
            self.pending.remove(&target);
            self.queue.pop_front();
        }
        taken
    }

    pub(super) fn forget(&mut self, target: u32) {
        if self.pending.remove(&target).is_some() {
            self.queue.retain(|other| *other != target);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl Pending {
    const fn is_something(&self) -> bool {
        self.changed.is_some() || self.weight || self.failed != 0 || self.notice.is_some()
    }
}
