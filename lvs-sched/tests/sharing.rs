//! Pools that threads share: the same choices as a pool with one owner, and nothing lost between threads.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use lvs_sched::{
    Connection, Error, Flow, Options, Persistence, Pool, RelaxedConnection, RelaxedPool, Rules,
    SchedulerKind, SharedPool, Simulated, Spec,
};

const HASHING: [SchedulerKind; 3] = [SchedulerKind::Dh, SchedulerKind::Sh, SchedulerKind::Mh];

fn relaxable() -> impl Iterator<Item = SchedulerKind> {
    SchedulerKind::ALL.into_iter().filter(|kind| kind.is_relaxable())
}

fn client(number: u32) -> Flow {
    let address = Ipv4Addr::from_bits(0x0a00_0000 | number.wrapping_mul(0x9E37_79B9) >> 8);
    let mut flow = Flow::from_client(SocketAddr::from((address, 40_000)));
    flow.destination = address.into();
    flow
}

/// Numbers that look random.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// The slack as the type that is asked for.
fn slack(slack: u32) -> NonZeroU32 {
    NonZeroU32::new(slack).unwrap()
}

#[test]
fn a_shared_pool_picks_as_one_with_one_owner() {
    // Round robin takes no lock without thresholds.
    for (rules, most) in [
        (Rules::Current, 5),
        (Rules::Legacy, 5),
        (Rules::Current, 0),
        (Rules::Legacy, 0),
    ] {
        for kind in SchedulerKind::ALL {
            let options = Options::default().rules(rules).hash(true, false);
            let mut single = Pool::with_environment(kind, &options, Simulated::new(3));
            let shared = SharedPool::with_environment(kind, &options, Simulated::new(3));
            let mut random = numbers(kind as u64);
            let (mut tickets, mut connections, mut ids) = (Vec::new(), Vec::new(), Vec::new());
            for step in 0..4_000 {
                let spec = Spec::new(random(5) as u32)
                    .thresholds([0, 3, 5][random(3)].min(most), 0)
                    .key(step);
                match random(20) {
                    // A long list, and at times a period of wrr for which there is no table.
                    0 if ids.len() < 40 => {
                        let mut spec = spec;
                        if random(20) == 0 {
                            spec.weight = 70_001;
                        }
                        ids.push((single.add(step, spec).unwrap(), shared.add(step, spec).unwrap()));
                    }
                    1 if !ids.is_empty() => {
                        let (one, other) = ids[random(ids.len())];
                        single.edit(one, spec).unwrap();
                        shared.edit(other, spec).unwrap();
                    }
                    2 if ids.len() > 5 => {
                        let (one, other) = ids.swap_remove(random(ids.len()));
                        single.remove(one).unwrap();
                        shared.remove(other).unwrap();
                    }
                    3..9 if !tickets.is_empty() => {
                        let at = random(tickets.len());
                        single.close(tickets.swap_remove(at));
                        drop(connections.swap_remove(at));
                    }
                    9 if !tickets.is_empty() => {
                        let at = random(tickets.len());
                        single.set_active(&mut tickets[at], step % 2 == 0);
                        Connection::set_active(&mut connections[at], step % 2 == 0);
                    }
                    _ => {
                        let flow = client(random(50) as u32);
                        let (ticket, connection) = (single.pick(&flow), shared.pick(&flow));
                        let picked = ticket.as_ref().map(|ticket| *single.get(ticket.id()).unwrap());
                        assert_eq!(connection.as_deref().copied(), picked, "{kind} at {step}");
                        tickets.extend(ticket);
                        connections.extend(connection);
                    }
                }
                if step % 50 == 0 {
                    let one: Vec<_> = single
                        .iter()
                        .map(|(backend, &name)| {
                            (name, backend.active(), backend.total(), backend.overloaded())
                        })
                        .collect();
                    let other: Vec<_> = shared
                        .status()
                        .iter()
                        .map(|status| (*status.backend, status.active, status.total, status.overloaded))
                        .collect();
                    assert_eq!(one, other, "{kind} at {step}");
                }
            }
        }
    }
}

