use std::collections::VecDeque;

use netlink_batch::{Error, Limits, Message, Report, Run, Sequence, messages};

use crate::config::{Info, Timeout, Timeouts, Version};
use crate::daemon::Daemon;
use crate::destination::{Forward, Tunnel};
use crate::family_lookup;
use crate::message::{DaemonEntry, DestinationEntry, Reply, Request, ServiceEntry};
use crate::service::{Service, ServiceKey};
use crate::session::Transport;
use crate::stats::Stats;
use crate::table::SnapshotService;

/// IPVS in memory: takes the bytes of requests and answers with the bytes, the order and the error numbers of the kernel.
///
/// For tests without privileges, and for faults that a kernel cannot be brought to: a chosen error number, answers lost.
/// It forwards no packets, so counters stay at zero unless they are set.
#[derive(Debug, Default)]
pub struct SimulatedKernel {
    services: Vec<SnapshotService>,
    daemons: Vec<Daemon>,
    timeouts: Timeouts,
    sequence: Sequence,
    faults: VecDeque<Fault>,
    requests: usize,
}

/// What happens to a request instead of its being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// None.
    None,
    /// It is refused with this error number.
    Refuse(i32),
    /// It is carried out, and all answers of the same send are lost.
    LoseAnswers,
    /// The process is killed: it and all later requests of the same batch are never sent.
    Kill,
}

impl SimulatedKernel {
    /// An empty table, with the kernel's own timeouts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeouts: Timeouts {
                tcp: Timeout::from_seconds(900),
                tcp_fin: Timeout::from_seconds(120),
                udp: Timeout::from_seconds(300),
            },
            ..Self::default()
        }
    }

    /// Faults for the requests to come, one for each.
    pub fn inject(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.extend(faults);
    }

    /// No faults any more.
    pub fn forget_faults(&mut self) {
        self.faults.clear();
    }

    /// How many requests have been carried out or refused.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// The table, to look at and to change behind a client's back.
    pub fn services_mut(&mut self) -> &mut Vec<SnapshotService> {
        &mut self.services
    }

    fn find(&mut self, key: &ServiceKey) -> Result<&mut SnapshotService, i32> {
        self.services
            .iter_mut()
            .find(|service| service.entry.service.key == *key)
            .ok_or(ESRCH)
    }

    fn carry_out(&mut self, request: &Request) -> Result<Vec<Reply>, i32> {
        match request {
            Request::AddService(service) => {
                if self.find(&service.key).is_ok() {
                    return Err(EEXIST);
                }
                check_scheduler(service)?;
                self.services.push(SnapshotService {
                    entry: ServiceEntry {
                        service: *service,
                        stats: Stats::default(),
                        unknown: Vec::new(),
                    },
                    destinations: Vec::new(),
                });
            }
            Request::EditService(service) => {
                let place = self.find(&service.key)?;
                check_scheduler(service)?;
                place.entry.service = *service;
            }
            Request::DeleteService(key) => {
                self.find(key)?;
                self.services.retain(|service| service.entry.service.key != *key);
            }
            Request::Service(key) => return Ok(vec![Reply::Service(self.find(key)?.entry.clone())]),
            Request::Services => {
                let entries = self.services.iter().map(|service| service.entry.clone());
                return Ok(entries.map(Reply::Service).collect());
            }
            Request::AddDestination(key, destination) => {
                let has_daemon = !self.daemons.is_empty();
                let service = self.find(key)?;
                let mixed = key.family() != destination.endpoint.family();
                let tunnel = matches!(destination.forward, Forward::Tunnel(_));
                let no_port = matches!(
                    destination.forward,
                    Forward::Tunnel(Tunnel::Other { kind: 1, port: 0, .. })
                );
                let address = destination.endpoint.address;
                if mixed && (!tunnel || has_daemon)
                    || no_port
                    || address.is_multicast()
                    || address.is_unspecified()
                {
                    return Err(EINVAL);
                }
                let twice = |entry: &DestinationEntry| entry.destination.endpoint == destination.endpoint;
                if service.destinations.iter().any(twice) {
                    return Err(EEXIST);
                }
                let entry = DestinationEntry {
                    destination: *destination,
                    active: 0,
                    inactive: 0,
                    persistent: 0,
                    stats: Stats::default(),
                    unknown: Vec::new(),
                };
                service.destinations.insert(0, entry);
            }
            Request::EditDestination(key, destination) => {
                let service = self.find(key)?;
                let place = service
                    .destinations
                    .iter_mut()
                    .find(|entry| entry.destination.endpoint == destination.endpoint);
                place.ok_or(ENOENT)?.destination = *destination;
            }
            Request::DeleteDestination(key, endpoint) => {
                let service = self.find(key)?;
                let before = service.destinations.len();
                service
                    .destinations
                    .retain(|entry| entry.destination.endpoint != *endpoint);
                if service.destinations.len() == before {
                    return Err(ENOENT);
                }
            }
            Request::Destinations(key) => {
                // As the kernel: a service that does not exist has none.
                let entries = self.find(key).map(|service| service.destinations.clone());
                return Ok(entries
                    .unwrap_or_default()
                    .into_iter()
                    .map(Reply::Destination)
                    .collect());
            }
            Request::StartDaemon(daemon) => {
                if self.daemons.iter().any(|other| other.role == daemon.role) {
                    return Err(EEXIST);
                }
                self.daemons.push(*daemon);
            }
            Request::StopDaemon(role) => {
                let before = self.daemons.len();
                self.daemons.retain(|daemon| daemon.role != *role);
                if self.daemons.len() == before {
                    return Err(ESRCH);
                }
            }
            Request::Daemons => {
                let entries = self.daemons.iter().map(|daemon| DaemonEntry {
                    daemon: *daemon,
                    unknown: Vec::new(),
                });
                return Ok(entries.map(Reply::Daemon).collect());
            }
            Request::SetTimeouts(timeouts) => {
                let old = self.timeouts;
                self.timeouts = Timeouts {
                    tcp: timeouts.tcp.or(old.tcp),
                    tcp_fin: timeouts.tcp_fin.or(old.tcp_fin),
                    udp: timeouts.udp.or(old.udp),
                };
            }
            Request::Timeouts => return Ok(vec![Reply::Timeouts(self.timeouts)]),
            Request::Info => {
                return Ok(vec![Reply::Info(Info {
                    version: Version(0x0001_0201),
                    connection_table_size: 4096,
                })]);
            }
            Request::Zero(Some(key)) => zero(self.find(key)?),
            Request::Zero(None) => self.services.iter_mut().for_each(zero),
            Request::Flush => self.services.clear(),
        }
        Ok(Vec::new())
    }

    /// The datagrams that answer one message; `None` if the answers of the whole send are lost.
    fn answer(&mut self, message: &Message<'_>) -> Option<Vec<Vec<u8>>> {
        let dump = message.flags & NLM_F_DUMP == NLM_F_DUMP;
        let sequence = message.sequence;
        if message.kind == family_lookup::GENL_ID_CTRL {
            let mut body = vec![CTRL_CMD_NEWFAMILY, 2, 0, 0, 6, 0, 1, 0];
            if cfg!(target_endian = "big") {
                body = vec![CTRL_CMD_NEWFAMILY, 2, 0, 0, 0, 6, 0, 1];
            }
            body.extend(FAMILY.to_ne_bytes());
            body.extend([0; 2]);
            return Some(vec![frame(message.kind, 0, sequence, &body)]);
        }
        if message.kind != FAMILY {
            return Some(acknowledge(message, Ok(())));
        }
        self.requests += 1;
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        let result = match (fault, Request::decode(message.body, dump)) {
            (Fault::Refuse(errno), _) => Err(errno),
            (_, Ok(request)) => self.carry_out(&request),
            (_, Err(_)) => Err(EINVAL),
        };
        if fault == Fault::LoseAnswers {
            return None;
        }
        let mut datagrams = Vec::new();
        match result {
            Ok(replies) => {
                for reply in replies {
                    let mut body = Vec::new();
                    reply.encode(&mut body);
                    datagrams.push(frame(FAMILY, 0, sequence, &body));
                }
                if dump {
                    datagrams.push(frame(NLMSG_DONE, 0, sequence, &[0; 4]));
                } else {
                    datagrams.extend(acknowledge(message, Ok(())));
                }
            }
            Err(errno) => datagrams.extend(acknowledge(message, Err(errno))),
        }
        Some(datagrams)
    }
}

