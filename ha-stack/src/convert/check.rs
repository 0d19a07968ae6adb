//! The checks of real servers, with keepalived's timing.

mod http;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Basis, Check, Dialogue, Dns, Endpoint, File, NetOptions, Ping, Policy, Script, Start, Udp,
};
use keepalived_conf::{
    DnsType, FileCheck, MiscCheck, Origin, RealServer, Seconds, SmtpHost, UdpCheck, VirtualServer,
};

use crate::convert::Context;

/// A check and when it is made.
pub(super) type Made = (Check, Arc<Policy>);

/// Every check of a real server, in the order of the kinds, and of which of them each failed attempt is logged.
pub(super) fn checks(
    context: &mut Context<'_>,
    server: &VirtualServer,
    real: &RealServer,
    address: SocketAddr,
) -> (Vec<Made>, Vec<bool>) {
    let inherited = Inherited::of(server, real, address);
    // An SMTP check may be several; nothing else is.
    let mut made = Vec::with_capacity(count(real));
    let mut logged = Vec::new();
    let mut done = 0;
    // To be called after what a block led to, which may be no check or several. Who logs nothing has no entries.
    let mut log = |made: &[Made], wanted: Option<bool>| {
        if wanted == Some(true) {
            logged.resize(done, false);
            logged.resize(made.len(), true);
        }
        done = made.len();
    };
    for check in &real.tcp_check {
        let own = own!(check);
        if let Some(place) = inherited.place(context, &own, check.origin) {
            made.push((Check::tcp(place), inherited.policy(context, &own, 1, SECOND)));
        }
        log(&made, check.log_all_failures);
    }
    for check in &real.http_get {
        made.extend(http::check(context, &inherited, check, false));
        log(&made, check.log_all_failures);
    }
    for check in &real.ssl_get {
        made.extend(http::check(context, &inherited, check, true));
        log(&made, check.log_all_failures);
    }
    for check in &real.smtp_check {
        let own = own!(check);
        let helo = check.helo_name.as_deref().unwrap_or(DEFAULT_HELO);
        let mut places = vec![own.clone()];
        if !check.host.is_empty() {
            places = check.host.iter().map(|host| own.at_host(host)).collect();
        }
        for own in places {
            if let Some(place) = inherited.place(context, &own, check.origin) {
                made.push((
                    Check::new(place, Dialogue::smtp(helo)),
                    inherited.policy(context, &own, 1, SECOND),
                ));
            }
        }
        log(&made, check.log_all_failures);
    }
    for check in &real.dns_check {
        let own = own!(check);
        let kind = match check.kind {
            Some(DnsType::A) => 1,
            Some(DnsType::Ns) => 2,
            Some(DnsType::Cname) => 5,
            Some(DnsType::Soa) | None => 6,
            Some(DnsType::Mx) => 15,
            Some(DnsType::Txt) => 16,
            Some(DnsType::Aaaa) => 28,
        };
        match Dns::new(check.name.as_deref().unwrap_or("."), kind) {
            Ok(dns) => {
                if let Some(place) = inherited.place(context, &own, check.origin) {
                    let delay = own.delay_loop.map_or(inherited.delay_loop, Seconds::as_duration);
                    made.push((Check::new(place, dns), inherited.policy(context, &own, 3, delay)));
                }
            }
            Err(error) => context.error(check.origin, format!("DNS_CHECK: {error}")),
        }
        log(&made, check.log_all_failures);
    }
    for check in &real.misc_check {
        made.extend(misc(context, &inherited, check));
        log(&made, check.log_all_failures);
    }
    for check in &real.udp_check {
        let own = own!(check);
        if let (Some(udp), Some(place)) = (udp(context, check), inherited.place(context, &own, check.origin))
        {
            made.push((Check::new(place, udp), inherited.policy(context, &own, 1, SECOND)));
        }
        log(&made, check.log_all_failures);
    }
    for check in &real.ping_check {
        let own = own!(check);
        let place = own.on_the_way(own.connect_ip.unwrap_or_else(|| address.ip()).into());
        made.push((
            Check::new(place, Ping::default()),
            inherited.policy(context, &own, 1, SECOND),
        ));
        log(&made, check.log_all_failures);
    }
    made.extend(
        real.file_check
            .iter()
            .filter_map(|check| file(context, &inherited, check)),
    );
    made.shrink_to_fit();
    (made, logged)
}

fn count(real: &RealServer) -> usize {
    real.tcp_check.len()
        + real.http_get.len()
        + real.ssl_get.len()
        + real.smtp_check.len()
        + real.dns_check.len()
        + real.misc_check.len()
        + real.udp_check.len()
        + real.ping_check.len()
        + real.file_check.len()
}

