//! From one plan to another, as a transaction.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use vrrp_fsm::{Parameters, TrackStatus};
use vrrp_net::Instance;

#[cfg(feature = "balance")]
use crate::balance::{Balancer, Runner};
use crate::error::Error;
use crate::fixed::FixedKeeper;
use crate::notify::{Courier, FifoNotifier, Hooks, NotifyState, Object};
#[cfg(feature = "mail")]
use crate::notify::{Event, EventKind, Notifier};
use crate::plan::{Plan, TrackPlan, TrackedObject, VirtualRouterPlan};
use crate::supervisor::Shared;
#[cfg(feature = "mail")]
use crate::supervisor::running::Mail;
use crate::supervisor::running::{Router, Running, StartDelay, Target, Tracks};
use crate::supervisor::trackers::Trackers;
use crate::vrrp::Terms;

/// Makes what runs equal to `plan`. On an error what ran before runs on.
pub(crate) fn apply(shared: &Arc<Shared>, trackers: &Trackers, mut plan: Plan) -> Result<Vec<String>, Error> {
    let mut running = shared.running();
    delay(shared, &mut running, &mut plan)?;
    // Everything that can be found wrong without changing anything.
    let mut tracks = running.tracks.clone();
    let targets = check(&plan, &mut tracks)?;
    let fifos = open_fifos(&running, &plan)?;
    #[cfg(feature = "mail")]
    let mail = mail(&running, &plan)?;
    open_keeper(shared, &plan)?;
    #[cfg(feature = "balance")]
    open_balancer(shared, &plan)?;
    running.tracks = tracks;
    let mut tracked = plan.virtual_routers.iter().flat_map(|router| &router.tracks);
    if tracked.any(|track| track.object == TrackedObject::Peer) {
        running.tracks.report(TrackedObject::Peer, TrackStatus::Bad);
    }
    let couriers = fifos.iter().map(|(_, courier)| Arc::clone(courier));
    #[cfg(feature = "mail")]
    let couriers = couriers.chain(mail.iter().map(|mail| Arc::clone(&mail.courier)));
    let couriers: Vec<Arc<Courier>> = couriers.collect();

    // Whoever comes is told about from its first event on, and whoever goes to its last.
    let mut both = hooks(&running.plan, running.plans());
    both.extend(hooks(&plan, plan.virtual_routers.iter()));
    shared.hub.set_hooks(both);
    shared.hub.add_notifiers(&couriers);
    let before: Vec<Target> = running
        .routers
        .iter()
        .map(|router| router.target.clone())
        .collect();
    let is_reload = !before.is_empty();
    shared.name_tracks(running.tracks.names());
    #[cfg_attr(
        not(feature = "balance"),
        expect(unused_mut, reason = "the load balancer has changes too")
    )]
    let mut changes = match move_to(shared, &mut running, targets) {
        Ok(changes) => changes,
        Err(error) => {
            if let Err(second) = move_to(shared, &mut running, before) {
                tracing::error!(%second, "what ran before could not be put back entirely");
            }
            shared.hub.set_hooks(hooks(&running.plan, running.plans()));
            shared.hub.set_notifiers(running.couriers());
            return Err(error);
        }
    };

    // A virtual router that is new has not heard what is known already.
    for (number, status) in running.tracks.reported() {
        shared.control.track(number, status);
    }
    running.fifos = fifos;
    #[cfg(feature = "mail")]
    {
        running.mail = mail;
    }
    shared.hub.set_notifiers(couriers);
    shared.hub.set_hooks(hooks(&plan, running.plans()));
    running.groups.clone_from(&plan.sync_groups);
    let tracked = running.tracked();
    running.tracks.retain(|object| tracked.contains(object));
    if let StartDelay::Begun(end) = &mut running.start
        && plan.start_delay.is_zero()
    {
        *end = None;
    }
    if is_reload && plan.states_on_reload {
        let pipes: Vec<Arc<Courier>> = running.fifos.iter().map(|(_, pipe)| Arc::clone(pipe)).collect();
        for state in shared.registrar.states() {
            shared.hub.repeat(state, &pipes);
        }
    }
    // Each of the virtual routers that run has its own.
    plan.virtual_routers = Vec::new();
    running.plan = plan;
    set_trackers(trackers, &running.plan, &tracked);
    #[cfg(feature = "balance")]
    changes.extend(balance(shared, &running));
    if let Some(keeper) = &*shared.fixed() {
        let plan = &running.plan;
        keeper.set(
            plan.fixed_addresses.clone(),
            plan.fixed_routes.clone(),
            plan.fixed_rules.clone(),
        );
    }
    Ok(changes)
}

