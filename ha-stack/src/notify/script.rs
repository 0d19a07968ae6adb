//! Notification scripts with keepalived's arguments, in order.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::children::{Children, Waker};
use crate::command::CommandLine;
use crate::error::Error;
use crate::notify::{Event, EventKind, EventQueue, Notifier, NotifyState, Object};
use crate::persist::persist;
use crate::pulse::{Patience, Pulse};

/// The scripts of one virtual router, sync group, virtual or real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hooks {
    /// `notify_master`
    pub master: Option<CommandLine>,
    /// `notify_backup`
    pub backup: Option<CommandLine>,
    /// `notify_fault`
    pub fault: Option<CommandLine>,
    /// `notify_stop`
    pub stop: Option<CommandLine>,
    /// `notify_deleted`
    pub deleted: Option<CommandLine>,
    /// `notify`: every state, with four arguments more.
    pub any: Option<CommandLine>,
    /// `notify_master_rx_lower_pri`
    pub received_lower_priority: Option<CommandLine>,
    /// `notify_up` of a real server, `quorum_up` of a virtual server
    pub up: Option<CommandLine>,
    /// `notify_down` of a real server, `quorum_down` of a virtual server
    pub down: Option<CommandLine>,
}

impl Hooks {
    /// The scripts to start for `event`, in this order and without waiting for one before the next is started.
    ///
    /// The script of a state gets nothing but its configured arguments. `notify` gets four more: `INSTANCE` or `GROUP`,
    /// the name, the state and the effective priority. An object that is taken out of the configuration and has no
    /// `notify_deleted` goes to FAULT.
    pub fn commands(&self, event: &Event) -> Vec<CommandLine> {
        let state = match event.kind {
            EventKind::State(NotifyState::Deleted) if self.deleted.is_none() => NotifyState::Fault,
            EventKind::State(state) => state,
            EventKind::ReceivedLowerPriority => {
                return self.received_lower_priority.iter().cloned().collect();
            }
            EventKind::Priority(_) => return Vec::new(),
            EventKind::Up => return self.up.iter().cloned().collect(),
            EventKind::Down => return self.down.iter().cloned().collect(),
        };
        let own = match state {
            NotifyState::Master => &self.master,
            NotifyState::Backup => &self.backup,
            NotifyState::Fault => &self.fault,
            NotifyState::Stop => &self.stop,
            NotifyState::Deleted => &self.deleted,
        };
        let any = self.any.clone().map(|command| {
            command
                .with_argument(event.object.word())
                .with_argument(event.object.name())
                .with_argument(state.word())
                .with_argument(event.priority.to_string())
        });
        own.iter().cloned().chain(any).collect()
    }
}

/// Runs [`Hooks`].
///
/// The scripts of one object run in the order of its events: those of the next event are started when those of the last
/// have ended. A script that goes on for longer than the notifier's patience no longer holds up its successor, and is
/// ended only where a time limit was set, because keepalived's users also start programs here that are to stay. Scripts
/// of different objects do not wait for each other. When many events wait they merge as [`EventQueue`] says.
pub struct ScriptNotifier {
    shared: Arc<Shared>,
    keeper: Mutex<Keeper>,
}

/// What looks after the thread.
struct Keeper {
    thread: Option<JoinHandle<()>>,
    patience: Patience,
}