/// Thousands of real servers with the same rules share them.
pub(super) fn shared(context: &mut Context<'_>, policy: Policy) -> Arc<Policy> {
    match &context.policy {
        Some(last) if **last == policy => Arc::clone(last),
        _ => Arc::clone(context.policy.insert(Arc::new(policy))),
    }
}

/// What a check takes from its real and virtual server.
pub(super) struct Inherited {
    address: SocketAddr,
    /// The name in HTTP requests.
    virtualhost: Option<String>,
    delay_loop: Duration,
    /// That of the virtual server.
    server_delay_loop: Duration,
    connect_timeout: Duration,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
    alpha: bool,
}

/// What a check says itself.
#[derive(Clone, Default)]
pub(super) struct Own {
    connect_ip: Option<IpAddr>,
    connect_port: Option<u16>,
    bindto: Option<IpAddr>,
    bind_port: Option<u16>,
    bind_if: Option<String>,
    fwmark: Option<u32>,
    connect_timeout: Option<Seconds>,
    retry: Option<u32>,
    delay_before_retry: Option<Seconds>,
    warmup: Option<Seconds>,
    delay_loop: Option<Seconds>,
    alpha: Option<bool>,
}

/// The fields that all checks which connect have.
macro_rules! own {
    ($check:expr) => {
        crate::convert::check::Own {
            connect_ip: $check.connect_ip,
            connect_port: $check.connect_port,
            bindto: $check.bindto,
            bind_port: $check.bind_port,
            bind_if: $check.bind_if.clone(),
            fwmark: $check.fwmark,
            connect_timeout: $check.connect_timeout,
            retry: $check.retry,
            delay_before_retry: $check.delay_before_retry,
            warmup: $check.warmup,
            delay_loop: $check.delay_loop,
            alpha: $check.alpha,
        }
    };
}
use own;

impl Own {
    /// The same at a `host` block of an SMTP check.
    fn at_host(&self, host: &SmtpHost) -> Self {
        Self {
            connect_ip: host.connect_ip.or(self.connect_ip),
            connect_port: host.connect_port.or(self.connect_port),
            bindto: host.bindto.or(self.bindto),
            bind_port: host.bind_port.or(self.bind_port),
            bind_if: host.bind_if.clone().or_else(|| self.bind_if.clone()),
            fwmark: host.fwmark.or(self.fwmark),
            connect_timeout: host.connect_timeout.or(self.connect_timeout),
            ..self.clone()
        }
    }

    /// A place with the way to it, if that is no ordinary one.
    fn on_the_way(&self, place: Endpoint) -> Endpoint {
        let way = NetOptions {
            source: self.bindto,
            source_port: self.bind_port.unwrap_or(0),
            device: self.bind_if.clone(),
            mark: self.fwmark.filter(|mark| *mark != 0),
            tos: None,
        };
        match way == NetOptions::default() {
            true => place,
            false => place.via(Arc::new(way)),
        }
    }
}

impl Inherited {
    fn of(server: &VirtualServer, real: &RealServer, address: SocketAddr) -> Self {
        let time =
            |own: Option<Seconds>, inherited: Option<Seconds>| own.or(inherited).map(Seconds::as_duration);
        let server_delay_loop = server.delay_loop.map_or(DELAY_LOOP, Seconds::as_duration);
        Self {
            address,
            virtualhost: real.virtualhost.clone().or_else(|| server.virtualhost.clone()),
            delay_loop: time(real.delay_loop, server.delay_loop).unwrap_or(DELAY_LOOP),
            server_delay_loop,
            connect_timeout: time(real.connect_timeout, server.connect_timeout).unwrap_or(CONNECT_TIMEOUT),
            retry: real.retry.or(server.retry),
            delay_before_retry: time(real.delay_before_retry, server.delay_before_retry),
            warmup: time(real.warmup, server.warmup),
            alpha: real.alpha.or(server.alpha).unwrap_or(false),
        }
    }

    /// Where a check connects to; `None` after an error.
    fn place(&self, context: &mut Context<'_>, own: &Own, origin: Origin) -> Option<Endpoint> {
        let address = own.connect_ip.unwrap_or_else(|| self.address.ip());
        let port = own.connect_port.unwrap_or_else(|| self.address.port());
        if port == 0 {
            context.error(
                origin,
                format!("the check of {address} has no port to connect to: add `connect_port`"),
            );
            return None;
        }
        Some(own.on_the_way(SocketAddr::new(address, port).into()))
    }

    /// keepalived's rules, for a check that retries so often, and after so long, unless something else is said. The time
    /// for an answer is that of the whole attempt: with keepalived each step has it, and a server that drips never fails.
    fn policy(&self, context: &mut Context<'_>, own: &Own, retry: u32, delay: Duration) -> Arc<Policy> {
        shared(context, self.own_policy(own, retry, delay))
    }

