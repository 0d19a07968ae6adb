//! Virtual servers of a configuration file through the embedded proxy, where the kernel has no IPVS.

mod chaos;
mod daemon;
mod local;
mod names;
mod reload;
mod server;
mod stories;

use std::time::{Duration, Instant};

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How long anything may take on a machine that is busy otherwise.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
