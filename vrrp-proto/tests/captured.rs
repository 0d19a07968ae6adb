//! Frames captured from keepalived and FRR: they say what they are known to say, and come out again byte for byte.

mod support;

use support::Captured;
use vrrp_proto::{
    AddressFamily, Authentication, ChecksumForm, Datagram, Error, EthernetHeader, Frame, GratuitousArp,
    IpHeader, MacAddress, Password, ReceiveChecks, UnsolicitedAdvertisement, Version,
};

/// FRR sends IPv6 lists that do not begin with a link-local address.
const CHECKS: ReceiveChecks = ReceiveChecks::STANDARD.any_first_address();

/// The 24 advertisements without an Authentication Header say what is known about them.
#[test]
fn advertisements_say_what_they_are_known_to_say() {
    for captured in Captured::of_kind("advertisement", 24) {
        let what = &captured.what;
        let frame = Frame::parse(&captured.frame).expect(what);
        assert_eq!(
            frame.ethernet().source().to_string(),
            captured.text("ethernet_source"),
            "{what}"
        );
        assert_eq!(
            frame.ethernet().destination().to_string(),
            captured.text("ethernet_destination")
        );
        assert_eq!(frame.ethernet().tags().count(), 0);
        assert_eq!(frame.envelope().source(), captured.address("source"), "{what}");
        assert_eq!(
            frame.envelope().destination(),
            captured.address("destination"),
            "{what}"
        );
        assert_eq!(frame.envelope().hop_limit(), captured.byte("hop_limit"), "{what}");
        assert_eq!(
            frame.header().traffic_class(),
            captured.byte("traffic_class"),
            "{what}"
        );
        assert_eq!(
            frame.header().identification(),
            captured.word("identification"),
            "{what}"
        );
        assert_eq!(
            frame.header().dont_fragment(),
            captured.truth("dont_fragment"),
            "{what}"
        );
        assert_eq!(frame.header().flow_label(), captured.long("flow_label"), "{what}");

        let packet = frame.packet(&CHECKS).expect(what);
        assert_eq!(packet.version().number(), captured.byte("version"), "{what}");
        assert_eq!(packet.vrid().get(), captured.byte("vrid"), "{what}");
        assert_eq!(packet.priority().get(), captured.byte("priority"), "{what}");
        assert_eq!(
            packet.interval().centiseconds(),
            captured.word("interval_centiseconds"),
            "{what}"
        );
        assert!(packet.addresses().eq(captured.addresses()), "{what}");
        let authentication = match captured.expect["password"].as_str() {
            Some(password) => Authentication::SimplePassword(Password::truncating(password.as_bytes())),
            None => Authentication::None,
        };
        assert_eq!(packet.authentication(), authentication, "{what}");
        let form = (packet.version() == Version::V3 && packet.family() == AddressFamily::Ipv4)
            .then_some(ChecksumForm::Rfc5798);
        assert_eq!(packet.checksum_form(), form, "{what}");
    }
}

/// The message comes out as it was, and so does the whole frame once what the sender chose is given.
#[test]
fn advertisements_come_out_byte_for_byte() {
    for captured in Captured::of_kind("advertisement", 24) {
        let what = &captured.what;
        let frame = Frame::parse(&captured.frame).expect(what);
        let advertisement = frame.packet(&CHECKS).expect(what).advertisement();

        let mut buffer = [0; 200];
        let length = advertisement
            .emit(frame.envelope(), ChecksumForm::Rfc5798, &mut buffer)
            .unwrap();
        assert_eq!(buffer[..length], *frame.message(), "{what}");

        let source = parse_mac(&captured.text("ethernet_source"));
        let destination = parse_mac(&captured.text("ethernet_destination"));
        let ethernet = EthernetHeader::new(source, destination);
        if frame.envelope().destination().is_multicast() {
            assert_eq!(
                EthernetHeader::multicast(source, frame.envelope()),
                Some(ethernet)
            );
        }
        let header = IpHeader::new(*frame.envelope())
            .with_traffic_class(captured.byte("traffic_class"))
            .with_identification(captured.word("identification"))
            .with_dont_fragment(captured.truth("dont_fragment"))
            .with_flow_label(captured.long("flow_label"));
        let length = ethernet
            .emit(&header, &advertisement, ChecksumForm::Rfc5798, &mut buffer)
            .unwrap();
        assert_eq!(buffer[..length], captured.frame, "{what}");
    }
}

