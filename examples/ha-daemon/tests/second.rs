//! A second instance beside one that runs.

use std::process::Command;

use ha_stack::ControlLock;

#[test]
fn it_is_refused_before_any_script_runs() {
    let directory = std::env::temp_dir().join(format!("ha-daemon-second-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let [socket, config, trace] = ["socket", "conf", "trace"].map(|name| directory.join(name));
    let script = format!("\"/bin/touch {}\"", trace.display());
    let text =
        format!("global_defs {{\nscript_user root\nstartup_script {script}\nshutdown_script {script}\n}}\n");
    std::fs::write(&config, text).unwrap();
    let _first = ControlLock::take(&socket).unwrap();
    let second = Command::new(env!("CARGO_BIN_EXE_ha-daemon"))
        .args(["run", "--data-plane", "none", "--config"])
        .arg(&config)
        .arg("--control")
        .arg(&socket)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(said.contains("another daemon runs already"), "{said}");
    assert!(!trace.exists(), "{said}");
    std::fs::remove_dir_all(&directory).unwrap();
}
