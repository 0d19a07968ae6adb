//! One daemon with some forty virtual routers at once, a peer on the other host that says to each what its part is, and what
//! was seen of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use failover_lab::capture::{Capture, Frame};
use failover_lab::namespace::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{Host, INTERFACE, Pair, Process, until};

/// Which daemon is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Ours,
    Keepalived,
}

/// One virtual router and what its peer says to it.
pub(crate) struct Part {
    pub(crate) vrid: u8,
    /// The lines of its block that are its own.
    pub(crate) lines: &'static str,
    pub(crate) says: Vec<Says>,
}

/// A packet of the peer, again and again.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) packet: Packet,
    /// In seconds, since the first sign of life of the daemon; what begins earlier begins before it is started.
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// An advertisement, right or wrong.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) priority: u8,
    /// Seconds in VRRPv2, centiseconds in VRRPv3.
    pub(crate) interval: u16,
    pub(crate) source: Ipv4Addr,
    pub(crate) hop_limit: u8,
    pub(crate) password: &'static [u8],
    pub(crate) is_spoiled: bool,
    pub(crate) is_cut: bool,
}

impl Packet {
    /// VRRPv2 from the peer's own address.
    pub(crate) fn v2(priority: u8) -> Self {
        Self {
            version: 2,
            kind: 1,
            priority,
            interval: 1,
            source: PEER,
            hop_limit: 255,
            password: b"",
            is_spoiled: false,
            is_cut: false,
        }
    }

    pub(crate) fn v3(priority: u8, centiseconds: u16) -> Self {
        Self {
            version: 3,
            interval: centiseconds,
            ..Self::v2(priority)
        }
    }

