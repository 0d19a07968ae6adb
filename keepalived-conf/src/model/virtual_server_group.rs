//! `virtual_server_group`.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::field::{Entry, List, Setting, Value, needs_block, read_entries};
use crate::keyword::{Keyword, int};
use crate::lexer::Words;
use crate::model::virtual_server::IpFamily;
use crate::printer::Printer;
use crate::reader::Reader;
use crate::source::Origin;
use crate::statement::Statement;
use crate::value::{Prefix, next};

/// Addresses, ranges and marks that are balanced alike.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct VirtualServerGroup {
    /// The name.
    pub name: String,
    /// What belongs to it.
    pub entries: List<GroupEntry>,
    /// Where the block stood.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub origin: Origin,
}

impl Setting for VirtualServerGroup {
    fn read(
        keyword: &'static Keyword,
        statement: &Statement,
        reader: &mut Reader<'_>,
        _: Option<Self>,
    ) -> Option<Self> {
        let name = String::take(&mut statement.arguments(), keyword, reader)?;
        let mut entries = List::default();
        match statement.block {
            Some(body) => read_entries(&mut entries, body, keyword, reader),
            None => needs_block(keyword, statement, reader),
        }
        Some(Self {
            name,
            entries,
            origin: Origin(Some(statement.span())),
        })
    }

    fn write(&self, keyword: &str, printer: &mut Printer) {
        printer.open(&[keyword.to_owned(), self.name.clone()]);
        for entry in &self.entries {
            let mut line = Vec::new();
            entry.write_entry(&mut line);
            printer.line(&line);
        }
        printer.close();
    }
}

/// One line of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever converts it must handle every kind"
)]
pub enum GroupEntry {
    /// Addresses from `first` to `last`, both included.
    Addresses {
        /// The first.
        first: IpAddr,
        /// The last; the same for a single one.
        last: IpAddr,
        /// The port.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        port: Option<u16>,
    },
    /// A mark of the firewall.
    Fwmark {
        /// The mark.
        mark: u32,
        /// Its family.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        family: Option<IpFamily>,
    },
}

impl Entry for GroupEntry {
    const EACH_WORD: bool = false;

    fn read_entry(words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        if words.take_if(|word| word == "fwmark").is_some() {
            let range = Keyword {
                range: int(0, 4_294_967_295),
                ..*keyword
            };
            let mark = u32::take(words, &range, reader)?;
            let family = words
                .take_if(|word| matches!(word, "inet" | "inet6"))
                .and_then(|word| IpFamily::from_word(word.text));
            reader.superfluous(words);
            return Some(Self::Fwmark { mark, family });
        }
        let word = next(words, keyword, reader)?;
        let Some((first, last)) = range(word.text) else {
            reader.push(
                Diagnostic::error(
                    word.span,
                    format!("`{}` is no address and no range of them", word.text),
                )
                .advice("10.0.0.1, 10.0.0.1-9, 10.0.0.250-10.0.1.5, 10.0.0.0/28, or `fwmark` and a number"),
            );
            return None;
        };
        let port = match words.peek() {
            Some(_) => Some(u16::take(
                words,
                &Keyword {
                    range: int(0, 65_535),
                    ..*keyword
                },
                reader,
            )?),
            None => None,
        };
        reader.superfluous(words);
        Some(Self::Addresses {
            first,
            last,
            port: port.filter(|port| *port > 0),
        })
    }

    fn write_entry(&self, line: &mut Vec<String>) {
        match self {
            Self::Addresses { first, last, port } => {
                line.push(match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                });
                line.extend(port.map(|port| port.to_string()));
            }
            Self::Fwmark { mark, family } => {
                line.extend([String::from("fwmark"), mark.to_string()]);
                line.extend(family.map(|family| family.to_string()));
            }
        }
    }
}

/// `A`, `A-B`, `A.B.C.D-E`, `X::Y-Z` and `A/N`.
fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = first.parse().ok()?;
        let last = match last.parse::<IpAddr>() {
            Ok(last) if last.is_ipv4() == first.is_ipv4() => last,
            Ok(_) => return None,
            Err(_) => last_group(first, last)?,
        };
        return (first <= last).then_some((first, last));
    }
    let prefix: Prefix = text.parse().ok()?;
    let Some(length) = prefix.length else {
        return Some((prefix.address, prefix.address));
    };
    Some(match prefix.address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let address = u32::from(address);
            (
                IpAddr::V4((address & !host).into()),
                IpAddr::V4((address | host).into()),
            )
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let address = u128::from(address);
            (
                IpAddr::V6((address & !host).into()),
                IpAddr::V6((address | host).into()),
            )
        }
    })
}

/// Replaces the last octet of an IPv4 address (decimal) or the last group of an IPv6 address (hexadecimal).
fn last_group(first: IpAddr, last: &str) -> Option<IpAddr> {
    Some(match first {
        IpAddr::V4(first) => {
            let [a, b, c, _] = first.octets();
            IpAddr::from([a, b, c, last.parse().ok()?])
        }
        IpAddr::V6(first) => {
            let [a, b, c, d, e, f, g, _] = first.segments();
            IpAddr::from([a, b, c, d, e, f, g, u16::from_str_radix(last, 16).ok()?])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        range(text).map(|(first, last)| format!("{first} {last}"))
    }

    #[test]
    fn every_form_of_a_range_is_read() {
        assert_eq!(shown("10.0.0.1").unwrap(), "10.0.0.1 10.0.0.1");
        assert_eq!(shown("10.0.0.1-9").unwrap(), "10.0.0.1 10.0.0.9");
        assert_eq!(shown("10.0.0.250-10.0.1.5").unwrap(), "10.0.0.250 10.0.1.5");
        assert_eq!(shown("10.0.0.8/29").unwrap(), "10.0.0.8 10.0.0.15");
        assert_eq!(shown("0.0.0.0/0").unwrap(), "0.0.0.0 255.255.255.255");
        assert_eq!(shown("ae00::2-9").unwrap(), "ae00::2 ae00::9");
        assert_eq!(shown("10.0.0.9-1"), None);
        assert_eq!(shown("10.0.0.9-ae00::1"), None);
        assert_eq!(shown("x"), None);
    }
}
