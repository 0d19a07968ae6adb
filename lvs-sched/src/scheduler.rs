//! The one seam of this crate: what picks a back end for a flow.

use core::fmt;

use crate::backend::BackendId;
use crate::backends::{Backends, Moves};
use crate::environment::Environment;
use crate::flow::Flow;

/// An algorithm that picks a back end for a flow.
///
/// The fourteen of the kernel implement it, and so can you: see `examples/own_scheduler.rs`. A pool calls
/// [`update`](Self::update) after each change, so that a scheduler may keep what makes its choice quick; one that looks
/// through [`Backends::iter`] at each choice need not.
pub trait Scheduler: fmt::Debug + Send {
    /// Something changed. `backends` is already as it is after the event.
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        let _ = (backends, event);
    }

    /// Picks a back end for a new flow, or none: the proxy then refuses the flow.
    ///
    /// Only an eligible back end may be returned ([`BackendRef::eligible`](crate::BackendRef::eligible)); the pool
    /// counts the connection afterwards, if it is to be counted.
    fn select(
        &mut self,
        backends: &Backends,
        flow: &Flow,
        environment: &mut dyn Environment,
    ) -> Option<BackendId>;
}

/// What a pool tells its scheduler.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A back end entered the list.
    Added(BackendId),
    /// The weight, thresholds or key of a back end were set, perhaps to what they were.
    Edited(BackendId),
    /// A back end left the list: it is not in [`Backends::iter`] any more. `position` is where it was.
    Removed {
        /// Which one.
        id: BackendId,
        /// The position it had.
        position: usize,
    },
    /// The connections or the overload flag of a back end in the list changed.
    Loaded(BackendId),
    /// All positions changed; the order and the back ends did not.
    Moved(&'a Moves),
}
