//! Encryption, and whether the certificate is good.

mod der;
mod session;
mod verify;

use core::fmt;
use core::hash::{Hash, Hasher};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;
use crate::layer::Layer;
#[cfg(fuzzing)]
pub(crate) use der::not_after;
pub(crate) use session::Session;

/// How to speak TLS with a target. The certificate is verified unless one says otherwise.
///
/// Alone it is a check that proves a whole handshake: the key, the chain, the name and the dates. Under another check
/// ([`Check::over`](crate::Check::over)) it also carries what is said. Sessions are resumed, which costs half; every
/// sixtieth attempt is a full handshake, so that an expired certificate is seen.
#[derive(Clone)]
pub struct Tls {
    settings: Arc<Settings>,
}

struct Settings {
    /// What makes two equal: how it was built, not what came out.
    identity: Identity,
    name: Option<ServerName<'static>>,
    resuming: Arc<ClientConfig>,
    full: Arc<ClientConfig>,
    warn: Option<Duration>,
    attempts: AtomicU32,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    name: Option<String>,
    roots: Roots,
    client: Option<(Vec<u8>, Vec<u8>)>,
    #[cfg(feature = "tls-encrypted-keys")]
    password: Option<Vec<u8>>,
    alpn: Vec<Vec<u8>>,
    warn: Option<Duration>,
    resume: bool,
    /// The address of a foreign configuration.
    foreign: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Roots {
    System,
    Pem(Vec<u8>),
    Unverified,
}

impl Tls {
    /// Verifies against the certificate authorities of the system and for the address of the target, until told
    /// otherwise.
    pub fn builder() -> TlsBuilder {
        TlsBuilder {
            identity: Identity {
                name: None,
                roots: Roots::System,
                client: None,
                #[cfg(feature = "tls-encrypted-keys")]
                password: None,
                alpn: Vec::new(),
                warn: Some(Duration::from_secs(14 * DAY)),
                resume: true,
                foreign: 0,
            },
        }
    }

    /// Takes a configuration of rustls 0.23 as it is: the application's own provider, verifier and certificates.
    /// Without a name the address of the target is verified.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if the name cannot be one.
    #[cfg(feature = "rustls-0_23")]
    pub fn with_rustls_0_23(config: Arc<ClientConfig>, name: Option<&str>) -> Result<Self, Error> {
        let mut builder = Self::builder();
        builder.identity.foreign = Arc::as_ptr(&config).addr();
        builder.identity.name = name.map(str::to_owned);
        builder.finish(config)
    }

    /// The other side of nothing yet: a session for one attempt towards this address.
    pub(crate) fn session(&self, ip: IpAddr) -> Result<Box<dyn Layer>, Error> {
        let name = self.settings.name.clone().unwrap_or_else(|| ServerName::from(ip));
        let attempt = self.settings.attempts.fetch_add(1, Ordering::Relaxed);
        let full = attempt.is_multiple_of(FULL_EVERY) || !self.settings.identity.resume;
        let config = if full {
            &self.settings.full
        } else {
            &self.settings.resuming
        };
        let session = Session::new(config.clone(), name, self.settings.warn).map_err(|_| Error::BadTls)?;
        Ok(Box::new(session))
    }
}

/// Settings of TLS on their way to a [`Tls`].
#[derive(Clone)]
pub struct TlsBuilder {
    identity: Identity,
}

impl TlsBuilder {
    /// The name to ask for (SNI) and to verify.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.identity.name = Some(name.into());
        self
    }

