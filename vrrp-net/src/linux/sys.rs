#![expect(
    unsafe_code,
    reason = "epoll, timerfd, eventfd, recvmmsg and sendmmsg have no safe form in the standard library or socket2"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the C interface takes lengths and families in narrower types; all are small constants"
)]
//! The system calls the driver needs and nothing else: each wrapper owns or borrows its descriptor, and no raw
//! pointer outlives the call that made it.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// The clock the election runs on: it counts the time a machine was suspended, so that a resumed host knows how late
/// it is.
pub(crate) const ELECTION_CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;

/// How many packets one `recvmmsg` or `sendmmsg` carries at most.
pub(crate) const BATCH: usize = 32;

/// Room for one received packet: an IPv4 header with options or none for IPv6, 255 IPv6 addresses, and a trailer.
const PACKET_ROOM: usize = 4352;

/// Room for the ancillary data of one packet: a time stamp, a hop limit and the packet's destination.
const CONTROL_ROOM: usize = 128;

const EMPTY_IOVEC: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

/// Turns a result of `-1` into the error the kernel left behind.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The value of a clock in nanoseconds.
pub(crate) fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec to write to; the clocks used exist since Linux 2.6.39, so the call cannot fail.
    unsafe { libc::clock_gettime(id, &mut time) };
    nanoseconds(&time)
}

/// A timespec in nanoseconds; a time before the epoch is zero.
fn nanoseconds(time: &libc::timespec) -> u64 {
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// A timer that fires at an absolute time of [`ELECTION_CLOCK`].
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor returned is new and owned by nobody else.
        let fd =
            check(unsafe { libc::timerfd_create(ELECTION_CLOCK, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) })?;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Fires once at `at`, or never.
    pub(crate) fn set(&self, at: Option<u64>) -> io::Result<()> {
        // SAFETY: an itimerspec of zeroes is valid and means "disarmed".
        let mut value: libc::itimerspec = unsafe { zeroed() };
        if let Some(at) = at {
            // Zero would disarm; one nanosecond after the epoch is as good as "now".
            let at = at.max(1);
            value.it_value.tv_sec = libc::time_t::try_from(at / 1_000_000_000).unwrap_or(libc::time_t::MAX);
            value.it_value.tv_nsec = libc::c_long::try_from(at % 1_000_000_000).unwrap_or(0);
        }
        // SAFETY: the descriptor is open, `value` is valid, and the old value is not asked for.
        check(unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &value,
                ptr::null_mut(),
            )
        })?;
        Ok(())
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }
}

/// A counter that wakes an [`Epoll`] from another thread.
#[derive(Debug)]
pub(crate) struct Event(OwnedFd);

impl Event {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor returned is new and owned by nobody else.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Wakes whoever waits. A counter that is already full has woken them anyway.
    pub(crate) fn signal(&self) {
        let one = 1u64;
        // SAFETY: eight bytes are read from `one`.
        unsafe { libc::write(self.0.as_raw_fd(), ptr::from_ref(&one).cast(), 8) };
    }

    /// Takes the wake-ups that have gathered.
    pub(crate) fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes are written to `count`.
        unsafe { libc::read(self.0.as_raw_fd(), ptr::from_mut(&mut count).cast(), 8) };
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }
}

/// A set of descriptors to wait for.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor returned is new and owned by nobody else.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Wakes with `token` while `fd` is readable, or once per edge.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64, edge: bool) -> io::Result<()> {
        let mut flags = libc::EPOLLIN;
        if edge {
            flags |= libc::EPOLLET;
        }
        let mut event = libc::epoll_event {
            events: flags.cast_unsigned(),
            u64: token,
        };
        // SAFETY: both descriptors are open and `event` is valid for the call.
        check(unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_raw_fd(),
                &mut event,
            )
        })?;
        Ok(())
    }

    /// Waits at most `milliseconds` (for ever if negative) and calls `ready` with each token that woke. `Ok(true)` says that
    /// there may be more of them.
    pub(crate) fn wait(&self, milliseconds: i32, mut ready: impl FnMut(u64)) -> io::Result<bool> {
        const ROOM: usize = 32;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; ROOM];
        // SAFETY: `events` has room for the number of entries announced.
        let count = match check(unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                ROOM as libc::c_int,
                milliseconds,
            )
        }) {
            Ok(count) => count,
            // A signal for the application: it looked like a wake-up without a cause, and that is harmless.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        let count = usize::try_from(count).unwrap_or(0);
        for event in events.iter().take(count) {
            ready(event.u64);
        }
        Ok(count == ROOM)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }
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