#[test]
fn threads_lose_no_connection() {
    for kind in SchedulerKind::ALL {
        let pool = SharedPool::new(kind);
        for name in 0..8 {
            pool.add(
                name,
                Spec::new(1 + name % 3)
                    .thresholds(if name % 2 == 0 { 40 } else { 0 }, 0)
                    .key(name),
            )
            .unwrap();
        }
        thread::scope(|scope| {
            for thread in 0..4 {
                let pool = pool.clone();
                scope.spawn(move || {
                    let mut random = numbers(thread);
                    let mut open = Vec::new();
                    for _ in 0..3_000 {
                        if random(2) == 0 || open.is_empty() {
                            open.extend(pool.pick(&client(random(500) as u32)));
                        } else {
                            drop(open.swap_remove(random(open.len())));
                        }
                    }
                });
            }
            let editor = pool.clone();
            scope.spawn(move || {
                for round in 0..200 {
                    let id = editor
                        .add(100 + round, Spec::new(2).thresholds(3, 0).key(round))
                        .unwrap();
                    editor.set_weight(id, 0).unwrap();
                    assert_eq!(*editor.remove(id).unwrap(), 100 + round);
                }
            });
        });
        for status in pool.status() {
            assert_eq!(
                (status.active, status.total, status.overloaded),
                (0, 0, false),
                "{kind}"
            );
        }
        assert_eq!(pool.len(), 8);
    }
}

/// No turn is left out or given twice, though threads take them without a lock, and for `rr` not even while the list is
/// edited over and over to what it was.
#[test]
fn turns_are_shared_out_exactly_between_threads() {
    for kind in [SchedulerKind::Rr, SchedulerKind::Wrr] {
        let pool = SharedPool::new(kind);
        let ids: Vec<_> = (1..=5_u32)
            .map(|weight| pool.add(weight, Spec::new(weight)).unwrap())
            .collect();
        let picks = thread::scope(|scope| {
            let pickers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_500)
                            .filter_map(|_| pool.pick(&Flow::ANY))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            if kind == SchedulerKind::Rr {
                for round in 0..300 {
                    let place = round % ids.len();
                    pool.set_weight(ids[place], place as u32 + 1).unwrap();
                }
            }
            let each = pickers.into_iter().map(|picker| picker.join().unwrap());
            each.collect::<Vec<_>>()
        });
        for status in pool.status() {
            let share = match kind {
                SchedulerKind::Rr => 6_000 / 5,
                _ => 6_000 * *status.backend / 15,
            };
            assert_eq!(status.total, share, "{kind}");
        }
        drop(picks);
        assert!(pool.status().iter().all(|status| status.total == 0));
    }
}

/// A value that counts its connections by itself, to compare.
struct Counted {
    open: AtomicU32,
    upper: u32,
}

