//! Runs the check scripts on a thread of their own.

use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::children::Children;
use crate::command::CommandLine;
use crate::error::Error;
use crate::track::worker::{Inbox, Watch, Worker};
use crate::track::{ScriptAction, ScriptCounter, ScriptSchedule, Verdict};

/// A script that is run at intervals and whose exit status says whether something is well: 0 is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCheck {
    /// The name of the `vrrp_script` block.
    pub name: String,
    /// What is run, and as whom.
    pub command: CommandLine,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// What a run may take.
    pub timeout: Duration,
    /// Successes in a row that make a bad script good.
    pub rise: NonZeroU32,
    /// Failures in a row that make a good script bad.
    pub fall: NonZeroU32,
    /// Start as bad instead of letting the first result decide.
    pub init_fail: bool,
}

/// A thread that runs any number of scripts, each on its own timetable.
///
/// A script that hangs is ended at its time limit and counted as failed when it is gone; it delays no other script.
/// Dropping the tracker ends the thread and kills what runs.
pub struct ScriptTracker {
    worker: Worker<ScriptCheck>,
}

impl ScriptTracker {
    /// Starts the thread, which calls `report` with the name and the new verdict of each script whose verdict changed.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel gives no descriptor or no thread.
    pub fn start(report: impl FnMut(&str, Verdict) + Send + 'static) -> Result<Self, Error> {
        let worker = Worker::start("scripts", move |inbox| {
            let runner = Runner {
                inbox,
                jobs: Vec::new(),
                children: Children::new(),
                next_run: 0,
                report,
            };
            runner.run();
        })?;
        Ok(Self { worker })
    }

    /// Replaces the scripts. One that keeps its name, command and user keeps its verdict and a run under way, whatever
    /// else changes; one that is gone is killed if it runs.
    pub fn set_scripts(&self, scripts: Vec<ScriptCheck>) {
        self.worker.watch(scripts);
    }
}

impl Watch for ScriptTracker {
    fn has_moved(&self) -> bool {
        self.worker.has_moved()
    }

    fn abandon(self) {
        self.worker.abandon();
    }
}

impl fmt::Debug for ScriptTracker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScriptTracker").finish_non_exhaustive()
    }
}

struct Job {
    check: ScriptCheck,
    schedule: ScriptSchedule,
    counter: ScriptCounter,
    /// The number of the run under way; a run of a job that was removed finds no job.
    run: Option<u64>,
}

struct Runner<F> {
    inbox: Arc<Inbox<ScriptCheck>>,
    jobs: Vec<Job>,
    children: Children<u64>,
    next_run: u64,
    report: F,
}

impl<F: FnMut(&str, Verdict)> Runner<F> {
    fn run(mut self) {
        loop {
            let orders = self.inbox.take();
            if orders.stop {
                return self.stop();
            }
            if let Some(scripts) = orders.wanted {
                self.replace(scripts);
            }
            for index in 0..self.jobs.len() {
                self.advance(index);
            }
            let deadline = self.jobs.iter().map(|job| job.schedule.poll_timeout()).min();
            self.children.wait(&self.inbox.waker, deadline);
            for (run, status) in self.children.reap() {
                self.ended(run, status.success());
            }
        }
    }

    fn replace(&mut self, scripts: Vec<ScriptCheck>) {
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.jobs);
        for check in scripts {
            let kept = old
                .iter()
                .position(|job| job.check.name == check.name && job.check.command == check.command)
                .map(|index| old.swap_remove(index));
            let job = match kept {
                Some(mut job) => {
                    job.schedule.set_times(check.interval, check.timeout, now);
                    job.counter.set_thresholds(check.rise, check.fall);
                    job.check = check;
                    job
                }
                None => {
                    let job = Job::new(check, now);
                    if job.counter.verdict() != Verdict::Unknown {
                        (self.report)(&job.check.name, job.counter.verdict());
                    }
                    job
                }
            };
            self.jobs.push(job);
        }
        let gone: Vec<u64> = old.iter().filter_map(|job| job.run).collect();
        self.children.signal(Signal::KILL, |run| gone.contains(run));
    }

    fn advance(&mut self, index: usize) {
        let now = Instant::now();
        while let Some(job) = self.jobs.get_mut(index)
            && let Some(action) = job.schedule.handle_timeout(now)
        {
            let name = job.check.name.as_str();
            match action {
                ScriptAction::Start => self.begin(index, now),
                ScriptAction::Skip => {
                    tracing::warn!(script = name, "still running at its next turn, which is left out");
                }
                ScriptAction::Terminate => {
                    tracing::warn!(script = name, timeout = ?job.check.timeout, "took too long: terminated");
                    let run = job.run;
                    self.children.signal(Signal::TERM, |key| Some(*key) == run);
                }
                ScriptAction::Kill => {
                    tracing::warn!(script = name, "did not end when asked: killed");
                    let run = job.run;
                    self.children.signal(Signal::KILL, |key| Some(*key) == run);
                }
            }
        }
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let Some(job) = self.jobs.get_mut(index) else {
            return;
        };
        match job.check.command.spawn(&[]) {
            Ok(child) => {
                job.run = Some(self.next_run);
                job.schedule.started(now);
                self.children.insert(self.next_run, child);
                self.next_run += 1;
            }
            Err(error) if is_shortage(&error) => {
                // Says nothing about what the script would have found.
                tracing::error!(script = job.check.name, %error, "could not be started: this turn is left out");
            }
            Err(error) => {
                tracing::error!(script = job.check.name, command = %job.check.command, %error, "could not be started: counted as failed");
                self.count(index, false);
            }
        }
    }

    fn ended(&mut self, run: u64, success: bool) {
        let Some(index) = self.jobs.iter().position(|job| job.run == Some(run)) else {
            return;
        };
        if let Some(job) = self.jobs.get_mut(index) {
            job.run = None;
            job.schedule.ended();
        }
        self.count(index, success);
    }

    fn count(&mut self, index: usize, success: bool) {
        if let Some(job) = self.jobs.get_mut(index)
            && let Some(verdict) = job.counter.record(success)
        {
            tracing::info!(script = job.check.name, ?verdict, "script changed");
            (self.report)(&job.check.name, verdict);
        }
    }

    /// Kills what runs and waits for it, so that nothing is left behind as a zombie.
    fn stop(mut self) {
        self.children.signal(Signal::KILL, |_| true);
        let deadline = Instant::now() + STOP_LIMIT;
        while !self.children.is_empty() && Instant::now() < deadline {
            self.children.wait(&self.inbox.waker, Some(deadline));
            self.children.reap();
        }
    }
}

