//! The same operations through the kernel's schedulers and through this crate: every pick and every counter must agree.
//!
//! `cargo xtask test` runs this on each kernel of the laboratory. `LVS_SCHED_ROUNDS` sets for how many rounds of edits and a
//! few thousand packets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_sched::{BackendId, Flow, Options, Persistence, Pool, Rules, SchedulerKind, Simulated, Spec, Ticket};
use lvs_sched_oracle::{Kernel, Packet, PacketKind, Row};

/// One service, in the kernel and here.
struct Service {
    mark: u32,
    label: String,
    pool: Pool<Ipv4Addr>,
    listed: Vec<(Ipv4Addr, BackendId)>,
    open: Vec<(Packet, Ticket)>,
    /// Tickets of what will have expired at the end of the round.
    fading: Vec<Ticket>,
    random: Numbers,
    picks: u32,
    refusals: u32,
}

/// Numbers that look random.
struct Numbers(u64);

/// Addresses and ports that were never used before.
struct Fresh {
    destination: u32,
    port: u16,
}

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }

    fn spec(&mut self, address: Ipv4Addr) -> Spec {
        let weight = match self.below(12) {
            0 => 0,
            1 => 100,
            2 => [65_535, 1_000, 255][self.below(3) as usize],
            _ => 1 + self.below(6),
        };
        let upper = if self.below(3) == 0 { 2 + self.below(12) } else { 0 };
        let lower = if upper > 0 && self.below(2) == 0 {
            self.below(upper + 1)
        } else {
            0
        };
        Spec::new(weight)
            .thresholds(upper, lower)
            .address(SocketAddr::from((address, 80)))
    }
}

impl Fresh {
    fn address(&mut self) -> Ipv4Addr {
        self.destination += 1;
        // Spread, so that hashes of neighbours are not neighbours.
        Ipv4Addr::from_bits(0x0a60_0000 | (self.destination.wrapping_mul(0x9E37) & 0x1_ffff))
    }

    fn port(&mut self) -> u16 {
        self.port += 1;
        self.port
    }
}

impl Service {
    fn add(&mut self, fresh: &mut Fresh, lines: &mut Vec<String>) {
        let address = fresh.address();
        let spec = self.random.spec(address);
        let id = self.pool.add(address, spec).unwrap();
        self.listed.push((address, id));
        lines.push(self.line("-a", address, &spec));
    }

    fn line(&self, verb: &str, address: Ipv4Addr, spec: &Spec) -> String {
        let Spec {
            weight, upper, lower, ..
        } = spec;
        format!(
            "{verb} -f {} -r {address}:80 -g -w {weight} -x {upper} -y {lower}",
            self.mark
        )
    }

    fn change(&mut self, fresh: &mut Fresh, lines: &mut Vec<String>) {
        let at = self.random.below(self.listed.len() as u32) as usize;
        let (address, id) = self.listed[at];
        match self.random.below(6) {
            0 => self.add(fresh, lines),
            1 if self.listed.len() > 3 => {
                self.pool.remove(id).unwrap();
                self.listed.swap_remove(at);
                lines.push(format!("-d -f {} -r {address}:80", self.mark));
            }
            _ => {
                let spec = self.random.spec(address);
                self.pool.edit(id, spec).unwrap();
                lines.push(self.line("-e", address, &spec));
            }
        }
    }