#[test]
fn the_upper_threshold_holds_between_threads() {
    let specs = [(3, 7), (1, 5), (2, 0), (5, 9)]
        .map(|(weight, upper)| (Spec::new(weight).thresholds(upper, 0), upper));
    for kind in relaxable() {
        let exact = SharedPool::new(kind);
        let relaxed = RelaxedPool::with_options(kind, &Options::default(), slack(16)).unwrap();
        for (spec, upper) in specs {
            let counted = || Counted {
                open: AtomicU32::new(0),
                upper,
            };
            exact.add(counted(), spec).unwrap();
            relaxed.add(counted(), spec).unwrap();
        }
        let enter = |counted: &Counted| {
            let before = counted.open.fetch_add(1, Ordering::SeqCst);
            assert!(counted.upper == 0 || before < counted.upper, "{kind}");
        };
        let leave = |counted: &Counted| assert!(counted.open.fetch_sub(1, Ordering::SeqCst) > 0);
        thread::scope(|scope| {
            for thread in 0..3 {
                let (exact, relaxed) = (&exact, &relaxed);
                scope.spawn(move || {
                    let mut random = numbers(thread);
                    let (mut some, mut others) = (Vec::new(), Vec::new());
                    for _ in 0..2_000 {
                        if random(5) < 3 || some.is_empty() {
                            some.extend(exact.pick(&Flow::ANY).inspect(|connection| enter(connection)));
                            others.extend(relaxed.pick().inspect(|connection| enter(connection)));
                        } else {
                            let at = random(some.len());
                            leave(&some[at]);
                            drop(some.swap_remove(at));
                            if !others.is_empty() {
                                let at = random(others.len());
                                leave(&others[at]);
                                drop(others.swap_remove(at));
                            }
                        }
                    }
                    some.iter().for_each(|connection| leave(connection));
                    others.iter().for_each(|connection| leave(connection));
                });
            }
        });
        for status in relaxed.status() {
            assert_eq!(
                (status.active, status.total, status.overloaded),
                (0, 0, false),
                "{kind}"
            );
        }
    }
}

#[test]
fn choices_offer_each_back_end_once() {
    for kind in SchedulerKind::ALL {
        let pool = SharedPool::new(kind);
        for name in 0..6 {
            pool.add(name, Spec::new(u32::from(name != 4)).key(name * 77))
                .unwrap();
        }
        let mut names: Vec<u32> = pool.choices(&client(9)).map(|connection| *connection).collect();
        // Without a fallback a hashed flow whose first choice is quiesced is refused at once.
        if names.is_empty() {
            assert!(HASHING.contains(&kind), "{kind}");
            continue;
        }
        names.sort_unstable();
        assert_eq!(names, [0, 1, 2, 3, 5], "{kind}");
        assert!(pool.status().iter().all(|status| status.total == 0));
    }
}

#[test]
fn relaxed_choices_offer_each_back_end_once() {
    for kind in SchedulerKind::ALL {
        let Ok(pool) = RelaxedPool::new(kind) else {
            continue;
        };
        for name in 0..6_u32 {
            pool.add(name, Spec::new(if name == 4 { 0 } else { 1000 }))
                .unwrap();
        }
        // Enough for several to be leased at a time.
        let open: Vec<_> = (0..200).filter_map(|_| pool.pick()).collect();
        let first = pool.choices().next().map(|connection| connection.id());
        assert!(first.is_some());
        let mut choices = pool.choices();
        let held: Vec<_> = choices.by_ref().collect();
        assert!(choices.next().is_none());
        let mut names: Vec<u32> = held.iter().map(|connection| **connection).collect();
        names.sort_unstable();
        assert_eq!(names, [0, 1, 2, 3, 5], "{kind}");
        let counted = || pool.status().iter().map(|status| status.total).sum::<u32>();
        assert_eq!(counted() as usize, open.len() + 5);
        drop(held);
        assert_eq!(counted() as usize, open.len());
    }
}

#[test]
fn a_guard_outlives_its_back_end_and_its_pool() {
    let value = Arc::new(());
    for kind in SchedulerKind::ALL {
        let pool = SharedPool::new(kind);
        let id = pool.add(value.clone(), Spec::default()).unwrap();
        let connection = pool.pick(&Flow::ANY).unwrap();
        assert_eq!(connection.id(), id);
        drop(pool.remove(id).unwrap());
        assert!(pool.pick(&Flow::ANY).is_none());
        assert!(pool.get(id).is_none());
        assert_eq!(pool.edit(id, Spec::default()), Err(Error::UnknownBackend(id)));
        assert_eq!(Arc::strong_count(&value), 2);
        // It moves into a task of its own.
        thread::spawn(move || drop(connection)).join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1);

        pool.add(value.clone(), Spec::default()).unwrap();
        let connection = pool.pick(&Flow::ANY).unwrap();
        drop(pool);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(connection);
        assert_eq!(Arc::strong_count(&value), 1);
    }
    for kind in relaxable() {
        let pool = RelaxedPool::new(kind).unwrap();
        let id = pool.add(value.clone(), Spec::default()).unwrap();
        let connection = pool.pick().unwrap();
        pool.remove(id).unwrap();
        assert!(pool.pick().is_none());
        assert_eq!(pool.remove(id), Err(Error::UnknownBackend(id)));
        assert_eq!(Arc::strong_count(&value), 2);
        thread::spawn(move || drop(connection)).join().unwrap();
        assert!(pool.is_empty());
        assert_eq!(Arc::strong_count(&value), 1);

        pool.add(value.clone(), Spec::default()).unwrap();
        let connection = pool.pick().unwrap();
        drop(pool);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(connection);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}

