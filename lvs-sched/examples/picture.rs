//! Draws how each algorithm spreads a bursty load over unequal servers, to choose one by looking.
//!
//! `cargo run -p lvs-sched --example picture > schedulers.svg`
//!
//! Six servers of weights 1, 1, 2, 3, 4 and 8, each of which serves as many requests at a time as it weighs and queues the
//! rest. Requests come in bursts, a tenth of them fifteen times as long as the others, from two hundred clients for
//! forty sites, a few of which are asked for much more than the others. In a panel each band is a server, as dark as
//! its queue per weight is long at that time: even pale bands are good, a dark one is a server that falls behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use lvs_sched::{
    Environment, Error, Flow, Instant, Options, Order, Pool, SchedulerKind, Simulated, Spec, Ticket,
};

const WEIGHTS: [u32; 6] = [1, 1, 2, 3, 4, 8];
const TICKS: usize = 480;

/// What one algorithm made of the load.
struct Run {
    /// Connections of each server at each tick.
    open: Vec<[u32; 6]>,
    /// How many requests each server got.
    got: [u32; 6],
    /// How long requests took, in ticks.
    waits: Vec<u32>,
    refused: u32,
}

fn main() -> Result<(), Error> {
    let mut picture = String::new();
    let (width, height) = (1_240, 190 * SchedulerKind::ALL.len().div_ceil(2) + 70);
    let _ = write!(
        picture,
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' font-family='sans-serif' \
         font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n<text x='20' y='26' font-size='18'>A bursty load \
         over six servers of weights 1, 1, 2, 3, 4, 8</text>\n<text x='20' y='46' fill='#555'>each band is a server in the \
         course of time, its weight on the left and the requests it got on the right; its shade is its connections for its \
         weight, from none (white) to eight and more (dark)</text>\n"
    );
    for (index, kind) in SchedulerKind::ALL.into_iter().enumerate() {
        let run = simulate(kind)?;
        panel(
            &mut picture,
            kind,
            &run,
            20 + 610 * (index % 2),
            64 + 190 * (index / 2),
        );
    }
    picture.push_str("</svg>");
    println!("{picture}");
    Ok(())
}

fn simulate(kind: SchedulerKind) -> Result<Run, Error> {
    let options = Options::default().order(Order::Insertion).hash(true, false);
    let clock = Simulated::new(1);
    let mut chance = Simulated::new(2);
    let mut pool = Pool::with_environment(kind, &options, clock.clone());
    for (server, weight) in WEIGHTS.into_iter().enumerate() {
        let address = SocketAddr::from((Ipv4Addr::new(10, 1, 10, 11 + server as u8), 80));
        pool.add(server, Spec::new(weight).address(address))?;
    }
    // Requests that are being served, by their end, and those that wait at each server.
    let mut serving: BinaryHeap<Reverse<(usize, u64)>> = BinaryHeap::new();
    let mut tickets: Vec<Option<(Ticket, usize, usize)>> = Vec::new();
    let mut lengths: Vec<usize> = Vec::new();
    let mut queues = [const { std::collections::VecDeque::<u64>::new() }; 6];
    let mut busy = [0_u32; 6];
    let mut run = Run {
        open: Vec::new(),
        got: [0; 6],
        waits: Vec::new(),
        refused: 0,
    };
    for tick in 0..TICKS {
        clock.set(Instant::from_nanos(tick as u64 * 100_000_000));
        while let Some(&Reverse((end, number))) = serving.peek()
            && end <= tick
        {
            serving.pop();
            if let Some((ticket, server, began)) = tickets[number as usize].take() {
                pool.close(ticket);
                busy[server] -= 1;
                run.waits.push((tick - began) as u32);
            }
        }
        // Three bursts, and a trickle between them.
        let arrivals = if tick % 160 < 50 {
            5 + chance.random_below(3)
        } else {
            chance.random_below(3)
        };
        for _ in 0..arrivals {
            // Low numbers come more often.
            let mut skewed = |count: u64| chance.random_below(count).min(chance.random_below(count)) as u8;
            let (client, site) = (skewed(200), skewed(40));
            let length = if chance.random_below(10) == 0 {
                30
            } else {
                1 + chance.random_below(3) as usize
            };
            let flow = Flow::new(
                SocketAddr::from((Ipv4Addr::new(192, 0, 2, client), 40_000)),
                SocketAddr::from((Ipv4Addr::new(198, 51, 100, site), 80)),
            );
            match pool.pick(&flow) {
                None => run.refused += 1,
                Some(ticket) => {
                    let server = *pool.get(ticket.id()).unwrap_or(&0);
                    run.got[server] += 1;
                    queues[server].push_back(tickets.len() as u64);
                    tickets.push(Some((ticket, server, tick)));
                    lengths.push(length);
                }
            }
        }
        for (server, queue) in queues.iter_mut().enumerate() {
            while busy[server] < WEIGHTS[server]
                && let Some(number) = queue.pop_front()
            {
                busy[server] += 1;
                serving.push(Reverse((tick + lengths[number as usize], number)));
            }
        }
        run.open.push(std::array::from_fn(|server| {
            busy[server] + queues[server].len() as u32
        }));
    }
    run.waits.sort_unstable();
    Ok(run)
}

fn panel(picture: &mut String, kind: SchedulerKind, run: &Run, x: usize, y: usize) {
    let at = |share: usize| {
        run.waits
            .get(run.waits.len().saturating_sub(1) * share / 100)
            .copied()
            .unwrap_or(0)
    };
    let _ = writeln!(
        picture,
        "<text x='{x}' y='{}'><tspan font-size='14' font-weight='bold'>{kind}</tspan> \
         <tspan fill='#555'>half done within {} ticks, 99 of 100 within {}; {} done, {} refused</tspan></text>",
        y + 14,
        at(50),
        at(99),
        run.waits.len(),
        run.refused
    );
    for (server, weight) in WEIGHTS.into_iter().enumerate() {
        let top = y + 22 + 24 * server;
        let _ = writeln!(
            picture,
            "<text x='{x}' y='{}' fill='#555'>{weight}</text>",
            top + 15
        );
        let shade = |tick: usize| (run.open[tick][server] / weight).min(8) as usize;
        // The runs of each shade; nothing is drawn where there is no connection.
        let mut paths = [const { String::new() }; 9];
        let mut begin = 0;
        for tick in 1..=TICKS {
            if tick == TICKS || shade(tick) != shade(begin) {
                let _ = write!(
                    paths[shade(begin)],
                    "M{} {}h{}",
                    x + 16 + begin,
                    top + 11,
                    tick - begin
                );
                begin = tick;
            }
        }
        for (shade, path) in paths
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, path)| !path.is_empty())
        {
            let (light, blue) = (255 - shade * 28, 255 - shade * 12);
            let _ = writeln!(
                picture,
                "<path stroke='rgb({light},{light},{blue})' stroke-width='22' d='{path}'/>"
            );
        }
        let _ = writeln!(
            picture,
            "<text x='{}' y='{}' fill='#555'>{}</text>",
            x + 522,
            top + 15,
            run.got[server]
        );
    }
}
