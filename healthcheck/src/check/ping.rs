//! Is the host there?

/// An ICMP echo, over one socket for all targets.
///
/// It proves that the host's kernel answers. It says nothing about any program on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ping {
    /// Bytes of payload besides the sixteen that recognise the answer, at most 1400.
    pub padding: u16,
}
