//! A scheduler of one's own: random among the eligible, in twenty lines.
//!
//! `cargo run -p lvs-sched --example own_scheduler`

use lvs_sched::{
    BackendId, BackendRef, Backends, Environment, Error, Flow, Options, Scheduler, SharedPool, Spec, System,
};

/// Picks any eligible back end, each with the same chance. Looks through the list each time; one that must be quicker keeps
/// an array by position up to date in `update`.
#[derive(Debug)]
struct AnyOne;

impl Scheduler for AnyOne {
    fn select(
        &mut self,
        backends: &Backends,
        _: &Flow,
        environment: &mut dyn Environment,
    ) -> Option<BackendId> {
        let eligible = || backends.iter().filter(BackendRef::eligible);
        let count = eligible().count() as u64;
        let chosen = (count > 0).then(|| environment.random_below(count))?;
        eligible().nth(chosen as usize).map(|backend| backend.id())
    }
}

fn main() -> Result<(), Error> {
    let pool = SharedPool::with_scheduler(AnyOne, &Options::default(), System::new());
    for name in ["red", "green", "blue"] {
        pool.add(name, Spec::new(1))?;
    }
    let red = pool.status()[0].backend.id();
    let connections: Vec<_> = (0..300).filter_map(|_| pool.pick(&Flow::ANY)).collect();
    for status in pool.status() {
        println!("{:6} {}", *status.backend, status.total);
    }
    pool.set_weight(red, 0)?;
    let more: Vec<_> = (0..300).filter_map(|_| pool.pick(&Flow::ANY)).collect();
    println!("red is quiesced, {} more connections went elsewhere", more.len());
    drop(connections);
    Ok(())
}
