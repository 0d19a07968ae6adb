//! What threads look at instead of the state under the lock: what the choices of one moment follow from.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::backend::BackendId;
use crate::dh::Dh;
use crate::engine::Engine;
use crate::flow::Flow;
use crate::mh::Mh;
use crate::pool_core::Core;
use crate::sh::Sh;
use crate::shared::{Node, Nodes};
use crate::table::{Availability, Table};
use crate::tickets::Tickets;

/// The back ends by slot, and how one of them is found. Never changed afterwards, but for the tickets.
pub(crate) struct Snapshot<T> {
    choice: Choice,
    nodes: Arc<Nodes<T>>,
}

enum Choice {
    /// It depends on connections.
    Locked,
    Dh(Dh),
    Sh(Sh),
    Mh(Mh),
    /// Round robin: the slots of one period in turn.
    Turns {
        tickets: Tickets,
        slots: Vec<u32>,
    },
}

/// What a snapshot says of a flow.
pub(crate) enum Found<'a, T> {
    Node(&'a Arc<Node<T>>),
    Nobody,
    /// Only the state under the lock can tell.
    Locked,
    /// An edit is under way, which ends with a new snapshot.
    Stale,
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self {
            choice: Choice::Locked,
            nodes: Arc::default(),
        }
    }
}

impl<T> Snapshot<T> {
    /// How things are after an edit.
    pub(crate) fn new(core: &mut Core, nodes: &Arc<Nodes<T>>) -> Self {
        core.engine.refresh(&core.backends);
        let choice = match &core.engine {
            Engine::Dh(hashed) => Choice::Dh(hashed.table().clone()),
            Engine::Sh(hashed) => Choice::Sh(hashed.table().clone()),
            Engine::Mh(hashed) => Choice::Mh(hashed.table().clone()),
            engine => match engine.turns(&core.backends, MAX_TURNS) {
                Some(slots) => Choice::Turns {
                    tickets: Tickets::new(),
                    slots,
                },
                None => Choice::Locked,
            },
        };
        Self {
            choice,
            nodes: nodes.clone(),
        }
    }

    /// Before an edit: nobody takes a turn any more, and the scheduler goes on after those that were taken.
    pub(crate) fn end(&self, core: &mut Core) {
        if let Choice::Turns { tickets, slots } = &self.choice {
            core.engine.pass(&core.backends, tickets.seal(), slots.len());
        }
    }

    pub(crate) const fn is_locked(&self) -> bool {
        matches!(self.choice, Choice::Locked)
    }

    /// The back end for a flow. A fixed number of steps, whatever other threads do.
    #[inline]
    pub(crate) fn find(&self, flow: &Flow, refused: &[BackendId]) -> Found<'_, T> {
        let state = |slot: u32| match self.node(slot) {
            None => Availability::Unavailable,
            Some(node) if refused.contains(&node.id) => Availability::Excluded,
            Some(node) if node.gauge.is_eligible() => Availability::Eligible,
            Some(_) => Availability::Unavailable,
        };
        let slot = match &self.choice {
            Choice::Locked => return Found::Locked,
            Choice::Dh(table) => table.lookup(flow, state),
            Choice::Sh(table) => table.lookup(flow, state),
            Choice::Mh(table) => table.lookup(flow, state),
            Choice::Turns { tickets, slots } => return self.turn(tickets, slots, refused),
        };
        match slot.and_then(|slot| self.node(slot)) {
            Some(node) => Found::Node(node),
            None => Found::Nobody,
        }
    }

    /// Whose turn it is, those left out who have refused this flow.
    #[inline]
    fn turn(&self, tickets: &Tickets, slots: &[u32], refused: &[BackendId]) -> Found<'_, T> {
        for _ in slots {
            let Some(ticket) = tickets.take() else {
                return Found::Stale;
            };
            let slot = slots[(ticket % slots.len() as u64) as usize];
            if let Some(node) = self.node(slot).filter(|node| !refused.contains(&node.id)) {
                return Found::Node(node);
            }
        }
        Found::Nobody
    }

    #[inline]
    fn node(&self, slot: u32) -> Option<&Arc<Node<T>>> {
        self.nodes.get(slot as usize)?.as_ref()
    }
}

/// Where the period of `wrr` is longer, picks take the lock: a table of it would take long to fill.
const MAX_TURNS: usize = 1 << 16;