/// One packet as the kernel handed it over.
#[derive(Debug)]
pub(crate) struct RawPacket<'a> {
    /// IPv4: from the IP header on. IPv6: the payload.
    pub(crate) bytes: &'a [u8],
    /// The sender, where the kernel says so.
    pub(crate) source: Option<IpAddr>,
    /// Where it was sent to (IPv6 only; IPv4 has it in its header).
    pub(crate) destination: Option<Ipv6Addr>,
    /// The hop limit (IPv6 only).
    pub(crate) hop_limit: Option<u8>,
    /// The kernel's receive time, nanoseconds of the wall clock.
    pub(crate) wall_time: Option<u64>,
    /// The packet was longer than any VRRP packet can be.
    pub(crate) truncated: bool,
}

/// Buffers for [`BATCH`] packets, reused for ever.
#[derive(Debug)]
pub(crate) struct ReceiveBuffers {
    packets: Vec<u8>,
    control: Vec<u64>,
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        Self {
            packets: vec![0; BATCH * PACKET_ROOM],
            // Control messages want the alignment of a header, which a u64 has.
            control: vec![0; BATCH * CONTROL_ROOM / 8],
        }
    }

    /// Reads what is queued, up to [`BATCH`] packets, and calls `handle` with each. `Ok(true)` says that more may be
    /// queued.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        mut handle: impl FnMut(RawPacket<'_>),
    ) -> io::Result<bool> {
        // SAFETY: sockaddr_storage and mmsghdr are plain data for which zeroes are valid.
        let mut names: [libc::sockaddr_storage; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let mut vectors = [EMPTY_IOVEC; BATCH];
        let slots = self
            .packets
            .chunks_exact_mut(PACKET_ROOM)
            .zip(self.control.chunks_exact_mut(CONTROL_ROOM / 8))
            .zip(&mut names)
            .zip(&mut vectors)
            .zip(&mut headers);
        for ((((packet, control), name), vector), header) in slots {
            vector.iov_base = packet.as_mut_ptr().cast();
            vector.iov_len = PACKET_ROOM;
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_ROOM as _;
        }
        // SAFETY: every header points to buffers of the lengths it states, which live until the end of this function
        // and are borrowed by nothing else.
        let count = match check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        }) {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        for ((header, packet), name) in headers
            .iter()
            .zip(self.packets.chunks_exact(PACKET_ROOM))
            .zip(&names)
            .take(count)
        {
            let length = usize::try_from(header.msg_len).unwrap_or(0).min(PACKET_ROOM);
            let mut raw = RawPacket {
                bytes: packet.get(..length).unwrap_or(&[]),
                source: source_address(name),
                destination: None,
                hop_limit: None,
                wall_time: None,
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
            read_control(&header.msg_hdr, &mut raw);
            handle(raw);
        }
        Ok(count == BATCH)
    }
}

