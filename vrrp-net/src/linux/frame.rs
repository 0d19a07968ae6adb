//! The envelopes of what is sent: frames and IP packets around messages that are ready, and announcements.

use std::net::IpAddr;

use vrrp_proto::{
    ChecksumForm, Envelope, Error, EthernetHeader, GratuitousArp, IpHeader, MacAddress, Message,
    UnsolicitedAdvertisement,
};

use crate::host::{Announcement, Transmission};

/// Writes a whole multicast frame behind `bytes`. What cannot be written leaves nothing; the driver makes no such
/// transmission.
pub(crate) fn frame(
    bytes: &mut Vec<u8>,
    (source, destination): (MacAddress, MacAddress),
    transmission: &Transmission,
    message: &[u8],
) {
    let Some(header) = header(transmission) else {
        return;
    };
    let ethernet = EthernetHeader::new(source, destination);
    let message = Ready(message);
    append(bytes, ethernet.buffer_len(&header, &message), |buffer| {
        ethernet.emit(&header, &message, ChecksumForm::default(), buffer)
    });
}

/// Writes an IP header and the message behind `bytes`.
pub(crate) fn packet(bytes: &mut Vec<u8>, transmission: &Transmission, message: &[u8]) {
    let Some(header) = header(transmission) else {
        return;
    };
    let message = Ready(message);
    append(bytes, header.buffer_len(&message), |buffer| {
        header.emit(&message, ChecksumForm::default(), buffer)
    });
}

fn header(transmission: &Transmission) -> Option<IpHeader> {
    let envelope = Envelope::new(
        transmission.source,
        transmission.destination,
        transmission.hop_limit,
    );
    envelope
        .ok()
        .map(|envelope| IpHeader::new(envelope).with_dont_fragment(true))
}

/// Writes the frame that tells the link where an address is now: a gratuitous ARP request, or an unsolicited
/// neighbour advertisement ([RFC 9568 §6.4.1](https://www.rfc-editor.org/rfc/rfc9568#section-6.4.1)).
pub(crate) fn announcement(bytes: &mut Vec<u8>, announcement: &Announcement, router: bool) {
    match announcement.address {
        IpAddr::V4(address) => {
            let arp = GratuitousArp::new(announcement.mac, address);
            append(bytes, arp.buffer_len(), |buffer| arp.emit(buffer));
        }
        IpAddr::V6(address) => {
            if let Ok(advertisement) = UnsolicitedAdvertisement::new(announcement.mac, address) {
                let advertisement = advertisement.with_router(router);
                append(bytes, advertisement.buffer_len(), |buffer| {
                    advertisement.emit(buffer)
                });
            }
        }
    }
}

fn append(bytes: &mut Vec<u8>, length: usize, emit: impl FnOnce(&mut [u8]) -> Result<usize, Error>) {
    let start = bytes.len();
    bytes.resize(start + length, 0);
    let written = bytes.get_mut(start..).map_or(Ok(0), emit);
    bytes.truncate(start + written.unwrap_or(0));
}

/// The EtherType of packets to an address.
pub(crate) fn protocol(destination: IpAddr) -> u16 {
    match destination {
        IpAddr::V4(_) => 0x0800,
        IpAddr::V6(_) => 0x86dd,
    }
}

/// The EtherType of the announcement of an address.
pub(crate) fn announcement_protocol(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => 0x0806,
        IpAddr::V6(_) => 0x86dd,
    }
}

/// A message whose bytes are there already, checksum included.
struct Ready<'a>(&'a [u8]);

impl Message for Ready<'_> {
    fn buffer_len(&self) -> usize {
        self.0.len()
    }

    fn emit(&self, _: &Envelope, _: ChecksumForm, buffer: &mut [u8]) -> Result<usize, Error> {
        let too_small = Error::BufferTooSmall {
            needed: self.0.len(),
            actual: buffer.len(),
        };
        let to = buffer.get_mut(..self.0.len()).ok_or(too_small)?;
        to.copy_from_slice(self.0);
        Ok(self.0.len())
    }
}

/// Room for any announcement.
pub(crate) const ANNOUNCEMENT_ROOM: usize = 86;

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The frame that keepalived 2.2.7 was seen to send.
    #[test]
    fn gratuitous_arp_is_the_deployed_form() {
        let mut bytes = vec![9];
        announcement(
            &mut bytes,
            &Announcement {
                interface: 1,
                address: "10.0.0.101".parse().unwrap(),
                mac: MacAddress([2, 0, 0, 0, 0, 1]),
                round: 0,
                pace: std::time::Duration::ZERO,
                queue: None,
            },
            false,
        );
        let expected = "09ffffffffffff020000000001080600010800060400010200000000010a000065\
                        ffffffffffff0a000065";
        assert_eq!(bytes, hex(expected));
    }

    #[test]
    fn messages_are_put_into_envelopes_as_they_are() {
        let mut transmission = Transmission {
            interface: 1,
            source: "10.0.0.1".parse().unwrap(),
            destination: "224.0.0.18".parse().unwrap(),
            hop_limit: 255,
            source_mac: None,
            tag: 0,
        };
        let mut bytes = Vec::new();
        packet(&mut bytes, &transmission, b"message.");
        assert_eq!(bytes.len(), 28);
        assert_eq!(&bytes[20..], b"message.");
        assert_eq!(bytes[8..10], [255, 112]);
        let macs = (MacAddress([2; 6]), MacAddress([1; 6]));
        frame(&mut bytes, macs, &transmission, b"message.");
        assert_eq!(bytes.len(), 28 + 42);
        assert_eq!(bytes[28 + 14..28 + 42], bytes[..28]);
        bytes.clear();
        transmission.source = "fe80::1".parse().unwrap();
        packet(&mut bytes, &transmission, b"message.");
        assert!(bytes.is_empty(), "families are not mixed");
    }
}
