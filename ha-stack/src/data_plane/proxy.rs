//! A proxy in this process as a data plane, where the kernel has no IPVS or the user no privilege.

mod relay;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lvs_sched::{BackendId, Options, Order, SchedulerKind, SharedPool, Spec};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::data_plane::proxy::relay::{Door, Peer, Tally};
use crate::data_plane::{
    Applied, DataPlane, DesiredReal, DesiredServer, DesiredTable, Extent, Forwarding, Front, Granularity,
    RealCounters, ServerCounters, Transport,
};
use crate::error::Error;

/// A TCP proxy within this process: it accepts at the virtual server's address and connects to real servers itself.
///
/// This is what is called full NAT: real servers see this host as their client, not the client's own address, and need no
/// address on `lo` and no route back through here. A connection whose real server does not accept is offered to the next.
/// The end of each direction is passed on by itself, and a slow side slows the other. Real servers of weight 0, and those
/// that are taken out, keep the connections they have; so does a virtual server that is taken out.
///
/// UDP, SCTP, marks of the firewall and services for all ports it cannot carry, and says so.
pub struct ProxyPlane {
    /// `None` at the end.
    runtime: Option<Runtime>,
    everything: bool,
    places: Arc<Semaphore>,
    services: HashMap<Front, Service>,
}

/// A virtual server that is listened for.
struct Service {
    desired: DesiredServer,
    door: Arc<Door>,
    /// By address: who is in the pool, and with which settings.
    members: HashMap<SocketAddr, (BackendId, DesiredReal, Arc<Peer>)>,
    listener: JoinHandle<()>,
}

impl ProxyPlane {
    /// A proxy that carries virtual servers with NAT and FNAT. With `everything`, those with direct routing and tunnels
    /// too, as if they said FNAT.
    ///
    /// # Errors
    /// [`Error::System`] if the system is out of threads or descriptors.
    pub fn start(everything: bool) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("proxy")
            .enable_io()
            .enable_time()
            .build()
            .map_err(Error::system("cannot start the proxy"))?;
        Ok(Self {
            runtime: Some(runtime),
            everything,
            places: Arc::new(Semaphore::new(most_connections())),
            services: HashMap::new(),
        })
    }

    /// Why a virtual server cannot be carried.
    fn objection(&self, server: &DesiredServer) -> Option<String> {
        let front = &server.front;
        match front {
            Front::Mark { .. } => {
                return Some(format!(
                    "{front}: the proxy cannot see marks of the firewall; use IPVS"
                ));
            }
            Front::Address { transport, address } => {
                if *transport != Transport::Tcp {
                    return Some(format!("{front}: the proxy carries TCP only; use IPVS"));
                }
                if address.port() == 0 {
                    return Some(format!("{front}: the proxy cannot listen on all ports; use IPVS"));
                }
            }
        }
        let needs_ipvs =
            |real: &DesiredReal| matches!(real.forwarding, Forwarding::DirectRoute | Forwarding::Tunnel(_));
        if !self.everything && server.real_servers.iter().any(needs_ipvs) {
            return Some(format!(
                "{front}: DR and TUN need IPVS; the proxy would carry it without the clients' addresses, if told so by --data-plane proxy"
            ));
        }
        let name = &server.scheduling.name;
        if name.parse::<SchedulerKind>().is_err() {
            return Some(format!("{front}: `{name}` is no scheduler that the proxy knows"));
        }
        None
    }

    fn settle(&mut self, server: &DesiredServer, applied: &mut Applied) -> io::Result<()> {
        let Some(runtime) = &self.runtime else {
            return Ok(());
        };
        let Front::Address { address, .. } = server.front else {
            return Ok(());
        };
        let service = match self.services.get_mut(&server.front) {
            Some(service) => service,
            None => {
                let _inside = runtime.enter();
                let listener = listen(address)?;
                let door = Arc::new(Door {
                    pool: RwLock::new(pool(server)),
                    tally: Tally::default(),
                });
                let accepting = relay::accept(listener, Arc::clone(&door), Arc::clone(&self.places));
                applied.changes += 1;
                let service = Service {
                    desired: DesiredServer {
                        real_servers: Vec::new(),
                        ..server.clone()
                    },
                    door,
                    members: HashMap::new(),
                    listener: runtime.spawn(accepting),
                };
                self.services.entry(server.front).or_insert(service)
            }
        };
        service.settle(server, applied);
        Ok(())
    }
}

