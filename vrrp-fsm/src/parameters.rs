use alloc::boxed::Box;
use core::fmt;
use core::iter::Copied;
use core::net::IpAddr;
use core::slice::Iter;
use core::time::Duration;

use vrrp_proto::{
    AddressFamily, AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, Password, Priority,
    Version, Vrid,
};

use crate::announcements::Schedule;
use crate::builder::ParametersBuilder;
use crate::{Announcements, Track};

/// What an administrator configures of one virtual router, valid by construction.
///
/// Built with [`Parameters::builder`], whose documentation gives the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    pub(crate) addresses: Box<[IpAddr]>,
    pub(crate) tracks: Box<[Track]>,
    pub(crate) delivery: Delivery,
    pub(crate) preempt: Preempt,
    pub(crate) announcements: Schedule,
    pub(crate) password: Option<Secret>,
    pub(crate) adver_interval: AdverInterval,
    pub(crate) vrid: Vrid,
    pub(crate) family: AddressFamily,
    pub(crate) dialect: Dialect,
    pub(crate) priority: Priority,
    pub(crate) down_timer_adverts: u8,
    pub(crate) checksum_form: ChecksumForm,
    pub(crate) address_list: AddressListCheck,
    pub(crate) accept_mode: bool,
    pub(crate) answer_lower_priority: bool,
    pub(crate) advertise_before_yielding: bool,
    pub(crate) owner_ignores_advertisements: bool,
    pub(crate) check_peers: bool,
    pub(crate) any_first_address: bool,
}

impl Parameters {
    /// Starts with the defaults for a virtual router that holds these addresses. Their order is the order in the
    /// advertisement; all are of one family, and over IPv6 the first is link-local.
    pub fn builder(vrid: Vrid, addresses: impl IntoIterator<Item = IpAddr>) -> ParametersBuilder {
        ParametersBuilder::new(vrid, addresses)
    }

    /// The parameters as a builder, to derive others from them.
    pub fn to_builder(&self) -> ParametersBuilder {
        ParametersBuilder::from_parameters(self.clone())
    }

    /// The number of the virtual router.
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// The family of the addresses and of the packets that carry the advertisements.
    pub const fn family(&self) -> AddressFamily {
        self.family
    }

    /// Whose rules are followed.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The version on the wire, which follows from the dialect.
    pub const fn version(&self) -> Version {
        self.dialect.version()
    }

    /// The configured priority; tracked objects may change it into the
    /// [effective](crate::VirtualRouter::effective_priority) one.
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// The time between two advertisements while active.
    pub const fn adver_interval(&self) -> AdverInterval {
        self.adver_interval
    }

    /// The addresses, in the order of the advertisement: at least one, unless [no address](ParametersBuilder::no_address) was
    /// allowed.
    pub const fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether packets to the addresses are accepted while active. The owner always does.
    pub const fn accept_mode(&self) -> bool {
        self.accept_mode || self.priority.is_owner()
    }

    /// Whether an active router of lower priority is replaced.
    pub const fn preempt(&self) -> Preempt {
        self.preempt
    }

    /// How many advertisements may be missed before a backup takes over.
    pub const fn down_timer_adverts(&self) -> u8 {
        self.down_timer_adverts
    }

    /// When the addresses are announced to the link.
    pub fn announcements(&self) -> Announcements {
        self.announcements.into()
    }

    /// The tracked objects.
    pub const fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Where the advertisements go.
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Whether unicast advertisements from anybody but a peer are discarded.
    pub const fn check_peers(&self) -> bool {
        self.check_peers
    }

    /// The checksum that is sent with VRRPv3 over IPv4. Both are accepted.
    pub const fn checksum_form(&self) -> ChecksumForm {
        self.checksum_form
    }

    /// What happens to an advertisement that lists other addresses.
    pub const fn address_list_check(&self) -> AddressListCheck {
        self.address_list
    }

    /// Whether an active router answers an advertisement that loses against it.
    pub const fn answers_lower_priority(&self) -> bool {
        self.answer_lower_priority
    }

    /// Whether an active router sends once more before it yields.
    pub const fn advertises_before_yielding(&self) -> bool {
        self.advertise_before_yielding
    }

    /// Whether the address owner discards all advertisements.
    pub const fn owner_ignores_advertisements(&self) -> bool {
        self.owner_ignores_advertisements
    }

    /// Whether an IPv6 address list may begin with an address that is not link-local.
    pub const fn any_first_address(&self) -> bool {
        self.any_first_address
    }

    /// How VRRPv2 advertisements are authenticated.
    pub fn authentication(&self) -> Authentication {
        self.password.as_ref().map_or(Authentication::None, |secret| {
            Authentication::SimplePassword(Password::from(secret.0))
        })
    }

