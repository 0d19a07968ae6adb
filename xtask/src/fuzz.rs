//! The fuzz targets: one fuzz crate, one build, a while for each target.

use std::num::NonZero;
use std::process::Command;
use std::thread;

use clap::Args;

use crate::process::{self, Result, has_program, read, root};

#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Only this target
    target: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seconds: 10,
            target: None,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result {
    if !root().join("fuzz/Cargo.toml").exists() {
        return Err("there is no fuzz crate".into());
    }
    if !has_program("cargo-fuzz") {
        return Err("cargo-fuzz is not installed: run `cargo xtask setup`".into());
    }
    let targets = match &options.target {
        Some(target) => vec![target.clone()],
        None => read(&mut cargo_fuzz(&["list"]))?
            .lines()
            .map(str::to_owned)
            .collect(),
    };
    process::run(&mut cargo_fuzz(&["build"]))?;
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    for targets in targets.chunks(at_once) {
        thread::scope(|scope| {
            let runs: Vec<_> = targets
                .iter()
                .map(|target| {
                    scope.spawn(|| fuzz(target, options.seconds).map_err(|error| error.to_string()))
                })
                .collect();
            runs.into_iter().try_for_each(|run| {
                run.join()
                    .unwrap_or_else(|_| Err("a fuzz run panicked".to_owned()))
            })
        })?;
    }
    println!(
        "{} fuzz targets ran {} s each and found nothing",
        targets.len(),
        options.seconds
    );
    Ok(())
}

/// Runs one target, and shows what it printed when it is done.
fn fuzz(target: &str, seconds: u32) -> Result {
    let time = format!("-max_total_time={seconds}");
    let mut command = cargo_fuzz(&[
        "run",
        target,
        "--",
        &time,
        "-timeout=10",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        "-verbosity=0",
    ]);
    let output = command.output()?;
    // In one go, since others print as well.
    println!(
        "$ cargo fuzz run {target}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("fuzz target {target} ended with {}", output.status).into()),
    }
}

fn cargo_fuzz(arguments: &[&str]) -> Command {
    // Through rustup's proxy: the fuzzer's instrumentation needs the nightly compiler.
    let mut command = Command::new("cargo");
    command
        .current_dir(root())
        .arg("+nightly")
        .arg("fuzz")
        .args(arguments);
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}
