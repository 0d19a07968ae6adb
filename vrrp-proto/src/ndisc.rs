use core::net::{IpAddr, Ipv6Addr};

use etherparse::EtherType;

use crate::checksum::Sum;
use crate::datagram;
use crate::{Envelope, Error, EthernetHeader, IpHeader, MacAddress, ReceiveChecks};

/// An unsolicited neighbour advertisement: an IPv6 address told to everybody on the link, with the Ethernet address that
/// now answers for it ([RFC 9568 §6.4.2], [RFC 4861 §4.4]).
///
/// ```text
///   0       1       2       3
///  +-------+-------+-------+-------+
///  |  136  |   0   |   checksum    |
///  +-------+-------+-------+-------+
///  |R S O          0               |   R: a router, S: solicited (never here), O: override
///  +-------------------------------+
///  |       target address: 16      |
///  +-------+-------+---------------+
///  |   2   |   1   |               |   the target's link-layer address
///  +-------+-------+   its six     |
///  |     bytes                     |
///  +-------------------------------+
/// ```
///
/// [RFC 9568 §6.4.2]: https://www.rfc-editor.org/rfc/rfc9568#section-6.4.2
/// [RFC 4861 §4.4]: https://www.rfc-editor.org/rfc/rfc4861#section-4.4
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnsolicitedAdvertisement {
    ethernet: EthernetHeader,
    source: Ipv6Addr,
    mac: MacAddress,
    address: Ipv6Addr,
    router: bool,
    overrides: bool,
}

impl UnsolicitedAdvertisement {
    /// An announcement that `mac` answers for `address`, from a router, overriding what was known; sent from `mac` and
    /// `address` to all nodes.
    ///
    /// # Errors
    ///
    /// [`Error::NotUnicast`] if `address` is a group or unspecified.
    pub const fn new(mac: MacAddress, address: Ipv6Addr) -> Result<Self, Error> {
        if !is_unicast(address) {
            return Err(Error::NotUnicast(address));
        }
        Ok(Self {
            ethernet: EthernetHeader::new(mac, ALL_NODES_MAC),
            source: address,
            mac,
            address,
            router: true,
            overrides: true,
        })
    }

    /// With another Ethernet header: with VLAN tags, say.
    #[must_use]
    pub const fn with_header(mut self, ethernet: EthernetHeader) -> Self {
        self.ethernet = ethernet;
        self
    }

    /// With another source than the address itself.
    ///
    /// # Errors
    ///
    /// [`Error::NotUnicast`] if `source` is a group or unspecified.
    pub const fn with_source(mut self, source: Ipv6Addr) -> Result<Self, Error> {
        if !is_unicast(source) {
            return Err(Error::NotUnicast(source));
        }
        self.source = source;
        Ok(self)
    }

    /// From a router or from a host. Neighbours that used a host as a default router stop.
    #[must_use]
    pub const fn with_router(mut self, router: bool) -> Self {
        self.router = router;
        self
    }

    /// The Ethernet header.
    pub const fn ethernet(&self) -> &EthernetHeader {
        &self.ethernet
    }

    /// Who sends it.
    pub const fn source(&self) -> Ipv6Addr {
        self.source
    }

    /// The Ethernet address that answers.
    pub const fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The address that is announced.
    pub const fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// Whether the sender is a router.
    pub const fn is_router(&self) -> bool {
        self.router
    }

    /// Whether neighbours shall replace what they knew.
    pub const fn overrides(&self) -> bool {
        self.overrides
    }

    /// How many bytes [`emit`](Self::emit) writes: 86 without VLAN tags.
    pub fn buffer_len(&self) -> usize {
        self.ethernet.header_len() + self.header().header_len() + MESSAGE_LEN
    }

