//! Reading and writing one advertisement with one address.

use std::hint::black_box;
use std::net::Ipv4Addr;

use vrrp_proto::{
    AdverInterval, Advertisement, ChecksumForm, Envelope, Packet, Priority, ReceiveChecks, Vrid,
};

use crate::Case;

pub(crate) const CASES: &[Case] = &[("vrrp_proto_parse", parse), ("vrrp_proto_emit", emit)];

fn parse(repetitions: u64) {
    let envelope = Envelope::multicast([10, 0, 0, 1].into());
    let mut message = [0; 12];
    let length = advertisement().emit(&envelope, ChecksumForm::Rfc5798, &mut message);
    assert_eq!(length, Ok(12));
    for _ in 0..repetitions {
        let packet = Packet::parse(
            black_box(&message),
            black_box(&envelope),
            &ReceiveChecks::STANDARD,
        );
        assert!(black_box(packet).is_ok());
    }
}

fn emit(repetitions: u64) {
    let envelope = Envelope::multicast([10, 0, 0, 1].into());
    let advertisement = advertisement();
    let mut message = [0; 12];
    for _ in 0..repetitions {
        let length =
            black_box(&advertisement).emit(black_box(&envelope), ChecksumForm::Rfc5798, &mut message);
        assert_eq!(black_box(length), Ok(12));
    }
}

fn advertisement() -> Advertisement<[Ipv4Addr; 1]> {
    let vrid = Vrid::new(51).expect("not 0");
    let addresses = [Ipv4Addr::new(10, 0, 0, 7)];
    Advertisement::version_3(vrid, Priority::DEFAULT, AdverInterval::DEFAULT, addresses).expect("valid")
}
