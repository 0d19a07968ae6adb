//! Nothing is allocated for an advertisement, received or sent; and how much memory a virtual router takes.

#[path = "../common/mod.rs"]
mod common;
mod sys;

use common::*;
use vrrp_fsm::{Datagram, Input, InterfaceId, Output, Parameters, RouterId, VrrpRouter};
use vrrp_proto::{Envelope, Priority};

const ROUTERS: usize = 10_000;

fn host() -> (VrrpRouter, Vec<RouterId>) {
    let mut router = VrrpRouter::new();
    let ids = (0..ROUTERS).map(|number| {
        let interface = InterfaceId(u32::try_from(number / 250).unwrap());
        let vrid = vrid(u8::try_from(number % 250 + 1).unwrap());
        let parameters = Parameters::builder(vrid, [ip("10.0.0.100")]).build().unwrap();
        router.add(interface, parameters, Some(ip("10.0.0.1"))).unwrap()
    });
    let ids: Vec<RouterId> = ids.collect();
    for id in &ids {
        router
            .handle_input(at(0), *id, Input::Startup { held: false })
            .unwrap();
        while router.poll_output().is_some() {}
    }
    (router, ids)
}

/// One test, as the counters are those of the whole process.
#[test]
fn memory() {
    let before = sys::in_use();
    let (mut router, ids) = host();
    drop(ids);
    let each = (sys::in_use() - before) / ROUTERS;
    assert!(size_of::<Output>() <= 48);
    println!("{each} bytes per virtual router with one address, everything included");
    assert!(each <= 512, "{each} bytes");

    // Advertisements received, by all of them.
    let envelope = Envelope::multicast(ip("10.0.0.2"));
    let mut packets = Vec::new();
    for number in 0..ROUTERS {
        let vrid = vrid(u8::try_from(number % 250 + 1).unwrap());
        let peer = Parameters::builder(vrid, [ip("10.0.0.100")])
            .priority(Priority::new(200))
            .build()
            .unwrap();
        let mut message = [0; 12];
        peer.emit_advertisement(peer.priority(), &envelope, &mut message)
            .unwrap();
        packets.push((InterfaceId(u32::try_from(number / 250).unwrap()), message));
    }
    let receive = |router: &mut VrrpRouter, now: u64| {
        for (interface, message) in &packets {
            let datagram = Datagram {
                interface: *interface,
                envelope,
                message,
                received: at(now),
            };
            router.handle_packet(at(now), &datagram).unwrap();
        }
    };
    let counted = sys::allocations();
    receive(&mut router, SECOND);
    receive(&mut router, 2 * SECOND);
    assert_eq!(sys::allocations() - counted, 0);

    // Discarded ones.
    let (interface, mut message) = packets[0];
    message[2] ^= 1;
    let datagram = Datagram {
        interface,
        envelope,
        message: &message,
        received: at(SECOND),
    };
    assert!(router.handle_packet(at(2 * SECOND), &datagram).is_err());
    for _ in 0..1_000 {
        assert!(router.handle_packet(at(2 * SECOND), &datagram).is_err());
    }
    assert_eq!(
        sys::allocations() - counted,
        1,
        "only the first makes room for its counters"
    );

    // Advertisements sent. The queue of outputs grows once, when all become active together.
    let carry_out = |router: &mut VrrpRouter, until: u64| {
        let mut sent = 0;
        let mut buffer = [0; 64];
        let own = Envelope::multicast(ip("10.0.0.1"));
        while let Some(due) = router.poll_timeout().filter(|due| *due <= at(until)) {
            router.handle_timeout(due);
            while let Some((id, output)) = router.poll_output() {
                if let Output::Advertise { priority } = output {
                    let parameters = router.virtual_router(id).unwrap().parameters();
                    parameters
                        .emit_advertisement(priority, &own, &mut buffer)
                        .unwrap();
                    sent += 1;
                }
            }
        }
        sent
    };
    carry_out(&mut router, 8 * SECOND);
    let counted = sys::allocations();
    let sent = carry_out(&mut router, 20 * SECOND);
    assert_eq!(sys::allocations() - counted, 0);
    assert!(sent >= 11 * ROUTERS, "{sent}");
    in_a_sync_group();
}

/// Nor for an advertisement to a member of a sync group.
fn in_a_sync_group() {
    let mut router = VrrpRouter::new();
    let ids: Vec<RouterId> = (1..=250)
        .map(|number| {
            let parameters = Parameters::builder(vrid(number), [ip("10.0.0.100")])
                .build()
                .unwrap();
            router
                .add(InterfaceId(0), parameters, Some(ip("10.0.0.1")))
                .unwrap()
        })
        .collect();
    router.add_sync_group(at(0), &ids).unwrap();
    for id in &ids {
        router
            .handle_input(at(0), *id, Input::Startup { held: false })
            .unwrap();
    }
    while router.poll_output().is_some() {}
    let counted = sys::allocations();
    for second in 1..5 {
        for id in &ids {
            let heard = advert(second * SECOND, "10.0.0.2", 200);
            router
                .handle_input(at(second * SECOND), *id, Input::Advertisement(heard))
                .unwrap();
        }
    }
    assert_eq!(sys::allocations() - counted, 0);
}
