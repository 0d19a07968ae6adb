//! Seeded accidents, one after the other: killed and frozen processes, servers that come and go, tables that somebody
//! flushes, addresses that somebody deletes, descriptors that run out. After each the tables are what they should be, and
//! one director holds the address.

use std::time::Duration;

use ipvs_netlink::{Table, parse_rules};

use crate::lab::{Daemon, INTERFACE, Process, long, sorted, until};
use crate::world::{REAL, VIP, World};

struct Stage {
    world: World,
    daemons: [Process; 2],
    servers: [Option<Process>; 3],
    random: Random,
}

/// What may happen. The number is the director's or the real server's.
#[derive(Clone, Copy, Debug)]
enum Accident {
    Killed(usize),
    Stopped(usize),
    Frozen(usize),
    WithoutDescriptors(usize),
    TableFlushed(usize),
    RowChanged(usize),
    AddressDeleted(usize),
    ServerDied(usize),
    ServerFroze(usize),
}

const KINDS: [fn(usize) -> Accident; 9] = [
    Accident::Killed,
    Accident::Stopped,
    Accident::Frozen,
    Accident::WithoutDescriptors,
    Accident::TableFlushed,
    Accident::RowChanged,
    Accident::AddressDeleted,
    Accident::ServerDied,
    Accident::ServerFroze,
];

impl Stage {
    fn new(seed: u64) -> Self {
        let world = World::new();
        let servers = [0, 1, 2].map(|number| Some(world.serve(number)));
        let daemons = [0, 1].map(|director| start(&world, director));
        Self {
            world,
            daemons,
            servers,
            random: Random(seed),
        }
    }

    /// Two things at a time, some of which end by themselves after a while.
    fn round(&mut self, number: usize) {
        let accidents = [(); 2].map(|()| {
            let kind = KINDS[self.random.below(KINDS.len())];
            kind(self.random.below(3))
        });
        println!("round {number}: {accidents:?}");
        for accident in accidents {
            self.begin(accident);
        }
        std::thread::sleep(Duration::from_millis(500 * self.random.below(8) as u64));
        for accident in accidents {
            self.end(accident);
        }
        let wanted = self.wanted();
        let mut right = 0;
        until(&format!("round {number} to be over: {accidents:?}"), || {
            // What a service manager does.
            for (director, daemon) in self.daemons.iter_mut().enumerate() {
                if daemon.has_ended() {
                    *daemon = start(&self.world, director);
                }
            }
            let directors = &self.world.directors;
            let tables = directors.iter().all(|host| host.table() == wanted);
            let holders = directors.iter().filter(|host| host.holds(VIP)).count();
            right = if tables && holders == 1 { right + 1 } else { 0 };
            right == 3
        });
    }

    fn begin(&mut self, accident: Accident) {
        let host = |number: usize| &self.world.directors[number % 2];
        match accident {
            Accident::Killed(number) => {
                self.daemons[number % 2].signal("KILL");
                self.daemons[number % 2].wait();
                self.daemons[number % 2] = start(&self.world, number % 2);
            }
            Accident::Stopped(number) => {
                // A frozen one would not hear it.
                self.daemons[number % 2].signal("CONT");
                self.daemons[number % 2].stop();
                self.daemons[number % 2] = start(&self.world, number % 2);
            }
            Accident::Frozen(number) => self.daemons[number % 2].signal("STOP"),
            Accident::WithoutDescriptors(number) => self.limit(number % 2, 5),
            Accident::TableFlushed(number) => host(number).ipvs().flush().unwrap(),
            Accident::RowChanged(number) => {
                // It may be gone, or changed already.
                let rules = format!("-e -t {VIP}:80 -r {}:80 -g -w 9", REAL[number]);
                let _ = host(number)
                    .ipvs()
                    .apply(&parse_rules(&rules).unwrap().into_iter().collect());
            }
            Accident::AddressDeleted(number) => {
                // If it is there.
                host(number).run(&["ip", "addr", "del", &format!("{VIP}/32"), "dev", INTERFACE]);
            }
            Accident::ServerDied(number) => {
                self.servers[number] = match self.servers[number].take() {
                    Some(_) => None,
                    None => Some(self.world.serve(number)),
                };
            }
            Accident::ServerFroze(number) => {
                if let Some(server) = &self.servers[number] {
                    server.signal("STOP");
                }
            }
        }
    }

