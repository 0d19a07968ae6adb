use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use super::attribute::{Attribute, NESTED, Native, Order, attributes, nest, put, u16_bytes, u32_bytes};
use super::number::{daemon, dest, service, top};
use super::{AF_INET, AF_INET6, VERSION, command, flag};
use crate::config::{Timeout, Timeouts};
use crate::daemon::{Daemon, DaemonOptions, DaemonRole, Group, MulticastGroup};
use crate::destination::{Destination, Forward, Thresholds, Weight};
use crate::error::DecodeError;
use crate::name::InterfaceName;
use crate::service::{
    Endpoint, Family, Granularity, Persistence, PersistenceTimeout, PrefixLength, Protocol, Scheduler,
    SchedulerFlags, Service, ServiceKey,
};

/// One request to the kernel: every command of its netlink interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Make a service.
    AddService(Service),
    /// Put a service in the place of the one with its key; destinations and connections stay.
    EditService(Service),
    /// Delete a service with its destinations.
    DeleteService(ServiceKey),
    /// Read one service.
    Service(ServiceKey),
    /// Read all services.
    Services,
    /// Add a destination to a service.
    AddDestination(ServiceKey, Destination),
    /// Put a destination in the place of the one at its endpoint; connections stay.
    EditDestination(ServiceKey, Destination),
    /// Delete a destination. Its connections are cut off, or go on, as the sysctl `expire_nodest_conn` says.
    DeleteDestination(ServiceKey, Endpoint),
    /// Read the destinations of a service. Of one that does not exist, the kernel answers that it has none.
    Destinations(ServiceKey),
    /// Start a sync daemon.
    StartDaemon(Daemon),
    /// Stop a sync daemon.
    StopDaemon(DaemonRole),
    /// Read which sync daemons run.
    Daemons,
    /// Set timeouts.
    SetTimeouts(Timeouts),
    /// Read the timeouts.
    Timeouts,
    /// Read the version and the size of the table of connections.
    Info,
    /// Zero the counters of a service and its destinations, or of all and the totals.
    Zero(Option<ServiceKey>),
    /// Delete all services.
    Flush,
}

/// A request without what it is about, for messages and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// [`Request::AddService`].
    AddService,
    /// [`Request::EditService`].
    EditService,
    /// [`Request::DeleteService`].
    DeleteService,
    /// [`Request::Service`] and [`Request::Services`].
    ReadServices,
    /// [`Request::AddDestination`].
    AddDestination,
    /// [`Request::EditDestination`].
    EditDestination,
    /// [`Request::DeleteDestination`].
    DeleteDestination,
    /// [`Request::Destinations`].
    ReadDestinations,
    /// [`Request::StartDaemon`].
    StartDaemon,
    /// [`Request::StopDaemon`].
    StopDaemon,
    /// [`Request::Daemons`].
    ReadDaemons,
    /// [`Request::SetTimeouts`].
    SetTimeouts,
    /// [`Request::Timeouts`].
    ReadTimeouts,
    /// [`Request::Info`].
    ReadInfo,
    /// [`Request::Zero`].
    Zero,
    /// [`Request::Flush`].
    Flush,
}

impl Request {
    /// The request without its objects.
    #[must_use]
    pub const fn command(&self) -> Command {
        match self {
            Self::AddService(_) => Command::AddService,
            Self::EditService(_) => Command::EditService,
            Self::DeleteService(_) => Command::DeleteService,
            Self::Service(_) | Self::Services => Command::ReadServices,
            Self::AddDestination(..) => Command::AddDestination,
            Self::EditDestination(..) => Command::EditDestination,
            Self::DeleteDestination(..) => Command::DeleteDestination,
            Self::Destinations(_) => Command::ReadDestinations,
            Self::StartDaemon(_) => Command::StartDaemon,
            Self::StopDaemon(_) => Command::StopDaemon,
            Self::Daemons => Command::ReadDaemons,
            Self::SetTimeouts(_) => Command::SetTimeouts,
            Self::Timeouts => Command::ReadTimeouts,
            Self::Info => Command::ReadInfo,
            Self::Zero(_) => Command::Zero,
            Self::Flush => Command::Flush,
        }
    }

