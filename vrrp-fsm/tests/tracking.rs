//! Tracked objects: keepalived's arithmetic, unclamped sum and clamped priority.

mod common;

use common::*;
use vrrp_fsm::{
    Event, Fault, Input, InterfaceId, Output, ParametersBuilder, Reason, State, Track, TrackId, TrackStatus,
    VrrpRouter, sync_group_tracks,
};
use vrrp_proto::Priority;

use TrackStatus::{Bad, Good, Value};

fn track(id: u32, weight: i16) -> Track {
    Track::new(TrackId(id), weight).unwrap()
}

fn tracking(priority: u8, tracks: &[Track]) -> ParametersBuilder {
    builder(priority).tracks(tracks.iter().copied())
}

fn report(router: &mut vrrp_fsm::VirtualRouter, id: u32, status: TrackStatus) -> Vec<Output> {
    let now = 0;
    feed(
        router,
        now,
        Input::Track {
            id: TrackId(id),
            status,
        },
    )
}

fn priority_changed(from: u8, to: u8) -> Output {
    Output::Event(Event::PriorityChanged {
        from: Priority::new(from),
        to: Priority::new(to),
    })
}

#[test]
fn the_sum_is_not_clamped_but_the_priority_is() {
    let mut router = started(tracking(
        100,
        &[track(1, -90), track(2, -90), track(3, 200), track(4, 100)],
    ));
    assert_eq!(report(&mut router, 1, Bad), [priority_changed(100, 10)]);
    assert_eq!(report(&mut router, 2, Bad), [priority_changed(10, 1)]);
    assert_eq!(router.total_priority(), -80);
    assert_eq!(report(&mut router, 3, Good), [priority_changed(1, 120)]);
    assert_eq!(report(&mut router, 4, Good), [priority_changed(120, 220)]);
    assert_eq!(report(&mut router, 1, Good), [priority_changed(220, 254)]);
    assert_eq!(router.total_priority(), 310);
    assert_eq!(report(&mut router, 1, Good), []);
    assert_eq!(report(&mut router, 9, Bad), []);
    assert_eq!(router.parameters().priority(), Priority::new(100));
}

/// The owner never changes its priority; it has faults like everybody.
#[test]
fn the_owner() {
    let mut router = started(tracking(255, &[track(1, -90), track(2, 0)]));
    assert_eq!(report(&mut router, 1, Bad), []);
    assert_eq!(router.effective_priority(), Priority::OWNER);
    report(&mut router, 2, Good);
    assert_eq!(router.state(), State::Active);
    report(&mut router, 2, Bad);
    assert_eq!(router.fault(), Some(Fault::Track(TrackId(2))));
}

/// A change shows in the next advertisement, and makes none of its own.
#[test]
fn while_active() {
    let mut router = started(tracking(100, &[track(1, -5)]));
    let now = deadline(&router);
    feed(&mut router, now, Input::Timeout);
    assert_eq!(report(&mut router, 1, Bad), [priority_changed(100, 95)]);
    let due = deadline(&router);
    assert_eq!(feed(&mut router, due, Input::Timeout), [sent(95)]);
}

/// Several faults overlap; the last that ends lets the router go on.
#[test]
fn faults_are_counted() {
    let mut router = started(tracking(100, &[track(1, 0), track(2, 0).reversed(), track(3, 1)]));
    assert_eq!(router.fault(), Some(Fault::TrackPending(TrackId(1))));
    report(&mut router, 1, Good);
    report(&mut router, 2, Bad);
    assert_eq!(router.state(), State::Backup);
    let fault = |id| {
        changed(
            State::Backup,
            State::Initialize,
            Reason::Fault(Fault::Track(TrackId(id))),
        )
    };
    assert_eq!(report(&mut router, 2, Good), [fault(2)]);
    assert_eq!(report(&mut router, 1, Bad), []);
    assert_eq!(report(&mut router, 2, Bad), []);
    assert_eq!(router.fault(), Some(Fault::Track(TrackId(1))));
    let over = changed(State::Initialize, State::Backup, Reason::FaultOver);
    assert_eq!(report(&mut router, 1, Value(0)), [over]);
    assert_eq!(report(&mut router, 3, Value(-253)), [priority_changed(100, 1)]);
    assert_eq!(
        report(&mut router, 3, Value(-254)),
        [priority_changed(1, 100), fault(3)]
    );
}