    /// From the IP header on.
    fn bytes(&self, vrid: u8) -> Vec<u8> {
        let mut message = vec![self.version << 4 | self.kind, vrid, self.priority, 1];
        match self.version {
            2 => message.extend([u8::from(!self.password.is_empty()), self.interval as u8]),
            _ => message.extend(self.interval.to_be_bytes()),
        }
        message.extend([0, 0]);
        message.extend(address(vrid).octets());
        let mut covered = Vec::new();
        if self.version == 2 {
            let mut password = self.password.to_vec();
            password.resize(8, 0);
            message.extend(password);
        } else {
            covered.extend(self.source.octets());
            covered.extend(GROUP.octets());
            covered.extend([0, 112, 0, message.len() as u8]);
        }
        covered.extend(&message);
        let sum = checksum(&covered) ^ u16::from(self.is_spoiled);
        message[6..8].copy_from_slice(&sum.to_be_bytes());
        if self.is_cut {
            message.truncate(8);
        }
        let mut packet = vec![0x45, 0xc0, 0, 20 + message.len() as u8, 0, 0, 0, 0];
        // The kernel fills in the checksum of the header.
        packet.extend([self.hop_limit, 112, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(GROUP.octets());
        packet.extend(message);
        packet
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let mut sum: u32 = words
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The address of a virtual router.
pub(crate) fn address(vrid: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, vrid, 7)
}

/// What was seen of one daemon. Times are of the kernel, in seconds since it was started.
pub(crate) struct Seen {
    pub(crate) daemon: Daemon,
    frames: Vec<Frame>,
    spawned: u64,
    /// The virtual routers whose address it held when all had been said, and when it had ended.
    pub(crate) held: BTreeSet<u8>,
    pub(crate) left: BTreeSet<u8>,
    /// What the notification script of each was told in which state.
    pub(crate) notified: String,
    /// When the door was closed, and when it was told to end.
    pub(crate) closed: f64,
    pub(crate) stopped: f64,
    /// The longest that the peer was late.
    pub(crate) stall: Duration,
}

/// An advertisement that was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: f64,
    pub(crate) priority: u8,
}

impl Seen {
    /// What the daemon advertised.
    pub(crate) fn adverts(&self, vrid: u8) -> Vec<Heard> {
        self.heard(vrid, false)
    }

    /// What the peer said.
    pub(crate) fn said(&self, vrid: u8) -> Vec<Heard> {
        self.heard(vrid, true)
    }

    fn heard(&self, vrid: u8, outgoing: bool) -> Vec<Heard> {
        let frames = self.frames.iter().filter(|frame| frame.outgoing == outgoing);
        let of_frame = |frame: &Frame| {
            let (found, priority) = frame.content().advertisement()?;
            let at = self.since_start(frame.at);
            (found == vrid).then_some(Heard { at, priority })
        };
        frames.filter_map(of_frame).collect()
    }

    /// When the address was announced.
    pub(crate) fn announced(&self, vrid: u8) -> Vec<f64> {
        let wanted = Some(IpAddr::from(address(vrid)));
        let frames = self.frames.iter().filter(|frame| !frame.outgoing);
        let announced = frames.filter(|frame| frame.content().announced() == wanted);
        announced.map(|frame| self.since_start(frame.at)).collect()
    }

    /// The packets of the daemon's advertisements, from the IP header on.
    pub(crate) fn packets(&self, vrid: u8) -> Vec<&[u8]> {
        let frames = self.frames.iter().filter(|frame| !frame.outgoing);
        let mine = frames.filter(|frame| {
            frame
                .content()
                .advertisement()
                .is_some_and(|(found, _)| found == vrid)
        });
        mine.map(|frame| &frame.bytes[14..]).collect()
    }

    fn since_start(&self, at: u64) -> f64 {
        (at as f64 - self.spawned as f64) / 1e9
    }
}

/// Lets one daemon play all parts.
pub(crate) fn play(daemon: Daemon, parts: &[Part]) -> Seen {
    // The daemon is on the host with the higher address.
    let Pair {
        first: other,
        second: host,
    } = Pair::new();
    prepare(&host, parts);
    let namespace = Namespace::named(other.namespace()).unwrap();
    let capture = Capture::start(&namespace, true, None).unwrap();
    let begun = OnceLock::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = Done(&done);
        let peer = scope.spawn(|| speak(&namespace, parts, &begun, &done));
        let spawned = now();
        let mut process = start(&host, daemon);
        let mut seen = Seen {
            daemon,
            frames: Vec::new(),
            spawned,
            held: BTreeSet::new(),
            left: BTreeSet::new(),
            notified: String::new(),
            closed: 0.0,
            stopped: 0.0,
            stall: Duration::ZERO,
        };
        let look = |seen: &mut Seen| seen.frames.extend(capture.take());
        until("the first sign of life", || {
            look(&mut seen);
            !seen.adverts(OWNER).is_empty()
        });
        begun.set(Instant::now()).unwrap();
        std::thread::sleep(LENGTH);
        seen.held = held(&host);

        seen.closed = seen.since_start(now());
        host.write("/run/closed", "");
        until("the fault", || {
            look(&mut seen);
            seen.adverts(FAULTY).iter().any(|heard| heard.priority == 0)
        });
        let text = host.read(CONFIG) + &block(NEWCOMER, "state MASTER\n priority 255");
        host.write(CONFIG, &text);
        signal(&host, "HUP");
        until("the reload", || {
            look(&mut seen);
            !seen.adverts(NEWCOMER).is_empty()
        });
        seen.stopped = seen.since_start(now());
        signal(&host, "TERM");
        assert_eq!(process.wait(), Some(0));
        capture.catch_up(now()).unwrap();
        look(&mut seen);
        seen.left = held(&host);
        seen.notified = host.read("/run/notified");
        done.store(true, Ordering::Relaxed);
        seen.stall = peer.join().unwrap();
        seen
    })
}

/// Ends the peer, also when something went wrong.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn prepare(host: &Host, parts: &[Part]) {
    let global = "global_defs {\n script_user root\n}\n\
                  vrrp_script door {\n script \"/usr/bin/test ! -e /run/closed\"\n interval 1\n timeout 30\n}\n\
                  vrrp_script slow {\n script \"/bin/sleep 2\"\n interval 60\n timeout 30\n}\n";
    let group: String = [PAIR, FORGETFUL]
        .map(|[one, two]| format!("vrrp_sync_group G{one} {{\n group {{\n  V{one}\n  V{two}\n }}\n}}\n"))
        .concat();
    let blocks: String = parts.iter().map(|part| block(part.vrid, part.lines)).collect();
    host.write(CONFIG, &format!("{global}{group}{blocks}"));
    host.write_program(
        "/etc/keepalived/notify.sh",
        "#!/bin/sh\necho \"$*\" >> /run/notified\n",
    );
    let run = |words: &[&str]| {
        let (code, text) = host.run(words[0], &words[1..]);
        assert_eq!(code, Some(0), "{text}");
    };
    // Left by a predecessor.
    run(&[
        "ip",
        "addr",
        "add",
        &format!("{}/32", address(LEFTOVER)),
        "dev",
        INTERFACE,
    ]);
    // Somebody has our own address, and the kernel is to let that through.
    for place in ["all", INTERFACE] {
        let path = format!("/proc/sys/net/ipv4/conf/{place}");
        run(&[
            "sh",
            "-c",
            &format!("echo 1 > {path}/accept_local; echo 0 > {path}/rp_filter"),
        ]);
    }
    // A fault at the start would be that of the link.
    until("the link to be up", || {
        let (_, text) = host.run("ip", &["-br", "link", "show", "dev", INTERFACE]);
        text.split_whitespace().nth(1) == Some("UP")
    });
}