    /// The service that it is about, if it is about one.
    #[must_use]
    pub const fn service_key(&self) -> Option<ServiceKey> {
        match self {
            Self::AddService(service) | Self::EditService(service) => Some(service.key),
            Self::DeleteService(key)
            | Self::Service(key)
            | Self::AddDestination(key, _)
            | Self::EditDestination(key, _)
            | Self::DeleteDestination(key, _)
            | Self::Destinations(key) => Some(*key),
            Self::Zero(key) => *key,
            Self::Services
            | Self::StartDaemon(_)
            | Self::StopDaemon(_)
            | Self::Daemons
            | Self::SetTimeouts(_)
            | Self::Timeouts
            | Self::Info
            | Self::Flush => None,
        }
    }

    /// The endpoint of the destination that it is about, if it is about one.
    #[must_use]
    pub const fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::AddDestination(_, destination) | Self::EditDestination(_, destination) => {
                Some(destination.endpoint)
            }
            Self::DeleteDestination(_, endpoint) => Some(*endpoint),
            Self::AddService(_)
            | Self::EditService(_)
            | Self::DeleteService(_)
            | Self::Service(_)
            | Self::Services
            | Self::Destinations(_)
            | Self::StartDaemon(_)
            | Self::StopDaemon(_)
            | Self::Daemons
            | Self::SetTimeouts(_)
            | Self::Timeouts
            | Self::Info
            | Self::Zero(_)
            | Self::Flush => None,
        }
    }

    /// Whether it asks for a table (NLM_F_DUMP).
    #[must_use]
    pub const fn is_dump(&self) -> bool {
        matches!(self, Self::Services | Self::Destinations(_) | Self::Daemons)
    }

    /// Whether it asks for one message.
    #[must_use]
    pub const fn is_get(&self) -> bool {
        matches!(self, Self::Service(_) | Self::Timeouts | Self::Info)
    }

    /// Appends the body of the message, which starts with the header of generic netlink.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as::<Native>(out);
    }

    /// Reads a body as [`encode`](Self::encode) writes it. `dump` says whether the message had NLM_F_DUMP.
    ///
    /// Attributes that a request does not have are passed over, as the kernel does.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8], dump: bool) -> Result<Self, DecodeError> {
        Self::decode_as::<Native>(body, dump)
    }

    pub(crate) fn encode_as<O: Order>(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.number(), VERSION, 0, 0]);
        match self {
            Self::AddService(service) | Self::EditService(service) => put_service::<O>(out, service),
            Self::DeleteService(key)
            | Self::Service(key)
            | Self::Destinations(key)
            | Self::Zero(Some(key)) => {
                nest::<O>(out, top::SERVICE | NESTED, |out| put_key::<O>(out, key));
            }
            Self::AddDestination(key, destination) | Self::EditDestination(key, destination) => {
                nest::<O>(out, top::SERVICE | NESTED, |out| put_key::<O>(out, key));
                put_destination::<O>(out, destination);
            }
            Self::DeleteDestination(key, endpoint) => {
                nest::<O>(out, top::SERVICE | NESTED, |out| put_key::<O>(out, key));
                nest::<O>(out, top::DEST | NESTED, |out| put_endpoint::<O>(out, *endpoint));
            }
            Self::StartDaemon(daemon) => put_daemon::<O>(out, daemon),
            Self::StopDaemon(role) => nest::<O>(out, top::DAEMON | NESTED, |out| {
                put::<O>(out, daemon::STATE, &u32_bytes::<O>(role_number(*role)));
            }),
            Self::SetTimeouts(timeouts) => put_timeouts::<O>(out, timeouts),
            Self::Services | Self::Daemons | Self::Timeouts | Self::Info | Self::Zero(None) | Self::Flush => {
            }
        }
    }

    pub(crate) fn decode_as<O: Order>(body: &[u8], dump: bool) -> Result<Self, DecodeError> {
        let (head, rest) = body.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        let [number, ..] = *head;
        let mut nests = Nests::default();
        let mut timeouts = Timeouts::default();
        for attribute in attributes::<O>(rest) {
            let attribute = attribute?;
            match attribute.kind {
                top::SERVICE => nests.service = Some(attribute.value),
                top::DEST => nests.destination = Some(attribute.value),
                top::DAEMON => nests.daemon = Some(attribute.value),
                top::TIMEOUT_TCP | top::TIMEOUT_TCP_FIN | top::TIMEOUT_UDP => {
                    read_timeout::<O>(&mut timeouts, attribute)?;
                }
                _ => {}
            }
        }
        let key = || -> Result<ServiceKey, DecodeError> {
            ServiceFields::read::<O>(nests.service.ok_or(DecodeError::Missing)?)?.key()
        };
        Ok(match (number, dump) {
            (command::NEW_SERVICE, _) => Self::AddService(nests.service::<O>()?),
            (command::SET_SERVICE, _) => Self::EditService(nests.service::<O>()?),
            (command::DEL_SERVICE, _) => Self::DeleteService(key()?),
            (command::GET_SERVICE, false) => Self::Service(key()?),
            (command::GET_SERVICE, true) => Self::Services,
            (command::NEW_DEST, _) => Self::AddDestination(key()?, nests.destination::<O>(key()?)?),
            (command::SET_DEST, _) => Self::EditDestination(key()?, nests.destination::<O>(key()?)?),
            (command::DEL_DEST, _) => Self::DeleteDestination(key()?, nests.fields::<O>()?.endpoint(key()?)?),
            (command::GET_DEST, _) => Self::Destinations(key()?),
            (command::NEW_DAEMON, _) => Self::StartDaemon(nests.daemon::<O>()?),
            (command::DEL_DAEMON, _) => {
                let fields = DaemonFields::read::<O>(nests.daemon.ok_or(DecodeError::Missing)?)?;
                Self::StopDaemon(fields.role()?)
            }
            (command::GET_DAEMON, _) => Self::Daemons,
            (command::SET_CONFIG, _) => Self::SetTimeouts(timeouts),
            (command::GET_CONFIG, _) => Self::Timeouts,
            (command::GET_INFO, _) => Self::Info,
            (command::ZERO, _) => Self::Zero(nests.service.map(|_| key()).transpose()?),
            (command::FLUSH, _) => Self::Flush,
            (number, _) => return Err(DecodeError::Command(number)),
        })
    }

    /// The kernel's number of the command.
    pub(crate) const fn number(&self) -> u8 {
        match self {
            Self::AddService(_) => command::NEW_SERVICE,
            Self::EditService(_) => command::SET_SERVICE,
            Self::DeleteService(_) => command::DEL_SERVICE,
            Self::Service(_) | Self::Services => command::GET_SERVICE,
            Self::AddDestination(..) => command::NEW_DEST,
            Self::EditDestination(..) => command::SET_DEST,
            Self::DeleteDestination(..) => command::DEL_DEST,
            Self::Destinations(_) => command::GET_DEST,
            Self::StartDaemon(_) => command::NEW_DAEMON,
            Self::StopDaemon(_) => command::DEL_DAEMON,
            Self::Daemons => command::GET_DAEMON,
            Self::SetTimeouts(_) => command::SET_CONFIG,
            Self::Timeouts => command::GET_CONFIG,
            Self::Info => command::GET_INFO,
            Self::Zero(_) => command::ZERO,
            Self::Flush => command::FLUSH,
        }
    }
}

