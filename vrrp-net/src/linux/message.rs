//! rtnetlink messages: the requests we send, and the notifications we read. Numbers are those of
//! `linux/rtnetlink.h`, `linux/if_addr.h` and `linux/if_link.h`; all fields are in the host's byte
//! order, addresses in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_batch::{Batch, Change};
use vrrp_proto::MacAddress;

use super::route;
use crate::address::VirtualAddress;
use crate::link::{Link, LinkAddress};
use crate::route::{GoneRoute, GoneRule};

/// Our mark on what we add (`IFA_PROTO`, kernel 5.18): VRRP's protocol number.
pub(crate) const ADDRESS_PROTOCOL: u8 = 112;

/// A lifetime that never ends.
pub(crate) const FOREVER: u32 = u32::MAX;

/// One request: its type, what it does about an object that exists, and everything behind the netlink header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) kind: u16,
    pub(crate) change: Change,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn push_to(&self, batch: &mut Batch) -> usize {
        batch.change(self.kind, self.change, |bytes| {
            bytes.extend_from_slice(&self.body);
        })
    }
}

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
pub(crate) const RTM_NEWRULE: u16 = 32;
pub(crate) const RTM_DELRULE: u16 = 33;

const AF_UNSPEC: u8 = 0;
pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;

pub(crate) const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_HOMEADDRESS: u32 = 0x10;
pub(crate) const IFA_F_DADFAILED: u32 = 0x08;
pub(crate) const IFA_F_TENTATIVE: u32 = 0x40;
pub(crate) const IFA_F_PERMANENT: u32 = 0x80;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
/// In private mode the kernel would hand multicast from the same virtual MAC on another host to the virtual link alone,
/// and an active router could not hear the other one.
const MACVLAN_MODE_BRIDGE: u32 = 4;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_NOARP: u32 = 0x80;
const IFF_RUNNING: u32 = 0x40;
const ARPHRD_ETHER: u16 = 1;

/// Adds an address with a lifetime in seconds ([`FOREVER`] for none). With `replace` an address that is there already
/// gets the new lifetime; without it the request fails, so that somebody else's address is not taken over.
pub(crate) fn add_address(index: u32, spec: &VirtualAddress, lifetime: u32, replace: bool) -> Request {
    let mut body = address_header(index, spec);
    let mut flags = 0;
    if spec.address.is_ipv6() && !spec.duplicate_detection {
        flags |= IFA_F_NODAD;
    }
    if spec.home {
        flags |= IFA_F_HOMEADDRESS;
    }
    if !spec.prefix_route {
        flags |= IFA_F_NOPREFIXROUTE;
    }
    if spec.manage_temporary {
        flags |= IFA_F_MANAGETEMPADDR;
    }
    if spec.autojoin {
        flags |= IFA_F_MCAUTOJOIN;
    }
    if flags != 0 {
        put(&mut body, IFA_FLAGS, &flags.to_ne_bytes());
    }
    if let IpAddr::V4(address) = spec.address {
        if let Some(broadcast) = spec.broadcast.of(address, spec.prefix_len) {
            put(&mut body, IFA_BROADCAST, &broadcast.octets());
        }
        if let Some(label) = &spec.label {
            put_text(&mut body, IFA_LABEL, label);
        }
    }
    let preferred = if spec.is_preferred() { lifetime } else { 0 };
    if lifetime != FOREVER || preferred != FOREVER {
        let mut info = [0; 16];
        let (first, rest) = info.split_at_mut(4);
        first.copy_from_slice(&preferred.to_ne_bytes());
        if let Some(valid) = rest.first_chunk_mut::<4>() {
            *valid = lifetime.to_ne_bytes();
        }
        put(&mut body, IFA_CACHEINFO, &info);
    }
    put(&mut body, IFA_PROTO, &[ADDRESS_PROTOCOL]);
    Request {
        kind: RTM_NEWADDR,
        change: if replace {
            Change::CREATE_OR_REPLACE
        } else {
            Change::CREATE_NEW
        },
        body,
    }
}

/// Removes an address.
pub(crate) fn remove_address(index: u32, spec: &VirtualAddress) -> Request {
    Request {
        kind: RTM_DELADDR,
        change: Change::PLAIN,
        body: address_header(index, spec),
    }
}

