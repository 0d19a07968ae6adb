//! Nothing allocates: neither reading nor writing, whatever the message.

mod sys;

use std::net::{Ipv4Addr, Ipv6Addr};

use vrrp_proto::{
    AdverInterval, Advertisement, ChecksumForm, Envelope, EthernetHeader, Frame, GratuitousArp, HmacKey,
    IpHeader, MacAddress, Message, Priority, ReceiveChecks, Sequence, Signed, Trailer,
    UnsolicitedAdvertisement, Vrid,
};

#[test]
fn the_counter_counts() {
    assert!(sys::allocations_in(|| drop(std::hint::black_box(Box::new(1)))) >= 1);
}

#[test]
fn nothing_allocates() {
    let allocations = sys::allocations_in(|| {
        round_trip([10, 0, 0, 1].into(), &[Ipv4Addr::new(10, 0, 0, 7)]);
        round_trip([10, 0, 0, 1].into(), &[Ipv4Addr::new(10, 0, 0, 7); 255]);
        round_trip(
            [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(),
            &[Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7); 255],
        );
        announcements();
    });
    assert_eq!(allocations, 0);
}

fn round_trip<A: Into<std::net::IpAddr> + Copy>(source: std::net::IpAddr, addresses: &[A]) {
    let vrid = Vrid::new(51).unwrap();
    let advertisement = Advertisement::version_3(
        vrid,
        Priority::DEFAULT,
        AdverInterval::DEFAULT,
        addresses.iter().copied(),
    )
    .unwrap();
    let key = HmacKey::new(1, &[0x5a; 32]).unwrap();
    let message = Signed::new(advertisement, &key, Sequence::at(1, 0));
    let envelope = Envelope::multicast(source);
    let ethernet =
        EthernetHeader::multicast(MacAddress::virtual_router(envelope.family(), vrid), &envelope).unwrap();
    let header = IpHeader::new(envelope);
    let mut buffer = [0; 5000];
    let length = ethernet
        .emit(&header, &message, ChecksumForm::Rfc5798, &mut buffer)
        .unwrap();

    let frame = Frame::parse(&buffer[..length]).unwrap();
    let (plain, trailer) = Trailer::split(frame.message(), frame.envelope()).unwrap();
    assert!(
        trailer
            .unwrap()
            .verify(std::slice::from_ref(&key), plain, frame.envelope())
            .is_ok()
    );
    assert_eq!(plain.len() + Trailer::LEN, message.buffer_len());
    let packet = vrrp_proto::Packet::parse(plain, frame.envelope(), &ReceiveChecks::STANDARD).unwrap();
    assert!(packet.addresses().eq(addresses.iter().copied().map(Into::into)));
    // A refusal does not allocate either.
    assert!(Frame::parse(&buffer[..length - 1]).is_err());
}

fn announcements() {
    let mac = MacAddress([0, 0, 0x5e, 0, 1, 51]);
    let mut buffer = [0; 86];
    let arp = GratuitousArp::new(mac, Ipv4Addr::new(10, 0, 0, 7));
    arp.emit(&mut buffer).unwrap();
    assert_eq!(GratuitousArp::parse(&buffer), Ok(arp));
    let announcement = UnsolicitedAdvertisement::new(mac, Ipv6Addr::LOCALHOST).unwrap();
    announcement.emit(&mut buffer).unwrap();
    assert_eq!(UnsolicitedAdvertisement::parse(&buffer), Ok(announcement));
}