#[derive(Default)]
struct Nests<'a> {
    service: Option<&'a [u8]>,
    destination: Option<&'a [u8]>,
    daemon: Option<&'a [u8]>,
}

impl Nests<'_> {
    fn service<O: Order>(&self) -> Result<Service, DecodeError> {
        ServiceFields::read::<O>(self.service.ok_or(DecodeError::Missing)?)?.service()
    }

    fn fields<O: Order>(&self) -> Result<DestinationFields, DecodeError> {
        let mut fields = DestinationFields::default();
        for attribute in attributes::<O>(self.destination.ok_or(DecodeError::Missing)?) {
            fields.take::<O>(attribute?)?;
        }
        Ok(fields)
    }

    fn destination<O: Order>(&self, key: ServiceKey) -> Result<Destination, DecodeError> {
        self.fields::<O>()?.destination(key.family())
    }

    fn daemon<O: Order>(&self) -> Result<Daemon, DecodeError> {
        DaemonFields::read::<O>(self.daemon.ok_or(DecodeError::Missing)?)?.daemon()
    }
}

/// The attributes of SERVICE but for the counters.
#[derive(Default)]
pub(super) struct ServiceFields<'a> {
    family: Option<u16>,
    protocol: Option<u16>,
    address: Option<[u8; 16]>,
    port: Option<u16>,
    mark: Option<u32>,
    scheduler: Option<&'a str>,
    flags: u32,
    timeout: u32,
    netmask: Option<[u8; 4]>,
    netmask_host: u32,
    engine: Option<&'a str>,
}

