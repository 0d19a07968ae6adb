//! The simulator of `vrrp-fsm`, for more seeds than the tests run.

use clap::Args;

use crate::process::{self, Result, cargo};

#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Scenarios of a day each instead of a minute
    #[arg(long)]
    season: bool,
}

pub(crate) fn run(options: &Options) -> Result {
    let (seeds, first) = (options.seeds.to_string(), options.first.to_string());
    let kind = if options.season { "season" } else { "storm" };
    process::run(
        cargo(&[
            "run",
            "--release",
            "--package",
            "vrrp-fsm",
            "--features",
            "sim",
            "--example",
            "simulate",
            "--",
        ])
        .args([&seeds, &first, kind]),
    )
}
