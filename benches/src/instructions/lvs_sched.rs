//! `lvs-sched`: choices among a thousand back ends, with the counting where it matters.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use lvs_sched::{Flow, Options, Pool, RelaxedPool, SchedulerKind, SharedPool, Simulated, Spec};

pub(crate) const CASES: &[crate::Case] = &[
    ("lvs_sched_select_rr", |times| select(SchedulerKind::Rr, times)),
    ("lvs_sched_select_wrr", |times| select(SchedulerKind::Wrr, times)),
    ("lvs_sched_select_dh", |times| select(SchedulerKind::Dh, times)),
    ("lvs_sched_select_sh", |times| select(SchedulerKind::Sh, times)),
    ("lvs_sched_select_mh", |times| select(SchedulerKind::Mh, times)),
    ("lvs_sched_turnover_lc", |times| {
        turnover(SchedulerKind::Lc, times)
    }),
    ("lvs_sched_turnover_wlc", |times| {
        turnover(SchedulerKind::Wlc, times)
    }),
    ("lvs_sched_turnover_sed", |times| {
        turnover(SchedulerKind::Sed, times)
    }),
    ("lvs_sched_turnover_nq", |times| {
        turnover(SchedulerKind::Nq, times)
    }),
    ("lvs_sched_turnover_twos", |times| {
        turnover(SchedulerKind::Twos, times)
    }),
    ("lvs_sched_turnover_lblc", |times| {
        turnover(SchedulerKind::Lblc, times)
    }),
    ("lvs_sched_turnover_lblcr", |times| {
        turnover(SchedulerKind::Lblcr, times)
    }),
    ("lvs_sched_burst_wlc", |times| {
        burst(pool(SchedulerKind::Wlc), times)
    }),
    ("lvs_sched_burst_wlc_100000", |times| {
        burst(pool_of(SchedulerKind::Wlc, 100_000), times)
    }),
    ("lvs_sched_turnover_lblcr_one_set", one_set),
    ("lvs_sched_linear_scan", linear_scan),
    ("lvs_sched_select_wrr_worst", wrr_worst),
    ("lvs_sched_shared_rr", |times| shared(SchedulerKind::Rr, times)),
    ("lvs_sched_shared_wlc", |times| shared(SchedulerKind::Wlc, times)),
    ("lvs_sched_relaxed_wlc", relaxed),
];

fn spec(number: u32) -> Spec {
    let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 + number), 80));
    Spec::new(1 + number % 5).address(address)
}

fn pool(kind: SchedulerKind) -> Pool<()> {
    pool_of(kind, 1_000)
}

fn pool_of(kind: SchedulerKind, backends: u32) -> Pool<()> {
    let mut pool = Pool::with_environment(kind, &Options::default(), Simulated::new(1));
    for number in 0..backends {
        pool.add((), spec(number)).expect("a valid specification");
    }
    pool.refresh();
    pool
}

fn flow(number: u64) -> Flow {
    let address = Ipv4Addr::from_bits((number as u32 % 512).wrapping_mul(0x9E37_79B9));
    Flow::new((address, 40_000).into(), (address, 80).into())
}

fn select(kind: SchedulerKind, times: u64) {
    let mut pool = pool(kind);
    for number in 0..times {
        black_box(pool.select(&flow(number)));
    }
}

/// The oldest of a hundred connections ends, a new one comes.
fn turnover(kind: SchedulerKind, times: u64) {
    let mut pool = pool(kind);
    let mut open: VecDeque<_> = (0..100).filter_map(|number| pool.pick(&flow(number))).collect();
    for number in 0..times {
        if let Some(ticket) = open.pop_front() {
            pool.close(ticket);
        }
        open.extend(pool.pick(&flow(number)));
    }
}

/// Connections come and none ends.
fn burst(mut pool: Pool<()>, times: u64) {
    let mut open = Vec::with_capacity(times as usize);
    for number in 0..times {
        open.extend(pool.pick(&flow(number)));
    }
}

/// A destination so busy that everybody serves it.
fn one_set(times: u64) {
    let mut pool = pool(SchedulerKind::Lblcr);
    let mut open: VecDeque<_> = (0..8_000).filter_map(|_| pool.pick(&Flow::ANY)).collect();
    for _ in 0..times {
        if let Some(ticket) = open.pop_front() {
            pool.close(ticket);
        }
        open.extend(pool.pick(&Flow::ANY));
    }
}

/// What the plainest `wlc` does for the same: looks at everybody.
fn linear_scan(times: u64) {
    let weights: Vec<u64> = (0..1_000).map(|number| 1 + number % 5).collect();
    let mut counts = vec![0_u64; weights.len()];
    let pick = |counts: &mut Vec<u64>| {
        let (mut best, mut least) = (0, counts[0]);
        for (index, (&count, &weight)) in counts.iter().zip(&weights).enumerate() {
            if count * weights[best] < least * weight {
                (best, least) = (index, count);
            }
        }
        counts[best] += 1;
        best
    };
    let mut open: VecDeque<usize> = (0..100).map(|_| pick(&mut counts)).collect();
    for _ in 0..times {
        if let Some(ended) = open.pop_front() {
            counts[ended] -= 1;
        }
        open.push_back(pick(&mut counts));
    }
}

/// The case in which the kernel's walk takes 65 million steps: the one heavy server of a thousand is overloaded.
fn wrr_worst(times: u64) {
    let mut pool = Pool::with_environment(SchedulerKind::Wrr, &Options::default(), Simulated::new(1));
    let heavy = Spec::new(65_535).thresholds(1, 0);
    let heavy = pool.add((), heavy).expect("a valid specification");
    for _ in 1..1_000 {
        pool.add((), Spec::new(1)).expect("a valid specification");
    }
    let _overload = pool.open(heavy).expect("a known back end");
    for _ in 0..times {
        black_box(pool.select(&Flow::ANY));
    }
}

fn shared(kind: SchedulerKind, times: u64) {
    let pool = SharedPool::new(kind);
    pool.update(|edits| {
        for number in 0..1_000 {
            edits.add((), spec(number)).expect("a valid specification");
        }
    });
    for number in 0..times {
        drop(black_box(pool.pick(&flow(number))));
    }
}

/// Ten back ends with a hundred connections each.
fn relaxed(times: u64) {
    let pool = RelaxedPool::new(SchedulerKind::Wlc).expect("wlc can be relaxed");
    for number in 0..10 {
        pool.add((), spec(number)).expect("a valid specification");
    }
    let mut open: VecDeque<_> = (0..1_000).filter_map(|_| pool.pick()).collect();
    for _ in 0..times {
        drop(open.pop_front());
        open.extend(pool.pick());
    }
}
