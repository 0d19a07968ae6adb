//! Mutation testing with cargo-mutants, outside continuous integration: it takes long.

use clap::Args;

use crate::process::{self, Result, cargo, has_program};

#[derive(Args)]
pub(crate) struct Options {
    /// The package whose code is mutated
    package: String,
    /// Passed on to cargo-mutants
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    if !has_program("cargo-mutants") {
        return Err("cargo-mutants is not installed: `cargo install --locked cargo-mutants`".into());
    }
    process::run(cargo(&["mutants", "--package", &options.package, "--all-features"]).args(&options.rest))
}
