//! What other routers do differently: the usual causes of two being active at once.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use vrrp_fsm::{Alarm, Discard, DiscardReason};
use vrrp_proto::Field;

use crate::status::PeerProblem;

/// One thing that one router does differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    peer: IpAddr,
    field: &'static str,
    text: String,
    /// Whether somebody says when it is over; otherwise it is over when nothing more is heard of it.
    is_ended: bool,
}

impl Difference {
    /// What a packet that was discarded tells about its sender; `None` where that is no fault of the sender's.
    pub(crate) fn of_discard(peer: IpAddr, discard: &Discard) -> Option<Self> {
        if matches!(discard.reason, DiscardReason::NotRunning | DiscardReason::Owner) {
            return None;
        }
        let field = match discard.field() {
            Some(Field::HopLimit) => "hop_limit",
            Some(Field::Version) => "version",
            Some(Field::Type) => "type",
            Some(Field::Length) => "length",
            Some(Field::Checksum) => "checksum",
            Some(Field::Vrid) => "vrid",
            Some(Field::Authentication) => "authentication",
            Some(Field::Interval) => "interval",
            Some(Field::Count | Field::Addresses) => "addresses",
            _ => "destination",
        };
        Some(Self {
            peer,
            field,
            text: format!("advertisements of {peer} are discarded: {discard}"),
            is_ended: false,
        })
    }

    /// What an alarm tells about another router; `None` where it is about this host.
    pub(crate) fn of_alarm(alarm: &Alarm) -> Option<Self> {
        let (peer, field) = match alarm {
            Alarm::DuplicateAddress { address } => (*address, "source"),
            Alarm::DuplicateVrid { from } => (*from, "vrid"),
            Alarm::AddressList { from } => (*from, "addresses"),
            Alarm::Interval { from, .. } => (*from, "interval"),
            Alarm::Checksum { from, .. } => (*from, "checksum"),
            Alarm::SecondOwner { from } => (*from, "owner"),
            Alarm::SecondActive { from } => (*from, "active"),
            Alarm::Late { .. } | _ => return None,
        };
        Some(Self {
            peer,
            field,
            text: alarm.to_string(),
            is_ended: true,
        })
    }

    fn is_about_the_same(&self, other: &Self) -> bool {
        (self.peer, self.field, self.is_ended) == (other.peer, other.field, other.is_ended)
    }
}

/// The differences that hold now.
#[derive(Debug, Default)]
pub(crate) struct Differences(Vec<(Difference, Instant)>);

impl Differences {
    /// Notes one, and says so in the log if it is new or has changed.
    pub(crate) fn note(&mut self, instance: &str, difference: Difference, now: Instant) {
        self.expire(now);
        let has_room = self.0.len() < MOST;
        let known = self
            .0
            .iter_mut()
            .find(|(known, _)| known.is_about_the_same(&difference));
        let is_news = known.as_ref().is_none_or(|(known, _)| *known != difference);
        if is_news {
            tracing::warn!(instance, peer = %difference.peer, field = difference.field, "{}", difference.text);
        }
        match known {
            Some(known) => *known = (difference, now),
            None if has_room => self.0.push((difference, now)),
            // Whoever makes up senders does not get more memory for it.
            None => {}
        }
    }

    /// One is over.
    pub(crate) fn end(&mut self, difference: &Difference) {
        self.0.retain(|(known, _)| !known.is_about_the_same(difference));
    }

    /// Those that hold now.
    pub(crate) fn now(&self, now: Instant) -> Vec<PeerProblem> {
        let current = self
            .0
            .iter()
            .filter(|(known, at)| known.is_ended || now < *at + SILENCE);
        current
            .map(|(known, _)| PeerProblem {
                peer: known.peer.to_string(),
                field: known.field.to_owned(),
                text: known.text.clone(),
            })
            .collect()
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|(known, at)| known.is_ended || now < *at + SILENCE);
    }
}

/// The election tells of a kind of discard once a minute for as long as it goes on.
const SILENCE: Duration = Duration::from_secs(130);

/// As many are kept for one virtual router.
const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use vrrp_proto::{AdverInterval, Version};

    use super::*;

    fn discard(reason: DiscardReason) -> Discard {
        Discard {
            router: None,
            reason,
            is_news: true,
        }
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn the_offending_field_is_named() {
        let interval = AdverInterval::DEFAULT;
        for (reason, field) in [
            (DiscardReason::Authentication, Some("authentication")),
            (
                DiscardReason::Version {
                    received: Version::V3,
                    expected: Version::V2,
                },
                Some("version"),
            ),
            (
                DiscardReason::AdverInterval {
                    received: interval,
                    expected: interval,
                },
                Some("interval"),
            ),
            (DiscardReason::AddressList, Some("addresses")),
            (DiscardReason::NotAPeer(peer(2)), Some("destination")),
            (DiscardReason::NotRunning, None),
            (DiscardReason::Owner, None),
        ] {
            let found = Difference::of_discard(peer(2), &discard(reason));
            assert_eq!(found.map(|found| found.field), field, "{reason:?}");
        }
        let active = Difference::of_alarm(&Alarm::SecondActive { from: peer(2) }).unwrap();
        assert_eq!((active.peer, active.field), (peer(2), "active"));
        let late = Alarm::Late {
            by: Duration::from_secs(1),
        };
        assert_eq!(Difference::of_alarm(&late), None);
    }

    #[test]
    fn what_is_not_heard_of_any_more_is_over() {
        let zero = Instant::now();
        let mut differences = Differences::default();
        let wrong = Difference::of_discard(peer(2), &discard(DiscardReason::Authentication)).unwrap();
        differences.note("V", wrong.clone(), zero);
        differences.note("V", wrong, zero + Duration::from_secs(60));
        assert_eq!(differences.now(zero + Duration::from_secs(180)).len(), 1);
        assert_eq!(differences.now(zero + Duration::from_secs(200)), []);
    }

    #[test]
    fn an_alarm_holds_until_it_is_ended() {
        let zero = Instant::now();
        let mut differences = Differences::default();
        let active = Difference::of_alarm(&Alarm::SecondActive { from: peer(2) }).unwrap();
        differences.note("V", active.clone(), zero);
        assert_eq!(
            differences.now(zero + Duration::from_secs(9999))[0].field,
            "active"
        );
        differences.end(&active);
        assert_eq!(differences.now(zero), []);
    }

    #[test]
    fn made_up_senders_do_not_fill_the_memory() {
        let zero = Instant::now();
        let mut differences = Differences::default();
        for last in 0..=255 {
            let wrong = Difference::of_discard(peer(last), &discard(DiscardReason::Authentication)).unwrap();
            differences.note("V", wrong, zero);
        }
        assert_eq!(differences.now(zero).len(), MOST);
    }
}
