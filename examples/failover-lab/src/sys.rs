#![expect(
    unsafe_code,
    reason = "namespaces, process death signals and kernel time stamps have no safe form in the standard library"
)]
//! The system calls of the laboratory.

use std::fs;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Nanoseconds of the wall clock: the clock of the kernel's packet time stamps.
pub(crate) fn wall_clock() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid to write to; the clock exists everywhere.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    nanoseconds(&time)
}

fn nanoseconds(time: &libc::timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Whether this is the superuser of its user namespace.
pub(crate) fn is_root() -> bool {
    // SAFETY: cannot fail and takes no pointers.
    unsafe { libc::geteuid() == 0 }
}

/// Moves the calling thread into a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no pointers; the descriptor is open.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Lets a command start in a network namespace, in a mount namespace of its own, and die with its parent.
pub(crate) fn run_in(command: &mut Command, namespace: RawFd) {
    // SAFETY: between fork and exec only system calls are made, no memory is allocated and no lock taken.
    unsafe {
        command.pre_exec(move || {
            check(libc::setns(namespace, libc::CLONE_NEWNET))?;
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            Ok(())
        });
    }
}

/// Gives an ordinary user a world of their own (user, mount, process and network namespaces), in which they may do
/// everything. Children started from here on live in it.
///
/// Only possible while the process has one thread.
pub(crate) fn enter_own_world() -> io::Result<()> {
    // SAFETY: cannot fail and take no pointers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: takes no pointers.
    check(unsafe {
        libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET)
    })?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    Ok(())
}

/// Makes the mounts of the present mount namespace private to it, with a `/proc` of this process namespace and an empty
/// `/run`.
pub(crate) fn private_mounts() -> io::Result<()> {
    // SAFETY: the strings end in zero bytes and live for ever; the pointers that may be null are.
    unsafe {
        check(libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        ))?;
        check(libc::mount(
            c"proc".as_ptr(),
            c"/proc".as_ptr(),
            c"proc".as_ptr(),
            0,
            ptr::null(),
        ))?;
        check(libc::mount(
            c"tmpfs".as_ptr(),
            c"/run".as_ptr(),
            c"tmpfs".as_ptr(),
            0,
            ptr::null(),
        ))?;
    }
    Ok(())
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(process: u32, signal: libc::c_int) -> io::Result<()> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::kill(process, signal) })?;
    Ok(())
}

/// Holds one thread of another process still. It stays so until the calling thread ends or that one does; and only the
/// calling thread may then [`wait_for_end`].
pub(crate) fn freeze(thread: libc::pid_t) -> io::Result<()> {
    let nothing = ptr::null_mut::<libc::c_void>();
    // SAFETY: both requests take no pointers but null ones, and touch nothing of this process.
    unsafe {
        trace(libc::ptrace(libc::PTRACE_SEIZE, thread, nothing, nothing))?;
        trace(libc::ptrace(libc::PTRACE_INTERRUPT, thread, nothing, nothing))?;
        check(libc::waitpid(thread, ptr::null_mut(), libc::__WALL))?;
    }
    Ok(())
}

/// Waits for the end of a thread that was frozen; until then its process cannot end either.
pub(crate) fn wait_for_end(thread: libc::pid_t) {
    // SAFETY: the status is not asked for. It fails when the thread is gone.
    unsafe { libc::waitpid(thread, ptr::null_mut(), libc::__WALL) };
}

fn trace(result: libc::c_long) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The processors that this process may use.
pub(crate) fn processors() -> io::Result<Vec<usize>> {
    // SAFETY: a set of zeroes is an empty one.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: at most as many bytes as the set has are written to it.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) })?;
    let most = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: only places within the set are asked for.
    Ok((0..most)
        .filter(|place| unsafe { libc::CPU_ISSET(*place, &set) })
        .collect())
}

/// Keeps a thread of a process that we started on one of [`processors`].
pub(crate) fn keep_on(thread: u32, processor: usize) -> io::Result<()> {
    let thread = libc::pid_t::try_from(thread).map_err(io::Error::other)?;
    // SAFETY: a set of zeroes is an empty one, and the processor is a place within it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(processor, &mut set);
        set
    };
    // SAFETY: as many bytes as the set has are read from it.
    check(unsafe { libc::sched_setaffinity(thread, size_of_val(&set), &set) })?;
    Ok(())
}

/// Sets one integer option of a socket.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the kernel reads one int from `value`.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// What came with a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) length: usize,
    /// The kernel's receive time, nanoseconds of the wall clock.
    pub(crate) time: u64,
    /// The interface (packet sockets).
    pub(crate) interface: u32,
    /// The packet was sent by this host (packet sockets).
    pub(crate) outgoing: bool,
}

/// Receives one packet with its time stamp (`SO_TIMESTAMPNS` must be on).
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Stamp> {
    let mut control = [0u64; 16];
    // SAFETY: plain data for which zeroes are valid.
    let mut name: libc::sockaddr_storage = unsafe { zeroed() };
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: plain data for which zeroes are valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points to buffers of the lengths it states, which live through the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, 0) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut stamp = Stamp {
        length: usize::try_from(length).unwrap_or(0),
        time: wall_clock(),
        interface: 0,
        outgoing: false,
    };
    if libc::c_int::from(name.ss_family) == libc::AF_PACKET {
        // SAFETY: the family says that a sockaddr_ll was written into the (larger, aligned) storage.
        let name = unsafe { &*ptr::from_ref(&name).cast::<libc::sockaddr_ll>() };
        stamp.interface = name.sll_ifindex.cast_unsigned();
        stamp.outgoing = name.sll_pkttype == libc::PACKET_OUTGOING;
    }
    // SAFETY: the kernel wrote well-formed control messages and set their length; the macros stay inside it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned();
                stamp.time = nanoseconds(&time);
            }
            message = libc::CMSG_NXTHDR(&header, message);
        }
    }
    Ok(stamp)
}

/// Binds a packet socket to every interface and every protocol.
pub(crate) fn bind_packets(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain data for which zeroes are valid.
    let mut name: libc::sockaddr_ll = unsafe { zeroed() };
    name.sll_family = libc::AF_PACKET as libc::sa_family_t;
    name.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: `name` is valid for its length.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            ptr::from_ref(&name).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// The number of the interface of this name in the thread's network namespace; zero if there is none.
pub(crate) fn interface_index(name: &str) -> u32 {
    let Ok(name) = std::ffi::CString::new(name) else {
        return 0;
    };
    // SAFETY: `name` ends in a zero byte and lives through the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// The signals that ask a process to stop.
#[derive(Debug)]
pub(crate) struct Signals(libc::sigset_t);

/// Keeps those signals from ending the process; threads started from here on inherit it.
pub(crate) fn block_signals() -> io::Result<Signals> {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        match libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()) {
            0 => Ok(Signals(set)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Waits for one of those signals.
pub(crate) fn wait_signal(signals: &Signals) -> io::Result<()> {
    let mut signal = 0;
    // SAFETY: the set is initialised and `signal` valid to write to.
    match unsafe { libc::sigwait(&signals.0, &mut signal) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
