//! The nasty scenarios N1 to N19, each on simulated hosts: who is active when, and what is on the wire.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{centis, vrid};
use vrrp_fsm::sim::{Happening, HostPlan, MemberPlan, Quality, Simulation};
use vrrp_fsm::{Dialect, Input, Instant, Preempt, State, Statistics, TrackStatus, VirtualRouter};
use vrrp_proto::{AddressFamily, Envelope, Priority};

const VRID: u8 = 51;

/// Hosts with one virtual router each, in the order of `plans`, all started.
fn hosts(plans: impl IntoIterator<Item = MemberPlan>) -> Simulation {
    let plans = plans.into_iter().map(|plan| HostPlan {
        members: vec![plan],
        ..HostPlan::default()
    });
    let mut simulation = Simulation::new(1, plans);
    simulation.record();
    for host in 0..u8::try_from(simulation.hosts().count()).unwrap() {
        simulation.start(host).unwrap();
    }
    simulation
}

fn plan(priority: u8, interval: u16) -> MemberPlan {
    MemberPlan::new(0, vrid(VRID), Priority::new(priority), centis(interval))
}

fn pass(simulation: &mut Simulation, millis: u64) {
    let end = simulation.now().saturating_add(Duration::from_millis(millis));
    if let Err(violation) = simulation.run_until(end) {
        panic!("{violation}");
    }
}

fn active(simulation: &Simulation) -> Vec<u8> {
    simulation.active(0, AddressFamily::Ipv4, vrid(VRID))
}

fn router(simulation: &Simulation, host: u8) -> &VirtualRouter {
    simulation
        .host(host)
        .and_then(|host| host.virtual_router(0))
        .expect("the host runs")
}

fn statistics(simulation: &Simulation, host: u8) -> Statistics {
    router(simulation, host).statistics()
}

fn sent(simulation: &Simulation, host: u8) -> u64 {
    statistics(simulation, host).sent_advertisements
}

