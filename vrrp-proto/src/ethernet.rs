use core::fmt;

use etherparse::{EtherType, Ethernet2Header, Ethernet2Slice, SingleVlanSlice};

use crate::datagram::too_short;
use crate::ip_header::copy;
use crate::{AddressFamily, ChecksumForm, Envelope, Error, IpHeader, MacAddress, Message};

/// The Ethernet header of a frame, with its VLAN tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EthernetHeader {
    source: MacAddress,
    destination: MacAddress,
    tags: [Option<VlanTag>; 2],
}

impl EthernetHeader {
    /// How many VLAN tags there can be.
    pub const MAXIMUM_TAGS: usize = 2;

    /// A header without tags.
    ///
    /// What a virtual router sends comes from [`MacAddress::virtual_router`], or from the interface's own address where
    /// it does without.
    pub const fn new(source: MacAddress, destination: MacAddress) -> Self {
        Self {
            source,
            destination,
            tags: [None; Self::MAXIMUM_TAGS],
        }
    }

    /// A header to the group that `envelope` goes to, or `None` if it goes to a unicast address, whose Ethernet address
    /// only the neighbour table knows.
    pub const fn multicast(source: MacAddress, envelope: &Envelope) -> Option<Self> {
        match MacAddress::multicast(envelope.destination()) {
            Some(destination) => Some(Self::new(source, destination)),
            None => None,
        }
    }

    /// With one more VLAN tag inside those that are there.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyTags`] if there are two already.
    pub fn with_tag(mut self, tag: VlanTag) -> Result<Self, Error> {
        let free = self.tags.iter_mut().find(|place| place.is_none());
        *free.ok_or(Error::TooManyTags)? = Some(tag);
        Ok(self)
    }

    /// The sending station.
    pub const fn source(&self) -> MacAddress {
        self.source
    }

    /// The receiving station or group.
    pub const fn destination(&self) -> MacAddress {
        self.destination
    }

    /// The VLAN tags, the outer one first.
    pub fn tags(&self) -> impl Iterator<Item = VlanTag> + use<> {
        self.tags.into_iter().flatten()
    }

    /// How many bytes [`emit`](Self::emit) writes.
    pub fn buffer_len(&self, header: &IpHeader, message: &impl Message) -> usize {
        self.header_len() + header.buffer_len(message)
    }

    /// Writes a whole frame to the beginning of `buffer`, without padding and without frame check sequence, and returns
    /// its length. The interface pads.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`], or [`Error::MixedFamilies`] if the message lists addresses of the other family.
    pub fn emit(
        &self,
        header: &IpHeader,
        message: &impl Message,
        form: ChecksumForm,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let needed = self.buffer_len(header, message);
        let actual = buffer.len();
        let ether_type = match header.envelope().family() {
            AddressFamily::Ipv4 => EtherType::IPV4,
            AddressFamily::Ipv6 => EtherType::IPV6,
        };
        let (head, rest) = buffer
            .split_at_mut_checked(self.header_len())
            .filter(|_| actual >= needed)
            .ok_or(Error::BufferTooSmall { needed, actual })?;
        header.emit(message, form, rest)?;
        self.write(ether_type, head);
        Ok(needed)
    }

    /// The length of the header with its tags.
    pub(crate) fn header_len(&self) -> usize {
        Ethernet2Header::LEN + self.tags().count() * VlanTag::LEN
    }

    /// Writes the header alone; `to` has its length.
    pub(crate) fn write(&self, ether_type: EtherType, to: &mut [u8]) {
        let mut protocols = self
            .tags()
            .map(|tag| tag.protocol)
            .chain(core::iter::once(ether_type.0));
        let header = Ethernet2Header {
            source: self.source.octets(),
            destination: self.destination.octets(),
            ether_type: EtherType(protocols.next().unwrap_or(ether_type.0)),
        };
        copy(&header.to_bytes(), to);
        let tags = to.iter_mut().skip(Ethernet2Header::LEN);
        let bytes = self.tags().zip(protocols).flat_map(|(tag, protocol)| {
            let ([a, b], [c, d]) = (tag.control.to_be_bytes(), protocol.to_be_bytes());
            [a, b, c, d]
        });
        for (to, from) in tags.zip(bytes) {
            *to = from;
        }
    }

    /// The header of a received frame, what it says that follows, and that.
    pub(crate) fn split(frame: &[u8]) -> Result<(Self, EtherType, &[u8]), Error> {
        let slice = Ethernet2Slice::from_slice_without_fcs(frame).map_err(|error| too_short(&error))?;
        let mut header = Self::new(MacAddress(slice.source()), MacAddress(slice.destination()));
        let mut ether_type = slice.ether_type();
        let mut payload = slice.payload_slice();
        while let EtherType::VLAN_TAGGED_FRAME
        | EtherType::PROVIDER_BRIDGING
        | EtherType::VLAN_DOUBLE_TAGGED_FRAME = ether_type
        {
            let slice = SingleVlanSlice::from_slice(payload).map_err(|error| too_short(&error))?;
            let control = u16::from(slice.priority_code_point().value()) << 13
                | u16::from(slice.drop_eligible_indicator()) << 12
                | slice.vlan_identifier().value();
            header = header.with_tag(VlanTag {
                protocol: ether_type.0,
                control,
            })?;
            ether_type = slice.ether_type();
            payload = slice.payload_slice();
        }
        Ok((header, ether_type, payload))
    }
}

/// One VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VlanTag {
    protocol: u16,
    control: u16,
}

impl VlanTag {
    const LEN: usize = 4;

    /// The tag of a customer's VLAN, protocol 8100, with priority 0; `None` unless `vlan` is 0 to 4095.
    pub const fn customer(vlan: u16) -> Option<Self> {
        Self::new(EtherType::VLAN_TAGGED_FRAME, vlan)
    }

    /// The outer tag of a provider's bridge, protocol 88a8, with priority 0; `None` unless `vlan` is 0 to 4095.
    pub const fn service(vlan: u16) -> Option<Self> {
        Self::new(EtherType::PROVIDER_BRIDGING, vlan)
    }

    const fn new(protocol: EtherType, vlan: u16) -> Option<Self> {
        if vlan > VLAN_BITS {
            return None;
        }
        Some(Self {
            protocol: protocol.0,
            control: vlan,
        })
    }

    /// With the low three bits of `priority`.
    #[must_use]
    pub const fn with_priority(mut self, priority: u8) -> Self {
        self.control = self.control & !PRIORITY_BITS | (priority as u16) << 13;
        self
    }

    /// The number of the VLAN, 0 to 4095.
    pub const fn vlan(&self) -> u16 {
        self.control & VLAN_BITS
    }

    /// The priority, 0 to 7.
    pub const fn priority(&self) -> u8 {
        let [high, _] = self.control.to_be_bytes();
        high >> 5
    }

    /// The protocol identifier: 8100, 88a8, or 9100 of older provider bridges.
    pub const fn protocol(&self) -> u16 {
        self.protocol
    }
}

impl fmt::Debug for VlanTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VlanTag")
            .field("protocol", &format_args!("{:#06x}", self.protocol))
            .field("vlan", &self.vlan())
            .field("priority", &self.priority())
            .finish_non_exhaustive()
    }
}

const VLAN_BITS: u16 = 0x0fff;
const PRIORITY_BITS: u16 = 0xe000;