/// What comes with a virtual MAC comes with the one of its VRID and family: RFC 9568 §7.3.
#[test]
fn virtual_macs_are_those_of_the_vrid() {
    let mut seen = 0;
    for captured in Captured::of_kind("advertisement", 24) {
        let frame = Frame::parse(&captured.frame).unwrap();
        let packet = frame.packet(&CHECKS).unwrap();
        if let Some(of) = frame.ethernet().source().as_virtual_router() {
            assert_eq!(of, (packet.family(), packet.vrid()), "{}", captured.what);
            seen += 1;
        }
    }
    assert_eq!(seen, 12);
}

/// The two advertisements behind an IP Authentication Header are refused as that, also from the IP header on.
#[test]
fn authentication_headers_are_refused_as_such() {
    for captured in Captured::of_kind("authentication header", 2) {
        assert_eq!(Frame::parse(&captured.frame), Err(Error::AuthenticationHeader));
        assert_eq!(
            Datagram::parse(&captured.frame[14..]),
            Err(Error::AuthenticationHeader)
        );
    }
}

/// D5 on the wire: both daemons' gratuitous ARP, read and written.
#[test]
fn gratuitous_arps() {
    for captured in Captured::of_kind("gratuitous arp", 12) {
        let what = &captured.what;
        let arp = GratuitousArp::parse(&captured.frame).expect(what);
        assert_eq!(arp.mac().to_string(), captured.text("mac"), "{what}");
        assert_eq!(captured.address("address"), arp.address(), "{what}");
        let made = GratuitousArp::new(arp.mac(), arp.address());
        assert_eq!(made, arp);
        let mut buffer = [0; 42];
        assert_eq!(made.emit(&mut buffer), Ok(42));
        assert_eq!(buffer[..], captured.frame, "{what}");
    }
}

/// D6 on the wire: both daemons' unsolicited neighbour advertisement, read and written.
#[test]
fn unsolicited_advertisements() {
    for captured in Captured::of_kind("unsolicited neighbour advertisement", 5) {
        let what = &captured.what;
        let announcement = UnsolicitedAdvertisement::parse(&captured.frame).expect(what);
        assert_eq!(announcement.mac().to_string(), captured.text("mac"), "{what}");
        assert_eq!(announcement.address(), captured.ipv6("address"), "{what}");
        assert_eq!(announcement.source(), captured.ipv6("source"), "{what}");
        assert_eq!(announcement.is_router(), captured.truth("router"), "{what}");
        assert_eq!(announcement.overrides(), captured.truth("override"), "{what}");
        let made = UnsolicitedAdvertisement::new(announcement.mac(), announcement.address()).unwrap();
        assert_eq!(made, announcement);
        let mut buffer = [0; 86];
        assert_eq!(made.emit(&mut buffer), Ok(86));
        assert_eq!(buffer[..], captured.frame, "{what}");
    }
}

/// No prefix of a captured frame is taken for one.
#[test]
fn every_prefix_is_refused() {
    for captured in Captured::all() {
        for length in 0..captured.frame.len() {
            let prefix = &captured.frame[..length];
            assert!(read(prefix).is_err(), "{length} bytes of {}", captured.what);
        }
    }
}

/// One wrong bit anywhere behind the Ethernet header of an advertisement or a neighbour advertisement is noticed, but for
/// the fields of IPv6 that no checksum covers: traffic class, flow label, and a hop limit that is not looked at.
#[test]
fn every_flipped_bit_is_refused() {
    for captured in Captured::all() {
        let kind = captured.text("kind");
        if kind == "gratuitous arp" {
            continue;
        }
        let ipv6 = captured.frame[12..14] == [0x86, 0xdd];
        for bit in 14 * 8..captured.frame.len() * 8 {
            if ipv6 && (14 * 8 + 4..18 * 8).contains(&bit) {
                continue;
            }
            let mut frame = captured.frame.clone();
            frame[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(read(&frame).is_err(), "bit {bit} of {}", captured.what);
        }
    }
}

/// Whatever the frame turns out to be.
fn read(frame: &[u8]) -> Result<(), Error> {
    let arp = GratuitousArp::parse(frame).map(drop);
    let announcement = UnsolicitedAdvertisement::parse(frame).map(drop);
    let advertisement = Frame::parse(frame).and_then(|frame| frame.packet(&CHECKS).map(drop));
    arp.or(announcement).or(advertisement)
}

fn parse_mac(text: &str) -> MacAddress {
    let mut octets = [0; 6];
    for (octet, part) in octets.iter_mut().zip(text.split(':')) {
        *octet = u8::from_str_radix(part, 16).unwrap();
    }
    MacAddress(octets)
}
