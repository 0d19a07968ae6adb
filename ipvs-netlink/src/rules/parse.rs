use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use crate::config::{Timeout, Timeouts};
use crate::daemon::{Daemon, DaemonOptions, DaemonRole, MulticastGroup};
use crate::destination::{Checksum, Destination, Forward, Thresholds, Tunnel, Weight};
use crate::message::Request;
use crate::name::{EngineName, InterfaceName, SchedulerName};
use crate::service::{
    Endpoint, Family, Granularity, Persistence, PersistenceTimeout, PrefixLength, Protocol, Scheduler,
    SchedulerFlags, Service, ServiceKey,
};

/// A line that is not ipvsadm's language, or says what IPVS cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
#[non_exhaustive]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in it at which the offending word starts, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// No option of ipvsadm's, or one that makes no sense in a file.
    #[error("no option of this name")]
    UnknownOption,
    /// The line has no command (`-A`, `-a`, ..).
    #[error("the line has no command, such as -A or -a")]
    NoCommand,
    /// The line has a second command.
    #[error("the line has more than one command")]
    SecondCommand,
    /// The command needs a service.
    #[error("the command needs a service: -t, -u, --sctp-service or -f")]
    NoService,
    /// The command needs a destination.
    #[error("the command needs a destination: -r")]
    NoDestination,
    /// The option needs a value.
    #[error("the option needs a value")]
    NoValue,
    /// The value is none that the option can have. Names of hosts and services are not looked up: use `ipvsadm -S -n`.
    #[error("the option cannot have this value")]
    Value,
    /// The lower threshold is above the upper one.
    #[error("the lower threshold is above the upper one")]
    Thresholds,
    /// A tunnel of type GUE has no port.
    #[error("a GUE tunnel needs --tun-port")]
    TunnelPort,
    /// The mask and the service are of different families.
    #[error("the mask is not one of the service's address family")]
    Mask,
}

/// Reads lines of ipvsadm's options, as `ipvsadm -S -n` and `write_rules` write them: every command that changes something,
/// in its short and long forms. Empty lines and comments (`#`) are passed over.
///
/// What a line leaves out has ipvsadm's default: scheduler `wlc`, weight 1, direct routing, persistence of 360 s; a
/// destination without a port has its service's.
///
/// # Errors
/// [`ParseError`], which points at the word.
pub fn parse_rules(text: &str) -> Result<Vec<Request>, ParseError> {
    let mut requests = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = words(line);
        if words.first().is_some_and(|word| !word.text.starts_with('#')) {
            let request = Line::read(words).map_err(|(column, kind)| ParseError {
                line: number + 1,
                column,
                kind,
            })?;
            requests.push(request);
        }
    }
    Ok(requests)
}

type Failure = (usize, ParseErrorKind);

#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    column: usize,
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = line;
    let mut column = 1;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        let (blank, from) = rest.split_at(start);
        column += blank.chars().count();
        let end = from.find(char::is_whitespace).unwrap_or(from.len());
        let (text, after) = from.split_at(end);
        words.push(Word { text, column });
        column += text.chars().count();
        rest = after;
    }
    words
}

#[derive(Clone, Copy)]
enum Verb {
    AddService,
    EditService,
    DeleteService,
    AddDestination,
    EditDestination,
    DeleteDestination,
    Clear,
    Zero,
    Set(Timeouts),
    StartDaemon(DaemonRole),
    StopDaemon(DaemonRole),
}

/// What the options of a line say.
struct Line<'a> {
    verb: Option<Verb>,
    key: Option<(Key, usize)>,
    ipv6: bool,
    scheduler: SchedulerName,
    flags: u8,
    timeout: Option<PersistenceTimeout>,
    mask: Option<Word<'a>>,
    engine: Option<EngineName>,
    one_packet: bool,
    destination: Option<Word<'a>>,
    method: Option<Method>,
    tunnel_kind: Option<&'a str>,
    tunnel_port: u16,
    checksum: Checksum,
    weight: Weight,
    upper: u32,
    lower: u32,
    interface: Option<InterfaceName>,
    sync_id: u8,
    daemon: DaemonOptions,
}

#[derive(Clone, Copy)]
enum Key {
    Address(Protocol, Endpoint),
    Mark(NonZeroU32),
}

#[derive(Clone, Copy)]
enum Method {
    Masquerade,
    DirectRoute,
    Tunnel,
}

