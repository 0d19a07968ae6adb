//! The story in text and as JSON.

use serde::Serialize;

use crate::plan::Kind;
use crate::story::Round;

/// All rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The form of this object; fields may be added.
    pub schema: u32,
    /// What the fault was.
    pub fault: String,
    /// How many virtual routers.
    pub instances: usize,
    /// Seconds between advertisements.
    pub advert_int: f64,
    /// Told on a segment in memory.
    pub in_memory: bool,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// The rounds that came to nothing.
    pub failed: Vec<Failed>,
}

/// A round that came to nothing: a director did not do its part in time.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// Its number, from 1.
    pub round: usize,
    /// Who was to be active before the fault.
    pub active: Kind,
    /// Who was to take over.
    pub taker: Kind,
    /// What was waited for.
    pub why: String,
}

/// Prints the timeline of a round.
pub fn print_round(round: &Round) {
    println!("\nround {}", round.round);
    for moment in &round.moments {
        println!("{:>12.3} ms  {}", moment.at_ms, moment.text);
    }
    println!(
        "  client: {} questions without an answer, the longest gap {:.1} ms",
        round.lost, round.gap_ms
    );
    if let (Some(gap), Some(both)) = (round.mend_gap_ms, round.both_active_ms) {
        println!("  mending: client's gap {gap:.1} ms, both active for {both:.1} ms");
    }
}

/// Prints the figures of all rounds.
pub fn print_summary(report: &Report) {
    println!(
        "\n{:<34}{:>10}{:>10}{:>10}",
        "milliseconds", "least", "median", "most"
    );
    let rows: [(&str, Vec<f64>); 7] = [
        (
            "allowed by the timers",
            all(report, |round| Some(round.allowed_ms)),
        ),
        ("detection, first router", all(report, |round| round.detection_ms)),
        (
            "detection, last router",
            all(report, |round| round.last_detection_ms),
        ),
        ("address present after", all(report, |round| round.takeover_ms)),
        ("address announced after", all(report, |round| round.announced_ms)),
        (
            "last address ready after",
            all(report, |round| round.last_address_ms),
        ),
        ("client's gap", all(report, |round| Some(round.gap_ms))),
    ];
    for (name, figures) in rows {
        if let [first, .., last] | [first @ last] = figures.as_slice() {
            println!("{name:<34}{first:>10.3}{:>10.3}{last:>10.3}", median(&figures));
        }
    }
}

/// The sorted figures of the rounds that have one.
fn all(report: &Report, figure: impl Fn(&Round) -> Option<f64>) -> Vec<f64> {
    let mut all: Vec<_> = report.rounds.iter().filter_map(figure).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The middle one of sorted figures; of two, the lower.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    figures
        .get(figures.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}
