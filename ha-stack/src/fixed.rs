//! What this host has whoever is active: `static_ipaddress`, `static_routes` and `static_rules`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use vrrp_net::{Change, Host, HostEvent, VirtualAddress, VirtualRoute, VirtualRule, Waker, Work};

use crate::error::Error;

/// An address that stays on an interface of this host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to it")]
pub struct FixedAddress {
    /// The interface; it may come later.
    pub interface: String,
    /// The address.
    pub address: VirtualAddress,
}

/// Keeps addresses, routes and rules on a host: adds them, puts them back when somebody deletes them or their interface
/// comes back, and removes them at its end.
///
/// An address that was there before is left alone, then and later.
#[derive(Debug)]
pub struct FixedKeeper {
    orders: Arc<Mutex<Orders>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl FixedKeeper {
    /// Starts a thread that keeps nothing yet.
    ///
    /// # Errors
    /// [`Error::System`] when the system is out of threads.
    pub fn start(host: impl Host + 'static) -> Result<Self, Error> {
        let orders = Arc::new(Mutex::new(Orders::default()));
        let waker = host.waker();
        let keeper = Keeper::new(Box::new(host), Arc::clone(&orders));
        let thread = std::thread::Builder::new()
            .name("fixed-addresses".to_owned())
            .spawn(move || keeper.run())
            .map_err(Error::system("cannot start a thread for fixed addresses"))?;
        Ok(Self {
            orders,
            waker,
            thread: Some(thread),
        })
    }

    /// Keeps these from now on. What is not listed any more is removed; what stays does not notice.
    pub fn set(&self, addresses: Vec<FixedAddress>, routes: Vec<VirtualRoute>, rules: Vec<VirtualRule>) {
        let mut orders = lock(&self.orders);
        orders.wanted = Wanted {
            addresses,
            routes,
            rules,
        };
        drop(orders);
        self.waker.wake();
    }
}

impl Drop for FixedKeeper {
    fn drop(&mut self) {
        lock(&self.orders).stop = true;
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of fixed addresses ended in a panic");
        }
    }
}

#[derive(Debug, Default)]
struct Orders {
    wanted: Wanted,
    stop: bool,
}

/// What is to be there.
#[derive(Clone, Debug, Default)]
struct Wanted {
    addresses: Vec<FixedAddress>,
    routes: Vec<VirtualRoute>,
    rules: Vec<VirtualRule>,
}

/// The thread's own view.
struct Keeper {
    host: Box<dyn Host>,
    orders: Arc<Mutex<Orders>>,
    /// The interfaces that are there: number by name.
    links: HashMap<String, u32>,
    /// What is on them.
    present: HashSet<(u32, IpAddr, u8)>,
    /// What we added, and on which interface.
    added: HashMap<FixedAddress, u32>,
    routes: HashSet<VirtualRoute>,
    rules: HashSet<VirtualRule>,
    /// What each change of a work in progress is about.
    works: HashMap<u64, Vec<Subject>>,
    ticket: u64,
}

/// What a change is about.
enum Subject {
    Address(FixedAddress),
    Route(VirtualRoute),
    Rule(VirtualRule),
    Removal,
}

impl Keeper {
    fn new(host: Box<dyn Host>, orders: Arc<Mutex<Orders>>) -> Self {
        Self {
            host,
            orders,
            links: HashMap::new(),
            present: HashSet::new(),
            added: HashMap::new(),
            routes: HashSet::new(),
            rules: HashSet::new(),
            works: HashMap::new(),
            ticket: 0,
        }
    }

    fn run(mut self) {
        loop {
            while let Some(event) = self.host.poll_event() {
                self.take_note(event);
            }
            // One look at the orders a turn: a stop that comes after it is for the next turn, which removes everything.
            let (wanted, stop) = {
                let orders = lock(&self.orders);
                match orders.stop {
                    true => (Wanted::default(), true),
                    false => (orders.wanted.clone(), false),
                }
            };
            self.converge(&wanted);
            if stop {
                // The host finishes what was submitted when it is dropped.
                return;
            }
            if let Err(error) = self.host.wait(None) {
                tracing::error!(%error, "fixed addresses are not watched any more");
                return;
            }
        }
    }

    fn take_note(&mut self, event: HostEvent) {
        match event {
            HostEvent::Snapshot { links, addresses } => {
                self.links = links.into_iter().map(|link| (link.name, link.index)).collect();
                self.present = addresses
                    .iter()
                    .map(|known| (known.index, known.address, known.prefix_len))
                    .collect();
                // It comes again when notifications were lost.
                self.routes.clear();
                self.rules.clear();
            }
            HostEvent::Link(link) => {
                self.links.retain(|_, index| *index != link.index);
                self.links.insert(link.name, link.index);
                self.routes.clear();
            }
            HostEvent::LinkGone(gone) => {
                self.links.retain(|_, index| *index != gone);
                self.present.retain(|(index, ..)| *index != gone);
                self.added.retain(|_, index| *index != gone);
                self.routes.clear();
            }
            HostEvent::Address(known) => {
                self.present
                    .insert((known.index, known.address, known.prefix_len));
            }
            HostEvent::AddressGone(gone) => {
                self.present.remove(&(gone.index, gone.address, gone.prefix_len));
                self.added
                    .retain(|fixed, index| *index != gone.index || fixed.address.address() != gone.address);
                // The kernel takes routes away with the address they depend on.
                self.routes.clear();
            }
            HostEvent::RouteGone(gone) => self.routes.retain(|route| !route.misses(&gone)),
            HostEvent::RuleGone(gone) => self.rules.retain(|rule| !rule.misses(&gone)),
            HostEvent::Done { ticket, failures } => self.finish(ticket, &failures),
            // Nothing is listened to here; or an event of a later version of the driver.
            HostEvent::Joined { .. } | _ => {}
        }
    }

