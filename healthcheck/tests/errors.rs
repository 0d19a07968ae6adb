//! Errors of this process as a whole. They need it to themselves.

use healthcheck::{Checker, Error, Tls};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_process_that_lacks_something_is_told_what() {
    let useless = rustls::crypto::CryptoProvider {
        cipher_suites: Vec::new(),
        ..rustls::crypto::ring::default_provider()
    };
    useless.install_default().unwrap();
    let error = Tls::builder().unverified().build().unwrap_err();
    assert!(matches!(error, Error::BadTls), "{error}");

    let before = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, none).unwrap();
    let error = Checker::<u8>::spawn().unwrap_err();
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(matches!(error, Error::System(..)), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("cannot create a descriptor") && text.contains("os error 24"),
        "{text}"
    );
}
