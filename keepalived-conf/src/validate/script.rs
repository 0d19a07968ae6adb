//! Scripts, files and processes: whether what is named is there, and whether it can be run.

use crate::command::{self, Command};
use crate::diagnostic::{Severity, Verdict};
use crate::environment::Program;
use crate::keyword::nearest;
use crate::model::configuration::Configuration;
use crate::model::track::{TrackFile, TrackProcess, TrackScript};
use crate::reader::Reader;
use crate::source::Origin;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    let mut run: Vec<&Command> = Vec::new();
    for script in &configuration.vrrp_script {
        let used = configuration
            .vrrp_instance
            .iter()
            .map(|each| &each.track_script)
            .chain(
                configuration
                    .vrrp_sync_group
                    .iter()
                    .map(|each| &each.track_script),
            )
            .flat_map(|list| list.iter())
            .any(|each| each.name == script.name);
        match &script.script {
            None => reader.at(
                script.origin,
                "",
                Severity::Error,
                format!("`{}` has no script", script.name),
                "add `script \"command arguments\"`",
            ),
            Some(command) if used => {
                command::check(command, &format!("the script of `{}`", script.name), reader);
                run.push(command);
            }
            Some(_) => reader.at_as(
                script.origin,
                "",
                Severity::Warning,
                format!("nobody tracks the script `{}`: it is never run", script.name),
                "name it in `track_script`, or remove it",
                Verdict::Silent,
            ),
        }
        if let (Some(timeout), Some(interval)) = (script.timeout, script.interval)
            && timeout > interval
        {
            reader.at_as(
                script.origin,
                "timeout",
                Severity::Warning,
                format!("a run of `{}` may last {timeout} s and the next is due after {interval} s: it is left out", script.name),
                "",
                Verdict::Silent,
            );
        }
    }
    for (command, what) in notifications(configuration) {
        command::check(command, what, reader);
        run.push(command);
    }
    security(configuration, &run, reader);
    for file in &configuration.track_file {
        if file.file.is_none() {
            let message = format!("`{}` names no file", file.name);
            reader.at(file.origin, "", Severity::Error, message, "add `file` and a path");
        }
    }
    for process in &configuration.vrrp_track_process {
        if process.process.is_none() {
            let message = format!("`{}` names no process", process.name);
            reader.at(
                process.origin,
                "",
                Severity::Error,
                message,
                "add `process` and a command name",
            );
        }
    }
}

/// Reports tracked names that lead nowhere.
pub(super) fn known(
    configuration: &Configuration,
    scripts: &[TrackScript],
    files: &[TrackFile],
    processes: &[TrackProcess],
    reader: &mut Reader<'_>,
) {
    let names: Vec<&str> = configuration
        .vrrp_script
        .iter()
        .map(|each| each.name.as_str())
        .collect();
    for each in scripts {
        lookup(&each.name, each.origin, &names, "vrrp_script", reader);
    }
    let names: Vec<&str> = configuration
        .track_file
        .iter()
        .map(|each| each.name.as_str())
        .collect();
    for each in files {
        lookup(&each.name, each.origin, &names, "track_file", reader);
    }
    let names: Vec<&str> = configuration
        .vrrp_track_process
        .iter()
        .map(|each| each.name.as_str())
        .collect();
    for each in processes {
        lookup(&each.name, each.origin, &names, "vrrp_track_process", reader);
    }
}

fn lookup(name: &str, origin: Origin, names: &[&str], block: &str, reader: &mut Reader<'_>) {
    if names.contains(&name) {
        return;
    }
    let advice = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("no `{block}` block has this name; keepalived would go on without it"),
    };
    reader.of_entry(
        origin,
        Severity::Error,
        format!("no {block} `{name}`"),
        &advice,
        Verdict::Reports,
    );
}