    /// Connections come and end, and each pick is compared.
    fn play(&mut self, kernel: &Kernel, fresh: &mut Fresh, steps: u32) {
        let mut expected = BTreeMap::new();
        for _ in 0..steps {
            let closing = self.open.len() as u32;
            if closing > 0 && self.random.below(4) == 0 {
                let (mut packet, mut ticket) = self.open.swap_remove(self.random.below(closing) as usize);
                packet.kind = PacketKind::Fin;
                kernel.send(self.mark, &packet).unwrap();
                self.pool.set_active(&mut ticket, false);
                self.fading.push(ticket);
                continue;
            }
            let client = Ipv4Addr::from_bits(0xac10_0000 | self.random.below(60).wrapping_mul(0x359d));
            let site = Ipv4Addr::from_bits(0x0a63_0000 | self.random.below(24).wrapping_mul(0x0a31));
            let mut packet = Packet {
                source: SocketAddrV4::new(client, fresh.port()),
                destination: SocketAddrV4::new(site, 80),
                kind: if self.random.below(3) == 0 {
                    PacketKind::Udp
                } else {
                    PacketKind::Syn
                },
            };
            kernel.send(self.mark, &packet).unwrap();
            let flow = Flow::new(packet.source.into(), packet.destination.into());
            let ticket = match packet.kind {
                PacketKind::Udp => self.pool.pick_inactive(&flow),
                _ => self.pool.pick(&flow),
            };
            let pick = ticket.as_ref().map(|ticket| *self.pool.get(ticket.id()).unwrap());
            expected.insert(packet.source, pick);
            self.picks += 1;
            match ticket {
                None => self.refusals += 1,
                Some(ticket) if packet.kind == PacketKind::Udp => self.fading.push(ticket),
                Some(ticket) => {
                    packet.kind = PacketKind::Ack;
                    kernel.send(self.mark, &packet).unwrap();
                    self.open.push((packet, ticket));
                }
            }
        }
        // Rows are passed over when others expire while the table is read.
        let mut kernels = BTreeMap::new();
        for _ in 0..5 {
            kernels.extend(kernel.connections().unwrap().picks);
            let found = |(source, pick): (_, &Option<_>)| pick.is_none() || kernels.contains_key(source);
            if expected.iter().all(found) {
                break;
            }
        }
        for (nth, (source, pick)) in expected.iter().enumerate() {
            assert_eq!(
                kernels.get(source).copied(),
                *pick,
                "{}: pick {nth} of {steps}, for {source}; the kernel has {:#?}, the pool {:#?}",
                self.label,
                kernel.rows(self.mark),
                self.pool.iter().collect::<Vec<_>>()
            );
        }
        self.compare_rows(kernel);
    }

    fn compare_rows(&self, kernel: &Kernel) {
        let rows: Vec<Row> = self
            .pool
            .iter()
            .map(|(backend, &address)| Row {
                address,
                weight: backend.weight(),
                active: backend.active(),
                inactive: backend.inactive(),
            })
            .collect();
        assert_eq!(kernel.rows(self.mark).unwrap(), rows, "{}", self.label);
    }

    fn expire(&mut self) {
        for ticket in self.fading.drain(..) {
            self.pool.close(ticket);
        }
    }
}

fn rules(kernel: &Kernel) -> Rules {
    if kernel.release().counts_totals() {
        Rules::Current
    } else {
        Rules::Legacy
    }
}

/// The services to be compared: a scheduler, its `ipvsadm` flags, the options.
fn services(rules: Rules) -> Vec<(SchedulerKind, &'static str, Options)> {
    let plain = Options::kernel().rules(rules);
    let mut services = Vec::new();
    for kind in SchedulerKind::ALL {
        let flags: &[(&str, bool, bool)] = match kind {
            // Random: see `twos_spreads_as_the_kernels`.
            SchedulerKind::Twos => continue,
            SchedulerKind::Sh => &[
                ("", false, false),
                ("-b sh-fallback", true, false),
                ("-b sh-port", false, true),
                ("-b sh-fallback,sh-port", true, true),
            ],
            SchedulerKind::Mh => &[
                ("", false, false),
                ("-b mh-fallback", true, false),
                ("-b mh-port", false, true),
                ("-b mh-fallback,mh-port", true, true),
            ],
            _ => &[("", false, false)],
        };
        for &(flags, fallback, port) in flags {
            // Once more with another course of events.
            for _ in 0..2 {
                services.push((kind, flags, plain.clone().hash(fallback, port)));
            }
        }
    }
    for kind in [SchedulerKind::Rr, SchedulerKind::Wlc, SchedulerKind::Lblcr] {
        let persistence = Persistence::new(Duration::from_secs(900)).prefixes(24, 64);
        services.push((
            kind,
            "-p 900 -M 255.255.255.0",
            plain.clone().persistence(persistence),
        ));
    }
    services
}

/// On a slow machine connections expire before they are compared: once more then, with more time for them.
#[test]
#[ignore = "needs an IPVS kernel"]
fn every_pick_is_the_kernels() {
    for seconds in [4, 15, 60] {
        let begin = Mutex::new(Instant::now());
        let slow = || {
            let begin = begin.lock().unwrap_or_else(PoisonError::into_inner);
            begin.elapsed() > Duration::from_secs_f64(f64::from(seconds) * 0.9)
        };
        match catch_unwind(AssertUnwindSafe(|| compare_picks(seconds, &begin, &slow))) {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) if slow() => {}
            Err(panic) => resume_unwind(panic),
        }
        println!("too slow to compare what expires after {seconds} s");
    }
    panic!("this machine is too slow");
}

