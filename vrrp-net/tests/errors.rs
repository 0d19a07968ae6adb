//! What goes wrong, told as what it is: a host that fails on demand.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vrrp_fsm::{Instant, State};
use vrrp_net::{
    Driver, DriverEvent, Error, Host, HostEvent, Instance, Listen, MemoryHost, Received, Segment,
    Transmissions, Waker, Work,
};
use vrrp_proto::{AdverInterval, Priority, Vrid};

/// What fails from now on.
#[derive(Debug, Default)]
struct Broken {
    wait: AtomicBool,
    receive: AtomicBool,
    send: AtomicBool,
    listen: AtomicBool,
    /// Every change, with the system's error number.
    changes: Mutex<Option<i32>>,
}

#[derive(Debug)]
struct Fragile {
    host: MemoryHost,
    broken: Arc<Broken>,
    failed: Vec<HostEvent>,
}

fn refused(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Host for Fragile {
    fn now(&self) -> Instant {
        self.host.now()
    }

    fn wall_clock(&self) -> Duration {
        self.host.wall_clock()
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.broken.wait.load(Ordering::Relaxed) {
            return Err(Error::Poll(refused(9)));
        }
        self.host.wait(until)
    }

    fn arm(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.host.arm(until)
    }

    fn waker(&self) -> Waker {
        self.host.waker()
    }

    fn listen(&mut self, listen: &Listen) -> Result<(), Error> {
        if self.broken.listen.load(Ordering::Relaxed) {
            return Err(Error::Socket(refused(24)));
        }
        self.host.listen(listen)
    }

    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> Result<(), Error> {
        if self.broken.receive.load(Ordering::Relaxed) {
            return Err(Error::Receive(refused(12)));
        }
        self.host.receive(handle)
    }

    fn send(&mut self, packets: &Transmissions, failed: &mut dyn FnMut(usize, Error)) {
        if self.broken.send.load(Ordering::Relaxed) {
            for place in 0..packets.len() {
                failed(place, Error::Send(refused(100)));
            }
            return;
        }
        self.host.send(packets, failed);
    }

    fn can_refuse_packets(&self) -> Result<(), Error> {
        self.host.can_refuse_packets()
    }

    fn submit(&mut self, work: Work) {
        match *self.broken.changes.lock().unwrap() {
            None => self.host.submit(work),
            Some(errno) => self.failed.push(HostEvent::Done {
                ticket: work.ticket,
                failures: (0..work.changes.len()).map(|place| (place, errno)).collect(),
            }),
        }
    }

    fn poll_event(&mut self) -> Option<HostEvent> {
        self.failed.pop().or_else(|| self.host.poll_event())
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

fn fragile(segment: &Segment) -> (Fragile, Arc<Broken>) {
    let broken = Arc::new(Broken::default());
    let host = Fragile {
        host: segment.host(&[("10.0.0.1".parse().unwrap(), 24)]),
        broken: Arc::clone(&broken),
        failed: Vec::new(),
    };
    (host, broken)
}

fn instance() -> Instance {
    Instance::new("web", "eth0", Vrid::new(7).unwrap())
        .priority(Priority::new(100))
        .adver_interval(AdverInterval::from_centiseconds(1).unwrap())
        .address("10.0.0.100/24".parse().unwrap())
}

/// Moves the clock and lets the driver do what is due.
fn run(segment: &Segment, driver: &mut Driver, time: Duration) {
    let until = segment.now().saturating_add(time);
    while segment.now() < until {
        segment.advance_to(segment.now().saturating_add(Duration::from_millis(1)));
        let now = driver.now();
        driver.process(now).unwrap();
    }
}

#[test]
fn a_host_that_cannot_receive_ends_the_pass() {
    let segment = Segment::new();
    let (host, broken) = fragile(&segment);
    let mut driver = Driver::new(host).unwrap();
    broken.receive.store(true, Ordering::Relaxed);
    let now = driver.now();
    let error = driver.process(now).unwrap_err();
    assert!(matches!(error, Error::Receive(_)), "{error}");
    assert!(error.to_string().starts_with("cannot receive: "), "{error}");
}

#[test]
fn a_host_that_cannot_wait_ends_the_election_and_gives_the_addresses_up() {
    let segment = Segment::real_time();
    let (host, broken) = fragile(&segment);
    let id = host.host.id();
    let mut driver = Driver::new(host).unwrap();
    let handle = driver.add(instance()).unwrap();
    let thread = driver.spawn_thread().unwrap();
    for change in handle.states() {
        if change.to == State::Active {
            break;
        }
    }
    broken.wait.store(true, Ordering::Relaxed);
    let error = thread.stop().unwrap_err();
    assert!(matches!(error, Error::Poll(_)), "{error}");
    assert!(!segment.holds(id, "10.0.0.100".parse().unwrap()));
    assert!(
        !handle.states().any(|change| change.to == State::Active),
        "it is over"
    );
}

#[test]
fn a_failure_to_send_is_told_once_until_it_works_again() {
    let segment = Segment::new();
    let (host, broken) = fragile(&segment);
    let mut driver = Driver::new(host).unwrap();
    let handle = driver.add(instance()).unwrap();
    let mut events = handle.events();
    run(&segment, &mut driver, Duration::from_millis(100));
    for _ in 0..2 {
        broken.send.store(true, Ordering::Relaxed);
        run(&segment, &mut driver, Duration::from_millis(100));
        broken.send.store(false, Ordering::Relaxed);
        run(&segment, &mut driver, Duration::from_millis(100));
    }
    let told = std::iter::from_fn(|| events.try_next())
        .filter(|notice| notice.event == DriverEvent::SendFailed { errno: 100 })
        .count();
    assert_eq!(told, 2);
}

/// Out of descriptors, say: who hears nobody must not become active beside whoever is.
#[test]
fn who_cannot_listen_stays_out_until_it_can() {
    let segment = Segment::new();
    let (host, broken) = fragile(&segment);
    let mut driver = Driver::new(host).unwrap();
    broken.listen.store(true, Ordering::Relaxed);
    let handle = driver.add(instance()).unwrap();
    let mut events = handle.events();
    run(&segment, &mut driver, Duration::from_millis(3_500));
    assert_eq!(handle.status().state, State::Initialize);
    broken.listen.store(false, Ordering::Relaxed);
    run(&segment, &mut driver, Duration::from_millis(1_500));
    assert_eq!(handle.status().state, State::Active);
    let told = std::iter::from_fn(|| events.try_next())
        .filter(|notice| notice.event == DriverEvent::ListenFailed { errno: 24 })
        .count();
    assert_eq!(told, 1, "said once, however often it is tried");
    // What hears already goes on when another one cannot be added to it.
    broken.listen.store(true, Ordering::Relaxed);
    let other = Instance::new("other", "eth0", Vrid::new(8).unwrap())
        .adver_interval(AdverInterval::from_centiseconds(1).unwrap())
        .address("10.0.0.101/24".parse().unwrap());
    let second = driver.add(other).unwrap();
    run(&segment, &mut driver, Duration::from_millis(2_500));
    assert_eq!(handle.status().state, State::Active);
    assert_eq!(second.status().state, State::Initialize);
    broken.listen.store(false, Ordering::Relaxed);
    run(&segment, &mut driver, Duration::from_millis(1_500));
    assert_eq!(second.status().state, State::Active);
}

#[test]
fn what_the_host_cannot_change_is_told_with_its_address() {
    let segment = Segment::new();
    let (host, broken) = fragile(&segment);
    let mut driver = Driver::new(host).unwrap();
    let handle = driver.add(instance().accept_packets(false)).unwrap();
    let mut events = handle.events();
    *broken.changes.lock().unwrap() = Some(1);
    run(&segment, &mut driver, Duration::from_millis(100));
    let told: Vec<_> = std::iter::from_fn(|| events.try_next())
        .map(|notice| notice.event)
        .collect();
    let address = "10.0.0.100".parse().unwrap();
    assert!(told.contains(&DriverEvent::ChangeFailed {
        address: Some(address),
        errno: 1
    }));
    assert!(told.contains(&DriverEvent::FilterFailed { address, errno: 1 }));
    *broken.changes.lock().unwrap() = None;
}

#[test]
fn accept_mode_off_is_refused_where_packets_cannot_be() {
    let segment = Segment::new();
    let host = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
    let mut driver = Driver::new(host.without_packet_filter()).unwrap();
    let error = driver.add(instance().accept_packets(false)).unwrap_err();
    assert!(matches!(error, Error::Filter(_)), "{error}");
    assert!(error.to_string().contains("nf_tables"), "{error}");
    // The owner accepts in any case, and who accepts needs no filter.
    driver
        .add(instance().accept_packets(false).priority(Priority::new(255)))
        .unwrap();
}

#[test]
fn a_set_up_that_fails_starts_nothing() {
    let segment = Segment::new();
    let (host, _) = fragile(&segment);
    let driver = Driver::new(host).unwrap();
    let error = driver
        .spawn_thread_after(|| Err(Error::Privilege(refused(1))))
        .unwrap_err();
    assert!(matches!(error, Error::Privilege(_)), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_priority_that_is_none_is_not_permitted() {
    let error = vrrp_net::set_realtime_priority(100).unwrap_err();
    assert!(matches!(error, Error::Privilege(_)), "{error}");
}
