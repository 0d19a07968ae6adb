//! Formatting, lints, documentation and `no_std` builds.

use crate::metadata::libraries;
use crate::process::{Result, cargo, root, run};

/// The target without an operating system that `no_std` crates are built for.
pub(crate) const BARE_TARGET: &str = "x86_64-unknown-none";
/// A target with another operating system than Linux: that of many who develop for it.
pub(crate) const OTHER_TARGET: &str = "x86_64-apple-darwin";

pub(crate) fn lint() -> Result {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(cargo(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// A feature named `std` needs the standard library, and so does what a crate lists in
/// `[package.metadata.no-std] excluded-features`; all the others must build without it.
pub(crate) fn no_std() -> Result {
    let mut built = 0;
    for library in libraries()?.iter().filter(|library| library.no_std) {
        run(&mut cargo(&[
            "build",
            "--target",
            BARE_TARGET,
            "--no-default-features",
            "--package",
            &library.name,
        ]))?;
        built += 1;
        for feature in library
            .features
            .iter()
            .filter(|feature| !library.needs_std(feature))
        {
            run(&mut cargo(&[
                "build",
                "--target",
                BARE_TARGET,
                "--no-default-features",
                "--features",
                feature,
                "--package",
                &library.name,
            ]))?;
            built += 1;
        }
    }
    if built == 0 {
        Err("no crate promises no_std".into())
    } else {
        Ok(())
    }
}

/// What is there for systems that are not Linux: the crates without a kernel of their own, and the driver and its laboratory
/// with a host in memory.
pub(crate) fn elsewhere() -> Result {
    const PORTABLE: [&str; 6] = [
        "vrrp-proto",
        "vrrp-fsm",
        "lvs-sched",
        "keepalived-conf",
        "vrrp-net",
        "failover-lab",
    ];
    let mut check = cargo(&["check", "--target", OTHER_TARGET]);
    for package in PORTABLE {
        check.args(["--package", package]);
    }
    run(check.env("RUSTFLAGS", "-Dwarnings"))
}

/// The proofs of what threads share in `lvs-sched`: loom tries every interleaving.
pub(crate) fn loom() -> Result {
    run(
        cargo(&["test", "--release", "--package", "lvs-sched", "--lib", "proofs"])
            .env("RUSTFLAGS", "--cfg loom")
            // Other flags make other artifacts: kept apart, so that neither build throws the other's away.
            .env("CARGO_TARGET_DIR", root().join("target/loom")),
    )
}
