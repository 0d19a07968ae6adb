//! What passed over the wire, with the kernel's time stamps.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::namespace::Namespace;
use crate::sys;

/// A capture that runs until it is dropped.
#[derive(Debug)]
pub struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    /// Everything that passed before this time has been read.
    read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A frame as it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The kernel's time, nanoseconds of the wall clock.
    pub at: u64,
    /// The interface, by its number in the namespace captured.
    pub interface: u32,
    /// Whether it was leaving.
    pub outgoing: bool,
    /// The bytes, from the destination's hardware address on.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Captures VRRP, ARP and neighbour discovery that come in on any interface of the namespace (with
    /// `outgoing` also what leaves by it). `also` is told of each frame as it comes.
    ///
    /// # Errors
    /// What the system says to somebody without `CAP_NET_RAW`.
    pub fn start(namespace: &Namespace, outgoing: bool, also: Option<Sender<Frame>>) -> io::Result<Self> {
        let socket = namespace.run(|| {
            let protocol = i32::from((libc::ETH_P_ALL as u16).to_be());
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol.into()))?;
            sys::bind_packets(socket.as_fd())?;
            sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
            let room = 16 * 1024 * 1024;
            if sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, room).is_err() {
                sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, room)?;
            }
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            Ok(socket)
        })?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("capture".into()).spawn({
            let (frames, read, stop) = (Arc::clone(&frames), Arc::clone(&read), Arc::clone(&stop));
            move || {
                let mut buffer = vec![0; 9216];
                while !stop.load(Ordering::Relaxed) {
                    let begun = sys::wall_clock();
                    let Ok(stamp) = sys::receive(socket.as_fd(), &mut buffer) else {
                        // Nothing waited.
                        read.store(begun, Ordering::Release);
                        continue;
                    };
                    let bytes = &buffer[..stamp.length.min(buffer.len())];
                    read.store(stamp.time, Ordering::Release);
                    if (stamp.outgoing && !outgoing) || !is_interesting(bytes) {
                        continue;
                    }
                    let frame = Frame {
                        at: stamp.time,
                        interface: stamp.interface,
                        outgoing: stamp.outgoing,
                        bytes: bytes.to_vec(),
                    };
                    if let Some(also) = &also {
                        // A listener that has gone away needs nothing more.
                        let _ = also.send(frame.clone());
                    }
                    frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
                }
            }
        })?;
        Ok(Self {
            frames,
            read,
            stop,
            thread: Some(thread),
        })
    }

    /// Waits until everything that passed before a time of the wall clock has been read: on a busy machine thousands of frames
    /// a second may wait for the reader.
    ///
    /// # Errors
    /// When the reader does not catch up.
    pub fn catch_up(&self, time: u64) -> io::Result<()> {
        crate::lab::wait_for(Duration::from_secs(60), "the capture to catch up", || {
            self.read.load(Ordering::Acquire) >= time
        })
    }

    /// All frames so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All frames since the last call, which are forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<Frame> {
        std::mem::take(&mut *self.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Frame {
    /// What the frame is, as far as the laboratory cares.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        content(&self.bytes).unwrap_or(Content::Other)
    }

    /// The hardware address it came from.
    #[must_use]
    pub fn source_mac(&self) -> [u8; 6] {
        self.bytes
            .get(6..12)
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or_default()
    }

    /// The hardware address it went to.
    #[must_use]
    pub fn destination_mac(&self) -> [u8; 6] {
        self.bytes
            .get(..6)
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or_default()
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// A VRRP advertisement.
    Vrrp {
        /// The sender.
        source: IpAddr,
        /// The destination.
        destination: IpAddr,
        /// The time to live or hop limit.
        hop_limit: u8,
        /// The message.
        message: &'a [u8],
    },
    /// An ARP packet.
    Arp {
        /// 1 request, 2 reply.
        operation: u16,
        /// The sender's hardware address.
        sender_mac: [u8; 6],
        /// The sender's address.
        sender: Ipv4Addr,
        /// The target's hardware address.
        target_mac: [u8; 6],
        /// The target's address.
        target: Ipv4Addr,
    },
    /// An ICMPv6 packet: neighbour discovery, listener reports.
    Icmpv6 {
        /// The sender.
        source: Ipv6Addr,
        /// The destination.
        destination: Ipv6Addr,
        /// The hop limit.
        hop_limit: u8,
        /// From the type on.
        message: &'a [u8],
    },
    /// Anything else.
    Other,
}

impl Content<'_> {
    /// The address a gratuitous ARP or an unsolicited neighbour advertisement announces.
    #[must_use]
    pub fn announced(&self) -> Option<IpAddr> {
        match self {
            Content::Arp { sender, target, .. } if sender == target => Some((*sender).into()),
            Content::Icmpv6 {
                destination, message, ..
            } if message.first() == Some(&136) && destination.is_multicast() => {
                let target: [u8; 16] = message.get(8..24)?.try_into().ok()?;
                Some(Ipv6Addr::from(target).into())
            }
            _ => None,
        }
    }

    /// VRID and priority of an advertisement.
    #[must_use]
    pub fn advertisement(&self) -> Option<(u8, u8)> {
        match self {
            Content::Vrrp { message, .. } => Some((*message.get(1)?, *message.get(2)?)),
            _ => None,
        }
    }
}

fn is_interesting(bytes: &[u8]) -> bool {
    !matches!(content(bytes), None | Some(Content::Other))
}

fn content(bytes: &[u8]) -> Option<Content<'_>> {
    let kind = u16::from_be_bytes(bytes.get(12..14)?.try_into().ok()?);
    let packet = bytes.get(14..)?;
    match kind {
        0x0800 => {
            let header: &[u8; 20] = packet.first_chunk()?;
            if header[9] != 112 {
                return None;
            }
            let length = usize::from(header[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            Some(Content::Vrrp {
                source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
                destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
                hop_limit: header[8],
                message: packet.get(length..total)?,
            })
        }
        0x0806 => {
            let arp: &[u8; 28] = packet.first_chunk()?;
            let mac = |at: usize| arp[at..at + 6].try_into().ok();
            let address = |at: usize| {
                let octets: [u8; 4] = arp[at..at + 4].try_into().ok()?;
                Some(Ipv4Addr::from(octets))
            };
            Some(Content::Arp {
                operation: u16::from_be_bytes([arp[6], arp[7]]),
                sender_mac: mac(8)?,
                sender: address(14)?,
                target_mac: mac(18)?,
                target: address(24)?,
            })
        }
        0x86dd => {
            let header: &[u8; 40] = packet.first_chunk()?;
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            let address = |at: usize| {
                let octets: [u8; 16] = header[at..at + 16].try_into().ok()?;
                Some(Ipv6Addr::from(octets))
            };
            let (source, destination) = (address(8)?, address(24)?);
            let mut next = header[6];
            let mut message = packet.get(40..40 + length)?;
            if next == 0 {
                // A hop-by-hop header, before listener reports.
                let skip = (usize::from(*message.get(1)?) + 1) * 8;
                next = *message.first()?;
                message = message.get(skip..)?;
            }
            match next {
                112 => Some(Content::Vrrp {
                    source: source.into(),
                    destination: destination.into(),
                    hop_limit: header[7],
                    message,
                }),
                58 => Some(Content::Icmpv6 {
                    source,
                    destination,
                    hop_limit: header[7],
                    message,
                }),
                _ => None,
            }
        }
        _ => None,
    }
}
