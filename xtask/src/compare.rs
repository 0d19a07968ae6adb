//! Ours beside keepalived: interleaved rounds of the laboratory, medians of each.

use std::process::Command;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::process::{self, Result, cargo, has_program, root};

#[derive(Args)]
pub(crate) struct Options {
    /// What is compared
    #[arg(value_enum)]
    what: What,
    /// Rounds of each
    #[arg(long, default_value_t = 10)]
    rounds: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// One router at 10 ms: from the last advertisement of the killed one to the first of the other
    Detection,
    /// 200 routers at 10 ms: from the last advertisement received to the last address present and announced
    Takeover,
    /// 1,000 routers at 100 ms taking over together
    Mass,
    /// A paused active router wakes: how often the role changes hands (once is right)
    Pause,
    /// A partition heals: the client's second gap
    Heal,
}

/// How a comparison is run and what is read from it.
struct Plan {
    fault: &'static str,
    instances: &'static str,
    interval: &'static str,
    /// What stands in the report of each round.
    figure: &'static str,
    /// Whose figure it is: that of the router which takes over, or of the one that was active.
    belongs_to: &'static str,
}

pub(crate) fn run(options: &Options) -> Result {
    if !has_program("keepalived") {
        return Err("keepalived is not installed: `cargo xtask setup`".into());
    }
    process::run(&mut cargo(&["build", "--release", "-p", "failover-lab"]))?;
    let plan = plan(options.what);
    let mut command = Command::new(root().join("target/release/failover-lab"));
    // Each round has another kind in the part that is measured, so twice as many.
    let rounds = (u32::from(options.rounds) * 2).to_string();
    command
        .args(["--peer", "keepalived", "--json", "--fault", plan.fault])
        .args(["--instances", plan.instances, "--advert-int", plan.interval])
        .args(["--rounds", &rounds]);
    let text = process::read(&mut command)?;
    let report: Value = serde_json::from_str(&text)?;
    println!(
        "{} ({} routers every {} s, {})",
        plan.figure, plan.instances, plan.interval, plan.fault
    );
    for kind in ["ours", "keepalived"] {
        let figures = figures(&report, &plan, kind);
        match figures.as_slice() {
            [] => println!("{kind:>12}: no round was told to its end"),
            [first, ..] => println!(
                "{kind:>12}: least {first:.3}, median {:.3}, most {:.3}, of {} rounds",
                figures[figures.len() / 2],
                figures[figures.len() - 1],
                figures.len()
            ),
        }
    }
    let allowed = report["rounds"][0]["allowed_ms"].as_f64().unwrap_or(f64::NAN);
    println!("{:>12}: {allowed:.3} ms", "allowed");
    Ok(())
}

fn plan(what: What) -> Plan {
    let (fault, instances, interval, figure, belongs_to) = match what {
        What::Detection => ("kill", "1", "0.01", "detection_ms", "taker"),
        What::Takeover => ("kill", "200", "0.01", "last_address_ms", "taker"),
        What::Mass => ("kill", "1000", "0.1", "last_address_ms", "taker"),
        What::Pause => ("pause", "1", "0.1", "promotions", "active"),
        What::Heal => ("partition", "1", "0.1", "mend_gap_ms", "active"),
    };
    Plan {
        fault,
        instances,
        interval,
        figure,
        belongs_to,
    }
}

/// The sorted figures of the rounds in which `kind` had the part that is measured.
fn figures(report: &Value, plan: &Plan, kind: &str) -> Vec<f64> {
    let rounds = report["rounds"].as_array().map_or(&[][..], Vec::as_slice);
    let mut figures: Vec<f64> = rounds
        .iter()
        .filter(|round| round[plan.belongs_to] == kind)
        .filter_map(|round| round[plan.figure].as_f64())
        .collect();
    figures.sort_by(f64::total_cmp);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_go_to_the_kind_that_was_measured() {
        let report = serde_json::json!({"rounds": [
            {"taker": "ours", "active": "keepalived", "detection_ms": 3.0},
            {"taker": "keepalived", "active": "ours", "detection_ms": 2.0},
            {"taker": "ours", "active": "keepalived", "detection_ms": 1.0},
            {"taker": "ours", "active": "keepalived", "detection_ms": null},
        ]});
        let plan = plan(What::Detection);
        assert_eq!(figures(&report, &plan, "ours"), [1.0, 3.0]);
        assert_eq!(figures(&report, &plan, "keepalived"), [2.0]);
    }
}
