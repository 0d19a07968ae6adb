//! What a virtual router or a group tracks, and with what weight.

use crate::field::{Positional, Value};
use crate::keyword::{FLAG, Keyword, VITAL, int, no};
use crate::lexer::Words;
use crate::macros::entry;
use crate::reader::Reader;
use crate::value::next;

entry! {
    /// An interface whose state counts.
    TrackInterface(name: String) {
        /// What it adds to the priority: positive while it is up, negative while it is down. Zero: down is a fault.
        weight: Option<i16> = ["weight"], int(-253, 253), "0", VITAL;
        /// The other way round.
        reverse: bool = ["reverse"], FLAG, "off", VITAL;
    }
}

entry! {
    /// A check script whose result counts.
    TrackScript(name: String) {
        /// What it adds to the priority: positive while it succeeds, negative while it fails. Zero: failure is a fault.
        weight: Option<i16> = ["weight"], int(-253, 253), "that of the script", VITAL;
        /// The other way round.
        reverse: bool = ["reverse"], FLAG, "that of the script", VITAL;
        /// Not the other way round, whatever the script says.
        noreverse: bool = ["noreverse"], FLAG, "that of the script", VITAL;
    }
}

entry! {
    /// A file whose content counts.
    TrackFile(name: String) {
        /// By what its content is multiplied. Zero: any content but 0 is a fault.
        weight: Option<i16> = ["weight"], int(-254, 254), "that of the file", VITAL;
        /// The other way round.
        reverse: bool = ["reverse"], FLAG, "that of the file", VITAL;
        /// Not the other way round, whatever the file's block says.
        noreverse: bool = ["noreverse"], FLAG, "that of the file", VITAL;
    }
}

entry! {
    /// Processes whose number counts.
    TrackProcess(name: String) {
        /// What it adds to the priority: positive while enough run, negative while not. Zero: not enough is a fault.
        weight: Option<i16> = ["weight"], int(-254, 254), "that of the processes", VITAL;
        /// The other way round.
        reverse: bool = ["reverse"], FLAG, "that of the processes", VITAL;
        /// Not the other way round, whatever the block of the processes says.
        noreverse: bool = ["noreverse"], FLAG, "that of the processes", VITAL;
    }
}

entry! {
    /// A BFD session whose state counts.
    TrackBfd(name: String) {
        /// What it adds to the priority: positive while it is up, negative while it is down. Zero: down is a fault.
        weight: Option<i16> = ["weight"], int(-253, 253), "that of the session", no("BFD sessions are not run");
        /// The other way round.
        reverse: bool = ["reverse"], FLAG, "that of the session", no("BFD sessions are not run");
        /// Not the other way round, whatever the session's block says.
        noreverse: bool = ["noreverse"], FLAG, "that of the session", no("BFD sessions are not run");
    }
}

impl Positional for TrackInterface {}
impl Positional for TrackScript {}
impl Positional for TrackFile {}
impl Positional for TrackProcess {}
impl Positional for TrackBfd {}

entry! {
    /// Somebody to whom advertisements are sent.
    UnicastPeer(address: std::net::IpAddr) {
        /// The least time to live (hop limit) of what it sends; makes the source of advertisements count.
        min_ttl: Option<u8> = ["min_ttl"], int(0, 255), "0", VITAL;
        /// The greatest time to live (hop limit) of what it sends; makes the source of advertisements count.
        max_ttl: Option<u8> = ["max_ttl"], int(0, 255), "255", VITAL;
    }
}

impl Positional for UnicastPeer {}

/// A weight and whether it is turned round: `-5`, `10 reverse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct Weight {
    /// The weight.
    pub value: i64,
    /// The other way round.
    #[cfg_attr(feature = "serde", serde(default))]
    pub reverse: bool,
}

impl Value for Weight {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let value = i64::take(words, keyword, reader)?;
        let reverse = words.take_if(|word| word == "reverse").is_some();
        Some(Self { value, reverse })
    }

    fn put(&self, line: &mut Vec<String>) {
        self.value.put(line);
        if self.reverse {
            line.push(String::from("reverse"));
        }
    }
}

crate::macros::settings!(Weight);

/// A user and perhaps a group: `nobody`, `www adm`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct User {
    /// The user.
    pub name: String,
    /// The group; without it the user's own.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub group: Option<String>,
}

impl Value for User {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let name = next(words, keyword, reader)?;
        if reader.environment.user_exists(name.text) == Some(false) {
            let message = format!("no user `{}` on this host", name.text);
            reader.bad_value(keyword, name.span, message, None);
        }
        let group = words.take();
        if let Some(group) = group
            && reader.environment.group_exists(group.text) == Some(false)
        {
            reader.bad_value(
                keyword,
                group.span,
                format!("no group `{}` on this host", group.text),
                None,
            );
        }
        Some(Self {
            name: name.text.to_string(),
            group: group.map(|word| word.text.to_string()),
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.name.clone());
        line.extend(self.group.clone());
    }
}

crate::macros::settings!(User);