/// Lets all virtual routers wait for the end of the start delay, if there is one.
fn delay(shared: &Arc<Shared>, running: &mut Running, plan: &mut Plan) -> Result<(), Error> {
    if matches!(running.start, StartDelay::NotBegun) && !plan.virtual_routers.is_empty() {
        running.start = match plan.start_delay.is_zero() {
            true => StartDelay::None,
            false => {
                tracing::info!(delay = ?plan.start_delay, "nobody is elected before the start delay is over");
                StartDelay::Begun(Some(begin_delay(shared, plan.start_delay)?))
            }
        };
    }
    if !matches!(running.start, StartDelay::Begun(_)) {
        return Ok(());
    }
    for router in &mut plan.virtual_routers {
        router.tracks.push(TrackPlan {
            object: TrackedObject::Start,
            weight: 0,
            reverse: false,
        });
    }
    Ok(())
}

/// Reports the end of the delay when it has passed, or when what is returned is dropped.
fn begin_delay(shared: &Arc<Shared>, delay: Duration) -> Result<mpsc::Sender<()>, Error> {
    let shared = Arc::downgrade(shared);
    let (sender, lifted) = mpsc::channel::<()>();
    std::thread::Builder::new()
        .name("start-delay".to_owned())
        .spawn(move || {
            // Nothing is ever sent: it ends in time or early.
            let _ = lifted.recv_timeout(delay);
            if let Some(shared) = shared.upgrade() {
                shared.report(TrackedObject::Start, TrackStatus::Good);
            }
        })
        .map_err(Error::system("cannot start a thread for the start delay"))?;
    Ok(sender)
}

/// Opens what keeps fixed addresses, routes and rules when the first plan has some.
fn open_keeper(shared: &Shared, plan: &Plan) -> Result<(), Error> {
    let mut keeper = shared.fixed();
    let wanted =
        !(plan.fixed_addresses.is_empty() && plan.fixed_routes.is_empty() && plan.fixed_rules.is_empty());
    if wanted && keeper.is_none() {
        *keeper = Some(FixedKeeper::start(vrrp_net::LinuxHost::open()?)?);
    }
    Ok(())
}

/// Checks the virtual servers, and starts what balances them when the first plan has some.
#[cfg(feature = "balance")]
fn open_balancer(shared: &Shared, plan: &Plan) -> Result<(), Error> {
    Balancer::check(&plan.virtual_servers)?;
    let mut balance = shared.balance();
    if plan.virtual_servers.is_empty() || balance.runner.is_some() {
        return Ok(());
    }
    let plane = balance.open.as_mut().ok_or(Error::NoDataPlane)?()?;
    balance.runner = Some(Arc::new(Runner::start(
        Arc::clone(&shared.hub),
        plane,
        &plan.check_scheduling,
    )?));
    Ok(())
}

/// Has the virtual servers of the plan balanced.
#[cfg(feature = "balance")]
fn balance(shared: &Shared, running: &Running) -> Vec<String> {
    let Some(runner) = shared.runner() else {
        return Vec::new();
    };
    let active = running.routers.iter().filter(|router| router.handle.is_active());
    let active = active.map(|router| router.target.name().to_owned()).collect();
    let plan = &running.plan;
    runner.configure(plan.virtual_servers.clone(), plan.balance.clone(), active)
}

fn check(plan: &Plan, tracks: &mut Tracks) -> Result<Vec<Target>, Error> {
    let mut names = HashSet::new();
    for router in &plan.virtual_routers {
        if !names.insert(router.instance.name()) {
            return Err(Error::DuplicateName);
        }
        for track in &router.tracks {
            let exists = match &track.object {
                TrackedObject::Script(name) => plan.scripts.iter().any(|script| script.name == *name),
                TrackedObject::File(name) => plan.files.iter().any(|file| file.name == *name),
                TrackedObject::Process(name) => plan.processes.iter().any(|process| process.name == *name),
                TrackedObject::Interface(_) | TrackedObject::Peer | TrackedObject::Start => true,
            };
            if !exists {
                return Err(Error::UnknownTrack);
            }
        }
    }
    plan.virtual_routers
        .iter()
        .map(|router| Target::new(router.clone(), tracks))
        .collect()
}

