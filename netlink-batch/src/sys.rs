//! The system calls that neither the standard library nor netlink-sys offers.

#![expect(unsafe_code, reason = "setsockopt, poll and setns have no safe form here")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

/// Sets a socket's buffer sizes past the administrator's limit; needs CAP_NET_ADMIN.
pub(crate) fn force_buffers(socket: RawFd, bytes: libc::c_int) -> io::Result<()> {
    set(socket, libc::SO_RCVBUFFORCE, bytes)?;
    set(socket, libc::SO_SNDBUFFORCE, bytes)
}

/// The sizes of the send and receive buffers, in the kernel's count.
pub(crate) fn buffers(socket: RawFd) -> io::Result<(usize, usize)> {
    Ok((get(socket, libc::SO_SNDBUF)?, get(socket, libc::SO_RCVBUF)?))
}

/// Waits until the socket can be read; `false` when `milliseconds` passed without that.
pub(crate) fn wait_readable(socket: RawFd, milliseconds: libc::c_int) -> io::Result<bool> {
    let mut entry = libc::pollfd {
        fd: socket,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `entry` is one valid pollfd and lives until the call returns.
    let ready = unsafe { libc::poll(&raw mut entry, 1, milliseconds) };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ready > 0)
}

/// The socket's descriptor, for as long as the socket is borrowed.
pub(crate) fn borrow(socket: &netlink_sys::Socket) -> BorrowedFd<'_> {
    // SAFETY: the socket owns the descriptor and closes it only when dropped, which the borrow rules out.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: setns takes a descriptor, which the borrow keeps open, and touches no memory of ours.
    if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set(socket: RawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, a live c_int, which these options take.
    let result = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            INT_LENGTH,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn get(socket: RawFd, option: libc::c_int) -> io::Result<usize> {
    let mut value: libc::c_int = 0;
    let mut length = INT_LENGTH;
    // SAFETY: the pointers describe `value` and its length, both alive; the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(usize::try_from(value).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "four")]
const INT_LENGTH: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;
