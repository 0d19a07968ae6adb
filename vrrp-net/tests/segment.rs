//! Drivers on a segment in memory: no privileges, and a clock that stands still until it is moved.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vrrp_fsm::{Alarm, Dialect, Event, Instant, State, VrrpRouter};
use vrrp_net::{
    Driver, DriverEvent, Error, HostId, Instance, MemoryHost, Recorder, RouterHandle, Segment, SegmentEvent,
    Told, VirtualAddress,
};
use vrrp_proto::{AdverInterval, Priority, Vrid};

struct Node {
    driver: Option<Driver>,
    handle: RouterHandle,
    host: HostId,
}

struct Lab {
    segment: Segment,
    nodes: Vec<Node>,
}

fn address() -> IpAddr {
    "10.0.0.100".parse().unwrap()
}

fn instance(priority: u8) -> Instance {
    Instance::new("web", "eth0", Vrid::new(7).unwrap())
        .priority(Priority::new(priority))
        .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
        .address("10.0.0.100/24".parse().unwrap())
}

impl Lab {
    fn new(instances: Vec<Instance>) -> Self {
        let segment = Segment::new();
        let mut lab = Self {
            segment,
            nodes: Vec::new(),
        };
        for (number, instance) in instances.into_iter().enumerate() {
            let own = format!("10.0.0.{}", number + 1).parse().unwrap();
            let host = lab.segment.host(&[(own, 24)]);
            let id = host.id();
            let mut driver = Driver::new(host).unwrap();
            let handle = driver.add(instance).unwrap();
            lab.nodes.push(Node {
                driver: Some(driver),
                handle,
                host: id,
            });
        }
        lab
    }

    fn run(&mut self, time: Duration) {
        let until = self.segment.now().saturating_add(time);
        loop {
            // Twice: what the first pass asked of the host is answered by the second.
            for node in &mut self.nodes {
                if let Some(driver) = &mut node.driver {
                    for _ in 0..2 {
                        let now = driver.now();
                        driver.process(now).unwrap();
                    }
                }
            }
            let timers = self
                .nodes
                .iter()
                .filter_map(|node| node.driver.as_ref()?.next_timeout());
            let next = timers.chain(self.segment.next_event()).min();
            match next {
                Some(next) if next <= until => self.segment.advance_to(next),
                _ => break,
            }
        }
        self.segment.advance_to(until);
    }

    fn state(&self, node: usize) -> State {
        self.nodes[node].handle.state()
    }

    fn holders(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| self.segment.holds(self.nodes[*node].host, address()))
            .collect()
    }

    /// The process is gone at once and does nothing more.
    fn kill(&mut self, node: usize) {
        std::mem::forget(self.nodes[node].driver.take());
    }
}

const DOWN: Duration = Duration::from_millis(400);

#[test]
fn the_higher_priority_holds_the_address() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    assert_eq!((lab.state(0), lab.state(1)), (State::Backup, State::Active));
    assert_eq!(lab.holders(), [1]);
}

#[test]
fn an_active_router_that_is_killed_is_replaced_and_its_lease_ends() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    lab.kill(1);
    lab.run(DOWN);
    assert_eq!(lab.state(0), State::Active);
    assert_eq!(lab.holders(), [0, 1], "nobody is left to remove it yet");
    lab.run(Duration::from_secs(3));
    assert_eq!(lab.holders(), [0]);
}

#[test]
fn leases_of_the_living_are_renewed() {
    let mut lab = Lab::new(vec![instance(100)]);
    lab.run(DOWN);
    lab.segment.take_log();
    lab.run(Duration::from_secs(60));
    assert_eq!(lab.holders(), [0]);
    let lost = lab
        .segment
        .take_log()
        .into_iter()
        .filter(|event| matches!(event, SegmentEvent::AddressDown { .. }))
        .count();
    assert_eq!(lost, 0);
}

