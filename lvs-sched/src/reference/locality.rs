//! `lblc` and `lblcr`, with their memory as a plain list.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Model, Server};
use crate::environment::{Instant, nanos};
use crate::flow::Flow;
use crate::hash::{address_key, golden};
use crate::lblcr::MOST_MEMBERS;

/// What is remembered of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remembered {
    /// The destination.
    pub destination: IpAddr,
    /// Back ends, the newest first; `lblc` has one.
    pub servers: Vec<u32>,
    last_use: u64,
    changed: u64,
}

#[derive(Debug)]
pub(super) struct Memory {
    entries: Vec<Remembered>,
    next_sweep: u64,
    counter: u32,
    rover: usize,
}

const MINUTE: u64 = 60 * 1_000_000_000;

impl Memory {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            entries: Vec::new(),
            next_sweep: now.as_nanos().saturating_add(MINUTE),
            counter: 1,
            rover: 0,
        }
    }

    pub(super) fn entries(&self) -> &[Remembered] {
        &self.entries
    }

    fn position(&self, destination: IpAddr) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.position(|entry| entry.destination == destination)
    }

    fn sweep(&mut self, now: u64, size: usize, expiration: u64) {
        while now >= self.next_sweep {
            let now = self.next_sweep;
            self.next_sweep += MINUTE;
            if self.counter.is_multiple_of(30) {
                self.counter = 1;
                self.entries
                    .retain(|entry| now < entry.last_use.saturating_add(expiration));
            } else if self.entries.len() <= size {
                self.counter += 1;
            } else {
                let mut goal = ((self.entries.len() - size) * 4 / 3).min(size / 2) as i64;
                for _ in 0..1024 {
                    self.rover = (self.rover + 1) % 1024;
                    let before = self.entries.len();
                    let rover = self.rover;
                    self.entries.retain(|entry| {
                        let chain = golden(address_key(entry.destination), 10) as usize;
                        chain != rover || now < entry.last_use + 6 * MINUTE
                    });
                    goal -= (before - self.entries.len()) as i64;
                    if goal <= 0 {
                        break;
                    }
                }
            }
        }
    }
}

impl Model {
    pub(super) fn lblc(&mut self, flow: &Flow, now: Instant) -> Option<u32> {
        let entry = self.recall(flow, now);
        if let Some(entry) = entry {
            let name = self.locality.entries[entry].servers[0];
            if let Some(server) = self.list.iter().find(|server| server.name == name)
                && server.weight() > 0
                && !server.refused
                && !self.busy(server)
            {
                return Some(name);
            }
        }
        let name = self.wlc()?;
        match entry {
            Some(entry) => self.locality.entries[entry].servers = alloc::vec![name],
            None => self.memorize(flow, name, now),
        }
        Some(name)
    }

    pub(super) fn lblcr(&mut self, flow: &Flow, now: Instant) -> Option<u32> {
        let Some(entry) = self.recall(flow, now) else {
            let name = self.wlc()?;
            self.memorize(flow, name, now);
            return Some(name);
        };
        let Remembered { servers, changed, .. } = &self.locality.entries[entry];
        let mut least: Option<&Server> = None;
        for name in servers {
            if let Some(server) = self.list.iter().find(|server| server.name == *name)
                && server.eligible()
                && least.is_none_or(|least| {
                    self.overhead(least) * server.weight() > self.overhead(server) * least.weight()
                })
            {
                least = Some(server);
            }
        }
        let usable = least
            .filter(|server| !self.busy(server))
            .map(|server| server.name);
        if servers.len() > 1 && now.as_nanos().saturating_sub(*changed) > nanos(self.options.expiration) {
            let mut most: Option<&Server> = None;
            for name in servers {
                if let Some(server) = self
                    .list
                    .iter()
                    .chain(&self.gone)
                    .find(|server| server.name == *name)
                    && server.weight() > 0
                    && most.is_none_or(|most| {
                        self.overhead(most) * server.weight() < self.overhead(server) * most.weight()
                    })
                {
                    most = Some(server);
                }
            }
            if let Some(most) = most.map(|server| server.name) {
                let entry = &mut self.locality.entries[entry];
                entry.servers.retain(|&name| name != most);
                entry.changed = now.as_nanos();
            }
        }
        if usable.is_some() {
            return usable;
        }
        let name = self.wlc()?;
        let entry = &mut self.locality.entries[entry];
        if !entry.servers.contains(&name) {
            if entry.servers.len() >= MOST_MEMBERS.max(2 * self.list.len()) {
                entry
                    .servers
                    .retain(|&name| self.list.iter().any(|server| server.name == name));
            }
            entry.servers.insert(0, name);
            entry.changed = now.as_nanos();
        }
        Some(name)
    }

    /// Whether a back end is overloaded in the sense of these two.
    fn busy(&self, server: &Server) -> bool {
        let half_idle = |other: &Server| 2 * i64::from(other.active) < other.weight();
        i64::from(server.active) > server.weight() && self.list.iter().any(half_idle)
    }

    fn recall(&mut self, flow: &Flow, now: Instant) -> Option<usize> {
        let (size, expiration) = (self.options.cache_size as usize, nanos(self.options.expiration));
        self.locality.sweep(now.as_nanos(), size, expiration);
        let entry = self.locality.position(flow.destination)?;
        self.locality.entries[entry].last_use = now.as_nanos();
        Some(entry)
    }

    fn memorize(&mut self, flow: &Flow, name: u32, now: Instant) {
        let size = self.options.cache_size as usize;
        if self.locality.entries.len() < size + size / 2 {
            self.locality.entries.push(Remembered {
                destination: flow.destination,
                servers: alloc::vec![name],
                last_use: now.as_nanos(),
                changed: now.as_nanos(),
            });
        }
    }
}
