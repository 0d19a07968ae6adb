//! A supervisor that balances over a recording data plane: verdicts are reported, nothing is sent.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use ha_stack::{
    Error, Event, FifoPlan, FifoSubject, Forwarding, Plan, RealServerPlan, RecordingPlane, Request, Response,
    ServerAction, SorryServerPlan, Supervisor, SynchronizationPlan, VirtualRouterPlan, VirtualServerPlan,
};
use healthcheck::{Check, External, FailKind, Failure, Policy, Reporter, Sample, Stage};
use vrrp_net::{Driver, Instance, Segment};
use vrrp_proto::{AdverInterval, Priority, Vrid};

const VS: &str = "10.0.0.100:80";

struct Stack {
    supervisor: Supervisor,
    plane: RecordingPlane,
    events: Receiver<Event>,
}

impl Stack {
    fn new() -> Self {
        let memory = Segment::real_time().host(&[("10.0.0.1".parse().unwrap(), 24)]);
        let supervisor = Supervisor::start(Driver::new(memory).unwrap(), Plan::default()).unwrap();
        let plane = RecordingPlane::new();
        let for_supervisor = plane.clone();
        supervisor.set_data_plane(move || Ok(Box::new(for_supervisor.clone())));
        let events = supervisor.watch().unwrap();
        Self {
            supervisor,
            plane,
            events,
        }
    }

