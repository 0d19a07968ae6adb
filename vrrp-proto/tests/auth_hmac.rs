//! keepalived's `auth_hmac` trailer through the public API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::{
    AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, Error, Field, HmacKey, Message,
    Packet, Priority, ReceiveChecks, ReplayWindow, Sequence, Signed, Trailer, Verified, Vrid,
};

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SOURCE_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1));
const FORM: ChecksumForm = ChecksumForm::Rfc5798;

fn keys() -> [HmacKey; 2] {
    [7, 9].map(|id| HmacKey::new(id, SECRET).unwrap())
}

fn sequence() -> Sequence {
    Sequence::at(0x6543_2100, 500_000_000).next()
}

fn sign(message: impl Message, envelope: &Envelope, sequence: Sequence) -> Vec<u8> {
    let key = &keys()[0];
    let signed = Signed::new(message, key, sequence);
    let mut buffer = vec![0xee; signed.buffer_len()];
    assert_eq!(signed.emit(envelope, FORM, &mut buffer), Ok(buffer.len()));
    buffer
}

fn advertisement<A: Into<IpAddr> + Clone>(address: A) -> Advertisement<[A; 1]> {
    Advertisement::version_3(
        Vrid::new(5).unwrap(),
        Priority::new(150),
        AdverInterval::DEFAULT,
        [address],
    )
    .unwrap()
}

fn v2() -> Advertisement<[Ipv4Addr; 1]> {
    Advertisement::version_2(
        Vrid::new(5).unwrap(),
        Priority::new(150),
        AdverInterval::DEFAULT,
        Authentication::None,
        [Ipv4Addr::new(10, 0, 0, 105)],
    )
    .unwrap()
}

/// Each kind of signed message.
fn all() -> [(Vec<u8>, Envelope); 3] {
    let ipv4 = Envelope::multicast(SOURCE);
    let ipv6 = Envelope::multicast(SOURCE_6);
    let v3 = advertisement(Ipv4Addr::new(10, 0, 0, 105));
    let v3_ipv6 = advertisement(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7));
    [
        (sign(v2(), &ipv4, sequence()), ipv4),
        (sign(v3, &ipv4, sequence()), ipv4),
        (sign(v3_ipv6, &ipv6, sequence()), ipv6),
    ]
}

fn verify(bytes: &[u8], envelope: &Envelope) -> Result<Verified, Error> {
    let (message, trailer) = Trailer::split(bytes, envelope)?;
    trailer.expect("a trailer").verify(&keys(), message, envelope)
}

/// The layout, and the HMAC as Python's `hmac` module computes it over the bytes that it is to cover.
#[test]
fn the_bytes_of_the_trailer() {
    let expected: [&[u8; 16]; 3] = [
        b"\x1a\x38\x0e\x66\xca\x40\x6a\xea\x7f\xe2\xbd\x7c\x28\x5b\xe1\xec",
        b"\xf4\x4c\x04\xf8\xaf\x01\xec\xb1\xf9\xab\x20\x4b\x50\x02\xaf\x19",
        b"\x82\x47\xfe\x8e\x69\xf8\x76\xd3\x91\x2a\xc8\xd2\x18\x2b\x74\x4f",
    ];
    for ((bytes, _), tag) in all().iter().zip(expected) {
        let trailer = &bytes[bytes.len() - Trailer::LEN..];
        assert_eq!(
            trailer[..12],
            *b"\x01\x07\x00\x00\x65\x43\x21\x00\x80\x00\x00\x01"
        );
        assert_eq!(trailer[12..], *tag);
    }
}

/// The message in front of the trailer is the message without one, checksum included.
#[test]
fn the_message_is_as_it_would_be_without() {
    for (bytes, envelope) in all() {
        let (message, trailer) = Trailer::split(&bytes, &envelope).unwrap();
        let packet = Packet::parse(message, &envelope, &ReceiveChecks::STANDARD).unwrap();
        assert_eq!(packet.priority().get(), 150);
        let trailer = trailer.unwrap();
        assert_eq!((trailer.key(), trailer.sequence()), (7, sequence()));
        assert_eq!(Trailer::split(message, &envelope), Ok((message, None)));
        // Whoever does not know of trailers refuses the whole.
        assert!(Packet::parse(&bytes, &envelope, &ReceiveChecks::STANDARD).is_err());
    }
}

