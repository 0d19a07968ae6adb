use core::net::IpAddr;

use etherparse::{IpNumber, Ipv4Slice, Ipv6ExtensionSlice, Ipv6Slice, err};

use crate::checksum::{Sum, VRRP};
use crate::{Envelope, Error, IpHeader, Packet, ReceiveChecks};

/// A received IP packet that carries VRRP: a view of its bytes.
///
/// The IP header is checked, also its checksum, and what follows the packet (Ethernet pads short frames) is cut off. IPv4
/// options and IPv6 extension headers are skipped. The message is not yet looked at; [`packet`](Self::packet) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    header: IpHeader,
    message: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a packet from its IP header on, as a raw IPv4 socket gives it.
    ///
    /// # Errors
    ///
    /// - [`Error::TooShort`] if bytes are missing, [`Error::IpHeader`] and [`Error::IpChecksum`] if the header is not one.
    /// - [`Error::Fragment`] for a part of a packet.
    /// - [`Error::AuthenticationHeader`] if there is one, [`Error::Protocol`] if it is not VRRP.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, protocol, message) = split(bytes)?;
        match protocol {
            VRRP => Ok(Self { header, message }),
            other => Err(Error::Protocol(other)),
        }
    }

    /// The IP header.
    pub const fn header(&self) -> &IpHeader {
        &self.header
    }

    /// From where, to where, how far.
    pub const fn envelope(&self) -> &Envelope {
        self.header.envelope()
    }

    /// The bytes of the message, unchecked.
    pub const fn message(&self) -> &'a [u8] {
        self.message
    }

    /// The message, checked.
    ///
    /// # Errors
    ///
    /// Those of [`Packet::parse`].
    pub fn packet(&self, checks: &ReceiveChecks) -> Result<Packet<'a>, Error> {
        Packet::parse(self.message, self.envelope(), checks)
    }
}

/// The header of an IP packet, its protocol and what it carries.
pub(crate) fn split(bytes: &[u8]) -> Result<(IpHeader, u8, &[u8]), Error> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => split_ipv4(bytes),
        Some(6) => split_ipv6(bytes),
        Some(_) => Err(Error::IpHeader),
        None => Err(Error::TooShort { needed: 1, actual: 0 }),
    }
}

fn split_ipv4(bytes: &[u8]) -> Result<(IpHeader, u8, &[u8]), Error> {
    let slice = Ipv4Slice::from_slice(bytes).map_err(|error| match error {
        err::ipv4::SliceError::Len(error) => too_short(&error),
        err::ipv4::SliceError::Header(_) | err::ipv4::SliceError::Exts(_) => Error::IpHeader,
    })?;
    let header = slice.header();
    let sum = Sum::default().bytes(header.slice());
    if sum.checksum() != 0 {
        let found = header.header_checksum();
        return Err(Error::IpChecksum {
            found,
            expected: sum.minus(found).checksum(),
        });
    }
    let envelope = Envelope::new(
        IpAddr::V4(header.source_addr()),
        IpAddr::V4(header.destination_addr()),
        header.ttl(),
    )?;
    let traffic_class = header.dcp().value() << 2 | header.ecn().value();
    let fields = IpHeader::new(envelope)
        .with_traffic_class(traffic_class)
        .with_identification(header.identification())
        .with_dont_fragment(header.dont_fragment());
    let payload = slice.payload();
    finish(
        fields,
        slice.is_payload_fragmented(),
        slice.extensions().auth.is_some(),
        payload.ip_number,
        payload.payload,
    )
}

fn split_ipv6(bytes: &[u8]) -> Result<(IpHeader, u8, &[u8]), Error> {
    let slice = Ipv6Slice::from_slice(bytes).map_err(|error| match error {
        err::ipv6::SliceError::Len(error) => too_short(&error),
        err::ipv6::SliceError::Header(_) | err::ipv6::SliceError::Exts(_) => Error::IpHeader,
    })?;
    let header = slice.header();
    if header.payload_length() == 0 {
        // Nothing, or a jumbogram; etherparse would take all the bytes there are.
        return Err(Error::IpHeader);
    }
    let envelope = Envelope::new(
        IpAddr::V6(header.source_addr()),
        IpAddr::V6(header.destination_addr()),
        header.hop_limit(),
    )?;
    let fields = IpHeader::new(envelope)
        .with_traffic_class(header.traffic_class())
        .with_flow_label(header.flow_label().value());
    let authenticated = slice
        .extensions()
        .clone()
        .into_iter()
        .any(|extension| matches!(extension, Ipv6ExtensionSlice::Authentication(_)));
    let payload = slice.payload();
    finish(
        fields,
        slice.is_payload_fragmented(),
        authenticated,
        payload.ip_number,
        payload.payload,
    )
}

/// What both families have in common after the headers.
fn finish(
    header: IpHeader,
    fragmented: bool,
    authenticated: bool,
    protocol: IpNumber,
    payload: &[u8],
) -> Result<(IpHeader, u8, &[u8]), Error> {
    if fragmented {
        return Err(Error::Fragment);
    }
    if authenticated {
        return Err(Error::AuthenticationHeader);
    }
    Ok((header, protocol.0, payload))
}

pub(crate) const fn too_short(error: &err::LenError) -> Error {
    Error::TooShort {
        needed: error.required_len,
        actual: error.len,
    }
}
