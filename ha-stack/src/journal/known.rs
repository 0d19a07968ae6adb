//! What is known from a journal so far, to begin another file with.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vrrp_fsm::Instant;

use crate::journal::entry::{Entry, Status, Told};

#[derive(Debug, Default)]
pub(super) struct Known {
    at: u64,
    /// What the clock on the wall showed at zero of the election's clock.
    origin: Option<i128>,
    start: Option<Entry>,
    names: Vec<(u32, String)>,
    /// How each virtual router was added, and what it was told last of each kind.
    routers: BTreeMap<u32, (Entry, BTreeMap<u8, Told>)>,
    groups: BTreeMap<u32, Entry>,
    tracks: BTreeMap<u32, Status>,
}

impl Known {
    /// What to say about the clock on the wall, if that has moved against the election's.
    pub(super) fn clock(&mut self, at: Option<Instant>, wall: SystemTime) -> Option<Entry> {
        let at = at?.as_nanos();
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let origin = i128::try_from(wall).unwrap_or(i128::MAX) - i128::from(at);
        if self
            .origin
            .is_some_and(|known| known.abs_diff(origin) < STEP.as_nanos())
        {
            return None;
        }
        self.origin = Some(origin);
        Some(self.clock_entry(at))
    }

    fn clock_entry(&self, at: u64) -> Entry {
        let wall = self.origin.unwrap_or(0) + i128::from(at);
        Entry::Clock {
            at,
            wall: u64::try_from(wall).unwrap_or(0),
        }
    }

    pub(super) fn learn(&mut self, entry: &Entry) {
        self.at = entry.at().map_or(self.at, Instant::as_nanos);
        match entry {
            Entry::Start { .. } => {
                self.start = Some(entry.clone());
                self.origin = None;
                self.routers.clear();
                self.groups.clear();
                self.tracks.clear();
            }
            Entry::Names { names } => self.names.clone_from(names),
            Entry::Added { router, .. } => {
                self.routers.insert(*router, (entry.clone(), BTreeMap::new()));
            }
            Entry::Removed { router, .. } => {
                self.routers.remove(router);
            }
            Entry::Grouped { group, .. } => {
                self.groups.insert(*group, entry.clone());
            }
            Entry::Ungrouped { group, .. } => {
                self.groups.remove(group);
            }
            Entry::Input { router, input, .. } => {
                let Some((added, last)) = self.routers.get_mut(router) else {
                    return;
                };
                let kind = match input {
                    Told::Configure(terms) => {
                        if let Entry::Added { parameters, .. } = added {
                            parameters.clone_from(terms);
                        }
                        return;
                    }
                    Told::Interface { .. } => 0,
                    Told::Source(_) => 1,
                    Told::Fault { .. } => 2,
                    Told::Startup { .. } | Told::Shutdown => 3,
                    Told::Track { id, status } => {
                        self.tracks.insert(*id, *status);
                        return;
                    }
                    Told::Timeout
                    | Told::PeerDown(_)
                    | Told::Resign
                    | Told::AddressesLost
                    | Told::Announce => return,
                };
                last.insert(kind, input.clone());
            }
            Entry::Track { id, status, .. } => {
                self.tracks.insert(*id, *status);
            }
            Entry::Clock { .. }
            | Entry::Lost { .. }
            | Entry::Summary { .. }
            | Entry::Packet { .. }
            | Entry::Timeout { .. } => {}
        }
    }

    /// Entries that lead from nothing to what is known: the same virtual routers, told the same, started anew.
    pub(super) fn summary(&self) -> Vec<Entry> {
        let at = self.at;
        let mut entries = Vec::new();
        entries.extend(self.start.clone().map(|mut start| {
            if let Entry::Start { at: when, .. } = &mut start {
                *when = at;
            }
            start
        }));
        entries.push(self.clock_entry(at));
        entries.push(Entry::Summary { at });
        entries.push(Entry::Names {
            names: self.names.clone(),
        });
        for (added, _) in self.routers.values() {
            let mut added = added.clone();
            if let Entry::Added { at: when, .. } = &mut added {
                *when = at;
            }
            entries.push(added);
        }
        for group in self.groups.values() {
            let mut group = group.clone();
            if let Entry::Grouped { at: when, .. } = &mut group {
                *when = at;
            }
            entries.push(group);
        }
        entries.extend(self.tracks.iter().map(|(id, status)| Entry::Track {
            at,
            id: *id,
            status: *status,
        }));
        for (router, (_, last)) in &self.routers {
            entries.extend(last.values().map(|input| Entry::Input {
                at,
                router: *router,
                input: input.clone(),
            }));
        }
        entries
    }
}

/// Less than this is how clocks are disciplined, and not worth a line.
pub(super) const STEP: Duration = Duration::from_millis(200);
