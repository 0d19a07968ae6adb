//! Whether a part of the program still moves, by one rule for all: it is asked, and answers when it comes around.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

/// What a part answers with. A thread that sleeps has to be woken by whoever asks; a task is.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    asked: AtomicBool,
    task: AtomicWaker,
}

impl Pulse {
    /// Whether the part has answered since this was called last, or was never asked before. Asks anew.
    pub(crate) fn has_answered(&self) -> bool {
        let answered = !self.asked.swap(true, Ordering::AcqRel);
        self.task.wake();
        answered
    }

    /// The part moves.
    pub(crate) fn answer(&self) {
        self.asked.store(false, Ordering::Release);
    }

    /// Answers for as long as the task is polled that this is a part of. Never done.
    pub(crate) async fn beat(&self) {
        poll_fn(|context| {
            self.task.register(context.waker());
            self.answer();
            Poll::<()>::Pending
        })
        .await;
    }
}

/// How long a part may stand still.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    limit: Duration,
    /// Since when it has not moved, and how often it was looked at since.
    still: Option<(Instant, u32)>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, still: None }
    }

    /// A look at the part. Returns for how long it has stood still, once that is too long.
    pub(crate) fn look(&mut self, has_moved: bool) -> Option<Duration> {
        if has_moved {
            self.still = None;
            return None;
        }
        let now = Instant::now();
        let (since, looks) = self.still.map_or((now, 1), |(since, looks)| (since, looks + 1));
        self.still = Some((since, looks));
        // It is not its fault if whoever looks was away for long.
        (now - since >= self.limit && looks >= LOOKS).then(|| now - since)
    }

    /// Another has taken the place of the part. It gets twice the time, so that whatever makes it stick, a dead disk say, does not
    /// cost a thread again and again.
    pub(crate) fn renew(&mut self) {
        self.still = None;
        self.limit = (self.limit * 2).min(LONGEST);
    }
}

impl Default for Patience {
    /// What any part has that waits for nobody but the kernel.
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

const LONGEST: Duration = Duration::from_secs(3600);

const LOOKS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_at_which_it_moves_counts_for_all() {
        let mut patience = Patience::new(Duration::ZERO);
        for _ in 0..2 {
            for _ in 1..LOOKS {
                assert!(patience.look(false).is_none());
            }
            assert!(patience.look(true).is_none());
        }
        for _ in 1..LOOKS {
            assert!(patience.look(false).is_none());
        }
        assert!(patience.look(false).is_some());
        patience.renew();
        assert!(patience.look(false).is_none());
    }

    #[test]
    fn it_is_not_given_up_too_soon() {
        let mut patience = Patience::default();
        for _ in 0..2 * LOOKS {
            assert!(patience.look(false).is_none());
        }
    }

    #[test]
    fn a_task_answers_for_as_long_as_it_is_polled() {
        let pulse = std::sync::Arc::new(Pulse::default());
        assert!(pulse.has_answered(), "it was never asked");
        assert!(!pulse.has_answered());
        let (end, ended) = futures::channel::oneshot::channel::<()>();
        let of_task = std::sync::Arc::clone(&pulse);
        let thread = std::thread::spawn(move || {
            futures::executor::block_on(async {
                futures::future::select(ended, std::pin::pin!(of_task.beat())).await;
            });
        });
        while !pulse.has_answered() {
            std::thread::yield_now();
        }
        // It sleeps, and wakes when it is asked.
        while !pulse.has_answered() {
            std::thread::yield_now();
        }
        drop(end);
        thread.join().unwrap();
        pulse.has_answered();
        assert!(!pulse.has_answered());
    }
}
