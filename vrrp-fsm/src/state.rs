use core::fmt;

/// The state of a virtual router ([RFC 9568 §6.4]).
///
/// keepalived's FAULT is [`Initialize`](Self::Initialize) with a [fault](crate::VirtualRouter::fault).
///
/// [RFC 9568 §6.4]: https://www.rfc-editor.org/rfc/rfc9568#section-6.4
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the standard has these three")]
pub enum State {
    /// Not taking part.
    #[doc(alias = "Fault")]
    Initialize,
    /// Listening to the active router.
    Backup,
    /// Holding the addresses and advertising.
    #[doc(alias = "Master")]
    Active,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
        })
    }
}

/// What keeps a virtual router that was started in Initialize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The interface is down or without carrier.
    InterfaceDown,
    /// The interface has no address to send from.
    NoPrimaryAddress,
    /// This tracked object failed.
    Track(crate::TrackId),
    /// This tracked object has not reported yet.
    TrackPending(crate::TrackId),
    /// The driver said so.
    Driver,
    /// Another member of the sync group has a fault.
    SyncGroup,
    /// A tracked object of another member of the sync group has not reported yet.
    SyncGroupPending,
}

impl Fault {
    /// Whether this is only that something has not reported yet, which is not worth telling.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::TrackPending(_) | Self::SyncGroupPending)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceDown => f.write_str("the interface is down"),
            Self::NoPrimaryAddress => f.write_str("the interface has no address to send from"),
            Self::Track(id) => write!(f, "{id} failed"),
            Self::TrackPending(id) => write!(f, "{id} has not reported yet"),
            Self::SyncGroup => f.write_str("another member of the sync group has a fault"),
            Self::SyncGroupPending => {
                f.write_str("another member of the sync group waits for a tracked object")
            }
            Self::Driver => f.write_str("the driver reported a fault"),
        }
    }
}
