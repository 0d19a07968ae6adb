//! ICMP echoes: one socket for all targets that leave this host the same way.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{Protocol, RecvFlags, SendFlags, SocketType};

use super::net;
use crate::check::{Endpoint, Ping};
use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::{Cause, Outcome, Sample};
use crate::scheduler::Ticket;
use crate::sys;
use crate::time::Time;

/// All sockets for echoes.
pub(super) struct Pings {
    sockets: Vec<EchoSocket>,
    cookie: u64,
    identifier: u16,
    packet: Vec<u8>,
}

/// An echo under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    socket: u16,
    sequence: u16,
}

struct EchoSocket {
    /// The way: an endpoint without a place.
    endpoint: Endpoint,
    fd: OwnedFd,
    raw: bool,
    next: u16,
    pending: HashMap<u16, Pending>,
}

struct Pending {
    ticket: Ticket,
    cookie: u64,
    target: IpAddr,
    started: Time,
}

impl Pings {
    pub(super) fn new(seed: u64) -> Self {
        // The process number tells raw sockets of several processes apart before the cookie does.
        let identifier = (std::process::id() ^ (std::process::id() >> 16)) & 0xffff;
        Self {
            sockets: Vec::new(),
            cookie: seed,
            identifier: u16::try_from(identifier).unwrap_or(0),
            packet: Vec::new(),
        }
    }

