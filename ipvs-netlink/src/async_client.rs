use std::os::fd::OwnedFd;
use std::sync::Arc;

use netlink_batch::Socket;
use tokio::sync::Mutex;
use tokio::task;

use crate::batch::{Batch, BatchReport};
use crate::client::Client;
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

/// The kernel's IPVS, for callers on tokio. Clones share one socket and take turns.
///
/// The kernel carries out each request within the system call that sends it: there is nothing to wait for but the kernel's
/// own work, and that would hold up an executor (milliseconds where a module is loaded or a scheduler changed). So each call
/// runs on tokio's pool of blocking threads. A call that is dropped is still carried out, and leaves nothing behind for the
/// next one.
///
/// # Privileges
/// As for [`Client`].
///
/// # Errors
/// As for [`Client`], and [`Error::Stopped`] when the runtime shuts down.
#[derive(Debug)]
pub struct AsyncClient<T = Socket> {
    session: Arc<Mutex<Session<T>>>,
}

impl AsyncClient {
    /// Opens a socket in the calling thread's network namespace. The kernel loads `ip_vs` if it is a module.
    ///
    /// # Errors
    /// [`Error::NoIpvs`], [`Error::Transport`].
    pub async fn open() -> Result<Self, Error> {
        // The pool's threads are in the same namespace, unless the caller changed that of its own thread only.
        Self::from_opening(Client::open).await
    }

    /// Opens a socket in the network namespace of this descriptor (of `/proc/PID/ns/net`, say).
    ///
    /// # Errors
    /// [`Error::NoIpvs`], [`Error::Transport`]; entering the namespace needs CAP_SYS_ADMIN over it.
    pub async fn open_in(namespace: OwnedFd) -> Result<Self, Error> {
        Self::from_opening(move || Client::open_in(std::os::fd::AsFd::as_fd(&namespace))).await
    }

    /// Opens a socket in the network namespace of this name, as `ip netns` gives them.
    ///
    /// # Errors
    /// [`Error::Namespace`] if there is none of that name; those of [`open_in`](Self::open_in).
    pub async fn open_named(namespace: &str) -> Result<Self, Error> {
        let namespace = namespace.to_owned();
        Self::from_opening(move || Client::open_named(&namespace)).await
    }

    async fn from_opening(
        open: impl FnOnce() -> Result<Client, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let client = task::spawn_blocking(open).await.map_err(|_| Error::Stopped)??;
        let session = client.into_session().ok_or(Error::Stopped)?;
        Ok(Self {
            session: Arc::new(Mutex::new(session)),
        })
    }
}

