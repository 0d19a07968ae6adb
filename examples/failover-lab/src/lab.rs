//! A round in real namespaces.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::capture::{Capture, Frame};
use crate::director::{Director, Kind};
use crate::observe::AddressWatch;
use crate::ping::Ping;
use crate::segment::{Segment, port};
use crate::spec::{DirectorSpec, RouterSpec};
use crate::story::{Record, Seen, Setting, What};
use crate::sys;
use crate::witness::Witness;

/// What happens to the active router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP for two seconds.
    Pause,
    /// It loses carrier.
    Link,
    /// The directors cannot hear each other; the client hears both.
    Partition,
    /// Cut off from everybody, with its carrier.
    Cut,
}

impl Fault {
    /// What a person calls it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Stop => "asked to stop",
            Self::Pause => "paused for two seconds",
            Self::Link => "loses carrier",
            Self::Partition => "cannot hear its peer any more, nor the peer it",
            Self::Cut => "cut off",
        }
    }

    /// The same with "the active router" before it.
    #[must_use]
    pub fn predicate(self) -> String {
        match self {
            Self::Link | Self::Partition => self.words().to_owned(),
            Self::Kill | Self::Stop | Self::Pause | Self::Cut => format!("is {}", self.words()),
        }
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The executable to run as director.
    pub program: String,
    /// The fault.
    pub fault: Fault,
    /// How many virtual routers.
    pub instances: usize,
    /// The interval in centiseconds.
    pub centiseconds: u16,
    /// Whether neither takes the role from a living active router.
    pub nopreempt: bool,
    /// Announce each address once only.
    pub minimal_announcements: bool,
    /// Real-time priority for our directors.
    pub realtime: bool,
}

impl Plan {
    /// How many networks it takes: a network has at most 255 virtual routers.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.instances.div_ceil(PER_NETWORK)
    }

    /// What a director with this priority is told.
    #[must_use]
    pub fn director(&self, priority: u8) -> DirectorSpec {
        let routers = (0..self.instances)
            .map(|number| {
                let network = number / PER_NETWORK;
                let vrid = u8::try_from(number % PER_NETWORK + 1).unwrap_or(u8::MAX);
                RouterSpec {
                    interface: format!("eth{network}"),
                    vrid,
                    priority,
                    centiseconds: self.centiseconds,
                    addresses: vec![format!("{}/16", Segment::virtual_address(network, vrid, false))],
                    nopreempt: self.nopreempt,
                    minimal_announcements: self.minimal_announcements,
                    ..RouterSpec::default()
                }
            })
            .collect();
        DirectorSpec {
            routers,
            realtime: self.realtime,
            stagger: Duration::ZERO,
        }
    }

    /// What a round of this plan is about.
    #[must_use]
    pub fn setting(&self, round: usize, kinds: [Kind; 2]) -> Setting {
        let standby = self.director(LOW);
        let allowed = standby.routers.first().map_or(0, |router| {
            if self.fault == Fault::Stop {
                router.skew()
            } else {
                router.active_down()
            }
        });
        Setting {
            round,
            kinds,
            fault: self.fault.words().into(),
            allowed,
            watched: ((0, 1), watched()),
            routers: self.instances,
            silences: self.fault != Fault::Partition,
        }
    }
}

/// Runs one round: A active, B standing by, the fault, the mending. `progress` is told what is going on.
///
/// # Errors
/// What the system says, and when a director does not do its part in time.
pub fn run(plan: &Plan, kinds: [Kind; 2], progress: &dyn Fn(&str)) -> io::Result<Record> {
    let segment = Segment::build(plan.networks(), 3)?;
    let ports = ports(&segment, plan.networks())?;
    let capture = Capture::start(segment.wire(), false, None)?;
    let watches = [
        AddressWatch::start(segment.host(0))?,
        AddressWatch::start(segment.host(1))?,
    ];
    progress("the directors start");
    let mut active = start(plan, &segment, 0, kinds[0], HIGH)?;
    wait_for(patience(plan), "A to become active", || {
        holds_all(plan, &watches[0])
    })?;
    let witness = Witness::start()?;
    let begun = sys::wall_clock();
    let standby = start(plan, &segment, 1, kinds[1], LOW)?;
    let client = Ping::start(segment.host(2), watched(), Duration::from_millis(1))?;
    wait_for(patience(plan), "the client to be answered", || {
        client.answers() > 50
    })?;
    // Long enough for the standby to have heard the active one, and for its own announcements to be over.
    std::thread::sleep(settle(plan));
    let _ = capture.take();
    let mut frames = wait_frames(&capture, plan);

    if !watches[1].present().is_disjoint(&virtual_addresses(plan)) {
        return Err(io::Error::other(format!(
            "B did not wait for the fault; threads of the machine were up to {:.1} ms late",
            witness.worst(begun, sys::wall_clock()).as_secs_f64() * 1e3
        )));
    }
    progress("the fault");
    let mut record = Record {
        fault: sys::wall_clock(),
        ..Record::default()
    };
    match plan.fault {
        Fault::Kill => active.kill()?,
        Fault::Stop => active.ask_to_stop()?,
        Fault::Pause => active.pause(true)?,
        Fault::Link => segment.set_carrier(0, false)?,
        Fault::Partition => {
            segment.set_isolated(0, true)?;
            segment.set_isolated(1, true)?;
        }
        Fault::Cut => segment.set_cut(0, true)?,
    }
    wait_for(patience(plan), "B to take over", || holds_all(plan, &watches[1]))?;
    let taken = sys::wall_clock();
    std::thread::sleep(match plan.fault {
        Fault::Pause => {
            let since = sys::wall_clock() - record.fault;
            Duration::from_secs(2).saturating_sub(Duration::from_nanos(since))
        }
        _ => settle(plan).max(Duration::from_millis(300)),
    });

    if mends(plan.fault) {
        progress("the fault is mended");
        record.mended = Some(sys::wall_clock());
        match plan.fault {
            Fault::Pause => active.pause(false)?,
            Fault::Link => segment.set_carrier(0, true)?,
            Fault::Partition => {
                segment.set_isolated(0, false)?;
                segment.set_isolated(1, false)?;
            }
            Fault::Cut => segment.set_cut(0, false)?,
            Fault::Kill | Fault::Stop => {}
        }
        std::thread::sleep(settle(plan) + Duration::from_millis(1_200));
    }
    record.end = sys::wall_clock();
    let until = if mends(plan.fault) { record.end } else { taken };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    record.late = nanos(witness.worst(record.fault, until));
    record.locked = nanos(witness.longest_wait(record.fault, until));
    // The last answers are on their way.
    std::thread::sleep(Duration::from_millis(20));
    record.probes = client.probes();
    drop(client);
    capture.catch_up(record.end)?;
    frames.extend(capture.take());
    drop(standby);
    drop(active);
    record.seen = seen(&frames, &ports, &watches);
    Ok(record)
}

