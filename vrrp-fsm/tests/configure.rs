//! Other parameters while running (N15).

mod common;

use std::time::Duration;

use common::*;
use vrrp_fsm::{
    AddressListCheck, Announcements, Dialect, Input, Output, Parameters, ParametersBuilder, Preempt, Reason,
    State,
};
use vrrp_proto::{ChecksumForm, Priority};

fn quiet(priority: u8) -> ParametersBuilder {
    builder(priority).announcements(Announcements::MINIMAL)
}

/// The next advertisement carries the new values, and is sent at once where it differs.
#[test]
fn while_active() {
    let (mut router, now) = active(quiet(100));
    assert_eq!(feed(&mut router, now, configure(quiet(100))), []);
    let outputs = feed(
        &mut router,
        now + 10,
        configure(quiet(100).adver_interval(centis(500))),
    );
    assert_eq!(outputs, [sent(100)]);
    assert_eq!(deadline(&router), now + 10 + 5 * SECOND);
    let outputs = feed(
        &mut router,
        now + 20,
        configure(quiet(120).adver_interval(centis(500))),
    );
    assert_eq!(outputs[1], sent(120));
    assert_eq!(deadline(&router), now + 20 + 5 * SECOND);
    let other = quiet(120)
        .adver_interval(centis(500))
        .checksum_form(ChecksumForm::Rfc9568);
    assert_eq!(feed(&mut router, now + 30, configure(other)), [sent(120)]);
    assert_eq!(router.parameters().checksum_form(), ChecksumForm::Rfc9568);
    assert_eq!(router.state(), State::Active);
    assert_eq!(router.statistics().master_transitions, 1);
}

#[test]
fn addresses() {
    let two = |first, second| builder(100).addresses([ip(first), ip(second)]);
    let (mut router, now) = active(two("10.0.0.100", "10.0.0.101"));
    let outputs = feed(&mut router, now, configure(two("10.0.0.101", "10.0.0.102")));
    assert_eq!(
        outputs,
        [
            Output::RemoveAddress(ip("10.0.0.100")),
            sent(100),
            Output::AddAddress(ip("10.0.0.102")),
            Output::AnnounceAddress {
                address: ip("10.0.0.102"),
                repeat: 5
            },
        ]
    );
    let blocks = times(&run(&mut router, now + 20 * SECOND), |output| {
        *output == announce(5)
    });
    assert_eq!(blocks, [now + 5 * SECOND]);
    // Another order is another advertisement, and nothing else.
    assert_eq!(
        feed(
            &mut router,
            now + 20 * SECOND,
            configure(two("10.0.0.102", "10.0.0.101"))
        ),
        [sent(100)]
    );
    let quiet = run(&mut router, now + 40 * SECOND);
    assert_eq!(times(&quiet, |output| !is_advert(output)), [] as [u64; 0]);

    let mut router = started(builder(100));
    assert_eq!(
        feed(&mut router, 1, configure(two("10.0.0.101", "10.0.0.102"))),
        []
    );
}

#[test]
fn accept_mode() {
    let (mut router, now) = active(builder(100));
    assert_eq!(
        feed(&mut router, now, configure(builder(100).accept_mode(true))),
        [Output::AddAddresses]
    );
    assert!(router.parameters().accept_mode());
    assert_eq!(
        feed(&mut router, now, configure(builder(100).accept_mode(true))),
        []
    );
}

#[test]
fn announcement_schedule() {
    let refreshing = |seconds| Announcements {
        refresh: Duration::from_secs(seconds),
        ..Announcements::MINIMAL
    };
    let (mut router, now) = active(builder(100).announcements(Announcements::MINIMAL));
    feed(
        &mut router,
        now,
        configure(builder(100).announcements(refreshing(3))),
    );
    let all = run(&mut router, now + 7 * SECOND);
    assert_eq!(
        times(&all, |output| *output == announce(1)),
        [now + 3 * SECOND, now + 6 * SECOND]
    );
    feed(
        &mut router,
        now + 7 * SECOND,
        configure(builder(100).announcements(refreshing(3))),
    );
    let all = run(&mut router, now + 9 * SECOND);
    assert_eq!(times(&all, |output| *output == announce(1)), [now + 9 * SECOND]);
    feed(
        &mut router,
        now + 9 * SECOND,
        configure(builder(100).announcements(Announcements::MINIMAL)),
    );
    let all = run(&mut router, now + 60 * SECOND);
    assert_eq!(times(&all, |output| *output == announce(1)), [] as [u64; 0]);
}

/// The version may change, and what was learned from the other version does not count.
#[test]
fn version() {
    let (mut router, now) = active(builder(100));
    assert_eq!(
        feed(
            &mut router,
            now,
            configure(builder(100).dialect(Dialect::Rfc3768))
        ),
        [sent(100)]
    );
    assert_eq!(router.state(), State::Active);

    let mut router = started(builder(100));
    let mut heard = advert(0, "10.0.0.2", 200);
    heard.interval = centis(200);
    feed(&mut router, 0, Input::Advertisement(heard));
    assert_eq!(deadline(&router), 7_218_750_000);
    feed(&mut router, 0, configure(builder(100)));
    assert_eq!(deadline(&router), 7_218_750_000);
    feed(&mut router, 0, configure(builder(100).dialect(Dialect::Rfc3768)));
    assert_eq!(deadline(&router), 3_609_375_000);
}

