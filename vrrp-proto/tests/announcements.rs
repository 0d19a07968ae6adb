//! Gratuitous ARP and unsolicited neighbour advertisements through the public API.

use std::net::{Ipv4Addr, Ipv6Addr};

use vrrp_proto::{
    ArpClaim, ArpProbe, Error, EthernetHeader, Field, GratuitousArp, MacAddress, UnsolicitedAdvertisement,
    VlanTag,
};

const MAC: MacAddress = MacAddress([0, 0, 0x5e, 0, 1, 5]);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 105);
const VIP_6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);

fn arp() -> [u8; 42] {
    let mut buffer = [0; 42];
    GratuitousArp::new(MAC, VIP).emit(&mut buffer).unwrap();
    buffer
}

fn announcement() -> Vec<u8> {
    let mut buffer = vec![0; 86];
    let announcement = UnsolicitedAdvertisement::new(MAC, VIP_6).unwrap();
    announcement.emit(&mut buffer).unwrap();
    buffer
}

/// The frame with its ICMPv6 checksum made right.
fn repaired(mut frame: Vec<u8>) -> Vec<u8> {
    let length = u8::try_from(frame.len() - 54).unwrap();
    frame[19] = length;
    frame[56..58].fill(0);
    let mut sum = 58 + u32::from(length);
    for pair in frame[22..54].chunks(2).chain(frame[54..].chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    let sum = u16::try_from(sum % 0xffff).unwrap();
    frame[56..58].copy_from_slice(&(!sum).to_be_bytes());
    frame
}

fn read(frame: Vec<u8>) -> Result<UnsolicitedAdvertisement, Error> {
    UnsolicitedAdvertisement::parse(&repaired(frame))
}

/// D5: RFC 9568 §6.4.2 with errata 7947 and 7949, in the form that is deployed.
#[test]
fn a_gratuitous_arp_is_a_broadcast_request_for_itself() {
    let frame = arp();
    assert_eq!(frame[..6], [0xff; 6]);
    assert_eq!(frame[6..12], MAC.octets());
    assert_eq!(frame[12..22], *b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01");
    assert_eq!(frame[22..28], MAC.octets());
    assert_eq!(frame[28..32], VIP.octets());
    assert_eq!(frame[32..38], [0xff; 6]);
    assert_eq!(frame[38..42], VIP.octets());
}

#[test]
fn gratuitous_arps_are_read_in_every_form() {
    let expected = GratuitousArp::new(MAC, VIP);
    assert_eq!(GratuitousArp::parse(&arp()), Ok(expected));
    let mut padded = arp().to_vec();
    padded.resize(60, 0);
    assert_eq!(GratuitousArp::parse(&padded), Ok(expected));
    let mut reply = arp();
    reply[21] = 2;
    reply[32..38].fill(0);
    assert_eq!(GratuitousArp::parse(&reply), Ok(expected));
}

#[test]
fn other_arps_are_refused() {
    for (index, value) in [
        (15, 6),
        (16, 9),
        (17, 1),
        (20, 1),
        (21, 0),
        (21, 3),
        (31, 9),
        (41, 9),
    ] {
        let mut frame = arp();
        frame[index] = value;
        assert_eq!(GratuitousArp::parse(&frame), Err(Error::Arp), "byte {index}");
    }
    // Other lengths of addresses, within the bytes that there are.
    for (index, value) in [(18, 5), (19, 3)] {
        let mut frame = arp();
        frame[index] = value;
        assert_eq!(GratuitousArp::parse(&frame), Err(Error::Arp));
    }
    let mut frame = arp();
    frame[18] = 7;
    let error = GratuitousArp::parse(&frame).unwrap_err();
    assert_eq!(
        (error, error.field()),
        (
            Error::TooShort {
                needed: 30,
                actual: 28
            },
            Some(Field::Length)
        )
    );
    let mut frame = arp();
    frame[13] = 0;
    assert_eq!(GratuitousArp::parse(&frame), Err(Error::EtherType(0x0800)));
    assert_eq!(Error::Arp.field(), Some(Field::Carrier));
}

/// RFC 5227 §2.1.1.
#[test]
fn a_probe_asks_and_claims_nothing() {
    let mut frame = [0xee; 50];
    assert_eq!(ArpProbe::new(MAC, VIP).emit(&mut frame), Ok(ArpProbe::LEN));
    assert_eq!(frame[..6], [0xff; 6]);
    assert_eq!(frame[6..12], MAC.octets());
    assert_eq!(frame[12..22], *b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01");
    assert_eq!(frame[22..28], MAC.octets());
    assert_eq!(frame[28..38], [0; 10]);
    assert_eq!(frame[38..42], VIP.octets());
    assert_eq!(frame[42..], [0xee; 8]);
    assert_eq!(ArpClaim::parse(&frame[..42]), Err(Error::Arp));
    assert_eq!(GratuitousArp::parse(&frame[..42]), Err(Error::Arp));
    let (needed, actual) = (42, 41);
    let small = ArpProbe::new(MAC, VIP).emit(&mut frame[..41]);
    assert_eq!(small, Err(Error::BufferTooSmall { needed, actual }));
}

#[test]
fn whoever_answers_asks_or_announces_claims_his_address() {
    let other = Ipv4Addr::new(10, 0, 0, 9);
    let mut frames = Vec::new();
    for operation in [1, 2] {
        for target in [VIP, other] {
            let mut frame = arp();
            frame[21] = operation;
            frame[38..42].copy_from_slice(&target.octets());
            frames.push(frame.to_vec());
        }
    }
    let mut padded = arp().to_vec();
    padded.resize(60, 0);
    frames.push(padded);
    for frame in &frames {
        let claim = ArpClaim::parse(frame).unwrap();
        assert_eq!((claim.mac(), claim.address()), (MAC, VIP));
    }
    // What is no request or reply for IPv4 on Ethernet, and what is cut off.
    for (index, value) in [(15, 6), (16, 9), (18, 5), (19, 3), (20, 1), (21, 3)] {
        let mut frame = arp();
        frame[index] = value;
        assert_eq!(ArpClaim::parse(&frame), Err(Error::Arp), "byte {index}");
    }
    let mut frame = arp();
    frame[13] = 0;
    assert_eq!(ArpClaim::parse(&frame), Err(Error::EtherType(0x0800)));
    for length in 0..42 {
        let cut = ArpClaim::parse(&arp()[..length]).unwrap_err();
        assert_eq!(cut.field(), Some(Field::Length), "{length} bytes");
    }
}

/// D6: RFC 9568 §6.4.2, RFC 4861 §4.4 and §7.2.6.
#[test]
fn an_unsolicited_advertisement_overrides_and_names_the_mac() {
    let frame = announcement();
    assert_eq!(
        frame[..14],
        *b"\x33\x33\x00\x00\x00\x01\x00\x00\x5e\x00\x01\x05\x86\xdd"
    );
    assert_eq!(frame[14..22], *b"\x60\x00\x00\x00\x00\x20\x3a\xff");
    assert_eq!(frame[22..38], VIP_6.octets());
    assert_eq!(frame[38..54], "ff02::1".parse::<Ipv6Addr>().unwrap().octets());
    assert_eq!(frame[54..56], [136, 0]);
    assert_eq!(frame[58..62], [0xa0, 0, 0, 0]);
    assert_eq!(frame[62..78], VIP_6.octets());
    assert_eq!(frame[78..80], [2, 1]);
    assert_eq!(frame[80..86], MAC.octets());
    assert_eq!(repaired(frame.clone()), frame);
}

#[test]
fn the_source_and_the_flags_can_be_chosen() {
    let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    let made = UnsolicitedAdvertisement::new(MAC, VIP_6)
        .unwrap()
        .with_router(false)
        .with_source(source)
        .unwrap();
    let mut frame = [0; 86];
    assert_eq!(made.emit(&mut frame), Ok(86));
    assert_eq!(frame[58], 0x20);
    let read = UnsolicitedAdvertisement::parse(&frame).unwrap();
    assert_eq!(read, made);
    assert_eq!((read.source(), read.address()), (source, VIP_6));
    assert!(!read.is_router());
    assert!(read.overrides());
}

#[test]
fn an_advertisement_that_does_not_override_is_one_too() {
    let mut frame = announcement();
    frame[58] = 0x80;
    let read = read(frame.clone()).unwrap();
    assert!(read.is_router());
    assert!(!read.overrides());
    let mut again = vec![0; 86];
    read.emit(&mut again).unwrap();
    assert_eq!(again, repaired(frame));
}

/// VLAN tags, read and written.
#[test]
fn announcements_with_tags() {
    let tag = VlanTag::customer(7).unwrap();
    let ethernet = EthernetHeader::new(MAC, MacAddress::BROADCAST)
        .with_tag(tag)
        .unwrap();
    let arp = GratuitousArp::with_header(ethernet, MAC, VIP);
    let mut frame = vec![0; arp.buffer_len()];
    assert_eq!(arp.emit(&mut frame), Ok(46));
    assert_eq!(frame[12..18], *b"\x81\x00\x00\x07\x08\x06");
    assert_eq!(frame[18..], self::arp()[14..]);
    assert_eq!(GratuitousArp::parse(&frame), Ok(arp));
    assert_eq!(arp.ethernet(), &ethernet);

    let announcement = UnsolicitedAdvertisement::new(MAC, VIP_6)
        .unwrap()
        .with_header(ethernet);
    let mut frame = vec![0; announcement.buffer_len()];
    assert_eq!(announcement.emit(&mut frame), Ok(90));
    assert_eq!(frame[12..18], *b"\x81\x00\x00\x07\x86\xdd");
    assert_eq!(frame[18..], self::announcement()[14..]);
    assert_eq!(UnsolicitedAdvertisement::parse(&frame), Ok(announcement));
    assert_eq!(announcement.ethernet(), &ethernet);
}

/// Only one station can be announced, by one station.
#[test]
fn groups_are_not_announced() {
    for text in ["::", "ff02::1"] {
        let address: Ipv6Addr = text.parse().unwrap();
        let error = Error::NotUnicast(address);
        assert_eq!(UnsolicitedAdvertisement::new(MAC, address), Err(error));
        let made = UnsolicitedAdvertisement::new(MAC, VIP_6).unwrap();
        assert_eq!(made.with_source(address), Err(error));
        for place in [22..38, 62..78] {
            let mut frame = announcement();
            frame[place].copy_from_slice(&address.octets());
            assert_eq!(read(frame), Err(error));
        }
    }
}

/// RFC 4861 §7.1.2: hop limit, code, length, options.
#[test]
fn other_neighbour_messages_are_refused() {
    let with = |index: usize, value: u8| {
        let mut frame = announcement();
        frame[index] = value;
        read(frame)
    };
    assert_eq!(with(21, 254), Err(Error::HopLimit(254)));
    assert_eq!(with(54, 135), Err(Error::NeighborAdvertisement));
    assert_eq!(with(55, 1), Err(Error::NeighborAdvertisement));
    assert_eq!(with(58, 0xe0), Err(Error::NeighborAdvertisement));
    assert_eq!(with(20, 17), Err(Error::Protocol(17)));
    assert_eq!(with(14, 0x50), Err(Error::IpHeader));
    assert_eq!(with(13, 0xde), Err(Error::EtherType(0x86de)));
    // The link-layer address as somebody else's option, or of another length.
    assert_eq!(with(78, 1), Err(Error::NeighborAdvertisement));
    assert_eq!(with(79, 0), Err(Error::NeighborAdvertisement));
    assert_eq!(with(79, 2), Err(Error::NeighborAdvertisement));

    // An IPv4 packet behind the Ethernet type of IPv6.
    let mut frame = announcement();
    frame.truncate(14);
    frame.extend(*b"\x45\x00\x00\x15\x00\x00\x00\x00\xff\x3a\xa7\xac\x0a\x00\x00\x01\x0a\x00\x00\x02\x88");
    assert_eq!(UnsolicitedAdvertisement::parse(&frame), Err(Error::IpHeader));

    let mut frame = announcement();
    frame[57] ^= 1;
    let error = UnsolicitedAdvertisement::parse(&frame).unwrap_err();
    assert_eq!(error.field(), Some(Field::Checksum));
    assert_eq!(Error::NeighborAdvertisement.field(), Some(Field::Carrier));
}

#[test]
fn too_short_for_a_neighbour_advertisement() {
    for length in 1..24 {
        let mut frame = announcement();
        frame.truncate(54 + length);
        frame[19] = u8::try_from(length).unwrap();
        let needed = 24;
        assert_eq!(
            UnsolicitedAdvertisement::parse(&frame),
            Err(Error::TooShort {
                needed,
                actual: length
            })
        );
    }
    let mut frame = announcement();
    frame.truncate(54 + 24);
    assert_eq!(read(frame), Err(Error::NeighborAdvertisement));
}

/// Other options do not matter; the first link-layer address counts.
#[test]
fn options() {
    let unknown = [14, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
    let other = [2, 1, 9, 9, 9, 9, 9, 9];
    let with = |before: &[u8], after: &[u8]| {
        let mut frame = announcement();
        frame.extend(after);
        frame.splice(78..78, before.iter().copied());
        read(frame).map(|read| read.mac())
    };
    assert_eq!(with(&unknown, &[]), Ok(MAC));
    assert_eq!(with(&unknown, &unknown), Ok(MAC));
    assert_eq!(with(&[], &other), Ok(MAC));
    assert_eq!(with(&other, &[]), Ok(MacAddress([9; 6])));
    for broken in [&[14][..], &[14, 0], &[14, 1, 0], &unknown[..15]] {
        assert_eq!(with(&[], broken), Err(Error::NeighborAdvertisement), "{broken:?}");
    }
}
