//! All virtual routers of a host at once.

mod common;

use common::*;
use vrrp_fsm::{Input, InterfaceId, Parameters, RouterId, State, Track, TrackId, VrrpRouter};
use vrrp_proto::{AddressFamily, Priority};

fn host(interfaces: u32) -> (VrrpRouter, Vec<RouterId>) {
    let mut router = VrrpRouter::new();
    let mut ids = Vec::new();
    for interface in 0..interfaces {
        for number in 1..=254 {
            let parameters = Parameters::builder(vrid(number), [ip("10.0.0.100")]);
            let parameters = parameters.priority(Priority::new(number)).build().unwrap();
            ids.push(
                router
                    .add(InterfaceId(interface), parameters, Some(ip("10.0.0.1")))
                    .unwrap(),
            );
            let parameters = Parameters::builder(vrid(number), [ip("fe80::100")])
                .build()
                .unwrap();
            ids.push(
                router
                    .add(InterfaceId(interface), parameters, Some(ip("fe80::1")))
                    .unwrap(),
            );
        }
    }
    (router, ids)
}

/// 65,024 virtual routers start, are found, become active in the order of their deadlines, and stop.
#[test]
fn sixty_five_thousand() {
    let (mut router, ids) = host(128);
    assert_eq!((router.len(), ids.len()), (65_024, 65_024));
    for (step, id) in ids.iter().enumerate() {
        router
            .handle_input(at(step as u64), *id, Input::Startup { held: false })
            .unwrap();
    }
    while router.poll_output().is_some() {}
    let mut steps = 0;
    let mut last = at(0);
    while let Some(due) = router.poll_timeout().filter(|due| *due < at(4 * SECOND)) {
        assert!(due >= last);
        last = due;
        router.handle_timeout(due);
        while let Some((id, output)) = router.poll_output() {
            steps += u64::from(is_advert(&output));
            assert_eq!(router.virtual_router(id).unwrap().state(), State::Active);
        }
    }
    assert_eq!(steps, 65_024);
    let found: Vec<RouterId> = router
        .find(InterfaceId(77), AddressFamily::Ipv6, vrid(99))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(found, [ids[77 * 508 + 98 * 2 + 1]]);
    assert_eq!(
        router
            .virtual_routers()
            .filter(|(_, one)| one.state() == State::Active)
            .count(),
        65_024
    );
    router.shutdown(last);
    assert_eq!(router.poll_timeout(), None);
    let zeros = std::iter::from_fn(|| router.poll_output()).filter(|(_, output)| *output == sent(0));
    assert_eq!(zeros.count(), 65_024);
    for id in ids {
        router.remove(last, id).unwrap();
    }
    assert!(router.is_empty());
}

/// A link that goes down takes its own virtual routers with it, and no other.
#[test]
fn an_interface() {
    let (mut router, ids) = host(3);
    for id in &ids {
        router
            .handle_input(at(0), *id, Input::Startup { held: false })
            .unwrap();
    }
    router.handle_interface(at(1), InterfaceId(1), false);
    for id in &ids {
        let down = router.interface(*id) == Some(InterfaceId(1));
        assert_eq!(
            router.virtual_router(*id).unwrap().state() == State::Initialize,
            down
        );
    }
    router.handle_interface(at(2), InterfaceId(1), true);
    assert!(
        router
            .virtual_routers()
            .all(|(_, one)| one.state() == State::Backup)
    );
}

/// What is due at the same time is done in one call; coming early does nothing.
#[test]
fn timeouts() {
    let (mut router, ids) = host(1);
    for id in &ids[..4] {
        router
            .handle_input(at(0), *id, Input::Startup { held: false })
            .unwrap();
    }
    while router.poll_output().is_some() {}
    let due = router.poll_timeout().unwrap();
    router.handle_timeout(at(due.as_nanos() - 1));
    assert_eq!(router.poll_output(), None);
    router.handle_timeout(at(4 * SECOND));
    assert!(
        ids[..4]
            .iter()
            .all(|id| router.virtual_router(*id).unwrap().state() == State::Active)
    );
}

/// A host that shuts down leaves each role that it has, and says so.
#[test]
fn shutting_down() {
    let (mut router, ids) = host(1);
    assert!(!router.is_empty());
    assert!(VrrpRouter::new().is_empty());
    for id in &ids[..10] {
        router
            .handle_input(at(0), *id, Input::Startup { held: false })
            .unwrap();
    }
    let first = router.poll_timeout().unwrap();
    router.handle_timeout(first);
    while router.poll_output().is_some() {}
    let count = |router: &VrrpRouter, state| {
        let states = router.virtual_routers().map(|(_, router)| router.state());
        states.filter(|known| *known == state).count()
    };
    let active = count(&router, State::Active);
    assert!(active > 0 && active < 10);
    router.shutdown(first);
    assert_eq!(count(&router, State::Initialize), ids.len());
    assert_eq!(router.poll_timeout(), None);
    let said = std::iter::from_fn(|| router.poll_output()).filter(|(_, output)| *output == sent(0));
    assert_eq!(said.count(), active);
}

/// Nothing is left of tracked objects that are not tracked any more.
#[test]
fn tracked_and_not_any_more() {
    let (mut router, ids) = host(1);
    let before = router.clone();
    let parameters = router.virtual_router(ids[7]).unwrap().parameters().clone();
    let tracking = parameters
        .to_builder()
        .tracks([Track::new(TrackId(1), -10).unwrap()]);
    router.handle_input(at(0), ids[7], configure(tracking)).unwrap();
    assert_ne!(router, before);
    router
        .handle_input(at(0), ids[7], Input::Configure(Box::new(parameters)))
        .unwrap();
    assert_eq!(router, before);
}

/// Identifiers are written as numbers.
#[test]
fn identifiers() {
    let (mut router, ids) = host(1);
    let group = router.add_sync_group(at(0), &ids[7..9]).unwrap();
    assert_eq!(
        [ids[7].to_string(), group.to_string(), InterfaceId(3).to_string()],
        ["7", "0", "3"]
    );
}
