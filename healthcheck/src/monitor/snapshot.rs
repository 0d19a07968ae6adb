//! What is believed, in a form that survives a restart or goes to another host.

use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::hash::DefaultHasher;

use super::target::{Forced, Plan};
use super::{Monitor, Verdict};
use crate::health::HealthState;
use crate::time::Time;

/// What was believed about every target at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot<K> {
    /// One entry for each target.
    pub targets: Vec<TargetSnapshot<K>>,
}

/// What was believed about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TargetSnapshot<K> {
    /// The target.
    pub key: K,
    /// How long its state had been what it was.
    pub age: Duration,
    /// What the operator had ordered.
    #[cfg_attr(feature = "serde", serde(default))]
    pub forced: Option<Forced>,
    /// Whether its checks were suspended.
    #[cfg_attr(feature = "serde", serde(default))]
    pub suspended: bool,
    /// One entry for each check: a fingerprint of what is checked, and what was believed. A fingerprint that does not
    /// fit (another check, or another version of this crate) only means that this check starts anew.
    pub checks: Vec<(u64, HealthState)>,
}

impl<K: Clone + Eq + Hash, P: Plan> Monitor<K, P> {
    /// What is believed now.
    pub fn snapshot(&self, now: Time) -> Snapshot<K> {
        let targets = self.live_targets().map(|target| TargetSnapshot {
            key: target.key.clone(),
            age: now.since(target.since),
            forced: target.forced,
            suspended: target.suspended,
            checks: self
                .jobs_of(target)
                .map(|job| (fingerprint(&job.plan), job.state))
                .collect(),
        });
        Snapshot {
            targets: targets.collect(),
        }
    }

    /// Believes what was believed before, for every check that has no outcome of its own yet, and carries on with what
    /// the operator had ordered, for every target about which he has ordered nothing since. Call it after
    /// [`reconcile`](Self::reconcile). Returns how many checks took a state over.
    pub fn restore(&mut self, now: Time, snapshot: &Snapshot<K>) -> usize {
        self.begin_turn(now);
        let mut restored = 0;
        for saved in &snapshot.targets {
            let Some(id) = self.find(&saved.key) else { continue };
            for job in self.job_numbers(id) {
                let Some(job) = self.job_mut(job) else { continue };
                let print = fingerprint(&job.plan);
                let Some((_, state)) = saved.checks.iter().find(|(other, _)| *other == print) else {
                    continue;
                };
                if job.state.samples() == 0 && state.verdict() != Verdict::Unknown {
                    job.state = job.state.resumed(&job.policy, *state);
                    restored += 1;
                }
            }
            // The verdict first: suspending keeps it.
            self.recompute(id, now);
            if saved.suspended {
                self.suspend(now, &saved.key, true);
            }
            if let Some(target) = self.target_mut(id) {
                target.forced = target.forced.or(saved.forced);
            }
            self.recompute(id, now);
            let since = Time::from_nanos(now.as_nanos().saturating_sub(crate::time::nanos(saved.age)));
            if let Some(target) = self.target_mut(id) {
                target.since = since;
            }
        }
        restored
    }
}

/// The same for equal plans in every run of the same build.
fn fingerprint(plan: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    plan.hash(&mut hasher);
    hasher.finish()
}
