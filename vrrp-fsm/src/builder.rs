use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use vrrp_proto::{AddressFamily, AdverInterval, ChecksumForm, Password, Priority, Vrid};

use crate::parameters::Secret;
use crate::{AddressListCheck, Announcements, Delivery, Dialect, Error, Parameters, Peer, Preempt, Track};

/// Builds [`Parameters`] and checks them.
///
/// The defaults are those of [RFC 9568 §6.1]: priority 100, an advertisement each second, preemption, packets to the
/// addresses not accepted; and those of keepalived where the RFC says nothing.
///
/// [RFC 9568 §6.1]: https://www.rfc-editor.org/rfc/rfc9568#section-6.1
#[derive(Clone, Debug)]
pub struct ParametersBuilder {
    draft: Parameters,
    addresses: Vec<IpAddr>,
    answer_lower_priority: Option<bool>,
    owner_ignores_advertisements: Option<bool>,
    group: Option<IpAddr>,
    none: Option<AddressFamily>,
}

impl ParametersBuilder {
    pub(crate) fn new(vrid: Vrid, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        let family = addresses
            .first()
            .copied()
            .map_or(AddressFamily::Ipv4, AddressFamily::of);
        Self {
            draft: Parameters {
                addresses: Box::default(),
                tracks: Box::default(),
                delivery: Delivery::Multicast(family.multicast_group()),
                preempt: Preempt::default(),
                announcements: Announcements::default().into(),
                password: None,
                adver_interval: AdverInterval::DEFAULT,
                vrid,
                family,
                dialect: Dialect::default(),
                priority: Priority::DEFAULT,
                down_timer_adverts: 3,
                checksum_form: ChecksumForm::default(),
                address_list: AddressListCheck::default(),
                accept_mode: false,
                answer_lower_priority: false,
                advertise_before_yielding: false,
                owner_ignores_advertisements: false,
                check_peers: false,
                any_first_address: false,
            },
            addresses,
            answer_lower_priority: None,
            owner_ignores_advertisements: None,
            group: None,
            none: None,
        }
    }

    pub(crate) fn from_parameters(parameters: Parameters) -> Self {
        Self {
            addresses: parameters.addresses.to_vec(),
            answer_lower_priority: Some(parameters.answer_lower_priority),
            owner_ignores_advertisements: Some(parameters.owner_ignores_advertisements),
            group: None,
            none: parameters.addresses.is_empty().then_some(parameters.family),
            draft: parameters,
        }
    }

