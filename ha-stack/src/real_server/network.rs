//! The kernel's network configuration, looked at once and changed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use vrrp_net::{Change, Host, HostEvent, Link, LinuxHost, Work};

use crate::error::Error;

/// The kernel's network configuration, as it was when it was opened.
pub(super) struct Network {
    host: LinuxHost,
    links: BTreeMap<String, Link>,
    pub(super) addresses: Vec<(u32, IpAddr)>,
}

impl Network {
    pub(super) fn open() -> Result<Self, Error> {
        let mut host = LinuxHost::open()?;
        loop {
            while let Some(event) = host.poll_event() {
                if let HostEvent::Snapshot { links, addresses } = event {
                    return Ok(Self {
                        host,
                        links: links.into_iter().map(|link| (link.name.clone(), link)).collect(),
                        addresses: addresses
                            .iter()
                            .map(|known| (known.index, known.address))
                            .collect(),
                    });
                }
            }
            host.wait(None)?;
        }
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(name)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    pub(super) fn has(&self, link: u32, address: IpAddr) -> bool {
        self.addresses.contains(&(link, address))
    }

    /// Returns what failed, by its place.
    pub(super) fn carry_out(&mut self, changes: Vec<Change>) -> Result<Vec<(usize, i32)>, Error> {
        self.host.submit(Work {
            ticket: TICKET,
            changes,
            announcements: Vec::new(),
        });
        loop {
            while let Some(event) = self.host.poll_event() {
                if let HostEvent::Done {
                    ticket: TICKET,
                    failures,
                } = event
                {
                    return Ok(failures);
                }
            }
            self.host.wait(None)?;
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Network").finish_non_exhaustive()
    }
}

const TICKET: u64 = 1;
