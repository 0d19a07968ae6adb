//! What stands in a journal.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vrrp_fsm::{
    AddressListCheck, Announcements, Delivery, Dialect, Input, Instant, Parameters, Peer, Preempt, Track,
    TrackId, TrackStatus,
};
use vrrp_proto::{AddressFamily, AdverInterval, Authentication, ChecksumForm, Priority, Vrid};

use crate::journal::mask;

/// One line. Times are nanoseconds on the clock of the election.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A new election without virtual routers.
    Start {
        at: u64,
        version: String,
    },
    /// What the clock on the wall shows, in nanoseconds since 1970.
    Clock {
        at: u64,
        wall: u64,
    },
    /// The names of tracked objects.
    Names {
        names: Vec<(u32, String)>,
    },
    /// So many entries are missing here.
    Lost {
        entries: u64,
    },
    /// The file was begun anew: what follows up to the end of the summary is what was known.
    Summary {
        at: u64,
    },
    Added {
        at: u64,
        router: u32,
        name: String,
        interface_name: String,
        interface: u32,
        parameters: Box<Terms>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<IpAddr>,
    },
    Removed {
        at: u64,
        router: u32,
    },
    Grouped {
        at: u64,
        group: u32,
        name: String,
        members: Vec<u32>,
    },
    Ungrouped {
        at: u64,
        group: u32,
    },
    Input {
        at: u64,
        router: u32,
        input: Told,
    },
    Packet {
        at: u64,
        interface: u32,
        from: IpAddr,
        to: IpAddr,
        hops: u8,
        received: u64,
        /// In hexadecimal.
        message: String,
        /// Why it was not taken in by one that asks for signatures; empty where that had been said already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    Track {
        at: u64,
        id: u32,
        status: Status,
    },
    Timeout {
        at: u64,
    },
}

impl Entry {
    /// When it was, as far as it has a time.
    pub(crate) fn at(&self) -> Option<Instant> {
        match self {
            Self::Start { at, .. }
            | Self::Clock { at, .. }
            | Self::Summary { at }
            | Self::Added { at, .. }
            | Self::Removed { at, .. }
            | Self::Grouped { at, .. }
            | Self::Ungrouped { at, .. }
            | Self::Input { at, .. }
            | Self::Packet { at, .. }
            | Self::Track { at, .. }
            | Self::Timeout { at } => Some(Instant::from_nanos(*at)),
            Self::Names { .. } | Self::Lost { .. } => None,
        }
    }
}

/// [`Input`] as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    Startup { held: bool },
    Shutdown,
    Timeout,
    PeerDown(IpAddr),
    Resign,
    Interface { up: bool },
    Source(Option<IpAddr>),
    Fault { present: bool },
    Track { id: u32, status: Status },
    AddressesLost,
    Announce,
    Configure(Box<Terms>),
}

impl Told {
    /// `None` for an advertisement: those arrive as packets.
    pub(crate) fn of(input: &Input) -> Option<Self> {
        Some(match input {
            Input::Startup { held } => Self::Startup { held: *held },
            Input::Shutdown => Self::Shutdown,
            Input::Timeout => Self::Timeout,
            Input::Advertisement(_) => return None,
            Input::PeerDown(peer) => Self::PeerDown(*peer),
            Input::Resign => Self::Resign,
            Input::Interface { up } => Self::Interface { up: *up },
            Input::PrimaryAddress(source) => Self::Source(*source),
            Input::Fault { present } => Self::Fault { present: *present },
            Input::Track { id, status } => Self::Track {
                id: id.0,
                status: (*status).into(),
            },
            Input::AddressesLost => Self::AddressesLost,
            Input::Announce => Self::Announce,
            Input::Configure(parameters) => Self::Configure(Box::new(Terms::of(parameters))),
        })
    }

    pub(crate) fn to_input(&self) -> Option<Input> {
        Some(match self {
            Self::Startup { held } => Input::Startup { held: *held },
            Self::Shutdown => Input::Shutdown,
            Self::Timeout => Input::Timeout,
            Self::PeerDown(peer) => Input::PeerDown(*peer),
            Self::Resign => Input::Resign,
            Self::Interface { up } => Input::Interface { up: *up },
            Self::Source(source) => Input::PrimaryAddress(*source),
            Self::Fault { present } => Input::Fault { present: *present },
            Self::Track { id, status } => Input::Track {
                id: TrackId(*id),
                status: (*status).into(),
            },
            Self::AddressesLost => Input::AddressesLost,
            Self::Announce => Input::Announce,
            Self::Configure(terms) => Input::Configure(Box::new(terms.to_parameters()?)),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Good,
    Bad,
    Value(i64),
}

impl From<TrackStatus> for Status {
    fn from(status: TrackStatus) -> Self {
        match status {
            TrackStatus::Good => Self::Good,
            TrackStatus::Bad => Self::Bad,
            TrackStatus::Value(value) => Self::Value(value),
        }
    }
}

impl From<Status> for TrackStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Good => Self::Good,
            Status::Bad => Self::Bad,
            Status::Value(value) => Self::Value(value),
        }
    }
}

