//! What can go wrong.

use std::io;
use std::net::IpAddr;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not an IP address.
    #[error("not an IP address")]
    NotAnAddress,
    /// A prefix length does not fit the address it stands behind.
    #[error("the prefix length behind {address} is not a number of its bits")]
    PrefixLength {
        /// The address.
        address: IpAddr,
    },
    /// A socket cannot be opened or set up; without `CAP_NET_RAW` none can.
    #[error("cannot open a VRRP socket (CAP_NET_RAW is needed): {0}")]
    Socket(#[source] io::Error),
    /// The kernel's notifications cannot be read.
    #[error("cannot watch the interfaces: {0}")]
    Watch(#[source] io::Error),
    /// The thread that changes addresses, or the one that drives the election, cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The system cannot wait or set a timer.
    #[error("cannot wait for events: {0}")]
    Poll(#[source] io::Error),
    /// A packet cannot be sent.
    #[error("cannot send: {0}")]
    Send(#[source] io::Error),
    /// Packets cannot be received.
    #[error("cannot receive: {0}")]
    Receive(#[source] io::Error),
    /// The process may not do this to itself.
    #[error("not permitted: {0}")]
    Privilege(#[source] io::Error),
    /// Packets to an address that others own cannot be kept out.
    #[error("accept_mode off needs nf_tables in the kernel and CAP_NET_ADMIN: {0}")]
    Filter(#[source] io::Error),
    /// The election refuses what it is to do.
    #[error(transparent)]
    Parameters(#[from] vrrp_fsm::Error),
    /// New parameters are those of another virtual router: remove it and add another.
    #[error("the interface, the number, the family or the virtual MAC of a virtual router cannot change")]
    Identity,
    /// The election has ended.
    #[error("the election has ended")]
    Stopped,
    /// The kernel's network configuration cannot be reached.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Netlink(#[from] netlink_batch::Error),
}
