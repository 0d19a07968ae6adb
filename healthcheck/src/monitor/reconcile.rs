//! From the targets there are to the targets there should be.

use core::hash::Hash;
use core::time::Duration;
use std::sync::Arc;

use super::target::{Job, Numbers, Plan, Target, TargetSpec};
use super::{Monitor, Verdict, index};
use crate::health::HealthState;
use crate::index::Index;
use crate::policy::Policy;
use crate::scheduler::NO_HOST;
use crate::time::Time;

/// What a [`Monitor::reconcile`] changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff<K> {
    /// Targets that are new.
    pub added: Vec<K>,
    /// Targets that are gone.
    pub removed: Vec<K>,
    /// Targets of which something changed.
    pub changed: Vec<K>,
    /// How many stayed exactly as they were, with their verdicts and phases.
    pub unchanged: usize,
    /// Keys that were wanted twice; the first one counts.
    pub duplicates: Vec<K>,
}

/// A reconciliation under way.
pub(crate) struct Reconciliation<K> {
    round: u32,
    diff: Diff<K>,
}

impl<K: Clone + Eq + Hash, P: Plan> Monitor<K, P> {
    /// Makes the set of targets equal to `wanted`.
    ///
    /// A check that is unchanged does not notice. If only its policy changed, it keeps its verdict and its phase. If what
    /// is checked changed, the verdict stays until the first result of the new check, which then decides. Checks that are
    /// equal in plan and policy are made once for all targets that want them.
    pub fn reconcile(&mut self, now: Time, wanted: impl IntoIterator<Item = TargetSpec<K, P>>) -> Diff<K> {
        let wanted = wanted.into_iter();
        let mut reconciliation = self.begin_reconcile(wanted.size_hint().0);
        self.reconcile_some(now, &mut reconciliation, wanted);
        self.end_reconcile(reconciliation)
    }

    /// Adds or changes the targets of `wanted` as [`reconcile`](Self::reconcile) does and removes those of `gone`, unless
    /// they are wanted as well. The others are not looked at, and not counted as unchanged.
    pub fn change(
        &mut self,
        now: Time,
        wanted: impl IntoIterator<Item = TargetSpec<K, P>>,
        gone: impl IntoIterator<Item = K>,
    ) -> Diff<K> {
        let wanted = wanted.into_iter();
        let mut reconciliation = self.begin_reconcile(wanted.size_hint().0);
        self.reconcile_some(now, &mut reconciliation, wanted);
        self.end_change(reconciliation, gone)
    }

    /// Begins a reconciliation towards about so many targets.
    pub(crate) fn begin_reconcile(&mut self, about: usize) -> Reconciliation<K> {
        self.round = self.round.wrapping_add(1);
        let more = about.saturating_sub(self.len());
        self.reserve(more);
        let diff = Diff {
            added: Vec::with_capacity(more),
            removed: Vec::new(),
            changed: Vec::new(),
            unchanged: 0,
            duplicates: Vec::new(),
        };
        Reconciliation {
            round: self.round,
            diff,
        }
    }

    /// Takes some of the wanted targets in.
    pub(crate) fn reconcile_some(
        &mut self,
        now: Time,
        reconciliation: &mut Reconciliation<K>,
        wanted: impl IntoIterator<Item = TargetSpec<K, P>>,
    ) {
        self.begin_turn(now);
        let Reconciliation { round, diff } = reconciliation;
        for spec in wanted {
            match self.find(&spec.key) {
                None => {
                    diff.added.push(spec.key.clone());
                    self.add_target(now, *round, spec);
                }
                Some(id) if self.target(id).is_some_and(|target| target.seen == *round) => {
                    diff.duplicates.push(spec.key);
                }
                Some(id) => {
                    if let Some(target) = self.target_mut(id) {
                        target.seen = *round;
                    }
                    let key = spec.key.clone();
                    if self.change_target(now, id, spec) {
                        diff.changed.push(key);
                    } else {
                        diff.unchanged += 1;
                    }
                }
            }
        }
    }

    /// Removes what was not wanted.
    pub(crate) fn end_reconcile(&mut self, reconciliation: Reconciliation<K>) -> Diff<K> {
        let Reconciliation { round, mut diff } = reconciliation;
        for id in 0..u32::try_from(self.targets.len()).unwrap_or(u32::MAX) {
            if self.target(id).is_some_and(|target| target.seen != round) {
                diff.removed.extend(self.remove_target(id));
            }
        }
        diff
    }

