//! Formatting, lints, documentation and `no_std` builds.

use std::fs;
use std::process::Command;

use crate::metadata::libraries;
use crate::process::{Result, cargo, read, root, run};

/// The target without an operating system that `no_std` crates are built for.
pub(crate) const BARE_TARGET: &str = "x86_64-unknown-none";

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

/// Whether what is there for systems that are not Linux builds: a copy of the workspace in which Linux is called otherwise. The
/// compiler's libraries are still those of this system; what another one lacks in them is not found out.
pub(crate) fn elsewhere() -> Result {
    const PARTS: [&str; 2] = ["vrrp-net/", "examples/failover-lab/"];
    let copy = root().join("target/elsewhere");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let listed = read(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    for file in listed.lines().filter(|file| root().join(file).is_file()) {
        let (from, to) = (root().join(file), copy.join(file));
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory)?;
        }
        if PARTS.iter().any(|part| file.starts_with(part)) {
            let text = fs::read_to_string(&from)?;
            fs::write(
                &to,
                text.replace("target_os = \"linux\"", "target_os = \"haiku\""),
            )?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    run(cargo(&["check", "--package", "failover-lab"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", root().join("target")))
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
