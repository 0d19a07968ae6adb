//! What runs: the virtual routers, and what is known of what they track.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use vrrp_fsm::{Parameters, Track, TrackId, TrackStatus};
use vrrp_net::RouterHandle;

use crate::error::Error;
use crate::notify::Courier;
use crate::plan::{FifoPlan, Plan, SyncGroupPlan, TrackedObject, VirtualRouterPlan};
use crate::vrrp::{NO_PEER, START_DELAY};

#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) routers: Vec<Router>,
    pub(crate) groups: Vec<SyncGroupPlan>,
    pub(crate) fifos: Vec<(FifoPlan, Arc<Courier>)>,
    #[cfg(feature = "mail")]
    pub(crate) mail: Option<Mail>,
    /// What was asked for, but for the virtual routers.
    pub(crate) plan: Plan,
    pub(crate) tracks: Tracks,
    pub(crate) start: StartDelay,
}

/// The mail notifier with what it was made from.
#[cfg(feature = "mail")]
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) settings: crate::notify::MailSettings,
    pub(crate) objects: std::collections::HashSet<crate::notify::Object>,
    pub(crate) courier: Arc<Courier>,
}

/// The wait before anything is elected.
#[derive(Debug, Default)]
pub(crate) enum StartDelay {
    /// No plan with virtual routers was there yet.
    #[default]
    NotBegun,
    /// There was none.
    None,
    /// It has begun, and is over when this is dropped or told so. What tracks it goes on doing so.
    Begun(Option<mpsc::Sender<()>>),
}

/// One virtual router that runs.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) serial: u64,
    pub(crate) handle: RouterHandle,
    pub(crate) target: Target,
}

/// One virtual router as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) plan: VirtualRouterPlan,
    pub(crate) parameters: Parameters,
}

impl Target {
    /// Checks a virtual router's plan, tracks included.
    pub(crate) fn new(mut plan: VirtualRouterPlan, tracks: &mut Tracks) -> Result<Self, Error> {
        let tracked = plan
            .tracks
            .iter()
            .map(|track| {
                let built = Track::new(tracks.number(&track.object), track.weight)?;
                Ok(if track.reverse { built.reversed() } else { built })
            })
            .collect::<Result<Vec<_>, vrrp_fsm::Error>>()
            .map_err(vrrp_net::Error::from)?;
        plan.instance = plan
            .instance
            .parameters(move |builder| builder.tracks(tracked.iter().copied()));
        let parameters = plan.instance.to_parameters()?;
        Ok(Self { plan, parameters })
    }

    pub(crate) fn name(&self) -> &str {
        self.plan.instance.name()
    }

    /// Whether this host is the owner of its addresses and in a sync group.
    pub(crate) fn is_grouped_owner(&self) -> bool {
        self.parameters.priority().is_owner() && self.plan.instance.group().is_some()
    }

    /// Whether the two differ in nothing that the election acts upon.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        // The parameters hold everything of the instance that its own text does not show. The name is for people.
        let shown = |target: &Self| {
            let name = format!("name: {:?}, ", target.name());
            format!("{:?}", target.plan.instance).replacen(&name, "", 1)
        };
        self.parameters == other.parameters
            && self.plan.secret == other.plan.secret
            && shown(self) == shown(other)
    }

    /// Whether this can become `other` without being shut down: keepalived recognises a virtual router by VRID, family,
    /// interface and whether it has unicast peers.
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        let identity = |target: &Self| {
            (
                target.parameters.vrid(),
                target.parameters.family(),
                target.plan.instance.interface().to_owned(),
                std::mem::discriminant(target.parameters.delivery()),
            )
        };
        identity(self) == identity(other)
    }
}

/// The numbers that the election knows tracked objects by, and what was last reported of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracks {
    numbers: HashMap<TrackedObject, TrackId>,
    known: HashMap<TrackedObject, TrackStatus>,
}

impl Tracks {
    /// An object keeps its number for as long as the program runs.
    pub(crate) fn number(&mut self, object: &TrackedObject) -> TrackId {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(object.clone()).or_insert(TrackId(next))
    }

    /// What was reported of an object. Returns its number.
    pub(crate) fn report(&mut self, object: TrackedObject, status: TrackStatus) -> TrackId {
        let number = self.number(&object);
        self.known.insert(object, status);
        number
    }

    /// Everything that was reported, by number.
    pub(crate) fn reported(&self) -> impl Iterator<Item = (TrackId, TrackStatus)> {
        self.known
            .iter()
            .filter_map(|(object, status)| Some((*self.numbers.get(object)?, *status)))
    }

    pub(crate) fn known(&self, object: &TrackedObject) -> Option<TrackStatus> {
        self.known.get(object).copied()
    }

    /// Forgets what is not tracked any more, so that it has to report anew when it is tracked again.
    pub(crate) fn retain(&mut self, mut tracked: impl FnMut(&TrackedObject) -> bool) {
        self.known.retain(|object, _| tracked(object));
    }

    /// What the numbers mean, for people.
    pub(crate) fn names(&self) -> HashMap<TrackId, String> {
        self.numbers
            .iter()
            .map(|(object, number)| {
                let name = match object {
                    TrackedObject::Start => START_DELAY.to_owned(),
                    TrackedObject::Peer => NO_PEER.to_owned(),
                    TrackedObject::Script(_)
                    | TrackedObject::File(_)
                    | TrackedObject::Process(_)
                    | TrackedObject::Interface(_) => format!("{} {}", object.kind(), object.name()),
                };
                (*number, name)
            })
            .collect()
    }
}

impl Running {
    /// Every notifier that is not a script.
    pub(crate) fn couriers(&self) -> Vec<Arc<Courier>> {
        let couriers = self.fifos.iter().map(|(_, courier)| Arc::clone(courier));
        #[cfg(feature = "mail")]
        let couriers = couriers.chain(self.mail.iter().map(|mail| Arc::clone(&mail.courier)));
        couriers.collect()
    }

    /// The plans of the virtual routers that run.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &VirtualRouterPlan> {
        self.routers.iter().map(|router| &router.target.plan)
    }

    pub(crate) fn router(&self, name: &str) -> Option<&Router> {
        self.routers.iter().find(|router| router.target.name() == name)
    }

    /// Every object that a virtual router tracks, each once, in the order of the plan.
    pub(crate) fn tracked(&self) -> Vec<TrackedObject> {
        let mut objects = Vec::new();
        for track in self.routers.iter().flat_map(|router| &router.target.plan.tracks) {
            if !objects.contains(&track.object) {
                objects.push(track.object.clone());
            }
        }
        objects
    }
}
