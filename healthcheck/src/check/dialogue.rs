//! Say this, expect that.

mod database;
mod talk;

use std::sync::Arc;

use super::expect::Expect;
use crate::conversation::Conversation;
use database::{MySql, PostgreSql};
use talk::Talk;

/// A conversation written down as steps, with presets for well-known servers.
///
/// It proves that the program behind the port speaks the protocol as far as the steps go, and no further: a mail server
/// that greets may still refuse mail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dialogue {
    plan: Arc<Plan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Plan {
    Steps { steps: Vec<DialogueStep>, most: usize },
    MySql { user: String },
    PostgreSql { user: String },
}

/// One step of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DialogueStep {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Wait until what has come since the last step fulfils this. For something that must *not* come, put it before a
    /// step that ends the wait.
    Expect(Expect),
    /// Wait for a whole line that begins with this.
    Line(Vec<u8>),
    /// Wait for a reply as SMTP and FTP give it: three digits between these two (both included), on one line or several.
    Code(u16, u16),
    /// Wait for at least one byte, whatever it is.
    Anything,
}

impl Dialogue {
    /// These steps, in this order. Whoever has to say more than 16 KiB between two of them fails.
    pub fn new(steps: Vec<DialogueStep>) -> Self {
        Self {
            plan: Arc::new(Plan::Steps {
                steps,
                most: 16 << 10,
            }),
        }
    }

    /// An FTP server: a greeting of 220, and a polite end.
    pub fn ftp() -> Self {
        Self::new(vec![
            DialogueStep::Code(220, 220),
            DialogueStep::Send(b"QUIT\r\n".to_vec()),
            DialogueStep::Code(200, 299),
        ])
    }

    /// An SMTP server as keepalived's `SMTP_CHECK` asks it: 220, `HELO` answered by 250, `QUIT` answered at all.
    pub fn smtp(helo: &str) -> Self {
        let helo: String = helo
            .chars()
            .filter(|letter| !letter.is_control() && !letter.is_whitespace())
            .collect();
        Self::new(vec![
            DialogueStep::Code(220, 220),
            DialogueStep::Send(format!("HELO {helo}\r\n").into_bytes()),
            DialogueStep::Code(250, 250),
            DialogueStep::Send(b"QUIT\r\n".to_vec()),
            DialogueStep::Code(100, 599),
        ])
    }

    /// An SSH server: its identification (RFC 4253 §4.2), answered by ours.
    pub fn ssh() -> Self {
        Self::new(vec![
            DialogueStep::Line(b"SSH-".to_vec()),
            DialogueStep::Send(b"SSH-2.0-healthcheck\r\n".to_vec()),
        ])
    }

    /// A telnet server: it says something.
    pub fn telnet() -> Self {
        Self::new(vec![DialogueStep::Anything])
    }

    /// A Redis server that answers `PING`, so it is neither loading nor asking for a password.
    pub fn redis() -> Self {
        Self::new(vec![
            DialogueStep::Send(b"*1\r\n$4\r\nPING\r\n".to_vec()),
            DialogueStep::Line(b"+PONG".to_vec()),
        ])
    }

    /// The same behind a password.
    pub fn redis_with(password: &str) -> Self {
        let auth = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len());
        Self::new(vec![
            DialogueStep::Send(auth.into_bytes()),
            DialogueStep::Line(b"+OK".to_vec()),
            DialogueStep::Send(b"*1\r\n$4\r\nPING\r\n".to_vec()),
            DialogueStep::Line(b"+PONG".to_vec()),
        ])
    }

    /// A MySQL or MariaDB server that lets this user begin to log in. Whether it then asks for a password, refuses or
    /// accepts does not matter; but the login is carried to its end, because a server blocks a host that breaks off too
    /// many.
    pub fn mysql(user: &str) -> Self {
        Self {
            plan: Arc::new(Plan::MySql {
                user: user.replace('\0', ""),
            }),
        }
    }

    /// A PostgreSQL server that lets this user begin to log in. A server that is starting up, shutting down or out of
    /// connections fails.
    pub fn postgresql(user: &str) -> Self {
        Self {
            plan: Arc::new(Plan::PostgreSql {
                user: user.replace('\0', ""),
            }),
        }
    }

    /// The dialogue as the engine has it, to be driven over any other connection.
    pub fn conversation(&self) -> Box<dyn Conversation> {
        match &*self.plan {
            Plan::Steps { steps, most } => Box::new(Talk::new(steps.clone(), *most)),
            Plan::MySql { user } => Box::new(MySql::new(user.clone())),
            Plan::PostgreSql { user } => Box::new(PostgreSql::new(user.clone())),
        }
    }
}
