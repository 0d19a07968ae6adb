use super::attribute::{
    Attribute, Native, Order, attributes, nest, put, read_u64, u16_bytes, u32_bytes, u64_bytes,
};
use super::number::{dest, info, service, top};
use super::request::{
    DaemonFields, DestinationFields, ServiceFields, put_daemon_fields, put_destination_fields,
    put_service_fields, put_timeouts, read_timeout,
};
use super::{VERSION, command, flag};
use crate::config::{Info, Timeouts, Version};
use crate::daemon::Daemon;
use crate::destination::Destination;
use crate::error::DecodeError;
use crate::service::{Family, Service};
use crate::stats::{Rates, Stats};

/// One message of the kernel's answer to a request that reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// To [`Request::Service`](crate::Request::Service) and [`Request::Services`](crate::Request::Services).
    Service(ServiceEntry),
    /// To [`Request::Destinations`](crate::Request::Destinations).
    Destination(DestinationEntry),
    /// To [`Request::Daemons`](crate::Request::Daemons).
    Daemon(DaemonEntry),
    /// To [`Request::Timeouts`](crate::Request::Timeouts).
    Timeouts(Timeouts),
    /// To [`Request::Info`](crate::Request::Info).
    Info(Info),
}

/// A service as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the kernel sends, the rest is in `unknown`"
)]
pub struct ServiceEntry {
    /// The service.
    pub service: Service,
    /// What it has carried.
    pub stats: Stats,
    /// What this version does not know.
    pub unknown: Vec<UnknownAttribute>,
}

/// A destination as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the kernel sends, the rest is in `unknown`"
)]
pub struct DestinationEntry {
    /// The destination.
    pub destination: Destination,
    /// Connections that are established, now.
    pub active: u32,
    /// Other connections, now.
    pub inactive: u32,
    /// Clients kept at it, now.
    pub persistent: u32,
    /// What it has carried.
    pub stats: Stats,
    /// What this version does not know.
    pub unknown: Vec<UnknownAttribute>,
}

/// A sync daemon as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the kernel sends, the rest is in `unknown`"
)]
pub struct DaemonEntry {
    /// The daemon, with what the kernel filled in.
    pub daemon: Daemon,
    /// What this version does not know.
    pub unknown: Vec<UnknownAttribute>,
}

/// An attribute that a newer kernel sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an attribute is these two")]
pub struct UnknownAttribute {
    /// Its number, in the attribute that it stands in.
    pub kind: u16,
    /// Its bytes.
    pub value: Box<[u8]>,
}

impl Reply {
    /// Reads the body of a message. `service` is the family of the service whose destinations were asked for; kernels
    /// before 3.18 do not say a destination's own.
    ///
    /// # Errors
    /// [`DecodeError`]. Attributes that are not known are kept, not refused.
    pub fn decode(body: &[u8], service: Family) -> Result<Self, DecodeError> {
        Self::decode_as::<Native>(body, service)
    }

