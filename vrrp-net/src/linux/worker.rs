//! The thread that changes addresses, routes and interfaces and then announces.
//!
//! Every change takes the kernel's network configuration lock, which may be held by somebody else for seconds; the
//! election must not wait for it. Works are carried out in their order, and those that have gathered meanwhile go to
//! the kernel in one batch.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use netlink_batch::{Batch, Outcome, Protocol, Socket};

use super::announce::Announcer;
use super::filter::Filter;
use super::message;
use super::route;
use super::switches::Switches;
use super::sys;
use crate::Error;
use crate::host::{Change, HostEvent, Work};

/// The driver's side of the thread.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread, in the network namespace of the calling thread. `done` is signalled with each result.
    pub(crate) fn start(done: Arc<sys::Event>) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            results: Mutex::default(),
            done,
        });
        let hands = Hands {
            netlink: Socket::open(Protocol::ROUTE)?,
            batch: Batch::new(),
            announcer: Announcer::open()?,
            switches: Switches::default(),
            filter: Filter::default(),
        };
        let thread = std::thread::Builder::new()
            .name("vrrp-addresses".into())
            .stack_size(STACK)
            .spawn({
                let shared = Arc::clone(&shared);
                move || hands.run(&shared)
            })
            .map_err(Error::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn submit(&self, job: Job) {
        lock(&self.shared.queue).jobs.push_back(job);
        self.shared.changed.notify_one();
    }

    pub(crate) fn poll_event(&self) -> Option<HostEvent> {
        lock(&self.shared.results).pop_front()
    }
}

impl Drop for Worker {
    /// Lets the thread finish what was submitted, so that addresses given up are gone when this returns.
    fn drop(&mut self) {
        lock(&self.shared.queue).stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to do.
            let _ = thread.join();
        }
    }
}

/// Something for the thread to do.
#[derive(Debug)]
pub(crate) enum Job {
    Work(Work),
    /// Joins a socket to multicast groups: that takes the configuration lock too.
    Join {
        socket: socket2::Socket,
        interface: u32,
        groups: Vec<IpAddr>,
    },
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    results: Mutex<VecDeque<HostEvent>>,
    done: Arc<sys::Event>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stop: bool,
}

/// What the thread works with.
struct Hands {
    netlink: Socket,
    batch: Batch,
    announcer: Announcer,
    switches: Switches,
    filter: Filter,
}

impl Hands {
    fn run(mut self, shared: &Shared) {
        while let Some(jobs) = self.next_jobs(shared) {
            self.carry_out(jobs, shared);
            self.announcer.send_due();
        }
        self.switches.restore();
    }

