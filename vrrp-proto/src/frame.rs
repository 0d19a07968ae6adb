use etherparse::EtherType;

use crate::{Datagram, Envelope, Error, EthernetHeader, IpHeader, Packet, ReceiveChecks};

/// A received Ethernet frame that carries VRRP: a view of its bytes.
///
/// VLAN tags and padding do not matter. [`EthernetHeader::emit`] is the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    ethernet: EthernetHeader,
    datagram: Datagram<'a>,
}

impl<'a> Frame<'a> {
    /// Reads a frame without its frame check sequence, as a packet socket gives it.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`], [`Error::TooManyTags`], [`Error::EtherType`] if it carries something else than IP, and those
    /// of [`Datagram::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (ethernet, ether_type, payload) = EthernetHeader::split(bytes)?;
        let version = payload.first().map(|first| first >> 4);
        match (ether_type, version) {
            (EtherType::IPV4, Some(4) | None) | (EtherType::IPV6, Some(6) | None) => Ok(Self {
                ethernet,
                datagram: Datagram::parse(payload)?,
            }),
            (EtherType::IPV4 | EtherType::IPV6, Some(_)) => Err(Error::IpHeader),
            (other, _) => Err(Error::EtherType(other.0)),
        }
    }

    /// The Ethernet header.
    pub const fn ethernet(&self) -> &EthernetHeader {
        &self.ethernet
    }

    /// The IP header.
    pub const fn header(&self) -> &IpHeader {
        self.datagram.header()
    }

    /// From where, to where, how far.
    pub const fn envelope(&self) -> &Envelope {
        self.datagram.envelope()
    }

    /// The bytes of the message, unchecked.
    pub const fn message(&self) -> &'a [u8] {
        self.datagram.message()
    }

    /// The message, checked.
    ///
    /// # Errors
    ///
    /// Those of [`Packet::parse`].
    pub fn packet(&self, checks: &ReceiveChecks) -> Result<Packet<'a>, Error> {
        self.datagram.packet(checks)
    }
}
