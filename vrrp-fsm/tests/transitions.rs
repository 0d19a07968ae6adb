//! Each change of state: what is put out, in which order, and for which reason.

mod common;

use common::*;
use vrrp_fsm::{Dialect, Event, Fault, Input, Output, Parameters, Reason, State, VirtualRouter};
use vrrp_proto::Priority;

use State::{Active, Backup, Initialize};

/// RFC 9568 §6.4.1: a router that is not the owner becomes a backup.
#[test]
fn startup() {
    let mut router = router(builder(100));
    assert_eq!((router.state(), router.poll_timeout()), (Initialize, None));
    assert_eq!(router.reason().to_string(), "not started");
    let outputs = feed(&mut router, 5, Input::Startup { held: false });
    assert_eq!(outputs, [changed(Initialize, Backup, Reason::Started)]);
    assert_eq!(deadline(&router), 5 + 3_609_375_000);
    assert_eq!(router.since(), at(5));
    assert_eq!(feed(&mut router, 6, Input::Startup { held: false }), []);
    assert_eq!(deadline(&router), 5 + 3_609_375_000);
}

/// RFC 9568 §6.4.1: the owner becomes active at once.
#[test]
fn startup_of_the_owner() {
    let mut router = router(builder(255));
    let outputs = feed(&mut router, 5, Input::Startup { held: false });
    assert_eq!(
        outputs,
        [
            sent(255),
            Output::AddAddresses,
            announce(5),
            changed(Initialize, Active, Reason::Owner)
        ]
    );
    assert_eq!(deadline(&router), 5 + SECOND);
    assert_eq!(router.active_router(), Some(ip("10.0.0.1")));
    assert_eq!(router.statistics().master_transitions, 1);
    assert_eq!(
        router.statistics().new_master_reason,
        vrrp_fsm::NewMasterReason::Priority
    );
}

/// RFC 9568 §6.4.2: the active-down timer.
#[test]
fn silence() {
    let mut router = started(builder(100));
    hear(&mut router, SECOND, "10.0.0.2", 150);
    assert_eq!(router.active_router(), Some(ip("10.0.0.2")));
    let now = deadline(&router);
    assert_eq!(now, SECOND + 3_609_375_000);
    assert_eq!(feed(&mut router, now - 1, Input::Timeout), []);
    let reason = Reason::NothingHeard {
        from: Some(ip("10.0.0.2")),
        during: nanos(3_609_375_000),
    };
    let outputs = feed(&mut router, now, Input::Timeout);
    assert_eq!(
        outputs,
        [
            sent(100),
            Output::AddAddresses,
            announce(5),
            changed(Backup, Active, reason)
        ]
    );
    assert_eq!(reason.to_string(), "nothing heard from 10.0.0.2 for 3.609 s");
    assert_eq!(*router.reason(), reason);
    assert!(router.holds_addresses());
    assert_eq!(
        router.statistics().new_master_reason,
        vrrp_fsm::NewMasterReason::MasterNoResponse
    );
}

#[test]
fn silence_from_the_start() {
    let (router, _) = active(builder(100));
    assert_eq!(router.reason().to_string(), "nothing heard for 3.609 s");
}

/// RFC 9568 §6.4.2: priority 0 shortens the wait to the skew time, of the interval learned before (T5).
#[test]
fn the_active_router_leaves() {
    let mut router = started(builder(100));
    let mut heard = advert(SECOND, "10.0.0.2", 150);
    heard.interval = centis(200);
    feed(&mut router, SECOND, Input::Advertisement(heard));
    let mut heard = advert(2 * SECOND, "10.0.0.2", 0);
    heard.interval = centis(50);
    feed(&mut router, 2 * SECOND, Input::Advertisement(heard));
    let now = deadline(&router);
    assert_eq!(now, 2 * SECOND + 1_218_750_000);
    let outputs = feed(&mut router, now, Input::Timeout);
    let reason = Reason::PriorityZero { from: ip("10.0.0.2") };
    assert_eq!(outputs.last(), Some(&changed(Backup, Active, reason)));
    assert_eq!(reason.to_string(), "priority 0 from 10.0.0.2");
    assert_eq!(router.statistics().rcvd_pri_zero_packets, 1);
    assert_eq!(router.statistics().rcvd_advertisements, 2);
}

