//! Processes that have to run, or must not.

use std::fmt;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Error;
use crate::track::Verdict;
use crate::track::worker::{Inbox, Watch, Worker};

/// A number of processes that has to run: `vrrp_track_process`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedProcess {
    /// The name of the block.
    pub name: String,
    /// Which processes count.
    pub pattern: ProcessPattern,
    /// How many have to run for it to be good: `quorum` to `quorum_max`.
    pub quorum: RangeInclusive<usize>,
    /// How long the number has to be right before that counts: `fork_delay`.
    pub up_delay: Duration,
    /// How long the number has to be wrong before that counts: `terminate_delay`.
    pub down_delay: Duration,
}

/// Which processes count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessPattern {
    /// Those whose short name, the first 15 bytes of the program's, is this one.
    Name(String),
    /// Those whose first words are these: the program, as it was called, and its arguments.
    Command {
        /// The program, with or without its directories, then the arguments.
        words: Vec<String>,
        /// How the arguments have to agree.
        arguments: ArgumentMatch,
    },
}

/// How the arguments of a process have to agree with the configured ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentMatch {
    /// All of them, and no more.
    #[default]
    Exact,
    /// The first ones: `param_match initial`.
    Initial,
    /// The first ones, and of the last configured one only its beginning: `param_match partial`.
    Partial,
}

impl ProcessPattern {
    /// Whether a process of this short name, called with these words, counts.
    pub fn matches(&self, short_name: &str, called: &[&str]) -> bool {
        match self {
            Self::Name(name) => shortened(name) == short_name,
            Self::Command { words, arguments } => {
                let (Some((program, wanted)), Some((called_program, given))) =
                    (words.split_first(), called.split_first())
                else {
                    return false;
                };
                let same_program = match program.contains('/') {
                    true => program == called_program,
                    false => called_program.rsplit('/').next() == Some(program),
                };
                same_program
                    && match arguments {
                        ArgumentMatch::Exact => wanted == given,
                        ArgumentMatch::Initial => {
                            given.len() >= wanted.len()
                                && wanted.iter().zip(given).all(|(left, right)| left == right)
                        }
                        ArgumentMatch::Partial => match wanted.split_last() {
                            None => true,
                            Some((last, before)) => {
                                given.len() >= wanted.len()
                                    && before.iter().zip(given).all(|(left, right)| left == right)
                                    && given
                                        .get(before.len())
                                        .is_some_and(|argument| argument.starts_with(last.as_str()))
                            }
                        },
                    }
            }
        }
    }
}

/// A thread that counts processes and reports whether their number is right.
///
/// The end of a process that counts is noticed at once, a new one within half a second. Neither needs a privilege, and
/// both see the processes of the PID namespace this runs in. Dropping the tracker ends the thread.
pub struct ProcessTracker {
    worker: Worker<TrackedProcess>,
}

impl ProcessTracker {
    /// Starts the thread, which calls `report` with the name and the verdict of each object once at first and then
    /// whenever it changes.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel gives no descriptor or no thread.
    pub fn start(report: impl FnMut(&str, Verdict) + Send + 'static) -> Result<Self, Error> {
        let worker = Worker::start("processes", move |inbox| {
            let watcher = Watcher {
                inbox,
                jobs: Vec::new(),
                alive: Vec::new(),
                report,
            };
            watcher.run();
        })?;
        Ok(Self { worker })
    }

    /// Replaces the objects. One that is the same as before keeps its verdict.
    pub fn set_processes(&self, processes: Vec<TrackedProcess>) {
        self.worker.watch(processes);
    }
}

impl Watch for ProcessTracker {
    fn has_moved(&self) -> bool {
        self.worker.has_moved()
    }

    fn abandon(self) {
        self.worker.abandon();
    }
}

impl fmt::Debug for ProcessTracker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProcessTracker").finish_non_exhaustive()
    }
}

/// One object with the delays of its verdict: a pure function of counts and time.
struct Job {
    process: TrackedProcess,
    verdict: Verdict,
    /// Since when the number says something else than the verdict.
    contrary_since: Option<Instant>,
}

impl Job {
    fn new(process: TrackedProcess) -> Self {
        Self {
            process,
            verdict: Verdict::Unknown,
            contrary_since: None,
        }
    }

    fn handle_count(&mut self, count: usize, now: Instant) -> Option<Verdict> {
        let seen = match self.process.quorum.contains(&count) {
            true => Verdict::Up,
            false => Verdict::Down,
        };
        if seen == self.verdict {
            self.contrary_since = None;
            return None;
        }
        let since = *self.contrary_since.get_or_insert(now);
        // The first count of all decides alone, as the first result of a script does.
        let settled = self.verdict == Verdict::Unknown || now >= since + self.delay();
        settled.then(|| {
            self.contrary_since = None;
            self.verdict = seen;
            seen
        })
    }

