//! Properties: what is written is read as what it was, and no bytes at all do harm.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use vrrp_proto::{
    AddressFamily, AdverInterval, Advertisement, Authentication, ChecksumForm, Datagram, Envelope,
    EthernetHeader, Frame, GratuitousArp, HmacKey, IpHeader, MacAddress, Message, Packet, Password, Priority,
    ReceiveChecks, Sequence, Signed, Trailer, UnsolicitedAdvertisement, Version, VlanTag, Vrid,
};

const ANY: ReceiveChecks = ReceiveChecks::STANDARD
    .hop_limits(0, 255)
    .any_first_address()
    .old_unicast_checksum();

/// An advertisement and an envelope that it fits into.
#[derive(Clone, Debug)]
struct Sent {
    version: Version,
    vrid: Vrid,
    priority: Priority,
    interval: AdverInterval,
    authentication: Authentication,
    addresses: Vec<IpAddr>,
    envelope: Envelope,
}

impl Sent {
    fn advertisement(&self) -> Advertisement<Vec<IpAddr>> {
        let list = self.addresses.clone();
        match self.version {
            Version::V2 => {
                Advertisement::version_2(self.vrid, self.priority, self.interval, self.authentication, list)
            }
            Version::V3 => {
                Advertisement::version_3_any_first_address(self.vrid, self.priority, self.interval, list)
            }
        }
        .unwrap()
    }

    fn assert_is(&self, packet: &Packet<'_>) {
        assert_eq!(packet.version(), self.version);
        assert_eq!(packet.vrid(), self.vrid);
        assert_eq!(packet.priority(), self.priority);
        assert_eq!(packet.interval(), self.interval);
        assert_eq!(packet.authentication(), self.authentication);
        assert_eq!(packet.family(), self.envelope.family());
        assert!(packet.addresses().eq(self.addresses.iter().copied()));
    }
}

fn ipv4() -> impl Strategy<Value = IpAddr> {
    any::<Ipv4Addr>().prop_map(IpAddr::V4)
}

fn ipv6() -> impl Strategy<Value = IpAddr> {
    any::<Ipv6Addr>().prop_map(IpAddr::V6)
}

fn envelope(family: AddressFamily) -> BoxedStrategy<Envelope> {
    let address = match family {
        AddressFamily::Ipv4 => ipv4().boxed(),
        AddressFamily::Ipv6 => ipv6().boxed(),
    };
    let group = Just(family.multicast_group());
    (address.clone(), prop_oneof![address, group], any::<u8>())
        .prop_map(|(source, destination, hop_limit)| Envelope::new(source, destination, hop_limit).unwrap())
        .boxed()
}

fn sent() -> impl Strategy<Value = Sent> {
    let kind = prop_oneof![
        Just((Version::V2, AddressFamily::Ipv4)),
        Just((Version::V3, AddressFamily::Ipv4)),
        Just((Version::V3, AddressFamily::Ipv6)),
    ];
    kind.prop_flat_map(|(version, family)| {
        let (interval, authentication) = match version {
            Version::V2 => (
                (1..=255_u8)
                    .prop_map(|seconds| AdverInterval::from_seconds(seconds).unwrap())
                    .boxed(),
                proptest::option::of(any::<[u8; 8]>()).boxed(),
            ),
            Version::V3 => (
                (1..=4095_u16)
                    .prop_map(|centiseconds| AdverInterval::from_centiseconds(centiseconds).unwrap())
                    .boxed(),
                Just(None).boxed(),
            ),
        };
        let address = match family {
            AddressFamily::Ipv4 => ipv4().boxed(),
            AddressFamily::Ipv6 => ipv6().boxed(),
        };
        let count = prop_oneof![4 => 1..=3_usize, 1 => 1..=255_usize];
        (
            1..=255_u8,
            any::<u8>(),
            interval,
            authentication,
            count.prop_flat_map(move |count| vec(address.clone(), count)),
            envelope(family),
        )
            .prop_map(
                move |(vrid, priority, interval, password, addresses, envelope)| Sent {
                    version,
                    vrid: Vrid::new(vrid).unwrap(),
                    priority: Priority::new(priority),
                    interval,
                    authentication: password.map_or(Authentication::None, |octets| {
                        Authentication::SimplePassword(Password::from(octets))
                    }),
                    addresses,
                    envelope,
                },
            )
    })
}