fn events(simulation: &Simulation, host: u8) -> String {
    simulation
        .journal(host)
        .expect("recorded")
        .events()
        .map(|(_, event)| format!("{event}\n"))
        .collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The first moment, in steps of a millisecond, at which this holds.
fn when(simulation: &mut Simulation, limit: u64, holds: impl Fn(&Simulation) -> bool) -> u64 {
    for millis in 0..limit {
        if holds(simulation) {
            return millis;
        }
        pass(simulation, 1);
    }
    panic!("not within {limit} ms");
}

/// N1: a router hears its own advertisements, and so does another with the same priority: nobody answers itself, and
/// the link carries no more than two routers' worth.
#[test]
fn n1_reflected_advertisements_make_no_storm() {
    let mut simulation = hosts([plan(100, 100), plan(100, 100)]);
    simulation.set_loop(0, 0, true);
    simulation.set_loop(0, 1, true);
    simulation.set_quality(Quality {
        duplication: 500,
        ..Quality::GOOD
    });
    pass(&mut simulation, 5_000);
    assert_eq!(active(&simulation), [1]);
    let before = sent(&simulation, 1);
    pass(&mut simulation, 10_000);
    assert_eq!(sent(&simulation, 1) - before, 10);
    assert!(statistics(&simulation, 1).own_source_packets >= 10);
    assert!(
        events(&simulation, 1).contains("from our own address"),
        "{}",
        events(&simulation, 1)
    );
}

/// N1: a clone with our address and our priority: both are active, neither answers the other, somebody is told.
#[test]
fn n1_a_clone_makes_no_storm() {
    let mut simulation = hosts([plan(100, 100)]);
    pass(&mut simulation, 5_000);
    let (before, envelope) = (
        sent(&simulation, 0),
        Envelope::multicast(plan(100, 100).primary(0)),
    );
    let mut message = [0; 12];
    let parameters = plan(100, 100).parameters().unwrap();
    parameters
        .emit_advertisement(Priority::new(100), &envelope, &mut message)
        .unwrap();
    for _ in 0..1_000 {
        simulation.inject(0, 0, &envelope, &message);
        pass(&mut simulation, 10);
    }
    assert_eq!(active(&simulation), [0]);
    assert_eq!(sent(&simulation, 0) - before, 10);
    assert_eq!(statistics(&simulation, 0).own_source_packets, 1_000);
}

/// N1: however often somebody who loses advertises, it is answered four times an interval at most.
#[test]
fn n1_answers_to_a_loser_are_bounded() {
    let mut simulation = hosts([plan(200, 100)]);
    pass(&mut simulation, 5_000);
    let before = sent(&simulation, 0);
    for _ in 0..10_000 {
        let envelope = Envelope::multicast(ip("10.0.0.9"));
        let mut message = [0; 12];
        let parameters = plan(200, 100).parameters().unwrap();
        parameters
            .emit_advertisement(Priority::new(100), &envelope, &mut message)
            .unwrap();
        simulation.inject(0, 0, &envelope, &message);
        pass(&mut simulation, 1);
    }
    let answered = sent(&simulation, 0) - before;
    assert!((30..=51).contains(&answered), "{answered} in ten seconds");
}

/// N2: after a conflict the winner announces again, so that what the loser announced last does not stay.
#[test]
fn n2_the_winner_of_a_conflict_announces_again() {
    let mut simulation = hosts([plan(200, 100), plan(100, 100)]);
    simulation.cut(0, 0, 1);
    simulation.cut(0, 1, 0);
    pass(&mut simulation, 10_000);
    assert_eq!(active(&simulation), [0, 1]);
    let mended = simulation.host(0).unwrap().clock().local_at(simulation.now());
    simulation.mend(0, 1, 0);
    pass(&mut simulation, 1_001);
    simulation.heal();
    pass(&mut simulation, 2_000);
    assert_eq!(active(&simulation), [0]);
    let journal = simulation.journal(0).unwrap();
    let announced = journal
        .outputs()
        .filter(|(at, output)| *at >= mended && matches!(output, vrrp_fsm::Output::Announce { .. }));
    assert!(announced.count() >= 1);
}

/// N3: two routers that do not preempt; the active one sleeps for two seconds, and does not take the role back.
#[test]
fn n3_a_paused_active_router_steals_nothing() {
    let no = |priority| MemberPlan {
        preempt: Preempt::Never,
        ..plan(priority, 10)
    };
    let mut simulation = hosts([no(200), no(100)]);
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [0]);
    simulation.pause(0);
    pass(&mut simulation, 2_000);
    assert_eq!(active(&simulation), [0, 1]);
    let before = (sent(&simulation, 0), sent(&simulation, 1));
    simulation.resume(0).unwrap();
    assert_eq!(active(&simulation), [1], "before it sent anything");
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [1]);
    assert_eq!(sent(&simulation, 0), before.0, "no stale advertisement");
    assert_eq!(sent(&simulation, 1) - before.1, 10, "no burst in answer");
    assert!(
        events(&simulation, 0).contains("a peer must have taken over"),
        "{}",
        events(&simulation, 0)
    );
}

/// N3: a pause of less than what makes a backup take over changes nothing.
#[test]
fn n3_a_short_pause_is_forgiven() {
    let mut simulation = hosts([plan(200, 10), plan(100, 10)]);
    pass(&mut simulation, 1_000);
    simulation.pause(0);
    pass(&mut simulation, 150);
    simulation.resume(0).unwrap();
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [0]);
    assert_eq!(statistics(&simulation, 0).master_transitions, 1);
}

/// N3: the owner of the addresses goes on after a pause.
#[test]
fn n3_a_paused_owner_stays_active() {
    let mut simulation = hosts([plan(255, 10), plan(100, 10)]);
    pass(&mut simulation, 1_000);
    simulation.pause(0);
    pass(&mut simulation, 2_000);
    assert_eq!(active(&simulation), [0, 1]);
    simulation.resume(0).unwrap();
    pass(&mut simulation, 200);
    assert_eq!(active(&simulation), [0]);
    assert_eq!(statistics(&simulation, 0).master_transitions, 1);
}

/// N4: a backup sleeps for two seconds while the active router lives: what waits in its socket counts.
#[test]
fn n4_a_paused_backup_takes_over_nothing() {
    let mut simulation = hosts([plan(200, 10), plan(100, 10)]);
    pass(&mut simulation, 1_000);
    simulation.pause(1);
    pass(&mut simulation, 2_000);
    simulation.resume(1).unwrap();
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [0]);
    assert_eq!(statistics(&simulation, 1).master_transitions, 0);
}

