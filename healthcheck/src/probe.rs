//! One's own check.

use core::fmt;
use core::future::Future;
use core::hash::{Hash, Hasher};
use core::pin::Pin;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::outcome::Sample;

/// One attempt against one target, written by the user. Write it as `async fn probe`.
///
/// The future runs on the executor of the checker: by default one thread for all custom probes, which is not that of the
/// built-in ones. It is dropped when its deadline has passed. A probe that blocks holds up other custom probes; they
/// are then inconclusive, not down. A probe that panics has failed.
pub trait Probe: Send + Sync + 'static {
    /// Makes one attempt.
    fn probe(&self, attempt: Context) -> impl Future<Output = Sample> + Send;
}

/// What an attempt has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// Where.
    pub addr: SocketAddr,
    /// How long it may take in all.
    pub timeout: Duration,
    /// How many conclusive attempts there were before it.
    pub samples: u32,
}

impl Context {
    pub(crate) const fn new(addr: SocketAddr, timeout: Duration, samples: u32) -> Self {
        Self {
            addr,
            timeout,
            samples,
        }
    }
}

/// A [`Probe`] as a value: cheap to clone, equal to its clones.
#[derive(Clone)]
pub struct CustomProbe(Arc<Box<dyn DynProbe>>);

impl CustomProbe {
    /// Makes a probe of a type that implements [`Probe`].
    pub fn new(probe: impl Probe) -> Self {
        // Boxed within, so that a check is small: nearly all of them are of other kinds.
        Self(Arc::new(Box::new(Typed(Arc::new(probe)))))
    }

    pub(crate) fn attempt(&self, context: Context) -> BoxFuture<Sample> {
        self.0.attempt(context)
    }
}

impl<P: Probe> From<P> for CustomProbe {
    fn from(probe: P) -> Self {
        Self::new(probe)
    }
}

impl fmt::Debug for CustomProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomProbe")
    }
}

impl PartialEq for CustomProbe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CustomProbe {}

impl Hash for CustomProbe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// A future that can be stored.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The form of [`Probe`] that can be stored, which the trait itself cannot be while `async fn` is not dyn compatible.
trait DynProbe: Send + Sync {
    fn attempt(&self, context: Context) -> BoxFuture<Sample>;
}

struct Typed<P>(Arc<P>);

impl<P: Probe> DynProbe for Typed<P> {
    fn attempt(&self, context: Context) -> BoxFuture<Sample> {
        let probe = self.0.clone();
        Box::pin(async move { probe.probe(context).await })
    }
}