    /// Writes the advertisement that [`Output::Advertise`](crate::Output::Advertise) asks for to the beginning of
    /// `buffer` and returns its length, without allocating.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`](vrrp_proto::Error::BufferTooSmall), or [`MixedFamilies`](vrrp_proto::Error::MixedFamilies) for an
    /// envelope of the other family.
    pub fn emit_advertisement(
        &self,
        priority: Priority,
        envelope: &Envelope,
        buffer: &mut [u8],
    ) -> Result<usize, vrrp_proto::Error> {
        self.advertisement(priority)?
            .emit(envelope, self.checksum_form, buffer)
    }

    pub(crate) fn advertisement(
        &self,
        priority: Priority,
    ) -> Result<Advertisement<Copied<Iter<'_, IpAddr>>>, vrrp_proto::Error> {
        let addresses = self.addresses.iter().copied();
        let (vrid, interval) = (self.vrid, self.adver_interval);
        if self.addresses.is_empty() {
            let authentication = self.authentication();
            return Advertisement::without_addresses(
                self.version(),
                self.family,
                vrid,
                priority,
                interval,
                authentication,
            );
        }
        match self.version() {
            Version::V2 => {
                Advertisement::version_2(vrid, priority, interval, self.authentication(), addresses)
            }
            Version::V3 => Advertisement::version_3_any_first_address(vrid, priority, interval, addresses),
        }
    }

    /// Whether an advertisement made from either set of parameters differs.
    pub(crate) fn advertises_like(&self, other: &Self) -> bool {
        self.dialect.version() == other.dialect.version()
            && self.priority == other.priority
            && self.adver_interval == other.adver_interval
            && self.addresses == other.addresses
            && self.checksum_form == other.checksum_form
            && self.password == other.password
            && self.delivery == other.delivery
    }
}

/// Whose rules a virtual router follows.
///
/// They differ in little: the timers of VRRPv2, whether an address owner listens, and whether an active router answers
/// at once when it hears one that loses against it. The last two can also be set one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new standard would be a new decision for everybody"
)]
pub enum Dialect {
    /// VRRPv2, [RFC 3768](https://www.rfc-editor.org/rfc/rfc3768): the skew is a part of a second whatever the
    /// interval, and the interval of all routers must be equal.
    Rfc3768,
    /// VRRPv3 as of [RFC 5798](https://www.rfc-editor.org/rfc/rfc5798).
    Rfc5798,
    /// VRRPv3 as of [RFC 9568](https://www.rfc-editor.org/rfc/rfc9568) with its errata.
    #[default]
    Rfc9568,
}

impl Dialect {
    /// The version on the wire.
    pub const fn version(self) -> Version {
        match self {
            Self::Rfc3768 => Version::V2,
            Self::Rfc5798 | Self::Rfc9568 => Version::V3,
        }
    }
}

/// Whether a backup replaces an active router of lower priority. The address owner always does.
///
/// This is a rule for backups: an active router yields to a higher priority whatever its own setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum Preempt {
    /// Yes, after the usual down interval.
    #[default]
    Immediate,
    /// Yes, but the first advertisement of lower priority starts this delay, during which it is accepted like any other.
    /// A router that falls silent is replaced regardless.
    Delayed(Duration),
    /// No. Any advertisement is accepted; only silence and priority 0 lead to a takeover.
    Never,
}

/// Where the advertisements of a virtual router go, and so whose are received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "IP knows these two")]
pub enum Delivery {
    /// To a group on the link, usually that of the [family](AddressFamily::multicast_group).
    Multicast(IpAddr),
    /// To each of these routers.
    Unicast(Box<[Peer]>),
}

/// A router that advertisements are sent to one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The smallest TTL or hop limit accepted from it. 255 proves that it is on the link.
    pub minimum_hop_limit: u8,
    /// The largest TTL or hop limit accepted from it.
    pub maximum_hop_limit: u8,
}

impl Peer {
    /// A peer at any distance.
    pub const fn new(address: IpAddr) -> Self {
        Self {
            address,
            minimum_hop_limit: 0,
            maximum_hop_limit: 255,
        }
    }
}

/// What happens to an advertisement that does not list the addresses configured here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum AddressListCheck {
    /// It is counted, raises an [`Alarm`](crate::Alarm) and is accepted, so that a change of addresses can be rolled out
    /// router by router.
    #[default]
    Accept,
    /// It is discarded, unless an address owner sent it (RFC 3768 §7.1; keepalived up to 2.3.3). While the lists differ,
    /// each router is active on its own.
    Discard,
    /// The lists are not compared.
    Ignore,
}

/// The bytes of a password, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Secret(pub(crate) [u8; Password::LEN]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
