//! The developer's commands: `cargo xtask STEP` runs what CI runs, one step at a time.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod built;
mod checks;
mod ci;
mod compare;
mod consumers;
mod fuzz;
mod instructions;
mod metadata;
mod mutants;
mod process;
#[cfg(test)]
mod requirements;
mod setup;
mod sim;
mod static_build;
mod suites;
mod test;
mod vm;

#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Every test: unit, integration and documentation tests, then the suites that need root, a peer or a kernel
    Test(test::Options),
    /// Everything that continuous integration runs, in its order
    Ci,
    /// Install what the other steps use: Debian packages by name, rustup targets, cargo-fuzz
    Setup,
    /// rustfmt, clippy and documentation, with warnings denied
    Lint,
    /// Build the crates that promise `no_std` for a target without an operating system
    NoStd,
    /// Check, for another system than Linux, what is there for it
    Elsewhere,
    /// The proofs of `lvs-sched`'s concurrent parts, every interleaving (takes minutes, not part of `ci`)
    Loom,
    /// Build and run each fuzz target for a while
    Fuzz(fuzz::Options),
    /// `cargo package` of each library crate, then an outside crate that depends on each set of features
    Package,
    /// Count instructions of the hot paths under callgrind and hold them to their limits
    Instructions(instructions::Options),
    /// What an operator installs, in `target/ha-daemon`: a static program, manual page, completions, unit, Dockerfile
    Static,
    /// Run a command under a kernel that has IPVS, booted for it where the host's has none
    Vm(vm::Options),
    /// Simulate more seeds than the tests do; a failing one is printed, made small (not part of `ci`)
    Sim(sim::Options),
    /// Our failover beside keepalived's: interleaved rounds of the laboratory, medians (as root)
    Compare(compare::Options),
    /// Mutation testing of a crate (needs cargo-mutants; takes long, not part of `ci`)
    Mutants(mutants::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().step {
        Step::Test(options) => test::run(&options),
        Step::Ci => ci::run(),
        Step::Setup => setup::install(),
        Step::Lint => checks::lint(),
        Step::NoStd => checks::no_std(),
        Step::Elsewhere => checks::elsewhere(),
        Step::Loom => checks::loom(),
        Step::Fuzz(options) => fuzz::run(&options),
        Step::Package => consumers::run(),
        Step::Instructions(options) => instructions::run(&options),
        Step::Static => static_build::build(),
        Step::Vm(options) => vm::run(&options),
        Step::Sim(options) => sim::run(&options),
        Step::Compare(options) => compare::run(&options),
        Step::Mutants(options) => mutants::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
