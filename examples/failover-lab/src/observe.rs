//! When addresses came and went on a host, from the kernel's own notifications.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use vrrp_net::{Host, HostEvent, LinuxHost};

use crate::namespace::Namespace;
use crate::sys;

/// A watch over the addresses of a host that runs until it is dropped.
#[derive(Debug)]
pub struct AddressWatch {
    seen: Arc<Mutex<Vec<Sighting>>>,
    stop: Arc<AtomicBool>,
    waker: vrrp_net::Waker,
    thread: Option<JoinHandle<()>>,
}

/// An address came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When the notification was read, nanoseconds of the wall clock.
    pub at: u64,
    /// Which address.
    pub address: IpAddr,
    /// Whether it is there from now on.
    pub present: bool,
}

impl AddressWatch {
    /// Starts to watch.
    ///
    /// # Errors
    /// What the system says when the kernel's notifications cannot be read.
    pub fn start(namespace: &Namespace) -> io::Result<Self> {
        let mut host = namespace.run(|| LinuxHost::open().map_err(io::Error::other))?;
        let waker = host.waker();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("addresses".into()).spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || {
                // The time is that of the reading, so the reader must not be late. An ordinary user's may be.
                let _ = vrrp_net::set_realtime_priority(55);
                let mut known = HashSet::new();
                while !stop.load(Ordering::Relaxed) {
                    while let Some(event) = host.poll_event() {
                        let at = sys::wall_clock();
                        let mut note = |address: IpAddr, present: bool| {
                            let changed = if present {
                                known.insert(address)
                            } else {
                                known.remove(&address)
                            };
                            if changed {
                                seen.lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .push(Sighting { at, address, present });
                            }
                        };
                        match event {
                            HostEvent::Snapshot { addresses, .. } => {
                                for address in addresses {
                                    note(address.address, true);
                                }
                            }
                            HostEvent::Address(address) => note(address.address, true),
                            HostEvent::AddressGone(address) => note(address.address, false),
                            _ => {}
                        }
                    }
                    if host.wait(None).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self {
            seen,
            stop,
            waker,
            thread: Some(thread),
        })
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Sighting> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The addresses there now, as far as was seen.
    #[must_use]
    pub fn present(&self) -> HashSet<IpAddr> {
        let mut present = HashSet::new();
        for sighting in self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if sighting.present {
                present.insert(sighting.address);
            } else {
                present.remove(&sighting.address);
            }
        }
        present
    }

    /// Whether an address is there now, as far as was seen.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.seen()
            .iter()
            .rev()
            .find(|sighting| sighting.address == address)
            .is_some_and(|sighting| sighting.present)
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
