//! What is compared with keepalived beside the rounds of a story: garbage on the wire, the cost of an advertisement, memory, a
//! crash without a peer.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vrrp_proto::{
    AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, Password, Priority, Vrid,
};

use crate::capture::Capture;
use crate::director::Director;
use crate::disturb::Disturber;
use crate::lab::wait_for;
use crate::observe::AddressWatch;
use crate::plan::{HIGH, Kind, LOW, PER_NETWORK};
use crate::segment::{Segment, port};
use crate::spec::{DirectorSpec, RouterSpec};
use crate::sys;

/// Something measured of one program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Whose.
    pub kind: Kind,
    /// What, with its unit.
    pub what: String,
    /// How much.
    pub value: f64,
}

/// Runs our director with the laboratory's own executable, or keepalived.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The laboratory's executable.
    pub ours: String,
}

impl Programs {
    fn start(&self, kind: Kind, segment: &Segment, host: usize, spec: &DirectorSpec) -> io::Result<Director> {
        match kind {
            Kind::Ours => Director::ours(segment.host(host), &self.ours, spec),
            Kind::Keepalived => Director::keepalived(segment.host(host), host, spec),
        }
    }

    /// How many advertisements an active router sends in six seconds (of one each) while another host sends garbage with
    /// its number twice a second, for each kind of garbage. All at the same time, each on a segment of its own.
    ///
    /// # Errors
    /// What the system says, and when the router does not become active.
    pub fn garbage(&self, kind: Kind) -> io::Result<Vec<Figure>> {
        std::thread::scope(|scope| {
            let all: Vec<_> = GARBAGE
                .iter()
                .map(|garbage| scope.spawn(move || self.one_garbage(kind, *garbage)))
                .collect();
            all.into_iter()
                .map(|one| {
                    one.join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })
    }

    fn one_garbage(&self, kind: Kind, garbage: Garbage) -> io::Result<Figure> {
        let segment = Segment::build(1, 2)?;
        let router = RouterSpec {
            version: 2,
            centiseconds: 100,
            password: Some("right".into()),
            ..one_router(HIGH)
        };
        let watch = AddressWatch::start(segment.host(0))?;
        let _director = self.start(kind, &segment, 0, &only(router))?;
        wait_for(PATIENCE, "the router to become active", || watch.holds(address()))?;
        let capture = Capture::start(segment.host(1), false, None)?;
        let mut disturber = Disturber::new(segment.host(1))?;
        let (envelope, message) = garbage.make()?;
        let begin = Instant::now();
        while begin.elapsed() < GARBAGE_TIME {
            disturber.send(&envelope, &message)?;
            std::thread::sleep(Duration::from_millis(500));
        }
        let sent = capture
            .take()
            .iter()
            .filter(|frame| frame.content().advertisement().is_some())
            .count();
        Ok(Figure {
            kind,
            what: format!("advertisements in 6 s of {}", garbage.words()),
            value: sent as f64,
        })
    }

    /// Microseconds of processor time for each advertisement sent and for each that arrived, by so many routers at 10 ms, their
    /// phases spread, over `time`. 200 of them are 20,000 a second; how many it really were is told beside it, and how many
    /// the standby sent, who is to send none. Each director has a processor of its own, where there are two.
    ///
    /// # Errors
    /// What the system says, and when the routers do not become active.
    pub fn cost(&self, kind: Kind, routers: usize, time: Duration) -> io::Result<Vec<Figure>> {
        let segment = Segment::build(1, 2)?;
        let watch = AddressWatch::start(segment.host(0))?;
        let spec = |priority| DirectorSpec {
            stagger: Duration::from_millis(10) / u32::try_from(routers).unwrap_or(u32::MAX),
            ..many(routers, 1, priority)
        };
        let processors = sys::processors()?;
        let active = self.start(kind, &segment, 0, &spec(HIGH))?;
        wait_for(PATIENCE, "the routers to become active", || {
            watch.present().len() >= routers
        })?;
        let standby = self.start(kind, &segment, 1, &spec(LOW))?;
        std::thread::sleep(Duration::from_secs(1));
        if let [first, second, ..] = processors[..] {
            keep_on(&active, first)?;
            keep_on(&standby, second)?;
        }
        std::thread::sleep(Duration::from_secs(1));
        let counts = || {
            io::Result::Ok((
                frames_from(&segment, 0)?,
                frames_from(&segment, 1)?,
                consumed(&active)?,
                consumed(&standby)?,
            ))
        };
        let (before, begun) = (counts()?, Instant::now());
        std::thread::sleep(time);
        let (after, time) = (counts()?, begun.elapsed());
        let count = after.0.saturating_sub(before.0).max(1) as f64;
        let micros = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e6 / count;
        let figure = |what: &str, value| Figure {
            kind,
            what: what.into(),
            value,
        };
        Ok(vec![
            figure("µs for each advertisement sent", micros(before.2, after.2)),
            figure("µs for each advertisement received", micros(before.3, after.3)),
            figure("advertisements a second", count / time.as_secs_f64()),
            figure(
                "advertisements a second of the standby, who is to send none",
                after.1.saturating_sub(before.1) as f64 / time.as_secs_f64(),
            ),
        ])
    }

    /// Resident memory in megabytes of all processes of a director with so many active routers.
    ///
    /// # Errors
    /// What the system says, and when the routers do not become active.
    pub fn memory(&self, kind: Kind, routers: usize) -> io::Result<Vec<Figure>> {
        let segment = Segment::build(routers.div_ceil(PER_NETWORK), 1)?;
        let watch = AddressWatch::start(segment.host(0))?;
        let director = self.start(kind, &segment, 0, &many(routers, 100, HIGH))?;
        wait_for(PATIENCE * 2, "the routers to become active", || {
            watch.present().len() >= routers
        })?;
        std::thread::sleep(Duration::from_secs(2));
        let mut bytes = 0;
        for process in director.processes() {
            bytes += resident(process)?;
        }
        Ok(vec![Figure {
            kind,
            what: format!("MB resident with {routers} routers"),
            value: bytes as f64 / 1e6,
        }])
    }

    /// Milliseconds of processor time a second that so many active routers take which advertise every second, with leased
    /// addresses and with addresses for ever.
    ///
    /// # Errors
    /// What the system says, and when the routers do not become active.
    pub fn lease(&self, routers: usize, time: Duration) -> io::Result<Vec<Figure>> {
        [None, Some(0)]
            .into_iter()
            .map(|lease| {
                let segment = Segment::build(routers.div_ceil(PER_NETWORK), 1)?;
                let watch = AddressWatch::start(segment.host(0))?;
                let mut spec = many(routers, 100, HIGH);
                for router in &mut spec.routers {
                    router.lease = lease;
                }
                let director = self.start(Kind::Ours, &segment, 0, &spec)?;
                wait_for(PATIENCE * 2, "the routers to become active", || {
                    watch.present().len() >= routers
                })?;
                // The second block of announcements is over.
                std::thread::sleep(Duration::from_secs(7));
                let before = consumed(&director)?;
                std::thread::sleep(time);
                let used = consumed(&director)?.saturating_sub(before);
                let kept = if lease.is_none() { "leased" } else { "for ever" };
                Ok(Figure {
                    kind: Kind::Ours,
                    what: format!("ms of processor time a second, {routers} addresses {kept}"),
                    value: used.as_secs_f64() * 1e3 / time.as_secs_f64(),
                })
            })
            .collect()
    }

    /// For how many milliseconds the address is missing when the only director is killed and started again at once.
    ///
    /// # Errors
    /// What the system says, and when the router does not become active.
    pub fn restart(&self, kind: Kind) -> io::Result<Vec<Figure>> {
        let segment = Segment::build(1, 2)?;
        let router = RouterSpec {
            version: 2,
            centiseconds: 100,
            ..one_router(HIGH)
        };
        let spec = only(router);
        let watch = AddressWatch::start(segment.host(0))?;
        let mut director = self.start(kind, &segment, 0, &spec)?;
        wait_for(PATIENCE, "the router to become active", || watch.holds(address()))?;
        std::thread::sleep(Duration::from_millis(1_200));
        director.kill()?;
        drop(director);
        let capture = Capture::start(segment.host(1), false, None)?;
        let _again = self.start(kind, &segment, 0, &spec)?;
        wait_for(PATIENCE, "the successor to advertise", || {
            capture
                .frames()
                .iter()
                .any(|frame| frame.content().advertisement().is_some())
        })?;
        wait_for(PATIENCE, "the successor to hold the address", || {
            watch.holds(address())
        })?;
        // Longer than what is left of any lease.
        std::thread::sleep(Duration::from_secs(3));
        let end = sys::wall_clock();
        let mut missing = 0;
        let mut since = None;
        for sighting in watch
            .seen()
            .iter()
            .filter(|sighting| sighting.address == address())
        {
            match (sighting.present, since) {
                (false, None) => since = Some(sighting.at),
                (true, Some(from)) => {
                    missing += sighting.at.saturating_sub(from);
                    since = None;
                }
                _ => {}
            }
        }
        missing += since.map_or(0, |from| end.saturating_sub(from));
        Ok(vec![Figure {
            kind,
            what: "ms without the address after a crash and a restart".into(),
            value: missing as f64 / 1e6,
        }])
    }
}

/// What a host on the link may send.
#[derive(Debug, Clone, Copy)]
enum Garbage {
    Password,
    HopLimit,
    Checksum,
    Version,
    Short,
}

impl Garbage {
    fn words(self) -> &'static str {
        match self {
            Self::Password => "a wrong password",
            Self::HopLimit => "TTL 1",
            Self::Checksum => "a wrong checksum",
            Self::Version => "a wrong version",
            Self::Short => "eight bytes",
        }
    }

    fn make(self) -> io::Result<(Envelope, Vec<u8>)> {
        let source = Segment::ipv4(0, 1);
        let own: IpAddr = source.into();
        let mut envelope = Envelope::multicast(own);
        let password = match self {
            Self::Password => "wrong",
            _ => "right",
        };
        let IpAddr::V4(virtual_address) = address() else {
            return Err(io::Error::other("the address of the laboratory is of IPv4"));
        };
        let second = AdverInterval::from_seconds(1).unwrap_or_default();
        let advertisement = Advertisement::version_2(
            vrid()?,
            Priority::new(LOW),
            second,
            Authentication::SimplePassword(Password::truncating(password.as_bytes())),
            [virtual_address],
        )
        .map_err(io::Error::other)?;
        let mut message = vec![0; advertisement.buffer_len()];
        advertisement
            .emit(&envelope, ChecksumForm::default(), &mut message)
            .map_err(io::Error::other)?;
        match self {
            Self::Password => {}
            Self::HopLimit => {
                envelope = Envelope::new(own, envelope.destination(), 1).map_err(io::Error::other)?;
            }
            Self::Checksum => message[6] ^= 0xff,
            Self::Version => message[0] = 0x41,
            Self::Short => message.truncate(8),
        }
        Ok((envelope, message))
    }
}

fn vrid() -> io::Result<Vrid> {
    Vrid::new(1).ok_or_else(|| io::Error::other("no such number"))
}

fn address() -> IpAddr {
    crate::plan::watched()
}

fn one_router(priority: u8) -> RouterSpec {
    RouterSpec {
        vrid: 1,
        priority,
        addresses: vec![format!("{}/16", address())],
        ..RouterSpec::default()
    }
}

fn only(router: RouterSpec) -> DirectorSpec {
    DirectorSpec {
        routers: vec![router],
        ..DirectorSpec::default()
    }
}

fn many(routers: usize, centiseconds: u16, priority: u8) -> DirectorSpec {
    let routers = (0..routers).map(|number| {
        let network = number / PER_NETWORK;
        let vrid = u8::try_from(number % PER_NETWORK + 1).unwrap_or(u8::MAX);
        RouterSpec {
            interface: format!("eth{network}"),
            vrid,
            priority,
            centiseconds,
            addresses: vec![format!("{}/32", Segment::virtual_address(network, vrid, false))],
            ..RouterSpec::default()
        }
    });
    DirectorSpec {
        routers: routers.collect(),
        ..DirectorSpec::default()
    }
}

/// Keeps all threads of a director on one processor.
fn keep_on(director: &Director, processor: usize) -> io::Result<()> {
    for process in director.processes() {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = thread?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            sys::keep_on(number.ok_or(io::ErrorKind::InvalidData)?, processor)?;
        }
    }
    Ok(())
}

/// How many frames a host has sent into the first network.
fn frames_from(segment: &Segment, host: usize) -> io::Result<u64> {
    let table = segment
        .wire()
        .run(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let name = format!("{}:", port(0, host));
    table
        .lines()
        .find_map(|line| {
            line.trim_start()
                .strip_prefix(&name)?
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::other("the port has no counters"))
}

/// The processor time that all threads of a director have had.
fn consumed(director: &Director) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for process in director.processes() {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let first = text
                .split_whitespace()
                .next()
                .and_then(|word| word.parse::<u64>().ok());
            nanoseconds +=
                first.ok_or_else(|| io::Error::other("the kernel does not count processor time"))?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The resident memory of a process in bytes.
fn resident(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| io::Error::other("the process has ended"))
}

const GARBAGE: [Garbage; 5] = [
    Garbage::Password,
    Garbage::HopLimit,
    Garbage::Checksum,
    Garbage::Version,
    Garbage::Short,
];
const GARBAGE_TIME: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(30);
