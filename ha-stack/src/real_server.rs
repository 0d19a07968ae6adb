//! The real server's half of direct routing and tunnels: it has the virtual address too, and keeps quiet about it.

mod findings;
mod network;
mod record;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vrrp_net::{Change, Scope, VirtualAddress};

use crate::error::Error;
use crate::real_server::network::Network;
use crate::real_server::record::Record;

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
/// draw the traffic of the virtual address to itself, past the director. IPv6 does so by itself. What the switches were, and
/// whether the interface of the tunnel was down, is kept in a file, for the day when the last address is taken away.
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
        let Some((link, is_up)) = network.link(interface).map(|link| (link.index, link.up)) else {
            return Err(Error::System {
                what: match delivery {
                    Delivery::DirectRoute => "there is no interface lo",
                    Delivery::Tunnel => {
                        "there is no interface for the tunnel: modprobe ipip, or ip6_tunnel for IPv6"
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
        // `lo` belongs to the whole host: it stays up.
        if !is_up && delivery == Delivery::Tunnel {
            record.raised.insert(interface.to_owned());
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
        if !is_up {
            done.push(format!("{interface} is up"));
        }
        Ok(done)
    }

    /// Gives the address back; with the last one, the switches too. Returns what was changed.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn undo(&self, address: IpAddr, delivery: Delivery) -> Result<Vec<String>, Error> {
        let mut record = Record::read(&self.record)?;
        let is_first = record == Record::default();
        let known = record.addresses.remove(&address);
        let interface = known.unwrap_or_else(|| interface(address, delivery).to_owned());
        let mut done = Vec::new();
        let mut network = Network::open()?;
        let link = network.link(&interface).map(|link| link.index);
        if let Some(link) = link.filter(|link| network.has(*link, address)) {
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
            for name in std::mem::take(&mut record.raised) {
                if let Some(interface) = network.link(&name).map(|link| link.index) {
                    // One that has become somebody else's keeps what it has; the kernel does not refuse this.
                    network.carry_out(vec![Change::SetLinkUp { interface, up: false }])?;
                    done.push(format!("{name} is down again"));
                }
            }
            for (name, before) in std::mem::take(&mut record.switches) {
                write_switch(&name, &before)?;
                done.push(format!("{} is {before} again", dotted(&name)));
            }
        }
        if is_first && !done.is_empty() && !switches(address, delivery).is_empty() {
            done.push(format!(
                "the switches stay as they are: {} does not say what they were",
                self.record.display()
            ));
        }
        record.write(&self.record)?;
        Ok(done)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_needs_no_switches() {
        let address = "2001:db8::1".parse().unwrap();
        assert!(switches(address, Delivery::DirectRoute).is_empty());
        assert_eq!(interface(address, Delivery::DirectRoute), "lo");
    }
}
