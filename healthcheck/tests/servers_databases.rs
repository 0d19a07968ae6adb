//! The presets for MySQL and PostgreSQL against MariaDB and PostgreSQL.

mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use healthcheck::{Check, Dialogue, FailKind, Verdict};
use support::Server;

/// Another user, by number, for servers that do not want to be root; and a directory that is his.
fn user_of(name: &str, directory: &Path) -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{name}:")))
        .expect("the package made this user");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    let (user, group) = (fields.next().unwrap(), fields.next().unwrap());
    std::os::unix::fs::chown(directory, Some(user), Some(group)).unwrap();
    (user, group)
}

#[test]
#[ignore = "needs root and PostgreSQL 15"]
fn postgresql() {
    let mut server = Server::start("postgresql", |directory, port| {
        let (user, group) = user_of("postgres", directory);
        let bin = Path::new("/usr/lib/postgresql/15/bin");
        let data = directory.join("data");
        let mut init = Command::new(bin.join("initdb"));
        init.arg("-D")
            .arg(&data)
            .args(["-A", "password", "--pwfile=/etc/hostname", "-N"])
            .uid(user)
            .gid(group);
        assert!(
            init.current_dir(directory)
                .stdout(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
        let mut command = Command::new(bin.join("postgres"));
        command
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .arg("-k")
            .arg(directory);
        command
            .uid(user)
            .gid(group)
            .current_dir(directory)
            .stderr(Stdio::null());
        command
    });
    // It listens before it serves, and the check tells the two apart.
    let begun = std::time::Instant::now();
    loop {
        let status = server.check(Check::new(server.addr, Dialogue::postgresql("postgres")));
        if status.verdict == Verdict::Up {
            break;
        }
        let starting = &status.last_failure.as_ref().expect("a reason").1;
        assert_eq!(starting.kind, FailKind::Status, "{status:?}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{status:?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let stranger = server.check(Check::new(server.addr, Dialogue::postgresql("nobody-at-all")));
    assert_eq!(
        stranger.verdict,
        Verdict::Up,
        "who asks for a password serves: {stranger:?}"
    );
    server.stop();
    let gone = server
        .check(Check::new(server.addr, Dialogue::postgresql("postgres")))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(gone.kind, FailKind::Refused);
}

#[test]
#[ignore = "needs root and MariaDB"]
fn mariadb_does_not_block_us_for_checking() {
    let server = Server::start("mariadb", |directory, port| {
        let data = directory.join("data");
        std::fs::create_dir(&data).unwrap();
        let mut init = Command::new("mariadb-install-db");
        init.args([
            "--no-defaults",
            "--user=root",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]);
        init.arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(init.status().unwrap().success());
        let mut command = Command::new("mariadbd");
        command.args([
            "--no-defaults",
            "--user=root",
            "--bind-address=127.0.0.1",
            "--max-connect-errors=3",
        ]);
        command
            .arg(format!("--port={port}"))
            .arg(format!("--datadir={}", data.display()));
        command
            .arg(format!("--socket={}", directory.join("socket").display()))
            .stderr(Stdio::null());
        command
    });
    // More often than it takes to be blocked as a host that breaks off.
    for user in [
        "root",
        "nobody-at-all",
        "root",
        "nobody-at-all",
        "nobody-at-all",
        "nobody-at-all",
        "root",
    ] {
        let status = server.check(Check::new(server.addr, Dialogue::mysql(user)));
        assert_eq!(status.verdict, Verdict::Up, "{user}: {status:?}");
    }
}
