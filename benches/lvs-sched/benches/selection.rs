//! What a choice costs, beside what else there is.
//!
//! `cargo bench --manifest-path benches/lvs-sched/Cargo.toml`

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvs_sched::{Flow, Options, Pool, RelaxedPool, SchedulerKind, SharedPool, Spec};
use maglev::ConsistentHasher;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};

const BACKENDS: u32 = 1_000;

fn address(number: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0a01_0000 + number), 80).into()
}

fn weight(number: u32) -> u32 {
    1 + number % 5
}

fn pool(kind: SchedulerKind, backends: u32) -> Pool<u32> {
    let mut pool = Pool::with_options(kind, &Options::default());
    for number in 0..backends {
        pool.add(number, Spec::new(weight(number)).address(address(number)))
            .unwrap();
    }
    pool.refresh();
    pool
}

/// Flows that differ in source and destination.
fn flows() -> Vec<Flow> {
    (0..4_096_u32)
        .map(|number| {
            let from = (
                Ipv4Addr::from_bits(0xac10_0000 ^ number.wrapping_mul(0x9E37_79B9) >> 12),
                40_000,
            );
            let to = (Ipv4Addr::from_bits(0x0a63_0000 + number % 512), 80);
            Flow::new(from.into(), to.into())
        })
        .collect()
}

fn selection(criterion: &mut Criterion) {
    let flows = flows();
    let mut group = criterion.benchmark_group("select of 1000");
    for kind in [
        SchedulerKind::Rr,
        SchedulerKind::Wrr,
        SchedulerKind::Dh,
        SchedulerKind::Sh,
        SchedulerKind::Mh,
    ] {
        let mut pool = pool(kind, BACKENDS);
        let mut flows = flows.iter().cycle();
        group.bench_function(kind.name(), |bencher| {
            bencher.iter(|| pool.select(flows.next().unwrap()));
        });
    }
    let keys: Vec<[u8; 4]> = flows
        .iter()
        .map(|flow| match flow.source {
            std::net::IpAddr::V4(address) => address.octets(),
            std::net::IpAddr::V6(_) => [0; 4],
        })
        .collect();
    #[cfg(feature = "pingora")]
    pingora::selection(&mut group, &keys);
    let maglev = maglev::Maglev::with_capacity(0..BACKENDS, 4_093);
    let mut keys = keys.iter().cycle();
    group.bench_function("maglev crate", |bencher| {
        bencher.iter(|| maglev.get(keys.next().unwrap()).copied());
    });
    group.finish();
}

/// A pool with two connections open for each back end: the oldest ends, a new one comes.
fn turnover(bencher: &mut criterion::Bencher<'_>, mut pool: Pool<u32>, flows: &[Flow]) {
    let mut flows = flows.iter().cycle();
    let mut open = VecDeque::new();
    for _ in 0..2 * pool.len() {
        open.extend(pool.pick(flows.next().unwrap()));
    }
    bencher.iter(|| {
        if let Some(ticket) = open.pop_front() {
            pool.close(ticket);
        }
        open.extend(pool.pick(flows.next().unwrap()));
    });
}

/// The same where any connection may be the next to end.
fn random_turnover(bencher: &mut criterion::Bencher<'_>, mut pool: Pool<u32>, flows: &[Flow]) {
    let mut flows = flows.iter().cycle();
    let mut open: Vec<_> = (0..2 * pool.len())
        .filter_map(|_| pool.pick(flows.next().unwrap()))
        .collect();
    let mut random = 1_u64;
    bencher.iter(|| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let ended = (random >> 33) as usize % open.len();
        pool.close(open.swap_remove(ended));
        open.extend(pool.pick(flows.next().unwrap()));
    });
}

/// The plainest weighted least connection: everybody is looked at each time.
struct Scan {
    weights: Vec<u32>,
    counts: Vec<u32>,
}

impl Scan {
    fn pick(&mut self) -> usize {
        let mut best = 0;
        for index in 1..self.counts.len() {
            let least = u64::from(self.counts[best]) * u64::from(self.weights[index]);
            if least > u64::from(self.counts[index]) * u64::from(self.weights[best]) {
                best = index;
            }
        }
        self.counts[best] += 1;
        best
    }
}

/// A service that answers at once.
struct Idle;

