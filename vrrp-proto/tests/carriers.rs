//! Frames and IP packets through the public API: what does not matter, and what is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::{
    AdverInterval, Advertisement, ChecksumForm, Datagram, Envelope, Error, EthernetHeader, Field, Frame,
    GratuitousArp, IpHeader, MacAddress, Message, Priority, ReceiveChecks, UnsolicitedAdvertisement, VlanTag,
    Vrid,
};

const MAC: MacAddress = MacAddress([0, 0, 0x5e, 0, 1, 5]);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 105);
const VIP_6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);
const FORM: ChecksumForm = ChecksumForm::Rfc5798;

fn envelope() -> Envelope {
    Envelope::multicast(Ipv4Addr::new(10, 0, 0, 1).into())
}

fn envelope_6() -> Envelope {
    Envelope::multicast(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into())
}

fn advertisement<A: Into<IpAddr> + Clone>(address: A) -> Advertisement<[A; 1]> {
    Advertisement::version_3(
        Vrid::new(5).unwrap(),
        Priority::DEFAULT,
        AdverInterval::DEFAULT,
        [address],
    )
    .unwrap()
}

fn datagram() -> Vec<u8> {
    let header = IpHeader::new(envelope());
    let message = advertisement(VIP);
    let mut buffer = vec![0; header.buffer_len(&message)];
    assert_eq!(header.emit(&message, FORM, &mut buffer), Ok(32));
    buffer
}

fn datagram_6() -> Vec<u8> {
    let header = IpHeader::new(envelope_6());
    let message = advertisement(VIP_6);
    let mut buffer = vec![0; header.buffer_len(&message)];
    assert_eq!(header.emit(&message, FORM, &mut buffer), Ok(64));
    buffer
}

fn frame(envelope: &Envelope, message: &impl Message, tags: &[VlanTag]) -> Vec<u8> {
    let mut ethernet = EthernetHeader::multicast(MAC, envelope).unwrap();
    for tag in tags {
        ethernet = ethernet.with_tag(*tag).unwrap();
    }
    let header = IpHeader::new(*envelope);
    let mut buffer = vec![0; ethernet.buffer_len(&header, message)];
    let length = ethernet.emit(&header, message, FORM, &mut buffer);
    assert_eq!(length, Ok(buffer.len()));
    buffer
}

/// An IPv4 packet with the length and checksum of its header made right.
fn repaired(mut packet: Vec<u8>) -> Vec<u8> {
    let header = usize::from(packet[0] & 15) * 4;
    let length = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[10..12].fill(0);
    let mut sum = 0_u32;
    for pair in packet[..header].chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
    }
    let sum = u16::try_from(sum % 0xffff).unwrap();
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    packet
}

/// The message in a packet, or why not.
fn message(packet: &[u8]) -> Result<&[u8], Error> {
    Datagram::parse(packet).map(|datagram| datagram.message())
}

/// E1, E2 and E5 in the bytes: RFC 9568 §5.1, §7.2.
#[test]
fn the_usual_frame() {
    let frame_4 = frame(&envelope(), &advertisement(VIP), &[]);
    assert_eq!(
        frame_4[..14],
        *b"\x01\x00\x5e\x00\x00\x12\x00\x00\x5e\x00\x01\x05\x08\x00"
    );
    assert_eq!(
        frame_4[14..34],
        *b"\x45\xc0\x00\x20\x00\x00\x00\x00\xff\x70\xd0\x9a\x0a\x00\x00\x01\xe0\x00\x00\x12"
    );
    assert_eq!(frame_4[14..], datagram());
    let frame_6 = frame(&envelope_6(), &advertisement(VIP_6), &[]);
    assert_eq!(frame_6[..6], *b"\x33\x33\x00\x00\x00\x12");
    assert_eq!(frame_6[12..14], *b"\x86\xdd");
    assert_eq!(frame_6[14..22], *b"\x6c\x00\x00\x00\x00\x18\x70\xff");
    assert_eq!(frame_6[14..], datagram_6());
}

