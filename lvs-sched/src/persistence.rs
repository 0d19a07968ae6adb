//! Clients that are remembered, in front of any scheduler.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;

use crate::backend::BackendId;
use crate::backends::Backends;
use crate::environment::Instant;
use crate::flow::Flow;
use crate::options::Persistence;

/// What the kernel calls templates: for each client its back end, until it was away for the timeout.
#[derive(Debug)]
pub(crate) struct Templates {
    options: Persistence,
    index: HashMap<IpAddr, u32>,
    entries: Vec<Template>,
    vacant: Vec<u32>,
    /// The entry that expires first.
    oldest: u32,
    /// The entry that expires last.
    newest: u32,
}

#[derive(Debug)]
struct Template {
    client: IpAddr,
    backend: BackendId,
    expires: Instant,
    connections: u32,
    older: u32,
    newer: u32,
    /// In the queue of expiry; an entry whose time is over stays outside while it has connections.
    queued: bool,
}

/// No template.
pub(crate) const NONE: u32 = u32::MAX;

impl Templates {
    pub(crate) fn new(options: Persistence) -> Self {
        Self {
            options,
            index: HashMap::new(),
            entries: Vec::new(),
            vacant: Vec::new(),
            oldest: NONE,
            newest: NONE,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The template of a client and its back end, if that may be used; the timeout starts anew.
    pub(crate) fn find(
        &mut self,
        flow: &Flow,
        backends: &Backends,
        now: Instant,
    ) -> Option<(BackendId, u32)> {
        self.expire(now);
        let at = *self.index.get(&self.client(flow))?;
        let id = self.entries.get(at as usize)?.backend;
        let backend = backends.get(id)?;
        if backend.record.excluded() || (self.options.expire_quiescent && backend.weight() == 0) {
            return None;
        }
        self.touch(at, now);
        Some((id, at))
    }

    /// Remembers where a client went; `NONE` when there is no room.
    pub(crate) fn remember(&mut self, flow: &Flow, backend: BackendId, now: Instant) -> u32 {
        let client = self.client(flow);
        if let Some(&at) = self.index.get(&client) {
            if let Some(entry) = self.entries.get_mut(at as usize) {
                entry.backend = backend;
            }
            self.touch(at, now);
            return at;
        }
        if self.index.len() >= self.options.capacity as usize {
            return NONE;
        }
        let template = Template {
            client,
            backend,
            expires: now,
            connections: 0,
            older: NONE,
            newer: NONE,
            queued: false,
        };
        let at = if let Some(at) = self.vacant.pop() {
            self.entries[at as usize] = template;
            at
        } else {
            self.entries.push(template);
            (self.entries.len() - 1) as u32
        };
        self.index.insert(client, at);
        self.touch(at, now);
        at
    }

    /// A connection came by the template.
    pub(crate) fn open(&mut self, at: u32) {
        if let Some(template) = self.entries.get_mut(at as usize) {
            template.connections += 1;
        }
    }

    /// A connection that came by the template ended.
    pub(crate) fn close(&mut self, at: u32) {
        if let Some(template) = self.entries.get_mut(at as usize) {
            template.connections = template.connections.saturating_sub(1);
            if template.connections == 0 && !template.queued {
                self.forget(at);
            }
        }
    }

    fn touch(&mut self, at: u32, now: Instant) {
        self.unlink(at);
        let newest = self.newest;
        let entry = &mut self.entries[at as usize];
        entry.expires = now.saturating_add(self.options.timeout);
        entry.older = newest;
        entry.newer = NONE;
        entry.queued = true;
        match self.entries.get_mut(newest as usize) {
            Some(newest) => newest.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let entry = &mut self.entries[at as usize];
        if !entry.queued {
            return;
        }
        entry.queued = false;
        let (older, newer) = (entry.older, entry.newer);
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }

    /// Takes out whoever's time is over. Each template is taken once for each time it was touched.
    fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.entries.get(self.oldest as usize) {
            if now < oldest.expires {
                break;
            }
            let (at, unused) = (self.oldest, oldest.connections == 0);
            self.unlink(at);
            if unused {
                self.forget(at);
            }
        }
    }

    fn forget(&mut self, at: u32) {
        self.unlink(at);
        self.index.remove(&self.entries[at as usize].client);
        self.vacant.push(at);
    }

    fn client(&self, flow: &Flow) -> IpAddr {
        match flow.source {
            IpAddr::V4(address) => {
                let bits = u32::from(self.options.prefix_v4.min(32));
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let bits = u32::from(self.options.prefix_v6.min(128));
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}
