use core::net::IpAddr;

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header};

use crate::checksum::VRRP;
use crate::{ChecksumForm, Envelope, Error, Message};

/// The IP header around an advertisement: the [`Envelope`], and what else a sender can choose.
///
/// On sending there are no options and no extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpHeader {
    envelope: Envelope,
    traffic_class: u8,
    identification: u16,
    dont_fragment: bool,
    flow_label: u32,
}

impl IpHeader {
    /// A header with the precedence of routing protocols (`c0`, as keepalived and FRR send it), identification 0,
    /// fragmentation allowed and flow label 0.
    pub const fn new(envelope: Envelope) -> Self {
        Self {
            envelope,
            traffic_class: INTERNETWORK_CONTROL,
            identification: 0,
            dont_fragment: false,
            flow_label: 0,
        }
    }

    /// With another type of service (IPv4) or traffic class (IPv6).
    #[must_use]
    pub const fn with_traffic_class(mut self, traffic_class: u8) -> Self {
        self.traffic_class = traffic_class;
        self
    }

    /// With an identification; IPv4 only. A host that sends without DF should never repeat it soon: keepalived counts.
    #[must_use]
    pub const fn with_identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }

    /// With the DF bit; IPv4 only.
    #[must_use]
    pub const fn with_dont_fragment(mut self, dont_fragment: bool) -> Self {
        self.dont_fragment = dont_fragment;
        self
    }

    /// With the low 20 bits of `flow_label`; IPv6 only.
    #[must_use]
    pub const fn with_flow_label(mut self, flow_label: u32) -> Self {
        self.flow_label = flow_label & FLOW_LABEL_BITS;
        self
    }

    /// From where, to where, how far.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Type of service (IPv4) or traffic class (IPv6).
    pub const fn traffic_class(&self) -> u8 {
        self.traffic_class
    }

    /// IPv4's identification; 0 in IPv6.
    pub const fn identification(&self) -> u16 {
        self.identification
    }

    /// IPv4's DF bit; false in IPv6.
    pub const fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    /// IPv6's flow label, 20 bits; 0 in IPv4.
    pub const fn flow_label(&self) -> u32 {
        self.flow_label
    }

    /// How many bytes [`emit`](Self::emit) writes.
    pub fn buffer_len(&self, message: &impl Message) -> usize {
        self.header_len() + message.buffer_len()
    }

    /// Writes the header and the message to the beginning of `buffer` and returns the length of both.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`], or [`Error::MixedFamilies`] if the message lists addresses of the other family.
    pub fn emit(
        &self,
        message: &impl Message,
        form: ChecksumForm,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let needed = self.buffer_len(message);
        let actual = buffer.len();
        let (header, rest) = buffer
            .split_at_mut_checked(self.header_len())
            .filter(|_| actual >= needed)
            .ok_or(Error::BufferTooSmall { needed, actual })?;
        let payload = message.emit(&self.envelope, form, rest)?;
        self.write(VRRP, payload, header)?;
        Ok(needed)
    }

    /// The length of the header alone.
    pub(crate) const fn header_len(&self) -> usize {
        match self.envelope.source() {
            IpAddr::V4(_) => Ipv4Header::MIN_LEN,
            IpAddr::V6(_) => Ipv6Header::LEN,
        }
    }

    /// Writes the header alone; `to` has its length.
    pub(crate) fn write(&self, protocol: u8, payload_len: usize, to: &mut [u8]) -> Result<(), Error> {
        let too_long = Error::TooLong {
            expected: usize::from(u16::MAX),
            actual: payload_len,
        };
        match (self.envelope.source(), self.envelope.destination()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = Ipv4Header {
                    dscp: (self.traffic_class >> 2).try_into().unwrap_or_default(),
                    ecn: (self.traffic_class & 3).try_into().unwrap_or_default(),
                    identification: self.identification,
                    dont_fragment: self.dont_fragment,
                    time_to_live: self.envelope.hop_limit(),
                    protocol: IpNumber(protocol),
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv4Header::default()
                };
                header.set_payload_len(payload_len).map_err(|_| too_long)?;
                header.header_checksum = header.calc_header_checksum();
                copy(&header.to_bytes(), to);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(self.flow_label).unwrap_or_default(),
                    payload_length: u16::try_from(payload_len).map_err(|_| too_long)?,
                    next_header: IpNumber(protocol),
                    hop_limit: self.envelope.hop_limit(),
                    source: source.octets(),
                    destination: destination.octets(),
                };
                copy(&header.to_bytes(), to);
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(Error::MixedFamilies);
            }
        }
        Ok(())
    }
}

/// Copies as much as fits.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The precedence "internetwork control", 110 in the top three bits ([RFC 791 §3.1]).
///
/// [RFC 791 §3.1]: https://www.rfc-editor.org/rfc/rfc791#section-3.1
const INTERNETWORK_CONTROL: u8 = 0xc0;
const FLOW_LABEL_BITS: u32 = 0x000f_ffff;
