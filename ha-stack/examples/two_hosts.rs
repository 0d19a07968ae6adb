//! Two hosts in one process, on a segment in memory: a file decides which of them holds the address, and each change says
//! why it happened. Needs no privilege.
//!
//! `cargo run -p ha-stack --example two_hosts`

use std::error::Error;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ha_stack::{
    Event, EventKind, NotifyState, Plan, Supervisor, TrackPlan, TrackedFile, TrackedObject, VirtualRouterPlan,
};
use vrrp_net::{Driver, Instance, Segment};
use vrrp_proto::{AdverInterval, Priority, Vrid};

struct Host {
    name: &'static str,
    supervisor: Supervisor,
    events: Receiver<Event>,
}

impl Host {
    fn start(
        segment: &Segment,
        name: &'static str,
        address: IpAddr,
        plan: Plan,
    ) -> Result<Self, Box<dyn Error>> {
        let driver = Driver::new(segment.host(&[(address, 24)]))?;
        let supervisor = Supervisor::start(driver, Plan::default())?;
        // Watched before there is anything to see.
        let events = supervisor.watch().ok_or("out of threads")?;
        supervisor.reload(plan)?;
        Ok(Self {
            name,
            supervisor,
            events,
        })
    }

    /// Shows what happens on this host, until it is in that state.
    fn until(&self, state: NotifyState) -> Result<(), Box<dyn Error>> {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(30))?;
            let reason = event.reason.as_deref().unwrap_or("no reason given");
            println!("{}: {} {}: {reason}", self.name, event.object, event.kind.word());
            if event.kind == EventKind::State(state) {
                return Ok(());
            }
        }
    }
}

/// A virtual router that gives away 5 of its priority for each 1 in the file.
fn plan(priority: u8, drain: &Path) -> Result<Plan, Box<dyn Error>> {
    let instance = Instance::new("web", "eth0", Vrid::try_from(51)?)
        .priority(Priority::new(priority))
        .adver_interval(AdverInterval::from_centiseconds(10).ok_or("up to 40.95 s")?)
        .address("10.0.0.100/24".parse()?);
    let mut web = VirtualRouterPlan::new(instance);
    web.tracks.push(TrackPlan {
        object: TrackedObject::File("drain".to_owned()),
        weight: -5,
        reverse: false,
    });
    let mut plan = Plan::default();
    plan.virtual_routers.push(web);
    plan.files.push(TrackedFile {
        name: "drain".to_owned(),
        path: drain.to_owned(),
        initial: None,
    });
    Ok(plan)
}

fn main() -> Result<(), Box<dyn Error>> {
    let drain = std::env::temp_dir().join(format!("two-hosts-{}", std::process::id()));
    fs::write(&drain, "0")?;
    let segment = Segment::real_time();
    let one = Host::start(&segment, "one", "10.0.0.1".parse()?, plan(102, &drain)?)?;
    one.until(NotifyState::Master)?;
    let two = Host::start(
        &segment,
        "two",
        "10.0.0.2".parse()?,
        plan(100, Path::new("/nonexistent"))?,
    )?;
    two.until(NotifyState::Backup)?;

    println!("somebody writes 1 into the file");
    fs::write(&drain, "1")?;
    two.until(NotifyState::Master)?;
    println!("and takes it away");
    fs::remove_file(&drain)?;
    one.until(NotifyState::Master)?;

    println!("the first host is stopped, and says so on the wire");
    one.supervisor.stop()?;
    two.until(NotifyState::Master)?;
    let status = two.supervisor.status();
    println!("{}", serde_json::to_string_pretty(&status.virtual_routers)?);
    Ok(two.supervisor.stop()?)
}