    /// Waits until the first virtual server's rows are these: last octet and weight.
    fn wait_for(&self, rows: &[(u8, u32)]) {
        let deadline = Instant::now() + LIMIT;
        while self.rows() != rows {
            assert!(Instant::now() < deadline, "{:?} instead of {rows:?}", self.rows());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn rows(&self) -> Vec<(u8, u32)> {
        let table = self.plane.last();
        let Some(server) = table.virtual_servers.first() else {
            return Vec::new();
        };
        let last = |address: SocketAddr| match address {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(_) => 0,
        };
        server
            .real_servers
            .iter()
            .map(|real| (last(real.address), real.weight))
            .collect()
    }

    /// The next event, as object, word and reason.
    fn event(&self) -> String {
        let event = self.events.recv_timeout(LIMIT).unwrap();
        let reason = event.reason.as_deref().map(|reason| format!(": {reason}"));
        format!(
            "{} {}{}",
            event.object,
            event.kind.word(),
            reason.unwrap_or_default()
        )
    }
}

fn address(last: u8) -> SocketAddr {
    format!("10.0.1.{last}:80").parse().unwrap()
}

fn policy() -> Arc<Policy> {
    Arc::new(Policy {
        interval: Duration::from_millis(5),
        retry_delay: Some(Duration::from_millis(5)),
        fall: NonZeroU16::MIN,
        spread: Duration::ZERO,
        timeout: LIMIT,
        ..Policy::keepalived(false)
    })
}

/// Two real servers and a sorry server, with what reports about the two.
fn server() -> (VirtualServerPlan, [Reporter; 2]) {
    let mut plan = VirtualServerPlan::new("tcp 10.0.0.100:80".parse().unwrap());
    let reporters = [1, 2].map(|last| {
        let (external, reporter) = External::new();
        let mut real = RealServerPlan::new(address(last));
        real.checks.push((Check::local(external), policy()));
        plan.real_servers.push(real);
        reporter
    });
    plan.sorry_server = Some(SorryServerPlan {
        address: address(250),
        forwarding: Forwarding::Masquerade,
        inhibit: false,
    });
    (plan, reporters)
}

fn plan(servers: Vec<VirtualServerPlan>) -> Plan {
    let mut plan = Plan::default();
    plan.virtual_servers = servers.into_iter().map(Arc::new).collect();
    plan
}

fn failed() -> Sample {
    Sample::fail(Failure::new(Stage::Connect, FailKind::Refused), Duration::ZERO)
}

fn passed() -> Sample {
    Sample::pass(Duration::from_micros(180))
}

#[test]
fn a_real_server_leaves_and_returns_and_the_sorry_server_stands_in() {
    let stack = Stack::new();
    let (server, [one, two]) = server();
    let changes = stack.supervisor.reload(plan(vec![server])).unwrap();
    assert_eq!(changes, ["10.0.0.100:80 added"]);
    stack.wait_for(&[(1, 1), (2, 1)]);
    assert_eq!(stack.event(), "[10.0.0.100]:tcp:80 UP");

    one.report(failed());
    stack.wait_for(&[(2, 1)]);
    let told = stack.event();
    assert!(
        told.starts_with("[10.0.1.1]:tcp:80 [10.0.0.100]:tcp:80 DOWN: connect"),
        "{told}"
    );
    two.report(failed());
    stack.wait_for(&[(250, 1)]);
    assert!(
        stack
            .event()
            .starts_with("[10.0.1.2]:tcp:80 [10.0.0.100]:tcp:80 DOWN")
    );
    assert!(stack.event().starts_with("[10.0.0.100]:tcp:80 DOWN"));
    let status = stack.supervisor.status();
    assert_eq!(status.data_plane, "recording");
    let server = &status.virtual_servers[0];
    assert!(server.sorry_server_active && !server.quorum_met);
    assert_eq!(server.real_servers[0].state, "down");
    assert_eq!(server.real_servers[0].checks[0].kind, "external");
    assert!(server.real_servers[0].checks[0].last_error.is_some());

    two.report(passed());
    stack.wait_for(&[(2, 1)]);
    assert_eq!(stack.event(), "[10.0.1.2]:tcp:80 [10.0.0.100]:tcp:80 UP");
    assert_eq!(stack.event(), "[10.0.0.100]:tcp:80 UP");
    // From each table to the next there was always somebody to serve.
    for table in stack.plane.tables() {
        let reals = &table.virtual_servers[0].real_servers;
        assert!(reals.iter().any(|real| real.weight > 0), "{table:?}");
    }
    stack.supervisor.stop().unwrap();
    assert_eq!(stack.plane.last().virtual_servers, [], "cleaned up");
}

/// Each is told, the virtual server after the last of them, and from each table to the next there is somebody to serve.
#[test]
fn a_thousand_that_fail_at_once_are_told_each_and_the_sorry_server_stands_in_last() {
    let stack = Stack::new();
    let (mut server, _) = server();
    let address = |number: u32| SocketAddr::from(([10, 1, (number / 250) as u8, (number % 250) as u8], 80));
    server.real_servers.clear();
    let reporters: Vec<Reporter> = (0..1000)
        .map(|number| {
            let (external, reporter) = External::new();
            let mut real = RealServerPlan::new(address(number));
            let interval = Duration::from_millis(200);
            let slower = Policy {
                interval,
                retry_delay: Some(interval),
                ..*policy()
            };
            real.checks.push((Check::local(external), Arc::new(slower)));
            server.real_servers.push(real);
            reporter
        })
        .collect();
    stack.supervisor.reload(plan(vec![server])).unwrap();
    assert_eq!(stack.event(), "[10.0.0.100]:tcp:80 UP");
    std::thread::scope(|scope| {
        for reporters in reporters.chunks(250) {
            scope.spawn(|| reporters.iter().for_each(|reporter| reporter.report(failed())));
        }
    });
    stack.wait_for(&[(250, 1)]);
    let mut told: Vec<String> = (0..1000).map(|_| stack.event()).collect();
    let last = stack.event();
    assert!(last.starts_with("[10.0.0.100]:tcp:80 DOWN"), "{last}");
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 1000, "each once");
    assert!(
        told.iter()
            .all(|told| told.contains(" [10.0.0.100]:tcp:80 DOWN: connect"))
    );
    let tables = stack.plane.tables();
    for table in &tables {
        let reals = &table.virtual_servers[0].real_servers;
        assert!(reals.iter().any(|real| real.weight > 0));
    }
    println!("{} tables for 1000 failures", tables.len());
    for reporter in &reporters {
        reporter.report(passed());
    }
    let deadline = Instant::now() + LIMIT;
    while stack.rows().len() < 1000 {
        assert!(Instant::now() < deadline, "{} rows", stack.rows().len());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!stack.rows().contains(&(250, 1)));
}

/// Its changes are told in turn, none of them twice, and nobody else is concerned.
#[test]
fn one_that_flaps_ends_as_it_is_last_and_disturbs_nobody() {
    let stack = Stack::new();
    let (server, [one, _two]) = server();
    stack.supervisor.reload(plan(vec![server])).unwrap();
    assert_eq!(stack.event(), "[10.0.0.100]:tcp:80 UP");
    // Faster than it is checked, slower, and as it happens.
    for _ in 0..100 {
        one.report(failed());
        std::thread::sleep(Duration::from_millis(3));
        one.report(passed());
        std::thread::sleep(Duration::from_millis(7));
    }
    one.report(failed());
    stack.wait_for(&[(2, 1)]);
    let Stack {
        supervisor,
        plane,
        events,
    } = stack;
    supervisor.stop().unwrap();
    let object = "[10.0.1.1]:tcp:80 [10.0.0.100]:tcp:80";
    let told: Vec<bool> = events
        .iter()
        .map(|event| {
            assert_eq!(event.object.to_string(), object);
            event.kind.word() == "UP"
        })
        .collect();
    println!("{} changes were told", told.len());
    assert_eq!(told.first(), Some(&false));
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
    assert_eq!(told.last(), Some(&false));
    let mut tables = plane.tables();
    assert_eq!(tables.pop().unwrap().virtual_servers, [], "cleaned up");
    let rows = |table: &ha_stack::DesiredTable| table.virtual_servers[0].real_servers.len();
    assert!(tables.iter().all(|table| (1..=2).contains(&rows(table))));
}

#[test]
fn a_reload_touches_what_differs_and_tells_only_that() {
    let stack = Stack::new();
    let (server, [one, _two]) = server();
    stack.supervisor.reload(plan(vec![server.clone()])).unwrap();
    one.report(failed());
    stack.wait_for(&[(2, 1)]);
    let mut changed = server.clone();
    changed.real_servers[1].weight = 5;
    changed.real_servers.push(RealServerPlan::new(address(3)));
    let changes = stack.supervisor.reload(plan(vec![changed.clone()])).unwrap();
    assert_eq!(
        changes,
        ["10.0.0.100:80 changed: 10.0.1.2:80 weight 1 to 5, 10.0.1.3:80 added"]
    );
    assert_eq!(stack.rows(), [(2, 5), (3, 1)], "what failed is not added again");
    assert_eq!(stack.supervisor.reload(plan(vec![changed])).unwrap(), [""; 0]);
    let mut twice = server.clone();
    twice.name = "other".into();
    let error = stack.supervisor.reload(plan(vec![server, twice])).unwrap_err();
    assert!(matches!(error, Error::DuplicateServer(_)), "{error}");
    assert_eq!(
        stack.rows(),
        [(2, 5), (3, 1)],
        "a plan that is refused changes nothing"
    );
    assert_eq!(
        stack.supervisor.reload(plan(Vec::new())).unwrap(),
        ["10.0.0.100:80 removed"]
    );
    assert_eq!(stack.plane.last().virtual_servers, []);
}

#[test]
fn operators_drain_reweigh_add_and_remove() {
    let stack = Stack::new();
    let (server, _reporters) = server();
    stack.supervisor.reload(plan(vec![server.clone()])).unwrap();
    let control = stack.supervisor.control(None);
    let order = |real: &str, action| {
        let answer = control.execute(Request::Server {
            virtual_server: VS.to_owned(),
            real_server: real.to_owned(),
            action,
        });
        match answer {
            Response::Changes(lines) => lines.join("\n"),
            Response::Error(error) => format!("error: {error}"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        order("10.0.1.1", ServerAction::Drain { deadline: None }),
        "10.0.0.100:80: 10.0.1.1:80 gets weight 0 instead of 1"
    );
    assert_eq!(
        order("10.0.1.2:80", ServerAction::Weight { weight: 7 }),
        "10.0.0.100:80: 10.0.1.2:80 gets weight 7 instead of 1"
    );
    assert_eq!(stack.rows(), [(1, 0), (2, 7)]);
    let status = stack.supervisor.status();
    assert_eq!(
        status.virtual_servers[0].real_servers[0].order.as_deref(),
        Some("drain")
    );
    assert!(
        order("10.0.1.9", ServerAction::Drain { deadline: None })
            .starts_with("error: 10.0.0.100:80 has no real server at")
    );
    assert!(order("x", ServerAction::Drain { deadline: None }).starts_with("error: `x` is no address"));
    // The checks of the first are external ones that report nothing: it waits for them.
    assert_eq!(
        order("10.0.1.9:80", ServerAction::Add),
        "10.0.0.100:80: 10.0.1.9:80 is added, and serves once its checks pass"
    );
    assert_eq!(
        order("10.0.1.2", ServerAction::Disable),
        "10.0.0.100:80: 10.0.1.2:80 is taken out of the table"
    );
    assert_eq!(stack.rows(), [(1, 0), (250, 1)]);
    // Another block changes: what was ordered holds.
    let mut other = VirtualServerPlan::new("tcp 10.0.0.101:80".parse().unwrap());
    other.real_servers.push(RealServerPlan::new(address(1)));
    stack.supervisor.reload(plan(vec![server, other])).unwrap();
    assert_eq!(stack.rows(), [(1, 0), (250, 1)]);
    order("10.0.1.1", ServerAction::Remove);
    order("10.0.1.2", ServerAction::Enable);
    assert_eq!(stack.rows(), [(2, 1)]);
}

#[test]
fn virtual_servers_need_a_data_plane() {
    let memory = Segment::real_time().host(&[("10.0.0.1".parse().unwrap(), 24)]);
    let supervisor = Supervisor::start(Driver::new(memory).unwrap(), Plan::default()).unwrap();
    let (server, _reporters) = server();
    assert!(matches!(
        supervisor.reload(plan(vec![server])),
        Err(Error::NoDataPlane)
    ));
}

/// Keeps the lines that say that a check failed.
#[derive(Clone, Default)]
struct FailureLog(Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::Subscriber for FailureLog {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        if line.0.contains("the check failed") {
            self.0.lock().unwrap().push(line.0);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_check_that_logs_all_its_failures_logs_those_that_change_nothing() {
    let log = FailureLog::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let stack = Stack::new();
    let (mut server, [one, two]) = server();
    // Three failures in a row make it down.
    for real in &mut server.real_servers {
        real.checks[0].1 = Arc::new(Policy {
            fall: NonZeroU16::new(3).unwrap(),
            start: healthcheck::Start::FullyUp,
            ..*policy()
        });
    }
    server.real_servers[0].log_failures = vec![true];
    stack.supervisor.reload(plan(vec![server])).unwrap();
    stack.wait_for(&[(1, 1), (2, 1)]);
    let wait = |count: usize| {
        let deadline = Instant::now() + LIMIT;
        while log.0.lock().unwrap().len() < count {
            assert!(Instant::now() < deadline, "{:?}", log.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    // The second says nothing until it is down.
    for _ in 0..3 {
        two.report(failed());
    }
    stack.wait_for(&[(1, 1)]);
    one.report(failed());
    wait(1);
    one.report(failed());
    wait(2);
    one.report(failed());
    stack.wait_for(&[(250, 1)]);
    one.report(failed());
    wait(3);
    let lines = log.0.lock().unwrap();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let wanted = "server=10.0.0.100:80 real=10.0.1.1:80 check=1 reason=connect";
    assert!(lines.iter().all(|line| line.contains(wanted)), "{lines:?}");
}

#[test]
fn connections_are_shared_in_the_direction_that_the_election_says() {
    let stack = Stack::new();
    let (server, _reporters) = server();
    let mut wanted = plan(vec![server]);
    let mut synchronization = SynchronizationPlan::new("eth0", 51);
    synchronization.router = Some("VI_1".to_owned());
    wanted.balance.synchronization = Some(synchronization);
    wanted.virtual_routers.push(VirtualRouterPlan::new(
        Instance::new("VI_1", "eth0", Vrid::new(51).unwrap())
            .priority(Priority::new(100))
            .adver_interval(AdverInterval::from_centiseconds(2).unwrap())
            .address("10.0.0.100".parse().unwrap()),
    ));
    stack.supervisor.reload(wanted).unwrap();
    let deadline = Instant::now() + LIMIT;
    while !stack.plane.last().synchronization.iter().any(|each| each.sends) {
        assert!(Instant::now() < deadline, "{:?}", stack.plane.last());
        std::thread::sleep(Duration::from_millis(2));
    }
    let directions: Vec<Vec<bool>> = stack
        .plane
        .tables()
        .iter()
        .map(|table| table.synchronization.iter().map(|each| each.sends).collect())
        .collect();
    assert_eq!(directions.last().unwrap(), &[true]);
    assert!(directions.iter().all(|each| each.len() == 1), "{directions:?}");
}

#[test]
fn a_pipe_tells_about_servers_only_if_it_is_asked_to() {
    let path = std::env::temp_dir().join(format!("ha-stack-balance-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let stack = Stack::new();
    let (server, [one, _two]) = server();
    let mut wanted = plan(vec![server]);
    let mut fifo = FifoPlan::new(&path);
    fifo.subject = FifoSubject::Servers;
    wanted.fifos.push(fifo);
    stack.supervisor.reload(wanted).unwrap();
    one.report(failed());
    stack.wait_for(&[(2, 1)]);
    let reader = std::fs::File::open(&path).unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    assert_eq!(lines.next().unwrap().unwrap(), "VS [10.0.0.100]:tcp:80 UP");
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "RS [10.0.1.1]:tcp:80 [10.0.0.100]:tcp:80 DOWN"
    );
    drop(stack);
    std::fs::remove_file(&path).unwrap();
}

/// How long anything may take on a machine that is busy otherwise.
const LIMIT: Duration = Duration::from_secs(60);
