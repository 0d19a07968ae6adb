//! Ours beside keepalived (and the proxy beside HAProxy): interleaved rounds of the laboratory, least, median and most of each.

mod daemon;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::process::{self, Result, cargo, has_program, root};
use crate::vm;

#[derive(Args)]
pub(crate) struct Options {
    /// What is compared; everything if nothing is named
    #[arg(value_enum)]
    what: Vec<What>,
    /// Rounds of each
    #[arg(long, default_value_t = 10)]
    rounds: u16,
    /// A laboratory that is built already, instead of a new one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The embedded proxy beside HAProxy: connections and bytes in a second, processor time of each
    Proxy,
    /// Another host sends garbage: advertisements that the active router sends in six seconds
    Garbage,
    /// One router at 10 ms: from the last advertisement of the killed one to the first of the other
    Detection,
    /// 200 routers at 10 ms: from the last advertisement received to the last address present and announced
    Takeover,
    /// 1,000 routers at 100 ms taking over together
    Mass,
    /// Processor time of an advertisement at 20,000 a second
    Cost,
    /// Resident memory with 1,000 routers
    Memory,
    /// The whole daemon with 1,000 routers: start, reload, status, memory, stop
    Daemon,
    /// IPVS with 1,000 virtual servers of 10 real servers each, in the kernel laboratory: start, reload, memory, rest
    Balance,
    /// A paused active router wakes: how often the role changes hands (once is right)
    Pause,
    /// A partition heals: the client's second gap
    Heal,
    /// The only director is killed and started again: for how long the address is missing
    Restart,
}

/// How something is measured.
enum Method {
    /// By the rounds of a story in which the two have the parts in turn.
    Story(Story),
    /// By the laboratory's `measure WORD`, of one and the other in turn.
    Measure(&'static str),
    /// By [`daemon::measure`].
    Daemon,
    /// By [`proxy`].
    Proxy,
    /// By [`balance`].
    Balance,
}

struct Story {
    fault: &'static str,
    instances: &'static str,
    interval: &'static str,
    /// What stands in the report of each round.
    figures: &'static [&'static str],
    /// Whose figure it is: that of the router which takes over, or of the one that was active.
    belongs_to: &'static str,
    /// Whether ours is the one that is taken away, whoever takes over.
    ours_active: bool,
    /// A round in which a thread of the machine was later than this, in milliseconds, says nothing; nor does one in which
    /// somebody held the kernel's network configuration for longer than twice that. Where what was measured took longer, a
    /// twentieth of it is granted.
    late_ms: f64,
}

