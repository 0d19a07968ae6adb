//! One virtual router as the driver sees it: what it holds on the host.

use std::net::IpAddr;
use std::sync::Arc;

use vrrp_fsm::{Instant, Parameters, RouterId, Track};
use vrrp_proto::{AddressFamily, MacAddress};

use crate::Error;
use crate::address::VirtualAddress;
use crate::handle::SeatShared;
use crate::host::{Announcement, Change};
use crate::instance::{Instance, Lease};
use crate::link::LinkTable;
use crate::tracker::Running;

/// One virtual router.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) key: u64,
    pub(crate) instance: Instance,
    pub(crate) router: RouterId,
    pub(crate) family: AddressFamily,
    /// Which of the driver's interfaces.
    pub(crate) slot: usize,
    pub(crate) shared: Arc<SeatShared>,
    /// What its trackers are to the election, and the threads that ask them.
    pub(crate) tracks: Vec<Track>,
    pub(crate) running: Vec<Running>,
    /// The interfaces with its virtual MAC: that of its own interface first, if it has one.
    pub(crate) vmacs: Vec<VirtualLink>,
    /// The queue in which its announcements wait, if they share one.
    pub(crate) queue: Option<u32>,
    /// Whether the addresses are to be on the host.
    pub(crate) holding: bool,
    /// Addresses that were the host's own before we came: present, and never touched.
    pub(crate) native: Vec<IpAddr>,
    /// Untracked addresses that somebody has deleted since the role was taken.
    pub(crate) given_up: Vec<IpAddr>,
    /// Works submitted and not yet carried out.
    pub(crate) outstanding: u32,
    /// The last work submitted.
    pub(crate) last_ticket: Option<u64>,
    /// When the leases were last given, and when they are to be renewed.
    pub(crate) leased_at: Instant,
    pub(crate) renew_at: Option<Instant>,
    pub(crate) started: bool,
    pub(crate) removing: bool,
    /// What the election was last told.
    pub(crate) told_up: Option<bool>,
    pub(crate) told_source: Option<Option<IpAddr>>,
    pub(crate) told_fault: bool,
    /// That nothing is received for it has been reported already.
    pub(crate) told_deaf: bool,
}

/// The interface of a virtual MAC.
#[derive(Debug, Clone)]
pub(crate) struct VirtualLink {
    /// The interface it stands on.
    pub(crate) on: String,
    /// Whose MAC it has.
    pub(crate) family: AddressFamily,
    pub(crate) name: String,
    pub(crate) mac: MacAddress,
    pub(crate) index: Option<u32>,
    pub(crate) requested: bool,
}

impl VirtualLink {
    fn is_at(&self, on: &str, family: AddressFamily) -> bool {
        self.on == on && self.family == family
    }
}

impl Seat {
    /// The virtual links that an instance asks for, not made yet. `is_taken` knows the names that others have.
    pub(crate) fn virtual_links(
        instance: &Instance,
        parameters: &Parameters,
        is_taken: &dyn Fn(&str, MacAddress) -> bool,
    ) -> Vec<VirtualLink> {
        let (family, vrid) = (parameters.family(), parameters.vrid());
        let spec = instance.virtual_mac.as_ref();
        let own = spec.map(|_| (instance.interface.as_str(), family));
        let addresses = instance.addresses.iter();
        let others = addresses.filter_map(|address| instance.virtual_link(address, family));
        let mut links: Vec<VirtualLink> = Vec::new();
        for (on, of) in own.into_iter().chain(others) {
            if links.iter().any(|link| link.is_at(on, of)) {
                continue;
            }
            // One that was given by hand is for the family it was given for.
            let mac = spec
                .and_then(|spec| spec.mac)
                .filter(|_| of == family)
                .unwrap_or_else(|| MacAddress::virtual_router(of, vrid));
            let given = spec
                .and_then(|spec| spec.name.clone())
                .filter(|_| links.is_empty());
            let is_own = spec.is_some() && links.is_empty();
            let prefix = instance.link_prefix.as_deref().filter(|_| !is_own);
            let prefix = prefix.unwrap_or("vrrp");
            let name = given.unwrap_or_else(|| {
                let free =
                    |name: &String| !is_taken(name, mac) && links.iter().all(|link| link.name != *name);
                let family = match of {
                    AddressFamily::Ipv4 => "",
                    AddressFamily::Ipv6 => "6",
                };
                let plain = format!("{prefix}{family}.{}", vrid.get());
                let numbered =
                    (1..MAX_LINKS).map(|number| format!("{prefix}{family}{number}.{}", vrid.get()));
                let first = plain.clone();
                std::iter::once(plain).chain(numbered).find(free).unwrap_or(first)
            });
            links.push(VirtualLink {
                on: on.to_owned(),
                family: of,
                name,
                mac,
                index: None,
                requested: false,
            });
        }
        links
    }

