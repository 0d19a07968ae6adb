//! From the thread of the election to the writer of the journal.

use std::collections::HashMap;
use std::time::SystemTime;

use vrrp_fsm::{DiscardReason, GroupId, Input, Instant, Parameters, RouterId};
use vrrp_net::{Recorder, Told as NetTold};
use vrrp_proto::{Authentication, Packet, Password};

use crate::journal::entry::{Entry, Terms, Told};
use crate::journal::{Item, Journal, mask};

/// Records into a [`Journal`] what one driver tells its election.
#[derive(Debug)]
pub struct JournalRecorder {
    journal: Journal,
    begun: bool,
    next: u32,
    routers: HashMap<RouterId, Router>,
    groups: HashMap<GroupId, u32>,
    /// A packet that has to be signed, until it is clear whether its signature did.
    held: Option<(SystemTime, Entry)>,
}

#[derive(Debug)]
struct Router {
    number: u32,
    interface: u32,
    vrid: u8,
    password: Option<Password>,
    signs: bool,
}

impl JournalRecorder {
    pub(super) fn new(journal: Journal) -> Self {
        Self {
            journal,
            begun: false,
            next: 0,
            routers: HashMap::new(),
            groups: HashMap::new(),
            held: None,
        }
    }

    /// Writes down the packet that waited, with what was said of it.
    fn release(&mut self, verdict: Option<String>) {
        if let Some((wall, mut entry)) = self.held.take() {
            if let Entry::Packet { refused, .. } = &mut entry {
                *refused = verdict;
            }
            self.journal.put(Item::Timed(wall, entry));
        }
    }

    /// Whether a packet has to be signed for one of our virtual routers.
    fn signs(&self, datagram: &vrrp_fsm::Datagram<'_>) -> bool {
        self.routers.values().any(|router| {
            router.signs
                && router.interface == datagram.interface.0
                && datagram.message.get(1) == Some(&router.vrid)
        })
    }

    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    fn entry(&mut self, at: u64, told: &NetTold<'_>) -> Option<Entry> {
        Some(match *told {
            NetTold::Added {
                router,
                name,
                interface_name,
                interface,
                parameters,
                primary_address,
            } => {
                let number = self.number();
                self.routers.insert(
                    router,
                    Router {
                        number,
                        interface: interface.0,
                        vrid: parameters.vrid().get(),
                        password: password(parameters),
                        signs: false,
                    },
                );
                Entry::Added {
                    at,
                    router: number,
                    name: name.to_owned(),
                    interface_name: interface_name.to_owned(),
                    interface: interface.0,
                    parameters: Box::new(Terms::of(parameters)),
                    source: primary_address,
                }
            }
            NetTold::Removed(router) => Entry::Removed {
                at,
                router: self.routers.remove(&router)?.number,
            },
            NetTold::Grouped { group, name, members } => {
                let number = self.number();
                self.groups.insert(group, number);
                Entry::Grouped {
                    at,
                    group: number,
                    name: name.to_owned(),
                    members: members
                        .iter()
                        .filter_map(|member| Some(self.routers.get(member)?.number))
                        .collect(),
                }
            }
            NetTold::Ungrouped(group) => Entry::Ungrouped {
                at,
                group: self.groups.remove(&group)?,
            },
            NetTold::Input { router, input } => {
                let router = self.routers.get_mut(&router)?;
                if let Input::Configure(parameters) = input {
                    router.password = password(parameters);
                }
                Entry::Input {
                    at,
                    router: router.number,
                    input: Told::of(input)?,
                }
            }
            NetTold::Packet(datagram) => {
                let envelope = &datagram.envelope;
                // A signature proves nothing without the key, which has no place here.
                let length = Packet::length_in(datagram.message, envelope.family()).unwrap_or(usize::MAX);
                let mut message = datagram
                    .message
                    .get(..length)
                    .unwrap_or(datagram.message)
                    .to_vec();
                message.truncate(LONGEST);
                let vrid = message.get(1).copied();
                let right: Vec<Password> = self
                    .routers
                    .values()
                    .filter(|router| router.interface == datagram.interface.0 && Some(router.vrid) == vrid)
                    .filter_map(|router| router.password)
                    .collect();
                mask::mask(&mut message, &right);
                Entry::Packet {
                    at,
                    interface: datagram.interface.0,
                    from: envelope.source(),
                    to: envelope.destination(),
                    hops: envelope.hop_limit(),
                    received: datagram.received.as_nanos(),
                    message: hexadecimal(&message),
                    refused: None,
                }
            }
            NetTold::Track { id, status } => Entry::Track {
                at,
                id: id.0,
                status: status.into(),
            },
            NetTold::Timeout => Entry::Timeout { at },
            // Keys have no place here.
            NetTold::Signed { router, signing } => {
                self.routers.get_mut(&router)?.signs = signing.is_some();
                return None;
            }
            // Nor is what a later driver tells understood.
            NetTold::Refused(_) | NetTold::WallClock(_) | _ => return None,
        })
    }
}

impl Recorder for JournalRecorder {
    fn record(&mut self, now: Instant, told: &NetTold<'_>) {
        let at = now.as_nanos();
        let wall = SystemTime::now();
        // Not before there is something to tell: a daemon that is refused leaves no trace.
        if !std::mem::replace(&mut self.begun, true) {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            self.journal.put(Item::Timed(wall, Entry::Start { at, version }));
        }
        if let NetTold::Refused(discard) = told {
            let is_news = discard.is_news && discard.reason != DiscardReason::NotRunning;
            let text = if is_news {
                discard.to_string()
            } else {
                String::new()
            };
            return self.release(Some(text));
        }
        self.release(None);
        let Some(entry) = self.entry(at, told) else { return };
        if let NetTold::Packet(datagram) = told
            && self.signs(datagram)
        {
            self.held = Some((wall, entry));
        } else {
            self.journal.put(Item::Timed(wall, entry));
        }
    }
}

impl Drop for JournalRecorder {
    fn drop(&mut self) {
        self.release(None);
    }
}

fn password(parameters: &Parameters) -> Option<Password> {
    if let Authentication::SimplePassword(password) = parameters.authentication() {
        return Some(password);
    }
    None
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| {
        DIGITS
            .get(usize::from(value))
            .map_or('0', |digit| char::from(*digit))
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The longest advertisement has 255 IPv6 addresses.
const LONGEST: usize = 4096;
