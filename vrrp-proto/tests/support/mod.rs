//! The captured frames, for the tests that read them.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

/// One captured frame and what is known about it.
pub(crate) struct Captured {
    pub(crate) frame: Vec<u8>,
    pub(crate) what: String,
    pub(crate) expect: Value,
}

impl Captured {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let list: Vec<Value> = serde_json::from_str(include_str!("../vectors/frames.json")).unwrap();
        let all: Vec<Self> = list
            .iter()
            .map(|value| Self {
                frame: bytes(value["frame"].as_str().unwrap()),
                what: format!(
                    "{}, {}, {}",
                    value["sender"], value["configuration"], value["what"]
                ),
                expect: value["expect"].clone(),
            })
            .collect();
        assert_eq!(all.len(), 43);
        all
    }

    /// All of one kind, which are so many.
    pub(crate) fn of_kind(kind: &str, count: usize) -> Vec<Self> {
        let mut all = Self::all();
        all.retain(|captured| captured.expect["kind"] == kind);
        assert_eq!(all.len(), count, "{kind}");
        all
    }

    pub(crate) fn text(&self, name: &str) -> String {
        let text = self.expect[name].as_str();
        text.unwrap_or_else(|| panic!("{name} of {}", self.what))
            .to_owned()
    }

    pub(crate) fn address(&self, name: &str) -> IpAddr {
        self.text(name).parse().unwrap()
    }

    pub(crate) fn ipv6(&self, name: &str) -> Ipv6Addr {
        self.text(name).parse().unwrap()
    }

    pub(crate) fn byte(&self, name: &str) -> u8 {
        self.long(name).try_into().unwrap()
    }

    pub(crate) fn word(&self, name: &str) -> u16 {
        self.long(name).try_into().unwrap()
    }

    pub(crate) fn long(&self, name: &str) -> u32 {
        let number = self.expect[name].as_u64();
        let number = number.unwrap_or_else(|| panic!("{name} of {}", self.what));
        number.try_into().unwrap()
    }

    pub(crate) fn truth(&self, name: &str) -> bool {
        self.expect[name].as_bool().unwrap()
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let list = self.expect["addresses"].as_array().unwrap();
        list.iter()
            .map(|address| address.as_str().unwrap().parse().unwrap())
            .collect()
    }
}

/// The bytes of hexadecimal text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