/// The address in a name the kernel filled in.
fn source_address(name: &libc::sockaddr_storage) -> Option<IpAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that a sockaddr_in was written into the (larger, aligned) storage.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            Some(IpAddr::V4(Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes())))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that a sockaddr_in6 was written into the (larger, aligned) storage.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            Some(IpAddr::V6(Ipv6Addr::from(name.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

/// Reads the control messages we asked for; others are skipped.
fn read_control(header: &libc::msghdr, raw: &mut RawPacket<'_>) {
    // SAFETY: the kernel wrote well-formed control messages into the buffer and set its length; the macros stay
    // inside it, and what they point to is read unaligned and only when the length covers it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            let length = ((*message).cmsg_len as usize)
                .saturating_sub(data.offset_from(message.cast()).unsigned_abs());
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if length >= size_of::<libc::timespec>() => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    raw.wall_time = Some(nanoseconds(&time));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) if length >= size_of::<libc::c_int>() => {
                    let limit = data.cast::<libc::c_int>().read_unaligned();
                    raw.hop_limit = u8::try_from(limit).ok();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if length >= size_of::<libc::in6_pktinfo>() => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    raw.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
}

/// One Ethernet frame to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) interface: u32,
    /// The EtherType, for the kernel's queueing.
    pub(crate) protocol: u16,
    pub(crate) bytes: &'a [u8],
}

/// Sends frames through a packet socket, [`BATCH`] to a system call, and calls `failed` with the place of each that
/// the kernel refused.
pub(crate) fn send_frames(
    socket: BorrowedFd<'_>,
    frames: &[Frame<'_>],
    mut failed: impl FnMut(usize, io::Error),
) {
    // SAFETY: sockaddr_ll is plain data for which zeroes are valid.
    let mut names: [libc::sockaddr_ll; BATCH] = unsafe { zeroed() };
    let mut place = 0;
    for chunk in frames.chunks(BATCH) {
        for (name, frame) in names.iter_mut().zip(chunk) {
            name.sll_family = libc::AF_PACKET as libc::sa_family_t;
            name.sll_ifindex = frame.interface.cast_signed();
            name.sll_protocol = frame.protocol.to_be();
            name.sll_halen = 6;
            for (to, from) in name.sll_addr.iter_mut().zip(frame.bytes).take(6) {
                *to = *from;
            }
        }
        send_chunk(
            socket,
            chunk.len(),
            |slot| {
                let name = names.as_ptr().wrapping_add(slot);
                let bytes = chunk.get(slot).map_or(&[][..], |frame| frame.bytes);
                (name.cast(), size_of::<libc::sockaddr_ll>(), bytes, &[][..])
            },
            |slot, error| failed(place + slot, error),
        );
        place += chunk.len();
    }
}

/// One IP datagram to send through a raw socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    /// The interface to leave by; zero lets the routing table decide.
    pub(crate) interface: u32,
    /// The source address (IPv6; an IPv4 datagram has it in its own header).
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: IpAddr,
    /// IPv4: with its IP header. IPv6: the payload.
    pub(crate) bytes: &'a [u8],
}

/// Sends datagrams through a raw socket, [`BATCH`] to a system call, and calls `failed` with the place of each that
/// the kernel refused. All must be of the socket's family.
pub(crate) fn send_datagrams(
    socket: BorrowedFd<'_>,
    datagrams: &[Datagram<'_>],
    mut failed: impl FnMut(usize, io::Error),
) {
    const CONTROL: usize = 48;
    // SAFETY: sockaddr_storage is plain data for which zeroes are valid.
    let mut names: [libc::sockaddr_storage; BATCH] = unsafe { zeroed() };
    let mut controls = [[0u64; CONTROL / 8]; BATCH];
    let mut place = 0;
    for chunk in datagrams.chunks(BATCH) {
        let mut lengths = [(0, 0); BATCH];
        let slots = names.iter_mut().zip(&mut controls).zip(&mut lengths);
        for (((name, control), length), datagram) in slots.zip(chunk) {
            *length = match datagram.destination {
                IpAddr::V4(destination) => (fill_v4(name, destination), 0),
                IpAddr::V6(destination) => (
                    fill_v6(name, destination, datagram.interface),
                    fill_source(control, datagram.source, datagram.interface),
                ),
            };
        }
        send_chunk(
            socket,
            chunk.len(),
            |slot| {
                let (name_length, control_length) = lengths.get(slot).copied().unwrap_or((0, 0));
                let name = names.as_ptr().wrapping_add(slot);
                let bytes = chunk.get(slot).map_or(&[][..], |datagram| datagram.bytes);
                let control = controls
                    .get(slot)
                    .and_then(|control| control.get(..control_length / 8))
                    .unwrap_or(&[]);
                (name.cast(), name_length, bytes, control)
            },
            |slot, error| failed(place + slot, error),
        );
        place += chunk.len();
    }
}

/// A name, its length, the bytes to send and their control messages.
type Message<'a> = (*const libc::c_void, usize, &'a [u8], &'a [u64]);

/// One `sendmmsg` of at most [`BATCH`] messages, continued behind each message that was refused.
fn send_chunk<'a>(
    socket: BorrowedFd<'_>,
    count: usize,
    message: impl Fn(usize) -> Message<'a>,
    mut failed: impl FnMut(usize, io::Error),
) {
    // SAFETY: mmsghdr is plain data for which zeroes are valid.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    let mut vectors = [EMPTY_IOVEC; BATCH];
    let count = count.min(BATCH);
    for (slot, (header, vector)) in headers.iter_mut().zip(&mut vectors).enumerate().take(count) {
        let (name, name_length, bytes, control) = message(slot);
        vector.iov_base = bytes.as_ptr().cast_mut().cast();
        vector.iov_len = bytes.len();
        header.msg_hdr.msg_name = name.cast_mut();
        header.msg_hdr.msg_namelen = name_length as libc::socklen_t;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        if !control.is_empty() {
            header.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_controllen = size_of_val(control) as _;
        }
    }
    let mut first = 0;
    while first < count {
        let Some(rest) = headers.get_mut(first..count) else {
            return;
        };
        // SAFETY: every header points to a name, a vector, bytes and control messages that the caller and this
        // function keep alive, and that the kernel only reads.
        match check(unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                rest.as_mut_ptr(),
                rest.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        }) {
            Ok(sent) => first += usize::try_from(sent).unwrap_or(0).max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failed(first, error);
                first += 1;
            }
        }
    }
}

