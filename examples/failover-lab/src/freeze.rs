//! A part of a program that is stuck, as far as the program can tell.

use std::io;
use std::sync::mpsc;

use crate::sys;

/// Holds one thread of another process still, by its number, until it is killed.
///
/// # Errors
/// What the system says when there is no such thread, or to somebody without `CAP_SYS_PTRACE`.
pub fn freeze(thread: u32) -> io::Result<()> {
    let thread = thread.try_into().map_err(io::Error::other)?;
    let (sender, frozen) = mpsc::channel();
    // Whoever froze it has to be there at its end.
    std::thread::Builder::new()
        .name("freezer".into())
        .spawn(move || {
            let result = sys::freeze(thread);
            let done = result.is_ok();
            let told = sender.send(result);
            if done && told.is_ok() {
                sys::wait_for_end(thread);
            }
        })?;
    frozen.recv().map_err(io::Error::other)?
}
