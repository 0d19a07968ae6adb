//! A configuration file as a plan, with everything there is to say about it.

use std::path::Path;

use ha_stack::{Conversion, ConvertOptions, Plan, Problem};
use keepalived_conf::{Configuration, Options, Report, System};

use crate::Reading;
use crate::plane::Choice;

/// What came of reading a configuration.
pub(crate) struct Loaded {
    pub(crate) configuration: Configuration,
    pub(crate) report: Report,
    conversion: Conversion,
}

/// Reads a configuration in the network namespace that it names, if it does; this thread stays there.
/// If that cannot be, the configuration is as it looks from here, and beside it stands what is in the way.
pub(crate) fn load_in_place(path: &Path, reading: &Reading) -> (Loaded, Option<String>) {
    let loaded = load(path, reading);
    let Some(name) = loaded.configuration.net_namespace.clone() else {
        return (loaded, None);
    };
    match ha_stack::enter_network_namespace(&name) {
        Ok(()) => (load(path, reading), None),
        Err(error) => (
            loaded,
            Some(format!("cannot enter the network namespace `{name}`: {error}")),
        ),
    }
}

/// Reads a configuration and converts it.
pub(crate) fn load(path: &Path, reading: &Reading) -> Loaded {
    let mut options = Options::default();
    options.shell_scripts = reading.script_shell.is_some();
    options.config_id.clone_from(&reading.config_id);
    let (configuration, report) = Configuration::read(path, &System, &options);
    let mut options = ConvertOptions::default();
    options.script_shell.clone_from(&reading.script_shell);
    options.full_nat = match reading.data_plane {
        Choice::Auto => None,
        Choice::Ipvs => Some(false),
        Choice::Proxy | Choice::None => Some(true),
    };
    // What could not be read is reported already; its consequences would only repeat it.
    let conversion = match report.errors() {
        0 => Conversion::of(&configuration, &System, &options),
        _ => Conversion::default(),
    };
    Loaded {
        configuration,
        report,
        conversion,
    }
}

impl Loaded {
    /// The exit status of a check.
    pub(crate) fn exit_code(&self, strict: bool) -> u8 {
        let warned = strict && !self.conversion.warnings.is_empty();
        let failed = !self.conversion.errors.is_empty();
        self.report.exit_code(strict).max(u8::from(warned || failed))
    }

    /// The plan, if nothing speaks against it.
    pub(crate) fn take_plan(&mut self) -> Option<Plan> {
        (self.exit_code(false) == 0).then(|| std::mem::take(&mut self.conversion.plan))
    }

    /// Everything there is to say, drawn beside the source.
    pub(crate) fn text(&self) -> String {
        let problems = self
            .problems()
            .map(|(severity, problem)| self.line(severity, problem) + "\n");
        self.report.render(false) + &problems.collect::<String>()
    }

    /// Everything there is to say, a line each.
    pub(crate) fn headlines(&self) -> Vec<String> {
        let diagnostics = self.report.diagnostics().iter();
        let own = self
            .problems()
            .map(|(severity, problem)| self.line(severity, problem));
        diagnostics
            .map(|diagnostic| self.report.headline(diagnostic))
            .chain(own)
            .collect()
    }

    /// Only the errors, a line each.
    pub(crate) fn errors(&self) -> Vec<String> {
        let diagnostics = self.report.diagnostics().iter();
        let own = self
            .conversion
            .errors
            .iter()
            .map(|problem| self.line("error", problem));
        diagnostics
            .filter(|diagnostic| diagnostic.severity == keepalived_conf::Severity::Error)
            .map(|diagnostic| self.report.headline(diagnostic))
            .chain(own)
            .collect()
    }

    /// The report as a program reads it, with what the conversion found.
    pub(crate) fn json(&self) -> serde_json::Result<serde_json::Value> {
        let mut value = serde_json::to_value(&self.report)?;
        value["exit_code"] = self.exit_code(false).into();
        value["errors"] = (self.report.errors() + self.conversion.errors.len()).into();
        value["warnings"] = (self.report.warnings() + self.conversion.warnings.len()).into();
        if let Some(rows) = value["diagnostics"].as_array_mut() {
            for (severity, problem) in self.problems() {
                let sources = self.report.sources();
                let position = problem.span.and_then(|span| sources.position(span));
                let file = problem.span.and_then(|span| sources.path(span));
                rows.push(serde_json::json!({
                    "severity": severity,
                    "file": file.map(|path| path.display().to_string()),
                    "line": position.map(|position| position.line),
                    "column": position.map(|position| position.column),
                    "message": problem.message,
                    "advice": null,
                    "keepalived": "silent",
                }));
            }
        }
        Ok(value)
    }

    fn problems(&self) -> impl Iterator<Item = (&'static str, &Problem)> {
        let errors = self.conversion.errors.iter().map(|problem| ("error", problem));
        let warnings = self
            .conversion
            .warnings
            .iter()
            .map(|problem| ("warning", problem));
        errors.chain(warnings)
    }

    fn line(&self, severity: &str, problem: &Problem) -> String {
        match problem.span {
            Some(span) => format!(
                "{}: {severity}: {}",
                self.report.sources().locate(span),
                problem.message
            ),
            None => format!("{severity}: {}", problem.message),
        }
    }
}