    /// Verifies against these certificate authorities (PEM) instead of the system's.
    #[must_use]
    pub fn roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.identity.roots = Roots::Pem(pem.into());
        self
    }

    /// Takes any certificate from anybody, as keepalived's `SSL_GET` does. The check then proves that somebody answers.
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.identity.roots = Roots::Unverified;
        self
    }

    /// Shows this certificate and key (PEM) to servers that ask for one.
    #[must_use]
    pub fn client_pem(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity.client = Some((certificate.into(), key.into()));
        self
    }

    /// The password of the key, if it is encrypted as PKCS #8 has it (`BEGIN ENCRYPTED PRIVATE KEY`, scrypt or PBKDF2 with AES).
    #[cfg(feature = "tls-encrypted-keys")]
    #[must_use]
    pub fn client_key_password(mut self, password: impl Into<Vec<u8>>) -> Self {
        self.identity.password = Some(password.into());
        self
    }

    /// Offers this protocol (ALPN); repeated calls add up.
    #[must_use]
    pub fn alpn(mut self, protocol: impl Into<Vec<u8>>) -> Self {
        self.identity.alpn.push(protocol.into());
        self
    }

    /// Tells when the certificate ends within this time (two weeks unless set); `None` never.
    #[must_use]
    pub const fn warn_before(mut self, time: Option<Duration>) -> Self {
        self.identity.warn = time;
        self
    }

    /// Whether sessions are resumed.
    #[must_use]
    pub const fn resume(mut self, on: bool) -> Self {
        self.identity.resume = on;
        self
    }

    /// Makes the settings usable.
    ///
    /// # Errors
    ///
    /// [`Error::NoProvider`] if neither the application nor a feature chose a provider of cryptography; [`Error::BadTls`] if
    /// that one does not offer what TLS needs;
    /// [`Error::BadCertificate`] if a certificate or key cannot be read, or there is no authority;
    /// [`Error::BadName`] if the server name cannot be one.
    pub fn build(self) -> Result<Tls, Error> {
        let provider = provider()?;
        let versions =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let verified = match &self.identity.roots {
            Roots::Unverified => versions
                .map_err(|_| Error::BadTls)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verify::Anybody(provider))),
            Roots::System => versions
                .map_err(|_| Error::BadTls)?
                .with_root_certificates(roots(&system_roots()?)?),
            Roots::Pem(pem) => versions
                .map_err(|_| Error::BadTls)?
                .with_root_certificates(roots(pem)?),
        };
        let mut config = match &self.identity.client {
            None => verified.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
                let chain = chain.map_err(|_| Error::BadCertificate)?;
                verified
                    .with_client_auth_cert(chain, self.identity.private_key(key)?)
                    .map_err(|_| Error::BadCertificate)?
            }
        };
        config.alpn_protocols.clone_from(&self.identity.alpn);
        self.finish(Arc::new(config))
    }

    fn finish(self, config: Arc<ClientConfig>) -> Result<Tls, Error> {
        let name = match &self.identity.name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| Error::BadName)?),
            None => None,
        };
        let mut full = ClientConfig::clone(&config);
        full.resumption = Resumption::disabled();
        let settings = Settings {
            name,
            resuming: config,
            full: Arc::new(full),
            warn: self.identity.warn,
            attempts: AtomicU32::new(0),
            identity: self.identity,
        };
        Ok(Tls {
            settings: Arc::new(settings),
        })
    }
}

impl Identity {
    /// The key in this PEM, decrypted if need be.
    fn private_key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
        let plain = PrivateKeyDer::from_pem_slice(pem);
        #[cfg(feature = "tls-encrypted-keys")]
        if let (Err(_), Some(password)) = (&plain, &self.password) {
            return decrypted(pem, password).ok_or(Error::BadCertificate);
        }
        plain.map_err(|_| Error::BadCertificate)
    }
}

#[cfg(feature = "tls-encrypted-keys")]
fn decrypted(pem: &[u8], password: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let text = core::str::from_utf8(pem).ok()?;
    // Other things may stand in the file before it.
    let text = text.get(text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----")?..)?;
    let (_, document) = pkcs8::SecretDocument::from_pem(text).ok()?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).ok()?;
    let key = encrypted.decrypt(password).ok()?;
    Some(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into()))
}

/// The provider that the application installed for the process, else the one a feature brings.
fn provider() -> Result<Arc<CryptoProvider>, Error> {
    #[cfg(feature = "tls-ring")]
    let brought = Some(rustls::crypto::ring::default_provider());
    #[cfg(not(feature = "tls-ring"))]
    let brought = None;
    choose(CryptoProvider::get_default(), brought)
}

fn choose(
    installed: Option<&Arc<CryptoProvider>>,
    brought: Option<CryptoProvider>,
) -> Result<Arc<CryptoProvider>, Error> {
    let chosen = installed.cloned().or_else(|| brought.map(Arc::new));
    chosen.ok_or(Error::NoProvider)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // One authority that webpki does not like must not cost us all the others.
        let _ = store.add(certificate.map_err(|_| Error::BadCertificate)?);
    }
    if store.is_empty() {
        Err(Error::BadCertificate)
    } else {
        Ok(store)
    }
}

/// Where distributions keep the bundle.
fn system_roots() -> Result<Vec<u8>, Error> {
    let places = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    ];
    places
        .iter()
        .find_map(|place| std::fs::read(place).ok())
        .ok_or(Error::BadCertificate)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.settings.identity.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsBuilder")
            .field("name", &self.identity.name)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.settings.identity == other.settings.identity
    }
}

impl Eq for Tls {}

impl Hash for Tls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.settings.identity.hash(state);
    }
}

const DAY: u64 = 24 * 3_600;
const FULL_EVERY: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_s_provider_comes_first_and_without_any_there_is_an_error() {
        let ring = rustls::crypto::ring::default_provider();
        let installed = Arc::new(ring.clone());
        let chosen = choose(Some(&installed), Some(ring.clone())).unwrap();
        assert!(Arc::ptr_eq(&chosen, &installed));
        assert!(choose(None, Some(ring)).is_ok());
        assert!(matches!(choose(None, None), Err(Error::NoProvider)));
    }
}
