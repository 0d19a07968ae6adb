//! Any bytes as an Ethernet frame, and as an IP packet: read or refused, and what was read is written as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vrrp_proto::{Datagram, Error, Frame, ReceiveChecks};

const ANY: ReceiveChecks = ReceiveChecks::STANDARD.hop_limits(0, 255).any_first_address();

fuzz_target!(|input: &[u8]| {
    let _ = Datagram::parse(input);
    let mut bytes = input.to_vec();
    // What only lacks the right checksums gets them: first that of the IPv4 header, then that of the message.
    if let Err(Error::IpChecksum { found, expected }) = Frame::parse(&bytes) {
        let header = (12..bytes.len() - 1).find(|&at| {
            bytes[at..].starts_with(&[0x08, 0x00])
                && bytes.get(at + 12..at + 14) == Some(&found.to_be_bytes())
        });
        if let Some(at) = header {
            bytes[at + 12..at + 14].copy_from_slice(&expected.to_be_bytes());
        }
    }
    let Ok(frame) = Frame::parse(&bytes) else {
        return;
    };
    let start = frame.message().as_ptr().addr() - bytes.as_ptr().addr();
    let result = frame.packet(&ANY);
    if let Err(Error::Checksum { expected, .. }) = result {
        bytes[start + 6..start + 8].copy_from_slice(&expected.to_be_bytes());
    }
    let Ok(frame) = Frame::parse(&bytes) else {
        panic!("the message is no part of the frame's own checks");
    };
    let Ok(packet) = frame.packet(&ANY) else {
        return;
    };
    let (ethernet, header) = (frame.ethernet(), frame.header());
    let advertisement = packet.advertisement();
    let mut again = vec![0xee; ethernet.buffer_len(header, &advertisement)];
    let form = packet.checksum_form().unwrap_or_default();
    assert_eq!(
        ethernet.emit(header, &advertisement, form, &mut again),
        Ok(again.len())
    );
    let reread = Frame::parse(&again).expect("what was written can be read");
    assert_eq!((reread.ethernet(), reread.header()), (ethernet, header));
    assert_eq!(reread.packet(&ANY), Ok(packet));
});
