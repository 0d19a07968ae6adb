//! What no safe library has: socket options, and tokio's registration of a descriptor.
#![expect(
    unsafe_code,
    reason = "setsockopt is a C function; tokio asks for a promise about descriptors"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sets an option that is one `int`.
pub(crate) fn set_int(socket: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set(socket, level, name, &value.to_ne_bytes())
}

/// Sets an option that is a run of bytes.
pub(crate) fn set(socket: impl AsFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel reads `length` bytes from `value`,
    // which is exactly its size, and keeps no pointer to it.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Registers a descriptor with the tokio runtime of the present task, for reading.
#[cfg(feature = "tokio")]
pub(crate) fn register_with_tokio(
    descriptor: std::os::fd::OwnedFd,
) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    // SAFETY: an OwnedFd stays open and the same until it is dropped, which the result does not do before its own end.
    let registered = unsafe {
        tokio::io::unix::AsyncFd::register_with_interest(descriptor, tokio::io::Interest::READABLE)
    };
    Ok(registered?)
}
