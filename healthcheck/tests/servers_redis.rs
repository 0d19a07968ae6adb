//! The Redis preset against Redis.

mod support;

use std::process::Command;

use healthcheck::{Check, Dialogue, FailKind, Verdict};
use support::Server;

#[test]
#[ignore = "needs redis-server"]
fn redis_with_and_without_a_password() {
    let start = |name: &str, password: Option<&str>| {
        Server::start(name, |directory, port| {
            let mut command = Command::new("redis-server");
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                .current_dir(directory);
            if let Some(password) = password {
                command.args(["--requirepass", password]);
            }
            command
        })
    };
    let mut open = start("redis", None);
    assert_eq!(
        open.check(Check::new(open.addr, Dialogue::redis())).verdict,
        Verdict::Up
    );
    open.stop();
    assert_eq!(
        open.check(Check::new(open.addr, Dialogue::redis()))
            .last_failure
            .unwrap()
            .1
            .kind,
        FailKind::Refused
    );
    let closed = start("redis-auth", Some("secret"));
    assert_eq!(
        closed
            .check(Check::new(closed.addr, Dialogue::redis_with("secret")))
            .verdict,
        Verdict::Up
    );
    let without = closed
        .check(Check::new(closed.addr, Dialogue::redis()))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(without.kind, FailKind::Mismatch);
    assert!(without.excerpt.as_bytes().starts_with(b"-NOAUTH"), "{without}");
    let wrong = closed
        .check(Check::new(closed.addr, Dialogue::redis_with("guess")))
        .last_failure
        .unwrap()
        .1;
    assert!(wrong.excerpt.as_bytes().starts_with(b"-WRONGPASS"), "{wrong}");
}
