//! What others may ask of a supervisor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vrrp_fsm::{Statistics, TrackStatus};
use vrrp_proto::{AddressFamily, Priority, Version};

#[cfg(feature = "balance")]
use crate::balance::{ServerOrder, statuses};
use crate::control::{Control, Request, Response, ServerAction};
use crate::error::Error;
use crate::notify::Event;
#[cfg(feature = "balance")]
use crate::status::VirtualServerStatus;
use crate::status::{Status, SyncGroupStatus, TrackedStatus, VirtualRouterStatus};
use crate::supervisor::Shared;
use crate::supervisor::running::Router;

/// A request that only the owner of the supervisor can carry out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Order {
    /// Read the configuration again and call [`Supervisor::reload`](crate::Supervisor::reload).
    Reload(mpsc::SyncSender<Response>),
    /// Call [`Supervisor::stop`](crate::Supervisor::stop).
    Stop(mpsc::SyncSender<Response>),
}

/// The supervisor as its control socket sees it.
pub(crate) struct SharedControl {
    shared: Arc<Shared>,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
}

impl SharedControl {
    pub(crate) fn new(shared: Arc<Shared>, orders: Option<mpsc::Sender<Order>>) -> Self {
        Self {
            shared,
            orders: Mutex::new(orders),
        }
    }

    fn order(&self, make: fn(mpsc::SyncSender<Response>) -> Order) -> Response {
        let (reply, answer) = mpsc::sync_channel(1);
        let sent = match &*self.orders.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(orders) => orders.send(make(reply)).is_ok(),
            None => false,
        };
        if !sent {
            return Response::Error("nobody takes this request here".to_owned());
        }
        answer
            .recv_timeout(ORDER_LIMIT)
            .unwrap_or_else(|_| Response::Error("the request was taken, but not answered in time".to_owned()))
    }
}

impl Control for SharedControl {
    fn status(&self) -> Status {
        status(&self.shared)
    }

    fn watch(&self) -> Option<mpsc::Receiver<Event>> {
        self.shared.hub.watch()
    }

    fn execute(&self, request: Request) -> Response {
        let outcome = match request {
            Request::Failover { name } => {
                fail_over(&self.shared, &name).map_err(|error| of_name(&self.shared, &name, &error))
            }
            Request::Priority { name, priority } => set_priority(&self.shared, &name, priority)
                .map_err(|error| of_name(&self.shared, &name, &error)),
            Request::Server {
                virtual_server,
                real_server,
                action,
            } => act(&self.shared, &virtual_server, &real_server, action).map_err(|error| error.to_string()),
            Request::Reload => return self.order(Order::Reload),
            Request::Stop => return self.order(Order::Stop),
            Request::Status => return Response::Status(Box::new(self.status())),
            Request::Watch => return Response::Error("events need a connection of their own".to_owned()),
        };
        match outcome {
            Ok(changes) => Response::Changes(changes),
            Err(error) => Response::Error(error),
        }
    }
}

/// What is wrong with an order for a virtual router or a sync group, for whoever gave it.
fn of_name(shared: &Shared, name: &str, error: &Error) -> String {
    let mut text = format!("{name}: {error}");
    if matches!(error, Error::UnknownName) {
        let running = shared.running();
        let routers = running.routers.iter().map(|router| router.target.name());
        let groups = running.groups.iter().map(|group| group.name.as_str());
        let mut known: Vec<&str> = groups.chain(routers).take(MOST_NAMED + 1).collect();
        if known.len() > MOST_NAMED {
            known.truncate(MOST_NAMED);
            known.push("others");
        }
        if !known.is_empty() {
            text.push_str(&format!("; there are {}", known.join(", ")));
        }
    }
    text
}

pub(crate) fn fail_over(shared: &Shared, name: &str) -> Result<Vec<String>, Error> {
    let running = shared.running();
    let routers: Vec<&Router> = match running.router(name) {
        Some(router) => vec![router],
        None => running
            .routers
            .iter()
            .filter(|router| router.target.plan.instance.group() == Some(name))
            .collect(),
    };
    if routers.is_empty() {
        return Err(Error::UnknownName);
    }
    let active: Vec<&&Router> = routers
        .iter()
        .filter(|router| router.handle.is_active())
        .collect();
    if active.is_empty() {
        return Err(Error::NotActive);
    }
    Ok(active
        .iter()
        .map(|router| {
            router.handle.resign();
            format!("{} hands over", router.target.name())
        })
        .collect())
}

pub(crate) fn set_priority(shared: &Shared, name: &str, priority: u8) -> Result<Vec<String>, Error> {
    let priority = Priority::new(priority);
    if priority.is_release() || priority.is_owner() {
        return Err(Error::PriorityRange);
    }
    let running = shared.running();
    let router = running.router(name).ok_or(Error::UnknownName)?;
    let before = router.handle.status().priority;
    router.handle.set_priority(priority);
    Ok(vec![format!(
        "{name}: priority {} to {}",
        before.get(),
        priority.get()
    )])
}