/// Opens the pipes that are new; those that stay are kept with what waits in them.
fn open_fifos(running: &Running, plan: &Plan) -> Result<Vec<(crate::FifoPlan, Arc<Courier>)>, Error> {
    plan.fifos
        .iter()
        .map(|wanted| {
            if let Some((_, courier)) = running.fifos.iter().find(|(known, _)| known == wanted) {
                return Ok((wanted.clone(), Arc::clone(courier)));
            }
            Ok((wanted.clone(), open_fifo(wanted)?))
        })
        .collect()
}

pub(crate) fn open_fifo(wanted: &crate::FifoPlan) -> Result<Arc<Courier>, Error> {
    let mut fifo = FifoNotifier::open(&wanted.path)?
        .with_priorities(true)
        .about(wanted.subject);
    if let Some(owner) = &wanted.owner {
        fifo = fifo.owned_by(owner)?;
    }
    if let Some(reader) = &wanted.reader {
        fifo = fifo.with_reader(reader)?;
    }
    let courier = Courier::start("fifo", fifo, CAPACITY)?;
    Ok(Arc::new(courier))
}

#[cfg(feature = "mail")]
fn mail(running: &Running, plan: &Plan) -> Result<Option<Mail>, Error> {
    let Some(settings) = &plan.mail else {
        return Ok(None);
    };
    let routers = plan.virtual_routers.iter().filter(|router| router.mail);
    let groups = plan.sync_groups.iter().filter(|group| group.mail);
    let objects = routers
        .map(|router| Object::Instance(router.instance.name().into()))
        .chain(groups.map(|group| Object::Group(group.name.as_str().into())));
    #[cfg(feature = "balance")]
    let objects = objects.chain(mailed_servers(plan));
    let objects: HashSet<Object> = objects.collect();
    if objects.is_empty() {
        return Ok(None);
    }
    if let Some(mail) = &running.mail
        && mail.settings == *settings
        && mail.objects == objects
    {
        return Ok(Some(mail.clone()));
    }
    Ok(Some(Mail {
        courier: start_mail(settings, &objects)?,
        settings: settings.clone(),
        objects,
    }))
}

#[cfg(feature = "mail")]
pub(crate) fn start_mail(
    settings: &crate::notify::MailSettings,
    objects: &HashSet<Object>,
) -> Result<Arc<Courier>, Error> {
    let notifier = Only {
        objects: objects.clone(),
        faults: settings.faults,
        inner: crate::notify::MailNotifier::new(settings)?,
    };
    Ok(Arc::new(Courier::start("mail", notifier, CAPACITY)?))
}

#[cfg(all(feature = "mail", feature = "balance"))]
fn mailed_servers(plan: &Plan) -> impl Iterator<Item = Object> {
    plan.virtual_servers.iter().flat_map(|server| {
        let reals = server.real_servers.iter().filter(|real| real.mail);
        let own = server.mail.then(|| server.object());
        reals.map(|real| real.object(server)).chain(own)
    })
}

/// Passes on the events of some objects.
#[cfg(feature = "mail")]
struct Only<N> {
    objects: HashSet<Object>,
    /// Whether faults are passed on.
    faults: bool,
    inner: N,
}

#[cfg(feature = "mail")]
impl<N: Notifier> Notifier for Only<N> {
    fn notify(&mut self, event: &Event) -> Result<(), Error> {
        let is_fault = event.kind == EventKind::State(NotifyState::Fault);
        match self.objects.contains(&event.object) && (self.faults || !is_fault) {
            true => self.inner.notify(event),
            false => Ok(()),
        }
    }
}

/// The scripts of all that have some.
fn hooks<'a>(plan: &Plan, routers: impl Iterator<Item = &'a VirtualRouterPlan>) -> HashMap<Object, Hooks> {
    let routers = routers.map(|router| {
        let object = Object::Instance(router.instance.name().into());
        (object, router.hooks.clone())
    });
    let groups = plan
        .sync_groups
        .iter()
        .map(|group| (Object::Group(group.name.as_str().into()), group.hooks.clone()));
    let hooks = routers.chain(groups);
    #[cfg(feature = "balance")]
    let hooks = hooks.chain(server_hooks(plan));
    hooks.filter(|(_, hooks)| *hooks != Hooks::default()).collect()
}

