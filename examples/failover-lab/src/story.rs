//! What was seen, and what it means.

use std::net::IpAddr;

use serde::Serialize;

use crate::plan::Kind;

/// Everything seen in one round. Times are nanoseconds on one clock.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// What was seen, in any order.
    pub seen: Vec<Seen>,
    /// The client's questions.
    pub probes: Vec<Probe>,
    /// When the fault was made.
    pub fault: u64,
    /// When it was mended, if it was.
    pub mended: Option<u64>,
    /// When the observation ended.
    pub end: u64,
    /// How late the machine itself was at the worst between the fault and the takeover, in nanoseconds.
    pub late: u64,
    /// For how long at the worst somebody held the kernel's network configuration meanwhile, in nanoseconds.
    pub locked: u64,
}

/// Something seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: u64,
    /// Which host did it: 0 is A, 1 is B.
    pub host: usize,
    /// What.
    pub what: What,
}

/// One question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// When it was asked, nanoseconds of the wall clock.
    pub sent: u64,
    /// When the answer came, if it did.
    pub answered: Option<u64>,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An advertisement of a virtual router (network and number) with this priority.
    Advertised {
        /// Which virtual router.
        router: (usize, u8),
        /// With which priority.
        priority: u8,
    },
    /// An address was announced.
    Announced(IpAddr),
    /// An address is on the host.
    Present(IpAddr),
    /// An address has left the host.
    Absent(IpAddr),
}

/// One round, told in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// Its number, from 1.
    pub round: usize,
    /// Who was active before the fault.
    pub active: Kind,
    /// Who took over.
    pub taker: Kind,
    /// How long the timers allow between the last advertisement of the one and the first of the other.
    pub allowed_ms: f64,
    /// How long it was, for the first and for the last virtual router to move.
    pub detection_ms: Option<f64>,
    /// The same for the last virtual router.
    pub last_detection_ms: Option<f64>,
    /// From the first advertisement of the new active router until its address was there.
    pub takeover_ms: Option<f64>,
    /// From the first advertisement of the new active router until its address was announced.
    pub announced_ms: Option<f64>,
    /// From the last advertisement received to the last address present and announced.
    pub last_address_ms: Option<f64>,
    /// The longest time in which the client's questions found no answer, around the fault.
    pub gap_ms: f64,
    /// How many questions found none.
    pub lost: usize,
    /// The same when the fault was mended.
    pub mend_gap_ms: Option<f64>,
    /// For how long after the mending both were active.
    pub both_active_ms: Option<f64>,
    /// How often the role changed hands after the fault: once is right.
    pub promotions: usize,
    /// How many virtual routers changed hands more than once.
    pub flaps: usize,
    /// The longest time between two advertisements of a virtual router after it had moved.
    pub longest_silence_ms: f64,
    /// How late the machine itself was at the worst: what was measured is no better than that.
    pub late_ms: f64,
    /// For how long at the worst a change of no consequence waited for the kernel's network configuration, which one lock
    /// guards for all namespaces.
    pub locked_ms: f64,
    /// The moments, for a timeline.
    pub moments: Vec<Moment>,
    /// Who held the client's address when.
    pub held: Vec<Span>,
    /// When the client found no answer.
    pub gaps: Vec<Span>,
}

/// A moment of the timeline.
#[derive(Debug, Clone, Serialize)]
pub struct Moment {
    /// Milliseconds from the fault.
    pub at_ms: f64,
    /// What happened.
    pub text: String,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Span {
    /// Which host, where that matters.
    pub host: usize,
    /// Milliseconds from the fault.
    pub from_ms: f64,
    /// Milliseconds from the fault.
    pub to_ms: f64,
}

/// What a round was about.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its number, from 1.
    pub round: usize,
    /// Whose programs A and B are.
    pub kinds: [Kind; 2],
    /// What the fault was called.
    pub fault: String,
    /// What the timers allow, in nanoseconds.
    pub allowed: u64,
    /// The virtual router and the address that the client looks at.
    pub watched: ((usize, u8), IpAddr),
    /// How many virtual routers there are.
    pub routers: usize,
    /// The fault silences A: what is seen of A until B speaks was before the fault took effect.
    pub silences: bool,
}