#[test]
fn a_stopped_driver_hands_over_within_the_skew() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    lab.segment.take_log();
    // The clock stands still while the driver is dropped, so everything it does happens at this instant.
    drop(lab.nodes[1].driver.take());
    let left = lab.segment.now();
    assert!(lab.holders().is_empty());
    lab.run(DOWN);
    assert_eq!(lab.holders(), [0]);
    let taken = lab.segment.take_log().into_iter().find_map(|event| match event {
        SegmentEvent::AddressUp { at, .. } => Some(at),
        _ => None,
    });
    // (256 - 100) / 256 of the interval, and the way of the packet.
    let skew = Duration::from_nanos(100_000_000 * 156 / 256);
    let waited = taken.unwrap().saturating_since(left);
    assert!(
        waited >= skew && waited <= skew + Duration::from_micros(100),
        "{waited:?}"
    );
}

#[test]
fn a_stolen_address_is_put_back() {
    let mut lab = Lab::new(vec![instance(100)]);
    lab.run(DOWN);
    let mut events = lab.nodes[0].handle.events();
    lab.segment.steal(lab.nodes[0].host, address());
    assert!(lab.holders().is_empty());
    lab.run(Duration::from_millis(1));
    assert_eq!(lab.holders(), [0]);
    let notice = events.try_next().unwrap();
    assert_eq!(notice.event, DriverEvent::AddressRestored { address: address() });
    assert_eq!(lab.state(0), State::Active);
}

#[test]
fn an_untracked_address_that_is_stolen_is_left_alone_until_the_role_is_taken_anew() {
    let untracked: VirtualAddress = "10.0.0.77".parse().unwrap();
    let other = untracked.address();
    let mut lab = Lab::new(vec![instance(100).address(untracked.untracked())]);
    lab.run(DOWN);
    let host = lab.nodes[0].host;
    assert!(lab.segment.holds(host, other));
    lab.segment.steal(host, other);
    // Over several renewals of the lease, and when another address is put back.
    lab.run(Duration::from_secs(10));
    lab.segment.steal(host, address());
    lab.run(Duration::from_secs(1));
    assert_eq!(lab.holders(), [0]);
    assert!(!lab.segment.holds(host, other));
    lab.segment.set_carrier(host, false);
    lab.run(Duration::from_secs(1));
    lab.segment.set_carrier(host, true);
    lab.run(DOWN);
    assert!(lab.segment.holds(host, other));
}

#[test]
fn a_successor_keeps_the_address_of_its_killed_predecessor() {
    let mut lab = Lab::new(vec![instance(100)]);
    lab.run(DOWN);
    lab.kill(0);
    lab.run(Duration::from_secs(1));
    lab.segment.take_log();
    let host = MemoryHost::restarted(&lab.segment, lab.nodes[0].host);
    let mut driver = Driver::new(host).unwrap();
    lab.nodes[0].handle = driver.add(instance(100)).unwrap();
    lab.nodes[0].driver = Some(driver);
    lab.run(Duration::from_secs(10));
    assert_eq!(lab.state(0), State::Active);
    let gone = lab
        .segment
        .take_log()
        .into_iter()
        .any(|event| matches!(event, SegmentEvent::AddressDown { .. }));
    assert!(!gone, "the address was never missing");
}

#[test]
fn without_carrier_nothing_is_held() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    lab.segment.set_carrier(lab.nodes[1].host, false);
    lab.run(DOWN);
    assert_eq!((lab.state(0), lab.state(1)), (State::Active, State::Initialize));
    assert_eq!(lab.holders(), [0]);
    lab.segment.set_carrier(lab.nodes[1].host, true);
    lab.run(DOWN);
    assert_eq!((lab.state(0), lab.state(1)), (State::Backup, State::Active));
}

