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
    /// There is something to read.
    pub(crate) ready: bool,
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
            ready: false,
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
        let socket = self.socket.try_clone().map_err(Error::Socket)?;
        self.groups.extend(&new);
        Ok(Some((socket, new)))
    }

    /// A group could not be joined: it is new again.
    pub(crate) fn forget_group(&mut self, group: IpAddr) {
        self.groups.retain(|known| *known != group);
    }

    /// Lets only packets of these virtual routers through.
    pub(crate) fn filter(&self, vrids: &[u8]) -> Result<(), Error> {
        self.socket
            .attach_filter(&program(self.family, vrids))
            .map_err(Error::Socket)
    }

    /// Hands over what has arrived since `empty_at`, when there was nothing.
    pub(crate) fn receive(
        &self,
        empty_at: u64,
        buffers: &mut ReceiveBuffers,
        handle: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), Error> {
        loop {
            let times = Times {
                oldest: empty_at,
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

/// A filter program that keeps packets of the given virtual routers and drops the rest, in the same time however many they
/// are: identifiers are bits in words of 32.
fn program(family: AddressFamily, vrids: &[u8]) -> Vec<SockFilter> {
    let mut words = [0_u32; 8];
    for vrid in vrids {
        if let Some(word) = words.get_mut(usize::from(vrid / 32)) {
            *word |= 1 << (vrid % 32);
        }
    }
    let mut program = match family {
        // An IPv4 raw socket's packet starts with the IP header: skip it, load the byte behind the version.
        AddressFamily::Ipv4 => vec![
            SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
            SockFilter::new(LOAD_BYTE_BEHIND_HEADER, 0, 0, 1),
        ],
        AddressFamily::Ipv6 => vec![SockFilter::new(LOAD_BYTE, 0, 0, 1)],
    };
    program.extend([
        SockFilter::new(STORE, 0, 0, 0),
        SockFilter::new(AND, 0, 0, 31),
        SockFilter::new(MOVE_TO_X, 0, 0, 0),
        SockFilter::new(LOAD_IMMEDIATE, 0, 0, 1),
        SockFilter::new(SHIFT_LEFT_BY_X, 0, 0, 0),
        SockFilter::new(MOVE_TO_X, 0, 0, 0),
        SockFilter::new(LOAD_STORED, 0, 0, 0),
        SockFilter::new(SHIFT_RIGHT, 0, 0, 5),
    ]);
    // X has the bit, A the number of its word.
    let used: Vec<_> = (0_u32..).zip(words).filter(|(_, word)| *word != 0).collect();
    let mut left = u8::try_from(used.len() * 3).unwrap_or(u8::MAX);
    for (number, word) in used {
        left -= 3;
        program.extend([
            SockFilter::new(JUMP_IF_EQUAL, 0, 2, number),
            SockFilter::new(LOAD_IMMEDIATE, 0, 0, word),
            SockFilter::new(JUMP_IF_SET_X, left + 1, left, 0),
        ]);
    }
    program.extend([
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]);
    program
}

/// VRRP's protocol number.
const VRRP: i32 = 112;
const SO_BINDTOIFINDEX: i32 = 62;
const IPV6_MULTICAST_ALL: i32 = 29;
const RECEIVE_BUFFER: i32 = 4 * 1024 * 1024;

/// `BPF_LDX | BPF_B | BPF_MSH`: X becomes the length of the IP header.
const LOAD_HEADER_LENGTH: u16 = 0xb1;
/// `BPF_LD | BPF_B | BPF_IND`: A becomes the byte at X + k.
const LOAD_BYTE_BEHIND_HEADER: u16 = 0x50;
/// `BPF_LD | BPF_B | BPF_ABS`: A becomes the byte at k.
const LOAD_BYTE: u16 = 0x30;
/// `BPF_ST`: into the scratch memory.
const STORE: u16 = 0x02;
/// `BPF_LD | BPF_MEM`: from there.
const LOAD_STORED: u16 = 0x60;
/// `BPF_LD | BPF_IMM`.
const LOAD_IMMEDIATE: u16 = 0x00;
/// `BPF_ALU | BPF_AND | BPF_K`.
const AND: u16 = 0x54;
/// `BPF_ALU | BPF_LSH | BPF_X`.
const SHIFT_LEFT_BY_X: u16 = 0x6c;
/// `BPF_ALU | BPF_RSH | BPF_K`.
const SHIFT_RIGHT: u16 = 0x74;
/// `BPF_MISC | BPF_TAX`.
const MOVE_TO_X: u16 = 0x07;
/// `BPF_JMP | BPF_JSET | BPF_X`.
const JUMP_IF_SET_X: u16 = 0x4d;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel runs the program, on a pair of sockets that needs no privileges.
    #[test]
    fn the_filter_keeps_the_virtual_routers_it_was_given_and_no_other() {
        let all: Vec<u8> = (1..=255).collect();
        let sparse = [1, 31, 32, 33, 63, 64, 200, 255];
        for vrids in [&[][..], &[7], &sparse, &all[..220], &all] {
            for (family, header) in [
                (AddressFamily::Ipv4, &[0x45; 20][..]),
                (AddressFamily::Ipv4, &[0x46; 24]),
                (AddressFamily::Ipv6, &[]),
            ] {
                let (here, there) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
                there.set_nonblocking(true).unwrap();
                there.attach_filter(&program(family, vrids)).unwrap();
                for vrid in 0..=255 {
                    let mut packet = header.to_vec();
                    packet.extend([0x31, vrid, 100, 1]);
                    here.send(&packet).unwrap();
                    let mut room = [std::mem::MaybeUninit::uninit(); 64];
                    let kept = there.recv(&mut room).is_ok();
                    assert_eq!(kept, vrids.contains(&vrid), "{vrid} of {vrids:?} over {family:?}");
                }
                // Too short to have an identifier.
                here.send(&[header, &[0x31]].concat()).unwrap();
                assert!(there.recv(&mut [std::mem::MaybeUninit::uninit(); 64]).is_err());
            }
        }
    }

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
