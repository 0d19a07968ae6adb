//! An advertisement received, checks included, and one sent, by one of 1,000 virtual routers.

use std::hint::black_box;

use vrrp_fsm::{Datagram, Input, Instant, InterfaceId, Output, Parameters, VrrpRouter};
use vrrp_proto::{Envelope, Priority, Vrid};

use crate::Case;

pub(crate) const CASES: &[Case] = &[("vrrp_fsm_receive", receive), ("vrrp_fsm_send", send)];

fn parameters(vrid: u8, priority: u8) -> Parameters {
    let builder = Parameters::builder(Vrid::new(vrid).unwrap(), [[10, 0, 0, 100].into()]);
    builder.priority(Priority::new(priority)).build().unwrap()
}

fn host() -> VrrpRouter {
    let mut router = VrrpRouter::new();
    for (interface, vrid) in keys() {
        let id = router
            .add(interface, parameters(vrid, 100), Some([10, 0, 0, 1].into()))
            .unwrap();
        router
            .handle_input(Instant::ZERO, id, Input::Startup { held: false })
            .unwrap();
    }
    while router.poll_output().is_some() {}
    router
}

fn keys() -> impl Iterator<Item = (InterfaceId, u8)> {
    (0..4).flat_map(|interface| (1..=250).map(move |vrid| (InterfaceId(interface), vrid)))
}

fn receive(repetitions: u64) {
    let mut router = host();
    let envelope = Envelope::multicast([10, 0, 0, 2].into());
    let packets: Vec<(InterfaceId, [u8; 12])> = keys()
        .map(|(interface, vrid)| {
            let mut message = [0; 12];
            let peer = parameters(vrid, 200);
            peer.emit_advertisement(peer.priority(), &envelope, &mut message)
                .unwrap();
            (interface, message)
        })
        .collect();
    for (round, (interface, message)) in (0..repetitions).zip(packets.iter().cycle()) {
        // Each is heard once a second.
        let now = Instant::from_nanos(1_000_000_000 + round * 1_000_000);
        let datagram = Datagram {
            interface: *interface,
            envelope,
            message,
            received: now,
        };
        black_box(router.handle_packet(now, black_box(&datagram))).unwrap();
    }
}

fn send(repetitions: u64) {
    let mut router = host();
    let envelope = Envelope::multicast([10, 0, 0, 1].into());
    let mut message = [0; 12];
    let mut sent = 0;
    while sent < repetitions {
        let due = router.poll_timeout().unwrap();
        router.handle_timeout(due);
        while let Some((id, output)) = router.poll_output() {
            if let Output::Advertise { priority } = output {
                let parameters = router.virtual_router(id).unwrap().parameters();
                parameters
                    .emit_advertisement(priority, &envelope, black_box(&mut message))
                    .unwrap();
                sent += 1;
            }
        }
    }
}
