//! The transmit sockets: multicast leaves as whole Ethernet frames through one packet socket, which lets the driver
//! choose the source MAC and is the cheapest way through the kernel; unicast, and multicast on interfaces that are not
//! Ethernet, leaves through raw IP sockets, because there the kernel must find the way.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_proto::MacAddress;

use super::frame;
use super::sys::{self, Datagram, Frame};
use crate::Error;
use crate::host::{HostEvent, Transmission, Transmissions};
use crate::link::Link;

/// Sends packets.
#[derive(Debug)]
pub(crate) struct Transmitter {
    frames: Socket,
    /// Opened when first needed: a host without IPv6 has no such socket.
    raw4: Option<Socket>,
    raw6: Option<Socket>,
    /// The hardware address of each Ethernet interface.
    macs: Vec<(u32, MacAddress)>,
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

/// One packet as it lies in the buffer.
#[derive(Debug, Clone)]
struct Part {
    place: usize,
    way: Way,
    range: std::ops::Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Frame,
    Raw4,
    Raw6,
}

impl Transmitter {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            // Protocol zero: a socket that sends and is never handed a packet.
            frames: Socket::new(Domain::PACKET, Type::RAW, None).map_err(Error::Socket)?,
            raw4: None,
            raw6: None,
            macs: Vec::new(),
            bytes: Vec::new(),
            parts: Vec::new(),
        })
    }

    /// Learns hardware addresses from the watch.
    pub(crate) fn note(&mut self, event: &HostEvent) {
        match event {
            HostEvent::Snapshot { links, .. } => {
                self.macs.clear();
                for link in links {
                    self.note_link(link);
                }
            }
            HostEvent::Link(link) => self.note_link(link),
            HostEvent::LinkGone(index) => self.macs.retain(|(known, _)| known != index),
            _ => {}
        }
    }

    fn note_link(&mut self, link: &Link) {
        self.macs.retain(|(known, _)| *known != link.index);
        if let Some(mac) = link.mac.filter(|_| link.ethernet) {
            self.macs.push((link.index, mac));
        }
    }

    pub(crate) fn send(&mut self, packets: &Transmissions, failed: &mut dyn FnMut(usize, Error)) {
        self.bytes.clear();
        self.parts.clear();
        for (place, (transmission, message)) in packets.iter().enumerate() {
            let start = self.bytes.len();
            let way = self.build(transmission, message);
            self.parts.push(Part {
                place,
                way,
                range: start..self.bytes.len(),
            });
        }
        self.send_frames(packets, failed);
        for way in [Way::Raw4, Way::Raw6] {
            self.send_raw(way, packets, failed);
        }
    }

    /// Writes one packet behind the others.
    fn build(&mut self, transmission: &Transmission, message: &[u8]) -> Way {
        let own = self
            .macs
            .iter()
            .find(|(index, _)| *index == transmission.interface)
            .map(|(_, mac)| *mac);
        let group = MacAddress::multicast(transmission.destination);
        if let (Some(own), Some(group)) = (own, group) {
            let source = transmission.source_mac.unwrap_or(own);
            frame::frame(&mut self.bytes, (source, group), transmission, message);
            return Way::Frame;
        }
        match transmission.destination {
            IpAddr::V4(_) => {
                frame::packet(&mut self.bytes, transmission, message);
                Way::Raw4
            }
            IpAddr::V6(_) => {
                self.bytes.extend_from_slice(message);
                Way::Raw6
            }
        }
    }

    fn send_frames(&self, packets: &Transmissions, failed: &mut dyn FnMut(usize, Error)) {
        let chosen: Vec<_> = self.parts.iter().filter(|part| part.way == Way::Frame).collect();
        let frames: Vec<_> = chosen
            .iter()
            .filter_map(|part| {
                let transmission = packets.get(part.place)?;
                Some(Frame {
                    interface: transmission.interface,
                    protocol: frame::protocol(transmission.destination),
                    bytes: self.bytes.get(part.range.clone())?,
                })
            })
            .collect();
        sys::send_frames(self.frames.as_fd(), &frames, |slot, error| {
            if let Some(part) = chosen.get(slot) {
                failed(part.place, Error::Send(error));
            }
        });
    }

    fn send_raw(&mut self, way: Way, packets: &Transmissions, failed: &mut dyn FnMut(usize, Error)) {
        let chosen: Vec<_> = self
            .parts
            .iter()
            .filter(|part| part.way == way)
            .cloned()
            .collect();
        if chosen.is_empty() {
            return;
        }
        let hop_limit = chosen
            .first()
            .and_then(|part| packets.get(part.place))
            .map_or(255, |transmission| transmission.hop_limit);
        let socket = match self.raw_socket(way, hop_limit) {
            Ok(socket) => socket,
            Err(error) => {
                for part in &chosen {
                    failed(part.place, Error::Send(std::io::Error::from(error.kind())));
                }
                return;
            }
        };
        let datagrams: Vec<_> = chosen
            .iter()
            .filter_map(|part| {
                let transmission = packets.get(part.place)?;
                Some(Datagram {
                    interface: transmission.interface,
                    source: match transmission.source {
                        IpAddr::V6(source) => source,
                        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
                    },
                    destination: transmission.destination,
                    bytes: self.bytes.get(part.range.clone())?,
                })
            })
            .collect();
        sys::send_datagrams(socket.as_fd(), &datagrams, |slot, error| {
            if let Some(part) = chosen.get(slot) {
                failed(part.place, Error::Send(error));
            }
        });
    }

    fn raw_socket(&mut self, way: Way, hop_limit: u8) -> std::io::Result<Socket> {
        let slot = if way == Way::Raw4 {
            &mut self.raw4
        } else {
            &mut self.raw6
        };
        let socket = match slot {
            Some(socket) => socket,
            None => {
                let socket = if way == Way::Raw4 {
                    open_raw4()?
                } else {
                    open_raw6()?
                };
                slot.insert(socket)
            }
        };
        if way == Way::Raw6 {
            let limit = i32::from(hop_limit);
            sys::set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, limit)?;
        }
        socket.try_clone()
    }
}

fn open_raw4() -> std::io::Result<Socket> {
    // IPPROTO_RAW: it only sends, and every packet brings its own IP header.
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    socket.set_multicast_loop_v4(false)?;
    Ok(socket)
}

fn open_raw6() -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(VRRP)))?;
    let fd = socket.as_fd();
    socket.set_multicast_loop_v6(false)?;
    sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, 255)?;
    sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, NETWORK_CONTROL)?;
    // A socket of VRRP's protocol is handed VRRP packets; this one drops them all unread.
    socket.attach_filter(&[socket2::SockFilter::new(RETURN, 0, 0, 0)])?;
    Ok(socket)
}

/// VRRP's protocol number.
const VRRP: i32 = 112;
/// The traffic class of network control, CS6.
const NETWORK_CONTROL: i32 = 0xc0;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
