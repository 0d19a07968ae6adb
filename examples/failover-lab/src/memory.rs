//! The same story on a segment in memory, where namespaces are forbidden. The clock is moved, so it takes no time.

use std::io;
use std::time::Duration;

use vrrp_fsm::Instant;
use vrrp_net::{Driver, HostId, Segment as Wire, SegmentEvent};

use crate::plan::{Fault, HIGH, LOW, Plan, ipv4, watched};
use crate::story::{Probe, Record, Seen, What};

/// Runs one round.
///
/// # Errors
/// When a driver refuses its virtual routers.
pub fn run(plan: &Plan, progress: &dyn Fn(&str)) -> io::Result<Record> {
    let wire = Wire::new();
    let mut drivers = Vec::new();
    let mut hosts = Vec::new();
    let one_network = Plan {
        instances: plan.instances.min(crate::plan::PER_NETWORK),
        ..plan.clone()
    };
    progress("the directors start");
    for (host, priority) in [HIGH, LOW].into_iter().enumerate() {
        let station = wire.host(&[(ipv4(0, host).into(), 16)]);
        hosts.push(station.id());
        let mut driver = Driver::new(station).map_err(io::Error::other)?;
        for router in one_network.director(priority).routers {
            let instance = router
                .instance()
                .ok_or_else(|| io::Error::other("a number is out of range"))?;
            driver.add(instance).map_err(io::Error::other)?;
        }
        drivers.push(Some(driver));
    }
    let mut stage = Stage {
        wire,
        drivers,
        hosts,
        record: Record::default(),
        broken: false,
    };
    let interval = Duration::from_millis(u64::from(plan.centiseconds) * 10);
    stage.go(interval * 5)?;
    // The client comes when the address is there.
    stage.record.probes.clear();
    stage.go(interval * 3 + Duration::from_millis(7))?;
    progress("the fault");
    stage.record.fault = stage.wire.now().as_nanos();
    let (a, b) = (stage.hosts[0], stage.hosts[1]);
    let mut paused = None;
    match plan.fault {
        // Forgotten, not dropped: a killed process says nothing and gives nothing up.
        Fault::Kill => std::mem::forget(stage.drivers[0].take()),
        Fault::Stop => drop(stage.drivers[0].take()),
        Fault::Pause => paused = stage.drivers[0].take(),
        Fault::Link | Fault::Cut => stage.wire.set_carrier(a, false),
        Fault::Partition => stage.wire.set_connected(a, b, false),
    }
    stage.broken = matches!(plan.fault, Fault::Link | Fault::Cut);
    stage.go((interval * 5).max(Duration::from_secs(2)))?;
    if !matches!(plan.fault, Fault::Kill | Fault::Stop) {
        progress("the fault is mended");
        stage.record.mended = Some(stage.wire.now().as_nanos());
        stage.broken = false;
        match plan.fault {
            Fault::Pause => stage.drivers[0] = paused,
            Fault::Partition => stage.wire.set_connected(a, b, true),
            _ => stage.wire.set_carrier(a, true),
        }
        stage.go(interval * 5)?;
    } else {
        stage.go(Duration::from_secs(4))?;
    }
    stage.record.end = stage.wire.now().as_nanos() + 30_000_000;
    Ok(stage.record)
}

struct Stage {
    wire: Wire,
    drivers: Vec<Option<Driver>>,
    hosts: Vec<HostId>,
    record: Record,
    /// The client cannot reach A.
    broken: bool,
}

impl Stage {
    /// Lets time pass, from one thing that happens to the next; the client asks every millisecond.
    fn go(&mut self, time: Duration) -> io::Result<()> {
        let until = self.wire.now().saturating_add(time);
        let mut ask_at = self.wire.now();
        loop {
            for driver in self.drivers.iter_mut().flatten() {
                // The second pass takes in what the first one asked of the host.
                for _ in 0..2 {
                    let now = driver.now();
                    driver.process(now).map_err(io::Error::other)?;
                }
            }
            self.note();
            let now = self.wire.now();
            if now >= ask_at {
                self.ask(now);
                ask_at = ask_at.saturating_add(Duration::from_millis(1));
            }
            let timers = self.drivers.iter().flatten().filter_map(Driver::next_timeout);
            let next = timers.chain(self.wire.next_event()).min();
            let next = next.map_or(ask_at, |next| next.min(ask_at));
            if next > until {
                break;
            }
            self.wire.advance_to(next);
        }
        self.wire.advance_to(until);
        Ok(())
    }

    fn ask(&mut self, now: Instant) {
        let address = watched();
        let reachable = self
            .hosts
            .iter()
            .enumerate()
            .any(|(place, host)| !(self.broken && place == 0) && self.wire.holds(*host, address));
        self.record.probes.push(Probe {
            sent: now.as_nanos(),
            answered: reachable.then_some(now.as_nanos()),
        });
    }

    fn note(&mut self) {
        for event in self.wire.take_log() {
            let (at, host, what) = match event {
                SegmentEvent::Sent {
                    at, host, message, ..
                } => match message.as_slice() {
                    [_, vrid, priority, ..] => {
                        let what = What::Advertised {
                            router: (0, *vrid),
                            priority: *priority,
                        };
                        (at, host, what)
                    }
                    _ => continue,
                },
                SegmentEvent::Announced { at, host, address } => (at, host, What::Announced(address)),
                SegmentEvent::AddressUp { at, host, address } => (at, host, What::Present(address)),
                SegmentEvent::AddressDown { at, host, address } => (at, host, What::Absent(address)),
                _ => continue,
            };
            if let Some(host) = self.hosts.iter().position(|known| *known == host) {
                self.record.seen.push(Seen {
                    at: at.as_nanos(),
                    host,
                    what,
                });
            }
        }
    }
}
