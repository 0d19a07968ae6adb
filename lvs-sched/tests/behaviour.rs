//! What users of LVS rely on: shares, stability, thresholds, persistence, errors, names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lvs_sched::{
    BackendId, Error, Flow, Instant, MAX_WEIGHT, MhSize, Options, Order, Persistence, Pool, Rules,
    SchedulerKind, SharedPool, Simulated, Spec, TableBits,
};

fn client(number: u32) -> Flow {
    Flow::from_client(SocketAddr::from((
        Ipv4Addr::from_bits(number.wrapping_mul(0x9E37_79B9)),
        40_000,
    )))
}

fn server(number: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 + number), 80))
}

fn names(pool: &mut Pool<char>, picks: usize) -> String {
    let ids: Vec<BackendId> = (0..picks).filter_map(|_| pool.select(&Flow::ANY)).collect();
    ids.into_iter().filter_map(|id| pool.get(id)).collect()
}

#[test]
fn weighted_round_robin_interleaves_as_lvs_does() {
    let mut pool = Pool::new(SchedulerKind::Wrr);
    for (name, weight) in [('A', 4), ('B', 3), ('C', 2)] {
        pool.add(name, Spec::new(weight)).unwrap();
    }
    // The cycle begins where the kernel's does when back ends come one by one: at the level of the first one's.
    assert_eq!(names(&mut pool, 21), "ABCAABABCABCAABABCABC");
}

#[test]
fn new_back_ends_enter_where_the_order_says() {
    for (order, expected) in [(Order::Insertion, "ABCABC"), (Order::NewestFirst, "CBACBA")] {
        let mut pool = Pool::with_options(SchedulerKind::Rr, &Options::default().order(order));
        for name in ['A', 'B', 'C'] {
            pool.add(name, Spec::new(1)).unwrap();
        }
        assert_eq!(names(&mut pool, 6), expected);
    }
    assert_eq!(Options::kernel().order, Order::NewestFirst);
}