    fn delay(&self) -> Duration {
        match self.verdict {
            Verdict::Up => self.process.down_delay,
            Verdict::Down | Verdict::Unknown => self.process.up_delay,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.contrary_since? + self.delay())
    }
}

struct Watcher<F> {
    inbox: Arc<Inbox<TrackedProcess>>,
    jobs: Vec<Job>,
    /// A descriptor for each process that counts; it becomes readable when the process ends.
    alive: Vec<(u32, OwnedFd)>,
    report: F,
}

impl<F: FnMut(&str, Verdict)> Watcher<F> {
    fn run(mut self) {
        loop {
            let orders = self.inbox.take();
            if orders.stop {
                return;
            }
            if let Some(processes) = orders.wanted {
                let mut old = std::mem::take(&mut self.jobs);
                self.jobs = processes
                    .into_iter()
                    .map(
                        |process| match old.iter().position(|job| job.process == process) {
                            Some(index) => old.swap_remove(index),
                            None => Job::new(process),
                        },
                    )
                    .collect();
            }
            if !self.jobs.is_empty() {
                self.count();
            }
            self.wait();
        }
    }

    fn count(&mut self) {
        let processes = read_processes(Path::new("/proc"));
        let mut counting = Vec::new();
        let now = Instant::now();
        for job in &mut self.jobs {
            let mut count = 0;
            for process in &processes {
                let words: Vec<&str> = process.words.iter().map(String::as_str).collect();
                if job.process.pattern.matches(&process.short_name, &words) {
                    count += 1;
                    counting.push(process.number);
                }
            }
            if let Some(verdict) = job.handle_count(count, now) {
                tracing::info!(
                    process = job.process.name,
                    count,
                    ?verdict,
                    "tracked process changed"
                );
                (self.report)(&job.process.name, verdict);
            }
        }
        self.alive.retain(|(number, _)| counting.contains(number));
        for number in counting {
            if self.alive.len() < MOST_DESCRIPTORS
                && !self.alive.iter().any(|(known, _)| *known == number)
                && let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw)
                && let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
            {
                self.alive.push((number, descriptor));
            }
        }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        let timeout = match self.jobs.is_empty() {
            true => None,
            false => {
                let settled = self.jobs.iter().filter_map(Job::poll_timeout).min();
                let settled = settled.map(|deadline| deadline.saturating_duration_since(now));
                Some(settled.map_or(INTERVAL, |settled| settled.min(INTERVAL)))
            }
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut descriptors: Vec<PollFd<'_>> = Vec::with_capacity(self.alive.len() + 1);
        descriptors.push(self.inbox.waker.poll_descriptor());
        descriptors.extend(
            self.alive
                .iter()
                .map(|(_, descriptor)| PollFd::new(descriptor, PollFlags::IN)),
        );
        if poll(&mut descriptors, timeout.as_ref()).is_err() {
            std::thread::yield_now();
        }
        let mut ended = descriptors
            .iter()
            .skip(1)
            .map(|descriptor| !descriptor.revents().is_empty());
        let ended: Vec<bool> = ended.by_ref().collect();
        drop(descriptors);
        self.inbox.waker.clear();
        let mut ended = ended.into_iter();
        self.alive.retain(|_| !ended.next().unwrap_or(false));
    }
}

struct Process {
    number: u32,
    short_name: String,
    words: Vec<String>,
}

/// Every process that has not ended. One that ends while this reads is left out.
fn read_processes(root: &Path) -> Vec<Process> {
    let Ok(directory) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    directory
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path();
            let stat = std::fs::read(path.join("stat")).ok()?;
            let stat = String::from_utf8_lossy(&stat);
            let (head, tail) = stat.rsplit_once(')')?;
            // A zombie has ended; it only has not been collected.
            if tail.trim_start().starts_with(['Z', 'X']) {
                return None;
            }
            let short_name = head.split_once('(')?.1.to_owned();
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let words = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect::<Vec<_>>();
            let length = words.len().saturating_sub(usize::from(line.ends_with(&[0])));
            Some(Process {
                number,
                short_name,
                words: words.into_iter().take(length).collect(),
            })
        })
        .collect()
}

/// The kernel keeps 15 bytes of a program's name.
fn shortened(name: &str) -> &str {
    let end = (0..=name.len().min(15))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    name.get(..end.unwrap_or(0)).unwrap_or(name)
}

/// How often processes are counted when nothing is heard of any.
const INTERVAL: Duration = Duration::from_millis(500);

