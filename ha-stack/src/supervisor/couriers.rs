//! What is done about a pipe or a mail notifier that is stuck.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::hub::EventHub;
use crate::notify::Courier;
use crate::plan::FifoPlan;
use crate::supervisor::Shared;
use crate::supervisor::apply::open_fifo;
#[cfg(feature = "mail")]
use crate::supervisor::apply::start_mail;

/// Puts another in the place of each that is stuck with an event, and lets it have what waits.
pub(crate) fn tend(shared: &Shared) {
    let mut running = shared.running();
    for (plan, courier) in &mut running.fifos {
        if let Some(since) = courier.look() {
            // Whoever reads the pipe goes on doing so.
            let plan = FifoPlan {
                reader: None,
                ..plan.clone()
            };
            replace(&shared.hub, "a pipe", since, courier, open_fifo(&plan));
        }
    }
    #[cfg(feature = "mail")]
    if let Some(mail) = &mut running.mail
        && let Some(since) = mail.courier.look()
    {
        let fresh = start_mail(&mail.settings, &mail.objects);
        replace(&shared.hub, "mail", since, &mut mail.courier, fresh);
    }
}

fn replace(
    hub: &EventHub,
    what: &str,
    since: Duration,
    courier: &mut Arc<Courier>,
    fresh: Result<Arc<Courier>, Error>,
) {
    match fresh {
        Ok(fresh) => {
            tracing::error!(
                what,
                ?since,
                "the thread of this is stuck: another takes its place"
            );
            hub.replace(courier, &fresh);
            *courier = fresh;
        }
        Err(error) => {
            tracing::error!(what, %error, "the thread of this is stuck, and there is no other");
        }
    }
}
