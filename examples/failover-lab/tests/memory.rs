//! The laboratory's story on a segment in memory: every fault, no privileges, no waiting.

use std::process::Command;

use serde_json::Value;

fn run(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_failover-lab"))
        .args(["--in-memory", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_fault_is_told_and_survived() {
    for fault in ["kill", "stop", "pause", "link", "partition"] {
        let report = run(&["--fault", fault]);
        let round = &report["rounds"][0];
        let detection = round["detection_ms"].as_f64().unwrap();
        let allowed = round["allowed_ms"].as_f64().unwrap();
        // The clock is exact; a packet travels 50 µs.
        assert!(
            (detection - allowed).abs() <= 0.1,
            "{fault}: {detection} of {allowed}"
        );
        assert!(!round["moments"].as_array().unwrap().is_empty());
        assert_eq!(report["in_memory"], true);
    }
}

#[test]
fn many_routers_move_together() {
    let report = run(&["--instances", "200", "--advert-int", "0.01"]);
    let round = &report["rounds"][0];
    let last = round["last_address_ms"].as_f64().unwrap();
    let allowed = round["allowed_ms"].as_f64().unwrap();
    assert!(last - allowed <= 0.2, "{last} of {allowed}");
}

#[test]
fn a_picture_is_drawn() {
    let file = std::env::temp_dir().join(format!("failover-lab-{}.svg", std::process::id()));
    run(&["--svg", file.to_str().unwrap()]);
    let picture = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("last advertisement of A"));
}

#[test]
fn a_wrong_interval_is_bad_usage() {
    let status = Command::new(env!("CARGO_BIN_EXE_failover-lab"))
        .args(["--advert-int", "41"])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}