impl ScriptNotifier {
    /// Starts the thread that runs the scripts. `patience` is how long the next event of an object waits for the scripts
    /// of the last; `limit` ends a script that takes longer.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel gives no descriptor or no thread.
    pub fn start(patience: Duration, limit: Option<Duration>) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            waker: Waker::new().map_err(Error::system("cannot make an event descriptor"))?,
            pulse: Pulse::default(),
            runner: AtomicU64::new(0),
            patience,
            limit,
            state: Mutex::new(State {
                hooks: HashMap::new(),
                queue: EventQueue::new(CAPACITY),
                busy: 0,
                stop: false,
            }),
        });
        let thread = Runner::start(&shared)?;
        Ok(Self {
            shared,
            keeper: Mutex::new(Keeper {
                thread: Some(thread),
                patience: Patience::default(),
            }),
        })
    }

    /// Looks after the thread, and puts another in its place if it is stuck or dead: events that wait are its own then, and scripts
    /// that run are left alone.
    pub(crate) fn tend(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alive = keeper.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let has_answered = self.shared.pulse.has_answered();
        self.shared.waker.wake();
        let Some(since) = keeper.patience.look(is_alive && has_answered) else {
            return;
        };
        self.shared.runner.fetch_add(1, Ordering::AcqRel);
        match Runner::start(&self.shared) {
            Ok(fresh) => {
                tracing::error!(
                    what = "notification scripts",
                    ?since,
                    "the thread of this is stuck: another takes its place"
                );
                keeper.thread = Some(fresh);
                keeper.patience.renew();
            }
            Err(error) => {
                tracing::error!(what = "notification scripts", %error, "the thread of this is stuck, and there is no other");
            }
        }
    }

    /// Replaces the scripts of all objects. Events that wait keep those they came with.
    pub fn set_hooks(&self, hooks: HashMap<Object, Hooks>) {
        self.shared.lock().hooks = hooks;
    }

    /// Hands over an event, which never waits.
    pub fn send(&self, event: &Event) {
        let mut state = self.shared.lock();
        let commands = state
            .hooks
            .get(&event.object)
            .map(|hooks| hooks.commands(event))
            .unwrap_or_default();
        if !commands.is_empty() {
            state.queue.push(event.clone(), commands);
            drop(state);
            self.shared.waker.wake();
        }
    }

    /// How many events were replaced by later ones.
    pub fn merged(&self) -> u64 {
        self.shared.lock().queue.merged()
    }

    /// Waits until every script has run, but no longer than `limit`. Returns whether all have.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let state = self.shared.lock();
            if state.busy == 0 && state.queue.is_empty() {
                return true;
            }
            drop(state);
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(FLUSH_PAUSE);
        }
    }
}

impl Notifier for ScriptNotifier {
    fn notify(&mut self, event: &Event) -> Result<(), Error> {
        self.send(event);
        Ok(())
    }
}

/// Ends the thread; scripts that still run are asked to end.
impl Drop for ScriptNotifier {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.waker.wake();
        let keeper = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = keeper.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the notification scripts ended in a panic");
        }
    }
}

impl fmt::Debug for ScriptNotifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScriptNotifier").finish_non_exhaustive()
    }
}

struct Shared {
    waker: Waker,
    pulse: Pulse,
    /// The number of the thread that counts: one that was stuck, and goes on after all, starts nothing and ends with its scripts.
    runner: AtomicU64,
    patience: Duration,
    limit: Option<Duration>,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    hooks: HashMap<Object, Hooks>,
    queue: EventQueue<Vec<CommandLine>>,
    /// Events whose scripts run.
    busy: usize,
    stop: bool,
}

/// The scripts of one event, which run.
struct Lane {
    number: u64,
    object: Object,
    left: usize,
    started: Instant,
    /// Whether it still holds up the next event of its object.
    holds: bool,
    killed: bool,
}

struct Runner {
    shared: Arc<Shared>,
    number: u64,
    children: Children<u64>,
    lanes: Vec<Lane>,
    next: u64,
}

impl Runner {
    fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>, Error> {
        let mut runner = Self {
            shared: Arc::clone(shared),
            number: shared.runner.load(Ordering::Acquire),
            children: Children::new(),
            lanes: Vec::new(),
            next: 0,
        };
        std::thread::Builder::new()
            .name("notify-scripts".to_owned())
            .spawn(move || persist("notification scripts", || runner.run()))
            .map_err(Error::system("cannot start a thread for scripts"))
    }

    fn run(&mut self) {
        loop {
            let now = Instant::now();
            self.enforce(now);
            let mut state = self.shared.lock();
            if state.stop {
                drop(state);
                self.children.signal(Signal::TERM, |_| true);
                return;
            }
            if self.shared.runner.load(Ordering::Acquire) != self.number {
                drop(state);
                if self.children.is_empty() {
                    return;
                }
                // Scripts end with the thread that started them. The descriptor wakes the one that counts.
                std::thread::sleep(REPLACED_PAUSE);
                self.reap();
                continue;
            }
            self.shared.pulse.answer();
            let lanes = &self.lanes;
            let ready = state
                .queue
                .pop_ready(|object| !lanes.iter().any(|lane| lane.holds && lane.object == *object));
            if let Some((event, commands)) = ready {
                state.busy = lanes.len() + 1;
                drop(state);
                self.begin(&event, &commands, now);
                continue;
            }
            state.busy = self.lanes.len();
            drop(state);
            self.children.wait(&self.shared.waker, self.deadline());
            self.reap();
        }
    }

    fn reap(&mut self) {
        for (number, status) in self.children.reap() {
            self.ended(number, status.success());
        }
    }