impl Job {
    fn new(check: ScriptCheck, now: Instant) -> Self {
        Self {
            schedule: ScriptSchedule::new(check.interval, check.timeout, now),
            counter: ScriptCounter::new(check.rise, check.fall, check.init_fail),
            run: None,
            check,
        }
    }
}

/// Whether this host, not the script, is what failed.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)
    )
}

/// What killed processes are given to disappear when the tracker stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn check(name: &str, command: &str) -> ScriptCheck {
        ScriptCheck {
            name: name.to_owned(),
            command: CommandLine::new(["/bin/sh", "-c", command]).unwrap(),
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(60),
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN,
            init_fail: false,
        }
    }

    fn tracker() -> (ScriptTracker, Receiver<(String, Verdict)>) {
        let (sender, receiver) = channel();
        let tracker = ScriptTracker::start(move |name, verdict| {
            let _ = sender.send((name.to_owned(), verdict));
        })
        .unwrap();
        (tracker, receiver)
    }

    #[test]
    fn reports_verdicts_and_their_changes() {
        let directory = std::env::temp_dir().join(format!("ha-stack-script-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let switch = directory.join("down");
        let (tracker, receiver) = tracker();
        tracker.set_scripts(vec![check(
            "chk_down",
            &format!("test ! -e {}", switch.display()),
        )]);
        assert_eq!(receiver.recv().unwrap(), ("chk_down".to_owned(), Verdict::Up));
        std::fs::write(&switch, "").unwrap();
        assert_eq!(receiver.recv().unwrap(), ("chk_down".to_owned(), Verdict::Down));
        std::fs::remove_file(&switch).unwrap();
        assert_eq!(receiver.recv().unwrap(), ("chk_down".to_owned(), Verdict::Up));
        drop(tracker);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_script_that_hangs_is_counted_as_failed_and_delays_no_other() {
        let (tracker, receiver) = tracker();
        let mut hanging = check("hanging", "sleep 1000 & wait");
        hanging.timeout = Duration::from_millis(50);
        // The hanging one never reports before the other does, whose verdict comes from a plain run.
        let mut endless = check("endless", "sleep 1000");
        endless.timeout = Duration::from_secs(1000);
        tracker.set_scripts(vec![endless, hanging, check("plain", "true")]);
        let mut seen: Vec<(String, Verdict)> = (0..2).map(|_| receiver.recv().unwrap()).collect();
        seen.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(
            seen,
            [
                ("hanging".to_owned(), Verdict::Down),
                ("plain".to_owned(), Verdict::Up)
            ]
        );
    }

    #[test]
    fn a_script_that_cannot_be_started_has_failed() {
        let (tracker, receiver) = tracker();
        let mut missing = check("missing", "");
        missing.command = CommandLine::new(["/nonexistent/script"]).unwrap();
        tracker.set_scripts(vec![missing]);
        assert_eq!(receiver.recv().unwrap(), ("missing".to_owned(), Verdict::Down));
    }

    #[test]
    fn init_fail_is_reported_before_any_run() {
        let (tracker, receiver) = tracker();
        let mut slow = check("slow", "sleep 1000");
        slow.init_fail = true;
        tracker.set_scripts(vec![slow]);
        assert_eq!(receiver.recv().unwrap(), ("slow".to_owned(), Verdict::Down));
    }

    #[test]
    fn a_script_that_stays_keeps_its_verdict_and_a_new_command_starts_afresh() {
        let (tracker, receiver) = tracker();
        tracker.set_scripts(vec![check("one", "true")]);
        assert_eq!(receiver.recv().unwrap().1, Verdict::Up);
        let mut same = check("one", "true");
        same.interval = Duration::from_millis(10);
        tracker.set_scripts(vec![same, check("two", "false")]);
        assert_eq!(receiver.recv().unwrap(), ("two".to_owned(), Verdict::Down));
        tracker.set_scripts(vec![check("one", "exit 0")]);
        assert_eq!(receiver.recv().unwrap(), ("one".to_owned(), Verdict::Up));
    }
}
