//! The balancer at work: health checks on one side, a data plane on the other.

mod state;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use healthcheck::{Checker, Events};

use crate::balance::plan::{BalancePlan, VirtualServerPlan};
use crate::balance::server::ServerOrder;
use crate::data_plane::{DataPlane, DesiredTable, Extent, Front};
use crate::election::Happening;
use crate::error::Error;
use crate::hub::EventHub;
use crate::persist::persist;
use crate::plan::Scheduling;
use crate::process::{name_thread, schedule_checks};

pub(crate) use state::State;
use state::said;

/// One real server of one virtual server, as the checker knows it.
pub(crate) type Target = (Arc<str>, SocketAddr);

/// Runs a [`Balancer`]: verdicts come from a checker, tables go to a data plane, events to the hub.
pub(crate) struct Runner {
    core: Arc<Core>,
    chores: mpsc::Sender<Chore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Core {
    hub: Arc<EventHub>,
    state: Mutex<State>,
}

/// What the thread for chores is told.
enum Chore {
    Router(String, bool),
    /// A real server did not take what it was sent.
    Failed(Front, SocketAddr),
    Stop,
}

impl Runner {
    /// Starts with nothing to balance. The data plane is first told something by [`configure`](Self::configure).
    pub(crate) fn start(
        hub: Arc<EventHub>,
        mut plane: Box<dyn DataPlane>,
        scheduling: &Scheduling,
    ) -> Result<Self, Error> {
        let (chores, inbox) = mpsc::channel();
        let failures = chores.clone();
        plane.report_failures(Box::new(move |front, real| {
            // If the thread has ended nobody is checked any more.
            let _ = failures.send(Chore::Failed(front, real));
        }));
        let scheduled = scheduling.clone();
        let builder = Checker::builder().prepare(move || {
            if let Some(Err(error)) = scheduled.name.as_deref().map(name_thread) {
                tracing::warn!(%error, "the thread of the health checks keeps its name");
            }
            schedule_checks(&scheduled);
        });
        let checker = builder.spawn().map_err(Error::Check)?;
        let mut events = checker.subscribe();
        let core = Arc::new(Core {
            hub,
            state: Mutex::new(State::new(plane, checker)),
        });
        let runner = Self {
            core: Arc::clone(&core),
            chores,
            threads: Mutex::default(),
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let what = "cannot start a thread for load balancing";
        let (checks, scheduled) = (Arc::clone(&core), scheduling.clone());
        let mut has_begun = false;
        let verdicts = thread("verdicts").spawn(move || {
            schedule_checks(&scheduled);
            persist("the verdicts of the health checks", || {
                if std::mem::replace(&mut has_begun, true) {
                    checks.learn_all();
                }
                checks.follow(&mut events);
            });
        });
        runner.threads().push(verdicts.map_err(Error::system(what))?);
        let scheduled = scheduling.clone();
        let balance = thread("balance").spawn(move || {
            schedule_checks(&scheduled);
            persist("the load balancer", || core.chores(&inbox));
        });
        runner.threads().push(balance.map_err(Error::system(what))?);
        Ok(runner)
    }

    /// Moves to another configuration, which was [checked](crate::Balancer::check), and says what changed. `active` names
    /// the virtual routers that are active here.
    ///
    /// What it takes beyond one comparison grows with what changed, not with what there is.
    pub(crate) fn configure(
        &self,
        servers: Vec<Arc<VirtualServerPlan>>,
        plan: BalancePlan,
        active: HashSet<String>,
    ) -> Vec<String> {
        let mut state = self.core.lock();
        let out = state.found_out(&servers, &plan);
        let configured = state.configure(servers, plan, active, &out);
        let mut changes = configured.lines;
        let mut told: Vec<_> = said(configured.happened, None).collect();
        // What was already refused is no news of this change.
        state.refused.clear();
        // Nothing is known of anybody at the start, so nobody waits for the checks. Later, who is down already does not get
        // into a row that is new.
        if !state.begun {
            state.apply(Extent::Whole);
        }
        told.extend(state.aim_checks(&configured.touched, configured.gone, &out));
        state.apply(Extent::Changed);
        changes.extend(state.refused.iter().map(|line| format!("refused: {line}")));
        self.core.tell(&state, told);
        changes
    }

    /// Carries out an operator's order about a virtual server and a real server, both as text.
    pub(crate) fn order(&self, server: &str, real: &str, order: ServerOrder) -> Result<Vec<String>, Error> {
        let mut state = self.core.lock();
        let address = state.find(server, real)?;
        let weight = |state: &State| {
            let server = state.balancer.server(server)?;
            server.table_weight(server.real(address)?)
        };
        let before = weight(&state);
        let mut told = state.order(server, address, order)?;
        if let (ServerOrder::Add | ServerOrder::Remove, Some(place)) = (order, state.balancer.place(server)) {
            let gone = match order == ServerOrder::Remove {
                true => vec![(server.into(), address)],
                false => Vec::new(),
            };
            told.extend(state.aim_checks(&[place], gone, &HashSet::new()));
        }
        let after = weight(&state);
        state.refused.clear();
        state.apply(Extent::Changed);
        let done = match (before, after) {
            (None, None) => match order {
                ServerOrder::Add => "is added, and serves once its checks pass".to_owned(),
                ServerOrder::Remove => "is removed".to_owned(),
                ServerOrder::Drain
                | ServerOrder::DrainFor(_)
                | ServerOrder::Cut
                | ServerOrder::Disable
                | ServerOrder::Enable
                | ServerOrder::Weight(_) => "stays out of the table".to_owned(),
            },
            (None, Some(weight)) => format!("is put into the table with weight {weight}"),
            (Some(_), None) if order == ServerOrder::Remove => {
                "is removed; the connections it has may end".to_owned()
            }
            (Some(_), None) => "is taken out of the table".to_owned(),
            (Some(before), Some(after)) if before == after => format!("keeps weight {after}"),
            (Some(before), Some(after)) => format!("gets weight {after} instead of {before}"),
        };
        let mut lines = vec![format!("{server}: {address} {done}")];
        lines.extend(state.drain(server, address).map(|drain| drain.to_string()));
        lines.extend(state.refused.iter().map(|line| format!("refused: {line}")));
        self.core.tell(&state, told);
        Ok(lines)
    }

    /// A virtual router became active here, or ceased to be.
    pub(crate) fn router(&self, name: &str, active: bool) {
        // If the thread has ended there is nothing left to switch.
        let _ = self.chores.send(Chore::Router(name.to_owned(), active));
    }

    /// What runs, to be looked at.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.core.lock()
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is to be told at the end, takes everything out of the data plane, and ends the checks.
    pub(crate) fn stop(&self) {
        let mut state = self.core.lock();
        if state.checker.take().is_none() {
            return;
        }
        let farewell = state.farewell();
        let table = DesiredTable {
            exclusive: state.plan.flush_on_stop,
            ..DesiredTable::default()
        };
        if state.begun {
            let refused = match state.plane.reconcile(&table, Extent::Whole) {
                Ok(applied) => applied.refused,
                Err(error) => vec![error.to_string()],
            };
            for line in refused {
                tracing::error!("the load balancer is not cleaned up: {line}");
            }
        }
        self.core.tell(&state, farewell);
        drop(state);
        let _ = self.chores.send(Chore::Stop);
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the load balancer ended in a panic");
            }
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in all verdicts at once: a panic has lost some.
    fn learn_all(&self) {
        let mut state = self.lock();
        let told = state.learn_all();
        if state.begun {
            state.apply(Extent::Changed);
        }
        self.tell(&state, told);
    }

    /// Takes in verdicts until the checker is gone. What comes together is carried out together.
    fn follow(&self, events: &mut Events<Target>) {
        while let Some(first) = futures::executor::block_on(events.next()) {
            let mut state = self.lock();
            let mut told = Vec::new();
            let mut next = Some(first);
            while let Some(event) = next {
                if let healthcheck::Event::Failed { key, reason } = &event
                    && state.logs_failures(key, reason.check)
                {
                    let (server, real) = key;
                    let check = reason.check + 1;
                    tracing::warn!(%server, %real, check, reason = %reason.failure, "the check failed");
                }
                if let healthcheck::Event::Notice {
                    key: (server, real),
                    notice,
                } = &event
                {
                    tracing::warn!(%server, %real, %notice);
                }
                told.extend(state.learn(event.key()));
                next = events.try_next();
            }
            state.apply(Extent::Changed);
            self.tell(&state, told);
        }
    }

    /// Puts right what somebody else changed, tries again what did not work, and follows virtual routers.
    fn chores(&self, inbox: &mpsc::Receiver<Chore>) {
        let mut next_look = Instant::now() + LOOK;
        let mut next_turn = Instant::now() + SHORT;
        loop {
            match inbox.recv_timeout(next_turn.saturating_duration_since(Instant::now())) {
                Ok(Chore::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Chore::Router(name, active)) => {
                    let mut state = self.lock();
                    let changed = match active {
                        true => state.active.insert(name),
                        false => state.active.remove(&name),
                    };
                    if changed && state.plan.synchronization.is_some() {
                        state.apply(Extent::Changed);
                    }
                }
                Ok(Chore::Failed(front, real)) => self.lock().doubt(front, real),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() < next_turn {
                continue;
            }
            let mut state = self.lock();
            let now = Instant::now();
            let told = state.suspend();
            if state.end_drains(now) || !told.is_empty() {
                state.apply(Extent::Changed);
                self.tell(&state, told);
            }
            if state.begun && (state.stale || now >= next_look) {
                state.apply(Extent::Whole);
                let end = Instant::now();
                next_look = end + pause(end.saturating_duration_since(now));
            }
            drop(state);
            // A drain asks for the whole table, and others want the state.
            let end = Instant::now();
            let took = end.saturating_duration_since(now);
            next_turn = end + took.saturating_mul(10).clamp(SHORT, LOOK);
        }
    }

    /// Hands over to the hub while the state is locked, so that events stay in order.
    fn tell(&self, _: &State, told: Vec<Happening>) {
        for happening in told {
            let event = self.hub.publish(happening);
            tracing::info!(
                object = %event.object,
                event = event.kind.word(),
                reason = event.reason.as_deref().unwrap_or(""),
            );
        }
    }
}

/// How long nobody looks at the whole table after somebody did, for so long: a look takes a hundredth of the time, however
/// large the table is.
fn pause(took: Duration) -> Duration {
    took.saturating_mul(100).clamp(LOOK, LATEST_LOOK)
}

/// How often the whole table is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How often at least, even if that takes long.
const LATEST_LOOK: Duration = Duration::from_secs(60);

/// How often there may be something to do.
const SHORT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use healthcheck::{Check, External, FailKind, Failure, Policy, Sample, Stage};

    use super::*;
    use crate::balance::plan::RealServerPlan;
    use crate::data_plane::{Applied, RealCounters, RecordingPlane, ServerCounters, Traffic, Transport};
    use crate::notify::ScriptNotifier;

    fn runner(plane: impl DataPlane + 'static) -> Runner {
        let hub = EventHub::new(ScriptNotifier::start(Duration::from_secs(1), None).unwrap());
        Runner::start(Arc::new(hub), Box::new(plane), &Scheduling::default()).unwrap()
    }

    /// One that has something already.
    struct Inherited(RecordingPlane, Vec<ServerCounters>);

    impl DataPlane for Inherited {
        fn name(&self) -> &'static str {
            "inherited"
        }

        fn reconcile(&mut self, desired: &DesiredTable, extent: Extent) -> Result<Applied, Error> {
            self.0.reconcile(desired, extent)
        }

        fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
            Ok(self.1.clone())
        }
    }