#[test]
fn what_was_signed_is_verified() {
    for (bytes, envelope) in all() {
        let verified = verify(&bytes, &envelope).unwrap();
        assert_eq!(
            (verified.source(), verified.sequence()),
            (envelope.source(), sequence())
        );
    }
}

/// Every bit counts, but for those of the checksum, which another check covers.
#[test]
fn every_flipped_bit_is_refused() {
    for (bytes, envelope) in all() {
        for bit in 0..bytes.len() * 8 {
            if (48..64).contains(&bit) {
                continue;
            }
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(verify(&bytes, &envelope).is_err(), "bit {bit}");
        }
        let mut bytes = bytes.clone();
        bytes[6] ^= 1;
        assert!(verify(&bytes, &envelope).is_ok());
    }
}

#[test]
fn a_signature_is_for_one_source() {
    let (bytes, _) = &all()[1];
    let other = Envelope::multicast([10, 0, 0, 2].into());
    let error = verify(bytes, &other).unwrap_err();
    assert_eq!(
        (error, error.field()),
        (Error::Forged, Some(Field::Authentication))
    );
}

#[test]
fn a_signature_is_by_one_key() {
    let (bytes, envelope) = &all()[1];
    let (message, trailer) = Trailer::split(bytes, envelope).unwrap();
    let trailer = trailer.unwrap();
    let other = [HmacKey::new(7, b"0123456789abcdef0123456789ABCDEf").unwrap()];
    assert_eq!(trailer.verify(&other, message, envelope), Err(Error::Forged));
    assert_eq!(
        trailer.verify(&keys()[1..], message, envelope),
        Err(Error::UnknownKey(7))
    );
    assert_eq!(trailer.verify(&[], message, envelope), Err(Error::UnknownKey(7)));
}