/// N14: short frames are padded by the interface, and some hand the padding over.
#[test]
fn padding_does_not_matter() {
    for padding in [1, 2, 14, 46] {
        let mut padded = datagram();
        padded.resize(padded.len() + padding, 0xaa);
        assert_eq!(message(&padded), Ok(&datagram()[20..]));
        let mut padded = datagram_6();
        padded.resize(padded.len() + padding, 0xaa);
        assert_eq!(message(&padded), Ok(&datagram_6()[40..]));

        for (envelope, mut padded) in [
            (envelope(), frame(&envelope(), &advertisement(VIP), &[])),
            (envelope_6(), frame(&envelope_6(), &advertisement(VIP_6), &[])),
        ] {
            padded.resize(padded.len() + padding, 0xaa);
            let frame = Frame::parse(&padded).unwrap();
            assert_eq!(frame.envelope(), &envelope);
            assert!(frame.packet(&ReceiveChecks::STANDARD).is_ok());
        }
    }
}

/// N14: an IHL above 5.
#[test]
fn ipv4_options_do_not_matter() {
    for words in 1..=10 {
        let mut packet = datagram();
        packet[0] = 0x45 + words;
        // "No operation", as often as needed.
        packet.splice(20..20, vec![1; usize::from(words) * 4]);
        let packet = repaired(packet);
        assert_eq!(message(&packet), Ok(&datagram()[20..]));
        let datagram = Datagram::parse(&packet).unwrap();
        assert!(datagram.packet(&ReceiveChecks::STANDARD).is_ok());
    }
}

