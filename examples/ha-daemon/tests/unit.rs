//! The unit file, as systemd reads it.

use std::process::Command;

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let directory = std::env::temp_dir().join(format!("ha-daemon-unit-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let unit = directory.join("ha-daemon.service");
    // Installed programs are looked for; this one is where it was built.
    let text =
        include_str!("../ha-daemon.service").replace("/usr/bin/ha-daemon", env!("CARGO_BIN_EXE_ha-daemon"));
    std::fs::write(&unit, text).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&unit)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // What it says of other units of this machine is not about ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("ha-daemon")).collect();
    assert_eq!(ours, [""; 0]);
    assert!(output.status.success(), "{said}");
}
