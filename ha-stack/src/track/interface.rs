//! Interfaces that have to be up and have carrier.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::error::Error;
use crate::sys;
use crate::track::Verdict;
use crate::track::worker::{Inbox, Watch, Worker};

/// A thread that watches interfaces by name, those included that do not exist yet.
///
/// The kernel tells of each change; the state is then read afresh, so a lost message costs a few seconds at most.
/// Dropping the tracker ends the thread.
pub struct InterfaceTracker {
    worker: Worker<String>,
}

impl InterfaceTracker {
    /// Starts the thread, which calls `report` with the name and the verdict of each interface once at first and then
    /// whenever it changes.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel gives no socket or no thread.
    pub fn start(report: impl FnMut(&str, Verdict) + Send + 'static) -> Result<Self, Error> {
        let socket = open().map_err(Error::system("cannot listen for changes of interfaces"))?;
        let worker = Worker::start("interfaces", move |inbox| {
            let watcher = Watcher {
                inbox,
                socket,
                interfaces: Vec::new(),
                report,
            };
            watcher.run();
        })?;
        Ok(Self { worker })
    }

    /// Replaces the interfaces. One that stays keeps its verdict.
    pub fn set_interfaces(&self, names: Vec<String>) {
        self.worker.watch(names);
    }
}

impl Watch for InterfaceTracker {
    fn has_moved(&self) -> bool {
        self.worker.has_moved()
    }

    fn abandon(self) {
        self.worker.abandon();
    }
}

impl fmt::Debug for InterfaceTracker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InterfaceTracker").finish_non_exhaustive()
    }
}

struct Watcher<F> {
    inbox: Arc<Inbox<String>>,
    socket: OwnedFd,
    interfaces: Vec<(String, Verdict)>,
    report: F,
}

impl<F: FnMut(&str, Verdict)> Watcher<F> {
    fn run(mut self) {
        loop {
            let orders = self.inbox.take();
            if orders.stop {
                return;
            }
            if let Some(names) = orders.wanted {
                let old = std::mem::take(&mut self.interfaces);
                self.interfaces = names
                    .into_iter()
                    .map(|name| {
                        let known = old.iter().find(|(known, _)| *known == name);
                        let verdict = known.map_or(Verdict::Unknown, |(_, verdict)| *verdict);
                        (name, verdict)
                    })
                    .collect();
            }
            for (name, known) in &mut self.interfaces {
                let verdict = match sys::is_interface_running(name) {
                    Ok(true) => Verdict::Up,
                    Ok(false) => Verdict::Down,
                    Err(error) => {
                        tracing::warn!(interface = name, %error, "cannot read the state of an interface");
                        continue;
                    }
                };
                if *known != verdict {
                    tracing::info!(interface = name, ?verdict, "tracked interface changed");
                    *known = verdict;
                    (self.report)(name, verdict);
                }
            }
            self.wait();
        }
    }

    fn wait(&self) {
        let timeout = match self.interfaces.is_empty() {
            true => None,
            false => Timespec::try_from(LOOK_AGAIN).ok(),
        };
        let mut descriptors = [
            self.inbox.waker.poll_descriptor(),
            PollFd::new(&self.socket, PollFlags::IN),
        ];
        if poll(&mut descriptors, timeout.as_ref()).is_err() {
            std::thread::yield_now();
        }
        self.inbox.waker.clear();
        // What the messages say is read from the interfaces; an overrun only says that there were many.
        let mut buffer = [0_u8; 4096];
        while matches!(
            recv(&self.socket, &mut buffer, RecvFlags::empty()),
            Ok(_) | Err(rustix::io::Errno::NOBUFS)
        ) {}
    }
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        // NETLINK_ROUTE is number 0.
        None,
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, LINK_GROUP))?;
    Ok(socket)
}

/// The bit of `RTNLGRP_LINK`, which is group 1.
const LINK_GROUP: u32 = 1;

/// Messages can be lost when there are too many.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn an_interface_that_does_not_exist_is_down() {
        let (sender, receiver) = channel();
        let tracker = InterfaceTracker::start(move |name, verdict| {
            let _ = sender.send((name.to_owned(), verdict));
        })
        .unwrap();
        for name in [
            "no-such-one",
            "a-name-that-is-longer-than-any-interface-s",
            "zero\0byte",
        ] {
            tracker.set_interfaces(vec![name.to_owned()]);
            assert_eq!(receiver.recv().unwrap(), (name.to_owned(), Verdict::Down));
        }
    }
}
