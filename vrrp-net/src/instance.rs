//! What an application asks for: one virtual router on one interface.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_fsm::{Parameters, ParametersBuilder};
use vrrp_proto::{AddressFamily, AdverInterval, MacAddress, Priority, Vrid};

use crate::Error;
use crate::address::VirtualAddress;
use crate::route::{VirtualRoute, VirtualRule};
use crate::tracker::Tracker;

/// One virtual router: a name for people, the interface it lives on, the addresses that move.
///
/// ```
/// use vrrp_net::Instance;
/// use vrrp_proto::{Priority, Vrid};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let web = Instance::new("web", "eth0", Vrid::new(51).ok_or("no such number")?)
///     .priority(Priority::new(150))
///     .address("10.0.0.100/24".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Instance {
    pub(crate) name: String,
    pub(crate) interface: String,
    pub(crate) vrid: Vrid,
    pub(crate) addresses: Vec<Arc<VirtualAddress>>,
    pub(crate) routes: Vec<Arc<VirtualRoute>>,
    pub(crate) rules: Vec<Arc<VirtualRule>>,
    pub(crate) virtual_mac: Option<VirtualMac>,
    pub(crate) link_prefix: Option<String>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) track_source: bool,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) lease: Lease,
    pub(crate) pace: Pace,
    pub(crate) promote_secondaries: bool,
    pub(crate) track_interface: bool,
    pub(crate) report_unknown: bool,
    pub(crate) group: Option<String>,
    pub(crate) trackers: Vec<Tracker>,
    #[cfg(feature = "auth-hmac")]
    pub(crate) signing: Option<vrrp_fsm::Signing>,
    tune: Tune,
}

impl Instance {
    /// A virtual router with the defaults of [`ParametersBuilder`], leased addresses and the interface's own MAC.
    ///
    /// Two defaults differ. With the interface's own MAC it advertises once more before it yields
    /// ([`ParametersBuilder::advertise_before_yielding`]), so that after a partition the winner announces the addresses
    /// anew. And packets to the addresses are accepted, since somebody who holds an address mostly serves on it;
    /// [`accept_packets`](Self::accept_packets) says otherwise.
    #[must_use]
    pub fn new(name: &str, interface: &str, vrid: Vrid) -> Self {
        Self {
            name: name.into(),
            interface: interface.into(),
            vrid,
            addresses: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            virtual_mac: None,
            link_prefix: None,
            source: None,
            track_source: false,
            hop_limit: None,
            lease: Lease::default(),
            pace: Pace::default(),
            promote_secondaries: false,
            track_interface: true,
            report_unknown: false,
            group: None,
            trackers: Vec::new(),
            #[cfg(feature = "auth-hmac")]
            signing: None,
            tune: Tune::default(),
        }
    }

    /// Adds an address. Those that are not [excluded](VirtualAddress::excluded) stand in the advertisements, in this
    /// order.
    #[must_use]
    pub fn address(mut self, address: VirtualAddress) -> Self {
        self.addresses.push(Arc::new(address));
        self
    }

