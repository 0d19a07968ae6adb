//! Writing the request for one destination and reading one that the kernel sends.

use std::hint::black_box;
use std::net::Ipv4Addr;

use ipvs_netlink::{
    Client, Destination, DestinationEntry, Forward, Reply, Request, ServiceKey, Stats, Transport,
};
use netlink_batch::{Batch, Error, Limits, Message, Report, Run, Sequence};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("ipvs_netlink_encode", encode),
    ("ipvs_netlink_decode", decode),
    ("ipvs_netlink_apply", apply),
];

fn encode(repetitions: u64) {
    let mut out = Vec::with_capacity(256);
    for _ in 0..repetitions {
        out.clear();
        black_box(&request()).encode(&mut out);
        assert!(!black_box(&out).is_empty());
    }
}

fn decode(repetitions: u64) {
    let mut body = Vec::new();
    let entry = DestinationEntry {
        destination: destination(),
        active: 1,
        inactive: 2,
        persistent: 3,
        stats: Stats::default(),
        unknown: Vec::new(),
    };
    Reply::Destination(entry).encode(&mut body);
    for _ in 0..repetitions {
        let reply = Reply::decode(black_box(&body), key().family());
        assert!(black_box(reply).is_ok());
    }
}

/// All that is done for one change of a large batch, the system call left out.
fn apply(repetitions: u64) {
    let client = Client::over(Agreeable::default()).expect("it answers");
    let batch: ipvs_netlink::Batch = (0..repetitions).map(|_| request()).collect();
    let report = client.apply(&batch).expect("it answers");
    assert!(report.is_clean());
}

fn key() -> ServiceKey {
    ServiceKey::tcp((Ipv4Addr::new(10, 98, 0, 1), 80))
}

fn destination() -> Destination {
    Destination::new((Ipv4Addr::new(10, 97, 0, 1), 80), Forward::Masquerade)
}

fn request() -> Request {
    Request::AddDestination(key(), destination())
}

/// Acknowledges whatever is sent, and knows a family.
#[derive(Default)]
struct Agreeable {
    sequence: Sequence,
}

impl Transport for Agreeable {
    fn run(
        &mut self,
        batch: &mut Batch,
        reply: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<Report, Error> {
        let mut run = Run::new(batch, Limits::default(), &mut self.sequence);
        while let Some(bytes) = run.poll_transmit() {
            let mut last = None;
            let mut rest = bytes;
            while let Some((head, _)) = rest.split_first_chunk::<16>() {
                let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *head;
                last = Some((u16::from_ne_bytes([k0, k1]), [s0, s1, s2, s3]));
                let length = u32::from_ne_bytes([l0, l1, l2, l3]).next_multiple_of(4);
                rest = rest.get(length as usize..).unwrap_or(&[]);
            }
            let Some((kind, sequence)) = last else { break };
            let answer = match kind {
                CONTROLLER => answer(CONTROLLER, sequence, &[1, 2, 0, 0, 6, 0, 1, 0, 30, 0, 0, 0]),
                _ => answer(NLMSG_ERROR, sequence, &[0; 20]),
            };
            run.handle_datagram(&answer, &mut *reply);
        }
        Ok(run.finish())
    }
}

fn answer(kind: u16, sequence: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).expect("short");
    let head = [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &[0; 2],
        &sequence,
        &[0; 4],
    ];
    [head.concat().as_slice(), body].concat()
}

const CONTROLLER: u16 = 16;
const NLMSG_ERROR: u16 = 2;
