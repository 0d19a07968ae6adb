//! Is there somebody who accepts connections?

/// A TCP connection, and nothing said over it.
///
/// It proves that the kernel at the other end completes handshakes for this port. It does not prove that the program
/// behind it still serves: with [`Close::HalfOpen`] not even that its queue has room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tcp {
    /// How the attempt ends.
    pub close: Close,
}

impl Tcp {
    /// A check that ends like this.
    pub const fn closing(close: Close) -> Self {
        Self { close }
    }
}

/// How a connection of a check ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Close {
    /// SYN, SYN-ACK, RST: the program at the other end is not woken and logs nothing, and no port is left waiting on
    /// either side. An intrusion detection system may take it for a scan. Where this host is late by more than 200 ms, its
    /// kernel completes the handshake on its own, and it ends like [`Reset`](Self::Reset).
    #[default]
    HalfOpen,
    /// The handshake is completed and then reset. The program sees a connection that breaks; a server that no longer
    /// accepts is noticed when its queue is full.
    Reset,
    /// The polite end. Each attempt leaves a port of this host waiting for a minute: at most some 400 attempts a second
    /// to the same address and port.
    Fin,
}
