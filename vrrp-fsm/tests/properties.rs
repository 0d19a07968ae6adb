//! Any inputs at any times: what always holds.

mod common;

use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vrrp_fsm::{
    AddressMatch, Announcements, Dialect, Event, Heard, Input, Output, Parameters, Preempt, State, Track,
    TrackId, TrackStatus, VirtualRouter,
};
use vrrp_proto::{AdverInterval, Priority};

fn parameters() -> impl Strategy<Value = Parameters> {
    let dialect = prop_oneof![
        Just(Dialect::Rfc3768),
        Just(Dialect::Rfc5798),
        Just(Dialect::Rfc9568)
    ];
    let preempt = prop_oneof![
        Just(Preempt::Immediate),
        Just(Preempt::Never),
        (0u64..5_000).prop_map(|millis| Preempt::Delayed(Duration::from_millis(millis)))
    ];
    let priority = prop_oneof![Just(1u8), Just(100), Just(254), Just(255), 1..=255u8];
    let announcements =
        (1u8..4, 0u64..9, 0u64..9, 0u8..3, 0u64..9).prop_map(|(repeat, delay, refresh, lower, again)| {
            Announcements {
                repeat,
                delay: Duration::from_secs(delay),
                refresh: Duration::from_secs(refresh),
                refresh_repeat: repeat,
                lower_priority_repeat: lower,
                lower_priority_delay: Duration::from_secs(again),
            }
        });
    let shape = (1u8..3, 1u8..4, any::<bool>(), any::<bool>(), any::<bool>());
    (dialect, preempt, priority, announcements, 1u16..4, shape).prop_map(
        |(dialect, preempt, priority, announcements, interval, (number, adverts, tracks, answers, last))| {
            let addresses = (0..number).map(|number| ip(&format!("10.0.0.{}", 100 + number)));
            let tracks = tracks
                .then(|| [(1, 0), (2, -50)].map(|(id, weight)| Track::new(TrackId(id), weight).unwrap()));
            Parameters::builder(vrid(1), addresses)
                .dialect(dialect)
                .preempt(preempt)
                .priority(Priority::new(priority))
                .announcements(announcements)
                .adver_interval(AdverInterval::from_centiseconds(interval * 100).unwrap())
                .down_timer_adverts(adverts)
                .tracks(tracks.into_iter().flatten())
                .answer_lower_priority(answers)
                .advertise_before_yielding(last)
                .build()
                .unwrap()
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    let source = (1u8..5).prop_map(|host| ip(&format!("10.0.0.{host}")));
    let priority = prop_oneof![Just(0u8), Just(1), Just(100), Just(254), Just(255), 0..=255u8];
    let interval = (1u16..5).prop_map(|seconds| AdverInterval::from_centiseconds(seconds * 100).unwrap());
    let addresses = prop_oneof![
        Just(AddressMatch::Equal),
        Just(AddressMatch::Overlapping),
        Just(AddressMatch::Disjoint)
    ];
    let heard = (source.clone(), priority, interval, addresses, 0u64..10 * SECOND).prop_map(
        |(source, priority, interval, addresses, received)| Heard {
            addresses,
            ..Heard::new(at(received), source, Priority::new(priority), interval)
        },
    );
    let status = prop_oneof![
        Just(TrackStatus::Good),
        Just(TrackStatus::Bad),
        (-300i64..300).prop_map(TrackStatus::Value)
    ];
    prop_oneof![
        2 => any::<bool>().prop_map(|held| Input::Startup { held }),
        1 => Just(Input::Shutdown),
        12 => Just(Input::Timeout),
        12 => heard.prop_map(Input::Advertisement),
        1 => source.clone().prop_map(Input::PeerDown),
        1 => Just(Input::Resign),
        1 => any::<bool>().prop_map(|up| Input::Interface { up }),
        1 => prop::option::of(source).prop_map(Input::PrimaryAddress),
        1 => any::<bool>().prop_map(|present| Input::Fault { present }),
        3 => (1u32..4, status).prop_map(|(id, status)| Input::Track { id: TrackId(id), status }),
        1 => Just(Input::AddressesLost),
        1 => Just(Input::Announce),
        2 => parameters().prop_map(|parameters| Input::Configure(Box::new(parameters))),
    ]
}

/// What the outside world looks like after the outputs were carried out.
#[derive(Default)]
struct World {
    held: bool,
    tells: Option<State>,
}

impl World {
    fn carry_out(&mut self, router: &VirtualRouter, outputs: &[Output], was: State) {
        for (place, output) in outputs.iter().enumerate() {
            match *output {
                Output::Advertise { priority } => {
                    // I10: only an active router speaks, 0 is said on leaving only, 255 by the owner only.
                    assert!(was == State::Active || outputs.contains(&Output::AddAddresses));
                    if priority.is_release() {
                        assert_eq!(outputs[place + 1], Output::RemoveAddresses);
                    }
                    if priority.is_owner() {
                        assert!(router.effective_priority().is_owner());
                    }
                }
                Output::AddAddresses => self.held = true,
                Output::RemoveAddresses => {
                    assert!(self.held);
                    self.held = false;
                }
                Output::AddAddress(_) | Output::RemoveAddress(_) | Output::AnnounceAddress { .. } => {
                    assert!(self.held);
                }
                Output::Announce { repeat } => assert!(self.held && repeat > 0),
                Output::Event(Event::StateChanged { from, to, .. }) => {
                    assert_eq!(self.tells.unwrap_or(State::Initialize), from);
                    self.tells = Some(to);
                    // What is reported is done.
                    assert!(self.held || to != State::Active);
                    if to == State::Active {
                        let before: Vec<&Output> = outputs[..place].iter().rev().take(3).collect();
                        assert!(matches!(before[0], Output::Announce { .. }));
                        assert_eq!(*before[1], Output::AddAddresses);
                        assert!(matches!(before[2], Output::Advertise { .. }));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn invariants(parameters in parameters(), steps in prop::collection::vec((input(), 0u64..3 * SECOND, any::<bool>()), 1..60)) {
        let mut router = VirtualRouter::new(parameters, Some(ip("10.0.0.1")));
        let mut world = World::default();
        let mut started = false;
        let mut now = 0;
        for (input, wait, at_deadline) in steps {
            now = match router.poll_timeout() {
                Some(due) if at_deadline => due.as_nanos(),
                _ => now + wait,
            };
            let was = router.state();
            let addresses = router.parameters().addresses().len();
            if let Input::Startup { held } = input {
                world.held |= held && !started;
                started = true;
            }
            started &= !matches!(input, Input::Shutdown);
            let more = if let Input::Configure(new) = &input { addresses + 2 * new.addresses().len() } else { 0 };
            let outputs = feed(&mut router, now, input.clone());
            world.carry_out(&router, &outputs, was);
            prop_assert_eq!(world.held, router.holds_addresses());
            prop_assert!(world.tells.unwrap_or(State::Initialize) == router.state());
            // I12: exactly one timer outside of Initialize, later than now; outputs are bounded.
            prop_assert_eq!(router.poll_timeout().is_some(), router.state() != State::Initialize);
            prop_assert!(router.poll_timeout().is_none_or(|due| due > at(now)));
            prop_assert!(outputs.len() <= 20 + more, "{} outputs for {:?}", outputs.len(), input);
            prop_assert!(!router.holds_addresses() || router.state() != State::Initialize);
            let priority = router.effective_priority();
            prop_assert!(!priority.is_release());
            prop_assert_eq!(priority.is_owner(), router.parameters().priority().is_owner());
        }
    }

    /// I9: coming early does nothing; and a clone decides alike.
    #[test]
    fn early_timeouts(parameters in parameters(), steps in prop::collection::vec((input(), 0u64..3 * SECOND), 1..40)) {
        let mut router = VirtualRouter::new(parameters, Some(ip("10.0.0.1")));
        let mut now = 0;
        for (input, wait) in steps {
            now += wait;
            let mut twin = router.clone();
            let outputs = feed(&mut router, now, input.clone());
            prop_assert_eq!(feed(&mut twin, now, input), outputs);
            prop_assert_eq!(&twin, &router);
            let before = router.clone();
            prop_assert_eq!(feed(&mut router, now, Input::Timeout), []);
            prop_assert_eq!(&router, &before);
        }
    }

    /// I14: between two accepted advertisements nothing that is configured or tracked moves the deadline beyond what it
    /// would be had it been so from the start.
    #[test]
    fn a_takeover_is_not_postponed(changes in prop::collection::vec((1u8..=254, 0u64..300 * MILLI), 1..12)) {
        let mut router = started(builder(1));
        hear(&mut router, SECOND, "10.0.0.2", 254);
        let mut now = SECOND;
        for (priority, wait) in changes {
            now = (now + wait).min(4 * SECOND);
            feed(&mut router, now, configure(builder(priority)));
            if router.state() == State::Backup {
                let skew = (256 - u64::from(priority)) * SECOND / 256;
                prop_assert_eq!(deadline(&router), 4 * SECOND + skew);
            }
        }
    }
}
