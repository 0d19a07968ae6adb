//! Messages through the public API: each requirement on the bytes, one at a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::{
    AddressFamily, AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, Error, Field,
    Packet, Password, Priority, ReceiveChecks, Version, Vrid,
};

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SOURCE_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1));
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 105);
const VIPS_6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7),
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, 7),
];
const STANDARD: ReceiveChecks = ReceiveChecks::STANDARD;

fn vrid() -> Vrid {
    Vrid::new(5).unwrap()
}

fn multicast() -> Envelope {
    Envelope::multicast(SOURCE)
}

fn multicast_6() -> Envelope {
    Envelope::multicast(SOURCE_6)
}

fn v2(authentication: Authentication) -> Vec<u8> {
    let advertisement = Advertisement::version_2(
        vrid(),
        Priority::new(150),
        AdverInterval::DEFAULT,
        authentication,
        [VIP],
    );
    emit(&advertisement.unwrap(), &multicast(), ChecksumForm::default())
}

fn v3(form: ChecksumForm) -> Vec<u8> {
    let advertisement = Advertisement::version_3(vrid(), Priority::new(150), AdverInterval::DEFAULT, [VIP]);
    emit(&advertisement.unwrap(), &multicast(), form)
}

fn v3_ipv6() -> Vec<u8> {
    let advertisement = Advertisement::version_3(vrid(), Priority::new(150), AdverInterval::DEFAULT, VIPS_6);
    emit(&advertisement.unwrap(), &multicast_6(), ChecksumForm::default())
}

fn emit<A>(advertisement: &Advertisement<A>, envelope: &Envelope, form: ChecksumForm) -> Vec<u8>
where
    A: IntoIterator<Item: Into<IpAddr>> + Clone,
{
    let mut buffer = vec![0xee; advertisement.buffer_len()];
    assert_eq!(advertisement.emit(envelope, form, &mut buffer), Ok(buffer.len()));
    buffer
}

/// Every kind of valid message, with the envelope it came in.
fn all() -> Vec<(Vec<u8>, Envelope)> {
    vec![
        (v2(Authentication::None), multicast()),
        (
            v2(Authentication::SimplePassword(Password::truncating(b"s3cr"))),
            multicast(),
        ),
        (v3(ChecksumForm::Rfc5798), multicast()),
        (v3(ChecksumForm::Rfc9568), multicast()),
        (v3_ipv6(), multicast_6()),
    ]
}

