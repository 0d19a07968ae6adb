//! The election, and who listens to what it is told.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
#[cfg(feature = "auth-hmac")]
use std::time::Duration;

use vrrp_fsm::{
    Datagram, Discard, GroupId, Input, Instant, InterfaceId, Output, Parameters, RouterId, TrackId,
    TrackStatus, VrrpRouter,
};
use vrrp_proto::{Envelope, Priority};

/// Sees everything that the election is told, as it is told: enough to tell it again to another
/// [`VrrpRouter`], which then decides the same. A journal is written with it.
///
/// It is called on the thread of the election, just before the election hears of it (where the answer is a number, just
/// after), and must not block: a journal hands what it is given to a thread of its own. Strangers on the link decide how many packets there are, so a journal has to be
/// bounded.
pub trait Recorder: fmt::Debug + Send {
    /// The election is told this at `now`.
    fn record(&mut self, now: Instant, told: &Told<'_>);
}

/// What the election can be told. Each is one call of a method of [`VrrpRouter`]; made in this order on a new one, they
/// lead to the same decisions.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Told<'a> {
    /// [`VrrpRouter::add`]: a virtual router, which is told of by `router` from now on.
    Added {
        /// What it is called by.
        router: RouterId,
        /// The name of its [`Instance`](crate::Instance).
        name: &'a str,
        /// The name of its interface.
        interface_name: &'a str,
        /// What the interface is called by.
        interface: InterfaceId,
        /// How it was configured.
        parameters: &'a Parameters,
        /// The address it advertises from, where known.
        primary_address: Option<IpAddr>,
    },
    /// [`VrrpRouter::remove`].
    Removed(RouterId),
    /// [`VrrpRouter::add_sync_group`]: these are active together from now on.
    Grouped {
        /// What the group is called by.
        group: GroupId,
        /// Its name.
        name: &'a str,
        /// Its members.
        members: &'a [RouterId],
    },
    /// [`VrrpRouter::remove_sync_group`].
    Ungrouped(GroupId),
    /// [`VrrpRouter::handle_input`].
    Input {
        /// Whom.
        router: RouterId,
        /// What.
        input: &'a Input,
    },
    /// [`VrrpRouter::handle_packet`].
    Packet(&'a Datagram<'a>),
    /// [`VrrpRouter::handle_track`].
    Track {
        /// Which object.
        id: TrackId,
        /// Its state.
        status: TrackStatus,
    },
    /// `VrrpRouter::set_signing`. Whoever writes this down writes down the keys.
    #[cfg(feature = "auth-hmac")]
    Signed {
        /// Whom.
        router: RouterId,
        /// How; `None` for not any more.
        signing: Option<&'a vrrp_fsm::Signing>,
    },
    /// `VrrpRouter::handle_wall_clock`: the time since 1970.
    #[cfg(feature = "auth-hmac")]
    WallClock(Duration),
    /// What [`VrrpRouter::handle_packet`] said of the packet that was told of just before, where signatures are asked for: it
    /// is not to be found out from the packet alone, since it depends on keys and clocks.
    #[cfg(feature = "auth-hmac")]
    Refused(&'a Discard),
    /// [`VrrpRouter::handle_timeout`]: at least one timer was due.
    Timeout,
}

/// The election as the driver drives it: whatever changes it is recorded first.
#[derive(Debug, Default)]
pub(crate) struct Election {
    router: VrrpRouter,
    recorder: Option<Box<dyn Recorder>>,
    /// When the wall clock was told last, as long as somebody signs.
    #[cfg(feature = "auth-hmac")]
    wall_told: Option<Instant>,
    #[cfg(feature = "auth-hmac")]
    signing: std::collections::HashSet<RouterId>,
}

impl Election {
    pub(crate) fn set_recorder(&mut self, recorder: Box<dyn Recorder>) {
        self.recorder = Some(recorder);
    }

    pub(crate) fn add(
        &mut self,
        now: Instant,
        (name, interface_name): (&str, &str),
        interface: InterfaceId,
        parameters: Parameters,
    ) -> Result<RouterId, vrrp_fsm::Error> {
        let kept = self.recorder.is_some().then(|| parameters.clone());
        let router = self.router.add(interface, parameters, None)?;
        if let Some(parameters) = &kept {
            let told = Told::Added {
                router,
                name,
                interface_name,
                interface,
                parameters,
                primary_address: None,
            };
            self.record(now, &told);
        }
        Ok(router)
    }

