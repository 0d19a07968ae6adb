//! What a shared pool hands out.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::backend::{BackendId, Spec};
use crate::flow::Flow;
use crate::pool_core::Count;
use crate::shared::{Node, SharedPool};

/// A back end of a shared pool: its value, and its identifier. Keeps the value alive, not the connection counted.
pub struct Backend<T> {
    pub(crate) node: Arc<Node<T>>,
}

/// A counted connection to a back end, which is its value by [`Deref`]. Dropping it ends the connection.
///
/// It borrows nothing: send it to the task that carries the connection.
#[must_use = "dropping the guard at once ends the connection"]
pub struct Connection<T> {
    pub(crate) node: Arc<Node<T>>,
    /// `None` where the node itself counts.
    pub(crate) count: Option<Count>,
    pub(crate) active: bool,
}

/// Connections for one flow to one back end after the other, best first, until one accepts. See
/// [`SharedPool::choices`].
#[must_use = "nothing is picked until the iterator is asked"]
pub struct Choices<T> {
    pub(crate) pool: SharedPool<T>,
    pub(crate) flow: Flow,
    pub(crate) refused: Vec<BackendId>,
}

/// What is counted about a back end of a shared pool.
pub struct Status<T> {
    /// Which one.
    pub backend: Backend<T>,
    /// What was last said of it.
    pub spec: Spec,
    /// Active connections.
    pub active: u32,
    /// All connections.
    pub total: u32,
    /// Whether it is over its threshold.
    pub overloaded: bool,
}

impl<T> Backend<T> {
    /// Which one.
    #[must_use]
    pub fn id(&self) -> BackendId {
        self.node.id
    }
}

impl<T> Deref for Backend<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.value
    }
}

impl<T> Clone for Backend<T> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
        }
    }
}

impl<T> fmt::Debug for Backend<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Status<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("backend", &self.backend)
            .field("spec", &self.spec)
            .field("active", &self.active)
            .field("total", &self.total)
            .field("overloaded", &self.overloaded)
            .finish()
    }
}

impl<T> Connection<T> {
    /// The back end that serves it.
    #[must_use]
    pub fn id(&self) -> BackendId {
        self.node.id
    }

    /// The back end, to be kept longer than the connection.
    #[must_use]
    pub fn backend(&self) -> Backend<T> {
        Backend {
            node: self.node.clone(),
        }
    }

    /// Counts the connection among the active or the inactive ones. A TCP connection is active until it closes.
    pub fn set_active(&mut self, active: bool) {
        if self.active == active {
            return;
        }
        self.active = active;
        if let Some(count) = &mut self.count {
            self.node.shared.lock().core.set_active(count, active);
        } else {
            self.node.gauge.set_active(active);
        }
    }
}

impl<T> Deref for Connection<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.value
    }
}

impl<T> Drop for Connection<T> {
    #[inline]
    fn drop(&mut self) {
        match &self.count {
            Some(count) => drop(self.node.shared.lock().core.close(count)),
            None => self.node.close(self.active),
        }
    }
}

impl<T> fmt::Debug for Connection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

impl<T> Iterator for Choices<T> {
    type Item = Connection<T>;

    fn next(&mut self) -> Option<Connection<T>> {
        let connection = self.pool.pick_with(&self.flow, true, &self.refused)?;
        self.refused.push(connection.id());
        Some(connection)
    }
}

impl<T> fmt::Debug for Choices<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choices")
            .field("flow", &self.flow)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}
