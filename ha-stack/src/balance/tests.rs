//! The balancer without sockets: keepalived's rules one by one, then all short histories against their definition.

use std::net::SocketAddr;

use super::*;
use crate::data_plane::{DesiredTable, Forwarding, Front};
use crate::error::Error;

const VS: &str = "10.0.0.100:80";

fn address(last: u8) -> SocketAddr {
    format!("10.0.1.{last}:80").parse().unwrap()
}

/// Real servers 1 to n of weight 1.
fn plan(reals: u8) -> VirtualServerPlan {
    let mut plan = VirtualServerPlan::new("tcp 10.0.0.100:80".parse().unwrap());
    plan.real_servers = (1..=reals)
        .map(|last| RealServerPlan::new(address(last)))
        .collect();
    plan
}

fn sorry(mut plan: VirtualServerPlan) -> VirtualServerPlan {
    plan.sorry_server = Some(SorryServerPlan {
        address: address(250),
        forwarding: Forwarding::Masquerade,
        inhibit: false,
    });
    plan
}

fn balancer(plan: VirtualServerPlan) -> (Balancer, Vec<String>) {
    let mut balancer = Balancer::new();
    let happened = balancer.configure(vec![plan.into()], false).unwrap();
    (balancer, words(&happened))
}

fn words(happened: &[ServerHappening]) -> Vec<String> {
    let word = |each: &ServerHappening| {
        let name = each.object.name().split(' ').next().unwrap();
        let short = name.trim_start_matches("[10.0.").split(']').next().unwrap();
        format!("{} {short} {}", each.object.word(), each.kind.word())
    };
    happened.iter().map(word).collect()
}

/// Last octet and weight of each row of the only virtual server.
fn rows(table: &DesiredTable) -> Vec<(u8, u32)> {
    let reals = table.virtual_servers[0].real_servers.iter();
    let last = |address: SocketAddr| match address {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(_) => panic!("{address}"),
    };
    reals.map(|real| (last(real.address), real.weight)).collect()
}

fn verdict(balancer: &mut Balancer, last: u8, up: bool) -> Vec<String> {
    words(&balancer.verdict(VS, address(last), up, 1))
}

