//! Sync groups: all members or none.

mod common;

use common::*;
use vrrp_fsm::{
    Error, Event, Fault, GroupId, Heard, Input, Instant, InterfaceId, Output, Parameters, Reason, RouterId,
    State, Track, TrackId, TrackStatus, VrrpRouter,
};
use vrrp_proto::{AdverInterval, Priority};

/// A host with one virtual router per priority, VRID 1 and up, all in one group.
struct Host {
    address: &'static str,
    router: VrrpRouter,
    members: Vec<RouterId>,
    group: GroupId,
}

fn parameters(number: usize, priority: u8) -> Parameters {
    let number = u8::try_from(number).unwrap();
    let builder = Parameters::builder(vrid(number), [ip(&format!("10.0.{number}.100"))]);
    builder.priority(Priority::new(priority)).build().unwrap()
}

impl Host {
    fn new(address: &'static str, priorities: &[u8]) -> Self {
        let mut router = VrrpRouter::new();
        let members: Vec<RouterId> = priorities
            .iter()
            .enumerate()
            .map(|(place, priority)| {
                router
                    .add(
                        InterfaceId(0),
                        parameters(place + 1, *priority),
                        Some(ip(address)),
                    )
                    .unwrap()
            })
            .collect();
        let group = router.add_sync_group(at(0), &members).unwrap();
        let mut host = Self {
            address,
            router,
            members,
            group,
        };
        for member in host.members.clone() {
            host.feed(0, member, Input::Startup { held: false });
        }
        host
    }

    fn feed(&mut self, now: u64, member: RouterId, input: Input) -> Vec<(usize, Output)> {
        self.router.handle_input(at(now), member, input).unwrap();
        self.drain()
    }

    fn drain(&mut self) -> Vec<(usize, Output)> {
        std::iter::from_fn(|| self.router.poll_output())
            .map(|(id, output)| {
                (
                    self.members.iter().position(|member| *member == id).unwrap(),
                    output,
                )
            })
            .collect()
    }

    fn states(&self) -> Vec<State> {
        self.members
            .iter()
            .map(|member| self.router.virtual_router(*member).unwrap().state())
            .collect()
    }

    fn all(&self, state: State) -> bool {
        self.states().iter().all(|member| *member == state)
    }

    fn hear(&mut self, now: u64, place: usize, source: &str, priority: u8) -> Vec<(usize, Output)> {
        let heard = Heard::new(
            at(now),
            ip(source),
            Priority::new(priority),
            AdverInterval::DEFAULT,
        );
        self.feed(now, self.members[place], Input::Advertisement(heard))
    }

    /// Timeouts until all are active.
    fn promote(&mut self) -> (u64, Vec<(usize, Output)>) {
        let mut all = Vec::new();
        for _ in 0..10 {
            let now = self.router.poll_timeout().unwrap();
            self.router.handle_timeout(now);
            all.extend(self.drain());
            if self.all(State::Active) {
                return (now.as_nanos(), all);
            }
        }
        panic!("not active: {:?}", self.states());
    }
}

/// A member becomes active when the last would, too.
#[test]
fn together() {
    let mut host = Host::new("10.0.0.1", &[200, 100, 150]);
    let (now, outputs) = host.promote();
    assert_eq!(now, 3_609_375_000);
    let adverts: Vec<usize> = outputs
        .iter()
        .filter(|(_, output)| is_advert(output))
        .map(|(place, _)| *place)
        .collect();
    assert_eq!(adverts, [0, 1, 2]);
    assert_eq!(host.router.sync_group_state(host.group), Some(State::Active));
    let words: Vec<String> = host
        .router
        .sync_group(host.group)
        .map(|(_, member)| member.reason().to_string())
        .collect();
    assert_eq!(
        words,
        [
            "nothing heard for 3.219 s",
            "nothing heard for 3.609 s",
            "nothing heard for 3.414 s"
        ]
    );
}

/// One member that hears somebody keeps all of them back; their timers start again in full.
#[test]
fn one_is_kept_back() {
    let mut host = Host::new("10.0.0.1", &[200, 100]);
    for second in 1..30 {
        host.hear(second * SECOND, 1, "10.0.0.2", 150);
        host.router.handle_timeout(at(second * SECOND + 1));
        host.drain();
        assert!(host.all(State::Backup));
    }
    assert!(host.router.poll_timeout().unwrap() > at(29 * SECOND));
    host.promote();
}

