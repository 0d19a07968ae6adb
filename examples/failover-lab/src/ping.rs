//! The client: asks an address a thousand times a second whether it is there, and remembers each answer.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::Namespace;
use crate::story::Probe;
use crate::sys;

/// A client that asks until it is dropped.
#[derive(Debug)]
pub struct Ping {
    stop: Arc<AtomicBool>,
    probes: Arc<Mutex<Vec<Probe>>>,
    answered: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Ping {
    /// Starts asking `target` from inside a namespace, once in each `interval`.
    ///
    /// # Errors
    /// What the system says to somebody without `CAP_NET_RAW`.
    pub fn start(namespace: &Namespace, target: IpAddr, interval: Duration) -> io::Result<Self> {
        let socket = namespace.run(|| {
            let socket = match target {
                IpAddr::V4(_) => Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?,
                IpAddr::V6(_) => Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?,
            };
            sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
            socket.set_recv_buffer_size(1 << 20)?;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            Ok(Arc::new(socket))
        })?;
        // Each hears only the answers to its own questions.
        static NUMBER: AtomicU16 = AtomicU16::new(0x7a6b);
        let identifier = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut ping = Self {
            stop: Arc::default(),
            probes: Arc::default(),
            answered: Arc::default(),
            threads: Vec::new(),
        };
        let (stop, probes) = (Arc::clone(&ping.stop), Arc::clone(&ping.probes));
        let sender = Arc::clone(&socket);
        ping.threads.push(
            std::thread::Builder::new()
                .name("client-asks".into())
                .spawn(move || ask(&sender, (target, identifier), interval, &stop, &probes))?,
        );
        let (stop, probes) = (Arc::clone(&ping.stop), Arc::clone(&ping.probes));
        let answered = Arc::clone(&ping.answered);
        ping.threads.push(
            std::thread::Builder::new()
                .name("client-hears".into())
                .spawn(move || hear(&socket, (target, identifier), &stop, &probes, &answered))?,
        );
        Ok(ping)
    }

    /// All probes so far.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many answers have come.
    #[must_use]
    pub fn answers(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn ask(
    socket: &Socket,
    (target, identifier): (IpAddr, u16),
    interval: Duration,
    stop: &AtomicBool,
    probes: &Mutex<Vec<Probe>>,
) {
    let destination = match target {
        IpAddr::V4(_) => SocketAddr::new(target, 0),
        IpAddr::V6(target) => SocketAddr::V6(SocketAddrV6::new(target, 0, 0, 0)),
    };
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let number = {
            let mut probes = probes.lock().unwrap_or_else(PoisonError::into_inner);
            probes.push(Probe {
                sent: sys::wall_clock(),
                answered: None,
            });
            u32::try_from(probes.len() - 1).unwrap_or(u32::MAX)
        };
        // An address that nobody has is no reason to stop asking.
        let _ = socket.send_to(&echo(target, identifier, number), &destination.into());
        next += interval;
        let now = Instant::now();
        if next < now {
            next = now;
        }
        std::thread::sleep(next - now);
    }
}

fn hear(
    socket: &Socket,
    (target, identifier): (IpAddr, u16),
    stop: &AtomicBool,
    probes: &Mutex<Vec<Probe>>,
    answered: &AtomicU32,
) {
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) {
        let Ok(stamp) = sys::receive(socket.as_fd(), &mut buffer) else {
            continue;
        };
        let packet = &buffer[..stamp.length.min(buffer.len())];
        let Some(number) = answer(target, identifier, packet) else {
            continue;
        };
        let mut probes = probes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = usize::try_from(number)
            .ok()
            .and_then(|number| probes.get_mut(number))
            && probe.answered.is_none()
        {
            probe.answered = Some(stamp.time);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An echo request that carries its number in its data.
fn echo(target: IpAddr, identifier: u16, number: u32) -> [u8; 16] {
    let mut packet = [0; 16];
    packet[0] = if target.is_ipv4() { 8 } else { 128 };
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[8..12].copy_from_slice(&number.to_be_bytes());
    if target.is_ipv4() {
        let mut sum: u32 = packet
            .as_chunks()
            .0
            .iter()
            .map(|pair| u32::from(u16::from_be_bytes(*pair)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = !u16::try_from(sum).unwrap_or(0);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The number in an echo reply of ours.
fn answer(target: IpAddr, identifier: u16, packet: &[u8]) -> Option<u32> {
    let message = match target {
        IpAddr::V4(_) => packet.get(usize::from(packet.first()? & 15) * 4..)?,
        IpAddr::V6(Ipv6Addr { .. }) => packet,
    };
    let kind = if target.is_ipv4() { 0 } else { 129 };
    if *message.first()? != kind || message.get(4..6)? != identifier.to_be_bytes() {
        return None;
    }
    Some(u32::from_be_bytes(message.get(8..12)?.try_into().ok()?))
}