    pub(super) fn send(
        &mut self,
        epoll: &OwnedFd,
        base: u64,
        ticket: Ticket,
        endpoint: &Endpoint,
        ping: Ping,
        now: Time,
    ) -> Result<Echo, Outcome> {
        let known = self.sockets.iter().position(|socket| {
            socket.endpoint.is_v6() == endpoint.is_v6() && socket.endpoint.net == endpoint.net
        });
        let number = match known {
            Some(number) => number,
            None => self.open(epoll, base, endpoint)?,
        };
        let Some(socket) = self.sockets.get_mut(number) else {
            return Err(Outcome::Inconclusive(Cause::Resources));
        };
        if socket.pending.len() > 60_000 {
            return Err(Outcome::Inconclusive(Cause::Resources));
        }
        while socket.pending.contains_key(&socket.next) {
            socket.next = socket.next.wrapping_add(1);
        }
        let sequence = socket.next;
        socket.next = socket.next.wrapping_add(1);
        self.cookie = self
            .cookie
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let cookie = self.cookie;
        let v6 = endpoint.is_v6();
        let packet = &mut self.packet;
        packet.clear();
        packet.extend_from_slice(&[if v6 { 128 } else { 8 }, 0, 0, 0]);
        packet.extend_from_slice(&self.identifier.to_be_bytes());
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&cookie.to_be_bytes());
        packet.extend_from_slice(b"healthck");
        packet.resize(packet.len() + usize::from(ping.padding.min(1400)), 0);
        if socket.raw && !v6 {
            let sum = checksum(packet).to_be_bytes();
            for (to, from) in packet.iter_mut().skip(2).zip(sum) {
                *to = from;
            }
        }
        let target = SocketAddr::new(endpoint.addr.ip(), 0);
        match rustix::net::sendto(&socket.fd, packet, SendFlags::empty(), &target) {
            Ok(_) => {}
            // Errors of earlier packets to others do not come here: the socket is not connected and asks for none.
            Err(errno) => return Err(net::connecting(errno)),
        }
        let pending = Pending {
            ticket,
            cookie,
            target: endpoint.addr.ip(),
            started: now,
        };
        socket.pending.insert(sequence, pending);
        Ok(Echo {
            socket: u16::try_from(number).unwrap_or(u16::MAX),
            sequence,
        })
    }

    pub(super) fn stop(&mut self, echo: Echo, ticket: Ticket) -> Option<Time> {
        let socket = self.sockets.get_mut(usize::from(echo.socket))?;
        if socket.pending.get(&echo.sequence)?.ticket != ticket {
            return None;
        }
        socket
            .pending
            .remove(&echo.sequence)
            .map(|pending| pending.started)
    }

    pub(super) fn receive(
        &mut self,
        number: u64,
        now: Time,
        buffer: &mut [u8],
        done: &mut Vec<(Ticket, Sample)>,
    ) {
        let socket = usize::try_from(number)
            .ok()
            .and_then(|number| self.sockets.get_mut(number));
        let Some(socket) = socket else { return };
        let v6 = socket.endpoint.is_v6();
        loop {
            let (length, from) = match rustix::net::recvfrom(&socket.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((_, length, from)) => (length, from.and_then(|from| SocketAddr::try_from(from).ok())),
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let packet = buffer.get(..length).unwrap_or_default();
            let Some(answer) = Answer::read(packet, v6, socket.raw) else {
                continue;
            };
            if socket.raw && answer.identifier != self.identifier {
                continue;
            }
            let is_ours = |pending: &&Pending| match answer.unreachable {
                None => {
                    pending.cookie == answer.cookie.unwrap_or(0)
                        && from.map(|from| from.ip()) == Some(pending.target)
                }
                Some((_, target)) => target.is_none_or(|target| target == pending.target),
            };
            if socket.pending.get(&answer.sequence).filter(is_ours).is_none() {
                continue;
            }
            let Some(pending) = socket.pending.remove(&answer.sequence) else {
                continue;
            };
            let latency = now.since(pending.started);
            let sample = match answer.unreachable {
                None => Sample::pass(latency),
                Some((code, _)) => {
                    let failure = Failure::new(Stage::Connect, FailKind::Unreachable);
                    let _ = code;
                    Sample::fail(failure, latency)
                }
            };
            done.push((pending.ticket, sample));
        }
    }

    fn open(&mut self, epoll: &OwnedFd, base: u64, endpoint: &Endpoint) -> Result<usize, Outcome> {
        let v6 = endpoint.is_v6();
        let protocol = if v6 {
            rustix::net::ipproto::ICMPV6
        } else {
            rustix::net::ipproto::ICMP
        };
        let (fd, raw) = match open_socket(endpoint, SocketType::DGRAM, protocol) {
            Ok(fd) => (fd, false),
            // Not in ping_group_range: a raw socket does as well for who may have one.
            Err(_) => (open_socket(endpoint, SocketType::RAW, protocol)?, true),
        };
        if raw {
            let name = if v6 {
                (libc::IPPROTO_ICMPV6, ICMPV6_FILTER)
            } else {
                (libc::SOL_RAW, ICMP_FILTER)
            };
            let filter: Vec<u8> = if v6 {
                // A set bit blocks: everything but destination unreachable (1) and echo reply (129).
                let mut words = [u32::MAX; 8];
                let [first, _, _, _, fifth, ..] = &mut words;
                *first &= !(1 << 1);
                *fifth &= !(1 << 1);
                words.iter().flat_map(|word| word.to_ne_bytes()).collect()
            } else {
                // Everything but echo reply (0) and destination unreachable (3).
                (!(1_u32 << 0 | 1 << 3)).to_ne_bytes().to_vec()
            };
            sys::set(&fd, name.0, name.1, &filter).map_err(|_| Outcome::Inconclusive(Cause::Permission))?;
        }
        // A burst of answers must fit. Where forcing is not permitted, the ordinary maximum has to do.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&fd, 4 << 20).is_err() {
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&fd, 4 << 20);
        }
        let number = self.sockets.len();
        let data = epoll::EventData::new_u64(base.saturating_add(u64::try_from(number).unwrap_or(0)));
        epoll::add(epoll, &fd, data, epoll::EventFlags::IN).map_err(net::local)?;
        self.sockets.push(EchoSocket {
            endpoint: endpoint.clone(),
            fd,
            raw,
            next: 0,
            pending: HashMap::new(),
        });
        Ok(number)
    }
}

/// What an ICMP packet says to us.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    identifier: u16,
    sequence: u16,
    cookie: Option<u64>,
    /// The code of a "destination unreachable", and which destination.
    unreachable: Option<(u8, Option<IpAddr>)>,
}

