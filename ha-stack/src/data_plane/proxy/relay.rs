//! One connection: picked, carried, counted.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lvs_sched::{Flow, SharedPool};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::data_plane::Traffic;

/// Where clients of one virtual server come in.
pub(super) struct Door {
    pub(super) pool: RwLock<SharedPool<Arc<Peer>>>,
    pub(super) tally: Tally,
}

/// A real server.
pub(super) struct Peer {
    address: SocketAddr,
    pub(super) tally: Tally,
}

/// What was carried.
#[derive(Default)]
pub(super) struct Tally {
    connections: AtomicU64,
    open: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tally: Tally::default(),
        }
    }
}

impl Tally {
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Packets are the kernel's, who does not tell.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.connections.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            ..Traffic::default()
        }
    }

    fn begin(&self) -> Open<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }
}

/// Counts a connection as open while it lives.
struct Open<'a>(&'a Tally);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets clients in for as long as there are places.
pub(super) async fn accept(listener: TcpListener, door: Arc<Door>, places: Arc<Semaphore>) {
    loop {
        // Whoever finds no place waits in the kernel's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, from)) => {
                let door = Arc::clone(&door);
                tokio::spawn(async move {
                    serve(client, from, &door).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the proxy cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Connects a client to the real server that the scheduler prefers, or to the next best if that does not answer.
async fn serve(client: TcpStream, from: SocketAddr, door: &Door) {
    let _counted = door.tally.begin();
    let Ok(asked) = client.local_addr() else { return };
    let pool = door.pool.read().unwrap_or_else(PoisonError::into_inner).clone();
    // The guard counts the connection for the scheduler until it is dropped.
    for choice in pool.choices(&Flow::new(from, asked)) {
        let peer = Arc::clone(&choice);
        match timeout(CONNECT_LIMIT, TcpStream::connect(peer.address)).await {
            Ok(Ok(server)) => {
                let _counted = peer.tally.begin();
                for socket in [&client, &server] {
                    // A side that has vanished is noticed, and nothing small is held back. Neither is worth failing for.
                    let _ =
                        SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
                    let _ = socket.set_nodelay(true);
                }
                // A connection that breaks is its two ends' business.
                let _ = carry(client, server, &door.tally, &peer.tally).await;
                return;
            }
            Ok(Err(error)) => {
                tracing::debug!(real = %peer.address, %error, "offered to the next real server")
            }
            Err(_) => tracing::debug!(real = %peer.address, "no answer, offered to the next real server"),
        }
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, all: &Tally, own: &Tally) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let towards = pass(from_client, to_server, [&all.bytes_in, &own.bytes_in]);
    let back = pass(from_server, to_client, [&all.bytes_out, &own.bytes_out]);
    tokio::try_join!(towards, back).map(|_| ())
}

/// Carries one direction, and its end: who says "that was all" is still answered. Nothing is read before what was read is
/// written, so a slow reader slows the writer.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counts: [&AtomicU64; 2],
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(read @ [_, ..]) = buffer.get(..length) else {
            return to.shutdown().await;
        };
        to.write_all(read).await?;
        for count in counts {
            count.fetch_add(length as u64, Ordering::Relaxed);
        }
    }
}

const BUFFER: usize = 16 << 10;

const CONNECT_LIMIT: Duration = Duration::from_secs(3);

const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Before a system that is out of descriptors is asked again.
const PAUSE: Duration = Duration::from_millis(100);
