//! A bridge with hosts on it: the wires of the laboratory.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::namespace::Namespace;
use crate::plan::{self, byte};

/// A bridge in a namespace of its own, with hosts in theirs. Each host has one or more interfaces, `eth0`, `eth1`…, one
/// to each network of the segment; network N is a bridge `net{N}` whose ports are `n{N}h{host}`.
#[derive(Debug)]
pub struct Segment {
    wire: Namespace,
    hosts: Vec<Namespace>,
    networks: usize,
}

impl Segment {
    /// Builds a segment of this many networks and hosts.
    ///
    /// # Errors
    /// What the system says to somebody who may not make namespaces, or without `ip` (iproute2).
    pub fn build(networks: usize, hosts: usize) -> io::Result<Self> {
        let wire = Namespace::new()?;
        for network in 0..networks {
            // No waiting before a port forwards, no snooping that would cut multicast off.
            wire.ip(&format!(
                "link add net{network} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
            ))?;
            wire.switch(&format!("ipv6/conf/net{network}/disable_ipv6"), "1")?;
            wire.ip(&format!("link set net{network} up"))?;
        }
        let mut segment = Self {
            wire,
            hosts: Vec::with_capacity(hosts),
            networks,
        };
        for host in 0..hosts {
            segment.connect(host)?;
        }
        Ok(segment)
    }

    fn connect(&mut self, host: usize) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let namespace = Namespace::new()?;
        // Link-local addresses are to be usable at once: nobody else has them here.
        for scope in ["all", "default"] {
            namespace.switch(&format!("ipv6/conf/{scope}/accept_dad"), "0")?;
            namespace.switch(&format!("ipv6/conf/{scope}/accept_ra"), "0")?;
        }
        for network in 0..self.networks {
            let port = port(network, host);
            let target = format!("/proc/{}/fd/{}", std::process::id(), namespace.file().as_raw_fd());
            self.wire.ip(&format!(
                "link add {port} address {} type veth peer name eth{network} netns {target} address {}",
                mac(0xfe, network, host),
                mac(0x02, network, host),
            ))?;
            self.wire.ip(&format!("link set {port} master net{network} up"))?;
            self.wire.switch(&format!("ipv6/conf/{port}/disable_ipv6"), "1")?;
            namespace.ip(&format!("link set eth{network} up"))?;
            namespace.ip(&format!(
                "addr add {}/16 dev eth{network}",
                Self::ipv4(network, host)
            ))?;
            namespace.ip(&format!(
                "addr add {}/64 dev eth{network} nodad",
                Self::ipv6(network, host)
            ))?;
        }
        self.hosts.push(namespace);
        Ok(())
    }

    /// [`plan::ipv4`].
    #[must_use]
    pub fn ipv4(network: usize, host: usize) -> Ipv4Addr {
        plan::ipv4(network, host)
    }

    /// [`plan::ipv6`].
    #[must_use]
    pub fn ipv6(network: usize, host: usize) -> Ipv6Addr {
        plan::ipv6(network, host)
    }

    /// [`plan::link_local`].
    #[must_use]
    pub fn link_local(network: usize, host: usize) -> Ipv6Addr {
        plan::link_local(network, host)
    }

    /// [`plan::virtual_address`].
    #[must_use]
    pub fn virtual_address(network: usize, number: u8, ipv6: bool) -> IpAddr {
        plan::virtual_address(network, number, ipv6)
    }

    /// A host's namespace.
    #[must_use]
    pub fn host(&self, host: usize) -> &Namespace {
        &self.hosts[host]
    }

    /// The namespace of the bridges, through which every frame passes.
    #[must_use]
    pub fn wire(&self) -> &Namespace {
        &self.wire
    }

    /// Gives a host carrier on all networks, or takes it away.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn set_carrier(&self, host: usize, carrier: bool) -> io::Result<()> {
        let state = if carrier { "up" } else { "down" };
        for network in 0..self.networks {
            self.wire
                .ip(&format!("link set {} {state}", port(network, host)))?;
        }
        Ok(())
    }

    /// Keeps this host from hearing the other isolated ones, and they it; everybody else hears all of them.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn set_isolated(&self, host: usize, isolated: bool) -> io::Result<()> {
        let state = if isolated { "on" } else { "off" };
        for network in 0..self.networks {
            self.wire.ip(&format!(
                "link set {} type bridge_slave isolated {state}",
                port(network, host)
            ))?;
        }
        Ok(())
    }

    /// Cuts a host off from everybody, or lets it back, without taking its carrier.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn set_cut(&self, host: usize, cut: bool) -> io::Result<()> {
        for network in 0..self.networks {
            let master = if cut {
                "nomaster".to_owned()
            } else {
                format!("master net{network}")
            };
            self.wire
                .ip(&format!("link set {} {master}", port(network, host)))?;
        }
        Ok(())
    }
}

/// The bridge port of a host.
#[must_use]
pub fn port(network: usize, host: usize) -> String {
    format!("n{network}h{host}")
}

fn mac(first: u8, network: usize, host: usize) -> String {
    format!(
        "{first:02x}:00:00:00:{:02x}:{:02x}",
        byte(network),
        byte(host) + 1
    )
}
