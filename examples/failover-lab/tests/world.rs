//! The laboratory itself in namespaces: every fault as root, and as an ordinary user in namespaces of its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_failover-lab");

fn report(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["in_memory"], false, "{said}");
    report
}

#[test]
#[ignore = "needs root and network namespaces"]
fn every_fault_is_survived() {
    for fault in ["kill", "stop", "pause", "link", "partition"] {
        let report = report(Command::new(PROGRAM).args(["--fault", fault]));
        let round = &report["rounds"][0];
        let detection = round["detection_ms"].as_f64().unwrap();
        let allowed = round["allowed_ms"].as_f64().unwrap();
        // Not earlier than the timers say; how late depends on the machine. The capture is some µs off.
        assert!(detection >= allowed - 1.0, "{fault}: {detection} of {allowed}");
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_ordinary_user_can_do_it_too() {
    // Where the user may execute it.
    let copy = std::env::temp_dir().join(format!("failover-lab-user-{}", std::process::id()));
    std::fs::copy(PROGRAM, &copy).unwrap();
    let report = report(
        Command::new(&copy)
            .current_dir("/")
            .uid(65_534)
            .gid(65_534)
            .args(["--fault", "stop"]),
    );
    std::fs::remove_file(&copy).unwrap();
    assert!(report["rounds"][0]["detection_ms"].is_number());
}

/// Without the right to open raw sockets a director says what it needs.
#[test]
#[ignore = "needs root and network namespaces"]
fn without_privileges_a_director_says_what_it_needs() {
    let copy = std::env::temp_dir().join(format!("failover-lab-plain-{}", std::process::id()));
    std::fs::copy(PROGRAM, &copy).unwrap();
    let spec = std::env::temp_dir().join(format!("failover-lab-plain-{}.json", std::process::id()));
    std::fs::write(&spec, "{}").unwrap();
    let output = Command::new(&copy)
        .arg("direct")
        .current_dir("/")
        .stdin(std::fs::File::open(&spec).unwrap())
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    std::fs::remove_file(&copy).unwrap();
    std::fs::remove_file(&spec).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("CAP_NET_RAW"), "{said}");
}
