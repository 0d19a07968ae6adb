//! Any bytes as a VRRP message: read or refused, and what was read is written as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vrrp_proto::{Envelope, Error, Packet, ReceiveChecks};

const ANY: ReceiveChecks = ReceiveChecks::STANDARD
    .hop_limits(0, 255)
    .any_first_address()
    .old_unicast_checksum();

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else {
        return;
    };
    let envelope = match choice & 3 {
        0 => Envelope::multicast([10, 0, 0, 1].into()),
        1 => Envelope::multicast([0xfe80, 0, 0, 0, 0, 0, 0, 1].into()),
        2 => Envelope::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), choice).unwrap(),
        _ => Envelope::multicast([0, 0, 0, 0].into()),
    };
    let _ = Packet::parse(bytes, &envelope, &ReceiveChecks::STANDARD);
    let mut bytes = bytes.to_vec();
    // What only lacks the right checksum gets it: no fuzzer guesses that.
    if let Err(Error::Checksum { expected, .. }) = Packet::parse(&bytes, &envelope, &ANY) {
        bytes[6..8].copy_from_slice(&expected.to_be_bytes());
        assert!(Packet::parse(&bytes, &envelope, &ANY).is_ok());
    }
    let Ok(packet) = Packet::parse(&bytes, &envelope, &ANY) else {
        return;
    };
    assert_eq!(Packet::length_in(&bytes, envelope.family()), Ok(bytes.len()));
    assert_eq!(Packet::claimed_vrid(&bytes), Some(packet.vrid()));
    let advertisement = packet.advertisement();
    let form = packet.checksum_form().unwrap_or_default();
    let mut again = vec![0xee; bytes.len()];
    assert_eq!(advertisement.emit(&envelope, form, &mut again), Ok(bytes.len()));
    assert_eq!(
        Packet::parse(&again, &envelope, &ANY.only_checksum(form)),
        Ok(packet)
    );
});
