//! What is to be balanced: the typed form of virtual and real servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use healthcheck::{Check, Policy, Start};

use crate::balance::names;
use crate::data_plane::{
    Algorithm, ConnectionTimeouts, Forwarding, Front, Persistence, ProxyProtocol, Transport,
};
use crate::notify::{Hooks, Object};

/// What holds for the load balancer as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BalancePlan {
    /// How long idle connections are kept.
    pub timeouts: ConnectionTimeouts,
    /// How connections are shared with another director.
    pub synchronization: Option<SynchronizationPlan>,
    /// At the start, what others put into the table is removed (keepalived's `lvs_flush`).
    pub flush: bool,
    /// At the end, everything in the table is removed, whoever put it there (keepalived's `lvs_flush_on_stop`).
    pub flush_on_stop: bool,
    /// Each failed attempt of every check is logged, also one that changes nothing: with retries left, or down already.
    pub log_all_failures: bool,
    /// Real servers that are up from the start are told about (keepalived's `rs_init_notifies`).
    pub initial_notifications: bool,
}

/// How connections are shared with another director (keepalived's `lvs_sync_daemon`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SynchronizationPlan {
    /// Through which interface.
    pub interface: String,
    /// The virtual router that decides: this director sends while it is active, and listens otherwise. Without one it does
    /// both.
    pub router: Option<String>,
    /// Tells pairs of directors apart.
    pub id: u8,
    /// The longest message in bytes.
    pub max_length: Option<u16>,
    /// The multicast group.
    pub group: Option<IpAddr>,
    /// The UDP port.
    pub port: Option<u16>,
    /// How far messages go.
    pub ttl: Option<u8>,
}

impl SynchronizationPlan {
    /// Through this interface, under this number, with the kernel's defaults.
    pub fn new(interface: impl Into<String>, id: u8) -> Self {
        Self {
            interface: interface.into(),
            router: None,
            id,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualServerPlan {
    /// What it is called in commands and in the status, such as `10.1.10.7:80`, each name once.
    pub name: Arc<str>,
    /// What keepalived calls it where programs read it, such as `[10.1.10.7]:tcp:80`.
    pub label: Arc<str>,
    /// The group of addresses that it stands for, if it stands for one.
    pub group: Option<String>,
    /// Where requests arrive.
    pub fronts: Vec<Front>,
    /// What it speaks.
    pub transport: Transport,
    /// How a real server is picked.
    pub scheduling: Algorithm,
    /// How packets reach real servers, where they say nothing else.
    pub forwarding: Forwarding,
    /// Each datagram is a connection of its own.
    pub one_packet: bool,
    /// Whether a client stays with its real server.
    pub persistence: Option<Persistence>,
    /// How real servers are told who the client is, where the embedded proxy carries it.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The weight that has to be up; cut down to what all real servers weigh.
    pub quorum: u32,
    /// So much more is needed to gain the quorum, and so much less to lose it.
    pub hysteresis: u32,
    /// Who answers while the quorum is lost.
    pub sorry_server: Option<SorryServerPlan>,
    /// Who serves.
    pub real_servers: Vec<RealServerPlan>,
    /// Run when the quorum is gained ([`Hooks::up`]) and lost ([`Hooks::down`]).
    pub hooks: Hooks,
    /// Whether gain and loss of the quorum are mailed.
    pub mail: bool,
    /// At the end, what is up is told to be down.
    pub omega: bool,
    /// Real servers are checked only while this address is on this host.
    pub suspended_without: Option<IpAddr>,
}

impl VirtualServerPlan {
    /// A virtual server at one front, without real servers yet: weighted least connections, NAT, quorum 1.
    pub fn new(front: Front) -> Self {
        Self {
            name: names::of_front(&front).into(),
            label: names::label_of_front(&front).into(),
            group: None,
            fronts: vec![front],
            transport: match front {
                Front::Address { transport, .. } => transport,
                Front::Mark { .. } => Transport::Tcp,
            },
            scheduling: Algorithm {
                name: "wlc".to_owned(),
                flags: 0,
            },
            forwarding: Forwarding::Masquerade,
            one_packet: false,
            persistence: None,
            proxy_protocol: None,
            quorum: 1,
            hysteresis: 0,
            sorry_server: None,
            real_servers: Vec::new(),
            hooks: Hooks::default(),
            mail: false,
            omega: false,
            suspended_without: None,
        }
    }
}

impl VirtualServerPlan {
    /// What it is called in events.
    pub fn object(&self) -> Object {
        Object::VirtualServer(Arc::clone(&self.label))
    }
}

/// Who answers while the quorum is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is what a configuration says")]
pub struct SorryServerPlan {
    /// Where it listens; port 0 for that of the virtual server.
    pub address: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Once used, it gets weight 0 instead of being removed.
    pub inhibit: bool,
}

/// One real server of one virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RealServerPlan {
    /// Where it listens; port 0 for that of the virtual server.
    pub address: SocketAddr,
    /// Its share.
    pub weight: u32,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// No new connections above so many; 0 for no bound.
    pub upper_threshold: u32,
    /// New connections again below so many.
    pub lower_threshold: u32,
    /// When it fails it gets weight 0 instead of being removed.
    pub inhibit: bool,
    /// What shows that it serves; all of it must. Without a check it is up always.
    pub checks: Vec<(Check, Arc<Policy>)>,
    /// Of which of these, by their places, each failed attempt is logged, also one that changes nothing. Where it is
    /// shorter, [`BalancePlan::log_all_failures`] decides alone.
    pub log_failures: Vec<bool>,
    /// Run when it comes up ([`Hooks::up`]) and goes down ([`Hooks::down`]).
    pub hooks: Option<Arc<Hooks>>,
    /// Whether this is mailed.
    pub mail: bool,
}

impl RealServerPlan {
    /// A real server of weight 1 without checks, reached by NAT.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            forwarding: Forwarding::Masquerade,
            upper_threshold: 0,
            lower_threshold: 0,
            inhibit: false,
            checks: Vec::new(),
            log_failures: Vec::new(),
            hooks: None,
            mail: false,
        }
    }

    /// What it is called in events, as one of the real servers of `server`.
    pub fn object(&self, server: &VirtualServerPlan) -> Object {
        names::real_object(server.transport, self.address, &server.label)
    }

    /// Whether it serves before it has been checked.
    pub fn starts_up(&self) -> bool {
        self.checks
            .iter()
            .all(|(_, policy)| matches!(policy.start, Start::Up | Start::FullyUp))
    }
}
