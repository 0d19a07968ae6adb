//! The receive sockets: one for each interface and address family, with a filter in the kernel that lets only our
//! virtual routers through.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use vrrp_fsm::Instant;
use vrrp_proto::AddressFamily;

use super::sys::{self, RawPacket, ReceiveBuffers};
use crate::Error;
use crate::host::{Listen, Received};

/// A socket that receives the VRRP packets of one interface and address family.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) interface: u32,
    pub(crate) family: AddressFamily,
    socket: Socket,
    groups: Vec<IpAddr>,
    /// When the socket was last seen empty: nothing in it now can be older.
    empty_at: u64,
}

impl Receiver {
    /// Opens the socket. Packets are let in from here on; what was sent before is not seen.
    pub(crate) fn open(listen: &Listen) -> Result<Self, Error> {
        let domain = match listen.family {
            AddressFamily::Ipv4 => Domain::IPV4,
            AddressFamily::Ipv6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(VRRP))).map_err(Error::Socket)?;
        set_up(&socket, listen).map_err(Error::Socket)?;
        let receiver = Self {
            interface: listen.interface,
            family: listen.family,
            socket,
            groups: Vec::new(),
            empty_at: sys::clock(sys::ELECTION_CLOCK),
        };
        receiver.filter(&listen.vrids)?;
        // A packet may have come in between the making of the socket and its binding to the interface.
        let mut buffers = ReceiveBuffers::new();
        while buffers.receive(receiver.fd(), |_| {}).map_err(Error::Socket)? {}
        Ok(receiver)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The groups of `listen` that have not been joined yet, and a handle to join them with.
    pub(crate) fn take_new_groups(
        &mut self,
        listen: &Listen,
    ) -> Result<Option<(Socket, Vec<IpAddr>)>, Error> {
        let new: Vec<_> = listen
            .groups
            .iter()
            .copied()
            .filter(|group| !self.groups.contains(group))
            .collect();
        if new.is_empty() {
            return Ok(None);
        }
        self.groups.extend(&new);
        let socket = self.socket.try_clone().map_err(Error::Socket)?;
        Ok(Some((socket, new)))
    }

    /// Lets only packets of these virtual routers through.
    pub(crate) fn filter(&self, vrids: &[u8]) -> Result<(), Error> {
        self.socket
            .attach_filter(&program(self.family, vrids))
            .map_err(Error::Socket)
    }

    /// Hands over what has arrived.
    pub(crate) fn receive(
        &mut self,
        buffers: &mut ReceiveBuffers,
        handle: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), Error> {
        loop {
            let times = Times {
                oldest: self.empty_at,
                now: sys::clock(sys::ELECTION_CLOCK),
                wall: sys::clock(libc::CLOCK_REALTIME),
            };
            let (interface, family) = (self.interface, self.family);
            let more = buffers
                .receive(self.socket.as_fd(), |packet| {
                    if let Some(received) = envelope(interface, family, &packet, &times) {
                        handle(received);
                    }
                })
                .map_err(Error::Receive)?;
            if !more {
                self.empty_at = times.now;
                return Ok(());
            }
        }
    }
}

/// The clocks just before a reading of the queue.
struct Times {
    /// Nothing in the queue is older.
    oldest: u64,
    now: u64,
    wall: u64,
}

impl Times {
    /// The kernel stamps packets with the wall clock. How long a packet has waited is the same on every clock; should
    /// the wall clock have been set meanwhile, the result is still held between the last time the queue was empty and
    /// now.
    fn arrival(&self, stamp: Option<u64>) -> Instant {
        let waited = self.wall.saturating_sub(stamp.unwrap_or(self.wall));
        let arrival = self.now.saturating_sub(waited).max(self.oldest);
        Instant::from_nanos(arrival.min(self.now))
    }
}

