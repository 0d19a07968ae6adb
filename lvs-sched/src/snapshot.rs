//! What threads that hash look at: the table and the back ends of one moment, never changed afterwards.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::backend::BackendId;
use crate::dh::Dh;
use crate::engine::Engine;
use crate::flow::Flow;
use crate::mh::Mh;
use crate::sh::Sh;
use crate::shared::Node;
use crate::table::{Availability, Table};

/// A table and the back ends in it, by slot.
pub(crate) struct Snapshot<T> {
    table: Hash,
    nodes: Vec<Option<Arc<Node<T>>>>,
}

enum Hash {
    Empty,
    Dh(Dh),
    Sh(Sh),
    Mh(Mh),
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self {
            table: Hash::Empty,
            nodes: Vec::new(),
        }
    }
}

impl<T> Snapshot<T> {
    /// The table of a hashing scheduler, freshly filled.
    pub(crate) fn new(engine: &Engine, nodes: &[Option<Arc<Node<T>>>]) -> Self {
        let table = match engine {
            Engine::Dh(hashed) => Hash::Dh(hashed.table().clone()),
            Engine::Sh(hashed) => Hash::Sh(hashed.table().clone()),
            Engine::Mh(hashed) => Hash::Mh(hashed.table().clone()),
            _ => Hash::Empty,
        };
        Self {
            table,
            nodes: nodes.to_vec(),
        }
    }

    /// The back end for a flow. A fixed number of loads, whatever other threads do.
    #[inline]
    pub(crate) fn lookup(&self, flow: &Flow, refused: &[BackendId]) -> Option<&Arc<Node<T>>> {
        let state = |slot: u32| match self.node(slot) {
            None => Availability::Unavailable,
            Some(node) if refused.contains(&node.id) => Availability::Excluded,
            Some(node) if node.gauge.is_eligible() => Availability::Eligible,
            Some(_) => Availability::Unavailable,
        };
        let slot = match &self.table {
            Hash::Empty => None,
            Hash::Dh(table) => table.lookup(flow, state),
            Hash::Sh(table) => table.lookup(flow, state),
            Hash::Mh(table) => table.lookup(flow, state),
        }?;
        self.node(slot)
    }

    #[inline]
    fn node(&self, slot: u32) -> Option<&Arc<Node<T>>> {
        self.nodes.get(slot as usize)?.as_ref()
    }
}
