//! Reload under load: real servers come, go and change their weight, an unrelated block changes. No request is lost, and no
//! connection is cut off. keepalived beside it, which cuts off what a removed real server has.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipvs_netlink::ServiceKey;

use crate::lab::{Daemon, long, until};
use crate::world::{DATABASE, Load, REAL, Talks, VIP, World};

/// One configuration: the weights of the real servers, 0 for who is not in it, and a number in an unrelated block.
type Edit = ([u32; 3], u32);

const EDITS: [Edit; 10] = [
    ([1, 1, 0], 1),
    ([1, 1, 1], 1),
    ([1, 5, 2], 1),
    ([1, 5, 2], 2),
    ([0, 0, 1], 2),
    ([2, 0, 1], 3),
    ([2, 1, 0], 3),
    ([1, 1, 1], 4),
    ([0, 1, 1], 4),
    // The end: the last one has connections, and is not in it.
    ([1, 1, 0], 5),
];

fn config(service: &str, real: &[&str; 3], (weights, other): Edit) -> String {
    let mut text = format!("virtual_server {service} 80 {{\n protocol TCP\n lb_algo wrr\n lb_kind DR\n");
    for (real, weight) in real.iter().zip(weights).filter(|(_, weight)| *weight > 0) {
        text += &format!(" real_server {real} 80 {{ weight {weight} }}\n");
    }
    text + &format!(
        "}}\nvirtual_server 10.128.190.20{other} 80 {{\n protocol TCP\n lb_algo rr\n lb_kind DR\n \
         real_server 10.128.190.24{other} 80 {{ }}\n}}\n"
    )
}

/// One of the two directors, with its own address and its own clients.
struct Side {
    daemon: Daemon,
    director: usize,
    service: &'static str,
    real: [&'static str; 3],
    /// A connection that says nothing for so long is cut off. What a stalled machine delays is not.
    patience: Duration,
}

const SIDES: [Side; 2] = [
    Side {
        daemon: Daemon::Ours,
        director: 0,
        service: VIP,
        real: REAL,
        patience: Duration::from_secs(60),
    },
    Side {
        daemon: Daemon::Keepalived,
        director: 1,
        service: DATABASE,
        real: ["7.7.7.11", "7.7.7.12", "7.7.7.13"],
        patience: Duration::from_secs(10),
    },
];

/// What became of the requests and connections of one side.
#[derive(Debug)]
struct Report {
    lost: Vec<String>,
    cut_off: usize,
}

impl Side {
    fn config(&self, edit: Edit) -> String {
        config(self.service, &self.real, edit)
    }

    fn run(&self, world: &World, edits: &[Edit]) -> Report {
        let host = &world.directors[self.director];
        host.done(&["ip", "addr", "add", &format!("{}/32", self.service), "dev", "lo"]);
        let shows = |(weights, other): Edit| {
            let table = host.table();
            let weight_of = |address: &str| {
                let all = table
                    .services
                    .iter()
                    .filter(|each| each.service.key == self.key());
                let mut all = all.flat_map(|each| &each.destinations);
                let found = all.find(|each| each.endpoint.address.to_string() == address);
                // One that keeps its connections for a while takes no new ones.
                found.map_or(0, |each| each.weight.get())
            };
            let unrelated = format!("10.128.190.20{other}");
            let keys = table.services.iter().map(|each| each.service.key.to_string());
            weights == self.real.map(weight_of) && keys.filter(|key| key.contains(&unrelated)).count() == 1
        };
        let daemon = host.daemon(self.daemon, &self.config(START));
        until("the first table", || shows(START));
        let place = format!("{}:80", self.service);
        let talks = Talks::start(&world.client, &place);
        let workers = if long() { 8 } else { 2 };
        let load = Load::start(&world.client, &place, workers, 10, 30);
        for edit in edits {
            match self.daemon {
                Daemon::Ours => host.reload(&self.config(*edit)),
                Daemon::Keepalived => {
                    host.write("config", &self.config(*edit));
                    daemon.signal("HUP");
                }
            }
            until("the table to follow", || shows(*edit));
            std::thread::sleep(Duration::from_secs(1));
        }
        let outcome = load.end();
        let cut_off = talks.cut_off(self.patience);
        println!(
            "{:?}: {} reloads under {} requests a second: {} of {} requests lost, {cut_off} of 3 connections cut off",
            self.daemon,
            edits.len(),
            outcome.rate,
            outcome.failures.len(),
            outcome.requests,
        );
        Report {
            lost: outcome.failures,
            cut_off,
        }
    }

    fn key(&self) -> ServiceKey {
        ServiceKey::tcp((self.service.parse::<Ipv4Addr>().unwrap(), 80))
    }
}

#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn no_request_is_lost_by_a_reload() {
    let world = World::new();
    let _servers = [0, 1, 2].map(|number| world.serve(number));
    // So many connections are made that ports must not run out.
    world.client.done(&[
        "sh",
        "-c",
        "echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range",
    ]);
    let edits = match long() {
        true => EDITS.repeat(20),
        false => EDITS[5..].to_vec(),
    };
    let [ours, _] = std::thread::scope(|scope| {
        let runs = SIDES.each_ref().map(|side| {
            let (world, edits) = (&world, &edits);
            scope.spawn(move || side.run(world, edits))
        });
        runs.map(|run| run.join().unwrap())
    });
    assert!(ours.lost.is_empty() && ours.cut_off == 0, "{ours:?}");
}

const START: Edit = ([1, 1, 1], 1);