fn block(vrid: u8, lines: &str) -> String {
    format!(
        "vrrp_instance V{vrid} {{\n interface {INTERFACE}\n virtual_router_id {vrid}\n {lines}\n \
         virtual_ipaddress {{\n  {}\n }}\n}}\n",
        address(vrid)
    )
}

fn start(host: &Host, daemon: Daemon) -> Process<'_> {
    match daemon {
        Daemon::Ours => host.start(OURS, &["run", "--config", CONFIG, "-p", PID]),
        Daemon::Keepalived => host.start(
            "keepalived",
            &["-n", "-l", "-P", "-f", CONFIG, "-p", PID, "-r", "/run/v.pid"],
        ),
    }
}

fn signal(host: &Host, name: &str) {
    let pid = host.read(PID);
    let (code, text) = host.run("kill", &[&format!("-{name}"), pid.trim()]);
    assert_eq!(code, Some(0), "{text}");
}

/// The virtual routers whose address is on the host.
fn held(host: &Host) -> BTreeSet<u8> {
    let (_, text) = host.run("ip", &["-4", "-o", "addr", "show", "dev", INTERFACE]);
    (1..=255)
        .filter(|vrid| text.contains(&format!(" {}/", address(*vrid))))
        .collect()
}

/// Says what there is to say, until told to end. Returns by how much it was late at worst.
fn speak(namespace: &Namespace, parts: &[Part], begun: &OnceLock<Instant>, done: &AtomicBool) -> Duration {
    let socket = namespace
        .run(|| {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
            socket.set_header_included_v4(true)?;
            socket.set_multicast_if_v4(&PEER)?;
            Ok(socket)
        })
        .unwrap();
    let group = SocketAddrV4::new(GROUP, 0).into();
    let mut says: Vec<(u8, &Says, Option<Instant>)> = parts
        .iter()
        .flat_map(|part| part.says.iter().map(|says| (part.vrid, says, None)))
        .collect();
    let mut worst = Duration::ZERO;
    let mut last = Instant::now();
    while !done.load(Ordering::Relaxed) {
        let now = Instant::now();
        worst = worst.max(now - last);
        last = now;
        let time = begun.get().map_or(-1.0, |begun| (now - *begun).as_secs_f64());
        for (vrid, says, said) in &mut says {
            let is_due = said.is_none_or(|said| now - said >= AGAIN);
            if is_due && time >= says.from && time < says.to {
                socket.send_to(&says.packet.bytes(*vrid), &group).unwrap();
                *said = Some(now);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    worst
}

/// Nanoseconds of the wall clock, as the frames have.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_ha-daemon");
pub(crate) const CONFIG: &str = "/etc/keepalived/keepalived.conf";
const PID: &str = "/run/daemon.pid";

pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 1, 10, 1);
/// The address of the daemon's host.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(10, 1, 10, 2);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The protocol number with which the whole packet is the sender's.
const RAW: i32 = 255;

/// The virtual router that is active at once, and so the first sign of life.
pub(crate) const OWNER: u8 = 1;
/// The two of the sync group.
pub(crate) const PAIR: [u8; 2] = [7, 8];
/// The two of the sync group of which one has learned an interval before it was active.
pub(crate) const FORGETFUL: [u8; 2] = [43, 44];
/// The one whose address is there at the start.
pub(crate) const LEFTOVER: u8 = 36;
/// The one that tracks the door.
pub(crate) const FAULTY: u8 = 35;
/// The one that is in the file from the reload on.
pub(crate) const NEWCOMER: u8 = 60;

/// How often the peer says the same.
const AGAIN: Duration = Duration::from_millis(700);

/// How long it takes until all has been said.
const LENGTH: Duration = Duration::from_millis(13_500);