impl Transport for SimulatedKernel {
    fn run(
        &mut self,
        batch: &mut netlink_batch::Batch,
        reply: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<Report, Error> {
        let mut sequence = std::mem::take(&mut self.sequence);
        let mut run = Run::new(batch, Limits::default(), &mut sequence);
        while !run.is_finished() {
            let mut queue = Vec::new();
            let mut lost = false;
            while let Some(bytes) = run.poll_transmit() {
                for message in messages(bytes).flatten() {
                    if message.kind == FAMILY && self.faults.front() == Some(&Fault::Kill) {
                        self.faults.pop_front();
                        self.sequence = sequence;
                        return Err(Error::NoAnswer);
                    }
                    match self.answer(&message) {
                        Some(datagrams) => queue.extend(datagrams),
                        None => lost = true,
                    }
                }
            }
            if lost {
                run.handle_loss();
            } else {
                for datagram in queue {
                    run.handle_datagram(&datagram, &mut *reply);
                }
            }
            if !run.is_finished() {
                run.handle_silence();
            }
        }
        let report = run.finish();
        self.sequence = sequence;
        Ok(report)
    }
}

fn check_scheduler(service: &Service) -> Result<(), i32> {
    let engine = service.persistence.and_then(|persistence| persistence.engine);
    let known = SCHEDULERS.contains(&service.scheduler.name().as_str());
    let known_engine = engine.is_none_or(|engine| engine.as_str() == "sip");
    if known && known_engine {
        Ok(())
    } else {
        Err(ENOENT)
    }
}

fn zero(service: &mut SnapshotService) {
    service.entry.stats = Stats::default();
    for entry in &mut service.destinations {
        entry.stats = Stats::default();
    }
}

/// NLMSG_ERROR where it is due: for an error always, for success if it was asked for.
fn acknowledge(message: &Message<'_>, result: Result<(), i32>) -> Vec<Vec<u8>> {
    let errno = result.err().unwrap_or(0);
    if errno == 0 && message.flags & NLM_F_ACK == 0 {
        return Vec::new();
    }
    let mut body = errno.saturating_neg().to_ne_bytes().to_vec();
    body.extend([0; 16]);
    vec![frame(NLMSG_ERROR, NLM_F_CAPPED, message.sequence, &body)]
}

fn frame(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

/// Those that Debian's kernels have.
const SCHEDULERS: [&str; 15] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos", "none",
];
const FAMILY: u16 = 30;
const CTRL_CMD_NEWFAMILY: u8 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_ACK: u16 = 4;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_DUMP: u16 = 0x300;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
