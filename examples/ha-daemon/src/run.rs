//! `ha-daemon run`.

use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ha_stack::{
    CommandLine, ControlLock, ControlServer, HttpServer, Journal, Order, Plan, Response, ServiceManager,
    Supervisor,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use vrrp_net::{Driver, DriverThread, LinuxHost, Segment};

use crate::config::{self, Loaded};
use crate::outside::{self, Outside};
use crate::plane::Place;
use crate::{BAD_CONFIGURATION, RunOptions, SMALL_STACK, START_FAILED, log, plane};

/// What the main thread waits for.
enum Wake {
    Signal(i32),
    Order(Order),
}

/// How a life of the supervisor ended.
enum End {
    Stopped,
    ElectionDied,
}

pub(crate) fn run(options: &RunOptions) -> ExitCode {
    // Before any thread has a stack and the configuration is read: what is there now is brought into memory as a whole.
    let locked = vrrp_net::lock_memory();
    // Before any thread is started: they are in the network namespace that this one is in.
    let (mut loaded, stranded) = config::load_in_place(&options.config, &options.reading);
    eprint!("{}", loaded.text());
    let mut outside = Outside::new(&loaded.configuration, options.pid_file.as_deref());
    let Some(mut plan) = loaded.take_plan() else {
        return ExitCode::from(BAD_CONFIGURATION);
    };
    drop(loaded);
    if let Some(mask) = plan.file_mask {
        ha_stack::set_file_mask(mask);
    }
    if let Some(error) = stranded {
        eprintln!("ha-daemon: {error}");
        return ExitCode::from(START_FAILED);
    }
    let log = match log::start(options.log_format) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("ha-daemon: cannot start the log: {error}");
            return ExitCode::from(START_FAILED);
        }
    };
    if let Err(error) = locked
        && !plan.virtual_routers.is_empty()
    {
        tracing::warn!(%error, "the memory is not locked: a host that swaps may delay advertisements");
    }
    // A second instance must not disturb the first, and a signal may come while the script runs.
    let taken = ControlLock::take(&options.control).map_err(no_socket);
    let outcome = taken
        .and_then(|lock| Ok((lock, wakes()?)))
        .and_then(|(lock, inbox)| {
            if options.begun_anew {
                plan.start_delay = Duration::ZERO;
            } else {
                around("startup_script", plan.startup.as_ref());
            }
            let outcome = live(options, &mut plan, &mut outside, &inbox, &lock);
            around("shutdown_script", plan.shutdown.as_ref());
            outcome
        });
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot run");
            ExitCode::from(START_FAILED)
        }
    };
    drop(log);
    code
}

/// One life of the supervisor after another, until it is stopped.
fn live(
    options: &RunOptions,
    plan: &mut Plan,
    outside: &mut Outside,
    inbox: &Inbox,
    lock: &ControlLock,
) -> Result<(), Box<dyn Error>> {
    let manager = ServiceManager::from_environment();
    let journal = options
        .journal
        .as_ref()
        .map(|path| Journal::open(path).map_err(|error| format!("the journal cannot be written: {error}")))
        .transpose()?;
    loop {
        match serve(options, plan, outside, inbox, lock, &manager, journal.as_ref())? {
            End::Stopped => return Ok(()),
            // The addresses it held are found and kept by its successor.
            End::ElectionDied => {
                tracing::error!("the election ended by itself: it is started anew");
                plan.start_delay = Duration::ZERO;
            }
        }
    }
}

fn no_socket(error: ha_stack::Error) -> Box<dyn Error> {
    match error {
        ha_stack::Error::File { .. } => format!("the control socket cannot be made: {error}").into(),
        _ => error.into(),
    }
}

/// Runs what comes before or after everything else. Whatever becomes of it, the daemon goes on.
fn around(keyword: &str, script: Option<&(CommandLine, Duration)>) {
    let Some((command, limit)) = script else { return };
    tracing::info!(%command, "the {keyword} is run");
    match command.run(*limit) {
        Ok(Some(status)) if status.success() => {}
        Ok(Some(status)) => tracing::warn!(%command, %status, "the {keyword} failed"),
        Ok(None) => tracing::warn!(%command, ?limit, "the {keyword} took too long and was ended"),
        Err(error) => tracing::warn!(%command, %error, "the {keyword} cannot be run"),
    }
}

