//! Locality-based least connection: flows to one address go to one back end while it keeps up.

use core::net::IpAddr;

use crate::backend::BackendId;
use crate::backends::Backends;
use crate::environment::{Environment, Instant};
use crate::flow::Flow;
use crate::locality::{Cache, Loads, least_loaded};
use crate::options::Options;
use crate::scheduler::{Event, Scheduler};

/// `lblc`: the back end remembered for the destination address, or when it is gone, quiesced or too busy the one that
/// `wlc` picks, remembered from then on. For caches behind a transparent or forward proxy.
///
/// Kernel behaviour: `ip_vs_lblc`. Too busy is: more active connections than its weight while some other back end has
/// fewer than half its weight. That the remembered one is overloaded (over its upper threshold) does not matter.
#[derive(Debug)]
pub(crate) struct Lblc {
    cache: Cache<BackendId>,
    loads: Loads,
}

impl Lblc {
    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        Self {
            cache: Cache::new(options, now),
            loads: Loads::default(),
        }
    }

    #[cfg(feature = "reference")]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (IpAddr, alloc::vec::Vec<BackendId>)> {
        self.cache.iter().map(|(key, &id)| (key, alloc::vec![id]))
    }
}

impl Scheduler for Lblc {
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
        self.cache.sweep(now, |_| {});
        let key: IpAddr = flow.destination;
        let remembered = self.cache.touch(key, now);
        if let Some(&mut id) = remembered
            && let Some(backend) = backends.get(id)
            && backend.weight() > 0
            && !backend.record.excluded()
            && !self.loads.busy(backend.record)
        {
            return Some(id);
        }
        let id = least_loaded(&mut self.loads, backends)?;
        match remembered {
            Some(remembered) => *remembered = id,
            // A full map is no reason to refuse the flow.
            None => drop(self.cache.insert(key, id, now)),
        }
        Some(id)
    }
}
