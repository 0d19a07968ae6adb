//! Mail about changes of state, in the form keepalived's users know.

use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::SmtpTransport;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, Transport as _};

use crate::error::Error;
use crate::notify::{Event, EventKind, Notifier, NotifyState, Object};

/// Where mail goes, and what it says about this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    /// A host name or address: `smtp_server`.
    pub server: String,
    /// Usually 25.
    pub port: u16,
    /// For each step of the conversation: `smtp_connect_timeout`.
    pub timeout: Duration,
    /// What this host calls itself to the server: `smtp_helo_name`.
    pub hello: Option<String>,
    /// `notification_email_from`
    pub from: String,
    /// `notification_email`
    pub to: Vec<String>,
    /// `router_id`, which begins the subject.
    pub router_id: String,
    /// Whether faults are mailed: not with `no_email_faults`.
    pub faults: bool,
}

/// Sends one mail per change of state, without encryption or password, as keepalived does.
pub struct MailNotifier {
    from: Mailbox,
    to: Vec<Mailbox>,
    router_id: String,
    transport: SmtpTransport,
}

impl MailNotifier {
    /// Checks the addresses. The server is looked up when there is something to send.
    ///
    /// # Errors
    /// [`Error::MailAddress`] if one of the addresses is none, or there is no recipient.
    pub fn new(settings: &MailSettings) -> Result<Self, Error> {
        let mailbox = |text: &String| {
            text.parse::<Mailbox>()
                .ok()
                .or_else(|| format!("{text}@localhost").parse().ok())
                .ok_or(Error::MailAddress)
        };
        let to = settings.to.iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(Error::MailAddress);
        }
        let mut builder = SmtpTransport::builder_dangerous(&settings.server)
            .port(settings.port)
            .timeout(Some(settings.timeout));
        if let Some(hello) = &settings.hello {
            builder = builder.hello_name(ClientId::Domain(hello.clone()));
        }
        Ok(Self {
            from: mailbox(&settings.from)?,
            to,
            router_id: settings.router_id.clone(),
            transport: builder.build(),
        })
    }

    /// The subject as keepalived writes it, and what happened as a sentence.
    fn words(&self, event: &Event) -> Option<(String, String)> {
        let id = &self.router_id;
        let name = event.object.name();
        let object = match &event.object {
            Object::Instance(_) => format!("VRRP Instance {name}"),
            Object::Group(_) => format!("VRRP Group {name}"),
            Object::VirtualServer(_) => format!("Virtualserver {name}"),
            Object::RealServer(_) => match name.split_once(' ') {
                Some((real, server)) => format!("Realserver {real} of virtual server {server}"),
                None => format!("Realserver {name}"),
            },
        };
        let (end, word) = match event.kind {
            EventKind::State(state) => {
                let end = match state {
                    NotifyState::Stop => "Stopping".to_owned(),
                    NotifyState::Deleted => "Deleted".to_owned(),
                    NotifyState::Master | NotifyState::Backup | NotifyState::Fault => {
                        format!("Entering {} state", state.word())
                    }
                };
                (end, state.word())
            }
            EventKind::Up | EventKind::Down => (event.kind.word().to_owned(), event.kind.word()),
            EventKind::ReceivedLowerPriority | EventKind::Priority(_) => return None,
        };
        Some((
            format!("[{id}] {object} - {end}"),
            format!("{object} is now {word}"),
        ))
    }

    fn message(&self, event: &Event) -> Option<Message> {
        let (subject, sentence) = self.words(event)?;
        let mut body = format!(
            "{sentence}, at {}.\r\n",
            humantime::format_rfc3339_seconds(event.time)
        );
        if let Some(reason) = &event.reason {
            body.push_str(&format!("Reason: {reason}\r\n"));
        }
        if event.merged > 0 {
            body.push_str(&format!("This replaces {} earlier messages.\r\n", event.merged));
        }
        let builder = self
            .to
            .iter()
            .fold(Message::builder().from(self.from.clone()), |builder, to| {
                builder.to(to.clone())
            });
        builder.date(event.time).subject(subject).body(body).ok()
    }
}

impl Notifier for MailNotifier {
    fn notify(&mut self, event: &Event) -> Result<(), Error> {
        let Some(message) = self.message(event) else {
            return Ok(());
        };
        match self.transport.send(&message) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Mail(error)),
        }
    }
}

impl fmt::Debug for MailNotifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MailNotifier").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::notify::event::tests::state;

    fn settings(port: u16) -> MailSettings {
        MailSettings {
            server: "127.0.0.1".to_owned(),
            port,
            timeout: Duration::from_secs(30),
            hello: Some("lb1.example.org".to_owned()),
            from: "lb1@example.org".to_owned(),
            to: vec!["root@localhost".to_owned(), "staff@example.org".to_owned()],
            router_id: "lb1".to_owned(),
            faults: true,
        }
    }

    /// Plays a mail server for one message and returns what the client said.
    fn serve(listener: &TcpListener) -> String {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut said = String::new();
        let mut in_data = false;
        writer.write_all(b"220 test\r\n").unwrap();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            said.push_str(&line);
            said.push('\n');
            let answer = match (&*line, in_data) {
                (".", true) => {
                    in_data = false;
                    "250 taken\r\n"
                }
                (_, true) => continue,
                ("DATA", false) => {
                    in_data = true;
                    "354 go on\r\n"
                }
                ("QUIT", false) => break,
                _ => "250 fine\r\n",
            };
            writer.write_all(answer.as_bytes()).unwrap();
            if answer.starts_with("250 taken") {
                break;
            }
        }
        said
    }

    #[test]
    fn the_mail_is_the_one_keepalived_s_users_know() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || serve(&listener));
        let mut notifier = MailNotifier::new(&settings(port)).unwrap();
        let mut event = state("VI_1", NotifyState::Master);
        event.reason = Some("the active router fell silent".into());
        notifier.notify(&event).unwrap();
        let said = server.join().unwrap();
        for line in [
            "EHLO lb1.example.org",
            "MAIL FROM:<lb1@example.org>",
            "RCPT TO:<root@localhost>",
            "RCPT TO:<staff@example.org>",
            "Subject: [lb1] VRRP Instance VI_1 - Entering MASTER state",
            "Reason: the active router fell silent",
        ] {
            assert!(said.contains(line), "{line} is missing in:\n{said}");
        }
    }

    #[test]
    fn only_states_are_mailed() {
        let mut notifier = MailNotifier::new(&settings(1)).unwrap();
        let mut event = state("VI_1", NotifyState::Master);
        event.kind = EventKind::ReceivedLowerPriority;
        notifier.notify(&event).unwrap();
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut notifier = MailNotifier::new(&settings(port)).unwrap();
        let event = state("VI_1", NotifyState::Master);
        assert!(matches!(notifier.notify(&event), Err(Error::Mail(_))));
    }

    #[test]
    fn addresses_are_checked_and_a_bare_name_is_a_local_user() {
        let mut local = settings(1);
        local.to = vec!["root".to_owned()];
        assert!(MailNotifier::new(&local).is_ok());
        let mut bad = settings(1);
        bad.to = vec!["not an address".to_owned()];
        assert!(matches!(MailNotifier::new(&bad), Err(Error::MailAddress)));
        bad.to.clear();
        assert!(matches!(MailNotifier::new(&bad), Err(Error::MailAddress)));
    }
}