    fn begin(&mut self, event: &Event, commands: &[CommandLine], now: Instant) {
        let number = self.next;
        self.next += 1;
        let mut left = 0;
        for command in commands {
            match command.spawn(&[]) {
                Ok(child) => {
                    left += 1;
                    self.children.insert(number, child);
                }
                Err(error) => {
                    tracing::error!(object = %event.object, event = event.kind.word(), %command, %error, "a notification script could not be started");
                }
            }
        }
        if left > 0 {
            self.lanes.push(Lane {
                number,
                object: event.object.clone(),
                left,
                started: now,
                holds: true,
                killed: false,
            });
        }
    }

    fn ended(&mut self, number: u64, success: bool) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.number == number) {
            lane.left -= 1;
            if !success {
                tracing::warn!(object = %lane.object, "a notification script failed");
            }
        }
        self.lanes.retain(|lane| lane.left > 0);
    }

    fn enforce(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            let age = now.saturating_duration_since(lane.started);
            if lane.holds && age >= self.shared.patience {
                tracing::warn!(object = %lane.object, ?age, "a notification script still runs: the next event no longer waits for it");
                lane.holds = false;
            }
            if !lane.killed && self.shared.limit.is_some_and(|limit| age >= limit) {
                tracing::warn!(object = %lane.object, ?age, "a notification script took too long: killed");
                lane.killed = true;
                let number = lane.number;
                self.children.signal(Signal::KILL, |key| *key == number);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = self
            .lanes
            .iter()
            .filter(|lane| lane.holds)
            .map(|lane| lane.started + self.shared.patience);
        let limit = self
            .lanes
            .iter()
            .filter(|lane| !lane.killed)
            .filter_map(|lane| Some(lane.started + self.shared.limit?));
        patience.chain(limit).min()
    }
}

/// Events that may wait before they merge.
const CAPACITY: usize = 1024;

/// How often one that another has replaced looks at its scripts.
const REPLACED_PAUSE: Duration = Duration::from_millis(100);