impl<'a> ServiceFields<'a> {
    fn read<O: Order>(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Self::default();
        for attribute in attributes::<O>(bytes) {
            fields.take::<O>(attribute?)?;
        }
        Ok(fields)
    }

    /// Takes in an attribute; `false` if it is none of these.
    pub(super) fn take<O: Order>(&mut self, attribute: Attribute<'a>) -> Result<bool, DecodeError> {
        match attribute.kind {
            service::AF => self.family = Some(attribute.u16::<O>()?),
            service::PROTOCOL => self.protocol = Some(attribute.u16::<O>()?),
            service::ADDR => self.address = Some(address_bytes(attribute.value)),
            service::PORT => self.port = Some(attribute.u16_net()?),
            service::FWMARK => self.mark = Some(attribute.u32::<O>()?),
            service::SCHED_NAME => self.scheduler = Some(attribute.str()?),
            service::FLAGS => self.flags = attribute.u32::<O>()?,
            service::TIMEOUT => self.timeout = attribute.u32::<O>()?,
            service::NETMASK => {
                self.netmask = Some(attribute.bytes()?);
                self.netmask_host = attribute.u32::<O>()?;
            }
            service::PE_NAME => self.engine = Some(attribute.str()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn key(&self) -> Result<ServiceKey, DecodeError> {
        let family = family(self.family.ok_or(DecodeError::Missing)?)?;
        if let Some(mark) = self.mark.and_then(NonZeroU32::new) {
            return Ok(ServiceKey::Mark { mark, family });
        }
        let protocol = self.protocol.ok_or(DecodeError::Missing)?;
        let protocol = u8::try_from(protocol).map_err(|_| DecodeError::Attribute {
            kind: service::PROTOCOL,
        })?;
        let address = address(family, self.address.ok_or(DecodeError::Missing)?);
        Ok(ServiceKey::Address {
            protocol: Protocol::from_number(protocol),
            endpoint: Endpoint::new(address, self.port.ok_or(DecodeError::Missing)?),
        })
    }

    pub(super) fn service(&self) -> Result<Service, DecodeError> {
        let key = self.key()?;
        let name = self.scheduler.ok_or(DecodeError::Missing)?;
        let name = name.parse().map_err(|_| DecodeError::Attribute {
            kind: service::SCHED_NAME,
        })?;
        let bits = (self.flags >> flag::SCHEDULER_SHIFT) & 7;
        // Three bits.
        let bits = SchedulerFlags::from_bits(u8::try_from(bits).unwrap_or(0));
        let persistence = (self.flags & flag::PERSISTENT != 0)
            .then(|| -> Result<Persistence, DecodeError> {
                let granularity = match key.family() {
                    Family::V4 => Granularity::from_v4(Ipv4Addr::from(self.netmask.unwrap_or([255; 4]))),
                    Family::V6 => u8::try_from(self.netmask_host)
                        .ok()
                        .and_then(PrefixLength::new)
                        .map_or(Granularity::Address, Granularity::Prefix),
                };
                let engine = match self.engine {
                    Some(engine) if !engine.is_empty() => {
                        Some(engine.parse().map_err(|_| DecodeError::Attribute {
                            kind: service::PE_NAME,
                        })?)
                    }
                    _ => None,
                };
                Ok(Persistence {
                    timeout: PersistenceTimeout::unchecked(self.timeout),
                    granularity,
                    engine,
                })
            })
            .transpose()?;
        let service = Service {
            key,
            scheduler: Scheduler::from_parts(name, bits),
            one_packet: self.flags & flag::ONE_PACKET != 0,
            persistence,
        };
        Ok(service.canonical())
    }
}

/// The attributes of DEST but for the counters.
#[derive(Default)]
pub(super) struct DestinationFields {
    family: u16,
    address: Option<[u8; 16]>,
    port: Option<u16>,
    method: u32,
    weight: u32,
    upper: u32,
    lower: u32,
    tunnel: (u8, u16, u16),
}

impl DestinationFields {
    /// Takes in an attribute; `false` if it is none of these.
    pub(super) fn take<O: Order>(&mut self, attribute: Attribute<'_>) -> Result<bool, DecodeError> {
        match attribute.kind {
            dest::ADDR => self.address = Some(address_bytes(attribute.value)),
            dest::PORT => self.port = Some(attribute.u16_net()?),
            dest::FWD_METHOD => self.method = attribute.u32::<O>()?,
            dest::WEIGHT => self.weight = attribute.u32::<O>()?,
            dest::U_THRESH => self.upper = attribute.u32::<O>()?,
            dest::L_THRESH => self.lower = attribute.u32::<O>()?,
            dest::ADDR_FAMILY => self.family = attribute.u16::<O>()?,
            dest::TUN_TYPE => self.tunnel.0 = attribute.u8()?,
            dest::TUN_PORT => self.tunnel.1 = attribute.u16_net()?,
            dest::TUN_FLAGS => self.tunnel.2 = attribute.u16::<O>()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn endpoint(&self, key: ServiceKey) -> Result<Endpoint, DecodeError> {
        self.endpoint_of(key.family())
    }

    fn endpoint_of(&self, service: Family) -> Result<Endpoint, DecodeError> {
        // Absent before Linux 3.18, where destinations are of their service's family.
        let family = match self.family {
            0 => service,
            number => family(number)?,
        };
        let bytes = self.address.ok_or(DecodeError::Missing)?;
        let port = self.port.ok_or(DecodeError::Missing)?;
        Ok(Endpoint::new(address(family, bytes), port))
    }

    pub(super) fn destination(&self, service: Family) -> Result<Destination, DecodeError> {
        let [method, ..] = self.method.to_le_bytes();
        Ok(Destination {
            endpoint: self.endpoint_of(service)?,
            forward: Forward::from_parts(method, self.tunnel),
            weight: Weight::new(self.weight).ok_or(DecodeError::Attribute { kind: dest::WEIGHT })?,
            thresholds: Thresholds::unchecked(self.upper, self.lower),
        })
    }
}

/// The attributes of DAEMON.
#[derive(Default)]
pub(super) struct DaemonFields<'a> {
    state: u32,
    interface: &'a str,
    sync_id: u32,
    options: DaemonOptions,
}

impl<'a> DaemonFields<'a> {
    pub(super) fn read<O: Order>(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Self::default();
        for attribute in attributes::<O>(bytes) {
            fields.take::<O>(attribute?)?;
        }
        Ok(fields)
    }

    /// Takes in an attribute; `false` if it is none of these.
    pub(super) fn take<O: Order>(&mut self, attribute: Attribute<'a>) -> Result<bool, DecodeError> {
        match attribute.kind {
            daemon::STATE => self.state = attribute.u32::<O>()?,
            daemon::MCAST_IFN => self.interface = attribute.str()?,
            daemon::SYNC_ID => self.sync_id = attribute.u32::<O>()?,
            daemon::SYNC_MAXLEN => {
                self.options.max_length = Some(attribute.u16::<O>()?).filter(|n| *n != 0);
            }
            daemon::MCAST_GROUP => {
                self.options.group = MulticastGroup::v4(Ipv4Addr::from(attribute.bytes::<4>()?));
            }
            daemon::MCAST_GROUP6 => {
                self.options.group = MulticastGroup::v6(Ipv6Addr::from(attribute.bytes::<16>()?));
            }
            daemon::MCAST_PORT => self.options.port = Some(attribute.u16::<O>()?).filter(|n| *n != 0),
            daemon::MCAST_TTL => self.options.ttl = Some(attribute.u8()?).filter(|n| *n != 0),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn role(&self) -> Result<DaemonRole, DecodeError> {
        match self.state {
            1 => Ok(DaemonRole::Master),
            2 => Ok(DaemonRole::Backup),
            _ => Err(DecodeError::Attribute { kind: daemon::STATE }),
        }
    }

    pub(super) fn daemon(&self) -> Result<Daemon, DecodeError> {
        let interface: InterfaceName = self.interface.parse().map_err(|_| DecodeError::Attribute {
            kind: daemon::MCAST_IFN,
        })?;
        Ok(Daemon {
            role: self.role()?,
            interface,
            sync_id: u8::try_from(self.sync_id).map_err(|_| DecodeError::Attribute {
                kind: daemon::SYNC_ID,
            })?,
            options: self.options,
        })
    }
}

pub(super) fn read_timeout<O: Order>(
    timeouts: &mut Timeouts,
    attribute: Attribute<'_>,
) -> Result<(), DecodeError> {
    let seconds = attribute.u32::<O>()?;
    let timeout = (seconds != 0).then(|| Timeout::unchecked(seconds));
    match attribute.kind {
        top::TIMEOUT_TCP => timeouts.tcp = timeout,
        top::TIMEOUT_TCP_FIN => timeouts.tcp_fin = timeout,
        _ => timeouts.udp = timeout,
    }
    Ok(())
}

pub(super) fn put_service_fields<O: Order>(out: &mut Vec<u8>, service: &Service, hashed: u32, mask: u32) {
    put_key::<O>(out, &service.key);
    put::<O>(out, service::SCHED_NAME, service.scheduler.name().with_nul());
    let persistence = service.persistence;
    if let Some(engine) = persistence.and_then(|persistence| persistence.engine) {
        put::<O>(out, service::PE_NAME, engine.with_nul());
    }
    let mut flags = (u32::from(service.scheduler.flags().bits()) << flag::SCHEDULER_SHIFT) | hashed;
    if persistence.is_some() {
        flags |= flag::PERSISTENT;
    }
    if service.one_packet {
        flags |= flag::ONE_PACKET;
    }
    let ([f0, f1, f2, f3], [m0, m1, m2, m3]) = (u32_bytes::<O>(flags), u32_bytes::<O>(mask));
    put::<O>(out, service::FLAGS, &[f0, f1, f2, f3, m0, m1, m2, m3]);
    let timeout = persistence.map_or(0, |persistence| persistence.timeout.seconds());
    put::<O>(out, service::TIMEOUT, &u32_bytes::<O>(timeout));
    let granularity = persistence.map_or(Granularity::Address, |persistence| persistence.granularity);
    let netmask = match service.key.family() {
        Family::V4 => granularity.v4().octets(),
        Family::V6 => u32_bytes::<O>(u32::from(granularity.v6())),
    };
    put::<O>(out, service::NETMASK, &netmask);
}

fn put_service<O: Order>(out: &mut Vec<u8>, service: &Service) {
    nest::<O>(out, top::SERVICE | NESTED, |out| {
        put_service_fields::<O>(out, service, 0, u32::MAX);
    });
}

fn put_key<O: Order>(out: &mut Vec<u8>, key: &ServiceKey) {
    let family = family_number(key.family());
    put::<O>(out, service::AF, &u16_bytes::<O>(family));
    match key {
        ServiceKey::Mark { mark, .. } => put::<O>(out, service::FWMARK, &u32_bytes::<O>(mark.get())),
        ServiceKey::Address { protocol, endpoint } => {
            put::<O>(
                out,
                service::PROTOCOL,
                &u16_bytes::<O>(u16::from(protocol.number())),
            );
            put::<O>(out, service::ADDR, &octets(endpoint.address));
            put::<O>(out, service::PORT, &endpoint.port.to_be_bytes());
        }
    }
}

fn put_endpoint<O: Order>(out: &mut Vec<u8>, endpoint: Endpoint) {
    put::<O>(
        out,
        dest::ADDR_FAMILY,
        &u16_bytes::<O>(family_number(endpoint.family())),
    );
    put::<O>(out, dest::ADDR, &octets(endpoint.address));
    put::<O>(out, dest::PORT, &endpoint.port.to_be_bytes());
}

pub(super) fn put_destination_fields<O: Order>(out: &mut Vec<u8>, destination: &Destination) {
    put_endpoint::<O>(out, destination.endpoint);
    let (method, (kind, port, flags)) = destination.forward.parts();
    put::<O>(out, dest::FWD_METHOD, &u32_bytes::<O>(u32::from(method)));
    put::<O>(out, dest::WEIGHT, &u32_bytes::<O>(destination.weight.get()));
    // Absent they mean zero, and a kernel before 5.2 has never heard of them.
    if method == 2 {
        put::<O>(out, dest::TUN_TYPE, &[kind]);
        put::<O>(out, dest::TUN_PORT, &port.to_be_bytes());
        put::<O>(out, dest::TUN_FLAGS, &u16_bytes::<O>(flags));
    }
    put::<O>(
        out,
        dest::U_THRESH,
        &u32_bytes::<O>(destination.thresholds.upper()),
    );
    put::<O>(
        out,
        dest::L_THRESH,
        &u32_bytes::<O>(destination.thresholds.lower()),
    );
}

fn put_destination<O: Order>(out: &mut Vec<u8>, destination: &Destination) {
    nest::<O>(out, top::DEST | NESTED, |out| {
        put_destination_fields::<O>(out, destination);
    });
}

fn put_daemon<O: Order>(out: &mut Vec<u8>, daemon: &Daemon) {
    nest::<O>(out, top::DAEMON | NESTED, |out| {
        put_daemon_fields::<O>(out, daemon)
    });
}

pub(super) fn put_daemon_fields<O: Order>(out: &mut Vec<u8>, daemon: &Daemon) {
    put::<O>(out, daemon::STATE, &u32_bytes::<O>(role_number(daemon.role)));
    put::<O>(out, daemon::MCAST_IFN, daemon.interface.with_nul());
    put::<O>(out, daemon::SYNC_ID, &u32_bytes::<O>(u32::from(daemon.sync_id)));
    if let Some(length) = daemon.options.max_length {
        put::<O>(out, daemon::SYNC_MAXLEN, &u16_bytes::<O>(length));
    }
    if let Some(port) = daemon.options.port {
        put::<O>(out, daemon::MCAST_PORT, &u16_bytes::<O>(port));
    }
    if let Some(ttl) = daemon.options.ttl {
        put::<O>(out, daemon::MCAST_TTL, &[ttl]);
    }
    match daemon.options.group.map(MulticastGroup::group) {
        Some(Group::V4(group)) => put::<O>(out, daemon::MCAST_GROUP, &group.octets()),
        Some(Group::V6(group)) => put::<O>(out, daemon::MCAST_GROUP6, &group.octets()),
        None => {}
    }
}

pub(super) fn put_timeouts<O: Order>(out: &mut Vec<u8>, timeouts: &Timeouts) {
    for (kind, timeout) in [
        (top::TIMEOUT_TCP, timeouts.tcp),
        (top::TIMEOUT_TCP_FIN, timeouts.tcp_fin),
        (top::TIMEOUT_UDP, timeouts.udp),
    ] {
        if let Some(timeout) = timeout {
            put::<O>(out, kind, &u32_bytes::<O>(timeout.seconds()));
        }
    }
}

const fn role_number(role: DaemonRole) -> u32 {
    match role {
        DaemonRole::Master => 1,
        DaemonRole::Backup => 2,
    }
}

const fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

fn family(number: u16) -> Result<Family, DecodeError> {
    match number {
        AF_INET => Ok(Family::V4),
        AF_INET6 => Ok(Family::V6),
        _ => Err(DecodeError::Attribute { kind: service::AF }),
    }
}

/// The 16 bytes in which the kernel keeps an address of either family.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// Up to 16 bytes; fewer are filled up with zeroes, as the kernel does.
fn address_bytes(value: &[u8]) -> [u8; 16] {
    if let Some(bytes) = value.first_chunk() {
        return *bytes;
    }
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(value) {
        *to = *from;
    }
    bytes
}

fn address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bytes)),
    }
}
