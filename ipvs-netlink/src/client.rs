use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netlink_batch::{Protocol, Socket};

use crate::batch::{Batch, BatchReport};
use crate::config::{Info, Timeouts};
use crate::daemon::{Daemon, DaemonRole};
use crate::destination::Destination;
use crate::error::Error;
#[cfg(doc)]
use crate::error::Reason;
use crate::message::{DaemonEntry, DestinationEntry, Reply, Request, ServiceEntry};
use crate::reconcile::{Changes, ReconcileOptions};
use crate::service::{Endpoint, Service, ServiceKey};
use crate::session::{Session, Transport};
use crate::table::{Snapshot, Table};

/// The kernel's IPVS, for callers that may block. Clones share one socket and take turns.
///
/// The kernel carries out each request within the system call that sends it, so a call lasts as long as the kernel works:
/// microseconds, milliseconds where a module is loaded or a scheduler changed.
///
/// # Privileges
/// Every call, reading included, needs CAP_NET_ADMIN in the initial user namespace. For readers without it there is
/// [`proc`](crate::read_table).
///
/// # Errors
/// Besides what each call names: [`Error::Refused`] with [`Reason::PermissionDenied`], [`Error::Transport`] when the socket
/// fails, [`Error::Unconfirmed`] when answers were lost, [`Error::Decode`] when an answer cannot be read.
#[derive(Debug)]
pub struct Client<T = Socket> {
    session: Arc<Mutex<Session<T>>>,
}

impl Client {
    /// Opens a socket in the calling thread's network namespace. The kernel loads `ip_vs` if it is a module.
    ///
    /// # Errors
    /// [`Error::NoIpvs`], [`Error::Transport`].
    pub fn open() -> Result<Self, Error> {
        Self::over_socket(Socket::open(Protocol::GENERIC)?)
    }

    /// Opens a socket in the network namespace of this descriptor (of `/proc/PID/ns/net`, say).
    ///
    /// # Errors
    /// [`Error::NoIpvs`], [`Error::Transport`]; entering the namespace needs CAP_SYS_ADMIN over it.
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, Error> {
        Self::over_socket(Socket::open_in(Protocol::GENERIC, namespace)?)
    }

    /// Opens a socket in the network namespace of this name, as `ip netns` gives them.
    ///
    /// # Errors
    /// [`Error::Namespace`] if there is none of that name; those of [`open_in`](Self::open_in).
    pub fn open_named(namespace: &str) -> Result<Self, Error> {
        let file = File::open(Path::new("/run/netns").join(namespace)).map_err(Error::Namespace)?;
        Self::open_in(file.as_fd())
    }

    fn over_socket(mut socket: Socket) -> Result<Self, Error> {
        // All answers are queued before the send returns: what is not there by then will not come.
        socket.set_grace(GRACE);
        Self::over(socket)
    }
}

impl<T: Transport> Client<T> {
    /// A client over another transport.
    ///
    /// # Errors
    /// [`Error::NoIpvs`], and what the transport fails with.
    pub fn over(transport: T) -> Result<Self, Error> {
        Ok(Self {
            session: Arc::new(Mutex::new(Session::new(transport)?)),
        })
    }