#[test]
fn a_partition_heals_to_one_holder() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    let (one, other) = (lab.nodes[0].host, lab.nodes[1].host);
    lab.segment.set_connected(one, other, false);
    lab.run(DOWN);
    assert_eq!(lab.holders(), [0, 1]);
    lab.segment.set_connected(one, other, true);
    lab.run(Duration::from_millis(101));
    assert_eq!(lab.holders(), [1]);
}

#[test]
fn commands_reach_the_driver() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    lab.nodes[1].handle.resign();
    lab.run(DOWN);
    assert_eq!(lab.holders(), [0]);
    lab.nodes[0].handle.set_priority(Priority::new(50));
    lab.run(DOWN);
    assert_eq!(lab.nodes[0].handle.status().priority, Priority::new(50));
    lab.nodes[0].handle.remove();
    lab.run(DOWN);
    assert_eq!(lab.holders(), [1]);
    assert!(lab.nodes[0].handle.states().nth(1).is_none(), "the stream ends");
}

#[test]
fn a_paused_backup_sees_the_packets_before_its_timer() {
    let mut lab = Lab::new(vec![instance(100), instance(200)]);
    lab.run(DOWN);
    let paused = lab.nodes[0].driver.take();
    lab.run(Duration::from_secs(2));
    lab.nodes[0].driver = paused;
    lab.segment.take_log();
    lab.run(DOWN);
    assert_eq!(lab.holders(), [1]);
    let taken = lab
        .segment
        .take_log()
        .into_iter()
        .any(|event| matches!(event, SegmentEvent::AddressUp { .. }));
    assert!(!taken, "nobody else took it meanwhile");
}

#[test]
fn a_paused_active_router_does_not_take_the_role_back() {
    let nopreempt =
        |priority| instance(priority).parameters(|builder| builder.preempt(vrrp_fsm::Preempt::Never));
    let mut lab = Lab::new(vec![nopreempt(100), nopreempt(200)]);
    lab.run(Duration::from_secs(1));
    let active = (0..2).find(|node| lab.state(*node) == State::Active).unwrap();
    let other = 1 - active;
    let paused = lab.nodes[active].driver.take();
    lab.run(Duration::from_secs(2));
    assert_eq!(lab.state(other), State::Active);
    lab.segment.take_log();
    lab.nodes[active].driver = paused;
    let resumed = lab.segment.now();
    lab.run(DOWN);
    assert_eq!(lab.holders(), [other]);
    let stale = lab
        .segment
        .take_log()
        .into_iter()
        .filter(|event| {
            matches!(event, SegmentEvent::Sent { host, message, .. }
                if *host == lab.nodes[active].host && message[2] != 0)
        })
        .count();
    assert_eq!(stale, 0, "after {resumed}");
}

#[test]
fn an_unprivileged_thread_can_hold_an_address_too() {
    let segment = Segment::real_time();
    let host = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
    let id = host.id();
    let mut driver = Driver::new(host).unwrap();
    let router = driver
        .add(instance(150).adver_interval(AdverInterval::from_centiseconds(1).unwrap()))
        .unwrap();
    let thread = driver.spawn_thread().unwrap();
    let active = router.states().find(|change| change.to == State::Active);
    assert!(active.is_some());
    // The state is reported when the address is there.
    assert!(segment.holds(id, address()));
    thread.stop().unwrap();
    assert!(!segment.holds(id, address()));
}

