//! Exhaustive model checking of the real type: every order, delay and loss on a link between two or three virtual
//! routers, in ticks of 10 ms. The intervals and priorities are chosen so that every timer is a whole number of ticks.

mod model {
    pub(crate) mod contest;
    pub(crate) mod explorer;
    pub(crate) mod groups;
    pub(crate) mod network;
}
use model::{contest, explorer, groups, network};

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use contest::Contest;
use explorer::{explore, search};
use network::{Network, Routers, World, address, router};
use vrrp_fsm::{Announcements, Dialect, Input, Parameters, Preempt, State, VirtualRouter};
use vrrp_proto::{AdverInterval, Priority, Vrid};

const LIMIT: usize = 6_000_000;

/// The parameters of one router: `interval` in ticks.
fn parameters(priority: u8, interval: u16, preempt: Preempt) -> Parameters {
    builder(priority, interval, preempt)
        .build()
        .expect("valid parameters")
}

fn builder(priority: u8, interval: u16, preempt: Preempt) -> vrrp_fsm::ParametersBuilder {
    Parameters::builder(Vrid::new(7).unwrap(), [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100))])
        .priority(Priority::new(priority))
        .adver_interval(AdverInterval::from_centiseconds(interval).unwrap())
        .preempt(preempt)
        .announcements(Announcements::MINIMAL)
}

/// The skew in ticks; the parameters of this file make it a whole number.
fn skew(priority: u8, interval: u16) -> u16 {
    let parts = (256 - u16::from(priority)) * interval;
    assert_eq!(
        parts % 256,
        0,
        "priority {priority} with interval {interval} has a skew of no whole tick"
    );
    parts / 256
}

/// Every combination of (backup or active, time left) of all routers.
fn any_states(all: &[Parameters]) -> Vec<Vec<VirtualRouter>> {
    let mut combinations: Vec<Vec<VirtualRouter>> = vec![Vec::new()];
    for (node, parameters) in all.iter().enumerate() {
        let interval = parameters.adver_interval().centiseconds();
        let down = 3 * interval + skew(parameters.priority().get(), interval);
        let choices: Vec<_> = (1..=down)
            .map(|left| router(parameters, node, false, left))
            .chain((1..=interval).map(|left| router(parameters, node, true, left)))
            .collect();
        combinations = combinations
            .into_iter()
            .flat_map(|nodes| {
                choices.iter().map(move |choice| {
                    let mut nodes = nodes.clone();
                    nodes.push(choice.clone());
                    nodes
                })
            })
            .collect();
    }
    combinations
}

/// The bound of I2 to I4: 3 * L + S + D of the router that has to win.
fn settle(priority: u8, interval: u16, delay: u8) -> u16 {
    3 * interval + skew(priority, interval) + u16::from(delay)
}

fn sole(world: &World, winner: Option<usize>) -> Result<(), String> {
    match (world.active().as_slice(), winner) {
        ([_], None) => Ok(()),
        ([only], Some(winner)) if *only == winner => Ok(()),
        (active, _) => Err(format!(
            "after {} ticks these are active: {active:?}",
            world.elapsed()
        )),
    }
}

fn stabilises(all: &[Parameters], delay: u8, bound: u16, winner: Option<usize>) {
    let system = Network {
        initial: any_states(all),
        delay,
        horizon: bound + 1,
        inputs: Vec::new(),
        mortal: None,
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| {
            if world.elapsed() > bound {
                sole(world, winner)
            } else {
                Ok(())
            }
        },
    };
    let report = explore(&system, LIMIT);
    println!("{} states, {} transitions", report.states, report.transitions);
}

/// I2: from any state and any timers, the router with the highest priority is the only active one within 3L + S + D.
#[test]
fn two_routers_settle_on_the_best() {
    let all = [
        parameters(224, 8, Preempt::Immediate),
        parameters(192, 8, Preempt::Immediate),
    ];
    stabilises(&all, 2, settle(224, 8, 2), Some(0));
}

/// The search itself can fail: with a bound too small by two ticks it finds the counterexample.
#[test]
fn a_bound_too_small_is_refuted() {
    let all = [
        parameters(224, 8, Preempt::Immediate),
        parameters(192, 8, Preempt::Immediate),
    ];
    let bound = settle(224, 8, 2) - 2;
    let system = Network {
        initial: any_states(&all),
        delay: 2,
        horizon: bound + 1,
        inputs: Vec::new(),
        mortal: None,
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| {
            if world.elapsed() > bound {
                sole(world, Some(0))
            } else {
                Ok(())
            }
        },
    };
    let violation = search(&system, LIMIT).expect_err("the bound is tight");
    assert!(violation.what.contains("these are active"), "{violation}");
    assert!(violation.path.len() > 10, "{violation}");
}

