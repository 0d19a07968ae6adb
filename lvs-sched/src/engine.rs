//! Any scheduler, the built-in ones without a virtual call.

use alloc::boxed::Box;
#[cfg(feature = "std")]
use alloc::vec::Vec;

use crate::backend::BackendId;
use crate::backends::Backends;
use crate::dh::Dh;
use crate::environment::{Environment, Instant};
use crate::flow::Flow;
use crate::fo::Fo;
use crate::kind::SchedulerKind;
use crate::lblc::Lblc;
use crate::lblcr::Lblcr;
use crate::lc::Lc;
use crate::mh::Mh;
use crate::nq::Nq;
use crate::options::Options;
use crate::ovf::Ovf;
use crate::rr::Rr;
use crate::scheduler::{Event, Scheduler};
use crate::sed::Sed;
use crate::sh::Sh;
use crate::table::Hashed;
use crate::twos::Twos;
use crate::wlc::Wlc;
use crate::wrr::Wrr;

#[derive(Debug)]
pub(crate) enum Engine {
    Rr(Rr),
    Wrr(Wrr),
    Lc(Lc),
    Wlc(Wlc),
    Lblc(Lblc),
    Lblcr(Lblcr),
    Dh(Hashed<Dh>),
    Sh(Hashed<Sh>),
    Mh(Hashed<Mh>),
    Sed(Sed),
    Nq(Nq),
    Fo(Fo),
    Ovf(Ovf),
    Twos(Twos),
    Own(Box<dyn Scheduler>),
}

impl Engine {
    pub(crate) fn new(kind: SchedulerKind, options: &Options, now: Instant) -> Self {
        match kind {
            SchedulerKind::Rr => Self::Rr(Rr::default()),
            SchedulerKind::Wrr => Self::Wrr(Wrr::default()),
            SchedulerKind::Lc => Self::Lc(Lc::default()),
            SchedulerKind::Wlc => Self::Wlc(Wlc::default()),
            SchedulerKind::Lblc => Self::Lblc(Lblc::new(options, now)),
            SchedulerKind::Lblcr => Self::Lblcr(Lblcr::new(options, now)),
            SchedulerKind::Dh => Self::Dh(Hashed::new(Dh::new(options))),
            SchedulerKind::Sh => Self::Sh(Hashed::new(Sh::new(options))),
            SchedulerKind::Mh => Self::Mh(Hashed::new(Mh::new(options))),
            SchedulerKind::Sed => Self::Sed(Sed::default()),
            SchedulerKind::Nq => Self::Nq(Nq::default()),
            SchedulerKind::Fo => Self::Fo(Fo::default()),
            SchedulerKind::Ovf => Self::Ovf(Ovf::default()),
            SchedulerKind::Twos => Self::Twos(Twos::default()),
        }
    }

    /// Does now what the next choice would have to do first.
    pub(crate) fn refresh(&mut self, backends: &Backends) {
        match self {
            Self::Dh(table) => table.refresh(backends),
            Self::Sh(table) => table.refresh(backends),
            Self::Mh(table) => table.refresh(backends),
            _ => {}
        }
    }
}

/// Round robin, whose picks are known beforehand while nobody can become overloaded.
#[cfg(feature = "std")]
impl Engine {
    /// The slots of the picks to come, of which the last is followed by the first again. None if they depend on more than
    /// the list, or in `wrr` are more than `limit`.
    pub(crate) fn turns(&self, backends: &Backends, limit: usize) -> Option<Vec<u32>> {
        let mut weighty = backends.iter().filter(|backend| backend.weight() > 0);
        if weighty.any(|backend| backend.record.upper > 0 || !backend.eligible()) {
            return None;
        }
        match self {
            Self::Rr(rr) => {
                let period = backends.iter().filter(|backend| backend.weight() > 0).count();
                let mut rr = rr.clone();
                Some(
                    (0..period)
                        .filter_map(|_| Some(rr.turn(backends)?.slot))
                        .collect(),
                )
            }
            Self::Wrr(wrr) => {
                let period = wrr.period(backends);
                let mut wrr = (period <= limit as u64).then(|| wrr.clone())?;
                Some(
                    (0..period)
                        .filter_map(|_| Some(wrr.turn(backends)?.slot))
                        .collect(),
                )
            }
            _ => None,
        }
    }

    /// Lets `taken` picks pass, which others made by [`Self::turns`]. After the first the state repeats with the picks.
    pub(crate) fn pass(&mut self, backends: &Backends, taken: u64, period: usize) {
        let rest = match taken.checked_sub(1) {
            Some(before) => before % (period.max(1) as u64) + 1,
            None => 0,
        };
        for _ in 0..rest {
            match self {
                Self::Rr(rr) => drop(rr.turn(backends)),
                Self::Wrr(wrr) => drop(wrr.turn(backends)),
                _ => {}
            }
        }
    }
}

/// The same expression for whichever scheduler it is.
macro_rules! each {
    ($engine:expr, $scheduler:ident => $expression:expr) => {
        match $engine {
            Engine::Rr($scheduler) => $expression,
            Engine::Wrr($scheduler) => $expression,
            Engine::Lc($scheduler) => $expression,
            Engine::Wlc($scheduler) => $expression,
            Engine::Lblc($scheduler) => $expression,
            Engine::Lblcr($scheduler) => $expression,
            Engine::Dh($scheduler) => $expression,
            Engine::Sh($scheduler) => $expression,
            Engine::Mh($scheduler) => $expression,
            Engine::Sed($scheduler) => $expression,
            Engine::Nq($scheduler) => $expression,
            Engine::Fo($scheduler) => $expression,
            Engine::Ovf($scheduler) => $expression,
            Engine::Twos($scheduler) => $expression,
            Engine::Own($scheduler) => $expression,
        }
    };
}

impl Scheduler for Engine {
    #[inline]
    fn update(&mut self, backends: &Backends, event: Event<'_>) {
        each!(self, scheduler => scheduler.update(backends, event));
    }

    #[inline]
    fn select(
        &mut self,
        backends: &Backends,
        flow: &Flow,
        environment: &mut dyn Environment,
    ) -> Option<BackendId> {
        each!(self, scheduler => scheduler.select(backends, flow, environment))
    }
}
