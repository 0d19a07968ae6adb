//! Any sequence of operations on a pool and on its naive form: the same picks, the same counters, the same inner state.

#![no_main]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lvs_sched::reference::{Model, State};
use lvs_sched::{
    BackendId, Flow, MhSize, Options, Order, Pool, Rules, SchedulerKind, Simulated, Spec, TableBits, Ticket,
};

/// Bytes one after the other; zero when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn index(&mut self, len: usize) -> Option<usize> {
        usize::from(self.next()).checked_rem(len)
    }

    fn spec(&mut self, name: u32) -> Spec {
        let (weight, upper, lower) = (self.next(), self.next() % 12, self.next());
        let weight = if weight > 250 {
            65_535 / u32::from(weight - 250) / 97
        } else {
            u32::from(weight % 12)
        };
        let lower = if upper == 0 { 0 } else { lower % (upper + 1) };
        Spec::new(weight)
            .thresholds(upper.into(), lower.into())
            .key(name / 2)
    }

    fn flow(&mut self) -> Flow {
        let mut address = || {
            IpAddr::V4(Ipv4Addr::from_bits(
                u32::from(self.next()).wrapping_mul(0x9E37_79B9),
            ))
        };
        Flow {
            source: address(),
            source_port: 1,
            destination: address(),
            destination_port: 80,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let kind = SchedulerKind::ALL[usize::from(bytes.next()) % SchedulerKind::ALL.len()];
    let flags = bytes.next();
    let options = Options::default()
        .rules(if flags & 1 == 0 {
            Rules::Current
        } else {
            Rules::Legacy
        })
        .order(if flags & 2 == 0 {
            Order::Insertion
        } else {
            Order::NewestFirst
        })
        .hash(flags & 4 != 0, flags & 8 != 0)
        .sh_bits(TableBits::new(4 + flags % 5).unwrap())
        .mh_size(MhSize::P251)
        .cache_size(u32::from(flags >> 4) + 2)
        .expiration(Duration::from_secs(u64::from(bytes.next()) * 10));
    let clock = Simulated::new(1);
    let mut chance = clock.clone();
    let mut pool = Pool::with_environment(kind, &options, clock.clone());
    let mut model = Model::new(kind, &options, &mut chance);
    let mut ids: Vec<(u32, BackendId)> = Vec::new();
    let mut names: BTreeMap<BackendId, u32> = BTreeMap::new();
    let mut tickets: Vec<Ticket> = Vec::new();
    let mut next = 0;
    while !bytes.0.is_empty() {
        match bytes.next() % 16 {
            0 | 1 if ids.len() < 200 => {
                let spec = bytes.spec(next);
                let id = pool.add((), spec).unwrap();
                model.add(next, spec);
                assert_eq!(names.insert(id, next), None);
                ids.push((next, id));
                next += 1;
            }
            2 => {
                if let Some(index) = bytes.index(ids.len()) {
                    let (name, id) = ids[index];
                    let spec = bytes.spec(name);
                    pool.edit(id, spec).unwrap();
                    model.edit(name, spec);
                }
            }
            3 => {
                if let Some(index) = bytes.index(ids.len()) {
                    let (name, id) = ids.swap_remove(index);
                    pool.remove(id).unwrap();
                    assert!(pool.remove(id).is_err());
                    model.remove(name);
                }
            }
            4..7 => {
                if let Some(index) = bytes.index(tickets.len()) {
                    let ticket = tickets.swap_remove(index);
                    model.close(names[&ticket.id()], ticket.is_active());
                    pool.close(ticket);
                }
            }
            7 => {
                if let Some(index) = bytes.index(tickets.len()) {
                    let active = !tickets[index].is_active();
                    model.set_active(names[&tickets[index].id()], active);
                    pool.set_active(&mut tickets[index], active);
                }
            }
            8 => clock.advance(Duration::from_secs(u64::from(bytes.next()) * 7)),
            9 => {
                let flow = bytes.flow();
                let refused: Vec<_> = (0..2)
                    .filter_map(|_| bytes.index(ids.len()))
                    .map(|index| ids[index])
                    .collect();
                let (without, except): (Vec<_>, Vec<_>) = refused.into_iter().unzip();
                let ticket = pool.pick_except(&flow, &except);
                let picked = model.select_except(&flow, &without, &mut chance);
                assert_eq!(ticket.as_ref().map(|ticket| names[&ticket.id()]), picked);
                if let Some(name) = picked {
                    model.open(name, true);
                }
                tickets.extend(ticket);
            }
            choice => {
                let flow = bytes.flow();
                let active = choice % 4 != 0;
                let ticket = if active {
                    pool.pick(&flow)
                } else {
                    pool.pick_inactive(&flow)
                };
                let picked = model.select(&flow, &mut chance);
                assert_eq!(
                    ticket.as_ref().map(|ticket| names[&ticket.id()]),
                    picked,
                    "{kind}"
                );
                if let Some(name) = picked {
                    model.open(name, active);
                }
                tickets.extend(ticket);
            }
        }
    }
    for ((backend, ()), server) in pool.iter().zip(model.servers()) {
        assert_eq!(names[&backend.id()], server.name);
        assert_eq!((backend.active(), backend.total()), (server.active, server.total));
        assert_eq!(backend.overloaded(), server.overloaded);
    }
    assert_eq!(pool.len(), model.servers().len());
    let state = State::of(&pool);
    assert_eq!(state.after.map(|id| names[&id]), model.after());
    assert_eq!(state.level, model.level());
});