#[cfg(feature = "balance")]
fn server_hooks(plan: &Plan) -> impl Iterator<Item = (Object, Hooks)> {
    plan.virtual_servers.iter().flat_map(|server| {
        let reals = server.real_servers.iter();
        let reals = reals.filter_map(|real| {
            // Without a script nobody needs its name, which takes longer than all else here.
            let hooks = real.hooks.as_ref()?;
            Some((real.object(server), Hooks::clone(hooks)))
        });
        let own = (server.hooks != Hooks::default()).then(|| (server.object(), server.hooks.clone()));
        reals.chain(own)
    })
}

pub(crate) fn set_trackers(trackers: &Trackers, plan: &Plan, tracked: &[TrackedObject]) {
    let is_tracked = |object: TrackedObject| tracked.contains(&object);
    let scripts = plan
        .scripts
        .iter()
        .filter(|script| is_tracked(TrackedObject::Script(script.name.clone())));
    trackers.scripts.get().set_scripts(scripts.cloned().collect());
    let files = plan
        .files
        .iter()
        .filter(|file| is_tracked(TrackedObject::File(file.name.clone())));
    trackers.files.get().set_files(files.cloned().collect());
    let processes = plan
        .processes
        .iter()
        .filter(|process| is_tracked(TrackedObject::Process(process.name.clone())));
    trackers
        .processes
        .get()
        .set_processes(processes.cloned().collect());
    let interfaces = tracked.iter().filter_map(|object| match object {
        TrackedObject::Interface(name) => Some(name.clone()),
        TrackedObject::Script(_)
        | TrackedObject::File(_)
        | TrackedObject::Process(_)
        | TrackedObject::Peer
        | TrackedObject::Start => None,
    });
    trackers.interfaces.get().set_interfaces(interfaces.collect());
}

/// Makes the virtual routers that run equal to `targets`: what is gone goes first, so that what it held is free.
fn move_to(shared: &Shared, running: &mut Running, targets: Vec<Target>) -> Result<Vec<String>, Error> {
    let mut changes = Vec::new();
    let mut old: Vec<Router> = std::mem::take(&mut running.routers);
    // By name first, so that several with the same number but other peers keep their places.
    let mut matches: Vec<Option<Router>> = targets
        .iter()
        .map(|target| {
            let position = old.iter().position(|router| {
                router.target.name() == target.name() && router.target.is_identical(target)
            });
            position.map(|index| old.remove(index))
        })
        .collect();
    for (slot, target) in matches.iter_mut().zip(&targets) {
        if slot.is_none() {
            let position = old.iter().position(|router| router.target.is_identical(target));
            *slot = position.map(|index| old.remove(index));
        }
    }
    for router in old {
        changes.push(format!("{} removed", router.target.name()));
        remove(shared, &router);
    }
    let mut failure = None;
    let mut settled: Vec<(usize, Router)> = Vec::new();
    let mut in_turn: Vec<_> = matches.into_iter().zip(targets).enumerate().collect();
    // The owner of an address is active at once, unless its group has others: they have to be there first.
    in_turn.sort_by_key(|(_, (_, target))| target.is_grouped_owner());
    for (place, (slot, target)) in in_turn {
        if failure.is_some() {
            // What was not reached stays as it is, to be found by whoever puts things back.
            settled.extend(slot.map(|router| (place, router)));
            continue;
        }
        match settle(shared, slot, target, &mut changes) {
            Ok(router) => settled.push((place, router)),
            Err(unsettled) => {
                settled.extend(unsettled.router.map(|router| (place, *router)));
                failure = Some(unsettled.error);
            }
        }
    }
    settled.sort_by_key(|(place, _)| *place);
    running
        .routers
        .extend(settled.into_iter().map(|(_, router)| router));
    failure.map_or(Ok(changes), Err)
}

/// A virtual router that could not be made equal to its target; if it was there before, it is as it was.
struct Unsettled {
    error: Error,
    router: Option<Box<Router>>,
}

