//! What an operator installs, in one folder: a static `ha-daemon`, its manual page, completions and unit; and beside it what a debugger
//! reads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::process::{Result, cargo, has_program, read, root, run};

/// The target whose programs need no shared library.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The profile of the workspace that what is installed is built with.
pub(crate) const INSTALLED: &str = "dist";

pub(crate) fn build() -> Result {
    if !has_program(COMPILER) {
        return Err(format!("{COMPILER} is not installed: `cargo xtask setup`").into());
    }
    run(cargo(&[
        "build",
        "--profile",
        INSTALLED,
        "--package",
        "ha-daemon",
        "--target",
        STATIC_TARGET,
    ])
    // What is not Rust: the cryptography of TLS checks.
    .env("CC_x86_64_unknown_linux_musl", COMPILER))?;
    let built = root().join(format!("target/{STATIC_TARGET}/{INSTALLED}/ha-daemon"));
    if fs::read(&built)?
        .windows(INTERPRETER.len())
        .any(|part| part == INTERPRETER)
    {
        return Err(format!("{} wants a dynamic linker", built.display()).into());
    }
    let source = root().join("examples/ha-daemon");
    let folder = root().join("target/ha-daemon");
    let place = |name: &str| -> Result<std::path::PathBuf> {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        Ok(path)
    };
    let program = place("bin/ha-daemon")?;
    split(&built, &program, &place("debug/ha-daemon.debug")?)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let write = |arguments: &[&str], name: &str| -> Result {
        Ok(fs::write(
            place(name)?,
            read(Command::new(&program).args(arguments))?,
        )?)
    };
    write(&["manual"], "share/man/man8/ha-daemon.8")?;
    write(
        &["completions", "bash"],
        "share/bash-completion/completions/ha-daemon",
    )?;
    write(&["completions", "zsh"], "share/zsh/site-functions/_ha-daemon")?;
    write(
        &["completions", "fish"],
        "share/fish/vendor_completions.d/ha-daemon.fish",
    )?;
    for (file, name) in [
        ("ha-daemon.service", "lib/systemd/system/ha-daemon.service"),
        ("Dockerfile", "Dockerfile"),
        ("README.md", "share/doc/ha-daemon/README.md"),
    ] {
        fs::copy(source.join(file), place(name)?)?;
    }
    show(&folder, &program)
}

/// What only a debugger reads goes into a file beside, which it finds by its name; names of functions, for backtraces, stay.
fn split(built: &Path, program: &Path, debug: &Path) -> Result {
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([built, debug]))?;
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run(Command::new("objcopy")
        .args(["--strip-debug", &link])
        .args([built, program]))
}

fn show(folder: &Path, program: &Path) -> Result {
    let version = read(Command::new(program).arg("--version"))?;
    let size = fs::metadata(program)?.len() >> 10;
    println!("{}: {}, {size} KiB, static", folder.display(), version.trim());
    println!("for a debugger, not to be installed: {}/debug", folder.display());
    println!(
        "to install it: cp -r {}/{{bin,lib,share}} /usr/",
        folder.display()
    );
    Ok(())
}

/// From the Debian package `musl-tools`.
const COMPILER: &str = "musl-gcc";

/// What names the dynamic linker in a program that wants one.
const INTERPRETER: &[u8] = b"/ld-musl-";