/// The ends of processes beyond so many are noticed by counting.
const MOST_DESCRIPTORS: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::command::CommandLine;

    #[test]
    fn names_are_compared_as_the_kernel_keeps_them() {
        let pattern = ProcessPattern::Name("a-very-long-program-name".to_owned());
        assert!(pattern.matches("a-very-long-pro", &["/usr/bin/x"]));
        assert!(!pattern.matches("a-very-long-pr", &["/usr/bin/x"]));
    }

    #[test]
    fn commands_agree_exactly_at_first_or_in_part() {
        let pattern = |arguments| ProcessPattern::Command {
            words: vec!["haproxy".to_owned(), "-f".to_owned(), "/etc/ha".to_owned()],
            arguments,
        };
        for (called, exact, initial, partial) in [
            (&["/usr/sbin/haproxy", "-f", "/etc/ha"][..], true, true, true),
            (&["haproxy", "-f", "/etc/ha", "-D"], false, true, true),
            (&["haproxy", "-f", "/etc/haproxy.cfg"], false, false, true),
            (&["haproxy", "-f"], false, false, false),
            (&["other", "-f", "/etc/ha"], false, false, false),
            (&[], false, false, false),
        ] {
            assert_eq!(
                pattern(ArgumentMatch::Exact).matches("x", called),
                exact,
                "{called:?}"
            );
            assert_eq!(
                pattern(ArgumentMatch::Initial).matches("x", called),
                initial,
                "{called:?}"
            );
            assert_eq!(
                pattern(ArgumentMatch::Partial).matches("x", called),
                partial,
                "{called:?}"
            );
        }
        let pattern = ProcessPattern::Command {
            words: vec!["/usr/sbin/haproxy".to_owned()],
            arguments: ArgumentMatch::Initial,
        };
        assert!(pattern.matches("x", &["/usr/sbin/haproxy", "-D"]));
        assert!(!pattern.matches("x", &["haproxy", "-D"]));
    }

    fn tracked(pattern: ProcessPattern) -> TrackedProcess {
        TrackedProcess {
            name: "it".to_owned(),
            pattern,
            quorum: 1..=usize::MAX,
            up_delay: Duration::from_secs(2),
            down_delay: Duration::from_secs(3),
        }
    }

    #[test]
    fn the_first_count_decides_and_later_ones_wait_for_their_delay() {
        let zero = Instant::now();
        let at = |second| zero + Duration::from_secs(second);
        let mut job = Job::new(tracked(ProcessPattern::Name(String::new())));
        assert_eq!(job.handle_count(1, at(0)), Some(Verdict::Up));
        assert_eq!(job.handle_count(0, at(1)), None);
        assert_eq!(job.poll_timeout(), Some(at(4)));
        assert_eq!(job.handle_count(1, at(2)), None, "back in time");
        assert_eq!(job.handle_count(0, at(5)), None);
        assert_eq!(job.handle_count(0, at(8)), Some(Verdict::Down));
        assert_eq!(job.handle_count(1, at(9)), None);
        assert_eq!(job.handle_count(1, at(11)), Some(Verdict::Up));
        assert_eq!(job.poll_timeout(), None);
    }

    #[test]
    fn too_many_are_as_bad_as_too_few() {
        let zero = Instant::now();
        let mut process = tracked(ProcessPattern::Name(String::new()));
        process.quorum = 1..=2;
        for (count, verdict) in [
            (0, Verdict::Down),
            (1, Verdict::Up),
            (2, Verdict::Up),
            (3, Verdict::Down),
        ] {
            assert_eq!(Job::new(process.clone()).handle_count(count, zero), Some(verdict));
        }
    }

    #[test]
    fn a_process_that_comes_and_goes_is_noticed() {
        let (sender, receiver) = channel();
        let tracker = ProcessTracker::start(move |_, verdict| {
            let _ = sender.send(verdict);
        })
        .unwrap();
        let mark = format!("{}.987", std::process::id());
        let words = vec!["sleep".to_owned(), mark.clone()];
        let mut process = tracked(ProcessPattern::Command {
            words: words.clone(),
            arguments: ArgumentMatch::Exact,
        });
        process.up_delay = Duration::ZERO;
        process.down_delay = Duration::ZERO;
        tracker.set_processes(vec![process]);
        assert_eq!(receiver.recv().unwrap(), Verdict::Down);
        let mut child = CommandLine::new(words).unwrap().spawn(&[]).unwrap();
        assert_eq!(receiver.recv().unwrap(), Verdict::Up);
        child.kill().unwrap();
        // Not collected yet: a zombie counts as ended.
        assert_eq!(receiver.recv().unwrap(), Verdict::Down);
        child.wait().unwrap();
    }
}