impl Service<()> for Idle {
    type Response = ();
    type Error = std::convert::Infallible;
    type Future = Ready<Result<(), Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

fn connections(criterion: &mut Criterion) {
    let flows = flows();
    let mut group = criterion.benchmark_group("pick, open and close of 1000");
    for kind in [
        SchedulerKind::Lc,
        SchedulerKind::Wlc,
        SchedulerKind::Sed,
        SchedulerKind::Nq,
        SchedulerKind::Fo,
        SchedulerKind::Ovf,
        SchedulerKind::Twos,
        SchedulerKind::Lblc,
        SchedulerKind::Lblcr,
        SchedulerKind::Rr,
        SchedulerKind::Wrr,
    ] {
        group.bench_function(kind.name(), |bencher| {
            turnover(bencher, pool(kind, BACKENDS), &flows)
        });
    }
    group.bench_function("wlc, ended at random", |bencher| {
        random_turnover(bencher, pool(SchedulerKind::Wlc, BACKENDS), &flows);
    });
    // Each choice makes the chosen one worse, and nobody gets better.
    group.bench_function("wlc, 500 come and go", |bencher| {
        let mut pool = pool(SchedulerKind::Wlc, BACKENDS);
        let mut open: Vec<_> = (0..2 * BACKENDS).filter_map(|_| pool.pick(&Flow::ANY)).collect();
        bencher.iter_custom(|times| {
            let begin = std::time::Instant::now();
            for step in 0..2 * times {
                if step / 500 % 2 == 0 {
                    open.extend(pool.pick(&Flow::ANY));
                } else {
                    open.pop().into_iter().for_each(|ticket| pool.close(ticket));
                }
            }
            begin.elapsed()
        });
    });
    // The largest set of lblcr: a destination so busy that everybody serves it.
    group.bench_function("lblcr, all in one set", |bencher| {
        let mut pool = pool(SchedulerKind::Lblcr, BACKENDS);
        let mut open: VecDeque<_> = (0..8 * BACKENDS).filter_map(|_| pool.pick(&Flow::ANY)).collect();
        bencher.iter(|| {
            if let Some(ticket) = open.pop_front() {
                pool.close(ticket);
            }
            open.extend(pool.pick(&Flow::ANY));
        });
    });
    group.bench_function("linear scan", |bencher| {
        let weights: Vec<u32> = (0..BACKENDS).map(weight).collect();
        let mut scan = Scan {
            counts: vec![0; weights.len()],
            weights,
        };
        let mut open: VecDeque<usize> = (0..2 * BACKENDS).map(|_| scan.pick()).collect();
        bencher.iter(|| {
            let ended = open.pop_front().unwrap();
            scan.counts[ended] -= 1;
            open.push_back(scan.pick());
        });
    });
    group.bench_function("tower p2c", |bencher| {
        let services = (0..BACKENDS).map(|_| PendingRequests::new(Idle, CompleteOnResponse::default()));
        let mut balance = Balance::new(ServiceList::new::<()>(services));
        let mut context = Context::from_waker(Waker::noop());
        while balance.len() < BACKENDS as usize {
            assert!(balance.poll_ready(&mut context).is_ready());
        }
        bencher.iter(|| {
            assert!(balance.poll_ready(&mut context).is_ready());
            pin!(balance.call(())).poll(&mut context).is_ready()
        });
    });
    group.finish();
}

fn growth(criterion: &mut Criterion) {
    let flows = flows();
    let mut group = criterion.benchmark_group("growth");
    for backends in [10, 100, 1_000, 10_000, 100_000] {
        group.bench_function(
            BenchmarkId::new("wlc pick, open and close", backends),
            |bencher| {
                turnover(bencher, pool(SchedulerKind::Wlc, backends), &flows);
            },
        );
        group.bench_function(BenchmarkId::new("wlc, ended at random", backends), |bencher| {
            random_turnover(bencher, pool(SchedulerKind::Wlc, backends), &flows);
        });
        group.bench_function(BenchmarkId::new("wrr select", backends), |bencher| {
            let mut pool = pool(SchedulerKind::Wrr, backends);
            bencher.iter(|| pool.select(&Flow::ANY));
        });
    }
    // The case in which the kernel's walk takes 65 million steps.
    group.bench_function("wrr, the heaviest of 1000 overloaded", |bencher| {
        let mut pool = Pool::new(SchedulerKind::Wrr);
        let heavy = pool.add(0, Spec::new(65_535).thresholds(1, 0)).unwrap();
        for number in 1..BACKENDS {
            pool.add(number, Spec::new(1)).unwrap();
        }
        let _overload = pool.open(heavy).unwrap();
        bencher.iter(|| pool.select(&Flow::ANY));
    });
    group.finish();
}

fn shared(criterion: &mut Criterion) {
    let flows = flows();
    let mut group = criterion.benchmark_group("shared pick and drop");
    for kind in [
        SchedulerKind::Rr,
        SchedulerKind::Wrr,
        SchedulerKind::Wlc,
        SchedulerKind::Mh,
        SchedulerKind::Sh,
    ] {
        for backends in [16, BACKENDS] {
            let pool = SharedPool::new(kind);
            pool.update(|edits| {
                for number in 0..backends {
                    edits
                        .add(number, Spec::new(weight(number)).address(address(number)))
                        .unwrap();
                }
            });
            let mut flows = flows.iter().cycle();
            group.bench_function(BenchmarkId::new(kind.name(), backends), |bencher| {
                bencher.iter(|| drop(pool.pick(flows.next().unwrap())));
            });
        }
    }
    for kind in [SchedulerKind::Wlc, SchedulerKind::Lc, SchedulerKind::Twos] {
        let pool = SharedPool::new(kind);
        pool.update(|edits| {
            for number in 0..BACKENDS {
                edits.add(number, Spec::new(weight(number))).unwrap();
            }
        });
        let mut flows = flows.iter().cycle();
        let mut open: VecDeque<_> = (0..2 * BACKENDS)
            .filter_map(|_| pool.pick(flows.next().unwrap()))
            .collect();
        group.bench_function(
            BenchmarkId::new(kind.name(), "1000, 2 open for each"),
            |bencher| {
                bencher.iter(|| {
                    drop(open.pop_front());
                    open.extend(pool.pick(flows.next().unwrap()));
                });
            },
        );
    }
    for backends in [16, BACKENDS] {
        let pool = RelaxedPool::new(SchedulerKind::Wlc).unwrap();
        for number in 0..backends {
            pool.add(number, Spec::new(weight(number))).unwrap();
        }
        // It pays where back ends carry connections.
        let _open: Vec<_> = (0..100 * backends).map(|_| pool.pick()).collect();
        group.bench_function(
            BenchmarkId::new("relaxed wlc, 100 open for each", backends),
            |bencher| {
                bencher.iter(|| drop(pool.pick()));
            },
        );
    }
    group.finish();
}

fn building(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("table for 1000");
    for kind in [SchedulerKind::Mh, SchedulerKind::Sh] {
        let mut pool = pool(kind, BACKENDS);
        let id = pool.select(&Flow::ANY).unwrap();
        group.bench_function(kind.name(), |bencher| {
            let mut weight = 0;
            bencher.iter(|| {
                weight = weight % 5 + 1;
                pool.set_weight(id, weight).unwrap();
                pool.refresh();
            });
        });
    }
    group.bench_function("maglev crate", |bencher| {
        bencher.iter(|| maglev::Maglev::with_capacity(0..BACKENDS, 4_093));
    });
    #[cfg(feature = "pingora")]
    pingora::building(&mut group);
    group.finish();
}

#[cfg(feature = "pingora")]
mod pingora {
    //! What pingora-load-balancing selects with.