impl Answer {
    /// What a socket brought: a raw one of IPv4 brings the IP header too.
    fn read(packet: &[u8], v6: bool, raw: bool) -> Option<Self> {
        let header = match packet.first() {
            Some(first) if raw && !v6 => usize::from(first & 15) * 4,
            _ => 0,
        };
        Self::parse(packet.get(header..)?, v6)
    }

    /// An echo reply, or the complaint of a router about an echo request; `None` for everything else.
    fn parse(packet: &[u8], v6: bool) -> Option<Self> {
        let [kind, code, _, _, rest @ ..] = packet else {
            return None;
        };
        let word = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.first_chunk().copied()?));
        match (v6, kind) {
            (false, 0) | (true, 129) => Some(Self {
                identifier: word(rest)?,
                sequence: word(rest.get(2..)?)?,
                cookie: Some(u64::from_be_bytes(rest.get(4..)?.first_chunk().copied()?)),
                unreachable: None,
            }),
            (false, 3) => {
                let inner = rest.get(4..)?;
                let header = usize::from(inner.first()? & 15) * 4;
                let target: [u8; 4] = inner.get(16..)?.first_chunk().copied()?;
                let echo = inner.get(header..)?;
                let asked = *echo.first()? == 8 && *inner.get(9)? == 1;
                asked.then_some(())?;
                Some(Self {
                    identifier: word(echo.get(4..)?)?,
                    sequence: word(echo.get(6..)?)?,
                    cookie: None,
                    unreachable: Some((*code, Some(IpAddr::from(target)))),
                })
            }
            (true, 1) => {
                let inner = rest.get(4..)?;
                let target: [u8; 16] = inner.get(24..)?.first_chunk().copied()?;
                let echo = inner.get(40..)?;
                let asked = *echo.first()? == 128 && *inner.get(6)? == 58;
                asked.then_some(())?;
                Some(Self {
                    identifier: word(echo.get(4..)?)?,
                    sequence: word(echo.get(6..)?)?,
                    cookie: None,
                    unreachable: Some((*code, Some(IpAddr::from(target)))),
                })
            }
            _ => None,
        }
    }
}

#[cfg(fuzzing)]
pub(crate) fn understands_icmp(packet: &[u8], v6: bool, raw: bool) -> bool {
    Answer::read(packet, v6, raw).is_some()
}

fn open_socket(endpoint: &Endpoint, kind: SocketType, protocol: Protocol) -> Result<OwnedFd, Outcome> {
    net::socket(endpoint, kind, Some(protocol))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let [high, low] = [
            pair.first().copied().unwrap_or(0),
            pair.get(1).copied().unwrap_or(0),
        ];
        sum += u32::from(u16::from_be_bytes([high, low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// `linux/icmp.h`; not in libc.
const ICMP_FILTER: i32 = 1;
/// `linux/icmpv6.h`; not in libc for this target.
const ICMPV6_FILTER: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_complaints_are_told_apart_and_nothing_panics() {
        let reply = [0, 0, 1, 2, 0, 7, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8];
        let answer = Answer::parse(&reply, false).unwrap();
        assert_eq!(
            (answer.identifier, answer.sequence, answer.cookie),
            (7, 9, Some(0x0102_0304_0506_0708))
        );
        let mut complaint = vec![
            3, 1, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        complaint.extend([8, 0, 0, 0, 0, 7, 0, 9]);
        let answer = Answer::parse(&complaint, false).unwrap();
        assert_eq!(answer.unreachable, Some((1, Some(IpAddr::from([10, 0, 0, 2])))));
        assert_eq!(answer.sequence, 9);
        for packet in [&reply[..], &complaint] {
            for end in 0..packet.len() {
                for v6 in [false, true] {
                    assert_eq!(Answer::parse(&packet[..end], v6), None, "{end} bytes");
                }
            }
        }
        assert_eq!(
            checksum(&[
                0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7
            ]),
            0xb861
        );
    }
}
