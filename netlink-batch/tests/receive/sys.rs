//! What the standard library does not do to a descriptor.

#![expect(
    unsafe_code,
    reason = "dup2 has no safe form for a descriptor that somebody else owns"
)]

use std::os::fd::{AsFd, AsRawFd as _};

/// Lets `old`'s number stand for what `new` is.
pub(crate) fn replace(old: &impl AsFd, new: &impl AsFd) {
    let (old, new) = (old.as_fd().as_raw_fd(), new.as_fd().as_raw_fd());
    // SAFETY: both descriptors are open, and dup2 touches no memory of ours. The number stays owned by whoever owned it.
    let result = unsafe { libc::dup2(new, old) };
    assert_eq!(result, old, "{}", std::io::Error::last_os_error());
}