/// Extension headers come between the IPv6 header and the message.
#[test]
fn ipv6_extension_headers_do_not_matter() {
    // Hop-by-hop options (0) and destination options (60), each eight bytes of padding.
    let mut packet = datagram_6();
    packet[5] += 16;
    packet[6] = 0;
    packet.splice(40..40, [60, 0, 1, 4, 0, 0, 0, 0, 112, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(message(&packet), Ok(&datagram_6()[40..]));
    assert!(
        Datagram::parse(&packet)
            .unwrap()
            .packet(&ReceiveChecks::STANDARD)
            .is_ok()
    );
}

/// N14: VLAN tags, read and written.
#[test]
fn vlan_tags_do_not_matter() {
    let customer = VlanTag::customer(0x123).unwrap().with_priority(6);
    let service = VlanTag::service(4095).unwrap();
    let plain = frame(&envelope(), &advertisement(VIP), &[]);
    for tags in [
        &[customer][..],
        &[service],
        &[service, customer],
        &[customer, customer],
    ] {
        let tagged = frame(&envelope(), &advertisement(VIP), tags);
        assert_eq!(tagged.len(), plain.len() + 4 * tags.len());
        let parsed = Frame::parse(&tagged).unwrap();
        assert!(parsed.ethernet().tags().eq(tags.iter().copied()));
        assert_eq!(parsed.message(), Frame::parse(&plain).unwrap().message());
        assert!(parsed.packet(&ReceiveChecks::STANDARD).is_ok());
    }
    let one = frame(&envelope(), &advertisement(VIP), &[customer]);
    assert_eq!(one[12..18], *b"\x81\x00\xc1\x23\x08\x00");
    let two = frame(&envelope(), &advertisement(VIP), &[service, customer]);
    assert_eq!(two[12..22], *b"\x88\xa8\x0f\xff\x81\x00\xc1\x23\x08\x00");

    // The older protocol identifier of outer tags, with the drop eligible bit; both survive.
    let mut old = two.clone();
    old[12..16].copy_from_slice(b"\x91\x00\x1f\xff");
    let parsed = Frame::parse(&old).unwrap();
    assert_eq!(
        parsed
            .ethernet()
            .tags()
            .next()
            .map(|tag| (tag.protocol(), tag.vlan())),
        Some((0x9100, 4095))
    );
    let mut again = vec![0; old.len()];
    let length = parsed
        .ethernet()
        .emit(parsed.header(), &advertisement(VIP), FORM, &mut again);
    assert_eq!((length, again), (Ok(old.len()), old));
}

#[test]
fn vlan_tags_have_their_ranges() {
    assert_eq!(VlanTag::customer(4096), None);
    assert_eq!(VlanTag::service(4096), None);
    let tag = VlanTag::service(7).unwrap();
    assert_eq!((tag.protocol(), tag.vlan(), tag.priority()), (0x88a8, 7, 0));
    for priority in 0..=7 {
        let tag = VlanTag::customer(4095)
            .unwrap()
            .with_priority(7)
            .with_priority(priority);
        assert_eq!(
            (tag.protocol(), tag.vlan(), tag.priority()),
            (0x8100, 4095, priority)
        );
    }
    let shown = format!("{:?}", VlanTag::customer(7).unwrap().with_priority(3));
    assert_eq!(shown, "VlanTag { protocol: 0x8100, vlan: 7, priority: 3, .. }");
}

/// Two tags are read and written, three are not.
#[test]
fn a_third_tag_is_refused() {
    let tag = VlanTag::customer(1).unwrap();
    let ethernet = EthernetHeader::new(MAC, MacAddress::BROADCAST);
    let two = ethernet.with_tag(tag).unwrap().with_tag(tag).unwrap();
    assert_eq!(two.with_tag(tag), Err(Error::TooManyTags));
    let mut frame = frame(&envelope(), &advertisement(VIP), &[tag, tag]);
    frame.splice(12..12, [0x81, 0, 0, 1]);
    assert_eq!(Frame::parse(&frame), Err(Error::TooManyTags));
    assert_eq!(GratuitousArp::parse(&frame), Err(Error::TooManyTags));
    assert_eq!(Error::TooManyTags.field(), Some(Field::Carrier));
}

/// What a sender can choose is written and read again.
#[test]
fn what_the_sender_chooses() {
    for envelope in [envelope(), envelope_6()] {
        let header = IpHeader::new(envelope)
            .with_traffic_class(0xa7)
            .with_identification(0xbeef)
            .with_dont_fragment(true)
            .with_flow_label(0xfff_abcde);
        assert_eq!(header.flow_label(), 0xabcde);
        let mut buffer = [0; 64];
        let length = if envelope.source().is_ipv4() {
            header.emit(&advertisement(VIP), FORM, &mut buffer)
        } else {
            header.emit(&advertisement(VIP_6), FORM, &mut buffer)
        };
        let datagram = Datagram::parse(&buffer[..length.unwrap()]).unwrap();
        let read = datagram.header();
        assert_eq!(read.traffic_class(), 0xa7);
        assert_eq!(read.envelope(), &envelope);
        if envelope.source().is_ipv4() {
            assert_eq!(
                (read.identification(), read.dont_fragment(), read.flow_label()),
                (0xbeef, true, 0)
            );
        } else {
            assert_eq!(
                (read.identification(), read.dont_fragment(), read.flow_label()),
                (0, false, 0xabcde)
            );
        }
    }
}

/// E2: the TTL is handed on, not judged, until the message is read.
#[test]
fn the_hop_limit_is_handed_on() {
    let mut packet = datagram();
    packet[8] = 254;
    let packet = repaired(packet);
    let datagram = Datagram::parse(&packet).unwrap();
    assert_eq!(datagram.envelope().hop_limit(), 254);
    assert_eq!(
        datagram.packet(&ReceiveChecks::STANDARD),
        Err(Error::HopLimit(254))
    );
    assert!(
        datagram
            .packet(&ReceiveChecks::STANDARD.hop_limits(254, 255))
            .is_ok()
    );
}

#[test]
fn a_wrong_header_checksum_is_refused() {
    let right = datagram();
    let found = u16::from_be_bytes([right[10], right[11]]) ^ 1;
    let mut wrong = right;
    wrong[11] ^= 1;
    let expected = found ^ 1;
    let error = Error::IpChecksum { found, expected };
    assert_eq!(message(&wrong), Err(error));
    assert_eq!(error.field(), Some(Field::Carrier));
}

#[test]
fn malformed_ip_headers_are_refused() {
    assert_eq!(message(&[]), Err(Error::TooShort { needed: 1, actual: 0 }));
    assert_eq!(
        message(&[0x45]),
        Err(Error::TooShort {
            needed: 20,
            actual: 1
        })
    );
    assert_eq!(
        message(&[0x60]),
        Err(Error::TooShort {
            needed: 40,
            actual: 1
        })
    );
    for version in (0..16).filter(|version| ![4, 6].contains(version)) {
        let mut packet = datagram();
        packet[0] = version << 4 | 5;
        assert_eq!(message(&packet), Err(Error::IpHeader));
    }
    for words in 0..5 {
        let mut packet = datagram();
        packet[0] = 0x40 | words;
        assert_eq!(message(&packet), Err(Error::IpHeader));
    }
    // A total length that leaves no room for the header.
    let mut packet = datagram();
    packet[2..4].copy_from_slice(&[0, 19]);
    assert_eq!(
        message(&packet),
        Err(Error::TooShort {
            needed: 20,
            actual: 19
        })
    );
    // No payload, or a jumbogram.
    let mut packet = datagram_6();
    packet[5] = 0;
    assert_eq!(message(&packet), Err(Error::IpHeader));
    // A hop-by-hop header that is not the first.
    let mut packet = datagram_6();
    packet[5] += 16;
    packet[6] = 60;
    packet.splice(40..40, [0, 0, 1, 4, 0, 0, 0, 0, 112, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(message(&packet), Err(Error::IpHeader));
    // An Authentication Header too short to be one.
    let mut packet = datagram();
    packet[9] = 51;
    packet.splice(20..20, [112, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(message(&repaired(packet)), Err(Error::IpHeader));
}

/// Advertisements do not come in parts.
#[test]
fn fragments_are_refused() {
    for flags in [0x2000_u16, 0x0001, 0x1fff, 0x2001] {
        let mut packet = datagram();
        packet[6..8].copy_from_slice(&flags.to_be_bytes());
        assert_eq!(message(&repaired(packet)), Err(Error::Fragment));
    }
    let mut packet = datagram_6();
    packet[5] += 8;
    packet[6] = 44;
    packet.splice(40..40, [112, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(message(&packet), Err(Error::Fragment));
}

#[test]
fn authentication_headers_are_refused_as_such() {
    let header = [
        112, 4, 0, 0, 10, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let mut packet = datagram();
    packet[9] = 51;
    packet.splice(20..20, header);
    assert_eq!(message(&repaired(packet)), Err(Error::AuthenticationHeader));
    let mut packet = datagram_6();
    packet[5] += 24;
    packet[6] = 51;
    packet.splice(40..40, header);
    assert_eq!(message(&packet), Err(Error::AuthenticationHeader));
}

#[test]
fn other_protocols_are_refused() {
    let mut packet = datagram();
    packet[9] = 17;
    assert_eq!(message(&repaired(packet)), Err(Error::Protocol(17)));
    let mut packet = datagram_6();
    packet[6] = 89;
    assert_eq!(message(&packet), Err(Error::Protocol(89)));
}

#[test]
fn other_frames_are_refused() {
    let mut frame = frame(&envelope(), &advertisement(VIP), &[]);
    for ether_type in [0x0806_u16, 0x88cc, 0x0026] {
        frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
        assert_eq!(Frame::parse(&frame), Err(Error::EtherType(ether_type)));
    }
    // An IPv4 packet in a frame of IPv6, and the reverse.
    frame[12..14].copy_from_slice(&0x86dd_u16.to_be_bytes());
    assert_eq!(Frame::parse(&frame), Err(Error::IpHeader));
    let mut frame = self::frame(&envelope_6(), &advertisement(VIP_6), &[]);
    frame[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    assert_eq!(Frame::parse(&frame), Err(Error::IpHeader));
    assert_eq!(
        Frame::parse(&frame[..14]),
        Err(Error::TooShort { needed: 1, actual: 0 })
    );
    assert_eq!(
        Frame::parse(&frame[..13]),
        Err(Error::TooShort {
            needed: 14,
            actual: 13
        })
    );
}

/// A short buffer is refused by everything that writes, at every length; a long one is left alone behind the end.
#[test]
fn buffers() {
    let header = IpHeader::new(envelope());
    let ethernet = EthernetHeader::multicast(MAC, &envelope()).unwrap();
    let message = advertisement(VIP);
    let arp = GratuitousArp::new(MAC, VIP);
    let announcement = UnsolicitedAdvertisement::new(MAC, VIP_6).unwrap();
    type Write<'a> = &'a dyn Fn(&mut [u8]) -> Result<usize, Error>;
    let all: [(Write<'_>, usize); 4] = [
        (&|buffer| header.emit(&message, FORM, buffer), 32),
        (&|buffer| ethernet.emit(&header, &message, FORM, buffer), 46),
        (&|buffer| arp.emit(buffer), 42),
        (&|buffer| announcement.emit(buffer), 86),
    ];
    for (write, needed) in all {
        for actual in 0..needed {
            assert_eq!(
                write(&mut vec![0; actual]),
                Err(Error::BufferTooSmall { needed, actual })
            );
        }
        let mut exact = vec![0; needed];
        let mut long = vec![0xee; needed + 9];
        assert_eq!(write(&mut exact), Ok(needed));
        assert_eq!(write(&mut long), Ok(needed));
        assert_eq!(long[..needed], exact);
        assert_eq!(long[needed..], [0xee; 9]);
    }
    assert_eq!(arp.buffer_len(), 42);
    assert_eq!(announcement.buffer_len(), 86);
}

/// A message of one family does not go into a packet of the other.
#[test]
fn families_are_never_mixed() {
    let header = IpHeader::new(envelope_6());
    let message = advertisement(VIP);
    assert_eq!(
        header.emit(&message, FORM, &mut [0; 100]),
        Err(Error::MixedFamilies)
    );
    let ethernet = EthernetHeader::multicast(MAC, &envelope_6()).unwrap();
    assert_eq!(
        ethernet.emit(&header, &message, FORM, &mut [0; 100]),
        Err(Error::MixedFamilies)
    );
}

/// A message that claims to be longer than an IP packet can be.
#[test]
fn messages_fit_into_a_packet() {
    struct Long(usize);
    impl Message for Long {
        fn buffer_len(&self) -> usize {
            self.0
        }
        fn emit(&self, _: &Envelope, _: ChecksumForm, _: &mut [u8]) -> Result<usize, Error> {
            Ok(self.0)
        }
    }
    let mut buffer = vec![0; 70_000];
    for (envelope, header, most) in [(envelope(), 20, 65_515), (envelope_6(), 40, 65_535)] {
        let ip = IpHeader::new(envelope);
        assert_eq!(ip.emit(&Long(most), FORM, &mut buffer), Ok(most + header));
        let error = ip.emit(&Long(most + 1), FORM, &mut buffer);
        assert_eq!(
            error,
            Err(Error::TooLong {
                expected: 65_535,
                actual: most + 1
            })
        );
    }
}

/// A unicast address has no group on Ethernet.
#[test]
fn unicast_needs_an_address_from_the_neighbour_table() {
    let envelope = Envelope::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 255).unwrap();
    assert_eq!(EthernetHeader::multicast(MAC, &envelope), None);
}