#[test]
fn a_relaxed_pool_refuses_what_asks_for_more_than_connections() {
    for kind in SchedulerKind::ALL {
        let refused = (!kind.is_relaxable()).then_some(Error::NotRelaxable(kind));
        assert_eq!(RelaxedPool::<()>::new(kind).err(), refused);
    }
    let options = Options::default().persistence(Persistence::default());
    let pool = RelaxedPool::<()>::with_options(SchedulerKind::Lc, &options, slack(1));
    assert_eq!(pool.err(), Some(Error::NotRelaxable(SchedulerKind::Lc)));
}

/// With a slack of 1, and with any while back ends carry few connections, a relaxed pool is the exact one.
#[test]
fn a_relaxed_pool_is_exact_with_few_connections() {
    for (kind, rules) in relaxable().flat_map(|kind| [(kind, Rules::Current), (kind, Rules::Legacy)]) {
        for (size, most) in [(1, 300), (64, 3)] {
            let options = Options::default().rules(rules);
            let mut exact = Pool::with_environment(kind, &options, Simulated::new(5));
            let relaxed = RelaxedPool::with_options(kind, &options, slack(size)).unwrap();
            let mut random = numbers(u64::from(size));
            let mut ids = Vec::new();
            let (mut tickets, mut connections) = (Vec::new(), Vec::new());
            for step in 0..6_000_u32 {
                let upper = [0, 2, 5][random(3)].min(most);
                let spec = Spec::new(random(5) as u32).thresholds(upper, 0);
                match random(24) {
                    0 if ids.len() < 12 => {
                        ids.push((exact.add(step, spec).unwrap(), relaxed.add(step, spec).unwrap()));
                    }
                    1 if !ids.is_empty() => {
                        let (one, other) = ids[random(ids.len())];
                        exact.edit(one, spec).unwrap();
                        relaxed.edit(other, spec).unwrap();
                    }
                    2 if ids.len() > 5 => {
                        let (one, other) = ids.swap_remove(random(ids.len()));
                        exact.remove(one).unwrap();
                        relaxed.remove(other).unwrap();
                    }
                    3..12 if !tickets.is_empty() => {
                        let at = random(tickets.len());
                        exact.close(tickets.swap_remove(at));
                        drop(connections.swap_remove(at));
                    }
                    12 if !tickets.is_empty() => {
                        let at = random(tickets.len());
                        exact.set_active(&mut tickets[at], step % 2 == 0);
                        RelaxedConnection::set_active(&mut connections[at], step % 2 == 0);
                    }
                    13.. if exact.iter().any(|(backend, _)| backend.total() >= most) => {}
                    13 => {
                        let (refused, others): (Vec<_>, Vec<_>) = ids.iter().take(2).copied().unzip();
                        let ticket = exact.pick_except(&Flow::ANY, &refused);
                        let connection = relaxed.pick_except(&others);
                        let picked = ticket.as_ref().map(|ticket| *exact.get(ticket.id()).unwrap());
                        assert_eq!(connection.as_deref().copied(), picked, "{kind} at {step}");
                        tickets.extend(ticket);
                        connections.extend(connection);
                    }
                    _ => {
                        let (ticket, connection) = (exact.pick(&Flow::ANY), relaxed.pick());
                        let picked = ticket.as_ref().map(|ticket| *exact.get(ticket.id()).unwrap());
                        assert_eq!(connection.as_deref().copied(), picked, "{kind} at {step}");
                        tickets.extend(ticket);
                        connections.extend(connection);
                    }
                }
                if step % 50 == 0 {
                    let one: Vec<_> = exact
                        .iter()
                        .map(|(backend, _)| (backend.active(), backend.total(), backend.overloaded()))
                        .collect();
                    let other: Vec<_> = relaxed
                        .status()
                        .iter()
                        .map(|status| (status.active, status.total, status.overloaded))
                        .collect();
                    assert_eq!(one, other, "{kind} at {step}");
                }
            }
        }
    }
}

