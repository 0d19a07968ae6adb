//! A round in real namespaces.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::capture::{Capture, Frame};
use crate::director::Director;
use crate::observe::AddressWatch;
use crate::ping::Ping;
use crate::plan::{Fault, HIGH, Kind, LOW, PER_NETWORK, Plan, watched};
use crate::segment::{Segment, port};
use crate::story::{Record, Seen, What};
use crate::sys;
use crate::witness::Witness;

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