/// N5: packets pass one way only. Both stay active, as in every VRRP, and the one that hears says so.
#[test]
fn n5_one_way_links_raise_an_alarm() {
    let mut simulation = hosts([plan(200, 100), plan(100, 100)]);
    simulation.cut(0, 0, 1);
    pass(&mut simulation, 20_000);
    assert_eq!(active(&simulation), [0, 1]);
    assert!(
        events(&simulation, 0).contains("10.0.0.2 stays active although it loses"),
        "{}",
        events(&simulation, 0)
    );
    let (before, span) = (sent(&simulation, 0), 10);
    pass(&mut simulation, span * 1_000);
    assert!(
        sent(&simulation, 0) - before <= 2 * span + 1,
        "answers double the rate at most"
    );
    simulation.heal();
    pass(&mut simulation, 5_000);
    assert_eq!(active(&simulation), [0]);
    assert!(
        events(&simulation, 0).contains("over: "),
        "{}",
        events(&simulation, 0)
    );
}

/// N5: a chain in which the ends do not hear each other: both are active, and hear of no conflict.
#[test]
fn n5_a_hidden_terminal() {
    let mut simulation = hosts([plan(200, 100), plan(100, 100), plan(150, 100)]);
    simulation.cut(0, 0, 2);
    simulation.cut(0, 2, 0);
    pass(&mut simulation, 20_000);
    assert_eq!(active(&simulation), [0, 2]);
    assert_eq!(router(&simulation, 1).state(), State::Backup);
    simulation.heal();
    pass(&mut simulation, 5_000);
    assert_eq!(active(&simulation), [0]);
}

/// N6: a priority 0 of somebody who is not active (the loser of a conflict that shuts down, or a forgery) while the
/// active router lives: its answer comes before the skew is over.
#[test]
fn n6_a_stale_priority_zero() {
    let mut simulation = hosts([plan(200, 100), plan(100, 100)]);
    pass(&mut simulation, 5_000);
    let envelope = Envelope::multicast(ip("10.0.0.9"));
    let mut message = [0; 12];
    let parameters = plan(100, 100).parameters().unwrap();
    parameters
        .emit_advertisement(Priority::RELEASE, &envelope, &mut message)
        .unwrap();
    for host in [0, 1] {
        simulation.inject(host, 0, &envelope, &message);
    }
    pass(&mut simulation, 5_000);
    assert_eq!(active(&simulation), [0]);
    assert_eq!(statistics(&simulation, 1).master_transitions, 0);
}

/// N7: a fast router of low priority comes up beside a slow active one: active for a moment, then a backup that learned.
#[test]
fn n7_a_fast_starter_beside_a_slow_active_router() {
    let mut simulation = hosts([plan(200, 1_000), plan(100, 10)]);
    simulation.crash(1);
    pass(&mut simulation, 60_000);
    assert_eq!(active(&simulation), [0]);
    simulation.start(1).unwrap();
    let seen = when(&mut simulation, 20_000, |simulation| {
        router(simulation, 1).state() == State::Active
    });
    assert!((300..450).contains(&seen), "{seen}");
    let both = when(&mut simulation, 20_000, |simulation| active(simulation) == [0]);
    assert!(
        both <= 2,
        "RFC 9568 answers at once; both were active for {both} ms"
    );
    assert_eq!(router(&simulation, 1).active_adver_interval(), centis(1_000));
    assert!(
        events(&simulation, 1).contains("advertises every"),
        "{}",
        events(&simulation, 1)
    );
}

/// N7: VRRPv2 with different intervals: each discards the other's, both are active, both say so.
#[test]
fn n7_version_2_with_different_intervals() {
    let v2 = |priority, interval| MemberPlan {
        dialect: Dialect::Rfc3768,
        ..plan(priority, interval)
    };
    let mut simulation = hosts([v2(200, 100), v2(100, 200)]);
    pass(&mut simulation, 20_000);
    assert_eq!(active(&simulation), [0, 1]);
    assert!(statistics(&simulation, 0).adv_interval_errors > 5);
    assert!(statistics(&simulation, 1).adv_interval_errors > 5);
}

