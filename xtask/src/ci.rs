//! Everything that continuous integration runs, cheap steps first.

use std::time::Instant;

use crate::process::Result;
use crate::{checks, consumers, fuzz, instructions, test};

pub(crate) fn run() -> Result {
    let steps: [(&str, &dyn Fn() -> Result); 7] = [
        ("lint", &checks::lint),
        ("no-std", &checks::no_std),
        ("elsewhere", &checks::elsewhere),
        ("package", &consumers::run),
        ("instructions", &|| {
            instructions::run(&instructions::Options::default())
        }),
        ("fuzz", &|| fuzz::run(&fuzz::Options::default())),
        // Last, so that what a reader looks for first, the counts of tests, stands at the end of the log.
        ("test", &|| test::run(&test::Options::default())),
    ];
    let mut times = Vec::new();
    for (name, step) in steps {
        println!("\n=== {name}");
        let start = Instant::now();
        step().map_err(|error| format!("step {name}: {error}"))?;
        times.push(format!("{name} {} s", start.elapsed().as_secs()));
        eprintln!("=== {}", times.join(", "));
    }
    Ok(())
}
