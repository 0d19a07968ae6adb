use core::net::Ipv4Addr;

use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacketSlice, EtherType, Ethernet2Header};

use crate::datagram::too_short;
use crate::ip_header::copy;
use crate::{Error, EthernetHeader, MacAddress};

/// A gratuitous ARP: an IPv4 address told to everybody on the link, with the Ethernet address that now answers for it
/// ([RFC 9568 §6.4.2] with errata 7947 and 7949).
///
/// It is sent in the form that keepalived and FRR send, which every ARP table takes: a broadcast request of which sender
/// and target are the address itself, and the target hardware address is broadcast. It is read in the form of a reply,
/// too.
///
/// [RFC 9568 §6.4.2]: https://www.rfc-editor.org/rfc/rfc9568#section-6.4.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GratuitousArp {
    ethernet: EthernetHeader,
    mac: MacAddress,
    address: Ipv4Addr,
}

impl GratuitousArp {
    /// An announcement that `mac` answers for `address`, sent from `mac` without VLAN tags.
    pub const fn new(mac: MacAddress, address: Ipv4Addr) -> Self {
        Self::with_header(EthernetHeader::new(mac, MacAddress::BROADCAST), mac, address)
    }

    /// The same behind another Ethernet header: with VLAN tags, say.
    pub const fn with_header(ethernet: EthernetHeader, mac: MacAddress, address: Ipv4Addr) -> Self {
        Self {
            ethernet,
            mac,
            address,
        }
    }

    /// The Ethernet header.
    pub const fn ethernet(&self) -> &EthernetHeader {
        &self.ethernet
    }

    /// The Ethernet address that answers.
    pub const fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The address that is announced.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// How many bytes [`emit`](Self::emit) writes: 42 without VLAN tags.
    pub fn buffer_len(&self) -> usize {
        self.ethernet.header_len() + ArpEthIpv4Packet::LEN
    }

    /// Writes the frame to the beginning of `buffer`, without padding, and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let packet = ArpEthIpv4Packet {
            operation: ArpOperation::REQUEST,
            sender_mac: self.mac.octets(),
            sender_ipv4: self.address.octets(),
            target_mac: MacAddress::BROADCAST.octets(),
            target_ipv4: self.address.octets(),
        };
        write(&self.ethernet, &packet, buffer)
    }

    /// Reads a frame. Padding and VLAN tags do not matter, nor does the target hardware address.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`], [`Error::TooManyTags`], [`Error::EtherType`] if it is not ARP, and [`Error::Arp`] if it is
    /// another ARP than a gratuitous one.
    pub fn parse(frame: &[u8]) -> Result<Self, Error> {
        let (ethernet, packet) = read(frame)?;
        if packet.sender_ipv4 != packet.target_ipv4 {
            return Err(Error::Arp);
        }
        Ok(Self {
            ethernet,
            mac: MacAddress(packet.sender_mac),
            address: packet.sender_ipv4.into(),
        })
    }
}

/// A question to everybody on the link who has an IPv4 address, from which nobody learns anything: the sender's own address
/// in it is 0.0.0.0, so that no ARP table changes ([RFC 5227 §2.1.1]). Whoever has the address answers with an
/// [`ArpClaim`].
///
/// [RFC 5227 §2.1.1]: https://www.rfc-editor.org/rfc/rfc5227#section-2.1.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArpProbe {
    mac: MacAddress,
    address: Ipv4Addr,
}

impl ArpProbe {
    /// How many bytes [`emit`](Self::emit) writes.
    pub const LEN: usize = Ethernet2Header::LEN + ArpEthIpv4Packet::LEN;

    /// A question for `address` by the station with the address `mac`, to which the answers go.
    pub const fn new(mac: MacAddress, address: Ipv4Addr) -> Self {
        Self { mac, address }
    }

    /// Writes the frame to the beginning of `buffer`, without VLAN tags and padding, and returns its length, [`LEN`](Self::LEN).
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let packet = ArpEthIpv4Packet {
            operation: ArpOperation::REQUEST,
            sender_mac: self.mac.octets(),
            sender_ipv4: [0; 4],
            target_mac: [0; 6],
            target_ipv4: self.address.octets(),
        };
        write(
            &EthernetHeader::new(self.mac, MacAddress::BROADCAST),
            &packet,
            buffer,
        )
    }
}

/// Somebody who says that he has an IPv4 address: the sender of an ARP packet of any kind, an answer, a question for
/// another address or a [gratuitous one](GratuitousArp). A probe says nothing of the kind ([RFC 5227 §2.1.1]).
///
/// ARP knows no proof: it is a claim.
///
/// [RFC 5227 §2.1.1]: https://www.rfc-editor.org/rfc/rfc5227#section-2.1.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArpClaim {
    mac: MacAddress,
    address: Ipv4Addr,
}

impl ArpClaim {
    /// Reads a frame. Padding and VLAN tags do not matter, nor does whom it is for.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`], [`Error::TooManyTags`], [`Error::EtherType`] if it is not ARP, and [`Error::Arp`] if it is
    /// neither a request nor a reply for IPv4 on Ethernet, or claims nothing.
    pub fn parse(frame: &[u8]) -> Result<Self, Error> {
        let (_, packet) = read(frame)?;
        let address = Ipv4Addr::from(packet.sender_ipv4);
        if address.is_unspecified() {
            return Err(Error::Arp);
        }
        Ok(Self {
            mac: MacAddress(packet.sender_mac),
            address,
        })
    }

    /// Whose Ethernet address it is.
    pub const fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The address that is claimed.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }
}

/// Writes a frame and returns its length.
fn write(ethernet: &EthernetHeader, packet: &ArpEthIpv4Packet, buffer: &mut [u8]) -> Result<usize, Error> {
    let needed = ethernet.header_len() + ArpEthIpv4Packet::LEN;
    let actual = buffer.len();
    let (head, rest) = buffer
        .split_at_mut_checked(ethernet.header_len())
        .filter(|_| actual >= needed)
        .ok_or(Error::BufferTooSmall { needed, actual })?;
    ethernet.write(EtherType::ARP, head);
    copy(&packet.to_bytes(), rest);
    Ok(needed)
}

/// Reads a request or a reply for IPv4 on Ethernet.
fn read(frame: &[u8]) -> Result<(EthernetHeader, ArpEthIpv4Packet), Error> {
    let (ethernet, ether_type, payload) = EthernetHeader::split(frame)?;
    if ether_type != EtherType::ARP {
        return Err(Error::EtherType(ether_type.0));
    }
    let slice = ArpPacketSlice::from_slice(payload).map_err(|error| too_short(&error))?;
    let packet = slice.to_packet().try_eth_ipv4().map_err(|_| Error::Arp)?;
    match packet.operation {
        ArpOperation::REQUEST | ArpOperation::REPLY => Ok((ethernet, packet)),
        _ => Err(Error::Arp),
    }
}