/// Tells a round from its record. A was active before the fault.
#[must_use]
pub fn tell(setting: &Setting, record: &Record) -> Round {
    let mut seen = record.seen.clone();
    seen.sort_by_key(|seen| seen.at);
    let mended = record.mended.unwrap_or(u64::MAX);
    let ms = |at: u64| (at as f64 - record.fault as f64) / 1e6;
    let taken = detections(&seen, setting.silences, record.fault, mended);
    let watched = setting.watched.0;
    let detection = taken.iter().find(|taken| taken.router == watched);
    let first_advert = detection.map(|taken| taken.first);
    let after = |wanted: &dyn Fn(&What) -> bool, from: u64| {
        seen.iter()
            .find(|seen| seen.host == 1 && seen.at >= from && wanted(&seen.what))
            .map(|seen| seen.at)
    };
    let from = record.fault;
    let present = after(&|what| *what == What::Present(setting.watched.1), from);
    let announced = after(&|what| *what == What::Announced(setting.watched.1), from);
    let since = |at: Option<u64>| Some((at? as f64 - first_advert? as f64) / 1e6);
    let gaps = gaps(&record.probes, record.end);
    let (around, later): (Vec<_>, Vec<_>) = gaps.iter().partition(|gap| gap.0 < mended);
    let longest = |gaps: &[&(u64, u64)]| {
        gaps.iter()
            .map(|(from, to)| (to - from) as f64 / 1e6)
            .fold(0.0, f64::max)
    };
    let moments = moments(setting, record, &seen, detection, present, announced);
    Round {
        round: setting.round,
        active: setting.kinds[0],
        taker: setting.kinds[1],
        allowed_ms: setting.allowed as f64 / 1e6,
        detection_ms: detection.map(Taken::after_ms),
        last_detection_ms: (taken.len() == setting.routers)
            .then(|| taken.iter().map(Taken::after_ms).fold(0.0, f64::max)),
        takeover_ms: since(present),
        announced_ms: since(announced),
        last_address_ms: last_address(setting, &seen, &taken, record.fault),
        gap_ms: longest(&around),
        lost: lost(&record.probes, record.end),
        mend_gap_ms: record.mended.map(|_| longest(&later)),
        both_active_ms: record.mended.map(|mended| both_active(&seen, watched, mended)),
        flaps: taken
            .iter()
            .filter(|taken| promotions(&seen, taken.router, record.fault) > 1)
            .count(),
        longest_silence_ms: longest_silence(&seen, &taken, mended),
        late_ms: record.late as f64 / 1e6,
        locked_ms: record.locked as f64 / 1e6,
        promotions: promotions(&seen, watched, record.fault),
        moments,
        held: held(&seen, setting.watched.1, record.end)
            .into_iter()
            .map(|(host, from, to)| Span {
                host,
                from_ms: ms(from),
                to_ms: ms(to),
            })
            .collect(),
        gaps: gaps
            .iter()
            .map(|(from, to)| Span {
                host: 2,
                from_ms: ms(*from),
                to_ms: ms(*to),
            })
            .collect(),
    }
}

/// How one virtual router moved.
#[derive(Debug, Clone, Copy)]
struct Taken {
    router: (usize, u8),
    /// The last advertisement of the old active router.
    last: u64,
    /// The first of the new one.
    first: u64,
}

impl Taken {
    fn after_ms(&self) -> f64 {
        (self.first - self.last) as f64 / 1e6
    }
}

/// For each virtual router that moved after the fault: the last advertisement of A before, the first of B after.
fn detections(seen: &[Seen], silences: bool, fault: u64, mended: u64) -> Vec<Taken> {
    let mut last = std::collections::BTreeMap::new();
    let mut taken: Vec<Taken> = Vec::new();
    for seen in seen.iter().filter(|seen| seen.at < mended) {
        let What::Advertised { router, priority } = seen.what else {
            continue;
        };
        if seen.host == 0 {
            // What A says after a partition does not arrive any more, unless it says good-bye.
            if silences || seen.at <= fault || priority == 0 {
                last.insert(router, seen.at);
            }
        } else if seen.host == 1
            && seen.at > fault
            && !taken.iter().any(|taken| taken.router == router)
            && let Some(last) = last.get(&router)
        {
            taken.push(Taken {
                router,
                last: *last,
                first: seen.at,
            });
        }
    }
    taken
}

