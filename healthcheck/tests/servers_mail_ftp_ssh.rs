//! The presets for SMTP, FTP and SSH against exim, vsftpd and OpenSSH.

mod support;

use std::process::{Command, Stdio};

use healthcheck::{Check, Dialogue, FailKind, Verdict};
use support::Server;

#[test]
#[ignore = "needs root and exim4"]
fn smtp() {
    let start = |name: &str, rule: &str| {
        Server::start(name, |directory, port| {
            let config = format!(
                "exim_path = /usr/sbin/exim4\nspool_directory = {0}\nlog_file_path = {0}/%slog\nprimary_hostname = mail.example\n\
                 keep_environment =\ntls_advertise_hosts =\npid_file_path = {0}/pid\ndaemon_smtp_ports = {port}\nlocal_interfaces = 127.0.0.1\n\
                 {rule}\nbegin acl\nrefuse:\n  deny message = go away\n",
                directory.display()
            );
            // The daemon writes its logs as a user of its own.
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(directory, open).unwrap();
            let path = directory.join("exim.conf");
            std::fs::write(&path, config).unwrap();
            let mut command = Command::new("exim4");
            command
                .arg("-C")
                .arg(path)
                .args(["-bdf", "-q30m"])
                .stderr(Stdio::null());
            command
        })
    };
    let mut good = start("exim", "");
    assert_eq!(
        good.check(Check::new(good.addr, Dialogue::smtp("check.example")))
            .verdict,
        Verdict::Up
    );
    good.stop();
    let bad = start("exim-refusing", "acl_smtp_helo = refuse");
    let refused = bad
        .check(Check::new(bad.addr, Dialogue::smtp("check.example")))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(
        (refused.kind, refused.code),
        (FailKind::Status, Some(550)),
        "{refused}"
    );
}

#[test]
#[ignore = "needs root and vsftpd"]
fn ftp() {
    let server = Server::start("vsftpd", |directory, port| {
        let empty = directory.join("empty");
        std::fs::create_dir(&empty).unwrap();
        let config = format!(
            "listen=YES\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={port}\nanonymous_enable=YES\n\
             secure_chroot_dir={0}\nanon_root={0}\nxferlog_enable=NO\nseccomp_sandbox=NO\nisolate_network=NO\n",
            empty.display()
        );
        let path = directory.join("vsftpd.conf");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("vsftpd");
        command.arg(path).stderr(Stdio::null());
        command
    });
    let status = server.check(Check::new(server.addr, Dialogue::ftp()));
    assert_eq!(status.verdict, Verdict::Up, "{status:?}");
    let wrong = server
        .check(Check::new(server.addr, Dialogue::ssh()))
        .last_failure
        .unwrap()
        .1;
    assert!(
        matches!(
            wrong.kind,
            FailKind::TimedOut | FailKind::Closed | FailKind::Reset
        ),
        "{wrong}"
    );
}

#[test]
#[ignore = "needs root and OpenSSH's sshd"]
fn ssh() {
    std::fs::create_dir_all("/run/sshd").unwrap();
    let mut server = Server::start("sshd", |directory, port| {
        let key = directory.join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let mut command = Command::new("/usr/sbin/sshd");
        command
            .args(["-D", "-f", "/dev/null", "-o", "PidFile=none", "-o"])
            .arg(format!("ListenAddress=127.0.0.1:{port}"));
        command.arg("-h").arg(&key).stderr(Stdio::null());
        command
    });
    assert_eq!(
        server.check(Check::new(server.addr, Dialogue::ssh())).verdict,
        Verdict::Up
    );
    let wrong = server
        .check(Check::new(server.addr, Dialogue::smtp("x")))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(wrong.kind, FailKind::Malformed);
    server.stop();
    assert_eq!(
        server
            .check(Check::new(server.addr, Dialogue::ssh()))
            .last_failure
            .unwrap()
            .1
            .kind,
        FailKind::Refused
    );
}