/// A configuration that changes while active: what stays does not notice, what is new is added, what is gone is removed.
#[test]
fn addresses_change_while_active() {
    let mut lab = Lab::new(vec![instance(100)]);
    lab.run(DOWN);
    lab.segment.take_log();
    let handle = lab.nodes[0].handle.clone();
    let changed = Instance::new("web", "eth0", Vrid::new(7).unwrap())
        .priority(Priority::new(100))
        .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
        .addresses(["10.0.0.100/24", "10.0.0.101/24"].map(|text| text.parse().unwrap()));
    // The answer comes from the driver, which runs on this thread: ask from another one.
    let asking = std::thread::spawn({
        let (handle, changed) = (handle.clone(), changed.clone());
        move || handle.configure(changed)
    });
    while !asking.is_finished() {
        lab.run(Duration::from_millis(1));
        std::thread::yield_now();
    }
    asking.join().unwrap().unwrap();
    let second: IpAddr = "10.0.0.101".parse().unwrap();
    assert!(lab.segment.holds(lab.nodes[0].host, second));
    assert_eq!(lab.holders(), [0]);
    let moved = lab
        .segment
        .take_log()
        .into_iter()
        .any(|event| matches!(event, SegmentEvent::AddressDown { .. }));
    assert!(!moved, "nothing was given up on the way");
    let back = std::thread::spawn({
        let handle = handle.clone();
        move || handle.configure(instance(100))
    });
    while !back.is_finished() {
        lab.run(Duration::from_millis(1));
        std::thread::yield_now();
    }
    back.join().unwrap().unwrap();
    assert!(!lab.segment.holds(lab.nodes[0].host, second));
    assert_eq!((lab.holders(), lab.state(0)), (vec![0], State::Active));
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut lab = Lab::new(vec![instance(100)]);
    lab.run(DOWN);
    let handle = lab.nodes[0].handle.clone();
    let control = lab.nodes[0].driver.as_ref().unwrap().control();
    let other = Instance::new("web", "eth0", Vrid::new(8).unwrap()).address("10.0.0.100".parse().unwrap());
    let refused = std::thread::spawn({
        let handle = handle.clone();
        move || handle.configure(other)
    });
    while !refused.is_finished() {
        lab.run(Duration::from_millis(1));
        std::thread::yield_now();
    }
    assert!(matches!(refused.join().unwrap(), Err(Error::Identity)));
    assert_eq!(lab.holders(), [0]);
    let driver = lab.nodes[0].driver.as_mut().unwrap();
    assert!(
        matches!(driver.add(instance(100)), Err(Error::Parameters(_))),
        "the number is taken"
    );
    assert!(matches!(driver.add(instance(0)), Err(Error::Parameters(_))));
    drop(lab.nodes[0].driver.take());
    assert!(matches!(control.add(instance(100)), Err(Error::Stopped)));
}

/// Trackers of weight zero keep a host out; a sync group moves as a whole.
#[test]
fn a_sync_group_moves_as_a_whole() {
    let segment = Segment::new();
    let mut nodes = Vec::new();
    for (own, priority) in [("10.0.0.1", 100), ("10.0.0.2", 200)] {
        let mut driver = Driver::new(segment.host(&[(own.parse().unwrap(), 24)])).unwrap();
        let handles: Vec<_> = [(7, "10.0.0.100"), (8, "10.0.0.101")]
            .into_iter()
            .map(|(vrid, address)| {
                let instance = Instance::new(address, "eth0", Vrid::new(vrid).unwrap())
                    .priority(Priority::new(priority))
                    .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
                    .address(address.parse().unwrap())
                    .sync_group("both");
                driver.add(instance).unwrap()
            })
            .collect();
        nodes.push((driver, handles));
    }
    let run = |segment: &Segment, nodes: &mut Vec<(Driver, Vec<RouterHandle>)>| {
        for _ in 0..2_000 {
            for (driver, _) in nodes.iter_mut() {
                let now = driver.now();
                driver.process(now).unwrap();
            }
            segment.advance_to(segment.now().saturating_add(Duration::from_millis(1)));
        }
    };
    run(&segment, &mut nodes);
    assert!(nodes[1].1.iter().all(RouterHandle::is_active));
    nodes[1].1[0].set_fault(true);
    run(&segment, &mut nodes);
    assert!(
        nodes[0].1.iter().all(RouterHandle::is_active),
        "one fault moves both"
    );
    assert!(!nodes[1].1.iter().any(RouterHandle::is_active));
}

/// An election that is told what another is told, as a journal would have it.
#[derive(Debug)]
struct Mirror(Arc<Mutex<VrrpRouter>>);

