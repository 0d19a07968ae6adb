//! The driver in this process, in a host's namespace.

use vrrp_fsm::{Discard, DiscardReason, State};
use vrrp_net::{Driver, DriverEvent, DriverThread, Events, Instance, LinuxHost, RouterHandle};
use vrrp_proto::{AdverInterval, Priority, Vrid};

use super::{Lab, PATIENCE, VRID};
use failover_lab::lab::wait_for;

/// A driver of this process in a host's namespace.
pub struct Running {
    pub handles: Vec<RouterHandle>,
    events: Vec<Events>,
    thread: Option<DriverThread>,
}

impl Running {
    pub fn start(lab: &Lab, host: usize, instances: Vec<Instance>) -> Self {
        // The thread of the election inherits the namespace of the one that starts it.
        let start = || -> Result<Self, vrrp_net::Error> {
            let mut driver = Driver::new(LinuxHost::open()?)?;
            let handles = instances
                .into_iter()
                .map(|instance| driver.add(instance))
                .collect::<Result<Vec<_>, _>>()?;
            let events = handles.iter().map(RouterHandle::events).collect();
            Ok(Self {
                handles,
                events,
                thread: Some(driver.spawn_thread()?),
            })
        };
        lab.segment
            .host(host)
            .run(|| start().map_err(std::io::Error::other))
            .unwrap()
    }

    /// Waits until all are active, which is told when the addresses are there.
    pub fn wait_active(&self) {
        self.wait(State::Active);
    }

    pub fn wait(&self, state: State) {
        wait_for(PATIENCE, "all to enter the state", || {
            self.handles.iter().all(|handle| handle.state() == state)
        })
        .unwrap();
    }

    pub fn stop(&mut self) {
        self.thread.take().unwrap().stop().unwrap();
    }

    /// Waits until something is told of the first virtual router.
    pub fn wait_told<T>(&mut self, wanted: impl Fn(DriverEvent) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let notice = self.events[0]
                .next_timeout(left)
                .expect("nothing of the kind is told");
            if let Some(found) = wanted(notice.event) {
                return found;
            }
        }
    }

    /// What was told so far of the first virtual router.
    pub fn told(&mut self) -> Vec<DriverEvent> {
        let events = &mut self.events[0];
        std::iter::from_fn(|| events.try_next())
            .map(|notice| notice.event)
            .collect()
    }
}

/// A virtual router without addresses.
pub fn instance(priority: u8) -> Instance {
    numbered(VRID, priority)
}

/// The same with another number.
pub fn numbered(vrid: u8, priority: u8) -> Instance {
    Instance::new("test", "eth0", Vrid::new(vrid).unwrap())
        .priority(Priority::new(priority))
        .adver_interval(AdverInterval::from_centiseconds(10).unwrap())
}

/// Why an advertisement was not taken in.
pub fn discarded(event: DriverEvent) -> Option<DiscardReason> {
    match event {
        DriverEvent::Discarded {
            discard: Discard { reason, .. },
            ..
        } => Some(reason),
        _ => None,
    }
}