    /// The source MAC of its advertisements, where it is not that of the interface.
    pub(crate) fn source_mac(&self) -> Option<MacAddress> {
        let spec = self.instance.virtual_mac.as_ref()?;
        self.vmacs
            .first()
            .filter(|_| !spec.transmit_base)
            .map(|link| link.mac)
    }

    /// What the election is told of an instance: its parameters, and its trackers beside what it tracks already.
    pub(crate) fn parameters(instance: &Instance, tracks: &[Track]) -> Result<Parameters, Error> {
        let parameters = instance.to_parameters()?;
        if tracks.is_empty() {
            return Ok(parameters);
        }
        let all = parameters.tracks().iter().chain(tracks).copied();
        Ok(parameters.to_builder().tracks(all.collect::<Vec<_>>()).build()?)
    }

    /// How many seconds an address lives without being renewed.
    pub(crate) fn lease(&self, parameters: &Parameters) -> Option<u32> {
        match self.instance.lease {
            Lease::Off => None,
            Lease::Seconds(seconds) => Some(seconds.max(1)),
            Lease::Automatic => {
                let skew_256ths = 256 - u64::from(parameters.priority().get());
                let interval = parameters.adver_interval().as_nanos();
                let down = interval
                    .saturating_mul(u64::from(parameters.down_timer_adverts()))
                    .saturating_add(interval / 256 * skew_256ths);
                let seconds = u32::try_from(down / SECOND).unwrap_or(u32::MAX);
                Some(seconds.max(SHORTEST_LEASE))
            }
        }
    }

    /// The interface that an address lives on, if it is there.
    pub(crate) fn device(
        &self,
        address: &VirtualAddress,
        base: Option<u32>,
        table: &LinkTable,
    ) -> Option<u32> {
        if let Some((on, family)) = self.instance.virtual_link(address, self.family) {
            return self.vmacs.iter().find(|link| link.is_at(on, family))?.index;
        }
        match &address.device {
            Some(name) => table.by_name(name).map(|link| link.index),
            None => base,
        }
    }

    /// What it takes to hold these addresses, or to renew their leases.
    pub(crate) fn add_changes(
        &self,
        parameters: &Parameters,
        base: Option<u32>,
        table: &LinkTable,
        only: Option<IpAddr>,
        changes: &mut Vec<Change>,
    ) {
        let lease = self.lease(parameters);
        for address in &self.instance.addresses {
            let is_other = only.is_some_and(|only| only != address.address());
            if is_other
                || self.native.contains(&address.address())
                || self.given_up.contains(&address.address())
            {
                continue;
            }
            if let Some(interface) = self.device(address, base, table) {
                changes.push(Change::AddAddress {
                    interface,
                    address: Arc::clone(address),
                    lease,
                    replace: true,
                });
            }
        }
    }

