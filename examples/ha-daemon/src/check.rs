//! `ha-daemon check`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::ValueEnum;

use crate::config::{self, Loaded};
use crate::{BAD_CONFIGURATION, CheckOptions};

/// How diagnostics are written.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Format {
    /// `FILE:LINE:COL: error|warning: text` and the source line, on standard error.
    #[default]
    Text,
    /// One document on standard error.
    Json,
}

/// How the configuration is written out.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Dump {
    Keepalived,
    Toml,
    Json,
}

pub(crate) fn check(options: &CheckOptions) -> ExitCode {
    let (loaded, stranded) = config::load_in_place(&options.config, &options.reading);
    if let Some(error) = stranded {
        eprintln!("ha-daemon: {error}; what is said of interfaces is that of this one");
    }
    let report = match options.format {
        Format::Text => Ok(loaded.text()),
        Format::Json => loaded.json().map(|value| format!("{value}\n")),
    };
    let dump = options.dump.map(|form| dump(&loaded, form)).transpose();
    match (report, dump) {
        (Ok(report), Ok(dump)) => {
            // Whoever reads this may have gone; the exit status says the same.
            let _ = io::stderr().lock().write_all(report.as_bytes());
            let _ = io::stdout().lock().write_all(dump.unwrap_or_default().as_bytes());
            ExitCode::from(loaded.exit_code(options.strict))
        }
        (Err(error), _) => fail(&error.to_string()),
        (_, Err(error)) => fail(&error),
    }
}

fn dump(loaded: &Loaded, form: Dump) -> Result<String, String> {
    let configuration = &loaded.configuration;
    match form {
        Dump::Keepalived => configuration.to_keepalived().map_err(|error| error.to_string()),
        Dump::Toml => toml::to_string(configuration).map_err(|error| error.to_string()),
        Dump::Json => serde_json::to_string_pretty(configuration)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string()),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("ha-daemon: the configuration cannot be written: {error}");
    ExitCode::from(BAD_CONFIGURATION)
}