/// The owner is active, so a backup that becomes the owner is too.
#[test]
fn becoming_the_owner() {
    let mut router = started(builder(100));
    let outputs = feed(&mut router, 1, configure(builder(255)));
    assert_eq!(outputs[1], sent(255));
    assert_eq!(*router.reason(), Reason::Configured);
    assert_eq!(router.state(), State::Active);
    feed(&mut router, 2, configure(builder(100)));
    assert_eq!(
        (router.state(), router.effective_priority().get()),
        (State::Active, 100)
    );

    // One that gave way to a higher owner stays where it is.
    let mut router = started(builder(255));
    hear(&mut router, 1, "10.0.0.2", 255);
    feed(&mut router, 2, configure(builder(255).accept_mode(true)));
    assert_eq!(router.state(), State::Backup);
}

#[test]
fn preemption_takes_effect_at_once() {
    let mut router = started(builder(200));
    let due = deadline(&router);
    hear(&mut router, SECOND, "10.0.0.2", 100);
    feed(
        &mut router,
        SECOND,
        configure(builder(200).preempt(Preempt::Never)),
    );
    assert_eq!(deadline(&router), due);
    hear(&mut router, 2 * SECOND, "10.0.0.2", 100);
    assert_eq!(deadline(&router), due + 2 * SECOND);
}

/// Another VRID is another virtual router: this one leaves, that one starts.
#[test]
fn identity() {
    let other = || Parameters::builder(vrid(2), [ip("10.0.0.100")]);
    let (mut router, now) = active(builder(100));
    let outputs = feed(&mut router, now, configure(other()));
    assert_eq!(
        outputs,
        [
            sent(0),
            Output::RemoveAddresses,
            changed(State::Active, State::Initialize, Reason::Configured),
            changed(State::Initialize, State::Backup, Reason::Configured),
        ]
    );
    let mut router = self::router(builder(100));
    assert_eq!(feed(&mut router, 0, configure(other())), []);
    assert_eq!(router.state(), State::Initialize);
    // And so is another family, which the primary address does not suit.
    let (mut router, now) = active(builder(100));
    feed(
        &mut router,
        now,
        configure(Parameters::builder(vrid(1), [ip("fe80::100")])),
    );
    assert_eq!(router.state(), State::Initialize);
    feed(&mut router, now, Input::PrimaryAddress(Some(ip("fe80::1"))));
    assert_eq!(router.state(), State::Backup);
}

/// A builder made from parameters builds the same.
#[test]
fn there_and_back() {
    for dialect in [Dialect::Rfc3768, Dialect::Rfc5798, Dialect::Rfc9568] {
        let parameters = builder(100).dialect(dialect).accept_mode(true).build().unwrap();
        assert_eq!(parameters.to_builder().build().unwrap(), parameters);
    }
}

/// What was set can be read.
#[test]
fn parameters_can_be_read() {
    let flags = |parameters: &Parameters| {
        [
            parameters.accept_mode(),
            parameters.check_peers(),
            parameters.answers_lower_priority(),
            parameters.advertises_before_yielding(),
            parameters.owner_ignores_advertisements(),
            parameters.any_first_address(),
        ]
    };
    let built = |builder: ParametersBuilder| builder.build().unwrap();
    let older = || builder(100).dialect(Dialect::Rfc5798);
    assert_eq!(
        flags(&built(builder(100))),
        [false, false, true, false, false, false]
    );
    assert_eq!(flags(&built(older())), [false, false, false, false, true, false]);
    assert!(built(builder(255)).accept_mode());
    for (place, changed) in [
        older().accept_mode(true),
        older().check_peers(true),
        older().answer_lower_priority(true),
        older().advertise_before_yielding(true),
        older().owner_ignores_advertisements(false),
        older().any_first_address(true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut expected = flags(&built(older()));
        expected[place] ^= true;
        assert_eq!(flags(&built(changed)), expected, "{place}");
    }
    let parameters = built(
        older()
            .down_timer_adverts(7)
            .adver_interval(centis(30))
            .checksum_form(ChecksumForm::Rfc9568)
            .address_list_check(AddressListCheck::Ignore)
            .preempt(Preempt::Never),
    );
    assert_eq!(parameters.down_timer_adverts(), 7);
    assert_eq!(parameters.adver_interval(), centis(30));
    assert_eq!(parameters.checksum_form(), ChecksumForm::Rfc9568);
    assert_eq!(parameters.address_list_check(), AddressListCheck::Ignore);
    assert_eq!(parameters.preempt(), Preempt::Never);
    assert_eq!(parameters.dialect(), Dialect::Rfc5798);
    assert_eq!(parameters.priority(), Priority::new(100));
    assert_eq!(parameters.vrid(), vrid(1));
}
