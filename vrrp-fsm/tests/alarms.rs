//! What is wrong on the link is told once, and when it is over.

mod common;

use common::*;
use vrrp_fsm::{AddressMatch, Alarm, Heard, Input, State, VirtualRouter};
use vrrp_proto::{ChecksumForm, Priority};

fn tell(router: &mut VirtualRouter, heard: Heard) -> (Vec<Alarm>, Vec<Alarm>) {
    let outputs = feed(router, heard.received.as_nanos(), Input::Advertisement(heard));
    (alarms(&outputs), ended(&outputs))
}

/// One that differs raises the alarm, once; one that does not ends it.
fn once(change: impl Fn(&mut Heard), alarm: Alarm, words: &str) {
    assert_eq!(alarm.to_string(), words);
    let mut router = started(builder(100));
    let good = |now| advert(now, "10.0.0.2", 200);
    let bad = |now| {
        let mut heard = good(now);
        change(&mut heard);
        heard
    };
    assert_eq!(tell(&mut router, good(0)), (vec![], vec![]));
    assert_eq!(tell(&mut router, bad(1)), (vec![alarm], vec![]));
    assert_eq!(tell(&mut router, bad(2)), (vec![], vec![]));
    assert_eq!(tell(&mut router, bad(70 * SECOND)), (vec![], vec![]));
    let mut other = good(70 * SECOND);
    other.source = ip("10.0.0.3");
    assert_eq!(tell(&mut router, other), (vec![], vec![]));
    assert_eq!(tell(&mut router, good(71 * SECOND)), (vec![], vec![alarm]));
    assert_eq!(tell(&mut router, good(71 * SECOND)), (vec![], vec![]));
    assert_eq!(tell(&mut router, bad(72 * SECOND)), (vec![alarm], vec![]));
    // Off and on within a minute is not told.
    assert_eq!(tell(&mut router, good(73 * SECOND)), (vec![], vec![alarm]));
    assert_eq!(tell(&mut router, bad(74 * SECOND)), (vec![], vec![]));
    assert_eq!(tell(&mut router, bad(132 * SECOND)), (vec![alarm], vec![]));
    assert_eq!(router.state(), State::Backup);
}

/// RFC 9568 §7.1: other addresses are accepted and reported (R10).
#[test]
fn address_lists() {
    let from = ip("10.0.0.2");
    once(
        |heard| heard.addresses = AddressMatch::Overlapping,
        Alarm::AddressList { from },
        "10.0.0.2 lists other addresses than we do",
    );
    once(
        |heard| heard.addresses = AddressMatch::Disjoint,
        Alarm::DuplicateVrid { from },
        "10.0.0.2 uses our vrid for wholly other addresses",
    );
}

/// RFC 9568 §7.1: another interval is accepted and reported (R9).
#[test]
fn intervals() {
    once(
        |heard| heard.interval = centis(250),
        Alarm::Interval {
            from: ip("10.0.0.2"),
            theirs: centis(250),
            ours: centis(100),
        },
        "10.0.0.2 advertises every 2.50 s, we every 1 s",
    );
}

#[test]
fn checksums() {
    let from = ip("10.0.0.2");
    once(
        |heard| heard.checksum_form = Some(ChecksumForm::Rfc9568),
        Alarm::Checksum {
            from,
            theirs: ChecksumForm::Rfc9568,
        },
        "10.0.0.2 sends its checksum without a pseudo-header, and may not understand ours with one",
    );
    once(
        |heard| heard.checksum_form = Some(ChecksumForm::OldUnicast),
        Alarm::Checksum {
            from,
            theirs: ChecksumForm::OldUnicast,
        },
        "10.0.0.2 sends its checksum with another pseudo-header than ours, and may not understand ours",
    );
    let mut router = started(builder(100));
    let mut heard = advert(0, "10.0.0.2", 200);
    heard.checksum_form = Some(ChecksumForm::Rfc5798);
    assert_eq!(tell(&mut router, heard), (vec![], vec![]));
}

/// An alarm that changes is told again, though not at any rate.
#[test]
fn a_changing_alarm() {
    let mut router = started(builder(100));
    let mut told = 0;
    for second in 0..200 {
        let mut heard = advert(second * SECOND, "10.0.0.2", 200);
        heard.interval = centis(200 + u16::try_from(second % 2).unwrap());
        told += tell(&mut router, heard).0.len();
    }
    assert_eq!(told, 4);
}