#[test]
fn a_failed_real_server_leaves_and_returns() {
    let (mut balancer, told) = balancer(plan(3));
    assert_eq!(told, ["VS 0.100 UP"], "the quorum is met at the start");
    assert_eq!(rows(&balancer.table()), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(verdict(&mut balancer, 2, false), ["RS 1.2 DOWN"]);
    assert_eq!(rows(&balancer.table()), [(1, 1), (3, 1)]);
    assert_eq!(verdict(&mut balancer, 2, false), [""; 0], "it is told once");
    assert_eq!(verdict(&mut balancer, 2, true), ["RS 1.2 UP"]);
    assert_eq!(rows(&balancer.table()), [(1, 1), (2, 1), (3, 1)]);
}

#[test]
fn the_sorry_server_answers_alone_while_the_quorum_is_lost() {
    let mut wanted = sorry(plan(3));
    wanted.quorum = 2;
    let (mut balancer, _) = balancer(wanted);
    verdict(&mut balancer, 1, false);
    assert_eq!(verdict(&mut balancer, 2, false), ["RS 1.2 DOWN", "VS 0.100 DOWN"]);
    assert_eq!(
        rows(&balancer.table()),
        [(250, 1)],
        "the one that is up is out too"
    );
    // Meanwhile changes are told and change nothing else.
    assert_eq!(verdict(&mut balancer, 3, false), ["RS 1.3 DOWN"]);
    assert_eq!(verdict(&mut balancer, 3, true), ["RS 1.3 UP"]);
    assert_eq!(rows(&balancer.table()), [(250, 1)]);
    assert_eq!(verdict(&mut balancer, 1, true), ["RS 1.1 UP", "VS 0.100 UP"]);
    assert_eq!(rows(&balancer.table()), [(1, 1), (3, 1)]);
}

#[test]
fn a_sorry_server_that_is_inhibited_stays_with_weight_0_once_it_was_used() {
    let mut wanted = sorry(plan(1));
    if let Some(sorry) = &mut wanted.sorry_server {
        sorry.inhibit = true;
    }
    let (mut balancer, _) = balancer(wanted);
    assert_eq!(rows(&balancer.table()), [(1, 1)]);
    verdict(&mut balancer, 1, false);
    assert_eq!(rows(&balancer.table()), [(250, 1)]);
    verdict(&mut balancer, 1, true);
    assert_eq!(rows(&balancer.table()), [(1, 1), (250, 0)]);
}

/// The same, where nobody is up before the checks have said so.
fn alpha(mut plan: VirtualServerPlan) -> VirtualServerPlan {
    let policy = std::sync::Arc::new(healthcheck::Policy {
        start: healthcheck::Start::Unknown,
        ..healthcheck::Policy::keepalived(true)
    });
    for real in &mut plan.real_servers {
        real.checks = vec![(healthcheck::Check::tcp(real.address), policy.clone())];
    }
    plan
}

#[test]
fn a_start_without_the_quorum_is_told_where_a_sorry_server_steps_in() {
    let (mut with, told) = balancer(sorry(alpha(plan(2))));
    assert_eq!(told, ["VS 0.100 DOWN"]);
    assert_eq!(rows(&with.table()), [(250, 1)]);
    assert_eq!(verdict(&mut with, 1, true), ["RS 1.1 UP", "VS 0.100 UP"]);
    assert_eq!(rows(&with.table()), [(1, 1)]);

    let (mut without, told) = balancer(alpha(plan(2)));
    assert_eq!(told, [""; 0]);
    // The first failure of who was not up is told, once.
    assert_eq!(verdict(&mut without, 1, false), ["RS 1.1 DOWN"]);
    assert_eq!(verdict(&mut without, 1, false), [""; 0]);
    assert_eq!(verdict(&mut without, 2, true), ["RS 1.2 UP", "VS 0.100 UP"]);
}

#[test]
fn enough_to_keep_the_quorum_is_not_enough_to_begin_with_it() {
    let mut wanted = plan(3);
    (wanted.quorum, wanted.hysteresis) = (2, 1);
    let (mut three, told) = balancer(sorry(wanted.clone()));
    assert_eq!(told, ["VS 0.100 UP"]);
    assert_eq!(verdict(&mut three, 1, false), ["RS 1.1 DOWN"]);
    assert_eq!(rows(&three.table()), [(2, 1), (3, 1)]);
    wanted.real_servers.pop();
    let (two, told) = balancer(sorry(wanted.clone()));
    assert_eq!(
        (told.as_slice(), rows(&two.table())),
        (&["VS 0.100 DOWN".to_owned()][..], vec![(250, 1)])
    );
    // Without a sorry server whoever is up serves.
    let (two, told) = balancer(wanted);
    assert_eq!((told.len(), rows(&two.table())), (0, vec![(1, 1), (2, 1)]));
}

#[test]
fn who_was_out_before_is_out_until_its_check_has_passed() {
    let mut balancer = Balancer::new();
    let out = [(VS.into(), address(1))].into();
    let told = balancer
        .configure_without(vec![plan(2).into()], true, &out)
        .happened;
    assert_eq!(words(&told), ["RS 1.2 UP", "VS 0.100 UP"]);
    assert_eq!(rows(&balancer.table()), [(2, 1)]);
    assert_eq!(verdict(&mut balancer, 1, true), ["RS 1.1 UP"]);
    assert_eq!(rows(&balancer.table()), [(1, 1), (2, 1)]);
}

#[test]
fn inhibited_real_servers_stay_with_weight_0() {
    let mut wanted = sorry(plan(2));
    for real in &mut wanted.real_servers {
        real.inhibit = true;
    }
    let (mut balancer, _) = balancer(wanted);
    verdict(&mut balancer, 1, false);
    assert_eq!(rows(&balancer.table()), [(1, 0), (2, 1)]);
    verdict(&mut balancer, 2, false);
    assert_eq!(rows(&balancer.table()), [(1, 0), (2, 0), (250, 1)]);
}

#[test]
fn hysteresis_keeps_the_quorum_from_flapping() {
    let mut wanted = plan(5);
    wanted.quorum = 3;
    wanted.hysteresis = 1;
    let (mut balancer, _) = balancer(wanted);
    let mut told = Vec::new();
    for (last, up) in [
        (1, false),
        (2, false),
        (3, false),
        (4, false),
        (3, true),
        (2, true),
        (4, true),
    ] {
        let words = verdict(&mut balancer, last, up);
        told.push(words.last().unwrap().clone());
    }
    // Lost below 2, gained at 4.
    assert_eq!(
        told,
        [
            "RS 1.1 DOWN",
            "RS 1.2 DOWN",
            "RS 1.3 DOWN",
            "VS 0.100 DOWN",
            "RS 1.3 UP",
            "RS 1.2 UP",
            "VS 0.100 UP"
        ]
    );
}

#[test]
fn the_weight_follows_the_checks_and_weight_0_does_not_count() {
    let mut wanted = plan(2);
    wanted.real_servers[0].weight = 10;
    let (mut balancer, _) = balancer(wanted);
    balancer.verdict(VS, address(1), true, 4);
    assert_eq!(rows(&balancer.table()), [(1, 4), (2, 1)]);
    // The difference to the configured weight is what the checks say.
    balancer.order(VS, address(1), ServerOrder::Weight(20)).unwrap();
    assert_eq!(rows(&balancer.table()), [(1, 14), (2, 1)]);
    balancer.verdict(VS, address(1), true, 0);
    balancer.order(VS, address(1), ServerOrder::Enable).unwrap();
    assert_eq!(rows(&balancer.table()), [(1, 0), (2, 1)]);
    assert_eq!(verdict(&mut balancer, 2, false), ["RS 1.2 DOWN", "VS 0.100 DOWN"]);
}

#[test]
fn orders_drain_disable_add_and_remove() {
    let (mut balancer, _) = balancer(plan(2));
    let mut order = |last, order| balancer.order(VS, address(last), order).map(|told| words(&told));
    assert_eq!(order(1, ServerOrder::Drain).unwrap(), [""; 0]);
    assert_eq!(order(2, ServerOrder::Disable).unwrap(), ["VS 0.100 DOWN"]);
    assert!(matches!(
        order(9, ServerOrder::Drain),
        Err(Error::UnknownServer(_))
    ));
    assert!(matches!(order(1, ServerOrder::Add), Err(Error::UnknownServer(_))));
    assert_eq!(order(9, ServerOrder::Add).unwrap(), ["VS 0.100 UP"]);
    assert_eq!(rows(&balancer.table()), [(1, 0), (9, 1)]);
    balancer.order(VS, address(2), ServerOrder::Enable).unwrap();
    balancer.order(VS, address(1), ServerOrder::Remove).unwrap();
    assert_eq!(rows(&balancer.table()), [(2, 1), (9, 1)]);
    // A reload of something else leaves all of that.
    let mut changed = plan(3);
    changed.quorum = 2;
    balancer.configure(vec![changed.into()], false).unwrap();
    assert_eq!(rows(&balancer.table()), [(2, 1), (3, 1), (9, 1)]);
    balancer.order(VS, address(1), ServerOrder::Add).unwrap();
    balancer.order(VS, address(9), ServerOrder::Remove).unwrap();
    assert_eq!(rows(&balancer.table()), [(2, 1), (3, 1), (1, 1)]);
    assert!(matches!(
        balancer.order("10.9.9.9:1", address(1), ServerOrder::Drain),
        Err(Error::UnknownServer(_))
    ));
}

#[test]
fn who_is_cut_off_is_in_no_table_even_with_inhibit() {
    let mut wanted = plan(2);
    wanted
        .real_servers
        .iter_mut()
        .for_each(|real| real.inhibit = true);
    let (mut balancer, _) = balancer(wanted);
    balancer.order(VS, address(1), ServerOrder::Drain).unwrap();
    assert_eq!(rows(&balancer.table()), [(1, 0), (2, 1)]);
    balancer.order(VS, address(1), ServerOrder::Cut).unwrap();
    let table = balancer.table();
    assert_eq!(rows(&table), [(2, 1)]);
    assert_eq!(table.virtual_servers[0].cut, [address(1)]);
    assert_eq!(table.virtual_servers[0].absent, [address(1)]);
    balancer.order(VS, address(1), ServerOrder::Enable).unwrap();
    let table = balancer.table();
    assert_eq!(rows(&table), [(1, 1), (2, 1)]);
    assert_eq!(table.virtual_servers[0].cut, []);
}

#[test]
fn a_reload_keeps_what_is_known_and_tells_nothing_again() {
    let (mut balancer, _) = balancer(plan(2));
    verdict(&mut balancer, 1, false);
    assert_eq!(
        balancer
            .configure(vec![plan(3).into()], true)
            .map(|told| words(&told))
            .unwrap(),
        ["RS 1.3 UP"]
    );
    assert_eq!(rows(&balancer.table()), [(2, 1), (3, 1)]);
}

#[test]
fn one_name_or_front_twice_is_refused_and_changes_nothing() {
    let (mut balancer, _) = balancer(plan(1));
    let mut other = plan(2);
    assert!(matches!(
        balancer.configure(vec![plan(2).into(), other.clone().into()], false),
        Err(Error::DuplicateServer(_))
    ));
    other.name = "other".into();
    let error = balancer
        .configure(vec![plan(2).into(), other.into()], false)
        .unwrap_err();
    assert_eq!(error.to_string(), "10.0.0.100:80 is configured twice");
    assert_eq!(rows(&balancer.table()), [(1, 1)]);
}

#[test]
fn every_front_has_its_rows_and_ports_follow_the_forwarding() {
    let mut wanted = plan(2);
    wanted.fronts = ["tcp 10.0.0.100:80", "tcp 10.0.0.101:81", "fwmark 7"]
        .map(|text| text.parse::<Front>().unwrap())
        .into();
    wanted.real_servers[0].address.set_port(8080);
    wanted.real_servers[1].address.set_port(0);
    wanted.real_servers[1].forwarding = Forwarding::DirectRoute;
    let (balancer, _) = balancer(wanted);
    let ports: Vec<Vec<u16>> = balancer
        .table()
        .virtual_servers
        .iter()
        .map(|server| {
            server
                .real_servers
                .iter()
                .map(|real| real.address.port())
                .collect()
        })
        .collect();
    assert_eq!(ports, [[8080, 80], [8080, 81], [8080, 0]]);
}

#[test]
fn omega_says_farewell() {
    let mut wanted = plan(2);
    wanted.omega = true;
    let (mut balancer, _) = balancer(wanted);
    verdict(&mut balancer, 1, false);
    assert_eq!(words(&balancer.farewell()), ["RS 1.2 DOWN", "VS 0.100 DOWN"]);
}

/// Every history of up to five verdicts and orders over two real servers, with and without inhibit and a sorry server, at
/// every quorum: what must hold always, holds.
#[test]
fn all_short_histories_keep_the_rules() {
    const STEPS: [(u8, Step); 11] = [
        (1, Step::Verdict(true)),
        (1, Step::Verdict(false)),
        (2, Step::Verdict(true)),
        (2, Step::Verdict(false)),
        (1, Step::Order(ServerOrder::Drain)),
        (1, Step::Order(ServerOrder::Disable)),
        (1, Step::Order(ServerOrder::Cut)),
        (1, Step::Order(ServerOrder::Enable)),
        (1, Step::Order(ServerOrder::Weight(0))),
        (2, Step::Order(ServerOrder::Remove)),
        (2, Step::Order(ServerOrder::Add)),
    ];
    let mut histories = 0_u64;
    for variant in 0..12_u32 {
        let mut wanted = plan(2);
        wanted.quorum = variant % 3 + 1;
        wanted
            .real_servers
            .iter_mut()
            .for_each(|real| real.inhibit = variant & 4 != 0);
        if variant >= 8 || variant & 1 == 0 {
            wanted = sorry(wanted);
        }
        let (balancer, _) = balancer(wanted);
        let mut stack = vec![(balancer, 0)];
        while let Some((before, depth)) = stack.pop() {
            histories += 1;
            for (last, step) in STEPS {
                let mut balancer = before.clone();
                let told = match step {
                    Step::Verdict(up) => balancer.verdict(VS, address(last), up, 1),
                    Step::Order(order) => balancer.order(VS, address(last), order).unwrap_or_default(),
                };
                rules(&balancer, &before, &words(&told));
                if depth < 3 {
                    stack.push((balancer, depth + 1));
                }
            }
        }
    }
    assert_eq!(histories, 12 * (1 + 11 + 121 + 1331));
}

#[derive(Clone, Copy)]
enum Step {
    Verdict(bool),
    Order(ServerOrder),
}

fn rules(balancer: &Balancer, before: &Balancer, told: &[String]) {
    let (server, old) = (&balancer.servers()[0], &before.servers()[0]);
    let rows = rows(&balancer.table());
    let context = format!("{server:?} {rows:?}");
    // The sorry server serves exactly when it is its turn, and then alone.
    assert_eq!(rows.contains(&(250, 1)), server.is_sorry(), "{context}");
    let serving = rows
        .iter()
        .filter(|(last, weight)| *last != 250 && *weight > 0)
        .count();
    assert!(!server.is_sorry() || serving == 0, "{context}");
    // Nothing serves that is down or that an operator took out.
    for real in &server.reals {
        let weight = server.table_weight(real).unwrap_or(0);
        assert!(weight == 0 || real.up, "{context}");
        // What drains keeps its connections.
        let drains = real.up && real.standing == server::Standing::Draining;
        assert!(!drains || server.table_weight(real) == Some(0), "{context}");
    }
    // Somebody serves whenever somebody could.
    let could = server.live_weight() > 0 || server.plan.sorry_server.is_some();
    assert_eq!(
        rows.iter().any(|(_, weight)| *weight > 0),
        could && (server.is_sorry() || server.live_weight() > 0),
        "{context}"
    );
    assert!(!server.quorum_met || server.live_weight() > 0, "{context}");
    assert!(!(server.quorum_met && server.is_sorry()), "{context}");
    // Real servers are told before the virtual server, and both exactly when they change.
    let quorum = told.iter().filter(|word| word.starts_with("VS")).count();
    assert_eq!(quorum == 1, server.quorum_met != old.quorum_met, "{context}");
    assert!(
        told.iter()
            .skip_while(|word| word.starts_with("RS"))
            .all(|word| word.starts_with("VS")),
        "{context}"
    );
}