    /// Does something with the transport, between two calls.
    pub fn with_transport<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.session().transport)
    }

    /// What the kernel says of itself.
    ///
    /// Kernel: GET_INFO.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn info(&self) -> Result<Info, Error> {
        let mut session = self.session();
        session.read_one(Request::Info, Reply::info)
    }

    /// All services, in the kernel's order, which is that of a hash.
    ///
    /// Kernel: GET_SERVICE, as a dump.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn services(&self) -> Result<Vec<ServiceEntry>, Error> {
        let mut session = self.session();
        session.services()
    }

    /// One service.
    ///
    /// Kernel: GET_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub fn service(&self, key: ServiceKey) -> Result<ServiceEntry, Error> {
        let mut session = self.session();
        session.read_one(Request::Service(key), Reply::service)
    }

    /// The destinations of a service, the newest first, which is the order that schedulers go by.
    ///
    /// Kernel: GET_SERVICE, then GET_DEST, which by itself does not tell a service without destinations from none.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub fn destinations(&self, key: ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let mut session = self.session();
        session.destinations(key)
    }

    /// Makes a service. Its scheduler's module is loaded if need be.
    ///
    /// Kernel: NEW_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceExists`], [`Reason::SchedulerMissing`], [`Reason::SchedulerOrEngineMissing`],
    /// [`Reason::FamilyNotSupported`]; those of [every call](Self#errors).
    pub fn add_service(&self, service: Service) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::AddService(service))
    }

    /// Puts a service in the place of the one with its key, all of it: a persistence that is absent is removed.
    /// Destinations, connections and counters stay; another scheduler starts anew and costs a few milliseconds (the
    /// kernel waits for its processors).
    ///
    /// Kernel: SET_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`], [`Reason::SchedulerMissing`], [`Reason::SchedulerOrEngineMissing`],
    /// [`Reason::SchedulerFull`]; those of [every call](Self#errors).
    pub fn edit_service(&self, service: Service) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::EditService(service))
    }

    /// Deletes a service with its destinations.
    ///
    /// Kernel: DEL_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub fn delete_service(&self, key: ServiceKey) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::DeleteService(key))
    }

    /// Adds a destination, before the others in the scheduler's order. One that was deleted less than about two
    /// minutes ago, or still has connections, comes back with its counters.
    ///
    /// Kernel: NEW_DEST.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`], [`Reason::DestinationExists`], [`Reason::MixedFamilies`],
    /// [`Reason::MixedFamiliesAndDaemon`], [`Reason::AddressNotUsable`], [`Reason::TunnelPort`] of a
    /// [`Tunnel::Other`](crate::Tunnel::Other); those of [every call](Self#errors).
    pub fn add_destination(&self, service: ServiceKey, destination: Destination) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::AddDestination(service, destination))
    }

    /// Puts a destination in the place of the one at its endpoint, all of it; connections and counters stay. Weight
    /// 0 quiesces it.
    ///
    /// Kernel: SET_DEST.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`], [`Reason::DestinationNotFound`], and of what it is to become those of
    /// [`add_destination`](Self::add_destination); those of [every call](Self#errors).
    pub fn edit_destination(&self, service: ServiceKey, destination: Destination) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::EditDestination(service, destination))
    }

    /// Deletes a destination. What happens to its connections is the sysctl `expire_nodest_conn`'s to say.
    ///
    /// Kernel: DEL_DEST.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`], [`Reason::DestinationNotFound`]; those of [every call](Self#errors).
    pub fn delete_destination(&self, service: ServiceKey, endpoint: Endpoint) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::DeleteDestination(service, endpoint))
    }

    /// The sync daemons that run: none, one or two.
    ///
    /// Kernel: GET_DAEMON.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn daemons(&self) -> Result<Vec<DaemonEntry>, Error> {
        let mut session = self.session();
        session.daemons()
    }

    /// Starts a sync daemon.
    ///
    /// Kernel: NEW_DAEMON.
    ///
    /// # Errors
    /// [`Reason::DaemonExists`], [`Reason::InterfaceNotFound`], [`Reason::MixedFamiliesAndDaemon`]; those of [every
    /// call](Self#errors).
    pub fn start_daemon(&self, daemon: Daemon) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::StartDaemon(daemon))
    }

    /// Stops a sync daemon, waiting for its threads.
    ///
    /// Kernel: DEL_DAEMON.
    ///
    /// # Errors
    /// [`Reason::DaemonNotRunning`]; those of [every call](Self#errors).
    pub fn stop_daemon(&self, role: DaemonRole) -> Result<(), Error> {
        let mut session = self.session();
        session.stop_daemon(role)
    }

    /// The timeouts of connections.
    ///
    /// Kernel: GET_CONFIG.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn timeouts(&self) -> Result<Timeouts, Error> {
        let mut session = self.session();
        session.read_one(Request::Timeouts, Reply::timeouts)
    }

    /// Sets the timeouts that are given, for connections from now on.
    ///
    /// Kernel: SET_CONFIG.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn set_timeouts(&self, timeouts: Timeouts) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::SetTimeouts(timeouts))
    }

    /// Zeroes the counters of a service and its destinations, or of everything. Rates start anew.
    ///
    /// Kernel: ZERO.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub fn zero(&self, key: Option<ServiceKey>) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::Zero(key))
    }

    /// Deletes all services, whoever made them.
    ///
    /// Kernel: FLUSH.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn flush(&self) -> Result<(), Error> {
        let mut session = self.session();
        session.change(Request::Flush)
    }

    /// Carries out changes in their order, many in one system call.
    ///
    /// Kernel: each change's own.
    ///
    /// # Errors
    /// none for a change that is refused: that stands in the report; those of [every call](Self#errors).
    pub fn apply(&self, batch: &Batch) -> Result<BatchReport, Error> {
        let mut session = self.session();
        session.apply(batch.requests())
    }

    /// All services with their destinations, read one after the other.
    ///
    /// Kernel: GET_SERVICE and GET_DEST, as dumps.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`] if the kernel's answers were lost; those of [every call](Self#errors).
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut session = self.session();
        session.snapshot(|_| true)
    }

    /// Makes the table as it is wanted, by the smallest change: see [`plan`](crate::plan). It starts over, three
    /// times at most, if a change is refused because somebody else changed the same services meanwhile; what was changed
    /// behind its last look is found by the next one. It finds nothing to do when there is nothing. Killed half-way, the
    /// next one finishes it.
    ///
    /// Kernel: those of a snapshot, then the changes.
    ///
    /// # Errors
    /// [`Error::DuplicateService`], [`Error::DuplicateDestination`]; a change that is refused is no error but
    /// stands in [`Changes::refused`]; those of [every call](Self#errors).
    pub fn reconcile(&self, wanted: &Table, options: &ReconcileOptions) -> Result<Changes, Error> {
        let mut session = self.session();
        session.reconcile(wanted, options)
    }

    fn session(&self) -> MutexGuard<'_, Session<T>> {
        // A panic elsewhere leaves nothing half done here: each call starts a batch of its own.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "tokio")]
impl Client {
    /// The session, if this is its only user.
    pub(crate) fn into_session(self) -> Option<Session<Socket>> {
        Arc::into_inner(self.session)
            .map(|session| session.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self {
            session: Arc::clone(&self.session),
        }
    }
}

const GRACE: Duration = Duration::from_millis(100);
