//! The receive checks of [RFC 9568 §7.1](https://www.rfc-editor.org/rfc/rfc9568#section-7.1) and RFC 3768 §7.1, as far as
//! they need a configuration, and what a failed one counts.

use core::net::IpAddr;

use vrrp_proto::{Addresses, Envelope, Field, Packet, ReceiveChecks, Version};

use crate::index::Key;
use crate::parameters::{AddressListCheck, Delivery};
use crate::{
    AddressMatch, Discard, DiscardReason, Heard, Input, Instant, InterfaceId, Parameters, RouterId, State,
    VirtualRouter, VrrpRouter,
};

/// A received packet: what followed its IP header, and what that header said.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived.
    pub interface: InterfaceId,
    /// Source, destination, TTL or hop limit.
    pub envelope: Envelope,
    /// The VRRP message and what may follow it, cut to the length that the IP header gives it.
    pub message: &'a [u8],
    /// When it reached the host: the kernel's receive time where there is one, else the time of the call.
    pub received: Instant,
}

impl VrrpRouter {
    /// Takes in a packet: makes all receive checks, and gives what passes to the virtual router that it is for.
    ///
    /// # Errors
    ///
    /// A [`Discard`] is no failure and may be ignored: it is counted, and changed nothing else.
    pub fn handle_packet(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<RouterId, Discard> {
        match self.accept(now, datagram) {
            Ok((id, heard)) => {
                self.feed(now, id.index, Input::Advertisement(heard));
                Ok(id)
            }
            Err((router, reason)) => Err(self.discard(now, router, reason)),
        }
    }

    fn accept(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<(RouterId, Heard), Refusal> {
        let id = self.addressee(datagram)?;
        let refusal = |reason| (Some(id), reason);
        let Some(router) = self
            .virtual_router(id)
            .filter(|router| router.state() != State::Initialize)
        else {
            return Err(refusal(DiscardReason::NotRunning));
        };
        let checks = receive_checks(router.parameters(), &datagram.envelope);
        #[cfg(feature = "auth-hmac")]
        let (message, verified) = self
            .signed(now, id, datagram.message, &datagram.envelope, &checks)
            .map_err(refusal)?;
        #[cfg(not(feature = "auth-hmac"))]
        let (message, _) = (datagram.message, now);
        let heard = router.check(message, &checks, datagram).map_err(refusal)?;
        #[cfg(feature = "auth-hmac")]
        self.use_up(id, verified.as_ref()).map_err(refusal)?;
        Ok((id, heard))
    }

    /// R6: the virtual router that a packet is for.
    fn addressee(&self, datagram: &Datagram<'_>) -> Result<RouterId, Refusal> {
        let (message, envelope) = (datagram.message, &datagram.envelope);
        let Some(vrid) = Packet::claimed_vrid(message) else {
            let error = Packet::parse(message, envelope, &ReceiveChecks::STANDARD).err();
            let error = error.unwrap_or(vrrp_proto::Error::Vrid);
            return Err((None, DiscardReason::Malformed(error)));
        };
        let key = Key::new(datagram.interface, envelope.family(), vrid);
        let mut stranger = None;
        let mut refusal = (None, DiscardReason::UnknownVrid(vrid));
        for (id, router) in self.chain(self.numbers.get(key)) {
            match is_for(router.parameters(), envelope) {
                Ok(Sender::Known) => return Ok(id),
                Ok(Sender::Stranger) => stranger = stranger.or(Some(id)),
                Err(reason) => refusal = (Some(id), reason),
            }
        }
        stranger.ok_or(refusal)
    }

    fn discard(&mut self, now: Instant, router: Option<RouterId>, reason: DiscardReason) -> Discard {
        let slot = router.and_then(|id| self.slots.get_mut(id.index as usize));
        let mut one = slot
            .and_then(|slot| slot.router.as_mut())
            .map(|router| router.counters.rare());
        let all = &mut self.statistics;
        let reported = one.as_mut().map_or(&mut self.reported, |one| &mut one.reported);
        let is_news = reported.is_news(now, reason);
        match (reason.counted_as(), one) {
            (Counted::NotAtAll, _) => {}
            (Counted::Checksum, _) => all.checksum_errors += 1,
            (Counted::Version, _) => all.version_errors += 1,
            (Counted::Vrid, _) => all.vrid_errors += 1,
            (Counted::HopLimit, Some(one)) => one.ip_ttl_errors += 1,
            (Counted::Type, Some(one)) => one.rcvd_invalid_type_packets += 1,
            (Counted::Length, Some(one)) => one.packet_length_errors += 1,
            (Counted::Length, None) => all.packet_length_errors += 1,
            (Counted::Authentication, Some(one)) => one.authentication_errors += 1,
            (Counted::Interval, Some(one)) => one.adv_interval_errors += 1,
            (Counted::AddressList, Some(one)) => one.address_list_errors += 1,
            (Counted::Other, Some(one)) => one.other_errors += 1,
            (_, None) => all.vrid_errors += 1,
        }
        Discard {
            router,
            reason,
            is_news,
        }
    }
}

/// Whose packet was refused, as far as it can be told, and why.
type Refusal = (Option<RouterId>, DiscardReason);

impl VirtualRouter {
    fn check(
        &self,
        message: &[u8],
        checks: &ReceiveChecks,
        datagram: &Datagram<'_>,
    ) -> Result<Heard, DiscardReason> {
        let parameters = self.parameters();
        let packet = Packet::parse(message, &datagram.envelope, checks).map_err(DiscardReason::Malformed)?;
        if packet.version() != parameters.version() {
            return Err(DiscardReason::Version {
                received: packet.version(),
                expected: parameters.version(),
            });
        }
        if packet.authentication() != parameters.authentication() {
            return Err(DiscardReason::Authentication);
        }
        if self.effective_priority().is_owner() && parameters.owner_ignores_advertisements() {
            return Err(DiscardReason::Owner);
        }
        if packet.version() == Version::V2 && packet.interval() != parameters.adver_interval() {
            return Err(DiscardReason::AdverInterval {
                received: packet.interval(),
                expected: parameters.adver_interval(),
            });
        }
        let addresses = match parameters.address_list_check() {
            AddressListCheck::Ignore => AddressMatch::Equal,
            AddressListCheck::Accept | AddressListCheck::Discard => {
                compare(packet.addresses(), parameters.addresses())
            }
        };
        let discards = parameters.address_list_check() == AddressListCheck::Discard;
        if discards && addresses != AddressMatch::Equal && !packet.priority().is_owner() {
            return Err(DiscardReason::AddressList);
        }
        Ok(Heard {
            source: datagram.envelope.source(),
            priority: packet.priority(),
            interval: packet.interval(),
            addresses,
            checksum_form: packet.checksum_form(),
            received: datagram.received,
        })
    }
}

/// Whose packet it is that a virtual router takes.
enum Sender {
    /// A peer, or anybody in its group.
    Known,
    /// Nobody that is configured, which may be allowed.
    Stranger,
}

/// Whether a packet with this envelope may be for the virtual router: multicast to its group, or unicast.
fn is_for(parameters: &Parameters, envelope: &Envelope) -> Result<Sender, DiscardReason> {
    let (source, destination) = (envelope.source(), envelope.destination());
    match parameters.delivery() {
        Delivery::Multicast(group) if *group == destination => Ok(Sender::Known),
        Delivery::Unicast(_) if destination.is_multicast() => Err(DiscardReason::Destination(destination)),
        Delivery::Unicast(peers) if peers.iter().any(|peer| peer.address == source) => Ok(Sender::Known),
        Delivery::Unicast(_) if parameters.check_peers() => Err(DiscardReason::NotAPeer(source)),
        Delivery::Unicast(_) => Ok(Sender::Stranger),
        Delivery::Multicast(_) => Err(DiscardReason::Destination(destination)),
    }
}

fn receive_checks(parameters: &Parameters, envelope: &Envelope) -> ReceiveChecks {
    let mut checks = ReceiveChecks::STANDARD;
    if parameters.any_first_address() {
        checks = checks.any_first_address();
    }
    if parameters.addresses().is_empty() {
        checks = checks.no_address();
    }
    if let Delivery::Unicast(peers) = parameters.delivery() {
        let peer = peers.iter().find(|peer| peer.address == envelope.source());
        let (minimum, maximum) =
            peer.map_or((0, 255), |peer| (peer.minimum_hop_limit, peer.maximum_hop_limit));
        checks = checks.hop_limits(minimum, maximum).old_unicast_checksum();
    }
    checks
}

fn compare(theirs: Addresses<'_>, ours: &[IpAddr]) -> AddressMatch {
    if theirs.clone().eq(ours.iter().copied()) {
        return AddressMatch::Equal;
    }
    let count = theirs.len();
    let known = theirs.clone().filter(|address| ours.contains(address)).count();
    let listed = |address: &IpAddr| theirs.clone().any(|theirs| theirs == *address);
    if known == count && ours.iter().all(listed) {
        AddressMatch::Equal
    } else if known > 0 {
        AddressMatch::Overlapping
    } else {
        AddressMatch::Disjoint
    }
}

/// Which kinds of discard were news already, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reported {
    since: Instant,
    kinds: u32,
}

impl Reported {
    fn is_news(&mut self, now: Instant, reason: DiscardReason) -> bool {
        if now.nanos_since(self.since) >= 60 * crate::time::SECOND {
            self.kinds = 0;
        }
        if self.kinds == 0 {
            self.since = now;
        }
        let kind = 1 << reason.kind();
        let is_news = self.kinds & kind == 0;
        self.kinds |= kind;
        is_news
    }
}

/// Which counter a discard goes to.
#[derive(Clone, Copy)]
enum Counted {
    NotAtAll,
    HopLimit,
    Version,
    Type,
    Length,
    Checksum,
    Vrid,
    Authentication,
    Interval,
    AddressList,
    Other,
}

impl DiscardReason {
    fn counted_as(self) -> Counted {
        match self {
            Self::Malformed(error) => match error.field() {
                Some(Field::HopLimit) => Counted::HopLimit,
                Some(Field::Version) => Counted::Version,
                Some(Field::Type) => Counted::Type,
                Some(Field::Length) => Counted::Length,
                Some(Field::Checksum) => Counted::Checksum,
                Some(Field::Vrid) => Counted::Vrid,
                Some(Field::Authentication) => Counted::Authentication,
                Some(Field::Interval) => Counted::Interval,
                Some(Field::Count | Field::Addresses) => Counted::AddressList,
                _ => Counted::Other,
            },
            Self::UnknownVrid(_) => Counted::Vrid,
            Self::NotRunning => Counted::NotAtAll,
            Self::Version { .. } => Counted::Version,
            Self::Authentication | Self::NotSigned | Self::NoWallClock => Counted::Authentication,
            Self::AdverInterval { .. } => Counted::Interval,
            Self::AddressList => Counted::AddressList,
            Self::Destination(_) | Self::NotAPeer(_) | Self::Owner => Counted::Other,
        }
    }
}
