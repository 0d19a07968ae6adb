//! A program to start, and as whom.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::Error;
use crate::sys;

/// A program with its arguments and the user it runs as.
///
/// It is started as keepalived starts its scripts: in a process group of its own, with standard input and output on
/// `/dev/null`, without `IFS`, `LD_PRELOAD` and `LD_LIBRARY_PATH` in its environment, and told to terminate when the
/// thread that started it ends.
///
/// Cheap to clone, and as small as a pointer: a virtual router may have nine of them, and has none most of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(Arc<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    program: String,
    arguments: Vec<String>,
    credentials: Option<Credentials>,
}

impl CommandLine {
    /// The program is the first word; a name without a slash is looked up on the search path when it is started.
    ///
    /// # Errors
    /// [`Error::EmptyCommand`] if there is no first word, or an empty one.
    pub fn new<I>(words: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut words = words.into_iter().map(Into::into);
        let program = words
            .next()
            .filter(|word: &String| !word.is_empty())
            .ok_or(Error::EmptyCommand)?;
        Ok(Self(Arc::new(Line {
            program,
            arguments: words.collect(),
            credentials: None,
        })))
    }

    /// Runs it as somebody else, which only root may.
    #[must_use]
    pub fn run_as(mut self, credentials: Credentials) -> Self {
        Arc::make_mut(&mut self.0).credentials = Some(credentials);
        self
    }

    /// One more argument at the end.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).arguments.push(argument.into());
        self
    }

    /// The first word.
    pub fn program(&self) -> &str {
        &self.0.program
    }

    /// The words after the first.
    pub fn arguments(&self) -> &[String] {
        &self.0.arguments
    }

    /// Whom it runs as, if not as whoever starts it.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.0.credentials.as_ref()
    }

    /// Starts it, with `more` arguments at the end.
    ///
    /// The call returns when the program has been loaded, so from a file system that hangs it takes as long as that.
    /// It must not be made on the thread of the election.
    ///
    /// # Errors
    /// What the kernel said to fork, to the change of user or to exec.
    pub fn spawn(&self, more: &[&str]) -> io::Result<Child> {
        let mut command = Command::new(&self.0.program);
        command
            .args(&self.0.arguments)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        for name in SCRUBBED {
            command.env_remove(name);
        }
        let identity = self.0.credentials.as_ref().map(Credentials::identity);
        sys::prepare_child(&mut command, identity);
        command.spawn()
    }
}

impl CommandLine {
    /// Runs it and waits for its end, `limit` long: then it and what it started is asked to end, and killed two seconds later.
    /// `None` if it had to be.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn run(&self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let mut child = self.spawn(&[])?;
        let group = Pid::from_child(&child);
        for (patience, signal) in [(limit, Signal::TERM), (GRACE, Signal::KILL)] {
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                if let Some(status) = child.try_wait()? {
                    return Ok((signal == Signal::TERM).then_some(status));
                }
                std::thread::sleep(PAUSE);
            }
            // It may have ended just now.
            let _ = kill_process_group(group, signal);
        }
        child.wait()?;
        Ok(None)
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.program)?;
        self.0
            .arguments
            .iter()
            .try_for_each(|argument| write!(formatter, " {argument}"))
    }
}

/// A user, a group and the user's other groups, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl Credentials {
    /// Looks up `user` and, where given, `group` in the system's databases; without `group` it is the user's own.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::UnknownGroup`], or [`Error::System`] if the databases cannot be read.
    pub fn look_up(user: &str, group: Option<&str>) -> Result<Self, Error> {
        let (user_number, own_group) = sys::user_by_name(user)
            .map_err(Error::system("cannot read the user database"))?
            .ok_or(Error::UnknownUser)?;
        let group_number = match group {
            None => own_group,
            Some(name) => sys::group_by_name(name)
                .map_err(Error::system("cannot read the group database"))?
                .ok_or(Error::UnknownGroup)?,
        };
        Ok(Self {
            user: user_number,
            group: group_number,
            groups: sys::groups_of(user, group_number),
        })
    }

    /// The user's number.
    pub fn user(&self) -> u32 {
        self.user
    }

    /// The group's number.
    pub fn group(&self) -> u32 {
        self.group
    }

    fn identity(&self) -> sys::Identity<'_> {
        sys::Identity {
            user: self.user,
            group: self.group,
            groups: &self.groups,
        }
    }
}

/// How long something that was asked to end has left.
const GRACE: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_millis(10);

/// What keepalived takes out of a script's environment.
const SCRUBBED: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_needs_a_first_word() {
        assert!(matches!(
            CommandLine::new(Vec::<String>::new()),
            Err(Error::EmptyCommand)
        ));
        assert!(matches!(CommandLine::new([""]), Err(Error::EmptyCommand)));
    }

    #[test]
    fn the_arguments_arrive_as_words_and_in_order() {
        let command = CommandLine::new(["/bin/sh", "-c", r#"test "$1,$2" = "a b,c""#, "sh"]).unwrap();
        let status = command.spawn(&["a b", "c"]).unwrap().wait().unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_child_leads_its_own_process_group() {
        let command =
            CommandLine::new(["/bin/sh", "-c", r#"test "$(ps -o pgid= -p $$ | tr -d ' ')" = $$"#]).unwrap();
        assert!(command.spawn(&[]).unwrap().wait().unwrap().success());
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let command = CommandLine::new(["/bin/sh", "-c", "exit 7"]).unwrap();
        let status = command.run(Duration::from_secs(60)).unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(7));
        // It does not listen, and what it has started ends with it.
        let command = CommandLine::new(["/bin/sh", "-c", "trap '' TERM; sleep 1000"]).unwrap();
        assert_eq!(command.run(Duration::from_millis(50)).unwrap(), None);
    }

    #[test]
    fn a_program_that_is_missing_is_an_error_at_once() {
        let command = CommandLine::new(["/nonexistent/program"]).unwrap();
        assert_eq!(command.spawn(&[]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn users_and_groups_are_looked_up() {
        let root = Credentials::look_up("root", None).unwrap();
        assert_eq!((root.user(), root.group()), (0, 0));
        assert!(root.groups.contains(&0));
        assert!(matches!(
            Credentials::look_up("no-such-user", None),
            Err(Error::UnknownUser)
        ));
        assert!(matches!(
            Credentials::look_up("root", Some("no-such-group")),
            Err(Error::UnknownGroup)
        ));
        assert!(matches!(
            Credentials::look_up("zero\0byte", None),
            Err(Error::UnknownUser)
        ));
    }

    #[test]
    fn it_is_shown_as_it_was_written() {
        let command = CommandLine::new(["killall", "-0"])
            .unwrap()
            .with_argument("httpd");
        assert_eq!(command.to_string(), "killall -0 httpd");
    }
}