    /// Writes the frame to the beginning of `buffer` and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let needed = self.buffer_len();
        let actual = buffer.len();
        let header = self.header();
        let (head, rest) = buffer
            .split_at_mut_checked(self.ethernet.header_len())
            .filter(|_| actual >= needed)
            .ok_or(Error::BufferTooSmall { needed, actual })?;
        self.ethernet.write(EtherType::IPV6, head);
        header.write(ICMPV6, MESSAGE_LEN, rest)?;
        let message = rest.iter_mut().skip(header.header_len());
        for (to, from) in message.zip(self.message(header.envelope())) {
            *to = from;
        }
        Ok(needed)
    }

    /// Reads a frame. Padding, VLAN tags, extension headers and other options do not matter.
    ///
    /// # Errors
    ///
    /// - Those of [`Frame::parse`](crate::Frame::parse) about the frame and its IP header, with
    ///   [`Error::Protocol`] if it is not ICMPv6.
    /// - [`Error::HopLimit`] unless it is 255, [`Error::Checksum`].
    /// - [`Error::NeighborAdvertisement`] if it is another message, answers a solicitation, or lacks the link-layer
    ///   address; [`Error::NotUnicast`] if its source or the announced address is none.
    pub fn parse(frame: &[u8]) -> Result<Self, Error> {
        let (ethernet, ether_type, payload) = EthernetHeader::split(frame)?;
        if ether_type != EtherType::IPV6 {
            return Err(Error::EtherType(ether_type.0));
        }
        let (header, protocol, message) = datagram::split(payload)?;
        let envelope = header.envelope();
        let IpAddr::V6(source) = envelope.source() else {
            return Err(Error::IpHeader);
        };
        if protocol != ICMPV6 {
            return Err(Error::Protocol(protocol));
        }
        if envelope.hop_limit() != HOP_LIMIT {
            return Err(Error::HopLimit(envelope.hop_limit()));
        }
        let Some((fixed, options)) = message.split_first_chunk::<FIXED_LEN>() else {
            return Err(Error::TooShort {
                needed: FIXED_LEN,
                actual: message.len(),
            });
        };
        let [kind, code, c0, c1, flags, _, _, _, target @ ..] = *fixed;
        let sum = Sum::pseudo_header(source.into(), envelope.destination(), ICMPV6, message.len());
        ReceiveChecks::undisputed(sum.bytes(message), u16::from_be_bytes([c0, c1]))?;
        if (kind, code) != (NEIGHBOR_ADVERTISEMENT, 0) || flags & SOLICITED != 0 {
            return Err(Error::NeighborAdvertisement);
        }
        let mac = target_link_layer_address(options).ok_or(Error::NeighborAdvertisement)?;
        Ok(Self {
            ethernet,
            router: flags & ROUTER != 0,
            overrides: flags & OVERRIDE != 0,
            ..Self::new(mac, target.into())?.with_source(source)?
        })
    }

    /// The ICMPv6 message.
    fn message(&self, envelope: &Envelope) -> [u8; MESSAGE_LEN] {
        let router = if self.router { ROUTER } else { 0 };
        let overrides = if self.overrides { OVERRIDE } else { 0 };
        let bytes = [NEIGHBOR_ADVERTISEMENT, 0, 0, 0, router | overrides, 0, 0, 0]
            .into_iter()
            .chain(self.address.octets())
            .chain([TARGET_LINK_LAYER_ADDRESS, 1])
            .chain(self.mac.octets());
        let mut message = [0; MESSAGE_LEN];
        for (to, from) in message.iter_mut().zip(bytes) {
            *to = from;
        }
        let sum = Sum::pseudo_header(envelope.source(), envelope.destination(), ICMPV6, MESSAGE_LEN);
        let checksum = sum.bytes(&message).checksum().to_be_bytes();
        let [_, _, high, low, ..] = &mut message;
        [*high, *low] = checksum;
        message
    }

    /// The IP header.
    const fn header(&self) -> IpHeader {
        let envelope = Envelope::from_ipv6(self.source, ALL_NODES, HOP_LIMIT);
        IpHeader::new(envelope).with_traffic_class(0)
    }
}

/// What the first such option says ([RFC 4861 §4.6.1]); `None` too if the options are malformed.
///
/// [RFC 4861 §4.6.1]: https://www.rfc-editor.org/rfc/rfc4861#section-4.6.1
fn target_link_layer_address(mut options: &[u8]) -> Option<MacAddress> {
    let mut found = None;
    while let [_, length, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(length) * 8)?;
        match *option {
            [TARGET_LINK_LAYER_ADDRESS, 1, a, b, c, d, e, f] => {
                found = found.or(Some(MacAddress([a, b, c, d, e, f])));
            }
            // A length of 0 would never end; such a message is to be discarded.
            [] => return None,
            _ => {}
        }
        options = rest;
    }
    // One byte left over is no option.
    if options.is_empty() { found } else { None }
}

const fn is_unicast(address: Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified()
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: MacAddress = MacAddress([0x33, 0x33, 0, 0, 0, 1]);
const ICMPV6: u8 = 58;
const HOP_LIMIT: u8 = 255;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// Up to the options.
const FIXED_LEN: usize = 24;
/// With the one option.
const MESSAGE_LEN: usize = 32;
