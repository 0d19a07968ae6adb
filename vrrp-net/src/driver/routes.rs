//! Routes and rules that vanish while they are to be there.

use std::sync::Arc;

use vrrp_fsm::Instant;

use super::Driver;
use crate::handle::DriverEvent;
use crate::host::Change;
use crate::route::{GoneRoute, GoneRule};

impl Driver {
    /// A route has vanished. Whoever misses it puts it back; that it was removed by ourselves and added again since does no
    /// harm, since adding what is there changes nothing.
    pub(super) fn route_gone(&mut self, gone: &GoneRoute, now: Instant) {
        let mut missed = Vec::new();
        for seat in self.seats.values().filter(|seat| seat.holding) {
            let routes = seat.instance.routes.iter();
            let changes = routes.filter(|route| route.misses(gone)).map(Arc::clone);
            missed.extend(changes.map(|route| (seat.key, Change::AddRoute(route), seat.outstanding)));
        }
        let event = DriverEvent::RouteRestored {
            destination: gone.destination,
            prefix_len: gone.prefix_len,
        };
        self.put_back(missed, event, now);
    }

    /// A rule has vanished.
    pub(super) fn rule_gone(&mut self, gone: &GoneRule, now: Instant) {
        let mut missed = Vec::new();
        for seat in self.seats.values().filter(|seat| seat.holding) {
            let rules = seat.instance.rules.iter();
            let changes = rules.filter(|rule| rule.misses(gone)).map(Arc::clone);
            missed.extend(changes.map(|rule| (seat.key, Change::AddRule(rule), seat.outstanding)));
        }
        let event = DriverEvent::RuleRestored {
            preference: gone.preference,
        };
        self.put_back(missed, event, now);
    }

    fn put_back(&mut self, missed: Vec<(u64, Change, u32)>, event: DriverEvent, now: Instant) {
        for (key, change, outstanding) in missed {
            self.work.push(key, change);
            // While works are under way it may have been ourselves.
            if outstanding == 0 {
                self.publish(key, now, event);
            }
        }
    }

    /// After notifications were lost nobody knows which are there.
    pub(super) fn put_back_all(&mut self) {
        let mut changes = Vec::new();
        for seat in self.seats.values().filter(|seat| seat.holding) {
            let routes = seat.instance.routes.iter().filter(|route| route.is_kept());
            changes.extend(routes.map(|route| (seat.key, Change::AddRoute(Arc::clone(route)))));
            let rules = seat.instance.rules.iter().filter(|rule| rule.tracked);
            changes.extend(rules.map(|rule| (seat.key, Change::AddRule(Arc::clone(rule)))));
        }
        for (key, change) in changes {
            self.work.push(key, change);
        }
    }
}
