use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};

use crate::Output;

/// The queue of outputs, allocated when there is a first one. A [`VrrpRouter`](crate::VrrpRouter) lends its own to the
/// virtual router that it drives, so that there is one for all.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "24 bytes less in each of many virtual routers, whose queue is mostly lent"
)]
pub(crate) struct Outputs(Option<Box<VecDeque<Output>>>);

impl Outputs {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.0.get_or_insert_default().push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.0.as_mut()?.pop_front()
    }

    fn iter(&self) -> impl Iterator<Item = &Output> {
        self.0.iter().flat_map(|queue| queue.iter())
    }
}

/// The same outputs; an empty queue is none.
impl PartialEq for Outputs {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Outputs {}

impl Hash for Outputs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for output in self.iter() {
            output.hash(state);
        }
    }
}
