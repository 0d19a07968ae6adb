/// What a service or a destination has carried, since it was made or its counters were last zeroed.
///
/// The kernel sums up its processors' counts every two seconds; connection counts of a destination
/// ([`DestinationEntry`](crate::DestinationEntry)) are live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's ten counters")]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets towards the destination.
    pub packets_in: u64,
    /// Packets back; none pass here with direct routing and tunnels.
    pub packets_out: u64,
    /// Bytes towards the destination.
    pub bytes_in: u64,
    /// Bytes back.
    pub bytes_out: u64,
    /// The same for each second, over the last few of them.
    pub rates: Rates,
}

/// Rates, for each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's five rates")]
pub struct Rates {
    /// Connections.
    pub connections: u64,
    /// Packets towards the destination.
    pub packets_in: u64,
    /// Packets back.
    pub packets_out: u64,
    /// Bytes towards the destination.
    pub bytes_in: u64,
    /// Bytes back.
    pub bytes_out: u64,
}
