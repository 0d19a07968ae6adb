//! Locality-based least connection with replication: flows to one address go to a few back ends, more when they are busy.

use alloc::vec::Vec;

use crate::backend::{BackendId, BackendRef};
use crate::backends::Backends;
use crate::environment::{Environment, Instant, nanos};
use crate::flow::Flow;
use crate::locality::{Cache, Loads, least_loaded};
use crate::options::Options;
use crate::scheduler::{Event, Scheduler};

/// `lblcr`: as `lblc`, with a set of back ends for each destination. The least loaded of the set is used; when it is too
/// busy the one that `wlc` picks joins the set. A set that did not change for the expiration time loses its most loaded.
///
/// Kernel behaviour: `ip_vs_lblcr`. The cost of a choice grows with the set, which is small unless one destination draws
/// more than several back ends can serve: each member costs a few nanoseconds (`docs/performance.md`).
///
/// # Deviation
/// Back ends that left the list stay in the kernel's set until it sheds them, one for each expiration time. Here they
/// leave when the set has grown to [`MOST_MEMBERS`] and twice the list, so that a set stays bounded however often back ends are
/// replaced.
#[derive(Debug)]
pub(crate) struct Lblcr {
    cache: Cache<Set>,
    loads: Loads,
    /// Nanoseconds after which a set sheds a member.
    expiration: u64,
}

/// Back ends that serve one destination, the newest last.
#[derive(Debug)]
pub(crate) struct Set {
    members: Vec<BackendId>,
    changed: Instant,
}

impl Lblcr {
    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        Self {
            cache: Cache::new(options, now),
            loads: Loads::default(),
            expiration: nanos(options.expiration),
        }
    }

    #[cfg(feature = "reference")]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (core::net::IpAddr, Vec<BackendId>)> {
        let newest_first = |set: &Set| set.members.iter().rev().copied().collect();
        self.cache.iter().map(move |(key, set)| (key, newest_first(set)))
    }
}

impl Scheduler for Lblcr {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        self.loads.update(backends, event);
    }

    fn select(
        &mut self,
        backends: &Backends,
        flow: &Flow,
        environment: &mut dyn Environment,
    ) -> Option<BackendId> {
        let now = environment.now();
        self.cache.sweep(now, |set| set.release(backends));
        let Some(set) = self.cache.touch(flow.destination, now) else {
            let id = least_loaded(&self.loads, backends)?;
            backends.hold(id);
            let set = Set {
                members: alloc::vec![id],
                changed: now,
            };
            if let Err(set) = self.cache.insert(flow.destination, set, now) {
                set.release(backends);
            }
            return Some(id);
        };
        let least = set.least(backends);
        let age = now.as_nanos().saturating_sub(set.changed.as_nanos());
        if set.members.len() > 1 && age > self.expiration {
            set.shed(backends, now);
        }
        if let Some(backend) = least
            && !self.loads.busy(backend.record)
        {
            return Some(backend.id());
        }
        let id = least_loaded(&self.loads, backends)?;
        if !set.members.contains(&id) {
            if set.members.len() >= MOST_MEMBERS.max(2 * backends.len()) {
                set.forget_removed(backends);
            }
            backends.hold(id);
            set.members.push(id);
            set.changed = now;
        }
        Some(id)
    }
}

impl Set {
    /// The eligible member with the least overhead for its weight, the newest of equals.
    fn least<'a>(&self, backends: &'a Backends) -> Option<BackendRef<'a>> {
        let newest_first = self.members.iter().rev();
        newest_first
            .filter_map(|&id| backends.get(id))
            .filter(BackendRef::eligible)
            .reduce(|least, backend| if lighter(backend, least) { backend } else { least })
    }

    /// Drops the member with the most overhead for its weight. Members that left the list are as good as any, and a
    /// quiesced one stays.
    fn shed(&mut self, backends: &Backends, now: Instant) {
        let newest_first = self.members.iter().enumerate().rev();
        let most = newest_first
            .filter_map(|(index, &id)| Some((index, backends.find(id)?)))
            .filter(|(_, backend)| backend.weight() > 0)
            .reduce(|most, other| if lighter(most.1, other.1) { other } else { most });
        if let Some((index, backend)) = most {
            backends.let_go(backend.id());
            self.members.remove(index);
            self.changed = now;
        }
    }

    /// Drops the members that left the list.
    fn forget_removed(&mut self, backends: &Backends) {
        self.members.retain(|&id| {
            let listed = backends.get(id).is_some();
            if !listed {
                backends.let_go(id);
            }
            listed
        });
    }

    fn release(self, backends: &Backends) {
        for id in self.members {
            backends.let_go(id);
        }
    }
}

/// Smaller sets are as the kernel's.
pub(crate) const MOST_MEMBERS: usize = 64;

/// Whether `a` has strictly less overhead for its weight than `b`.
fn lighter(a: BackendRef<'_>, b: BackendRef<'_>) -> bool {
    let left = u64::from(a.overhead()) * u64::from(b.weight());
    let right = u64::from(b.overhead()) * u64::from(a.weight());
    left < right
}