    /// What it takes to become active: the virtual link up, the addresses, the routes, the rules.
    pub(crate) fn hold(&self, parameters: &Parameters, base: Option<u32>, table: &LinkTable) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.instance.addresses.len() + 1);
        let links = self.vmacs.iter().filter_map(|link| link.index);
        changes.extend(links.map(|interface| Change::SetLinkUp { interface, up: true }));
        changes.extend(self.refusals(parameters));
        self.add_changes(parameters, base, table, None, &mut changes);
        let routes = self.instance.routes.iter().cloned();
        changes.extend(routes.map(Change::AddRoute));
        let rules = self.instance.rules.iter().cloned();
        changes.extend(rules.map(Change::AddRule));
        changes
    }

    /// The addresses that packets are to be kept from: all of them where packets are not accepted, except those that are
    /// the host's own.
    pub(crate) fn refused(&self, parameters: &Parameters) -> impl Iterator<Item = IpAddr> {
        let refuses = !(parameters.accept_mode() || parameters.priority().is_owner());
        let addresses = self.instance.addresses.iter().map(|address| address.address());
        addresses.filter(move |address| refuses && !self.native.contains(address))
    }

    fn refusals(&self, parameters: &Parameters) -> impl Iterator<Item = Change> {
        let refused = self.refused(parameters);
        refused.map(|address| Change::RefusePackets { address })
    }

    /// What it takes to give everything up: the same backwards. The virtual link goes down first, so that no frame with
    /// its MAC address leaves any more.
    pub(crate) fn let_go(
        &self,
        parameters: &Parameters,
        base: Option<u32>,
        table: &LinkTable,
    ) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.instance.addresses.len() + 1);
        let rules = self.instance.rules.iter().rev().cloned();
        changes.extend(rules.map(Change::RemoveRule));
        let routes = self.instance.routes.iter().rev().cloned();
        changes.extend(routes.map(Change::RemoveRoute));
        let links = self.vmacs.iter().filter_map(|link| link.index);
        changes.extend(links.map(|interface| Change::SetLinkUp { interface, up: false }));
        for address in self.instance.addresses.iter().rev() {
            if self.native.contains(&address.address()) {
                continue;
            }
            if let Some(interface) = self.device(address, base, table) {
                changes.push(Change::RemoveAddress {
                    interface,
                    address: Arc::clone(address),
                });
            }
        }
        let accepted = self.refused(parameters);
        changes.extend(accepted.map(|address| Change::AcceptPackets { address }));
        changes
    }

    /// The announcements of one address, or of all: one after the other, this many times around.
    pub(crate) fn announcements(
        &self,
        base: Option<u32>,
        table: &LinkTable,
        only: Option<IpAddr>,
        repeat: u8,
    ) -> Vec<Announcement> {
        let mut round = Vec::with_capacity(self.instance.addresses.len());
        for address in &self.instance.addresses {
            if only.is_some_and(|only| only != address.address()) {
                continue;
            }
            let Some(interface) = self.device(address, base, table) else {
                continue;
            };
            let Some(link) = table.link(interface).filter(|link| link.arp) else {
                continue;
            };
            let virtual_link = self.vmacs.iter().find(|link| link.index == Some(interface));
            let mac = virtual_link.map(|link| link.mac).or(link.mac);
            if let Some(mac) = mac {
                round.push(Announcement {
                    interface,
                    address: address.address(),
                    mac,
                    round: 0,
                    pace: match address.address() {
                        IpAddr::V4(_) => self.instance.pace.arp,
                        IpAddr::V6(_) => self.instance.pace.neighbour_discovery,
                    },
                    queue: self.queue,
                });
            }
        }
        let mut all = Vec::with_capacity(round.len() * usize::from(repeat));
        for number in 0..repeat {
            all.extend(round.iter().map(|announcement| Announcement {
                round: number,
                ..*announcement
            }));
        }
        all
    }

    /// Whether this is one of its addresses, on the interface where it belongs.
    pub(crate) fn owns(&self, interface: u32, address: IpAddr, base: Option<u32>, table: &LinkTable) -> bool {
        self.instance
            .addresses
            .iter()
            .any(|own| own.address() == address && self.device(own, base, table) == Some(interface))
    }
}

const SECOND: u64 = 1_000_000_000;
/// How many names are tried for a virtual link.
const MAX_LINKS: u8 = 100;
/// A host whose configuration lock is held up for a moment must not lose its address.
const SHORTEST_LEASE: u32 = 3;

#[cfg(test)]
mod tests {
    use vrrp_proto::Vrid;

    use super::*;
    use crate::VirtualMac;

    fn names(instance: &Instance, taken: &[&str]) -> Vec<String> {
        let parameters = instance.to_parameters().unwrap();
        let links = Seat::virtual_links(instance, &parameters, &|name, _| taken.contains(&name));
        links.into_iter().map(|link| link.name).collect()
    }

    #[test]
    fn links_are_named_by_their_family_and_what_they_carry() {
        let instance = Instance::new("test", "eth0", Vrid::new(7).unwrap())
            .virtual_mac(VirtualMac::standard().everywhere())
            .address("10.0.0.1/24".parse().unwrap())
            .address("10.0.1.1/24".parse::<VirtualAddress>().unwrap().device("eth1"))
            .address("fd00::1/64".parse::<VirtualAddress>().unwrap().excluded());
        assert_eq!(names(&instance, &[]), ["vrrp.7", "vrrp1.7", "vrrp6.7"]);
        assert_eq!(
            names(&instance, &["vrrp.7", "vrrp6.7"]),
            ["vrrp1.7", "vrrp2.7", "vrrp61.7"]
        );
        // That of its own interface is not one that carries addresses only.
        let prefixed = instance.virtual_link_prefix("addr");
        assert_eq!(names(&prefixed, &[]), ["vrrp.7", "addr.7", "addr6.7"]);
        assert_eq!(names(&prefixed, &["addr.7"]), ["vrrp.7", "addr1.7", "addr6.7"]);
    }
}