    /// Appends the body of the message as the kernel writes it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as::<Native>(out);
    }

    /// What it says of a service, if it does.
    pub(crate) fn service(self) -> Option<ServiceEntry> {
        match self {
            Self::Service(entry) => Some(entry),
            Self::Destination(_) | Self::Daemon(_) | Self::Timeouts(_) | Self::Info(_) => None,
        }
    }

    /// What it says of a sync daemon, if it does.
    pub(crate) fn daemon(self) -> Option<DaemonEntry> {
        match self {
            Self::Daemon(entry) => Some(entry),
            Self::Service(_) | Self::Destination(_) | Self::Timeouts(_) | Self::Info(_) => None,
        }
    }

    /// What it says of the timeouts, if it does.
    pub(crate) fn timeouts(self) -> Option<Timeouts> {
        match self {
            Self::Timeouts(entry) => Some(entry),
            Self::Service(_) | Self::Destination(_) | Self::Daemon(_) | Self::Info(_) => None,
        }
    }

    /// What it says of the kernel on itself, if it does.
    pub(crate) fn info(self) -> Option<Info> {
        match self {
            Self::Info(entry) => Some(entry),
            Self::Service(_) | Self::Destination(_) | Self::Daemon(_) | Self::Timeouts(_) => None,
        }
    }

    pub(crate) fn decode_as<O: Order>(body: &[u8], family: Family) -> Result<Self, DecodeError> {
        let (head, rest) = body.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        let [number, ..] = *head;
        match number {
            command::NEW_SERVICE => {
                Self::read_service::<O>(find::<O>(rest, top::SERVICE)?).map(Self::Service)
            }
            command::NEW_DEST => {
                Self::read_destination::<O>(find::<O>(rest, top::DEST)?, family).map(Self::Destination)
            }
            command::NEW_DAEMON => Self::read_daemon::<O>(find::<O>(rest, top::DAEMON)?).map(Self::Daemon),
            command::SET_CONFIG => {
                let mut timeouts = Timeouts::default();
                for attribute in attributes::<O>(rest) {
                    let attribute = attribute?;
                    if (top::TIMEOUT_TCP..=top::TIMEOUT_UDP).contains(&attribute.kind) {
                        read_timeout::<O>(&mut timeouts, attribute)?;
                    }
                }
                Ok(Self::Timeouts(timeouts))
            }
            command::SET_INFO => {
                let (mut version, mut size) = (None, None);
                for attribute in attributes::<O>(rest) {
                    let attribute = attribute?;
                    match attribute.kind {
                        info::VERSION => version = Some(attribute.u32::<O>()?),
                        info::CONN_TAB_SIZE => size = Some(attribute.u32::<O>()?),
                        _ => {}
                    }
                }
                Ok(Self::Info(Info {
                    version: Version(version.ok_or(DecodeError::Missing)?),
                    connection_table_size: size.ok_or(DecodeError::Missing)?,
                }))
            }
            other => Err(DecodeError::Command(other)),
        }
    }

    fn read_service<O: Order>(bytes: &[u8]) -> Result<ServiceEntry, DecodeError> {
        let mut fields = ServiceFields::default();
        let mut counters = Counters::default();
        let mut unknown = Vec::new();
        for attribute in attributes::<O>(bytes) {
            let attribute = attribute?;
            match attribute.kind {
                service::STATS => counters.narrow = attribute.value,
                service::STATS64 => counters.wide = attribute.value,
                _ => {
                    if !fields.take::<O>(attribute)? {
                        unknown.push(UnknownAttribute::of(attribute));
                    }
                }
            }
        }
        Ok(ServiceEntry {
            service: fields.service()?,
            stats: counters.read::<O>()?,
            unknown,
        })
    }

    fn read_destination<O: Order>(bytes: &[u8], family: Family) -> Result<DestinationEntry, DecodeError> {
        let mut fields = DestinationFields::default();
        let mut counters = Counters::default();
        let (mut active, mut inactive, mut persistent) = (0, 0, 0);
        let mut unknown = Vec::new();
        for attribute in attributes::<O>(bytes) {
            let attribute = attribute?;
            match attribute.kind {
                dest::ACTIVE_CONNS => active = attribute.u32::<O>()?,
                dest::INACT_CONNS => inactive = attribute.u32::<O>()?,
                dest::PERSIST_CONNS => persistent = attribute.u32::<O>()?,
                dest::STATS => counters.narrow = attribute.value,
                dest::STATS64 => counters.wide = attribute.value,
                _ => {
                    if !fields.take::<O>(attribute)? {
                        unknown.push(UnknownAttribute::of(attribute));
                    }
                }
            }
        }
        Ok(DestinationEntry {
            destination: fields.destination(family)?,
            active,
            inactive,
            persistent,
            stats: counters.read::<O>()?,
            unknown,
        })
    }

    fn read_daemon<O: Order>(bytes: &[u8]) -> Result<DaemonEntry, DecodeError> {
        let mut fields = DaemonFields::default();
        let mut unknown = Vec::new();
        for attribute in attributes::<O>(bytes) {
            let attribute = attribute?;
            if !fields.take::<O>(attribute)? {
                unknown.push(UnknownAttribute::of(attribute));
            }
        }
        Ok(DaemonEntry {
            daemon: fields.daemon()?,
            unknown,
        })
    }

    pub(crate) fn encode_as<O: Order>(&self, out: &mut Vec<u8>) {
        match self {
            Self::Service(entry) => {
                out.extend_from_slice(&[command::NEW_SERVICE, VERSION, 0, 0]);
                nest::<O>(out, top::SERVICE, |out| {
                    put_service_fields::<O>(out, &entry.service, flag::HASHED, u32::MAX);
                    put_stats::<O>(out, service::STATS, service::STATS64, &entry.stats);
                    put_unknown::<O>(out, &entry.unknown);
                });
            }
            Self::Destination(entry) => {
                out.extend_from_slice(&[command::NEW_DEST, VERSION, 0, 0]);
                nest::<O>(out, top::DEST, |out| {
                    put_destination_fields::<O>(out, &entry.destination);
                    put::<O>(out, dest::ACTIVE_CONNS, &u32_bytes::<O>(entry.active));
                    put::<O>(out, dest::INACT_CONNS, &u32_bytes::<O>(entry.inactive));
                    put::<O>(out, dest::PERSIST_CONNS, &u32_bytes::<O>(entry.persistent));
                    put_stats::<O>(out, dest::STATS, dest::STATS64, &entry.stats);
                    put_unknown::<O>(out, &entry.unknown);
                });
            }
            Self::Daemon(entry) => {
                out.extend_from_slice(&[command::NEW_DAEMON, VERSION, 0, 0]);
                nest::<O>(out, top::DAEMON, |out| {
                    put_daemon_fields::<O>(out, &entry.daemon);
                    put_unknown::<O>(out, &entry.unknown);
                });
            }
            Self::Timeouts(timeouts) => {
                out.extend_from_slice(&[command::SET_CONFIG, VERSION, 0, 0]);
                put_timeouts::<O>(out, timeouts);
            }
            Self::Info(entry) => {
                out.extend_from_slice(&[command::SET_INFO, VERSION, 0, 0]);
                put::<O>(out, info::VERSION, &u32_bytes::<O>(entry.version.0));
                put::<O>(
                    out,
                    info::CONN_TAB_SIZE,
                    &u32_bytes::<O>(entry.connection_table_size),
                );
            }
        }
    }
}