/// Over each whole period the shares of `wrr` are its weights, to the pick.
#[test]
fn weighted_round_robin_is_exact_over_a_period() {
    let mut random = 1_u64;
    for _ in 0..200 {
        let mut pool = Pool::new(SchedulerKind::Wrr);
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % below) as u32
        };
        let factor = 1 + next(4);
        let weights: Vec<u32> = (0..2 + next(12)).map(|_| factor * next(30)).collect();
        let ids: Vec<BackendId> = weights
            .iter()
            .map(|&weight| pool.add((), Spec::new(weight)).unwrap())
            .collect();
        let divisor = weights.iter().fold(0, |a, &b| gcd(a, b));
        if divisor == 0 {
            assert_eq!(pool.select(&Flow::ANY), None);
            continue;
        }
        let period = weights.iter().sum::<u32>() / divisor;
        for _ in 0..3 {
            let mut shares = BTreeMap::new();
            for _ in 0..period {
                *shares.entry(pool.select(&Flow::ANY).unwrap()).or_insert(0) += 1;
            }
            for (id, weight) in ids.iter().zip(&weights) {
                assert_eq!(
                    shares.get(id).copied().unwrap_or(0),
                    weight / divisor,
                    "{weights:?}"
                );
            }
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// With connections of equal length the shares of the least-connection family are the weights, within one connection.
#[test]
fn least_connection_shares_follow_the_weights() {
    for kind in [
        SchedulerKind::Wlc,
        SchedulerKind::Sed,
        SchedulerKind::Nq,
        SchedulerKind::Lblcr,
    ] {
        let mut pool = Pool::new(kind);
        let weights = [1, 2, 3, 4];
        let ids = weights.map(|weight| pool.add((), Spec::new(weight)).unwrap());
        let tickets: Vec<_> = (0..1_000)
            .map(|number| pool.pick(&client(number)).unwrap())
            .collect();
        if kind != SchedulerKind::Lblcr {
            for (id, weight) in ids.into_iter().zip(weights) {
                let open = pool.backend(id).unwrap().active();
                assert!(
                    open.abs_diff(weight * 100) <= 1,
                    "{kind}: {open} for weight {weight}"
                );
            }
        }
        tickets.into_iter().for_each(|ticket| pool.close(ticket));
        assert!(pool.iter().all(|(backend, ())| backend.total() == 0));
    }
}

/// When one back end of up to five hundred leaves, its own flows move and of the others' at most 4 % with the usual table,
/// 1.5 % with a large one (`examples/disruption.rs` plots it).
#[test]
fn maglev_moves_few_flows() {
    const FLOWS: u32 = 10_000;
    let tables = [(MhSize::P4093, 400), (MhSize::P65521, 150)];
    for (backends, (size, limit)) in [5, 10, 50, 100, 300, 500]
        .into_iter()
        .flat_map(|n| tables.map(|table| (n, table)))
    {
        let options = Options::default().mh_size(size);
        let mut pool = Pool::with_options(SchedulerKind::Mh, &options);
        let ids: Vec<BackendId> = (0..backends)
            .map(|number| pool.add(number, Spec::new(1).address(server(number))).unwrap())
            .collect();
        let before: Vec<BackendId> = (0..FLOWS)
            .map(|flow| pool.select(&client(flow)).unwrap())
            .collect();
        let victim = ids[ids.len() / 2];
        pool.remove(victim).unwrap();
        let after: Vec<BackendId> = (0..FLOWS)
            .map(|flow| pool.select(&client(flow)).unwrap())
            .collect();
        let own = before.iter().filter(|&&id| id == victim).count();
        let others = before
            .iter()
            .zip(&after)
            .filter(|&(before, after)| *before != victim && before != after)
            .count();
        println!("{backends} back ends: {own} flows had to move, {others} others did");
        assert!(own > 0);
        assert!(
            others as u32 <= FLOWS * limit / 10_000,
            "{others} of {FLOWS} moved among {backends}"
        );
        // It comes back, and in this order everybody is where they were.
        if backends == 5 {
            let mut again = Pool::with_options(SchedulerKind::Mh, &options);
            for number in 0..backends {
                again.add(number, Spec::new(1).address(server(number))).unwrap();
            }
            let same = (0..FLOWS).all(|flow| {
                let id = again.select(&client(flow)).unwrap();
                again.get(id)
                    == Some(
                        &ids.iter()
                            .position(|id| *id == before[flow as usize])
                            .map_or(9, |at| at as u32),
                    )
            });
            assert!(same);
        }
    }
}

/// Quiescing moves nobody else's flows: the table keeps the last weight.
#[test]
fn a_quiesced_back_end_keeps_its_places_in_the_maglev_table() {
    let mut pool = Pool::with_options(SchedulerKind::Mh, &Options::default().hash(true, false));
    let ids: Vec<BackendId> = (0..10)
        .map(|number| pool.add(number, Spec::new(2).address(server(number))).unwrap())
        .collect();
    let before: Vec<BackendId> = (0..2_000)
        .map(|flow| pool.select(&client(flow)).unwrap())
        .collect();
    pool.set_weight(ids[3], 0).unwrap();
    for (flow, before) in before.iter().enumerate() {
        let now = pool.select(&client(flow as u32)).unwrap();
        assert_eq!(now == *before, *before != ids[3]);
    }
}

/// The kernel's table for three back ends of weights 1, 2 and 3, as it was read back from it slot by slot.
#[test]
fn maglev_slots_are_shared_by_weight() {
    let mut pool = Pool::with_options(SchedulerKind::Mh, &Options::default());
    let ids: Vec<BackendId> = (1..4_u32)
        .map(|number| {
            let address = SocketAddr::from((Ipv4Addr::new(10, 1, 0, number as u8), 80));
            pool.add(number, Spec::new(number).address(address)).unwrap()
        })
        .collect();
    let mut shares = BTreeMap::new();
    for flow in 0..60_000 {
        *shares.entry(pool.select(&client(flow)).unwrap()).or_insert(0_u32) += 1;
    }
    // 683, 1364 and 2046 of 4093 slots.
    for (id, slots) in ids.iter().zip([683, 1_364, 2_046]) {
        let expected = 60_000 * slots / 4_093;
        assert!(shares[id].abs_diff(expected) < 600, "{shares:?}");
    }
}

#[test]
fn thresholds_set_and_clear_the_overload_flag() {
    for rules in [Rules::Current, Rules::Legacy] {
        let mut pool = Pool::with_options(SchedulerKind::Lc, &Options::default().rules(rules));
        let id = pool.add((), Spec::new(1).thresholds(4, 2)).unwrap();
        let mut tickets: Vec<_> = (0..4).map(|_| pool.pick(&Flow::ANY).unwrap()).collect();
        assert!(pool.pick(&Flow::ANY).is_none());
        // Overloaded until below the lower threshold.
        for left in [3, 2] {
            pool.close(tickets.pop().unwrap());
            assert_eq!(pool.backend(id).unwrap().total(), left);
            assert!(pool.select(&Flow::ANY).is_none(), "{rules:?}: {left} left");
        }
        pool.close(tickets.pop().unwrap());
        assert_eq!(pool.select(&Flow::ANY), Some(id));
        // An edit below what there is: current kernels set the flag at once, older ones at the next connection.
        pool.edit(id, Spec::new(1).thresholds(1, 0)).unwrap();
        assert_eq!(pool.select(&Flow::ANY).is_none(), rules == Rules::Current);
        pool.edit(id, Spec::new(1)).unwrap();
        assert_eq!(pool.select(&Flow::ANY), Some(id));
        pool.close(tickets.pop().unwrap());
    }
}

#[test]
fn an_active_connection_weighs_257_or_256() {
    for (rules, expected) in [(Rules::Current, 257 + 257 + 1), (Rules::Legacy, 256 + 256 + 1)] {
        let mut pool = Pool::with_options(SchedulerKind::Lc, &Options::default().rules(rules));
        let id = pool.add((), Spec::new(1)).unwrap();
        let tickets = [
            pool.pick(&Flow::ANY),
            pool.pick(&Flow::ANY),
            pool.pick_inactive(&Flow::ANY),
        ]
        .map(Option::unwrap);
        let backend = pool.backend(id).unwrap();
        assert_eq!(
            (backend.overhead(), backend.active(), backend.inactive()),
            (expected, 2, 1)
        );
        tickets.into_iter().for_each(|ticket| pool.close(ticket));
    }
}

#[test]
fn persistence_keeps_a_client_on_its_back_end() {
    let clock = Simulated::new(0);
    let persistence = Persistence::new(Duration::from_secs(60)).prefixes(24, 64);
    let options = Options::default().persistence(persistence);
    let mut pool = Pool::with_environment(SchedulerKind::Rr, &options, clock.clone());
    for name in ['A', 'B', 'C'] {
        pool.add(name, Spec::new(1)).unwrap();
    }
    let from = |address: [u8; 4]| Flow::from_client(SocketAddr::from((address, 1)));
    let first = pool.pick(&from([192, 0, 2, 1])).unwrap();
    let neighbour = pool.pick(&from([192, 0, 2, 200])).unwrap();
    let stranger = pool.pick(&from([192, 0, 3, 1])).unwrap();
    assert_eq!(first.id(), neighbour.id());
    assert_ne!(first.id(), stranger.id());
    assert_eq!(pool.remembered_clients(), 2);
    // Quiesced: who is remembered still goes there.
    let home = first.id();
    pool.set_weight(home, 0).unwrap();
    assert_eq!(pool.select(&from([192, 0, 2, 9])), Some(home));
    // Remembered beyond its time while a connection is open.
    pool.close(neighbour);
    pool.close(stranger);
    clock.set(Instant::from_nanos(500_000_000_000));
    assert_eq!(pool.select(&from([192, 0, 2, 9])), Some(home));
    pool.close(first);
    assert_eq!(pool.remembered_clients(), 1);
    clock.advance(Duration::from_secs(60));
    assert_ne!(pool.select(&from([192, 0, 2, 9])), Some(home));
    // A removed back end is replaced at once.
    let moved = pool.select(&from([192, 0, 2, 9])).unwrap();
    pool.remove(moved).unwrap();
    assert_ne!(pool.select(&from([192, 0, 2, 9])), Some(moved));
    // A client may be told to leave a quiesced one.
    let options = Options::default().persistence(persistence.expire_quiescent(true).capacity(1));
    let mut pool = Pool::with_environment(SchedulerKind::Rr, &options, clock);
    let [one, _] = ['A', 'B'].map(|name| pool.add(name, Spec::new(1)).unwrap());
    assert_eq!(pool.select(&from([192, 0, 2, 9])), Some(one));
    pool.set_weight(one, 0).unwrap();
    assert_ne!(pool.select(&from([192, 0, 2, 9])), Some(one));
    // There is room for one client only: others are scheduled anew.
    pool.set_weight(one, 1).unwrap();
    assert_ne!(
        pool.select(&from([192, 0, 3, 9])),
        pool.select(&from([192, 0, 3, 9]))
    );
    assert_eq!(pool.remembered_clients(), 1);
}

#[test]
fn locality_goes_back_while_it_is_not_busy() {
    let mut pool = Pool::new(SchedulerKind::Lblc);
    for name in ['A', 'B'] {
        pool.add(name, Spec::new(2)).unwrap();
    }
    let to = |last: u8| Flow {
        destination: IpAddr::from([198, 51, 100, last]),
        ..Flow::ANY
    };
    let home = pool.pick(&to(1)).unwrap();
    let other = pool.pick(&to(2)).unwrap();
    assert_ne!(home.id(), other.id());
    let mut tickets = vec![home, other];
    // Two more than its weight allows, while the other one is less than half busy.
    let home = tickets[0].id();
    pool.close(tickets.pop().unwrap());
    for _ in 0..2 {
        tickets.push(pool.pick(&to(1)).unwrap());
        assert_eq!(tickets.last().unwrap().id(), home);
    }
    assert_ne!(pool.select(&to(1)), Some(home));
    tickets.into_iter().for_each(|ticket| pool.close(ticket));
}

#[test]
fn edits_are_refused_with_a_reason() {
    let mut pool = Pool::with_options(SchedulerKind::Mh, &Options::default().mh_size(MhSize::P251));
    let refused = pool.add((), Spec::new(MAX_WEIGHT + 1)).unwrap_err();
    assert_eq!(refused, Error::Weight(MAX_WEIGHT + 1));
    assert_eq!(refused.to_string(), "weight 2147483648 is above 2147483647");
    let refused = pool.add((), Spec::new(1).thresholds(2, 3)).unwrap_err();
    assert_eq!(refused, Error::Thresholds { upper: 2, lower: 3 });
    assert_eq!(
        refused.to_string(),
        "lower threshold 3 is above the upper threshold 2"
    );
    let id = pool.add((), Spec::new(MAX_WEIGHT)).unwrap();
    assert_eq!(pool.remove(id), Ok(Some(())));
    assert_eq!(pool.remove(id), Err(Error::UnknownBackend(id)));
    assert_eq!(pool.edit(id, Spec::new(1)), Err(Error::UnknownBackend(id)));
    assert_eq!(pool.set_weight(id, 1), Err(Error::UnknownBackend(id)));
    assert_eq!(pool.open(id).err(), Some(Error::UnknownBackend(id)));
    assert_eq!(
        Error::UnknownBackend(id).to_string(),
        "no back end 0.0 in this pool"
    );
    for number in 0..251 {
        pool.add((), Spec::new(1).key(number)).unwrap();
    }
    let refused = pool.add((), Spec::new(1)).unwrap_err();
    assert_eq!(refused, Error::TooManyBackends(251));
    assert_eq!(refused.to_string(), "no room for more than 251 back ends");
    assert_eq!(
        Error::NotRelaxable(SchedulerKind::Mh).to_string(),
        "no relaxed pool for mh: only for lc, wlc, sed, nq, fo and ovf, without persistence"
    );
    assert_eq!(
        TableBits::try_from(21).unwrap_err().to_string(),
        "table of 21 bits: 4 to 20 are possible"
    );
}

#[test]
fn names_are_those_of_ipvsadm() {
    for kind in SchedulerKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!("".parse::<SchedulerKind>(), Err(Error::UnknownScheduler));
    assert_eq!("WLC".parse::<SchedulerKind>(), Err(Error::UnknownScheduler));
    assert_eq!(Error::UnknownScheduler.to_string(), "no scheduler of that name");
    assert_eq!(SchedulerKind::default(), SchedulerKind::Wlc);
}

#[test]
fn nobody_to_pick_is_no_panic() {
    for kind in SchedulerKind::ALL {
        let mut pool = Pool::new(kind);
        assert!(pool.pick(&Flow::ANY).is_none() && pool.is_empty());
        let id = pool.add((), Spec::new(0)).unwrap();
        assert!(pool.select(&Flow::ANY).is_none());
        assert_eq!(pool.fallbacks(&Flow::ANY).count(), 0);
        pool.remove(id).unwrap();
        assert!(pool.pick(&Flow::ANY).is_none());
        assert!(SharedPool::<()>::new(kind).pick(&Flow::ANY).is_none());
    }
}

#[test]
fn fallbacks_are_each_back_end_once_and_leave_no_trace() {
    for kind in SchedulerKind::ALL {
        let mut pool = Pool::new(kind);
        for number in 0..7 {
            pool.add(number, Spec::new(1 + number).key(number)).unwrap();
        }
        let mut names: Vec<BackendId> = pool.fallbacks(&client(1)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 7, "{kind}");
        assert!(
            pool.iter()
                .all(|(backend, _)| backend.total() == 0 && backend.eligible())
        );
    }
}

#[cfg(feature = "serde")]
#[test]
fn options_and_names_are_data() {
    let options = Options::kernel()
        .rules(Rules::Legacy)
        .hash(true, true)
        .persistence(Persistence::default());
    let text = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
    assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), Options::default());
    assert!(serde_json::from_str::<Options>(r#"{"sh_bits": 30}"#).is_err());
    assert_eq!(
        serde_json::to_string(&SchedulerKind::ALL).unwrap(),
        r#"["rr","wrr","lc","wlc","lblc","lblcr","dh","sh","mh","sed","nq","fo","ovf","twos"]"#
    );
    let spec: Spec = serde_json::from_str(r#"{"weight": 3, "upper": 10}"#).unwrap();
    assert_eq!(spec, Spec::new(3).thresholds(10, 0));
}

/// What a destination of `lblcr` remembers keeps the place of a back end that left, and gives it back: when the destination is
/// forgotten, and when its set has grown too large.
#[test]
fn lblcr_lets_go_of_back_ends_that_left() {
    for (each, expiration, most) in [(10, 60, 60), (400, 86_400, 80)] {
        let clock = Simulated::new(1);
        let options = Options::default().expiration(Duration::from_secs(expiration));
        let mut pool = Pool::with_environment(SchedulerKind::Lblcr, &options, clock.clone());
        let mut places = BTreeMap::new();
        for round in 0..400_u32 {
            let id = pool.add(round, Spec::new(1)).unwrap();
            let place = id.to_string().split('.').next().map(str::to_owned);
            places.insert(place, id);
            let flow = Flow {
                destination: Ipv4Addr::from_bits(round / each).into(),
                ..Flow::ANY
            };
            let ticket = pool.pick(&flow).unwrap();
            assert_eq!(ticket.id(), id);
            pool.close(ticket);
            pool.remove(id).unwrap();
            clock.advance(Duration::from_secs(60));
        }
        assert!(places.len() < most, "{} places", places.len());
    }
}