/// N8: equal priorities that start together: the higher address wins, and both are active for no longer than a packet.
#[test]
fn n8_equal_priorities_start_together() {
    let mut simulation = hosts([plan(100, 100), plan(100, 100)]);
    let first = when(&mut simulation, 5_000, |simulation| {
        !active(simulation).is_empty()
    });
    assert_eq!(first, 3_610);
    pass(&mut simulation, 1);
    assert_eq!(active(&simulation), [1]);
}

/// N9: both lose as much: the role stays where it is.
#[test]
fn n9_a_loss_on_both_sides_moves_nothing() {
    let tracking = |priority| MemberPlan {
        track: Some((0, 60)),
        ..plan(priority, 10)
    };
    let mut simulation = hosts([tracking(200), tracking(100)]);
    pass(&mut simulation, 1_000);
    for host in [0, 1] {
        simulation.set_track(host, 0, TrackStatus::Bad).unwrap();
    }
    pass(&mut simulation, 2_000);
    assert_eq!(active(&simulation), [0]);
    assert_eq!(statistics(&simulation, 0).master_transitions, 1);
    assert_eq!(statistics(&simulation, 1).master_transitions, 0);
}

/// N9: the active one falls below the backup: the role moves within a down interval, once.
#[test]
fn n9_a_loss_of_the_active_router_moves_the_role() {
    let tracking = |priority| MemberPlan {
        track: Some((0, 60)),
        ..plan(priority, 10)
    };
    let mut simulation = hosts([tracking(120), tracking(100)]);
    pass(&mut simulation, 1_000);
    simulation.set_track(0, 0, TrackStatus::Bad).unwrap();
    let took = when(&mut simulation, 1_000, |simulation| active(simulation) == [1]);
    assert!(
        took <= 362,
        "3L + S + D is 361 ms, and a lower priority is heard at once; it took {took}"
    );
    simulation.set_track(0, 0, TrackStatus::Good).unwrap();
    let took = when(&mut simulation, 1_000, |simulation| active(simulation) == [0]);
    assert!(took <= 400, "{took}");
}

/// N9, I14: a tracked object that flaps faster than the down interval does not keep a backup from taking over.
#[test]
fn n9_a_flapping_object_does_not_postpone_a_takeover() {
    let mut simulation = hosts([
        plan(200, 10),
        MemberPlan {
            track: Some((0, 50)),
            ..plan(100, 10)
        },
    ]);
    pass(&mut simulation, 1_000);
    simulation.crash(0);
    let mut waited = 0;
    while active(&simulation).is_empty() {
        let status = if waited % 20 == 0 {
            TrackStatus::Bad
        } else {
            TrackStatus::Good
        };
        simulation.set_track(1, 0, status).unwrap();
        pass(&mut simulation, 10);
        waited += 10;
        assert!(waited <= 400, "3L + S of the lower priority");
    }
}

/// N10: the active router dies, leaves, or rises above us, while we wait in preempt delay.
#[test]
fn n10_in_preempt_delay() {
    let waiting = MemberPlan {
        preempt: Preempt::Delayed(Duration::from_secs(30)),
        ..plan(200, 10)
    };
    let begin = || {
        let mut simulation = hosts([waiting, plan(100, 10)]);
        simulation.crash(0);
        pass(&mut simulation, 1_000);
        simulation.start(0).unwrap();
        pass(&mut simulation, 5_000);
        assert_eq!(active(&simulation), [1], "the delay holds");
        simulation
    };
    let mut dies = begin();
    dies.crash(1);
    let took = when(&mut dies, 1_000, |simulation| active(simulation) == [0]);
    assert!(took <= 323, "{took}");

    let mut leaves = begin();
    leaves.stop(1).unwrap();
    let took = when(&mut leaves, 1_000, |simulation| active(simulation) == [0]);
    assert!(took <= 24, "the skew of priority 200 is 21.9 ms; it took {took}");

    let mut rises = begin();
    rises.configure(1, 0, plan(220, 10)).unwrap();
    pass(&mut rises, 60_000);
    assert_eq!(active(&rises), [1]);

    let mut waits = begin();
    let took = when(&mut waits, 60_000, |simulation| active(simulation) == [0]);
    assert!(
        (24_500..26_000).contains(&took),
        "thirty seconds since it was first heard: {took}"
    );
}

