use core::time::Duration;

use crate::time::nanos;

/// When the addresses are announced to the link, by gratuitous ARP or unsolicited neighbour advertisement.
///
/// The default is keepalived's: five at once, five more after five seconds, the same when somebody of lower priority was
/// heard, no refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announcements {
    /// How often each address is announced in a block, at least once (`garp_master_repeat`).
    pub repeat: u8,
    /// When the second block follows the first; zero for none (`garp_master_delay`).
    pub delay: Duration,
    /// How often the addresses are announced while active; zero for never (`garp_master_refresh`). The first refresh
    /// comes this long after the second block.
    pub refresh: Duration,
    /// How often each address is announced in a refresh (`garp_master_refresh_repeat`).
    pub refresh_repeat: u8,
    /// How often each address is announced when another active router was heard that loses; zero for not at all
    /// (`garp_lower_prio_repeat`).
    pub lower_priority_repeat: u8,
    /// When the second such block follows; zero for none (`garp_lower_prio_delay`).
    pub lower_priority_delay: Duration,
}

impl Announcements {
    /// One announcement of each address and nothing more (`vrrp_min_garp`): what the RFCs ask for.
    pub const MINIMAL: Self = Self {
        repeat: 1,
        delay: Duration::ZERO,
        refresh: Duration::ZERO,
        refresh_repeat: 1,
        lower_priority_repeat: 0,
        lower_priority_delay: Duration::ZERO,
    };
}

impl Default for Announcements {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 5,
            lower_priority_delay: Duration::from_secs(5),
        }
    }
}

/// The same in fewer bytes, as there may be many virtual routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Schedule {
    pub(crate) delay: u64,
    pub(crate) refresh: u64,
    pub(crate) lower_priority_delay: u64,
    pub(crate) repeat: u8,
    pub(crate) refresh_repeat: u8,
    pub(crate) lower_priority_repeat: u8,
}

impl From<Announcements> for Schedule {
    fn from(announcements: Announcements) -> Self {
        Self {
            delay: nanos(announcements.delay),
            refresh: nanos(announcements.refresh),
            lower_priority_delay: nanos(announcements.lower_priority_delay),
            repeat: announcements.repeat,
            refresh_repeat: announcements.refresh_repeat,
            lower_priority_repeat: announcements.lower_priority_repeat,
        }
    }
}

impl From<Schedule> for Announcements {
    fn from(schedule: Schedule) -> Self {
        Self {
            repeat: schedule.repeat,
            delay: Duration::from_nanos(schedule.delay),
            refresh: Duration::from_nanos(schedule.refresh),
            refresh_repeat: schedule.refresh_repeat,
            lower_priority_repeat: schedule.lower_priority_repeat,
            lower_priority_delay: Duration::from_nanos(schedule.lower_priority_delay),
        }
    }
}
