//! What would make a real server loud, or deaf.

use std::net::IpAddr;

use vrrp_net::Link;

use crate::error::Error;
use crate::real_server::network::Network;
use crate::real_server::{RealServerHost, read_switch};

impl RealServerHost {
    /// What is wrong with addresses on `lo` and on the interfaces of tunnels, where a real server has those of its virtual
    /// servers: that this host would answer ARP for them, past the director, or would not let in what the director sends. A
    /// line for each thing.
    ///
    /// # Errors
    /// [`Error::Election`] if the kernel cannot be asked.
    pub fn findings() -> Result<Vec<String>, Error> {
        let network = Network::open()?;
        let mut lines = Vec::new();
        for name in ["lo", "tunl0", "ip6tnl0"] {
            let Some(link) = network.link(name) else {
                continue;
            };
            let mut quiet: Vec<IpAddr> = network
                .addresses
                .iter()
                .filter(|(index, address)| *index == link.index && is_meant(*address))
                .map(|(_, address)| *address)
                .collect();
            quiet.sort();
            let Some(first) = quiet.first() else {
                continue;
            };
            for address in quiet.iter().filter(|address| address.is_ipv4()) {
                loud(&mut lines, &network, *address, name);
            }
            if name == "lo" {
                continue;
            }
            if !link.up {
                lines.push(format!(
                    "{first} is on {name}, which is down: nothing comes out of the tunnel; ip link set {name} up"
                ));
            }
            if first.is_ipv4() && highest("rp_filter", name) == "1" {
                lines.push(format!(
                    "{first} is on {name} and rp_filter is 1: what comes out of the tunnel is dropped; set net.ipv4.conf.{name}.rp_filter to 2"
                ));
            }
        }
        Ok(lines)
    }
}

/// Whether others can reach the address, and it was put where it is by somebody.
fn is_meant(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

/// ARP is answered, and asked, as the interface says that the request comes in, or goes out, by: what `lo` has does not matter.
fn loud(lines: &mut Vec<String>, network: &Network, address: IpAddr, name: &str) {
    let talking = |is_quiet: fn(&str) -> bool, switch: &str| {
        let links = network.links().filter(|link| link.arp);
        let loud = links.filter(|link| !is_quiet(&highest(switch, &link.name)));
        let names: Vec<&str> = loud.map(|link: &Link| link.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(interfaces) = talking(|value| value != "0", "arp_ignore") {
        lines.push(format!(
            "{address} is on {name} and arp_ignore is 0 for {interfaces}: this host answers ARP for it, past the director; set net.ipv4.conf.all.arp_ignore to 1"
        ));
    }
    if let Some(interfaces) = talking(|value| value == "2", "arp_announce") {
        lines.push(format!(
            "{address} is on {name} and arp_announce is not 2 for {interfaces}: this host may announce it; set net.ipv4.conf.all.arp_announce to 2"
        ));
    }
}

/// What holds for an interface: the greater of its own and that of `all`.
fn highest(switch: &str, interface: &str) -> String {
    let value = |scope: &str| read_switch(&format!("ipv4/conf/{scope}/{switch}")).unwrap_or_default();
    value("all").max(value(interface))
}
