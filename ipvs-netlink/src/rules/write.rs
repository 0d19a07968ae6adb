use std::fmt::Write as _;

use crate::daemon::Daemon;
use crate::destination::{Checksum, Destination, Forward, Tunnel};
use crate::message::Request;
use crate::service::{Family, Granularity, Protocol, Scheduler, SchedulerFlags, Service, ServiceKey};

/// The lines that `parse_rules` and `ipvsadm -R` read, one for each request.
///
/// Requests that read, and what ipvsadm has no words for (protocols other than TCP, UDP and SCTP, the forwarding methods
/// that it cannot set), become comments.
///
/// ```
/// use ipvs_netlink::{Request, Scheduler, Service, ServiceKey, write_rules};
/// let key = ServiceKey::tcp((std::net::Ipv4Addr::new(10, 0, 0, 1), 80));
/// let service = Service::new(key, Scheduler::RoundRobin);
/// assert_eq!(write_rules(&[Request::AddService(service)]), "-A -t 10.0.0.1:80 -s rr\n");
/// ```
#[must_use]
pub fn write_rules(requests: &[Request]) -> String {
    let mut text = String::new();
    for request in requests {
        match write_request(request) {
            Some(line) => text.push_str(&line),
            None => {
                // Writing into a text cannot fail.
                let _ = write!(text, "# no words of ipvsadm's for: {}", request.command());
            }
        }
        text.push('\n');
    }
    text
}

/// One line of [`write_rules`], without its end.
#[must_use]
pub fn write_request(request: &Request) -> Option<String> {
    Some(match request {
        Request::AddService(service) => format!("-A {}{}", key(&service.key)?, service_options(service)),
        Request::EditService(service) => format!("-E {}{}", key(&service.key)?, service_options(service)),
        Request::DeleteService(service) => format!("-D {}", key(service)?),
        Request::AddDestination(service, destination) => {
            format!("-a {} {}", key(service)?, destination_options(destination)?)
        }
        Request::EditDestination(service, destination) => {
            format!("-e {} {}", key(service)?, destination_options(destination)?)
        }
        Request::DeleteDestination(service, endpoint) => format!("-d {} -r {endpoint}", key(service)?),
        Request::StartDaemon(daemon) => daemon_options(daemon),
        Request::StopDaemon(role) => format!("--stop-daemon {role}"),
        Request::SetTimeouts(timeouts) => {
            let seconds = [timeouts.tcp, timeouts.tcp_fin, timeouts.udp]
                .map(|timeout| timeout.map_or(0, |timeout| timeout.seconds()));
            let [tcp, fin, udp] = seconds;
            format!("--set {tcp} {fin} {udp}")
        }
        Request::Zero(None) => "-Z".to_owned(),
        Request::Zero(Some(service)) => format!("-Z {}", key(service)?),
        Request::Flush => "-C".to_owned(),
        Request::Service(_)
        | Request::Services
        | Request::Destinations(_)
        | Request::Daemons
        | Request::Timeouts
        | Request::Info => return None,
    })
}

fn key(key: &ServiceKey) -> Option<String> {
    Some(match key {
        ServiceKey::Address { protocol, endpoint } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
                Protocol::Other(_) => return None,
            };
            format!("{option} {endpoint}")
        }
        ServiceKey::Mark {
            mark,
            family: Family::V4,
        } => format!("-f {mark}"),
        ServiceKey::Mark {
            mark,
            family: Family::V6,
        } => format!("-f {mark} -6"),
    })
}

fn service_options(service: &Service) -> String {
    let mut text = format!(" -s {}", service.scheduler.name());
    if let Some(persistence) = &service.persistence {
        text.push_str(&format!(" -p {}", persistence.timeout.seconds()));
        let family = service.key.family();
        match (persistence.granularity.canonical(family), family) {
            (Granularity::Address, _) => {}
            (granularity, Family::V4) => text.push_str(&format!(" -M {}", granularity.v4())),
            (granularity, Family::V6) => text.push_str(&format!(" -M {}", granularity.v6())),
        }
        if let Some(engine) = persistence.engine {
            text.push_str(&format!(" --pe {engine}"));
        }
    }
    if service.one_packet {
        text.push_str(" -o");
    }
    let words = flag_words(&service.scheduler);
    if !words.is_empty() {
        text.push_str(&format!(" -b {}", words.join(",")));
    }
    text
}

fn flag_words(scheduler: &Scheduler) -> Vec<&'static str> {
    let words = match scheduler.name().as_str() {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let bits = scheduler.flags();
    (0_u8..)
        .zip(words)
        .filter(|(place, _)| bits.bits() & SchedulerFlags::from_bits(1 << place).bits() != 0)
        .map(|(_, word)| word)
        .collect()
}

fn destination_options(destination: &Destination) -> Option<String> {
    let mut text = format!("-r {}", destination.endpoint);
    match destination.forward {
        Forward::Masquerade => text.push_str(" -m"),
        Forward::DirectRoute => text.push_str(" -g"),
        Forward::Tunnel(tunnel) => {
            text.push_str(" -i");
            match tunnel {
                Tunnel::Ipip => {}
                Tunnel::Gue { port, checksum } => {
                    text.push_str(&format!(" --tun-type gue --tun-port {port}"));
                    text.push_str(match checksum {
                        Checksum::None => " --tun-nocsum",
                        Checksum::Computed => " --tun-csum",
                        Checksum::Remote => " --tun-remcsum",
                    });
                }
                Tunnel::Gre { checksum } => {
                    text.push_str(" --tun-type gre");
                    text.push_str(if checksum { " --tun-csum" } else { " --tun-nocsum" });
                }
                Tunnel::Other { .. } => return None,
            }
        }
        Forward::Local | Forward::Bypass | Forward::Other(_) => return None,
    }
    text.push_str(&format!(" -w {}", destination.weight.get()));
    let thresholds = destination.thresholds;
    if thresholds.upper() != 0 {
        text.push_str(&format!(" -x {}", thresholds.upper()));
    }
    if thresholds.lower() != 0 {
        text.push_str(&format!(" -y {}", thresholds.lower()));
    }
    Some(text)
}

fn daemon_options(daemon: &Daemon) -> String {
    let mut text = format!(
        "--start-daemon {} --mcast-interface {} --syncid {}",
        daemon.role, daemon.interface, daemon.sync_id
    );
    let options = &daemon.options;
    if let Some(length) = options.max_length {
        text.push_str(&format!(" --sync-maxlen {length}"));
    }
    if let Some(group) = options.group {
        text.push_str(&format!(" --mcast-group {group}"));
    }
    if let Some(port) = options.port {
        text.push_str(&format!(" --mcast-port {port}"));
    }
    if let Some(ttl) = options.ttl {
        text.push_str(&format!(" --mcast-ttl {ttl}"));
    }
    text
}
