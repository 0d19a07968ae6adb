//! Virtual addresses as an operator writes them down.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use vrrp_proto::AddressFamily;

use crate::Error;

/// An address that the active router holds.
///
/// Written like keepalived's `virtual_ipaddress` line without its keywords: `10.0.0.100`, `10.0.0.100/24`,
/// `fd00::100/64`. Without a prefix length the address stands alone (`/32`, `/128`), so that no route to a network comes
/// and goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VirtualAddress {
    pub(crate) address: IpAddr,
    pub(crate) prefix_len: u8,
    pub(crate) device: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) scope: Scope,
    pub(crate) broadcast: Broadcast,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) excluded: bool,
    pub(crate) duplicate_detection: bool,
    pub(crate) home: bool,
    pub(crate) prefix_route: bool,
    pub(crate) preferred: Option<bool>,
    pub(crate) virtual_mac: bool,
    pub(crate) manage_temporary: bool,
    pub(crate) autojoin: bool,
    pub(crate) tracked: bool,
}

impl VirtualAddress {
    /// The address with this prefix length, or `None` when the length does not fit the family (0 to 32, 0 to 128).
    #[must_use]
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        (prefix_len <= full_length(address)).then(|| Self {
            prefix_len,
            ..Self::host(address)
        })
    }

    /// The address standing alone: `/32` or `/128`.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            prefix_len: full_length(address),
            device: None,
            label: None,
            scope: Scope::Global,
            broadcast: Broadcast::None,
            peer: None,
            excluded: false,
            duplicate_detection: false,
            home: false,
            prefix_route: true,
            preferred: None,
            virtual_mac: false,
            manage_temporary: false,
            autojoin: false,
            tracked: true,
        }
    }

    /// Puts the address on another interface than the one that carries the advertisements.
    #[must_use]
    pub fn device(mut self, name: &str) -> Self {
        self.device = Some(name.into());
        self
    }

    /// Gives an IPv4 address a label (`eth0:1`), up to 15 bytes.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Limits where the address is valid. The default is [`Scope::Global`].
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the broadcast address of an IPv4 address. The default is none.
    #[must_use]
    pub fn broadcast(mut self, broadcast: Broadcast) -> Self {
        self.broadcast = broadcast;
        self
    }

    /// Makes it one end of a point-to-point link whose other end is `peer`.
    #[must_use]
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Keeps the address out of the advertisements (keepalived's `virtual_ipaddress_excluded`): it moves with the
    /// others, and may be of the other family.
    #[must_use]
    pub fn excluded(mut self) -> Self {
        self.excluded = true;
        self
    }

    /// Lets the kernel detect duplicates of an IPv6 address before it is used. By default it does not, because the
    /// other router may still be letting go of it ([RFC 9568 §8.2.2](https://www.rfc-editor.org/rfc/rfc9568#section-8.2.2)).
    #[must_use]
    pub fn detect_duplicates(mut self) -> Self {
        self.duplicate_detection = true;
        self
    }

    /// Marks an IPv6 address as a mobile node's home address.
    #[must_use]
    pub fn home(mut self) -> Self {
        self.home = true;
        self
    }

    /// Makes an IPv6 address the template of temporary ones (`mngtmpaddr`).
    #[must_use]
    pub fn manage_temporary(mut self) -> Self {
        self.manage_temporary = true;
        self
    }

    /// Lets the host join the multicast group that the address is (`autojoin`).
    #[must_use]
    pub fn autojoin(mut self) -> Self {
        self.autojoin = true;
        self
    }

    /// Leaves it to whoever deletes it: it is not put back until the role is taken anew.
    #[must_use]
    pub fn untracked(mut self) -> Self {
        self.tracked = false;
        self
    }

    /// Adds the address without the route to its network.
    #[must_use]
    pub fn no_prefix_route(mut self) -> Self {
        self.prefix_route = false;
        self
    }

    /// Says whether the host may choose the address as the source of its own connections. By default it may, except
    /// for an IPv6 `/128`, as in keepalived.
    #[must_use]
    pub fn preferred_source(mut self, preferred: bool) -> Self {
        self.preferred = Some(preferred);
        self
    }

    /// Puts the address behind the virtual MAC of its family also where the others are not: on another interface, in the
    /// other family, or although the virtual router has none (`use_vmac` behind an address of keepalived's).
    #[must_use]
    pub fn virtual_mac(mut self) -> Self {
        self.virtual_mac = true;
        self
    }

    /// The address itself.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The interface it is to be on, where that is not the virtual router's.
    #[must_use]
    pub fn device_name(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// The length of the network prefix.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether the address is left out of the advertisements.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }

    /// The address family.
    #[must_use]
    pub fn family(&self) -> AddressFamily {
        family_of(self.address)
    }

    /// Whether the kernel may choose it as a source.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_preferred(&self) -> bool {
        self.preferred
            .unwrap_or_else(|| !(self.address.is_ipv6() && self.prefix_len == 128))
    }
}

