use core::time::Duration;

/// What the way from one host to another does to packets. Different delays are what reorders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The shortest delay.
    pub shortest: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// How many of a thousand packets are lost.
    pub loss: u16,
    /// How many of a thousand packets arrive twice.
    pub duplication: u16,
}

impl Quality {
    /// A good local network: 50 to 300 µs, nothing lost.
    pub const GOOD: Self = Self {
        shortest: Duration::from_micros(50),
        longest: Duration::from_micros(300),
        loss: 0,
        duplication: 0,
    };
}

impl Default for Quality {
    fn default() -> Self {
        Self::GOOD
    }
}