/// Figures by what they are and whose.
#[derive(Default)]
struct Figures {
    all: BTreeMap<(String, &'static str), Vec<f64>>,
    discarded: usize,
    /// Rounds in which the roles were not held, by whose they were.
    spoilt: BTreeMap<&'static str, usize>,
    /// Rounds that came to nothing, by whose part was measured and what was waited for.
    failed: BTreeMap<(&'static str, String), usize>,
    allowed: Option<f64>,
}

/// Runs the test of the balance suite that counts, optimised, in the kernel laboratory.
fn balance() -> Result {
    process::run(&mut cargo(&["build", "--release", "-p", "ha-daemon"]))?;
    let suite = [
        "test",
        "--release",
        "--no-run",
        "-p",
        "ha-daemon",
        "--test",
        "balance",
    ];
    let binary = process::executable(&suite, "balance")?;
    let daemon = root().join("target/release/ha-daemon");
    let luggage = vm::Luggage {
        files: vec![daemon],
        programs: vec!["keepalived".to_owned()],
        environment: vec![("SCALE_SERVERS".to_owned(), "1000".to_owned())],
        timeout: None,
    };
    let arguments = ["scale", "--ignored", "--nocapture"];
    match vm::run_tests(vm::NEWEST, &binary, &arguments, &luggage, |_| ())? {
        (_, true) => Ok(()),
        (_, false) => Err("the measurement failed".into()),
    }
}

/// Of 20,000 a second, and how many it has to be: who falls behind sends less often, but each costs what it costs.
const RATE: &str = "advertisements a second";
const KEPT_UP: f64 = 10_000.0;
/// With more of these, a twentieth, the other has taken over, and both send and receive.
const RIVAL: &str = "advertisements a second of the standby, who is to send none";
const NOBODY: f64 = 1_000.0;
const KINDS: [&str; 2] = ["ours", "keepalived"];

pub(crate) fn run(options: &Options) -> Result {
    if options.what == [What::Proxy] {
        return proxy(options.rounds);
    }
    if !has_program("keepalived") {
        return Err("keepalived is not installed: `cargo xtask setup`".into());
    }
    let everything = What::value_variants();
    let wanted = if options.what.is_empty() {
        everything
    } else {
        &options.what
    };
    let program = match &options.program {
        Some(program) => program.clone(),
        None => {
            if wanted
                .iter()
                .any(|what| !matches!(what, What::Daemon | What::Proxy | What::Balance))
            {
                process::run(&mut cargo(&["build", "--release", "-p", "failover-lab"]))?;
            }
            root().join("target/release/failover-lab")
        }
    };
    for what in wanted {
        let name = what.to_possible_value();
        println!(
            "\n{}",
            name.as_ref()
                .and_then(|name| name.get_help())
                .map_or_else(String::new, ToString::to_string)
        );
        let figures = match what.method() {
            Method::Story(story) => tell(&program, &story, usize::from(options.rounds))?,
            Method::Measure(word) => measure(&program, word, usize::from(options.rounds))?,
            Method::Proxy => {
                proxy(options.rounds)?;
                continue;
            }
            Method::Balance => {
                balance()?;
                continue;
            }
            Method::Daemon => daemon::measure(options.program.as_deref(), usize::from(options.rounds))?,
        };
        figures.print();
    }
    Ok(())
}

/// A program of its own says it all.
fn proxy(rounds: u16) -> Result {
    if !has_program("haproxy") {
        return Err("HAProxy is not installed: `cargo xtask setup`".into());
    }
    process::run(&mut cargo(&[
        "build",
        "--release",
        "-p",
        "benches",
        "--bin",
        "compare-proxy",
    ]))?;
    let program = root().join("target/release/compare-proxy");
    process::run(Command::new(program).args(["--rounds", &rounds.to_string()]))
}

/// Rounds until there are enough of each kind in which the machine was not late, within reason.
fn tell(program: &Path, story: &Story, rounds: usize) -> Result<Figures> {
    const ATTEMPTS: usize = 4;
    let mut figures = Figures::default();
    for _ in 0..ATTEMPTS {
        let missing = rounds.saturating_sub(figures.fewest());
        if missing == 0 {
            break;
        }
        let mut command = Command::new(program);
        command
            .args(["--peer", "keepalived", "--json", "--fault", story.fault])
            .args(["--instances", story.instances, "--advert-int", story.interval])
            .args(story.ours_active.then_some("--ours-active"))
            // Each round has another kind in the part that is measured, so twice as many.
            .args(["--rounds", &(missing * 2).to_string()]);
        // A round that comes to nothing makes it fail; the others count all the same.
        let output = command.output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
        figures.add_rounds(&report, story);
    }
    Ok(figures)
}

fn measure(program: &Path, word: &str, rounds: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    for _ in 0..rounds {
        for kind in KINDS {
            let mut command = Command::new(program);
            command.args(["measure", word, kind]);
            let found: Value = serde_json::from_str(&process::read(&mut command)?)?;
            let found: Vec<(&str, f64)> = found
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .filter_map(|figure| Some((figure["what"].as_str()?, figure["value"].as_f64()?)))
                .collect();
            let spoilt = |(what, value): &(&str, f64)| {
                (*what == RATE && *value < KEPT_UP) || (*what == RIVAL && *value > NOBODY)
            };
            if found.iter().any(spoilt) {
                *figures.spoilt.entry(kind).or_default() += 1;
                continue;
            }
            for (what, value) in found {
                figures.add(what, kind, value);
            }
        }
    }
    Ok(figures)
}

impl What {
    fn method(self) -> Method {
        let (fault, instances, interval, figures, belongs_to): (_, _, _, &[&str], _) = match self {
            Self::Garbage => return Method::Measure("garbage"),
            Self::Daemon => return Method::Daemon,
            Self::Proxy => return Method::Proxy,
            Self::Balance => return Method::Balance,
            Self::Cost => return Method::Measure("cost"),
            Self::Memory => return Method::Measure("memory"),
            Self::Restart => return Method::Measure("restart"),
            Self::Detection => ("kill", "1", "0.01", &["detection_ms", "announced_ms"], "taker"),
            Self::Takeover => (
                "kill",
                "200",
                "0.01",
                &["last_address_ms", "last_detection_ms"],
                "taker",
            ),
            Self::Mass => (
                "kill",
                "1000",
                "0.1",
                &["last_address_ms", "longest_silence_ms", "flaps"],
                "taker",
            ),
            Self::Pause => ("pause", "1", "0.1", &["promotions", "both_active_ms"], "active"),
            // Who yields is alone in knowing that the other has to announce the address again.
            Self::Heal => ("partition", "1", "0.1", &["mend_gap_ms"], "taker"),
        };
        Method::Story(Story {
            fault,
            instances,
            interval,
            figures,
            belongs_to,
            // keepalived with so many is no even opponent: on a busy machine it loses the role before it is to.
            ours_active: matches!(self, Self::Takeover | Self::Mass),
            late_ms: if interval == "0.01" { 2.0 } else { 10.0 },
        })
    }
}

impl Figures {
    fn add(&mut self, what: &str, kind: &'static str, value: f64) {
        self.all.entry((what.to_owned(), kind)).or_default().push(value);
    }

    /// Takes the figures of those rounds in which the machine was not late.
    fn add_rounds(&mut self, report: &Value, story: &Story) {
        let kind_of = |round: &Value| KINDS.into_iter().find(|kind| round[story.belongs_to] == *kind);
        for round in report["failed"].as_array().map_or(&[][..], Vec::as_slice) {
            if let (Some(kind), Some(why)) = (kind_of(round), round["why"].as_str()) {
                *self.failed.entry((kind, why.to_owned())).or_default() += 1;
            }
        }
        for round in report["rounds"].as_array().map_or(&[][..], Vec::as_slice) {
            self.allowed = self.allowed.or_else(|| round["allowed_ms"].as_f64());
            let of = |name: &str| round[name].as_f64().unwrap_or(0.0);
            let measured = story.figures.first().map_or(0.0, |name| of(name));
            let granted = story.late_ms.max(measured / 20.0);
            if of("late_ms") > granted || of("locked_ms") > 2.0 * granted {
                self.discarded += 1;
                continue;
            }
            let Some(kind) = kind_of(round) else {
                continue;
            };
            for name in story.figures {
                if let Some(value) = round[*name].as_f64() {
                    self.add(name, kind, value);
                }
            }
        }
    }

    /// How many rounds the kind has that has fewest.
    fn fewest(&self) -> usize {
        if self.all.len() < KINDS.len() {
            return 0;
        }
        self.all.values().map(Vec::len).min().unwrap_or(0)
    }

    fn print(&self) {
        let whats: std::collections::BTreeSet<_> = self.all.keys().map(|(what, _)| what).collect();
        for what in whats {
            println!("  {what}");
            let mut medians = Vec::new();
            for kind in KINDS {
                let mut figures = self.all.get(&(what.clone(), kind)).cloned().unwrap_or_default();
                figures.sort_by(f64::total_cmp);
                if let (Some(first), Some(last)) = (figures.first(), figures.last()) {
                    let median = figures[figures.len() / 2];
                    medians.push(median);
                    println!(
                        "{kind:>14}: least {first:.3}, median {median:.3}, most {last:.3}, of {}",
                        figures.len()
                    );
                }
            }
            if let [ours, keepalived] = medians[..]
                && keepalived != 0.0
            {
                println!("{:>14}: {:.3}", "ratio", ours / keepalived);
            }
        }
        if let Some(allowed) = self.allowed {
            println!("{:>14}: {allowed:.3} ms", "allowed");
        }
        if self.discarded > 0 {
            println!(
                "{:>14}: {} rounds, in which the machine was late",
                "discarded", self.discarded
            );
        }
        for (kind, rounds) in &self.spoilt {
            println!(
                "{:>14}: {rounds} rounds in which {kind} lost the role or half of its advertisements",
                "discarded"
            );
        }
        for ((kind, why), rounds) in &self.failed {
            println!(
                "{:>14}: {rounds} rounds in which {kind} was to be measured: {why}",
                "failed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_go_to_the_kind_that_was_measured_and_late_rounds_go_nowhere() {
        let report = serde_json::json!({"rounds": [
            {"taker": "ours", "active": "keepalived", "detection_ms": 3.0, "late_ms": 0.1, "allowed_ms": 2.5},
            {"taker": "keepalived", "active": "ours", "detection_ms": 200.0, "late_ms": 5.0, "locked_ms": 5.0},
            {"taker": "keepalived", "active": "ours", "detection_ms": 2.0, "late_ms": 0.0},
            {"taker": "ours", "active": "keepalived", "detection_ms": 1.0, "late_ms": 5.0},
            {"taker": "ours", "active": "keepalived", "detection_ms": 1.0, "late_ms": 0.0, "locked_ms": 5.0},
            {"taker": "ours", "active": "keepalived", "detection_ms": null},
        ], "failed": [
            {"taker": "keepalived", "active": "ours", "why": "waited in vain"},
        ]});
        let Method::Story(story) = What::Detection.method() else {
            panic!("a story");
        };
        let mut figures = Figures::default();
        figures.add_rounds(&report, &story);
        let of = |kind| figures.all.get(&("detection_ms".to_owned(), kind));
        assert_eq!(of("ours"), Some(&vec![3.0]));
        assert_eq!(of("keepalived"), Some(&vec![200.0, 2.0]));
        assert_eq!((figures.discarded, figures.allowed), (2, Some(2.5)));
        assert_eq!(figures.fewest(), 1);
        let failed: Vec<_> = figures.failed.into_iter().collect();
        assert_eq!(failed, [(("keepalived", "waited in vain".to_owned()), 1)]);
    }
}