fn start(plan: &Plan, segment: &Segment, host: usize, kind: Kind, priority: u8) -> io::Result<Director> {
    let spec = plan.director(priority);
    match kind {
        Kind::Ours => Director::ours(segment.host(host), &plan.program, &spec),
        Kind::Keepalived => Director::keepalived(segment.host(host), host, &spec),
    }
}

fn mends(fault: Fault) -> bool {
    !matches!(fault, Fault::Kill | Fault::Stop)
}

fn holds_all(plan: &Plan, watch: &AddressWatch) -> bool {
    virtual_addresses(plan).is_subset(&watch.present())
}

fn virtual_addresses(plan: &Plan) -> HashSet<IpAddr> {
    let numbers = 0..plan.instances;
    numbers
        .map(|number| {
            let vrid = u8::try_from(number % PER_NETWORK + 1).unwrap_or(u8::MAX);
            Segment::virtual_address(number / PER_NETWORK, vrid, false)
        })
        .collect()
}

/// The interface numbers of the bridge ports, and whose they are.
#[must_use = "the ports name the senders"]
fn ports(segment: &Segment, networks: usize) -> io::Result<Vec<(u32, usize, usize)>> {
    segment.wire().run(|| {
        let mut ports = Vec::new();
        for network in 0..networks {
            for host in 0..2 {
                ports.push((sys::interface_index(&port(network, host)), network, host));
            }
        }
        Ok(ports)
    })
}

/// Waits until frames of the active router have been captured: the fault is measured from the last of them.
fn wait_frames(capture: &Capture, plan: &Plan) -> Vec<Frame> {
    std::thread::sleep(Duration::from_nanos(
        u64::from(plan.centiseconds) * 10_000_000 + 5_000_000,
    ));
    capture.take()
}

fn seen(frames: &[Frame], ports: &[(u32, usize, usize)], watches: &[AddressWatch]) -> Vec<Seen> {
    let mut all = Vec::new();
    for frame in frames {
        let Some((_, network, host)) = ports
            .iter()
            .copied()
            .find(|(index, ..)| *index == frame.interface)
        else {
            continue;
        };
        let content = frame.content();
        let what = if let Some((vrid, priority)) = content.advertisement() {
            What::Advertised {
                router: (network, vrid),
                priority,
            }
        } else if let Some(address) = content.announced() {
            What::Announced(address)
        } else {
            continue;
        };
        all.push(Seen {
            at: frame.at,
            host,
            what,
        });
    }
    for (host, watch) in watches.iter().enumerate() {
        for sighting in watch.seen() {
            all.push(Seen {
                at: sighting.at,
                host,
                what: if sighting.present {
                    What::Present(sighting.address)
                } else {
                    What::Absent(sighting.address)
                },
            });
        }
    }
    all
}

/// Waits until `done`, looking every millisecond.
///
/// # Errors
/// When it does not come to pass in time.
pub fn wait_for(patience: Duration, what: &str, done: impl Fn() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !done() {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!(
                "waited {patience:?} in vain for {what}"
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// How long anything that depends on the timers may take before the round is given up.
fn patience(plan: &Plan) -> Duration {
    Duration::from_millis(u64::from(plan.centiseconds) * 10 * 8 + 15_000)
}

/// How long a steady state is watched.
fn settle(plan: &Plan) -> Duration {
    Duration::from_millis(u64::from(plan.centiseconds) * 10 * 4 + 100)
}

/// The address the client looks at.
#[must_use]
pub fn watched() -> IpAddr {
    Segment::virtual_address(0, 1, false)
}

/// The priorities of the active director and of the one that stands by.
pub const HIGH: u8 = 200;
/// See [`HIGH`].
pub const LOW: u8 = 100;
/// How many virtual routers live on one network.
pub const PER_NETWORK: usize = 250;
