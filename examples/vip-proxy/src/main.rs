//! A TCP proxy whose address survives the host: `vrrp-net` decides who holds it, `healthcheck` which back ends are
//! alive, `lvs-sched` which of them serves a connection. Nothing joins the three but this file.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use healthcheck::{Check, Checker, Event, Policy, State, TargetSpec};
use lvs_sched::{Flow, SchedulerKind, SharedPool, Spec};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use vrrp_net::{Driver, Instance, LinuxHost, VirtualAddress};
use vrrp_proto::{Priority, Vrid};

/// A TCP proxy on a virtual address
#[derive(Parser)]
struct Options {
    /// The interface that carries the virtual address
    #[arg(long)]
    interface: String,
    /// The number of the virtual router, the same on every host that shares the address
    #[arg(long, default_value_t = 51, value_parser = clap::value_parser!(u8).range(1..))]
    vrid: u8,
    /// Of the hosts that see a back end, the one with the highest priority holds the address
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u8).range(101..=254))]
    priority: u8,
    /// The virtual address and the port: ADDRESS:PORT
    #[arg(long)]
    listen: SocketAddr,
    /// rr, wrr, lc, wlc, sed, nq, sh, mh and so on
    #[arg(long, default_value = "wlc")]
    scheduler: SchedulerKind,
    /// ADDRESS:PORT, or ADDRESS:PORT=WEIGHT
    #[arg(required = true, value_parser = back_end)]
    back_ends: Vec<(SocketAddr, u32)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();

    // Which back ends are alive: all of them, until three checks in a row say otherwise.
    let pool = SharedPool::new(options.scheduler);
    let checker = Checker::spawn()?;
    let mut verdicts = checker.subscribe();
    let policy = Arc::new(Policy {
        interval: SECOND,
        timeout: SECOND,
        ..Policy::haproxy()
    });
    let mut targets = Vec::new();
    for (address, weight) in options.back_ends {
        let id = pool.add(address, Spec::new(weight).address(address))?;
        targets.push(TargetSpec::new(
            (id, address, weight),
            Check::tcp(address),
            policy.clone(),
        ));
    }
    checker.reconcile(targets);

    // Who holds the address. A host that sees no back end leaves it to one that does, if there is one.
    let seen = pool.clone();
    let some_alive = move || seen.status().iter().any(|back_end| back_end.spec.weight > 0);
    let instance = Instance::new("vip-proxy", &options.interface, Vrid::try_from(options.vrid)?)
        .priority(Priority::new(options.priority))
        .address(VirtualAddress::host(options.listen.ip()))
        .tracker(-100, SECOND / 4, some_alive);
    let mut driver = Driver::new(LinuxHost::open()?)?;
    let router = driver.add(instance)?;
    let mut states = router.states();
    let election = driver.spawn_thread()?;

    let listener = listen(options.listen)?;
    let mut connections = JoinSet::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((client, from)) => drop(connections.spawn(serve(client, from, pool.clone()))),
                Err(error) => {
                    // Out of descriptors, most likely: the queue can wait a moment.
                    eprintln!("cannot accept: {error}");
                    sleep(SECOND / 10).await;
                }
            },
            Some(_) = connections.join_next() => {}
            event = verdicts.next() => {
                let Event::Changed { key: (id, address, weight), to, .. } = event.ok_or(ENDED)? else { continue };
                println!("{address} is {to}");
                // With weight 0 it gets nothing new, and what it has goes on.
                pool.set_weight(id, if to == State::Up { weight } else { 0 })?;
            }
            change = states.next_state() => {
                println!("{}", change.ok_or(ENDED)?);
                if !router.is_active() {
                    // Whoever holds the address now knows nothing of these connections.
                    connections.abort_all();
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    // Says so with priority 0: the other host takes over at once, and the connections, whose address leaves, end.
    Ok(election.stop()?)
}

/// Connects a client to the back end that the scheduler prefers, or to the next best if that does not answer.
async fn serve(mut client: TcpStream, from: SocketAddr, pool: SharedPool<SocketAddr>) {
    // The guard counts the connection until it is dropped: before the next choice, or when the work is done.
    for back_end in pool.choices(&Flow::from_client(from)) {
        if let Ok(Ok(mut server)) = timeout(2 * SECOND, TcpStream::connect(*back_end)).await {
            for socket in [&client, &server] {
                // A peer that has vanished is noticed, and nothing small is held back. Neither is worth failing for.
                let _ = SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(60 * SECOND));
                let _ = socket.set_nodelay(true);
            }
            // Passes the end of each direction on alone, so that who says "that was all" is still answered.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

/// Listens on an address that this host may not hold yet.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

fn back_end(text: &str) -> Result<(SocketAddr, u32), Box<dyn Error + Send + Sync>> {
    let (address, weight) = text.split_once('=').unwrap_or((text, "1"));
    Ok((address.parse()?, weight.parse()?))
}

const SECOND: Duration = Duration::from_secs(1);
const ENDED: &str = "the health checks or the election have ended";
const MOST_CONNECTIONS: usize = 10_000;
