//! How much memory a back end takes.

use lvs_sched::{Pool, RelaxedPool, SchedulerKind, SharedPool, Spec};

mod sys;

/// No more than this many bytes for each back end, tables of hashes apart.
#[test]
fn a_back_end_takes_80_bytes_at_most() {
    assert!(size_of::<Spec>() <= 16);
    for kind in SchedulerKind::ALL.into_iter().filter(|kind| !kind.is_hash()) {
        let bytes = sys::held_by(|| {
            let mut pool = Pool::new(kind);
            // The worst moment is when room was just made: one more than a power of two.
            for _ in 0..=65_536 {
                pool.add((), Spec::new(1)).unwrap();
            }
            pool
        });
        println!("{kind}: {:.1} bytes for each back end", bytes as f64 / 65_537.0);
        assert!(bytes <= 80 * 65_537, "{kind}: {} bytes for each", bytes / 65_537);
    }
}

/// Pools that are shared hold each back end by a counted reference of its own as well. What a relaxed pool has more are
/// the counters of connections that ended.
#[test]
fn a_shared_back_end_takes_128_bytes_at_most_and_a_relaxed_one_8_more() {
    const BACKENDS: usize = 65_537;
    let report = |name: &str, bytes: usize, most: usize| {
        println!(
            "{name}: {:.1} bytes for each back end",
            bytes as f64 / BACKENDS as f64
        );
        assert!(
            bytes <= most * BACKENDS,
            "{name}: {} bytes for each",
            bytes / BACKENDS
        );
    };
    for kind in SchedulerKind::ALL.into_iter().filter(|kind| !kind.is_hash()) {
        let bytes = sys::held_by(|| {
            let pool = SharedPool::new(kind);
            pool.update(|edits| {
                for _ in 0..BACKENDS {
                    edits.add((), Spec::new(1)).unwrap();
                }
            });
            pool
        });
        report(&format!("shared {kind}"), bytes, 128);
    }
    let bytes = sys::held_by(|| {
        let pool = RelaxedPool::new(SchedulerKind::Wlc).unwrap();
        for _ in 0..BACKENDS {
            pool.add((), Spec::new(1)).unwrap();
        }
        pool
    });
    report("relaxed wlc", bytes, 136);
}