    fn own_policy(&self, own: &Own, retry: u32, delay: Duration) -> Policy {
        let duration = Seconds::as_duration;
        let interval = own.delay_loop.map_or(self.delay_loop, duration);
        let retries = own.retry.or(self.retry).unwrap_or(retry);
        let is_alpha = own.alpha.unwrap_or(self.alpha);
        Policy {
            interval,
            retry_delay: Some(
                own.delay_before_retry
                    .map(duration)
                    .or(self.delay_before_retry)
                    .unwrap_or(delay),
            ),
            timeout: own.connect_timeout.map_or(self.connect_timeout, duration),
            fall: fall(retries),
            start: start(is_alpha),
            spread: own.warmup.map(duration).or(self.warmup).unwrap_or(interval),
            ..Policy::keepalived(is_alpha)
        }
    }
}

fn start(is_alpha: bool) -> Start {
    match is_alpha {
        // It does not serve before it has passed, and that the first attempt failed is told.
        true => Start::Unknown,
        false => Start::Up,
    }
}

/// Down after so many failures and one more.
fn fall(retries: u32) -> NonZeroU16 {
    let failures = u16::try_from(retries.saturating_add(1)).unwrap_or(u16::MAX);
    NonZeroU16::new(failures).unwrap_or(NonZeroU16::MIN)
}

fn misc(context: &mut Context<'_>, inherited: &Inherited, check: &MiscCheck) -> Option<Made> {
    let path = check.misc_path.as_ref()?;
    let Some(command) = context.command(path, check.user.as_ref()) else {
        context.error(
            path.origin,
            format!(
                "MISC_CHECK: `{}` cannot be run, so nothing would be checked",
                path.line
            ),
        );
        return None;
    };
    let mut script = Script::new(command.program()).dynamic(check.misc_dynamic);
    for argument in command.arguments() {
        script = script.argument(argument);
    }
    if let Some(credentials) = command.credentials() {
        script = script.user(credentials.user(), credentials.group());
    }
    let own = Own {
        retry: check.retry,
        delay_before_retry: check.delay_before_retry,
        warmup: check.warmup,
        delay_loop: check.delay_loop,
        alpha: check.alpha,
        ..Own::default()
    };
    let mut policy = inherited.own_policy(&own, 0, SECOND);
    policy.timeout = check
        .misc_timeout
        .map_or(inherited.server_delay_loop, Seconds::as_duration);
    // From one start to the next.
    policy.basis = Basis::FixedRate;
    Some((Check::local(script), shared(context, policy)))
}

fn udp(context: &mut Context<'_>, check: &UdpCheck) -> Option<Udp> {
    let payload = match &check.payload {
        // keepalived sends something random; that it is always the same lets equal checks be made once.
        None => Some(b"keepalived check".to_vec()),
        Some(payload) => hexadecimal(&payload.0.concat()),
    };
    let Some(payload) = payload else {
        context.error(
            check.origin,
            "UDP_CHECK: the payload is not made of whole bytes in hexadecimal digits",
        );
        return None;
    };
    let udp = Udp::new(payload);
    let Some(pattern) = &check.require_reply else {
        return Some(udp);
    };
    let least = check.min_reply_length.unwrap_or(0) as usize;
    let most = check.max_reply_length.unwrap_or(LONGEST_REPLY) as usize;
    match udp.require_reply(&pattern.0.concat()) {
        Ok(udp) => Some(udp.reply_length(least, most)),
        Err(error) => {
            context.error(check.origin, format!("UDP_CHECK: {error}"));
            None
        }
    }
}

fn file(context: &mut Context<'_>, inherited: &Inherited, check: &FileCheck) -> Option<Made> {
    // The parser has said that there is none.
    let name = check.track_file.as_ref()?;
    let mut files = context.configuration.track_file.iter();
    let known = files.find(|file| file.name == *name)?;
    let Some(path) = &known.file else {
        context.error(
            check.origin,
            format!("FILE_CHECK: the track_file `{name}` names no file"),
        );
        return None;
    };
    let weight = match (check.weight.or(known.weight), known.weight) {
        (Some(weight), _) if weight.reverse => weight.value.saturating_neg(),
        (Some(weight), _) => weight.value,
        (None, _) => 1,
    };
    let policy = inherited.policy(context, &Own::default(), 0, SECOND);
    Some((Check::local(File::new(path).weight(weight).missing_is(0)), policy))
}

/// `None` unless it is made of whole bytes.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    bytes.collect()
}

const SECOND: Duration = Duration::from_secs(1);

/// keepalived's defaults.
const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_HELO: &str = "smtpchecker.keepalived.org";
const LONGEST_REPLY: u32 = 255;