/// A stream of priority 0 cannot keep the takeover away.
#[test]
fn priority_zero_does_not_postpone() {
    let mut router = started(builder(100));
    hear(&mut router, SECOND, "10.0.0.2", 150);
    hear(&mut router, SECOND, "10.0.0.2", 0);
    let due = deadline(&router);
    assert_eq!(due, SECOND + 609_375_000);
    for now in 1..10 {
        hear(&mut router, SECOND + now * 50 * MILLI, "10.0.0.9", 0);
        assert_eq!(deadline(&router), due);
    }
    let mut router = started(builder(100));
    let due = deadline(&router);
    hear(&mut router, due - 1, "10.0.0.9", 0);
    assert_eq!(deadline(&router), due);
}

#[test]
fn a_peer_reported_down() {
    let mut router = started(builder(100));
    hear(&mut router, SECOND, "10.0.0.2", 150);
    let due = deadline(&router);
    feed(&mut router, 2 * SECOND, Input::PeerDown(ip("10.0.0.3")));
    assert_eq!(deadline(&router), due);
    feed(&mut router, 2 * SECOND, Input::PeerDown(ip("10.0.0.2")));
    let now = deadline(&router);
    assert_eq!(now, 2 * SECOND + 609_375_000);
    feed(&mut router, now, Input::Timeout);
    assert_eq!(router.state(), Active);
    assert_eq!(router.reason().to_string(), "10.0.0.2 was reported down");
    assert_eq!(feed(&mut router, now, Input::PeerDown(ip("10.0.0.2"))), []);
}

/// A weaker router that is active beside the rightful one is ignored, and does not stand for it.
#[test]
fn a_peer_reported_down_while_a_weaker_one_is_heard() {
    let mut router = started(builder(100));
    hear(&mut router, SECOND, "10.0.0.2", 150);
    let due = deadline(&router);
    hear(&mut router, SECOND + 1, "10.0.0.3", 50);
    assert_eq!(router.last_heard().unwrap().source, ip("10.0.0.3"));
    assert_eq!(router.active_router(), Some(ip("10.0.0.2")));
    // The weaker one going away is no reason to take over from the stronger one.
    feed(&mut router, 2 * SECOND, Input::PeerDown(ip("10.0.0.3")));
    assert_eq!(deadline(&router), due);
    feed(&mut router, 2 * SECOND, Input::PeerDown(ip("10.0.0.2")));
    assert_eq!(deadline(&router), 2 * SECOND + 609_375_000);

    // The same for one that was given way to.
    let (mut router, now) = active(builder(100));
    hear(&mut router, now + 1, "10.0.0.2", 150);
    hear(&mut router, now + 2, "10.0.0.3", 50);
    assert_eq!(router.active_router(), Some(ip("10.0.0.2")));
    feed(&mut router, now + 3, Input::PeerDown(ip("10.0.0.2")));
    assert_eq!(deadline(&router), now + 3 + 609_375_000);

    // Where it is the only one that is heard, it is waited for.
    let mut router = started(builder(100));
    hear(&mut router, SECOND, "10.0.0.3", 50);
    assert_eq!(router.active_router(), Some(ip("10.0.0.3")));
    feed(&mut router, 2 * SECOND, Input::PeerDown(ip("10.0.0.3")));
    assert_eq!(deadline(&router), 2 * SECOND + 609_375_000);
}

/// RFC 9568 §6.4.2: a lower priority is ignored with preemption, an equal one never.
#[test]
fn preemption() {
    let mut router = started(builder(100));
    let due = deadline(&router);
    assert_eq!(hear(&mut router, SECOND, "10.0.0.2", 99), []);
    assert_eq!(deadline(&router), due);
    let outputs = feed(&mut router, due, Input::Timeout);
    let reason = Reason::LowerPriority {
        from: ip("10.0.0.2"),
        priority: Priority::new(99),
        own: Priority::new(100),
    };
    assert_eq!(outputs.last(), Some(&changed(Backup, Active, reason)));
    assert_eq!(
        reason.to_string(),
        "priority 99 from 10.0.0.2 is lower than our 100"
    );
    assert_eq!(
        router.statistics().new_master_reason,
        vrrp_fsm::NewMasterReason::Preempted
    );

    for source in ["10.0.0.0", "10.0.0.2"] {
        let mut router = started(builder(100));
        hear(&mut router, SECOND, source, 100);
        assert_eq!(deadline(&router), SECOND + 3_609_375_000);
    }
}

