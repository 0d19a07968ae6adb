use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use vrrp_proto::{AdverInterval, ChecksumForm};

use crate::time::Seconds;
use crate::{Event, Instant};

/// Something that a person should look at. The election goes on regardless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Alarm {
    /// Advertisements come from our own address: somebody else has it, or our own come back to us.
    DuplicateAddress {
        /// The address.
        address: IpAddr,
    },
    /// A router with wholly other addresses uses our VRID: another cluster, most likely.
    DuplicateVrid {
        /// Who.
        from: IpAddr,
    },
    /// A router has some addresses configured that we have not, or the other way round.
    AddressList {
        /// Who.
        from: IpAddr,
    },
    /// A router has another interval than ours.
    Interval {
        /// Who.
        from: IpAddr,
        /// Its interval.
        theirs: AdverInterval,
        /// Ours.
        ours: AdverInterval,
    },
    /// A router sends the other checksum, and may not understand ours.
    Checksum {
        /// Who.
        from: IpAddr,
        /// What it sends.
        theirs: ChecksumForm,
    },
    /// Another router claims to own the addresses, as we do.
    SecondOwner {
        /// Who.
        from: IpAddr,
    },
    /// Another router stays active although it loses against us: it cannot hear us, or nobody can tell the two apart.
    SecondActive {
        /// Who.
        from: IpAddr,
    },
    /// This process ran so late that others may take us for dead.
    Late {
        /// How late it was.
        by: Duration,
    },
}

impl Alarm {
    const fn kind(&self) -> usize {
        match self {
            Self::DuplicateAddress { .. } => 0,
            Self::DuplicateVrid { .. } => 1,
            Self::AddressList { .. } => 2,
            Self::Interval { .. } => 3,
            Self::Checksum { .. } => 4,
            Self::SecondOwner { .. } => 5,
            Self::SecondActive { .. } => 6,
            Self::Late { .. } => 7,
        }
    }

    /// Whether this tells a person nothing that `other` did not.
    fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Late { .. }, Self::Late { .. }) => true,
            _ => self == other,
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateAddress { address } => {
                write!(f, "advertisements arrive from our own address {address}")
            }
            Self::DuplicateVrid { from } => {
                write!(f, "{from} uses our vrid for wholly other addresses")
            }
            Self::AddressList { from } => write!(f, "{from} lists other addresses than we do"),
            Self::Interval { from, theirs, ours } => {
                write!(f, "{from} advertises every {theirs}, we every {ours}")
            }
            Self::Checksum { from, theirs } => {
                let words = match theirs {
                    ChecksumForm::Rfc9568 => "without a pseudo-header, and may not understand ours with one",
                    ChecksumForm::Rfc5798 | ChecksumForm::OldUnicast | _ => {
                        "with another pseudo-header than ours, and may not understand ours"
                    }
                };
                write!(f, "{from} sends its checksum {words}")
            }
            Self::SecondOwner { from } => write!(f, "{from} claims to own the addresses, as we do"),
            Self::SecondActive { from } => {
                write!(
                    f,
                    "{from} stays active although it loses against us; can it hear us?"
                )
            }
            Self::Late { by } => write!(f, "we ran {} late", Seconds(*by)),
        }
    }
}

/// Which alarms are on, so that each is given once; bounded, whatever arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Alarms {
    raised: [Option<Raised>; KINDS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Raised {
    alarm: Alarm,
    given: Instant,
    on: bool,
}

const KINDS: usize = 8;

/// How long at least between two alarms of a kind.
const QUIET: u64 = 60 * crate::time::SECOND;

impl Alarms {
    /// Notes that the condition is there; gives the event unless it was given already.
    pub(crate) fn raise(&mut self, now: Instant, alarm: Alarm) -> Option<Event> {
        let slot = self.raised.get_mut(alarm.kind())?;
        let known = slot.is_some_and(|raised| {
            raised.on && alarm.repeats(&raised.alarm) || now.nanos_since(raised.given) < QUIET
        });
        if known {
            return None;
        }
        *slot = Some(Raised {
            alarm,
            given: now,
            on: true,
        });
        Some(Event::Alarm(alarm))
    }

    /// Notes that a condition is not there any more; gives the event if it was.
    pub(crate) fn end(&mut self, is_over: impl Fn(&Alarm) -> bool) -> Option<Event> {
        let raised = self
            .raised
            .iter_mut()
            .flatten()
            .find(|raised| raised.on && is_over(&raised.alarm))?;
        raised.on = false;
        Some(Event::AlarmEnded(raised.alarm))
    }
}