fn serve(
    options: &RunOptions,
    plan: &mut Plan,
    outside: &mut Outside,
    inbox: &Inbox,
    lock: &ControlLock,
    manager: &ServiceManager,
    journal: Option<&Journal>,
) -> Result<End, Box<dyn Error>> {
    let (election, elects) = election(plan, journal)?;
    let supervisor = Supervisor::start_thread(election, Plan::default())?;
    if let Some(journal) = journal {
        supervisor.set_journal(journal.clone());
    }
    let control = supervisor.control(Some(inbox.orders.clone()));
    let mut control_server = ControlServer::start_locked(lock.clone(), control.clone()).map_err(no_socket)?;
    let mut http_server = options
        .http
        .map(|address| HttpServer::start(address, control))
        .transpose()?;
    let place = Place::new(&options.control, plan.ipvs_namespace.as_deref());
    if plan.virtual_servers.is_empty() {
        plane::clear(&place);
    }
    let choice = options.reading.data_plane;
    supervisor.set_data_plane(move || plane::open(choice, &place));
    supervisor.reload(plan.clone())?;
    outside.appear();
    manager.ready();
    tracing::info!(config = %options.config.display(), "running");

    let interval = manager.watchdog_interval().unwrap_or(WATCH);
    let mut next_look = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next_look {
            if supervisor.has_ended() {
                return Ok(End::ElectionDied);
            }
            if !supervisor.is_alive(interval) {
                tracing::error!("the election does not answer: the program is started anew");
                begin_anew();
            }
            if !supervisor.tend() {
                tracing::error!("the program is started anew");
                begin_anew();
            }
            control_server.tend();
            if let Some(server) = &mut http_server {
                server.tend();
            }
            manager.alive();
            next_look = now + interval;
        }
        let wake = match inbox
            .wakes
            .recv_timeout(next_look.saturating_duration_since(Instant::now()))
        {
            Ok(wake) => wake,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Err("no signal can reach this process".into()),
        };
        let answer = match wake {
            Wake::Signal(SIGHUP) => {
                reload(options, &supervisor, elects, plan, outside, manager);
                continue;
            }
            Wake::Signal(signal) if outside::DUMPS.contains(&signal) => {
                let status = supervisor.status();
                if signal == SIGUSR1 {
                    tracing::info!(status = %serde_json::to_string(&status)?, "asked for the state");
                }
                outside.dump(signal, status, plan);
                continue;
            }
            Wake::Order(Order::Reload(answer)) => {
                // Whoever asked may have gone.
                let _ = answer.send(reload(options, &supervisor, elects, plan, outside, manager));
                continue;
            }
            Wake::Order(Order::Stop(answer)) => Some(answer),
            Wake::Signal(_) | Wake::Order(_) => None,
        };
        manager.stopping();
        tracing::info!("stopping");
        drop(http_server);
        let stopped = supervisor.stop();
        if let Some(answer) = answer {
            let _ = answer.send(match &stopped {
                Ok(()) => Response::Changes(vec!["stopped".to_owned()]),
                Err(error) => Response::Error(error.to_string()),
            });
        }
        // Not before the thread of the client has passed the answer on.
        drop(control_server);
        stopped?;
        return Ok(End::Stopped);
    }
}

/// Puts the same program with the same arguments in the place of this one, in the same process: a thread that is stuck cannot be
/// ended in any other way. What the election held goes with its leases, or is kept by the one that is new. What is done once, at the
/// start, is not done again.
fn begin_anew() -> ! {
    // For the last line of the log, which is written by a thread of its own.
    std::thread::sleep(LAST_WORD);
    let mark = format!("--{BEGUN_ANEW}");
    let mut words = std::env::args_os().filter(|word| *word != *mark);
    let mut program = Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        program.arg0(name);
    }
    let error = program.args(words).arg(mark).exec();
    tracing::error!(%error, "that failed: the program ends, and the kernel takes its addresses away");
    std::thread::sleep(LAST_WORD);
    // Not in order: whatever is stuck would be waited for.
    std::process::exit(START_FAILED.into());
}

