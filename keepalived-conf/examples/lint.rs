//! A linter: reads a `keepalived.conf`, shows every mistake at its character, and exits as a check does.
//!
//! `cargo run -p keepalived-conf --example lint -- /etc/keepalived/keepalived.conf [--strict]`

use std::path::Path;
use std::process::ExitCode;

use keepalived_conf::{Configuration, Options, System};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let strict = arguments.iter().any(|each| each == "--strict");
    let Some(path) = arguments.iter().find(|each| !each.starts_with("--")) else {
        eprintln!("usage: lint FILE [--strict]");
        return ExitCode::from(2);
    };
    let (configuration, report) = Configuration::read(Path::new(path), &System, &Options::default());
    eprint!("{}", report.render(false));
    println!(
        "{} virtual routers, {} virtual servers; {} errors, {} warnings; keepalived -t would exit {}",
        configuration.vrrp_instance.len(),
        configuration.virtual_server.len(),
        report.errors(),
        report.warnings(),
        report.keepalived_exit_code(),
    );
    ExitCode::from(report.exit_code(strict))
}