    /// Adds addresses.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = VirtualAddress>) -> Self {
        self.addresses.extend(addresses.into_iter().map(Arc::new));
        self
    }

    /// Sets the priority, 1 to 255. The default is 100.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        self.parameters(move |builder| builder.priority(priority))
    }

    /// Sets the time between two advertisements. The default is one second.
    #[must_use]
    pub fn adver_interval(self, interval: AdverInterval) -> Self {
        self.parameters(move |builder| builder.adver_interval(interval))
    }

    /// Whether what is sent to the addresses is accepted, as by default, or dropped: then they only forward, as routers'
    /// addresses do in RFC 9568 (`Accept_Mode`). Neighbour discovery and ARP are answered all the same, and the owner
    /// (priority 255) accepts in any case.
    ///
    /// Dropping takes an nf_tables table of our own, which the kernel (5.12 or later) removes when this process ends. The
    /// table is shared by all virtual routers of a driver: an address that two of them hold is accepted when one of
    /// them gives it up.
    #[must_use]
    pub fn accept_packets(self, accept: bool) -> Self {
        self.parameters(move |builder| builder.accept_mode(accept))
    }

    /// Sets anything else that the election knows: the version, preemption, unicast peers, the password, announcements…
    /// May be called repeatedly.
    #[must_use]
    pub fn parameters(
        mut self,
        tune: impl Fn(ParametersBuilder) -> ParametersBuilder + Send + Sync + 'static,
    ) -> Self {
        let before = self.tune.0;
        self.tune = Tune(Arc::new(move |builder| tune(before(builder))));
        self
    }

    /// Signs the advertisements and asks for signatures: keepalived's `auth_hmac`. The driver tells the election the time
    /// of day, which the hosts have to agree on within the window (`Signing::time_window`).
    #[cfg(feature = "auth-hmac")]
    #[must_use]
    pub fn signing(mut self, signing: vrrp_fsm::Signing) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Adds a route that comes and goes with the active role.
    #[must_use]
    pub fn route(mut self, route: VirtualRoute) -> Self {
        self.routes.push(Arc::new(route));
        self
    }

    /// Adds a rule that comes and goes with the active role.
    #[must_use]
    pub fn rule(mut self, rule: VirtualRule) -> Self {
        self.rules.push(Arc::new(rule));
        self
    }

    /// Lets the addresses be answered for by a MAC address of their own, so that the link's neighbour tables stay right
    /// when they move.
    #[must_use]
    pub fn virtual_mac(mut self, mac: VirtualMac) -> Self {
        self.virtual_mac = Some(mac);
        self
    }

    /// How the names of those interfaces with a virtual MAC begin that carry nothing but addresses
    /// ([`VirtualMac::everywhere`], [`VirtualAddress::virtual_mac`]): `PREFIX.VRID`, numbered where that is taken, at most 15
    /// bytes in all. The default is `vrrp` (keepalived's `vmac_addr_prefix`).
    #[must_use]
    pub fn virtual_link_prefix(mut self, prefix: &str) -> Self {
        self.link_prefix = Some(prefix.into());
        self
    }

    /// The source address of the advertisements. By default the interface's primary IPv4 address or its link-local IPv6
    /// address, whatever it is at the time.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Stays out of the election while no interface has the address given as [`source`](Self::source) (keepalived's
    /// `track_src_ip`). Without it, advertisements that cannot be sent are reported and tried again.
    #[must_use]
    pub fn track_source(mut self) -> Self {
        self.track_source = true;
        self
    }

    /// The TTL or hop limit of unicast advertisements. The default is 255; multicast ones always have 255.
    #[must_use]
    pub fn unicast_hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = Some(hop_limit);
        self
    }

    /// For how long the kernel keeps the addresses when this process stops renewing them. The default is
    /// [`Lease::Automatic`].
    #[must_use]
    pub fn lease(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    /// How far apart announcements are sent at least: a [`Pace`], or one duration for both families on each interface. The
    /// default is no pause.
    #[must_use]
    pub fn announcement_pace(mut self, pace: impl Into<Pace>) -> Self {
        self.pace = pace.into();
        self
    }

    /// Sets `promote_secondaries` on the interface, so that removing one address does not remove others of its network.
    #[must_use]
    pub fn promote_secondaries(mut self) -> Self {
        self.promote_secondaries = true;
        self
    }

    /// Takes part although the interface has no carrier (keepalived's `dont_track_primary`).
    #[must_use]
    pub fn ignore_carrier(mut self) -> Self {
        self.track_interface = false;
        self
    }

    /// Names in the log the virtual routers that are heard on its interface, in its family, and not configured here: each at
    /// most once a minute (keepalived's `log_unknown_vrids`). Without it the kernel drops what they send.
    #[must_use]
    pub fn report_unknown(mut self) -> Self {
        self.report_unknown = true;
        self
    }

    /// Puts it into a sync group: all virtual routers of a group are active together or not at all.
    #[must_use]
    pub fn sync_group(mut self, name: &str) -> Self {
        self.group = Some(name.into());
        self
    }

    /// Asks a closure again and again, on a thread of its own, whether something is well. Its weight, -254 to 254, is added
    /// to the priority while the answer is yes (above zero), taken off while it is no (below zero), or makes a no keep this
    /// host out of the election (zero).
    #[must_use]
    pub fn tracker(
        mut self,
        weight: i16,
        every: Duration,
        check: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.trackers.push(Tracker {
            weight,
            every,
            check: Arc::new(check),
        });
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Its number.
    #[must_use]
    pub fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// Its addresses, those that are not advertised included.
    pub fn virtual_addresses(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().map(Arc::as_ref)
    }

    /// The sync group it is in.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Whether an address is left to whoever deletes it.
    pub(crate) fn is_untracked(&self, address: IpAddr) -> bool {
        let mut addresses = self.addresses.iter();
        addresses.any(|own| own.address() == address && !own.tracked)
    }

    /// The link with a virtual MAC that an address lives on, if it lives on one: the interface it stands on, and the family
    /// of its MAC. `family` is that of the virtual router.
    ///
    /// As with keepalived, an address of the other family that nothing more is said of is on the interface itself; and one on
    /// the virtual router's own interface is behind the virtual MAC, whether that interface is named or not.
    pub(crate) fn virtual_link<'a>(
        &'a self,
        address: &'a VirtualAddress,
        family: AddressFamily,
    ) -> Option<(&'a str, AddressFamily)> {
        let everywhere = self.virtual_mac.as_ref().is_some_and(|mac| mac.everywhere);
        if everywhere || address.virtual_mac {
            let on = address.device.as_deref().unwrap_or(&self.interface);
            return Some((on, address.family()));
        }
        let on_own_interface = address
            .device
            .as_ref()
            .is_none_or(|device| *device == self.interface);
        let with_the_others = self.virtual_mac.is_some() && on_own_interface && address.family() == family;
        with_the_others.then_some((&self.interface, family))
    }

    /// What the election is told.
    ///
    /// # Errors
    /// [`Error::Parameters`] for whatever is out of range or does not fit together.
    pub fn to_parameters(&self) -> Result<Parameters, Error> {
        let advertised = self
            .addresses
            .iter()
            .filter(|address| !address.is_excluded())
            .map(|address| address.address());
        // A router that gives way sends once more, so that the winner learns of it and announces the addresses again: the
        // link's neighbour tables may still point here. With a virtual MAC there is nothing to correct.
        let builder = Parameters::builder(self.vrid, advertised)
            .advertise_before_yielding(self.virtual_mac.is_none())
            .accept_mode(true);
        Ok((self.tune.0)(builder).build()?)
    }
}