#[test]
fn backup_drags_all() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    let (now, _) = host.promote();
    let outputs = host.hear(now + 1, 1, "10.0.0.2", 150);
    assert!(host.all(State::Backup));
    assert_eq!(
        outputs,
        [
            (1, Output::RemoveAddresses),
            (
                1,
                changed(
                    State::Active,
                    State::Backup,
                    Reason::HigherPriority {
                        from: ip("10.0.0.2"),
                        priority: Priority::new(150),
                        own: Priority::new(100)
                    }
                )
            ),
            (0, Output::RemoveAddresses),
            (0, changed(State::Active, State::Backup, Reason::SyncGroup)),
        ]
    );
    assert_eq!(host.router.sync_group_state(host.group), Some(State::Backup));
}

#[test]
fn a_fault_drags_all() {
    let mut host = Host::new("10.0.0.1", &[100, 100, 100]);
    let (now, _) = host.promote();
    let outputs = host.feed(now, host.members[1], Input::Interface { up: false });
    assert!(host.all(State::Initialize));
    assert_eq!(outputs.iter().filter(|(_, output)| *output == sent(0)).count(), 3);
    let fault = |place: usize| host.router.virtual_router(host.members[place]).unwrap().fault();
    assert_eq!(
        [fault(0), fault(1), fault(2)],
        [
            Some(Fault::SyncGroup),
            Some(Fault::InterfaceDown),
            Some(Fault::SyncGroup)
        ]
    );
    // Out of it only when the last fault is over.
    host.feed(now, host.members[0], Input::Fault { present: true });
    host.feed(now, host.members[1], Input::Interface { up: true });
    assert!(host.all(State::Initialize));
    let outputs = host.feed(now, host.members[0], Input::Fault { present: false });
    assert!(host.all(State::Backup));
    assert_eq!(outputs.len(), 3);
    host.promote();
}

/// No member takes part before each tracked object of each has reported; nothing is told of it.
#[test]
fn waiting_for_tracked_objects() {
    let mut router = VrrpRouter::new();
    let track = Track::new(TrackId(1), 0).unwrap();
    let second = parameters(2, 100).to_builder().tracks([track]).build().unwrap();
    let first = router
        .add(InterfaceId(0), parameters(1, 100), Some(ip("10.0.0.1")))
        .unwrap();
    let second = router.add(InterfaceId(0), second, Some(ip("10.0.0.1"))).unwrap();
    let group = router.add_sync_group(at(0), &[first, second]).unwrap();
    for id in [first, second] {
        router
            .handle_input(at(0), id, Input::Startup { held: false })
            .unwrap();
    }
    assert_eq!(router.poll_output(), None);
    assert_eq!(
        router.virtual_router(first).unwrap().fault(),
        Some(Fault::SyncGroupPending)
    );
    router.handle_track(at(1), TrackId(1), TrackStatus::Good);
    assert_eq!(router.sync_group_state(group), Some(State::Backup));
}

/// Of what keeps a member back, a fault of another weighs more than waiting, and its own waiting more than the others'.
#[test]
fn the_fault_that_is_told() {
    let mut router = VrrpRouter::new();
    let waiting = |number: usize, id| {
        let track = Track::new(TrackId(id), 0).unwrap();
        let builder = parameters(number, 100).to_builder();
        builder.tracks([track]).build().unwrap()
    };
    let ids = [1, 2].map(|number: u32| {
        let parameters = waiting(number as usize, number);
        router
            .add(InterfaceId(number), parameters, Some(ip("10.0.0.1")))
            .unwrap()
    });
    router.add_sync_group(at(0), &ids).unwrap();
    for id in ids {
        router
            .handle_input(at(0), id, Input::Startup { held: false })
            .unwrap();
    }
    let faults = |router: &VrrpRouter| ids.map(|id| router.virtual_router(id).unwrap().fault());
    let pending = |id| Some(Fault::TrackPending(TrackId(id)));
    assert_eq!(faults(&router), [pending(1), pending(2)]);
    router.handle_interface(at(1), InterfaceId(1), false);
    assert_eq!(
        faults(&router),
        [Some(Fault::InterfaceDown), Some(Fault::SyncGroup)]
    );
    router.handle_interface(at(2), InterfaceId(1), true);
    assert_eq!(faults(&router), [pending(1), pending(2)]);
}

#[test]
fn owners() {
    // All own their addresses: active at once, when the last is started.
    let host = Host::new("10.0.0.1", &[255, 255]);
    assert!(host.all(State::Active));
    // One does not: all of them listen.
    let mut host = Host::new("10.0.0.1", &[255, 100]);
    assert!(host.all(State::Backup));
    let (now, _) = host.promote();
    assert_eq!(now, 3_609_375_000);
}