/// From the last advertisement of A that anybody received to the last address of B present and announced.
fn last_address(setting: &Setting, seen: &[Seen], taken: &[Taken], fault: u64) -> Option<f64> {
    if taken.len() < setting.routers {
        return None;
    }
    let last_advert = taken.iter().map(|taken| taken.last).max()?;
    let mut present = std::collections::BTreeMap::new();
    let mut announced = std::collections::BTreeMap::new();
    for seen in seen.iter().filter(|seen| seen.host == 1 && seen.at > fault) {
        match seen.what {
            What::Present(address) => {
                present.entry(address).or_insert(seen.at);
            }
            What::Announced(address) => {
                announced.entry(address).or_insert(seen.at);
            }
            _ => {}
        }
    }
    if present.len() < setting.routers || announced.len() < setting.routers {
        return None;
    }
    let done = present.values().chain(announced.values()).max()?;
    Some((*done as f64 - last_advert as f64) / 1e6)
}

/// When questions found no answer, from the first that did not to the first after it that did.
fn gaps(probes: &[Probe], end: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut since = None;
    for probe in probes {
        match (probe.answered, since) {
            (None, None) if still_open(probe, end) => {}
            (None, None) => since = Some(probe.sent),
            (Some(_), Some(from)) => {
                gaps.push((from, probe.sent));
                since = None;
            }
            _ => {}
        }
    }
    if let Some(from) = since {
        gaps.push((from, end));
    }
    gaps
}

fn lost(probes: &[Probe], end: u64) -> usize {
    probes
        .iter()
        .filter(|probe| probe.answered.is_none() && !still_open(probe, end))
        .count()
}

/// A question asked just before the end may yet be answered.
fn still_open(probe: &Probe, end: u64) -> bool {
    probe.sent + 20_000_000 > end
}

/// How long after the mending A and B both advertised.
fn both_active(seen: &[Seen], router: (usize, u8), mended: u64) -> f64 {
    let adverts = |host| {
        seen.iter()
            .filter(move |seen| {
                seen.host == host
                    && seen.at > mended
                    && matches!(seen.what, What::Advertised { router: found, .. } if found == router)
            })
            .map(|seen| seen.at)
    };
    let first = adverts(0).min().max(adverts(1).min());
    let last = adverts(0).max().min(adverts(1).max());
    match (first, last) {
        (Some(first), Some(last)) if last > first => (last - first) as f64 / 1e6,
        _ => 0.0,
    }
}

/// How often the sender of a virtual router's advertisements changed after the fault, for good or not.
fn promotions(seen: &[Seen], router: (usize, u8), fault: u64) -> usize {
    let mut holder = 0;
    let mut changes = 0;
    for seen in seen {
        let What::Advertised {
            router: found,
            priority,
        } = seen.what
        else {
            continue;
        };
        if found == router && priority != 0 && seen.host != holder {
            holder = seen.host;
            changes += usize::from(seen.at > fault);
        }
    }
    changes
}

/// The longest time between two advertisements of B for one virtual router, from its first on.
fn longest_silence(seen: &[Seen], taken: &[Taken], until: u64) -> f64 {
    let mut last: std::collections::BTreeMap<_, _> =
        taken.iter().map(|taken| (taken.router, taken.first)).collect();
    let mut longest = 0;
    for seen in seen.iter().filter(|seen| seen.host == 1 && seen.at < until) {
        if let What::Advertised { router, .. } = seen.what
            && let Some(last) = last.get_mut(&router)
            && seen.at > *last
        {
            longest = longest.max(seen.at - *last);
            *last = seen.at;
        }
    }
    longest as f64 / 1e6
}

/// Who held an address from when to when.
fn held(seen: &[Seen], address: IpAddr, end: u64) -> Vec<(usize, u64, u64)> {
    let begin = seen.first().map_or(0, |seen| seen.at);
    let mut spans = Vec::new();
    for host in 0..2 {
        let mut since = None;
        for seen in seen.iter().filter(|seen| seen.host == host) {
            match seen.what {
                What::Present(found) if found == address && since.is_none() => {
                    since = Some(seen.at.max(begin));
                }
                What::Absent(found) if found == address => {
                    if let Some(from) = since.take() {
                        spans.push((host, from, seen.at));
                    }
                }
                _ => {}
            }
        }
        if let Some(from) = since {
            spans.push((host, from, end));
        }
    }
    spans
}