/// N11: another cluster with our VRID and other addresses: it takes part, as the standard says, and somebody is told.
#[test]
fn n11_another_cluster_with_our_vrid() {
    let mut simulation = hosts([plan(100, 100)]);
    pass(&mut simulation, 5_000);
    let envelope = Envelope::multicast(ip("10.0.0.77"));
    let foreign = vrrp_fsm::Parameters::builder(vrid(VRID), [ip("192.0.2.1"), ip("192.0.2.2")])
        .priority(Priority::new(200))
        .build()
        .unwrap();
    let mut message = [0; 16];
    foreign
        .emit_advertisement(foreign.priority(), &envelope, &mut message)
        .unwrap();
    simulation.inject(0, 0, &envelope, &message);
    pass(&mut simulation, 1);
    assert_eq!(active(&simulation), [0; 0]);
    assert!(
        events(&simulation, 0).contains("10.0.0.77 uses our vrid"),
        "{}",
        events(&simulation, 0)
    );
}

/// N12, I15: clocks that began at other times, run at other speeds and wake late: no takeover, and the same decisions.
#[test]
fn n12_clocks_drift_and_wake_late() {
    let plans = [(200, 200), (150, -200), (100, 0)].map(|(priority, drift)| HostPlan {
        members: vec![plan(priority, 1)],
        drift,
        lateness: Duration::from_micros(900),
    });
    let mut simulation = Simulation::new(5, plans);
    for host in 0..3 {
        simulation.start(host).unwrap();
    }
    pass(&mut simulation, 600_000);
    assert_eq!(active(&simulation), [0]);
    assert_eq!(statistics(&simulation, 0).master_transitions, 1);
    assert_eq!(statistics(&simulation, 1).master_transitions, 0);
}

/// N12: a clock that goes back counts as one that stands still.
#[test]
fn n12_a_clock_that_goes_back() {
    let mut router = VirtualRouter::new(plan(100, 10).parameters().unwrap(), Some(ip("10.0.0.1")));
    router.handle_input(Instant::from_millis(10_000), Input::Startup { held: false });
    let deadline = router.poll_timeout();
    router.handle_input(Instant::from_millis(1), Input::Timeout);
    router.handle_input(Instant::ZERO, Input::PeerDown(ip("10.0.0.2")));
    assert_eq!(router.poll_timeout(), deadline);
}

/// N13, erratum 8298: two owners. The lower address gives way and says why.
#[test]
fn n13_two_owners() {
    let mut simulation = hosts([plan(255, 100), plan(255, 100)]);
    pass(&mut simulation, 3_000);
    assert_eq!(active(&simulation), [1]);
    for host in [0, 1] {
        assert!(
            events(&simulation, host).contains("claims to own"),
            "{}",
            events(&simulation, host)
        );
    }
}

/// N13: two owners before RFC 9568 ignore each other for ever.
#[test]
fn n13_two_owners_of_rfc5798() {
    let old = |priority| MemberPlan {
        dialect: Dialect::Rfc5798,
        ..plan(priority, 100)
    };
    let mut simulation = hosts([old(255), old(255)]);
    pass(&mut simulation, 10_000);
    assert_eq!(active(&simulation), [0, 1]);
}