/// RFC 9568 §6.4.3: an active router yields to a higher priority, without a word.
#[test]
fn a_higher_priority() {
    let (mut router, now) = active(builder(100));
    let mut heard = advert(now, "10.0.0.2", 101);
    heard.interval = centis(200);
    let outputs = feed(&mut router, now, Input::Advertisement(heard));
    let reason = Reason::HigherPriority {
        from: ip("10.0.0.2"),
        priority: Priority::new(101),
        own: Priority::new(100),
    };
    assert_eq!(
        outputs[..2],
        [Output::RemoveAddresses, changed(Active, Backup, reason)]
    );
    assert_eq!(
        reason.to_string(),
        "priority 101 from 10.0.0.2 is higher than our 100"
    );
    assert_eq!(deadline(&router), now + 6 * SECOND + 1_218_750_000);
    assert!(!router.holds_addresses());
    assert_eq!(router.statistics().master_releases, 1);
    assert_eq!(router.active_adver_interval(), centis(200));
}

/// RFC 9568 §6.4.3: between equal priorities the higher address wins, in network order.
#[test]
fn an_equal_priority() {
    for (source, wins) in [
        ("10.0.0.0", false),
        ("10.0.0.2", true),
        ("9.255.255.255", false),
        ("192.0.0.1", true),
    ] {
        let (mut router, now) = active(builder(100));
        hear(&mut router, now, source, 100);
        assert_eq!(router.state() == Backup, wins, "{source}");
    }
    let (mut router, now) = active(builder(100));
    hear(&mut router, now, "10.0.0.2", 100);
    assert_eq!(
        router.reason().to_string(),
        "our priority 100 from 10.0.0.2, which is the higher address"
    );
}

/// RFC 9568 §6.4.3: a loser is answered at once, and the adver timer is left alone; RFC 5798 and RFC 3768 ignore it.
#[test]
fn a_lower_priority() {
    for (dialect, answers) in [
        (Dialect::Rfc9568, true),
        (Dialect::Rfc5798, false),
        (Dialect::Rfc3768, false),
    ] {
        let (mut router, now) = active(builder(100).dialect(dialect));
        let due = deadline(&router);
        let outputs = hear(&mut router, now + 10, "10.0.0.2", 99);
        assert_eq!(outputs.first() == Some(&sent(100)), answers, "{dialect:?}");
        assert_eq!(deadline(&router), due);
        assert_eq!(router.state(), Active);
    }
}

/// RFC 9568 §6.4.3: priority 0 is answered, and the adver timer starts anew.
#[test]
fn somebody_else_leaves() {
    let (mut router, now) = active(builder(100));
    assert_eq!(hear(&mut router, now + 10, "10.0.0.2", 0), [sent(100)]);
    assert_eq!(deadline(&router), now + 10 + SECOND);
    assert_eq!(router.state(), Active);
}

/// RFC 9568 §6.4.2 and §6.4.3: only an active router says that it leaves.
#[test]
fn shutdown() {
    let mut router = started(builder(100));
    let outputs = feed(&mut router, SECOND, Input::Shutdown);
    assert_eq!(outputs, [changed(Backup, Initialize, Reason::Shutdown)]);
    assert_eq!(router.poll_timeout(), None);
    assert_eq!(feed(&mut router, SECOND, Input::Shutdown), []);

    let (mut router, now) = active(builder(100));
    let outputs = feed(&mut router, now, Input::Shutdown);
    assert_eq!(
        outputs,
        [
            sent(0),
            Output::RemoveAddresses,
            changed(Active, Initialize, Reason::Shutdown)
        ]
    );
    assert_eq!(router.statistics().sent_pri_zero_packets, 1);
    assert_eq!(router.statistics().sent_advertisements, 2);
    assert_eq!(router.poll_timeout(), None);
    assert_eq!(router.fault(), None);
}

/// Nothing but a start leads out of Initialize.
#[test]
fn initialize_is_deaf() {
    let mut router = router(builder(100));
    let before = router.clone();
    for priority in [0, 1, 100, 255] {
        assert_eq!(hear(&mut router, 0, "10.0.0.2", priority), []);
    }
    for input in [
        Input::Timeout,
        Input::Shutdown,
        Input::Resign,
        Input::PeerDown(ip("10.0.0.2")),
        Input::AddressesLost,
        Input::Announce,
    ] {
        assert_eq!(feed(&mut router, 0, input), []);
    }
    assert_eq!(router, before);
    assert_eq!(router.active_router(), None);
}