/// Makes one virtual router equal to its target.
fn settle(
    shared: &Shared,
    old: Option<Router>,
    target: Target,
    changes: &mut Vec<String>,
) -> Result<Router, Unsettled> {
    let Some(mut router) = old else {
        return add(shared, target, changes, "added").map_err(|error| Unsettled { error, router: None });
    };
    let is_same = router.target.is_same(&target);
    let is_renamed = router.target.name() != target.name();
    // A new name is passed on too, for the log.
    if !is_same || is_renamed {
        let configured = accepting_if_need_be(&target, changes, |instance| router.handle.configure(instance));
        match configured {
            Ok(()) => {}
            Err(vrrp_net::Error::Identity) => {
                remove(shared, &router);
                return add(shared, target, changes, "replaced")
                    .map_err(|error| Unsettled { error, router: None });
            }
            Err(error) => {
                return Err(Unsettled {
                    error: error.into(),
                    router: Some(Box::new(router)),
                });
            }
        }
    }
    if is_renamed {
        changes.push(format!("{} renamed to {}", router.target.name(), target.name()));
    }
    if !is_same {
        let differences = differences(&router.target.parameters, &target.parameters);
        changes.push(format!("{} changed: {differences}", target.name()));
    }
    router.target = target;
    shared.registrar.set_terms(router.serial, terms(&router.target));
    Ok(router)
}

fn add(shared: &Shared, target: Target, changes: &mut Vec<String>, word: &str) -> Result<Router, Error> {
    let deadline = Instant::now() + LEAVING;
    let handle = loop {
        match accepting_if_need_be(&target, changes, |instance| shared.control.add(instance)) {
            Ok(handle) => break handle,
            // The one that had this number is still giving up its addresses.
            Err(vrrp_net::Error::Parameters(vrrp_fsm::Error::DuplicateVrid { .. }))
                if Instant::now() < deadline =>
            {
                std::thread::sleep(LEAVING_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let serial = shared.registrar.add(&handle, terms(&target));
    changes.push(format!("{} {word}", target.name()));
    Ok(Router {
        serial,
        handle,
        target,
    })
}

/// Where packets cannot be kept from the addresses (`no_accept`), that is said, and they are accepted: it is no reason to
/// leave the addresses to nobody.
fn accepting_if_need_be<T>(
    target: &Target,
    changes: &mut Vec<String>,
    run: impl Fn(Instance) -> Result<T, vrrp_net::Error>,
) -> Result<T, vrrp_net::Error> {
    match run(target.plan.instance.clone()) {
        Err(error @ vrrp_net::Error::Filter(_)) => {
            let name = target.name();
            let done = run(target.plan.instance.clone().accept_packets(true))?;
            tracing::warn!(instance = name, %error, "packets to the addresses are accepted");
            changes.push(format!("{name} accepts packets to its addresses: {error}"));
            Ok(done)
        }
        result => result,
    }
}

fn remove(shared: &Shared, router: &Router) {
    let told = match router.target.plan.hooks.deleted {
        Some(_) => NotifyState::Deleted,
        None => NotifyState::Fault,
    };
    shared.registrar.set_leaving(router.serial, told);
    router.handle.remove();
}

fn terms(target: &Target) -> Terms {
    Terms {
        name: target.name().into(),
        group: target.plan.instance.group().map(Into::into),
        priorities: target.plan.notify_priority_changes,
    }
}

/// What differs, in words.
pub(crate) fn differences(old: &Parameters, new: &Parameters) -> String {
    let mut words = Vec::new();
    if old.priority() != new.priority() {
        words.push(format!(
            "priority {} to {}",
            old.priority().get(),
            new.priority().get()
        ));
    }
    if old.adver_interval() != new.adver_interval() {
        words.push(format!(
            "interval {} to {}",
            old.adver_interval(),
            new.adver_interval()
        ));
    }
    for address in new
        .addresses()
        .iter()
        .filter(|address| !old.addresses().contains(address))
    {
        words.push(format!("{address} added"));
    }
    for address in old
        .addresses()
        .iter()
        .filter(|address| !new.addresses().contains(address))
    {
        words.push(format!("{address} removed"));
    }
    if words.is_empty() {
        words.push("other settings".to_owned());
    }
    words.join(", ")
}

/// Events that may wait for a pipe or the mail server before they merge.
const CAPACITY: usize = 1024;

/// What a virtual router that was removed is given to give up its addresses.
const LEAVING: Duration = Duration::from_secs(2);

const LEAVING_PAUSE: Duration = Duration::from_millis(5);
