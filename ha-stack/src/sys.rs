//! Every `unsafe` block of the crate: what a child process does between fork and exec, the user
//! database, the flags of an interface, and sockets bound to one.
#![expect(
    unsafe_code,
    reason = "pre_exec, the reentrant calls of the user database and the interface ioctls have no safe form"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

/// Who a process runs as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) groups: &'a [u32],
}

/// Makes the child take `identity`, and die with the thread that started it.
///
/// The parent-death signal comes after the change of user, which clears it.
pub(crate) fn prepare_child(command: &mut Command, identity: Option<Identity<'_>>) {
    let owned = identity.map(|identity| (identity.user, identity.group, identity.groups.to_vec()));
    let parent = std::process::id();
    let set_up = move || {
        if let Some((user, group, groups)) = &owned {
            // SAFETY: the pointer and the length are those of one live vector; the call only reads it.
            if unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: a system call on plain numbers.
            if unsafe { libc::setgid(*group) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: a system call on plain numbers.
            if unsafe { libc::setuid(*user) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: a system call on plain numbers.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as libc::c_ulong) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died before the signal was asked for.
        // SAFETY: a system call without arguments.
        let parent_now = unsafe { libc::getppid() };
        if u32::try_from(parent_now) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only: it allocates nothing, takes no lock and
    // touches no state of the parent's other threads. `groups` was copied before the fork.
    unsafe { command.pre_exec(set_up) };
}

/// Gives the calling thread real-time priority (`SCHED_FIFO`), 1 to 99, which what it starts does not get.
#[cfg(feature = "balance")]
pub(crate) fn set_own_realtime(priority: u8) -> io::Result<()> {
    /// The kernel's `sched_param`.
    #[repr(C)]
    struct Parameters {
        priority: libc::c_int,
    }
    let parameters = Parameters {
        priority: libc::c_int::from(priority),
    };
    // The system call itself: the function of that name is about a process in musl, and refuses.
    // SAFETY: `parameters` is valid for the call and has the layout that the kernel reads.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The user and primary group numbers of `name`; `None` if there is no such user.
pub(crate) fn user_by_name(name: &str) -> io::Result<Option<(u32, u32)>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    with_growing_buffer(|buffer| {
        // SAFETY: all zeroes is a valid `passwd`: numbers and null pointers.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = ptr::null_mut();
        // SAFETY: `name` ends in a zero byte, `entry` and `found` outlive the call, `buffer` has the length given.
        let code = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        (code, (!found.is_null()).then_some((entry.pw_uid, entry.pw_gid)))
    })
}

/// The number of the group `name`; `None` if there is no such group.
pub(crate) fn group_by_name(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    with_growing_buffer(|buffer| {
        // SAFETY: all zeroes is a valid `group`: numbers and null pointers.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = ptr::null_mut();
        // SAFETY: `name` ends in a zero byte, `entry` and `found` outlive the call, `buffer` has the length given.
        let code = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        (code, (!found.is_null()).then_some(entry.gr_gid))
    })
}

/// The groups `user` is a member of, `group` among them.
pub(crate) fn groups_of(user: &str, group: u32) -> Vec<u32> {
    let Ok(user) = CString::new(user) else {
        return vec![group];
    };
    let mut groups = vec![0; 32];
    loop {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: `user` ends in a zero byte; at most `count` numbers are written, which is the vector's length.
        let code = unsafe { libc::getgrouplist(user.as_ptr(), group, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if code >= 0 {
            groups.truncate(count);
            return groups;
        }
        if groups.len() >= MOST_GROUPS {
            return vec![group];
        }
        groups.resize(count.max(groups.len() * 2).min(MOST_GROUPS), 0);
    }
}

/// Whether the interface exists, is up and has carrier.
pub(crate) fn is_interface_running(name: &str) -> io::Result<bool> {
    let bytes = name.as_bytes();
    // SAFETY: all zeroes is a valid `ifreq`: an empty name and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if bytes.is_empty() || bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return Ok(false);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: the descriptor is open, and the request is one `ifreq`, of which the kernel reads the name, which ends in
    // a zero byte, and writes the flags.
    let code = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) };
    if code != 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENODEV) => Ok(false),
            _ => Err(error),
        };
    }
    // SAFETY: the call succeeded, so the kernel wrote this field; any bits are a valid number.
    let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
    let needed = libc::IFF_UP | libc::IFF_RUNNING;
    Ok(flags & needed == needed)
}

/// Binds a packet socket to an interface, for frames of this protocol. Returns the interface's Ethernet address.
pub(crate) fn bind_to_link(socket: BorrowedFd<'_>, link: u32, protocol: u16) -> io::Result<[u8; 6]> {
    // SAFETY: all zeroes is a valid `sockaddr_ll`: plain numbers.
    let mut name: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sockaddr_ll>();
    let mut length = libc::socklen_t::try_from(size).unwrap_or(0);
    name.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
    name.sll_protocol = protocol.to_be();
    name.sll_ifindex = i32::try_from(link).unwrap_or(0);
    // SAFETY: the descriptor is open, and the address is one live `sockaddr_ll` of the length given, which is only read.
    if unsafe { libc::bind(socket.as_raw_fd(), (&raw const name).cast(), length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and at most `length` bytes are written to the live `sockaddr_ll`, of that size.
    if unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut name).cast(), &raw mut length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let [a, b, c, d, e, f, ..] = name.sll_addr;
    match (name.sll_hatype, name.sll_halen) {
        (libc::ARPHRD_ETHER, 6) => Ok([a, b, c, d, e, f]),
        _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    }
}

/// Calls `look_up` with larger and larger buffers until it no longer reports `ERANGE`.
fn with_growing_buffer<T>(
    mut look_up: impl FnMut(&mut [libc::c_char]) -> (libc::c_int, Option<T>),
) -> io::Result<Option<T>> {
    let mut buffer = vec![0; 1024];
    loop {
        match look_up(&mut buffer) {
            (0, found) => return Ok(found),
            (libc::ENOENT | libc::ESRCH, _) => return Ok(None),
            (libc::ERANGE, _) if buffer.len() < LARGEST_ENTRY => buffer.resize(buffer.len() * 4, 0),
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// The kernel's `NGROUPS_MAX`.
const MOST_GROUPS: usize = 65_536;

/// A line of the user database longer than this is a mistake.
const LARGEST_ENTRY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_user_include_the_given_one() {
        assert!(groups_of("root", 12_345).contains(&12_345));
        assert_eq!(groups_of("zero\0byte", 7), [7]);
    }

    #[test]
    fn interfaces_that_cannot_exist_are_not_running() {
        for name in [
            "",
            "no-such-one",
            "a-name-that-is-too-long-for-the-kernel",
            "zero\0byte",
        ] {
            assert!(!is_interface_running(name).unwrap(), "{name:?}");
        }
    }
}
