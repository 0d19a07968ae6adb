//! Runs a plan: election, tracking, notification, status, and reload from one plan to the next.

mod apply;
mod couriers;
mod running;
mod serve;
#[cfg(test)]
mod tests;
mod trackers;

use std::collections::HashMap;
use std::fmt;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::{Either, select};
use vrrp_fsm::{TrackId, TrackStatus};
use vrrp_net::{Driver, DriverThread};

#[cfg(feature = "balance")]
use crate::balance::{Runner, ServerOrder};
use crate::control::Control;
#[cfg(feature = "balance")]
use crate::data_plane::DataPlane;
use crate::election::Election as _;
use crate::error::Error;
use crate::fixed::FixedKeeper;
use crate::hub::EventHub;
use crate::journal::Journal;
use crate::notify::{Event, ScriptNotifier};
#[cfg(feature = "balance")]
use crate::notify::{EventKind, NotifyState, Object};
use crate::persist::persist;
use crate::plan::{Plan, TrackedObject};
use crate::pulse::{Patience, Pulse};
use crate::status::Status;
use crate::supervisor::running::Running;
use crate::supervisor::serve::SharedControl;
use crate::supervisor::trackers::Trackers;
use crate::vrrp::{Registrar, VrrpElection};

pub(crate) use apply::differences;
pub use serve::Order;

/// Runs a [`Plan`] and moves to another one on [`reload`](Self::reload).
///
/// The election has a thread of its own that nothing here delays: scripts, files, processes, notification and whoever asks
/// for the status have theirs. Dropping the supervisor ends everything: addresses are handed over and given up, the last
/// notifications are delivered.
pub struct Supervisor {
    shared: Arc<Shared>,
    trackers: Mutex<Trackers>,
    driver: Option<DriverThread>,
    events: Option<JoinHandle<()>>,
    /// With the thread of the events.
    patience: Mutex<Patience>,
}

impl Supervisor {
    /// Starts the election that `driver` holds and everything around it, and runs `plan`.
    ///
    /// # Errors
    /// [`Error::Election`] if the plan does not fit together or the election cannot be started; [`Error::System`] if the
    /// system is out of threads or descriptors. Nothing is left running then.
    pub fn start(driver: Driver, plan: Plan) -> Result<Self, Error> {
        Self::start_thread(driver.spawn_thread()?, plan)
    }

