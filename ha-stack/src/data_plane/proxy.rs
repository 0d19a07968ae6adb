//! A proxy in this process as a data plane, where the kernel has no IPVS or the user no privilege.

mod datagram;
mod door;
mod header;
mod pipes;
mod slots;
mod stream;
mod way;
mod worker;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lvs_sched::{BackendId, Options, Order as ListOrder, SchedulerKind, SharedPool, Spec};
use rustix::net::sockopt::socket_acceptconn;
use socket2::{Domain, Socket, TcpKeepalive, Type};

use crate::data_plane::proxy::door::{Door, Office, Peer, Rules};
use crate::data_plane::proxy::worker::{Inbox, Order, Worker};
use crate::data_plane::{
    Applied, ConnectionTimeouts, DataPlane, DesiredReal, DesiredServer, DesiredTable, Extent, Forwarding,
    Front, Granularity, OnFailure, RealCounters, ServerCounters, Transport,
};
use crate::error::Error;

/// A proxy for TCP and UDP within this process: it takes in what comes to the virtual server's address, and speaks to real
/// servers itself.
///
/// This is what is called full NAT: real servers see this host as their client, not the client's own address, and need no
/// address on `lo` and no route back through here. Who wants to know the client can be told by the PROXY protocol.
///
/// - A connection whose real server does not take it is offered to the next, four at most, and whoever checks real servers is
///   told ([`DataPlane::report_failures`]). One that fails three times in a row is avoided for a while.
/// - The end of each direction is passed on by itself, and a slow side slows the other. What is long is passed on within the
///   kernel (`splice`). A connection of which one direction has ended may be silent for `tcp_fin` seconds, 120 if nothing
///   else is said.
/// - UDP: a client stays with its real server until nothing has passed for `udp` seconds, 300 if nothing else is said; with
///   one-packet scheduling each datagram is scheduled by itself.
/// - Real servers of weight 0 keep the connections they have. So do those that are taken out, for five minutes
///   ([`with_farewell`](Self::with_farewell)), unless they are [cut off](DesiredServer::cut), and a virtual server that is
///   taken out.
/// - UDP: a client whose real server is taken out and has not answered it gets another one with its next datagram.
/// - There is a thread for each processor, at most 16. Connections take half of the descriptors that the process may have;
///   whoever finds no place waits in the kernel's queue, and of UDP the client that was silent for longest makes room.
///
/// SCTP, marks of the firewall and services for all ports it cannot carry, and says so.
pub struct ProxyPlane {
    workers: Vec<(Arc<Inbox>, JoinHandle<()>)>,
    office: Arc<Office>,
    everything: bool,
    services: HashMap<Front, Service>,
    timeouts: ConnectionTimeouts,
    /// Doors so far: they are at home with each worker in turn.
    doors: usize,
}

/// A virtual server that is listened for.
struct Service {
    desired: DesiredServer,
    door: Arc<Door>,
    socket: Arc<OwnedFd>,
    /// Who is in the pool, and who has left it with connections.
    members: HashMap<SocketAddr, Member>,
}

struct Member {
    peer: Arc<Peer>,
    /// As whom, and with which settings; `None` if it has left.
    place: Option<(BackendId, DesiredReal)>,
}

impl ProxyPlane {
    /// A proxy that carries virtual servers with NAT and FNAT. With `everything`, those with direct routing and tunnels
    /// too, as if they said FNAT.
    ///
    /// # Errors
    /// [`Error::System`] if the system is out of threads or descriptors.
    pub fn start(everything: bool) -> Result<Self, Error> {
        Self::with_farewell(everything, FAREWELL)
    }