    pub(crate) fn remove(&mut self, now: Instant, router: RouterId) -> Result<(), vrrp_fsm::Error> {
        self.record(now, &Told::Removed(router));
        #[cfg(feature = "auth-hmac")]
        self.signing.remove(&router);
        self.router.remove(now, router)
    }

    pub(crate) fn add_sync_group(
        &mut self,
        now: Instant,
        name: &str,
        members: &[RouterId],
    ) -> Result<GroupId, vrrp_fsm::Error> {
        let group = self.router.add_sync_group(now, members)?;
        self.record(now, &Told::Grouped { group, name, members });
        Ok(group)
    }

    pub(crate) fn remove_sync_group(&mut self, now: Instant, group: GroupId) -> Result<(), vrrp_fsm::Error> {
        self.record(now, &Told::Ungrouped(group));
        self.router.remove_sync_group(now, group)
    }

    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        router: RouterId,
        input: Input,
    ) -> Result<(), vrrp_fsm::Error> {
        self.record(
            now,
            &Told::Input {
                router,
                input: &input,
            },
        );
        self.router.handle_input(now, router, input)
    }

    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
    ) -> Result<RouterId, Discard> {
        self.record(now, &Told::Packet(datagram));
        let outcome = self.router.handle_packet(now, datagram);
        #[cfg(feature = "auth-hmac")]
        if let Err(discard) = &outcome
            && discard
                .router
                .is_some_and(|router| self.signing.contains(&router))
        {
            self.record(now, &Told::Refused(discard));
        }
        outcome
    }

    pub(crate) fn handle_track(&mut self, now: Instant, id: TrackId, status: TrackStatus) {
        self.record(now, &Told::Track { id, status });
        self.router.handle_track(now, id, status);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.router.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        self.record(now, &Told::Timeout);
        self.router.handle_timeout(now);
    }

    /// Writes an advertisement, signed if it has to be.
    pub(crate) fn emit(
        &mut self,
        now: Instant,
        router: RouterId,
        priority: Priority,
        envelope: &Envelope,
        buffer: &mut [u8],
    ) -> usize {
        #[cfg(feature = "auth-hmac")]
        let written = self
            .router
            .emit_advertisement(now, router, priority, envelope, buffer);
        #[cfg(not(feature = "auth-hmac"))]
        let written = match (self.router.virtual_router(router), now) {
            (Some(router), _) => router.parameters().emit_advertisement(priority, envelope, buffer),
            (None, _) => Ok(0),
        };
        written.unwrap_or(0)
    }

    #[cfg(feature = "auth-hmac")]
    pub(crate) fn set_signing(
        &mut self,
        now: Instant,
        router: RouterId,
        signing: Option<vrrp_fsm::Signing>,
    ) -> Result<(), vrrp_fsm::Error> {
        let signed = match signing {
            Some(_) => !self.signing.insert(router),
            None => self.signing.remove(&router),
        };
        if signed || signing.is_some() {
            self.record(
                now,
                &Told::Signed {
                    router,
                    signing: signing.as_ref(),
                },
            );
            self.router.set_signing(router, signing)?;
        }
        Ok(())
    }

    /// Tells the time of day when it was not told for a second: signatures carry it, and the clock may be set.
    #[cfg(feature = "auth-hmac")]
    pub(crate) fn tell_wall_clock(&mut self, now: Instant, wall: impl FnOnce() -> Duration) {
        let told = self.wall_told.map(|told| now.saturating_since(told));
        if self.signing.is_empty() || told.is_some_and(|ago| ago < Duration::from_secs(1)) {
            return;
        }
        self.wall_told = Some(now);
        let wall = wall();
        self.record(now, &Told::WallClock(wall));
        self.router
            .handle_wall_clock(now, wall.as_secs(), wall.subsec_nanos());
    }

    pub(crate) fn poll_output(&mut self) -> Option<(RouterId, Output)> {
        self.router.poll_output()
    }

    fn record(&mut self, now: Instant, told: &Told<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(now, told);
        }
    }
}

/// Looking at it changes nothing.
impl Deref for Election {
    type Target = VrrpRouter;

    fn deref(&self) -> &VrrpRouter {
        &self.router
    }
}
