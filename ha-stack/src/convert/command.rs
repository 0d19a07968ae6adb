//! Commands: the words, the user, and whether they can be run at all.

use keepalived_conf::{Command, Program, User};

use crate::command::{CommandLine, Credentials};
use crate::convert::Context;
use crate::notify::Hooks;

impl Context<'_> {
    /// The command as it is run; `None` where keepalived, too, would not run it, which the parser has reported.
    pub(super) fn command(&mut self, command: &Command, user: Option<&User>) -> Option<CommandLine> {
        let words = match (command.is_shell_syntax(), &self.options.script_shell) {
            (true, Some(shell)) => vec![
                shell.to_string_lossy().into_owned(),
                "-c".to_owned(),
                command.line.clone(),
            ],
            (true, None) => return None,
            (false, _) => command.words(),
        };
        let program = self.environment.program(words.first()?);
        if matches!(program, Program::Missing | Program::NotExecutable) {
            return None;
        }
        let credentials = self.credentials(command, user)?;
        let global = self.configuration.global_defs.as_ref();
        let secured = global.is_some_and(|global| global.enable_script_security);
        let is_root = credentials
            .as_ref()
            .is_none_or(|credentials| credentials.user() == 0);
        if secured && is_root && program == Program::WritableByOthers {
            return None;
        }
        let built = CommandLine::new(words).ok()?;
        Some(match credentials {
            // Only root can become somebody else; whoever runs this otherwise runs the scripts as itself.
            Some(credentials) if rustix::process::geteuid().is_root() => built.run_as(credentials),
            _ => built,
        })
    }

    /// As whom it is run: the command's own user, the block's, `script_user`, `keepalived_script` where it exists; else
    /// `Some(None)`, which is root. `None` after an error.
    fn credentials(&mut self, command: &Command, user: Option<&User>) -> Option<Option<Credentials>> {
        let global = self.configuration.global_defs.as_ref();
        let named = match (
            &command.user,
            user,
            global.and_then(|global| global.script_user.as_ref()),
        ) {
            (Some(name), _, _) => Some((name.clone(), command.group.clone())),
            (None, Some(user), _) | (None, None, Some(user)) => Some((user.name.clone(), user.group.clone())),
            (None, None, None) => None,
        };
        match named {
            Some((name, group)) => match Credentials::look_up(&name, group.as_deref()) {
                Ok(credentials) => Some(Some(credentials)),
                Err(error) => {
                    self.error(
                        command.origin,
                        format!("cannot run `{}` as `{name}`: {error}", command.line),
                    );
                    None
                }
            },
            None => Some(Credentials::look_up(DEFAULT_USER, None).ok()),
        }
    }

    fn hook(&mut self, command: &Option<Command>) -> Option<CommandLine> {
        command.as_ref().and_then(|command| self.command(command, None))
    }

    pub(super) fn instance_hooks(&mut self, instance: &keepalived_conf::VrrpInstance) -> Hooks {
        Hooks {
            master: self.hook(&instance.notify_master),
            backup: self.hook(&instance.notify_backup),
            fault: self.hook(&instance.notify_fault),
            stop: self.hook(&instance.notify_stop),
            deleted: self.hook(&instance.notify_deleted),
            any: self.hook(&instance.notify),
            received_lower_priority: self.hook(&instance.notify_master_rx_lower_pri),
            ..Hooks::default()
        }
    }

    pub(super) fn group_hooks(&mut self, group: &keepalived_conf::SyncGroup) -> Hooks {
        Hooks {
            master: self.hook(&group.notify_master),
            backup: self.hook(&group.notify_backup),
            fault: self.hook(&group.notify_fault),
            stop: self.hook(&group.notify_stop),
            any: self.hook(&group.notify),
            ..Hooks::default()
        }
    }
}

/// Who runs scripts where nothing else is said.
const DEFAULT_USER: &str = "keepalived_script";