fn form() -> impl Strategy<Value = ChecksumForm> {
    prop_oneof![
        Just(ChecksumForm::Rfc5798),
        Just(ChecksumForm::Rfc9568),
        Just(ChecksumForm::OldUnicast),
    ]
}

fn header(envelope: Envelope) -> impl Strategy<Value = IpHeader> {
    (any::<u8>(), any::<u16>(), any::<bool>(), any::<u32>()).prop_map(move |(class, number, whole, label)| {
        let header = IpHeader::new(envelope).with_traffic_class(class);
        match envelope.family() {
            AddressFamily::Ipv4 => header.with_identification(number).with_dont_fragment(whole),
            AddressFamily::Ipv6 => header.with_flow_label(label),
        }
    })
}

fn ethernet() -> impl Strategy<Value = EthernetHeader> {
    let tag = (0..=4095_u16, 0..=7_u8, any::<bool>()).prop_map(|(vlan, priority, service)| {
        let tag = if service {
            VlanTag::service(vlan)
        } else {
            VlanTag::customer(vlan)
        };
        tag.unwrap().with_priority(priority)
    });
    (any::<[u8; 6]>(), any::<[u8; 6]>(), vec(tag, 0..=2)).prop_map(|(source, destination, tags)| {
        let header = EthernetHeader::new(MacAddress(source), MacAddress(destination));
        tags.into_iter()
            .fold(header, |header, tag| header.with_tag(tag).unwrap())
    })
}

/// Whatever accepts these bytes gives them back.
fn assert_same_again(bytes: &[u8], envelope: &Envelope) {
    let Ok(packet) = Packet::parse(bytes, envelope, &ANY) else {
        return;
    };
    let advertisement = packet.advertisement();
    let mut again = vec![0; advertisement.buffer_len()];
    let length = advertisement.emit(envelope, packet.checksum_form().unwrap_or_default(), &mut again);
    assert_eq!(length, Ok(bytes.len()));
    let reread = Packet::parse(&again, envelope, &ANY).unwrap();
    // The reserved bits, the data of no authentication, and the two ways to write a checksum of 0 are not kept.
    assert_eq!(reread.advertisement().buffer_len(), bytes.len());
    assert_eq!(reread.interval(), packet.interval());
    assert_eq!(reread.authentication(), packet.authentication());
    assert_eq!(reread.addresses(), packet.addresses());
}

