//! What happened, to which object.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// One thing that happened to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts all events of this process, from 1.
    pub sequence: u64,
    /// When it happened.
    pub time: SystemTime,
    /// To whom.
    pub object: Object,
    /// What.
    pub kind: EventKind,
    /// The effective priority of a virtual router at that time; 0 for a sync group.
    pub priority: u8,
    /// Why, in a few words, where there is something to say.
    pub reason: Option<Arc<str>>,
    /// How many earlier events of this object this one replaces, because they were not taken in time.
    pub merged: u64,
}

impl Event {
    /// The line keepalived writes to its FIFOs for this event, with the line end.
    ///
    /// `INSTANCE "VI_1" MASTER 100`, or `VS [10.1.10.7]:tcp:80 UP` of a server. A quotation mark or a line end in a name,
    /// which keepalived's language cannot express, is written as `_`.
    pub fn fifo_line(&self) -> String {
        let name: String = self
            .object
            .name()
            .chars()
            .map(|letter| match letter {
                '"' | '\n' | '\r' => '_',
                _ => letter,
            })
            .collect();
        if self.object.is_server() {
            return format!("{} {name} {}\n", self.object.word(), self.kind.word());
        }
        format!(
            "{} \"{name}\" {} {}\n",
            self.object.word(),
            self.kind.word(),
            self.priority
        )
    }
}

/// `time` is written as RFC 3339 says, `object` as `instance`, `group`, `vs` or `rs` beside `name`, and `event` as keepalived's word.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Event", 8)?;
        map.serialize_field("sequence", &self.sequence)?;
        map.serialize_field("time", &humantime::format_rfc3339_millis(self.time).to_string())?;
        map.serialize_field("object", &self.object.word().to_ascii_lowercase())?;
        map.serialize_field("name", self.object.name())?;
        map.serialize_field("event", self.kind.word())?;
        map.serialize_field("priority", &self.priority)?;
        map.serialize_field("reason", &self.reason.as_deref())?;
        map.serialize_field("merged", &self.merged)?;
        map.end()
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Object {
    /// A virtual router, by the name of its `vrrp_instance`.
    Instance(Arc<str>),
    /// A sync group, by name.
    Group(Arc<str>),
    /// A virtual server, as keepalived writes it: `[10.1.10.7]:tcp:80`.
    VirtualServer(Arc<str>),
    /// A real server of a virtual server, as keepalived writes them: `[10.1.10.11]:tcp:80 [10.1.10.7]:tcp:80`.
    RealServer(Arc<str>),
}

impl Object {
    /// The object's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Instance(name) | Self::Group(name) | Self::VirtualServer(name) | Self::RealServer(name) => {
                name
            }
        }
    }

    /// Whether it belongs to the load balancer.
    pub fn is_server(&self) -> bool {
        matches!(self, Self::VirtualServer(_) | Self::RealServer(_))
    }

    /// keepalived's word for this kind of object: `INSTANCE`, `GROUP`, `VS` or `RS`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Instance(_) => "INSTANCE",
            Self::Group(_) => "GROUP",
            Self::VirtualServer(_) => "VS",
            Self::RealServer(_) => "RS",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It entered a state.
    State(NotifyState),
    /// The active virtual router heard one of lower priority.
    ReceivedLowerPriority,
    /// The effective priority changed, in this state.
    Priority(NotifyState),
    /// A real server serves, or a virtual server has its quorum.
    Up,
    /// It does not any more.
    Down,
}

impl EventKind {
    /// keepalived's word, as its FIFOs and scripts have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::State(state) => state.word(),
            Self::ReceivedLowerPriority => "MASTER_RX_LOWER_PRI",
            Self::Priority(NotifyState::Master) => "MASTER_PRIORITY",
            Self::Priority(_) => "BACKUP_PRIORITY",
            Self::Up => "UP",
            Self::Down => "DOWN",
        }
    }

    /// Events of the same class replace each other when there are too many.
    pub(crate) fn class(self) -> u8 {
        match self {
            Self::State(_) | Self::Up | Self::Down => 0,
            Self::ReceivedLowerPriority => 1,
            Self::Priority(_) => 2,
        }
    }
}

/// A state in keepalived's words, which scripts parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotifyState {
    /// Active.
    Master,
    /// Backup.
    Backup,
    /// In `initialize` because of a fault.
    Fault,
    /// In `initialize` because the daemon stops.
    Stop,
    /// Taken out of the configuration.
    Deleted,
}

impl NotifyState {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn state(name: &str, state: NotifyState) -> Event {
        Event {
            sequence: 1,
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            object: Object::Instance(name.into()),
            kind: EventKind::State(state),
            priority: 100,
            reason: None,
            merged: 0,
        }
    }

    #[test]
    fn fifo_lines_are_keepalived_s() {
        let mut event = state("VI_1", NotifyState::Master);
        assert_eq!(event.fifo_line(), "INSTANCE \"VI_1\" MASTER 100\n");
        event.kind = EventKind::ReceivedLowerPriority;
        assert_eq!(event.fifo_line(), "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 100\n");
        event.kind = EventKind::Priority(NotifyState::Master);
        assert_eq!(event.fifo_line(), "INSTANCE \"VI_1\" MASTER_PRIORITY 100\n");
        event.kind = EventKind::Priority(NotifyState::Backup);
        assert_eq!(event.fifo_line(), "INSTANCE \"VI_1\" BACKUP_PRIORITY 100\n");
        let mut event = state("G1", NotifyState::Backup);
        event.object = Object::Group("G1".into());
        event.priority = 0;
        assert_eq!(event.fifo_line(), "GROUP \"G1\" BACKUP 0\n");
        event.object = Object::VirtualServer("[192.168.201.15]:tcp:80".into());
        event.kind = EventKind::Up;
        assert_eq!(event.fifo_line(), "VS [192.168.201.15]:tcp:80 UP\n");
        event.object = Object::RealServer("[10.0.0.1]:tcp:80 [192.168.201.15]:tcp:80".into());
        event.kind = EventKind::Down;
        assert_eq!(
            event.fifo_line(),
            "RS [10.0.0.1]:tcp:80 [192.168.201.15]:tcp:80 DOWN\n"
        );
    }

    #[test]
    fn a_name_cannot_forge_a_second_line() {
        let event = state("a\" MASTER 1\nINSTANCE \"b", NotifyState::Fault);
        assert_eq!(
            event.fifo_line(),
            "INSTANCE \"a_ MASTER 1_INSTANCE _b\" FAULT 100\n"
        );
    }

    #[test]
    fn the_json_form_has_these_fields() {
        let mut event = state("VI_1", NotifyState::Stop);
        event.reason = Some("asked to stop".into());
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"sequence":1,"time":"1970-01-01T00:00:01.500Z","object":"instance","name":"VI_1","event":"STOP","priority":100,"reason":"asked to stop","merged":0}"#
        );
    }
}
