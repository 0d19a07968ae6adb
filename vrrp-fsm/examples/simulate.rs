//! Storms: simulates the scenarios of many seeds, and prints the first that breaks an invariant, made as small as it
//! gets: `cargo run --release -p vrrp-fsm --features sim --example simulate -- [SEEDS [FIRST [storm|season]]]`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use vrrp_fsm::sim::Scenario;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |word| word.parse::<u64>());
    let (seeds, first) = (number(1_000), number(0));
    let make = match arguments.next().as_deref() {
        None | Some("storm") => Some(Scenario::storm as fn(u64) -> Scenario),
        Some("season") => Some(Scenario::season as fn(u64) -> Scenario),
        Some(_) => None,
    };
    let (Ok(seeds), Ok(first), Some(make)) = (seeds, first, make) else {
        eprintln!("usage: simulate [SEEDS [FIRST [storm|season]]]");
        return ExitCode::from(2);
    };
    let begin = Instant::now();
    let (mut simulated, mut packets, mut transitions) = (Duration::ZERO, 0, 0);
    for seed in first..first.saturating_add(seeds) {
        match make(seed).run() {
            Ok(report) => {
                simulated += report.simulated;
                packets += report.packets;
                transitions += report.transitions;
            }
            Err(failure) => {
                println!("# seed {seed} breaks an invariant: {}", failure.violation);
                if let Err(failure) = failure.scenario.shrink() {
                    println!("{failure}");
                }
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{seeds} seeds from {first}: {:.1} days simulated in {:.1} s, {packets} packets, {transitions} changes of state, \
         every invariant held",
        simulated.as_secs_f64() / 86_400.0,
        begin.elapsed().as_secs_f64(),
    );
    ExitCode::SUCCESS
}
