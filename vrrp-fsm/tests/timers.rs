//! When what happens: skews, intervals, learned intervals, late and paused processes.

mod common;

use common::*;
use vrrp_fsm::{Alarm, Dialect, Event, Input, Output, Preempt, Reason, State, Track, TrackId, TrackStatus};
use vrrp_proto::{AdverInterval, Priority};

/// RFC 9568 §6.1 (T2, T3): 3 A + (256 - p) A / 256, to the nanosecond.
#[test]
fn active_down_of_version_3() {
    for dialect in [Dialect::Rfc5798, Dialect::Rfc9568] {
        for (interval, priority, down) in [
            (1, 254, 30_078_125),
            (1, 100, 36_093_750),
            (1, 1, 39_960_937),
            (10, 200, 321_875_000),
            (100, 100, 3_609_375_000),
            (100, 1, 3_996_093_750),
        ] {
            let router = started(
                builder(priority)
                    .dialect(dialect)
                    .adver_interval(centis(interval)),
            );
            assert_eq!(deadline(&router), down);
        }
    }
}

/// RFC 3768 §6.1 (T1): the skew is a part of a second, whatever the interval.
#[test]
fn active_down_of_version_2() {
    for (seconds, priority, down) in [
        (1, 254, 3_007_812_500),
        (1, 100, 3_609_375_000),
        (5, 100, 15_609_375_000),
    ] {
        let interval = AdverInterval::from_seconds(seconds).unwrap();
        let router = started(
            builder(priority)
                .dialect(Dialect::Rfc3768)
                .adver_interval(interval),
        );
        assert_eq!(deadline(&router), down);
    }
}

/// keepalived's `down_timer_adverts`.
#[test]
fn other_multiples() {
    let router = started(builder(199).adver_interval(centis(1)).down_timer_adverts(1));
    assert_eq!(deadline(&router), 12_226_562);
}

/// RFC 9568 §6.4.2 (T4): each accepted advertisement teaches the interval, an ignored one does not.
#[test]
fn learning() {
    let mut router = started(builder(100).adver_interval(centis(10)));
    let mut heard = advert(100 * MILLI, "10.0.0.2", 99);
    feed(&mut router, 100 * MILLI, Input::Advertisement(heard));
    assert_eq!(router.active_adver_interval(), centis(10));
    heard.priority = Priority::new(100);
    feed(&mut router, 100 * MILLI, Input::Advertisement(heard));
    assert_eq!(router.active_adver_interval(), centis(100));
    assert_eq!(deadline(&router), 100 * MILLI + 3_609_375_000);
    // T6: once active, our own interval counts.
    let now = deadline(&router);
    feed(&mut router, now, Input::Timeout);
    assert_eq!(deadline(&router), now + 100 * MILLI);
    // And it is learned anew on the way back.
    heard.priority = Priority::new(200);
    heard.interval = centis(50);
    heard.received = at(now + 1);
    feed(&mut router, now + 1, Input::Advertisement(heard));
    assert_eq!(deadline(&router), now + 1 + 1_804_687_500);
}

/// RFC 3768 §6.4.2 (T7): VRRPv2 does not learn.
#[test]
fn version_2_does_not_learn() {
    let mut router = started(builder(100).dialect(Dialect::Rfc3768));
    let mut heard = advert(SECOND, "10.0.0.2", 200);
    heard.interval = centis(700);
    let outputs = feed(&mut router, SECOND, Input::Advertisement(heard));
    assert_eq!(outputs, []);
    assert_eq!(deadline(&router), SECOND + 3_609_375_000);
    assert_eq!(router.active_adver_interval(), centis(100));
}

/// The time of reception counts, not that of the call.
#[test]
fn reception_time() {
    let mut router = started(builder(100));
    let heard = advert(SECOND, "10.0.0.2", 200);
    feed(&mut router, SECOND + 400 * MILLI, Input::Advertisement(heard));
    assert_eq!(deadline(&router), SECOND + 3_609_375_000);
}

/// Advertisements keep their beat: lateness does not add up.
#[test]
fn the_beat() {
    let (mut router, start) = active(builder(100));
    for beat in 1..50 {
        let due = start + beat * SECOND;
        assert_eq!(deadline(&router), due);
        assert_eq!(
            feed(&mut router, due - 1, Input::Timeout)
                .iter()
                .filter(|output| is_advert(output))
                .count(),
            0
        );
        let outputs = feed(&mut router, due + 300 * MILLI, Input::Timeout);
        assert_eq!(outputs.iter().filter(|output| is_advert(output)).count(), 1);
    }
    // A whole beat missed is not made up for.
    let due = deadline(&router);
    feed(&mut router, due + SECOND, Input::Timeout);
    assert_eq!(deadline(&router), due + 2 * SECOND);
}