fn moments(
    setting: &Setting,
    record: &Record,
    seen: &[Seen],
    detection: Option<&Taken>,
    present: Option<u64>,
    announced: Option<u64>,
) -> Vec<Moment> {
    let address = setting.watched.1;
    let name = |host: usize| {
        let kind = match setting.kinds[host] {
            Kind::Ours => "ours",
            Kind::Keepalived => "keepalived",
        };
        format!("{} ({kind})", if host == 0 { "A" } else { "B" })
    };
    let mut all = vec![(record.fault, format!("{}: {}", name(0), setting.fault))];
    if let Some(taken) = detection {
        all.push((taken.last, format!("last advertisement of {}", name(0))));
        all.push((
            taken.first,
            format!(
                "first advertisement of {}, {:.3} ms later; the timers allow {:.3} ms",
                name(1),
                taken.after_ms(),
                setting.allowed as f64 / 1e6
            ),
        ));
    }
    if let Some(at) = present {
        all.push((at, format!("{address} is on {}", name(1))));
    }
    if let Some(at) = announced {
        all.push((at, format!("{} announces {address}", name(1))));
    }
    for seen in seen.iter().filter(|seen| seen.at > record.fault) {
        if seen.what == What::Absent(address) {
            all.push((seen.at, format!("{address} is gone from {}", name(seen.host))));
        }
    }
    if let Some(at) = record.mended {
        all.push((at, "the fault is mended".into()));
        let back = seen
            .iter()
            .find(|seen| seen.host == 0 && seen.at > at && seen.what == What::Present(address));
        if let Some(back) = back {
            all.push((back.at, format!("{address} is on {} again", name(0))));
        }
    }
    for (from, to) in gaps(&record.probes, record.end) {
        let text = format!(
            "the client finds no answer for {:.1} ms",
            (to - from) as f64 / 1e6
        );
        all.push((from, text));
    }
    all.sort_by_key(|(at, _)| *at);
    all.into_iter()
        .map(|(at, text)| Moment {
            at_ms: (at as f64 - record.fault as f64) / 1e6,
            text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> Setting {
        Setting {
            round: 1,
            kinds: [Kind::Ours, Kind::Ours],
            fault: "killed".into(),
            allowed: 36_090_000,
            watched: ((0, 1), "10.0.0.1".parse().unwrap()),
            routers: 1,
            silences: true,
        }
    }

    fn seen(at_ms: u64, host: usize, what: What) -> Seen {
        Seen {
            at: at_ms * 1_000_000,
            host,
            what,
        }
    }

    fn advert() -> What {
        What::Advertised {
            router: (0, 1),
            priority: 100,
        }
    }

    #[test]
    fn a_takeover_is_told_from_advertisement_to_announcement() {
        let address = setting().watched.1;
        let record = Record {
            seen: vec![
                seen(980, 0, What::Present(address)),
                seen(990, 0, advert()),
                seen(1026, 1, advert()),
                seen(1027, 1, What::Present(address)),
                seen(1028, 1, What::Announced(address)),
            ],
            probes: (0..200)
                .map(|number| Probe {
                    sent: (900 + number) * 1_000_000,
                    answered: (!(100..130).contains(&number)).then_some((900 + number) * 1_000_000),
                })
                .collect(),
            fault: 1_000_000_000,
            mended: None,
            end: 1_200_000_000,
            late: 0,
            locked: 0,
        };
        let round = tell(&setting(), &record);
        assert_eq!(round.detection_ms, Some(36.0));
        assert_eq!(round.takeover_ms, Some(1.0));
        assert_eq!(round.announced_ms, Some(2.0));
        assert_eq!(round.last_address_ms, Some(38.0));
        assert_eq!(round.gap_ms, 30.0);
        assert_eq!(round.lost, 30);
        assert_eq!(round.promotions, 1);
        assert_eq!(round.held.len(), 2);
    }

    #[test]
    fn a_takeover_that_did_not_happen_is_not_told() {
        let record = Record {
            seen: vec![seen(990, 0, advert())],
            fault: 1_000_000_000,
            end: 2_000_000_000,
            ..Record::default()
        };
        let round = tell(&setting(), &record);
        assert_eq!(round.detection_ms, None);
        assert_eq!(round.last_address_ms, None);
        assert_eq!(round.promotions, 0);
    }
}