/// N14, I9, N19: packets that fail a check, twenty a second for a minute. The active router advertises on its beat, the
/// backup does not move, and each is counted.
#[test]
fn n14_n19_invalid_packets_change_nothing() {
    let parameters = plan(150, 100).parameters().unwrap();
    let good = Envelope::multicast(ip("10.0.0.9"));
    let mut message = [0; 12];
    parameters
        .emit_advertisement(Priority::new(240), &good, &mut message)
        .unwrap();
    let sum = |mut bytes: Vec<u8>| {
        // The checksum of RFC 9568, over the message alone.
        bytes[6..8].fill(0);
        let words = bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let mut sum: u32 = words.sum();
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        bytes[6..8].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        bytes
    };
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = message.to_vec();
        change(&mut bytes);
        sum(bytes)
    };
    let far = Envelope::new(good.source(), good.destination(), 254).unwrap();
    let unicast = Envelope::new(good.source(), ip("10.0.0.1"), 255).unwrap();
    let bad: Vec<(Envelope, Vec<u8>)> = vec![
        (good, {
            let mut bytes = message.to_vec();
            bytes[6] ^= 1;
            bytes
        }),
        (good, changed(&|bytes| bytes[0] = 0x32)),
        (good, changed(&|bytes| bytes[0] = 0x41)),
        (good, changed(&|bytes| bytes[1] = 0)),
        (good, changed(&|bytes| bytes[3] = 0)),
        (good, changed(&|bytes| bytes[3] = 255)),
        (good, changed(&|bytes| bytes[4..6].fill(0))),
        (
            good,
            changed(&|bytes| {
                bytes.extend([0; 8]);
            }),
        ),
        (good, message[..8].to_vec()),
        (good, vec![]),
        (good, vec![0x31, VRID]),
        (far, message.to_vec()),
        (unicast, message.to_vec()),
    ];
    let mut simulation = hosts([plan(200, 100), plan(100, 100)]);
    pass(&mut simulation, 10_000);
    let (start, states) = (
        sent(&simulation, 0),
        statistics(&simulation, 1).rcvd_advertisements,
    );
    for round in 0..1_200 {
        for host in [0, 1] {
            let (envelope, bytes) = &bad[round % bad.len()];
            simulation.inject(host, 0, envelope, bytes);
        }
        pass(&mut simulation, 50);
    }
    assert_eq!(active(&simulation), [0]);
    assert_eq!(sent(&simulation, 0) - start, 60, "one a second, to the packet");
    assert_eq!(statistics(&simulation, 1).rcvd_advertisements - states, 60);
    assert_eq!(statistics(&simulation, 1).master_transitions, 0);
    let (all, one) = (
        *simulation.host(0).unwrap().router().unwrap().statistics(),
        statistics(&simulation, 0),
    );
    let counted = all.checksum_errors
        + all.version_errors
        + all.vrid_errors
        + all.packet_length_errors
        + one.ip_ttl_errors
        + one.rcvd_invalid_type_packets
        + one.packet_length_errors
        + one.adv_interval_errors
        + one.address_list_errors
        + one.authentication_errors
        + one.other_errors;
    assert_eq!(counted, 1_200, "{all:?} {one:?}");
    // On the beat: no two advertisements further apart than an interval and a hundredth.
    let beats: Vec<Instant> = simulation
        .journal(0)
        .unwrap()
        .outputs()
        .filter(|(_, output)| matches!(output, vrrp_fsm::Output::Advertise { .. }))
        .map(|(at, _)| at)
        .collect();
    for pair in beats.windows(2) {
        assert!(
            pair[1].saturating_since(pair[0]) <= Duration::from_millis(1_010),
            "{pair:?}"
        );
    }
}

/// N15: new parameters of an active router are in the next advertisement, which is sent at once.
#[test]
fn n15_configuration_reaches_the_wire_at_once() {
    let mut simulation = hosts([plan(200, 100), plan(100, 100)]);
    pass(&mut simulation, 5_000);
    simulation
        .configure(
            0,
            0,
            MemberPlan {
                addresses: 3,
                ..plan(210, 500)
            },
        )
        .unwrap();
    pass(&mut simulation, 1);
    let backup = router(&simulation, 1);
    assert_eq!(backup.last_heard().unwrap().priority, Priority::new(210));
    assert_eq!(backup.active_adver_interval(), centis(500));
    assert_eq!(simulation.host(0).unwrap().held(0).count(), 3);
    assert!(
        events(&simulation, 1).contains("lists other addresses"),
        "{}",
        events(&simulation, 1)
    );
}

/// N16: the interface loses carrier, comes back, loses its address, gets another.
#[test]
fn n16_the_interface_goes_and_comes() {
    let mut simulation = hosts([plan(200, 10), plan(100, 10)]);
    pass(&mut simulation, 1_000);
    simulation.set_interface(0, 0, false).unwrap();
    assert_eq!(router(&simulation, 0).state(), State::Initialize);
    assert_eq!(simulation.host(0).unwrap().held(0).count(), 0);
    let took = when(&mut simulation, 1_000, |simulation| active(simulation) == [1]);
    assert!(took <= 362, "{took}");
    simulation.set_interface(0, 0, true).unwrap();
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [0]);

    simulation.input(0, 0, Input::PrimaryAddress(None)).unwrap();
    assert_eq!(router(&simulation, 0).state(), State::Initialize);
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [1]);
    simulation
        .input(0, 0, Input::PrimaryAddress(Some(ip("10.0.0.1"))))
        .unwrap();
    pass(&mut simulation, 1_000);
    assert_eq!(active(&simulation), [0]);
}