/// N3: an active router that slept becomes a backup, before anything else, and listens.
#[test]
fn a_pause_while_active() {
    let allowance = 2 * SECOND + 7_812_500;
    let inputs: [fn(u64) -> Input; 4] = [
        |_| Input::Timeout,
        |now| Input::Advertisement(advert(now, "10.0.0.2", 50)),
        |_| Input::AddressesLost,
        |_| Input::Announce,
    ];
    for input in inputs {
        let (mut router, _) = active(builder(100));
        let due = deadline(&router);
        let now = due + allowance + 1;
        let outputs = feed(&mut router, now, input(now));
        let reason = Reason::Paused {
            late: nanos(allowance + 1),
        };
        assert_eq!(
            outputs,
            [
                Output::RemoveAddresses,
                changed(State::Active, State::Backup, reason)
            ]
        );
        assert_eq!(deadline(&router), now + 3_609_375_000);

        let (mut router, _) = active(builder(100));
        let now = deadline(&router) + allowance;
        feed(&mut router, now, input(now));
        assert_eq!(router.state(), State::Active);
    }
}

/// N3 with a queue: what was sent meanwhile is read first, and nothing is stolen back.
#[test]
fn a_pause_with_a_queue() {
    let (mut router, start) = active(builder(200).preempt(Preempt::Never));
    let now = start + 20 * SECOND;
    let mut outputs = Vec::new();
    for second in 5..20 {
        let heard = advert(start + second * SECOND, "10.0.0.2", 100);
        outputs.extend(feed(&mut router, now, Input::Advertisement(heard)));
    }
    outputs.extend(feed(&mut router, now, Input::Timeout));
    assert_eq!(outputs.iter().filter(|output| is_advert(output)).count(), 0);
    assert_eq!(router.state(), State::Backup);
    hear(&mut router, now + SECOND, "10.0.0.2", 100);
    assert_eq!(deadline(&router), now + SECOND + 3_218_750_000);
}

/// I16: the owner is exempt.
#[test]
fn a_pause_of_the_owner() {
    let mut router = started(builder(255));
    let outputs = feed(&mut router, 60 * SECOND, Input::Timeout);
    assert_eq!(outputs.first(), Some(&sent(255)));
    assert_eq!(router.state(), State::Active);
    assert_eq!(deadline(&router), 61 * SECOND);
}

/// N4: a backup that slept reads its queue first; and with an empty one listens for another interval, once.
#[test]
fn a_pause_in_backup() {
    let mut router = started(builder(100));
    for second in 1..20 {
        let heard = advert(second * SECOND, "10.0.0.2", 200);
        assert_eq!(feed(&mut router, 20 * SECOND, Input::Advertisement(heard)), []);
    }
    assert_eq!(feed(&mut router, 20 * SECOND, Input::Timeout), []);
    assert!(deadline(&router) > 20 * SECOND + 2_609_375_000);

    let down = 3_609_375_000;
    let mut router = started(builder(100));
    assert_eq!(feed(&mut router, 2 * down + 1, Input::Timeout), []);
    assert_eq!(deadline(&router), 3 * down + 1);
    feed(&mut router, 9 * down, Input::Timeout);
    assert_eq!(router.state(), State::Active);

    let mut router = started(builder(100));
    feed(&mut router, 2 * down, Input::Timeout);
    assert_eq!(router.state(), State::Active);
}

/// I14: the deadline is the last accepted reception and the interval in force, whatever changes in between.
#[test]
fn changes_do_not_postpone() {
    let track = Track::new(TrackId(1), 60).unwrap();
    let parameters = || builder(100).tracks([track]);
    let mut router = started(parameters());
    hear(&mut router, SECOND, "10.0.0.2", 200);
    for step in 0..30u64 {
        let now = SECOND + step * 100 * MILLI;
        let status = if step % 2 == 0 {
            TrackStatus::Good
        } else {
            TrackStatus::Bad
        };
        feed(
            &mut router,
            now,
            Input::Track {
                id: TrackId(1),
                status,
            },
        );
        let skew = if step % 2 == 0 { 375_000_000 } else { 609_375_000 };
        assert_eq!(deadline(&router), 4 * SECOND + skew);
        feed(&mut router, now, configure(parameters()));
        assert_eq!(deadline(&router), 4 * SECOND + skew);
    }
    // A change that moves the deadline into the past takes over at once.
    let mut router = started(builder(1));
    let outputs = feed(&mut router, 3_100 * MILLI, configure(builder(254)));
    assert_eq!(router.state(), State::Active);
    assert_eq!(
        outputs[0],
        Output::Event(Event::PriorityChanged {
            from: Priority::new(1),
            to: Priority::new(254)
        })
    );
    assert_eq!(outputs[1], sent(254));
}

/// Our own lateness is told once, and when it is over.
#[test]
fn lateness() {
    let (mut router, start) = active(builder(100));
    let late = feed(&mut router, start + SECOND + 600 * MILLI, Input::Timeout);
    let alarm = Alarm::Late {
        by: nanos(600 * MILLI),
    };
    assert_eq!(alarms(&late), [alarm]);
    assert_eq!(alarm.to_string(), "we ran 0.600 s late");
    let still = feed(&mut router, start + 2 * SECOND + 700 * MILLI, Input::Timeout);
    assert_eq!(alarms(&still), []);
    let over = feed(&mut router, start + 3 * SECOND + 500 * MILLI, Input::Timeout);
    assert_eq!((alarms(&over), ended(&over)), (vec![], vec![alarm]));
    // Not told again within a minute.
    let again = feed(&mut router, start + 4 * SECOND + 600 * MILLI, Input::Timeout);
    assert_eq!(alarms(&again), []);
}