#[test]
fn resigning() {
    let mut host = Host::new("10.0.0.1", &[200, 200]);
    let (now, _) = host.promote();
    let outputs = host.feed(now, host.members[1], Input::Resign);
    assert_eq!(outputs.iter().filter(|(_, output)| *output == sent(0)).count(), 2);
    for second in 1..20 {
        for place in 0..2 {
            host.hear(now + second * SECOND, place, "10.0.0.2", 100);
        }
        host.router.handle_timeout(at(now + second * SECOND));
        assert!(host.all(State::Backup));
    }
}

/// A member that is shut down leaves the others as they are, and the group does not become active without it.
#[test]
fn shutting_down_a_member() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    let (now, _) = host.promote();
    host.feed(now, host.members[0], Input::Shutdown);
    assert_eq!(host.states(), [State::Initialize, State::Active]);
    host.feed(now, host.members[0], Input::Interface { up: false });
    assert_eq!(host.states(), [State::Initialize, State::Active]);
    host.feed(now, host.members[0], Input::Interface { up: true });
    host.hear(now, 1, "10.0.0.2", 200);
    for second in 1..10 {
        host.router.handle_timeout(at(now + second * SECOND));
    }
    assert_eq!(host.states(), [State::Initialize, State::Backup]);
    host.feed(now + 10 * SECOND, host.members[0], Input::Startup { held: false });
    host.promote();
    // One that joins an active group is active when its own timer says so.
    let (now, _) = (host.router.poll_timeout().unwrap().as_nanos(), ());
    host.feed(now, host.members[0], Input::Shutdown);
    host.feed(now, host.members[0], Input::Startup { held: false });
    assert_eq!(host.states(), [State::Backup, State::Active]);
    host.promote();
}

/// After a conflict all members announce.
#[test]
fn announcing_after_a_conflict() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    let (now, _) = host.promote();
    let outputs = host.hear(now, 1, "10.0.0.2", 50);
    let announcing = outputs.iter().filter(|(_, output)| *output == announce(5));
    assert_eq!(announcing.map(|(place, _)| *place).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(outputs.iter().filter(|(_, output)| is_advert(output)).count(), 1);
    let told = outputs
        .iter()
        .filter(|(_, output)| matches!(output, Output::Event(Event::HeardLower { .. })));
    assert_eq!(told.count(), 1);
}

/// Hosts on a wire without delay. Gives the time from which exactly one host is active for all VRIDs, for good.
fn settles(hosts: &mut [Host], until: u64) -> Option<u64> {
    let mut since = None;
    loop {
        let now = hosts
            .iter()
            .filter_map(|host| host.router.poll_timeout())
            .min()
            .unwrap();
        if now > at(until) {
            return since;
        }
        let mut wire: Vec<(usize, usize, Priority)> = Vec::new();
        let collect = |sender: usize, outputs: Vec<(usize, Output)>, wire: &mut Vec<_>| {
            for (place, output) in outputs {
                if let Output::Advertise { priority } = output {
                    wire.push((sender, place, priority));
                }
            }
        };
        for (sender, host) in hosts.iter_mut().enumerate() {
            host.router.handle_timeout(now);
            let outputs = host.drain();
            collect(sender, outputs, &mut wire);
        }
        let mut delivered = 0;
        while delivered < wire.len() {
            let (sender, place, priority) = wire[delivered];
            delivered += 1;
            assert!(delivered < 1_000, "a storm");
            let source = hosts[sender].address;
            for receiver in (0..hosts.len()).filter(|receiver| *receiver != sender) {
                let outputs = hosts[receiver].hear(now.as_nanos(), place, source, priority.get());
                collect(receiver, outputs, &mut wire);
            }
        }
        let actives = hosts.iter().filter(|host| host.all(State::Active)).count();
        let idle = hosts.iter().filter(|host| host.all(State::Backup)).count();
        if actives == 1 && idle == hosts.len() - 1 {
            since = since.or(Some(now.as_nanos()));
        } else {
            since = None;
        }
    }
}

