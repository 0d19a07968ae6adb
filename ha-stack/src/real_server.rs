//! The real server's half of direct routing and tunnels: it has the virtual address too, and keeps quiet about it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vrrp_net::{Change, Host, HostEvent, LinuxHost, Scope, VirtualAddress, Work};

use crate::error::Error;

/// How packets reach a real server that has the virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// As frames from the director: the address is on `lo`.
    DirectRoute,
    /// Within packets from the director: the address is on the tunnel's interface, `tunl0` or `ip6tnl0`.
    Tunnel,
}

/// Prepares this host to be a real server behind a virtual address, and undoes it.
///
/// The address is added with the longest prefix. For IPv4 the kernel is told to answer ARP only for addresses of the
/// interface it is asked on (`arp_ignore` 1), and to ask from such addresses only (`arp_announce` 2); otherwise it would
/// draw the traffic of the virtual address to itself, past the director. IPv6 does so by itself. What the switches were is
/// kept in a file, for the day when the last address is taken away.
#[derive(Clone, Debug)]
pub struct RealServerHost {
    record: PathBuf,
}

impl RealServerHost {
    /// `record` is where it is kept what was there before.
    pub fn new(record: impl Into<PathBuf>) -> Self {
        Self {
            record: record.into(),
        }
    }

    /// Takes the address. Returns what was changed, a line for each thing; nothing if everything was so already.
    ///
    /// # Errors
    /// [`Error::File`] if the record cannot be read or written or a switch cannot be set, [`Error::Election`] if the
    /// kernel's network configuration cannot be used, [`Error::System`] with what it refuses.
    pub fn prepare(&self, address: IpAddr, delivery: Delivery) -> Result<Vec<String>, Error> {
        let mut record = Record::read(&self.record)?;
        let interface = interface(address, delivery);
        let mut network = Network::open()?;
        let Some(link) = network.link(interface) else {
            return Err(Error::System {
                what: match delivery {
                    Delivery::DirectRoute => "there is no interface lo",
                    Delivery::Tunnel => {
                        "there is no interface for the tunnel: load its module, ipip or ip6_tunnel"
                    }
                },
                source: io::Error::from_raw_os_error(libc::ENODEV),
            });
        };
        record.addresses.insert(address, interface.to_owned());
        let mut done = Vec::new();
        // First the quiet, then the address.
        for &(name, wanted) in switches(address, delivery) {
            let value = read_switch(name)?;
            if value != wanted {
                record
                    .switches
                    .entry(name.to_owned())
                    .or_insert_with(|| value.clone());
                record.write(&self.record)?;
                write_switch(name, wanted)?;
                done.push(format!("{} is {wanted} instead of {value}", dotted(name)));
            }
        }
        record.write(&self.record)?;
        let held = VirtualAddress::host(address).scope(match delivery {
            Delivery::DirectRoute => Scope::Host,
            Delivery::Tunnel => Scope::Global,
        });
        let mut changes = vec![Change::AddAddress {
            interface: link,
            address: Arc::new(held),
            lease: None,
            replace: false,
        }];
        changes.push(Change::SetLinkUp {
            interface: link,
            up: true,
        });
        for (place, number) in network.carry_out(changes)? {
            if place != 0 || number != libc::EEXIST {
                return Err(Error::System {
                    what: "the address cannot be added",
                    source: io::Error::from_raw_os_error(number),
                });
            }
        }
        if !network.has(link, address) {
            done.push(format!("{address} is on {interface}"));
        }
        Ok(done)
    }

