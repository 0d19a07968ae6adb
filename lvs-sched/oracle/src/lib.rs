//! A kernel with IPVS, asked one packet at a time which destination it picks.
//!
//! Nothing of this needs a second host. All addresses are local to the loopback interface, so that a packet which IPVS
//! forwards by direct routing is accepted at once; services are firewall marks, so that any address can be asked for; the
//! packets go out through a raw socket that sets the mark. A sender is answered only after its packet has passed IPVS, so
//! picks happen in the order of the packets. What was picked stands in `/proc/net/ip_vs_conn`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The kernel's IPVS in a network namespace of its own, with the routes and the socket that are needed to ask it.
///
/// The thread that makes it stays in the namespace, which goes with the value.
#[derive(Debug)]
pub struct Kernel {
    socket: Socket,
    namespace: String,
    release: Release,
}

/// Version of a running kernel as far as schedulers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// `6` of 6.12.117
    pub major: u32,
    /// `12` of 6.12.117
    pub minor: u32,
    /// `117` of 6.12.117
    pub patch: u32,
}

/// A packet of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The client.
    pub source: SocketAddrV4,
    /// What it asks for.
    pub destination: SocketAddrV4,
    /// UDP or a segment of TCP.
    pub kind: PacketKind,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A datagram
    Udp,
    /// The first segment of a connection
    Syn,
    /// A segment of an open connection
    Ack,
    /// The client's last segment
    Fin,
}

/// A row of `/proc/net/ip_vs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The destination
    pub address: Ipv4Addr,
    /// Its weight
    pub weight: u32,
    /// Its active connections
    pub active: u32,
    /// The others
    pub inactive: u32,
}

/// Where the kernel sent each client, and which of these connections will soon expire.
#[derive(Debug, Default)]
pub struct Connections {
    /// The destination by client
    pub picks: BTreeMap<SocketAddrV4, Ipv4Addr>,
    /// How many are closing, or are no connections
    pub fading: usize,
}

impl Kernel {
    /// Moves this thread into a namespace of this name and prepares it.
    ///
    /// # Errors
    /// Where there is no privilege, no IPVS, or no `ip` or `ipvsadm` program.
    pub fn new(name: &str) -> io::Result<Self> {
        run("modprobe", &["-a", "ip_vs"], "")?;
        let namespace = format!("lvs-sched-{}-{name}", std::process::id());
        run("ip", &["netns", "add", &namespace], "")?;
        let file = fs::File::open(format!("/run/netns/{namespace}"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        run("ip", &["link", "set", "lo", "up"], "")?;
        run(
            "ip",
            &["route", "replace", "local", "10.96.0.0/14", "dev", "lo"],
            "",
        )?;
        // Nobody answers the clients.
        run("ip", &["route", "replace", "blackhole", "172.16.0.0/12"], "")?;
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
        let version = fs::read_to_string("/proc/version")?;
        Ok(Self {
            socket,
            namespace,
            release: Release::parse(&version).ok_or_else(|| invalid(&version))?,
        })
    }

    /// Which kernel this is.
    #[must_use]
    pub const fn release(&self) -> Release {
        self.release
    }

    /// Sets the timeouts of open and closing TCP connections and of UDP.
    ///
    /// # Errors
    /// What `ipvsadm` answers.
    pub fn timeouts(&self, tcp: u32, closing: u32, udp: u32) -> io::Result<()> {
        let words = [tcp, closing, udp].map(|seconds| seconds.to_string());
        run("ipvsadm", &["--set", &words[0], &words[1], &words[2]], "")
    }

    /// Carries out lines as `ipvsadm` takes them, in one go.
    ///
    /// # Errors
    /// What `ipvsadm` answers.
    pub fn edit(&self, lines: &[String]) -> io::Result<()> {
        run("ipvsadm", &["-R"], &(lines.join("\n") + "\n"))
    }

    /// Sends a packet to the service of a mark. A packet for which there is no destination is not an error.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&self, mark: u32, packet: &Packet) -> io::Result<()> {
        self.socket.set_mark(mark)?;
        let bytes = packet.bytes();
        let to = SockAddr::from(packet.destination);
        match self.socket.send_to(&bytes, &to) {
            Ok(_) => Ok(()),
            // What was dropped on its way out.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The destinations of a mark's service, in the kernel's order.
    ///
    /// # Errors
    /// Where the file cannot be read or understood.
    pub fn rows(&self, mark: u32) -> io::Result<Vec<Row>> {
        let text = fs::read_to_string("/proc/thread-self/net/ip_vs")?;
        let begin = format!("FWM  {mark:08X} ");
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&begin));
        lines.next().ok_or_else(|| invalid(&begin))?;
        lines
            .take_while(|line| line.starts_with("  -> "))
            .map(|line| {
                let mut words = line.split_whitespace().skip(1);
                let address = words.next().and_then(|word| word.split(':').next());
                let mut numbers = words.skip(1).filter_map(|word| word.parse().ok());
                Some(Row {
                    address: hex_address(address?)?,
                    weight: numbers.next()?,
                    active: numbers.next()?,
                    inactive: numbers.next()?,
                })
            })
            .map(|row| row.ok_or_else(|| invalid(&text)))
            .collect()
    }

    /// How many connections each destination of a mark's service ever got, as the kernel's estimator says every two
    /// seconds.
    ///
    /// # Errors
    /// What `ipvsadm` answers.
    pub fn totals(&self, mark: u32) -> io::Result<BTreeMap<Ipv4Addr, u64>> {
        let mark = mark.to_string();
        let arguments = ["-Ln", "--stats", "--exact", "-f", &mark];
        let output = Command::new("ipvsadm").args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = text.lines().filter_map(|line| line.trim().strip_prefix("-> "));
        // The first such line is the head of the table.
        rows.skip(1)
            .map(|row| {
                let mut words = row.split_whitespace();
                let address = words.next()?.split(':').next()?.parse().ok()?;
                Some((address, words.next()?.parse().ok()?))
            })
            .map(|row| row.ok_or_else(|| invalid(&text)))
            .collect()
    }

    /// All connections.
    ///
    /// # Errors
    /// Where the file cannot be read or understood.
    pub fn connections(&self) -> io::Result<Connections> {
        let text = fs::read_to_string("/proc/thread-self/net/ip_vs_conn")?;
        let mut connections = Connections::default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [protocol, from, port, _, _, to, _, state, ..] = words.as_slice() else {
                return Err(invalid(line));
            };
            let port = u16::from_str_radix(port, 16).map_err(|_| invalid(line))?;
            // Port 0 is a template of persistence.
            if port != 0 {
                let from = hex_address(from).ok_or_else(|| invalid(line))?;
                let to = hex_address(to).ok_or_else(|| invalid(line))?;
                connections.picks.insert(SocketAddrV4::new(from, port), to);
                connections.fading += usize::from(*protocol == "UDP" || *state != "ESTABLISHED");
            }
        }
        Ok(connections)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // A namespace that stays behind harms nobody but is untidy.
        let _ = run("ip", &["netns", "delete", &self.namespace], "");
    }
}

