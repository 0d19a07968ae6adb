use alloc::boxed::Box;

use crate::receive::Reported;

/// The counters of one virtual router, with the names of [RFC 6527] (`vrrpv3StatisticsTable`) and a few more.
///
/// They only grow; a virtual router that is shut down keeps them.
///
/// [RFC 6527]: https://www.rfc-editor.org/rfc/rfc6527
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Statistics {
    /// Transitions to Active (`vrrpv3StatisticsMasterTransitions`).
    #[doc(alias = "become_master")]
    pub master_transitions: u64,
    /// Transitions from Active.
    #[doc(alias = "release_master")]
    pub master_releases: u64,
    /// Why the last transition to Active happened (`vrrpv3StatisticsNewMasterReason`).
    pub new_master_reason: NewMasterReason,
    /// Advertisements that passed the receive checks (`vrrpv3StatisticsRcvdAdvertisements`).
    pub rcvd_advertisements: u64,
    /// Advertisements sent, those with priority 0 included.
    pub sent_advertisements: u64,
    /// Advertisements of priority 0 received (`vrrpv3StatisticsRcvdPriZeroPackets`).
    pub rcvd_pri_zero_packets: u64,
    /// Advertisements of priority 0 sent (`vrrpv3StatisticsSentPriZeroPackets`).
    pub sent_pri_zero_packets: u64,
    /// Advertisements whose interval differs from ours, discarded (VRRPv2) or not (`vrrpv3StatisticsAdvIntervalErrors`).
    pub adv_interval_errors: u64,
    /// Discarded for their TTL or hop limit (`vrrpv3StatisticsIpTtlErrors`).
    pub ip_ttl_errors: u64,
    /// Discarded for their type (`vrrpv3StatisticsRcvdInvalidTypePackets`).
    pub rcvd_invalid_type_packets: u64,
    /// Advertisements that list other addresses, discarded or not (`vrrpv3StatisticsAddressListErrors`).
    pub address_list_errors: u64,
    /// Discarded for their length (`vrrpv3StatisticsRcvdInvalidLengthPackets`).
    pub packet_length_errors: u64,
    /// Discarded for their authentication: type, password, or `auth_hmac` (`vrrpStatsAuthFailure` of RFC 2787 and its
    /// neighbours).
    pub authentication_errors: u64,
    /// Discarded for any other reason: another version than ours, a sender that is no peer, an owner that does not
    /// listen.
    pub other_errors: u64,
    /// Advertisements from our own address, which are dropped: our own, coming back, or a duplicate address.
    pub own_source_packets: u64,
}

/// Why a virtual router became active, as [RFC 6527](https://www.rfc-editor.org/rfc/rfc6527) counts the ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NewMasterReason {
    /// It never did.
    #[default]
    NotMaster,
    /// Its priority is higher: the owner, or a backup that preempts.
    Priority,
    /// It preempted an active router of lower priority.
    Preempted,
    /// The active router fell silent or left.
    MasterNoResponse,
}

/// What was discarded before a virtual router could be told, with the names of
/// [RFC 6527](https://www.rfc-editor.org/rfc/rfc6527).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RouterStatistics {
    /// Discarded for their checksum (`vrrpv3RouterChecksumErrors`).
    pub checksum_errors: u64,
    /// Discarded for their version (`vrrpv3RouterVersionErrors`).
    pub version_errors: u64,
    /// Discarded because no virtual router has their VRID on the interface (`vrrpv3RouterVrIdErrors`).
    pub vrid_errors: u64,
    /// Discarded because they are too short to tell a VRID.
    pub packet_length_errors: u64,
}

/// The counters as they are kept: what seldom happens is allocated when it happens first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counters {
    pub(crate) master_transitions: u64,
    pub(crate) rcvd_advertisements: u64,
    pub(crate) sent_advertisements: u64,
    pub(crate) new_master_reason: NewMasterReason,
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rare {
    pub(crate) master_releases: u64,
    pub(crate) rcvd_pri_zero_packets: u64,
    pub(crate) sent_pri_zero_packets: u64,
    pub(crate) adv_interval_errors: u64,
    pub(crate) ip_ttl_errors: u64,
    pub(crate) rcvd_invalid_type_packets: u64,
    pub(crate) address_list_errors: u64,
    pub(crate) packet_length_errors: u64,
    pub(crate) authentication_errors: u64,
    pub(crate) other_errors: u64,
    pub(crate) own_source_packets: u64,
    /// Which discards were told.
    pub(crate) reported: Reported,
}

impl Counters {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let rare = self.rare.as_deref().cloned().unwrap_or_default();
        Statistics {
            master_transitions: self.master_transitions,
            master_releases: rare.master_releases,
            new_master_reason: self.new_master_reason,
            rcvd_advertisements: self.rcvd_advertisements,
            sent_advertisements: self.sent_advertisements,
            rcvd_pri_zero_packets: rare.rcvd_pri_zero_packets,
            sent_pri_zero_packets: rare.sent_pri_zero_packets,
            adv_interval_errors: rare.adv_interval_errors,
            ip_ttl_errors: rare.ip_ttl_errors,
            rcvd_invalid_type_packets: rare.rcvd_invalid_type_packets,
            address_list_errors: rare.address_list_errors,
            packet_length_errors: rare.packet_length_errors,
            authentication_errors: rare.authentication_errors,
            other_errors: rare.other_errors,
            own_source_packets: rare.own_source_packets,
        }
    }
}
