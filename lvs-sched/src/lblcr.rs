//! Locality-based least connection with replication: flows to one address go to a few back ends, more when they are busy.

#[cfg(feature = "reference")]
use alloc::vec::Vec;

use crate::backend::BackendId;
use crate::backends::Backends;
use crate::environment::{Environment, Instant, nanos};
use crate::flow::Flow;
use crate::locality::{Cache, Loads, least_loaded};
use crate::members::{Changes, Set};
use crate::options::Options;
use crate::scheduler::{Event, Scheduler};

/// `lblcr`: as `lblc`, with a set of back ends for each destination. The least loaded of the set is used; when it is too
/// busy the one that `wlc` picks joins the set. A set that did not change for the expiration time loses its most loaded.
///
/// Kernel behaviour: `ip_vs_lblcr`. The kernel looks at the whole set for each choice; here a large one has an index.
///
/// # Deviation
/// Back ends that left the list stay in the kernel's set until it sheds them, one for each expiration time. Here they
/// leave when the set has grown to [`MOST_MEMBERS`] and twice the list, so that a set stays bounded however often back ends are
/// replaced.
#[derive(Debug)]
pub(crate) struct Lblcr {
    cache: Cache<Set>,
    loads: Loads,
    changes: Changes,
    /// Nanoseconds after which a set sheds a member.
    expiration: u64,
}

impl Lblcr {
    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        Self {
            cache: Cache::new(options, now),
            loads: Loads::default(),
            changes: Changes::new(),
            expiration: nanos(options.expiration),
        }
    }

    #[cfg(feature = "reference")]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (core::net::IpAddr, Vec<BackendId>)> {
        self.cache
            .iter()
            .map(|(key, set)| (key, set.newest_first().collect()))
    }
}

impl Scheduler for Lblcr {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        self.loads.update(backends, event);
        match event {
            Event::Edited(id) | Event::Loaded(id) | Event::Removed { id, .. } => self.changes.note(id.slot),
            // In no set yet, or as it was.
            Event::Added(_) | Event::Moved(_) => {}
        }
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
            let id = least_loaded(&mut self.loads, backends)?;
            let set = Set::new(backends, id, now);
            if let Err(set) = self.cache.insert(flow.destination, set, now) {
                set.release(backends);
            }
            return Some(id);
        };
        let least = set.least(backends, &self.changes);
        set.shed(backends, now, self.expiration);
        if let Some(backend) = least
            && !self.loads.busy(backend.record)
        {
            return Some(backend.id());
        }
        let id = least_loaded(&mut self.loads, backends)?;
        if !set.contains(id) {
            if set.len() >= MOST_MEMBERS.max(2 * backends.len()) {
                set.forget_removed(backends);
            }
            set.insert(backends, id, now);
        }
        Some(id)
    }
}

/// Smaller sets are as the kernel's.
pub(crate) const MOST_MEMBERS: usize = 64;