impl Recorder for Mirror {
    fn record(&mut self, now: Instant, told: &Told<'_>) {
        let mut router = self.0.lock().unwrap();
        match *told {
            Told::Added {
                router: id,
                interface,
                parameters,
                primary_address,
                ..
            } => assert_eq!(
                router
                    .add(interface, parameters.clone(), primary_address)
                    .unwrap(),
                id
            ),
            Told::Removed(id) => router.remove(now, id).unwrap(),
            Told::Grouped { group, members, .. } => {
                assert_eq!(router.add_sync_group(now, members).unwrap(), group);
            }
            Told::Ungrouped(group) => router.remove_sync_group(now, group).unwrap(),
            Told::Input { router: id, input } => router.handle_input(now, id, input.clone()).unwrap(),
            Told::Packet(datagram) => {
                // Discarded there, discarded here.
                let _ = router.handle_packet(now, datagram);
            }
            Told::Track { id, status } => router.handle_track(now, id, status),
            Told::Timeout => router.handle_timeout(now),
            #[cfg(feature = "auth-hmac")]
            Told::Signed { router: id, signing } => router.set_signing(id, signing.cloned()).unwrap(),
            #[cfg(feature = "auth-hmac")]
            Told::WallClock(wall) => router.handle_wall_clock(now, wall.as_secs(), wall.subsec_nanos()),
            _ => unreachable!("all are known"),
        }
        while router.poll_output().is_some() {}
    }
}

#[test]
fn what_is_recorded_leads_to_the_same_decisions() {
    let segment = Segment::new();
    let mirror = Arc::new(Mutex::new(VrrpRouter::new()));
    let mut lab = Lab {
        segment,
        nodes: Vec::new(),
    };
    for number in 1..=2 {
        let own = format!("10.0.0.{number}").parse().unwrap();
        let host = lab.segment.host(&[(own, 24)]);
        let id = host.id();
        let mut driver = Driver::new(host).unwrap();
        if number == 1 {
            driver.set_recorder(Mirror(Arc::clone(&mirror)));
        }
        let handle = driver.add(instance(number * 50).sync_group("all")).unwrap();
        lab.nodes.push(Node {
            driver: Some(driver),
            handle,
            host: id,
        });
    }
    let same = |lab: &Lab| {
        let status = lab.nodes[0].handle.status();
        let router = mirror.lock().unwrap();
        let (_, mirrored) = router.virtual_routers().next().unwrap();
        assert_eq!(mirrored.state(), status.state);
        assert_eq!(mirrored.since(), status.since);
        assert_eq!(*mirrored.reason(), status.reason);
        status.state
    };
    lab.run(DOWN);
    assert_eq!(same(&lab), State::Backup);
    lab.kill(1);
    lab.run(DOWN);
    assert_eq!(same(&lab), State::Active);
    lab.nodes[0].handle.set_priority(Priority::new(30));
    lab.nodes[0].handle.resign();
    lab.run(DOWN);
    lab.nodes[0].handle.remove();
    lab.run(DOWN);
    assert!(mirror.lock().unwrap().is_empty());
}

