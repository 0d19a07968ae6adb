//! Interfaces and addresses as the host reports them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::MacAddress;

/// An interface of the host, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it, which survives a rename.
    pub index: u32,
    /// Its present name.
    pub name: String,
    /// Its hardware address, where it has one of six bytes.
    pub mac: Option<MacAddress>,
    /// The largest packet it carries.
    pub mtu: u32,
    /// The interface it is stacked on, if any: the parent of a macvlan or of a VLAN.
    pub base: Option<u32>,
    /// Set up by the administrator.
    pub up: bool,
    /// Has a carrier, as far as the kernel knows.
    pub running: bool,
    /// Speaks Ethernet.
    pub ethernet: bool,
    /// Uses ARP (not loopback, not point to point).
    pub arp: bool,
}

impl Link {
    /// Whether packets can be expected to pass.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.up && self.running
    }
}

/// An address on an interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its network prefix.
    pub prefix_len: u8,
    /// The kernel's number of its scope.
    pub scope: u8,
    /// An IPv4 address beside an earlier one of the same network.
    pub secondary: bool,
    /// Duplicate detection has not (yet) passed: nothing can be sent from it.
    pub tentative: bool,
    /// Has no end of life.
    pub permanent: bool,
    /// Carries this library's mark (`IFA_PROTO` 112, kernel 5.18 and later).
    pub ours: bool,
}

/// All interfaces and addresses known, kept up to date by the watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkTable {
    links: Vec<Link>,
    /// By interface and address; more than one only where the prefix lengths differ.
    addresses: HashMap<(u32, IpAddr), Vec<Known>>,
    order: u64,
}

/// An address, and which came first.
#[derive(Debug, Clone)]
struct Known {
    order: u64,
    address: LinkAddress,
}

impl LinkTable {
    pub(crate) fn clear(&mut self) {
        self.links.clear();
        self.addresses.clear();
    }

    /// Takes in an interface's new state; says whether anything changed.
    pub(crate) fn set_link(&mut self, link: Link) -> bool {
        match self.links.iter_mut().find(|known| known.index == link.index) {
            Some(known) if *known == link => false,
            Some(known) => {
                *known = link;
                true
            }
            None => {
                self.links.push(link);
                true
            }
        }
    }

    /// Forgets an interface and its addresses.
    pub(crate) fn remove_link(&mut self, index: u32) -> bool {
        let before = self.links.len();
        self.links.retain(|link| link.index != index);
        self.addresses.retain(|(known, _), _| *known != index);
        self.links.len() != before
    }

    /// Takes in an address; says whether anything but its remaining life changed.
    pub(crate) fn set_address(&mut self, address: LinkAddress) -> bool {
        let known = self
            .addresses
            .entry((address.index, address.address))
            .or_default();
        let same = known
            .iter_mut()
            .find(|known| known.address.prefix_len == address.prefix_len);
        match same {
            Some(known) if known.address == address => false,
            Some(known) => {
                known.address = address;
                true
            }
            None => {
                self.order += 1;
                known.push(Known {
                    order: self.order,
                    address,
                });
                true
            }
        }
    }

    /// Forgets an address; says whether it was known.
    pub(crate) fn remove_address(&mut self, gone: &LinkAddress) -> bool {
        let key = (gone.index, gone.address);
        let Some(known) = self.addresses.get_mut(&key) else {
            return false;
        };
        let before = known.len();
        known.retain(|known| known.address.prefix_len != gone.prefix_len);
        let removed = known.len() != before;
        if known.is_empty() {
            self.addresses.remove(&key);
        }
        removed
    }

    pub(crate) fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The address on this interface, whatever its prefix length.
    pub(crate) fn address(&self, index: u32, address: IpAddr) -> Option<&LinkAddress> {
        let known = self.addresses.get(&(index, address))?;
        known.first().map(|known| &known.address)
    }

    /// Whether an interface has this address.
    pub(crate) fn is_anywhere(&self, address: IpAddr) -> bool {
        self.addresses.keys().any(|(_, known)| *known == address)
    }

    /// The primary IPv4 address of an interface, never one for which `is_virtual`.
    pub(crate) fn primary_ipv4(&self, index: u32, is_virtual: &dyn Fn(IpAddr) -> bool) -> Option<Ipv4Addr> {
        self.oldest(index, |known| match known.address {
            IpAddr::V4(address) if !known.secondary && !is_virtual(address.into()) => Some(address),
            _ => None,
        })
    }

    /// The link-local IPv6 address of an interface that packets can be sent from.
    pub(crate) fn link_local(&self, index: u32, is_virtual: &dyn Fn(IpAddr) -> bool) -> Option<Ipv6Addr> {
        self.oldest(index, |known| match known.address {
            IpAddr::V6(address)
                if address.is_unicast_link_local() && !known.tentative && !is_virtual(address.into()) =>
            {
                Some(address)
            }
            _ => None,
        })
    }

    /// The first that came of the addresses of an interface that `choose` likes and that we did not add ourselves.
    fn oldest<T>(&self, index: u32, choose: impl Fn(&LinkAddress) -> Option<T>) -> Option<T> {
        self.addresses
            .iter()
            .filter(|((known, _), _)| *known == index)
            .flat_map(|(_, known)| known)
            .filter(|known| !known.address.ours)
            .filter_map(|known| Some((known.order, choose(&known.address)?)))
            .min_by_key(|(order, _)| *order)
            .map(|(_, chosen)| chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, prefix_len: u8) -> LinkAddress {
        LinkAddress {
            index: 3,
            address: text.parse().unwrap(),
            prefix_len,
            scope: 0,
            secondary: false,
            tentative: false,
            permanent: true,
            ours: false,
        }
    }

    #[test]
    fn the_primary_address_is_the_oldest_that_does_not_move() {
        let mut table = LinkTable::default();
        assert!(table.set_address(address("10.0.0.9", 24)));
        assert!(table.set_address(address("10.0.0.1", 24)));
        assert!(table.set_address(address("10.0.0.2", 24)));
        assert!(!table.set_address(address("10.0.0.2", 24)), "nothing new");
        let moves = |address: IpAddr| address.to_string() == "10.0.0.9";
        assert_eq!(table.primary_ipv4(3, &moves), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(table.primary_ipv4(4, &moves), None);
        assert!(table.remove_address(&address("10.0.0.1", 24)));
        assert!(!table.remove_address(&address("10.0.0.1", 24)));
        assert_eq!(table.primary_ipv4(3, &moves), Some(Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn a_tentative_link_local_address_cannot_be_sent_from() {
        let mut table = LinkTable::default();
        let mut local = address("fe80::1", 64);
        local.tentative = true;
        table.set_address(local.clone());
        assert_eq!(table.link_local(3, &|_| false), None);
        local.tentative = false;
        assert!(table.set_address(local));
        assert!(table.link_local(3, &|_| false).is_some());
    }
}