/// An object without a weight holds the router until it reports, without a word; one with a weight does not.
#[test]
fn objects_that_have_not_reported() {
    let mut router = router(tracking(100, &[track(1, 0), track(2, 7)]));
    assert_eq!(feed(&mut router, 0, Input::Startup { held: false }), []);
    assert_eq!(router.state(), State::Initialize);
    assert_eq!(
        router.reason().to_string(),
        "tracked object 1 has not reported yet"
    );
    assert_eq!(
        report(&mut router, 1, Good),
        [changed(State::Initialize, State::Backup, Reason::Started)]
    );

    let mut router = self::router(tracking(100, &[track(1, 0)]));
    feed(&mut router, 0, Input::Startup { held: false });
    let fault = Reason::Fault(Fault::Track(TrackId(1)));
    assert_eq!(
        report(&mut router, 1, Bad),
        [changed(State::Initialize, State::Initialize, fault)]
    );

    // Before the start is early enough.
    let mut router = self::router(tracking(100, &[track(1, 0)]));
    report(&mut router, 1, Good);
    feed(&mut router, 0, Input::Startup { held: false });
    assert_eq!(router.state(), State::Backup);
}

/// What was reported survives new parameters; an object that is new to a running router does not disturb it.
#[test]
fn new_parameters() {
    let mut router = started(tracking(100, &[track(1, -20), track(2, -30)]));
    report(&mut router, 1, Bad);
    report(&mut router, 2, Bad);
    let outputs = feed(
        &mut router,
        0,
        configure(tracking(100, &[track(3, 0), track(2, -10)])),
    );
    assert_eq!(outputs, [priority_changed(50, 90)]);
    assert_eq!(router.state(), State::Backup);
    report(&mut router, 3, Bad);
    assert_eq!(router.state(), State::Initialize);
    // In Initialize a new object is waited for.
    feed(&mut router, 0, configure(tracking(100, &[track(4, 0)])));
    assert_eq!(router.fault(), Some(Fault::TrackPending(TrackId(4))));
}

/// Of the whole host: an object is tracked by several virtual routers, and known to those that are added later.
#[test]
fn all_virtual_routers_of_a_host() {
    let mut host = VrrpRouter::new();
    let interface = InterfaceId(1);
    let parameters = |number: u8, weight| {
        let parameters = vrrp_fsm::Parameters::builder(vrid(number), [ip("10.0.0.100")]);
        parameters.tracks([track(1, weight)]).build().unwrap()
    };
    let first = host
        .add(interface, parameters(1, -10), Some(ip("10.0.0.1")))
        .unwrap();
    let second = host
        .add(interface, parameters(2, -20), Some(ip("10.0.0.1")))
        .unwrap();
    host.handle_track(at(0), TrackId(1), Bad);
    let priority = |host: &VrrpRouter, id| host.virtual_router(id).unwrap().effective_priority().get();
    assert_eq!((priority(&host, first), priority(&host, second)), (90, 80));
    let third = host
        .add(interface, parameters(3, -30), Some(ip("10.0.0.1")))
        .unwrap();
    assert_eq!(priority(&host, third), 70);
    // New parameters with an object that is known already.
    let other = vrrp_fsm::Parameters::builder(vrid(4), [ip("10.0.0.100")]);
    let fourth = host.add(interface, other.clone().build().unwrap(), None).unwrap();
    let input = configure(other.tracks([track(1, -40)]));
    host.handle_input(at(0), fourth, input).unwrap();
    assert_eq!(priority(&host, fourth), 60);
    host.handle_track(at(0), TrackId(1), Good);
    assert_eq!(priority(&host, fourth), 100);
    // Removed and reconfigured routers are not told any more.
    host.handle_input(at(0), second, configure_vrid(2)).unwrap();
    host.remove(at(0), third).unwrap();
    host.handle_track(at(0), TrackId(1), Bad);
    assert_eq!((priority(&host, first), priority(&host, second)), (90, 100));
    // Forgotten objects are unknown to new routers.
    host.forget_track(TrackId(1));
    let fifth = host.add(interface, parameters(5, -30), None).unwrap();
    assert_eq!(priority(&host, fifth), 100);
}

fn configure_vrid(number: u8) -> Input {
    configure(vrrp_fsm::Parameters::builder(vrid(number), [ip("10.0.0.100")]))
}

/// Where member and group track the same object, the group's weight counts unless the member's entry has none.
#[test]
fn objects_of_a_sync_group() {
    let member = [track(1, 5), track(2, 0), track(3, 7)];
    let group = [track(1, 50), track(2, 60), track(4, 70)];
    assert_eq!(
        sync_group_tracks(&member, &group, false),
        [track(2, 0), track(3, 7), track(1, 50), track(4, 70)]
    );
    assert_eq!(
        sync_group_tracks(&member, &group, true),
        [track(2, 0), track(3, 0), track(1, 0), track(4, 0)]
    );
}