/// Every notification command with what it is for.
fn notifications(configuration: &Configuration) -> Vec<(&Command, &'static str)> {
    let mut found: Vec<(Option<&Command>, &'static str)> = Vec::new();
    for router in &configuration.vrrp_instance {
        found.extend([
            (router.notify_master.as_ref(), "`notify_master`"),
            (router.notify_backup.as_ref(), "`notify_backup`"),
            (router.notify_fault.as_ref(), "`notify_fault`"),
            (router.notify_stop.as_ref(), "`notify_stop`"),
            (router.notify_deleted.as_ref(), "`notify_deleted`"),
            (router.notify.as_ref(), "`notify`"),
            (
                router.notify_master_rx_lower_pri.as_ref(),
                "`notify_master_rx_lower_pri`",
            ),
        ]);
    }
    for group in &configuration.vrrp_sync_group {
        found.extend([
            (group.notify_master.as_ref(), "`notify_master`"),
            (group.notify_backup.as_ref(), "`notify_backup`"),
            (group.notify_fault.as_ref(), "`notify_fault`"),
            (group.notify_stop.as_ref(), "`notify_stop`"),
            (group.notify.as_ref(), "`notify`"),
        ]);
    }
    if let Some(global) = &configuration.global_defs {
        found.extend([
            (global.notify_fifo_script.as_ref(), "`notify_fifo_script`"),
            (
                global.vrrp_notify_fifo_script.as_ref(),
                "`vrrp_notify_fifo_script`",
            ),
            (global.lvs_notify_fifo_script.as_ref(), "`lvs_notify_fifo_script`"),
            (global.startup_script.as_ref(), "`startup_script`"),
            (global.shutdown_script.as_ref(), "`shutdown_script`"),
        ]);
    }
    for server in &configuration.virtual_server {
        found.extend([
            (server.quorum_up.as_ref(), "`quorum_up`"),
            (server.quorum_down.as_ref(), "`quorum_down`"),
        ]);
        for real in &server.real_server {
            found.extend([
                (real.notify_up.as_ref(), "`notify_up`"),
                (real.notify_down.as_ref(), "`notify_down`"),
            ]);
            found.extend(
                real.misc_check
                    .iter()
                    .map(|check| (check.misc_path.as_ref(), "`misc_path`")),
            );
        }
    }
    found
        .into_iter()
        .filter_map(|(command, what)| Some((command?, what)))
        .collect()
}

/// Scripts that run as root although somebody else may change them.
fn security(configuration: &Configuration, run: &[&Command], reader: &mut Reader<'_>) {
    let secure = configuration
        .global_defs
        .as_ref()
        .is_some_and(|global| global.enable_script_security);
    let as_root = |command: &Command| match (&command.user, &configuration.global_defs) {
        (Some(user), _) => user == "root",
        (None, Some(global)) if global.script_user.is_some() => global
            .script_user
            .as_ref()
            .is_some_and(|user| user.name == "root"),
        (None, _) => reader.environment.user_exists("keepalived_script") != Some(true),
    };
    let runnable: Vec<(&Command, Program)> = run
        .iter()
        .filter(|command| !command.is_shell_syntax() && as_root(command))
        .filter_map(|command| Some((*command, reader.environment.program(&command.program()?))))
        .filter(|(_, program)| matches!(program, Program::Found | Program::WritableByOthers))
        .collect();
    for (command, program) in &runnable {
        if *program != Program::WritableByOthers {
            continue;
        }
        let message = "somebody other than root may change this script, which runs as root";
        let (severity, advice) = match secure {
            true => (
                Severity::Error,
                "`enable_script_security` forbids it: chown root, chmod go-w, its directories too",
            ),
            false => (
                Severity::Warning,
                "chown root, chmod go-w, its directories too; or name a user after the command",
            ),
        };
        reader.of_entry(command.origin, severity, message, advice, Verdict::Security);
    }
    if let Some((first, _)) = runnable.first().filter(|_| !secure) {
        reader.of_entry(
            first.origin,
            Severity::Warning,
            String::from("scripts run as root, and nobody checks who may change them"),
            "add `enable_script_security` to `global_defs`, and `script_user` if they need not be root",
            Verdict::Security,
        );
    }
}