impl<'a> Line<'a> {
    fn read(words: Vec<Word<'a>>) -> Result<Request, Failure> {
        let mut line = Self {
            verb: None,
            key: None,
            ipv6: false,
            scheduler: SchedulerName::new("wlc").ok_or((1, ParseErrorKind::Value))?,
            flags: 0,
            timeout: None,
            mask: None,
            engine: None,
            one_packet: false,
            destination: None,
            method: None,
            tunnel_kind: None,
            tunnel_port: 0,
            checksum: Checksum::None,
            weight: Weight::DEFAULT,
            upper: 0,
            lower: 0,
            interface: None,
            sync_id: 0,
            daemon: DaemonOptions::default(),
        };
        let end = words
            .last()
            .map_or(1, |word| word.column + word.text.chars().count());
        let mut words = Words {
            words: words.into_iter().peekable(),
            attached: None,
            end,
        };
        while let Some(word) = words.option() {
            line.take(word, &mut words)?;
        }
        line.finish(end)
    }

    fn take(&mut self, option: Word<'a>, words: &mut Words<'a>) -> Result<(), Failure> {
        let verb = match option.text {
            "-A" | "--add-service" => Some(Verb::AddService),
            "-E" | "--edit-service" => Some(Verb::EditService),
            "-D" | "--delete-service" => Some(Verb::DeleteService),
            "-a" | "--add-server" => Some(Verb::AddDestination),
            "-e" | "--edit-server" => Some(Verb::EditDestination),
            "-d" | "--delete-server" => Some(Verb::DeleteDestination),
            "-C" | "--clear" => Some(Verb::Clear),
            "-Z" | "--zero" => Some(Verb::Zero),
            "--set" => {
                let mut next = || -> Result<Option<Timeout>, Failure> {
                    let word = words.value()?;
                    let seconds: u32 = number(word)?;
                    match seconds {
                        0 => Ok(None),
                        _ => Timeout::from_seconds(seconds)
                            .map(Some)
                            .ok_or((word.column, ParseErrorKind::Value)),
                    }
                };
                Some(Verb::Set(Timeouts {
                    tcp: next()?,
                    tcp_fin: next()?,
                    udp: next()?,
                }))
            }
            "--start-daemon" => Some(Verb::StartDaemon(role(words.value()?)?)),
            "--stop-daemon" => Some(Verb::StopDaemon(role(words.value()?)?)),
            _ => None,
        };
        if let Some(verb) = verb {
            if self.verb.replace(verb).is_some() {
                return Err((option.column, ParseErrorKind::SecondCommand));
            }
            return Ok(());
        }
        match option.text {
            "-t" | "--tcp-service" => self.key = Some(address_key(Protocol::Tcp, words.value()?)?),
            "-u" | "--udp-service" => self.key = Some(address_key(Protocol::Udp, words.value()?)?),
            "--sctp-service" => self.key = Some(address_key(Protocol::Sctp, words.value()?)?),
            "-f" | "--fwmark-service" => {
                let word = words.value()?;
                // ipvsadm saves marks from 2^31 on as negative numbers.
                let mark = word
                    .text
                    .parse::<i32>()
                    .map_or_else(|_| number(word), |mark| Ok(mark.cast_unsigned()))?;
                let mark = NonZeroU32::new(mark).ok_or((word.column, ParseErrorKind::Value))?;
                self.key = Some((Key::Mark(mark), word.column));
            }
            "-6" | "--ipv6" => self.ipv6 = true,
            "-s" | "--scheduler" => self.scheduler = number(words.value()?)?,
            "-b" | "--sched-flags" => self.flags = flags(words.value()?)?,
            "-p" | "--persistent" => {
                self.timeout = Some(match words.optional_value() {
                    Some(word) => PersistenceTimeout::from_seconds(number(word)?)
                        .ok_or((word.column, ParseErrorKind::Value))?,
                    None => PersistenceTimeout::DEFAULT,
                });
            }
            "-M" | "--netmask" => self.mask = Some(words.value()?),
            "--pe" => self.engine = Some(number(words.value()?)?),
            "-o" | "--ops" => self.one_packet = true,
            "-r" | "--real-server" => self.destination = Some(words.value()?),
            "-m" | "--masquerading" => self.method = Some(Method::Masquerade),
            "-g" | "--gatewaying" => self.method = Some(Method::DirectRoute),
            "-i" | "--ipip" => self.method = Some(Method::Tunnel),
            "--tun-type" => self.tunnel_kind = Some(words.value()?.text),
            "--tun-port" => self.tunnel_port = number(words.value()?)?,
            "--tun-nocsum" => self.checksum = Checksum::None,
            "--tun-csum" => self.checksum = Checksum::Computed,
            "--tun-remcsum" => self.checksum = Checksum::Remote,
            "-w" | "--weight" => {
                let word = words.value()?;
                self.weight = Weight::new(number(word)?).ok_or((word.column, ParseErrorKind::Value))?;
            }
            "-x" | "--u-threshold" => self.upper = number(words.value()?)?,
            "-y" | "--l-threshold" => self.lower = number(words.value()?)?,
            "--mcast-interface" => self.interface = Some(number(words.value()?)?),
            "--syncid" => self.sync_id = number(words.value()?)?,
            "--sync-maxlen" => self.daemon.max_length = Some(number(words.value()?)?),
            "--mcast-group" => {
                let word = words.value()?;
                let group = match number(word)? {
                    IpAddr::V4(address) => MulticastGroup::v4(address),
                    IpAddr::V6(address) => MulticastGroup::v6(address),
                };
                self.daemon.group = Some(group.ok_or((word.column, ParseErrorKind::Value))?);
            }
            "--mcast-port" => self.daemon.port = Some(number(words.value()?)?),
            "--mcast-ttl" => self.daemon.ttl = Some(number(words.value()?)?),
            // Words of `ipvsadm -S -n` and of nothing that is stored.
            "-n" | "--numeric" => {}
            _ => return Err((option.column, ParseErrorKind::UnknownOption)),
        }
        Ok(())
    }