/// The promise of the relaxed mode: how much more connections than the least loaded a picked back end of `lc` may have. The
/// threads take turns, so that the counts are known at each pick.
#[test]
fn a_relaxed_choice_is_off_by_no_more_than_is_said() {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, 3] {
        let lanes = threads.min(processors.next_power_of_two());
        for size in [1, 2, 8, 64, 256] {
            let bound = 2 * size - 2 + 2 * size * (lanes as u32 - 1);
            let worst = worst_choice(threads, size);
            println!("{threads} threads, slack {size}: {worst} off, {bound} allowed");
            assert!(
                worst <= bound,
                "{worst} off with {threads} threads and a slack of {size}"
            );
            // The check is worth something: with slack there is something to see.
            assert!(size < 8 || worst > 0);
        }
    }
}

/// What the threads of [`worst_choice`] hand on to each other.
struct Baton {
    turn: usize,
    steps: u32,
    open: Vec<RelaxedConnection<usize>>,
    counts: [u32; 20],
    worst: u32,
}

fn worst_choice(threads: usize, size: u32) -> u32 {
    let pool = RelaxedPool::with_options(SchedulerKind::Lc, &Options::default(), slack(size)).unwrap();
    for name in 0..20 {
        pool.add(name, Spec::default()).unwrap();
    }
    let baton = Mutex::new(Baton {
        turn: 0,
        steps: 60_000,
        open: Vec::new(),
        counts: [0; 20],
        worst: 0,
    });
    let handed_on = Condvar::new();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (pool, baton, handed_on) = (&pool, &baton, &handed_on);
            scope.spawn(move || {
                let mut random = numbers(thread as u64);
                loop {
                    let baton = baton.lock().unwrap();
                    let mut baton = handed_on.wait_while(baton, |baton| baton.turn != thread).unwrap();
                    for _ in 0..(1 + random(50)).min(baton.steps as usize) {
                        baton.step(pool, &mut random);
                    }
                    baton.turn = (thread + 1) % threads;
                    handed_on.notify_all();
                    if baton.steps == 0 {
                        break;
                    }
                }
            });
        }
    });
    baton.into_inner().unwrap().worst
}

impl Baton {
    /// Long runs of comings and goings, the latter all from a few back ends.
    fn step(&mut self, pool: &RelaxedPool<usize>, random: &mut impl FnMut(usize) -> usize) {
        self.steps -= 1;
        if self.open.len() < 400 || ((self.steps / 6_000).is_multiple_of(2) && self.open.len() < 8_000) {
            let connection = pool.pick().unwrap();
            let least = *self.counts.iter().min().unwrap();
            let count = &mut self.counts[*connection];
            self.worst = self.worst.max(*count - least);
            *count += 1;
            self.open.push(connection);
        } else {
            let drawn = core::array::from_fn::<_, 8, _>(|_| random(self.open.len()));
            let at = drawn.into_iter().min_by_key(|&at| *self.open[at]).unwrap();
            self.counts[*self.open[at]] -= 1;
            drop(self.open.swap_remove(at));
        }
    }
}
