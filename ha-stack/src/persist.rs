//! Work that a panic does not end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Does the work of a thread to its end. If it panics, a notifier of the application's own perhaps, the log has it and the work
/// begins anew after a pause: at once, after one second, two, four, at most sixty, as keepalived does with its processes.
///
/// Whatever the work shares with others is behind locks that a panic does not spoil.
pub(crate) fn persist(what: &str, mut work: impl FnMut()) {
    let mut pause = Duration::ZERO;
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        tracing::error!(what, ?pause, "this part has died: it begins anew");
        std::thread::sleep(pause);
        pause = (pause * 2).clamp(Duration::from_secs(1), LONGEST);
    }
}

const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_is_not_the_end() {
        let mut times = 0;
        super::persist("test", || {
            times += 1;
            assert!(times > 1, "this panic is part of the test");
        });
        assert_eq!(times, 2);
    }
}
