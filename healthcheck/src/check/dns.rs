//! Does the name server answer?

use std::net::IpAddr;
use std::sync::Arc;

use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, TYPE, rdata::RData};

use crate::error::Error;
use crate::failure::{FailKind, Failure, Stage};

/// One question over UDP.
///
/// It proves that the server answers this question without an error; with [`expect_address`](Self::expect_address) or
/// [`at_least`](Self::at_least) also that the answer has something in it. It says nothing about TCP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dns {
    plan: Arc<DnsPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DnsPlan {
    name: String,
    kind: u16,
    least: u16,
    address: Option<IpAddr>,
    recursion: bool,
}

impl Dns {
    /// keepalived's question: the SOA record of the root.
    pub fn root() -> Self {
        Self::plan(String::new(), 6)
    }

    /// Asks for records of this type (by its number, RFC 1035 §3.2.2: 1 for A, 28 for AAAA, 15 for MX, …) of this name.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if the name cannot be one.
    pub fn new(name: &str, kind: u16) -> Result<Self, Error> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let fits = name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
        if !name.is_empty() && !fits {
            return Err(Error::BadName);
        }
        Ok(Self::plan(name.to_owned(), kind))
    }

    /// Expects at least so many records of the type that was asked for.
    #[must_use]
    pub fn at_least(mut self, records: u16) -> Self {
        Arc::make_mut(&mut self.plan).least = records;
        self
    }

    /// Expects this address among the answers.
    #[must_use]
    pub fn expect_address(mut self, address: IpAddr) -> Self {
        Arc::make_mut(&mut self.plan).address = Some(address);
        self
    }

    /// The question as it goes out.
    pub fn question(&self, id: u16) -> Vec<u8> {
        let mut packet = Packet::new_query(id);
        if self.plan.recursion {
            packet.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        let kind = QTYPE::TYPE(TYPE::from(self.plan.kind));
        let name = Name::new_unchecked(&self.plan.name);
        packet
            .questions
            .push(Question::new(name, kind, CLASS::IN.into(), false));
        packet.build_bytes_vec().unwrap_or_default()
    }

    /// Judges a datagram that came back: `None` if it is not the answer to this question.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only addresses are looked for")]
    pub fn judge(&self, id: u16, reply: &[u8]) -> Option<Result<(), Failure>> {
        // The header alone decides whether the server serves. Only who asks for more depends on the rest.
        let [high, low, flags, rcode, ..] = *reply else {
            return None;
        };
        if u16::from_be_bytes([high, low]) != id || flags & 0x80 == 0 || reply.len() < 12 {
            return None;
        }
        let rcode = rcode & 15;
        if rcode != 0 {
            return Some(Err(
                Failure::new(Stage::Content, FailKind::Status).with_code(i32::from(rcode))
            ));
        }
        if self.plan.least == 0 && self.plan.address.is_none() {
            return Some(Ok(()));
        }
        let Ok(packet) = Packet::parse(reply) else {
            return Some(Err(
                Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(reply)
            ));
        };
        let kind = TYPE::from(self.plan.kind);
        let records = packet
            .answers
            .iter()
            .filter(|record| record.rdata.type_code() == kind)
            .count();
        let found = self.plan.address.is_none_or(|address| {
            packet.answers.iter().any(|record| match &record.rdata {
                RData::A(a) => IpAddr::from(a.address.to_be_bytes()) == address,
                RData::AAAA(a) => IpAddr::from(a.address.to_be_bytes()) == address,
                _ => false,
            })
        });
        if records >= usize::from(self.plan.least) && found {
            return Some(Ok(()));
        }
        Some(Err(Failure::new(Stage::Content, FailKind::Mismatch)))
    }

    fn plan(name: String, kind: u16) -> Self {
        Self {
            plan: Arc::new(DnsPlan {
                name,
                kind,
                least: 0,
                address: None,
                recursion: true,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::{ResourceRecord, rdata::A};

    use super::*;

    fn reply(question: &[u8], address: Option<u32>) -> Vec<u8> {
        let asked = Packet::parse(question).unwrap();
        let mut packet = asked.into_reply();
        if let Some(address) = address {
            let data = RData::A(A { address });
            packet.answers.push(ResourceRecord::new(
                Name::new_unchecked("a.example"),
                CLASS::IN,
                1,
                data,
            ));
        }
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn the_header_decides_unless_more_is_asked() {
        let dns = Dns::new("a.example.", 1).unwrap();
        let question = dns.question(0x1234);
        let empty = reply(&question, None);
        let full = reply(&question, Some(0x0a00_0001));
        assert_eq!(dns.judge(0x1234, &empty), Some(Ok(())));
        assert_eq!(dns.judge(0x1235, &empty), None, "another question's answer");
        assert_eq!(dns.judge(0x1234, &question), None, "a question is no answer");
        assert_eq!(dns.judge(0x1234, &empty[..11]), None);
        let one = dns.clone().at_least(1);
        let kind = |judged: Option<Result<(), Failure>>| judged.unwrap().unwrap_err().kind;
        assert_eq!(kind(one.judge(0x1234, &empty)), FailKind::Mismatch);
        assert_eq!(one.judge(0x1234, &full), Some(Ok(())));
        let right = dns.clone().expect_address([10, 0, 0, 1].into());
        assert_eq!(right.judge(0x1234, &full), Some(Ok(())));
        let wrong = dns.clone().expect_address([10, 0, 0, 2].into());
        assert_eq!(kind(wrong.judge(0x1234, &full)), FailKind::Mismatch);
        let mut refused = empty.clone();
        refused[3] |= 2;
        assert_eq!(dns.judge(0x1234, &refused).unwrap().unwrap_err().code, Some(2));
        assert_eq!(
            kind(one.judge(0x1234, &full[..full.len() - 1])),
            FailKind::Malformed
        );
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for bad in ["a..b", &"x".repeat(64), &"abc.".repeat(64), ".a"] {
            assert!(matches!(Dns::new(bad, 1), Err(Error::BadName)), "{bad}");
        }
        assert_eq!(Dns::new(".", 6).unwrap(), Dns::root());
        assert_eq!(Dns::root().question(1).len(), 17);
    }
}