impl Service {
    /// Makes the pool equal to what is wanted, all at once.
    fn settle(&mut self, wanted: &DesiredServer, applied: &mut Applied) {
        let settings = |server: &DesiredServer| (server.scheduling.clone(), server.persistence.clone());
        if settings(&self.desired) != settings(wanted) {
            // Another way of picking begins anew; connections are not counted over.
            self.members.clear();
            *self.door.pool.write().unwrap_or_else(PoisonError::into_inner) = pool(wanted);
            applied.changes += 1;
        }
        let pool = self
            .door
            .pool
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let front = wanted.front;
        let members = &mut self.members;
        pool.update(|edits| {
            for real in &wanted.real_servers {
                let spec = spec(real);
                let outcome = match members.get_mut(&real.address) {
                    Some((_, before, _)) if before == real => continue,
                    Some((id, before, _)) => edits.edit(*id, spec).map(|()| *before = *real),
                    None => {
                        let peer = Arc::new(Peer::new(real.address));
                        edits.add(Arc::clone(&peer), spec).map(|id| {
                            members.insert(real.address, (id, *real, peer));
                        })
                    }
                };
                match outcome {
                    Ok(()) => applied.changes += 1,
                    Err(error) => applied
                        .refused
                        .push(format!("{front}: {}: {error}", real.address)),
                }
            }
            members.retain(|address, (id, _, _)| {
                let stays = wanted.real_servers.iter().any(|real| real.address == *address);
                if !stays {
                    applied.changes += 1;
                    // An identifier of ours is always known.
                    let _ = edits.remove(*id);
                }
                stays
            });
        });
        self.desired = wanted.clone();
    }
}

impl DataPlane for ProxyPlane {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn reconcile(&mut self, desired: &DesiredTable, _: Extent) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        if !desired.synchronization.is_empty() {
            applied
                .refused
                .push("the proxy shares no connections with another director".to_owned());
        }
        let mut carried = Vec::new();
        for server in &desired.virtual_servers {
            match self.objection(server) {
                Some(objection) => applied.refused.push(objection),
                None => carried.push(server),
            }
        }
        self.services.retain(|front, service| {
            let stays = carried.iter().any(|server| server.front == *front);
            if !stays {
                applied.changes += 1;
                service.listener.abort();
            }
            stays
        });
        for server in carried {
            let is_listening = self
                .services
                .get(&server.front)
                .is_some_and(|service| service.desired == *server && !service.listener.is_finished());
            if is_listening {
                continue;
            }
            if let Err(error) = self.settle(server, &mut applied) {
                applied
                    .refused
                    .push(format!("{}: cannot listen: {error}", server.front));
            }
        }
        Ok(applied)
    }

    fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
        let services = self.services.iter().map(|(front, service)| {
            let members = service.members.values().map(|(_, real, peer)| RealCounters {
                address: real.address,
                weight: real.weight,
                active: peer.tally.open(),
                inactive: 0,
                traffic: peer.tally.traffic(),
            });
            ServerCounters {
                front: *front,
                traffic: service.door.tally.traffic(),
                real_servers: members.collect(),
            }
        });
        Ok(services.collect())
    }
}

impl Drop for ProxyPlane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for ProxyPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProxyPlane")
            .field("services", &self.services.len())
            .finish_non_exhaustive()
    }
}

/// An empty pool that picks as the virtual server says. Like the kernel, it has the newest first.
fn pool(server: &DesiredServer) -> SharedPool<Arc<Peer>> {
    let flags = server.scheduling.flags;
    let kind = server.scheduling.name.parse().unwrap_or(SchedulerKind::Wlc);
    let mut options = Options::default()
        .order(Order::NewestFirst)
        .hash(flags & 1 != 0, flags & 2 != 0);
    if let Some(wanted) = &server.persistence {
        let (v4, v6) = match wanted.granularity {
            Granularity::Address => (32, 128),
            Granularity::Prefix(bits) => (bits, bits),
            Granularity::Netmask(mask) => (u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32), 128),
        };
        let timeout = Duration::from_secs(wanted.seconds.into());
        options = options.persistence(lvs_sched::Persistence::new(timeout).prefixes(v4, v6));
    }
    SharedPool::with_options(kind, &options)
}

fn spec(real: &DesiredReal) -> Spec {
    Spec::new(real.weight)
        .thresholds(real.upper_threshold, real.lower_threshold)
        .address(real.address)
}

/// Listens on an address that this host may not hold yet.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Each takes two descriptors; half of what there are is left to everything else.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(1 << 20);
    (limit / 4).clamp(16, 1 << 20)
}

const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests;