pub(crate) fn status(shared: &Shared) -> Status {
    // An election that does not answer in time shows as it last was.
    let _ = shared.control.refresh(REFRESH_LIMIT);
    #[cfg(feature = "balance")]
    let (data_plane, virtual_servers) = servers(shared);
    let running = shared.running();
    let groups = running.groups.iter().map(|group| group.name.as_str());
    let tracked = running.tracked().into_iter().map(|object| TrackedStatus {
        kind: object.kind().to_owned(),
        name: object.name().to_owned(),
        state: match running.tracks.known(&object) {
            None => "unknown".to_owned(),
            Some(TrackStatus::Good) => "up".to_owned(),
            Some(TrackStatus::Bad) => "down".to_owned(),
            Some(TrackStatus::Value(value)) => value.to_string(),
        },
    });
    Status {
        virtual_routers: running
            .routers
            .iter()
            .map(|router| router_status(shared, router))
            .collect(),
        sync_groups: groups
            .map(|name| SyncGroupStatus {
                name: name.to_owned(),
                state: shared
                    .registrar
                    .group_state(name)
                    .map_or_else(|| "initialize".to_owned(), |state| state.to_string()),
                members: running
                    .routers
                    .iter()
                    .filter(|router| router.target.plan.instance.group() == Some(name))
                    .map(|router| router.target.name().to_owned())
                    .collect(),
            })
            .collect(),
        tracked: tracked.collect(),
        #[cfg(feature = "balance")]
        data_plane,
        #[cfg(feature = "balance")]
        virtual_servers,
        notifications_merged: shared.hub.merged(),
        ..Status::default()
    }
}

/// What carries the traffic, and for whom.
#[cfg(feature = "balance")]
fn servers(shared: &Shared) -> (String, Vec<VirtualServerStatus>) {
    match shared.runner() {
        None => ("none".to_owned(), Vec::new()),
        Some(runner) => {
            let mut state = runner.state();
            (state.plane.name().to_owned(), statuses(&mut state))
        }
    }
}

/// An order of the control socket.
#[cfg(feature = "balance")]
fn act(
    shared: &Shared,
    virtual_server: &str,
    real_server: &str,
    action: ServerAction,
) -> Result<Vec<String>, Error> {
    let order_of = match action {
        ServerAction::Add => ServerOrder::Add,
        ServerAction::Remove => ServerOrder::Remove,
        ServerAction::Weight { weight } => ServerOrder::Weight(weight),
        ServerAction::Drain { deadline: None } => ServerOrder::Drain,
        ServerAction::Drain {
            deadline: Some(seconds),
        } => ServerOrder::DrainFor(Duration::from_secs(seconds.into())),
        ServerAction::Enable => ServerOrder::Enable,
        ServerAction::Disable => ServerOrder::Disable,
    };
    order(shared, virtual_server, real_server, order_of)
}

#[cfg(not(feature = "balance"))]
fn act(_: &Shared, _: &str, _: &str, _: ServerAction) -> Result<Vec<String>, Error> {
    Err(Error::UnknownServer("this build balances no load".to_owned()))
}

#[cfg(feature = "balance")]
pub(crate) fn order(
    shared: &Shared,
    virtual_server: &str,
    real_server: &str,
    order: ServerOrder,
) -> Result<Vec<String>, Error> {
    match shared.runner() {
        Some(runner) => runner.order(virtual_server, real_server, order),
        None => Err(Error::UnknownServer("there are no virtual servers".to_owned())),
    }
}

fn router_status(shared: &Shared, router: &Router) -> VirtualRouterStatus {
    let status = router.handle.status();
    let view = shared.registrar.view(router.serial);
    let parameters = &router.target.parameters;
    let instance = &router.target.plan.instance;
    VirtualRouterStatus {
        name: router.target.name().to_owned(),
        interface: instance.interface().to_owned(),
        vrid: parameters.vrid().get(),
        family: match parameters.family() {
            AddressFamily::Ipv4 => "ipv4".to_owned(),
            AddressFamily::Ipv6 => "ipv6".to_owned(),
        },
        version: match parameters.version() {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        state: status.state.to_string(),
        reason: shared.registrar.reason(status.reason),
        priority: status.priority.get(),
        effective_priority: status.effective_priority.get(),
        addresses: instance
            .virtual_addresses()
            .map(|address| address.to_string())
            .collect(),
        since: view
            .as_ref()
            .map(|view| humantime::format_rfc3339_millis(view.since).to_string())
            .unwrap_or_default(),
        active_router: status.active_router.map(|address| address.to_string()),
        problems: view.map(|view| view.problems).unwrap_or_default(),
        statistics: statistics(&status.statistics),
    }
}

/// The counters under the names that the status has.
fn statistics(counters: &Statistics) -> BTreeMap<Cow<'static, str>, u64> {
    [
        ("advertisements_sent", counters.sent_advertisements),
        ("advertisements_received", counters.rcvd_advertisements),
        ("became_active", counters.master_transitions),
        ("released_active", counters.master_releases),
        ("priority_zero_sent", counters.sent_pri_zero_packets),
        ("priority_zero_received", counters.rcvd_pri_zero_packets),
        ("interval_errors", counters.adv_interval_errors),
        ("ttl_errors", counters.ip_ttl_errors),
        ("type_errors", counters.rcvd_invalid_type_packets),
        ("address_list_errors", counters.address_list_errors),
        ("length_errors", counters.packet_length_errors),
        ("authentication_errors", counters.authentication_errors),
        ("other_errors", counters.other_errors),
        ("own_source_packets", counters.own_source_packets),
    ]
    .map(|(name, value)| (Cow::Borrowed(name), value))
    .into()
}

/// Of those there are, so many are named.
const MOST_NAMED: usize = 10;

/// What the election is given to bring its counters up to date.
const REFRESH_LIMIT: Duration = Duration::from_millis(200);

/// What a reload or a stop may take before whoever asked is told that it takes long.
const ORDER_LIMIT: Duration = Duration::from_secs(60);
