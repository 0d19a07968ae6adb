//! Any bytes as a message with a trailer: taken apart or refused, never verified; what is signed here is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vrrp_proto::{Envelope, HmacKey, Message, Packet, ReceiveChecks, ReplayWindow, Signed, Trailer};

const ANY: ReceiveChecks = ReceiveChecks::STANDARD.hop_limits(0, 255).any_first_address();

fuzz_target!(|input: &[u8]| {
    let envelope = match input.first().map(|first| first & 1) {
        Some(0) => Envelope::multicast([10, 0, 0, 1].into()),
        _ => Envelope::multicast([0xfe80, 0, 0, 0, 0, 0, 0, 1].into()),
    };
    let keys = [HmacKey::new(1, &[0x5a; 32]).unwrap()];
    let Ok((message, trailer)) = Trailer::split(input.get(1..).unwrap_or_default(), &envelope) else {
        return;
    };
    let Some(trailer) = trailer else {
        return;
    };
    assert_eq!(message.len() + Trailer::LEN + 1, input.len());
    assert!(
        trailer.verify(&keys, message, &envelope).is_err(),
        "a forgery of 128 bits"
    );
    let Ok(packet) = Packet::parse(message, &envelope, &ANY) else {
        return;
    };
    let signed = Signed::new(packet.advertisement(), &keys[0], trailer.sequence());
    let mut bytes = vec![0; signed.buffer_len()];
    let length = signed.emit(&envelope, packet.checksum_form().unwrap_or_default(), &mut bytes);
    assert_eq!(length, Ok(input.len() - 1));
    let (message, signed) = Trailer::split(&bytes, &envelope).unwrap();
    let signed = signed.unwrap();
    assert_eq!(signed.sequence(), trailer.sequence());
    let verified = signed.verify(&keys, message, &envelope).unwrap();
    let mut window = ReplayWindow::<4>::new();
    assert!(window.accept(&verified).is_ok());
    assert!(window.accept(&verified).is_err());
});
