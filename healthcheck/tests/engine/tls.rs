//! TLS checks against a server of rustls with certificates made for the occasion.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use healthcheck::{
    Check, Checker, Error, Event, FailKind, Http, Notice, Stage, TargetSpec, Tls, TlsBuilder, Verdict,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{attempt, attempt_within, hostile, quick};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            issuer: CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap(),
        }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server with a certificate for these names that ends in this year, which answers every connection with a page.
    fn serve(&self, names: &[&str], ends: i32, alpn: &[u8]) -> (SocketAddr, Arc<AtomicU32>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(ends, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let resumed = Arc::new(AtomicU32::new(0));
        let count = resumed.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let session = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut tls = rustls::StreamOwned::new(session, stream);
                let mut request = [0; 4096];
                if matches!(tls.read(&mut request), Ok(1..)) {
                    let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
                if tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        (addr, resumed)
    }

    fn trusted(&self) -> TlsBuilder {
        Tls::builder().roots_pem(self.pem())
    }
}

fn kind(addr: SocketAddr, tls: Tls) -> FailKind {
    attempt(Check::new(addr, tls))
        .last_failure
        .expect("this passed")
        .1
        .kind
}

#[test]
fn a_good_certificate_passes_and_each_bad_one_says_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (good, _) = authority.serve(&["a.example", "127.0.0.1"], 2099, b"http/1.1");
    let named = |name: &str| authority.trusted().server_name(name).build().unwrap();
    assert_eq!(attempt(Check::new(good, named("a.example"))).verdict, Verdict::Up);
    assert_eq!(
        attempt(Check::new(good, authority.trusted().build().unwrap())).verdict,
        Verdict::Up,
        "by its address"
    );
    assert_eq!(kind(good, named("b.example")), FailKind::CertificateName);
    let distrusting = other.trusted().server_name("a.example").build().unwrap();
    assert_eq!(kind(good, distrusting.clone()), FailKind::CertificateUntrusted);
    let (expired, _) = authority.serve(&["a.example"], 2020, b"http/1.1");
    assert_eq!(kind(expired, named("a.example")), FailKind::CertificateExpired);
    let careless = Tls::builder().unverified().build().unwrap();
    assert_eq!(attempt(Check::new(expired, careless)).verdict, Verdict::Up);
    let picky = authority
        .trusted()
        .server_name("a.example")
        .alpn("h2")
        .build()
        .unwrap();
    assert_eq!(kind(good, picky), FailKind::Tls, "no common protocol");
}

#[test]
fn a_check_talks_over_tls_resumes_and_warns() {
    let authority = Authority::new();
    let (addr, resumed) = authority.serve(&["a.example"], 2099, b"http/1.1");
    let year = Some(Duration::from_secs(3_600 * 24 * 365 * 100));
    let tls = authority
        .trusted()
        .server_name("a.example")
        .warn_before(year)
        .build()
        .unwrap();
    let checker = Checker::<u32>::spawn().unwrap();
    let mut events = checker.subscribe();
    let https = Check::new(addr, Http::get("/").unwrap()).over(tls);
    checker.reconcile([TargetSpec::new(1, https, Arc::new(quick()))]);
    let noticed = std::iter::from_fn(|| events.wait(Duration::from_secs(20))).find_map(|event| match event {
        Event::Notice {
            notice: Notice::CertificateExpires { days },
            ..
        } => Some(days),
        _ => None,
    });
    assert!((20_000..40_000).contains(&noticed.unwrap()));
    while resumed.load(Ordering::Relaxed) < 5 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(checker.metrics().totals.failed, 0);
}

#[test]
fn servers_that_mean_no_good() {
    let tls = || Tls::builder().unverified().build().unwrap();
    let within = |addr| {
        attempt_within(Check::new(addr, tls()), Duration::from_millis(500))
            .last_failure
            .unwrap()
            .1
    };
    let half = within(hostile::dripping(b"\x16\x03\x03\x40\x00\x02\x00"));
    assert_eq!(
        (half.stage, half.kind),
        (Stage::Handshake, FailKind::TimedOut),
        "half a record, drop by drop"
    );
    let silent = within(hostile::silent());
    assert_eq!(
        (silent.stage, silent.kind),
        (Stage::Handshake, FailKind::TimedOut)
    );
    let plain = within(hostile::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(
        matches!(plain.kind, FailKind::Malformed | FailKind::Tls),
        "{plain}"
    );
    let broken = within(hostile::resetting());
    assert!(
        matches!(broken.kind, FailKind::Reset | FailKind::Closed),
        "{broken}"
    );
    let alert = within(hostile::saying(b"\x15\x03\x03\x00\x02\x02\x28"));
    assert_eq!(
        (alert.kind, alert.code),
        (FailKind::Tls, Some(40)),
        "handshake_failure"
    );
    let flood = within(hostile::endless(b"\x16\x03\x03\xff\xff", b"a"));
    assert!(
        matches!(
            flood.kind,
            FailKind::Malformed | FailKind::TooLarge | FailKind::Tls
        ),
        "{flood}"
    );
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let certificate = include_bytes!("client/certificate.pem");
    for key in [
        &include_bytes!("client/key.pem")[..],
        include_bytes!("client/key-scrypt.pem"),
    ] {
        let builder = Tls::builder().unverified().client_pem(certificate, key);
        assert!(builder.clone().client_key_password("secret").build().is_ok());
        let wrong = builder.clone().client_key_password("public").build();
        assert!(matches!(wrong, Err(Error::BadCertificate)));
        assert!(matches!(builder.build(), Err(Error::BadCertificate)));
    }
}

#[test]
fn what_cannot_be_built_is_refused() {
    assert!(matches!(
        Tls::builder().roots_pem("nonsense").build(),
        Err(Error::BadCertificate)
    ));
    assert!(matches!(
        Tls::builder().unverified().server_name("a b").build(),
        Err(Error::BadName)
    ));
    assert!(matches!(
        Tls::builder().unverified().client_pem("x", "y").build(),
        Err(Error::BadCertificate)
    ));
    let same = |name: &str| Tls::builder().unverified().server_name(name).build().unwrap();
    assert_eq!(same("a.example"), same("a.example"), "equal checks are made once");
    assert_ne!(same("a.example"), same("b.example"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(
        config
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    );
    let authority = Authority::new();
    let (addr, _) = authority.serve(&["a.example"], 2099, b"http/1.1");
    let foreign = Tls::with_rustls_0_23(config, Some("a.example")).unwrap();
    assert_eq!(
        kind(addr, foreign),
        FailKind::CertificateUntrusted,
        "the application's own roots: none"
    );
}
