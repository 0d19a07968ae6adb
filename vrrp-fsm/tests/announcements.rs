//! When the addresses are announced.

mod common;

use std::time::Duration;

use common::*;
use vrrp_fsm::{Announcements, Event, Input, Output, State};

fn schedule(delay: u64, refresh: u64, lower: (u8, u64)) -> Announcements {
    Announcements {
        repeat: 4,
        delay: Duration::from_secs(delay),
        refresh: Duration::from_secs(refresh),
        refresh_repeat: 2,
        lower_priority_repeat: lower.0,
        lower_priority_delay: Duration::from_secs(lower.1),
    }
}

fn announced(all: &[(u64, Output)], start: u64) -> Vec<(u64, u8)> {
    all.iter()
        .filter_map(|(time, output)| match output {
            Output::Announce { repeat } => Some((*time - start, *repeat)),
            _ => None,
        })
        .collect()
}

/// keepalived's `garp_master_repeat`, `_delay`, `_refresh`, `_refresh_repeat`: the first refresh after delay + refresh.
#[test]
fn blocks_and_refreshes() {
    let parameters = builder(100).announcements(schedule(5, 10, (0, 0)));
    let (mut router, start) = active(parameters);
    let all = run(&mut router, start + 40 * SECOND);
    assert_eq!(
        announced(&all, start),
        [
            (5 * SECOND, 4),
            (15 * SECOND, 2),
            (25 * SECOND, 2),
            (35 * SECOND, 2)
        ]
    );
    let adverts = times(&all, is_advert);
    assert_eq!(adverts.len(), 40);
}

#[test]
fn refreshes_without_a_second_block() {
    let (mut router, start) = active(builder(100).announcements(schedule(0, 10, (0, 0))));
    let all = run(&mut router, start + 25 * SECOND);
    assert_eq!(announced(&all, start), [(10 * SECOND, 2), (20 * SECOND, 2)]);
}

#[test]
fn nothing_more_than_the_standard() {
    let (mut router, start) = active(builder(100).announcements(Announcements::MINIMAL));
    assert_eq!(announced(&run(&mut router, start + 60 * SECOND), start), []);
    let mut router = started(builder(100).announcements(Announcements::MINIMAL));
    let now = deadline(&router);
    assert_eq!(feed(&mut router, now, Input::Timeout)[2], announce(1));
}

/// Nothing is announced after the addresses are gone, and a new term has its own schedule.
#[test]
fn leaving_ends_the_schedule() {
    let (mut router, start) = active(builder(100).announcements(schedule(5, 0, (0, 0))));
    hear(&mut router, start + SECOND, "10.0.0.2", 200);
    let all = run(&mut router, start + 60 * SECOND);
    let again = times(&all, |output| *output == Output::AddAddresses);
    assert_eq!(announced(&all, again[0]), [(0, 4), (5 * SECOND, 4)]);
}

/// `garp_lower_prio_repeat` and `_delay`: hosts and switches may have followed the loser (N2).
#[test]
fn after_a_conflict() {
    let (mut router, start) = active(builder(100).announcements(schedule(0, 0, (3, 7))));
    let outputs = hear(&mut router, start + SECOND / 2, "10.0.0.2", 50);
    assert_eq!(outputs[..2], [sent(100), announce(3)]);
    assert!(matches!(outputs[2], Output::Event(Event::HeardLower { .. })));
    let all = run(&mut router, start + 20 * SECOND);
    assert_eq!(announced(&all, start), [(7 * SECOND + SECOND / 2, 3)]);

    let (mut router, start) = active(builder(100).announcements(schedule(0, 0, (0, 7))));
    let outputs = hear(&mut router, start, "10.0.0.2", 50);
    assert_eq!(outputs.len(), 2);
    assert_eq!(announced(&run(&mut router, start + 20 * SECOND), start), []);

    let (mut router, start) = active(builder(100).announcements(schedule(0, 0, (3, 0))));
    hear(&mut router, start, "10.0.0.2", 50);
    assert_eq!(announced(&run(&mut router, start + 20 * SECOND), start), []);
}

/// keepalived's `lower_prio_no_advert` keeps back the advertisement, not the announcements.
#[test]
fn announcements_without_an_answer() {
    let (mut router, start) = active(builder(100).answer_lower_priority(false));
    let outputs = hear(&mut router, start, "10.0.0.2", 50);
    assert_eq!(outputs[0], announce(5));
}

/// Blocks that are due together are one.
#[test]
fn together() {
    let (mut router, start) = active(builder(100).announcements(schedule(5, 5, (9, 5))));
    hear(&mut router, start, "10.0.0.2", 50);
    let all = run(&mut router, start + 10 * SECOND);
    assert_eq!(announced(&all, start), [(5 * SECOND, 9), (10 * SECOND, 2)]);
    assert_eq!(router.state(), State::Active);
}

/// N1: at most one answer in a quarter of an interval, whoever asks, so nothing sustains itself.
#[test]
fn the_storm_guard() {
    let (mut router, start) = active(builder(100));
    let mut answers = 0;
    for step in 0..1_000 {
        let now = start + step * MILLI;
        let source = format!("10.0.0.{}", 2 + step % 200);
        answers += hear(&mut router, now, &source, 50)
            .iter()
            .filter(|output| is_advert(output))
            .count();
        run(&mut router, now);
    }
    assert_eq!(answers, 4);
}

/// What was configured can be read again, to derive other parameters from it.
#[test]
fn the_schedule_can_be_read() {
    let schedule = Announcements {
        repeat: 2,
        delay: Duration::from_millis(1_500),
        refresh: Duration::from_secs(30),
        refresh_repeat: 3,
        lower_priority_repeat: 4,
        lower_priority_delay: Duration::from_secs(7),
    };
    let parameters = builder(100).announcements(schedule).build().unwrap();
    assert_eq!(parameters.announcements(), schedule);
    let derived = parameters.to_builder().build().unwrap();
    assert_eq!(derived, parameters);
}