#[test]
fn faults() {
    type Case = (Input, Input, Fault, &'static str);
    let cases: [Case; 3] = [
        (
            Input::Interface { up: false },
            Input::Interface { up: true },
            Fault::InterfaceDown,
            "the interface is down",
        ),
        (
            Input::PrimaryAddress(None),
            Input::PrimaryAddress(Some(ip("10.0.0.1"))),
            Fault::NoPrimaryAddress,
            "the interface has no address to send from",
        ),
        (
            Input::Fault { present: true },
            Input::Fault { present: false },
            Fault::Driver,
            "the driver reported a fault",
        ),
    ];
    for (begin, end, fault, words) in cases {
        let (mut router, now) = active(builder(100));
        let reason = Reason::Fault(fault);
        assert_eq!(reason.to_string(), words);
        assert_eq!(
            feed(&mut router, now, begin.clone()),
            [
                sent(0),
                Output::RemoveAddresses,
                changed(Active, Initialize, reason)
            ]
        );
        assert_eq!(router.fault(), Some(fault));
        assert_eq!(router.poll_timeout(), None);
        assert_eq!(feed(&mut router, now, begin.clone()), []);
        assert_eq!(
            feed(&mut router, now + 7, end.clone()),
            [changed(Initialize, Backup, Reason::FaultOver)]
        );
        assert_eq!(deadline(&router), now + 7 + 3_609_375_000);

        // At the start a fault is told too, once.
        let mut router = self::router(builder(100));
        assert_eq!(feed(&mut router, 0, begin), []);
        let outputs = feed(&mut router, 0, Input::Startup { held: false });
        assert_eq!(outputs, [changed(Initialize, Initialize, reason)]);
        assert_eq!(
            feed(&mut router, 0, Input::Shutdown),
            [changed(Initialize, Initialize, Reason::Shutdown)]
        );
        assert_eq!(feed(&mut router, 1, end), []);
        assert_eq!(router.state(), Initialize);
    }
}

#[test]
fn several_faults_at_once() {
    let mut router = started(builder(100));
    feed(&mut router, 1, Input::Interface { up: false });
    assert_eq!(feed(&mut router, 2, Input::PrimaryAddress(None)), []);
    assert_eq!(feed(&mut router, 3, Input::Interface { up: true }), []);
    assert_eq!(router.fault(), Some(Fault::NoPrimaryAddress));
    let outputs = feed(&mut router, 4, Input::PrimaryAddress(Some(ip("10.0.0.1"))));
    assert_eq!(outputs, [changed(Initialize, Backup, Reason::FaultOver)]);
}

#[test]
fn the_owner_comes_back_from_a_fault_as_active() {
    let mut router = started(builder(255));
    feed(&mut router, 1, Input::Interface { up: false });
    let outputs = feed(&mut router, 2, Input::Interface { up: true });
    assert_eq!(outputs.first(), Some(&sent(255)));
    assert_eq!(router.state(), Active);
    assert_eq!(*router.reason(), Reason::FaultOver);
}

/// The tie-break goes with the address.
#[test]
fn another_primary_address() {
    let (mut router, now) = active(builder(100));
    assert_eq!(
        feed(&mut router, now, Input::PrimaryAddress(Some(ip("10.0.0.9")))),
        []
    );
    hear(&mut router, now, "10.0.0.5", 100);
    assert_eq!(router.state(), Active);
    // One of the other family is none.
    feed(&mut router, now, Input::PrimaryAddress(Some(ip("fe80::1"))));
    assert_eq!(router.fault(), Some(Fault::NoPrimaryAddress));
}

#[test]
fn an_address_of_the_other_family_is_none() {
    let router = VirtualRouter::new(builder(100).build().unwrap(), Some(ip("fe80::1")));
    assert_eq!(router.primary_address(), None);
}

/// Handing over lasts until nobody is heard, whatever the priority.
#[test]
fn resigning() {
    for priority in [200, 255] {
        let mut router = started(builder(priority));
        let now = deadline(&router);
        feed(&mut router, now, Input::Timeout);
        let outputs = feed(&mut router, now, Input::Resign);
        assert_eq!(
            outputs,
            [
                sent(0),
                Output::RemoveAddresses,
                changed(Active, Backup, Reason::Resigned)
            ]
        );
        assert_eq!(feed(&mut router, now, Input::Resign), []);
        for second in 1..20 {
            hear(&mut router, now + second * SECOND, "10.0.0.2", 100);
            assert_eq!(router.state(), Backup);
        }
        let due = deadline(&router);
        assert!(due > now + 22 * SECOND);
        feed(&mut router, due, Input::Timeout);
        assert_eq!(router.state(), Active);
        // From then on as before.
        hear(&mut router, due, "10.0.0.2", 100);
        assert_eq!(router.state(), Active);
    }
}

/// Erratum 8298: of two owners the lower address gives way, and comes back when the other is gone.
#[test]
fn two_owners() {
    let mut router = started(builder(255));
    hear(&mut router, SECOND, "10.0.0.0", 255);
    assert_eq!(router.state(), Active);
    hear(&mut router, SECOND, "10.0.0.2", 255);
    assert_eq!(router.state(), Backup);
    assert_eq!(deadline(&router), SECOND + 3_003_906_250);
    hear(&mut router, 2 * SECOND, "10.0.0.2", 255);
    let due = deadline(&router);
    assert_eq!(due, 2 * SECOND + 3_003_906_250);
    hear(&mut router, 3 * SECOND, "10.0.0.3", 254);
    assert_eq!(deadline(&router), due);
    feed(&mut router, due, Input::Timeout);
    assert_eq!(router.state(), Active);
}

/// RFC 5798 §7.1, RFC 3768 §7.1: the owner does not listen.
#[test]
fn a_deaf_owner() {
    for dialect in [Dialect::Rfc5798, Dialect::Rfc3768] {
        let mut router = started(builder(255).dialect(dialect));
        let before = router.clone();
        for priority in [0, 100, 255] {
            assert_eq!(hear(&mut router, SECOND / 2, "10.0.0.2", priority), []);
        }
        assert_eq!(router.statistics(), before.statistics());
        assert_eq!(router.state(), Active);
    }
    let mut router = started(builder(255).owner_ignores_advertisements(true));
    hear(&mut router, SECOND / 2, "10.0.0.2", 255);
    assert_eq!(router.state(), Active);
    let mut router = started(
        builder(255)
            .dialect(Dialect::Rfc5798)
            .owner_ignores_advertisements(false),
    );
    hear(&mut router, SECOND / 2, "10.0.0.2", 255);
    assert_eq!(router.state(), Backup);
}

/// keepalived's `higher_prio_send_advert`.
#[test]
fn a_last_word_before_yielding() {
    let (mut router, now) = active(builder(100).advertise_before_yielding(true));
    let outputs = hear(&mut router, now, "10.0.0.2", 200);
    assert_eq!(outputs[..2], [sent(100), Output::RemoveAddresses]);
    let (mut router, now) = active(builder(100));
    let outputs = hear(&mut router, now, "10.0.0.2", 200);
    assert_eq!(outputs.first(), Some(&Output::RemoveAddresses));
}

#[test]
fn addresses_that_somebody_took_away_are_put_back() {
    let (mut router, now) = active(builder(100));
    assert_eq!(
        feed(&mut router, now, Input::AddressesLost),
        [Output::AddAddresses, announce(5)]
    );
    assert_eq!(feed(&mut router, now, Input::Announce), [announce(5)]);
    let mut router = started(builder(100));
    assert_eq!(feed(&mut router, 0, Input::AddressesLost), []);
    assert_eq!(feed(&mut router, 0, Input::Announce), []);
}

/// I15: the clock never goes back.
#[test]
fn time_that_goes_back_stands_still() {
    let mut router = started(builder(100));
    feed(&mut router, 2 * SECOND, Input::Timeout);
    hear(&mut router, SECOND, "10.0.0.2", 200);
    assert_eq!(deadline(&router), SECOND + 3_609_375_000);
    feed(&mut router, SECOND, Input::Shutdown);
    feed(&mut router, SECOND, Input::Startup { held: false });
    assert_eq!(deadline(&router), 2 * SECOND + 3_609_375_000);
    // A time of reception after the time of the call counts as the time of the call.
    let heard = advert(9 * SECOND, "10.0.0.2", 200);
    feed(&mut router, 3 * SECOND, Input::Advertisement(heard));
    assert_eq!(deadline(&router), 3 * SECOND + 3_609_375_000);
}

/// An older time of reception does not take back what a later one decided.
#[test]
fn receptions_out_of_order() {
    let mut router = started(builder(100));
    hear(&mut router, 2 * SECOND, "10.0.0.2", 200);
    let due = deadline(&router);
    feed(
        &mut router,
        2 * SECOND + 5,
        Input::Advertisement(advert(SECOND, "10.0.0.2", 200)),
    );
    assert_eq!(deadline(&router), due);
}

#[test]
fn words() {
    assert_eq!(
        Event::StateChanged {
            from: Initialize,
            to: Backup,
            reason: Reason::Started
        }
        .to_string(),
        "initialize -> backup: started"
    );
    assert_eq!(
        Event::PriorityChanged {
            from: Priority::new(100),
            to: Priority::new(95)
        }
        .to_string(),
        "the effective priority changed from 100 to 95"
    );
    assert_eq!(
        Event::HeardLower {
            from: ip("10.0.0.2"),
            priority: Priority::new(95)
        }
        .to_string(),
        "priority 95 from 10.0.0.2 loses, answered"
    );
    for (reason, words) in [
        (
            Reason::StartedHolding,
            "started, keeping the addresses that a predecessor held",
        ),
        (Reason::Owner, "started as the address owner"),
        (
            Reason::Paused {
                late: nanos(2_100 * MILLI),
            },
            "ran 2.100 s late, so a peer must have taken over meanwhile",
        ),
        (Reason::Resigned, "handed over on request"),
        (Reason::Shutdown, "shut down"),
        (Reason::FaultOver, "the last fault is over"),
        (Reason::SyncGroup, "the sync group moved"),
        (Reason::Configured, "configured anew"),
        (
            Reason::Fault(Fault::Track(vrrp_fsm::TrackId(3))),
            "tracked object 3 failed",
        ),
        (
            Reason::Fault(Fault::TrackPending(vrrp_fsm::TrackId(3))),
            "tracked object 3 has not reported yet",
        ),
        (
            Reason::Fault(Fault::SyncGroup),
            "another member of the sync group has a fault",
        ),
        (
            Reason::Fault(Fault::SyncGroupPending),
            "another member of the sync group waits for a tracked object",
        ),
    ] {
        assert_eq!(reason.to_string(), words);
    }
    assert_eq!(Active.to_string(), "active");
}

/// The parameters of an IPv6 router decide like those of an IPv4 one.
#[test]
fn ipv6() {
    let addresses = [ip("fe80::100"), ip("2001:db8::100")];
    let parameters = Parameters::builder(vrid(1), addresses).build().unwrap();
    let mut router = VirtualRouter::new(parameters, Some(ip("fe80::1")));
    feed(&mut router, 0, Input::Startup { held: false });
    let now = deadline(&router);
    feed(&mut router, now, Input::Timeout);
    hear(&mut router, now, "fe80::0:2", 100);
    assert_eq!(router.state(), Backup);
}

/// The down interval of a router that gives way begins when the advertisement was received, unless it would be over.
#[test]
fn giving_way_to_a_queued_advertisement() {
    for (waited, begins) in [(SECOND / 4, false), (4 * SECOND, true)] {
        let (mut router, start) = active(builder(100));
        run(&mut router, start + 5 * SECOND);
        let received = start + 5 * SECOND;
        let mut now = received;
        while now < received + waited {
            now = deadline(&router).min(received + waited);
            feed(&mut router, now, Input::Timeout);
        }
        assert_eq!(router.state(), Active);
        feed(
            &mut router,
            now,
            Input::Advertisement(advert(received, "10.0.0.2", 200)),
        );
        assert_eq!(router.state(), Backup);
        let from = if begins { now } else { received };
        assert_eq!(deadline(&router), from + 3_609_375_000);
    }
}

/// Two routers of which one has something left to do are not equal; an empty queue is like none.
#[test]
fn what_is_left_to_do_counts() {
    let mut pending = router(builder(100));
    let fresh = pending.clone();
    feed(&mut pending, 1, Input::Announce);
    assert_ne!(pending, fresh, "the time is another");
    pending.handle_input(at(1), Input::Startup { held: false });
    let mut done = pending.clone();
    assert_eq!(done, pending);
    drain(&mut done);
    assert_ne!(done, pending);
    drain(&mut pending);
    assert_eq!(done, pending);
}