/// The header and the attributes that identify an address.
fn address_header(index: u32, spec: &VirtualAddress) -> Vec<u8> {
    let mut body = Vec::with_capacity(96);
    body.extend_from_slice(&[
        family_number(spec.address),
        spec.prefix_len,
        0,
        spec.scope.number(),
    ]);
    body.extend_from_slice(&index.to_ne_bytes());
    // For a point-to-point address IFA_ADDRESS is the other end.
    put_address(&mut body, IFA_LOCAL, spec.address);
    put_address(&mut body, IFA_ADDRESS, spec.peer.unwrap_or(spec.address));
    body
}

/// Sets an interface up or down.
pub(crate) fn set_link_up(index: u32, up: bool) -> Request {
    Request {
        kind: RTM_NEWLINK,
        change: Change::PLAIN,
        body: link_header(index, if up { IFF_UP } else { 0 }, IFF_UP),
    }
}

/// Creates a macvlan with this hardware address on `base`; it stays down and forms no address of its own.
pub(crate) fn create_macvlan(base: u32, name: &str, mac: MacAddress) -> Request {
    let mut body = link_header(0, 0, 0);
    put_text(&mut body, IFLA_IFNAME, name);
    put(&mut body, IFLA_LINK, &base.to_ne_bytes());
    put(&mut body, IFLA_ADDRESS, &mac.0);
    let info = start(&mut body, IFLA_LINKINFO);
    put_text(&mut body, IFLA_INFO_KIND, "macvlan");
    let data = start(&mut body, IFLA_INFO_DATA);
    put(&mut body, IFLA_MACVLAN_MODE, &MACVLAN_MODE_BRIDGE.to_ne_bytes());
    finish(&mut body, data);
    finish(&mut body, info);
    Request {
        kind: RTM_NEWLINK,
        change: Change::CREATE_NEW,
        body,
    }
}

/// Keeps an interface from forming a link-local address by itself: the virtual MAC must not feed an interface
/// identifier ([RFC 9568 §7.4](https://www.rfc-editor.org/rfc/rfc9568#section-7.4)).
pub(crate) fn no_address_generation(index: u32) -> Request {
    let mut body = link_header(index, 0, 0);
    let spec = start(&mut body, IFLA_AF_SPEC);
    let inet6 = start(&mut body, u16::from(AF_INET6));
    put(&mut body, IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
    finish(&mut body, inet6);
    finish(&mut body, spec);
    Request {
        kind: RTM_NEWLINK,
        change: Change::PLAIN,
        body,
    }
}

/// Deletes an interface.
pub(crate) fn delete_link(index: u32) -> Request {
    Request {
        kind: RTM_DELLINK,
        change: Change::PLAIN,
        body: link_header(index, 0, 0),
    }
}

/// Asks for all interfaces and all addresses.
pub(crate) fn dump_all(batch: &mut Batch) {
    batch.dump(RTM_GETLINK, |body| body.extend_from_slice(&[0; 16]));
    batch.dump(RTM_GETADDR, |body| body.extend_from_slice(&[0; 8]));
}

fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(96);
    body.extend_from_slice(&[AF_UNSPEC, 0, 0, 0]);
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&flags.to_ne_bytes());
    body.extend_from_slice(&change.to_ne_bytes());
    body
}

/// What a notification or an answer to a dump says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notification {
    Link(Link),
    LinkGone(u32),
    Address(LinkAddress),
    AddressGone(LinkAddress),
    RouteGone(GoneRoute),
    RuleGone(GoneRule),
}

