//! Scripts: started by a thread of their own, watched by the engine, and never left behind.

use core::time::Duration;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::bell::Bell;
use crate::check::Script;
use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::{Cause, Outcome, Sample, Weight};
use crate::scheduler::Ticket;
use crate::time::Time;

/// All scripts under way.
pub(super) struct Scripts {
    orders: Option<Sender<(Ticket, Script)>>,
    born: Arc<Mutex<Vec<Born>>>,
    bell: Bell,
    wanted: HashMap<Ticket, (Script, Time)>,
    /// Groups that got SIGTERM, and when they get SIGKILL.
    dying: Vec<(Running, Time)>,
}

type Born = (Ticket, std::io::Result<(Child, OwnedFd)>);

/// A script that runs. Its process is not waited for before its group is dealt with, so that its number stays taken.
pub(super) struct Running {
    pub(super) ticket: Ticket,
    pub(super) started: Time,
    script: Script,
    child: Child,
    finished: bool,
}

impl Scripts {
    pub(super) fn new(bell: Bell) -> Self {
        Self {
            orders: None,
            born: Arc::default(),
            bell,
            wanted: HashMap::new(),
            dying: Vec::new(),
        }
    }

    /// Orders a script to be started. Forking a large process takes time that the engine does not have.
    pub(super) fn start(&mut self, ticket: Ticket, script: &Script, now: Time) -> Result<(), Outcome> {
        if self.orders.is_none() {
            let (sender, receiver) = channel();
            let (born, bell) = (self.born.clone(), self.bell.clone());
            let thread = std::thread::Builder::new().name("healthcheck-exec".into());
            let started = thread.spawn(move || midwife(&receiver, &born, &bell));
            started.map_err(|_| Outcome::Inconclusive(Cause::Resources))?;
            self.orders = Some(sender);
        }
        let sent = self
            .orders
            .as_ref()
            .map(|orders| orders.send((ticket, script.clone())));
        if !matches!(sent, Some(Ok(()))) {
            return Err(Outcome::Inconclusive(Cause::Resources));
        }
        self.wanted.insert(ticket, (script.clone(), now));
        Ok(())
    }

    /// Scripts that were started meanwhile: each with what to watch, or with why it could not be started.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other error is a lack of something"
    )]
    pub(super) fn collect(&mut self, now: Time) -> Vec<Result<(Running, OwnedFd), (Ticket, Sample)>> {
        let born = core::mem::take(&mut *self.born.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = Vec::new();
        for (ticket, result) in born {
            match (self.wanted.remove(&ticket), result) {
                (Some((script, started)), Ok((child, watch))) => {
                    all.push(Ok((
                        Running {
                            ticket,
                            started,
                            script,
                            child,
                            finished: false,
                        },
                        watch,
                    )));
                }
                (Some(_), Err(error)) => {
                    let cause = match error.kind() {
                        std::io::ErrorKind::PermissionDenied => Cause::Permission,
                        std::io::ErrorKind::NotFound => Cause::NotRunnable,
                        _ => Cause::Resources,
                    };
                    all.push(Err((ticket, Sample::inconclusive(cause))));
                }
                // Its time was over before it began.
                (None, Ok((child, _))) => {
                    let script = Script::new("");
                    self.stop(
                        Running {
                            ticket,
                            started: now,
                            script,
                            child,
                            finished: false,
                        },
                        now,
                    );
                }
                (None, Err(_)) => {}
            }
        }
        all
    }

    /// Its time is over before it was seen to start. True if it was on its way.
    pub(super) fn forget(&mut self, ticket: Ticket) -> bool {
        self.wanted.remove(&ticket).is_some()
    }

    /// Ends a script and everything it started.
    pub(super) fn stop(&mut self, running: Running, now: Time) {
        running.signal(Signal::TERM);
        self.dying.push((running, now.after(GRACE)));
    }

    /// Deals with those whose grace is over; says when to come back.
    pub(super) fn bury(&mut self, now: Time) -> Option<Time> {
        self.dying.retain_mut(|(running, end)| {
            if *end > now {
                return true;
            }
            running.kill();
            false
        });
        self.dying.iter().map(|(_, end)| *end).min()
    }
}

impl Running {
    /// What the end of the script says; `None` if it has not ended.
    pub(super) fn ended(&mut self) -> Option<(Outcome, Option<Weight>)> {
        let status = self.child.try_wait().ok()??;
        self.finished = true;
        let fail = |kind, code| {
            (
                Outcome::Fail(Failure::new(Stage::Run, kind).with_code(code)),
                None,
            )
        };
        Some(match (status.code(), status.signal()) {
            (Some(0), _) => (Outcome::Pass, None),
            (Some(code @ 2..), _) if self.script.plan.dynamic => (
                Outcome::Pass,
                Some(Weight::Set(u32::try_from(code - 2).unwrap_or(0))),
            ),
            (Some(code), _) => fail(FailKind::Exit, code),
            (None, signal) => fail(FailKind::Signal, signal.unwrap_or(0)),
        })
    }

    fn signal(&self, signal: Signal) {
        // The process leads a group of its own, whose number nobody can take while it is not waited for.
        if !self.finished
            && let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        if !self.finished {
            self.finished = true;
            let _ = self.child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts scripts, one after the other.
fn midwife(orders: &Receiver<(Ticket, Script)>, born: &Mutex<Vec<Born>>, bell: &Bell) {
    while let Ok((ticket, script)) = orders.recv() {
        let result = spawn(&script);
        born.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((ticket, result));
        bell.ring();
    }
}

fn spawn(script: &Script) -> std::io::Result<(Child, OwnedFd)> {
    let plan = &script.plan;
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .envs(plan.environment.iter().map(|(name, value)| (name, value)));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    if let Some((user, group)) = plan.user {
        command.uid(user).gid(group);
    }
    let mut child = command.spawn()?;
    let watch = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::Other))
        .and_then(|pid| Ok(rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?));
    match watch {
        Ok(watch) => Ok((child, watch)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