    use std::collections::BTreeSet;
    use std::hint::black_box;
    use std::sync::Arc;

    use criterion::BenchmarkGroup;
    use criterion::measurement::WallTime;
    use pingora_load_balancing::Backend;
    use pingora_load_balancing::selection::{BackendIter, BackendSelection, Consistent, FNVHash, RoundRobin};

    fn backends() -> BTreeSet<Backend> {
        (0..super::BACKENDS)
            .map(|number| {
                let address = super::address(number).to_string();
                Backend::new_with_weight(&address, super::weight(number) as usize).unwrap()
            })
            .collect()
    }

    fn one<S: BackendSelection>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, keys: &[[u8; 4]])
    where
        S::Iter: BackendIter,
    {
        let selection = Arc::new(S::build(&backends()));
        let mut keys = keys.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(selection.iter(keys.next().unwrap()).next().is_some()));
        });
    }

    pub(super) fn selection(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[[u8; 4]]) {
        one::<RoundRobin>(group, "pingora round robin", keys);
        one::<FNVHash>(group, "pingora fnv", keys);
        one::<Consistent>(group, "pingora ketama", keys);
    }

    pub(super) fn building(group: &mut BenchmarkGroup<'_, WallTime>) {
        let backends = backends();
        group.bench_function("pingora ketama", |bencher| {
            bencher.iter(|| Consistent::build(&backends))
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    targets = selection, connections, growth, shared, building
}
criterion_main!(benches);