/// The message with one change, and its checksum made right again.
fn changed(message: &[u8], envelope: &Envelope, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = message.to_vec();
    change(&mut message);
    message[6..8].fill(0);
    let mut sum = 0_u64;
    let mut add = |bytes: &[u8]| {
        for pair in bytes.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
    };
    add(&message);
    if message[0] >> 4 == 3 {
        match (envelope.source(), envelope.destination()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                add(&source.octets());
                add(&destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                add(&source.octets());
                add(&destination.octets());
            }
            _ => unreachable!("an envelope has one family"),
        }
        add(&[0, 112]);
        add(&u16::try_from(message.len()).unwrap().to_be_bytes());
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    message[6..8].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    message
}

fn refused(message: &[u8], envelope: &Envelope) -> Error {
    Packet::parse(message, envelope, &STANDARD).expect_err("it should be refused")
}

/// W1: RFC 9568 §5.2.1 and §5.2.2, RFC 3768 §5.3.1 and §5.3.2.
#[test]
fn version_and_type_share_the_first_byte() {
    assert_eq!(v3(ChecksumForm::Rfc5798)[0], 0x31);
    assert_eq!(v3_ipv6()[0], 0x31);
    assert_eq!(v2(Authentication::None)[0], 0x21);
}

/// W1, R2 and R3: every value of the first byte.
#[test]
fn every_first_byte() {
    for (message, envelope) in all() {
        for byte in 0..=255 {
            let changed = changed(&message, &envelope, |message| message[0] = byte);
            let result = Packet::parse(&changed, &envelope, &STANDARD);
            match (byte >> 4, byte & 15) {
                (version, 1) if version == message[0] >> 4 => {
                    assert_eq!(result.unwrap().version().number(), version);
                }
                (version, _) if !(2..=3).contains(&version) => {
                    assert_eq!(result, Err(Error::Version(version)));
                }
                (2, _) if envelope.family() == AddressFamily::Ipv6 => {
                    assert_eq!(result, Err(Error::Version2OverIpv6));
                }
                (_, 1) => assert_eq!(result.unwrap_err().field(), Some(Field::Length)),
                (_, kind) => assert_eq!(result, Err(Error::Type(kind))),
            }
        }
    }
}

/// W2: RFC 9568 §5.2.3; every value of the VRID.
#[test]
fn every_vrid() {
    for (message, envelope) in all() {
        for byte in 0..=255 {
            let changed = changed(&message, &envelope, |message| message[1] = byte);
            let result = Packet::parse(&changed, &envelope, &STANDARD);
            assert_eq!(Packet::claimed_vrid(&changed), Vrid::new(byte));
            match Vrid::new(byte) {
                Some(vrid) => assert_eq!(result.unwrap().vrid(), vrid),
                None => assert_eq!(result, Err(Error::Vrid)),
            }
        }
    }
    assert_eq!(Packet::claimed_vrid(&[]), None);
    assert_eq!(Packet::claimed_vrid(&[0x31]), None);
}

/// W3: RFC 9568 §5.2.4; every value of the priority.
#[test]
fn every_priority() {
    for (message, envelope) in all() {
        for byte in 0..=255 {
            let changed = changed(&message, &envelope, |message| message[2] = byte);
            let packet = Packet::parse(&changed, &envelope, &STANDARD).unwrap();
            assert_eq!(packet.priority().get(), byte);
        }
    }
}

/// W7, W8, R4 and R11: every value of the count, against the length that there is. RFC 9568 §5.2.5, erratum 8299.
#[test]
fn every_count() {
    for (message, envelope) in all() {
        let right = message[3];
        let trailer = if message[0] == 0x21 { 8 } else { 0 };
        for byte in 0..=255 {
            let changed = changed(&message, &envelope, |message| message[3] = byte);
            let result = Packet::parse(&changed, &envelope, &STANDARD);
            let length = 8 + usize::from(byte) * envelope.family().address_len() + trailer;
            let actual = message.len();
            let expected = match byte {
                0 => Err(Error::NoAddress),
                _ if byte < right => Err(Error::TooLong {
                    expected: length,
                    actual,
                }),
                _ if byte > right => Err(Error::TooShort {
                    needed: length,
                    actual,
                }),
                _ => Ok(usize::from(byte)),
            };
            assert_eq!(result.map(|packet| packet.addresses().len()), expected);
        }
    }
}

/// W4 and R12: every value of bytes 4 and 5 of VRRPv3. RFC 9568 §5.2.6 and §5.2.7, erratum 8301.
#[test]
fn every_interval_of_version_3() {
    for (message, envelope) in [
        (v3(ChecksumForm::Rfc5798), multicast()),
        (v3_ipv6(), multicast_6()),
    ] {
        for value in 0..=u16::MAX {
            let changed = changed(&message, &envelope, |message| {
                message[4..6].copy_from_slice(&value.to_be_bytes());
            });
            let result = Packet::parse(&changed, &envelope, &STANDARD);
            match value & 0x0fff {
                0 => assert_eq!(result, Err(Error::NoInterval)),
                centiseconds => assert_eq!(result.unwrap().interval().centiseconds(), centiseconds),
            }
        }
    }
}

/// W4: the reserved bits are zero when sent.
#[test]
fn reserved_bits_are_sent_as_zero() {
    for centiseconds in [1, 100, 4095] {
        let interval = AdverInterval::from_centiseconds(centiseconds).unwrap();
        let advertisement = Advertisement::version_3(vrid(), Priority::DEFAULT, interval, [VIP]).unwrap();
        let message = emit(&advertisement, &multicast(), ChecksumForm::default());
        assert_eq!(message[4..6], centiseconds.to_be_bytes());
    }
}

/// W5 and R12: every interval of VRRPv2. RFC 3768 §5.3.7.
#[test]
fn every_interval_of_version_2() {
    let message = v2(Authentication::None);
    assert_eq!(message[4..6], [0, 1]);
    for byte in 0..=255 {
        let changed = changed(&message, &multicast(), |message| message[5] = byte);
        let result = Packet::parse(&changed, &multicast(), &STANDARD);
        match byte {
            0 => assert_eq!(result, Err(Error::NoInterval)),
            seconds => assert_eq!(result.unwrap().interval().seconds(), Some(seconds)),
        }
    }
}

/// W5 and R8: every authentication type of VRRPv2. RFC 3768 §5.3.6, RFC 2338 §5.3.6.
#[test]
fn every_authentication_type() {
    let message = v2(Authentication::SimplePassword(Password::truncating(b"s3cr")));
    for byte in 0..=255 {
        let changed = changed(&message, &multicast(), |message| message[4] = byte);
        let result = Packet::parse(&changed, &multicast(), &STANDARD).map(|packet| packet.authentication());
        let expected = match byte {
            0 => Ok(Authentication::None),
            1 => Ok(Authentication::SimplePassword(Password::truncating(b"s3cr"))),
            2 => Err(Error::AuthenticationHeader),
            other => Err(Error::AuthenticationType(other)),
        };
        assert_eq!(result, expected);
    }
}

/// W6: RFC 3768 §5.3.10; eight bytes in any case, zero when sent, ignored when received.
#[test]
fn version_2_always_has_authentication_data() {
    let message = v2(Authentication::None);
    assert_eq!(message.len(), 20);
    assert_eq!(message[12..], [0; 8]);
    let other = changed(&message, &multicast(), |message| message[12..].fill(0xaa));
    let packet = Packet::parse(&other, &multicast(), &STANDARD).unwrap();
    assert_eq!(packet.authentication(), Authentication::None);
    assert_eq!(
        emit(&packet.advertisement(), &multicast(), ChecksumForm::default()),
        message
    );

    let message = v2(Authentication::SimplePassword(Password::truncating(b"s3cr")));
    assert_eq!(message[12..], *b"s3cr\0\0\0\0");
}

/// W7 and R4: RFC 9568 §5.2, RFC 3768 §5.1; the length is exact.
#[test]
fn lengths_are_exact() {
    assert_eq!(v3(ChecksumForm::Rfc5798).len(), 8 + 4);
    assert_eq!(v3_ipv6().len(), 8 + 2 * 16);
    assert_eq!(v2(Authentication::None).len(), 8 + 4 + 8);
    for (message, envelope) in all() {
        for extra in [1, 4, 8, 28] {
            let longer = changed(&message, &envelope, |message| {
                message.resize(message.len() + extra, 0);
            });
            let expected = message.len();
            let actual = longer.len();
            assert_eq!(refused(&longer, &envelope), Error::TooLong { expected, actual });
            assert_eq!(Packet::length_in(&longer, envelope.family()), Ok(expected));
        }
    }
}

/// R4: no prefix of a valid message is one, whatever its checksum.
#[test]
fn every_prefix_is_refused() {
    for (message, envelope) in all() {
        for length in 0..message.len() {
            let prefix = &message[..length];
            let needed = if length < 8 { 8 } else { message.len() };
            let too_short = Error::TooShort {
                needed,
                actual: length,
            };
            assert_eq!(refused(prefix, &envelope), too_short);
            assert_eq!(Packet::length_in(prefix, envelope.family()), Err(too_short));
        }
        assert_eq!(Packet::length_in(&message, envelope.family()), Ok(message.len()));
    }
}

/// The length is only read where there is a version.
#[test]
fn no_length_without_a_version() {
    let mut message = v2(Authentication::None);
    assert_eq!(
        Packet::length_in(&message, AddressFamily::Ipv6),
        Err(Error::Version2OverIpv6)
    );
    message[0] = 0x41;
    assert_eq!(
        Packet::length_in(&message, AddressFamily::Ipv4),
        Err(Error::Version(4))
    );
}

/// W9 and R13: RFC 9568 §5.2.9, erratum 8300.
#[test]
fn the_first_ipv6_address_is_link_local() {
    let global = VIPS_6[1];
    let list = [global, VIPS_6[0]];
    assert_eq!(
        Advertisement::version_3(vrid(), Priority::DEFAULT, AdverInterval::DEFAULT, list).unwrap_err(),
        Error::NotLinkLocal(global)
    );
    let advertisement =
        Advertisement::version_3_any_first_address(vrid(), Priority::DEFAULT, AdverInterval::DEFAULT, list);
    let message = emit(&advertisement.unwrap(), &multicast_6(), ChecksumForm::default());
    let error = refused(&message, &multicast_6());
    assert_eq!(error, Error::NotLinkLocal(global));
    assert_eq!(error.field(), Some(Field::Addresses));
    let packet = Packet::parse(&message, &multicast_6(), &STANDARD.any_first_address()).unwrap();
    assert!(packet.addresses().eq(list));

    let message = v3_ipv6();
    let packet = Packet::parse(&message, &multicast_6(), &STANDARD).unwrap();
    assert!(packet.addresses().eq(VIPS_6));
}

/// W10: RFC 9568 §5.2.9; one family, that of the IP header.
#[test]
fn families_are_never_mixed() {
    let mixed: [IpAddr; 2] = [SOURCE_6, VIP.into()];
    let advertise = |list: &[IpAddr]| {
        Advertisement::version_3(
            vrid(),
            Priority::DEFAULT,
            AdverInterval::DEFAULT,
            list.iter().copied(),
        )
        .map(|advertisement| advertisement.buffer_len())
    };
    assert_eq!(advertise(&mixed), Err(Error::MixedFamilies));
    assert_eq!(advertise(&mixed[..1]), Ok(24));
    assert_eq!(advertise(&mixed[1..]), Ok(12));

    let advertisement = Advertisement::version_3(vrid(), Priority::DEFAULT, AdverInterval::DEFAULT, [VIP]);
    let result = advertisement
        .unwrap()
        .emit(&multicast_6(), ChecksumForm::default(), &mut [0; 100]);
    assert_eq!(result, Err(Error::MixedFamilies));

    // The same bytes are four IPv4 addresses or one IPv6 address, as the header says.
    let message = changed(&v3_ipv6(), &multicast(), |message| message[3] = 8);
    let packet = Packet::parse(&message, &multicast(), &STANDARD).unwrap();
    assert_eq!(
        (packet.family(), packet.addresses().len()),
        (AddressFamily::Ipv4, 8)
    );
}

/// VRRPv2 is a protocol of IPv4: RFC 3768 §1.
#[test]
fn version_2_has_no_ipv6() {
    let result = Advertisement::version_2(
        vrid(),
        Priority::DEFAULT,
        AdverInterval::DEFAULT,
        Authentication::None,
        VIPS_6,
    );
    assert_eq!(result.unwrap_err(), Error::Version2OverIpv6);
    let error = refused(&v2(Authentication::None), &multicast_6());
    assert_eq!(error, Error::Version2OverIpv6);
    assert_eq!(error.field(), Some(Field::Version));
}

/// W11: RFC 3768 §5.3.8; the message with its authentication data, without a pseudo-header.
#[test]
fn the_checksum_of_version_2() {
    for authentication in [
        Authentication::None,
        Authentication::SimplePassword(Password::truncating(b"s3cr")),
    ] {
        let message = v2(authentication);
        assert_eq!(message, changed(&message, &multicast(), |_| ()));
        for source in [SOURCE, IpAddr::from([10, 9, 8, 7])] {
            let packet = Packet::parse(&message, &Envelope::multicast(source), &STANDARD).unwrap();
            assert_eq!(packet.checksum_form(), None);
        }
    }
}

/// W12: RFC 9568 §5.2.8, RFC 8200 §8.1.
#[test]
fn the_checksum_of_version_3_over_ipv6() {
    let message = v3_ipv6();
    assert_eq!(message, changed(&message, &multicast_6(), |_| ()));
    let packet = Packet::parse(&message, &multicast_6(), &STANDARD).unwrap();
    assert_eq!(packet.checksum_form(), None);
    let advertisement = packet.advertisement();
    for form in [
        ChecksumForm::Rfc5798,
        ChecksumForm::Rfc9568,
        ChecksumForm::OldUnicast,
    ] {
        assert_eq!(emit(&advertisement, &multicast_6(), form), message, "{form:?}");
    }
    let other = Envelope::multicast("fe80::2".parse().unwrap());
    assert_eq!(refused(&message, &other).field(), Some(Field::Checksum));
}

/// W13: RFC 5798 §5.2.8 against RFC 9568 §5.2.8; sent as asked, received either way.
#[test]
fn the_disputed_checksum() {
    let with = v3(ChecksumForm::Rfc5798);
    let without = v3(ChecksumForm::Rfc9568);
    assert_eq!(with, [0x31, 5, 150, 1, 0, 100, 0x43, 0x9c, 10, 0, 0, 105]);
    assert_ne!(with, without);
    assert_eq!(v3(ChecksumForm::default()), with);

    let form = |message: &[u8], checks: ReceiveChecks| {
        Packet::parse(message, &multicast(), &checks).map(|packet| packet.checksum_form())
    };
    let checksum = |message: &[u8]| u16::from_be_bytes([message[6], message[7]]);
    let wrong = |found: &[u8], expected: &[u8]| {
        Err(Error::Checksum {
            found: checksum(found),
            expected: checksum(expected),
        })
    };
    assert_eq!(form(&with, STANDARD), Ok(Some(ChecksumForm::Rfc5798)));
    assert_eq!(form(&without, STANDARD), Ok(Some(ChecksumForm::Rfc9568)));
    let only = |form| STANDARD.only_checksum(form);
    assert_eq!(
        form(&with, only(ChecksumForm::Rfc5798)),
        Ok(Some(ChecksumForm::Rfc5798))
    );
    assert_eq!(
        form(&without, only(ChecksumForm::Rfc5798)),
        wrong(&without, &with)
    );
    assert_eq!(
        form(&without, only(ChecksumForm::Rfc9568)),
        Ok(Some(ChecksumForm::Rfc9568))
    );
    assert_eq!(form(&with, only(ChecksumForm::Rfc9568)), wrong(&with, &without));
}

/// W13: a unicast destination stands in the pseudo-header; old routers have the group there.
#[test]
fn unicast_checksums() {
    let envelope = Envelope::new(SOURCE, IpAddr::from([10, 0, 0, 2]), 255).unwrap();
    let advertisement = Advertisement::version_3(
        Vrid::new(10).unwrap(),
        Priority::new(150),
        AdverInterval::DEFAULT,
        [Ipv4Addr::new(10, 0, 0, 110)],
    );
    let advertisement = advertisement.unwrap();
    let emit = |form| emit(&advertisement, &envelope, form);
    let new = emit(ChecksumForm::Rfc5798);
    let old = emit(ChecksumForm::OldUnicast);
    assert_eq!(new, [0x31, 10, 150, 1, 0, 100, 0x19, 0xa3, 10, 0, 0, 110]);
    assert_ne!(new, old);

    let form = |message: &[u8], envelope, checks: ReceiveChecks| {
        Packet::parse(message, &envelope, &checks).map(|packet| packet.checksum_form())
    };
    let old_too = STANDARD.old_unicast_checksum();
    assert_eq!(form(&new, envelope, STANDARD), Ok(Some(ChecksumForm::Rfc5798)));
    assert_eq!(form(&new, envelope, old_too), Ok(Some(ChecksumForm::Rfc5798)));
    assert_eq!(
        form(&emit(ChecksumForm::Rfc9568), envelope, old_too),
        Ok(Some(ChecksumForm::Rfc9568))
    );
    assert_eq!(form(&old, envelope, old_too), Ok(Some(ChecksumForm::OldUnicast)));
    assert_eq!(
        form(&old, envelope, STANDARD).unwrap_err().field(),
        Some(Field::Checksum)
    );
    // To the group there is no difference, and the name is the usual one.
    assert_eq!(
        form(&v3(ChecksumForm::OldUnicast), multicast(), old_too),
        Ok(Some(ChecksumForm::Rfc5798))
    );
}

/// W14: RFC 9568 §5.2.8; what stood in the field before is not in the sum.
#[test]
fn the_checksum_field_is_zero_while_it_is_computed() {
    let advertisement =
        Advertisement::version_3(vrid(), Priority::new(150), AdverInterval::DEFAULT, [VIP]).unwrap();
    for before in [0x00, 0x5a, 0xff] {
        let mut buffer = [before; 12];
        advertisement
            .emit(&multicast(), ChecksumForm::Rfc5798, &mut buffer)
            .unwrap();
        assert_eq!(buffer[6..8], [0x43, 0x9c]);
    }
}

/// R1: RFC 9568 §7.1; every TTL.
#[test]
fn every_hop_limit() {
    for (message, envelope) in all() {
        for hop_limit in 0..=255 {
            let envelope = Envelope::new(envelope.source(), envelope.destination(), hop_limit).unwrap();
            let result = Packet::parse(&message, &envelope, &STANDARD);
            if hop_limit == 255 {
                assert!(result.is_ok());
            } else {
                assert_eq!(result, Err(Error::HopLimit(hop_limit)));
            }
            let some = STANDARD.hop_limits(3, 64);
            assert_eq!(
                Packet::parse(&message, &envelope, &some).is_ok(),
                (3..=64).contains(&hop_limit)
            );
        }
    }
}

/// R5: RFC 9568 §7.1; every value of the checksum but the right one, and the other form of the right one.
#[test]
fn every_checksum() {
    for (message, envelope) in all() {
        let right = u16::from_be_bytes([message[6], message[7]]);
        let mut accepted = 0;
        for value in 0..=u16::MAX {
            let mut message = message.clone();
            message[6..8].copy_from_slice(&value.to_be_bytes());
            match Packet::parse(&message, &envelope, &STANDARD) {
                Ok(_) => accepted += 1,
                Err(error) => {
                    assert!(matches!(error, Error::Checksum { found, .. } if found == value));
                    assert_ne!(value, right);
                }
            }
        }
        let forms = if message[0] == 0x31 && envelope.family() == AddressFamily::Ipv4 {
            2
        } else {
            1
        };
        assert_eq!(accepted, forms);
    }
}

/// R5: one wrong bit anywhere is noticed.
#[test]
fn every_flipped_bit_is_refused() {
    for (message, envelope) in all() {
        for bit in 0..message.len() * 8 {
            let mut message = message.clone();
            message[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(
                Packet::parse(&message, &envelope, &STANDARD).is_err(),
                "bit {bit}"
            );
        }
    }
}

/// R14: each refusal names its field.
#[test]
fn refusals_name_the_field() {
    let message = v3(ChecksumForm::Rfc5798);
    let field = |index: usize, value: u8| {
        let changed = changed(&message, &multicast(), |message| message[index] = value);
        refused(&changed, &multicast()).field()
    };
    assert_eq!(field(0, 0x41), Some(Field::Version));
    assert_eq!(field(0, 0x32), Some(Field::Type));
    assert_eq!(field(1, 0), Some(Field::Vrid));
    assert_eq!(field(3, 0), Some(Field::Count));
    assert_eq!(field(3, 2), Some(Field::Length));
    assert_eq!(field(5, 0), Some(Field::Interval));
    let low = Envelope::new(SOURCE, IpAddr::from([224, 0, 0, 18]), 254).unwrap();
    assert_eq!(refused(&message, &low).field(), Some(Field::HopLimit));
    let mut wrong = message.clone();
    wrong[7] ^= 1;
    assert_eq!(refused(&wrong, &multicast()).field(), Some(Field::Checksum));
    let header = changed(&v2(Authentication::None), &multicast(), |message| message[4] = 2);
    assert_eq!(
        refused(&header, &multicast()).field(),
        Some(Field::Authentication)
    );
    let unknown = changed(&v2(Authentication::None), &multicast(), |message| message[4] = 3);
    assert_eq!(
        refused(&unknown, &multicast()).field(),
        Some(Field::Authentication)
    );
}

/// What is built is valid, or is not built.
#[test]
fn what_cannot_be_said_is_not_built() {
    let build = |interval: AdverInterval, count: usize| {
        let list = [VIP].into_iter().cycle().take(count);
        let v2 = Advertisement::version_2(
            vrid(),
            Priority::DEFAULT,
            interval,
            Authentication::None,
            list.clone(),
        );
        let v3 = Advertisement::version_3(vrid(), Priority::DEFAULT, interval, list);
        (v2.map(|v2| v2.buffer_len()), v3.map(|v3| v3.buffer_len()))
    };
    let second = AdverInterval::DEFAULT;
    assert_eq!(build(second, 0), (Err(Error::NoAddress), Err(Error::NoAddress)));
    assert_eq!(build(second, 255), (Ok(1036), Ok(1028)));
    let too_many = Error::TooManyAddresses(256);
    assert_eq!(build(second, 256), (Err(too_many), Err(too_many)));
    assert_eq!(too_many.field(), None);

    let part = AdverInterval::from_centiseconds(150).unwrap();
    let version_2 = Error::Interval {
        version: Version::V2,
        interval: part,
    };
    assert_eq!(build(part, 1), (Err(version_2), Ok(12)));
    let long = AdverInterval::from_seconds(41).unwrap();
    let version_3 = Error::Interval {
        version: Version::V3,
        interval: long,
    };
    assert_eq!(build(long, 1), (Ok(20), Err(version_3)));
}

/// A short buffer is refused, a long one is written at its beginning.
#[test]
fn buffers() {
    let advertisement =
        Advertisement::version_3(vrid(), Priority::new(150), AdverInterval::DEFAULT, [VIP]).unwrap();
    let needed = advertisement.buffer_len();
    for actual in 0..needed {
        let result = advertisement.emit(&multicast(), ChecksumForm::default(), &mut vec![0; actual]);
        assert_eq!(result, Err(Error::BufferTooSmall { needed, actual }));
    }
    let mut buffer = [0xee; 20];
    assert_eq!(
        advertisement.emit(&multicast(), ChecksumForm::default(), &mut buffer),
        Ok(12)
    );
    assert_eq!(buffer[..12], v3(ChecksumForm::default()));
    assert_eq!(buffer[12..], [0xee; 8]);
}

/// Leaving is the same advertisement with priority 0.
#[test]
fn another_priority() {
    let advertisement =
        Advertisement::version_3(vrid(), Priority::new(150), AdverInterval::DEFAULT, [VIP]).unwrap();
    let message = emit(
        &advertisement.with_priority(Priority::RELEASE),
        &multicast(),
        ChecksumForm::default(),
    );
    assert_eq!(message, [0x31, 5, 0, 1, 0, 100, 0xd9, 0x9c, 10, 0, 0, 105]);
}

/// An iterator that breaks its promise to repeat itself does no harm.
#[test]
fn addresses_that_change() {
    use std::cell::Cell;

    let both = [IpAddr::V4(VIP), SOURCE_6];
    for (first, second) in [
        (&both[..1], &both[..0]),
        (&both[..1], &both[1..]),
        (&both[1..], &both[..1]),
    ] {
        for second in [second, &[], &[first[0]; 2]] {
            let round = Cell::new(0);
            let changing = std::iter::once(()).flat_map(|()| {
                let list = if round.replace(round.get() + 1) < 2 {
                    first
                } else {
                    second
                };
                list.iter().copied()
            });
            let advertisement =
                Advertisement::version_3(vrid(), Priority::DEFAULT, AdverInterval::DEFAULT, changing)
                    .unwrap();
            let envelope = if first[0].is_ipv4() {
                multicast()
            } else {
                multicast_6()
            };
            let result = advertisement.emit(&envelope, ChecksumForm::default(), &mut [0; 64]);
            assert_eq!(result, Err(Error::AddressesChanged));
        }
    }
}

/// Addresses may come from anything that can be gone through twice.
#[test]
fn addresses_from_wherever_they_are() {
    struct Row {
        address: IpAddr,
    }
    let rows = [Row { address: VIP.into() }];
    let from_rows = Advertisement::version_3(
        vrid(),
        Priority::new(150),
        AdverInterval::DEFAULT,
        rows.iter().map(|row| row.address),
    );
    let from_vec = Advertisement::version_3(vrid(), Priority::new(150), AdverInterval::DEFAULT, vec![VIP]);
    let expected = v3(ChecksumForm::default());
    assert_eq!(
        emit(&from_rows.unwrap(), &multicast(), ChecksumForm::default()),
        expected
    );
    assert_eq!(
        emit(&from_vec.unwrap(), &multicast(), ChecksumForm::default()),
        expected
    );
}

/// RFC 9568 §5.2.5 has such a message ignored, and so it is unless that is asked for.
#[test]
fn a_message_without_addresses_is_taken_only_where_it_is_expected() {
    let vrid = vrid();
    let ipv4 = Envelope::new("10.0.0.1".parse().unwrap(), "224.0.0.18".parse().unwrap(), 255).unwrap();
    let ipv6 = Envelope::new("fe80::1".parse().unwrap(), "ff02::12".parse().unwrap(), 255).unwrap();
    for (version, envelope, length) in [
        (Version::V2, ipv4, 16),
        (Version::V3, ipv4, 8),
        (Version::V3, ipv6, 8),
    ] {
        let built = Advertisement::<Vec<IpAddr>>::without_addresses(
            version,
            envelope.family(),
            vrid,
            Priority::DEFAULT,
            AdverInterval::DEFAULT,
            Authentication::None,
        );
        let mut message = [0; 16];
        let written = built
            .unwrap()
            .emit(&envelope, ChecksumForm::Rfc5798, &mut message)
            .unwrap();
        assert_eq!(written, length);
        let message = &message[..written];
        assert_eq!(
            Packet::parse(message, &envelope, &STANDARD),
            Err(Error::NoAddress)
        );
        let packet = Packet::parse(message, &envelope, &STANDARD.no_address()).unwrap();
        assert_eq!((packet.addresses().len(), packet.vrid()), (0, vrid));
        for end in 0..length {
            assert!(Packet::parse(&message[..end], &envelope, &STANDARD.no_address()).is_err());
        }
    }
    let refused = |version, family, interval| {
        Advertisement::<Vec<IpAddr>>::without_addresses(
            version,
            family,
            vrid,
            Priority::DEFAULT,
            interval,
            Authentication::None,
        )
        .unwrap_err()
    };
    let part = AdverInterval::from_centiseconds(150).unwrap();
    assert!(matches!(
        refused(Version::V2, AddressFamily::Ipv4, part),
        Error::Interval { .. }
    ));
    assert_eq!(
        refused(Version::V2, AddressFamily::Ipv6, AdverInterval::DEFAULT),
        Error::Version2OverIpv6
    );
}