    fn finish(self, end: usize) -> Result<Request, Failure> {
        let verb = self.verb.ok_or((1, ParseErrorKind::NoCommand))?;
        Ok(match verb {
            Verb::AddService => Request::AddService(self.service(end)?),
            Verb::EditService => Request::EditService(self.service(end)?),
            Verb::DeleteService => Request::DeleteService(self.service_key(end)?),
            Verb::AddDestination => Request::AddDestination(self.service_key(end)?, self.destination(end)?),
            Verb::EditDestination => Request::EditDestination(self.service_key(end)?, self.destination(end)?),
            Verb::DeleteDestination => {
                Request::DeleteDestination(self.service_key(end)?, self.endpoint(end)?)
            }
            Verb::Clear => Request::Flush,
            Verb::Zero => Request::Zero(match self.key {
                Some(_) => Some(self.service_key(end)?),
                None => None,
            }),
            Verb::Set(timeouts) => Request::SetTimeouts(timeouts),
            Verb::StartDaemon(role) => Request::StartDaemon(Daemon {
                role,
                interface: match self.interface {
                    Some(interface) => interface,
                    None => InterfaceName::new("eth0").ok_or((end, ParseErrorKind::Value))?,
                },
                sync_id: self.sync_id,
                options: self.daemon,
            }),
            Verb::StopDaemon(role) => Request::StopDaemon(role),
        })
    }

    fn service_key(&self, end: usize) -> Result<ServiceKey, Failure> {
        match self.key {
            Some((Key::Address(protocol, endpoint), _)) => Ok(ServiceKey::Address { protocol, endpoint }),
            Some((Key::Mark(mark), _)) => Ok(ServiceKey::Mark {
                mark,
                family: if self.ipv6 { Family::V6 } else { Family::V4 },
            }),
            None => Err((end, ParseErrorKind::NoService)),
        }
    }

    fn service(&self, end: usize) -> Result<Service, Failure> {
        let key = self.service_key(end)?;
        let granularity = match self.mask {
            Some(word) => mask(word, key.family())?,
            None => Granularity::Address,
        };
        // ipvsadm asks for -p along with -M and --pe; here they imply it.
        let persistent = self.timeout.is_some() || self.engine.is_some() || self.mask.is_some();
        let service = Service {
            key,
            scheduler: Scheduler::from_parts(self.scheduler, SchedulerFlags::from_bits(self.flags)),
            one_packet: self.one_packet,
            persistence: persistent.then(|| Persistence {
                timeout: self.timeout.unwrap_or(PersistenceTimeout::DEFAULT),
                granularity,
                engine: self.engine,
            }),
        };
        Ok(service.canonical())
    }