/// I2 for three routers.
#[test]
fn three_routers_settle_on_the_best() {
    let all = [192, 128, 64].map(|priority| parameters(priority, 4, Preempt::Immediate));
    stabilises(&all, 1, settle(192, 4, 1), Some(0));
}

/// I3: without preemption exactly one stays active, not necessarily the best.
#[test]
fn two_routers_settle_without_preemption() {
    let all = [
        parameters(224, 8, Preempt::Never),
        parameters(192, 8, Preempt::Never),
    ];
    stabilises(&all, 2, settle(192, 8, 2), None);
}

/// I3 for three routers.
#[test]
fn three_routers_settle_without_preemption() {
    let all = [192, 128, 64].map(|priority| parameters(priority, 4, Preempt::Never));
    stabilises(&all, 1, settle(64, 4, 1), None);
}

/// I4: equal priorities settle on exactly one.
#[test]
fn two_equal_routers_settle() {
    let all = [
        parameters(192, 8, Preempt::Immediate),
        parameters(192, 8, Preempt::Immediate),
    ];
    stabilises(&all, 2, settle(192, 8, 2), None);
}

/// I4 for three routers.
#[test]
fn three_equal_routers_settle() {
    let all = [128, 128, 128].map(|priority| parameters(priority, 4, Preempt::Immediate));
    stabilises(&all, 1, settle(128, 4, 1), None);
}

/// I1: of several active routers that hear each other again, the strongest is alone within A_w + D by RFC 5798; by
/// RFC 9568 also within A_l + 2D.
fn heals(dialect: Dialect, intervals: [u16; 2], delay: u8, bound: u16) {
    let all: Vec<Parameters> = [224, 192]
        .into_iter()
        .zip(intervals)
        .map(|(priority, interval)| {
            let builder = builder(priority, interval, Preempt::Immediate).dialect(dialect);
            builder.build().expect("valid parameters")
        })
        .collect();
    let initial = any_states_of_actives(&all);
    let system = Network {
        initial,
        delay,
        horizon: bound + 1,
        inputs: Vec::new(),
        mortal: None,
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| {
            if world.elapsed() > bound {
                sole(world, Some(0))
            } else {
                Ok(())
            }
        },
    };
    let report = explore(&system, LIMIT);
    println!("{} states, {} transitions", report.states, report.transitions);
}

fn any_states_of_actives(all: &[Parameters]) -> Vec<Vec<VirtualRouter>> {
    let mut worlds = any_states(all);
    worlds.retain(|world| world.iter().all(|router| router.state() == State::Active));
    worlds
}

/// I1, RFC 5798.
#[test]
fn a_healed_partition_leaves_one_active_rfc5798() {
    heals(Dialect::Rfc5798, [8, 8], 2, 8 + 2);
}

/// I1, RFC 9568.
#[test]
fn a_healed_partition_leaves_one_active_rfc9568() {
    heals(Dialect::Rfc9568, [8, 8], 2, 8 + 2);
}

/// I1, RFC 9568: a loser that advertises often does not have to wait for the winner's slow rhythm.
#[test]
fn a_healed_partition_is_settled_by_the_faster_of_two_rhythms() {
    heals(Dialect::Rfc9568, [24, 8], 2, 8 + 2 * 2);
}

/// I1 for three routers.
#[test]
fn three_active_routers_become_one() {
    let all = [192, 128, 64].map(|priority| parameters(priority, 4, Preempt::Immediate));
    let bound = 4 + 1;
    let system = Network {
        initial: any_states_of_actives(&all),
        delay: 1,
        horizon: bound + 1,
        inputs: Vec::new(),
        mortal: None,
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| {
            if world.elapsed() > bound {
                sole(world, Some(0))
            } else {
                Ok(())
            }
        },
    };
    explore(&system, LIMIT);
}

/// The worlds reached when the first is active and settled, whatever the phases.
fn settled(all: &[Parameters], delay: u8) -> Vec<Vec<VirtualRouter>> {
    let mut nodes = vec![router(&all[0], 0, true, 1)];
    for (node, parameters) in all.iter().enumerate().skip(1) {
        let interval = parameters.adver_interval().centiseconds();
        nodes.push(router(
            parameters,
            node,
            false,
            3 * interval + skew(parameters.priority().get(), interval),
        ));
    }
    assert!(u16::from(delay) < all[0].adver_interval().centiseconds());
    vec![nodes]
}