proptest! {
    /// Written and read, it is the same, in every form that the checksum has.
    #[test]
    fn messages_are_read_as_written(sent in sent(), form in form()) {
        let advertisement = sent.advertisement();
        let mut buffer = vec![0xee; advertisement.buffer_len()];
        prop_assert_eq!(advertisement.emit(&sent.envelope, form, &mut buffer), Ok(buffer.len()));
        let packet = Packet::parse(&buffer, &sent.envelope, &ANY.only_checksum(form)).unwrap();
        sent.assert_is(&packet);
        let mut again = vec![0; buffer.len()];
        packet.advertisement().emit(&sent.envelope, form, &mut again).unwrap();
        prop_assert_eq!(again, buffer);
    }

    /// The same through a whole frame, with everything that a sender can choose.
    #[test]
    fn frames_are_read_as_written(
        (sent, header) in sent().prop_flat_map(|sent| { let header = header(sent.envelope); (Just(sent), header) }),
        ethernet in ethernet(),
        padding in 0..50_usize,
    ) {
        let advertisement = sent.advertisement();
        let mut buffer = vec![0xee; ethernet.buffer_len(&header, &advertisement) + padding];
        let length = ethernet.emit(&header, &advertisement, ChecksumForm::Rfc5798, &mut buffer);
        prop_assert_eq!(length, Ok(buffer.len() - padding));
        let frame = Frame::parse(&buffer).unwrap();
        prop_assert_eq!(frame.ethernet(), &ethernet);
        prop_assert_eq!(frame.header(), &header);
        sent.assert_is(&frame.packet(&ANY).unwrap());
    }

    /// Signed and verified, by the one key.
    #[test]
    fn trailers_are_verified_as_written(
        sent in sent(),
        secret in vec(any::<u8>(), 32..=64),
        id in 1..=255_u8,
        bits in any::<u64>(),
    ) {
        let key = HmacKey::new(id, &secret).unwrap();
        let sequence = Sequence::from_bits(bits);
        let signed = Signed::new(sent.advertisement(), &key, sequence);
        let mut buffer = vec![0; signed.buffer_len()];
        signed.emit(&sent.envelope, ChecksumForm::Rfc5798, &mut buffer).unwrap();
        let (message, trailer) = Trailer::split(&buffer, &sent.envelope).unwrap();
        sent.assert_is(&Packet::parse(message, &sent.envelope, &ANY).unwrap());
        let trailer = trailer.unwrap();
        let verified = trailer.verify(&[key], message, &sent.envelope).unwrap();
        prop_assert_eq!(verified.sequence(), sequence);
        let other = HmacKey::new(id, &[0x5a; 32]).unwrap();
        prop_assert!(trailer.verify(&[other], message, &sent.envelope).is_err());
    }

    #[test]
    fn announcements_are_read_as_written(
        ethernet in ethernet(),
        mac in any::<[u8; 6]>(),
        address in any::<Ipv4Addr>(),
        address_6 in any::<Ipv6Addr>(),
        source in any::<Ipv6Addr>(),
        router in any::<bool>(),
    ) {
        let arp = GratuitousArp::with_header(ethernet, MacAddress(mac), address);
        let mut buffer = [0; 100];
        let length = arp.emit(&mut buffer).unwrap();
        prop_assert_eq!(GratuitousArp::parse(&buffer[..length]), Ok(arp));
        prop_assert_eq!(GratuitousArp::parse(&buffer), Ok(arp));

        let unicast = |address: Ipv6Addr| !address.is_multicast() && !address.is_unspecified();
        prop_assume!(unicast(address_6) && unicast(source));
        let announcement = UnsolicitedAdvertisement::new(MacAddress(mac), address_6)
            .and_then(|announcement| announcement.with_source(source))
            .unwrap()
            .with_header(ethernet)
            .with_router(router);
        let mut buffer = [0; 100];
        let length = announcement.emit(&mut buffer).unwrap();
        prop_assert_eq!(UnsolicitedAdvertisement::parse(&buffer[..length]), Ok(announcement));
        prop_assert_eq!(UnsolicitedAdvertisement::parse(&buffer), Ok(announcement));
    }

    /// Any bytes are read or refused, and nothing else happens.
    #[test]
    fn any_bytes_do_no_harm(
        bytes in vec(any::<u8>(), 0..200),
        envelope in prop_oneof![envelope(AddressFamily::Ipv4), envelope(AddressFamily::Ipv6)],
    ) {
        let _ = Packet::claimed_vrid(&bytes);
        let _ = Frame::parse(&bytes);
        let _ = Datagram::parse(&bytes);
        let _ = GratuitousArp::parse(&bytes);
        let _ = UnsolicitedAdvertisement::parse(&bytes);
        let _ = Trailer::split(&bytes, &envelope);
        assert_same_again(&bytes, &envelope);
    }

    /// Bytes that are almost a message, with the checksum right: what is accepted can be sent again.
    #[test]
    fn almost_messages_do_no_harm(
        sent in sent(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let advertisement = sent.advertisement();
        let mut bytes = vec![0; advertisement.buffer_len()];
        advertisement.emit(&sent.envelope, ChecksumForm::Rfc5798, &mut bytes).unwrap();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            // The neighbour two bytes on takes up the change, so that the sum stays.
            let other = (index + 2) % bytes.len();
            let sum = u16::from(bytes[index]) + u16::from(bytes[other]);
            if let Ok(rest) = u8::try_from(sum.wrapping_sub(u16::from(value))) {
                bytes[index] = value;
                bytes[other] = rest;
            }
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        assert_same_again(&bytes, &sent.envelope);
    }
}
