/// How much may be under way at once, so that no answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of requests in one send. A single request that is longer is sent by itself.
    pub bytes: usize,
    /// Bytes of receive buffer that the answers may occupy, counted as the kernel counts them.
    pub answers: usize,
}

impl Limits {
    /// The limits for a socket with these buffers, in the kernel's count (what `getsockopt` returns).
    #[must_use]
    pub const fn for_buffers(send: usize, receive: usize) -> Self {
        Self {
            // The kernel keeps a little of the send buffer for itself.
            bytes: send.saturating_sub(1024),
            // Half of it stays free for what the estimate below does not foresee.
            answers: receive / 2,
        }
    }

    /// What one error may occupy: its own structure and the kernel's words with it. 832 bytes without words, seen.
    pub(crate) const ERROR: usize = 1280;
    /// What one reply to a get may occupy.
    pub(crate) const REPLY: usize = 4608;
}

impl Default for Limits {
    /// Those of a socket with the kernel's default buffers of 212,992 bytes.
    fn default() -> Self {
        Self::for_buffers(212_992, 212_992)
    }
}
