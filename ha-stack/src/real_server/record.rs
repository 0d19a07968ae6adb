//! What was there before, in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::error::Error;
use crate::real_server::{Delivery, switches};

/// What is in the file: the addresses that were taken, what the switches were before, and which interfaces were down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) addresses: BTreeMap<IpAddr, String>,
    pub(super) switches: BTreeMap<String, String>,
    pub(super) raised: BTreeSet<String>,
}

impl Record {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::from_text(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// An empty record is no file. Whoever is killed here leaves the old text or the new one, never half of it.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let outcome = match *self == Self::default() {
            true if !path.exists() => Ok(()),
            true => fs::remove_file(path),
            false => {
                let new = path.with_extension("new");
                fs::write(&new, self.text()).and_then(|()| fs::rename(&new, path))
            }
        };
        outcome.map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })
    }

    fn text(&self) -> String {
        let addresses = self.addresses.iter();
        let addresses = addresses.map(|(address, interface)| format!("address {address} {interface}\n"));
        let switches = self
            .switches
            .iter()
            .map(|(name, value)| format!("switch {name} {value}\n"));
        let raised = self.raised.iter().map(|name| format!("raised {name}\n"));
        addresses.chain(switches).chain(raised).collect()
    }

    /// Only switches that are set here are ever put back: the file might have been written by somebody else.
    fn from_text(text: &str) -> Self {
        let known = |name: &str| {
            let all = [Delivery::DirectRoute, Delivery::Tunnel]
                .into_iter()
                .flat_map(|delivery| switches(IpAddr::from([0, 0, 0, 0]), delivery));
            all.into_iter().any(|(switch, _)| *switch == name)
        };
        let mut record = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["address", address, interface] => {
                    if let Ok(address) = address.parse() {
                        record.addresses.insert(address, (*interface).to_owned());
                    }
                }
                ["switch", name, value] if known(name) && value.parse::<u8>().is_ok() => {
                    record.switches.insert((*name).to_owned(), (*value).to_owned());
                }
                ["raised", name @ ("tunl0" | "ip6tnl0")] => {
                    record.raised.insert((*name).to_owned());
                }
                _ => {}
            }
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_read_as_it_was_written_and_trusts_nobody() {
        let mut record = Record::default();
        record
            .addresses
            .insert("10.0.0.1".parse().unwrap(), "lo".to_owned());
        record
            .addresses
            .insert("2001:db8::1".parse().unwrap(), "ip6tnl0".to_owned());
        record
            .switches
            .insert("ipv4/conf/all/arp_ignore".to_owned(), "0".to_owned());
        record.raised.insert("tunl0".to_owned());
        assert_eq!(Record::from_text(&record.text()), record);
        let forged = "switch ../../kernel/core_pattern x\nswitch ipv4/conf/all/arp_ignore x\naddress x lo\nraised eth0\n\n";
        assert_eq!(Record::from_text(forged), Record::default());
    }
}
