//! From the results of single runs to the verdict on a script.

use std::num::NonZeroU32;

/// What is known about a tracked object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth thing to be known")]
pub enum Verdict {
    /// No run has ended yet.
    Unknown,
    /// Good.
    Up,
    /// Bad.
    Down,
}

/// Counts successes and failures as keepalived does for `rise` and `fall`.
///
/// The count runs from 0 to `rise + fall - 1`, and from `rise` on the script is good. A success in the bad half counts
/// one up, and the one that reaches `rise` jumps to the top; a failure in the good half counts one down, and the one
/// that would leave it jumps to 0. The first result of all decides alone, unless the script starts as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCounter {
    rise: u32,
    fall: u32,
    /// `None` before the first result.
    count: Option<u64>,
}

impl ScriptCounter {
    /// A counter that knows nothing yet; with `init_fail` it starts as bad, and needs `rise` successes.
    pub fn new(rise: NonZeroU32, fall: NonZeroU32, init_fail: bool) -> Self {
        Self {
            rise: rise.get(),
            fall: fall.get(),
            count: init_fail.then_some(0),
        }
    }

    /// The verdict as it stands.
    pub fn verdict(&self) -> Verdict {
        match self.count {
            None => Verdict::Unknown,
            Some(count) if count >= u64::from(self.rise) => Verdict::Up,
            Some(_) => Verdict::Down,
        }
    }

    /// Counts one result. Returns the verdict if this result changed it.
    pub fn record(&mut self, success: bool) -> Option<Verdict> {
        let before = self.verdict();
        let rise = u64::from(self.rise);
        self.count = Some(match (self.count, success) {
            (None, true) => self.top(),
            (None, false) => 0,
            (Some(count), true) if count + 1 < rise => count + 1,
            (Some(_), true) => self.top(),
            (Some(count), false) if count > rise => count - 1,
            (Some(_), false) => 0,
        });
        let after = self.verdict();
        (after != before).then_some(after)
    }

    /// Takes other thresholds and keeps the verdict, as a reload needs it.
    pub fn set_thresholds(&mut self, rise: NonZeroU32, fall: NonZeroU32) {
        let verdict = self.verdict();
        if (self.rise, self.fall) == (rise.get(), fall.get()) {
            return;
        }
        self.rise = rise.get();
        self.fall = fall.get();
        self.count = match verdict {
            Verdict::Unknown => None,
            Verdict::Up => Some(self.top()),
            Verdict::Down => Some(0),
        };
    }

    fn top(&self) -> u64 {
        u64::from(self.rise) + u64::from(self.fall) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(rise: u32, fall: u32, init_fail: bool) -> ScriptCounter {
        ScriptCounter::new(
            NonZeroU32::new(rise).unwrap(),
            NonZeroU32::new(fall).unwrap(),
            init_fail,
        )
    }

    /// Feeds results written as `+` and `-`, and writes the verdict after each as `U` or `D`.
    fn run(mut counter: ScriptCounter, results: &str) -> String {
        results
            .chars()
            .map(|result| {
                let before = counter.verdict();
                let change = counter.record(result == '+');
                assert_eq!(change, (counter.verdict() != before).then_some(counter.verdict()));
                match counter.verdict() {
                    Verdict::Up => 'U',
                    Verdict::Down => 'D',
                    Verdict::Unknown => '?',
                }
            })
            .collect()
    }

    #[test]
    fn the_first_result_decides_alone() {
        assert_eq!(run(counter(3, 3, false), "+"), "U");
        assert_eq!(run(counter(3, 3, false), "-"), "D");
        assert_eq!(counter(1, 1, false).verdict(), Verdict::Unknown);
    }

    #[test]
    fn init_fail_starts_down_and_needs_every_success() {
        assert_eq!(counter(3, 1, true).verdict(), Verdict::Down);
        assert_eq!(run(counter(3, 1, true), "+++"), "DDU");
    }

    #[test]
    fn fall_counts_failures_in_a_row() {
        assert_eq!(run(counter(2, 3, false), "+--+--+---"), "UUUUUUUUUD");
    }

    #[test]
    fn rise_counts_successes_in_a_row() {
        assert_eq!(run(counter(2, 3, false), "-+-+-++"), "DDDDDDU");
    }

    #[test]
    fn with_one_and_one_each_result_decides() {
        assert_eq!(run(counter(1, 1, false), "+-+--+"), "UDUDDU");
    }

    #[test]
    fn the_largest_thresholds_do_not_overflow() {
        let mut counter = counter(u32::MAX, u32::MAX, false);
        assert_eq!(counter.record(true), Some(Verdict::Up));
        assert_eq!(counter.record(false), None);
    }

    #[test]
    fn other_thresholds_keep_the_verdict_and_start_the_count_afresh() {
        let mut counter = counter(1, 3, false);
        counter.record(true);
        counter.record(false);
        counter.set_thresholds(NonZeroU32::new(2).unwrap(), NonZeroU32::new(2).unwrap());
        assert_eq!(counter.verdict(), Verdict::Up);
        assert_eq!(run(counter, "--"), "UD");
    }

    #[test]
    fn the_same_thresholds_keep_the_count() {
        let mut counter = counter(1, 3, false);
        counter.record(true);
        counter.record(false);
        counter.set_thresholds(NonZeroU32::new(1).unwrap(), NonZeroU32::new(3).unwrap());
        assert_eq!(run(counter, "--"), "UD");
    }
}
