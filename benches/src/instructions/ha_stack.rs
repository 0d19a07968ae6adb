//! What a reload does after the file is read, until the kernel is told.

use std::hint::black_box;

use ha_stack::{Balancer, Conversion, ConvertOptions, DataPlane, Extent, IpvsPlane};
use ipvs_netlink::{Client, SimulatedKernel};
use keepalived_conf::{Configuration, Memory};

use crate::Case;

pub(crate) const CASES: &[Case] = &[("ha_stack_reload", reload)];

/// A changed weight among a hundred real servers with a check each, in ten virtual servers.
fn reload(repetitions: u64) {
    let configurations = [3, 4].map(|weight| Configuration::parse(&text(weight)).0);
    let (environment, options) = (Memory::default(), ConvertOptions::default());
    let client = Client::over(SimulatedKernel::new()).expect("it answers");
    let mut plane = IpvsPlane::over(client, None).expect("it answers");
    let mut balancer = Balancer::new();
    for repetition in 0..repetitions {
        let [three, four] = &configurations;
        let configuration = if repetition % 2 == 0 { three } else { four };
        let conversion = Conversion::of(black_box(configuration), &environment, &options);
        let happened = balancer.configure(conversion.plan.virtual_servers, false);
        assert!(happened.is_ok(), "the names differ");
        let applied = plane.reconcile(&balancer.table(), Extent::Changed);
        let changes = if repetition == 0 { 110 } else { 1 };
        assert!(applied.is_ok_and(|applied| applied.changes == changes));
    }
}

fn text(weight: u32) -> String {
    let server = |server: u32| {
        let real = |real: u32| {
            let weight = if (server, real) == (7, 7) { weight } else { 3 };
            format!(
                "real_server 192.168.{server}.{real} 8000 {{\nweight {weight}\nTCP_CHECK {{\nconnect_timeout 3\n}}\n}}\n"
            )
        };
        let reals: String = (1..=10).map(real).collect();
        format!(
            "virtual_server 10.0.0.{server} 80 {{\ndelay_loop 6\nlb_algo wlc\nlb_kind NAT\nprotocol TCP\n{reals}}}\n"
        )
    };
    (1..=10).map(server).collect()
}