/// Whether every pick could be compared. `begin` is when the operations that are compared began.
fn compare_picks(seconds: u32, begin: &Mutex<Instant>, slow: &dyn Fn() -> bool) -> bool {
    let kernel = Kernel::new("picks").unwrap();
    println!("{:?}: {:?}", kernel.release(), rules(&kernel));
    kernel.timeouts(900, seconds, seconds).unwrap();
    let mut fresh = Fresh {
        destination: 0,
        port: 1_024,
    };
    let mut lines = Vec::new();
    let mut services: Vec<Service> = services(rules(&kernel))
        .into_iter()
        .zip(1..)
        .map(|((kind, flags, options), mark)| {
            lines.push(format!("-A -f {mark} -s {kind} {flags}"));
            let mut service = Service {
                mark,
                label: format!("{kind} {flags} (service {mark})"),
                pool: Pool::with_environment(kind, &options, Simulated::new(0)),
                listed: Vec::new(),
                open: Vec::new(),
                fading: Vec::new(),
                random: Numbers(u64::from(mark) * 0x9E37_79B9),
                picks: 0,
                refusals: 0,
            };
            for _ in 0..4 + mark % 5 {
                service.add(&mut fresh, &mut lines);
            }
            service
        })
        .collect();
    let rounds = std::env::var("LVS_SCHED_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    for round in 0..rounds.unwrap_or(ROUNDS) {
        kernel.edit(&lines).unwrap();
        lines.clear();
        for service in &mut services {
            *begin.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            service.play(&kernel, &mut fresh, STEPS);
            if slow() {
                return false;
            }
        }
        let deadline = Instant::now() + Duration::from_secs(120);
        while kernel.connections().unwrap().fading > 0 {
            assert!(Instant::now() < deadline, "connections do not expire");
            sleep(Duration::from_millis(200));
        }
        // A connection leaves the table shortly before it is uncounted.
        sleep(Duration::from_millis(200));
        *begin.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        for service in &mut services {
            service.expire();
            service.compare_rows(&kernel);
            for _ in 0..service.random.below(4) {
                service.change(&mut fresh, &mut lines);
            }
        }
        println!("round {round}: {} services agree", services.len());
    }
    for service in &services {
        println!(
            "{}: {} picks, {} of them refusals",
            service.label, service.picks, service.refusals
        );
    }
    true
}

/// The caches of `lblc` and `lblcr` stop growing where the kernel's do; kernels from before the fixes of 2026 never stop.
#[test]
#[ignore = "needs an IPVS kernel"]
fn caches_are_as_large_as_the_kernels() {
    let kernel = Kernel::new("caches").unwrap();
    kernel.timeouts(900, 900, 900).unwrap();
    let rules = rules(&kernel);
    let mut fresh = Fresh {
        destination: 40_000,
        port: 0,
    };
    for (kind, mark) in [(SchedulerKind::Lblc, 101), (SchedulerKind::Lblcr, 102)] {
        let mut options = Options::kernel().rules(rules);
        if rules == Rules::Legacy {
            options = options.cache_size(u32::MAX);
        }
        let mut pool = Pool::with_environment(kind, &options, Simulated::new(0));
        let addresses: [Ipv4Addr; 3] = std::array::from_fn(|_| fresh.address());
        let mut lines = vec![format!("-A -f {mark} -s {kind}")];
        let ids = addresses.map(|address| {
            lines.push(format!("-a -f {mark} -r {address}:80 -g -w 1"));
            pool.add(address, Spec::new(1)).unwrap()
        });
        kernel.edit(&lines).unwrap();
        let mut expected = BTreeMap::new();
        let mut tickets = Vec::new();
        let mut ask = |pool: &mut Pool<Ipv4Addr>, number: u32, port: u16| {
            let packet = Packet {
                source: SocketAddrV4::new(Ipv4Addr::from_bits(0xac10_0000 + number), port),
                destination: SocketAddrV4::new(Ipv4Addr::from_bits(0x0a62_0000 + number), 80),
                kind: PacketKind::Udp,
            };
            kernel.send(mark, &packet).unwrap();
            let ticket = pool
                .pick_inactive(&Flow::new(packet.source.into(), packet.destination.into()))
                .unwrap();
            expected.insert(packet.source, *pool.get(ticket.id()).unwrap());
            tickets.push(ticket);
        };
        // More destinations than the 24576 that are remembered.
        for number in 0..25_000 {
            ask(&mut pool, number, mark as u16);
        }
        // Now whoever is not remembered goes to the heaviest.
        pool.edit(ids[1], Spec::new(60_000)).unwrap();
        kernel
            .edit(&[format!("-e -f {mark} -r {}:80 -g -w 60000", addresses[1])])
            .unwrap();
        for number in (0..500).chain(24_000..25_000) {
            ask(&mut pool, number, 1_000 + mark as u16);
        }
        let kernels = kernel.connections().unwrap().picks;
        for (source, pick) in &expected {
            assert_eq!(kernels.get(source), Some(pick), "{kind}, for {source}");
        }
        println!("{kind}: {} picks agree", expected.len());
    }
}