fn envelope<'a>(
    interface: u32,
    family: AddressFamily,
    packet: &RawPacket<'a>,
    times: &Times,
) -> Option<Received<'a>> {
    if packet.truncated {
        return None;
    }
    let time = times.arrival(packet.wall_time);
    match family {
        AddressFamily::Ipv4 => {
            let header = packet.bytes.first_chunk::<20>()?;
            let header_length = usize::from(header[0] & 0x0f) * 4;
            // The interface may have padded the packet; the kernel's raw sockets trim it, other hosts' may not.
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            Some(Received {
                interface,
                source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
                destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
                hop_limit: header[8],
                time,
                message: packet.bytes.get(header_length..total)?,
            })
        }
        AddressFamily::Ipv6 => Some(Received {
            interface,
            source: packet.source?,
            destination: packet.destination?.into(),
            hop_limit: packet.hop_limit?,
            time,
            message: packet.bytes,
        }),
    }
}

fn set_up(socket: &Socket, listen: &Listen) -> std::io::Result<()> {
    let fd = socket.as_fd();
    socket.set_nonblocking(true)?;
    let interface = listen.interface.cast_signed();
    sys::set_option(fd, libc::SOL_SOCKET, SO_BINDTOIFINDEX, interface)?;
    sys::set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    // Room for a pause of some seconds. Not granted in a user namespace: then as much as the system allows.
    if sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER).is_err() {
        sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER)?;
    }
    match listen.family {
        AddressFamily::Ipv4 => {
            // Only groups joined by this socket, not those that other programs have joined.
            sys::set_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0)?;
        }
        AddressFamily::Ipv6 => {
            sys::set_option(fd, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)?;
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
    }
    Ok(())
}

/// A filter program that keeps packets of the given virtual routers and drops the rest. With more identifiers than its
/// jumps can span it keeps all of them, and the router drops the strangers.
fn program(family: AddressFamily, vrids: &[u8]) -> Vec<SockFilter> {
    let mut program = match family {
        // An IPv4 raw socket's packet starts with the IP header: skip it, load the byte behind the version.
        AddressFamily::Ipv4 => vec![
            SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
            SockFilter::new(LOAD_BYTE_BEHIND_HEADER, 0, 0, 1),
        ],
        AddressFamily::Ipv6 => vec![SockFilter::new(LOAD_BYTE, 0, 0, 1)],
    };
    if vrids.len() <= MAX_FILTERED {
        for (place, vrid) in vrids.iter().enumerate() {
            // Equal: over the other comparisons and the drop, to the keep.
            let over = u8::try_from(vrids.len() - place).unwrap_or(u8::MAX);
            program.push(SockFilter::new(JUMP_IF_EQUAL, over, 0, u32::from(*vrid)));
        }
        program.push(SockFilter::new(RETURN, 0, 0, 0));
    }
    program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    program
}

/// VRRP's protocol number.
const VRRP: i32 = 112;
const SO_BINDTOIFINDEX: i32 = 62;
const IPV6_MULTICAST_ALL: i32 = 29;
const RECEIVE_BUFFER: i32 = 4 * 1024 * 1024;
const MAX_FILTERED: usize = 200;

/// `BPF_LDX | BPF_B | BPF_MSH`: X becomes the length of the IP header.
const LOAD_HEADER_LENGTH: u16 = 0xb1;
/// `BPF_LD | BPF_B | BPF_IND`: A becomes the byte at X + k.
const LOAD_BYTE_BEHIND_HEADER: u16 = 0x50;
/// `BPF_LD | BPF_B | BPF_ABS`: A becomes the byte at k.
const LOAD_BYTE: u16 = 0x30;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arrival_is_the_kernels_time_on_our_clock() {
        let times = Times {
            oldest: 500,
            now: 1_000,
            wall: 7_000_000,
        };
        assert_eq!(times.arrival(Some(6_999_900)).as_nanos(), 900);
        // No stamp: now.
        assert_eq!(times.arrival(None).as_nanos(), 1_000);
        // The wall clock was set forward or back since.
        assert_eq!(times.arrival(Some(0)).as_nanos(), 500);
        assert_eq!(times.arrival(Some(9_000_000)).as_nanos(), 1_000);
    }
}
