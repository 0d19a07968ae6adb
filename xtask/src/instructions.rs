//! Instruction counts of the hot paths: exact, so that they can be held to a limit on any machine.
//!
//! Each case of `benches/src/instructions` runs twice under callgrind, with few and with many repetitions; the
//! difference divided by the extra repetitions is what one repetition costs. Two cases may be held to a ratio as well.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use clap::Args;

use crate::process::{self, Result, cargo, has_program, read, root};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only cases whose name contains this
    filter: Option<String>,
}

const LIMITS: &str = "benches/instructions.txt";
const FEW: u64 = 100;
const MANY: u64 = 1_100;

pub(crate) fn run(options: &Options) -> Result {
    if !has_program("valgrind") {
        println!("instructions: skipped, valgrind is not installed");
        return Ok(());
    }
    process::run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "benches",
        "--bin",
        "instructions",
    ]))?;
    let program = root().join("target/release/instructions");
    let limits = limits()?;
    let (mut failures, mut counted) = (Vec::new(), BTreeMap::new());
    for case in read(&mut Command::new(&program))?.lines() {
        if options
            .filter
            .as_deref()
            .is_some_and(|filter| !case.contains(filter))
        {
            continue;
        }
        let few = count(
            Command::new("valgrind").arg("--tool=callgrind"),
            &program,
            case,
            FEW,
        )?;
        let many = count(
            Command::new("valgrind").arg("--tool=callgrind"),
            &program,
            case,
            MANY,
        )?;
        let each = many.saturating_sub(few) / (MANY - FEW);
        counted.insert(case.to_owned(), each);
        match limits.get(case) {
            Some(&limit) if each <= limit => println!("{case}: {each} instructions (limit {limit})"),
            Some(&limit) => failures.push(format!("{case}: {each} instructions, over its limit of {limit}")),
            None => failures.push(format!(
                "{case}: {each} instructions, but {LIMITS} has no limit for it"
            )),
        }
    }
    for (ratio, &limit) in &limits {
        let Some((one, other)) = ratio.split_once('/') else {
            continue;
        };
        // With a filter one of them may not have been counted.
        if let (Some(one), Some(&other)) = (counted.get(one), counted.get(other)) {
            let percent = one * 100 / other.max(1);
            if percent <= limit {
                println!("{ratio}: {percent} % (limit {limit} %)");
            } else {
                failures.push(format!("{ratio}: {percent} %, over its limit of {limit} %"));
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n").into())
    }
}

/// `case limit` a line, or `case/case percent`; `#` starts a comment.
fn limits() -> Result<BTreeMap<String, u64>> {
    let mut limits = BTreeMap::new();
    for line in fs::read_to_string(root().join(LIMITS))?.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some((case, limit)) = line.split_once(char::is_whitespace) {
            limits.insert(case.to_owned(), limit.trim().parse()?);
        }
    }
    Ok(limits)
}

fn count(valgrind: &mut Command, program: &std::path::Path, case: &str, repetitions: u64) -> Result<u64> {
    let output = valgrind
        .arg("--callgrind-out-file=/dev/null")
        .arg(program)
        .args([case, &repetitions.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("valgrind could not count {case}:\n{text}").into())
}