#[test]
fn other_trailers_are_refused() {
    for (bytes, envelope) in all() {
        let at = bytes.len() - Trailer::LEN;
        for (index, value) in [(0, 0), (0, 2), (1, 0), (2, 1), (3, 1)] {
            let mut bytes = bytes.clone();
            bytes[at + index] = value;
            assert_eq!(Trailer::split(&bytes, &envelope), Err(Error::Trailer));
        }
        for length in at + 1..bytes.len() {
            let error = Error::TooLong {
                expected: at,
                actual: length,
            };
            assert_eq!(Trailer::split(&bytes[..length], &envelope), Err(error));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        let error = Trailer::split(&longer, &envelope).unwrap_err();
        assert_eq!(error.field(), Some(Field::Length));
        for length in 0..at {
            let error = Trailer::split(&bytes[..length], &envelope).unwrap_err();
            assert_eq!(error.field(), Some(Field::Length));
        }
    }
}

#[test]
fn keys_have_a_number_and_a_length() {
    assert_eq!(HmacKey::new(0, SECRET), Err(Error::KeyId));
    for length in 0..100 {
        let key = HmacKey::new(200, &vec![0x5a; length]);
        match length {
            32..=64 => assert_eq!(key.unwrap().id(), 200),
            _ => assert_eq!(key, Err(Error::KeyLength(length))),
        }
    }
    assert_eq!(Error::KeyId.field(), None);
}

#[test]
fn keys_are_equal_if_they_sign_alike() {
    let key = |id, secret: &[u8]| HmacKey::new(id, secret).unwrap();
    assert_eq!(key(1, SECRET), key(1, SECRET));
    assert_ne!(key(1, SECRET), key(2, SECRET));
    assert_ne!(key(1, SECRET), key(1, &[0; 32]));
}

#[test]
fn a_key_is_not_shown() {
    let shown = format!("{:?}", HmacKey::new(7, SECRET).unwrap());
    assert_eq!(shown, "HmacKey { id: 7, .. }");
}

#[test]
fn buffers() {
    let keys = keys();
    let signed = Signed::new(v2(), &keys[0], sequence());
    let needed = 20 + 28;
    assert_eq!(signed.buffer_len(), needed);
    let envelope = Envelope::multicast(SOURCE);
    for actual in 0..needed {
        let result = signed.emit(&envelope, FORM, &mut vec![0; actual]);
        assert_eq!(result, Err(Error::BufferTooSmall { needed, actual }));
    }
    let mut long = [0xee; 60];
    assert_eq!(signed.emit(&envelope, FORM, &mut long), Ok(needed));
    assert_eq!(long[needed..], [0xee; 12]);
    let other = Envelope::multicast(SOURCE_6);
    assert_eq!(signed.emit(&other, FORM, &mut long), Err(Error::MixedFamilies));
}

/// A packet around a signed message says how long both are.
#[test]
fn packets_contain_the_trailer() {
    use vrrp_proto::{Datagram, IpHeader};

    let keys = keys();
    let signed = Signed::new(v2(), &keys[0], sequence());
    let header = IpHeader::new(Envelope::multicast(SOURCE));
    let mut buffer = [0; 100];
    let length = header.emit(&signed, FORM, &mut buffer).unwrap();
    assert_eq!(length, 20 + 20 + 28);
    let datagram = Datagram::parse(&buffer).unwrap();
    assert!(verify(datagram.message(), datagram.envelope()).is_ok());
}

/// A verified trailer from somebody at some time.
fn from(source: u8, bits: u64) -> Verified {
    let envelope = Envelope::multicast([10, 0, 0, source].into());
    verify(&sign(v2(), &envelope, Sequence::from_bits(bits)), &envelope).unwrap()
}

#[test]
fn nothing_is_accepted_twice() {
    let mut window = ReplayWindow::<4>::new();
    assert_eq!(window, ReplayWindow::default());
    assert_eq!(window.accept(&from(1, 10)), Ok(()));
    let before = window.clone();
    for old in [10, 9, 0, u64::MAX] {
        assert_eq!(window.accept(&from(1, old)), Err(Error::Replayed));
    }
    assert_eq!(window, before);
    assert_eq!(window.accept(&from(1, 11)), Ok(()));
    assert_eq!(window.accept(&from(1, 1 << 62)), Ok(()));
    assert_eq!(Error::Replayed.field(), Some(Field::Authentication));
}

#[test]
fn each_sender_has_its_own_sequence() {
    let mut window = ReplayWindow::<4>::new();
    for source in 1..=4 {
        assert_eq!(window.accept(&from(source, 10 * u64::from(source))), Ok(()));
    }
    for source in 1..=4 {
        let last = 10 * u64::from(source);
        assert_eq!(window.accept(&from(source, last)), Err(Error::Replayed));
        assert_eq!(window.accept(&from(source, last + 1)), Ok(()));
    }
}

#[test]
fn the_sender_silent_for_longest_is_forgotten() {
    let mut window = ReplayWindow::<3>::new();
    for source in [1, 2, 3] {
        assert_eq!(window.accept(&from(source, 10)), Ok(()));
    }
    assert_eq!(window.accept(&from(1, 11)), Ok(()));
    // A replay is no sign of life.
    assert_eq!(window.accept(&from(2, 10)), Err(Error::Replayed));
    assert_eq!(window.accept(&from(4, 10)), Ok(()));
    // Now 2 is forgotten, and comes back in place of 3; 1 and 4 are still known.
    assert_eq!(window.accept(&from(1, 11)), Err(Error::Replayed));
    assert_eq!(window.accept(&from(3, 10)), Err(Error::Replayed));
    assert_eq!(window.accept(&from(4, 10)), Err(Error::Replayed));
    assert_eq!(window.accept(&from(2, 10)), Ok(()));
    assert_eq!(window.accept(&from(1, 11)), Err(Error::Replayed));
    assert_eq!(window.accept(&from(4, 10)), Err(Error::Replayed));
    assert_eq!(window.accept(&from(3, 10)), Ok(()));
}