    /// Gives the address back; with the last one, the switches too. Returns what was changed.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn undo(&self, address: IpAddr, delivery: Delivery) -> Result<Vec<String>, Error> {
        let mut record = Record::read(&self.record)?;
        let known = record.addresses.remove(&address);
        let interface = known.unwrap_or_else(|| interface(address, delivery).to_owned());
        let mut done = Vec::new();
        let mut network = Network::open()?;
        if let Some(link) = network
            .link(&interface)
            .filter(|link| network.has(*link, address))
        {
            let change = Change::RemoveAddress {
                interface: link,
                address: Arc::new(VirtualAddress::host(address)),
            };
            if let Some((_, number)) = network.carry_out(vec![change])?.first() {
                return Err(Error::System {
                    what: "the address cannot be removed",
                    source: io::Error::from_raw_os_error(*number),
                });
            }
            done.push(format!("{address} is not on {interface} any more"));
        }
        if record.addresses.is_empty() {
            for (name, before) in std::mem::take(&mut record.switches) {
                write_switch(&name, &before)?;
                done.push(format!("{} is {before} again", dotted(&name)));
            }
        }
        record.write(&self.record)?;
        Ok(done)
    }

    /// What would make this host answer for addresses that are meant to be quiet: addresses on `lo` that others can reach,
    /// with switches that let it answer ARP for them. A line for each.
    ///
    /// # Errors
    /// [`Error::Election`] if the kernel cannot be asked.
    pub fn findings() -> Result<Vec<String>, Error> {
        let network = Network::open()?;
        let Some(lo) = network.link("lo") else {
            return Ok(Vec::new());
        };
        let mut quiet: Vec<IpAddr> = network
            .addresses
            .iter()
            .filter(|(index, address)| *index == lo && address.is_ipv4() && !address.is_loopback())
            .map(|(_, address)| *address)
            .collect();
        quiet.sort();
        let highest = |switch: &str| {
            let value = |scope: &str| read_switch(&format!("ipv4/conf/{scope}/{switch}")).unwrap_or_default();
            value("all").max(value("lo"))
        };
        let (ignore, announce) = (highest("arp_ignore"), highest("arp_announce"));
        let mut lines = Vec::new();
        for address in quiet {
            if ignore == "0" {
                lines.push(format!(
                    "{address} is on lo and arp_ignore is 0: this host answers ARP for it, past the director; set net.ipv4.conf.all.arp_ignore to 1"
                ));
            }
            if announce != "2" {
                lines.push(format!(
                    "{address} is on lo and arp_announce is {announce}: this host may announce it; set net.ipv4.conf.all.arp_announce to 2"
                ));
            }
        }
        Ok(lines)
    }
}

/// Where the address is put.
fn interface(address: IpAddr, delivery: Delivery) -> &'static str {
    match (delivery, address) {
        (Delivery::DirectRoute, _) => "lo",
        (Delivery::Tunnel, IpAddr::V4(_)) => "tunl0",
        (Delivery::Tunnel, IpAddr::V6(_)) => "ip6tnl0",
    }
}

/// The switches that have to be set, under `/proc/sys/net`.
fn switches(address: IpAddr, delivery: Delivery) -> &'static [(&'static str, &'static str)] {
    match (delivery, address) {
        (Delivery::DirectRoute, IpAddr::V4(_)) => &[
            ("ipv4/conf/lo/arp_ignore", "1"),
            ("ipv4/conf/lo/arp_announce", "2"),
            ("ipv4/conf/all/arp_ignore", "1"),
            ("ipv4/conf/all/arp_announce", "2"),
        ],
        // What comes out of the tunnel has a source that is reached by another interface: the greater of `all` and the
        // interface's own holds, and 2 lets it in.
        (Delivery::Tunnel, IpAddr::V4(_)) => &[
            ("ipv4/conf/tunl0/arp_ignore", "1"),
            ("ipv4/conf/tunl0/arp_announce", "2"),
            ("ipv4/conf/all/arp_ignore", "1"),
            ("ipv4/conf/all/arp_announce", "2"),
            ("ipv4/conf/tunl0/rp_filter", "2"),
        ],
        (_, IpAddr::V6(_)) => &[],
    }
}

fn path_of(name: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(name)
}

