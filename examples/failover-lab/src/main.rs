//! `failover-lab`: builds a segment with two directors and a client, takes the active one away, and tells what happened.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use failover_lab::plan::{Fault, Kind, Plan};
use failover_lab::report::{Failed, Report, print_round, print_summary};
use failover_lab::story::{Round, tell};
use failover_lab::{memory, svg, world};

/// Two routers, a client and a fault: watch a virtual address move.
#[derive(Debug, Parser)]
#[command(name = "failover-lab", version)]
struct Arguments {
    /// Whose program the second director is.
    #[arg(long, value_enum, default_value_t = Peer::Own)]
    peer: Peer,
    /// What happens to the active director.
    #[arg(long, value_enum, default_value_t = FaultName::Kill)]
    fault: FaultName,
    /// How many virtual routers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2000))]
    instances: u16,
    /// Seconds between two advertisements, 0.01 to 40.95.
    #[arg(long, default_value_t = 0.1)]
    advert_int: f64,
    /// How often.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Draw the timeline of the last round into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<std::path::PathBuf>,
    /// With keepalived as peer: it never is the active one, so that the two take over in turn from the same.
    #[arg(long, hide = true)]
    ours_active: bool,
    /// Tell the story on a segment in memory, as where namespaces are forbidden.
    #[arg(long, hide = true)]
    in_memory: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    #[value(name = "self")]
    Own,
    Keepalived,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FaultName {
    Kill,
    Stop,
    Pause,
    Link,
    Partition,
}

fn main() -> ExitCode {
    if let Some(code) = world::errand() {
        return code;
    }
    let arguments = Arguments::parse();
    let centiseconds = (arguments.advert_int * 100.0).round();
    if !(1.0..=4095.0).contains(&centiseconds) {
        eprintln!("failover-lab: --advert-int is 0.01 to 40.95 seconds");
        return ExitCode::from(2);
    }
    // Everything started from here on, this process run again included, lives in namespaces of its own.
    let world = if arguments.in_memory {
        world::World::Forbidden("asked for".into())
    } else {
        match world::enter() {
            world::Entered::Here(world) => world,
            world::Entered::Done(code) => return code,
        }
    };
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.to_str().map(str::to_owned));
    let Some(program) = program else {
        return fail("cannot find the laboratory's own executable");
    };
    let plan = Plan {
        program,
        fault: match arguments.fault {
            FaultName::Kill => Fault::Kill,
            FaultName::Stop => Fault::Stop,
            FaultName::Pause => Fault::Pause,
            FaultName::Link => Fault::Link,
            FaultName::Partition => Fault::Partition,
        },
        instances: usize::from(arguments.instances),
        centiseconds: centiseconds as u16,
        nopreempt: arguments.fault == FaultName::Pause,
        minimal_announcements: false,
        realtime: true,
    };
    match tell_all(&arguments, &plan, &world) {
        Ok((rounds, failed)) => finish(&arguments, &plan, &world, rounds, failed),
        Err(error) => fail(&error.to_string()),
    }
}

/// Runs the rounds. One that comes to nothing does not end the others.
fn tell_all(
    arguments: &Arguments,
    plan: &Plan,
    world: &world::World,
) -> std::io::Result<(Vec<Round>, Vec<Failed>)> {
    if let world::World::Forbidden(why) = world {
        eprintln!("no namespaces here ({why}): the same story on a segment in memory");
    }
    if arguments.peer == Peer::Keepalived {
        if matches!(world, world::World::Forbidden(_)) {
            return Err(std::io::Error::other("keepalived needs namespaces"));
        }
        if !world::has_keepalived() {
            return Err(std::io::Error::other(
                "there is no keepalived to run: install the package keepalived",
            ));
        }
    }
    let (mut rounds, mut failed) = (Vec::new(), Vec::new());
    for round in 1..=usize::from(arguments.rounds) {
        let kinds = match (arguments.peer, round % 2) {
            (Peer::Own, _) => [Kind::Ours, Kind::Ours],
            // Each in turn is the one that takes over.
            (Peer::Keepalived, 1) if arguments.ours_active => [Kind::Ours, Kind::Ours],
            (Peer::Keepalived, 1) => [Kind::Keepalived, Kind::Ours],
            (Peer::Keepalived, _) => [Kind::Ours, Kind::Keepalived],
        };
        let progress = |text: &str| eprintln!("round {round} of {}: {text}", arguments.rounds);
        let record = match world {
            world::World::Forbidden(_) => memory::run(plan, &progress),
            world::World::Free => world::round(plan, kinds, &progress),
        };
        let record = match record {
            Ok(record) => record,
            Err(error) if arguments.rounds == 1 => return Err(error),
            Err(error) => {
                progress(&error.to_string());
                failed.push(Failed {
                    round,
                    active: kinds[0],
                    taker: kinds[1],
                    why: error.to_string(),
                });
                continue;
            }
        };
        let told = tell(&plan.setting(round, kinds), &record);
        if !arguments.json {
            print_round(&told);
        }
        rounds.push(told);
    }
    Ok((rounds, failed))
}

fn finish(
    arguments: &Arguments,
    plan: &Plan,
    world: &world::World,
    rounds: Vec<Round>,
    failed: Vec<Failed>,
) -> ExitCode {
    if let (Some(file), Some(last)) = (&arguments.svg, rounds.last()) {
        let title = format!("The active router {}", plan.fault.predicate());
        let set_up = format!(
            "{} virtual router{}, an advertisement every {} s",
            plan.instances,
            if plan.instances == 1 { "" } else { "s" },
            arguments.advert_int
        );
        if let Err(error) = std::fs::write(file, svg::draw(&title, &set_up, last)) {
            return fail(&format!("cannot write {}: {error}", file.display()));
        }
    }
    let taken_over = failed.is_empty() && rounds.iter().all(|round| round.detection_ms.is_some());
    let report = Report {
        schema: 1,
        fault: plan.fault.words().into(),
        instances: plan.instances,
        advert_int: arguments.advert_int,
        in_memory: matches!(world, world::World::Forbidden(_)),
        rounds,
        failed,
    };
    if arguments.json {
        match serde_json::to_string(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return fail(&error.to_string()),
        }
    } else {
        print_summary(&report);
    }
    if taken_over {
        ExitCode::SUCCESS
    } else {
        fail("no takeover was seen in at least one round")
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("failover-lab: {text}");
    ExitCode::FAILURE
}
