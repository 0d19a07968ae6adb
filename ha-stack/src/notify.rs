//! Telling people and programs what happened.

mod courier;
pub(crate) mod event;
mod fifo;
#[cfg(feature = "mail")]
mod mail;
mod queue;
mod script;

use std::sync::mpsc;

use crate::error::Error;

pub use courier::Courier;
pub use event::{Event, EventKind, NotifyState, Object};
pub use fifo::FifoNotifier;
#[cfg(feature = "mail")]
pub use mail::{MailNotifier, MailSettings};
pub use queue::EventQueue;
pub use script::{Hooks, ScriptNotifier};

/// Somebody who wants to know.
///
/// A [`Courier`] gives each notifier a thread of its own, so an implementation may take its time; while it does, the
/// events behind it wait, and merge when there are too many.
pub trait Notifier: Send {
    /// Passes on one event.
    ///
    /// # Errors
    /// [`Error::NotYet`] if the event should be offered again, unless a newer one has taken its place by then. Anything
    /// else is logged, and the event is lost for this notifier.
    fn notify(&mut self, event: &Event) -> Result<(), Error>;
}

/// Passes events to another part of the program, waiting when the channel is full.
impl Notifier for mpsc::SyncSender<Event> {
    fn notify(&mut self, event: &Event) -> Result<(), Error> {
        match self.try_send(event.clone()) {
            Ok(()) => Ok(()),
            Err(mpsc::TrySendError::Full(_)) => {
                std::thread::sleep(CHANNEL_PAUSE);
                Err(Error::NotYet)
            }
            Err(mpsc::TrySendError::Disconnected(_)) => Err(Error::Closed),
        }
    }
}

/// Before a full channel is tried again.
const CHANNEL_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_full_or_closed() {
        let (mut sender, receiver) = mpsc::sync_channel(1);
        let event = event::tests::state("VI_1", NotifyState::Master);
        sender.notify(&event).unwrap();
        assert!(matches!(sender.notify(&event), Err(Error::NotYet)));
        assert_eq!(receiver.recv().unwrap(), event);
        drop(receiver);
        assert!(matches!(sender.notify(&event), Err(Error::Closed)));
    }
}