    fn end(&mut self, accident: Accident) {
        match accident {
            Accident::Frozen(number) if self.daemons[number % 2].has_ended() => {}
            Accident::Frozen(number) => self.daemons[number % 2].signal("CONT"),
            // One that was about to start has ended.
            Accident::WithoutDescriptors(number) if self.daemons[number % 2].has_ended() => {}
            Accident::WithoutDescriptors(number) => self.limit(number % 2, 1024),
            Accident::ServerFroze(number) => {
                if let Some(server) = &self.servers[number] {
                    server.signal("CONT");
                }
            }
            Accident::Killed(_)
            | Accident::Stopped(_)
            | Accident::TableFlushed(_)
            | Accident::RowChanged(_)
            | Accident::AddressDeleted(_)
            | Accident::ServerDied(_) => {}
        }
    }

    fn limit(&self, director: usize, descriptors: u32) {
        let process = self.daemons[director].id();
        let words = [
            "prlimit",
            "--pid",
            &process.to_string(),
            &format!("--nofile={descriptors}:"),
        ];
        self.world.directors[director].done(&words);
    }

    /// The table with the servers that live: the first service has a sorry server, the second one keeps the dead with
    /// weight 0.
    fn wanted(&self) -> Table {
        let mut rules = format!("-A -t {VIP}:80 -s rr\n-A -t {VIP}:3306 -s wrr\n");
        for (real, server) in REAL.iter().zip(&self.servers) {
            let weight = u32::from(server.is_some());
            if server.is_some() {
                rules += &format!("-a -t {VIP}:80 -r {real}:80 -g -w 1\n");
            }
            rules += &format!("-a -t {VIP}:3306 -r {real}:3306 -g -w {weight}\n");
        }
        if self.servers.iter().all(Option::is_none) {
            rules += &format!("-a -t {VIP}:80 -r 127.0.0.1:80 -g -w 1\n");
        }
        sorted(Table::from_requests(&parse_rules(&rules).unwrap()))
    }
}

fn start(world: &World, director: usize) -> Process {
    let server = |port: u16, words: &str| {
        let real = REAL.iter().map(|real| {
            format!(
                " real_server {real} {port} {{\n  TCP_CHECK {{\n   connect_timeout 2\n   retry 0\n  }}\n }}\n"
            )
        });
        let real: String = real.collect();
        format!(
            "virtual_server {VIP} {port} {{\n protocol TCP\n lb_kind DR\n delay_loop 1\n warmup 0\n{words}\n{real}}}\n"
        )
    };
    let config = format!(
        "vrrp_instance VI_1 {{\n interface {INTERFACE}\n version 3\n virtual_router_id 62\n priority {}\n advert_int 1\n \
         virtual_ipaddress {{\n  {VIP}\n }}\n}}\n{}{}",
        100 - director,
        server(80, " lb_algo rr\n sorry_server 127.0.0.1 80"),
        server(3306, " lb_algo wrr\n inhibit_on_failure"),
    );
    world.directors[director].daemon(Daemon::Ours, &config)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// With another `CHAOS_SEED` other things happen; `--long` has 200 rounds.
#[test]
#[ignore = "needs an IPVS kernel"]
fn after_each_accident_everything_is_as_it_should_be() {
    let seed = std::env::var("CHAOS_SEED").map_or(8, |seed| seed.parse().unwrap());
    let mut stage = Stage::new(seed);
    for number in 0..if long() { 200 } else { 6 } {
        stage.round(number);
    }
}
