//! What a virtual router costs in memory, all of it: the election, the driver on a segment in memory, what is told about it and what
//! the supervisor knows of it.

mod sys;

use std::time::{Duration, Instant};

use ha_stack::{Plan, Supervisor, VirtualRouterPlan};
use vrrp_net::{Driver, Instance, Segment};
use vrrp_proto::{AdverInterval, Priority, Vrid};

fn plan(routers: u8) -> Plan {
    let mut plan = Plan::default();
    let of_vrid = |vrid: u8| {
        let address = format!("10.0.1.{vrid}/32").parse().unwrap();
        let instance = Instance::new(&format!("V{vrid}"), "eth0", Vrid::new(vrid).unwrap());
        let interval = AdverInterval::from_centiseconds(100).unwrap();
        VirtualRouterPlan::new(
            instance
                .priority(Priority::new(200))
                .adver_interval(interval)
                .address(address),
        )
    };
    plan.virtual_routers = (1..=routers).map(of_vrid).collect();
    plan
}

#[test]
fn a_virtual_router_costs_little() {
    let segment = Segment::new();
    let host = segment.host(&[("10.0.0.1".parse().unwrap(), 16)]);
    let supervisor = Supervisor::start(Driver::new(host).unwrap(), Plan::default()).unwrap();
    let with = |routers: u8| {
        supervisor.reload(plan(routers)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = supervisor.status();
            if status
                .virtual_routers
                .iter()
                .all(|router| router.state == "active")
            {
                break;
            }
            assert!(Instant::now() < deadline, "they do not become active");
            segment.advance_to(segment.now().saturating_add(Duration::from_millis(500)));
        }
        // What is on its way.
        supervisor.status();
        sys::in_use()
    };
    let few = with(FEW);
    let many = with(MANY);
    let each = (many - few) / usize::from(MANY - FEW);
    println!("{each} bytes for each");
    assert!(each <= MOST, "{each} bytes for each");
}

/// Far apart, and few enough for one number each.
const FEW: u8 = 20;
const MANY: u8 = 220;

/// Less than this was measured, with some room for another compiler.
const MOST: usize = 6000;
