//! The threads that watch what is tracked, and what is done about one that is stuck or dead.

use std::sync::{Arc, Weak};

use vrrp_fsm::TrackStatus;

use crate::error::Error;
use crate::plan::TrackedObject;
use crate::pulse::Patience;
use crate::supervisor::Shared;
use crate::track::{FileTracker, InterfaceTracker, ProcessTracker, ScriptTracker, Verdict, Watch};

/// They end with the supervisor.
pub(crate) struct Trackers {
    pub(crate) scripts: Kept<ScriptTracker>,
    pub(crate) files: Kept<FileTracker>,
    pub(crate) processes: Kept<ProcessTracker>,
    pub(crate) interfaces: Kept<InterfaceTracker>,
}

impl Trackers {
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self, Error> {
        Ok(Self {
            scripts: Kept::start(|live| scripts(shared, live))?,
            files: Kept::start(|live| files(shared, live))?,
            processes: Kept::start(|live| processes(shared, live))?,
            interfaces: Kept::start(|live| interfaces(shared, live))?,
        })
    }

    /// Puts another in the place of each that is stuck or dead, with nothing to watch yet. Returns whether there was one.
    pub(crate) fn tend(&mut self, shared: &Arc<Shared>) -> bool {
        let replaced = [
            self.scripts.tend("check scripts", |live| scripts(shared, live)),
            self.files.tend("tracked files", |live| files(shared, live)),
            self.processes
                .tend("tracked processes", |live| processes(shared, live)),
            self.interfaces
                .tend("tracked interfaces", |live| interfaces(shared, live)),
        ];
        replaced.contains(&true)
    }
}

/// Whether a tracker still counts: what one says that was replaced is of no interest.
type Live = Weak<()>;

fn scripts(shared: &Arc<Shared>, live: Live) -> Result<ScriptTracker, Error> {
    ScriptTracker::start(verdicts(shared, live, TrackedObject::Script))
}

fn processes(shared: &Arc<Shared>, live: Live) -> Result<ProcessTracker, Error> {
    ProcessTracker::start(verdicts(shared, live, TrackedObject::Process))
}

fn interfaces(shared: &Arc<Shared>, live: Live) -> Result<InterfaceTracker, Error> {
    InterfaceTracker::start(verdicts(shared, live, TrackedObject::Interface))
}

fn files(shared: &Arc<Shared>, live: Live) -> Result<FileTracker, Error> {
    let shared = Arc::downgrade(shared);
    FileTracker::start(move |name, value| {
        report(
            &shared,
            &live,
            TrackedObject::File(name.to_owned()),
            TrackStatus::Value(value),
        );
    })
}

fn verdicts(
    shared: &Arc<Shared>,
    live: Live,
    make: fn(String) -> TrackedObject,
) -> impl FnMut(&str, Verdict) + Send + 'static {
    let shared = Arc::downgrade(shared);
    move |name, verdict| {
        let status = match verdict {
            Verdict::Up => TrackStatus::Good,
            Verdict::Down => TrackStatus::Bad,
            Verdict::Unknown => return,
        };
        report(&shared, &live, make(name.to_owned()), status);
    }
}

fn report(shared: &Weak<Shared>, live: &Live, object: TrackedObject, status: TrackStatus) {
    if let (Some(shared), Some(_)) = (shared.upgrade(), live.upgrade()) {
        shared.report(object, status);
    }
}

/// A tracker that is looked after.
pub(crate) struct Kept<T> {
    tracker: T,
    /// Dropped when the tracker is replaced.
    live: Arc<()>,
    patience: Patience,
}

impl<T: Watch> Kept<T> {
    fn start(start: impl FnOnce(Live) -> Result<T, Error>) -> Result<Self, Error> {
        let live = Arc::new(());
        Ok(Self {
            tracker: start(Arc::downgrade(&live))?,
            live,
            patience: Patience::default(),
        })
    }

    pub(crate) fn get(&self) -> &T {
        &self.tracker
    }

    fn tend(&mut self, what: &str, start: impl FnOnce(Live) -> Result<T, Error>) -> bool {
        let Some(since) = self.patience.look(self.tracker.has_moved()) else {
            return false;
        };
        let live = Arc::new(());
        match start(Arc::downgrade(&live)) {
            Ok(fresh) => {
                tracing::error!(
                    what,
                    ?since,
                    "the thread that watches this is stuck: another takes its place"
                );
                std::mem::replace(&mut self.tracker, fresh).abandon();
                self.live = live;
                self.patience.renew();
                true
            }
            Err(error) => {
                tracing::error!(what, %error, "the thread that watches this is stuck, and there is no other");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    struct Fake {
        moves: Rc<Cell<bool>>,
        abandoned: Rc<Cell<u32>>,
        live: Live,
    }

    impl Watch for Fake {
        fn has_moved(&self) -> bool {
            self.moves.get()
        }

        fn abandon(self) {
            assert!(self.live.upgrade().is_some());
            self.abandoned.set(self.abandoned.get() + 1);
        }
    }

    #[test]
    fn one_that_does_not_move_is_replaced_and_what_it_says_then_does_not_count() {
        let (moves, abandoned) = (Rc::new(Cell::new(true)), Rc::default());
        let fake = |live| {
            Ok(Fake {
                moves: Rc::clone(&moves),
                abandoned: Rc::clone(&abandoned),
                live,
            })
        };
        let mut kept = Kept::start(fake).unwrap();
        kept.patience = Patience::new(Duration::ZERO);
        assert!(!kept.tend("it", fake));
        moves.set(false);
        let live = kept.get().live.clone();
        while !kept.tend("it", fake) {
            assert!(live.upgrade().is_some());
        }
        assert_eq!(abandoned.get(), 1);
        assert!(live.upgrade().is_none());
        assert!(kept.get().live.upgrade().is_some());
    }

    #[test]
    fn it_stays_until_there_is_another() {
        let fake = |live| {
            Ok(Fake {
                moves: Rc::default(),
                abandoned: Rc::default(),
                live,
            })
        };
        let mut kept = Kept::start(fake).unwrap();
        kept.patience = Patience::new(Duration::ZERO);
        for _ in 0..9 {
            assert!(!kept.tend("it", |_| Err(Error::UnknownName)));
        }
        assert!(kept.get().live.upgrade().is_some());
    }
}