    /// As [`start`](Self::start), where connections through a real server that is taken out end after `farewell`.
    ///
    /// # Errors
    /// The same.
    pub fn with_farewell(everything: bool, farewell: Duration) -> Result<Self, Error> {
        let what = "cannot start the proxy";
        let descriptors = most_descriptors();
        let office = Arc::new(Office::new((descriptors / 4).clamp(16, 1 << 20), farewell));
        let threads =
            std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST_THREADS));
        let mut plane = Self {
            workers: Vec::new(),
            office,
            everything,
            services: HashMap::new(),
            timeouts: ConnectionTimeouts::default(),
            doors: 0,
        };
        let pipes = (descriptors / 16 / threads).min(MOST_PIPES);
        for number in 0..threads {
            let inbox = Inbox::new()
                .map_err(io::Error::from)
                .map_err(Error::system(what))?;
            let inbox = Arc::new(inbox);
            let worker = Worker::new(Arc::clone(&inbox), Arc::clone(&plane.office), pipes);
            let worker = worker.map_err(io::Error::from).map_err(Error::system(what))?;
            let thread = std::thread::Builder::new().name(format!("proxy-{number}"));
            let thread = thread.spawn(move || worker.run()).map_err(Error::system(what))?;
            plane.workers.push((inbox, thread));
        }
        Ok(plane)
    }

    /// Why a virtual server cannot be carried.
    fn objection(&self, server: &DesiredServer) -> Option<String> {
        let front = &server.front;
        match front {
            Front::Mark { .. } => {
                return Some(format!(
                    "{front}: the proxy cannot see marks of the firewall; use IPVS, or name the address and the port"
                ));
            }
            Front::Address { transport, address } => {
                if *transport == Transport::Sctp {
                    return Some(format!("{front}: the proxy carries TCP and UDP; use IPVS"));
                }
                if address.port() == 0 {
                    return Some(format!("{front}: the proxy cannot listen on all ports; use IPVS"));
                }
            }
        }
        if front.is_udp() && server.proxy_protocol.is_some() {
            return Some(format!("{front}: the PROXY protocol is for TCP"));
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
        let Front::Address { address, transport } = server.front else {
            return Ok(());
        };
        let service = match self.services.get_mut(&server.front) {
            Some(service) => service,
            None => {
                let socket = Arc::new(listen(address, transport)?);
                let rules = rules(server, pool(server), self.timeouts);
                let door = Arc::new(Door::new(server.front, address, rules));
                open(&self.workers, &mut self.doors, &door, &socket);
                applied.changes += 1;
                let service = Service {
                    desired: DesiredServer {
                        real_servers: Vec::new(),
                        ..server.clone()
                    },
                    door,
                    socket,
                    members: HashMap::new(),
                };
                self.services.entry(server.front).or_insert(service)
            }
        };
        service.settle(server, self.timeouts, &self.office, applied);
        Ok(())
    }

    /// Listens again where somebody has ended that.
    fn listen_again(&mut self, applied: &mut Applied) {
        for (front, service) in &mut self.services {
            let Front::Address { address, transport } = *front else {
                continue;
            };
            let is_over = |socket| matches!(socket_acceptconn(socket), Ok(false));
            if transport != Transport::Tcp || !is_over(&*service.socket) {
                continue;
            }
            match listen(address, transport) {
                Ok(socket) => {
                    service.socket = Arc::new(socket);
                    for (inbox, _) in &self.workers {
                        inbox.tell(Order::Close(*front));
                    }
                    open(&self.workers, &mut self.doors, &service.door, &service.socket);
                    applied.changes += 1;
                }
                Err(error) => applied
                    .refused
                    .push(format!("{front}: cannot listen again: {error}")),
            }
        }
    }
}

/// Has every worker let clients in by a door, at which one of them is at home, each in turn.
fn open(
    workers: &[(Arc<Inbox>, JoinHandle<()>)],
    doors: &mut usize,
    door: &Arc<Door>,
    socket: &Arc<OwnedFd>,
) {
    let home = *doors % workers.len().max(1);
    *doors += 1;
    for (number, (inbox, _)) in workers.iter().enumerate() {
        inbox.tell(Order::Open {
            door: Arc::clone(door),
            socket: Arc::clone(socket),
            home: number == home,
        });
    }
}

impl Service {
    /// Makes the pool equal to what is wanted, all at once.
    fn settle(
        &mut self,
        wanted: &DesiredServer,
        timeouts: ConnectionTimeouts,
        office: &Office,
        applied: &mut Applied,
    ) {
        let picking = |server: &DesiredServer| (server.scheduling.clone(), server.persistence.clone());
        let mut pool_now = self.door.rules().pool;
        let is_new = picking(&self.desired) != picking(wanted);
        if is_new {
            // Another way of picking begins anew: the connections there are count no more.
            pool_now = pool(wanted);
            applied.changes += 1;
        }
        let front = wanted.front;
        let members = &mut self.members;
        pool_now.update(|edits| {
            for real in &wanted.real_servers {
                let spec = spec(real);
                let member = members.entry(real.address).or_insert_with(|| Member {
                    peer: Arc::new(Peer::new(real.address)),
                    place: None,
                });
                let outcome = match &mut member.place {
                    Some((_, before)) if before == real && !is_new => continue,
                    Some((id, before)) if !is_new => edits.edit(*id, spec).map(|()| *before = *real),
                    place => {
                        member.peer.retire(None);
                        let peer = Arc::clone(&member.peer);
                        edits.add(peer, spec).map(|id| *place = Some((id, *real)))
                    }
                };
                match outcome {
                    Ok(()) => applied.changes += 1,
                    Err(error) => applied
                        .refused
                        .push(format!("{front}: {}: {error}", real.address)),
                }
            }
            for (address, member) in members.iter_mut() {
                let stays = wanted.real_servers.iter().any(|real| real.address == *address);
                if !stays && wanted.cut.contains(address) {
                    member.peer.retire(Some(office.now()));
                }
                if !stays && let Some((id, _)) = member.place.take() {
                    applied.changes += 1;
                    if !wanted.cut.contains(address) {
                        member
                            .peer
                            .retire(Some(office.now().saturating_add(office.farewell)));
                    }
                    if !is_new {
                        // An identifier of ours is always known.
                        let _ = edits.remove(id);
                    }
                }
            }
        });
        // Who has left and has nothing more is forgotten; who comes back before goes on where it was.
        members.retain(|_, member| member.place.is_some() || member.peer.tally.open() > 0);
        self.door.set(rules(wanted, pool_now, timeouts));
        self.desired = wanted.clone();
    }

