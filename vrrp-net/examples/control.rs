//! A closure as tracker, a priority that changes and a hand-over on request, on a segment in memory: no privileges
//! needed. `cargo run --example control`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vrrp_fsm::State;
use vrrp_net::{Driver, Instance, RouterHandle, Segment};
use vrrp_proto::{AdverInterval, Priority, Vrid};

fn main() -> Result<(), Box<dyn Error>> {
    let segment = Segment::real_time();
    let healthy = Arc::new(AtomicBool::new(true));
    let interval = AdverInterval::from_centiseconds(5).ok_or("5 centiseconds")?;
    let instance = |priority| -> Result<Instance, Box<dyn Error>> {
        Ok(Instance::new("web", "eth0", Vrid::new(51).ok_or("51")?)
            .adver_interval(interval)
            .priority(Priority::new(priority))
            .address("10.0.0.100".parse()?))
    };
    let mut driver = Driver::new(segment.host(&[("10.0.0.1".parse()?, 24)]))?;
    let asked = Arc::clone(&healthy);
    let one = driver.add(instance(150)?.tracker(-60, Duration::from_millis(20), move || {
        asked.load(Ordering::Relaxed)
    }))?;
    let first = driver.spawn_thread()?;
    let mut driver = Driver::new(segment.host(&[("10.0.0.2".parse()?, 24)]))?;
    let two = driver.add(instance(100)?)?;
    let second = driver.spawn_thread()?;

    wait(&one, State::Active);
    println!("one is active: {}", one.status().reason);
    healthy.store(false, Ordering::Relaxed);
    wait(&two, State::Active);
    println!("its check fails, two is active: {}", two.status().reason);
    healthy.store(true, Ordering::Relaxed);
    wait(&one, State::Active);
    println!("its check passes, one is active: {}", one.status().reason);
    one.resign();
    wait(&two, State::Active);
    println!("one has handed over, two is active: {}", two.status().reason);
    one.set_priority(Priority::new(50));
    second.stop()?;
    wait(&one, State::Active);
    println!("two has stopped, one is active: {}", one.status().reason);
    first.stop()?;
    Ok(())
}

fn wait(router: &RouterHandle, state: State) {
    let found = router.states().find(|change| change.to == state);
    assert!(found.is_some(), "the election has ended");
}