fn fill_v4(name: &mut libc::sockaddr_storage, address: Ipv4Addr) -> usize {
    // SAFETY: the storage is larger than a sockaddr_in and aligned for every socket address.
    let name = unsafe { &mut *ptr::from_mut(name).cast::<libc::sockaddr_in>() };
    name.sin_family = libc::AF_INET as libc::sa_family_t;
    name.sin_port = 0;
    name.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
    size_of::<libc::sockaddr_in>()
}

fn fill_v6(name: &mut libc::sockaddr_storage, address: Ipv6Addr, interface: u32) -> usize {
    // SAFETY: the storage is larger than a sockaddr_in6 and aligned for every socket address.
    let name = unsafe { &mut *ptr::from_mut(name).cast::<libc::sockaddr_in6>() };
    name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    name.sin6_port = 0;
    name.sin6_flowinfo = 0;
    name.sin6_addr.s6_addr = address.octets();
    name.sin6_scope_id = interface;
    size_of::<libc::sockaddr_in6>()
}

/// Writes the control message that chooses the source of an IPv6 datagram; returns its length.
fn fill_source<const N: usize>(control: &mut [u64; N], source: Ipv6Addr, interface: u32) -> usize {
    // SAFETY: no pointers; computes a length.
    let space = unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as libc::c_uint) } as usize;
    if space > size_of_val(control) {
        return 0;
    }
    // SAFETY: the buffer is aligned for a control header and has `space` bytes, which is what the header and the data
    // written here take.
    unsafe {
        let mut header: libc::msghdr = zeroed();
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = space as _;
        let message = libc::CMSG_FIRSTHDR(&header);
        (*message).cmsg_level = libc::IPPROTO_IPV6;
        (*message).cmsg_type = libc::IPV6_PKTINFO;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as libc::c_uint) as _;
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr {
                s6_addr: source.octets(),
            },
            ipi6_ifindex: interface,
        };
        libc::CMSG_DATA(message)
            .cast::<libc::in6_pktinfo>()
            .write_unaligned(info);
    }
    space
}

