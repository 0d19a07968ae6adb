//! What is said about interfaces outside the virtual routers.

use crate::field::{Entry, Value};
use crate::keyword::{Keyword, Range};
use crate::lexer::Words;
use crate::reader::Reader;
use crate::source::Origin;
use crate::value::Seconds;

/// How long an interface must stay in a new state before the state counts: `eth0 2 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct UpDownDelay {
    /// The interface.
    pub interface: String,
    /// Before down counts: 0 to 255 s.
    pub down: Seconds,
    /// Before up counts; without it as `down`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub up: Option<Seconds>,
    /// Where it stood.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub origin: Origin,
}

impl Entry for UpDownDelay {
    const EACH_WORD: bool = false;

    fn read_entry(words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let origin = Origin(words.peek().map(|word| word.span));
        let delay = Keyword {
            range: Range::Seconds {
                least: 0,
                most: 255_000_000,
            },
            ..*keyword
        };
        let interface = String::take(words, keyword, reader)?;
        let down = Seconds::take(words, &delay, reader)?;
        let up = match words.peek() {
            Some(_) => Some(Seconds::take(words, &delay, reader)?),
            None => None,
        };
        reader.superfluous(words);
        Some(Self {
            interface,
            down,
            up,
            origin,
        })
    }

    fn write_entry(&self, line: &mut Vec<String>) {
        line.push(self.interface.clone());
        self.down.put(line);
        if let Some(up) = &self.up {
            up.put(line);
        }
    }
}

/// An interface whose link is asked after again and again: `eth0 ETHTOOL`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct LinkbeatInterface {
    /// The interface.
    pub interface: String,
    /// How it is asked: MII, ETHTOOL or IOCTL.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub method: Option<String>,
}

impl Entry for LinkbeatInterface {
    const EACH_WORD: bool = false;

    fn read_entry(words: &mut Words<'_>, keyword: &'static Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let interface = String::take(words, keyword, reader)?;
        let method = words
            .take_if(|word| matches!(word, "MII" | "ETHTOOL" | "IOCTL"))
            .map(|word| word.text.to_string());
        reader.superfluous(words);
        Some(Self { interface, method })
    }

    fn write_entry(&self, line: &mut Vec<String>) {
        line.push(self.interface.clone());
        line.extend(self.method.clone());
    }
}