    /// The same over an election whose thread was prepared by the caller, for real-time priority for example.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_thread(driver: DriverThread, plan: Plan) -> Result<Self, Error> {
        let (mut election, registrar) = VrrpElection::new();
        let hub = EventHub::new(ScriptNotifier::start(HOOK_PATIENCE, None)?);
        let shared = Arc::new(Shared {
            hub: Arc::new(hub),
            registrar,
            control: driver.control(),
            events: Pulse::default(),
            running: Mutex::new(Running::default()),
            fixed: Mutex::new(None),
            journal: Mutex::new(None),
            #[cfg(feature = "balance")]
            balance: Mutex::new(Balance::default()),
        });
        let trackers = Trackers::start(&shared)?;
        let publisher = Arc::clone(&shared);
        let events = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || persist("events", || publish(&mut election, &publisher)))
            .map_err(Error::system("cannot start a thread for events"))?;
        let supervisor = Self {
            shared,
            trackers: Mutex::new(trackers),
            driver: Some(driver),
            events: Some(events),
            patience: Mutex::new(Patience::new(EVENTS_PATIENCE)),
        };
        supervisor.reload(plan)?;
        Ok(supervisor)
    }

    /// Moves to another plan, and says what changed, a line for each thing.
    ///
    /// It is a transaction: the whole plan is checked first, and on an error everything stays, or is put back, as it was.
    /// Virtual routers are recognised by VRID, family, interface and whether they have unicast peers, not by their name.
    /// What is the same in both plans does not notice.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn reload(&self, plan: Plan) -> Result<Vec<String>, Error> {
        apply::apply(&self.shared, &self.trackers(), plan)
    }

    /// Lets the journal that the driver [records](vrrp_net::Driver::set_recorder) into have the names of what is tracked,
    /// from the next reload on.
    pub fn set_journal(&self, journal: Journal) {
        *self.shared.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(journal);
    }

    /// Says what will carry the traffic of virtual servers. `open` is called once, when a plan first has some; if it fails,
    /// that plan is refused.
    #[cfg(feature = "balance")]
    pub fn set_data_plane(&self, open: impl FnMut() -> Result<Box<dyn DataPlane>, Error> + Send + 'static) {
        self.shared.balance().open = Some(Box::new(open));
    }

    /// Orders about a real server of a virtual server, each by the name that the status has. Returns what was done.
    ///
    /// # Errors
    /// [`Error::UnknownServer`] if there is no such server, or, to add one, if there is one already.
    #[cfg(feature = "balance")]
    pub fn order(
        &self,
        virtual_server: &str,
        real_server: &str,
        order: ServerOrder,
    ) -> Result<Vec<String>, Error> {
        serve::order(&self.shared, virtual_server, real_server, order)
    }

    /// A handle for a control socket or an HTTP server.
    ///
    /// Requests that only the owner of the supervisor can carry out, which are to stop and to reload, go to `orders`.
    /// Without it they are refused.
    pub fn control(&self, orders: Option<mpsc::Sender<Order>>) -> Arc<dyn Control> {
        Arc::new(SharedControl::new(Arc::clone(&self.shared), orders))
    }

    /// What is going on.
    pub fn status(&self) -> Status {
        serve::status(&self.shared)
    }

    /// The events from now on; `None` when the system is out of threads.
    pub fn watch(&self) -> Option<mpsc::Receiver<Event>> {
        self.shared.hub.watch()
    }

    /// Lets the peer take over a virtual router or a sync group. Returns what was done.
    ///
    /// # Errors
    /// [`Error::UnknownName`] if nothing is called so, [`Error::NotActive`] if it is not active here.
    pub fn fail_over(&self, name: &str) -> Result<Vec<String>, Error> {
        serve::fail_over(&self.shared, name)
    }

    /// Sets the priority of a virtual router until it is restarted or a reload changes it.
    ///
    /// # Errors
    /// [`Error::UnknownName`] if no virtual router is called so, [`Error::PriorityRange`] unless it is 1 to 254.
    pub fn set_priority(&self, name: &str, priority: u8) -> Result<Vec<String>, Error> {
        serve::set_priority(&self.shared, name, priority)
    }

    /// Whether the election has ended by itself, which is a failure; the log has it.
    pub fn has_ended(&self) -> bool {
        self.shared.registrar.has_ended()
    }

    /// Whether the election runs and answers within `limit`.
    pub fn is_alive(&self, limit: Duration) -> bool {
        !self.has_ended() && self.shared.control.refresh(limit)
    }

    /// Looks after the threads around the election, by one rule: each is asked for a sign of life, and what is dead or has given none
    /// for long is replaced; the log has it. The election goes on as it is. To be called every few seconds.
    ///
    /// | what | for how long it may be stuck |
    /// |---|---|
    /// | scripts, files, processes and interfaces that are tracked; notification scripts | ten seconds |
    /// | a pipe or a mail server that is told of events | five minutes with one event |
    /// | who passes on the events | thirty seconds |
    ///
    /// Returns false when the last of these is stuck. Nothing can take its place, since the election speaks to it alone: the program
    /// has to begin anew.
    #[must_use]
    pub fn tend(&self) -> bool {
        let mut trackers = self.trackers();
        if trackers.tend(&self.shared) {
            let running = self.shared.running();
            apply::set_trackers(&trackers, &running.plan, &running.tracked());
        }
        drop(trackers);
        self.shared.hub.tend();
        let is_alive = self.events.as_ref().is_some_and(|events| !events.is_finished());
        let has_answered = self.shared.events.has_answered();
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = patience.look(is_alive && has_answered) {
            tracing::error!(
                what = "events",
                ?since,
                "the thread of this is stuck, and none can take its place"
            );
            return false;
        }
        couriers::tend(&self.shared);
        true
    }

    fn trackers(&self) -> MutexGuard<'_, Trackers> {
        self.trackers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything in order: mastership is given up with priority 0, addresses are removed, the last notifications
    /// go out, for which a second is left.
    ///
    /// # Errors
    /// [`Error::Election`] with what the driver said at its end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), Error> {
        let outcome = self.driver.take().map_or(Ok(()), DriverThread::stop);
        // Others may hold the control, and with it the rest, for longer.
        drop(self.shared.fixed().take());
        #[cfg(feature = "balance")]
        if let Some(runner) = self.shared.runner() {
            runner.stop();
        }
        if let Some(events) = self.events.take() {
            self.shared.registrar.close();
            if events.join().is_err() {
                tracing::error!("the event thread ended in a panic");
            }
            self.shared.hub.flush(LAST_WORDS);
        }
        Ok(outcome?)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "the election ended badly");
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Supervisor").finish_non_exhaustive()
    }
}

