//! The inner state of a fast pool, in the words of the model.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::backend::BackendId;
use crate::engine::Engine;
use crate::pool::Pool;

/// What a pool's scheduler keeps between choices, for comparison with a [`Model`](super::Model).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// `rr` and `wrr`: the back end after which the next walk begins, if not at the front.
    pub after: Option<BackendId>,
    /// `wrr`: the level of the current round.
    pub level: i64,
    /// `lblc` and `lblcr`: the back ends for each remembered destination, newest first.
    pub remembered: Vec<(IpAddr, Vec<BackendId>)>,
}

impl State {
    /// The state of this pool.
    #[must_use]
    pub fn of<T>(pool: &Pool<T>) -> Self {
        let core = pool.core();
        let before = |start: usize| {
            let mut passed = (0..start).rev();
            passed.find_map(|position| core.backends.at(position).map(|backend| backend.id()))
        };
        let mut state = Self::default();
        match &core.engine {
            Engine::Rr(rr) => state.after = before(rr.start()),
            Engine::Wrr(wrr) => {
                state.after = before(wrr.start());
                state.level = wrr.level();
            }
            Engine::Lblc(lblc) => state.remembered = lblc.entries().collect(),
            Engine::Lblcr(lblcr) => state.remembered = lblcr.entries().collect(),
            _ => {}
        }
        state
    }
}
