//! How the process runs: its network namespace, and the processors and the time that a thread gets.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity};

use crate::error::Error;
#[cfg(feature = "balance")]
use crate::plan::Scheduling;

/// Moves the calling thread into a network namespace that `ip netns add` made. Threads and programs that it starts
/// afterwards run there too, and sockets belong to the namespace in which they were opened: so this comes first.
///
/// # Errors
/// [`Error::File`] if there is no namespace of this name or without `CAP_SYS_ADMIN`.
pub fn enter_network_namespace(name: &str) -> Result<(), Error> {
    // A name is a name, not a path to somewhere else.
    let file_name = Path::new(name).file_name().unwrap_or_default();
    let path = Path::new(NAMESPACES).join(file_name);
    let entered = File::open(&path).and_then(|namespace| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    });
    entered.map_err(|source| Error::File { path, source })
}

/// Keeps the calling thread on these processors; none means all.
///
/// # Errors
/// [`Error::System`] if there is none of them.
pub fn run_on_processors(processors: &[usize]) -> Result<(), Error> {
    if processors.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for processor in processors.iter().filter(|number| **number < CpuSet::MAX_CPU) {
        set.set(*processor);
    }
    sched_setaffinity(None, &set).map_err(|error| Error::System {
        what: "cannot keep a thread on these processors",
        source: error.into(),
    })
}

/// Sets how nice the calling thread is to others, -20 to 19. Without real-time priority the kernel goes by this.
///
/// # Errors
/// [`Error::System`] where that is not allowed.
pub fn set_niceness(niceness: i8) -> Result<(), Error> {
    setpriority_process(None, niceness.into()).map_err(|error| Error::System {
        what: "cannot set how nice a thread is",
        source: error.into(),
    })
}

/// Sets what new files of this process do not allow: `umask`.
pub fn set_file_mask(mask: u32) {
    rustix::process::umask(Mode::from_raw_mode(mask & 0o777));
}

/// Names the calling thread; the kernel keeps 15 bytes.
///
/// # Errors
/// [`Error::File`] if the kernel does not take it.
pub fn name_thread(name: &str) -> Result<(), Error> {
    let path = Path::new("/proc/thread-self/comm");
    std::fs::write(path, name).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// Schedules the calling thread, one that checks servers. What it starts runs on the same processors and is as nice, but
/// has no real-time priority: scripts are programs like others.
#[cfg(feature = "balance")]
pub(crate) fn schedule_checks(scheduling: &Scheduling) {
    if let Err(error) = run_on_processors(&scheduling.processors) {
        tracing::warn!(%error, "health checks run on any processor");
    }
    if let Some(niceness) = scheduling.niceness
        && let Err(error) = set_niceness(niceness)
    {
        tracing::warn!(%error, "health checks are as nice as any other program");
    }
    if let Some(priority) = scheduling.realtime_priority
        && let Err(source) = crate::sys::set_own_realtime(priority)
    {
        tracing::warn!(error = %source, "health checks run without real-time priority");
    }
}

/// Bounds how long a thread of this process may run with real-time priority without ever waiting. The kernel then ends the
/// process, so that a thread that is caught in a loop does not take a processor for ever.
///
/// # Errors
/// [`Error::System`] where there is a lower bound already.
pub fn limit_realtime(longest: Duration) -> Result<(), Error> {
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(micros),
        maximum: Some(micros),
    };
    setrlimit(Resource::Rttime, limit).map_err(|error| Error::System {
        what: "cannot bound the time that threads run",
        source: error.into(),
    })
}

const NAMESPACES: &str = "/run/netns";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let error = enter_network_namespace("no-such-namespace").unwrap_err();
        assert!(
            error.to_string().starts_with("/run/netns/no-such-namespace: "),
            "{error}"
        );
        let error = enter_network_namespace("../../proc/1/ns/net").unwrap_err();
        assert!(error.to_string().starts_with("/run/netns/net: "), "{error}");
    }

    #[test]
    fn a_thread_can_be_nicer() {
        std::thread::spawn(|| {
            set_niceness(7).unwrap();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The 19th field, behind the name, which ends in the last parenthesis.
            let rest = stat.rsplit_once(") ").unwrap().1;
            assert_eq!(rest.split(' ').nth(16), Some("7"));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_stays_on_the_processors_that_there_are() {
        std::thread::spawn(|| {
            let own = rustix::thread::sched_getaffinity(None).unwrap();
            let first = (0..CpuSet::MAX_CPU).find(|number| own.is_set(*number)).unwrap();
            run_on_processors(&[first]).unwrap();
            assert_eq!(rustix::thread::sched_getaffinity(None).unwrap().count(), 1);
            run_on_processors(&[]).unwrap();
            let error = run_on_processors(&[CpuSet::MAX_CPU - 1]).unwrap_err();
            assert!(error.to_string().contains("processors"), "{error}");
        })
        .join()
        .unwrap();
    }
}
