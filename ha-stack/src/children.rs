//! Running child processes, waited for by descriptor so that no signal handler is needed.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Children under a key each, and a way to sleep until one of them ends.
#[derive(Debug)]
pub(crate) struct Children<K> {
    running: Vec<Running<K>>,
}

#[derive(Debug)]
struct Running<K> {
    key: K,
    child: Child,
    /// Absent when descriptors have run out; the child is then asked at intervals.
    descriptor: Option<OwnedFd>,
}

impl<K> Children<K> {
    pub(crate) fn new() -> Self {
        Self { running: Vec::new() }
    }

    pub(crate) fn insert(&mut self, key: K, child: Child) {
        let descriptor = pid_of(&child).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        self.running.push(Running {
            key,
            child,
            descriptor,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Signals the process groups of the children under the keys that `which` picks.
    ///
    /// A child is only ever reaped by this object, so its number cannot have passed to somebody else.
    pub(crate) fn signal(&self, signal: Signal, mut which: impl FnMut(&K) -> bool) {
        for running in self.running.iter().filter(|running| which(&running.key)) {
            if let Some(pid) = pid_of(&running.child)
                && let Err(error) = kill_process_group(pid, signal)
            {
                tracing::debug!(pid = pid.as_raw_nonzero().get(), %error, "cannot signal a script");
            }
        }
    }

    /// Sleeps until a child ends, `waker` is woken or `deadline` comes.
    pub(crate) fn wait(&self, waker: &Waker, deadline: Option<Instant>) {
        let mut descriptors: Vec<PollFd<'_>> = Vec::with_capacity(self.running.len() + 1);
        descriptors.push(waker.poll_descriptor());
        let mut blind = false;
        for running in &self.running {
            match &running.descriptor {
                Some(descriptor) => descriptors.push(PollFd::new(descriptor, PollFlags::IN)),
                None => blind = true,
            }
        }
        let mut timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if blind {
            timeout = Some(timeout.map_or(BLIND_INTERVAL, |timeout| timeout.min(BLIND_INTERVAL)));
        }
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // An interrupted or failed sleep is a short one: every caller looks at the clock and at its children again.
        if poll(&mut descriptors, timeout.as_ref()).is_err() {
            std::thread::yield_now();
        }
        waker.clear();
    }

    /// Takes out the children that have ended.
    pub(crate) fn reap(&mut self) -> Vec<(K, ExitStatus)> {
        let mut ended = Vec::new();
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            match running.child.try_wait() {
                Ok(Some(status)) => ended.push((self.running.swap_remove(index).key, status)),
                Ok(None) => index += 1,
                Err(error) => {
                    // Somebody else in this process reaped it, and its status with it.
                    tracing::warn!(%error, "a script was waited for by another part of this program");
                    use std::os::unix::process::ExitStatusExt as _;
                    ended.push((self.running.swap_remove(index).key, ExitStatus::from_raw(0xff00)));
                }
            }
        }
        ended
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Ends another thread's [`Children::wait`].
#[derive(Debug)]
pub(crate) struct Waker {
    descriptor: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            descriptor: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    pub(crate) fn wake(&self) {
        // Full means that it is awake already.
        let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
    }

    /// For a sleep of the caller's own, to be followed by [`clear`](Self::clear).
    pub(crate) fn poll_descriptor(&self) -> PollFd<'_> {
        PollFd::new(&self.descriptor, PollFlags::IN)
    }

    pub(crate) fn clear(&self) {
        let _ = rustix::io::read(self.descriptor.as_fd(), &mut [0; 8]);
    }
}

/// How often children without a descriptor are asked.
const BLIND_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandLine;

    fn sleep_for_ever() -> Child {
        CommandLine::new(["/bin/sh", "-c", "sleep 1000 & wait"])
            .unwrap()
            .spawn(&[])
            .unwrap()
    }

    #[test]
    fn ended_children_come_back_under_their_key() {
        let waker = Waker::new().unwrap();
        let mut children = Children::new();
        children.insert("long", sleep_for_ever());
        children.insert("short", CommandLine::new(["true"]).unwrap().spawn(&[]).unwrap());
        let mut ended = children.reap();
        while ended.is_empty() {
            children.wait(&waker, None);
            ended = children.reap();
        }
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].0, "short");
        assert!(ended[0].1.success());

        children.signal(Signal::KILL, |key| *key == "long");
        while !children.is_empty() {
            children.wait(&waker, None);
            for (key, status) in children.reap() {
                assert_eq!(key, "long");
                assert!(!status.success());
            }
        }
    }

    #[test]
    fn a_waker_ends_the_wait_and_is_spent_by_it() {
        let waker = Waker::new().unwrap();
        let children: Children<()> = Children::new();
        waker.wake();
        waker.wake();
        children.wait(&waker, None);
        // Woken once for both: this one ends by its deadline.
        children.wait(&waker, Some(Instant::now()));
    }

    #[test]
    fn a_child_without_descriptor_is_reaped_all_the_same() {
        let waker = Waker::new().unwrap();
        let mut children = Children::new();
        children.running.push(Running {
            key: (),
            child: CommandLine::new(["true"]).unwrap().spawn(&[]).unwrap(),
            descriptor: None,
        });
        while children.reap().is_empty() {
            children.wait(&waker, None);
        }
    }
}
