//! Sockets as checks want them, and what the errors of the operating system mean for a verdict.

use core::num::NonZeroU16;
use core::ops::RangeInclusive;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::check::{Endpoint, NetOptions};
use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::{Cause, Outcome};
use crate::sys;

/// A socket of this type for this endpoint, with everything its options ask for, not yet connected.
pub(super) fn socket(
    endpoint: &Endpoint,
    kind: SocketType,
    protocol: Option<rustix::net::Protocol>,
) -> Result<OwnedFd, Outcome> {
    let family = if endpoint.is_v6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, kind, flags, protocol).map_err(local)?;
    if let Some(net) = &endpoint.net {
        dress(&socket, net, endpoint.is_v6(), kind == SocketType::STREAM)?;
    }
    Ok(socket)
}

fn dress(socket: &OwnedFd, net: &NetOptions, v6: bool, stream: bool) -> Result<(), Outcome> {
    let set = |level, name, value| sys::set_int(socket, level, name, value).map_err(local_io);
    if let Some(mark) = net.mark {
        sys::set(socket, libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes()).map_err(local_io)?;
    }
    if let Some(device) = &net.device {
        sys::set(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes()).map_err(local_io)?;
    }
    if let Some(tos) = net.tos {
        match v6 {
            true => set(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, i32::from(tos))?,
            false => set(libc::IPPROTO_IP, libc::IP_TOS, i32::from(tos))?,
        }
    }
    if net.source.is_none() && net.source_port == 0 {
        return Ok(());
    }
    if net.source_port == 0 && stream {
        // Otherwise a local port is taken per source, not per connection, and there are only 28,000.
        set(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    } else {
        set(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    }
    let source = net.source.unwrap_or(match v6 {
        true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    });
    rustix::net::bind(socket, &SocketAddr::new(source, net.source_port)).map_err(local)
}

/// What an error before or in `connect` means: mostly that we could not measure.
pub(super) fn local(errno: Errno) -> Outcome {
    let cause = match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Cause::Resources,
        Errno::ACCESS | Errno::PERM => Cause::Permission,
        Errno::ADDRINUSE | Errno::AGAIN => Cause::Ports,
        _ => Cause::Source,
    };
    Outcome::Inconclusive(cause)
}

fn local_io(error: io::Error) -> Outcome {
    local(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

/// What an error of `connect` itself means: some speak of the target, others of us.
pub(super) fn connecting(errno: Errno) -> Outcome {
    match errno {
        Errno::ADDRNOTAVAIL => Outcome::Inconclusive(Cause::Ports),
        Errno::MFILE
        | Errno::NFILE
        | Errno::NOBUFS
        | Errno::NOMEM
        | Errno::ACCESS
        | Errno::PERM
        | Errno::ADDRINUSE
        | Errno::AGAIN
        | Errno::INVAL
        | Errno::AFNOSUPPORT
        | Errno::NODEV => local(errno),
        errno => Outcome::Fail(failed(Stage::Connect, errno)),
    }
}

/// The failure that an errno of an established or attempted connection stands for.
pub(super) fn failed(stage: Stage, errno: Errno) -> Failure {
    let kind = match errno {
        Errno::CONNREFUSED => FailKind::Refused,
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::NETDOWN | Errno::NONET => {
            FailKind::Unreachable
        }
        Errno::CONNRESET | Errno::PIPE => FailKind::Reset,
        Errno::TIMEDOUT => FailKind::TimedOut,
        _ => FailKind::Io,
    };
    Failure::new(stage, kind).with_code(errno.raw_os_error())
}

/// The error that is waiting at a socket, if there is one.
pub(super) fn pending_error(socket: impl AsFd) -> Option<Errno> {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Ok(())) => None,
        Ok(Err(errno)) | Err(errno) => Some(errno),
    }
}

/// The port of an endpoint if the kernel may choose it as ours too, so that a connection to itself is possible.
pub(super) fn own_port(endpoint: &Endpoint) -> Option<NonZeroU16> {
    static EPHEMERAL: OnceLock<RangeInclusive<u16>> = OnceLock::new();
    let ephemeral = EPHEMERAL.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(last))) => first..=last,
            _ => 1..=u16::MAX,
        }
    });
    let port = endpoint.addr.port();
    let fixed = endpoint.net.as_ref().is_some_and(|net| net.source_port == port);
    NonZeroU16::new(port).filter(|_| fixed || ephemeral.contains(&port))
}

/// Whether a connection to this port goes to itself: a port of this host that nobody listens on, which the kernel then
/// chose as our own, answers its own SYN.
pub(super) fn is_own(socket: impl AsFd, port: NonZeroU16) -> bool {
    let addr = |addr| SocketAddr::try_from(addr).ok();
    let ours = rustix::net::getsockname(&socket).ok().and_then(addr);
    // Nearly always the ports differ, and that is all there is to ask.
    ours.is_some_and(|ours| ours.port() == port.get())
        && rustix::net::getpeername(&socket).ok().flatten().and_then(addr) == ours
}