impl Release {
    /// Whether an active connection weighs 257, as it does since the scheduler fixes of 2026.
    #[must_use]
    pub const fn counts_totals(self) -> bool {
        match (self.major, self.minor) {
            (6, 1) => self.patch >= 187,
            (6, 12) => self.patch >= 104,
            (major, minor) => major > 7 || (major == 7 && minor >= 1),
        }
    }

    /// Whether the kernel is one in which Debian builds `ip_vs_twos`.
    #[must_use]
    pub const fn has_twos(self) -> bool {
        self.major > 6 || self.minor >= 11
    }

    /// Debian's kernels name the upstream release after their own.
    fn parse(version: &str) -> Option<Self> {
        let upstream = match version.split_once(" Debian ") {
            Some((_, rest)) => rest,
            None => version.strip_prefix("Linux version ")?,
        };
        let end = upstream.find(|letter: char| letter != '.' && !letter.is_ascii_digit());
        let mut numbers = upstream[..end?].split('.').map(str::parse);
        Some(Self {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
            patch: numbers.next()?.ok()?,
        })
    }
}

impl Packet {
    /// The packet from its IP header on. The kernel fills in the header's checksum; that of the segment is wrong on
    /// purpose, so that nothing behind IPVS takes it up.
    fn bytes(&self) -> Vec<u8> {
        let (protocol, transport) = match self.kind {
            PacketKind::Udp => (17, 8),
            PacketKind::Syn | PacketKind::Ack | PacketKind::Fin => (6, 20),
        };
        let mut bytes = vec![0x45, 0, 0, 20 + transport, 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend(self.source.ip().octets());
        bytes.extend(self.destination.ip().octets());
        bytes.extend(self.source.port().to_be_bytes());
        bytes.extend(self.destination.port().to_be_bytes());
        let flags = match self.kind {
            PacketKind::Udp => {
                bytes.extend([0, 8, 0xff, 0xfe]);
                return bytes;
            }
            PacketKind::Syn => 0x02,
            PacketKind::Ack => 0x10,
            PacketKind::Fin => 0x11,
        };
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x10, 0, 0xff, 0xfe, 0, 0]);
        bytes
    }
}

const IPPROTO_RAW: i32 = 255;

fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && complaint.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program} {arguments:?}: {complaint}")))
    }
}

fn hex_address(word: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(word, 16).ok().map(Ipv4Addr::from_bits)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not understood: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart() {
        let debian =
            "Linux version 6.1.0-50-cloud-amd64 (x@debian.org) (gcc-12) #1 SMP Debian 6.1.176-1 (2026)";
        let old = Release::parse(debian).unwrap();
        assert_eq!((old.major, old.minor, old.patch), (6, 1, 176));
        assert!(!old.counts_totals() && !old.has_twos());
        let plain = Release::parse("Linux version 6.12.117 (x@y) #1 SMP").unwrap();
        assert!(plain.counts_totals() && plain.has_twos());
        assert_eq!(Release::parse("Darwin"), None);
    }
}
