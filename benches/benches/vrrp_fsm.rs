//! An advertisement through all virtual routers of a host, beside a list that is searched.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vrrp_fsm::{
    Datagram, Heard, Input, Instant, InterfaceId, Output, Parameters, State, VirtualRouter, VrrpRouter,
};
use vrrp_proto::{AdverInterval, Envelope, Packet, Priority, ReceiveChecks, Vrid};

const INTERFACES: u32 = 40;
const VRIDS: u8 = 250;
const SECOND: u64 = 1_000_000_000;

fn parameters(vrid: u8, priority: u8) -> Parameters {
    let vrid = Vrid::new(vrid).unwrap();
    let builder = Parameters::builder(vrid, [[10, 0, 0, 100].into()]);
    builder.priority(Priority::new(priority)).build().unwrap()
}

fn keys() -> impl Iterator<Item = (InterfaceId, u8)> {
    (0..INTERFACES).flat_map(|interface| (1..=VRIDS).map(move |vrid| (InterfaceId(interface), vrid)))
}

fn drain(router: &mut VrrpRouter) -> u64 {
    std::iter::from_fn(|| router.poll_output())
        .filter(|(_, output)| is_advert(output))
        .count() as u64
}

fn is_advert(output: &Output) -> bool {
    matches!(output, Output::Advertise { .. })
}

/// 10,000 virtual routers in Backup.
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
    drain(&mut router);
    router
}

/// One packet for each, in an order that caches do not guess.
fn packets() -> Vec<(InterfaceId, [u8; 12])> {
    let envelope = envelope();
    let mut packets: Vec<(InterfaceId, [u8; 12])> = keys()
        .map(|(interface, vrid)| {
            let mut message = [0; 12];
            let peer = parameters(vrid, 200);
            peer.emit_advertisement(peer.priority(), &envelope, &mut message)
                .unwrap();
            (interface, message)
        })
        .collect();
    let mut state = 1u64;
    for place in (1..packets.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        packets.swap(place, (state >> 33) as usize % (place + 1));
    }
    packets
}

fn envelope() -> Envelope {
    Envelope::multicast([10, 0, 0, 2].into())
}

/// The way it is usually written: a list of instances, searched for each packet.
struct Searched(Vec<(InterfaceId, VirtualRouter)>);

impl Searched {
    fn receive(&mut self, now: Instant, interface: InterfaceId, message: &[u8], envelope: &Envelope) {
        let packet = Packet::parse(message, envelope, &ReceiveChecks::STANDARD).unwrap();
        let found = self.0.iter_mut().find(|(on, router)| {
            *on == interface
                && router.parameters().vrid() == packet.vrid()
                && router.parameters().family() == packet.family()
        });
        let heard = Heard::new(now, envelope.source(), packet.priority(), packet.interval());
        found.unwrap().1.handle_input(now, Input::Advertisement(heard));
    }
}

fn received(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an advertisement received");
    group.measurement_time(Duration::from_secs(3));
    let packets = packets();
    let envelope = envelope();
    let step = |round: &mut u64| {
        let (interface, message) = &packets[(*round % packets.len() as u64) as usize];
        *round += 1;
        let now = Instant::from_nanos(SECOND + *round * 100);
        (now, *interface, message)
    };
    let mut router = host();
    let mut round = 0;
    group.bench_function("by one of 10,000, checks included", |bencher| {
        bencher.iter(|| {
            let (now, interface, message) = step(&mut round);
            let datagram = Datagram {
                interface,
                envelope,
                message,
                received: now,
            };
            black_box(router.handle_packet(now, black_box(&datagram))).unwrap();
        });
    });
    let mut searched = Searched(
        keys()
            .map(|(interface, vrid)| {
                let mut router = VirtualRouter::new(parameters(vrid, 100), Some([10, 0, 0, 1].into()));
                router.handle_input(Instant::ZERO, Input::Startup { held: false });
                (interface, router)
            })
            .collect(),
    );
    let mut round = 0;
    group.bench_function("by one of 10,000 in a list that is searched", |bencher| {
        bencher.iter(|| {
            let (now, interface, message) = step(&mut round);
            searched.receive(now, interface, black_box(message), &envelope);
        });
    });
    let mut alone = VirtualRouter::new(parameters(1, 100), Some([10, 0, 0, 1].into()));
    alone.handle_input(Instant::ZERO, Input::Startup { held: false });
    let mut round = 0;
    group.bench_function("by a state machine alone, already checked", |bencher| {
        bencher.iter(|| {
            round += 1;
            let now = Instant::from_nanos(SECOND + round * 100);
            let heard = Heard::new(
                now,
                [10, 0, 0, 2].into(),
                Priority::new(200),
                AdverInterval::DEFAULT,
            );
            alone.handle_input(now, black_box(Input::Advertisement(heard)));
        });
    });
    group.finish();
}

/// All are active: one advertisement after the other falls due.
fn sent(criterion: &mut Criterion) {
    let mut router = host();
    let mut count = 0;
    while router
        .virtual_routers()
        .any(|(_, one)| one.state() != State::Active)
    {
        let due = router.poll_timeout().unwrap();
        router.handle_timeout(due);
        count += drain(&mut router);
    }
    assert_eq!(count, 10_000);
    // Spread over the second.
    let ids: Vec<_> = router.virtual_routers().map(|(id, _)| id).collect();
    let start = router.poll_timeout().unwrap().as_nanos();
    for (place, id) in ids.into_iter().enumerate() {
        let now = Instant::from_nanos(start + place as u64 * 50_000);
        router
            .handle_input(
                now,
                id,
                Input::Configure(Box::new(parameters((place % 250) as u8 + 1, 101))),
            )
            .unwrap();
        drain(&mut router);
    }
    criterion.bench_function("an advertisement sent by one of 10,000", |bencher| {
        bencher.iter(|| {
            let due = router.poll_timeout().unwrap();
            router.handle_timeout(due);
            while let Some(output) = router.poll_output() {
                black_box(output);
            }
        });
    });
}

criterion_group!(benches, received, sent);
criterion_main!(benches);
