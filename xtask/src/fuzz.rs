//! The fuzz targets: one fuzz crate, one build, a while for each target.

use std::process::Command;

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
    for target in &targets {
        let time = format!("-max_total_time={}", options.seconds);
        process::run(&mut cargo_fuzz(&[
            "run",
            target,
            "--",
            &time,
            "-timeout=10",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
            "-verbosity=0",
        ]))?;
    }
    println!(
        "{} fuzz targets ran {} s each and found nothing",
        targets.len(),
        options.seconds
    );
    Ok(())
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
