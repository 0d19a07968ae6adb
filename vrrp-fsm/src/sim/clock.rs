use crate::Instant;

/// The clock of one host: it runs a little fast or slow, and began at another time than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostClock {
    drift: i32,
    /// Both clocks at the last change of the drift.
    simulated: u64,
    local: u64,
}

impl HostClock {
    /// A clock that shows `local` when the simulation begins and gains `drift` millionths (loses, when negative).
    pub const fn new(local: Instant, drift: i32) -> Self {
        Self {
            drift,
            simulated: 0,
            local: local.as_nanos(),
        }
    }

    /// Another drift from `simulated` on.
    pub fn set_drift(&mut self, simulated: Instant, drift: i32) {
        self.local = self.local_at(simulated).as_nanos();
        self.simulated = simulated.as_nanos();
        self.drift = drift;
    }

    /// What the clock shows at a time of the simulation.
    pub fn local_at(&self, simulated: Instant) -> Instant {
        let elapsed = simulated.as_nanos().saturating_sub(self.simulated);
        Instant::from_nanos(self.local.saturating_add(scale(
            elapsed,
            MILLION.saturating_add_signed(self.drift.into()),
            MILLION,
        )))
    }

    /// The first time of the simulation at which the clock shows `local` or later.
    pub fn simulated_at(&self, local: Instant) -> Instant {
        let elapsed = local.as_nanos().saturating_sub(self.local);
        let rate = MILLION.saturating_add_signed(self.drift.into()).max(1);
        let mut simulated = self.simulated.saturating_add(scale(elapsed, MILLION, rate));
        while self.local_at(Instant::from_nanos(simulated)) < local {
            simulated = simulated.saturating_add(1);
        }
        Instant::from_nanos(simulated)
    }
}

const MILLION: u64 = 1_000_000;

fn scale(nanos: u64, numerator: u64, denominator: u64) -> u64 {
    let scaled = u128::from(nanos) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::HostClock;
    use crate::Instant;

    #[test]
    fn both_directions_agree() {
        for drift in [-200, -1, 0, 1, 200, 5_000] {
            let mut clock = HostClock::new(Instant::from_millis(77_000), drift);
            clock.set_drift(Instant::from_millis(10), -drift);
            for local in [77_000, 77_011, 80_000, 9_000_000].map(Instant::from_millis) {
                let simulated = clock.simulated_at(local);
                assert!(clock.local_at(simulated) >= local);
                if simulated > Instant::from_millis(10) {
                    assert!(clock.local_at(Instant::from_nanos(simulated.as_nanos() - 1)) < local);
                }
            }
        }
    }

    #[test]
    fn a_fast_clock_gains() {
        let clock = HostClock::new(Instant::ZERO, 200);
        assert_eq!(
            clock.local_at(Instant::from_millis(1_000_000)),
            Instant::from_millis(1_000_200)
        );
    }
}
