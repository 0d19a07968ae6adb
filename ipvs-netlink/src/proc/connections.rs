use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::time::Duration;

use super::table::protocol;
use super::{ProcFormat, address, port};
use crate::service::{Endpoint, Protocol};

/// A connection as `/proc/net/ip_vs_conn` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Its protocol.
    pub protocol: Protocol,
    /// Who connected.
    pub client: Endpoint,
    /// To what: the virtual address; of a mark's template the mark stands in the address.
    pub service: Endpoint,
    /// Where it was sent.
    pub destination: Endpoint,
    /// Its state, in the kernel's words (`ESTABLISHED`); `NONE` for a client that is kept at a destination.
    pub state: Box<str>,
    /// When it will be forgotten, if no packet comes.
    pub expires: Duration,
    /// What a persistence engine knows it by.
    pub engine: Option<Engine>,
}

/// What a persistence engine knows a connection by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Engine {
    /// The engine's name.
    pub name: Box<str>,
    /// A SIP call's identifier, say.
    pub data: Box<str>,
}

/// The connections, one after the other: tables of millions do not fit into memory twice.
///
/// The kernel starts over at each read and counts up to where it was, so reads are large here. A table that changes
/// meanwhile may give a connection twice or not at all.
#[derive(Debug)]
pub struct Connections<R> {
    lines: R,
    line: String,
    number: usize,
}

impl Connections<BufReader<File>> {
    /// Opens `/proc/net/ip_vs_conn`; anybody may.
    ///
    /// # Errors
    /// `NotFound` where the kernel has no IPVS or has not loaded it.
    pub fn open() -> io::Result<Self> {
        let file = File::open("/proc/net/ip_vs_conn")?;
        Ok(Self::read(BufReader::with_capacity(READ_BYTES, file)))
    }
}

impl<R: BufRead> Connections<R> {
    /// Reads text of this form from anywhere.
    pub fn read(lines: R) -> Self {
        Self {
            lines,
            line: String::new(),
            number: 0,
        }
    }
}

impl<R: BufRead> Iterator for Connections<R> {
    type Item = io::Result<Connection>;

    fn next(&mut self) -> Option<io::Result<Connection>> {
        loop {
            self.line.clear();
            match self.lines.read_line(&mut self.line) {
                Ok(0) => return None,
                Ok(_) => self.number += 1,
                Err(error) => return Some(Err(error)),
            }
            // One line of headings.
            if self.number == 1 || self.line.trim().is_empty() {
                continue;
            }
            let wrong = ProcFormat { line: self.number };
            return Some(connection(&self.line).ok_or_else(|| wrong.into()));
        }
    }
}

fn connection(line: &str) -> Option<Connection> {
    let mut words = line.split_whitespace();
    let mut next = || words.next();
    let protocol = protocol(next()?)?;
    let client = Endpoint::new(address(next()?)?, port(next()?)?);
    let service = Endpoint::new(address(next()?)?, port(next()?)?);
    let destination = Endpoint::new(destination_address(next()?)?, port(next()?)?);
    let state = next()?.into();
    let expires = Duration::from_secs(next()?.parse().ok()?);
    let engine = match (next(), next()) {
        (Some(name), Some(data)) => Some(Engine {
            name: name.into(),
            data: data.into(),
        }),
        _ => None,
    };
    Some(Connection {
        protocol,
        client,
        service,
        destination,
        state,
        expires,
        engine,
    })
}

/// With a tunnel it may be of the other family.
fn destination_address(text: &str) -> Option<IpAddr> {
    address(text)
}

const READ_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Connections;

    #[test]
    fn connections_are_read_one_after_the_other() {
        let text = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0A80001 C001 0A000001 0050 0A000002 0050 ESTABLISHED     899
UDP 2001:0db8:0000:0000:0000:0000:0000:0009 0035 2001:0db8:0000:0000:0000:0000:0000:0001 0035 0A000002 0035 UDP             299 sip abc
TCP nonsense
";
        let rows: Vec<_> = Connections::read(text.as_bytes()).collect();
        let first = rows[0].as_ref().unwrap();
        assert_eq!(first.client.to_string(), "192.168.0.1:49153");
        assert_eq!(first.destination.to_string(), "10.0.0.2:80");
        assert_eq!(
            (&*first.state, first.expires),
            ("ESTABLISHED", Duration::from_secs(899))
        );
        let second = rows[1].as_ref().unwrap();
        assert_eq!(second.service.to_string(), "[2001:db8::1]:53");
        assert_eq!(&*second.engine.as_ref().unwrap().data, "abc");
        assert!(rows[2].is_err());
        assert_eq!(rows.len(), 3);
    }
}
