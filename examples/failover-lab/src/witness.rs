//! Whether the machine itself was late: what a round measures then says nothing about who was measured.
//!
//! It can be late in two ways. A thread that is due does not run; and the kernel's network configuration, of which there is
//! one lock for all namespaces, is in somebody else's hands: whoever removes a namespace elsewhere holds up an address here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vrrp_net::{Change, Host, HostEvent, LinuxHost, Work};

use crate::namespace::Namespace;
use crate::sys;

/// Two threads with real-time priority, where that is granted. One does nothing but wake up every millisecond, the other asks
/// for a change that changes nothing, in a namespace of its own; both remember when they were late.
#[derive(Debug)]
pub struct Witness {
    stop: Arc<AtomicBool>,
    timer: Arc<Lateness>,
    configuration: Arc<Lateness>,
    threads: Vec<JoinHandle<()>>,
}

/// When, on the wall clock, and how late.
#[derive(Debug, Default)]
struct Lateness(Mutex<Vec<(u64, Duration)>>);

impl Lateness {
    fn note(&self, late: Duration) {
        if late > TICK / 2 {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push((sys::wall_clock(), late));
        }
    }

    fn worst(&self, from: u64, to: u64) -> Duration {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What was noted after the end may have begun before it.
        let within = seen.iter().filter(|(at, late)| {
            let begun = at.saturating_sub(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
            *at >= from && begun <= to
        });
        within.map(|(_, late)| *late).max().unwrap_or_default()
    }
}

impl Witness {
    /// Starts it.
    ///
    /// # Errors
    /// What the system says when it is out of threads or descriptors.
    pub fn start() -> std::io::Result<Self> {
        let namespace = Namespace::new()?;
        let mut witness = Self {
            stop: Arc::default(),
            timer: Arc::default(),
            configuration: Arc::default(),
            threads: Vec::new(),
        };
        let (stop, timer) = (Arc::clone(&witness.stop), Arc::clone(&witness.timer));
        let watch_timer = move || {
            // An ordinary user's witness is late more often, and discards more rounds.
            let _ = vrrp_net::set_realtime_priority(60);
            while !stop.load(Ordering::Relaxed) {
                let due = Instant::now() + TICK;
                std::thread::sleep(TICK);
                timer.note(due.elapsed());
            }
        };
        let (stop, configuration) = (Arc::clone(&witness.stop), Arc::clone(&witness.configuration));
        let watch_configuration = move || {
            let _ = vrrp_net::set_realtime_priority(60);
            let host = namespace.run(|| LinuxHost::open().map_err(std::io::Error::other));
            let Ok(mut host) = host else {
                return;
            };
            for ticket in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(TICK);
                let begun = Instant::now();
                host.submit(Work {
                    ticket,
                    changes: vec![Change::SetLinkUp {
                        interface: LOOPBACK,
                        up: true,
                    }],
                    ..Work::default()
                });
                while !std::iter::from_fn(|| host.poll_event()).any(|event| is_done(&event, ticket)) {
                    if host.wait(None).is_err() {
                        return;
                    }
                }
                configuration.note(begun.elapsed());
            }
        };
        let spawn = |name: &str| std::thread::Builder::new().name(name.into());
        witness.threads.push(spawn("witness").spawn(watch_timer)?);
        witness
            .threads
            .push(spawn("witness-lock").spawn(watch_configuration)?);
        Ok(witness)
    }

    /// How late the machine was at the worst between two times of the wall clock.
    #[must_use]
    pub fn worst(&self, from: u64, to: u64) -> Duration {
        self.timer.worst(from, to)
    }

    /// How long the kernel's network configuration was in other hands at the worst.
    #[must_use]
    pub fn longest_wait(&self, from: u64, to: u64) -> Duration {
        self.configuration.worst(from, to)
    }
}

fn is_done(event: &HostEvent, wanted: u64) -> bool {
    matches!(event, HostEvent::Done { ticket, .. } if *ticket == wanted)
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

const TICK: Duration = Duration::from_millis(1);
/// The number of `lo` in every network namespace.
const LOOPBACK: u32 = 1;
