use std::fs;
use std::io;

use super::{ProcFormat, endpoint};
use crate::destination::{Forward, Tunnel};
use crate::name::SchedulerName;
use crate::service::{Endpoint, Protocol};

/// `/proc/net/ip_vs`: the table without counters, thresholds, and what a tunnel consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcTable {
    /// The services, in the kernel's order.
    pub services: Vec<ProcService>,
}

/// A service as `/proc/net/ip_vs` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcService {
    /// What it takes.
    pub key: ProcKey,
    /// Its scheduler.
    pub scheduler: SchedulerName,
    /// Whether each packet is scheduled by itself. The kernel shows it for IPv4 and marks only.
    pub one_packet: bool,
    /// Whether it is persistent. The timeout is shown in the kernel's ticks, whose length is not shown; so it is not here.
    pub persistent: bool,
    /// Its destinations, the newest first.
    pub destinations: Vec<ProcDestination>,
}

/// What a service takes, as `/proc/net/ip_vs` shows it: the family of a mark is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcKey {
    /// An address.
    Address(Protocol, Endpoint),
    /// A firewall mark.
    Mark(u32),
}

/// A destination as `/proc/net/ip_vs` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcDestination {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How packets get there; of a tunnel it is not shown which.
    pub forward: Forward,
    /// Its weight.
    pub weight: u32,
    /// Connections that are established.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
}

/// Reads `/proc/net/ip_vs`; anybody may.
///
/// # Errors
/// `NotFound` where the kernel has no IPVS or has not loaded it; `InvalidData` with [`ProcFormat`] inside.
pub fn read_table() -> io::Result<ProcTable> {
    let text = fs::read_to_string("/proc/net/ip_vs")?;
    Ok(parse_table(&text)?)
}

/// Reads the text of `/proc/net/ip_vs`.
///
/// # Errors
/// [`ProcFormat`].
pub fn parse_table(text: &str) -> Result<ProcTable, ProcFormat> {
    let mut table = ProcTable::default();
    // A version and two lines of headings.
    for (number, line) in text.lines().enumerate().skip(3) {
        let wrong = ProcFormat { line: number + 1 };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["->", place, method, weight, active, inactive] => {
                let destination = ProcDestination {
                    endpoint: endpoint(place).ok_or(wrong)?,
                    forward: forward(method).ok_or(wrong)?,
                    weight: weight.parse().map_err(|_| wrong)?,
                    active: active.parse().map_err(|_| wrong)?,
                    inactive: inactive.parse().map_err(|_| wrong)?,
                };
                let service = table.services.last_mut().ok_or(wrong)?;
                service.destinations.push(destination);
            }
            [kind, place, scheduler, flags @ ..] => {
                let key = match protocol(kind) {
                    Some(protocol) => ProcKey::Address(protocol, endpoint(place).ok_or(wrong)?),
                    None if *kind == "FWM" => {
                        ProcKey::Mark(u32::from_str_radix(place, 16).map_err(|_| wrong)?)
                    }
                    None => return Err(wrong),
                };
                table.services.push(ProcService {
                    key,
                    scheduler: scheduler.parse().map_err(|_| wrong)?,
                    one_packet: flags.contains(&"ops"),
                    persistent: flags.contains(&"persistent"),
                    destinations: Vec::new(),
                });
            }
            _ => return Err(wrong),
        }
    }
    Ok(table)
}

pub(super) fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "IP" => Protocol::Other(0),
        other => Protocol::Other(other.strip_prefix("IP_")?.parse().ok()?),
    })
}

fn forward(word: &str) -> Option<Forward> {
    Some(match word {
        "Masq" => Forward::Masquerade,
        "Local" => Forward::Local,
        "Tunnel" => Forward::Tunnel(Tunnel::Ipip),
        "Route" => Forward::DirectRoute,
        "Bypass" => Forward::Bypass,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{ProcKey, parse_table};
    use crate::destination::Forward;
    use crate::service::Protocol;

    #[test]
    fn a_table_is_read() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A01010A:0050 wlc persistent 90000 FFFFFFFF
  -> 0A01010B:0050      Route   3      2          1
FWM  00000007 rr ops
UDP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0035 sh
  -> [2001:0db8:0000:0000:0000:0000:0000:0002]:0035      Masq    0      0          0
";
        let table = parse_table(text).unwrap();
        assert_eq!(table.services.len(), 3);
        let first = &table.services[0];
        assert_eq!(
            first.key,
            ProcKey::Address(
                Protocol::Tcp,
                "10.1.1.10:80".parse::<std::net::SocketAddr>().unwrap().into()
            )
        );
        assert!(first.persistent && !first.one_packet);
        let destination = first.destinations[0];
        assert_eq!(
            (destination.weight, destination.active, destination.inactive),
            (3, 2, 1)
        );
        assert_eq!(destination.forward, Forward::DirectRoute);
        assert_eq!(table.services[1].key, ProcKey::Mark(7));
        assert!(table.services[1].one_packet);
        assert_eq!(
            table.services[2].destinations[0].endpoint.to_string(),
            "[2001:db8::2]:53"
        );
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        let text = "a\nb\nc\nTCP nonsense wlc\n";
        assert_eq!(parse_table(text).unwrap_err().line, 4);
        assert_eq!(
            parse_table("a\nb\nc\n  -> 0A01010B:0050 Masq 1 0 0\n")
                .unwrap_err()
                .line,
            4
        );
    }
}