/// I5: when the only active router dies, another is active after 3L + min S + D at the latest, and not before 2L + min S.
fn survives_a_crash(
    all: &[Parameters],
    inputs: Vec<(usize, Input, &'static str)>,
    delay: u8,
    earliest: u16,
    latest: u16,
) {
    let system = Network {
        initial: settled(all, delay),
        delay,
        horizon: latest + 1,
        inputs,
        mortal: Some(0),
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| {
            let active = world.active();
            match world.is_dead(0) {
                false if active != [0] => Err(format!("while router 0 lived these were active: {active:?}")),
                true if world.elapsed() > latest && active.is_empty() => {
                    Err(format!("nobody took over within {latest} ticks"))
                }
                true if world.elapsed() < earliest && !active.is_empty() => Err(format!(
                    "router {} took over after only {} ticks",
                    active[0],
                    world.elapsed()
                )),
                _ => Ok(()),
            }
        },
    };
    let report = explore(&system, LIMIT);
    println!("{} states, {} transitions", report.states, report.transitions);
}

/// I5 for two routers.
#[test]
fn a_crash_is_survived_within_the_down_interval() {
    let all = [
        parameters(224, 8, Preempt::Immediate),
        parameters(192, 8, Preempt::Immediate),
    ];
    let own = skew(192, 8);
    survives_a_crash(&all, Vec::new(), 2, 2 * 8 + own, 3 * 8 + own + 2);
}

/// I5 for three routers.
#[test]
fn a_crash_among_three_is_survived_within_the_down_interval() {
    let all = [192, 128, 64].map(|priority| parameters(priority, 4, Preempt::Immediate));
    let own = skew(128, 4);
    survives_a_crash(&all, Vec::new(), 1, 2 * 4 + own, 3 * 4 + own + 1);
}

/// Once the first router died or left, one other is active after `latest` ticks, and there never are two.
fn hands_over_once(all: &[Parameters], leaves: bool, delay: u8, latest: u16) {
    let inputs = if leaves {
        vec![(0, Input::Shutdown, "shutdown")]
    } else {
        Vec::new()
    };
    let gone = move |world: &World| world.is_dead(0) || world.state(0) == State::Initialize;
    let system = Network {
        initial: settled(all, delay),
        delay,
        horizon: latest + 1,
        inputs,
        mortal: (!leaves).then_some(0),
        losses: 0,
        in_order: true,
        routers: Routers::default(),
        check: |world: &World| match world.active().as_slice() {
            [_, _, ..] => Err(format!("several are active: {:?}", world.active())),
            [] if gone(world) && world.elapsed() > latest => {
                Err(format!("nobody took over within {latest} ticks"))
            }
            _ => Ok(()),
        },
    };
    explore(&system, LIMIT);
}

/// I6: where the skews of two backups differ by more than the delay, a crash promotes one of them only.
#[test]
fn a_crash_promotes_one_when_the_skews_differ_enough() {
    let all = [224, 192, 64].map(|priority| parameters(priority, 8, Preempt::Immediate));
    assert!(skew(64, 8) - skew(192, 8) > 2);
    hands_over_once(&all, false, 1, 3 * 8 + skew(192, 8) + 1);
}

/// I7: after priority 0 one router follows, within its skew and the delay, where the skews differ enough and packets
/// keep their order. (An earlier advertisement that arrives after the priority 0 takes its effect back.)
#[test]
fn a_leaving_router_is_followed_by_one() {
    let all = [224, 192, 64].map(|priority| parameters(priority, 8, Preempt::Immediate));
    hands_over_once(&all, true, 1, skew(192, 8) + 1);
}

/// I17: a preempt delay, pending or over, does not postpone the takeover from a router that died.
#[test]
fn a_preempt_delay_does_not_postpone_a_takeover() {
    let delayed = Preempt::Delayed(Duration::from_millis(120));
    let all = [
        parameters(192, 8, Preempt::Immediate),
        parameters(224, 8, delayed),
    ];
    let latest = 3 * 8 + skew(224, 8) + 2;
    let system = Network {
        initial: settled(&all, 2),
        delay: 2,
        horizon: latest + 1,
        inputs: Vec::new(),
        mortal: Some(0),
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| match world.is_dead(0) {
            true if world.elapsed() > latest && world.active().is_empty() => {
                Err(format!("nobody took over within {latest} ticks"))
            }
            _ => Ok(()),
        },
    };
    explore(&system, LIMIT);
}

/// I14: other parameters, however often they come, do not postpone a takeover beyond the longest down interval among
/// them, counted from the last advertisement.
#[test]
fn reconfiguration_does_not_postpone_a_takeover() {
    let all = [
        parameters(224, 8, Preempt::Immediate),
        parameters(192, 8, Preempt::Immediate),
    ];
    let inputs = [(192, "priority 192"), (160, "priority 160")].map(|(priority, name)| {
        (
            1,
            Input::Configure(Box::new(parameters(priority, 8, Preempt::Immediate))),
            name,
        )
    });
    survives_a_crash(
        &all,
        inputs.to_vec(),
        1,
        2 * 8 + skew(192, 8),
        3 * 8 + skew(160, 8) + 1,
    );
}

/// I16: the owner of the addresses is active from its start on, whatever it hears.
#[test]
fn the_owner_is_active_whatever_it_hears() {
    let owner = builder(255, 4, Preempt::Immediate)
        .build()
        .expect("valid parameters");
    let other = parameters(192, 4, Preempt::Immediate);
    let mut initial = Vec::new();
    for left in 1..=4 {
        for other_left in 1..=13 {
            initial.push(vec![
                router(&owner, 0, true, left),
                router(&other, 1, false, other_left),
            ]);
        }
        for other_left in 1..=4 {
            initial.push(vec![
                router(&owner, 0, true, left),
                router(&other, 1, true, other_left),
            ]);
        }
    }
    let system = Network {
        initial,
        delay: 1,
        horizon: 1,
        inputs: Vec::new(),
        mortal: None,
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| match world.state(0) {
            State::Active => Ok(()),
            state => Err(format!("the owner is {state}")),
        },
    };
    explore(&system, LIMIT);
}

/// I8: two lost advertisements in a row do not make a backup take over.
#[test]
fn two_losses_do_not_promote_a_backup() {
    let all = [
        parameters(224, 8, Preempt::Immediate),
        parameters(192, 8, Preempt::Immediate),
    ];
    let system = Network {
        initial: settled(&all, 1),
        delay: 1,
        horizon: 1,
        inputs: Vec::new(),
        mortal: None,
        losses: 2,
        in_order: false,
        routers: Routers::default(),
        check: |world: &World| match world.active().as_slice() {
            [0] => Ok(()),
            active => Err(format!("these are active: {active:?}")),
        },
    };
    explore(&system, LIMIT);
}

/// I10 to I12 in a router that is started, stopped, faulted and configured at any time, beside another.
#[test]
fn the_operator_may_do_anything_at_any_time() {
    let all = [
        parameters(192, 4, Preempt::Immediate),
        parameters(128, 4, Preempt::Never),
    ];
    let inputs = vec![
        (0, Input::Shutdown, "shutdown"),
        (0, Input::Startup { held: false }, "startup"),
        (0, Input::Startup { held: true }, "startup, addresses held"),
        (0, Input::Interface { up: false }, "interface down"),
        (0, Input::Interface { up: true }, "interface up"),
        (0, Input::Announce, "announce"),
        (0, Input::AddressesLost, "addresses lost"),
        (1, Input::Resign, "resign"),
        (1, Input::PeerDown(address(0)), "peer down"),
    ];
    let system = Network {
        initial: settled(&all, 1),
        delay: 1,
        horizon: 0,
        inputs,
        mortal: None,
        losses: 0,
        in_order: false,
        routers: Routers::default(),
        check: |_: &World| Ok(()),
    };
    let report = explore(&system, LIMIT);
    println!("{} states, {} transitions", report.states, report.transitions);
}

/// N18: two sync groups of which each wins one member settle within two of their down intervals and two delays, whatever
/// the states in which they meet; and the bound is exact.
#[test]
fn two_sync_groups_with_opposite_winners_settle() {
    for delay in [1, 2] {
        let contest = Contest {
            delay,
            ..Contest::OPPOSITE
        };
        contest.settles_within(contest.rounds(2)).expect("settles");
    }
    let contest = Contest::OPPOSITE;
    let violation = contest.settles_within(contest.rounds(2) - 1).expect_err("tight");
    assert!(violation.contains("these are active: []"), "{violation}");
}

/// The same without preemption.
#[test]
fn two_sync_groups_settle_without_preemption() {
    let contest = Contest {
        preempt: Preempt::Never,
        ..Contest::OPPOSITE
    };
    contest.settles_within(contest.rounds(2)).expect("settles");
}

/// The same where the addresses decide between the first members.
#[test]
fn two_sync_groups_with_equal_first_members_settle() {
    let contest = Contest {
        priorities: [[128, 192], [128, 64]],
        better: 1,
        ..Contest::OPPOSITE
    };
    contest.settles_within(contest.rounds(2)).expect("settles");
}

/// However many contests went before, which matters as both may have run out of patience: five such rounds.
#[test]
fn two_sync_groups_settle_after_any_number_of_contests() {
    let contest = Contest {
        before: &[0, 1, 2, 3],
        ..Contest::OPPOSITE
    };
    contest.settles_within(contest.rounds(5)).expect("settles");
}

/// Groups that agree on the winner settle like single routers do: within one down interval and one delay.
#[test]
fn two_sync_groups_that_agree_settle() {
    let contest = Contest {
        priorities: [[192, 192], [128, 128]],
        ..Contest::OPPOSITE
    };
    contest.settles_within(contest.rounds(1)).expect("settles");
}