/// Reads one message of the watch; what does not concern us is `None`.
pub(crate) fn parse(kind: u16, body: &[u8]) -> Option<Notification> {
    match kind {
        RTM_NEWLINK => parse_link(body).map(Notification::Link),
        RTM_DELLINK => parse_link(body).map(|link| Notification::LinkGone(link.index)),
        RTM_NEWADDR => parse_address(body).map(Notification::Address),
        RTM_DELADDR => parse_address(body).map(Notification::AddressGone),
        RTM_DELROUTE => route::parse_route(body).map(Notification::RouteGone),
        RTM_DELRULE => route::parse_rule(body).map(Notification::RuleGone),
        _ => None,
    }
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let (header, mut rest) = body.split_first_chunk::<16>()?;
    // A bridge reports its ports in messages of its own family; they say nothing new about the interface.
    if header[0] != AF_UNSPEC {
        return None;
    }
    let flags = u32_at(header, 8)?;
    let hardware = u16::from_ne_bytes([header[2], header[3]]);
    let mut link = Link {
        index: u32_at(header, 4)?,
        name: String::new(),
        mac: None,
        mtu: 0,
        base: None,
        up: flags & IFF_UP != 0,
        running: flags & IFF_RUNNING != 0,
        ethernet: hardware == ARPHRD_ETHER,
        arp: flags & (IFF_NOARP | IFF_LOOPBACK) == 0,
    };
    while let Some((kind, value)) = take_attribute(&mut rest) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_ADDRESS => link.mac = <[u8; 6]>::try_from(value).ok().map(MacAddress),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_LINK => link.base = u32_at(value, 0),
            // "lower layer down" and "down" may come with IFF_RUNNING still set for a moment.
            IFLA_OPERSTATE if matches!(value, [1..=3, ..]) => link.running = false,
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(body: &[u8]) -> Option<LinkAddress> {
    let (header, mut rest) = body.split_first_chunk::<8>()?;
    let mut flags = u32::from(header[2]);
    let mut local = None;
    let mut address = None;
    let mut lifetime = None;
    let mut protocol = 0;
    while let Some((kind, value)) = take_attribute(&mut rest) {
        match kind {
            IFA_LOCAL => local = ip_address(value),
            IFA_ADDRESS => address = ip_address(value),
            IFA_FLAGS => flags = u32_at(value, 0)?,
            IFA_CACHEINFO => lifetime = u32_at(value, 4).filter(|valid| *valid != FOREVER),
            IFA_PROTO => protocol = value.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    Some(LinkAddress {
        index: u32_at(header, 4)?,
        address: local.or(address)?,
        prefix_len: header[1],
        scope: header[3],
        secondary: flags & IFA_F_SECONDARY != 0,
        tentative: flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0,
        permanent: flags & IFA_F_PERMANENT != 0 || lifetime.is_none(),
        ours: protocol == ADDRESS_PROTOCOL,
    })
}

/// Splits off the first attribute; `None` at the end and at anything that does not fit.
pub(super) fn take_attribute<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let (header, _) = rest.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
    // The two upper bits say "nested" and "network byte order".
    let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
    let value = rest.get(4..length)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some((kind, value))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk::<4>()
        .map(|bytes| u32::from_ne_bytes(*bytes))
}

pub(super) fn ip_address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        Some(Ipv4Addr::from(octets).into())
    } else {
        <[u8; 16]>::try_from(value)
            .ok()
            .map(|octets| Ipv6Addr::from(octets).into())
    }
}

fn text(value: &[u8]) -> String {
    let value = value.split(|byte| *byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(value).into_owned()
}

pub(super) fn family_number(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

pub(super) fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let begin = start(body, kind);
    body.extend_from_slice(value);
    finish(body, begin);
}

pub(super) fn put_text(body: &mut Vec<u8>, kind: u16, value: &str) {
    let begin = start(body, kind);
    body.extend_from_slice(value.as_bytes());
    body.push(0);
    finish(body, begin);
}

pub(super) fn put_address(body: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => put(body, kind, &address.octets()),
        IpAddr::V6(address) => put(body, kind, &address.octets()),
    }
}

/// Opens an attribute and returns where it began.
pub(super) fn start(body: &mut Vec<u8>, kind: u16) -> usize {
    let begin = body.len();
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(&kind.to_ne_bytes());
    begin
}

/// Closes the attribute that began at `begin`: writes its length and pads it.
pub(super) fn finish(body: &mut Vec<u8>, begin: usize) {
    let length = u16::try_from(body.len() - begin).unwrap_or(u16::MAX);
    if let Some(field) = body.get_mut(begin..begin + 2) {
        field.copy_from_slice(&length.to_ne_bytes());
    }
    body.resize(body.len().next_multiple_of(4), 0);
}