/// N1: our own address, heard. Nothing is answered, and nobody yields.
#[test]
fn a_duplicate_address() {
    let (mut router, now) = active(builder(100));
    let due = deadline(&router);
    for priority in [100, 200, 1, 0] {
        let outputs = hear(&mut router, now, "10.0.0.1", priority);
        let alarm = Alarm::DuplicateAddress {
            address: ip("10.0.0.1"),
        };
        assert_eq!(alarms(&outputs).len(), outputs.len());
        assert_eq!(outputs.is_empty(), priority != 100);
        if priority == 100 {
            assert_eq!(alarms(&outputs), [alarm]);
            assert_eq!(
                alarm.to_string(),
                "advertisements arrive from our own address 10.0.0.1"
            );
        }
        assert_eq!(deadline(&router), due);
    }
    assert_eq!(router.statistics().own_source_packets, 4);
    assert_eq!(router.statistics().rcvd_advertisements, 0);

    let mut router = started(builder(100));
    let due = deadline(&router);
    assert_eq!(hear(&mut router, SECOND, "10.0.0.1", 200).len(), 1);
    assert_eq!(deadline(&router), due);
}

/// RFC 9568 §8.3.2: a second owner is reported.
#[test]
fn a_second_owner() {
    let mut router = started(builder(255));
    let alarm = Alarm::SecondOwner { from: ip("10.0.0.2") };
    assert_eq!(
        alarm.to_string(),
        "10.0.0.2 claims to own the addresses, as we do"
    );
    assert_eq!(
        tell(&mut router, advert(1, "10.0.0.2", 255)),
        (vec![alarm], vec![])
    );
    assert_eq!(tell(&mut router, advert(2, "10.0.0.2", 0)), (vec![], vec![]));
    assert_eq!(
        tell(&mut router, advert(3, "10.0.0.2", 254)),
        (vec![], vec![alarm])
    );
}

/// N5: another router stays active although it loses.
#[test]
fn a_second_active_router() {
    let (mut router, start) = active(builder(100));
    let alarm = Alarm::SecondActive { from: ip("10.0.0.2") };
    assert_eq!(
        alarm.to_string(),
        "10.0.0.2 stays active although it loses against us; can it hear us?"
    );
    let mut told = Vec::new();
    for step in 0..20 {
        let now = start + step * SECOND;
        told.extend(
            run(&mut router, now)
                .into_iter()
                .flat_map(|(_, output)| alarms(&[output])),
        );
        let outputs = hear(&mut router, now, "10.0.0.2", 50);
        if !alarms(&outputs).is_empty() {
            assert_eq!(step, 3);
        }
        told.extend(alarms(&outputs));
    }
    assert_eq!(told, [alarm]);
    let all = run(&mut router, start + 40 * SECOND);
    let over: Vec<u64> = times(&all, |output| ended(&[*output]) == [alarm]);
    assert_eq!(over, [start + 23 * SECOND]);
    // One that goes away in time is none.
    let (mut router, start) = active(builder(100));
    for step in 0..3 {
        run(&mut router, start + step * SECOND);
        assert_eq!(
            alarms(&hear(&mut router, start + step * SECOND, "10.0.0.2", 50)),
            []
        );
    }
}

/// Alarms do not decide anything.
#[test]
fn the_election_goes_on() {
    let mut router = started(builder(100));
    let mut heard = advert(SECOND, "10.0.0.2", 200);
    heard.addresses = AddressMatch::Disjoint;
    heard.interval = centis(200);
    heard.checksum_form = Some(ChecksumForm::Rfc9568);
    let (told, _) = tell(&mut router, heard);
    assert_eq!(told.len(), 3);
    assert_eq!(router.active_router(), Some(ip("10.0.0.2")));
    assert_eq!(router.last_heard().unwrap().priority, Priority::new(200));
    assert_eq!(router.statistics().adv_interval_errors, 1);
    assert_eq!(router.statistics().address_list_errors, 1);
    // All are over at once; each is told.
    let mut over = Vec::new();
    for second in 2..6 {
        over.extend(tell(&mut router, advert(second * SECOND, "10.0.0.2", 200)).1);
    }
    assert_eq!(over.len(), 3);
}

/// A rival that was silent for three intervals is another one when it comes back; for just three, the same.
#[test]
fn a_rival_that_comes_back() {
    for (silence, told) in [(3 * SECOND, 1), (3 * SECOND + 1, 0)] {
        let (mut router, start) = active(builder(100));
        run(&mut router, start + SECOND / 2);
        assert_eq!(alarms(&hear(&mut router, start + SECOND / 2, "10.0.0.2", 50)), []);
        run(&mut router, start + SECOND / 2 + silence);
        let outputs = hear(&mut router, start + SECOND / 2 + silence, "10.0.0.2", 50);
        assert_eq!(alarms(&outputs).len(), told, "{silence}");
    }
}

/// A process that runs late for minutes says so once, however late it is.
#[test]
fn lateness_is_told_once() {
    let (mut router, start) = active(builder(100));
    let mut told = Vec::new();
    let mut now = start;
    for beat in 0..100 {
        now = deadline(&router) + SECOND * 6 / 10 + beat * MILLI;
        told.extend(alarms(&feed(&mut router, now, Input::Timeout)));
    }
    assert!(now > start + 61 * SECOND);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].to_string(), "we ran 0.600 s late");
}