    /// The addresses, in place of those given so far.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.addresses = addresses.into_iter().collect();
        self
    }

    /// There may be no address at all, and then advertisements are of this family.
    ///
    /// # Deviation
    ///
    /// RFC 9568 §5.2.5 wants one. keepalived does without (`no_virtual_ipaddress`), where the addresses are moved by other
    /// means than this router.
    #[must_use]
    pub fn no_address(mut self, family: AddressFamily) -> Self {
        self.none = Some(family);
        self
    }

    /// Whose rules are followed, and so the version.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.draft.dialect = dialect;
        self
    }

    /// The priority, 1 to 255; 255 says that the addresses are this router's own.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.draft.priority = priority;
        self
    }

    /// The time between two advertisements.
    #[must_use]
    pub fn adver_interval(mut self, interval: AdverInterval) -> Self {
        self.draft.adver_interval = interval;
        self
    }

    /// Whether a router that is not the owner accepts packets to the addresses while active.
    #[must_use]
    pub fn accept_mode(mut self, accept: bool) -> Self {
        self.draft.accept_mode = accept;
        self
    }

    /// Whether an active router of lower priority is replaced.
    #[must_use]
    pub fn preempt(mut self, preempt: Preempt) -> Self {
        self.draft.preempt = preempt;
        self
    }

    /// How many advertisements may be missed before a backup takes over, 1 to 100; the standard's and the default is 3.
    ///
    /// # Deviation
    ///
    /// Another number than 3 is keepalived's, and all routers have to agree on it.
    #[must_use]
    pub fn down_timer_adverts(mut self, adverts: u8) -> Self {
        self.draft.down_timer_adverts = adverts;
        self
    }

    /// When the addresses are announced.
    #[must_use]
    pub fn announcements(mut self, announcements: Announcements) -> Self {
        self.draft.announcements = announcements.into();
        self
    }

    /// The objects to track.
    #[must_use]
    pub fn tracks(mut self, tracks: impl IntoIterator<Item = Track>) -> Self {
        self.draft.tracks = tracks.into_iter().collect();
        self
    }

    /// Send to this group instead of the family's.
    #[must_use]
    pub fn multicast_group(mut self, group: IpAddr) -> Self {
        self.group = Some(group);
        self
    }

    /// Send to each of these routers instead of a group.
    #[must_use]
    pub fn unicast_peers(mut self, peers: impl IntoIterator<Item = Peer>) -> Self {
        self.draft.delivery = Delivery::Unicast(peers.into_iter().collect());
        self.group = None;
        self
    }

    /// Discard unicast advertisements that do not come from a peer (`check_unicast_src`).
    #[must_use]
    pub fn check_peers(mut self, check: bool) -> Self {
        self.draft.check_peers = check;
        self
    }

    /// The checksum to send with VRRPv3 over IPv4. The default is what keepalived and FRR understand.
    #[must_use]
    pub fn checksum_form(mut self, form: ChecksumForm) -> Self {
        self.draft.checksum_form = form;
        self
    }

    /// What happens to an advertisement that lists other addresses.
    #[must_use]
    pub fn address_list_check(mut self, check: AddressListCheck) -> Self {
        self.draft.address_list = check;
        self
    }

    /// Whether an active router answers an advertisement that loses against it with one of its own, at once. By default
    /// RFC 9568 does, and its predecessors do not; keepalived does unless told `lower_prio_no_advert`.
    #[must_use]
    pub fn answer_lower_priority(mut self, answer: bool) -> Self {
        self.answer_lower_priority = Some(answer);
        self
    }

    /// Whether an active router sends once more before it yields to a higher priority (`higher_prio_send_advert`).
    #[must_use]
    pub fn advertise_before_yielding(mut self, advertise: bool) -> Self {
        self.draft.advertise_before_yielding = advertise;
        self
    }

    /// Whether the address owner discards all advertisements. By default RFC 9568 with erratum 8298 listens, so that of
    /// two owners one gives way, and its predecessors do not.
    #[must_use]
    pub fn owner_ignores_advertisements(mut self, ignore: bool) -> Self {
        self.owner_ignores_advertisements = Some(ignore);
        self
    }

    /// Whether an IPv6 address list, our own or a received one, may begin with an address that is not link-local.
    ///
    /// # Deviation
    ///
    /// RFC 9568 §5.2.9 and erratum 8300 forbid it; FRR and keepalived do it if so configured.
    #[must_use]
    pub fn any_first_address(mut self, any: bool) -> Self {
        self.draft.any_first_address = any;
        self
    }

    /// The VRRPv2 password, keepalived's `auth_pass`.
    #[must_use]
    pub fn password(mut self, password: Password) -> Self {
        self.draft.password = Some(Secret(password.octets()));
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// Any of the first variants of [`Error`], down to [`Error::NoAnnouncement`].
    pub fn build(self) -> Result<Parameters, Error> {
        let Self {
            mut draft,
            addresses,
            answer_lower_priority,
            owner_ignores_advertisements,
            group,
            none,
        } = self;
        let first = addresses.first().copied();
        let family = first.map(AddressFamily::of).or(none).ok_or(Error::NoAddress)?;
        let version = draft.dialect.version();
        if family != draft.family {
            draft.family = family;
            if let Delivery::Multicast(group) = &mut draft.delivery {
                *group = family.multicast_group();
            }
        }
        check_addresses(&addresses, family)?;
        if family == AddressFamily::Ipv6 && draft.dialect == Dialect::Rfc3768 {
            return Err(Error::Version2OverIpv6);
        }
        if let Some(IpAddr::V6(first)) = first
            && !draft.any_first_address
            && !is_link_local(first)
        {
            return Err(Error::NotLinkLocal(first.into()));
        }
        draft.addresses = addresses.into();
        if draft.priority.is_release() {
            return Err(Error::PriorityZero);
        }
        let sayable = match draft.dialect {
            Dialect::Rfc3768 => draft.adver_interval.seconds().is_some(),
            Dialect::Rfc5798 | Dialect::Rfc9568 => draft.adver_interval.centiseconds() <= 4095,
        };
        if !sayable {
            return Err(Error::Interval {
                version,
                interval: draft.adver_interval,
            });
        }
        if draft.password.is_some() && draft.dialect != Dialect::Rfc3768 {
            return Err(Error::PasswordOverVersion3);
        }
        if !(1..=100).contains(&draft.down_timer_adverts) {
            return Err(Error::DownTimerAdverts(draft.down_timer_adverts));
        }
        if draft.announcements.repeat == 0 {
            return Err(Error::NoAnnouncement);
        }
        if draft.preempt == Preempt::Delayed(Duration::ZERO) {
            draft.preempt = Preempt::Immediate;
        }
        if let Some(group) = group {
            if !group.is_multicast() || AddressFamily::of(group) != family {
                return Err(Error::Group(group));
            }
            draft.delivery = Delivery::Multicast(group);
        }
        check_delivery(&draft.delivery, family)?;
        check_tracks(&draft.tracks)?;
        let newest = draft.dialect == Dialect::Rfc9568;
        draft.answer_lower_priority = answer_lower_priority.unwrap_or(newest);
        draft.owner_ignores_advertisements = owner_ignores_advertisements.unwrap_or(!newest);
        Ok(draft)
    }
}

fn check_addresses(addresses: &[IpAddr], family: AddressFamily) -> Result<(), Error> {
    if addresses.len() > 255 {
        return Err(Error::TooManyAddresses(addresses.len()));
    }
    for (place, address) in addresses.iter().enumerate() {
        if AddressFamily::of(*address) != family {
            return Err(Error::MixedFamilies {
                address: *address,
                family,
            });
        }
        if addresses.iter().take(place).any(|earlier| earlier == address) {
            return Err(Error::DuplicateAddress(*address));
        }
    }
    Ok(())
}

fn check_delivery(delivery: &Delivery, family: AddressFamily) -> Result<(), Error> {
    match delivery {
        // The group is that of the family, or was looked at when it was given.
        Delivery::Multicast(_) => Ok(()),
        Delivery::Unicast(peers) => {
            for (place, peer) in peers.iter().enumerate() {
                if AddressFamily::of(peer.address) != family {
                    return Err(Error::PeerFamily(peer.address));
                }
                if peers
                    .iter()
                    .take(place)
                    .any(|earlier| earlier.address == peer.address)
                {
                    return Err(Error::DuplicatePeer(peer.address));
                }
            }
            Ok(())
        }
    }
}

fn check_tracks(tracks: &[Track]) -> Result<(), Error> {
    for (place, track) in tracks.iter().enumerate() {
        if tracks
            .iter()
            .take(place)
            .any(|earlier| earlier.id() == track.id())
        {
            return Err(Error::DuplicateTrack(track.id()));
        }
    }
    Ok(())
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address
        .segments()
        .first()
        .is_some_and(|first| first & 0xffc0 == 0xfe80)
}