/// `twos` draws at random, so its shares are compared. Without load the first draw decides, and the first in the list has
/// one chance more than its weight; under load the shares are those of this crate over many runs.
#[test]
#[ignore = "needs an IPVS kernel"]
fn twos_spreads_as_the_kernels() {
    let kernel = Kernel::new("twos").unwrap();
    kernel.timeouts(900, 900, 900).unwrap();
    let mut fresh = Fresh {
        destination: 50_000,
        port: 0,
    };
    let weights = [1, 2, 3, 4];
    let mut begin = |mark: u32, flags: &str| {
        let addresses = weights.map(|_| fresh.address());
        let mut lines = vec![format!("-A -f {mark} -s twos {flags}")];
        for (address, weight) in addresses.iter().zip(weights) {
            lines.push(format!("-a -f {mark} -r {address}:80 -g -w {weight}"));
        }
        kernel.edit(&lines).map(|()| addresses)
    };
    if !kernel.release().has_twos() {
        let refused = begin(200, "").unwrap_err();
        println!("this kernel has no twos: {refused}");
        return;
    }
    let send = |mark: u32, number: u32, kind: PacketKind| {
        let packet = Packet {
            source: SocketAddrV4::new(Ipv4Addr::from_bits(0xac10_0000 + number), 1 + mark as u16),
            destination: SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, 1), 80),
            kind,
        };
        kernel.send(mark, &packet).unwrap();
        packet.source
    };
    const PICKS: u32 = 4_000;

    // One-packet scheduling: nothing is ever open.
    let idle = begin(201, "-o").unwrap();
    for number in 0..PICKS {
        send(201, number, PacketKind::Udp);
    }
    sleep(Duration::from_secs(5));
    let totals = kernel.totals(201).unwrap();
    // The newest is the first in the list.
    let chances = [1, 2, 3, 5].map(|chances| f64::from(chances) / 11.0);
    let square: f64 = idle
        .iter()
        .zip(chances)
        .map(|(address, chance)| {
            let expected = f64::from(PICKS) * chance;
            (totals[address] as f64 - expected).powi(2) / expected
        })
        .sum();
    println!("twos, idle: {totals:?}, chi-square {square:.1} of 3 degrees");
    assert_eq!(totals.values().sum::<u64>(), u64::from(PICKS));
    assert!(square < 35.0, "as unlikely as one in ten million");

    let loaded = begin(202, "").unwrap();
    let sources: Vec<_> = (0..PICKS)
        .map(|number| send(202, number, PacketKind::Syn))
        .collect();
    let picks = kernel.connections().unwrap().picks;
    let shares =
        loaded.map(|address| sources.iter().filter(|source| picks[source] == address).count() as f64);
    let runs: Vec<[f64; 4]> = (0..200)
        .map(|seed| {
            let mut pool =
                Pool::with_environment(SchedulerKind::Twos, &Options::kernel(), Simulated::new(seed));
            for (index, weight) in weights.into_iter().enumerate() {
                pool.add(index, Spec::new(weight)).unwrap();
            }
            let mut shares = [0.0; 4];
            for _ in 0..PICKS {
                let ticket = pool.pick(&Flow::ANY).unwrap();
                shares[*pool.get(ticket.id()).unwrap()] += 1.0;
            }
            shares
        })
        .collect();
    for (index, share) in shares.into_iter().enumerate() {
        let mean = runs.iter().map(|run| run[index]).sum::<f64>() / runs.len() as f64;
        let variance = runs.iter().map(|run| (run[index] - mean).powi(2)).sum::<f64>() / runs.len() as f64;
        println!(
            "twos, loaded: weight {} got {share}, expected {mean:.1} +- {:.1}",
            weights[index],
            variance.sqrt()
        );
        assert!((share - mean).abs() <= 6.0 * variance.sqrt() + 2.0);
    }
}

const ROUNDS: u32 = 5;
const STEPS: u32 = 64;
