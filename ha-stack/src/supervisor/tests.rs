//! Parts that are stuck, really: what they need is held.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use vrrp_net::{HostId, Instance, Segment};
use vrrp_proto::{AdverInterval, Vrid};

use super::*;
use crate::notify::{Courier, Notifier};
use crate::plan::{FifoPlan, VirtualRouterPlan};

/// A supervisor with a virtual router that is backup, and what happens from now on.
fn start(change: impl FnOnce(&mut Plan)) -> (Supervisor, mpsc::Receiver<Event>, Segment, HostId) {
    let segment = Segment::real_time();
    let memory = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
    let host = memory.id();
    let supervisor = Supervisor::start(Driver::new(memory).unwrap(), Plan::default()).unwrap();
    let events = supervisor.watch().unwrap();
    // Not to become active of its own accord while this goes on.
    let instance = Instance::new("VI_1", "eth0", Vrid::new(51).unwrap())
        .adver_interval(AdverInterval::from_seconds(40).unwrap())
        .address("10.0.0.100".parse().unwrap());
    let mut plan = Plan::default();
    plan.virtual_routers.push(VirtualRouterPlan::new(instance));
    change(&mut plan);
    supervisor.reload(plan).unwrap();
    wait(&events, "BACKUP");
    (supervisor, events, segment, host)
}

fn wait(events: &mpsc::Receiver<Event>, word: &str) {
    while events
        .recv_timeout(Duration::from_secs(60))
        .expect(word)
        .kind
        .word()
        != word
    {}
}

#[test]
fn events_that_nobody_passes_on_are_seen() {
    let (supervisor, _events, segment, host) = start(|_| ());
    assert!(supervisor.tend());
    let answers = || supervisor.shared.events.has_answered();
    while !answers() {
        std::thread::yield_now();
    }
    let held = supervisor.shared.hub.hold();
    segment.set_carrier(host, false);
    // It does answer until it has something to pass on. One that is only slow would go on to.
    answers();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        if !answers() {
            break;
        }
    }
    *supervisor.patience.lock().unwrap() = Patience::new(Duration::ZERO);
    while supervisor.tend() {}
    drop(held);
    while !answers() {
        std::thread::yield_now();
    }
}

/// A notifier that is stuck with its first event, of which it tells.
struct Stuck(mpsc::Receiver<()>, mpsc::Sender<()>);

impl Notifier for Stuck {
    fn notify(&mut self, _: &Event) -> Result<(), Error> {
        let _ = self.1.send(());
        let _ = self.0.recv();
        Ok(())
    }
}

#[test]
fn a_pipe_that_is_stuck_is_replaced_and_gets_what_waits() {
    let path = std::env::temp_dir().join(format!("ha-stack-stuck-{}", std::process::id()));
    let (supervisor, events, segment, host) = start(|plan| plan.fifos.push(FifoPlan::new(&path)));
    // For both ways: neither waits for whoever writes, nor loses what one has written that is gone.
    let pipe = File::options().read(true).write(true).open(&path).unwrap();
    let mut lines = BufReader::new(pipe).lines();
    let backup = "INSTANCE \"VI_1\" BACKUP 100";
    let (let_go, held) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    let stuck = Arc::new(Courier::start("fifo", Stuck(held, begun), 9).unwrap());
    stuck.set_patience(Duration::ZERO);
    let mut running = supervisor.shared.running();
    running.fifos[0].1 = Arc::clone(&stuck);
    supervisor.shared.hub.set_notifiers(running.couriers());
    drop(running);
    segment.set_carrier(host, false);
    has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
    wait(&events, "FAULT");
    segment.set_carrier(host, true);
    wait(&events, "BACKUP");
    while Arc::ptr_eq(&supervisor.shared.running().fifos[0].1, &stuck) {
        assert!(supervisor.tend());
    }
    // The first is from the start.
    for _ in 0..2 {
        assert_eq!(lines.next().unwrap().unwrap(), backup);
    }
    drop(let_go);
    supervisor.stop().unwrap();
    std::fs::remove_file(&path).unwrap();
}
