use core::time::Duration;

use alloc::vec::Vec;
use vrrp_proto::{AddressFamily, AdverInterval, Priority, Vrid};

use super::{Action, HostPlan, MemberPlan, Quality, Random, Scenario};
use crate::{Dialect, Preempt};

impl Scenario {
    /// A wild scenario of this seed: 2 to 16 hosts, one or two segments, a few virtual routers, and a minute in which
    /// everything goes wrong that can.
    pub fn storm(seed: u64) -> Self {
        Weather {
            intervals: &[1, 2, 10, 50, 100, 100, 200],
            minutes: 1,
            troubles: 40,
        }
        .scenario(seed)
    }

    /// A scenario that goes on for a day, with intervals of seconds: less trouble, more time.
    pub fn season(seed: u64) -> Self {
        Weather {
            intervals: &[100, 200, 500, 1_000],
            minutes: 24 * 60,
            troubles: 100,
        }
        .scenario(seed)
    }
}

/// What kind of scenarios to make.
struct Weather {
    intervals: &'static [u16],
    minutes: u64,
    troubles: u64,
}

impl Weather {
    fn scenario(&self, seed: u64) -> Scenario {
        let mut random = Random::new(seed);
        let hosts = if random.chance(700) {
            random.between(2, 4)
        } else {
            random.between(5, 16)
        };
        let hosts = plans(&mut random, small(hosts), self.intervals);
        let mut actions: Vec<(Duration, Action)> = Vec::new();
        for _ in 0..random.between(0, self.troubles) {
            let at = Duration::from_micros(random.below(self.minutes * 60_000_000));
            actions.extend(trouble(&mut random, at, &hosts, self.intervals));
        }
        actions.sort_by_key(|(at, _)| *at);
        Scenario { seed, hosts, actions }
    }
}

fn plans(random: &mut Random, hosts: u8, intervals: &[u16]) -> Vec<HostPlan> {
    let segments = random.between(1, 2);
    let grouped = segments == 2 && random.chance(500);
    let mut routers: Vec<MemberPlan> = Vec::new();
    let count = if grouped { 2 } else { random.between(1, 3) };
    for number in 0..count {
        let vrid = small(random.between(1, 255)).max(1);
        let Some(vrid) = Vrid::new(vrid) else { continue };
        let segment = small(number % segments);
        let dialect = pick(
            random,
            &[
                Dialect::Rfc9568,
                Dialect::Rfc9568,
                Dialect::Rfc5798,
                Dialect::Rfc3768,
            ],
        );
        let interval = match dialect {
            Dialect::Rfc3768 => AdverInterval::DEFAULT,
            Dialect::Rfc5798 | Dialect::Rfc9568 => interval(random, intervals),
        };
        let mut plan = MemberPlan::new(segment, vrid, Priority::DEFAULT, interval);
        plan.dialect = dialect;
        if dialect != Dialect::Rfc3768 {
            plan.family = pick(random, &[AddressFamily::Ipv4, AddressFamily::Ipv6]);
        }
        plan.addresses = small(random.between(1, 3));
        plan.group = grouped.then_some(0);
        let taken =
            |known: &MemberPlan| (known.segment, known.family, known.vrid) == (segment, plan.family, vrid);
        if !routers.iter().any(taken) {
            routers.push(plan);
        }
    }
    let preempt = random.below(4);
    // More than two owners cannot be told apart from a mistake; two can, by erratum 8298.
    let mut owners = if random.chance(200) && !grouped {
        random.between(1, 2)
    } else {
        0
    };
    let mut all = Vec::new();
    for _ in 0..hosts {
        let mut host = HostPlan {
            members: Vec::new(),
            drift: i32::from(small(random.below(200))) - 100,
            lateness: Duration::from_micros(random.below(200)),
        };
        let owner = owners > 0;
        owners = owners.saturating_sub(1);
        for router in &routers {
            let mut member = *router;
            member.priority = if owner && router.dialect == Dialect::Rfc9568 {
                Priority::OWNER
            } else {
                Priority::new(small(random.between(1, 254)).max(1))
            };
            member.preempt = match preempt {
                0 => pick(random, &[Preempt::Immediate, Preempt::Never]),
                1 => Preempt::Delayed(Duration::from_millis(random.below(5_000))),
                _ => Preempt::Immediate,
            };
            if random.chance(300) && !member.priority.is_owner() {
                member.track = Some((0, small(random.between(0, 100))));
            }
            host.members.push(member);
        }
        all.push(host);
    }
    all
}

/// One thing that goes wrong, and often its end.
fn trouble(
    random: &mut Random,
    at: Duration,
    hosts: &[HostPlan],
    intervals: &[u16],
) -> Vec<(Duration, Action)> {
    let count = small(hosts.len() as u64);
    let host = small(random.below(count.into()));
    let other = small(random.below(count.into()));
    let members = hosts
        .get(usize::from(host))
        .map(|host| host.members.as_slice())
        .unwrap_or_default();
    let member = small(random.below(members.len() as u64));
    let Some(plan) = members.get(usize::from(member)) else {
        return Vec::new();
    };
    let segment = plan.segment;
    let later = at + Duration::from_micros(random.below(10_000_000));
    let both = |begin, end| [(at, begin), (later, end)].into_iter().collect();
    let only = |action| [(at, action)].into_iter().collect();
    match random.below(16) {
        0 => both(Action::Crash(host), Action::Start(host)),
        1 => both(Action::Stop(host), Action::Start(host)),
        2 | 3 => both(Action::Pause(host), Action::Resume(host)),
        4 => both(
            Action::Cut(segment, host, other),
            Action::Mend(segment, host, other),
        ),
        5 => {
            let side = random.next() & 0xffff_ffff;
            both(
                Action::Partition(segment, u32::try_from(side).unwrap_or(1)),
                Action::Heal,
            )
        }
        6 => {
            let shortest = Duration::from_micros(random.below(5_000));
            let quality = Quality {
                shortest,
                longest: shortest + Duration::from_micros(random.below(50_000)),
                loss: u16::from(small(random.below(250))) * 2,
                duplication: u16::from(small(random.below(200))),
            };
            both(Action::Links(quality), Action::Heal)
        }
        7 => both(
            Action::Loop(segment, host, true),
            Action::Loop(segment, host, false),
        ),
        8 => both(
            Action::Interface(host, segment, false),
            Action::Interface(host, segment, true),
        ),
        9 | 10 => both(Action::Track(host, 0, false), Action::Track(host, 0, true)),
        11 => only(Action::Resign(host, member)),
        12 if !plan.priority.is_owner() => only(Action::Priority(
            host,
            member,
            Priority::new(small(random.between(1, 254)).max(1)),
        )),
        13 if plan.dialect != Dialect::Rfc3768 => {
            only(Action::Interval(host, member, interval(random, intervals)))
        }
        14 => only(Action::Addresses(host, member, small(random.between(1, 5)))),
        _ => only(Action::Drift(
            host,
            i32::from(small(random.below(255))) * 8 - 1_000,
        )),
    }
}

fn interval(random: &mut Random, intervals: &[u16]) -> AdverInterval {
    let centiseconds = pick(random, intervals);
    AdverInterval::from_centiseconds(centiseconds).unwrap_or(AdverInterval::DEFAULT)
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    let index = random.below(from.len() as u64);
    let index = usize::try_from(index).unwrap_or(0);
    #[expect(
        clippy::indexing_slicing,
        reason = "`below` is below the length, and no list here is empty"
    )]
    from[index]
}

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