/// RFC 9568 §7.1, §8.3.2: what is wrong on the link is told, and not with every packet.
#[test]
fn conflicts_are_told_at_a_limited_rate() {
    const MINUTES: usize = 5;
    let slow = AdverInterval::from_centiseconds(20).unwrap();
    let version_2 = |priority: u8, seconds: u8| {
        instance(priority)
            .adver_interval(AdverInterval::from_seconds(seconds).unwrap())
            .parameters(|builder| builder.dialect(Dialect::Rfc3768))
    };
    type IsIt = fn(&DriverEvent) -> bool;
    let cases: [(Vec<Instance>, IsIt); 3] = [
        (vec![instance(100), instance(200).adver_interval(slow)], |event| {
            matches!(event, DriverEvent::Election(Event::Alarm(Alarm::Interval { .. })))
        }),
        (vec![instance(255), instance(255)], |event| {
            matches!(
                event,
                DriverEvent::Election(Event::Alarm(Alarm::SecondOwner { .. }))
            )
        }),
        (vec![version_2(100, 1), version_2(200, 2)], |event| {
            matches!(event, DriverEvent::Discarded { .. })
        }),
    ];
    for (number, (instances, is_it)) in cases.into_iter().enumerate() {
        let mut lab = Lab::new(instances);
        let mut events: Vec<_> = lab.nodes.iter().map(|node| node.handle.events()).collect();
        lab.run(Duration::from_secs(60 * MINUTES as u64));
        let told: usize = events
            .iter_mut()
            .map(|events| {
                std::iter::from_fn(|| events.try_next())
                    .filter(|notice| is_it(&notice.event))
                    .count()
            })
            .sum();
        // Of some hundreds of packets at least.
        assert!((1..=2 * MINUTES + 2).contains(&told), "case {number}: {told}");
    }
}

#[test]
fn a_tracked_source_address_that_is_gone_is_a_fault() {
    let source: IpAddr = "10.0.0.1".parse().unwrap();
    let mut lab = Lab::new(vec![instance(200).source(source).track_source(), instance(100)]);
    lab.run(DOWN);
    assert_eq!(lab.holders(), [0]);
    lab.segment.steal(lab.nodes[0].host, source);
    lab.run(DOWN);
    assert_eq!((lab.state(0), lab.state(1)), (State::Initialize, State::Active));
    assert_eq!(lab.holders(), [1]);

    let mut lab = Lab::new(vec![
        instance(200).source("10.9.9.9".parse().unwrap()).track_source(),
    ]);
    lab.run(DOWN);
    assert_eq!(lab.state(0), State::Initialize, "never there");
}

#[cfg(feature = "auth-hmac")]
mod signed {
    use vrrp_fsm::Signing;
    use vrrp_proto::HmacKey;

    use super::*;

    fn signing(byte: u8) -> Signing {
        Signing::new([HmacKey::new(1, &[byte; 32]).unwrap()], 1).unwrap()
    }

    #[test]
    fn who_has_the_key_is_heard_and_nobody_else() {
        let mut lab = Lab::new(vec![
            instance(100).signing(signing(1)),
            instance(200).signing(signing(1)),
            instance(250),
        ]);
        lab.run(DOWN);
        assert_eq!(lab.holders(), [1, 2], "a stranger takes the role from nobody");
        assert_eq!(lab.state(0), State::Backup);
        // Long enough for the clock to have been told many times.
        lab.run(Duration::from_secs(30));
        assert_eq!(lab.holders(), [1, 2]);
        lab.kill(1);
        lab.run(DOWN);
        assert_eq!(lab.state(0), State::Active);
    }

    #[test]
    fn keys_change_and_signing_ends_without_a_takeover() {
        let mut lab = Lab::new(vec![
            instance(100).signing(signing(1)),
            instance(200).signing(signing(1)),
        ]);
        lab.run(DOWN);
        let changes = |lab: &Lab| lab.nodes[1].handle.status().since;
        let since = changes(&lab);
        for signing in [Some(signing(2)), None] {
            for node in 0..2 {
                let instance = instance([100, 200][node]);
                let instance = match &signing {
                    Some(signing) => instance.signing(signing.clone()),
                    None => instance,
                };
                let handle = lab.nodes[node].handle.clone();
                let asked = std::thread::spawn(move || handle.configure(instance));
                let driver = lab.nodes[node].driver.as_mut().unwrap();
                while !asked.is_finished() {
                    let now = driver.now();
                    driver.process(now).unwrap();
                    std::thread::yield_now();
                }
                asked.join().unwrap().unwrap();
            }
            lab.run(DOWN);
            assert_eq!(lab.holders(), [1]);
            assert_eq!(changes(&lab), since, "nothing has happened");
        }
    }
}
