//! What the test binaries share: a made-up host, and short ways to look at a report.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeSet;
use std::path::Path;

use keepalived_conf::{Configuration, Memory, Options, Report, Severity};

/// A host with the programs, users and interfaces that the fixtures need.
pub(crate) fn host(text: &str) -> Memory {
    let names = |list: &[&str]| -> BTreeSet<String> { list.iter().map(|each| String::from(*each)).collect() };
    let mut host = Memory::with_file("test.conf", text);
    host.programs = names(&[
        "killall",
        "/bin/true",
        "/bin/false",
        "/bin/sh",
        "/etc/keepalived/tell.sh",
    ]);
    host.users = Some(names(&["root", "nobody", "nogroup", "adm"]));
    host.interfaces = Some(names(&["lo", "eth0", "eth1", "enp3s0f0", "ens1f1"]));
    host.hosts = Some(names(&["localhost"]));
    host.host_name = String::from("left");
    host
}

pub(crate) fn read(text: &str) -> (Configuration, Report) {
    Configuration::read(Path::new("test.conf"), &host(text), &Options::default())
}

/// `LINE:COLUMN severity message` of each diagnostic.
pub(crate) fn shown(report: &Report) -> Vec<String> {
    report
        .diagnostics()
        .iter()
        .map(|each| {
            let at = each.span.and_then(|span| report.sources().position(span));
            let at = at.map_or_else(|| String::from("-"), |at| format!("{}:{}", at.line, at.column));
            format!("{at} {} {}", each.severity, each.message)
        })
        .collect()
}

pub(crate) fn errors(report: &Report) -> Vec<String> {
    let all = shown(report);
    let severities = report.diagnostics().iter().map(|each| each.severity);
    all.into_iter()
        .zip(severities)
        .filter(|(_, severity)| *severity == Severity::Error)
        .map(|(text, _)| text)
        .collect()
}
