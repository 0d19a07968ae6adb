//! How a checker comes to be: its limits, its engine, its thread.

use core::fmt;
use std::sync::Arc;

use crate::check::{LANE_CONNECTION, LANE_CUSTOM, LANE_SCRIPT, LANES};
use crate::checker::Checker;
use crate::engine::{Engine, Executor};
use crate::error::Error;
use crate::monitor::Monitor;
use crate::scheduler::Limits;
use crate::shared::{Key, Shared};

impl Checker<()> {
    /// How a checker should be.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<K: Key> Checker<K> {
    /// A checker with its own thread and ordinary settings.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no descriptor or thread for it.
    pub fn spawn() -> Result<Self, Error> {
        Builder::default().spawn()
    }
}

/// How a checker should be.
#[derive(Clone)]
pub struct Builder {
    limits: Limits,
    seed: u64,
    most: Option<usize>,
    per_host: Option<u32>,
    scripts: u32,
    customs: u32,
    executor: Option<Arc<dyn Executor>>,
    prepare: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Default for Builder {
    /// As many connections at once as the descriptor limit allows with an eighth to spare, no limit per host, eight
    /// scripts and 256 custom probes at once, phases of its own for every process.
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self {
            limits: Limits::default(),
            seed: RandomState::new().hash_one(0),
            most: None,
            per_host: None,
            scripts: 8,
            customs: 256,
            executor: None,
            prepare: None,
        }
    }
}

impl Builder {
    /// At most so many connections at once (and idle ones kept).
    #[must_use]
    pub const fn max_in_flight(mut self, most: usize) -> Self {
        self.most = Some(most);
        self
    }

    /// At most so many attempts at once towards one address.
    #[must_use]
    pub const fn per_host(mut self, most: u32) -> Self {
        self.per_host = Some(most);
        self
    }

    /// At most so many scripts at once.
    #[must_use]
    pub const fn max_scripts(mut self, most: u32) -> Self {
        self.scripts = most;
        self
    }

    /// At most so many custom probes at once.
    #[must_use]
    pub const fn max_custom(mut self, most: u32) -> Self {
        self.customs = most;
        self
    }

    /// What decides phases and jitter.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How turns are put together and lateness is treated.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where custom probes run.
    #[must_use]
    pub fn executor(mut self, executor: impl Executor) -> Self {
        self.executor = Some(Arc::new(executor));
        self
    }

    /// Called first on the checker's own thread: to give it a name or a priority, say.
    #[must_use]
    pub fn prepare(mut self, prepare: impl Fn() + Send + Sync + 'static) -> Self {
        self.prepare = Some(Arc::new(prepare));
        self
    }

    /// A checker with its own thread.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no descriptor or thread for it.
    pub fn spawn<K: Key>(self) -> Result<Checker<K>, Error> {
        let prepare = self.prepare.clone();
        let (shared, engine) = self.assemble()?;
        let run = move || {
            if let Some(prepare) = prepare {
                prepare();
            }
            // Waiting fails only for reasons that make all of it pointless; nobody is left to be told.
            let _ = engine.run();
        };
        let thread = std::thread::Builder::new().name("healthcheck".into()).spawn(run);
        let thread = thread.map_err(|error| Error::System("start a thread", error))?;
        Ok(Checker::new(shared, Some(thread)))
    }

    /// A checker and its engine, to be run wherever the application likes.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if there is no descriptor for it.
    pub fn build<K: Key>(self) -> Result<(Checker<K>, Engine<K>), Error> {
        let (shared, engine) = self.assemble()?;
        Ok((Checker::new(shared, None), engine))
    }

    fn assemble<K: Key>(self) -> Result<(Arc<Shared<K>>, Engine<K>), Error> {
        let most = self.descriptors();
        let mut monitor = Monitor::new(LANES, self.limits, self.seed);
        monitor.limit_lane(LANE_CONNECTION, u32::try_from(most).unwrap_or(u32::MAX));
        monitor.limit_lane(LANE_SCRIPT, self.scripts);
        monitor.limit_lane(LANE_CUSTOM, self.customs);
        if let Some(most) = self.per_host {
            monitor.limit_hosts(most);
        }
        let shared = Arc::new(Shared::new(monitor)?);
        let engine = Engine::new(shared.clone(), most, self.seed, self.executor)?;
        Ok((shared, engine))
    }

    /// How many descriptors the engine may use.
    fn descriptors(&self) -> usize {
        if let Some(most) = self.most {
            return most.max(1);
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(1 << 20);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let open = std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count);
        limit.saturating_sub(open).saturating_sub(limit / 8).max(8)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limits", &self.limits)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