/// A MAC address that belongs to the virtual router: an interface of its own (a macvlan) that is up only while active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualMac {
    pub(crate) name: Option<String>,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) transmit_base: bool,
    pub(crate) everywhere: bool,
}

impl VirtualMac {
    /// The MAC address of RFC 9568 §7.3 on an interface called `vrrp.VRID` (`vrrp6.VRID` for IPv6; where that is taken,
    /// `vrrp1.VRID`, `vrrp61.VRID` and so on).
    #[must_use]
    pub fn standard() -> Self {
        Self {
            name: None,
            mac: None,
            transmit_base: false,
            everywhere: false,
        }
    }

    /// The name of the interface, up to 15 bytes.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Another MAC address.
    #[must_use]
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Sends the advertisements with the MAC address of the interface itself (keepalived's `vmac_xmit_base`).
    #[must_use]
    pub fn transmit_from_base(mut self) -> Self {
        self.transmit_base = true;
        self
    }

    /// Puts the addresses that live on other interfaces behind the virtual MAC there too, each interface with a link of
    /// its own, and those of the other family behind the MAC of that family (keepalived's `use_vmac_addr`).
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }
}

/// How far apart announcements are sent at least, so that switches and neighbours are not flooded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pace {
    pub(crate) arp: Duration,
    pub(crate) neighbour_discovery: Duration,
    pub(crate) group: Option<Arc<str>>,
}

impl Pace {
    /// Between two gratuitous ARP, and between two unsolicited neighbour advertisements, on one interface.
    #[must_use]
    pub fn new(arp: Duration, neighbour_discovery: Duration) -> Self {
        Self {
            arp,
            neighbour_discovery,
            group: None,
        }
    }

    /// Not for each interface by itself, but for all together whose virtual routers name this group (keepalived's
    /// `garp_group`): interfaces that lead to one switch.
    #[must_use]
    pub fn shared(mut self, group: &str) -> Self {
        self.group = Some(group.into());
        self
    }
}

impl From<Duration> for Pace {
    fn from(pace: Duration) -> Self {
        Self::new(pace, pace)
    }
}

/// For how long the kernel keeps an address that nobody renews.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Lease {
    /// The Active_Down_Interval in whole seconds, at least three: about when the next router takes over.
    #[default]
    Automatic,
    /// This many seconds, at least one.
    Seconds(u32),
    /// For ever: after a crash the address stays.
    Off,
}

/// What the caller wants to set on the builder of the parameters.
#[derive(Clone)]
struct Tune(Arc<dyn Fn(ParametersBuilder) -> ParametersBuilder + Send + Sync>);

impl Default for Tune {
    fn default() -> Self {
        Self(Arc::new(|builder| builder))
    }
}

impl std::fmt::Debug for Tune {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tune")
    }
}
