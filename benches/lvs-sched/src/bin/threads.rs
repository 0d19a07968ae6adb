//! How much one and two threads get done in each mode, and how often they took a lock for it, which is what more threads
//! than this machine has would wait for.
//!
//! `cargo run --release --manifest-path benches/lvs-sched/Cargo.toml --bin threads`

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use lvs_sched::{Flow, Options, RelaxedPool, SchedulerKind, SharedPool, Spec};

/// So few that a round is mostly over before somebody else gets the processor.
const EACH: u32 = 3_000_000;
const ROUNDS: u32 = 3;

fn flow(number: u32) -> Flow {
    Flow::from_client(SocketAddr::from((
        Ipv4Addr::from_bits(0x0a00_0000 + number % 65_536),
        40_000,
    )))
}

fn spec(number: u32) -> Spec {
    let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 + number), 80));
    Spec::new(1 + number % 5).address(address)
}

/// The time in which each of `threads` made its connections; all together hold `open` of them, the oldest of which ends
/// when a new one comes.
fn run<C>(threads: u32, open: u32, pick: &(impl Fn(u32) -> Option<C> + Sync)) -> Duration {
    let barrier = Barrier::new(threads as usize);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let number = thread * EACH;
                    let mut ring: Vec<_> = (0..open / threads).map(|step| pick(number + step)).collect();
                    barrier.wait();
                    // Each looks at the clock itself: who waits for the others may wake up late.
                    let begin = Instant::now();
                    let mut at = 0;
                    for step in 0..EACH {
                        ring[at] = pick(number + step);
                        at = if at + 1 == ring.len() { 0 } else { at + 1 };
                    }
                    let end = Instant::now();
                    barrier.wait();
                    (begin, end)
                })
            })
            .collect();
        let times: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let begin = times.iter().map(|times| times.0).min();
        let end = times.iter().map(|times| times.1).max();
        end.zip(begin).map_or(Duration::MAX, |(end, begin)| end - begin)
    })
}

/// Connections a second in millions by one and by two threads, the best of several rounds: the machine is shared.
#[derive(Default)]
struct Rates([f64; 2]);

impl Rates {
    fn add<C>(&mut self, open: u32, pick: impl Fn(u32) -> Option<C> + Sync) {
        for (rate, threads) in self.0.iter_mut().zip([1, 2]) {
            let taken = run(threads, open, &pick);
            *rate = rate.max(f64::from(threads * EACH) / taken.as_secs_f64() / 1e6);
        }
    }
}

fn main() {
    let shared = |kind, backends| {
        let pool = SharedPool::new(kind);
        pool.update(|edits| {
            for number in 0..backends {
                edits.add(number, spec(number)).unwrap();
            }
        });
        pool
    };

    println!(
        "exact pools of 1000 back ends, 4096 connections open: millions a second with one thread, two threads"
    );
    for kind in [
        SchedulerKind::Rr,
        SchedulerKind::Wrr,
        SchedulerKind::Sh,
        SchedulerKind::Mh,
        SchedulerKind::Wlc,
    ] {
        let pool = shared(kind, 1_000);
        let mut rates = Rates::default();
        (0..ROUNDS).for_each(|_| rates.add(4_096, |number| pool.pick(&flow(number))));
        let [one, two] = rates.0;
        println!("{kind:20} {one:6.1} {two:6.1}");
    }

    println!(
        "wlc, both modes in turn: millions a second, and for how many connections a lock was taken once"
    );
    let slacks = [16, 64, 256].map(|slack| NonZeroU32::new(slack).unwrap());
    for (backends, each) in [
        (1_000, 1),
        (1_000, 16),
        (1_000, 64),
        (10, 16),
        (10, 64),
        (10, 1_024),
    ] {
        let exact = shared(SchedulerKind::Wlc, backends);
        let relaxed = slacks.map(|slack| {
            let pool = RelaxedPool::with_options(SchedulerKind::Wlc, &Options::default(), slack).unwrap();
            for number in 0..backends {
                pool.add(number, spec(number)).unwrap();
            }
            pool
        });
        let mut rates: [Rates; 4] = Default::default();
        let open = backends * each;
        for _ in 0..ROUNDS {
            rates[0].add(open, |number| exact.pick(&flow(number)));
            for (rates, pool) in rates[1..].iter_mut().zip(&relaxed) {
                rates.add(open, |_| pool.pick());
            }
        }
        println!("{backends} back ends with {each} connections each");
        let [one, two] = rates[0].0;
        println!("    exact      {one:6.1} {two:6.1}    0.5");
        for ((rates, pool), slack) in rates[1..].iter().zip(&relaxed).zip(slacks) {
            let [one, two] = rates.0;
            let connections = ROUNDS * (3 * EACH + 2 * open);
            let each_lock = f64::from(connections) / pool.lock_takings() as f64;
            println!("    slack {slack:<4} {one:6.1} {two:6.1} {each_lock:6.1}");
        }
    }
}