/// [`Parameters`] as they are written: all that decides who is elected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    vrid: u8,
    ipv6: bool,
    rfc: u16,
    priority: u8,
    centiseconds: u16,
    addresses: Vec<IpAddr>,
    /// The delay in nanoseconds; `null` for never, 0 for at once.
    preempt: Option<u64>,
    adverts: u8,
    tracks: Vec<(u32, i16, bool)>,
    /// Address and hop limits; empty for multicast.
    peers: Option<Vec<(IpAddr, u8, u8)>>,
    group: Option<IpAddr>,
    rfc9568_checksum: bool,
    list: List,
    answer: bool,
    last: bool,
    deaf: bool,
    check_peers: bool,
    any_first: bool,
    password: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum List {
    Accept,
    Discard,
    Ignore,
}

impl Terms {
    pub(crate) fn of(parameters: &Parameters) -> Self {
        let (peers, group) = match parameters.delivery() {
            Delivery::Multicast(group) => (None, Some(*group)),
            Delivery::Unicast(peers) => {
                let limits = |peer: &Peer| (peer.address, peer.minimum_hop_limit, peer.maximum_hop_limit);
                (Some(peers.iter().map(limits).collect()), None)
            }
        };
        Self {
            vrid: parameters.vrid().get(),
            ipv6: parameters.family() == AddressFamily::Ipv6,
            rfc: match parameters.dialect() {
                Dialect::Rfc3768 => 3768,
                Dialect::Rfc5798 => 5798,
                Dialect::Rfc9568 => 9568,
            },
            priority: parameters.priority().get(),
            centiseconds: parameters.adver_interval().centiseconds(),
            addresses: parameters.addresses().to_vec(),
            preempt: match parameters.preempt() {
                Preempt::Never => None,
                Preempt::Immediate => Some(0),
                Preempt::Delayed(delay) => Some(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)),
            },
            adverts: parameters.down_timer_adverts(),
            tracks: parameters
                .tracks()
                .iter()
                .map(|track| (track.id().0, track.weight(), track.is_reversed()))
                .collect(),
            peers,
            group,
            rfc9568_checksum: parameters.checksum_form() == ChecksumForm::Rfc9568,
            list: match parameters.address_list_check() {
                AddressListCheck::Accept => List::Accept,
                AddressListCheck::Discard => List::Discard,
                AddressListCheck::Ignore => List::Ignore,
            },
            answer: parameters.answers_lower_priority(),
            last: parameters.advertises_before_yielding(),
            deaf: parameters.owner_ignores_advertisements(),
            check_peers: parameters.check_peers(),
            any_first: parameters.any_first_address(),
            password: parameters.authentication() != Authentication::None,
        }
    }

    /// `None` for what is no virtual router: somebody changed the journal.
    pub(crate) fn to_parameters(&self) -> Option<Parameters> {
        let vrid = Vrid::new(self.vrid)?;
        let family = match self.ipv6 {
            true => AddressFamily::Ipv6,
            false => AddressFamily::Ipv4,
        };
        let mut tracks = Vec::with_capacity(self.tracks.len());
        for (id, weight, reversed) in &self.tracks {
            let track = Track::new(TrackId(*id), *weight).ok()?;
            tracks.push(if *reversed { track.reversed() } else { track });
        }
        let mut builder = Parameters::builder(vrid, self.addresses.iter().copied())
            .no_address(family)
            .dialect(match self.rfc {
                3768 => Dialect::Rfc3768,
                5798 => Dialect::Rfc5798,
                _ => Dialect::Rfc9568,
            })
            .priority(Priority::new(self.priority))
            .adver_interval(
                AdverInterval::from_centiseconds(self.centiseconds).unwrap_or(AdverInterval::DEFAULT),
            )
            .preempt(match self.preempt {
                None => Preempt::Never,
                Some(0) => Preempt::Immediate,
                Some(nanos) => Preempt::Delayed(Duration::from_nanos(nanos)),
            })
            .down_timer_adverts(self.adverts)
            .announcements(Announcements::MINIMAL)
            .tracks(tracks)
            .checksum_form(match self.rfc9568_checksum {
                true => ChecksumForm::Rfc9568,
                false => ChecksumForm::Rfc5798,
            })
            .address_list_check(match self.list {
                List::Accept => AddressListCheck::Accept,
                List::Discard => AddressListCheck::Discard,
                List::Ignore => AddressListCheck::Ignore,
            })
            .answer_lower_priority(self.answer)
            .advertise_before_yielding(self.last)
            .owner_ignores_advertisements(self.deaf)
            .check_peers(self.check_peers)
            .any_first_address(self.any_first);
        if self.password {
            builder = builder.password(mask::right());
        }
        if let Some(peers) = &self.peers {
            builder = builder.unicast_peers(peers.iter().map(|(address, minimum, maximum)| Peer {
                minimum_hop_limit: *minimum,
                maximum_hop_limit: *maximum,
                ..Peer::new(*address)
            }));
        } else if let Some(group) = self.group {
            builder = builder.multicast_group(group);
        }
        builder.build().ok()
    }
}