/// N17: advertisements that waited in the socket before the start do not count.
#[test]
fn n17_queued_advertisements_before_the_start() {
    let mut simulation = hosts([plan(100, 10)]);
    simulation.crash(0);
    simulation.start(0).unwrap();
    let parameters = plan(200, 10).parameters().unwrap();
    let envelope = Envelope::multicast(ip("10.0.0.9"));
    let mut message = [0; 12];
    parameters
        .emit_advertisement(Priority::new(200), &envelope, &mut message)
        .unwrap();
    let begin = simulation.now();
    let local = simulation.host(0).unwrap().clock().local_at(begin);
    let packet = Happening::Packet {
        segment: 0,
        envelope,
        message: message.as_slice().into(),
        received: Instant::from_nanos(local.as_nanos() - 10_000_000_000),
    };
    for _ in 0..20 {
        simulation.give(0, packet.clone()).unwrap();
    }
    let took = when(&mut simulation, 1_000, |simulation| active(simulation) == [0]);
    assert!(
        took <= 362,
        "as if nothing had been heard, but for the interval that was learned: {took}"
    );
}

/// N18: a fault of one member takes the sync group with it; two groups of which each wins one member settle.
#[test]
fn n18_sync_groups() {
    let member = |segment, number, priority| MemberPlan {
        group: Some(0),
        ..MemberPlan::new(segment, vrid(number), Priority::new(priority), centis(10))
    };
    let plans = [[150, 100], [100, 150]].map(|[first, second]| HostPlan {
        members: vec![member(0, 1, first), member(1, 2, second)],
        ..HostPlan::default()
    });
    let mut simulation = Simulation::new(3, plans);
    for host in [0, 1] {
        simulation.start(host).unwrap();
    }
    let both = |simulation: &Simulation| {
        (
            simulation.active(0, AddressFamily::Ipv4, vrid(1)),
            simulation.active(1, AddressFamily::Ipv4, vrid(2)),
        )
    };
    pass(&mut simulation, 10_000);
    let (first, second) = both(&simulation);
    assert_eq!((first.len(), &first), (1, &second));
    let (winner, loser) = (first[0], 1 - first[0]);
    let transitions = simulation.transitions();
    pass(&mut simulation, 60_000);
    assert_eq!(simulation.transitions(), transitions, "it stays settled");

    simulation.set_interface(winner, 1, false).unwrap();
    pass(&mut simulation, 1_000);
    assert_eq!(both(&simulation), (vec![loser], vec![loser]));
    simulation.set_interface(winner, 1, true).unwrap();
    pass(&mut simulation, 20_000);
    let (first, second) = both(&simulation);
    assert_eq!((first.len(), &first), (1, &second));
}

/// N20 of our own: a start beside an active router with the addresses of a killed predecessor. They are gone as soon as
/// the other is heard, and stay if nobody is.
#[test]
fn held_addresses_are_never_beside_another_active_router() {
    let mut simulation = hosts([plan(200, 10), plan(100, 10)]);
    pass(&mut simulation, 1_000);
    simulation.crash(0);
    pass(&mut simulation, 1_000);
    assert_eq!(simulation.holders(0, AddressFamily::Ipv4, vrid(VRID)), [0, 1]);
    simulation.start(0).unwrap();
    pass(&mut simulation, 101);
    assert_eq!(simulation.holders(0, AddressFamily::Ipv4, vrid(VRID)), [1]);

    let mut alone = hosts([plan(200, 10)]);
    pass(&mut alone, 1_000);
    alone.crash(0);
    alone.start(0).unwrap();
    for _ in 0..1_000 {
        pass(&mut alone, 1);
        assert_eq!(alone.holders(0, AddressFamily::Ipv4, vrid(VRID)), [0]);
    }
    assert_eq!(active(&alone), [0]);
}
