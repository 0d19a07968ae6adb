//! What `/proc/net` shows of IPVS to everybody.

mod connections;
mod statistics;
mod table;

pub use connections::{Connection, Connections, Engine};
pub use statistics::{ProcessorStatistics, read_statistics, read_statistics_per_processor};
pub use table::{ProcDestination, ProcKey, ProcService, ProcTable, parse_table, read_table};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::service::Endpoint;

/// A line that is not in the form that the kernel writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not in the kernel's form")]
#[non_exhaustive]
pub struct ProcFormat {
    /// Counted from 1.
    pub line: usize,
}

impl From<ProcFormat> for std::io::Error {
    fn from(error: ProcFormat) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// An address as these files write it: eight hexadecimal digits, or an IPv6 address, which may stand in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text
        .strip_prefix('[')
        .map_or(text, |text| text.trim_end_matches(']'));
    if text.len() == 8 && !text.contains(':') {
        let bits = u32::from_str_radix(text, 16).ok()?;
        return Some(IpAddr::V4(Ipv4Addr::from_bits(bits)));
    }
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn port(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 16).ok()
}

/// `ADDRESS:PORT`, both as these files write them.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (host, number) = text.rsplit_once(':')?;
    Some(Endpoint::new(address(host)?, port(number)?))
}