/// N18: two groups of which each wins one member settle; so do three in a circle.
#[test]
fn opposite_winners() {
    let mut hosts = [
        Host::new("10.0.0.1", &[200, 100]),
        Host::new("10.0.0.2", &[100, 200]),
    ];
    let since = settles(&mut hosts, 100 * SECOND).unwrap();
    assert!(since <= 3 * 3_609_375_000, "{since}");
    assert!(hosts[0].all(State::Active), "the better first member wins");

    let mut hosts = [
        Host::new("10.0.0.1", &[50, 150, 100]),
        Host::new("10.0.0.2", &[100, 50, 150]),
        Host::new("10.0.0.3", &[150, 100, 50]),
    ];
    let since = settles(&mut hosts, 200 * SECOND).unwrap();
    assert!(since <= 4 * 4 * SECOND, "{since}");

    // Equal priorities, addresses decide; and the plain case is not slower than without the rule.
    let mut hosts = [
        Host::new("10.0.0.1", &[100, 100]),
        Host::new("10.0.0.2", &[100, 100]),
    ];
    let since = settles(&mut hosts, 100 * SECOND).unwrap();
    assert_eq!(since, 3_609_375_000);
    assert!(hosts[1].all(State::Active));
}

/// After the contest a death is noticed within one down interval again.
#[test]
fn a_contest_is_forgotten() {
    let mut hosts = [
        Host::new("10.0.0.1", &[200, 100]),
        Host::new("10.0.0.2", &[100, 200]),
    ];
    settles(&mut hosts, 30 * SECOND).unwrap();
    let [_, mut second] = hosts;
    let dead = second.router.poll_timeout().unwrap().as_nanos();
    let (now, _) = second.promote();
    assert!(now - dead <= 2 * 3_609_375_000, "{now} {dead}");
    assert!(now <= 30 * SECOND + 3_609_375_000 + 3_218_750_000);
}

#[test]
fn making_and_dissolving() {
    let mut router = VrrpRouter::new();
    let mut add = |number| {
        router
            .add(InterfaceId(0), parameters(number, 100), Some(ip("10.0.0.1")))
            .unwrap()
    };
    let (second, first, third) = (add(2), add(1), add(3));
    assert_eq!(router.add_sync_group(at(0), &[]), Err(Error::UnknownRouter));
    assert_eq!(
        router.add_sync_group(at(0), &[first, first]),
        Err(Error::AlreadyGrouped)
    );
    let group = router.add_sync_group(at(0), &[second, first]).unwrap();
    assert_eq!(
        router.add_sync_group(at(0), &[third, first]),
        Err(Error::AlreadyGrouped)
    );
    let members: Vec<RouterId> = router.sync_group(group).map(|(id, _)| id).collect();
    assert_eq!(members, [first, second]);
    for id in [first, second] {
        router
            .handle_input(at(0), id, Input::Startup { held: false })
            .unwrap();
    }
    router
        .handle_input(at(0), first, Input::Fault { present: true })
        .unwrap();
    router.remove_sync_group(at(0), group).unwrap();
    assert_eq!(router.remove_sync_group(at(0), group), Err(Error::UnknownGroup));
    assert_eq!(router.sync_group_state(group), None);
    assert_eq!(router.sync_group(group).count(), 0);
    assert_eq!(router.virtual_router(second).unwrap().state(), State::Backup);
    assert_eq!(router.virtual_router(first).unwrap().fault(), Some(Fault::Driver));

    // A removed member leaves its group, and the last dissolves it.
    let group = router.add_sync_group(at(0), &[first, third]).unwrap();
    router.remove(at(0), first).unwrap();
    assert_eq!(router.sync_group(group).count(), 1);
    router.remove(at(0), third).unwrap();
    assert_eq!(router.sync_group_state(group), None);
    assert_eq!(router.add_sync_group(at(0), &[third]), Err(Error::UnknownRouter));
    let now = router.poll_timeout().unwrap();
    router.handle_timeout(now);
    assert_eq!(router.virtual_router(second).unwrap().state(), State::Active);
    assert!(now > Instant::ZERO);
}

/// When the group is active again, if nothing happens but what its timers ask for.
fn active_again(host: &mut Host) -> u64 {
    loop {
        let due = host.router.poll_timeout().unwrap();
        host.router.handle_timeout(due);
        host.drain();
        if host.all(State::Active) {
            return due.as_nanos();
        }
    }
}

/// A host that was dragged down by a stronger first member lets it go first, unless the contest is over: when somebody is
/// active two intervals later.
#[test]
fn a_contest_is_over_when_somebody_stays_active() {
    let down = 3_609_375_000;
    for (heard_until, rounds) in [(SECOND, 2), (SECOND * 3 / 2, 2), (2 * SECOND, 1), (9 * SECOND, 1)] {
        let mut host = Host::new("10.0.0.1", &[100, 100]);
        let (now, _) = host.promote();
        host.hear(now, 0, "10.0.0.2", 150);
        assert!(host.all(State::Backup));
        let mut last = now;
        while last < now + heard_until {
            last += SECOND / 2;
            for place in 0..2 {
                host.hear(last, place, "10.0.0.2", 150);
            }
        }
        assert_eq!(active_again(&mut host), last + rounds * down, "{heard_until}");
    }
}