fn read_switch(name: &str) -> Result<String, Error> {
    let path = path_of(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(Error::File { path, source }),
    }
}

fn write_switch(name: &str, value: &str) -> Result<(), Error> {
    let path = path_of(name);
    fs::write(&path, value).map_err(|source| Error::File { path, source })
}

/// As `sysctl` writes it.
fn dotted(name: &str) -> String {
    format!("net.{}", name.replace('/', "."))
}

/// The kernel's network configuration, as it was when it was opened.
struct Network {
    host: LinuxHost,
    links: BTreeMap<String, u32>,
    addresses: Vec<(u32, IpAddr)>,
}

impl Network {
    fn open() -> Result<Self, Error> {
        let mut host = LinuxHost::open()?;
        loop {
            while let Some(event) = host.poll_event() {
                if let HostEvent::Snapshot { links, addresses } = event {
                    return Ok(Self {
                        host,
                        links: links.into_iter().map(|link| (link.name, link.index)).collect(),
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

    fn link(&self, name: &str) -> Option<u32> {
        self.links.get(name).copied()
    }

    fn has(&self, link: u32, address: IpAddr) -> bool {
        self.addresses.contains(&(link, address))
    }

    /// Returns what failed, by its place.
    fn carry_out(&mut self, changes: Vec<Change>) -> Result<Vec<(usize, i32)>, Error> {
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

/// What is in the file: the addresses that were taken, and what the switches were before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    addresses: BTreeMap<IpAddr, String>,
    switches: BTreeMap<String, String>,
}

impl Record {
    fn read(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::from_text(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// An empty record is no file.
    fn write(&self, path: &Path) -> Result<(), Error> {
        let outcome = match self.addresses.is_empty() && self.switches.is_empty() {
            true if !path.exists() => Ok(()),
            true => fs::remove_file(path),
            false => fs::write(path, self.text()),
        };
        outcome.map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })
    }

    fn text(&self) -> String {
        let addresses = self.addresses.iter();
        let addresses = addresses.map(|(address, interface)| format!("address {address} {interface}\n"));
        let switches = self
            .switches
            .iter()
            .map(|(name, value)| format!("switch {name} {value}\n"));
        addresses.chain(switches).collect()
    }

    /// Only switches that are set here are ever put back: the file might have been written by somebody else.
    fn from_text(text: &str) -> Self {
        let known = |name: &str| {
            let all = [Delivery::DirectRoute, Delivery::Tunnel]
                .into_iter()
                .flat_map(|delivery| switches(IpAddr::from([0, 0, 0, 0]), delivery));
            all.into_iter().any(|(switch, _)| *switch == name)
        };
        let mut record = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["address", address, interface] => {
                    if let Ok(address) = address.parse() {
                        record.addresses.insert(address, (*interface).to_owned());
                    }
                }
                ["switch", name, value] if known(name) && value.parse::<u8>().is_ok() => {
                    record.switches.insert((*name).to_owned(), (*value).to_owned());
                }
                _ => {}
            }
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_read_as_it_was_written_and_trusts_nobody() {
        let mut record = Record::default();
        record
            .addresses
            .insert("10.0.0.1".parse().unwrap(), "lo".to_owned());
        record
            .addresses
            .insert("2001:db8::1".parse().unwrap(), "ip6tnl0".to_owned());
        record
            .switches
            .insert("ipv4/conf/all/arp_ignore".to_owned(), "0".to_owned());
        assert_eq!(Record::from_text(&record.text()), record);
        let forged =
            "switch ../../kernel/core_pattern x\nswitch ipv4/conf/all/arp_ignore x\naddress x lo\n\n";
        assert_eq!(Record::from_text(forged), Record::default());
    }

    #[test]
    fn ipv6_needs_no_switches() {
        let address = "2001:db8::1".parse().unwrap();
        assert!(switches(address, Delivery::DirectRoute).is_empty());
        assert_eq!(interface(address, Delivery::DirectRoute), "lo");
    }
}
