//! One TLS session of one attempt.

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error};

use super::der;
use crate::failure::{FailKind, Failure, Stage};
use crate::layer::Layer;
use crate::outcome::Notice;

/// The client's side of a session.
pub(crate) struct Session {
    connection: ClientConnection,
    warn: Option<Duration>,
}

impl Session {
    pub(super) fn new(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        warn: Option<Duration>,
    ) -> Result<Self, Error> {
        Ok(Self {
            connection: ClientConnection::new(config, name)?,
            warn,
        })
    }
}

impl Layer for Session {
    fn receive(&mut self, mut input: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        while !input.is_empty() {
            let taken = self.connection.read_tls(&mut input);
            if !matches!(taken, Ok(1..)) {
                return Err(Failure::new(Stage::Handshake, FailKind::Tls));
            }
            let state = self
                .connection
                .process_new_packets()
                .map_err(|error| failure(&error))?;
            let had = plain.len();
            plain.resize(had.saturating_add(state.plaintext_bytes_to_read()), 0);
            let mut filled = had;
            while let Some(room) = plain.get_mut(filled..).filter(|room| !room.is_empty()) {
                match self.connection.reader().read(room) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => filled += read,
                }
            }
            plain.truncate(filled);
        }
        Ok(())
    }

    fn say(&mut self, plain: &[u8]) -> Result<(), Failure> {
        self.connection
            .writer()
            .write_all(plain)
            .map_err(|_| Failure::new(Stage::Send, FailKind::Tls))
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            if !matches!(self.connection.write_tls(out), Ok(1..)) {
                return;
            }
        }
    }

    fn is_open(&self) -> bool {
        !self.connection.is_handshaking()
    }

    fn notice(&self) -> Option<Notice> {
        let warn = self.warn?.as_secs();
        let end = der::not_after(self.connection.peer_certificates()?.first()?)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let left = end.saturating_sub(now);
        let days = u32::try_from(left / super::DAY).unwrap_or(u32::MAX);
        (left < warn).then_some(Notice::CertificateExpires { days })
    }
}

/// What an error of TLS says about the target.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else goes wrong with TLS has one name"
)]
fn failure(error: &Error) -> Failure {
    let kind = match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            FailKind::CertificateExpired
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => FailKind::CertificateName,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented | Error::UnsupportedNameType => {
            FailKind::CertificateUntrusted
        }
        Error::AlertReceived(alert) => {
            return Failure::new(Stage::Handshake, FailKind::Tls).with_code(i32::from(u8::from(*alert)));
        }
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => FailKind::Malformed,
        Error::PeerSentOversizedRecord => FailKind::TooLarge,
        _ => FailKind::Tls,
    };
    Failure::new(Stage::Handshake, kind)
}