    fn counters(&self) -> ServerCounters {
        let in_datagrams = self.desired.front.is_udp();
        let members = self.members.values().filter_map(|member| {
            let (_, real) = member.place.as_ref()?;
            let open = member.peer.tally.open();
            // The kernel counts what it has of UDP as inactive.
            let (active, inactive) = match in_datagrams {
                true => (0, open),
                false => (open, 0),
            };
            Some(RealCounters {
                address: real.address,
                weight: real.weight,
                active,
                inactive,
                traffic: member.peer.tally.traffic(in_datagrams),
            })
        });
        ServerCounters {
            front: self.desired.front,
            traffic: self.door.tally.traffic(in_datagrams),
            real_servers: members.collect(),
        }
    }
}

impl DataPlane for ProxyPlane {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn reconcile(&mut self, desired: &DesiredTable, extent: Extent) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        if extent == Extent::Whole {
            self.listen_again(&mut applied);
        }
        if !desired.synchronization.is_empty() {
            applied
                .refused
                .push("the proxy shares no connections with another director".to_owned());
        }
        let timeouts_differ = self.timeouts != desired.timeouts;
        self.timeouts = desired.timeouts;
        let mut carried: HashMap<Front, &DesiredServer> = HashMap::new();
        for server in &desired.virtual_servers {
            match self.objection(server) {
                Some(objection) => applied.refused.push(objection),
                None => drop(carried.insert(server.front, server)),
            }
        }
        let workers = &self.workers;
        self.services.retain(|front, _| {
            let stays = carried.contains_key(front);
            if !stays {
                applied.changes += 1;
                for (inbox, _) in workers {
                    inbox.tell(Order::Close(*front));
                }
            }
            stays
        });
        for server in &desired.virtual_servers {
            if !carried.contains_key(&server.front) {
                continue;
            }
            let known = self.services.get(&server.front);
            if !timeouts_differ && known.is_some_and(|service| service.desired == **server) {
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
        Ok(self.services.values().map(Service::counters).collect())
    }

    fn report_failures(&mut self, tell: OnFailure) {
        self.office.tell(tell);
    }
}

impl Drop for ProxyPlane {
    fn drop(&mut self) {
        for (inbox, _) in &self.workers {
            inbox.tell(Order::Stop);
        }
        for (_, thread) in self.workers.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the proxy ended in a panic");
            }
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

fn rules(server: &DesiredServer, pool: SharedPool<Arc<Peer>>, timeouts: ConnectionTimeouts) -> Rules {
    let seconds = |wanted: Option<u32>, default: u32| Duration::from_secs(wanted.unwrap_or(default).into());
    Rules {
        pool,
        one_packet: server.one_packet,
        proxy_protocol: server.proxy_protocol,
        udp_idle: seconds(timeouts.udp, UDP_IDLE),
        half_closed: seconds(timeouts.tcp_fin, HALF_CLOSED),
    }
}

/// An empty pool that picks as the virtual server says. Like the kernel, it has the newest first.
fn pool(server: &DesiredServer) -> SharedPool<Arc<Peer>> {
    let flags = server.scheduling.flags;
    let kind = server.scheduling.name.parse().unwrap_or(SchedulerKind::Wlc);
    let mut options = Options::default()
        .order(ListOrder::NewestFirst)
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
fn listen(address: SocketAddr, transport: Transport) -> io::Result<OwnedFd> {
    let kind = match transport {
        Transport::Udp => Type::DGRAM,
        Transport::Tcp | Transport::Sctp => Type::STREAM,
    };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_nonblocking(true)?;
    if transport == Transport::Udp {
        socket.bind(&address.into())?;
        return Ok(socket.into());
    }
    socket.set_reuse_address(true)?;
    // What comes in by it has these too: a client that has vanished is noticed, and nothing small is held back. Neither is
    // worth failing for.
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(stream::KEEP_ALIVE));
    let _ = socket.set_tcp_nodelay(true);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn most_descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(1 << 22)
}

const BACKLOG: i32 = 4096;

const MOST_THREADS: usize = 16;

/// Of each thread; each is two descriptors.
const MOST_PIPES: usize = 256;

const FAREWELL: Duration = Duration::from_secs(300);

/// In seconds, as the kernel's.
const UDP_IDLE: u32 = 300;
const HALF_CLOSED: u32 = 120;

#[cfg(test)]
mod tests;
