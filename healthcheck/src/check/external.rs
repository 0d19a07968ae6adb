//! A verdict that somebody else measures.

use core::fmt;
use core::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::outcome::{Cause, Sample};

/// What was last reported: by a BFD session, an agent on the server, another monitoring system.
///
/// It takes part in everything a probe does (rise and fall, combination, events); this crate measures nothing. Until
/// something is reported, attempts are inconclusive. This is also the place of a BFD session, which a later version may
/// bring along.
#[derive(Clone)]
pub struct External(Arc<Mutex<Option<Sample>>>);

/// The other end of an [`External`].
#[derive(Clone, Debug)]
pub struct Reporter(External);

impl External {
    /// A check, and what reports to it.
    pub fn new() -> (Self, Reporter) {
        let external = Self(Arc::new(Mutex::new(None)));
        (external.clone(), Reporter(external))
    }

    pub(crate) fn sample(&self) -> Sample {
        let reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reported.clone().unwrap_or(Sample::inconclusive(Cause::NoReport))
    }
}

impl Reporter {
    /// From now on this is what the check finds. It takes effect with the next attempt:
    /// [`Checker::check_now`](crate::Checker::check_now) makes that at once.
    pub fn report(&self, sample: Sample) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
    }

    /// Takes the report back: nothing is known again.
    pub fn retract(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("External")
    }
}

impl PartialEq for External {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for External {}

impl Hash for External {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
