//! Installing what the other steps use, each by its public name.

use std::process::Command;

use crate::checks::{BARE_TARGET, OTHER_TARGET};
use crate::process::{Result, has_program, is_root, run};
use crate::static_build::STATIC_TARGET;

/// Debian packages and the program by which each is recognised as installed.
const DEBIAN: &[(&str, &str)] = &[
    ("iproute2", "ip"),
    ("keepalived", "keepalived"),
    ("frr", "vrrpd"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("nginx-light", "nginx"),
    ("haproxy", "haproxy"),
    ("ipvsadm", "ipvsadm"),
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("busybox-static", "busybox"),
    ("cpio", "cpio"),
    ("kmod", "depmod"),
    ("xz-utils", "xz"),
    ("psmisc", "killall"),
    ("procps", "ps"),
    ("curl", "curl"),
    ("valgrind", "valgrind"),
    ("redis-server", "redis-server"),
    ("dnsmasq-base", "dnsmasq"),
    ("openssh-server", "sshd"),
    ("mariadb-server-core", "mariadbd"),
    ("mariadb-client-core", "my_print_defaults"),
    ("postgresql-15", "/usr/lib/postgresql/15/bin/postgres"),
    ("vsftpd", "vsftpd"),
    ("exim4-daemon-light", "exim4"),
    ("chromium-headless-shell", "chromium-headless-shell"),
    ("mandoc", "mandoc"),
    ("musl-tools", "musl-gcc"),
    ("etcd-server", "etcd"),
];

/// rustup targets: one without an operating system, one with another than Linux, one for static binaries.
const TARGETS: &[&str] = &[BARE_TARGET, OTHER_TARGET, STATIC_TARGET];

pub(crate) fn install() -> Result {
    let missing: Vec<&str> = DEBIAN
        .iter()
        .filter(|(_, program)| !has_program(program))
        .map(|(package, _)| *package)
        .collect();
    if !missing.is_empty() {
        if !is_root() || !has_program("apt-get") {
            return Err(format!("install these Debian packages as root: {}", missing.join(" ")).into());
        }
        run(Command::new("apt-get").args(["-qq", "update"]))?;
        run(Command::new("apt-get")
            .args(["-qq", "-y", "--no-install-recommends", "install"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    run(Command::new("rustup").args(["target", "add"]).args(TARGETS))?;
    if !has_program("cargo-fuzz") {
        run(Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}