    /// Whoever is not in the table that is found was taken out: it gets nothing before a check of it has passed, and that is
    /// made at once.
    #[test]
    fn who_a_predecessor_took_out_waits_for_its_check() {
        let address = |last: u8| SocketAddr::from(([10, 0, 1, last], 80));
        let policy = Arc::new(Policy {
            interval: Duration::from_millis(5),
            fall: NonZeroU16::MIN,
            timeout: Duration::from_secs(3600),
            // Nobody is checked for an hour, but for who was out.
            spread: Duration::from_secs(3600),
            ..Policy::keepalived(false)
        });
        let mut server = VirtualServerPlan::new("tcp 10.0.0.100:80".parse().unwrap());
        let reporters = [1, 2].map(|last| {
            let (external, reporter) = External::new();
            let mut real = RealServerPlan::new(address(last));
            real.checks.push((Check::local(external), Arc::clone(&policy)));
            server.real_servers.push(real);
            reporter
        });
        let row = RealCounters {
            address: address(1),
            weight: 1,
            active: 0,
            inactive: 0,
            traffic: Traffic::default(),
        };
        let found = ServerCounters {
            front: server.fronts[0],
            traffic: Traffic::default(),
            real_servers: vec![row],
        };
        let plane = RecordingPlane::new();
        let runner = runner(Inherited(plane.clone(), vec![found]));
        let configure = |server: &VirtualServerPlan| {
            runner.configure(
                vec![server.clone().into()],
                BalancePlan::default(),
                HashSet::new(),
            )
        };
        configure(&server);
        let serving = || -> Vec<SocketAddr> {
            let servers = plane.last().virtual_servers;
            servers[0].real_servers.iter().map(|real| real.address).collect()
        };
        assert_eq!(serving(), [address(1)]);
        // That it is out is no other setting of it.
        assert_eq!(configure(&server), [""; 0]);
        assert_eq!(serving(), [address(1)]);
        reporters[1].report(Sample::pass(Duration::from_micros(180)));
        let deadline = Instant::now() + Duration::from_secs(60);
        while serving() != [address(1), address(2)] {
            assert!(Instant::now() < deadline, "{:?}", serving());
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(
            plane.tables().iter().all(|table| table.virtual_servers[0]
                .real_servers
                .iter()
                .any(|real| real.address == address(1))),
            "who was in stays in"
        );
    }

    /// The checks follow a reload although only what differs is aimed anew.
    #[test]
    fn the_checks_are_those_of_the_configuration() {
        let plane = RecordingPlane::new();
        let runner = runner(plane.clone());
        let server = |front: &str, reals: &[u8]| {
            let mut server = VirtualServerPlan::new(front.parse().unwrap());
            let reals = reals.iter().map(|last| SocketAddr::from(([10, 0, 1, *last], 80)));
            server.real_servers = reals.map(RealServerPlan::new).collect();
            Arc::new(server)
        };
        let (a, b) = ("tcp 10.0.0.100:80", "tcp 10.0.0.101:80");
        let checked = |servers: &[&Arc<VirtualServerPlan>]| {
            let servers = servers.iter().map(|server| Arc::clone(server)).collect();
            let changes = runner.configure(servers, BalancePlan::default(), HashSet::new());
            let targets = runner.state().checker.as_ref().unwrap().metrics().targets;
            (changes.len(), targets)
        };
        let (one, two) = (server(a, &[1, 2]), server(b, &[1, 2, 3]));
        assert_eq!(checked(&[&one, &two]), (2, 5));
        assert_eq!(checked(&[&one, &two]), (0, 5));
        assert_eq!(checked(&[&server(a, &[2, 4, 5]), &two]), (1, 6));
        let order = |order| runner.order("10.0.0.101:80", "10.0.1.9:80", order).unwrap();
        order(ServerOrder::Add);
        assert_eq!(checked(&[&server(a, &[2]), &two]), (1, 5));
        order(ServerOrder::Remove);
        assert_eq!(checked(&[&server(a, &[2]), &two]), (0, 4));
        assert_eq!(checked(&[&server(a, &[2])]), (1, 1));
        assert_eq!(checked(&[]), (1, 0));
        assert_eq!(plane.last().virtual_servers, []);
    }

    /// Whoever is no longer to wait for the address of the virtual server is checked again.
    #[test]
    fn suspended_checks_go_on_when_nothing_suspends_them_any_more() {
        let plane = RecordingPlane::new();
        let runner = runner(plane.clone());
        let policy = Arc::new(Policy {
            interval: Duration::from_millis(5),
            fall: NonZeroU16::MIN,
            timeout: Duration::from_secs(3600),
            spread: Duration::ZERO,
            ..Policy::keepalived(false)
        });
        let mut server = VirtualServerPlan::new("tcp 192.0.2.1:80".parse().unwrap());
        let (external, reporter) = External::new();
        let mut real = RealServerPlan::new("10.0.1.1:80".parse().unwrap());
        real.checks.push((Check::local(external), policy));
        server.real_servers = vec![real];
        let configure = |suspended_without| {
            let server = VirtualServerPlan {
                suspended_without,
                ..server.clone()
            };
            runner.configure(vec![server.into()], BalancePlan::default(), HashSet::new());
        };
        configure(Some([192, 0, 2, 1].into()));
        configure(None);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !plane.last().virtual_servers[0].real_servers.is_empty() {
            assert!(Instant::now() < deadline);
            reporter.report(Sample::fail(
                Failure::new(Stage::Connect, FailKind::Refused),
                Duration::ZERO,
            ));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// It has one row, of whose connections it says this.
    struct Counting(RecordingPlane, Arc<Mutex<Option<RealCounters>>>);

    impl DataPlane for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn reconcile(&mut self, desired: &DesiredTable, extent: Extent) -> Result<Applied, Error> {
            self.0.reconcile(desired, extent)
        }

        fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
            let row = self.1.lock().unwrap().clone().ok_or(Error::NotYet)?;
            let front = self.0.last().virtual_servers[0].front;
            Ok(vec![ServerCounters {
                front,
                traffic: Traffic::default(),
                real_servers: vec![row],
            }])
        }
    }

    #[test]
    fn a_drain_is_over_when_nobody_is_connected_for_a_while_or_the_time_is() {
        let plane = RecordingPlane::new();
        let address: SocketAddr = "10.0.1.1:80".parse().unwrap();
        let row = |active, inactive| RealCounters {
            address,
            weight: 0,
            active,
            inactive,
            traffic: Traffic::default(),
        };
        let counters = Arc::new(Mutex::new(None));
        let (checker, hour) = (Checker::builder().spawn().unwrap(), Duration::from_secs(3600));
        let mut state = State::new(Box::new(Counting(plane, Arc::clone(&counters))), checker);
        let mut server = VirtualServerPlan::new("fwmark 7".parse().unwrap());
        server.transport = Transport::Udp;
        server.real_servers = vec![RealServerPlan::new(address)];
        let name = server.name.to_string();
        state.configure(
            vec![server.into()],
            BalancePlan::default(),
            HashSet::new(),
            &HashSet::new(),
        );
        state.apply(Extent::Whole);
        let mut drain = |open: Option<RealCounters>, after: Duration| {
            *counters.lock().unwrap() = open;
            state.order(&name, address, ServerOrder::DrainFor(hour)).unwrap();
            let ended = state.end_drains(Instant::now() + after);
            let said = state.drain(&name, address).unwrap().to_string();
            state.order(&name, address, ServerOrder::Enable).unwrap();
            ended.then_some(said)
        };
        let short = Duration::from_millis(1);
        assert_eq!(drain(Some(row(0, 0)), short), None, "somebody may just be coming");
        let over = |cut_off| Some(format!("connections cut off: {cut_off}"));
        let mut cut_off =
            |open, after| drain(open, after).map(|said| said.split_once(" s, ").unwrap().1.to_owned());
        assert_eq!(cut_off(Some(row(0, 0)), SHORT), over("0"));
        assert_eq!(
            cut_off(Some(row(0, 4)), SHORT),
            None,
            "all that is UDP is inactive"
        );
        assert_eq!(cut_off(Some(row(0, 4)), hour), over("4"));
        assert_eq!(cut_off(None, SHORT), None);
        assert_eq!(cut_off(None, hour), over("unknown"));
    }

    /// One that cannot bear its next table.
    struct Delicate(RecordingPlane, Arc<std::sync::atomic::AtomicBool>);

    impl DataPlane for Delicate {
        fn name(&self) -> &'static str {
            "delicate"
        }

        fn reconcile(&mut self, desired: &DesiredTable, extent: Extent) -> Result<Applied, Error> {
            let panics = self.1.swap(false, std::sync::atomic::Ordering::AcqRel);
            assert!(!panics, "this panic is part of the test");
            self.0.reconcile(desired, extent)
        }

        fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
            self.0.counters()
        }
    }

    #[test]
    fn verdicts_go_on_after_a_panic() {
        let plane = RecordingPlane::new();
        let panics = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let runner = runner(Delicate(plane.clone(), Arc::clone(&panics)));
        let policy = Arc::new(Policy {
            interval: Duration::from_millis(5),
            fall: NonZeroU16::MIN,
            timeout: Duration::from_secs(3600),
            spread: Duration::ZERO,
            ..Policy::keepalived(false)
        });
        let mut server = VirtualServerPlan::new("tcp 10.0.0.100:80".parse().unwrap());
        let (external, reporter) = External::new();
        let mut real = RealServerPlan::new("10.0.1.1:80".parse().unwrap());
        real.checks.push((Check::local(external), policy));
        server.real_servers = vec![real];
        runner.configure(vec![server.into()], BalancePlan::default(), HashSet::new());
        panics.store(true, std::sync::atomic::Ordering::Release);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !plane.last().virtual_servers[0].real_servers.is_empty() {
            assert!(Instant::now() < deadline);
            reporter.report(Sample::fail(
                Failure::new(Stage::Connect, FailKind::Refused),
                Duration::ZERO,
            ));
            std::thread::sleep(Duration::from_millis(2));
        }
        while plane.last().virtual_servers[0].real_servers.is_empty() {
            assert!(Instant::now() < deadline);
            reporter.report(Sample::pass(Duration::from_micros(180)));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(runner.threads().iter().all(|thread| !thread.is_finished()));
    }

    /// Verdicts and orders take a moment, and the end does not wait for them.
    #[test]
    fn what_comes_after_the_end_puts_nothing_back() {
        let plane = RecordingPlane::new();
        let runner = runner(plane.clone());
        let mut server = VirtualServerPlan::new("tcp 10.0.0.100:80".parse().unwrap());
        server.real_servers = vec![RealServerPlan::new("10.0.1.1:80".parse().unwrap())];
        runner.configure(vec![server.into()], BalancePlan::default(), HashSet::new());
        assert_eq!(plane.last().virtual_servers.len(), 1);
        runner.stop();
        assert_eq!(plane.last(), DesiredTable::default());
        runner
            .order("10.0.0.100:80", "10.0.1.1:80", ServerOrder::Weight(7))
            .unwrap();
        runner.core.lock().apply(Extent::Whole);
        assert_eq!(plane.last(), DesiredTable::default());
    }
}