impl UnknownAttribute {
    fn of(attribute: Attribute<'_>) -> Self {
        Self {
            kind: attribute.kind,
            value: attribute.value.into(),
        }
    }
}

/// STATS and STATS64 hold the same counters; the wider ones win where there are any.
#[derive(Default)]
struct Counters<'a> {
    narrow: &'a [u8],
    wide: &'a [u8],
}

impl Counters<'_> {
    fn read<O: Order>(&self) -> Result<Stats, DecodeError> {
        let bytes = if self.wide.is_empty() {
            self.narrow
        } else {
            self.wide
        };
        let values = match wide_in_order::<O>(bytes) {
            Some(values) => values,
            None => one_by_one::<O>(bytes)?,
        };
        let [
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            rates @ ..,
        ] = values;
        Ok(Stats {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            rates: Rates {
                connections: rates[0],
                packets_in: rates[1],
                packets_out: rates[2],
                bytes_in: rates[3],
                bytes_out: rates[4],
            },
        })
    }
}

/// All ten as every kernel on x86 and ARM writes them. Half of what there is to read of a destination is this.
fn wide_in_order<O: Order>(bytes: &[u8]) -> Option<[u64; COUNTERS]> {
    let (chunks, rest) = bytes.as_chunks::<12>();
    let chunks: &[_; COUNTERS] = chunks.try_into().ok()?;
    let mut values = [0; COUNTERS];
    for (number, (chunk, place)) in (1_u16..).zip(chunks.iter().zip(&mut values)) {
        let ([l0, l1], [k0, k1]) = (u16_bytes::<O>(12), u16_bytes::<O>(number));
        let [head @ .., a, b, c, d, e, f, g, h] = *chunk;
        if head != [l0, l1, k0, k1] {
            return None;
        }
        *place = read_u64::<O>([a, b, c, d, e, f, g, h]);
    }
    rest.is_empty().then_some(values)
}

fn one_by_one<O: Order>(bytes: &[u8]) -> Result<[u64; COUNTERS], DecodeError> {
    let mut values = [0; COUNTERS];
    for attribute in attributes::<O>(bytes) {
        let attribute = attribute?;
        // The first has number 1. 11 is padding; what may come later is not among our counters.
        let index = usize::from(attribute.kind).wrapping_sub(1);
        if let Some(place) = values.get_mut(index) {
            *place = match attribute.u64::<O>() {
                Ok(wide) => wide,
                Err(_) => u64::from(attribute.u32::<O>()?),
            };
        }
    }
    Ok(values)
}

/// Five counters and their rates.
const COUNTERS: usize = 10;

fn put_stats<O: Order>(out: &mut Vec<u8>, narrow: u16, wide: u16, stats: &Stats) {
    let Rates {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
    } = stats.rates;
    let values = [
        stats.connections,
        stats.packets_in,
        stats.packets_out,
        stats.bytes_in,
        stats.bytes_out,
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
    ];
    nest::<O>(out, narrow, |out| {
        for (kind, value) in (1..).zip(values) {
            if kind == 4 || kind == 5 {
                put::<O>(out, kind, &u64_bytes::<O>(value));
            } else {
                // What no longer fits wraps around, as in the kernel.
                let [.., a, b, c, d] = value.to_be_bytes();
                put::<O>(out, kind, &u32_bytes::<O>(u32::from_be_bytes([a, b, c, d])));
            }
        }
    });
    nest::<O>(out, wide, |out| {
        for (kind, value) in (1..).zip(values) {
            put::<O>(out, kind, &u64_bytes::<O>(value));
        }
    });
}

fn put_unknown<O: Order>(out: &mut Vec<u8>, unknown: &[UnknownAttribute]) {
    for attribute in unknown {
        put::<O>(out, attribute.kind, &attribute.value);
    }
}

/// The value of the first attribute of this number.
fn find<O: Order>(bytes: &[u8], kind: u16) -> Result<&[u8], DecodeError> {
    for attribute in attributes::<O>(bytes) {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(attribute.value);
        }
    }
    Err(DecodeError::Missing)
}
