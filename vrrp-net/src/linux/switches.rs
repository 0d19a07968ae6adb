//! The switches of interfaces (`/proc/sys/net/ipv?/conf/*`), and what they were before.

use std::fs;
use std::path::{Path, PathBuf};

use super::sys;
use crate::host::Switch;

/// Sets switches and puts them back.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    /// What was found before the first change, oldest first.
    before: Vec<(Place, String)>,
}

/// A switch of one interface, or of all (`None`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    interface: Option<u32>,
    switch: Switch,
}

impl Switches {
    /// Sets a switch of an interface. A host where it cannot be set (a read-only `/proc/sys` in a container, no IPv6) is
    /// logged and otherwise lived with.
    pub(crate) fn set(&mut self, interface: u32, switch: Switch, value: u8) {
        self.write(
            Place {
                interface: Some(interface),
                switch,
            },
            value,
        );
    }

    /// Makes a virtual link answer for its own addresses only, and its base not for the virtual link's.
    pub(crate) fn prepare_virtual_link(&mut self, base: u32, index: u32) {
        self.spread_reverse_path_filter();
        self.set(base, Switch::ArpIgnore, 1);
        self.set(base, Switch::ArpFilter, 1);
        // Otherwise the base asks for its neighbours on behalf of a virtual address, and they learn the wrong MAC.
        self.set(base, Switch::ArpAnnounce, 2);
        // Proxy ARP is the virtual router's: it names the virtual MAC, and only while active
        // (https://www.rfc-editor.org/rfc/rfc9568#section-8.1.3).
        let proxy = Place {
            interface: Some(base),
            switch: Switch::ProxyArp,
        };
        if proxy.path().and_then(|path| number(&path)).unwrap_or(0) != 0 {
            self.write(proxy, 0);
            self.set(index, Switch::ProxyArp, 1);
        }
        // The link goes away with us: there is nothing to put back.
        for (switch, value) in [
            (Switch::ArpIgnore, 1),
            (Switch::AcceptLocal, 1),
            (Switch::ReversePathFilter, 0),
            (Switch::PromoteSecondaries, 1),
            (Switch::DuplicateDetection, 0),
        ] {
            let place = Place {
                interface: Some(index),
                switch,
            };
            if let Some(path) = place.path() {
                report(&path, fs::write(&path, value.to_string()));
            }
        }
    }

    /// Puts back what was found, newest first.
    pub(crate) fn restore(&mut self) {
        while let Some((place, value)) = self.before.pop() {
            // An interface that is gone has no switches.
            if let Some(path) = place.path() {
                report(&path, fs::write(&path, value));
            }
        }
    }

    /// `all.rp_filter` is a floor under every interface's own. It is moved into each interface, so that one of them can
    /// do without.
    fn spread_reverse_path_filter(&mut self) {
        let all = Place {
            interface: None,
            switch: Switch::ReversePathFilter,
        };
        let floor = all.path().and_then(|path| number(&path)).unwrap_or(0);
        if floor == 0 {
            return;
        }
        let Ok(directories) = fs::read_dir("/proc/sys/net/ipv4/conf") else {
            return;
        };
        for directory in directories.flatten() {
            let name = directory.file_name();
            let Some(name) = name.to_str().filter(|name| *name != "all") else {
                continue;
            };
            let path = directory.path().join("rp_filter");
            let own = number(&path).unwrap_or(0);
            if own >= floor {
                continue;
            }
            if name == "default" {
                // New interfaces inherit it; it is not an interface and stays with the floor's value.
                report(&path, fs::write(&path, floor.to_string()));
                continue;
            }
            let index = sys::interface_index(name);
            if index != 0 {
                self.set(index, Switch::ReversePathFilter, floor);
            }
        }
        self.write(all, 0);
    }

    fn write(&mut self, place: Place, value: u8) {
        let Some(path) = place.path() else {
            return;
        };
        let Ok(found) = fs::read_to_string(&path) else {
            return;
        };
        let found = found.trim().to_owned();
        if found == value.to_string() {
            return;
        }
        let written = fs::write(&path, value.to_string());
        if written.is_ok() && !self.before.iter().any(|(known, _)| *known == place) {
            self.before.push((place, found));
        }
        report(&path, written);
    }
}

impl Place {
    fn path(self) -> Option<PathBuf> {
        let name = match self.interface {
            None => "all".to_owned(),
            Some(index) => sys::interface_name(index)?,
        };
        let (family, switch) = match self.switch {
            Switch::ArpIgnore => ("ipv4", "arp_ignore"),
            Switch::ArpAnnounce => ("ipv4", "arp_announce"),
            Switch::ArpFilter => ("ipv4", "arp_filter"),
            Switch::AcceptLocal => ("ipv4", "accept_local"),
            Switch::ReversePathFilter => ("ipv4", "rp_filter"),
            Switch::PromoteSecondaries => ("ipv4", "promote_secondaries"),
            Switch::ProxyArp => ("ipv4", "proxy_arp"),
            Switch::DuplicateDetection => ("ipv6", "accept_dad"),
            Switch::DisableIpv6 => ("ipv6", "disable_ipv6"),
        };
        // Joined piece by piece: an interface may have a dot in its name.
        let mut path = PathBuf::from("/proc/sys/net");
        path.extend([family, "conf", &name, switch]);
        Some(path)
    }
}

/// Whether IPv6 packets are forwarded on an interface.
pub(crate) fn forwards_ipv6(interface: u32) -> bool {
    let Some(name) = sys::interface_name(interface) else {
        return false;
    };
    let mut path = PathBuf::from("/proc/sys/net/ipv6/conf");
    path.extend([name.as_str(), "forwarding"]);
    number(&path).is_some_and(|value| value != 0)
}

fn number(path: &Path) -> Option<u8> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn report(path: &Path, result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(path = %path.display(), %error, "cannot set the switch");
    }
}
