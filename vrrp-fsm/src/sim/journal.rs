use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use vrrp_proto::Envelope;

use super::HostPlan;
use crate::{
    Datagram, Event, Input, Instant, InterfaceId, Output, RouterId, TrackId, TrackStatus, VrrpRouter,
};

/// Everything that happened to one host, with its time, and what came of it. Replaying it gives the same outputs, since
/// the virtual routers are a function of nothing else.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    now: Instant,
    happening: Happening,
    outputs: Vec<(RouterId, Output)>,
}

/// Something that happened to a host.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "who replays a journal has to know them all"
)]
pub enum Happening {
    /// A new process with these virtual routers, none of them started.
    ProcessStarted(HostPlan),
    /// A packet arrived.
    Packet {
        /// From which segment.
        segment: u8,
        /// What its IP header said.
        envelope: Envelope,
        /// The VRRP message.
        message: Arc<[u8]>,
        /// When it reached the host, by the host's clock.
        received: Instant,
    },
    /// The time that the virtual routers asked for came.
    Timeout,
    /// An input for one virtual router.
    Input {
        /// Which, in the order of the plan.
        member: usize,
        /// The input.
        input: Input,
    },
    /// An interface went up or down.
    Interface {
        /// The segment it leads to.
        segment: u8,
        /// Whether it is up.
        up: bool,
    },
    /// A tracked object reported.
    Track {
        /// Which.
        id: u8,
        /// What.
        status: TrackStatus,
    },
}

impl Happening {
    /// Gives it to the virtual routers of a host.
    pub(super) fn give(
        &self,
        router: &mut VrrpRouter,
        members: &[RouterId],
        now: Instant,
    ) -> Result<(), String> {
        match self {
            Self::ProcessStarted(_) => {}
            Self::Packet {
                segment,
                envelope,
                message,
                received,
            } => {
                let datagram = Datagram {
                    interface: InterfaceId((*segment).into()),
                    envelope: *envelope,
                    message,
                    received: *received,
                };
                // A discard is an answer, not a failure.
                let _ = router.handle_packet(now, &datagram);
            }
            Self::Timeout => router.handle_timeout(now),
            Self::Input { member, input } => {
                if let Some(id) = members.get(*member) {
                    router
                        .handle_input(now, *id, input.clone())
                        .map_err(|error| format!("{input:?}: {error}"))?;
                }
            }
            Self::Interface { segment, up } => {
                router.handle_interface(now, InterfaceId((*segment).into()), *up)
            }
            Self::Track { id, status } => router.handle_track(now, TrackId((*id).into()), *status),
        }
        Ok(())
    }
}

/// A replay that did not give what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The number of the entry.
    pub entry: usize,
    /// What was recorded and what came of it now.
    pub what: String,
}

impl Journal {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What happened, with its time by the host's clock.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &Happening)> {
        self.entries.iter().map(|entry| (entry.now, &entry.happening))
    }

    /// What came of it, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (Instant, &Output)> {
        self.entries
            .iter()
            .flat_map(|entry| entry.outputs.iter().map(|(_, output)| (entry.now, output)))
    }

    /// What a person would have been told, in order.
    pub fn events(&self) -> impl Iterator<Item = (Instant, &Event)> {
        self.outputs().filter_map(|(now, output)| {
            if let Output::Event(event) = output {
                Some((now, event))
            } else {
                None
            }
        })
    }

    /// Does it all again on new virtual routers of the host with this number.
    ///
    /// # Errors
    ///
    /// The first [`Mismatch`] with what was recorded.
    pub fn replay(&self, host: u8) -> Result<(), Mismatch> {
        let mut router = VrrpRouter::new();
        let mut members = Vec::new();
        for (number, entry) in self.entries.iter().enumerate() {
            let mismatch = |what| Mismatch { entry: number, what };
            if let Happening::ProcessStarted(plan) = &entry.happening {
                (router, members) = rebuild(entry.now, host, plan).map_err(mismatch)?;
                continue;
            }
            entry
                .happening
                .give(&mut router, &members, entry.now)
                .map_err(mismatch)?;
            let outputs: Vec<_> = core::iter::from_fn(|| router.poll_output()).collect();
            if outputs != entry.outputs {
                return Err(mismatch(format!("recorded {:?}, now {outputs:?}", entry.outputs)));
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, now: Instant, happening: Happening) {
        self.entries.push(Entry {
            now,
            happening,
            outputs: Vec::new(),
        });
    }

    pub(super) fn note_outputs(&mut self, outputs: &[(RouterId, Output)]) {
        if let Some(entry) = self.entries.last_mut() {
            entry.outputs = outputs.to_vec();
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "entry {}: {}", self.entry, self.what)
    }
}

/// The virtual routers of a plan, in their sync groups, none of them started.
pub(super) fn rebuild(
    now: Instant,
    host: u8,
    plan: &HostPlan,
) -> Result<(VrrpRouter, Vec<RouterId>), String> {
    let mut router = VrrpRouter::new();
    let mut members = Vec::new();
    for member in &plan.members {
        let parameters = member.parameters().map_err(|error| format!("plan: {error}"))?;
        let interface = InterfaceId(member.segment.into());
        let id = router.add(interface, parameters, Some(member.primary(host)));
        members.push(id.map_err(|error| format!("plan: {error}"))?);
    }
    let mut groups: Vec<u8> = plan.members.iter().filter_map(|member| member.group).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let in_group = plan
            .members
            .iter()
            .zip(&members)
            .filter(|(member, _)| member.group == Some(group));
        let ids: Vec<RouterId> = in_group.map(|(_, id)| *id).collect();
        router
            .add_sync_group(now, &ids)
            .map_err(|error| format!("plan: {error}"))?;
    }
    Ok((router, members))
}