    /// Removes what is named, unless it was wanted too.
    pub(crate) fn end_change(
        &mut self,
        reconciliation: Reconciliation<K>,
        gone: impl IntoIterator<Item = K>,
    ) -> Diff<K> {
        let Reconciliation { round, mut diff } = reconciliation;
        for key in gone {
            let id = self.find(&key);
            if let Some(id) = id.filter(|id| self.target(*id).is_some_and(|target| target.seen != round)) {
                diff.removed.extend(self.remove_target(id));
            }
        }
        diff
    }

    fn reserve(&mut self, more: usize) {
        self.targets
            .reserve_exact(more.saturating_sub(self.free_targets.len()));
        self.jobs.reserve_exact(more);
        self.scheduler.reserve(more);
        self.by_key.reserve(more, hash_of_target(&self.targets));
        self.by_plan.reserve(more, hash_of_job(&self.jobs));
    }

    fn add_target(&mut self, now: Time, round: u32, spec: TargetSpec<K, P>) {
        let hash = self.by_key.hash(&spec.key);
        let id = match self.free_targets.pop() {
            Some(id) => id,
            None => {
                self.targets.push(None);
                u32::try_from(self.targets.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let target = Target {
            key: spec.key,
            jobs: Numbers::default(),
            since: now,
            weight: spec.weight,
            effective_weight: spec.weight,
            seen: round,
            combine: spec.combine,
            verdict: Verdict::Unknown,
            state: super::State::Unknown,
            forced: None,
            suspended: false,
        };
        if let Some(slot) = self.targets.get_mut(index(id)) {
            *slot = Some(target);
        }
        self.by_key.insert(hash, id, hash_of_target(&self.targets));
        let mut jobs = Numbers::default();
        for (plan, policy) in spec.checks {
            let number = self.join(id, plan, policy, None, true);
            if !jobs.as_slice().contains(&number) {
                jobs.push(number);
            }
        }
        if let Some(target) = self.target_mut(id) {
            target.jobs = jobs;
        }
        self.recompute(id, now);
    }

    /// Returns whether anything changed.
    fn change_target(&mut self, now: Time, id: u32, spec: TargetSpec<K, P>) -> bool {
        let old = self.job_numbers(id);
        let Some(target) = self.target_mut(id) else {
            return false;
        };
        let active = !target.suspended;
        let mut changed = target.weight != spec.weight || target.combine != spec.combine;
        target.weight = spec.weight;
        target.combine = spec.combine;
        let mut jobs = Numbers::default();
        for (place, (plan, policy)) in spec.checks.into_iter().enumerate() {
            let kept = old.as_slice().iter().copied().find(|number| {
                self.job(*number)
                    .is_some_and(|job| job.plan == plan && job.policy == policy)
            });
            let number = match kept {
                Some(number) => number,
                None => {
                    changed = true;
                    // The same plan under another policy, and nobody else's: the policy changes in place.
                    let own = old.as_slice().iter().copied().find(|number| {
                        let is = |job: &Job<P>| job.plan == plan && job.subscribers.as_slice() == [id];
                        !jobs.as_slice().contains(number) && self.job(*number).is_some_and(is)
                    });
                    match own.filter(|_| self.find_job(&plan, &policy).is_none()) {
                        Some(number) => {
                            self.change_policy(number, policy);
                            number
                        }
                        None => {
                            let before = self.predecessor(&old, &plan, place);
                            self.join(id, plan, policy, before, active)
                        }
                    }
                }
            };
            if !jobs.as_slice().contains(&number) {
                jobs.push(number);
            }
        }
        for number in old.as_slice() {
            if !jobs.as_slice().contains(number) {
                changed = true;
                self.leave(id, *number, active);
            }
        }
        changed |= jobs != old;
        if let Some(target) = self.target_mut(id) {
            target.jobs = jobs;
        }
        if changed {
            self.recompute(id, now);
        }
        changed
    }

    fn remove_target(&mut self, id: u32) -> Option<K> {
        let active = !self.target(id)?.suspended;
        for number in self.job_numbers(id) {
            self.leave(id, number, active);
        }
        let hash = self.by_key.hash(&self.target(id)?.key);
        self.by_key.remove(hash, id, hash_of_target(&self.targets));
        for reader in self.readers.iter_mut().flatten() {
            reader.forget(id);
        }
        let target = self.targets.get_mut(index(id))?.take()?;
        self.free_targets.push(id);
        Some(target.key)
    }

    /// The verdict a changed check takes over: that of the same plan, else of the one in the same place.
    fn predecessor(&self, old: &Numbers, plan: &P, place: usize) -> Option<Verdict> {
        let same = old
            .as_slice()
            .iter()
            .filter_map(|number| self.job(*number))
            .find(|job| job.plan == *plan);
        same.or_else(|| old.as_slice().get(place).and_then(|number| self.job(*number)))
            .map(|job| job.state.verdict())
    }

    fn find_job(&self, plan: &P, policy: &Arc<Policy>) -> Option<u32> {
        let hash = self.by_plan.hash(plan);
        self.by_plan.get(hash, |number| {
            self.job(number)
                .is_some_and(|job| job.plan == *plan && job.policy == *policy)
        })
    }

    /// Adds a target to the job that does this, which is made if there is none.
    fn join(&mut self, id: u32, plan: P, policy: Arc<Policy>, before: Option<Verdict>, active: bool) -> u32 {
        if let Some(number) = self.find_job(&plan, &policy) {
            let Some(job) = self.job_mut(number) else {
                return number;
            };
            if job.subscribers.as_slice().contains(&id) {
                return number;
            }
            let was_pending = job.is_pending();
            job.subscribers.push(id);
            if active {
                job.active += 1;
                let (count, pending) = (job.active, job.is_pending());
                self.count_pending(was_pending, pending);
                if count == 1 {
                    let delay = self.first_delay(number).0;
                    self.scheduler.resume(number, delay);
                }
            }
            return number;
        }
        let (delay, grid) = self.place(&policy);
        // Without a limit nobody counts what goes to each host, and the table of hosts would only take memory.
        let host = match plan.host().filter(|_| self.scheduler.limits_hosts()) {
            Some(host) => self.hosts.enter(host),
            None => NO_HOST,
        };
        let number = self.scheduler.add(plan.lane(), host, delay, grid);
        let state = match before {
            Some(verdict) => HealthState::provisional(&policy, verdict),
            None => HealthState::new(&policy),
        };
        let hash = self.by_plan.hash(&plan);
        let job = Job {
            plan,
            policy,
            state,
            subscribers: Numbers::from_iter([id]),
            story: None,
            last: 0,
            latency: 0,
            active: u32::from(active),
            again: false,
        };
        let pending = job.is_pending();
        if self.jobs.len() <= index(number) {
            self.jobs.push(None);
        }
        if let Some(slot) = self.jobs.get_mut(index(number)) {
            *slot = Some(job);
        }
        self.by_plan.insert(hash, number, hash_of_job(&self.jobs));
        self.count_pending(false, pending);
        if !active {
            self.scheduler.pause(number);
        }
        number
    }

    /// Takes a target out of a job, which ends with its last target.
    fn leave(&mut self, id: u32, number: u32, active: bool) {
        let Some(job) = self.job_mut(number) else { return };
        let was_pending = job.is_pending();
        job.subscribers.remove(id);
        job.active = job.active.saturating_sub(u32::from(active));
        let (idle, empty) = (job.active == 0, job.subscribers.as_slice().is_empty());
        let pending = job.is_pending();
        self.count_pending(was_pending, pending);
        if empty {
            self.end_job(number);
        } else if idle {
            self.cancelled.extend(self.scheduler.pause(number));
        }
    }

    fn end_job(&mut self, number: u32) {
        self.cancelled.extend(self.scheduler.remove(number));
        let Some(hash) = self.job(number).map(|job| self.by_plan.hash(&job.plan)) else {
            return;
        };
        self.by_plan.remove(hash, number, hash_of_job(&self.jobs));
        let job = self.jobs.get_mut(index(number)).and_then(Option::take);
        if let Some(host) = job.and_then(|job| job.plan.host()) {
            self.hosts.leave(host);
        }
    }

    fn change_policy(&mut self, number: u32, policy: Arc<Policy>) {
        let Some(job) = self.job_mut(number) else { return };
        job.state = job.state.under(&policy);
        let delay = job.state.delay(&policy);
        job.policy = policy;
        let within = delay.max(Duration::from_millis(1));
        self.scheduler.hasten(number, within);
    }
}

fn hash_of_target<K: Hash>(targets: &[Option<Target<K>>]) -> impl Fn(&Index, u32) -> u64 + '_ {
    |by_key, id| {
        let target = targets.get(index(id)).and_then(Option::as_ref);
        target.map_or(0, |target| by_key.hash(&target.key))
    }
}

fn hash_of_job<P: Hash>(jobs: &[Option<Job<P>>]) -> impl Fn(&Index, u32) -> u64 + '_ {
    |by_plan, number| {
        let job = jobs.get(index(number)).and_then(Option::as_ref);
        job.map_or(0, |job| by_plan.hash(&job.plan))
    }
}
