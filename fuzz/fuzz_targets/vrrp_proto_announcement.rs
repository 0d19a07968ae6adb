//! Any bytes as a gratuitous ARP, as an ARP claim and as an unsolicited neighbour advertisement: read or refused, and what
//! was read is written as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vrrp_proto::{ArpClaim, Error, GratuitousArp, UnsolicitedAdvertisement};

fuzz_target!(|input: &[u8]| {
    if let Ok(arp) = GratuitousArp::parse(input) {
        let mut again = vec![0; arp.buffer_len()];
        assert_eq!(arp.emit(&mut again), Ok(again.len()));
        assert_eq!(GratuitousArp::parse(&again), Ok(arp));
    }
    // Whatever claims an address says so to everybody who has the same; and a gratuitous ARP is a claim, but for 0.0.0.0.
    let claim = ArpClaim::parse(input);
    if let Ok(claim) = claim {
        let mut again = [0; 42];
        let announcement = GratuitousArp::new(claim.mac(), claim.address());
        assert_eq!(announcement.emit(&mut again), Ok(again.len()));
        assert_eq!(ArpClaim::parse(&again), Ok(claim));
    } else if let Ok(arp) = GratuitousArp::parse(input) {
        assert!(arp.address().is_unspecified());
    }
    let mut bytes = input.to_vec();
    // What only lacks the right checksum gets it, where it is in a frame without tags and extension headers.
    if let Err(Error::Checksum { expected, .. }) = UnsolicitedAdvertisement::parse(&bytes)
        && let Some(field) = bytes.get_mut(56..58)
    {
        field.copy_from_slice(&expected.to_be_bytes());
    }
    if let Ok(announcement) = UnsolicitedAdvertisement::parse(&bytes) {
        let mut again = vec![0; announcement.buffer_len()];
        assert_eq!(announcement.emit(&mut again), Ok(again.len()));
        assert_eq!(UnsolicitedAdvertisement::parse(&again), Ok(announcement));
    }
});