    /// Waits for jobs and takes all that may go together; empty when only an announcement is due, `None` at the end.
    fn next_jobs(&mut self, shared: &Shared) -> Option<Vec<Job>> {
        let mut queue = lock(&shared.queue);
        loop {
            if !queue.jobs.is_empty() {
                return Some(take_together(&mut queue.jobs));
            }
            if queue.stop {
                return None;
            }
            match self.announcer.next_due() {
                None => {
                    queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                Some(wait) if wait > Duration::ZERO => {
                    (queue, _) = shared
                        .changed
                        .wait_timeout(queue, wait)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(_) => return Some(Vec::new()),
            }
        }
    }

    fn carry_out(&mut self, jobs: Vec<Job>, shared: &Shared) {
        let refused = self.refuse_first(&jobs);
        self.batch.clear();
        let mut results: Vec<(u64, Vec<(usize, i32)>)> = Vec::with_capacity(jobs.len());
        let mut sent: Vec<Sent> = Vec::new();
        let mut announcements = Vec::new();
        let mut joined = Vec::new();
        for job in jobs {
            match job {
                Job::Join {
                    socket,
                    interface,
                    groups,
                } => joined.extend(join(&socket, interface, &groups)),
                Job::Work(work) => {
                    let result = results.len();
                    results.push((work.ticket, Vec::new()));
                    for (place, change) in work.changes.iter().enumerate() {
                        if let Change::RemoveAddress { interface, address } = change {
                            self.announcer.forget(*interface, address.address());
                        }
                        match self.request(change) {
                            Step::Queued => sent.push(Sent {
                                result,
                                place,
                                fine: fine(change),
                            }),
                            Step::Done => {}
                            Step::Filtered => {
                                if let Some(errno) = refused.failed
                                    && let Some((_, failures)) = results.get_mut(result)
                                {
                                    failures.push((place, errno));
                                }
                            }
                            Step::Alone => {
                                self.flush(&mut sent, &mut results);
                                if let Err(error) = self.alone(change)
                                    && let Some((_, failures)) = results.get_mut(result)
                                {
                                    failures.push((place, error));
                                }
                            }
                        }
                    }
                    announcements.extend(work.announcements);
                }
            }
        }
        self.flush(&mut sent, &mut results);
        // An address that has gone needs no filter any more.
        if let Err(error) = self.filter.set(&refused.wanted) {
            tracing::warn!(%error, "cannot change the packet filter");
        }
        if !announcements.is_empty() {
            self.announcer.add(&announcements);
        }
        if !(results.is_empty() && joined.is_empty()) {
            let mut done = lock(&shared.results);
            done.extend(joined);
            for (ticket, failures) in results {
                done.push_back(HostEvent::Done { ticket, failures });
            }
            drop(done);
            shared.done.signal();
        }
    }

    /// Keeps packets from the addresses that are about to come, before they come.
    fn refuse_first(&mut self, jobs: &[Job]) -> Refused {
        let mut wanted = self.filter.refused().clone();
        let mut all = wanted.clone();
        for job in jobs {
            let Job::Work(work) = job else {
                continue;
            };
            for change in &work.changes {
                match change {
                    Change::RefusePackets { address } => {
                        wanted.insert(*address);
                        all.insert(*address);
                    }
                    Change::AcceptPackets { address } => {
                        wanted.remove(address);
                    }
                    _ => {}
                }
            }
        }
        match self.filter.set(&all) {
            Ok(()) => Refused { wanted, failed: None },
            Err(error) => Refused {
                wanted: self.filter.refused().clone(),
                failed: Some(error.raw_os_error().unwrap_or(libc::EIO)),
            },
        }
    }

    /// Puts a change into the batch, if it is one for the batch.
    fn request(&mut self, change: &Change) -> Step {
        let request = match change {
            Change::AddAddress {
                interface,
                address,
                lease,
                replace,
            } => message::add_address(*interface, address, lease.unwrap_or(message::FOREVER), *replace),
            Change::RemoveAddress { interface, address } => message::remove_address(*interface, address),
            Change::SetLinkUp { interface, up } => message::set_link_up(*interface, *up),
            Change::DeleteLink { interface } => message::delete_link(*interface),
            Change::AddRoute(route) => route::route(route, true, &sys::interface_index),
            Change::RemoveRoute(route) => route::route(route, false, &sys::interface_index),
            Change::AddRule(rule) => route::rule(rule, true),
            Change::RemoveRule(rule) => route::rule(rule, false),
            Change::RefusePackets { .. } => return Step::Filtered,
            Change::AcceptPackets { .. } => return Step::Done,
            Change::CreateVirtualLink { .. } => return Step::Alone,
            Change::SetSwitch {
                interface,
                switch,
                value,
            } => {
                // Nothing is sent to the kernel's netlink side, so the order against the batch does not matter.
                self.switches.set(*interface, *switch, *value);
                return Step::Done;
            }
        };
        request.push_to(&mut self.batch);
        Step::Queued
    }

    /// Sends the batch and files its failures.
    fn flush(&mut self, sent: &mut Vec<Sent>, results: &mut [(u64, Vec<(usize, i32)>)]) {
        if self.batch.is_empty() {
            return;
        }
        let report = self.netlink.run(&mut self.batch, |_, _| {});
        for (item, sent) in sent.drain(..).enumerate() {
            let errno = match &report {
                Ok(report) => match report.outcome(item) {
                    // Unconfirmed: carried out or refused, the watch will tell which.
                    Outcome::Done | Outcome::Unconfirmed | Outcome::Interrupted => continue,
                    Outcome::Failed(failure) if sent.fine.contains(&failure.errno.get()) => continue,
                    Outcome::Failed(failure) => failure.errno.get(),
                    _ => libc::EIO,
                },
                Err(_) => libc::EIO,
            };
            if let Some((_, failures)) = results.get_mut(sent.result) {
                failures.push((sent.place, errno));
            }
        }
        self.batch.clear();
    }

    /// Carries out a change that needs more than one request, each depending on the one before.
    fn alone(&mut self, change: &Change) -> Result<(), i32> {
        let Change::CreateVirtualLink { base, name, mac } = change else {
            return Ok(());
        };
        self.one(&message::create_macvlan(*base, name, *mac))?;
        let index = sys::interface_index(name);
        if index == 0 {
            return Err(libc::ENODEV);
        }
        self.one(&message::no_address_generation(index))?;
        self.switches.prepare_virtual_link(*base, index);
        Ok(())
    }

    fn one(&mut self, request: &message::Request) -> Result<(), i32> {
        self.batch.clear();
        request.push_to(&mut self.batch);
        let outcome = match self.netlink.run(&mut self.batch, |_, _| {}) {
            Ok(report) => match report.outcome(0) {
                Outcome::Done | Outcome::Unconfirmed => Ok(()),
                Outcome::Failed(failure) => Err(failure.errno.get()),
                _ => Err(libc::EIO),
            },
            Err(_) => Err(libc::EIO),
        };
        self.batch.clear();
        outcome
    }
}

/// A change on its way to the kernel.
struct Sent {
    /// Whose work, and where in it.
    result: usize,
    place: usize,
    /// The refusals that say that everything is as it should be.
    fine: &'static [i32],
}

/// What is there already need not be made, as a rule that a predecessor left or a route beside equal ones; what is gone need not be removed.
fn fine(change: &Change) -> &'static [i32] {
    match change {
        Change::AddRoute(_) | Change::AddRule(_) => &[libc::EEXIST],
        Change::RemoveAddress { .. }
        | Change::RemoveRoute(_)
        | Change::RemoveRule(_)
        | Change::DeleteLink { .. } => &[libc::ENOENT, libc::ESRCH, libc::ENODEV, libc::EADDRNOTAVAIL],
        _ => &[],
    }
}

/// How a change is carried out.
enum Step {
    Queued,
    Done,
    /// Before the batch, by the packet filter.
    Filtered,
    Alone,
}

/// What the packet filter is to be after the batch, and why it could not be set before it.
struct Refused {
    wanted: BTreeSet<IpAddr>,
    failed: Option<i32>,
}

/// Takes the jobs that may be carried out as one: all changes first, then all announcements. That would be wrong if an
/// address were announced by one job and removed by a later one, so the later one waits.
fn take_together(jobs: &mut VecDeque<Job>) -> Vec<Job> {
    let mut together = Vec::with_capacity(jobs.len());
    let mut announced = false;
    while let Some(job) = jobs.front() {
        if let Job::Work(work) = job {
            let removes = work
                .changes
                .iter()
                .any(|change| matches!(change, Change::RemoveAddress { .. }));
            if announced && removes {
                break;
            }
            announced |= !work.announcements.is_empty();
        }
        together.extend(jobs.pop_front());
    }
    together
}

fn join<'a>(
    socket: &'a socket2::Socket,
    interface: u32,
    groups: &'a [IpAddr],
) -> impl Iterator<Item = HostEvent> + use<'a> {
    groups.iter().map(move |group| {
        let joined = match group {
            IpAddr::V4(group) => {
                socket.join_multicast_v4_n(group, &socket2::InterfaceIndexOrAddress::Index(interface))
            }
            IpAddr::V6(group) => socket.join_multicast_v6(group, interface),
        };
        HostEvent::Joined {
            interface,
            group: *group,
            result: match joined {
                // Joined before.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
                joined => joined.map_err(|error| error.raw_os_error().unwrap_or(0)),
            },
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of it may be locked into memory.
const STACK: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::VirtualAddress;
    use crate::host::Announcement;
    use vrrp_proto::MacAddress;

    fn work(adds: bool, removes: bool, announces: bool) -> Job {
        let address: Arc<VirtualAddress> = Arc::new("10.0.0.1".parse().unwrap());
        let mut work = Work::default();
        if adds {
            work.changes.push(Change::AddAddress {
                interface: 1,
                address: Arc::clone(&address),
                lease: None,
                replace: false,
            });
        }
        if removes {
            work.changes.push(Change::RemoveAddress {
                interface: 1,
                address,
            });
        }
        if announces {
            work.announcements.push(Announcement {
                interface: 1,
                address: "10.0.0.1".parse().unwrap(),
                mac: MacAddress([0; 6]),
                round: 0,
                pace: Duration::ZERO,
                queue: None,
            });
        }
        Job::Work(work)
    }

    #[test]
    fn works_that_only_add_go_together() {
        let mut jobs: VecDeque<_> = [work(true, false, true), work(true, false, true)].into();
        assert_eq!(take_together(&mut jobs).len(), 2);
        assert!(jobs.is_empty());
    }

    #[test]
    fn a_removal_waits_for_the_announcements_before_it() {
        let mut jobs: VecDeque<_> = [
            work(false, true, false),
            work(true, false, true),
            work(false, true, false),
        ]
        .into();
        assert_eq!(take_together(&mut jobs).len(), 2);
        assert_eq!(take_together(&mut jobs).len(), 1);
    }
}