/// A group that handed over on request was in no contest.
#[test]
fn resigning_is_no_contest() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    let (now, _) = host.promote();
    host.feed(now, host.members[0], Input::Resign);
    let last = now + SECOND / 2;
    for place in 0..2 {
        host.hear(last, place, "10.0.0.2", 150);
    }
    assert_eq!(active_again(&mut host), last + 3_609_375_000);
}

/// A group that lets another go first waits its round, whatever happens to its members meanwhile.
#[test]
fn a_group_that_waits_is_not_hurried() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    let (now, _) = host.promote();
    host.hear(now, 0, "10.0.0.2", 150);
    let round = host.router.poll_timeout().unwrap();
    host.router.handle_timeout(round);
    assert!(host.all(State::Backup));
    for place in 0..2 {
        // Ignored for its lower priority.
        host.hear(round.as_nanos() + SECOND, place, "10.0.0.3", 50);
        host.feed(round.as_nanos() + SECOND, host.members[place], Input::Announce);
        assert!(host.all(State::Backup));
    }
    assert_eq!(active_again(&mut host), round.as_nanos() + 3_609_375_000);
}

/// Who leaves the group does not keep it back any more.
#[test]
fn a_member_that_is_removed_holds_nobody_back() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    host.feed(0, host.members[0], Input::Shutdown);
    let due = host.router.poll_timeout().unwrap();
    host.router.handle_timeout(due);
    assert_eq!(host.states(), [State::Initialize, State::Backup]);
    host.router.remove(due, host.members[0]).unwrap();
    let left = host.router.virtual_router(host.members[1]).unwrap();
    assert_eq!(left.state(), State::Active);
}

/// Addresses that a predecessor held are kept for two rounds if the group does not follow, and no longer.
#[test]
fn a_group_that_does_not_follow_lets_go_of_what_it_found() {
    let mut host = Host::new("10.0.0.1", &[100, 100]);
    for place in 0..2 {
        host.feed(0, host.members[place], Input::Shutdown);
        host.feed(0, host.members[place], Input::Startup { held: true });
    }
    let mut let_go = Vec::new();
    for half in 1..30 {
        let now = half * SECOND / 2;
        let mut outputs = host.hear(now, 1, "10.0.0.2", 150);
        host.router.handle_timeout(at(now));
        outputs.extend(host.drain());
        assert!(host.all(State::Backup));
        let gone = outputs
            .iter()
            .filter(|(_, output)| *output == Output::RemoveAddresses);
        let_go.extend(gone.map(|(place, _)| (*place, half)));
    }
    // The second at once, as somebody is active; the first after the second round: 3.609 s, seen at 4.0, and as much again.
    assert_eq!(let_go, [(1, 1), (0, 16)]);
}

/// Hosts without this rule do not give way; so after three contests in a row we do, whoever we heard.
#[test]
fn patience() {
    let down = 3_609_375_000;
    // How long after a member was lost the group is active again, when it is lost this long after becoming active.
    let rounds = |held: u64| -> Vec<u64> {
        let mut host = Host::new("10.0.0.1", &[100, 100]);
        let (mut now, _) = host.promote();
        let mut rounds = Vec::new();
        for _ in 0..4 {
            while host.router.poll_timeout().unwrap() <= at(now + held) {
                let due = host.router.poll_timeout().unwrap();
                host.router.handle_timeout(due);
                host.drain();
            }
            // The second member loses; the first, which is compared, hears nobody.
            host.hear(now + held, 1, "10.0.0.2", 150);
            assert!(host.all(State::Backup));
            let lost = now + held;
            now = loop {
                let due = host.router.poll_timeout().unwrap();
                host.router.handle_timeout(due);
                host.drain();
                if host.all(State::Active) {
                    break due.as_nanos();
                }
            };
            rounds.push((now - lost) / down);
        }
        rounds
    };
    assert_eq!(rounds(SECOND / 2), [1, 1, 2, 1]);
    assert_eq!(rounds(down), [1, 1, 2, 1]);
    assert_eq!(rounds(down + 1), [1, 1, 1, 1]);
}