    /// Takes note of what could not be done. It is tried again with the next change of an interface.
    fn finish(&mut self, ticket: u64, failures: &[(usize, i32)]) {
        let subjects = self.works.remove(&ticket).unwrap_or_default();
        for (place, number) in failures {
            let error = std::io::Error::from_raw_os_error(*number);
            match subjects.get(*place) {
                Some(Subject::Address(fixed)) => {
                    self.added.remove(fixed);
                    if *number != libc::EEXIST {
                        tracing::error!(address = %fixed.address, interface = fixed.interface, %error, "cannot add a fixed address");
                    }
                }
                Some(Subject::Route(route)) => {
                    tracing::error!(?route, %error, "cannot add a fixed route");
                }
                Some(Subject::Rule(rule)) => {
                    tracing::error!(?rule, %error, "cannot add a fixed rule");
                }
                Some(Subject::Removal) | None => {}
            }
        }
    }

    fn converge(&mut self, wanted: &Wanted) {
        let Wanted {
            addresses,
            routes,
            rules,
        } = wanted;
        let mut changes = Vec::new();
        let mut subjects = Vec::new();
        for rule in self.rules.iter().filter(|rule| !rules.contains(rule)) {
            changes.push(Change::RemoveRule(Arc::new(rule.clone())));
            subjects.push(Subject::Removal);
        }
        self.rules.retain(|rule| rules.contains(rule));
        for route in self.routes.iter().filter(|route| !routes.contains(route)) {
            changes.push(Change::RemoveRoute(Arc::new(route.clone())));
            subjects.push(Subject::Removal);
        }
        self.routes.retain(|route| routes.contains(route));
        for (fixed, index) in self.added.iter().filter(|(fixed, _)| !addresses.contains(fixed)) {
            changes.push(Change::RemoveAddress {
                interface: *index,
                address: Arc::new(fixed.address.clone()),
            });
            subjects.push(Subject::Removal);
        }
        self.added.retain(|fixed, _| addresses.contains(fixed));
        for fixed in addresses {
            let Some(index) = self.links.get(&fixed.interface).copied() else {
                continue;
            };
            let key = (index, fixed.address.address(), fixed.address.prefix_len());
            if self.added.contains_key(fixed) || self.present.contains(&key) {
                continue;
            }
            self.added.insert(fixed.clone(), index);
            changes.push(Change::AddAddress {
                interface: index,
                address: Arc::new(fixed.address.clone()),
                lease: None,
                replace: false,
            });
            subjects.push(Subject::Address(fixed.clone()));
        }
        // Until the interfaces are known a route has nothing to go by.
        for route in routes.iter().filter(|_| !self.links.is_empty()) {
            if self.routes.insert(route.clone()) {
                changes.push(Change::AddRoute(Arc::new(route.clone())));
                subjects.push(Subject::Route(route.clone()));
            }
        }
        for rule in rules.iter().filter(|_| !self.links.is_empty()) {
            if self.rules.insert(rule.clone()) {
                changes.push(Change::AddRule(Arc::new(rule.clone())));
                subjects.push(Subject::Rule(rule.clone()));
            }
        }
        if changes.is_empty() {
            return;
        }
        self.ticket = self.ticket.wrapping_add(1);
        self.works.insert(self.ticket, subjects);
        self.host.submit(Work {
            ticket: self.ticket,
            changes,
            announcements: Vec::new(),
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vrrp_net::{HostId, Segment};

    use super::*;

    fn fixed(text: &str) -> FixedAddress {
        FixedAddress {
            interface: "eth0".to_owned(),
            address: text.parse().unwrap(),
        }
    }

    fn await_state(segment: &Segment, id: HostId, address: &str, held: bool) {
        let address = address.parse().unwrap();
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while segment.holds(id, address) != held {
            assert!(std::time::Instant::now() < limit, "{address} is not {held}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn addresses_are_added_put_back_and_removed() {
        let segment = Segment::real_time();
        let host = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
        let id = host.id();
        let keeper = FixedKeeper::start(host).unwrap();
        keeper.set(
            vec![fixed("10.0.0.7/24"), fixed("10.0.0.8/24")],
            Vec::new(),
            Vec::new(),
        );
        await_state(&segment, id, "10.0.0.7", true);
        await_state(&segment, id, "10.0.0.8", true);
        segment.steal(id, "10.0.0.7".parse().unwrap());
        await_state(&segment, id, "10.0.0.7", true);
        keeper.set(vec![fixed("10.0.0.8/24")], Vec::new(), Vec::new());
        await_state(&segment, id, "10.0.0.7", false);
        assert!(segment.holds(id, "10.0.0.8".parse().unwrap()));
        drop(keeper);
        await_state(&segment, id, "10.0.0.8", false);
        assert!(segment.holds(id, "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_address_that_was_there_before_stays() {
        let segment = Segment::real_time();
        let host = segment.host(&[("10.0.0.1".parse().unwrap(), 24)]);
        let id = host.id();
        let keeper = FixedKeeper::start(host).unwrap();
        keeper.set(
            vec![fixed("10.0.0.1/24"), fixed("10.0.0.9/24")],
            Vec::new(),
            Vec::new(),
        );
        await_state(&segment, id, "10.0.0.9", true);
        drop(keeper);
        await_state(&segment, id, "10.0.0.9", false);
        assert!(segment.holds(id, "10.0.0.1".parse().unwrap()));
    }
}