impl<T: Transport + Send + 'static> AsyncClient<T> {
    /// A client over another transport.
    ///
    /// # Errors
    /// [`Error::NoIpvs`], and what the transport fails with.
    pub async fn over(transport: T) -> Result<Self, Error> {
        let session = task::spawn_blocking(move || Session::new(transport))
            .await
            .map_err(|_| Error::Stopped)??;
        Ok(Self {
            session: Arc::new(Mutex::new(session)),
        })
    }

    /// What the kernel says of itself.
    ///
    /// Kernel: GET_INFO.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub async fn info(&self) -> Result<Info, Error> {
        self.run(move |session| session.read_one(Request::Info, Reply::info))
            .await
    }

    /// All services, in the kernel's order, which is that of a hash.
    ///
    /// Kernel: GET_SERVICE, as a dump.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub async fn services(&self) -> Result<Vec<ServiceEntry>, Error> {
        self.run(move |session| session.services()).await
    }

    /// One service.
    ///
    /// Kernel: GET_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub async fn service(&self, key: ServiceKey) -> Result<ServiceEntry, Error> {
        self.run(move |session| session.read_one(Request::Service(key), Reply::service))
            .await
    }

    /// The destinations of a service, the newest first, which is the order that schedulers go by.
    ///
    /// Kernel: GET_SERVICE, then GET_DEST, which by itself does not tell a service without destinations from none.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub async fn destinations(&self, key: ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        self.run(move |session| session.destinations(key)).await
    }

    /// Makes a service. Its scheduler's module is loaded if need be.
    ///
    /// Kernel: NEW_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceExists`], [`Reason::SchedulerMissing`], [`Reason::SchedulerOrEngineMissing`],
    /// [`Reason::FamilyNotSupported`]; those of [every call](Self#errors).
    pub async fn add_service(&self, service: Service) -> Result<(), Error> {
        self.run(move |session| session.change(Request::AddService(service)))
            .await
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
    pub async fn edit_service(&self, service: Service) -> Result<(), Error> {
        self.run(move |session| session.change(Request::EditService(service)))
            .await
    }

    /// Deletes a service with its destinations.
    ///
    /// Kernel: DEL_SERVICE.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub async fn delete_service(&self, key: ServiceKey) -> Result<(), Error> {
        self.run(move |session| session.change(Request::DeleteService(key)))
            .await
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
    pub async fn add_destination(&self, service: ServiceKey, destination: Destination) -> Result<(), Error> {
        self.run(move |session| session.change(Request::AddDestination(service, destination)))
            .await
    }

    /// Puts a destination in the place of the one at its endpoint, all of it; connections and counters stay. Weight
    /// 0 quiesces it.
    ///
    /// Kernel: SET_DEST.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`], [`Reason::DestinationNotFound`], and of what it is to become those of
    /// [`add_destination`](Self::add_destination); those of [every call](Self#errors).
    pub async fn edit_destination(&self, service: ServiceKey, destination: Destination) -> Result<(), Error> {
        self.run(move |session| session.change(Request::EditDestination(service, destination)))
            .await
    }

    /// Deletes a destination. What happens to its connections is the sysctl `expire_nodest_conn`'s to say.
    ///
    /// Kernel: DEL_DEST.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`], [`Reason::DestinationNotFound`]; those of [every call](Self#errors).
    pub async fn delete_destination(&self, service: ServiceKey, endpoint: Endpoint) -> Result<(), Error> {
        self.run(move |session| session.change(Request::DeleteDestination(service, endpoint)))
            .await
    }

    /// The sync daemons that run: none, one or two.
    ///
    /// Kernel: GET_DAEMON.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub async fn daemons(&self) -> Result<Vec<DaemonEntry>, Error> {
        self.run(move |session| session.daemons()).await
    }

    /// Starts a sync daemon.
    ///
    /// Kernel: NEW_DAEMON.
    ///
    /// # Errors
    /// [`Reason::DaemonExists`], [`Reason::InterfaceNotFound`], [`Reason::MixedFamiliesAndDaemon`]; those of [every
    /// call](Self#errors).
    pub async fn start_daemon(&self, daemon: Daemon) -> Result<(), Error> {
        self.run(move |session| session.change(Request::StartDaemon(daemon)))
            .await
    }

    /// Stops a sync daemon, waiting for its threads.
    ///
    /// Kernel: DEL_DAEMON.
    ///
    /// # Errors
    /// [`Reason::DaemonNotRunning`]; those of [every call](Self#errors).
    pub async fn stop_daemon(&self, role: DaemonRole) -> Result<(), Error> {
        self.run(move |session| session.stop_daemon(role)).await
    }

    /// The timeouts of connections.
    ///
    /// Kernel: GET_CONFIG.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub async fn timeouts(&self) -> Result<Timeouts, Error> {
        self.run(move |session| session.read_one(Request::Timeouts, Reply::timeouts))
            .await
    }

    /// Sets the timeouts that are given, for connections from now on.
    ///
    /// Kernel: SET_CONFIG.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub async fn set_timeouts(&self, timeouts: Timeouts) -> Result<(), Error> {
        self.run(move |session| session.change(Request::SetTimeouts(timeouts)))
            .await
    }

    /// Zeroes the counters of a service and its destinations, or of everything. Rates start anew.
    ///
    /// Kernel: ZERO.
    ///
    /// # Errors
    /// [`Reason::ServiceNotFound`]; those of [every call](Self#errors).
    pub async fn zero(&self, key: Option<ServiceKey>) -> Result<(), Error> {
        self.run(move |session| session.change(Request::Zero(key))).await
    }

    /// Deletes all services, whoever made them.
    ///
    /// Kernel: FLUSH.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub async fn flush(&self) -> Result<(), Error> {
        self.run(move |session| session.change(Request::Flush)).await
    }

    /// Carries out changes in their order, many in one system call.
    ///
    /// Kernel: each change's own.
    ///
    /// # Errors
    /// none for a change that is refused: that stands in the report; those of [every call](Self#errors).
    pub async fn apply(&self, batch: Batch) -> Result<BatchReport, Error> {
        self.run(move |session| session.apply(batch.requests())).await
    }

    /// All services with their destinations, read one after the other.
    ///
    /// Kernel: GET_SERVICE and GET_DEST, as dumps.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`] if the kernel's answers were lost; those of [every call](Self#errors).
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.run(move |session| session.snapshot(|_| true)).await
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
    pub async fn reconcile(&self, wanted: Table, options: ReconcileOptions) -> Result<Changes, Error> {
        self.run(move |session| session.reconcile(&wanted, &options))
            .await
    }

    async fn run<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Session<T>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        // The turn is waited for here, so that no thread of the pool is held up by it.
        let mut session = Arc::clone(&self.session).lock_owned().await;
        task::spawn_blocking(move || call(&mut session))
            .await
            .map_err(|_| Error::Stopped)?
    }
}

impl<T> Clone for AsyncClient<T> {
    fn clone(&self) -> Self {
        Self {
            session: Arc::clone(&self.session),
        }
    }
}