/// The election on a thread of its own, it and the thread that changes addresses with real-time priority where that is allowed.
/// The calling thread, and what it starts later, goes on without. Says whether it can take virtual routers: who may not open their
/// sockets, and has none, can run virtual servers all the same.
fn election(plan: &Plan, journal: Option<&Journal>) -> Result<(DriverThread, bool), vrrp_net::Error> {
    let scheduling = &plan.scheduling;
    let is_wanted = !plan.virtual_routers.is_empty();
    let start = || {
        if let Err(error) = ha_stack::run_on_processors(&scheduling.processors) {
            tracing::warn!(%error, "the election runs on any processor");
        }
        if let Some(niceness) = scheduling.niceness
            && let Err(error) = ha_stack::set_niceness(niceness)
        {
            tracing::warn!(%error, "the election is as nice as any other program");
        }
        if let Some(longest) = scheduling.longest_run
            && let Err(error) = ha_stack::limit_realtime(longest)
        {
            tracing::warn!(%error, "the election may run as long as it wants");
        }
        let priority = scheduling.realtime_priority.unwrap_or(REALTIME_PRIORITY);
        if let Err(error) = vrrp_net::set_realtime_priority(priority)
            && is_wanted
        {
            tracing::warn!(%error, "the election runs without real-time priority: a loaded host may delay advertisements");
        }
        let (mut driver, elects) = match LinuxHost::open() {
            Ok(host) => (Driver::new(host)?, true),
            Err(vrrp_net::Error::Socket(error)) if !is_wanted => {
                tracing::info!(%error, "no virtual router can run here, and there is none");
                (Driver::new(Segment::real_time().host(&[]))?, false)
            }
            Err(error) => return Err(error),
        };
        if let Some(journal) = journal {
            driver.set_recorder(journal.recorder());
        }
        if let Some(late) = scheduling.late {
            driver.set_lateness(late);
        }
        let name = scheduling.name.clone();
        let thread = driver.spawn_thread_after(move || {
            if let Some(Err(error)) = name.as_deref().map(ha_stack::name_thread) {
                tracing::warn!(%error, "the thread of the election keeps its name");
            }
            Ok(())
        });
        Ok((thread?, elects))
    };
    std::thread::scope(|scope| {
        // All of the stack is brought into memory when that is locked.
        let thread = std::thread::Builder::new().stack_size(SMALL_STACK);
        let thread = thread
            .spawn_scoped(scope, start)
            .map_err(vrrp_net::Error::Thread)?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn reload(
    options: &RunOptions,
    supervisor: &Supervisor,
    elects: bool,
    plan: &mut Plan,
    outside: &mut Outside,
    manager: &ServiceManager,
) -> Response {
    manager.reloading(monotonic());
    let mut loaded: Loaded = config::load(&options.config, &options.reading);
    for line in loaded.headlines() {
        tracing::warn!("{line}");
    }
    let errors = loaded.errors();
    let outcome = match loaded.take_plan() {
        None => Err(errors.join("\n")),
        Some(wanted)
            if wanted.network_namespace != plan.network_namespace
                || wanted.ipvs_namespace != plan.ipvs_namespace =>
        {
            Err("the network namespace cannot change while the daemon runs: start it anew".to_owned())
        }
        Some(wanted) if !elects && !wanted.virtual_routers.is_empty() => Err(
            "virtual routers need CAP_NET_RAW and CAP_NET_ADMIN: start the daemon anew with them".to_owned(),
        ),
        Some(wanted) => match supervisor.reload(wanted.clone()) {
            Ok(changes) => {
                if let Some(mask) = wanted.file_mask {
                    ha_stack::set_file_mask(mask);
                }
                if wanted.scheduling != plan.scheduling || wanted.check_scheduling != plan.check_scheduling {
                    tracing::warn!(
                        "threads are scheduled as they were: the daemon has to be started anew for that"
                    );
                }
                *plan = wanted;
                outside.reload(&loaded.configuration);
                Ok(changes)
            }
            Err(error) => Err(error.to_string()),
        },
    };
    manager.ready();
    match outcome {
        Ok(changes) => {
            tracing::info!(?changes, "reloaded");
            Response::Changes(changes)
        }
        Err(error) => {
            tracing::error!(%error, "not reloaded: everything stays as it was");
            Response::Error(format!("not reloaded, everything stays as it was:\n{error}"))
        }
    }
}

/// Where signals and orders arrive.
struct Inbox {
    wakes: Receiver<Wake>,
    orders: mpsc::Sender<Order>,
}

fn wakes() -> Result<Inbox, Box<dyn Error>> {
    let (sender, wakes) = mpsc::channel();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].into_iter().chain(outside::DUMPS))?;
    let for_signals = sender.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(SMALL_STACK)
        .spawn(move || {
            for signal in signals.forever() {
                if for_signals.send(Wake::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
    let (orders, order_inbox) = mpsc::channel();
    std::thread::Builder::new()
        .name("orders".to_owned())
        .stack_size(SMALL_STACK)
        .spawn(move || {
            for order in order_inbox {
                if sender.send(Wake::Order(order)).is_err() {
                    return;
                }
            }
        })?;
    Ok(Inbox { wakes, orders })
}

/// What systemd compares: the monotonic clock.
fn monotonic() -> Duration {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs_f64)
}

/// How often the election is looked at without a watchdog of the service manager.
const WATCH: Duration = Duration::from_secs(5);

/// Above ordinary programs and below what the kernel's own threads need.
const REALTIME_PRIORITY: u8 = 50;

/// The option that says it to the program that takes the place of this one.
pub(crate) const BEGUN_ANEW: &str = "begun-anew";

const LAST_WORD: Duration = Duration::from_millis(50);
