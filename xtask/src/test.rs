//! Every test, with a count at the end of what passed, failed and could not run.

use std::env;
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::built::Built;
use crate::process::{Result, cargo, read, run_watched};
use crate::suites::{Need, SUITES, Suite};
use crate::vm;

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Leave out the suites that need root, peers or a kernel
    #[arg(long)]
    unprivileged: bool,
    /// Let tests that watch for something not to happen watch for a minute
    #[arg(long)]
    long: bool,
    /// Only this package
    #[arg(long, short)]
    package: Option<String>,
}

/// Tests that were ignored in the ordinary run are counted again by the suite they belong to.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
    skipped: usize,
}

pub(crate) fn run(options: &Options) -> Result {
    let mut counts = Counts::default();
    let mut broken = Vec::new();
    let selection: Vec<&str> = match &options.package {
        Some(package) => vec!["--package", package],
        None => vec!["--workspace"],
    };

    let mut command = cargo(&["test", "--all-features", "--no-fail-fast"]);
    command.args(&selection);
    if !run_watched(&mut command, |line| counts.add(line))? {
        broken.push("the ordinary tests".to_owned());
    }
    let built = Built::tests(&selection)?;

    let mut in_suites = 0;
    let mut skips = Vec::new();
    for suite in SUITES.iter().filter(|suite| {
        options
            .package
            .as_deref()
            .is_none_or(|name| name == suite.package)
    }) {
        let tests = suite.count(&built)?;
        in_suites += tests;
        let missing = match options.unprivileged {
            true => Some("left out by --unprivileged".to_owned()),
            false => suite
                .needs
                .iter()
                .find_map(|need| need.missing())
                .map(|need| format!("needs {need}")),
        };
        if let Some(reason) = missing {
            counts.skipped += tests;
            skips.push(format!(
                "skipped {tests} tests of {}/{}: {reason}",
                suite.package, suite.binary
            ));
            continue;
        }
        println!("\n=== {}/{}", suite.package, suite.binary);
        let before = counts.passed + counts.failed;
        let threads = format!("--test-threads={}", suite.at_once);
        let arguments = ["--ignored", threads.as_str()];
        let (times, passed) = match suite.kernels() {
            Some(kernels) => {
                let binary = built.test(suite.package, suite.binary)?;
                let mut luggage = suite.luggage(&built)?;
                if options.long {
                    let long = (LONG.to_owned(), "1".to_owned());
                    luggage.environment.push(long);
                    luggage.timeout = Some(LONG_LIMIT);
                }
                vm::run_tests(kernels, &binary, &arguments, &luggage, |line| counts.add(line))?
            }
            None => {
                let mut command = suite.command(&built)?;
                command.args(arguments);
                if options.long {
                    command.env(LONG, "1");
                }
                (1, run_watched(&mut command, |line| counts.add(line))?)
            }
        };
        if !passed {
            broken.push(format!("{}/{}", suite.package, suite.binary));
        }
        if counts.passed + counts.failed - before != tests * times {
            broken.push(format!(
                "{}/{} ran another number of tests than it lists",
                suite.package, suite.binary
            ));
        }
    }
    if counts.ignored != in_suites {
        broken.push(format!(
            "{} tests are ignored, but the suites of xtask/src/suites.rs hold {in_suites}",
            counts.ignored
        ));
    }

    println!();
    for skip in &skips {
        println!("{skip}");
    }
    for name in &broken {
        println!("failed: {name}");
    }
    println!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    );
    if broken.is_empty() && counts.failed == 0 {
        Ok(())
    } else {
        Err("tests failed".into())
    }
}

impl Suite {
    fn command(&self, built: &Built) -> Result<Command> {
        let mut command = Command::new(built.test(self.package, self.binary)?);
        command.current_dir(built.folder(self.package));
        Ok(command)
    }

    /// The kernels of the laboratory that it runs on, if it runs there.
    fn kernels(&self) -> Option<&'static [&'static str]> {
        self.needs.iter().find_map(|need| match need {
            Need::IpvsKernel(kernels) => Some(*kernels),
            _ => None,
        })
    }

    /// What has to come along when the suite runs on another kernel.
    fn luggage(&self, built: &Built) -> Result<vm::Luggage> {
        let mut luggage = vm::Luggage::default();
        for need in self.needs {
            match *need {
                Need::Program(name) => luggage.programs.push(name.to_owned()),
                Need::Binary(name) => luggage.files.push(built.program(self.package, name)?),
                Need::Example(name) => luggage.named(
                    &format!("EXAMPLE_{}", name.to_uppercase()),
                    built.example(self.package, name)?,
                ),
                Need::Xtask => luggage.named("XTASK", env::current_exe()?),
                Need::Root | Need::NfTables | Need::IpvsKernel(_) => {}
            }
        }
        Ok(luggage)
    }

    /// How many tests the suite has.
    fn count(&self, built: &Built) -> Result<usize> {
        let list = read(self.command(built)?.args(["--ignored", "--list"]))?;
        Ok(list.lines().filter(|line| line.ends_with(": test")).count())
    }
}

impl Counts {
    /// Reads one line of the test harness's output.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<usize>), words.next()) else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// The variable that tells tests to take their time.
const LONG: &str = "LONG_TESTS";

/// What a long suite may take in a virtual machine.
const LONG_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn a_result_line_is_read() {
        let mut counts = Counts::default();
        counts.add(
            "test result: ok. 12 passed; 1 failed; 3 ignored; 0 measured; 5 filtered out; finished in 0.02s",
        );
        counts.add("test something ... ok");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (12, 1, 3));
    }
}