impl From<IpAddr> for VirtualAddress {
    fn from(address: IpAddr) -> Self {
        Self::host(address)
    }
}

impl From<Ipv4Addr> for VirtualAddress {
    fn from(address: Ipv4Addr) -> Self {
        Self::host(address.into())
    }
}

impl FromStr for VirtualAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = address.parse().map_err(|_| Error::NotAnAddress)?;
        match prefix_len {
            None => Ok(Self::host(address)),
            Some(length) => length
                .parse()
                .ok()
                .and_then(|length| Self::new(address, length))
                .ok_or(Error::PrefixLength { address }),
        }
    }
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// Where an address or a route is valid, as in `rtnetlink(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Scope {
    /// Everywhere.
    #[default]
    Global,
    /// Inside the site (IPv6, deprecated).
    Site,
    /// On this link.
    Link,
    /// On this host.
    Host,
    /// A scope by its number in `/etc/iproute2/rt_scopes`.
    Other(u8),
}

impl Scope {
    /// The kernel's number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
            Self::Other(number) => number,
        }
    }
}

/// The broadcast address of an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Broadcast {
    /// None.
    #[default]
    None,
    /// All host bits set (`brd +`).
    Ones,
    /// All host bits clear (`brd -`).
    Zeros,
    /// This one.
    Address(Ipv4Addr),
}

impl Broadcast {
    /// The broadcast address of `address` in a network of this prefix length.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(self, address: Ipv4Addr, prefix_len: u8) -> Option<Ipv4Addr> {
        let hosts = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
        match self {
            Self::None => None,
            Self::Ones => Some(Ipv4Addr::from(u32::from(address) | hosts)),
            Self::Zeros => Some(Ipv4Addr::from(u32::from(address) & !hosts)),
            Self::Address(address) => Some(address),
        }
    }
}

/// The family an address belongs to.
pub(crate) fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Ipv4,
        IpAddr::V6(_) => AddressFamily::Ipv6,
    }
}

fn full_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_an_address_and_back() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.1/24", "10.0.0.1/24"),
            ("fd00::1", "fd00::1/128"),
            ("fd00::1/0", "fd00::1/0"),
        ] {
            let address: VirtualAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        assert!(matches!(
            "10.0.0".parse::<VirtualAddress>(),
            Err(Error::NotAnAddress)
        ));
        for text in ["10.0.0.1/33", "fd00::1/129", "10.0.0.1/", "10.0.0.1/x"] {
            assert!(
                matches!(text.parse::<VirtualAddress>(), Err(Error::PrefixLength { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn broadcast_addresses_follow_the_prefix() {
        let address = Ipv4Addr::new(10, 1, 2, 3);
        assert_eq!(Broadcast::None.of(address, 24), None);
        assert_eq!(
            Broadcast::Ones.of(address, 24),
            Some(Ipv4Addr::new(10, 1, 2, 255))
        );
        assert_eq!(Broadcast::Zeros.of(address, 24), Some(Ipv4Addr::new(10, 1, 2, 0)));
        assert_eq!(Broadcast::Ones.of(address, 32), Some(address));
        assert_eq!(Broadcast::Ones.of(address, 0), Some(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn only_a_lone_ipv6_address_is_not_preferred_by_default() {
        let preferred = |text: &str| text.parse::<VirtualAddress>().unwrap().is_preferred();
        assert!(preferred("10.0.0.1"));
        assert!(preferred("fd00::1/64"));
        assert!(!preferred("fd00::1"));
    }
}
