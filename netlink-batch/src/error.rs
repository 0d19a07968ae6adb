use std::io;

/// Why a batch could not be carried out at all.
///
/// What the kernel answers to single requests is not here but in [`Report`](crate::Report).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be opened or set up.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The network namespace could not be entered. Needs CAP_SYS_ADMIN over it.
    #[error("cannot enter the network namespace: {0}")]
    Namespace(#[source] io::Error),
    /// The kernel did not take the requests. Those of earlier windows have been carried out; read the state anew.
    #[error("cannot send netlink requests: {0}")]
    Send(#[source] io::Error),
    /// The kernel's answers could not be read. What was sent has been carried out; read the state anew.
    #[error("cannot receive netlink answers: {0}")]
    Receive(#[source] io::Error),
    /// The kernel stayed silent, even to the request that finds the thread again.
    #[error("the kernel did not answer netlink requests in time")]
    NoAnswer,
}
