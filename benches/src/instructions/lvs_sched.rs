//! `lvs-sched`: choices among a thousand back ends, with the counting where it matters.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use lvs_sched::{Flow, Options, Pool, SchedulerKind, SharedPool, Simulated, Spec};

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
    ("lvs_sched_shared_rr", shared),
];

fn spec(number: u32) -> Spec {
    let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0000 + number), 80));
    Spec::new(1 + number % 5).address(address)
}

fn pool(kind: SchedulerKind) -> Pool<()> {
    let mut pool = Pool::with_environment(kind, &Options::default(), Simulated::new(1));
    for number in 0..1_000 {
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

fn shared(times: u64) {
    let pool = SharedPool::new(SchedulerKind::Rr);
    pool.update(|edits| {
        for number in 0..1_000 {
            edits.add((), spec(number)).expect("a valid specification");
        }
    });
    for number in 0..times {
        drop(black_box(pool.pick(&flow(number))));
    }
}