/// What the threads around a supervisor share.
pub(crate) struct Shared {
    hub: Arc<EventHub>,
    registrar: Registrar,
    control: vrrp_net::Control,
    /// Of the thread of the events.
    events: Pulse,
    running: Mutex<Running>,
    /// Keeps fixed addresses and routes, once a plan has some.
    fixed: Mutex<Option<FixedKeeper>>,
    /// Where the names of tracked objects are written, too.
    journal: Mutex<Option<Journal>>,
    #[cfg(feature = "balance")]
    balance: Mutex<Balance>,
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fixed(&self) -> MutexGuard<'_, Option<FixedKeeper>> {
        self.fixed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes known what the numbers of tracked objects mean.
    fn name_tracks(&self, names: HashMap<TrackId, String>) {
        if let Some(journal) = &*self.journal.lock().unwrap_or_else(PoisonError::into_inner) {
            journal.name_tracks(names.clone());
        }
        self.registrar.set_track_names(names);
    }

    #[cfg(feature = "balance")]
    fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "balance")]
    fn runner(&self) -> Option<Arc<Runner>> {
        self.balance().runner.clone()
    }

    fn report(&self, object: TrackedObject, status: TrackStatus) {
        // Told while the lock is held, so that two reports of one object stay in order.
        let mut running = self.running();
        let number = running.tracks.report(object, status);
        self.control.track(number, status);
    }
}

/// The load balancer, once a plan has virtual servers.
#[cfg(feature = "balance")]
#[derive(Default)]
pub(crate) struct Balance {
    /// Opens the data plane.
    open: Option<OpenPlane>,
    runner: Option<Arc<Runner>>,
}

#[cfg(feature = "balance")]
type OpenPlane = Box<dyn FnMut() -> Result<Box<dyn DataPlane>, Error> + Send>;

/// Hands what the election says to everybody who wants to know.
fn publish(election: &mut VrrpElection, shared: &Shared) {
    futures::executor::block_on(async {
        let mut beat = std::pin::pin!(shared.events.beat());
        loop {
            let happening = match select(election.next(), beat.as_mut()).await {
                Either::Left((Some(happening), _)) => happening,
                Either::Left((None, _)) => return,
                Either::Right(((), _)) => continue,
            };
            shared.events.answer();
            let event = shared.hub.publish(happening);
            #[cfg(feature = "balance")]
            if let (Object::Instance(name), EventKind::State(state)) = (&event.object, event.kind)
                && let Some(runner) = shared.runner()
            {
                runner.router(name, state == NotifyState::Master);
            }
            tracing::info!(
                object = %event.object,
                event = event.kind.word(),
                priority = event.priority,
                reason = event.reason.as_deref().unwrap_or(""),
            );
        }
    });
}

/// How long the next event of an object waits for the scripts of the last.
const HOOK_PATIENCE: Duration = Duration::from_secs(30);

/// Handing an event on waits for nobody but whoever changes the list of those who are told.
const EVENTS_PATIENCE: Duration = Duration::from_secs(30);

/// What is left for the last notifications, as with keepalived.
const LAST_WORDS: Duration = Duration::from_secs(1);