    fn endpoint(&self, end: usize) -> Result<Endpoint, Failure> {
        let word = self.destination.ok_or((end, ParseErrorKind::NoDestination))?;
        let port = match self.key {
            Some((Key::Address(_, endpoint), _)) => endpoint.port,
            _ => 0,
        };
        endpoint(word.text, port).ok_or((word.column, ParseErrorKind::Value))
    }

    fn destination(&self, end: usize) -> Result<Destination, Failure> {
        let column = self.destination.map_or(end, |word| word.column);
        let forward = match self.method {
            Some(Method::Masquerade) => Forward::Masquerade,
            Some(Method::DirectRoute) | None => Forward::DirectRoute,
            Some(Method::Tunnel) => Forward::Tunnel(match self.tunnel_kind {
                None | Some("ipip") => Tunnel::Ipip,
                Some("gue") => Tunnel::Gue {
                    port: NonZeroU16::new(self.tunnel_port).ok_or((column, ParseErrorKind::TunnelPort))?,
                    checksum: self.checksum,
                },
                Some("gre") => Tunnel::Gre {
                    checksum: self.checksum == Checksum::Computed,
                },
                Some(_) => return Err((column, ParseErrorKind::Value)),
            }),
        };
        Ok(Destination {
            endpoint: self.endpoint(end)?,
            forward,
            weight: self.weight,
            thresholds: Thresholds::new(self.upper, self.lower)
                .ok_or((column, ParseErrorKind::Thresholds))?,
        })
    }
}

struct Words<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<Word<'a>>>,
    /// What stood behind the `=` of a long option.
    attached: Option<Word<'a>>,
    end: usize,
}

impl<'a> Words<'a> {
    fn option(&mut self) -> Option<Word<'a>> {
        if let Some(left_over) = self.attached.take() {
            return Some(left_over);
        }
        let word = self.words.next()?;
        match word.text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                self.attached = Some(Word {
                    text: value,
                    column: word.column + name.chars().count() + 1,
                });
                Some(Word { text: name, ..word })
            }
            _ => Some(word),
        }
    }

    fn value(&mut self) -> Result<Word<'a>, Failure> {
        self.attached
            .take()
            .or_else(|| self.words.next())
            .ok_or((self.end, ParseErrorKind::NoValue))
    }

    fn optional_value(&mut self) -> Option<Word<'a>> {
        self.attached
            .take()
            .or_else(|| self.words.next_if(|word| !word.text.starts_with('-')))
    }
}

fn number<V: FromStr>(word: Word<'_>) -> Result<V, Failure> {
    word.text
        .parse()
        .map_err(|_| (word.column, ParseErrorKind::Value))
}

fn role(word: Word<'_>) -> Result<DaemonRole, Failure> {
    match word.text {
        "master" => Ok(DaemonRole::Master),
        "backup" => Ok(DaemonRole::Backup),
        _ => Err((word.column, ParseErrorKind::Value)),
    }
}

fn flags(word: Word<'_>) -> Result<u8, Failure> {
    word.text.split(',').try_fold(0, |flags, name| {
        let flag = match name {
            "flag-1" | "sh-fallback" | "mh-fallback" => 1,
            "flag-2" | "sh-port" | "mh-port" => 2,
            "flag-3" => 4,
            _ => return Err((word.column, ParseErrorKind::Value)),
        };
        Ok(flags | flag)
    })
}

fn address_key(protocol: Protocol, word: Word<'_>) -> Result<(Key, usize), Failure> {
    let endpoint = endpoint(word.text, 0).ok_or((word.column, ParseErrorKind::Value))?;
    Ok((Key::Address(protocol, endpoint), word.column))
}

/// `1.2.3.4:80`, `[::1]:80`, or an address alone with a port assumed.
fn endpoint(text: &str, port: u16) -> Option<Endpoint> {
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.into());
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    Some(Endpoint::new(bare.parse().ok()?, port))
}

fn mask(word: Word<'_>, family: Family) -> Result<Granularity, Failure> {
    match family {
        Family::V4 => word
            .text
            .parse::<Ipv4Addr>()
            .map(Granularity::from_v4)
            .map_err(|_| (word.column, ParseErrorKind::Mask)),
        Family::V6 => word
            .text
            .parse()
            .ok()
            .and_then(PrefixLength::new)
            .map(Granularity::Prefix)
            .ok_or((word.column, ParseErrorKind::Mask)),
    }
}
