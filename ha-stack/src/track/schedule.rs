//! When a script is started, skipped, terminated and killed: a pure function of time.

use std::time::{Duration, Instant};

/// What is to be done with a script now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a runner that forgets one of them leaves processes behind"
)]
pub enum ScriptAction {
    /// Start it, and say so with [`ScriptSchedule::started`]; a start that failed is tried again at the next turn.
    Start,
    /// The last run is still going: this turn is left out.
    Skip,
    /// It took too long: ask its process group to end (SIGTERM).
    Terminate,
    /// It did not end when asked: end it (SIGKILL).
    Kill,
}

/// The timetable of one script.
///
/// A run starts every `interval`, counted from the start of the one before. A run that is still going at the next turn
/// makes that turn be skipped. At `timeout` the run is terminated, two seconds later killed, two seconds later killed
/// again, and then every ten seconds, until it is gone. That is keepalived's timetable.
///
/// Call [`handle_timeout`](Self::handle_timeout) until it returns `None` whenever
/// [`poll_timeout`](Self::poll_timeout) has passed.
#[derive(Clone, Debug)]
pub struct ScriptSchedule {
    interval: Duration,
    timeout: Duration,
    next_start: Instant,
    /// The next signal to a run that goes on, with the number of signals it has had.
    running: Option<(Instant, u32)>,
}

impl ScriptSchedule {
    /// A script whose first run is due at `now`. An `interval` of zero is taken as one millisecond.
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval: interval.max(SHORTEST_INTERVAL),
            timeout,
            next_start: now,
            running: None,
        }
    }

    /// Takes another interval and time limit from the next run on.
    pub fn set_times(&mut self, interval: Duration, timeout: Duration, now: Instant) {
        self.interval = interval.max(SHORTEST_INTERVAL);
        self.timeout = timeout;
        self.next_start = self.next_start.min(now + self.interval);
    }

    /// When there is something to do next.
    pub fn poll_timeout(&self) -> Instant {
        match self.running {
            Some((signal, _)) => signal.min(self.next_start),
            None => self.next_start,
        }
    }

    /// The next thing to do at `now`, if any.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<ScriptAction> {
        if let Some((due, signals)) = self.running
            && now >= due
        {
            let pause = if signals < 2 { PATIENCE } else { LONG_PATIENCE };
            self.running = Some((now + pause, signals.saturating_add(1)));
            return Some(match signals {
                0 => ScriptAction::Terminate,
                _ => ScriptAction::Kill,
            });
        }
        if now < self.next_start {
            return None;
        }
        // Turns that were missed because this thread ran late are not made up for.
        self.next_start += self.interval;
        if self.next_start <= now {
            self.next_start = now + self.interval;
        }
        Some(match self.running {
            Some(_) => ScriptAction::Skip,
            None => ScriptAction::Start,
        })
    }

    /// The run that was asked for has begun.
    pub fn started(&mut self, now: Instant) {
        self.running = Some((now + self.timeout, 0));
    }

    /// The run has ended, by itself or by a signal, and was reaped.
    pub fn ended(&mut self) {
        self.running = None;
    }

    /// Whether a run is going on.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

/// What a script is given to end after SIGTERM, and after the first SIGKILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between later attempts to kill what does not die.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_first_run_is_at_once_and_the_next_an_interval_later() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(seconds(2), seconds(2), zero);
        assert_eq!(schedule.handle_timeout(zero), Some(ScriptAction::Start));
        schedule.started(zero);
        assert_eq!(schedule.handle_timeout(zero), None);
        schedule.ended();
        assert_eq!(schedule.poll_timeout(), zero + seconds(2));
        assert_eq!(schedule.handle_timeout(zero + seconds(1)), None);
        assert_eq!(
            schedule.handle_timeout(zero + seconds(2)),
            Some(ScriptAction::Start)
        );
    }

    #[test]
    fn a_turn_during_a_run_is_skipped() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(seconds(1), seconds(5), zero);
        schedule.handle_timeout(zero);
        schedule.started(zero);
        assert_eq!(
            schedule.handle_timeout(zero + seconds(1)),
            Some(ScriptAction::Skip)
        );
        assert_eq!(schedule.handle_timeout(zero + seconds(1)), None);
        schedule.ended();
        assert_eq!(
            schedule.handle_timeout(zero + seconds(2)),
            Some(ScriptAction::Start)
        );
    }

    #[test]
    fn a_run_that_hangs_is_terminated_then_killed_again_and_again() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(seconds(100), seconds(3), zero);
        schedule.handle_timeout(zero);
        schedule.started(zero);
        let mut signals = Vec::new();
        for second in 0..40 {
            while let Some(action) = schedule.handle_timeout(zero + seconds(second)) {
                signals.push((second, action));
            }
        }
        assert_eq!(
            signals,
            [
                (3, ScriptAction::Terminate),
                (5, ScriptAction::Kill),
                (7, ScriptAction::Kill),
                (17, ScriptAction::Kill),
                (27, ScriptAction::Kill),
                (37, ScriptAction::Kill),
            ]
        );
        assert!(schedule.is_running());
        schedule.ended();
        assert_eq!(schedule.poll_timeout(), zero + seconds(100));
    }

    #[test]
    fn turns_that_were_missed_are_not_made_up_for() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(seconds(1), seconds(1), zero);
        let late = zero + seconds(60);
        assert_eq!(schedule.handle_timeout(late), Some(ScriptAction::Start));
        assert_eq!(schedule.handle_timeout(late), None);
        assert_eq!(schedule.poll_timeout(), late + seconds(1));
    }

    #[test]
    fn a_start_that_failed_is_tried_again_at_the_next_turn() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(seconds(1), seconds(1), zero);
        assert_eq!(schedule.handle_timeout(zero), Some(ScriptAction::Start));
        assert_eq!(schedule.handle_timeout(zero), None);
        assert_eq!(
            schedule.handle_timeout(zero + seconds(1)),
            Some(ScriptAction::Start)
        );
    }

    #[test]
    fn an_interval_of_zero_does_not_spin() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(Duration::ZERO, seconds(1), zero);
        assert_eq!(schedule.handle_timeout(zero), Some(ScriptAction::Start));
        assert_eq!(schedule.handle_timeout(zero), None);
    }

    #[test]
    fn a_shorter_interval_brings_the_next_turn_forward() {
        let zero = Instant::now();
        let mut schedule = ScriptSchedule::new(seconds(60), seconds(1), zero);
        schedule.handle_timeout(zero);
        schedule.set_times(seconds(2), seconds(1), zero + seconds(1));
        assert_eq!(schedule.poll_timeout(), zero + seconds(3));
    }
}
