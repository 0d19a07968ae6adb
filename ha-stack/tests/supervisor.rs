//! A supervisor over an election in memory: tracking, notification, status and reload, without privileges.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ha_stack::{
    CommandLine, ControlClient, ControlServer, Error, Event, FifoPlan, Plan, Request, Response, ScriptCheck,
    Supervisor, SyncGroupPlan, TrackPlan, TrackedFile, TrackedObject, VirtualRouterPlan,
};
use vrrp_net::{Control, Driver, HostId, Instance, MemoryHost, Segment, SegmentEvent};
use vrrp_proto::{AdverInterval, Priority, Vrid};

const VIP: &str = "10.0.0.100";

fn router(name: &str, vrid: u8, priority: u8, address: &str) -> VirtualRouterPlan {
    VirtualRouterPlan::new(
        Instance::new(name, "eth0", Vrid::new(vrid).unwrap())
            .priority(Priority::new(priority))
            .adver_interval(AdverInterval::from_centiseconds(2).unwrap())
            .address(address.parse().unwrap()),
    )
}

fn plan(routers: Vec<VirtualRouterPlan>) -> Plan {
    let mut plan = Plan::default();
    plan.virtual_routers = routers;
    plan
}

struct Host {
    supervisor: Supervisor,
    id: HostId,
    events: Receiver<Event>,
}

/// A segment whose clock runs as the computer's, but waits for whoever is on it: a computer that is busy makes nobody late.
struct Stage {
    segment: Segment,
    drivers: Arc<Mutex<Vec<Control>>>,
    over: Arc<AtomicBool>,
    clock: Option<JoinHandle<()>>,
}

impl Stage {
    fn new() -> Self {
        let segment = Segment::new();
        let drivers = Arc::new(Mutex::new(Vec::<Control>::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (moved, on_stage, is_over) = (segment.clone(), Arc::clone(&drivers), Arc::clone(&over));
        let clock = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let drivers = on_stage.lock().unwrap().clone();
                for driver in drivers {
                    driver.refresh(Duration::from_secs(60));
                }
                moved.advance_to(moved.now().saturating_add(TICK));
                std::thread::sleep(TICK);
            }
        });
        Self {
            segment,
            drivers,
            over,
            clock: Some(clock),
        }
    }
}

impl Deref for Stage {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.segment
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(clock) = self.clock.take() {
            clock.join().unwrap();
        }
    }
}

const TICK: Duration = Duration::from_millis(1);

fn host(stage: &Stage, address: &str, plan: Plan) -> Host {
    let memory = stage.host(&[(address.parse().unwrap(), 24)]);
    let id = memory.id();
    let driver = Driver::new(memory).unwrap();
    stage.drivers.lock().unwrap().push(driver.control());
    let supervisor = Supervisor::start(driver, Plan::default()).unwrap();
    // Watched before there is anything to see.
    let events = supervisor.watch().unwrap();
    supervisor.reload(plan).unwrap();
    Host {
        supervisor,
        id,
        events,
    }
}

