//! Whether the machine itself was late: what a round measures then says nothing about who was measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::sys;

/// A thread with real-time priority, where that is granted, which does nothing but wake up every millisecond, and
/// remembers when it was late.
#[derive(Debug)]
pub struct Witness {
    stop: Arc<AtomicBool>,
    /// When, on the wall clock, and how late.
    seen: Arc<Mutex<Vec<(u64, Duration)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Starts it.
    ///
    /// # Errors
    /// What the system says when it is out of threads.
    pub fn start() -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Vec::<(u64, Duration)>::new()));
        let thread = std::thread::Builder::new().name("witness".into()).spawn({
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            move || {
                // An ordinary user's witness is late more often, and discards more rounds.
                let _ = vrrp_net::set_realtime_priority(60);
                while !stop.load(Ordering::Relaxed) {
                    let due = Instant::now() + TICK;
                    std::thread::sleep(TICK);
                    let late = due.elapsed();
                    if late > TICK / 2 {
                        seen.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((sys::wall_clock(), late));
                    }
                }
            }
        })?;
        Ok(Self {
            stop,
            seen,
            thread: Some(thread),
        })
    }

    /// How late the machine was at the worst between two times of the wall clock.
    #[must_use]
    pub fn worst(&self, from: u64, to: u64) -> Duration {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let within = seen.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, late)| *late).max().unwrap_or_default()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const TICK: Duration = Duration::from_millis(1);
