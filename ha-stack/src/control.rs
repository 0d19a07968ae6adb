//! The control socket: one request per line, one answer per line, both JSON.
//!
//! | request | answer |
//! |---|---|
//! | `{"command":"status"}` | `{"status":{…}}` |
//! | `{"command":"watch"}` | `{"status":{…}}`, then `{"event":{…}}` for each event until the client goes |
//! | `{"command":"reload"}`, `{"command":"stop"}` | `{"changes":["…"]}` or `{"error":"…"}` |
//! | `{"command":"failover","name":"VI_1"}` | the same |
//! | `{"command":"priority","name":"VI_1","priority":90}` | the same |
//! | `{"command":"server","virtual_server":"10.1.10.7:80","real_server":"10.1.10.11:80","action":"drain"}` | the same; the actions are `add`, `remove`, `drain`, `enable`, `disable`, and `weight` with a number in `weight`; `drain` may have a `deadline` in seconds |

mod client;
mod server;

use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use crate::notify::Event;
use crate::status::Status;

pub use client::ControlClient;
pub use server::{ControlLock, ControlServer};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// The status.
    Status,
    /// The status, then every event.
    Watch,
    /// Read the configuration again.
    Reload,
    /// Give up mastership, clean up and end.
    Stop,
    /// Let the peer take over this virtual router or sync group.
    Failover {
        /// Which one.
        name: String,
    },
    /// Set the priority of a virtual router until the next restart.
    Priority {
        /// Which one.
        name: String,
        /// 1 to 254.
        priority: u8,
    },
    /// Do something with a real server until the next restart.
    Server {
        /// The name of its virtual server.
        virtual_server: String,
        /// Its address and port; the port may be left out where that is clear.
        real_server: String,
        /// What.
        #[serde(flatten)]
        action: ServerAction,
    },
}

/// What is done with a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerAction {
    /// One more, with the settings and checks of the first.
    Add,
    /// Taken out, its checks too.
    Remove,
    /// This weight instead of the configured one.
    Weight {
        /// 0 to 2,147,483,647.
        weight: u32,
    },
    /// No new connections.
    Drain {
        /// After so many seconds, or once it has no connection, it is taken out, and the connections that it has end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<u32>,
    },
    /// Undoes the other orders.
    Enable,
    /// Taken out as if it had failed.
    Disable,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Response {
    /// The status.
    Status(Box<Status>),
    /// One event, as [`Event`] is written.
    Event(serde_json::Value),
    /// What changed, one line for each thing.
    Changes(Vec<String>),
    /// What is wrong. Nothing was changed.
    Error(String),
}

/// What a control socket needs to know of the stack behind it. Calls come from several threads.
pub trait Control: Send + Sync {
    /// The status now.
    fn status(&self) -> Status;

    /// A stream of the events from now on, or `None` if there can be no more.
    fn watch(&self) -> Option<mpsc::Receiver<Event>>;

    /// Carries out a request that changes something.
    fn execute(&self, request: Request) -> Response;
}

/// The longest line either side reads, in bytes. A status of 10,000 real servers is smaller.
const LONGEST_LINE: u64 = 64 << 20;

/// The longest request, in bytes.
const LONGEST_REQUEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_written_as_documented() {
        for (request, text) in [
            (Request::Status, r#"{"command":"status"}"#),
            (Request::Watch, r#"{"command":"watch"}"#),
            (Request::Reload, r#"{"command":"reload"}"#),
            (Request::Stop, r#"{"command":"stop"}"#),
            (
                Request::Failover {
                    name: "VI_1".to_owned(),
                },
                r#"{"command":"failover","name":"VI_1"}"#,
            ),
            (
                Request::Priority {
                    name: "VI_1".to_owned(),
                    priority: 90,
                },
                r#"{"command":"priority","name":"VI_1","priority":90}"#,
            ),
            (
                Request::Server {
                    virtual_server: "10.1.10.7:80".to_owned(),
                    real_server: "10.1.10.11:80".to_owned(),
                    action: ServerAction::Weight { weight: 3 },
                },
                r#"{"command":"server","virtual_server":"10.1.10.7:80","real_server":"10.1.10.11:80","action":"weight","weight":3}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
        assert_eq!(
            serde_json::to_string(&Response::Changes(vec!["a".to_owned()])).unwrap(),
            r#"{"changes":["a"]}"#
        );
        assert_eq!(
            serde_json::to_string(&Response::Error("b".to_owned())).unwrap(),
            r#"{"error":"b"}"#
        );
        assert!(
            serde_json::to_string(&Response::Status(Box::default()))
                .unwrap()
                .starts_with(r#"{"status":{"schema":1,"#)
        );
    }
}