/// The number of the interface of this name in the thread's network namespace; zero if there is none.
pub(crate) fn interface_index(name: &str) -> u32 {
    let Ok(name) = CString::new(name) else {
        return 0;
    };
    // SAFETY: `name` is a string that ends in a zero byte and lives through the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// The name of the interface of this number in the thread's network namespace.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: `name` has the room that the call asks for.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&name)
        .ok()?
        .to_str()
        .ok()
        .map(str::to_owned)
}

/// The descriptor of a netlink socket, which has no safe way to lend it.
pub(crate) fn borrow(socket: &netlink_sys::Socket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor stays open as long as the socket, whose borrow the result carries.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// Registers a descriptor with the tokio runtime of the present task, for reading.
#[cfg(feature = "tokio")]
pub(crate) fn register_with_tokio(descriptor: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and the same until it is dropped, which the result does not do before its own end.
    let registered = unsafe {
        tokio::io::unix::AsyncFd::register_with_interest(descriptor, tokio::io::Interest::READABLE)
    };
    Ok(registered?)
}

/// Puts the calling thread into the real-time class `SCHED_FIFO`.
pub(crate) fn set_realtime(priority: u8) -> io::Result<()> {
    /// The kernel's `sched_param`.
    #[repr(C)]
    struct Parameters {
        priority: libc::c_int,
    }
    let parameters = Parameters {
        priority: libc::c_int::from(priority),
    };
    // The system call itself, which is about the calling thread: musl's function of that name refuses always, because the
    // standard means a process by it.
    // SAFETY: `parameters` is valid for the call and has the layout that the kernel reads.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_FIFO,
            &raw const parameters,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Keeps every page of the process in memory, those mapped later included.
///
/// Under a limit (`RLIMIT_MEMLOCK`) the process would run into it later, when a thread or a buffer is refused; so then
/// nothing is locked.
pub(crate) fn lock_memory() -> io::Result<()> {
    const PLENTY: usize = 1 << 28;
    // What there is now, programs and libraries included, is brought in; the second call leaves that as it is.
    // SAFETY: no pointers.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT) })?;
    // What comes later stays once it is touched: the stacks of later threads are not filled for nothing.
    // SAFETY: no pointers.
    check(unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) })?;
    // SAFETY: a new mapping without access, at an address of the kernel's choice.
    let room = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PLENTY,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if room == libc::MAP_FAILED {
        // SAFETY: no pointers.
        unsafe { libc::munlockall() };
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    // SAFETY: the mapping just made, which nobody else knows of.
    check(unsafe { libc::munmap(room, PLENTY) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn real_time_priority_is_given_to_the_thread_or_refused() {
        let thread = std::thread::spawn(|| match set_realtime(7) {
            Ok(()) => {
                let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
                // The 40th field; the second is a name in parentheses.
                let rest = stat.rsplit_once(") ").unwrap().1;
                assert_eq!(rest.split(' ').nth(37), Some("7"), "{stat}");
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_timer_in_the_past_wakes_at_once() {
        let epoll = Epoll::new().unwrap();
        let timer = Timer::new().unwrap();
        epoll.add(timer.fd(), 7, true).unwrap();
        let mut woken = Vec::new();
        epoll.wait(0, |token| woken.push(token)).unwrap();
        assert!(woken.is_empty());
        timer.set(Some(clock(ELECTION_CLOCK))).unwrap();
        epoll.wait(10_000, |token| woken.push(token)).unwrap();
        assert_eq!(woken, [7]);
        // Edge triggered: it wakes once.
        epoll.wait(0, |token| woken.push(token)).unwrap();
        assert_eq!(woken, [7]);
    }

    #[test]
    fn an_event_wakes_until_it_is_cleared() {
        let epoll = Epoll::new().unwrap();
        let event = Event::new().unwrap();
        epoll.add(event.fd(), 3, false).unwrap();
        event.signal();
        event.signal();
        let mut woken = 0;
        epoll.wait(10_000, |_| woken += 1).unwrap();
        epoll.wait(10_000, |_| woken += 1).unwrap();
        assert_eq!(woken, 2);
        event.clear();
        epoll.wait(0, |_| woken += 1).unwrap();
        assert_eq!(woken, 2);
    }

    #[test]
    fn packets_arrive_with_their_sender_and_the_kernels_time() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        set_option(receiver.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = clock(libc::CLOCK_REALTIME);
        for text in ["one", "two"] {
            sender
                .send_to(text.as_bytes(), receiver.local_addr().unwrap())
                .unwrap();
        }
        let mut buffers = ReceiveBuffers::new();
        let mut seen = Vec::new();
        let more = buffers
            .receive(receiver.as_fd(), |packet| {
                assert_eq!(packet.source, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
                assert!(packet.wall_time.unwrap() >= before);
                assert!(!packet.truncated);
                seen.push(packet.bytes.to_vec());
            })
            .unwrap();
        assert!(!more);
        assert_eq!(seen, [b"one".to_vec(), b"two".to_vec()]);
        assert!(!buffers.receive(receiver.as_fd(), |_| panic!("empty")).unwrap());
    }

    /// What the kernel puts beside an IPv6 packet, made here so that a host without IPv6 tests it too. Real packets are
    /// received by the tests in namespaces.
    #[test]
    fn ipv6_packets_carry_their_hop_limit_and_destination() {
        let destination = Ipv6Addr::LOCALHOST;
        let information = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr {
                s6_addr: destination.octets(),
            },
            ipi6_ifindex: 1,
        };
        let mut control = [0u64; 16];
        // SAFETY: the buffer is aligned for control messages and has room for the three; each is written inside its space.
        let header = unsafe {
            let mut header: libc::msghdr = zeroed();
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control) as _;
            let first = libc::CMSG_FIRSTHDR(&header);
            (*first).cmsg_level = libc::IPPROTO_IPV6;
            (*first).cmsg_type = libc::IPV6_PKTINFO;
            (*first).cmsg_len = libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as libc::c_uint) as _;
            libc::CMSG_DATA(first)
                .cast::<libc::in6_pktinfo>()
                .write_unaligned(information);
            // Something we did not ask for, and then the hop limit.
            let second = libc::CMSG_NXTHDR(&header, first);
            (*second).cmsg_level = libc::SOL_SOCKET;
            (*second).cmsg_type = libc::SCM_RIGHTS;
            (*second).cmsg_len = libc::CMSG_LEN(4) as _;
            let third = libc::CMSG_NXTHDR(&header, second);
            (*third).cmsg_level = libc::IPPROTO_IPV6;
            (*third).cmsg_type = libc::IPV6_HOPLIMIT;
            (*third).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(third).cast::<libc::c_int>().write_unaligned(77);
            header
        };
        let mut packet = RawPacket {
            bytes: b"six",
            source: None,
            destination: None,
            hop_limit: None,
            wall_time: None,
            truncated: false,
        };
        read_control(&header, &mut packet);
        assert_eq!(packet.hop_limit, Some(77));
        assert_eq!(packet.destination, Some(destination));
        assert_eq!(packet.wall_time, None);
    }

    #[test]
    fn datagrams_leave_in_batches_and_refusals_are_named() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        // A name of port zero is refused by UDP; what follows it is sent all the same.
        let datagram = Datagram {
            interface: 0,
            source: Ipv6Addr::UNSPECIFIED,
            destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
            bytes: b"x",
        };
        let mut refused = Vec::new();
        send_datagrams(sender.as_fd(), &[datagram; BATCH + 2], |place, error| {
            refused.push((place, error.kind()));
        });
        assert_eq!(refused.len(), BATCH + 2);
        assert_eq!(refused[BATCH + 1].0, BATCH + 1);
    }
}
