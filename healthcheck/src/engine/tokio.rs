//! The engine as a task of tokio, and tokio as the place of custom probes.

use std::os::fd::AsFd;

use tokio::runtime::Handle;

use super::{Engine, Executor};
use crate::error::Error;
use crate::probe::BoxFuture;
use crate::shared::Key;

impl<K: Key> Engine<K> {
    /// Runs as a task of the present tokio runtime, until the last [`Checker`](crate::Checker) is dropped.
    ///
    /// Each turn takes the worker as long as there is input to deal with, a few milliseconds with tens of thousands of
    /// targets. What delays the task delays the checks, but makes nobody down; with very many of them a thread of its own
    /// ([`Engine::run`]) is cheaper, because tokio's timers know only milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the kernel refuses to wait.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without input and time.
    pub async fn run_on_tokio(mut self) -> Result<(), Error> {
        let system = |what| move |error| Error::System(what, error);
        let descriptor = self
            .as_fd()
            .try_clone_to_owned()
            .map_err(system("duplicate the descriptor of the engine"))?;
        let input =
            crate::sys::register_with_tokio(descriptor).map_err(system("watch the engine with tokio"))?;
        while !self.shared.is_stopped() {
            let next = self.process()?;
            let ready = match next {
                Some(wait) => tokio::time::timeout(wait, input.readable()).await.ok(),
                None => Some(input.readable().await),
            };
            if let Some(ready) = ready {
                // Before the engine looks: what comes after that makes it ready again.
                ready.map_err(system("wait for input with tokio"))?.clear_ready();
            }
        }
        Ok(())
    }
}

/// Custom probes run on this runtime.
impl Executor for Handle {
    fn spawn(&self, future: BoxFuture<()>) {
        drop(Self::spawn(self, future));
    }
}