const FLUSH_PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::event::tests::state;

    fn command(words: &[&str]) -> Option<CommandLine> {
        Some(CommandLine::new(words.iter().copied()).unwrap())
    }

    fn texts(hooks: &Hooks, event: &Event) -> Vec<String> {
        hooks.commands(event).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_arguments_are_keepalived_s() {
        let hooks = Hooks {
            master: command(&["/n.sh", "master"]),
            fault: command(&["/n.sh", "fault"]),
            any: command(&["/all.sh", "x"]),
            received_lower_priority: command(&["/lower.sh"]),
            ..Hooks::default()
        };
        assert_eq!(
            texts(&hooks, &state("VI_1", NotifyState::Master)),
            ["/n.sh master", "/all.sh x INSTANCE VI_1 MASTER 100"]
        );
        assert_eq!(
            texts(&hooks, &state("VI_1", NotifyState::Backup)),
            ["/all.sh x INSTANCE VI_1 BACKUP 100"]
        );
        assert_eq!(
            texts(&hooks, &state("VI_1", NotifyState::Deleted)),
            ["/n.sh fault", "/all.sh x INSTANCE VI_1 FAULT 100"]
        );
        let mut event = state("VI_1", NotifyState::Master);
        event.kind = EventKind::ReceivedLowerPriority;
        assert_eq!(texts(&hooks, &event), ["/lower.sh"]);
        event.kind = EventKind::Priority(NotifyState::Master);
        assert!(texts(&hooks, &event).is_empty(), "priorities go to pipes only");
        let mut event = state("G1", NotifyState::Stop);
        event.object = Object::Group("G1".into());
        event.priority = 0;
        assert_eq!(texts(&hooks, &event), ["/all.sh x GROUP G1 STOP 0"]);
    }

    #[test]
    fn notify_deleted_takes_the_place_of_fault() {
        let hooks = Hooks {
            fault: command(&["/fault"]),
            deleted: command(&["/deleted"]),
            any: command(&["/all"]),
            ..Hooks::default()
        };
        assert_eq!(
            texts(&hooks, &state("VI_1", NotifyState::Deleted)),
            ["/deleted", "/all INSTANCE VI_1 DELETED 100"]
        );
    }

    fn with_log(patience: Duration, script: &str) -> (ScriptNotifier, std::path::PathBuf) {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("ha-stack-notify-{}-{number}", std::process::id()));
        let _ = std::fs::remove_file(&log);
        let notifier = ScriptNotifier::start(patience, None).unwrap();
        let script = script.replace("LOG", &log.display().to_string());
        let hooks = Hooks {
            any: command(&["/bin/sh", "-c", &script, "sh"]),
            ..Hooks::default()
        };
        notifier.set_hooks(
            ["a", "b"]
                .map(|name| (Object::Instance(name.into()), hooks.clone()))
                .into(),
        );
        (notifier, log)
    }

    #[test]
    fn the_scripts_of_one_object_run_one_after_the_other() {
        // The first one takes longer than the second: unordered, they would be logged the other way round.
        let script = r#"test "$3" = BACKUP && sleep 0.2; echo "$3" >> LOG"#;
        let (notifier, log) = with_log(Duration::from_secs(600), script);
        for state_now in [NotifyState::Backup, NotifyState::Master, NotifyState::Fault] {
            notifier.send(&state("a", state_now));
        }
        assert!(notifier.flush(Duration::from_secs(600)));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "BACKUP\nMASTER\nFAULT\n");
        std::fs::remove_file(&log).unwrap();
    }

    #[test]
    fn a_script_that_hangs_holds_up_neither_other_objects_nor_its_own_for_ever() {
        let script = r#"test "$3" = BACKUP && sleep 1000; echo "$2 $3" >> LOG"#;
        let (notifier, log) = with_log(Duration::from_millis(200), script);
        notifier.send(&state("a", NotifyState::Backup));
        notifier.send(&state("a", NotifyState::Master));
        notifier.send(&state("b", NotifyState::Master));
        let text = loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.lines().count() == 2 {
                break text;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(text, "b MASTER\na MASTER\n");
        std::fs::remove_file(&log).unwrap();
    }

    #[test]
    fn a_limit_ends_what_takes_too_long() {
        let notifier =
            ScriptNotifier::start(Duration::from_secs(600), Some(Duration::from_millis(50))).unwrap();
        let hooks = Hooks {
            any: command(&["/bin/sh", "-c", "sleep 1000", "sh"]),
            ..Hooks::default()
        };
        notifier.set_hooks([(Object::Instance("a".into()), hooks)].into());
        notifier.send(&state("a", NotifyState::Master));
        assert!(notifier.flush(Duration::from_secs(600)));
    }

    #[test]
    fn another_takes_the_place_of_a_thread_that_is_stuck() {
        let (notifier, log) = with_log(Duration::from_secs(600), r#"echo "$3" >> LOG"#);
        notifier.keeper.lock().unwrap().patience = Patience::new(Duration::ZERO);
        let held = notifier.shared.lock();
        while notifier.shared.runner.load(Ordering::Acquire) == 0 {
            notifier.tend();
        }
        // Both go on, and one of them ends.
        drop(held);
        notifier.send(&state("a", NotifyState::Master));
        assert!(notifier.flush(Duration::from_secs(600)));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "MASTER\n");
        std::fs::remove_file(&log).unwrap();
    }

    #[test]
    fn scripts_of_a_thread_that_was_replaced_go_on() {
        let script = r#"test "$3" = BACKUP && { echo begun >> LOG; until test -e LOG.go; do sleep 0.05; done; }; echo "$3" >> LOG"#;
        let (notifier, log) = with_log(Duration::from_millis(1), script);
        let wait_for = |lines: usize| {
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                if text.lines().count() == lines {
                    return text;
                }
                assert!(Instant::now() < deadline, "{text}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        notifier.send(&state("a", NotifyState::Backup));
        wait_for(1);
        notifier.keeper.lock().unwrap().patience = Patience::new(Duration::ZERO);
        let held = notifier.shared.lock();
        while notifier.shared.runner.load(Ordering::Acquire) == 0 {
            notifier.tend();
        }
        drop(held);
        notifier.send(&state("b", NotifyState::Master));
        wait_for(2);
        let go = format!("{}.go", log.display());
        std::fs::write(&go, "").unwrap();
        assert_eq!(wait_for(3), "begun\nMASTER\nBACKUP\n");
        std::fs::remove_file(&log).unwrap();
        std::fs::remove_file(&go).unwrap();
    }

    #[test]
    fn an_object_without_scripts_costs_nothing() {
        let (notifier, _) = with_log(Duration::from_secs(1), "true");
        notifier.send(&state("unknown", NotifyState::Master));
        assert!(notifier.shared.lock().queue.is_empty());
    }
}
