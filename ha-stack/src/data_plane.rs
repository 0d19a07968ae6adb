//! The seam between what should be balanced and whoever carries the traffic.

mod ipvs;
#[cfg(feature = "proxy")]
mod proxy;
mod record;
mod table;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

pub use ipvs::IpvsPlane;
#[cfg(feature = "proxy")]
pub use proxy::ProxyPlane;
pub use table::{
    Algorithm, ConnectionTimeouts, DesiredReal, DesiredServer, DesiredTable, Forwarding, Front, Granularity,
    NotAFront, Persistence, ProxyProtocol, Synchronization, Transport, Tunnel, TunnelChecksum,
};

/// Whoever carries the traffic: makes the running load balancer equal to a desired table, and counts.
///
/// It touches only what is its own: what it is told to have, and what it had from an earlier call or an earlier life. It
/// is called from one thread at a time, and may take the time the kernel takes.
pub trait DataPlane: Send {
    /// What the status calls it: `ipvs`, `proxy` or `none`.
    fn name(&self) -> &'static str;

    /// Makes the running load balancer equal to `desired`. Connections through what stays are kept.
    ///
    /// # Errors
    /// If it is not known what runs now. The next call finds out.
    fn reconcile(&mut self, desired: &DesiredTable, extent: Extent) -> Result<Applied, Error>;

    /// What was carried.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn counters(&mut self) -> Result<Vec<ServerCounters>, Error>;

    /// Whom to tell, from any thread and at once, when a real server does not take what it is sent. A data plane that cannot
    /// see this, as the kernel's, tells nobody.
    fn report_failures(&mut self, tell: OnFailure) {
        drop(tell);
    }
}

/// Told of a virtual server and of its real server that did not take a connection or a datagram.
pub type OnFailure = Box<dyn Fn(Front, SocketAddr) + Send + Sync>;

/// How much of the table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "data planes must handle both")]
pub enum Extent {
    /// What differs from the last call.
    Changed,
    /// All of it, so that what somebody else changed meanwhile is put right.
    Whole,
}

/// What came of a reconciliation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "data planes of other crates make it")]
pub struct Applied {
    /// How many rows were added, changed or removed.
    pub changes: usize,
    /// What could not be done, a line for each thing.
    pub refused: Vec<String>,
}

/// What a virtual server has carried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "data planes of other crates make it")]
pub struct ServerCounters {
    /// Which one.
    pub front: Front,
    /// In all.
    pub traffic: Traffic,
    /// By real server.
    pub real_servers: Vec<RealCounters>,
}

/// What a real server has carried, and has now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "data planes of other crates make it")]
pub struct RealCounters {
    /// Which one.
    pub address: SocketAddr,
    /// Its weight in the table.
    pub weight: u32,
    /// Connections now.
    pub active: u64,
    /// Connections that end.
    pub inactive: u64,
    /// What it has carried.
    pub traffic: Traffic,
}

/// Counters since the start, and rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "data planes of other crates make it")]
pub struct Traffic {
    /// Connections.
    pub connections: u64,
    /// Packets towards the real server; `None` where the data plane sees none, as a proxy does of TCP.
    pub packets_in: Option<u64>,
    /// Packets back; none pass here with direct routing and tunnels.
    pub packets_out: Option<u64>,
    /// Bytes towards the real server.
    pub bytes_in: u64,
    /// Bytes back.
    pub bytes_out: u64,
    /// Connections in a second, of late.
    pub connection_rate: u64,
    /// Bytes in a second towards the real server, of late.
    pub byte_rate_in: u64,
    /// Bytes in a second back, of late.
    pub byte_rate_out: u64,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = u64::saturating_add;
        let either = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(sum(one, other)),
            (one, other) => one.or(other),
        };
        Self {
            connections: sum(self.connections, other.connections),
            packets_in: either(self.packets_in, other.packets_in),
            packets_out: either(self.packets_out, other.packets_out),
            bytes_in: sum(self.bytes_in, other.bytes_in),
            bytes_out: sum(self.bytes_out, other.bytes_out),
            connection_rate: sum(self.connection_rate, other.connection_rate),
            byte_rate_in: sum(self.byte_rate_in, other.byte_rate_in),
            byte_rate_out: sum(self.byte_rate_out, other.byte_rate_out),
        }
    }
}

/// A data plane that carries nothing: real servers are checked and told about, and that is all.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct NoPlane;

impl DataPlane for NoPlane {
    fn name(&self) -> &'static str {
        "none"
    }

    fn reconcile(&mut self, _: &DesiredTable, _: Extent) -> Result<Applied, Error> {
        Ok(Applied::default())
    }

    fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
        Ok(Vec::new())
    }
}

/// A data plane that writes down what it was told, for tests. Clones share what is written down.
#[derive(Clone, Debug, Default)]
pub struct RecordingPlane {
    tables: Arc<Mutex<Vec<DesiredTable>>>,
}

impl RecordingPlane {
    /// One that was told nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every table it was told, where it differs from the one before.
    pub fn tables(&self) -> Vec<DesiredTable> {
        self.lock().clone()
    }

    /// The last table it was told.
    pub fn last(&self) -> DesiredTable {
        self.lock().last().cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<DesiredTable>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DataPlane for RecordingPlane {
    fn name(&self) -> &'static str {
        "recording"
    }

    fn reconcile(&mut self, desired: &DesiredTable, _: Extent) -> Result<Applied, Error> {
        let mut tables = self.lock();
        let is_same = tables.last() == Some(desired);
        if !is_same {
            tables.push(desired.clone());
        }
        Ok(Applied {
            changes: usize::from(!is_same),
            refused: Vec::new(),
        })
    }

    fn counters(&mut self) -> Result<Vec<ServerCounters>, Error> {
        Ok(Vec::new())
    }
}
