//! What a virtual router notices without its election being any different.

use core::net::IpAddr;

use vrrp_proto::Version;

use crate::{AddressMatch, Alarm, Heard, Instant, VirtualRouter};

impl VirtualRouter {
    pub(crate) fn raise(&mut self, now: Instant, alarm: Alarm) {
        let event = self.alarms.get_or_insert_default().raise(now, alarm);
        self.tell(event);
    }

    pub(crate) fn end_alarm(&mut self, is_over: impl Fn(&Alarm) -> bool) {
        let event = self.alarms.as_deref_mut().and_then(|alarms| alarms.end(is_over));
        self.tell(event);
    }

    /// Our own address, heard: dropped. Answering it would be answered by our own answer, without end.
    pub(crate) fn own_source(&mut self, now: Instant, address: IpAddr) {
        self.counters.rare().own_source_packets += 1;
        self.raise(now, Alarm::DuplicateAddress { address });
    }

    /// Compares what should be the same on all routers.
    pub(crate) fn compare(&mut self, now: Instant, heard: &Heard) {
        let from = heard.source;
        let ours = self.parameters.adver_interval;
        let release = heard.priority.is_release();
        match heard.addresses {
            AddressMatch::Equal => {}
            AddressMatch::Overlapping => self.raise(now, Alarm::AddressList { from }),
            AddressMatch::Disjoint => self.raise(now, Alarm::DuplicateVrid { from }),
        }
        if heard.addresses != AddressMatch::Equal {
            self.counters.rare().address_list_errors += 1;
        }
        let same_interval = heard.interval == ours;
        if !same_interval && self.version() == Version::V3 {
            self.counters.rare().adv_interval_errors += 1;
            let theirs = heard.interval;
            self.raise(now, Alarm::Interval { from, theirs, ours });
        }
        let foreign_checksum = heard
            .checksum_form
            .filter(|form| *form != self.parameters.checksum_form);
        if let Some(theirs) = foreign_checksum {
            self.raise(now, Alarm::Checksum { from, theirs });
        }
        let two_owners = heard.priority.is_owner() && self.effective.is_owner();
        if two_owners {
            self.raise(now, Alarm::SecondOwner { from });
        }
        if self.alarms.is_none() {
            return;
        }
        self.end_alarm(|alarm| match alarm {
            Alarm::AddressList { from: other } => {
                *other == from && heard.addresses != AddressMatch::Overlapping
            }
            Alarm::DuplicateVrid { from: other } => {
                *other == from && heard.addresses != AddressMatch::Disjoint
            }
            Alarm::Interval { from: other, .. } => *other == from && same_interval,
            Alarm::Checksum { from: other, .. } => *other == from && foreign_checksum.is_none(),
            Alarm::SecondOwner { from: other } => *other == from && !two_owners && !release,
            Alarm::DuplicateAddress { .. } | Alarm::SecondActive { .. } | Alarm::Late { .. } => false,
        });
    }

    /// Our own advertisement, due then and sent now.
    pub(crate) fn lateness(&mut self, now: Instant, due: Instant) {
        let interval = self.parameters.adver_interval.as_nanos();
        if now.nanos_since(due) > interval / 2 {
            let by = now.saturating_since(due);
            self.raise(now, Alarm::Late { by });
        } else if self.alarms.is_some() {
            self.end_alarm(|alarm| matches!(alarm, Alarm::Late { .. }));
        }
    }
}
