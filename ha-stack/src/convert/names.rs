//! Numbers that have names: in iproute2's files, and in the configuration.

use std::path::Path;

use keepalived_conf::Origin;

use crate::convert::Context;

/// What has numbers and names.
pub(super) struct Names {
    what: &'static str,
    /// Under `/etc/iproute2` and `/usr/share/iproute2`.
    file: &'static str,
    known: &'static [(&'static str, u32)],
    most: u32,
}

pub(super) const TABLES: Names = Names {
    what: "routing table",
    file: "rt_tables",
    known: &[("main", 254), ("default", 253), ("local", 255)],
    most: u32::MAX,
};

pub(super) const PROTOCOLS: Names = Names {
    what: "routing protocol",
    file: "rt_protos",
    known: &[
        ("kernel", 2),
        ("boot", 3),
        ("static", 4),
        ("ra", 9),
        ("dhcp", 16),
        ("keepalived", 18),
    ],
    most: 255,
};

pub(super) const REALMS: Names = Names {
    what: "realm",
    file: "rt_realms",
    known: &[("cosmos", 0)],
    most: 0xffff,
};

pub(super) const SERVICES: Names = Names {
    what: "type of service",
    file: "rt_dsfield",
    known: &[],
    most: 255,
};

pub(super) const INTERFACE_GROUPS: Names = Names {
    what: "group of interfaces",
    file: "group",
    known: &[("default", 0)],
    most: i32::MAX as u32,
};

/// Of these there is no file of iproute2; they are those of <https://www.iana.org/assignments/protocol-numbers> that have
/// ports, or that one would route by.
pub(super) const IP_PROTOCOLS: Names = Names {
    what: "IP protocol",
    file: "",
    known: &[
        ("icmp", 1),
        ("tcp", 6),
        ("udp", 17),
        ("dccp", 33),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("icmpv6", 58),
        ("ipv6-icmp", 58),
        ("sctp", 132),
        ("udplite", 136),
    ],
    most: 255,
};

impl Names {
    /// The number that a text is, or that it is the name of; an error where it is neither.
    pub(super) fn look_up(&self, context: &mut Context<'_>, origin: Origin, text: &str) -> Option<u32> {
        let built_in = self.known.iter().find(|(name, _)| *name == text);
        let found = number(text)
            .or_else(|| built_in.map(|(_, number)| *number))
            .or_else(|| self.in_files(context, text))
            .filter(|number| *number <= self.most);
        if found.is_none() {
            let mut message = format!("no {} `{text}`", self.what);
            if !self.file.is_empty() {
                let files = DIRECTORIES.map(|directory| format!("{directory}/{}", self.file));
                message.push_str(&format!(" in {}", files.join(" or ")));
            }
            context.error(origin, message);
        }
        found
    }

    /// The same of what fits a byte.
    pub(super) fn look_up_byte(&self, context: &mut Context<'_>, origin: Origin, text: &str) -> Option<u8> {
        let number = self.look_up(context, origin, text)?;
        u8::try_from(number).ok()
    }

    fn in_files(&self, context: &Context<'_>, name: &str) -> Option<u32> {
        if self.file.is_empty() {
            return None;
        }
        DIRECTORIES.iter().find_map(|directory| {
            let path = Path::new(directory).join(self.file);
            let content = context.environment.read(&path, FILE_BYTES).ok()?;
            named_in(&String::from_utf8_lossy(&content), name)
        })
    }
}

/// `[SOURCE/]DESTINATION`, as the kernel counts them.
pub(super) fn realms(context: &mut Context<'_>, origin: Origin, text: &str) -> Option<u32> {
    match text.split_once('/') {
        Some((source, destination)) => {
            let source = REALMS.look_up(context, origin, source)?;
            let destination = REALMS.look_up(context, origin, destination)?;
            Some(source << 16 | destination)
        }
        None => REALMS.look_up(context, origin, text),
    }
}

/// Decimal, or hexadecimal with `0x`.
pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Looks a name up in the form of `rt_tables`: a number and a name on each line.
fn named_in(content: &str, name: &str) -> Option<u32> {
    content
        .lines()
        .filter_map(|line| line.split('#').next())
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let found = number(words.next()?)?;
            (words.next() == Some(name)).then_some(found)
        })
}

const DIRECTORIES: [&str; 2] = ["/etc/iproute2", "/usr/share/iproute2"];

/// Far more than anybody writes there.
const FILE_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_by_name() {
        let content = "#\n# reserved values\n#\n255\tlocal\n0x65 blue # ours\n102\tgreen\n";
        assert_eq!(named_in(content, "green"), Some(102));
        assert_eq!(named_in(content, "blue"), Some(101));
        assert_eq!(named_in(content, "red"), None);
    }
}