/// Waits for an event of this object and returns its reason.
fn wait(events: &Receiver<Event>, name: &str, word: &str) -> String {
    loop {
        let event = events.recv_timeout(Duration::from_secs(60)).expect(word);
        if event.object.name() == name && event.kind.word() == word {
            return event.reason.as_deref().unwrap_or_default().to_owned();
        }
    }
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ha-stack-supervisor-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn script(name: &str, switch: &Path) -> ScriptCheck {
    ScriptCheck {
        name: name.to_owned(),
        command: CommandLine::new(["test", "!", "-e", switch.to_str().unwrap()]).unwrap(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(60),
        rise: NonZeroU32::MIN,
        fall: NonZeroU32::MIN,
        init_fail: false,
    }
}

fn track(object: TrackedObject, weight: i16) -> TrackPlan {
    TrackPlan {
        object,
        weight,
        reverse: false,
    }
}

#[test]
fn a_script_moves_the_address_and_its_recovery_moves_it_back() {
    let directory = directory("script");
    let switch = directory.join("down");
    let segment = Stage::new();
    let mut first = router("VI_1", 51, 100, VIP);
    first
        .tracks
        .push(track(TrackedObject::Script("chk_down".to_owned()), -5));
    let mut first = plan(vec![first]);
    first.scripts.push(script("chk_down", &switch));
    let one = host(&segment, "10.0.0.1", first);
    wait(&one.events, "VI_1", "MASTER");
    let two = host(&segment, "10.0.0.2", plan(vec![router("VI_1", 51, 98, VIP)]));
    wait(&two.events, "VI_1", "BACKUP");

    std::fs::write(&switch, "").unwrap();
    wait(&two.events, "VI_1", "MASTER");
    wait(&one.events, "VI_1", "BACKUP");
    let status = one.supervisor.status();
    assert_eq!(status.virtual_routers[0].effective_priority, 95);
    assert_eq!(
        status.virtual_routers[0].active_router.as_deref(),
        Some("10.0.0.2")
    );
    assert_eq!(status.tracked[0].state, "down");

    std::fs::remove_file(&switch).unwrap();
    wait(&one.events, "VI_1", "MASTER");
    wait(&two.events, "VI_1", "BACKUP");
    let status = one.supervisor.status();
    assert_eq!(status.virtual_routers[0].state, "active");
    assert!(status.virtual_routers[0].statistics["advertisements_received"] > 0);
    assert_eq!(
        one.supervisor.status().virtual_routers[0].addresses,
        ["10.0.0.100/32"]
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

/// A kernel without nf_tables: what it cannot do is said, and the addresses are held all the same.
#[test]
fn packets_that_cannot_be_refused_are_accepted() {
    let segment = Segment::real_time();
    let memory = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
    let driver = Driver::new(memory.without_packet_filter()).unwrap();
    let supervisor = Supervisor::start(driver, Plan::default()).unwrap();
    let events = supervisor.watch().unwrap();
    let refusing = |priority| {
        let mut router = router("VI_1", 51, priority, VIP);
        router.instance = router.instance.accept_packets(false);
        plan(vec![router])
    };
    for priority in [100, 120] {
        let changes = supervisor.reload(refusing(priority)).unwrap();
        let said = changes.iter().any(|change| change.contains("accepts packets"));
        assert!(said, "{changes:?}");
    }
    wait(&events, "VI_1", "MASTER");
}

#[test]
fn an_unweighted_script_is_waited_for_in_silence_and_is_a_fault_by_name() {
    let directory = directory("fault");
    let switch = directory.join("down");
    let segment = Stage::new();
    let mut only = router("VI_1", 51, 100, VIP);
    only.tracks
        .push(track(TrackedObject::Script("chk".to_owned()), 0));
    let mut only = plan(vec![only]);
    only.scripts.push(script("chk", &switch));
    let host = host(&segment, "10.0.0.1", only);
    let first = host.events.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(first.kind.word(), "BACKUP", "waiting for the script is not told");
    wait(&host.events, "VI_1", "MASTER");
    std::fs::write(&switch, "").unwrap();
    assert_eq!(wait(&host.events, "VI_1", "FAULT"), "script chk failed");
    while segment.holds(host.id, VIP.parse().unwrap()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(&switch).unwrap();
    wait(&host.events, "VI_1", "MASTER");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_file_counts_by_its_number() {
    let directory = directory("file");
    let path = directory.join("value");
    std::fs::write(&path, "3").unwrap();
    let segment = Stage::new();
    let mut only = router("VI_1", 51, 100, VIP);
    only.notify_priority_changes = true;
    only.tracks
        .push(track(TrackedObject::File("load".to_owned()), 10));
    let mut only = plan(vec![only]);
    only.files.push(TrackedFile {
        name: "load".to_owned(),
        path: path.clone(),
        initial: None,
    });
    let host = host(&segment, "10.0.0.1", only);
    wait(&host.events, "VI_1", "MASTER");
    std::fs::write(&path, "-4").unwrap();
    wait(&host.events, "VI_1", "MASTER_PRIORITY");
    assert_eq!(host.supervisor.status().virtual_routers[0].effective_priority, 60);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_sync_group_moves_as_one_and_says_so() {
    let segment = Stage::new();
    let grouped = |priority| {
        let member = |name: &str, vrid, address: &str| {
            let mut member = router(name, vrid, priority, address);
            member.instance = member.instance.sync_group("G1");
            member
        };
        let mut plan = plan(vec![member("A", 1, "10.0.0.101"), member("B", 2, "10.0.0.102")]);
        plan.sync_groups.push(SyncGroupPlan::new("G1"));
        plan
    };
    let one = host(&segment, "10.0.0.1", grouped(100));
    wait(&one.events, "G1", "MASTER");
    let two = host(&segment, "10.0.0.2", grouped(90));
    wait(&two.events, "G1", "BACKUP");
    assert_eq!(one.supervisor.status().sync_groups[0].state, "active");
    assert_eq!(one.supervisor.status().sync_groups[0].members, ["A", "B"]);

    let done = one.supervisor.fail_over("G1").unwrap();
    assert_eq!(done, ["A hands over", "B hands over"]);
    wait(&two.events, "G1", "MASTER");
    wait(&one.events, "G1", "BACKUP");
    assert!(matches!(one.supervisor.fail_over("G1"), Err(Error::NotActive)));
}

#[test]
fn a_virtual_router_joins_and_leaves_a_group_without_a_change_of_state() {
    let segment = Stage::new();
    let grouped = |group: Option<&str>| {
        let member = |name: &str, vrid, address: &str, group: Option<&str>| {
            let mut member = router(name, vrid, 100, address);
            if let Some(group) = group {
                member.instance = member.instance.sync_group(group);
            }
            member
        };
        let mut plan = plan(vec![
            member("A", 1, "10.0.0.101", Some("G1")),
            member("B", 2, "10.0.0.102", group),
        ]);
        plan.sync_groups.push(SyncGroupPlan::new("G1"));
        plan
    };
    let host = host(&segment, "10.0.0.1", grouped(None));
    let mut missing = vec!["B", "G1"];
    while !missing.is_empty() {
        let event = host.events.recv_timeout(Duration::from_secs(60)).unwrap();
        missing.retain(|name| (event.object.name(), event.kind.word()) != (name, "MASTER"));
    }
    host.supervisor.reload(grouped(Some("G1"))).unwrap();
    let status = host.supervisor.status();
    assert_eq!(status.sync_groups[0].members, ["A", "B"]);
    assert_eq!(status.sync_groups[0].state, "active");
    assert_eq!(
        host.supervisor.fail_over("G1").unwrap(),
        ["A hands over", "B hands over"]
    );
    wait(&host.events, "G1", "BACKUP");
    wait(&host.events, "G1", "MASTER");
    host.supervisor.reload(grouped(None)).unwrap();
    assert_eq!(host.supervisor.status().sync_groups[0].members, ["A"]);
    assert_eq!(host.supervisor.fail_over("B").unwrap(), ["B hands over"]);
    wait(&host.events, "B", "BACKUP");
    assert_eq!(host.supervisor.status().sync_groups[0].state, "active");
}

#[test]
fn scripts_and_pipes_are_told_in_keepalived_s_words_to_the_last() {
    let directory = directory("notify");
    let log = directory.join("log");
    let fifo = directory.join("fifo");
    let segment = Stage::new();
    let mut only = router("VI_1", 51, 100, VIP);
    let append = format!("echo \"$@\" >> {}", log.display());
    only.hooks.any = Some(CommandLine::new(["/bin/sh", "-c", &append, "sh"]).unwrap());
    let mut only = plan(vec![only]);
    let mut pipe = FifoPlan::new(&fifo);
    let copy = format!("exec cat \"$1\" > {}", directory.join("copy").display());
    pipe.reader = Some(CommandLine::new(["/bin/sh", "-c", &copy, "sh"]).unwrap());
    only.fifos.push(pipe);
    only.states_on_reload = true;
    let host = host(&segment, "10.0.0.1", only.clone());
    wait(&host.events, "VI_1", "MASTER");
    // The pipe is told once more, the scripts are not.
    assert_eq!(host.supervisor.reload(only).unwrap(), [""; 0]);
    host.supervisor.stop().unwrap();
    wait(&host.events, "VI_1", "STOP");
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "INSTANCE VI_1 BACKUP 100\nINSTANCE VI_1 MASTER 100\nINSTANCE VI_1 STOP 100\n"
    );
    assert!(!segment.holds(host.id, VIP.parse().unwrap()));
    let copied = std::fs::read_to_string(directory.join("copy")).unwrap();
    assert!(
        copied.starts_with(
            "INSTANCE \"VI_1\" BACKUP 100\nINSTANCE \"VI_1\" MASTER 100\nINSTANCE \"VI_1\" MASTER 100\n"
        ),
        "{copied}"
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Addresses that came or went on the segment since the last call.
fn moved(segment: &Segment) -> Vec<(IpAddr, bool)> {
    segment
        .take_log()
        .into_iter()
        .filter_map(|event| match event {
            SegmentEvent::AddressUp { address, .. } => Some((address, true)),
            SegmentEvent::AddressDown { address, .. } => Some((address, false)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_reload_touches_only_what_differs() {
    let segment = Stage::new();
    let host = host(
        &segment,
        "10.0.0.1",
        plan(vec![
            router("A", 1, 100, "10.0.0.101"),
            router("B", 2, 100, "10.0.0.102"),
        ]),
    );
    wait(&host.events, "A", "MASTER");
    wait(&host.events, "B", "MASTER");
    let before = host.supervisor.status().virtual_routers[0].since.clone();
    let _ = segment.take_log();

    let mut second = router("B", 2, 100, "10.0.0.102");
    second.instance = second.instance.address("10.0.0.103".parse().unwrap());
    let changes = host
        .supervisor
        .reload(plan(vec![router("A2", 1, 100, "10.0.0.101"), second]))
        .unwrap();
    assert_eq!(changes, ["A renamed to A2", "B changed: 10.0.0.103 added"]);
    while !segment.holds(host.id, "10.0.0.103".parse().unwrap()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(moved(&segment), [("10.0.0.103".parse().unwrap(), true)]);
    let status = host.supervisor.status();
    assert_eq!(status.virtual_routers[0].name, "A2");
    assert_eq!(status.virtual_routers[0].since, before);

    let third = plan(vec![
        router("A2", 1, 100, "10.0.0.101"),
        router("C", 3, 100, "10.0.0.104"),
    ]);
    assert_eq!(
        host.supervisor.reload(third.clone()).unwrap(),
        ["B removed", "C added"]
    );
    assert_eq!(wait(&host.events, "B", "FAULT"), "shut down");
    wait(&host.events, "C", "MASTER");
    assert_eq!(host.supervisor.reload(third).unwrap(), [""; 0]);
    assert!(host.supervisor.is_alive(Duration::from_secs(60)));
}

#[test]
fn a_bad_plan_leaves_everything_as_it_was() {
    let segment = Stage::new();
    let host = host(
        &segment,
        "10.0.0.1",
        plan(vec![router("A", 1, 100, "10.0.0.101")]),
    );
    wait(&host.events, "A", "MASTER");
    let _ = segment.take_log();

    let twice = plan(vec![
        router("A", 1, 100, "10.0.0.101"),
        router("A", 2, 100, "10.0.0.102"),
    ]);
    assert!(matches!(host.supervisor.reload(twice), Err(Error::DuplicateName)));

    let mut untracked = router("A", 1, 100, "10.0.0.101");
    untracked
        .tracks
        .push(track(TrackedObject::Script("none".to_owned()), 0));
    assert!(matches!(
        host.supervisor.reload(plan(vec![untracked])),
        Err(Error::UnknownTrack)
    ));

    // Found only by the election, when another virtual router has been added already: that is taken back.
    let same_number = plan(vec![
        router("A", 1, 100, "10.0.0.101"),
        router("B", 2, 100, "10.0.0.102"),
        router("C", 2, 100, "10.0.0.103"),
    ]);
    assert!(matches!(
        host.supervisor.reload(same_number),
        Err(Error::Election(_))
    ));
    let status = host.supervisor.status();
    assert_eq!(status.virtual_routers.len(), 1);
    assert_eq!(status.virtual_routers[0].state, "active");
    assert!(segment.holds(host.id, "10.0.0.101".parse().unwrap()));
    assert!(!moved(&segment).contains(&("10.0.0.101".parse().unwrap(), false)));
}

#[test]
fn an_operator_reaches_it_over_the_control_socket() {
    let directory = directory("control");
    let socket = directory.join("socket");
    let segment = Stage::new();
    let one = host(&segment, "10.0.0.1", plan(vec![router("VI_1", 51, 100, VIP)]));
    wait(&one.events, "VI_1", "MASTER");
    let two = host(&segment, "10.0.0.2", plan(vec![router("VI_1", 51, 90, VIP)]));
    wait(&two.events, "VI_1", "BACKUP");
    let _server = ControlServer::start(&socket, two.supervisor.control(None)).unwrap();
    let mut client = ControlClient::connect(&socket).unwrap();

    let ask = |client: &mut ControlClient, name: &str, priority| {
        client.ask(&Request::Priority {
            name: name.to_owned(),
            priority,
        })
    };
    assert_eq!(
        ask(&mut client, "VI_1", 110).unwrap(),
        Response::Changes(vec!["VI_1: priority 90 to 110".to_owned()])
    );
    wait(&two.events, "VI_1", "MASTER");
    assert!(matches!(
        ask(&mut client, "VI_2", 110).unwrap(),
        Response::Error(_)
    ));
    assert!(matches!(
        ask(&mut client, "VI_1", 255).unwrap(),
        Response::Error(_)
    ));
    assert!(matches!(
        client.ask(&Request::Reload).unwrap(),
        Response::Error(_)
    ));
    let Response::Status(status) = client.ask(&Request::Status).unwrap() else {
        panic!("no status");
    };
    assert_eq!(status.virtual_routers[0].priority, 110);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_peer_with_another_password_or_version_is_named_with_the_field() {
    use vrrp_fsm::Dialect;
    use vrrp_proto::Password;

    let segment = Stage::new();
    let with = |dialect, password: Option<&'static [u8]>| {
        let mut router = VirtualRouterPlan::new(
            Instance::new("VI_1", "eth0", Vrid::new(51).unwrap()).address(VIP.parse().unwrap()),
        );
        router.instance = router.instance.parameters(move |builder| {
            let builder = builder.dialect(dialect);
            match password {
                Some(password) => builder.password(Password::truncating(password)),
                None => builder,
            }
        });
        plan(vec![router])
    };
    let one = host(&segment, "10.0.0.1", with(Dialect::Rfc3768, Some(b"right")));
    let _two = host(&segment, "10.0.0.2", with(Dialect::Rfc3768, Some(b"wrong")));
    let _three = host(&segment, "10.0.0.3", with(Dialect::Rfc5798, None));
    let wanted = [("10.0.0.2", "authentication"), ("10.0.0.3", "version")];
    let problems = loop {
        let problems = one.supervisor.status().virtual_routers.remove(0).problems;
        let has = |(peer, field)| {
            problems
                .iter()
                .any(|problem| problem.peer == peer && problem.field == field)
        };
        if wanted.into_iter().all(has) {
            break problems;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn a_hundred_reloads_leave_what_does_not_change_alone() {
    let directory = directory("reloads");
    let switch = directory.join("down");
    let segment = Stage::new();
    // The same edits on each run: which of the others there are, with which priority and address.
    let edited = |round: u32| {
        let mut seed = round.wrapping_mul(2_654_435_761);
        let mut next = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        let mut stays = router("stays", 1, 100, VIP);
        stays
            .tracks
            .push(track(TrackedObject::Script("slow".to_owned()), -5));
        let mut routers = vec![stays];
        for vrid in 2..8_u8 {
            if next(2) == 0 {
                let address = format!("10.0.{vrid}.{}", 1 + next(3));
                let mut other = router(&format!("V{vrid}"), vrid, 100, &address);
                let priority = u8::try_from(50 + next(50)).unwrap();
                other.instance = other.instance.priority(Priority::new(priority));
                routers.push(other);
            }
        }
        let mut plan = plan(routers);
        // Always in the middle of a run.
        let mut slow = script("slow", &switch);
        slow.command = CommandLine::new(["sleep", "0.05"]).unwrap();
        plan.scripts.push(slow);
        plan
    };
    let host = host(&segment, "10.0.0.1", edited(0));
    wait(&host.events, "stays", "MASTER");
    let before = host.supervisor.status().virtual_routers.remove(0);
    let _ = segment.take_log();
    for round in 1..=100 {
        host.supervisor.reload(edited(round)).unwrap();
    }
    let after = host.supervisor.status().virtual_routers.remove(0);
    assert_eq!((&after.state, &after.since), (&before.state, &before.since));
    let touched = moved(&segment)
        .into_iter()
        .filter(|(address, _)| *address == VIP.parse::<IpAddr>().unwrap());
    assert_eq!(touched.count(), 0);
    let told = host
        .events
        .try_iter()
        .filter(|event| event.object.name() == "stays");
    assert_eq!(told.map(|event| event.kind.word()).collect::<Vec<_>>(), [""; 0]);
    // What is there in the end is what the last plan says, and nothing else is left.
    let last: Vec<String> = edited(100)
        .virtual_routers
        .iter()
        .map(|router| router.instance.name().to_owned())
        .collect();
    let running = host.supervisor.status().virtual_routers;
    assert_eq!(
        running
            .iter()
            .map(|router| router.name.clone())
            .collect::<Vec<_>>(),
        last
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn scripts_that_hang_by_the_dozen_move_no_advertisement() {
    let directory = directory("storm");
    let segment = Stage::new();
    let mut only = router("VI_1", 51, 100, VIP);
    let mut scripts = Vec::new();
    for number in 0..100 {
        let name = format!("s{number}");
        let mut check = script(&name, &directory.join("none"));
        if number % 2 == 0 {
            check.command = CommandLine::new(["sleep", "1000"]).unwrap();
        }
        check.interval = Duration::from_millis(500);
        scripts.push(check);
        only.tracks.push(track(TrackedObject::Script(name), -1));
    }
    let mut only = plan(vec![only]);
    only.scripts = scripts;
    let one = host(&segment, "10.0.0.1", only);
    wait(&one.events, "VI_1", "MASTER");
    // A backup that would take over after three missed advertisements, and does not.
    let two = host(&segment, "10.0.0.2", plan(vec![router("VI_1", 51, 90, VIP)]));
    wait(&two.events, "VI_1", "BACKUP");
    let sent = || one.supervisor.status().virtual_routers[0].statistics["advertisements_sent"];
    let before = sent();
    while sent() < before + 50 {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(one.supervisor.status().virtual_routers[0].state, "active");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn names_and_priorities_are_checked() {
    let segment = Stage::new();
    let host = host(&segment, "10.0.0.1", plan(vec![router("VI_1", 51, 100, VIP)]));
    assert!(matches!(
        host.supervisor.fail_over("none"),
        Err(Error::UnknownName)
    ));
    assert!(matches!(
        host.supervisor.set_priority("none", 9),
        Err(Error::UnknownName)
    ));
    for priority in [0, 255] {
        assert!(matches!(
            host.supervisor.set_priority("VI_1", priority),
            Err(Error::PriorityRange)
        ));
    }
}

#[test]
fn nobody_is_elected_before_the_start_delay_is_over() {
    let segment = Stage::new();
    let mut delayed = plan(vec![router("VI_1", 51, 100, VIP)]);
    delayed.start_delay = Duration::from_secs(3600);
    let host = host(&segment, "10.0.0.1", delayed.clone());
    let status = host.supervisor.status();
    assert_eq!(status.virtual_routers[0].state, "initialize");
    assert_eq!(status.virtual_routers[0].reason, "the start delay is not over");
    // A reload does not begin the wait anew, and whoever comes waits too.
    delayed
        .virtual_routers
        .push(router("VI_2", 52, 100, "10.0.0.101"));
    assert_eq!(host.supervisor.reload(delayed.clone()).unwrap(), ["VI_2 added"]);
    assert_eq!(host.supervisor.status().virtual_routers[1].state, "initialize");
    // Without the delay in the plan it is over.
    delayed.start_delay = Duration::ZERO;
    assert_eq!(host.supervisor.reload(delayed.clone()).unwrap(), [""; 0]);
    let first = host.events.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(first.kind.word(), "BACKUP", "the wait is not told");
    wait(&host.events, "VI_1", "MASTER");
    // And stays so.
    delayed.start_delay = Duration::from_secs(3600);
    assert_eq!(host.supervisor.reload(delayed).unwrap(), [""; 0]);
    assert_eq!(host.supervisor.status().virtual_routers[0].state, "active");
}

#[test]
fn the_start_delay_ends_by_itself() {
    let segment = Stage::new();
    let mut delayed = plan(vec![router("VI_1", 51, 100, VIP)]);
    delayed.start_delay = Duration::from_millis(100);
    let begun = std::time::Instant::now();
    let host = host(&segment, "10.0.0.1", delayed);
    wait(&host.events, "VI_1", "MASTER");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_virtual_router_without_an_address_is_elected_all_the_same() {
    use vrrp_proto::AddressFamily;

    let segment = Stage::new();
    let bare = |priority| {
        let instance = Instance::new("VI_1", "eth0", Vrid::new(51).unwrap())
            .priority(Priority::new(priority))
            .adver_interval(AdverInterval::from_centiseconds(2).unwrap())
            .parameters(|builder| builder.no_address(AddressFamily::Ipv4));
        plan(vec![VirtualRouterPlan::new(instance)])
    };
    let one = host(&segment, "10.0.0.1", bare(100));
    wait(&one.events, "VI_1", "MASTER");
    let two = host(&segment, "10.0.0.2", bare(90));
    wait(&two.events, "VI_1", "BACKUP");
    one.supervisor.fail_over("VI_1").unwrap();
    wait(&two.events, "VI_1", "MASTER");
    wait(&one.events, "VI_1", "BACKUP");
}

/// A host on which the election can be brought to a halt.
#[derive(Debug)]
struct Fragile {
    inner: MemoryHost,
    condition: Arc<AtomicU8>,
}

const WELL: u8 = 0;
const STUCK: u8 = 1;
const BROKEN: u8 = 2;

impl vrrp_net::Host for Fragile {
    fn wait(&mut self, until: Option<vrrp_fsm::Instant>) -> Result<(), vrrp_net::Error> {
        while self.condition.load(Ordering::Relaxed) == STUCK {
            std::thread::sleep(TICK);
        }
        match self.condition.load(Ordering::Relaxed) {
            BROKEN => Err(vrrp_net::Error::Poll(std::io::ErrorKind::Other.into())),
            _ => self.inner.wait(until),
        }
    }

    fn now(&self) -> vrrp_fsm::Instant {
        self.inner.now()
    }
    fn wall_clock(&self) -> Duration {
        self.inner.wall_clock()
    }
    fn arm(&mut self, until: Option<vrrp_fsm::Instant>) -> Result<(), vrrp_net::Error> {
        self.inner.arm(until)
    }
    fn waker(&self) -> vrrp_net::Waker {
        self.inner.waker()
    }
    fn listen(&mut self, listen: &vrrp_net::Listen) -> Result<(), vrrp_net::Error> {
        self.inner.listen(listen)
    }
    fn receive(&mut self, handle: &mut dyn FnMut(vrrp_net::Received<'_>)) -> Result<(), vrrp_net::Error> {
        self.inner.receive(handle)
    }
    fn send(&mut self, packets: &vrrp_net::Transmissions, failed: &mut dyn FnMut(usize, vrrp_net::Error)) {
        self.inner.send(packets, failed);
    }
    fn can_refuse_packets(&self) -> Result<(), vrrp_net::Error> {
        self.inner.can_refuse_packets()
    }
    fn submit(&mut self, work: vrrp_net::Work) {
        self.inner.submit(work);
    }
    fn poll_event(&mut self) -> Option<vrrp_net::HostEvent> {
        self.inner.poll_event()
    }
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.descriptor()
    }
}

#[test]
fn an_election_that_is_stuck_or_dead_is_seen_and_can_be_started_anew() {
    let segment = Segment::real_time();
    let condition = Arc::new(AtomicU8::new(WELL));
    let inner = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
    let id = inner.id();
    let fragile = Fragile {
        inner,
        condition: Arc::clone(&condition),
    };
    let wanted = plan(vec![router("VI_1", 51, 100, VIP)]);
    let supervisor = Supervisor::start(Driver::new(fragile).unwrap(), Plan::default()).unwrap();
    let events = supervisor.watch().unwrap();
    supervisor.reload(wanted.clone()).unwrap();
    wait(&events, "VI_1", "MASTER");
    assert!(supervisor.is_alive(Duration::from_secs(60)));

    condition.store(STUCK, Ordering::Relaxed);
    // It may have one more pass before it.
    while supervisor.is_alive(Duration::from_millis(50)) {}
    assert!(!supervisor.has_ended(), "stuck is not dead");
    // The status is what it last was, and does not wait either.
    assert_eq!(supervisor.status().virtual_routers.len(), 1);
    condition.store(WELL, Ordering::Relaxed);
    assert!(supervisor.is_alive(Duration::from_secs(60)));

    condition.store(BROKEN, Ordering::Relaxed);
    while !supervisor.has_ended() {
        supervisor.is_alive(Duration::from_millis(50));
    }
    assert!(!supervisor.is_alive(Duration::from_secs(60)));
    assert!(matches!(supervisor.stop(), Err(Error::Election(_))));
    let again = MemoryHost::restarted(&segment, id);
    let supervisor = Supervisor::start(Driver::new(again).unwrap(), Plan::default()).unwrap();
    let events = supervisor.watch().unwrap();
    supervisor.reload(wanted).unwrap();
    wait(&events, "VI_1", "MASTER");
}
